#include "base/alloc.h"
#include "engine/nlp/fasttext_priv.h"

#include <math.h>
#include <string.h>

#define MAGIC     793712314
#define VERSION   12
#define WORDS_MAX (16u << 20)
#define COUNT_MAX 100000000000000 /* below what the tree takes as infinite */

struct cursor {
    const char *p, *end;
    struct mr_fasttext *f;
    struct mr_err *e;
};

static int damaged(struct cursor *c, const char *what) {
    return mr_fail(c->e, MR_EREFUSED, "the fastText model is damaged: %s", what);
}

static bool take(struct cursor *c, void *out, size_t n) {
    if ((size_t)(c->end - c->p) < n)
        return false;
    memcpy(out, c->p, n);
    c->p += n;
    return true;
}
static bool take_i32(struct cursor *c, int64_t lo, int64_t hi, uint32_t *ret) {
    int32_t v;
    if (!take(c, &v, sizeof v) || v < lo || v > hi)
        return false;
    *ret = (uint32_t)v;
    return true;
}

static void *allocate(struct cursor *c, size_t n, size_t size) {
    void *p = mr_calloc(n ? n : 1, size);
    c->f->memory += n * size;
    return p;
}

/* A block of numbers that the file must still have, copied. */
static int take_block(struct cursor *c, size_t n, size_t size, void *ret) {
    if (n > (size_t)(c->end - c->p) / size)
        return damaged(c, "a matrix is cut off");
    void *p = allocate(c, n, size);
    if (!p)
        return mr_fail(c->e, MR_ENOMEM, "out of memory loading a fastText model");
    take(c, p, n * size);
    *(void **)ret = p;
    return 0;
}

/* Within bounds in which no sum or product of theirs overflows; false for NaN too. */
static bool all_sane(const float *v, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (!(fabsf(v[i]) <= 1e6f))
            return false;
    return true;
}

static int read_args(struct cursor *c) {
    uint32_t magic, version, skip, loss, model;
    double t;
    struct mr_fasttext *f = c->f;
    if (!take(c, &magic, 4) || magic != MAGIC)
        return mr_fail(c->e, MR_EREFUSED, "this is not a fastText model");
    if (!take(c, &version, 4) || version != VERSION)
        return mr_fail(c->e, MR_EUNSUPPORTED, "this fastText model is not of format %d", VERSION);
    bool ok = take_i32(c, 1, MR_FT_DIM_MAX, &f->dim);
    for (int i = 0; i < 4; i++) /* ws, epoch, minCount, neg */
        ok = ok && take(c, &skip, 4);
    ok = ok && take_i32(c, 1, 16, &f->word_ngrams) && take_i32(c, 1, 4, &loss) &&
         take_i32(c, 1, 3, &model) && take_i32(c, 0, INT32_MAX, &f->bucket) &&
         take_i32(c, 0, 64, &f->minn) && take_i32(c, 0, 64, &f->maxn) && take(c, &skip, 4) &&
         take(c, &t, sizeof t);
    if (!ok)
        return damaged(c, "its arguments are out of range");
    if (model != 3)
        return mr_fail(c->e, MR_EUNSUPPORTED, "this fastText model is not a classifier");
    if (f->maxn && !f->bucket)
        return damaged(c, "n-grams without buckets");
    f->loss = (enum mr_ft_loss)loss;
    return 0;
}

static int add_word(struct cursor *c, uint32_t k, char *out, size_t *at) {
    struct mr_fasttext *f = c->f;
    const char *zero = memchr(c->p, 0, (size_t)(c->end - c->p));
    int64_t count;
    int8_t type;
    if (!zero)
        return damaged(c, "its dictionary is cut off");
    size_t n = (size_t)(zero - c->p);
    memcpy(out + *at, c->p, n);
    f->word[k] = (struct mr_ft_word){(uint32_t)*at, (uint32_t)n, mr_ft_hash(c->p, n)};
    *at += n;
    c->p = zero + 1;
    if (!take(c, &count, 8) || !take(c, &type, 1) || count < 0 || count > COUNT_MAX ||
        type != (k >= f->n_words))
        return damaged(c, "its dictionary is not in order");
    if (type)
        f->label_count[k - f->n_words] = (uint64_t)count;
    uint32_t s = f->word[k].hash & f->mask;
    while (f->slot[s])
        s = (s + 1) & f->mask;
    f->slot[s] = k + 1;
    return 0;
}

