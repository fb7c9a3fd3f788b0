#include "engine/llm/wire.h"

#include <string.h>

void mr_llm_put_text(struct mr_buf *b, struct mr_str s) {
    mr_tensors_put_u32(b, (uint32_t)s.n);
    mr_buf_str(b, s);
}

bool mr_llm_get_text(struct mr_reader *r, struct mr_str *ret) {
    uint32_t n;
    const uint8_t *p;
    if (!mr_tensors_get_u32(r, &n) || !mr_tensors_get_bytes(r, n, &p))
        return false;
    *ret = (struct mr_str){(const char *)p, n};
    return true;
}

void mr_llm_put_ask(struct mr_buf *b, const struct mr_llm_ask *a, const struct mr_llm_texts *t) {
    mr_buf_add(b, a, sizeof *a);
    for (uint32_t k = 0; k < a->n_stop; k++)
        mr_llm_put_text(b, t->stop[k]);
    mr_llm_put_text(b, t->grammar);
    if (!a->n_turns)
        mr_llm_put_text(b, t->raw);
    for (uint32_t k = 0; k < a->n_turns; k++) {
        mr_llm_put_text(b, t->turn[k].role);
        mr_llm_put_text(b, t->turn[k].content);
    }
}

bool mr_llm_get_ask(struct mr_reader *r, struct mr_arena *arena, struct mr_llm_ask *a,
                    struct mr_llm_texts *t) {
    const uint8_t *p;
    *t = (struct mr_llm_texts){0};
    if (!mr_tensors_get_bytes(r, sizeof *a, &p))
        return false;
    memcpy(a, p, sizeof *a);
    if (a->n_stop > MR_LLM_STOPS_MAX || a->n_turns > MR_LLM_TURNS_MAX)
        return false;
    for (uint32_t k = 0; k < a->n_stop; k++)
        if (!mr_llm_get_text(r, &t->stop[k]))
            return false;
    if (!mr_llm_get_text(r, &t->grammar))
        return false;
    if (!a->n_turns)
        return mr_llm_get_text(r, &t->raw);
    t->turn = mr_arena_array(arena, a->n_turns, sizeof *t->turn);
    for (uint32_t k = 0; t->turn && k < a->n_turns; k++)
        if (!mr_llm_get_text(r, &t->turn[k].role) || !mr_llm_get_text(r, &t->turn[k].content))
            return false;
    return t->turn != NULL;
}

size_t mr_llm_frame_begin(struct mr_buf *b, char kind) {
    size_t at = b->n;
    mr_tensors_put_u32(b, 0);
    mr_buf_char(b, kind);
    return at;
}

void mr_llm_frame_end(struct mr_buf *b, size_t at) {
    if (!mr_buf_ok(b))
        return;
    size_t n = b->n - at - 4;
    for (unsigned k = 0; k < 4; k++)
        b->p[at + k] = (char)(n >> 8 * k);
}

int mr_llm_frame_next(const struct mr_buf *b, size_t *at, char *ret_kind, struct mr_reader *ret) {
    if (b->n - *at < 5)
        return 0;
    struct mr_reader r = {.p = (const uint8_t *)b->p + *at, .end = (const uint8_t *)b->p + b->n};
    uint32_t n;
    const uint8_t *p;
    if (!mr_tensors_get_u32(&r, &n) || !n || n > MR_LLM_MESSAGE_MAX)
        return -1;
    if (!mr_tensors_get_bytes(&r, n, &p))
        return 0;
    *at += 4 + (size_t)n;
    *ret_kind = (char)*p;
    *ret = (struct mr_reader){.p = p + 1, .end = p + n};
    return 1;
}
