/* Sentiment: VADER's rules, TextBlob's lexicon and a small network over sentence embeddings. */
#include "base/alloc.h"
#include "base/cleanup.h"
#include "engine/nlp/file.h"
#include "engine/nlp/lexicon.h"
#include "engine/nlp/net.h"
#include "engine/nlp/nlp.h"
#include "engine/nlp/vader.h"
#include "engine/nlp/words.h"

#include <math.h>

#define LEXICAL    7
#define CHUNK      320 /* bytes: sentences are read together up to this, as those of the training */
#define CHUNKS_MAX 96  /* of a text; of more, this many at even distances */

struct mr_sentiment {
    struct mr_lexicon *lexicon;
    struct mr_net *net;
};

int mr_sentiment_open(const char *dir, struct mr_sentiment **ret, struct mr_err *e) {
    MR_AUTO_FREE char *own = NULL;
    MR_AUTO_FREE char *own2 = NULL;
    struct mr_str file;
    struct mr_sentiment *s = mr_calloc(1, sizeof *s);
    if (!s)
        return mr_fail(e, MR_ENOMEM, "out of memory loading a model");
    int r = mr_nlp_read_file(dir, "lexicon.tsv", MR_LEXICON_FILE_MAX, &own, &file, e);
    if (!r)
        r = mr_lexicon_new(file, &s->lexicon, e);
    if (!r)
        r = mr_nlp_read_file(dir, "classifier.bin", MR_NET_FILE_MAX, &own2, &file, e);
    if (!r)
        r = mr_net_new(file, &s->net, e);
    if (!r && mr_net_outputs(s->net) != 3)
        r = mr_fail(e, MR_EREFUSED, "the sentiment classifier has not three classes");
    if (r) {
        mr_sentiment_free(s);
        return r;
    }
    *ret = s;
    return 0;
}

void mr_sentiment_free(struct mr_sentiment *s) {
    if (!s)
        return;
    mr_lexicon_free(s->lexicon);
    mr_net_free(s->net);
    mr_free(s);
}

uint64_t mr_sentiment_memory(const struct mr_sentiment *s) {
    return sizeof *s + mr_lexicon_memory(s->lexicon) + mr_net_memory(s->net);
}

static bool is_punct(char c) {
    return (c >= '!' && c <= '/') || (c >= ':' && c <= '@') || (c >= '[' && c <= '`') ||
           (c >= '{' && c <= '~');
}

/* --- TextBlob's lexicon ---------------------------------------------------------------------- */
struct pattern {
    double polarity, subjectivity; /* sums */
    double felt;                   /* subjectivity with degree words, summed */
    size_t known, words;
};

static int read_pattern(const struct mr_lexicon *l, struct mr_str text, struct mr_arena *a,
                        struct pattern *ret, struct mr_err *e) {
    double degree = 1;
    *ret = (struct pattern){0};
    for (struct mr_str w; (w = mr_words_next(&text)).n;) {
        while (w.n && is_punct(w.p[w.n - 1]))
            w.n--;
        while (w.n && is_punct(*w.p))
            w.p++, w.n--;
        ret->words++;
        struct mr_str low = mr_words_lower(a, w);
        if (!low.p)
            return mr_fail(e, MR_ENOMEM, "out of memory reading a text");
        const struct mr_lexicon_entry *x = mr_lexicon_find(l, MR_LEX_PATTERN, low);
        if (!x) {
            degree = 1;
            continue;
        }
        ret->known++;
        ret->polarity += x->v[0];
        ret->subjectivity += x->v[1];
        ret->felt += fmin(x->v[1] * degree, 1);
        degree = x->v[2];
    }
    return 0;
}

/* --- texts ----------------------------------------------------------------------------------- */
struct chunk {
    struct mr_str text;
    double weight;
};

/* Consecutive sentences together, in the arena; of many, some at even distances. */
static int cut(struct mr_str text, struct mr_arena *a, struct chunk **ret, size_t *ret_n,
               struct mr_err *e) {
    struct mr_span *s;
    size_t n, k = 0;
    int r = mr_sentences(text, a, &s, &n, e);
    if (r)
        return r;
    struct chunk *c = mr_arena_array(a, n ? n : 1, sizeof *c);
    if (!c)
        return mr_fail(e, MR_ENOMEM, "out of memory reading a text");
    for (size_t i = 0; i < n; i++) {
        const char *p = text.p + s[i].start, *end = text.p + s[i].end;
        if (k && (size_t)(end - c[k - 1].text.p) <= CHUNK)
            c[k - 1].text.n = (size_t)(end - c[k - 1].text.p);
        else
            c[k++].text = (struct mr_str){p, (size_t)(end - p)};
    }
    if (k > CHUNKS_MAX) {
        for (size_t i = 0; i < CHUNKS_MAX; i++)
            c[i] = c[i * k / CHUNKS_MAX];
        k = CHUNKS_MAX;
    }
    for (size_t i = 0; i < k; i++)
        c[i].weight = (double)c[i].text.n;
    *ret = c;
    *ret_n = k;
    return 0;
}

