/* Extractive summaries: TextRank (Mihalcea and Tarau 2004) over sentence embeddings. */
#include "base/alloc.h"
#include "engine/nlp/nlp.h"
#include "engine/nlp/words.h"
#include "model/text/unicode.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define SENTENCES_MAX 160 /* embedded; of more, this many at even distances */
#define DAMPING       0.85
#define ROUNDS        60
#define TOO_ALIKE     0.92 /* says the same again */

struct sentence {
    struct mr_str text;
    uint32_t words, place;
    double rank;
    bool chosen;
};

static double cosine(const float *a, const float *b, unsigned dim) {
    double sum = 0;
    for (unsigned d = 0; d < dim; d++)
        sum += (double)a[d] * b[d];
    return sum;
}

/* Power iteration over the graph of likeness, without self-loops. */
static int rank(struct sentence *s, size_t n, const float *v, unsigned dim, struct mr_arena *a,
                struct mr_err *e) {
    double *w = mr_arena_zalloc(a, n * n * sizeof *w), *out = mr_arena_zalloc(a, n * sizeof *out);
    double *next = mr_arena_zalloc(a, n * sizeof *next);
    if (!w || !out || !next)
        return mr_fail(e, MR_ENOMEM, "out of memory summarising");
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < i; j++) {
            double c = cosine(v + i * dim, v + j * dim, dim);
            w[i * n + j] = w[j * n + i] = c > 0 ? c : 0;
        }
    for (size_t i = 0; i < n; i++) {
        s[i].rank = 1.0 / (double)n;
        for (size_t j = 0; j < n; j++)
            out[i] += w[i * n + j];
    }
    for (int round = 0; round < ROUNDS; round++) {
        for (size_t i = 0; i < n; i++) {
            double in = 0;
            for (size_t j = 0; j < n; j++)
                if (out[j] > 0)
                    in += w[j * n + i] / out[j] * s[j].rank;
            next[i] = (1 - DAMPING) / (double)n + DAMPING * in;
        }
        for (size_t i = 0; i < n; i++)
            s[i].rank = next[i];
    }
    return 0;
}

static int by_rank(const void *a, const void *b) {
    const struct sentence *x = *(struct sentence *const *)a, *y = *(struct sentence *const *)b;
    if (x->rank != y->rank)
        return x->rank > y->rank ? -1 : 1;
    return x->place < y->place ? -1 : x->place > y->place;
}

/* In order of rank, what fits and is not said yet, until there are enough words. */
static uint32_t choose(struct sentence *s, struct sentence **order, size_t n, const float *v,
                       unsigned dim, uint32_t enough, uint32_t max) {
    uint32_t words = 0;
    for (int alike = 0; alike < 2; alike++) /* only for want of others what is said already */
        for (size_t k = 0; k < n && words < enough; k++) {
            struct sentence *x = order[k];
            bool keep = !x->chosen && x->words && x->words <= max - words;
            for (size_t j = 0; keep && !alike && j < n; j++)
                keep =
                    !s[j].chosen || cosine(v + (size_t)(x - s) * dim, v + j * dim, dim) < TOO_ALIKE;
            if (!keep)
                continue;
            x->chosen = true;
            words += x->words;
        }
    return words;
}

/* Chosen sentences in their order, blanks between them where the script has them. */
static struct mr_str join(const struct sentence *s, size_t n, struct mr_arena *a) {
    size_t bytes = 0, at = 0;
    for (size_t i = 0; i < n; i++)
        bytes += s[i].chosen ? s[i].text.n + 1 : 0;
    char *out = mr_arena_alloc(a, bytes + 1);
    for (size_t i = 0; out && i < n; i++) {
        if (!s[i].chosen)
            continue;
        if (at) {
            const char *q;
            uint32_t last = mr_uc_prev(out, out + at, &q);
            if (last < 0x3000 || (last > 0x9fff && last < 0xff00))
                out[at++] = ' ';
        }
        memcpy(out + at, s[i].text.p, s[i].text.n);
        at += s[i].text.n;
    }
    return (struct mr_str){out, at};
}

static struct sentence *split(struct mr_str text, struct mr_arena *a, size_t *ret_n,
                              struct mr_err *e) {
    struct mr_span *span;
    size_t n, k;
    if (mr_sentences(text, a, &span, &n, e))
        return NULL;
    k = n < SENTENCES_MAX ? n : SENTENCES_MAX;
    struct sentence *s = mr_arena_zalloc(a, (k ? k : 1) * sizeof *s);
    for (size_t i = 0; s && i < k; i++) {
        size_t from = i * n / k;
        s[i].text = mr_strn(text.p + span[from].start, span[from].end - span[from].start);
        s[i].words = mr_word_count(s[i].text);
        s[i].place = (uint32_t)i;
    }
    if (!s)
        mr_fail(e, MR_ENOMEM, "out of memory summarising");
    *ret_n = k;
    return s;
}

/* About a third of the text, within the limits. */
static uint32_t target(uint32_t original, uint32_t min, uint32_t max) {
    uint32_t third = original / 3 + 1;
    return third < min ? min : third > max ? max : third;
}

int mr_summarize(struct mr_embedder *m, struct mr_str text, uint32_t min_words, uint32_t max_words,
                 struct mr_arena *arena, struct mr_summary *ret, struct mr_err *e) {
    struct mr_summary out = {.original_words = mr_word_count(text)};
    if (!max_words || min_words > max_words)
        return mr_fail(e, MR_EINVAL, "a summary needs min_words <= max_words and max_words >= 1");
    struct mr_arena scratch;
    mr_arena_init(&scratch, text.n * 20 + ((size_t)16 << 20));
    size_t n = 0;
    float *v = NULL;
    struct sentence *s = split(text, &scratch, &n, e);
    struct mr_str *t = mr_arena_array(&scratch, n + 1, sizeof *t);
    struct sentence **order = mr_arena_array(&scratch, n + 1, sizeof(void *));
    int r = s && t && order ? 0 : mr_fail(e, MR_ENOMEM, "out of memory summarising");
    for (size_t i = 0; !r && i < n; i++) {
        t[i] = s[i].text;
        order[i] = &s[i];
    }
    unsigned dim = mr_embedder_dim(m);
    if (!r && n > 1)
        r = mr_embed(m, t, n, &scratch, &v, NULL, e);
    if (!r && n > 1)
        r = rank(s, n, v, dim, &scratch, e);
    if (!r && n) {
        qsort(order, n, sizeof(void *), by_rank);
        if (n == 1 && s->words <= max_words)
            s->chosen = true;
        else if (n > 1)
            choose(s, order, n, v, dim, target(out.original_words, min_words, max_words),
                   max_words);
        out.text = join(s, n, arena);
        if (!out.text.n) /* every sentence is too long: the beginning of the best */
            out.text = mr_arena_keep(arena, mr_first_words(order[0]->text, max_words));
        out.words = mr_word_count(out.text);
        if (!out.text.p)
            r = mr_fail(e, MR_ENOMEM, "out of memory summarising");
    } else if (!r)
        out.text = MR_LIT("");
    mr_arena_release(&scratch);
    if (!r)
        *ret = out;
    return r;
}
