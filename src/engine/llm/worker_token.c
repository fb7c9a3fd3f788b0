/* From the scores of a position to the next token, its text and its log probabilities. */
#include "base/clock.h"
#include "engine/llm/worker.h"

#include <math.h>
#include <string.h>

#define PIECE_MAX 512

/* Does the grammar admit this token here? */
static bool admits(struct mr_lw *w, struct mr_lw_request *q, int32_t token) {
    struct llama_token_data one = {.id = token, .logit = 0, .p = 0};
    struct llama_token_data_array a = {.data = &one, .size = 1, .selected = -1};
    w->api.llama_sampler_apply(q->grammar, &a);
    return a.data[0].logit > -INFINITY;
}

/* Removes every token that the grammar does not admit. False: it admits none. */
static bool keep_admitted(struct mr_lw *w, struct mr_lw_request *q, float *score) {
    size_t n = (size_t)w->n_vocab, left = 0;
    struct llama_token_data *d = w->data;
    for (size_t k = 0; k < n; k++)
        d[k] = (struct llama_token_data){.id = (llama_token)k, .logit = score[k]};
    struct llama_token_data_array a = {.data = d, .size = n, .selected = -1};
    w->api.llama_sampler_apply(q->grammar, &a);
    for (size_t k = 0; k < n; k++)
        score[k] = -INFINITY;
    for (size_t k = 0; k < a.size; k++) {
        score[a.data[k].id] = a.data[k].logit;
        left += a.data[k].logit > -INFINITY;
    }
    return left != 0;
}

static int32_t pick(struct mr_lw *w, struct mr_lw_request *q, float *score) {
    size_t n = (size_t)w->n_vocab;
    if (q->ask.ignore_eos)
        for (size_t k = 0; k < w->n_eog; k++)
            score[w->eog[k]] = -INFINITY;
    mr_sample_penalties(&q->sample, score, q->token, q->n_prompt, q->n, w->seen);
    if (!q->grammar)
        return mr_sample_pick(&q->sample, score, n, w->room, &q->rng);
    /* Most of the time the model keeps to the grammar by itself, and asking about one token is a
     * thousand times cheaper than asking about all. */
    uint64_t rng = q->rng;
    int32_t token = mr_sample_pick(&q->sample, score, n, w->room, &q->rng);
    if (admits(w, q, token))
        return token;
    q->rng = rng;
    if (!keep_admitted(w, q, score))
        return -1;
    return mr_sample_pick(&q->sample, score, n, w->room, &q->rng);
}

static void put_token(struct mr_lw *w, struct mr_buf *b, int32_t token, double logprob) {
    char piece[PIECE_MAX];
    int n = w->api.llama_token_to_piece(w->vocab, token, piece, sizeof piece, 0, true);
    n = n > 0 ? n : 0;
    mr_buf_cstr(b, "{\"token\":");
    mr_buf_json(b, (struct mr_str){piece, (size_t)n});
    mr_buf_cstr(b, ",\"logprob\":");
    mr_buf_f64(b, logprob < -9999.0 ? -9999.0 : logprob); /* as OpenAI writes "very unlikely" */
    mr_buf_cstr(b, ",\"bytes\":[");
    for (int k = 0; k < n; k++) {
        if (k)
            mr_buf_char(b, ',');
        mr_buf_u64(b, (uint8_t)piece[k]);
    }
    mr_buf_char(b, ']');
}

/* By the model's own scores, before penalties, grammar and temperature. */
static void put_logprobs(struct mr_lw *w, struct mr_lw_request *q, int32_t token) {
    struct mr_buf *b = &q->logprobs;
    size_t n = (size_t)w->n_vocab;
    double sum = mr_sample_log_sum(w->copy, n);
    if (b->n)
        mr_buf_char(b, ',');
    put_token(w, b, token, (double)w->copy[token] - sum);
    mr_buf_cstr(b, ",\"top_logprobs\":[");
    size_t k = mr_sample_best(w->copy, n, (size_t)q->ask.logprobs, w->room);
    for (size_t i = 0; i < k; i++) {
        if (i)
            mr_buf_char(b, ',');
        put_token(w, b, w->room[i].token, (double)w->room[i].score - sum);
        mr_buf_char(b, '}');
    }
    mr_buf_cstr(b, "]}");
}

static void end_by_length(struct mr_lw_request *q) {
    q->over = 1;
    q->by_length = true;
}

void mr_lw_next_token(struct mr_lw *w, struct mr_lw_request *q) {
    float *score = w->api.llama_get_logits_ith(w->ctx, q->row);
    char piece[PIECE_MAX];
    if (!q->first_ns)
        q->first_ns = mr_mono_ns();
    if (!score) {
        q->over = mr_fail(&q->err, MR_EPREDICT, "the model gave no scores");
        return;
    }
    if (q->ask.logprobs >= 0)
        memcpy(w->copy, score, (size_t)w->n_vocab * sizeof *score);
    int32_t token = pick(w, q, score);
    if (token < 0) { /* a finished grammar admits the end only, and ignore_eos forbids it */
        q->over = 1;
        return;
    }
    if (w->api.llama_vocab_is_eog(w->vocab, token)) {
        q->over = 1;
        q->output++; /* it was computed */
        return;
    }
    if (q->grammar)
        w->api.llama_sampler_accept(q->grammar, token);
    q->token[q->n++] = token;
    q->output++;
    mr_answer_add(&q->out, piece, (size_t)mr_lw_piece(w, token, piece, sizeof piece));
    if (q->ask.logprobs >= 0)
        put_logprobs(w, q, token);
    if (q->out.stopped_by >= 0)
        q->over = 1;
    else if (q->n - q->n_prompt >= q->limit)
        end_by_length(q);
    if (!mr_buf_ok(&q->out.text) || !mr_buf_ok(&q->logprobs))
        q->over = mr_fail(&q->err, MR_ENOMEM, "out of memory for the answer");
}
