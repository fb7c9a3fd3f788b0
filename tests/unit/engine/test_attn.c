/* Attention against the definition, in doubles: shapes that fill no tile, masks of several
 * sequences. */
#include "engine/llm/kernels/attn.h"
#include "engine/llm/kernels/qmm.h"
#include "mr_test.h"

static uint32_t seed = 3;

static uint32_t next(void) {
    seed = seed * 1664525 + 1013904223;
    return seed >> 8;
}

static uint16_t half(float v) { /* 0, minus infinity and normal numbers, cut */
    uint32_t b;
    memcpy(&b, &v, 4);
    if (v == 0)
        return 0;
    if (isinf(v))
        return 0xfc00;
    return (uint16_t)((b >> 16 & 0x8000) | ((b >> 23 & 255) - 112) << 10 | (b >> 13 & 1023));
}

static double full(uint16_t h) {
    if (h == 0xfc00)
        return -INFINITY;
    double v = h & 0x7fff ? ldexp(1024 + (h & 1023), (h >> 10 & 31) - 25) : 0;
    return h & 0x8000 ? -v : v;
}

static float number(float most) {
    return ((float)(next() % 2000) - 999.5f) / 1000 * most;
}

struct data {
    struct mr_attn a;
    float *q, *out;
    uint16_t *k, *v, *mask;
};

enum look { CAUSAL, SEQUENCES, EVERYTHING, BIASED };

static bool sees(enum look look, size_t tokens, size_t cells, size_t token, size_t cell) {
    if (look == CAUSAL || look == BIASED)
        return cell + tokens <= token + cells && cell != 3;
    return token && cell % tokens == token; /* the first token sees nothing */
}

static struct data make(struct mr_attn shape, enum look look) {
    struct data d = {.a = shape};
    struct mr_attn *a = &d.a;
    size_t nq = a->tokens * a->heads * a->d, nk = (a->cells + 1) * a->kv_heads * a->d;
    d.q = malloc(nq * 4);
    d.out = malloc(nq * 4);
    d.k = malloc(nk * 2);
    d.v = malloc(nk * 2);
    d.mask = malloc(a->tokens * a->cells * 2);
    for (size_t i = 0; i < nq; i++)
        d.q[i] = number(3);
    for (size_t i = 0; i < nk; i++) {
        d.k[i] = half(number(2));
        d.v[i] = half(number(1));
    }
    for (size_t t = 0; t < a->tokens; t++)
        for (size_t c = 0; c < a->cells; c++)
            d.mask[t * a->cells + c] = !sees(look, a->tokens, a->cells, t, c) ? 0xfc00
                                       : look == BIASED                       ? half(number(2))
                                                                              : 0;
    a->q = (char *)d.q;
    a->k = (char *)d.k;
    a->v = (char *)d.v;
    a->out = (char *)d.out;
    a->mask = look == EVERYTHING ? NULL : (char *)d.mask;
    a->q_token = a->d * 4;
    a->q_head = a->tokens * a->d * 4;
    a->k_cell = a->v_cell = a->kv_heads * a->d * 2;
    a->k_head = a->v_head = a->d * 2;
    a->mask_token = a->cells * 2;
    a->out_head = a->d * 4;
    a->out_token = a->heads * a->d * 4;
    a->scale = 1 / sqrtf((float)a->d);
    return d;
}

static void free_data(struct data *d) {
    free(d->q);
    free(d->out);
    free(d->k);
    free(d->v);
    free(d->mask);
}

/* The greatest difference to the definition, of one token and head. */
static double error_of(const struct data *d, size_t token, size_t head) {
    const struct mr_attn *a = &d->a;
    size_t kv = head / (a->heads / a->kv_heads);
    double *p = calloc(a->cells, sizeof *p), most = -INFINITY, sum = 0, worst = 0;
    for (size_t c = 0; c < a->cells; c++) {
        for (size_t i = 0; i < a->d; i++)
            p[c] += (double)d->q[(head * a->tokens + token) * a->d + i] *
                    full(d->k[(c * a->kv_heads + kv) * a->d + i]);
        p[c] = p[c] * (double)a->scale + (a->mask ? full(d->mask[token * a->cells + c]) : 0);
        most = fmax(most, p[c]);
    }
    for (size_t c = 0; c < a->cells; c++) {
        p[c] = isinf(most) ? 0 : exp(p[c] - most);
        sum += p[c];
    }
    for (size_t i = 0; i < a->d; i++) {
        double want = 0;
        for (size_t c = 0; c < a->cells; c++)
            want += p[c] * full(d->v[(c * a->kv_heads + kv) * a->d + i]);
        want = sum > 0 ? want / sum : 0;
        double e = fabs((double)d->out[(token * a->heads + head) * a->d + i] - want);
        worst = e <= worst ? worst : e; /* a NaN counts */
    }
    free(p);
    return worst;
}

