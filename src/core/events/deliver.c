#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "core/events/internal.h"

static int64_t jittered(int64_t us) {
    uint32_t r;
    mr_random(&r, sizeof r);
    return us + (int64_t)((double)us * 0.1 * r / 4294967296.0);
}

/* {"event":…,"timestamp":…,"data":…}: the same bytes on every try. */
static void payload(const struct mr_claim *c, struct mr_buf *b) {
    char at[MR_TIME_LEN];
    mr_time_rfc3339(c->event_us, at);
    mr_buf_cstr(b, "{\"event\":");
    mr_buf_json(b, c->event);
    mr_buf_fmt(b, ",\"timestamp\":\"%s\",\"data\":", at);
    mr_buf_str(b, c->data);
    mr_buf_char(b, '}');
}

static struct mr_str keep_text(struct mr_claim *c, const char *p, size_t n) {
    char *copy = mr_arena_strn(c->arena, p, n);
    return copy ? mr_strn(copy, n) : MR_LIT("");
}

static int post(struct mr_events *ev, struct mr_claim *c, struct mr_outbound_reply *ret,
                struct mr_err *e) {
    MR_CLEANUP(mr_buf_release) struct mr_buf body;
    mr_buf_init(&body, 8 << 20);
    payload(c, &body);
    if (!mr_buf_ok(&body))
        return mr_fail(e, body.fail, "the event's payload does not fit");
    char id[64], stamp[32];
    if (!mr_id_print("msg_", c->event_id, id, sizeof id))
        return mr_fail(e, MR_EINTERNAL, "id too long");
    int64_t now_s = mr_now_us() / 1000000;
    snprintf(stamp, sizeof stamp, "%lld", (long long)now_s);
    struct mr_webhook_signature sig;
    int rc = mr_webhook_sign(c->secret, mr_str(id), now_s, mr_buf_view(&body), &sig, e);
    if (rc)
        return rc;
    const struct mr_outbound_header headers[] = {
        {"Content-Type", MR_LIT("application/json")}, {"webhook-id", mr_str(id)},
        {"webhook-timestamp", mr_str(stamp)},         {"webhook-signature", mr_str(sig.standard)},
        {"X-ServeML-Signature", mr_str(sig.serveml)}, {"X-ServeML-Event", c->event},
    };
    struct mr_outbound_request q = {
        .method = "POST",
        .url = c->url,
        .headers = headers,
        .n_headers = sizeof headers / sizeof *headers,
        .body = mr_buf_view(&body),
        .timeout_ms = ev->timeout_ms,
        .keep = MR_REPLY_KEEP,
    };
    return mr_outbound(&ev->targets, &q, ret, e);
}

void mr_events_attempt(struct mr_events *ev, struct mr_claim *c) {
    struct mr_outbound_reply r = {.retry_after_s = -1};
    struct mr_err e = {0};
    c->started_us = mr_now_us();
    int64_t t0 = mr_mono_ns();
    int rc = post(ev, c, &r, &e);
    c->duration_us = (mr_mono_ns() - t0) / 1000;
    c->status = rc ? 0 : r.status;
    c->error = c->reply = MR_LIT("");
    if (rc == 0) {
        c->reply = keep_text(c, r.body, r.body_len);
        if (r.status < 200 || r.status > 299)
            mr_fail(&e, MR_EIO, "answered with status %d", r.status);
    }
    if (e.msg[0])
        c->error = keep_text(c, e.msg, strlen(e.msg));
    c->gone = c->status == 410;
    if (rc == 0 && r.status >= 200 && r.status <= 299) {
        c->state = MR_DLV_DONE;
    } else if (c->gone || (size_t)c->attempt >= ev->n_schedule) {
        c->state = MR_DLV_DEAD;
    } else {
        int64_t wait = jittered(ev->schedule_ms[c->attempt] * 1000), asked = 0;
        if ((c->status == 429 || c->status == 503) && r.retry_after_s > 0)
            asked = (r.retry_after_s < 86400 ? r.retry_after_s : 86400) * 1000000;
        c->state = MR_DLV_PENDING;
        c->next_us = mr_now_us() + (wait > asked ? wait : asked);
    }
    mr_outbound_reply_release(&r);
}
