#include "engine/nlp/fasttext.h"

#include "engine/nlp/fasttext_priv.h"

#include <math.h>
#include <string.h>

#define LABEL "__label__"

uint64_t mr_fasttext_memory(const struct mr_fasttext *f) {
    return f->memory;
}
uint32_t mr_fasttext_labels(const struct mr_fasttext *f) {
    return f->n_labels;
}
struct mr_str mr_fasttext_label(const struct mr_fasttext *f, uint32_t label) {
    const struct mr_ft_word *w = &f->word[f->n_words + label];
    struct mr_str s = {f->text + w->off, w->n};
    if (mr_str_starts(s, MR_LIT(LABEL))) {
        s.p += strlen(LABEL);
        s.n -= strlen(LABEL);
    }
    return s;
}

/* FNV-1a over signed bytes, as fastText has it. */
static uint32_t hash_step(uint32_t h, char c) {
    return (h ^ (uint32_t)(int8_t)c) * 16777619u;
}
uint32_t mr_ft_hash(const char *p, size_t n) {
    uint32_t h = 2166136261u;
    for (size_t i = 0; i < n; i++)
        h = hash_step(h, p[i]);
    return h;
}

uint32_t mr_ft_find(const struct mr_fasttext *f, const char *p, size_t n, uint32_t hash) {
    for (uint32_t s = hash & f->mask; f->slot[s]; s = (s + 1) & f->mask) {
        const struct mr_ft_word *w = &f->word[f->slot[s] - 1];
        if (w->hash == hash && w->n == n && !memcmp(f->text + w->off, p, n))
            return f->slot[s] - 1;
    }
    return UINT32_MAX;
}

uint32_t mr_ft_kept(const struct mr_fasttext *f, uint32_t ngram) {
    for (uint32_t s = ngram * 2654435761u & f->kept_mask; f->kept[s]; s = (s + 1) & f->kept_mask)
        if ((f->kept[s] - 1) >> 32 == ngram)
            return (uint32_t)(f->kept[s] - 1);
    return UINT32_MAX;
}

/* --- the mean of the text's rows ----------------------------------------------------------- */
struct reading {
    const struct mr_fasttext *f;
    float sum[MR_FT_DIM_MAX];
    uint64_t n;
    int32_t recent[16]; /* hashes of the last words, for n-grams of words */
    uint64_t words;
};

static void add_row(struct reading *x, uint64_t row) {
    const struct mr_ft_matrix *m = &x->f->in;
    x->n++;
    if (m->dense) {
        for (uint32_t d = 0; d < m->cols; d++)
            x->sum[d] += m->dense[row * m->cols + d];
        return;
    }
    const struct mr_ft_pq *q = &m->pq;
    float norm = m->has_norm ? m->norm.centroid[m->norm_code[row]] : 1;
    for (uint32_t k = 0; k < q->nsubq; k++) {
        uint32_t width = k + 1 < q->nsubq ? q->dsub : q->lastdsub;
        const float *v = q->centroid + (size_t)k * MR_FT_KSUB * q->dsub +
                         (size_t)m->code[row * q->nsubq + k] * width;
        for (uint32_t d = 0; d < width; d++)
            x->sum[k * q->dsub + d] += norm * v[d];
    }
}

static void add_ngram(struct reading *x, uint32_t ngram) {
    const struct mr_fasttext *f = x->f;
    uint32_t row = f->pruned ? mr_ft_kept(f, ngram) : ngram;
    if (row != UINT32_MAX)
        add_row(x, (uint64_t)f->n_words + row);
}

/* Byte k of "<word>". */
static char marked(struct mr_str w, size_t k) {
    return k == 0 ? '<' : k <= w.n ? w.p[k - 1] : '>';
}
static bool is_inside(char c) {
    return ((uint8_t)c & 0xc0) == 0x80;
}

static void add_char_ngrams(struct reading *x, struct mr_str w) {
    const struct mr_fasttext *f = x->f;
    size_t size = w.n + 2;
    for (size_t i = 0; i < size; i++) {
        if (is_inside(marked(w, i)))
            continue;
        uint32_t h = 2166136261u;
        size_t j = i;
        for (uint32_t n = 1; j < size && n <= f->maxn; n++) {
            h = hash_step(h, marked(w, j++));
            while (j < size && is_inside(marked(w, j)))
                h = hash_step(h, marked(w, j++));
            if (n >= f->minn && !(n == 1 && (i == 0 || j == size)))
                add_ngram(x, h % f->bucket);
        }
    }
}

/* All n-grams of words that end at this word; fastText adds them after all words and by their
 * first word: another order of the same sum. */
static void add_word_ngrams(struct reading *x, uint32_t hash) {
    uint32_t n = x->f->word_ngrams;
    if (n <= 1 || !x->f->bucket)
        return;
    x->recent[x->words % 16] = (int32_t)hash;
    x->words++;
    for (uint32_t len = 2; len <= n && len <= x->words; len++) {
        uint64_t h = (uint64_t)(int64_t)x->recent[(x->words - len) % 16];
        for (uint32_t k = len - 1; k-- > 0;)
            h = h * 116049371u + (uint64_t)(int64_t)x->recent[(x->words - 1 - k) % 16];
        add_ngram(x, (uint32_t)(h % x->f->bucket));
    }
}

