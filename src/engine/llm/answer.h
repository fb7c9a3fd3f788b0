/* An answer while it grows: bytes of tokens become whole UTF-8 characters (what cannot be one
 * becomes U+FFFD), stop strings are found across token borders, and what could still be the start
 * of one is held back. Pure; one owner. */
#ifndef MR_ENGINE_LLM_ANSWER_H
#define MR_ENGINE_LLM_ANSWER_H

#include "base/buf.h"
#include "base/str.h"

struct mr_answer {
    struct mr_buf text;
    size_t sent; /* bytes of text that were handed out */
    uint8_t tail[4];
    unsigned n_tail; /* bytes of a character that is not whole yet */
    const struct mr_str *stop;
    size_t n_stop, longest;
    int stopped_by; /* -1 = none; then the text ends before it */
};

void mr_answer_init(struct mr_answer *o, const struct mr_str *stop, size_t n_stop, size_t max);
void mr_answer_release(struct mr_answer *o);
/* Nothing is added once a stop string was found. */
void mr_answer_add(struct mr_answer *o, const char *p, size_t n);
/* What can be handed out now; it counts as sent. `last`: the answer is over, nothing is held back.
 */
struct mr_str mr_answer_take(struct mr_answer *o, bool last);

#endif
