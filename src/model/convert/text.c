/* sklearn.feature_extraction.text: vectorizers. */
#include "model/convert/steps.h"

static int refused_hook(const struct mr_pk *obj, struct mr_err *e) {
    static const char *const hook[] = {"tokenizer", "preprocessor"};
    for (size_t i = 0; i < sizeof hook / sizeof *hook; i++)
        if (!mr_step_none(obj, hook[i]))
            return mr_step_refuse(obj, e,
                                  "has its own %s function, and the code of a model file is never "
                                  "run; use token_pattern, lowercase and strip_accents",
                                  hook[i]);
    if (!mr_step_none(obj, "input") && !mr_step_is(obj, "input", "content"))
        return mr_step_refuse(obj, e, "reads files; only input=\"content\" is served");
    return 0;
}

/* "english", a list, a set, or None. */
static int stop_words(struct mr_convert *c, const struct mr_pk *obj, struct mr_str **ret,
                      uint32_t *ret_n, struct mr_err *e) {
    const struct mr_pk *v = mr_pk_attr(obj, "stop_words");
    struct mr_pk *const *item;
    size_t n;
    *ret = NULL;
    *ret_n = 0;
    if (!v || v->type == MR_PK_NONE)
        return 0;
    bool english = mr_step_is(obj, "stop_words", "english");
    if (english)
        n = mr_stop_english_n;
    else if (!mr_pk_seq(v, &item, &n) && !(v->type == MR_PK_ARRAY && (n = mr_pk_len(v)) > 0))
        return mr_step_refuse(obj, e, "has an unknown stop_words list");
    if (n > 1u << 20)
        return mr_step_refuse(obj, e, "has too many stop words");
    struct mr_str *s = mr_arena_array(c->arena, n + 1, sizeof *s);
    if (!s)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    uint32_t k = 0;
    for (size_t i = 0; i < n; i++) {
        if (english)
            s[k] = mr_str(mr_stop_english[i]);
        else if (!mr_pk_str(v->type == MR_PK_ARRAY ? mr_pk_item(c->arena, v, i) : item[i], &s[k]))
            return mr_step_refuse(obj, e, "has a stop word that is no text");
        if (!s[k].p)
            s[k] = MR_LIT("");
        k++;
    }
    *ret = s;
    *ret_n = k;
    return 0;
}

static int by_text(const void *a, const void *b) {
    const struct mr_str *x = a, *y = b;
    int r = memcmp(x->p, y->p, x->n < y->n ? x->n : y->n);
    return r ? r : (x->n > y->n) - (x->n < y->n);
}

/* A list may name a word twice; the set may not. */
static uint32_t unique(struct mr_str *s, uint32_t n) {
    uint32_t k = 0;
    qsort(s, n, sizeof *s, by_text);
    for (uint32_t i = 0; i < n; i++)
        if (k == 0 || !mr_str_eq(s[k - 1], s[i]))
            s[k++] = s[i];
    return k;
}

static int ngrams(const struct mr_pk *obj, struct mr_text_params *t, struct mr_err *e) {
    struct mr_pk *const *v;
    size_t n;
    int64_t lo, hi;
    if (!mr_pk_seq(mr_pk_attr(obj, "ngram_range"), &v, &n) || n != 2 || !mr_pk_int(v[0], &lo) ||
        !mr_pk_int(v[1], &hi) || lo < 1 || lo > hi || hi > MR_TEXT_MAX_NGRAM)
        return mr_step_refuse(obj, e, "has an ngram_range outside 1 to %d", MR_TEXT_MAX_NGRAM);
    t->min_n = (uint32_t)lo;
    t->max_n = (uint32_t)hi;
    return 0;
}

