#include "wire/onnx.h"

#include <stdlib.h>

#define MAX_DEPTH 24
#define MAX_NODES 2000000u
#define MAX_INITS 2000000u

/* --- protobuf wire format (protobuf.dev/programming-guides/encoding) ----------------------- */
struct pb {
    const uint8_t *p, *end;
};
struct field {
    uint32_t num, type; /* 0 varint, 1 64-bit, 2 bytes, 5 32-bit */
    uint64_t v;         /* varint */
    struct pb sub;      /* bytes */
};

static bool varint(struct pb *b, uint64_t *ret) {
    uint64_t v = 0;
    for (unsigned shift = 0; shift < 70; shift += 7) {
        if (b->p == b->end)
            return false;
        uint8_t c = *b->p++;
        if (shift == 63 && c > 1)
            return false;
        v |= (uint64_t)(c & 127) << shift;
        if (c < 128) {
            *ret = v;
            return true;
        }
    }
    return false;
}

/* 1 a field, 0 the end, -1 damaged. */
static int next_field(struct pb *b, struct field *f) {
    uint64_t tag;
    if (b->p == b->end)
        return 0;
    if (!varint(b, &tag) || tag >> 3 == 0 || tag >> 3 > 536870911)
        return -1;
    f->num = (uint32_t)(tag >> 3);
    f->type = tag & 7;
    size_t left = (size_t)(b->end - b->p);
    switch (f->type) {
    case 0:
        return varint(b, &f->v) ? 1 : -1;
    case 1:
    case 5: {
        size_t n = f->type == 1 ? 8 : 4;
        if (left < n)
            return -1;
        b->p += n;
        return 1;
    }
    case 2: {
        uint64_t n;
        if (!varint(b, &n) || n > (uint64_t)(b->end - b->p))
            return -1;
        f->sub = (struct pb){b->p, b->p + n};
        b->p += n;
        return 1;
    }
    default:
        return -1; /* groups are not used by ONNX */
    }
}

static struct mr_str as_str(const struct field *f) {
    return (struct mr_str){(const char *)f->sub.p, (size_t)(f->sub.end - f->sub.p)};
}

static int damaged(struct mr_err *e, const char *where) {
    return mr_fail(e, MR_EREFUSED, "damaged ONNX file: broken %s", where);
}

/* --- values ------------------------------------------------------------------------------- */
static int parse_dim(struct pb b, int64_t *ret, struct mr_err *e) {
    struct field f;
    int r;
    *ret = -1;
    while ((r = next_field(&b, &f)) > 0)
        if (f.num == 1 && f.type == 0)
            *ret = (int64_t)f.v > 0 ? (int64_t)f.v : -1;
    return r < 0 ? damaged(e, "dimension") : 0;
}

static int parse_shape(struct pb b, struct mr_onnx_value *v, struct mr_err *e) {
    struct field f;
    int r;
    v->rank = 0;
    while ((r = next_field(&b, &f)) > 0) {
        if (f.num != 1 || f.type != 2)
            continue;
        if (v->rank == MR_ONNX_MAX_RANK)
            return mr_fail(e, MR_EUNSUPPORTED, "%.*s has more than %d dimensions",
                           (int)(v->name.n < 60 ? v->name.n : 60), v->name.p, MR_ONNX_MAX_RANK);
        int rc = parse_dim(f.sub, &v->dim[v->rank++], e);
        if (rc)
            return rc;
    }
    return r < 0 ? damaged(e, "shape") : 0;
}

static int parse_tensor_type(struct pb b, struct mr_onnx_value *v, struct mr_err *e) {
    struct field f;
    int r, rc = 0;
    while (!rc && (r = next_field(&b, &f)) > 0) {
        if (f.num == 1 && f.type == 0)
            v->elem = f.v < 1000 ? (int32_t)f.v : 0;
        else if (f.num == 2 && f.type == 2)
            rc = parse_shape(f.sub, v, e);
    }
    return rc ? rc : r < 0 ? damaged(e, "tensor type") : 0;
}

