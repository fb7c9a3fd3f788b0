/* Structured log: one line an event, JSON or text. Only main-program layers (core, api, cli, and
 * the server loop) log; library code returns errors. Thread-safe; a line is one write(2), so lines
 * never interleave. Values are never secrets: callers pass ids, not tokens. */
#ifndef MR_BASE_LOG_H
#define MR_BASE_LOG_H

#include "base/buf.h"
#include "base/str.h"

#include <stdint.h>

enum mr_log_level { MR_LOG_DEBUG, MR_LOG_INFO, MR_LOG_WARN, MR_LOG_ERROR };
enum mr_log_format { MR_LOG_JSON, MR_LOG_TEXT };

/* Sees every line that is written, as well. `members`: its keys as JSON members without braces
 * ("\"msg\":\"…\",\"n\":1"). Any thread; must not log or block. */
struct mr_log_tap {
    void (*fn)(void *arg, int64_t at_us, enum mr_log_level level, const char *event,
               struct mr_str members);
    void *arg;
};

struct mr_log {
    int fd;
    enum mr_log_level level;
    enum mr_log_format format;
    struct mr_log_tap tap; /* fn NULL: none */
};

/* One line under construction. */
struct mr_log_line {
    struct mr_buf buf;
    struct mr_buf members; /* for the tap */
    const struct mr_log *log;
    const char *event;
    enum mr_log_level level;
    int64_t at_us;
    int on; /* 0: below the level, nothing is built */
};

void mr_log_begin(struct mr_log_line *l, const struct mr_log *log, enum mr_log_level level,
                  const char *event);
void mr_log_str(struct mr_log_line *l, const char *key, struct mr_str v);
void mr_log_cstr(struct mr_log_line *l, const char *key, const char *v);
void mr_log_int(struct mr_log_line *l, const char *key, int64_t v);
void mr_log_num(struct mr_log_line *l, const char *key, double v);
void mr_log_end(struct mr_log_line *l);
/* A whole line with one message. `log` may be NULL: nothing happens. */
void mr_log_msg(const struct mr_log *log, enum mr_log_level level, const char *event,
                const char *fmt, ...) __attribute__((format(printf, 4, 5)));

#endif