static int read_pruned(struct cursor *c, uint64_t n) {
    struct mr_fasttext *f = c->f;
    uint32_t size = 16, ngram, row;
    if (n > (size_t)(c->end - c->p) / 8)
        return damaged(c, "its table of n-grams is cut off");
    while (size < n * 2)
        size *= 2;
    f->pruned = true;
    f->kept_mask = size - 1;
    f->kept = allocate(c, size, sizeof *f->kept);
    if (!f->kept)
        return mr_fail(c->e, MR_ENOMEM, "out of memory loading a fastText model");
    for (uint64_t i = 0; i < n; i++) {
        if (!take_i32(c, 0, INT32_MAX, &ngram) || !take_i32(c, 0, INT32_MAX, &row))
            return damaged(c, "its table of n-grams is out of range");
        uint32_t s = ngram * 2654435761u & f->kept_mask;
        while (f->kept[s])
            s = (s + 1) & f->kept_mask;
        f->kept[s] = ((uint64_t)ngram << 32 | row) + 1;
    }
    return 0;
}

static int read_dictionary(struct cursor *c) {
    struct mr_fasttext *f = c->f;
    uint32_t n, size = 16;
    int64_t tokens, pruned;
    if (!take_i32(c, 0, WORDS_MAX, &n) || !take_i32(c, 0, WORDS_MAX, &f->n_words) ||
        !take_i32(c, 1, MR_FT_LABEL_MAX, &f->n_labels) || !take(c, &tokens, 8) ||
        !take(c, &pruned, 8) || n != f->n_words + f->n_labels)
        return damaged(c, "its dictionary has no sensible size");
    size_t left = (size_t)(c->end - c->p);
    if (n > left / 10)
        return damaged(c, "its dictionary is cut off");
    while (size < n * 2)
        size *= 2;
    f->mask = size - 1;
    f->slot = allocate(c, size, sizeof *f->slot);
    f->word = allocate(c, n, sizeof *f->word);
    f->label_count = allocate(c, f->n_labels, sizeof *f->label_count);
    /* The words' bytes are at most what is left of the file; most of that is matrix. */
    const char *start = c->p;
    size_t bytes = 0, at = 0;
    for (uint32_t k = 0; k < n; k++) {
        const char *zero = memchr(c->p, 0, (size_t)(c->end - c->p));
        if (!zero || c->end - zero < 10)
            return damaged(c, "its dictionary is cut off");
        bytes += (size_t)(zero - c->p);
        c->p = zero + 10;
    }
    f->text = allocate(c, bytes, 1);
    if (!f->slot || !f->word || !f->label_count || !f->text)
        return mr_fail(c->e, MR_ENOMEM, "out of memory loading a fastText model");
    c->p = start;
    int r = 0;
    for (uint32_t k = 0; !r && k < n; k++)
        r = add_word(c, k, f->text, &at);
    return r || pruned < 0 ? r : read_pruned(c, (uint64_t)pruned);
}

static int read_pq(struct cursor *c, uint32_t cols, struct mr_ft_pq *q) {
    if (!take_i32(c, 1, MR_FT_DIM_MAX, &q->dim) || !take_i32(c, 1, MR_FT_DIM_MAX, &q->nsubq) ||
        !take_i32(c, 1, MR_FT_DIM_MAX, &q->dsub) || !take_i32(c, 1, MR_FT_DIM_MAX, &q->lastdsub) ||
        q->dim != cols || q->lastdsub > q->dsub ||
        (uint64_t)(q->nsubq - 1) * q->dsub + q->lastdsub != q->dim)
        return damaged(c, "a quantiser's sizes do not fit");
    int r = take_block(c, (size_t)q->dim * MR_FT_KSUB, sizeof(float), &q->centroid);
    if (!r && !all_sane(q->centroid, (size_t)q->dim * MR_FT_KSUB))
        r = damaged(c, "a number is out of range");
    return r;
}

static int read_matrix(struct cursor *c, bool quantised, struct mr_ft_matrix *m) {
    uint8_t has_norm = 0;
    int64_t rows, cols;
    uint32_t codes;
    if ((quantised && (!take(c, &has_norm, 1) || has_norm > 1)) || !take(c, &rows, 8) ||
        !take(c, &cols, 8) || rows < 0 || rows > INT32_MAX || cols != c->f->dim)
        return damaged(c, "a matrix has no sensible size");
    m->rows = (uint64_t)rows;
    m->cols = (uint32_t)cols;
    if (!quantised) {
        size_t n = (size_t)rows * m->cols;
        int r = take_block(c, n, sizeof(float), &m->dense);
        return r ? r : all_sane(m->dense, n) ? 0 : damaged(c, "a number is out of range");
    }
    m->has_norm = has_norm;
    if (!take_i32(c, 0, INT32_MAX, &codes))
        return damaged(c, "a matrix is cut off");
    int r = take_block(c, codes, 1, &m->code);
    if (!r)
        r = read_pq(c, m->cols, &m->pq);
    if (!r && (uint64_t)m->pq.nsubq * m->rows != codes)
        r = damaged(c, "a matrix's codes do not fit its rows");
    if (!r && m->has_norm)
        r = take_block(c, m->rows, 1, &m->norm_code);
    if (!r && m->has_norm)
        r = read_pq(c, 1, &m->norm);
    return r;
}

