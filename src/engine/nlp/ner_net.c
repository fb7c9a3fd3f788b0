/* The network over a token sequence, a block at a time, so that memory does not grow with the text.
 *
 *   features -> four hash embeddings (96 each, the sum of four rows) -> maxout 384 -> 96, norm
 *   -> 4 x ( x + norm(maxout of [before, x, after]) ) -> linear 64 -> greedy actions
 * spaCy puts four zero rows before and after each text and runs the windows over these too. */
#include "base/alloc.h"
#include "base/cleanup.h"
#include "engine/nlp/ner_internal.h"

#include <math.h>

#define BLOCK 128
#define ROWS  (BLOCK + 2 * MR_NER_HALO)
#define MIX   (MR_NER_FEATS * MR_NER_WIDTH)
#define OUT   MR_NER_COLS(3 * MR_NER_WIDTH)

struct work {
    float in[ROWS * MIX];            /* embeddings */
    float x[2][ROWS * MR_NER_WIDTH]; /* before and after a layer */
    float out[ROWS * OUT];
    float vec[(BLOCK + 1) * MR_NER_COLS(MR_NER_TOKVEC)]; /* the row before the block, the block */
    float place[BLOCK * MR_NER_COLS(MR_NER_HIDDEN)]; /* the current token's share of the state */
    float first[MR_NER_COLS(MR_NER_HIDDEN)], last[MR_NER_COLS(MR_NER_HIDDEN)];
    struct mr_ner_scratch scratch;
    const struct mr_ner_kernels *k;
    uint32_t open; /* label + 1 of the open entity, or 0 */
};

/* MurmurHash3's finish over one 64-bit value: four rows of an embedding table. */
static void hash_rows(uint64_t v, uint32_t seed, uint32_t out[4]) {
    uint64_t h1 = v * 0x87c37b91114253d5ULL, h2 = seed ^ 8u;
    h1 = (h1 << 31) | (h1 >> 33);
    h1 = (h1 * 0x4cf5ad432745937fULL) ^ seed ^ 8u;
    h1 += h2;
    h2 += h1;
    uint64_t *h[2] = {&h1, &h2};
    for (int i = 0; i < 2; i++) {
        *h[i] = (*h[i] ^ *h[i] >> 33) * 0xff51afd7ed558ccdULL;
        *h[i] = (*h[i] ^ *h[i] >> 33) * 0xc4ceb9fe1a85ec53ULL;
        *h[i] ^= *h[i] >> 33;
    }
    h1 += h2;
    h2 += h1;
    out[0] = (uint32_t)h1;
    out[1] = (uint32_t)(h1 >> 32);
    out[2] = (uint32_t)h2;
    out[3] = (uint32_t)(h2 >> 32);
}

static void embed(const struct mr_ner_kernels *k, const struct mr_ner_net *net,
                  const uint64_t id[MR_NER_FEATS], float *out) {
    for (uint32_t f = 0; f < MR_NER_FEATS; f++, out += MR_NER_WIDTH) {
        uint32_t row[4];
        hash_rows(id[f], net->seed[f], row);
        const float *a[4];
        for (int i = 0; i < 4; i++)
            a[i] = net->embed[f] + (size_t)(row[i] % net->rows[f]) * MR_NER_WIDTH;
        k->sum4(a, out);
    }
}

/* Rows [first, first + n) of the window layers' input: positions from `at` on; what lies outside
 * the text stays zero. */