static int analyzer(struct mr_convert *c, const struct mr_pk *obj, uint32_t in,
                    struct mr_blob *blob, struct mr_text_params *t, struct mr_err *e) {
    if (mr_build_slot_kind(c->b, in) != MR_SLOT_CELLS || mr_build_slot_width(c->b, in) != 1)
        return mr_step_refuse(obj, e, "needs one column of text");
    memset(t, 0, sizeof *t);
    t->kind = mr_step_is(obj, "analyzer", "word")      ? MR_TEXT_WORD
              : mr_step_is(obj, "analyzer", "char")    ? MR_TEXT_CHAR
              : mr_step_is(obj, "analyzer", "char_wb") ? MR_TEXT_CHAR_WB
                                                       : 0;
    if (!t->kind)
        return mr_step_refuse(obj, e,
                              "has its own analyzer function, and the code of a model file is "
                              "never run; use \"word\", \"char\" or \"char_wb\"");
    int rc = refused_hook(obj, e);
    if (rc == 0)
        rc = ngrams(obj, t, e);
    if (rc)
        return rc;
    t->lowercase = mr_step_flag(obj, "lowercase", true);
    t->strip = mr_step_none(obj, "strip_accents")            ? MR_STRIP_NONE
               : mr_step_is(obj, "strip_accents", "ascii")   ? MR_STRIP_ASCII
               : mr_step_is(obj, "strip_accents", "unicode") ? MR_STRIP_UNICODE
                                                             : 99;
    if (t->strip == 99)
        return mr_step_refuse(obj, e, "has its own strip_accents function");
    if (t->kind != MR_TEXT_WORD)
        return 0;
    struct mr_str pat, *stop;
    uint32_t n_stop;
    struct mr_pattern compiled;
    if (!mr_pk_str(mr_pk_attr(obj, "token_pattern"), &pat))
        return mr_step_refuse(obj, e, "has no token_pattern");
    rc = mr_pattern_compile(pat, &compiled, e);
    if (rc == 0)
        rc = stop_words(c, obj, &stop, &n_stop, e);
    if (rc)
        return rc;
    t->pattern = mr_blob_bytes(blob, pat.p, pat.n);
    t->has_stop = n_stop > 0;
    if (t->has_stop)
        t->stop = mr_blob_strtab(blob, stop, unique(stop, n_stop));
    return 0;
}

/* What the dictionary of one Python process cannot hold, a written file can. */
static int each_term_once(struct mr_convert *c, const struct mr_str *term, uint32_t n,
                          struct mr_err *e) {
    struct mr_str *sorted = mr_arena_array(c->arena, n, sizeof *sorted);
    if (!sorted)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    memcpy(sorted, term, n * sizeof *sorted);
    if (unique(sorted, n) != n)
        return mr_fail(e, MR_EREFUSED, "vocabulary_ gives a term two columns");
    return 0;
}

/* vocabulary_: a dict from term to column, each column once. */
static int vocabulary(struct mr_convert *c, const struct mr_pk *obj, struct mr_str **ret,
                      uint32_t *ret_n, struct mr_err *e) {
    const struct mr_pk *v = mr_pk_attr(obj, "vocabulary_");
    if (!v)
        v = mr_pk_attr(obj, "vocabulary");
    if (v && v->type == MR_PK_OBJ && v->o.items && v->o.items->type == MR_PK_DICT)
        v = v->o.items;
    if (!v || v->type != MR_PK_DICT || v->l.n < 2)
        return mr_fail(e, MR_EREFUSED, "the vectorizer has no vocabulary_ (is it fitted?)");
    size_t n = v->l.n / 2;
    if (n > MR_MAX_WIDTH)
        return mr_step_refuse(obj, e, "has too many terms");
    struct mr_str *s = mr_arena_zalloc(c->arena, n * sizeof *s);
    if (!s)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    for (size_t i = 0; i < n; i++) {
        struct mr_str term;
        int64_t col;
        if (!mr_pk_str(v->l.v[2 * i], &term) || !mr_pk_int(v->l.v[2 * i + 1], &col) || col < 0 ||
            (uint64_t)col >= n || s[col].p)
            return mr_fail(e, MR_EREFUSED, "vocabulary_ does not number its terms 0 to %zu", n - 1);
        s[col] = term.p ? term : MR_LIT("");
    }
    int rc = each_term_once(c, s, (uint32_t)n, e);
    if (rc)
        return rc;
    *ret = s;
    *ret_n = (uint32_t)n;
    return 0;
}

static int norm_of(const struct mr_pk *obj, uint32_t *ret, struct mr_err *e) {
    *ret = mr_step_none(obj, "norm")        ? MR_NORM_NONE
           : mr_step_is(obj, "norm", "l1")  ? MR_NORM_L1
           : mr_step_is(obj, "norm", "l2")  ? MR_NORM_L2
           : mr_step_is(obj, "norm", "max") ? MR_NORM_MAX
                                            : 99;
    return *ret == 99 ? mr_step_refuse(obj, e, "has an unknown norm") : 0;
}

