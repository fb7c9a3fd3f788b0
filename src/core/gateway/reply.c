/* What an attempt came to: a reply, a stream, an error status, or none of them. */
#include "base/clock.h"
#include "core/gateway/internal.h"

void mr_chat_reset(struct chat *c) {
    struct mr_chat_result *r = &c->result;
    r->rc = 0;
    r->retry_after_ms = -1;
    r->billed = false;
    r->usage = (struct mr_chat_usage){0};
    r->text = r->model = r->finish_reason = (struct mr_str){"", 0};
    r->tool_calls_json = r->logprobs_json = (struct mr_str){"", 0};
    mr_arena_reset(&c->arena);
    mr_buf_clear(&c->text);
    if (c->sse_on)
        mr_sse_release(&c->sse);
    c->sse_on = c->ended = c->finished = false;
    c->stream_err = (struct mr_err){0};
}

/* ---- streams ---- */

static int on_event(void *arg, const struct mr_sse_event *sse) {
    struct chat *c = arg;
    struct mr_chat_event ev;
    if (c->ended || !sse->data.n)
        return 0;
    mr_arena_reset(&c->scratch);
    int rc = mr_provider_event(sse->data, &c->scratch, &ev, &c->stream_err);
    if (rc < 0)
        return rc;
    c->ended = ev.done;
    if (ev.usage.present)
        c->result.usage = ev.usage;
    if (ev.model.n && !c->result.model.n)
        c->result.model = mr_arena_keep(&c->arena, ev.model);
    if (ev.finish_reason.n) {
        c->finished = true;
        c->result.finish_reason = mr_arena_keep(&c->arena, ev.finish_reason);
    }
    mr_buf_str(&c->text, ev.delta);
    if (!mr_buf_ok(&c->text))
        return mr_fail(&c->stream_err, MR_ETOOBIG, "the reply is larger than allowed");
    bool some = ev.delta.n || (c->on_event && (ev.tool_calls_json.n || ev.logprobs_json.n));
    if (some && (c->on_delta || c->on_event) && !c->gone) {
        c->passed = true;
        /* Gone: read on, the usage comes last. */
        c->gone = c->on_event ? c->on_event(c->arg, &ev) != 0 : c->on_delta(c->arg, ev.delta) != 0;
    }
    return 0;
}

int mr_chat_on_piece(void *arg, struct mr_str piece) {
    struct chat *c = arg;
    if (!c->sse_on) {
        mr_sse_begin(&c->sse, c->g->c.reply_max, c->g->c.reply_max, on_event, c);
        c->sse_on = true;
    }
    struct mr_err e = {0};
    int rc = mr_sse_feed(&c->sse, piece.p, piece.n, &e);
    if (rc < 0 && !c->stream_err.code)
        c->stream_err = e.code ? e : (struct mr_err){.code = rc, .msg = "the stream is damaged"};
    return rc;
}

/* ---- judging ---- */

/* A time-out is the upstream's fault only when it had a fair share of the time: half of the
 * deadline, or a second to connect. */
static enum outcome late(const struct chat *c, bool sent) {
    int64_t had_ms = (mr_mono_ns() - c->begun_ns) / 1000000;
    bool fair = had_ms * 2 >= c->g->c.deadline_ms || (!sent && had_ms >= 1000);
    return fair ? OUTCOME_FAULT : OUTCOME_NONE;
}

