/* Choosing the next token from the scores of all tokens. The order is llama.cpp's: penalties,
 * top_k, top_p, min_p, temperature, then one draw. Pure but for the generator's state; one owner.
 *
 *   frequency/presence   as OpenAI defines them, over the tokens generated so far
 *   repeat_penalty       divides positive and multiplies negative scores of the last 64 tokens of
 *                        prompt and answer (Keskar et al. 2019, CTRL, section 4.1)
 *   min_p                drops what is less likely than min_p times the likeliest token
 *
 * top_p is exact; nothing is cut off before it but by top_k. */
#ifndef MR_ENGINE_LLM_SAMPLE_H
#define MR_ENGINE_LLM_SAMPLE_H

#include <stddef.h>
#include <stdint.h>

#define MR_SAMPLE_REPEAT_LAST 64

struct mr_candidate {
    int32_t token;
    float score; /* logit */
};

struct mr_sample_params {
    double temperature, top_p, min_p;
    double frequency_penalty, presence_penalty, repeat_penalty;
    int32_t top_k;
};

/* Changes scores in place. tokens: prompt and answer, the answer from n_prompt on. seen: room for
 * n_vocab zero bytes, zero again afterwards. */
void mr_sample_penalties(const struct mr_sample_params *p, float *score, const int32_t *tokens,
                         size_t n_prompt, size_t n, uint8_t *seen);

/* The best k, best first (ties: the lower token); k <= n. room: k entries. */
size_t mr_sample_best(const float *score, size_t n, size_t k, struct mr_candidate *room);

/* One token. room: n entries. rng: state of the generator, any seed but kept between calls. */
int32_t mr_sample_pick(const struct mr_sample_params *p, const float *score, size_t n,
                       struct mr_candidate *room, uint64_t *rng);

/* log of the sum of exp over all scores: log probability = score - this. */
double mr_sample_log_sum(const float *score, size_t n);

/* splitmix64 (Steele, Lea, Flood 2014); the next 64 bits. */
uint64_t mr_sample_random(uint64_t *state);

#endif