/* Weights of a TfidfTransformer: idf_, or the diagonal matrix of older versions. */
static int tfidf(struct mr_convert *c, const struct mr_pk *t, uint32_t width, struct mr_blob *blob,
                 struct mr_tfidf_params *p, struct mr_err *e) {
    memset(p, 0, sizeof *p);
    p->sublinear = mr_step_flag(t, "sublinear_tf", false);
    int rc = norm_of(t, &p->norm, e);
    if (rc || !mr_step_flag(t, "use_idf", true))
        return rc;
    const struct mr_pk *idf = mr_pk_attr(t, "idf_"), *diag = mr_pk_attr(t, "_idf_diag");
    if (!idf && diag)
        idf = mr_pk_attr(diag, "data");
    const double *v;
    size_t rows, cols;
    if (!idf)
        return mr_fail(e, MR_EREFUSED, "the tf-idf weights are missing (is the model fitted?)");
    rc = mr_pk_f64(c->arena, idf, &v, &rows, &cols, e);
    if (rc)
        return rc;
    if (rows > width || rows * cols != width)
        return mr_fail(e, MR_EREFUSED, "there are %zu tf-idf weights for %u terms", rows * cols,
                       width);
    p->idf = mr_blob_f64(blob, v, width);
    return 0;
}

static int count(struct mr_convert *c, const struct mr_pk *obj, const struct mr_pk *weights,
                 uint32_t in, uint32_t *ret_out, struct mr_err *e) {
    struct mr_blob blob;
    struct mr_count_params v;
    struct mr_str *terms;
    uint32_t n;
    memset(&v, 0, sizeof v);
    mr_blob_begin(c->b, &blob, sizeof v);
    int rc = analyzer(c, obj, in, &blob, &v.text, e);
    if (rc == 0)
        rc = vocabulary(c, obj, &terms, &n, e);
    if (rc == 0 && weights)
        rc = tfidf(c, weights, n, &blob, &v.tfidf, e);
    if (rc)
        return rc;
    v.binary = mr_step_flag(obj, "binary", false);
    v.vocabulary = mr_blob_strtab(&blob, terms, n);
    struct mr_count_params *p = mr_blob_head(&blob);
    if (p)
        *p = v;
    *ret_out = mr_step_op(c, MR_OP_COUNT, in, MR_SLOT_SPARSE, n, &blob);
    return 0;
}

MR_STEP(mr_text_count) {
    return count(c, obj, NULL, in, ret_out, e);
}

MR_STEP(mr_text_tfidf) {
    const struct mr_pk *t;
    int rc = mr_convert_need(obj, "_tfidf", &t, e);
    return rc ? rc : count(c, obj, t, in, ret_out, e);
}

MR_STEP(mr_text_tfidf_transformer) {
    uint32_t width = mr_build_slot_width(c->b, in);
    int rc = mr_step_width(c, obj, in, e);
    if (rc)
        return rc;
    if (mr_build_slot_kind(c->b, in) != MR_SLOT_SPARSE) { /* a concatenation of one makes it so */
        struct mr_blob join;
        in = mr_convert_dense(c, in);
        mr_blob_begin(c->b, &join, sizeof(struct mr_p_concat));
        in = mr_step_op(c, MR_OP_CONCAT, in, MR_SLOT_SPARSE, width, &join);
    }
    struct mr_blob blob;
    struct mr_tfidf_params v;
    mr_blob_begin(c->b, &blob, sizeof v);
    rc = tfidf(c, obj, width, &blob, &v, e);
    if (rc)
        return rc;
    struct mr_tfidf_params *p = mr_blob_head(&blob);
    if (p)
        *p = v;
    *ret_out = mr_step_op(c, MR_OP_TFIDF, in, MR_SLOT_SPARSE, width, &blob);
    return 0;
}

MR_STEP(mr_text_hash) {
    struct mr_blob blob;
    struct mr_hash_params v;
    int64_t n;
    memset(&v, 0, sizeof v);
    mr_blob_begin(c->b, &blob, sizeof v);
    int rc = analyzer(c, obj, in, &blob, &v.text, e);
    if (rc == 0)
        rc = norm_of(obj, &v.norm, e);
    if (rc)
        return rc;
    if (!mr_pk_int(mr_pk_attr(obj, "n_features"), &n) || n < 1 || n > MR_MAX_WIDTH)
        return mr_step_refuse(obj, e, "has more than %u features", MR_MAX_WIDTH);
    v.n_features = (uint32_t)n;
    v.binary = mr_step_flag(obj, "binary", false);
    v.alternate_sign = mr_step_flag(obj, "alternate_sign", true);
    struct mr_hash_params *p = mr_blob_head(&blob);
    if (p)
        *p = v;
    *ret_out = mr_step_op(c, MR_OP_HASH, in, MR_SLOT_SPARSE, v.n_features, &blob);
    return 0;
}

const struct mr_converter mr_convert_text[] = {
    {"sklearn", "CountVectorizer", mr_text_count, NULL},
    {"sklearn", "TfidfVectorizer", mr_text_tfidf, NULL},
    {"sklearn", "TfidfTransformer", mr_text_tfidf_transformer, NULL},
    {"sklearn", "HashingVectorizer", mr_text_hash, NULL},
    {NULL, NULL, NULL, NULL},
};