/* No status, or a reply that broke off. What was sent may have been run and billed: no retry. */
static struct verdict broken(struct chat *c, const struct mr_upstream_reply *r) {
    struct mr_chat_result *res = &c->result;
    res->billed = r->sent;
    switch (r->rc) {
    case MR_ETIMEOUT:
        mr_chat_fail(c, r->sent ? MR_ETIMEOUT : MR_EPREDICT, "%s",
                     r->sent ? "no answer in time" : "no connection in time");
        return (struct verdict){late(c, r->sent), !r->sent, !r->sent};
    case MR_ETOOBIG:
        mr_chat_fail(c, MR_EPREDICT, "the reply is larger than %zu bytes", c->g->c.reply_max);
        return (struct verdict){OUTCOME_GOOD, false, false};
    case MR_ECANCELLED:
        mr_chat_fail(c, MR_EUNAVAIL, "%s", r->err);
        return (struct verdict){OUTCOME_NONE, false, false};
    default:
        mr_chat_fail(c, MR_EPREDICT, "%s",
                     r->sent ? "the connection broke before the answer was complete"
                             : "cannot connect");
        return (struct verdict){OUTCOME_FAULT, !r->sent, !r->sent};
    }
}

static struct verdict refused(struct chat *c, const struct mr_upstream_reply *r) {
    struct mr_str why;
    enum mr_failure f = mr_provider_error(r->status, r->body, &c->arena, &why);
    struct verdict v = {r->status >= 500 ? OUTCOME_FAULT : OUTCOME_GOOD, false, true};
    int rc = MR_EPREDICT;
    if (f == MR_FAIL_QUOTA)
        rc = MR_ELIMIT;
    else if (f == MR_FAIL_REQUEST) {
        rc = MR_EINVAL;
        v.fall_back = false; /* another provider would be asked the same wrong thing */
    } else if (f == MR_FAIL_RETRY) {
        v.retry = true;
        if (r->status == 429)
            rc = MR_ELIMIT;
    }
    c->result.retry_after_ms = r->retry_after_ms;
    mr_chat_fail(c, rc, "%.*s", (int)why.n, why.p);
    return v;
}

static struct verdict whole(struct chat *c, const struct mr_upstream_reply *r) {
    struct mr_chat_reply reply;
    struct mr_err e;
    c->result.billed = true; /* a 2xx status: something ran */
    if (c->embed) {
        c->result.text = r->body;
        return (struct verdict){OUTCOME_GOOD, false, false};
    }
    if (mr_provider_reply(r->body, &c->arena, &reply, &e) < 0) {
        mr_chat_fail(c, MR_EPREDICT, "%s", e.msg);
        return (struct verdict){OUTCOME_FAULT, false, false};
    }
    c->result.text = reply.text;
    c->result.model = reply.model;
    c->result.finish_reason = reply.finish_reason;
    c->result.tool_calls_json = reply.tool_calls_json;
    c->result.logprobs_json = reply.logprobs_json;
    c->result.usage = reply.usage;
    return (struct verdict){OUTCOME_GOOD, false, false};
}

static struct verdict streamed(struct chat *c, const struct mr_upstream_reply *r) {
    c->result.billed = true;
    c->result.text = mr_buf_view(&c->text);
    if (c->stream_err.code) {
        mr_chat_fail(c, MR_EPREDICT, "%s", c->stream_err.msg);
        return (struct verdict){OUTCOME_FAULT, false, false};
    }
    if (c->ended || (c->finished && r->rc == 0))
        return (struct verdict){OUTCOME_GOOD, false, false};
    if (r->rc < 0)
        return broken(c, r);
    mr_chat_fail(c, MR_EPREDICT, "%s",
                 c->result.model.n ? "the stream ended before the answer was complete"
                                   : "the reply is not a stream of events");
    return (struct verdict){OUTCOME_FAULT, false, false};
}

struct verdict mr_chat_judge(struct chat *c, const struct mr_upstream_reply *r) {
    c->result.first_byte_ns = r->first_byte_ns;
    bool good = r->status >= 200 && r->status < 300;
    if (good && c->stream)
        return streamed(c, r);
    if (r->status >= 400 && r->rc != MR_ECANCELLED)
        return refused(c, r);
    if (r->rc < 0)
        return broken(c, r);
    if (good)
        return whole(c, r);
    mr_chat_fail(c, MR_EPREDICT, "it answered with status %d, which is not followed", r->status);
    return (struct verdict){OUTCOME_GOOD, false, true};
}