static int read_chunk(const struct mr_sentiment *s, struct mr_str text, const float *vector,
                      unsigned dim, double probability[3], struct pattern *p, struct mr_err *e) {
    MR_CLEANUP(mr_arena_release) struct mr_arena a;
    mr_arena_init(&a, text.n * 64 + ((size_t)1 << 20));
    struct mr_vader v;
    float *x = mr_arena_array(&a, dim + LEXICAL, sizeof *x);
    if (!x)
        return mr_fail(e, MR_ENOMEM, "out of memory reading a text");
    int r = mr_vader(s->lexicon, text, &a, &v, e);
    if (!r)
        r = read_pattern(s->lexicon, text, &a, p, e);
    if (r)
        return r;
    double n = p->known ? (double)p->known : 1, words = p->words ? (double)p->words : 1;
    memcpy(x, vector, dim * sizeof *x);
    float *l = x + dim;
    l[0] = (float)v.compound;
    l[1] = (float)v.positive;
    l[2] = (float)v.negative;
    l[3] = (float)v.neutral;
    l[4] = (float)(p->polarity / n);
    l[5] = (float)(p->subjectivity / n);
    l[6] = (float)((double)p->known / words);
    mr_net_run(s->net, x, probability);
    return 0;
}

int mr_sentiment_read(struct mr_sentiment *s, struct mr_embedder *m, struct mr_str text,
                      struct mr_arena *arena, struct mr_sentiment_result *ret, struct mr_err *e) {
    static const char *const LABEL[] = {"negative", "neutral", "positive"};
    unsigned dim = mr_embedder_dim(m);
    if (mr_net_inputs(s->net) != dim + LEXICAL)
        return mr_fail(e, MR_EUNSUPPORTED,
                       "the sentiment classifier was trained on another embedding model");
    struct chunk *c;
    size_t n;
    int r = cut(text, arena, &c, &n, e);
    if (r)
        return r;
    if (!n) {
        *ret = (struct mr_sentiment_result){.label = LABEL[1], .confidence = 1};
        return 0;
    }
    float *v;
    struct mr_str *t = mr_arena_array(arena, n, sizeof *t);
    if (!t)
        return mr_fail(e, MR_ENOMEM, "out of memory reading a text");
    for (size_t i = 0; i < n; i++)
        t[i] = c[i].text;
    r = mr_embed(m, t, n, arena, &v, NULL, e);
    double sum[3] = {0}, weight = 0, felt = 0, known = 0;
    for (size_t i = 0; !r && i < n; i++) {
        double p[3];
        struct pattern words;
        r = read_chunk(s, c[i].text, v + i * dim, dim, p, &words, e);
        for (int k = 0; !r && k < 3; k++)
            sum[k] += c[i].weight * p[k];
        if (r)
            break;
        weight += c[i].weight;
        felt += words.felt;
        known += (double)words.known;
    }
    if (r)
        return r;
    int best = 0;
    for (int k = 0; k < 3; k++) {
        sum[k] /= weight;
        best = sum[k] > sum[best] ? k : best;
    }
    *ret = (struct mr_sentiment_result){.label = LABEL[best],
                                        .confidence = fmin(sum[best], 1),
                                        .polarity = fmax(-1, fmin(1, sum[2] - sum[0])),
                                        .subjectivity = known > 0 ? fmax(0, felt / known) : 0};
    return 0;
}

double mr_sentiment_word(const struct mr_sentiment *s, struct mr_str word) {
    MR_CLEANUP(mr_arena_release) struct mr_arena a;
    mr_arena_init(&a, (size_t)1 << 20);
    if (word.n > 1000)
        return 0;
    double sum = 0;
    unsigned n = 0;
    for (struct mr_str w; (w = mr_words_next(&word)).n;) {
        struct mr_str low = mr_words_lower(&a, w);
        if (!low.p)
            return 0;
        const struct mr_lexicon_entry *x = mr_lexicon_find(s->lexicon, MR_LEX_VALENCE, low);
        if (x) {
            sum += x->v[0] / 4; /* ratings are -4 … 4 */
            n++;
        } else if ((x = mr_lexicon_find(s->lexicon, MR_LEX_PATTERN, low)) && x->v[0] != 0) {
            sum += x->v[0];
            n++;
        }
    }
    return n ? fmax(-1, fmin(1, sum / n)) : 0;
}
