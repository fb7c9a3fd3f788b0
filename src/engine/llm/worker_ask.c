#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "engine/llm/worker.h"

#include <string.h>

int mr_lw_piece(struct mr_lw *w, int32_t token, char *p, int cap) {
    int n = w->api.llama_token_to_piece(w->vocab, token, p, cap, 0, false);
    return n > 0 ? n : 0;
}

void mr_lw_finish(struct mr_lw *w, struct mr_lw_request *q) {
    int64_t now = mr_mono_ns();
    struct mr_llm_end end = {
        .id = q->ask.id,
        .queue_ns = (q->started_ns ? q->started_ns : now) - q->arrived_ns,
        .prompt_ns = q->first_ns ? q->first_ns - q->started_ns : 0,
        .prompt_tokens = (uint32_t)q->n_prompt,
        .cached_tokens = q->cached,
        .output_tokens = q->output,
        .rc = q->over < 0 ? q->over : 0,
        .stop = q->out.stopped_by,
        .length = q->by_length,
    };
    size_t at = mr_llm_frame_begin(&w->out, 'F');
    mr_buf_add(&w->out, &end, sizeof end);
    mr_llm_put_text(&w->out, mr_str(end.rc ? q->err.field : ""));
    mr_llm_put_text(&w->out, mr_str(end.rc ? q->err.msg : ""));
    mr_llm_frame_end(&w->out, at);
    if (q->grammar)
        w->api.llama_sampler_free(q->grammar);
    mr_answer_release(&q->out);
    mr_buf_release(&q->logprobs);
    mr_free(q->token);
    mr_arena_release(&q->arena);
    mr_free(q);
}

/* The conversation in the model's own form. */
static int render(struct mr_lw *w, struct mr_lw_request *q, struct mr_buf *out, struct mr_err *e) {
    if (!w->chat_template)
        return mr_fail_field(e, MR_EFIELD, "messages",
                             "this model has no chat template: it completes raw text only");
    uint32_t n = q->ask.n_turns;
    struct llama_chat_message *m = mr_arena_array(&q->arena, n, sizeof *m);
    if (!m)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    for (uint32_t k = 0; k < n; k++) {
        m[k].role = mr_arena_str(&q->arena, q->texts.turn[k].role);
        m[k].content = mr_arena_str(&q->arena, q->texts.turn[k].content);
        if (!m[k].role || !m[k].content)
            return mr_fail(e, MR_ENOMEM, "out of memory");
    }
    int32_t need = w->api.llama_chat_apply_template(w->chat_template, m, n, true, NULL, 0);
    if (need < 0)
        return mr_fail_field(e, MR_EFIELD, "messages",
                             "the chat template of this model is of a kind that is not known "
                             "here: it completes raw text only");
    char *p = mr_buf_reserve(out, (size_t)need + 1);
    if (!p)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    w->api.llama_chat_apply_template(w->chat_template, m, n, true, p, need);
    out->n += (size_t)need;
    return 0;
}

static const char *field_of(const struct mr_lw_request *q) {
    return q->ask.n_turns ? "messages" : "prompt";
}

static int too_long(const struct mr_lw *w, const struct mr_lw_request *q, const char *about,
                    size_t n, struct mr_err *e) {
    return mr_fail_field(e, MR_EFIELD, field_of(q),
                         "the prompt has %s%zu tokens, more than the model's context of %u tokens "
                         "holds together with an answer",
                         about, n, w->context);
}

static int tokenize(struct mr_lw *w, struct mr_lw_request *q, struct mr_str text,
                    struct mr_err *e) {
    size_t least = text.n / (size_t)w->longest_piece;
    if (least >= w->context && !q->ask.count_only) /* without reading a megabyte of text */
        return too_long(w, q, "at least ", least, e);
    size_t cap = text.n + 8;
    int32_t *t = mr_malloc(cap * sizeof *t);
    if (!t)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    int32_t n =
        w->api.llama_tokenize(w->vocab, text.p, (int32_t)text.n, t, (int32_t)cap, true, true);
    if (n <= 0) {
        mr_free(t);
        return n ? mr_fail(e, MR_EPREDICT, "the text cannot be turned into tokens")
                 : mr_fail_field(e, MR_EFIELD, field_of(q), "the prompt is empty");
    }
    q->token = t;
    q->cap = cap;
    q->n = q->n_prompt = (size_t)n;
    if (q->n >= w->context && !q->ask.count_only)
        return too_long(w, q, "", q->n, e);
    return 0;
}

