/* Attempts of one request: start, judge, again, elsewhere, or the end. */
#include "base/alloc.h"
#include "base/clock.h"
#include "core/gateway/internal.h"

#include <stdarg.h>

/* The provider's name in front. */
int mr_chat_fail(struct chat *c, int rc, const char *fmt, ...) {
    struct mr_err *e = &c->result.err;
    *e = (struct mr_err){.code = rc};
    int n = snprintf(e->msg, sizeof e->msg, "%s: ", c->t->p.name);
    va_list ap;
    va_start(ap, fmt);
    if (n > 0 && (size_t)n < sizeof e->msg)
        vsnprintf(e->msg + n, sizeof e->msg - (size_t)n, fmt, ap);
    va_end(ap);
    c->result.rc = rc;
    return rc;
}

void mr_chat_refused(struct chat *c, enum admitted why, int64_t wait_ms) {
    if (c->result.rc == 0) /* otherwise what went wrong before says more */
        mr_chat_fail(c, MR_EUNAVAIL,
                     why == ADMIT_FULL ? "too many requests are waiting"
                                       : "it has failed repeatedly and is not asked for a while");
    c->result.retry_after_ms = wait_ms;
}

/* ---- another attempt ---- */

static uint64_t draw(struct mr_gateway *g) { /* xorshift64* */
    g->random ^= g->random >> 12;
    g->random ^= g->random << 25;
    g->random ^= g->random >> 27;
    return g->random * 0x2545f4914f6cdd1dU >> 11;
}

/* Full jitter; what the provider asks for is honoured, with up to a tenth on top. */
static int64_t backoff_ms(struct chat *c, int64_t asked_ms) {
    int64_t most = (int64_t)GATEWAY_BACKOFF_MS << (c->tries - 1);
    if (most > GATEWAY_BACKOFF_MAX_MS)
        most = GATEWAY_BACKOFF_MAX_MS;
    if (asked_ms < 0)
        return (int64_t)(draw(c->g) % (uint64_t)(most + 1));
    return asked_ms + (int64_t)(draw(c->g) % (uint64_t)(asked_ms / 10 + 1));
}

static void attempt(void *arg) {
    struct chat *c = arg;
    struct target *t = c->t;
    int64_t wait_ms = -1;
    enum admitted a = mr_chat_admit(c, true, &wait_ms);
    if (a == ADMIT_QUEUED)
        return;
    if (a != ADMIT_GO) {
        mr_chat_refused(c, a, wait_ms);
        mr_chat_give_up(c, true);
        return;
    }
    struct mr_err e = {0};
    bool probe = c->probe;
    if (mr_chat_start(c, &e) < 0) {
        mr_target_give_back(t, probe);
        mr_chat_fail(c, e.code, "%s", e.msg);
        mr_chat_finish(c);
    }
}

static bool try_again(struct chat *c) {
    struct mr_gateway *g = c->g;
    if (c->tries > g->c.retries)
        return false;
    int64_t ms = backoff_ms(c, c->result.retry_after_ms);
    if (mr_mono_ns() + (ms + GATEWAY_LAST_MS) * 1000000 > c->deadline_ns)
        return false;
    if (mr_upstream_after(g->c.upstream, (int)ms, attempt, c, NULL) < 0)
        return false;
    pthread_mutex_lock(&c->t->mu);
    c->t->stats.retries++;
    pthread_mutex_unlock(&c->t->mu);
    return true;
}

/* ---- another provider ---- */

/* The nearest fallback that is usable and allowed; c->t stays when there is none. */
static bool switch_over(struct chat *c) {
    struct target *from = c->t, *to = from->fallback;
    for (; to && c->hops < GATEWAY_HOPS_MAX; to = to->fallback) {
        c->hops++;
        if ((to->p.key_needed && !to->p.key) || !c->may_fall_back(c->arg, to->listed))
            continue;
        char *model = c->model;
        c->t = to;
        c->model = NULL; /* its default */
        c->tries = 0;
        if (mr_chat_render(c, NULL) < 0) {
            c->t = from;
            c->model = model;
            return false;
        }
        mr_free(model);
        return true;
    }
    return false;
}

void mr_chat_give_up(struct chat *c, bool fall_back) {
    struct target *blame = c->t;
    while (fall_back && c->may_fall_back && !c->result.billed && !c->passed &&
           mr_mono_ns() + GATEWAY_LAST_MS * 1000000LL < c->deadline_ns) {
        struct mr_chat_result before = c->result;
        int64_t wait_ms = -1;
        if (!switch_over(c))
            break;
        struct target *to = c->t;
        enum admitted a = mr_chat_admit(c, false, &wait_ms);
        if (a == ADMIT_QUEUED)
            return;
        if (a == ADMIT_GO) {
            struct mr_err e = {0};
            bool probe = c->probe;
            if (mr_chat_start(c, &e) == 0)
                return;
            mr_target_give_back(to, probe);
            mr_chat_fail(c, e.code, "%s", e.msg);
            blame = to;
            break;
        }
        c->result = before; /* the first reason says more than "not asked either" */
    }
    c->t = blame;
    mr_chat_finish(c);
}

/* ---- one attempt ---- */

static void on_reply(void *arg, const struct mr_upstream_reply *r) {
    struct chat *c = arg;
    struct target *t = c->t;
    bool probe = c->probe;
    struct verdict v = mr_chat_judge(c, r);
    if (c->result.rc < 0) {
        struct mr_log_line l;
        mr_log_begin(&l, c->g->c.log, MR_LOG_INFO, "provider_failed");
        mr_log_cstr(&l, "provider", t->p.name);
        mr_log_int(&l, "status", r->status);
        mr_log_int(&l, "attempt", c->result.attempts);
        mr_log_cstr(&l, "upstream_request_id", r->request_id);
        mr_log_cstr(&l, "err", c->result.err.msg);
        mr_log_cstr(&l, "transport", r->err);
        mr_log_end(&l);
    }
    mr_target_release(t, v.outcome, probe);
    if (c->result.rc == 0)
        mr_chat_finish(c);
    else if (!v.retry || !try_again(c))
        mr_chat_give_up(c, v.fall_back);
}

int mr_chat_start(struct chat *c, struct mr_err *e) {
    struct mr_gateway *g = c->g;
    struct target *t = c->t;
    int64_t now = mr_mono_ns(), left_ms = (c->deadline_ns - now) / 1000000;
    int64_t least_ms = g->c.deadline_ms / 4 < GATEWAY_LAST_MS ? 1 : GATEWAY_LAST_MS;
    if (left_ms < least_ms) /* it would be billed and not answered */
        return mr_fail(e, MR_ETIMEOUT, "no free connection in time");
    mr_chat_reset(c);
    c->begun_ns = now;
    c->tries++;
    c->result.attempts++;
    struct mr_upstream_request q = {.method = "POST",
                                    .url = mr_str(c->embed ? t->embed_url : t->url),
                                    .headers = t->headers,
                                    .n_headers = t->n_headers,
                                    .body = mr_buf_view(&c->body),
                                    .connect_ms = left_ms < 5000 ? (int)left_ms : 5000,
                                    .total_ms = (int)left_ms,
                                    .reply_max = c->embed ? GATEWAY_EMBED_MAX : g->c.reply_max,
                                    .on_data = c->stream ? mr_chat_on_piece : NULL,
                                    .done = on_reply,
                                    .arg = c};
    return mr_upstream_start(g->c.upstream, &q, NULL, e);
}
