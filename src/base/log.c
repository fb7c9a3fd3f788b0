#include "base/log.h"

#include "base/clock.h"

#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#define LINE_MAX_BYTES 8192

static const char *const level_names[] = {"debug", "info", "warn", "error"};

void mr_log_begin(struct mr_log_line *l, const struct mr_log *log, enum mr_log_level level,
                  const char *event) {
    *l = (struct mr_log_line){
        .log = log, .event = event, .level = level, .on = log && level >= log->level};
    if (!l->on)
        return;
    mr_buf_init(&l->buf, LINE_MAX_BYTES);
    mr_buf_init(&l->members, LINE_MAX_BYTES);
    char ts[MR_TIME_LEN];
    l->at_us = mr_now_us();
    mr_time_rfc3339_us(l->at_us, ts);
    if (log->format == MR_LOG_JSON)
        mr_buf_fmt(&l->buf, "{\"ts\":\"%s\",\"level\":\"%s\",\"event\":\"%s\"", ts,
                   level_names[level], event);
    else
        mr_buf_fmt(&l->buf, "%.19s %-5s %s", ts, level_names[level], event);
}

static void key_of(struct mr_log_line *l, const char *key) {
    if (l->log->format == MR_LOG_JSON)
        mr_buf_fmt(&l->buf, ",\"%s\":", key);
    else
        mr_buf_fmt(&l->buf, " %s=", key);
    if (l->log->tap.fn)
        mr_buf_fmt(&l->members, "%s\"%s\":", l->members.n ? "," : "", key);
}

void mr_log_str(struct mr_log_line *l, const char *key, struct mr_str v) {
    if (!l->on)
        return;
    key_of(l, key);
    mr_buf_json(&l->buf, v);
    if (l->log->tap.fn)
        mr_buf_json(&l->members, v);
}

void mr_log_cstr(struct mr_log_line *l, const char *key, const char *v) {
    mr_log_str(l, key, mr_str(v));
}

void mr_log_int(struct mr_log_line *l, const char *key, int64_t v) {
    if (!l->on)
        return;
    key_of(l, key);
    mr_buf_i64(&l->buf, v);
    if (l->log->tap.fn)
        mr_buf_i64(&l->members, v);
}

void mr_log_num(struct mr_log_line *l, const char *key, double v) {
    if (!l->on)
        return;
    key_of(l, key);
    mr_buf_f64(&l->buf, v);
    if (l->log->tap.fn)
        mr_buf_f64(&l->members, v);
}

void mr_log_end(struct mr_log_line *l) {
    if (!l->on)
        return;
    mr_buf_cstr(&l->buf, l->log->format == MR_LOG_JSON ? "}\n" : "\n");
    /* An over-long line is dropped whole rather than written broken. */
    if (mr_buf_ok(&l->buf)) {
        ssize_t n = write(l->log->fd, l->buf.p, l->buf.n);
        (void)n; /* a log that cannot be written must not stop the server */
        if (l->log->tap.fn && mr_buf_ok(&l->members))
            l->log->tap.fn(l->log->tap.arg, l->at_us, l->level, l->event, mr_buf_view(&l->members));
    }
    mr_buf_release(&l->members);
    mr_buf_release(&l->buf);
    l->on = 0;
}

void mr_log_msg(const struct mr_log *log, enum mr_log_level level, const char *event,
                const char *fmt, ...) {
    if (!log || level < log->level)
        return;
    char msg[1024];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(msg, sizeof msg, fmt, ap);
    va_end(ap);
    struct mr_log_line l;
    mr_log_begin(&l, log, level, event);
    mr_log_cstr(&l, "msg", msg);
    mr_log_end(&l);
}
