/* The pickle machine and every typed view over whatever it accepts. */
#include "wire/pickle.h"

#include "base/alloc.h"

#define WALK_MAX 3000u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct walk {
    const struct mr_pk *todo[WALK_MAX];
    size_t n, seen;
};

static void add(struct walk *w, const struct mr_pk *n) {
    if (n && w->seen < WALK_MAX) {
        w->todo[w->n++] = n;
        w->seen++;
    }
}

static void look(struct mr_arena *a, const struct mr_pk *n) {
    double x;
    int64_t i;
    bool b;
    struct mr_str s;
    const double *v;
    const int64_t *iv;
    size_t rows, cols, len;
    char name[64];
    struct mr_err e;
    struct mr_pk_csr csr;
    volatile double sum = 0;
    mr_pk_num(n, &x);
    mr_pk_int(n, &i);
    mr_pk_bool(n, &b);
    if (mr_pk_str(n, &s))
        sum = (double)mr_utf8_valid(s);
    mr_pk_class_name(n, name, sizeof name);
    mr_pk_class_short(n);
    mr_pk_len(n);
    if (!mr_pk_f64(a, n, &v, &rows, &cols, &e))
        for (size_t k = 0; k < rows * cols; k++)
            sum = sum + v[k];
    if (!mr_pk_i64(a, n, &iv, &len, &e))
        for (size_t k = 0; k < len; k++)
            sum = sum + (double)iv[k];
    for (size_t k = 0; k < 8; k++) {
        const struct mr_pk *item = mr_pk_item(a, n, k);
        if (item && mr_pk_str(item, &s))
            sum = sum + (double)mr_utf8_valid(s);
    }
    if (!mr_pk_csr(a, n, &csr, &e))
        sum = sum + csr.data[0];
    if (!mr_pk_field_f64(a, n, "v", &v, &len, &e) && len)
        sum = sum + v[len - 1];
    mr_pk_field_i64(a, n, "left_child", &iv, &len, &e);
}

static void children(struct walk *w, const struct mr_pk *n) {
    struct mr_pk *const *v;
    size_t len;
    if (mr_pk_seq(n, &v, &len))
        for (size_t k = 0; k < len; k++)
            add(w, v[k]);
    if (n->type == MR_PK_DICT)
        for (size_t k = 0; k < n->l.n; k++)
            add(w, n->l.v[k]);
    if (n->type == MR_PK_OBJ) {
        add(w, n->o.cls);
        add(w, n->o.args);
        add(w, n->o.state);
        add(w, n->o.items);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct mr_pk_limits lim = {16u << 20, 100000, 8, 100};
    struct mr_pk_doc *d = NULL;
    struct mr_err e = {0};
    mr_pickle_sniff(data, size);
    if (mr_pickle_load(data, size, &lim, &d, &e)) {
        if (!e.msg[0])
            __builtin_trap(); /* a refusal always says why */
        return 0;
    }
    static struct walk w;
    w.n = w.seen = 0;
    add(&w, mr_pickle_root(d));
    while (w.n) {
        const struct mr_pk *n = w.todo[--w.n];
        look(mr_pickle_arena(d), n);
        children(&w, n);
    }
    mr_pickle_free(d);
    return 0;
}