static int read_rows(const struct mr_ner *n, const struct mr_ner_text *t,
                     const struct mr_ner_tokens *tokens, struct work *w, uint32_t at,
                     uint32_t rows) {
    const struct mr_ner_layer *l = &n->net.layer[0];
    uint32_t lo = at < MR_NER_HALO ? MR_NER_HALO - at : 0, hi = lo;
    memset(w->x[0], 0, (size_t)rows * MR_NER_WIDTH * sizeof(float));
    for (; hi < rows && at + hi < tokens->n + MR_NER_HALO; hi++) {
        uint64_t id[MR_NER_FEATS];
        if (mr_ner_features(n, t, &tokens->tok[at + hi - MR_NER_HALO], &w->scratch, id) < 0)
            return MR_ENOMEM;
        embed(w->k, &n->net, id, w->in + (size_t)hi * MIX);
    }
    w->k->gemm(w->out, w->in + (size_t)lo * MIX, MIX, hi - lo, MIX, l->w, OUT / MR_NER_PANEL);
    for (uint32_t i = lo; i < hi; i++)
        w->k->norm(l, w->out + (size_t)(i - lo) * OUT, w->x[0] + (size_t)i * MR_NER_WIDTH);
    return 0;
}

/* Layer l over rows [from, to). */
static void window(const struct mr_ner *n, struct work *w, uint32_t l, uint32_t from, uint32_t to) {
    const float *in = w->x[(l - 1) & 1] + (size_t)from * MR_NER_WIDTH;
    float *x = w->x[l & 1] + (size_t)from * MR_NER_WIDTH;
    const struct mr_ner_layer *layer = &n->net.layer[l];
    w->k->gemm(w->out, in - MR_NER_WIDTH, MR_NER_WIDTH, to - from, 3 * MR_NER_WIDTH, layer->w,
               OUT / MR_NER_PANEL);
    memcpy(x, in, (size_t)(to - from) * MR_NER_WIDTH * sizeof *x);
    for (uint32_t i = 0; i < to - from; i++)
        w->k->norm(layer, w->out + (size_t)i * OUT, x + (size_t)i * MR_NER_WIDTH);
}

static int run_block(const struct mr_ner *n, const struct mr_ner_text *t,
                     const struct mr_ner_tokens *tokens, struct work *w, uint32_t at,
                     uint32_t len) {
    const struct mr_ner_net *net = &n->net;
    uint32_t rows = len + 2 * MR_NER_HALO;
    const size_t vec = MR_NER_COLS(MR_NER_TOKVEC);
    if (read_rows(n, t, tokens, w, at, rows) < 0)
        return MR_ENOMEM;
    for (uint32_t l = 1; l < MR_NER_LAYERS; l++)
        window(n, w, l, l, rows - l);
    const float *x = w->x[(MR_NER_LAYERS - 1) & 1] + MR_NER_HALO * MR_NER_WIDTH;
    w->k->gemm(w->vec + vec, x, MR_NER_WIDTH, len, MR_NER_WIDTH, net->lin_w, vec / MR_NER_PANEL);
    for (uint32_t i = 1; i <= len; i++)
        for (uint32_t d = 0; d < MR_NER_TOKVEC; d++)
            w->vec[i * vec + d] += net->lin_b[d];
    w->k->gemm(w->place, w->vec + vec, vec, len, MR_NER_TOKVEC, net->low_w[0],
               MR_NER_PANELS(MR_NER_HIDDEN));
    return 0;
}

/* --- actions ---------------------------------------------------------------------------------- */

static bool valid(const struct mr_ner *n, uint32_t move, uint32_t open, bool last, bool space) {
    uint32_t label = n->net.label[move];
    switch (n->net.kind[move]) {
    case MR_NER_BEGIN:
        return !open && !last && !space && *n->label[label];
    case MR_NER_UNIT:
        return !open && !space && *n->label[label];
    case MR_NER_IN:
        return open == label + 1 && !last;
    case MR_NER_LAST:
        return open == label + 1;
    default:
        return !open;
    }
}