/* sequence(map(key, …)): TypeProto.sequence_type.elem_type.map_type.key_type */
static int parse_sequence(struct pb b, struct mr_onnx_value *v, struct mr_err *e) {
    static const uint32_t path[] = {1, 5, 1};
    struct field f;
    v->kind = MR_ONNX_OTHER;
    for (int level = 0; level < 3; level++) {
        int r;
        bool found = false;
        while (!found && (r = next_field(&b, &f)) > 0)
            found = f.num == path[level] && f.type == (level == 2 ? 0u : 2u);
        if (!found)
            return r < 0 ? damaged(e, "sequence type") : 0;
        b = f.sub;
    }
    v->kind = MR_ONNX_SEQUENCE_MAP;
    v->elem = f.v < 1000 ? (int32_t)f.v : 0;
    return 0;
}

static int parse_type(struct pb b, struct mr_onnx_value *v, struct mr_err *e) {
    struct field f;
    int r, rc = 0;
    while (!rc && (r = next_field(&b, &f)) > 0) {
        if (f.type != 2)
            continue;
        if (f.num == 1) {
            v->kind = MR_ONNX_TENSOR;
            rc = parse_tensor_type(f.sub, v, e);
        } else if (f.num == 4) {
            rc = parse_sequence(f.sub, v, e);
        }
    }
    return rc ? rc : r < 0 ? damaged(e, "type") : 0;
}

static int parse_value(struct pb b, struct mr_onnx_value *v, struct mr_err *e) {
    struct field f;
    int r, rc = 0;
    *v = (struct mr_onnx_value){.kind = MR_ONNX_OTHER, .rank = -1, .name = {"", 0}};
    while (!rc && (r = next_field(&b, &f)) > 0) {
        if (f.num == 1 && f.type == 2)
            v->name = as_str(&f);
        else if (f.num == 2 && f.type == 2)
            rc = parse_type(f.sub, v, e);
    }
    return rc ? rc : r < 0 ? damaged(e, "value") : 0;
}

/* --- graphs ------------------------------------------------------------------------------- */
struct walk {
    struct mr_onnx_model *m;
    struct mr_arena *arena;
    struct mr_str *init_name; /* of the main graph */
    size_t n_init, cap_init;
    struct mr_err *e;
};

static int parse_graph(struct walk *w, struct pb b, unsigned depth);

static int parse_tensor(struct walk *w, struct pb b, struct mr_str *ret_name) {
    struct field f;
    int r;
    *ret_name = (struct mr_str){"", 0};
    while ((r = next_field(&b, &f)) > 0) {
        if (f.num == 8 && f.type == 2)
            *ret_name = as_str(&f);
        if ((f.num == 13 && f.type == 2) || (f.num == 14 && f.type == 0 && f.v == 1))
            return mr_fail(w->e, MR_EUNSUPPORTED,
                           "the ONNX file keeps weights in other files (external data); save it as "
                           "one file, for example with onnx.save_model(onnx.load(path), out)");
        if (f.type == 2 && (f.num == 4 || f.num == 5 || f.num == 6 || f.num == 7 || f.num == 9 ||
                            f.num == 10 || f.num == 11))
            w->m->weight_bytes += (uint64_t)(f.sub.end - f.sub.p);
    }
    return r < 0 ? damaged(w->e, "tensor") : 0;
}

static int parse_attribute(struct walk *w, struct pb b, unsigned depth) {
    struct field f;
    int r, rc = 0;
    struct mr_str name;
    while (!rc && (r = next_field(&b, &f)) > 0) {
        if (f.type != 2)
            continue;
        if (f.num == 5 || f.num == 10)
            rc = parse_tensor(w, f.sub, &name);
        else if (f.num == 6 || f.num == 11)
            rc = parse_graph(w, f.sub, depth + 1);
    }
    return rc ? rc : r < 0 ? damaged(w->e, "attribute") : 0;
}

static bool is_estimator(struct mr_str op) {
    return mr_str_ends(op, MR_LIT("Classifier")) || mr_str_ends(op, MR_LIT("Regressor")) ||
           mr_str_is(op, "TreeEnsemble");
}

