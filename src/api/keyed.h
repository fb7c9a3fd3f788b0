/* Idempotency-Key on requests that cost: the first one's reply again (core/replies). A handler
 * calls mr_keyed_begin before it spends anything; JSON replies of mr_call_json are kept by
 * themselves, streams by mr_keyed_keep; whatever ends without either gives the key back
 * (mr_call_finish). */
#ifndef MR_API_KEYED_H
#define MR_API_KEYED_H

#include "api/api.h"
#include "core/replies/replies.h"

struct mr_keyed {
    struct mr_reply_key key;
    bool on; /* the key is ours to answer */
};
/* 1: go on (no key, or a new one). 0: *ret is the first request's reply, for mr_keyed_replay.
 * MR_ECONFLICT: it is under way, or was too large to be kept. MR_EFIELD: the key was used for
 * another path, body or form. Blocks. */
int mr_keyed_begin(struct mr_call *c, struct mr_reply *ret, struct mr_err *e);
void mr_keyed_replay(struct mr_call *c, const struct mr_reply *r);
static inline bool mr_keyed_on(const struct mr_call *c) {
    return c->keyed && c->keyed->on;
}
/* No-ops without a key. Keep: a body of more than MR_REPLY_MAX bytes is not read. */
void mr_keyed_keep(struct mr_call *c, int status, struct mr_str type, struct mr_str body);
void mr_keyed_forget(struct mr_call *c);

#endif