/* The Huffman tree of hierarchical softmax: fastText's, from labels in falling order of counts. */
static int build_tree(struct cursor *c) {
    struct mr_fasttext *f = c->f;
    uint32_t n = f->n_labels, node = n;
    int64_t leaf = (int64_t)n - 1;
    for (uint32_t k = 1; k < n; k++)
        if (f->label_count[k] > f->label_count[k - 1])
            return damaged(c, "its labels are not in order of their counts");
    f->tree = allocate(c, n, sizeof *f->tree);
    uint64_t *count = mr_calloc(2 * (size_t)n, sizeof *count);
    if (!f->tree || !count) {
        mr_free(count);
        return mr_fail(c->e, MR_ENOMEM, "out of memory loading a fastText model");
    }
    for (uint32_t k = 0; k < 2 * n; k++)
        count[k] = k < n ? f->label_count[k] : (uint64_t)1e15;
    for (uint32_t k = n; k < 2 * n - 1; k++) {
        uint32_t least[2];
        for (int j = 0; j < 2; j++)
            least[j] = leaf >= 0 && count[leaf] < count[node] ? (uint32_t)leaf-- : node++;
        f->tree[k - n] = (struct mr_ft_node){least[0], least[1]};
        count[k] = count[least[0]] + count[least[1]];
    }
    mr_free(count);
    for (uint32_t k = n; k < 2 * n - 1; k++) /* counts over 1e15 would make a node its own child */
        if (f->tree[k - n].left >= k || f->tree[k - n].right >= k)
            return damaged(c, "its labels' counts are out of range");
    return 0;
}

static int check_fit(struct cursor *c) {
    struct mr_fasttext *f = c->f;
    uint64_t ngrams = f->pruned ? 0 : f->maxn || f->word_ngrams > 1 ? f->bucket : 0;
    if (f->pruned)
        for (uint32_t s = 0; s <= f->kept_mask; s++)
            if (f->kept[s] && (uint32_t)(f->kept[s] - 1) >= ngrams)
                ngrams = (uint64_t)(uint32_t)(f->kept[s] - 1) + 1;
    if (f->in.rows < f->n_words + ngrams)
        return damaged(c, "its input matrix has too few rows");
    if (f->out.rows < f->n_labels)
        return damaged(c, "its output matrix has too few rows");
    return f->loss == MR_FT_HS ? build_tree(c) : 0;
}

int mr_fasttext_new(struct mr_str file, struct mr_fasttext **ret, struct mr_err *e) {
    uint8_t quantised_in, quantised_out;
    if (file.n > MR_FASTTEXT_FILE_MAX)
        return mr_fail(e, MR_EREFUSED, "the fastText model is over %zu MiB",
                       MR_FASTTEXT_FILE_MAX >> 20);
    struct mr_fasttext *f = mr_calloc(1, sizeof *f);
    if (!f)
        return mr_fail(e, MR_ENOMEM, "out of memory loading a fastText model");
    f->memory = sizeof *f;
    struct cursor c = {file.n ? file.p : "", (file.n ? file.p : "") + file.n, f, e};
    int r = read_args(&c);
    if (!r)
        r = read_dictionary(&c);
    if (!r && (!take(&c, &quantised_in, 1) || quantised_in > 1))
        r = damaged(&c, "a flag is neither 0 nor 1");
    if (!r)
        r = read_matrix(&c, quantised_in, &f->in);
    if (!r && (!take(&c, &quantised_out, 1) || quantised_out > 1))
        r = damaged(&c, "a flag is neither 0 nor 1");
    if (!r)
        r = read_matrix(&c, quantised_in && quantised_out, &f->out);
    if (!r)
        r = check_fit(&c);
    if (r) {
        mr_fasttext_free(f);
        return r;
    }
    *ret = f;
    return 0;
}

static void free_matrix(struct mr_ft_matrix *m) {
    mr_free(m->dense);
    mr_free(m->code);
    mr_free(m->norm_code);
    mr_free(m->pq.centroid);
    mr_free(m->norm.centroid);
}

void mr_fasttext_free(struct mr_fasttext *f) {
    if (!f)
        return;
    free_matrix(&f->in);
    free_matrix(&f->out);
    mr_free(f->text);
    mr_free(f->word);
    mr_free(f->label_count);
    mr_free(f->slot);
    mr_free(f->kept);
    mr_free(f->tree);
    mr_free(f);
}