static void add_word(struct reading *x, struct mr_str w, bool end_of_line) {
    const struct mr_fasttext *f = x->f;
    uint32_t hash = mr_ft_hash(w.p, w.n), id = mr_ft_find(f, w.p, w.n, hash);
    if (id == UINT32_MAX ? mr_str_starts(w, MR_LIT(LABEL)) : id >= f->n_words)
        return;
    if (id != UINT32_MAX)
        add_row(x, id);
    if (!end_of_line && f->maxn)
        add_char_ngrams(x, w);
    add_word_ngrams(x, hash);
}

static bool is_space(char c) {
    return c == ' ' || c == '\r' || c == '\t' || c == '\v' || c == '\f' || c == 0;
}

/* --- the likeliest label --------------------------------------------------------------------- */
static double dot(const struct mr_ft_matrix *m, uint64_t row, const float *v) {
    double sum = 0;
    if (m->dense) {
        for (uint32_t d = 0; d < m->cols; d++)
            sum += (double)m->dense[row * m->cols + d] * v[d];
        return sum;
    }
    const struct mr_ft_pq *q = &m->pq;
    for (uint32_t k = 0; k < q->nsubq; k++) {
        uint32_t width = k + 1 < q->nsubq ? q->dsub : q->lastdsub;
        const float *c = q->centroid + (size_t)k * MR_FT_KSUB * q->dsub +
                         (size_t)m->code[row * q->nsubq + k] * width;
        for (uint32_t d = 0; d < width; d++)
            sum += (double)c[d] * v[k * q->dsub + d];
    }
    return m->has_norm ? sum * m->norm.centroid[m->norm_code[row]] : sum;
}

/* log(p + 1e-5), fastText's. */
static double log_of(double p) {
    return log(p + 1e-5);
}

static void scores_by_tree(const struct mr_fasttext *f, const float *hidden, double *score) {
    uint32_t n = f->n_labels;
    score[2 * n - 2] = 0;
    for (uint32_t k = 2 * n - 2; k >= n; k--) {
        double right = 1 / (1 + exp(-dot(&f->out, k - n, hidden)));
        score[f->tree[k - n].left] = score[k] + log_of(1 - right);
        score[f->tree[k - n].right] = score[k] + log_of(right);
    }
}

/* fastText's table: 512 steps from -8 to 8. */
static double sigmoid(double x) {
    if (x < -8 || x > 8)
        return x > 0;
    double step = (double)(int64_t)((x + 8) * 512 / 8 / 2);
    return 1 / (1 + exp(8 - step * 16 / 512));
}

static void scores_flat(const struct mr_fasttext *f, const float *hidden, double *score) {
    double max = -INFINITY, total = 0;
    for (uint32_t k = 0; k < f->n_labels; k++) {
        score[k] = dot(&f->out, k, hidden);
        max = score[k] > max ? score[k] : max;
    }
    if (f->loss != MR_FT_SOFTMAX) {
        for (uint32_t k = 0; k < f->n_labels; k++)
            score[k] = log_of(sigmoid(score[k]));
        return;
    }
    for (uint32_t k = 0; k < f->n_labels; k++)
        total += score[k] = exp(score[k] - max);
    for (uint32_t k = 0; k < f->n_labels; k++)
        score[k] = log_of(score[k] / total);
}

bool mr_fasttext_predict(const struct mr_fasttext *f, struct mr_str line, uint32_t *ret_label,
                         double *ret_probability) {
    struct reading x;
    x.f = f;
    x.n = x.words = 0;
    memset(x.sum, 0, f->dim * sizeof *x.sum);
    for (size_t i = 0, start = 0; i <= line.n; i++)
        if (i == line.n || is_space(line.p[i]) || line.p[i] == '\n') {
            if (i > start)
                add_word(&x, mr_strn(line.p + start, i - start), false);
            start = i + 1;
            if (i < line.n && line.p[i] == '\n')
                break;
        }
    add_word(&x, MR_LIT("</s>"), true);
    if (!x.n)
        return false;
    for (uint32_t d = 0; d < f->dim; d++)
        x.sum[d] *= 1 / (float)x.n;
    double score[2 * MR_FT_LABEL_MAX];
    if (f->loss == MR_FT_HS)
        scores_by_tree(f, x.sum, score);
    else
        scores_flat(f, x.sum, score);
    uint32_t best = 0;
    for (uint32_t k = 1; k < f->n_labels; k++)
        if (score[k] >= score[best]) /* of equals the last, as fastText's heap leaves it */
            best = k;
    *ret_label = best;
    *ret_probability = fmin(exp(score[best]), 1);
    return true;
}
