/* A node as one line of text, for comparing whole documents in tests. Bounded in depth, since
 * documents may contain themselves. */
#ifndef MR_TEST_PICKLE_TEXT_H
#define MR_TEST_PICKLE_TEXT_H

#include "base/buf.h"
#include "base/codec.h"
#include "wire/pickle.h"

#include <inttypes.h>

static void pickle_text(struct mr_buf *b, struct mr_arena *a, const struct mr_pk *n, int depth);

static void pickle_text_all(struct mr_buf *b, struct mr_arena *a, struct mr_pk *const *v, size_t n,
                            int depth) {
    for (size_t i = 0; i < n; i++) {
        if (i)
            mr_buf_char(b, ' ');
        pickle_text(b, a, v[i], depth + 1);
    }
}

static void pickle_text_array(struct mr_buf *b, struct mr_arena *a, const struct mr_pk *n,
                              int depth) {
    mr_buf_cstr(b, "array(");
    for (int k = 0; k < n->a.ndim; k++)
        mr_buf_fmt(b, "%s%" PRId64, k ? "x" : "", n->a.shape[k]);
    mr_buf_char(b, ':');
    for (uint32_t k = 0; k < n->a.dtype->d.n_field; k++) {
        char name[64];
        const double *v = NULL;
        size_t len = 0;
        snprintf(name, sizeof name, "%.*s", (int)n->a.dtype->d.field[k].name.n,
                 n->a.dtype->d.field[k].name.p);
        mr_buf_fmt(b, " %s=", name);
        if (mr_pk_field_f64(a, n, name, &v, &len, NULL))
            mr_buf_cstr(b, "?");
        for (size_t i = 0; i < len; i++)
            mr_buf_fmt(b, "%s%g", i ? "," : "", v[i]);
    }
    for (int64_t i = 0; i < n->a.count && !n->a.dtype->d.n_field; i++) {
        const struct mr_pk *item = mr_pk_item(a, n, (size_t)i);
        mr_buf_char(b, ' ');
        if (item)
            pickle_text(b, a, item, depth + 1);
        else
            mr_buf_char(b, '?');
    }
    mr_buf_char(b, ')');
}

static void pickle_text(struct mr_buf *b, struct mr_arena *a, const struct mr_pk *n, int depth) {
    char name[500];
    if (depth > 30) {
        mr_buf_cstr(b, "...");
        return;
    }
    switch ((enum mr_pk_type)n->type) {
    case MR_PK_NONE:
        mr_buf_cstr(b, "None");
        break;
    case MR_PK_BOOL:
        mr_buf_cstr(b, n->i ? "True" : "False");
        break;
    case MR_PK_INT:
        mr_buf_i64(b, n->i);
        break;
    case MR_PK_FLOAT:
        mr_buf_fmt(b, "%.17g", n->f);
        if (n->f == (double)(long long)n->f && n->f < 1e15)
            mr_buf_cstr(b, ".0");
        break;
    case MR_PK_STR:
        mr_buf_fmt(b, "'%.*s'", (int)n->s.n, n->s.p);
        break;
    case MR_PK_BYTES:
    case MR_PK_BIGINT:
        mr_buf_cstr(b, n->type == MR_PK_BYTES ? "b:" : "int:");
        mr_hex_add(b, n->s.p, n->s.n);
        break;
    case MR_PK_LIST:
        mr_buf_char(b, '[');
        pickle_text_all(b, a, n->l.v, n->l.n, depth);
        mr_buf_char(b, ']');
        break;
    case MR_PK_TUPLE:
        mr_buf_char(b, '(');
        pickle_text_all(b, a, n->l.v, n->l.n, depth);
        mr_buf_char(b, ')');
        break;
    case MR_PK_DICT:
        mr_buf_char(b, '{');
        pickle_text_all(b, a, n->l.v, n->l.n, depth);
        mr_buf_char(b, '}');
        break;
    case MR_PK_SET:
        mr_buf_char(b, '<');
        pickle_text_all(b, a, n->l.v, n->l.n, depth);
        mr_buf_char(b, '>');
        break;
    case MR_PK_GLOBAL:
        mr_buf_fmt(b, "%.*s.%.*s", (int)n->g.mod.n, n->g.mod.p, (int)n->g.name.n, n->g.name.p);
        break;
    case MR_PK_OBJ:
        mr_pk_class_name(n, name, sizeof name);
        mr_buf_fmt(b, "@%s", name);
        if (n->o.args)
            pickle_text(b, a, n->o.args, depth + 1);
        if (n->o.state) {
            mr_buf_cstr(b, " state=");
            pickle_text(b, a, n->o.state, depth + 1);
        }
        if (n->o.items) {
            mr_buf_cstr(b, " items=");
            pickle_text(b, a, n->o.items, depth + 1);
        }
        break;
    case MR_PK_DTYPE:
        mr_buf_fmt(b, "dtype:%s%c%u", n->d.swapped ? ">" : "", n->d.kind, n->d.size);
        break;
    case MR_PK_ARRAY:
        pickle_text_array(b, a, n, depth);
        break;
    }
}

#endif
