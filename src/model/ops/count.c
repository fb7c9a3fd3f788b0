/* MR_OP_COUNT, MR_OP_HASH and MR_OP_TFIDF: texts to sparse rows. */
#include "base/alloc.h"
#include "model/ops/text.h"
#include "model/ops/util.h"

#include <stdlib.h>

struct prepared {
    struct mr_analyzer analyzer;
    struct mr_strset vocabulary;
};

static int check_slots(const struct mr_op *op, const struct mr_slot_decl *slots, uint32_t in_kind,
                       size_t params, struct mr_err *e) {
    if (op->params_len < params || op->n_in != 1 || slots[op->in[0]].kind != in_kind ||
        slots[op->out].kind != MR_SLOT_SPARSE ||
        (in_kind == MR_SLOT_CELLS && slots[op->in[0]].width != 1) ||
        (in_kind == MR_SLOT_SPARSE && slots[op->in[0]].width != slots[op->out].width))
        return mr_fail(e, MR_EREFUSED, "text operation: wrong slots");
    return 0;
}

static int count_check(const struct mr_op *op, const struct mr_slot_decl *slots, struct mr_err *e) {
    const struct mr_count_params *p = op->params;
    struct mr_strtab voc;
    int rc = check_slots(op, slots, MR_SLOT_CELLS, sizeof *p, e);
    if (rc)
        return rc;
    if (!mr_ref_strtab(op, p->vocabulary, &voc) || voc.n != slots[op->out].width || p->binary > 1)
        return mr_fail(e, MR_EREFUSED, "text operation: broken vocabulary");
    rc = mr_text_check(op, &p->text, e);
    return rc ? rc : mr_tfidf_check(op, &p->tfidf, slots[op->out].width, e);
}

static void text_unprepare(struct mr_op *op) {
    struct prepared *s = op->prepared;
    if (!s)
        return;
    mr_text_release(&s->analyzer);
    mr_strset_release(&s->vocabulary);
    mr_free(s);
    op->prepared = NULL;
}

static int prepare(struct mr_op *op, const struct mr_text_params *text,
                   const struct mr_ref *vocabulary, struct mr_err *e) {
    struct prepared *s = mr_calloc(1, sizeof *s);
    if (!s)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    op->prepared = s;
    struct mr_strtab voc;
    int rc = mr_text_prepare(op, text, &s->analyzer, e);
    if (rc == 0 && vocabulary) {
        if (!mr_ref_strtab(op, *vocabulary, &voc))
            rc = mr_fail(e, MR_EREFUSED, "text operation: broken vocabulary");
        else
            rc = mr_strset_init(&s->vocabulary, &voc, e);
    }
    if (rc)
        text_unprepare(op);
    return rc;
}

static int count_prepare(struct mr_op *op, const struct mr_slot_decl *slots, struct mr_err *e) {
    (void)slots;
    const struct mr_count_params *p = op->params;
    return prepare(op, &p->text, &p->vocabulary, e);
}

static int text_cell(const struct mr_frame *f, const struct mr_op *op, size_t row,
                     struct mr_str *ret, struct mr_err *e) {
    const struct mr_cell *c = &f->slot[op->in[0]].cells[row];
    if (!c->s.p)
        return mr_fail(e, MR_EINVAL, "row %zu: this model reads text, not numbers or null", row);
    *ret = c->s;
    return 0;
}

/* Scratch for the columns of one text: twice n_terms numbers. */
static uint32_t *columns(struct mr_arena *arena, uint32_t **buf, size_t *cap, size_t n) {
    if (n > *cap) {
        size_t want = n * 2;
        *buf = mr_arena_array(arena, want * 2, sizeof **buf);
        *cap = *buf ? want : 0;
    }
    return *buf;
}