static void check(const struct data *d, const char *how) {
    for (size_t t = 0; t < d->a.tokens; t++)
        for (size_t h = 0; h < d->a.heads; h++) {
            double e = error_of(d, t, h);
            if (!(e < 3e-6))
                fprintf(stderr, "%s: %zu tokens, %zu cells, %zu/%zu heads of %zu: %zu, %zu: %g\n",
                        how, d->a.tokens, d->a.cells, d->a.heads, d->a.kv_heads, d->a.d, t, h, e);
            CHECK(e < 3e-6);
        }
}

static void spoil(struct data *d) {
    for (size_t i = 0; i < d->a.tokens * d->a.heads * d->a.d; i++)
        d->out[i] = NAN;
}

static void run(struct mr_attn shape, enum look look) {
    struct data d = make(shape, look);
    const struct mr_attn *a = &d.a;
    char *room = malloc(mr_attn_room(a) + 4);
    spoil(&d);
    for (size_t i = 0; i < mr_attn_items(a); i++)
        mr_attn_item(a, i, room + 4);
    check(&d, "items");
    free(room);
    spoil(&d);
    for (size_t t = 0; t < a->tokens; t++)
        for (size_t h = 0; h < a->kv_heads; h++)
            mr_attn_one(a, t, h);
    check(&d, "one by one");
    free_data(&d);
}

MR_TEST(attention_is_what_its_definition_says) {
    static const size_t group[] = {1, 2, 3, 4, 5, 7};
    if (!mr_qmm_usable())
        return;
    for (size_t g = 0; g < 6; g++)
        for (enum look look = CAUSAL; look <= BIASED; look++)
            run((struct mr_attn){.d = g == 5 ? 256 : 16 * (g + 1),
                                 .tokens = 13 + 4 * g,
                                 .heads = 2 * group[g],
                                 .kv_heads = 2,
                                 .cells = 40 + 37 * g},
                look);
    run((struct mr_attn){.d = 64, .tokens = 1, .heads = 9, .kv_heads = 3, .cells = 1}, EVERYTHING);
    run((struct mr_attn){.d = 64, .tokens = 33, .heads = 9, .kv_heads = 3, .cells = 256}, CAUSAL);
}

/* The same cells at other places of the buffer, among cells of others: the same bits. */
MR_TEST(results_do_not_depend_on_where_cells_lie) {
    enum { TOKENS = 20, CELLS = 90, FAR = 333 };
    if (!mr_qmm_usable())
        return;
    struct mr_attn shape = {.d = 64, .tokens = TOKENS, .heads = 6, .kv_heads = 2, .cells = CELLS};
    struct data near = make(shape, CAUSAL), far;
    shape.cells = FAR;
    far = make(shape, CAUSAL);
    memcpy(far.q, near.q, TOKENS * 6 * 64 * 4);
    for (size_t i = 0; i < TOKENS * FAR; i++)
        far.mask[i] = 0xfc00;
    for (size_t c = 0; c < CELLS; c++) {
        size_t to = c < 31 ? 5 + c : 60 + 3 * c;
        memcpy(far.k + to * 128, near.k + c * 128, 256);
        memcpy(far.v + to * 128, near.v + c * 128, 256);
        for (size_t t = 0; t < TOKENS; t++)
            far.mask[t * FAR + to] = near.mask[t * CELLS + c];
    }
    char *room = malloc(mr_attn_room(&near.a));
    for (int one = 0; one < 2; one++) {
        for (struct data *d = &near;; d = &far) {
            spoil(d);
            for (size_t i = 0; i < TOKENS * 2 && one; i++)
                mr_attn_one(&d->a, i / 2, i % 2);
            for (size_t i = 0; i < mr_attn_items(&d->a) && !one; i++)
                mr_attn_item(&d->a, i, room);
            if (d == &far)
                break;
        }
        CHECK(!memcmp(near.out, far.out, TOKENS * 6 * 64 * 4));
    }
    free(room);
    free_data(&near);
    free_data(&far);
}

MR_TEST_MAIN(CASE(attention_is_what_its_definition_says),
             CASE(results_do_not_depend_on_where_cells_lie))