static int make_room(struct mr_lw *w, struct mr_lw_request *q, struct mr_err *e) {
    size_t left = w->context - q->n_prompt;
    int64_t want = q->ask.max_tokens;
    q->limit = want > 0 && (uint64_t)want < left ? (size_t)want : left;
    int32_t *t = mr_realloc(q->token, (q->n_prompt + q->limit + 1) * sizeof *t);
    if (!t)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    q->token = t;
    q->cap = q->n_prompt + q->limit + 1;
    return 0;
}

static int prepare(struct mr_lw *w, struct mr_lw_request *q, struct mr_err *e) {
    MR_CLEANUP(mr_buf_release) struct mr_buf text;
    mr_buf_init(&text, 2 * MR_LLM_MESSAGE_MAX);
    int r = q->ask.n_turns ? render(w, q, &text, e) : 0;
    if (!r)
        r = tokenize(w, q, q->ask.n_turns ? mr_buf_view(&text) : q->texts.raw, e);
    if (!r && !q->ask.count_only)
        r = make_room(w, q, e);
    if (r || q->ask.count_only || !q->texts.grammar.n)
        return r;
    const char *grammar = mr_arena_str(&q->arena, q->texts.grammar);
    q->grammar = grammar ? w->api.llama_sampler_init_grammar(w->vocab, grammar, "root") : NULL;
    return q->grammar ? 0
                      : mr_fail_field(e, MR_EFIELD, "grammar",
                                      "the grammar cannot be read: it must be GBNF with a rule "
                                      "called root");
}

static struct mr_lw_request *parse(struct mr_reader *r) {
    struct mr_lw_request *q = mr_calloc(1, sizeof *q);
    if (!q)
        return NULL;
    mr_arena_init(&q->arena, 4 * MR_LLM_MESSAGE_MAX);
    const uint8_t *p;
    size_t n = (size_t)(r->end - r->p);
    char *copy = mr_arena_alloc(&q->arena, n + 1); /* the buffer of the socket moves on */
    if (!copy || !mr_tensors_get_bytes(r, n, &p)) {
        mr_arena_release(&q->arena);
        mr_free(q);
        return NULL;
    }
    memcpy(copy, p, n);
    struct mr_reader own = {.p = (const uint8_t *)copy, .end = (const uint8_t *)copy + n};
    if (!mr_llm_get_ask(&own, &q->arena, &q->ask, &q->texts)) {
        mr_arena_release(&q->arena);
        mr_free(q);
        return NULL;
    }
    return q;
}

void mr_lw_ask(struct mr_lw *w, struct mr_reader *r) {
    struct mr_lw_request *q = parse(r);
    if (!q)
        return; /* out of memory: the server's deadline ends it */
    const struct mr_llm_ask *a = &q->ask;
    q->arrived_ns = mr_mono_ns();
    q->slot = q->row = -1;
    q->rng = a->seed;
    q->sample = (struct mr_sample_params){.temperature = a->temperature,
                                          .top_p = a->top_p,
                                          .min_p = a->min_p,
                                          .frequency_penalty = a->frequency_penalty,
                                          .presence_penalty = a->presence_penalty,
                                          .repeat_penalty = a->repeat_penalty,
                                          .top_k = a->top_k};
    mr_answer_init(&q->out, q->texts.stop, a->n_stop, MR_LLM_MESSAGE_MAX);
    mr_buf_init(&q->logprobs, MR_LLM_MESSAGE_MAX);
    int rc = prepare(w, q, &q->err);
    if (rc || a->count_only) {
        q->over = rc ? rc : 1;
        mr_lw_finish(w, q);
        return;
    }
    struct mr_lw_request **at = &w->waiting;
    while (*at)
        at = &(*at)->next;
    *at = q;
}
