/* Replies kept under a client's Idempotency-Key for a day: a request that is repeated is answered
 * with what its first one got and not run again. Only successes are kept; one that failed may be
 * tried again. Thread-safe. */
#ifndef MR_CORE_REPLIES_REPLIES_H
#define MR_CORE_REPLIES_REPLIES_H

#include "base/arena.h"
#include "base/err.h"
#include "base/id.h"
#include "store/db.h"

#define MR_REPLY_MAX ((size_t)4 << 20) /* larger ones are not kept, and the key says so */

struct mr_reply {
    int status;
    struct mr_str type, body; /* in the arena */
};
struct mr_reply_key {
    struct mr_id account;
    struct mr_str key;     /* 1 to 255 bytes */
    uint8_t body_hash[32]; /* SHA-256 of method, path and body */
};
/* Takes the key. *ret_again: it was answered before, *ret is that answer. MR_ECONFLICT: its first
 * request is still under way. MR_EFIELD "Idempotency-Key": it was used for another request.
 * What was under way before `since_us` (the start of this process) is over. Blocks. */
int mr_reply_begin(struct mr_db *db, const struct mr_reply_key *k, int64_t since_us,
                   struct mr_arena *arena, struct mr_reply *ret, bool *ret_again, struct mr_err *e);
/* Keeps the answer, or with NULL forgets the key. Does not block; best effort. */
void mr_reply_end(struct mr_db *db, const struct mr_reply_key *k, const struct mr_reply *r);

#endif