static void state_scores(const struct mr_ner_net *net, struct work *w, uint32_t i, float *score) {
    const size_t vec = MR_NER_COLS(MR_NER_TOKVEC), hid = MR_NER_COLS(MR_NER_HIDDEN);
    const float *first = net->low_pad + MR_NER_HIDDEN, *last = net->low_pad + 2 * MR_NER_HIDDEN;
    if (w->open) {
        w->k->gemm(w->last, w->vec + i * vec, vec, 1, MR_NER_TOKVEC, net->low_w[2],
                   MR_NER_PANELS(MR_NER_HIDDEN));
        first = w->first;
        last = w->last;
    }
    float h[MR_NER_TOKVEC];
    const float *cur = w->place + i * hid;
    for (uint32_t d = 0; d < MR_NER_TOKVEC; d++) {
        float a = ((cur[d] + first[d]) + last[d]) + net->low_b[d];
        uint32_t e = MR_NER_TOKVEC + d;
        float b = ((cur[e] + first[e]) + last[e]) + net->low_b[e];
        h[d] = a > b ? a : b;
    }
    w->k->gemm(score, h, MR_NER_TOKVEC, 1, MR_NER_TOKVEC, net->up_w, MR_NER_PANELS(MR_NER_MOVES));
    for (uint32_t m = 0; m < MR_NER_MOVES; m++)
        score[m] += net->up_b[m];
}

/* The best valid action for the block's token i and its share of the valid ones. */
static struct mr_ner_action act(const struct mr_ner *n, struct work *w, uint32_t i, bool last,
                                bool space, float *ret_score) {
    float score[MR_NER_COLS(MR_NER_MOVES)];
    const struct mr_ner_net *net = &n->net;
    const size_t vec = MR_NER_COLS(MR_NER_TOKVEC);
    uint32_t best = MR_NER_MOVES;
    double sum = 0;
    state_scores(net, w, i, score);
    for (uint32_t m = 0; m < MR_NER_MOVES; m++)
        if (valid(n, m, w->open, last, space) && (best == MR_NER_MOVES || score[m] > score[best]))
            best = m;
    if (best == MR_NER_MOVES)
        return (struct mr_ner_action){MR_NER_MOVES, 0}; /* not with spaCy's set of actions */
    for (uint32_t m = 0; m < MR_NER_MOVES; m++)
        if (valid(n, m, w->open, last, space))
            sum += exp((double)score[m] - score[best]);
    if (net->kind[best] == MR_NER_BEGIN) {
        w->open = net->label[best] + 1u;
        w->k->gemm(w->first, w->vec + (i + 1) * vec, vec, 1, MR_NER_TOKVEC, net->low_w[1],
                   MR_NER_PANELS(MR_NER_HIDDEN));
    } else if (net->kind[best] == MR_NER_LAST) {
        w->open = 0;
    }
    *ret_score = score[best];
    return (struct mr_ner_action){(uint8_t)best, (float)(1 / sum)};
}

static void free_work(struct work *w) {
    mr_free(w->scratch.p);
    mr_free(w);
}
MR_DEFINE_CLEANUP(struct work *, free_work);

int mr_ner_run(const struct mr_ner *n, const struct mr_ner_text *t,
               const struct mr_ner_tokens *tokens, struct mr_ner_action *out, float *best) {
    const size_t vec = MR_NER_COLS(MR_NER_TOKVEC);
    MR_CLEANUP(free_work_p) struct work *w = mr_malloc(sizeof *w);
    if (!w)
        return MR_ENOMEM;
    w->scratch = (struct mr_ner_scratch){0};
    w->open = 0;
    w->k = mr_ner_kernels();
    for (uint32_t at = 0; at < tokens->n; at += BLOCK) {
        uint32_t len = tokens->n - at < BLOCK ? tokens->n - at : BLOCK;
        if (at)
            memcpy(w->vec, w->vec + BLOCK * vec, vec * sizeof(float));
        if (run_block(n, t, tokens, w, at, len) < 0)
            return MR_ENOMEM;
        for (uint32_t i = 0; i < len; i++) {
            float score;
            out[at + i] = act(n, w, i, at + i + 1 == tokens->n,
                              mr_ner_is_space(t, &tokens->tok[at + i]), &score);
            if (out[at + i].move == MR_NER_MOVES)
                return MR_EREFUSED;
            if (best)
                best[at + i] = score;
        }
    }
    return 0;
}
