/* Typed views of nodes. All accept NULL for "absent". */
#include "wire/pickle_vm.h"

#define CHAIN_MAX 8u /* links of a callable made by calls that a name spells out */

bool mr_pk_is_global(const struct mr_pk *n, const char *mod, const char *name) {
    return n && n->type == MR_PK_GLOBAL && mr_str_is(n->g.mod, mod) && mr_str_is(n->g.name, name);
}

void mr_pk_class_name(const struct mr_pk *n, char *out, size_t cap) {
    if (!cap)
        return;
    out[0] = 0;
    if (!n || n->type != MR_PK_OBJ)
        return;
    const struct mr_pk *c = n->o.cls;
    unsigned calls = 0;
    while (c->type == MR_PK_OBJ && calls < CHAIN_MAX) {
        c = c->o.cls;
        calls++;
    }
    if (c->type != MR_PK_GLOBAL) {
        snprintf(out, cap, "an unnamed class");
        return;
    }
    int mod = c->g.mod.n < 200 ? (int)c->g.mod.n : 200;
    int name = c->g.name.n < 200 ? (int)c->g.name.n : 200;
    /* the result of a call is not that class: say so in the name */
    snprintf(out, cap, "%.*s.%.*s%s", mod, c->g.mod.p, name, c->g.name.p, calls ? "(...)()" : "");
}

struct mr_str mr_pk_class_short(const struct mr_pk *n) {
    if (!n || n->type != MR_PK_OBJ || n->o.cls->type != MR_PK_GLOBAL)
        return (struct mr_str){NULL, 0};
    return n->o.cls->g.name;
}

static const struct mr_pk *find(const struct mr_pk *dict, struct mr_str key) {
    if (!dict || dict->type != MR_PK_DICT)
        return NULL;
    for (size_t i = dict->l.n & ~(size_t)1; i >= 2; i -= 2) {
        const struct mr_pk *k = dict->l.v[i - 2];
        if (k->type == MR_PK_STR && mr_str_eq(k->s, key))
            return dict->l.v[i - 1];
    }
    return NULL;
}

const struct mr_pk *mr_pk_attr(const struct mr_pk *obj, const char *name) {
    if (!obj || obj->type != MR_PK_OBJ || !obj->o.state)
        return NULL;
    const struct mr_pk *s = obj->o.state;
    struct mr_str key = mr_str(name);
    if (s->type != MR_PK_TUPLE)
        return find(s, key);
    if (s->l.n != 2)
        return NULL;
    const struct mr_pk *slot = find(s->l.v[1], key);
    return slot ? slot : find(s->l.v[0], key);
}

const struct mr_pk *mr_pk_get(const struct mr_pk *dict, const char *key) {
    if (dict && dict->type == MR_PK_OBJ)
        dict = dict->o.items;
    return find(dict, mr_str(key));
}

bool mr_pk_seq(const struct mr_pk *n, struct mr_pk *const **ret_v, size_t *ret_n) {
    if (n && n->type == MR_PK_OBJ)
        n = n->o.items;
    if (n && n->type == MR_PK_ARRAY) {
        if (!n->a.objs)
            return false;
        *ret_v = n->a.objs->l.v;
        *ret_n = (size_t)n->a.count;
        return true;
    }
    if (!n || (n->type != MR_PK_LIST && n->type != MR_PK_TUPLE && n->type != MR_PK_SET))
        return false;
    *ret_v = n->l.v;
    *ret_n = n->l.n;
    return true;
}

size_t mr_pk_len(const struct mr_pk *n) {
    struct mr_pk *const *v;
    size_t len;
    if (n && n->type == MR_PK_ARRAY)
        return n->a.ndim > 0 ? (size_t)n->a.shape[0] : 0;
    return mr_pk_seq(n, &v, &len) ? len : 0;
}

/* The single element of a 0-d or 1-element array, else n itself; NULL when it has several. */
static const uint8_t *single(const struct mr_pk *n) {
    return n->type == MR_PK_ARRAY && n->a.count == 1 && !n->a.objs ? n->a.data : NULL;
}

bool mr_pk_num(const struct mr_pk *n, double *ret) {
    if (!n)
        return false;
    switch (n->type) {
    case MR_PK_BOOL:
    case MR_PK_INT:
        *ret = (double)n->i;
        return true;
    case MR_PK_FLOAT:
        *ret = n->f;
        return true;
    case MR_PK_ARRAY:
        if (n->a.objs && n->a.count == 1 && n->a.objs->l.v[0]->type != MR_PK_ARRAY)
            return mr_pk_num(n->a.objs->l.v[0], ret);
        return single(n) && mr_pk_item_f64(n->a.dtype, n->a.data, ret);
    default:
        return false;
    }
}

bool mr_pk_int(const struct mr_pk *n, int64_t *ret) {
    if (!n)
        return false;
    switch (n->type) {
    case MR_PK_BOOL:
    case MR_PK_INT:
        *ret = n->i;
        return true;
    case MR_PK_FLOAT:
        if (!(n->f >= -9007199254740992.0 && n->f <= 9007199254740992.0) ||
            (double)(int64_t)n->f != n->f)
            return false;
        *ret = (int64_t)n->f;
        return true;
    case MR_PK_ARRAY:
        if (n->a.objs && n->a.count == 1 && n->a.objs->l.v[0]->type != MR_PK_ARRAY)
            return mr_pk_int(n->a.objs->l.v[0], ret);
        return single(n) && mr_pk_item_i64(n->a.dtype, n->a.data, ret);
    default:
        return false;
    }
}

bool mr_pk_bool(const struct mr_pk *n, bool *ret) {
    int64_t v;
    if (!n || n->type == MR_PK_FLOAT || !mr_pk_int(n, &v) || (v != 0 && v != 1))
        return false;
    *ret = v != 0;
    return true;
}

bool mr_pk_str(const struct mr_pk *n, struct mr_str *ret) {
    if (n && n->type == MR_PK_ARRAY && n->a.objs && n->a.count == 1)
        n = n->a.objs->l.v[0];
    if (!n || n->type != MR_PK_STR)
        return false;
    *ret = n->s;
    return true;
}
