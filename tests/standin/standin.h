/* A stand-in for the chat APIs of OpenAI and Mistral: one thread, deterministic replies, faults on
 * request, counters for tests (README.md). A test program: not part of the server. */
#ifndef MR_STANDIN_H
#define MR_STANDIN_H

#include "base/buf.h"
#include "base/str.h"
#include "io/loop.h"

#include <stdbool.h>
#include <stdint.h>
#include <yyjson.h>

enum dialect { OPENAI, MISTRAL };
enum { IN_MAX = 64 << 20, OUT_MAX = 1 << 30, TAG_MAX = 64, KEY_MAX = 64, RULES_MAX = 32 };

/* What to do to one request: from the marker in its prompt or from a rule set by a test. */
struct fault {
    char name[32];     /* "" = none */
    int64_t arg;       /* -1 = the fault's default */
    int64_t times;     /* the first `times` requests only; -1 = all */
    int64_t out;       /* completion tokens; -1 = from the prompt */
    int64_t cached;    /* cached prompt tokens; -1 = by the rule of README.md */
    char tag[TAG_MAX]; /* counted under this name */
};

/* Counters of one key or one tag. */
struct tally {
    char name[KEY_MAX];
    uint64_t requests, completions, delivered;
};
struct tallies {
    struct tally **at; /* open addressing, size a power of two; entries never move or go */
    size_t n, size;
};
/* NULL: no memory, or an empty name. The pointer stays good. */
struct tally *tally_get(struct tallies *t, struct mr_str name);
void tallies_zero(struct tallies *t);

struct rule {
    struct fault fault;
    char model[KEY_MAX], key[KEY_MAX], path[KEY_MAX]; /* "" = any */
    uint64_t used;
};

struct stats {
    uint64_t requests, completions, delivered, streams, errors, hangups, connections, open;
    uint64_t in_flight, in_flight_peak, prompt_tokens, completion_tokens, faults;
};

struct standin {
    struct mr_loop *loop;
    struct stats stats;
    struct tallies keys, tags, repeats; /* repeats: `times` of prompts' own faults */
    struct rule rules[RULES_MAX];
    size_t n_rules;
    struct mr_buf last; /* head and body of the latest API request */
    uint64_t ids;
    int64_t delay_ms; /* every completion waits as long */
    bool keep_last;
};

enum ending { KEEP, HANG, CLOSE, RESET };
/* How an answer leaves: the bytes are in `out`. */
struct plan {
    int64_t delay_ms;   /* before the first byte */
    size_t limit;       /* bytes sent before the ending or the pacing takes over */
    int64_t step_ms;    /* > 0: further pieces, one each step */
    bool by_event;      /* a step is one event of a stream; otherwise one byte */
    enum ending ending; /* once everything (or `limit` without pacing) is out */
};

struct request {
    bool post;
    struct mr_str path, body, auth, head;
    enum dialect dialect;
    bool close;
};
struct answer {
    struct mr_buf *out; /* head and body are appended */
    struct plan plan;
    struct tally *key, *tag; /* credited when delivered */
    bool completion;
};

/* server.c */
int standin_listen(struct standin *s, int port, int *ret_port);
/* answer.c: fills `a` for one whole request. */
void standin_answer(struct standin *s, const struct request *q, struct answer *a);
void standin_head(struct standin *s, struct mr_buf *out, enum dialect d, int status,
                  const char *type, const char *extra, size_t length);
void standin_json(struct standin *s, struct answer *a, enum dialect d, int status,
                  const char *extra, struct mr_str body);
/* The error shape of the dialect. */
void standin_error(struct standin *s, struct answer *a, enum dialect d, int status,
                   const char *extra, const char *type, const char *code, const char *message);
/* chat.c */
void standin_chat(struct standin *s, const struct request *q, struct answer *a);
void standin_embeddings(struct standin *s, const struct request *q, struct answer *a);
/* Words of the reply to a prompt whose hash is `seed`: word i, without its leading space. */
const char *standin_word(uint64_t seed, int64_t i);
uint64_t standin_hash(struct mr_str s);
/* fault.c */
void fault_clear(struct fault *f);
/* Reads "[standin k=v …]" at the start of a prompt; *prompt keeps it (the tokens count it). */
void fault_from_prompt(struct mr_str prompt, struct fault *f);
/* The rule for this request, if one applies now; counts its use. */
const struct fault *fault_from_rules(struct standin *s, struct mr_str path, struct mr_str model,
                                     struct mr_str key);
/* True when the fault replaces the answer (it is written). Otherwise what changes a good answer is
 * left to the caller and to fault_shape. */
bool fault_before(struct standin *s, const struct fault *f, enum dialect d, struct answer *a);
/* After a good answer was written from `start` on: hanging, cutting, dripping. */
void fault_after(const struct fault *f, size_t start, size_t head, struct answer *a);
/* control.c */
void standin_control(struct standin *s, const struct request *q, struct answer *a);

#endif
