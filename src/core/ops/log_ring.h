/* The newest lines of the log, in memory, for GET /ops/logs. A line over its cap loses its details,
 * not its message. Thread-safe. */
#ifndef MR_CORE_OPS_LOG_RING_H
#define MR_CORE_OPS_LOG_RING_H

#include "base/arena.h"
#include "base/err.h"
#include "base/log.h"

#include <stdbool.h>

struct mr_log_ring;
/* `lines`: how many are kept; 0 = 4,096. */
int mr_log_ring_new(size_t lines, struct mr_log_ring **ret, struct mr_err *e);
/* Nobody logs through its tap any more. NULL is fine. */
void mr_log_ring_free(struct mr_log_ring *r);
struct mr_log_tap mr_log_ring_tap(struct mr_log_ring *r);

struct mr_log_entry {
    uint64_t seq; /* from 1, without gaps */
    int64_t at_us;
    enum mr_log_level level;
    const char *service;    /* "llm_service", "vision_service", "nlp_service", "orchestrator" */
    struct mr_str message;  /* the line's msg, else its event */
    struct mr_str trace_id; /* "" = none */
    struct mr_str details;  /* JSON object: the other keys, and "event" */
};
struct mr_log_query {
    const char *service; /* NULL = all */
    enum mr_log_level level;
    uint64_t before; /* only lines with a smaller seq; 0 = all */
    size_t limit;
};
/* Newest first; strings are in the arena. *ret_more: older ones match too. */
int mr_log_ring_read(struct mr_log_ring *r, const struct mr_log_query *q, struct mr_arena *arena,
                     struct mr_log_entry **ret, size_t *ret_n, bool *ret_more, struct mr_err *e);

#endif