static int parse_node(struct walk *w, struct pb b, unsigned depth) {
    struct field f;
    int r, rc = 0;
    if (++w->m->n_nodes > MAX_NODES)
        return mr_fail(w->e, MR_EREFUSED, "the ONNX graph has more than %u nodes", MAX_NODES);
    while (!rc && (r = next_field(&b, &f)) > 0) {
        if (f.num == 4 && f.type == 2 && !w->m->main_op.n && is_estimator(as_str(&f)))
            w->m->main_op = as_str(&f);
        else if (f.num == 5 && f.type == 2)
            rc = parse_attribute(w, f.sub, depth);
    }
    return rc ? rc : r < 0 ? damaged(w->e, "node") : 0;
}

static int add_initializer(struct walk *w, struct pb b, unsigned depth) {
    struct mr_str name;
    int r = parse_tensor(w, b, &name);
    if (r)
        return r;
    if (++w->m->n_initializers > MAX_INITS)
        return mr_fail(w->e, MR_EREFUSED, "the ONNX graph has more than %u weights", MAX_INITS);
    if (depth)
        return 0;
    if (w->n_init == w->cap_init) {
        size_t cap = w->cap_init ? 2 * w->cap_init : 64;
        struct mr_str *more = mr_arena_array(w->arena, cap, sizeof *more);
        if (!more)
            return mr_fail(w->e, MR_EREFUSED, "the ONNX graph needs too much memory");
        if (w->n_init)
            memcpy(more, w->init_name, w->n_init * sizeof *more);
        w->init_name = more;
        w->cap_init = cap;
    }
    w->init_name[w->n_init++] = name;
    return 0;
}

static int add_value(struct walk *w, struct pb b, struct mr_onnx_value **list, uint32_t *n,
                     uint32_t cap, const char *what) {
    if (*n == cap)
        return mr_fail(w->e, MR_EUNSUPPORTED, "the ONNX graph has more than %u %s", cap, what);
    if (!*list && !(*list = mr_arena_array(w->arena, cap, sizeof **list)))
        return mr_fail(w->e, MR_EREFUSED, "the ONNX graph needs too much memory");
    return parse_value(b, &(*list)[(*n)++], w->e);
}

static int parse_graph(struct walk *w, struct pb b, unsigned depth) {
    struct field f;
    int r, rc = 0;
    if (depth > MAX_DEPTH)
        return mr_fail(w->e, MR_EREFUSED, "ONNX graphs nest deeper than %d", MAX_DEPTH);
    while (!rc && (r = next_field(&b, &f)) > 0) {
        if (f.type != 2)
            continue;
        if (f.num == 1)
            rc = parse_node(w, f.sub, depth);
        else if (f.num == 5)
            rc = add_initializer(w, f.sub, depth);
        else if (f.num == 11 && !depth) /* old files list weights as inputs, too */
            rc = add_value(w, f.sub, &w->m->input, &w->m->n_inputs, 65536, "inputs");
        else if (f.num == 12 && !depth)
            rc =
                add_value(w, f.sub, &w->m->output, &w->m->n_outputs, MR_ONNX_MAX_VALUES, "outputs");
    }
    return rc ? rc : r < 0 ? damaged(w->e, "graph") : 0;
}

static int parse_function(struct walk *w, struct pb b) {
    struct field f;
    int r, rc = 0;
    while (!rc && (r = next_field(&b, &f)) > 0)
        if (f.num == 7 && f.type == 2)
            rc = parse_node(w, f.sub, 1);
    return rc ? rc : r < 0 ? damaged(w->e, "function") : 0;
}

static int parse_opset(struct walk *w, struct pb b) {
    struct field f;
    struct mr_str domain = {"", 0};
    int64_t version = 0;
    int r;
    while ((r = next_field(&b, &f)) > 0) {
        if (f.num == 1 && f.type == 2)
            domain = as_str(&f);
        else if (f.num == 2 && f.type == 0)
            version = (int64_t)f.v;
    }
    if (!domain.n || mr_str_is(domain, "ai.onnx"))
        w->m->opset = version;
    return r < 0 ? damaged(w->e, "opset") : 0;
}

