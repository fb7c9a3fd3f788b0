/* The messages between the server and the worker of a language model (both the same program, same
 * machine). Each is one message of io/child.h; its first byte says what it is.
 *
 *   server -> worker
 *     'H' struct mr_llm_hello                      first of all
 *     'G' struct mr_llm_ask, then texts            a request; mr_llm_put_ask
 *     'C' u64 id                                   cancel
 *     'A' u64 adapter                              its file comes over the second socket
 *     'U' u64 adapter                              forget it
 *   worker -> server
 *     'R' u32 context, u32 context_train, u32 embedding, u64 parameters, u8 has_template   ready
 *     'E' i32 code, text to the end                not ready, and the worker ends
 *     'D' u64 id, u32 tokens, text, text           a piece and its logprobs
 *     'F' struct mr_llm_end, text field, text message    a request is over
 *
 * A text is u32 length and bytes. The server trusts the worker no more than a client: everything
 * is checked on arrival. */
#ifndef MR_ENGINE_LLM_WIRE_H
#define MR_ENGINE_LLM_WIRE_H

#include "base/arena.h"
#include "base/buf.h"
#include "engine/llm/llm.h"
#include "engine/onnx/tensors.h"

#define MR_LLM_MESSAGE_MAX  ((size_t)32 << 20)
#define MR_LLM_TEXT_MAX     ((size_t)16 << 20) /* a prompt or conversation */
#define MR_LLM_TURNS_MAX    4096
#define MR_LLM_PARALLEL_MAX 64
#define MR_LLM_ADAPTERS     16

enum { MR_LLM_MODEL_FD = 3, MR_LLM_TALK_FD = 4, MR_LLM_FILES_FD = 5, MR_LLM_ADAPTER_FD = 6 };

struct mr_llm_hello {
    uint64_t memory_max;
    uint32_t parallel, threads, context;
};

/* What a request is without its texts; also its whole state of parameters in the worker. */
struct mr_llm_ask {
    uint64_t id, adapter; /* adapter: 0 = none */
    double adapter_scale;
    double temperature, top_p, min_p;
    double frequency_penalty, presence_penalty, repeat_penalty;
    uint64_t seed;
    int64_t max_tokens;
    int32_t top_k, logprobs;
    uint32_t n_stop, n_turns; /* n_turns 0: raw text */
    uint32_t ignore_eos, count_only;
};
struct mr_llm_turn {
    struct mr_str role, content;
};
struct mr_llm_texts {
    struct mr_str stop[MR_LLM_STOPS_MAX];
    struct mr_str grammar; /* "" = none */
    struct mr_str raw;
    struct mr_llm_turn *turn;
};
struct mr_llm_end {
    uint64_t id;
    int64_t queue_ns, prompt_ns;
    uint32_t prompt_tokens, cached_tokens, output_tokens;
    int32_t rc;      /* 0 or MR_E* */
    int32_t stop;    /* index of the stop string, -1 = none */
    uint32_t length; /* 1: ended because of its length */
};

void mr_llm_put_text(struct mr_buf *b, struct mr_str s);
bool mr_llm_get_text(struct mr_reader *r, struct mr_str *ret); /* a view */
void mr_llm_put_ask(struct mr_buf *b, const struct mr_llm_ask *a, const struct mr_llm_texts *t);
/* Views into the message; turns in the arena. */
bool mr_llm_get_ask(struct mr_reader *r, struct mr_arena *arena, struct mr_llm_ask *a,
                    struct mr_llm_texts *t);

/* Frames of io/child.h, written into a buffer: begin gives the place that end fills. */
size_t mr_llm_frame_begin(struct mr_buf *b, char kind);
void mr_llm_frame_end(struct mr_buf *b, size_t at);
/* Takes the next whole frame out of what has arrived (*at moves on). 0: none yet; -1: nonsense. */
int mr_llm_frame_next(const struct mr_buf *b, size_t *at, char *ret_kind, struct mr_reader *ret);

#endif