static int count_eval(const struct mr_op *op, struct mr_frame *f, struct mr_err *e) {
    const struct mr_count_params *p = op->params;
    const struct prepared *s = op->prepared;
    const double *idf = p->tfidf.idf.n ? mr_ref_f64(op, p->tfidf.idf) : NULL;
    struct mr_terms t = {.arena = f->arena};
    struct mr_rows out;
    uint32_t *col = NULL;
    size_t cap = 0;
    int rc = mr_rows_init(&out, f->arena, f->rows, e);
    for (size_t row = 0; row < f->rows && rc == 0; row++) {
        struct mr_str doc;
        rc = text_cell(f, op, row, &doc, e);
        if (rc == 0)
            rc = mr_analyze(&s->analyzer, doc, &t, e);
        if (rc == 0)
            rc = mr_rows_room(&out, t.n, e);
        if (rc)
            break;
        if (t.n && !columns(f->arena, &col, &cap, t.n))
            return mr_fail(e, MR_ETOOBIG, "the prediction needs more memory than it may use");
        size_t n = 0, first = out.n;
        for (size_t i = 0; i < t.n; i++) {
            int64_t c = mr_strset_find(&s->vocabulary, t.text + t.v[i].off, t.v[i].n);
            if (c >= 0)
                col[n++] = (uint32_t)c;
        }
        if (n)
            mr_sort_u32(col, col + cap, n);
        for (size_t i = 0; i < n;) {
            size_t k = i + 1;
            while (k < n && col[k] == col[i])
                k++;
            out.index[out.n] = col[i];
            out.value[out.n++] = p->binary ? 1 : (double)(k - i);
            i = k;
        }
        mr_tfidf_row(p->tfidf.sublinear, p->tfidf.norm, idf, out.index + first, out.value + first,
                     out.n - first);
        out.start[row + 1] = out.n;
    }
    if (rc == 0)
        mr_rows_finish(&out, s->vocabulary.tab.n, &f->slot[op->out]);
    return rc;
}

/* A text of some hundred characters; the width of the sparse row says nothing. */
static double text_cost(const struct mr_op *op, const struct mr_slot_decl *slots) {
    (void)slots;
    const struct prepared *s = op->prepared;
    double per_word = s->analyzer.kind == MR_TEXT_WORD ? 1 : 6;
    return 1500 * per_word * (s->analyzer.max_n - s->analyzer.min_n + 1);
}

static size_t text_memory(const struct mr_op *op) {
    const struct prepared *s = op->prepared;
    return sizeof *s +
           (s->vocabulary.slot ? (s->vocabulary.mask + 1) * sizeof *s->vocabulary.slot : 0) +
           (s->analyzer.stop.slot ? (s->analyzer.stop.mask + 1) * sizeof *s->analyzer.stop.slot
                                  : 0);
}

static double tfidf_cost(const struct mr_op *op, const struct mr_slot_decl *slots) {
    (void)op, (void)slots;
    return 300;
}

extern const struct mr_op_type mr_op_count;
const struct mr_op_type mr_op_count = {
    .id = MR_OP_COUNT,
    .name = "count",
    .check = count_check,
    .prepare = count_prepare,
    .unprepare = text_unprepare,
    .eval = count_eval,
    .cost = text_cost,
    .memory = text_memory,
};

static int hash_check(const struct mr_op *op, const struct mr_slot_decl *slots, struct mr_err *e) {
    const struct mr_hash_params *p = op->params;
    int rc = check_slots(op, slots, MR_SLOT_CELLS, sizeof *p, e);
    if (rc)
        return rc;
    if (p->n_features == 0 || p->n_features > MR_MAX_WIDTH ||
        p->n_features != slots[op->out].width || p->binary > 1 || p->alternate_sign > 1 ||
        p->norm > MR_NORM_MAX)
        return mr_fail(e, MR_EREFUSED, "hashing: parameters out of range");
    return mr_text_check(op, &p->text, e);
}

static int hash_prepare(struct mr_op *op, const struct mr_slot_decl *slots, struct mr_err *e) {
    (void)slots;
    const struct mr_hash_params *p = op->params;
    return prepare(op, &p->text, NULL, e);
}