static int by_name(const void *a, const void *b) {
    const struct mr_str *x = a, *y = b;
    int c = memcmp(x->p, y->p, x->n < y->n ? x->n : y->n);
    return c ? c : (x->n > y->n) - (x->n < y->n);
}

/* Files of IR version 3 list every weight as an input as well. */
static int drop_weights_from_inputs(struct walk *w) {
    struct mr_onnx_model *m = w->m;
    uint32_t n = 0;
    if (w->n_init)
        qsort(w->init_name, w->n_init, sizeof *w->init_name, by_name);
    for (uint32_t i = 0; i < m->n_inputs; i++)
        if (!w->n_init ||
            !bsearch(&m->input[i].name, w->init_name, w->n_init, sizeof *w->init_name, by_name))
            m->input[n++] = m->input[i];
    m->n_inputs = n;
    if (n > MR_ONNX_MAX_VALUES)
        return mr_fail(w->e, MR_EUNSUPPORTED, "the ONNX graph has %u inputs; at most %d", n,
                       MR_ONNX_MAX_VALUES);
    return 0;
}

int mr_onnx_parse(struct mr_str file, struct mr_arena *arena, struct mr_onnx_model *ret,
                  struct mr_err *e) {
    struct mr_onnx_model m = {.producer = {"", 0}, .producer_version = {"", 0}};
    struct walk w = {.m = &m, .arena = arena, .e = e};
    struct pb b = {(const uint8_t *)file.p, (const uint8_t *)file.p + file.n};
    struct field f;
    bool graph = false;
    int r, rc = 0;
    while (!rc && (r = next_field(&b, &f)) > 0) {
        if (f.num == 1 && f.type == 0)
            m.ir_version = (int64_t)f.v;
        else if (f.num == 2 && f.type == 2)
            m.producer = as_str(&f);
        else if (f.num == 3 && f.type == 2)
            m.producer_version = as_str(&f);
        else if (f.num == 8 && f.type == 2)
            rc = parse_opset(&w, f.sub);
        else if (f.num == 25 && f.type == 2)
            rc = parse_function(&w, f.sub);
        else if (f.num == 7 && f.type == 2) {
            if (graph)
                return mr_fail(e, MR_EREFUSED, "damaged ONNX file: two graphs");
            graph = true;
            rc = parse_graph(&w, f.sub, 0);
        }
    }
    if (rc)
        return rc;
    if (r < 0)
        return graph ? damaged(e, "end of the file") : mr_fail(e, MR_EINVAL, "not an ONNX model");
    if (!graph || m.ir_version < 1 || m.ir_version > 1000)
        return mr_fail(e, MR_EINVAL, "not an ONNX model");
    if (!m.n_outputs)
        return mr_fail(e, MR_EREFUSED, "the ONNX graph has no outputs");
    rc = drop_weights_from_inputs(&w);
    if (!rc && !m.n_inputs)
        rc = mr_fail(e, MR_EUNSUPPORTED, "the ONNX graph has no inputs");
    if (!rc)
        *ret = m;
    return rc;
}

bool mr_onnx_sniff(struct mr_str file) {
    struct pb b = {(const uint8_t *)file.p, (const uint8_t *)file.p + file.n};
    struct field f;
    /* Writers put fields in order: ir_version (1) first, then strings, opset or graph. */
    if (next_field(&b, &f) <= 0 || f.num != 1 || f.type != 0 || f.v < 1 || f.v > 1000)
        return false;
    return next_field(&b, &f) > 0 && f.type == (f.num == 5 ? 0u : 2u) &&
           ((f.num >= 2 && f.num <= 8) || f.num == 14 || f.num == 25);
}

const char *mr_onnx_type_name(int32_t t) {
    static const char *const names[] = {"other",   "float32", "uint8",  "int8",   "uint16",
                                        "int16",   "int32",   "int64",  "string", "bool",
                                        "float16", "float64", "uint32", "uint64"};
    return t > 0 && t < (int32_t)(sizeof names / sizeof *names) ? names[t] : names[0];
}
