#include "engine/llm/sample.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK 16 /* scores looked at together: most blocks hold nothing for the heap */

void mr_sample_penalties(const struct mr_sample_params *p, float *score, const int32_t *tokens,
                         size_t n_prompt, size_t n, uint8_t *seen) {
    if (p->repeat_penalty != 1.0) {
        size_t from = n > MR_SAMPLE_REPEAT_LAST ? n - MR_SAMPLE_REPEAT_LAST : 0;
        float by = (float)p->repeat_penalty;
        for (size_t k = from; k < n; k++) {
            float *s = &score[tokens[k]];
            if (!seen[tokens[k]]++)
                *s = *s > 0 ? *s / by : *s * by;
        }
        for (size_t k = from; k < n; k++)
            seen[tokens[k]] = 0;
    }
    if (p->frequency_penalty == 0 && p->presence_penalty == 0)
        return;
    for (size_t k = n_prompt; k < n; k++) {
        float *s = &score[tokens[k]];
        *s -= (float)p->frequency_penalty;
        if (!seen[tokens[k]])
            *s -= (float)p->presence_penalty, seen[tokens[k]] = 1;
    }
    for (size_t k = n_prompt; k < n; k++)
        seen[tokens[k]] = 0;
}

static bool worse(struct mr_candidate a, struct mr_candidate b) {
    return a.score < b.score || (a.score == b.score && a.token > b.token);
}

static void sift_down(struct mr_candidate *h, size_t n, size_t k) {
    for (;;) {
        size_t low = k, l = 2 * k + 1, r = l + 1;
        if (l < n && worse(h[l], h[low]))
            low = l;
        if (r < n && worse(h[r], h[low]))
            low = r;
        if (low == k)
            return;
        struct mr_candidate t = h[k];
        h[k] = h[low];
        h[low] = t;
        k = low;
    }
}

static int better_first(const void *a, const void *b) {
    const struct mr_candidate *x = a, *y = b;
    return worse(*y, *x) ? -1 : worse(*x, *y);
}

/* Whether any of BLOCK scores is above the floor; a form that compilers vectorise. */
static bool any_above(const float *s, float floor) {
    int any = 0;
    for (size_t k = 0; k < BLOCK; k++)
        any |= s[k] > floor;
    return any;
}

size_t mr_sample_best(const float *score, size_t n, size_t k, struct mr_candidate *room) {
    if (k > n)
        k = n;
    if (!k)
        return 0;
    for (size_t i = 0; i < k; i++)
        room[i] = (struct mr_candidate){(int32_t)i, score[i]};
    for (size_t i = k / 2; i-- > 0;)
        sift_down(room, k, i);
    for (size_t i = k; i < n;) {
        if (n - i >= BLOCK && !any_above(score + i, room[0].score)) {
            i += BLOCK;
            continue;
        }
        size_t end = n - i < BLOCK ? n : i + BLOCK;
        for (; i < end; i++)
            if (score[i] > room[0].score) { /* equal: the lower token is in already */
                room[0] = (struct mr_candidate){(int32_t)i, score[i]};
                sift_down(room, k, 0);
            }
    }
    qsort(room, k, sizeof *room, better_first);
    return k;
}

static float highest(const float *score, size_t n) {
    float m[BLOCK];
    for (size_t k = 0; k < BLOCK; k++)
        m[k] = -INFINITY;
    size_t i = 0;
    for (; i + BLOCK <= n; i += BLOCK)
        for (size_t k = 0; k < BLOCK; k++)
            m[k] = score[i + k] > m[k] ? score[i + k] : m[k];
    for (; i < n; i++)
        m[0] = score[i] > m[0] ? score[i] : m[0];
    for (size_t k = 1; k < BLOCK; k++)
        m[0] = m[k] > m[0] ? m[k] : m[0];
    return m[0];
}

double mr_sample_log_sum(const float *score, size_t n) {
    float top = highest(score, n);
    double sum = 0;
    for (size_t k = 0; k < n; k++)
        sum += (double)expf(score[k] - top);
    return (double)top + log(sum);
}

uint64_t mr_sample_random(uint64_t *state) {
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

/* How many of the sorted candidates make up top_p of `total` (a sum of exp(score - top)). 0: all of
 * them together are less. */
static size_t nucleus(const struct mr_candidate *c, size_t n, double top_p, double total) {
    double sum = 0;
    for (size_t k = 0; k < n; k++) {
        sum += (double)expf(c[k].score - c[0].score);
        if (sum >= top_p * total)
            return k + 1;
    }
    return 0;
}

/* The sorted candidates that top_k and top_p leave. */
static size_t candidates(const struct mr_sample_params *p, const float *score, size_t n,
                         struct mr_candidate *room) {
    bool cut = p->top_k > 0 && (size_t)p->top_k < n;
    if (cut) {
        size_t k = mr_sample_best(score, n, (size_t)p->top_k, room);
        if (p->top_p >= 1)
            return k;
        double total = 0;
        for (size_t i = 0; i < k; i++)
            total += (double)expf(room[i].score - room[0].score);
        size_t m = nucleus(room, k, p->top_p, total);
        return m ? m : k;
    }
    if (p->top_p >= 1)
        return mr_sample_best(score, n, n, room);
    float top = highest(score, n);
    double total = 0;
    for (size_t k = 0; k < n; k++)
        total += (double)expf(score[k] - top);
    for (size_t k = 256;; k *= 8) {
        size_t got = mr_sample_best(score, n, k, room);
        size_t m = nucleus(room, got, p->top_p, total);
        if (m || got == n)
            return m ? m : got;
    }
}

int32_t mr_sample_pick(const struct mr_sample_params *p, const float *score, size_t n,
                       struct mr_candidate *room, uint64_t *rng) {
    if (p->temperature <= 0 || p->top_k == 1) {
        float top = highest(score, n);
        for (size_t k = 0; k < n; k++)
            if (score[k] == top)
                return (int32_t)k;
        return 0; /* nothing but NaN */
    }
    size_t m = candidates(p, score, n, room);
    if (p->min_p > 0) {
        float floor = room[0].score + (float)log(p->min_p);
        while (m > 1 && room[m - 1].score < floor)
            m--;
    }
    double sum = 0, at = (double)(mr_sample_random(rng) >> 11) * 0x1p-53;
    for (size_t k = 0; k < m; k++)
        sum += exp((double)(room[k].score - room[0].score) / p->temperature);
    at *= sum;
    for (size_t k = 0; k < m; k++) {
        at -= exp((double)(room[k].score - room[0].score) / p->temperature);
        if (at < 0)
            return room[k].token;
    }
    return room[0].token;
}