static int hash_eval(const struct mr_op *op, struct mr_frame *f, struct mr_err *e) {
    const struct mr_hash_params *p = op->params;
    const struct prepared *s = op->prepared;
    struct mr_terms t = {.arena = f->arena};
    struct mr_rows out;
    uint32_t *col = NULL;
    size_t cap = 0;
    int rc = mr_rows_init(&out, f->arena, f->rows, e);
    for (size_t row = 0; row < f->rows && rc == 0; row++) {
        struct mr_str doc;
        rc = text_cell(f, op, row, &doc, e);
        if (rc == 0)
            rc = mr_analyze(&s->analyzer, doc, &t, e);
        if (rc == 0)
            rc = mr_rows_room(&out, t.n, e);
        if (rc)
            break;
        if (t.n && !columns(f->arena, &col, &cap, t.n))
            return mr_fail(e, MR_ETOOBIG, "the prediction needs more memory than it may use");
        for (size_t i = 0; i < t.n; i++) { /* column * 2 + (1 = counts down) */
            int32_t h = (int32_t)mr_murmur3_32(t.text + t.v[i].off, t.v[i].n, 0);
            uint32_t c = h == INT32_MIN ? (2147483647u - (p->n_features - 1)) % p->n_features
                                        : (uint32_t)abs(h) % p->n_features;
            col[i] = c << 1 | (p->alternate_sign && h < 0);
        }
        if (t.n)
            mr_sort_u32(col, col + cap, t.n);
        size_t first = out.n;
        for (size_t i = 0; i < t.n;) {
            double sum = 0;
            uint32_t c = col[i] >> 1;
            for (; i < t.n && col[i] >> 1 == c; i++)
                sum += col[i] & 1 ? -1 : 1;
            out.index[out.n] = c; /* a sum of zero stays an entry, as in the library */
            out.value[out.n++] = p->binary ? 1 : sum;
        }
        mr_tfidf_row(false, p->norm, NULL, out.index + first, out.value + first, out.n - first);
        out.start[row + 1] = out.n;
    }
    if (rc == 0)
        mr_rows_finish(&out, p->n_features, &f->slot[op->out]);
    return rc;
}

extern const struct mr_op_type mr_op_hash;
const struct mr_op_type mr_op_hash = {
    .id = MR_OP_HASH,
    .name = "hash",
    .check = hash_check,
    .prepare = hash_prepare,
    .unprepare = text_unprepare,
    .eval = hash_eval,
    .cost = text_cost,
    .memory = text_memory,
};

static int tfidf_check(const struct mr_op *op, const struct mr_slot_decl *slots, struct mr_err *e) {
    const struct mr_tfidf_params *p = op->params;
    int rc = check_slots(op, slots, MR_SLOT_SPARSE, sizeof *p, e);
    return rc ? rc : mr_tfidf_check(op, p, slots[op->out].width, e);
}

static int tfidf_eval(const struct mr_op *op, struct mr_frame *f, struct mr_err *e) {
    const struct mr_tfidf_params *p = op->params;
    const struct mr_vec *in = &f->slot[op->in[0]];
    const double *idf = p->idf.n ? mr_ref_f64(op, p->idf) : NULL;
    size_t n = in->sparse.start[f->rows];
    double *value = mr_arena_array(f->arena, n + 1, sizeof *value);
    if (!value)
        return mr_fail(e, MR_ETOOBIG, "the prediction needs more memory than it may use");
    if (n)
        memcpy(value, in->sparse.value, n * sizeof *value);
    for (size_t row = 0; row < f->rows; row++) {
        size_t a = in->sparse.start[row], b = in->sparse.start[row + 1];
        mr_tfidf_row(p->sublinear, p->norm, idf, in->sparse.index + a, value + a, b - a);
    }
    struct mr_vec *out = &f->slot[op->out];
    *out = *in;
    out->sparse.value = value;
    return 0;
}

extern const struct mr_op_type mr_op_tfidf;
const struct mr_op_type mr_op_tfidf = {
    .id = MR_OP_TFIDF,
    .name = "tfidf",
    .check = tfidf_check,
    .eval = tfidf_eval,
    .cost = tfidf_cost,
};
