/* Text generation: answers when it has ended, without holding a thread, or streams. */
#include "api/aisemble/aisemble.h"
#include "api/aisemble/gen_aisemble.h"
#include "api/aisemble/params.h"
#include "api/keyed.h"
#include "core/money/money.h"
#include "wire/sse.h"

#include <math.h>

/* A request whose answer comes later; in the request's arena. */
struct waiting {
    struct mr_call *c;
    bool chat, stream;
    bool lost;          /* the client is gone or reads too slowly: nothing more is written */
    struct mr_buf sent; /* with an Idempotency-Key: the stream, as it goes out */
};

/* --- the answer --------------------------------------------------------------------------- */

static void cost(struct mr_buf *b, int64_t nano) {
    mr_json_key(b, "cost");
    mr_money_print(b, nano);
}

static void usage(struct mr_buf *b, const struct mr_usage_tokens *t) {
    mr_json_key(b, "usage");
    mr_buf_char(b, '{');
    mr_json_i64(b, "prompt_tokens", t->input);
    mr_json_i64(b, "completion_tokens", t->output);
    mr_json_i64(b, "total_tokens", t->input + t->output);
    mr_buf_char(b, '}');
}

static void generated(struct waiting *w, struct mr_buf *b, const struct mr_text_result *r) {
    mr_json_str(b, "model", r->model);
    mr_json_str(b, "generated_text", r->text.p ? r->text : MR_LIT(""));
    mr_json_key(b, "metadata");
    mr_buf_char(b, '{');
    mr_json_i64(b, "tokens_used", r->tokens.input + r->tokens.output);
    mr_json_f64(b, "processing_time", mr_aisemble_seconds(w->c));
    cost(b, r->cost_nano);
    mr_json_i64(b, "prompt_tokens", r->tokens.input);
    mr_json_i64(b, "completion_tokens", r->tokens.output);
    mr_json_str(b, "finish_reason", r->finish_reason.p ? r->finish_reason : MR_LIT("stop"));
    mr_json_str(b, "provider", r->provider.p ? r->provider : MR_LIT("local"));
    if (r->charge)
        mr_json_i64(b, "charge_id", r->charge);
    mr_buf_char(b, '}');
    mr_json_cstr(b, "status", "completed");
}

static void chatted(struct mr_buf *b, const struct mr_text_result *r, bool delta) {
    mr_json_str(b, "model", r->model);
    mr_json_str(b, "provider", r->provider.p ? r->provider : MR_LIT("local"));
    if (r->charge)
        mr_json_i64(b, "charge_id", r->charge);
    mr_json_key(b, "choices");
    mr_buf_cstr(b, delta ? "[{\"delta\":{}" : "[{\"message\":{\"role\":\"assistant\"");
    if (!delta) {
        mr_json_str(b, "content", r->text.p ? r->text : MR_LIT(""));
        mr_buf_char(b, '}');
    }
    mr_json_str(b, "finish_reason", r->finish_reason.p ? r->finish_reason : MR_LIT("stop"));
    mr_buf_cstr(b, "}]");
    usage(b, &r->tokens);
    cost(b, r->cost_nano);
}

static void answer(struct waiting *w, struct mr_buf *b, const struct mr_text_result *r) {
    mr_aisemble_begin(w->c, b);
    if (w->chat)
        chatted(b, r, w->stream);
    else
        generated(w, b, r);
    mr_buf_char(b, '}');
}

/* --- streams ------------------------------------------------------------------------------ */

static bool begin_stream(struct waiting *w) {
    struct mr_req *r = w->c->req;
    if (mr_req_streaming(r))
        return true;
    mr_req_set_header(r, "Cache-Control", MR_LIT("no-store"));
    w->lost = mr_req_stream_start(r, 200, "text/event-stream") != 0;
    return !w->lost;
}

static void write_text(struct waiting *w, struct mr_str text) {
    if (mr_keyed_on(w->c))
        mr_buf_str(&w->sent, text);
    if (mr_req_stream_write(w->c->req, text) < 0)
        w->lost = true;
}

/* One event; releases the buffer. */
static void event(struct waiting *w, struct mr_buf *json) {
    struct mr_buf out;
    mr_buf_init(&out, MR_STREAM_WRITE_MAX);
    mr_sse_data(&out, mr_buf_view(json));
    if (!mr_buf_ok(json) || !mr_buf_ok(&out) || !begin_stream(w))
        w->lost = true;
    else
        write_text(w, mr_buf_view(&out));
    mr_buf_release(&out);
    mr_buf_release(json);
}

/* Also called when nothing is streamed: a client that is gone ends its generation. */
static int on_delta(void *arg, const struct mr_llm_delta *d) {
    struct waiting *w = arg;
    struct mr_buf b;
    if (w->lost || mr_req_gone(w->c->req))
        return 1;
    if (!w->stream)
        return 0;
    mr_aisemble_begin(w->c, &b);
    if (w->chat) {
        mr_buf_cstr(&b, ",\"choices\":[{\"delta\":{");
        mr_json_str(&b, "content", d->text);
        mr_buf_cstr(&b, "},\"finish_reason\":null}]");
    } else
        mr_json_str(&b, "delta", d->text);
    mr_buf_char(&b, '}');
    event(w, &b);
    return w->lost;
}

/* The last events. A stream that lost something ends without its last chunk, so that the client
 * sees it. */
static void end_stream(struct waiting *w, const struct mr_text_result *r) {
    struct mr_buf b;
    if (r->rc) {
        mr_call_buf(w->c, &b);
        mr_buf_cstr(&b, "{\"error\":");
        mr_aisemble_error_json(&b, &r->err, mr_aisemble_request_id(w->c->req));
        mr_buf_char(&b, '}');
    } else
        answer(w, &b, r);
    if (w->lost)
        mr_buf_release(&b);
    else
        event(w, &b);
    if (!w->lost)
        write_text(w, MR_LIT("data: [DONE]\n\n"));
    if (!r->rc)
        mr_keyed_keep(w->c, 200, MR_LIT("text/event-stream"),
                      mr_buf_ok(&w->sent) ? mr_buf_view(&w->sent) : mr_strn("", MR_REPLY_MAX + 1));
    mr_buf_release(&w->sent);
    if (w->lost && mr_req_streaming(w->c->req))
        mr_req_stream_abort(w->c->req);
}

/* --- both --------------------------------------------------------------------------------- */

static void done(void *arg, const struct mr_text_result *r) {
    struct waiting *w = arg;
    struct mr_call *c = w->c;
    struct mr_err err = r->err;
    int rc = r->rc;
    if (w->stream && (mr_req_streaming(c->req) || !rc)) {
        end_stream(w, r);
        rc = mr_req_streaming(c->req) ? 0 : mr_fail(&err, MR_ENOMEM, "out of memory");
        mr_call_finish(c, rc ? &err : NULL);
        return;
    }
    if (rc && r->retry_after_ms > 0) {
        char text[24];
        int n = snprintf(text, sizeof text, "%lld", (long long)(r->retry_after_ms + 999) / 1000);
        mr_req_set_header(c->req, "Retry-After", mr_strn(text, (size_t)n));
    }
    if (!rc) {
        struct mr_buf b;
        answer(w, &b, r);
        rc = mr_call_json(c, 200, &b, &err);
    }
    mr_call_finish(c, rc ? &err : NULL);
}

static int start(struct mr_call *c, struct mr_text_request *q, bool chat, struct mr_err *e) {
    struct waiting *w = mr_arena_zalloc(c->req->arena, sizeof *w);
    const struct mr_value *temperature = mr_call_value(c, "temperature");
    uint64_t ticket;
    if (!w)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    int again = mr_aisemble_again(c, e);
    if (again <= 0)
        return again;
    *w = (struct waiting){.c = c, .chat = chat, .stream = mr_call_value(c, "stream")->i != 0};
    mr_buf_init(&w->sent, MR_REPLY_MAX + 1);
    int rc = mr_aisemble_params(mr_call_value(c, "parameters")->json,
                                temperature->present ? temperature->f : NAN,
                                mr_call_i64(c, "max_tokens", 0), c->req->arena, q, e);
    if (rc)
        return rc;
    q->who = c->who;
    q->family = "aisemble";
    q->model = mr_call_str(c, "model");
    q->on_delta = on_delta;
    q->done = done;
    q->arg = w;
    rc = mr_text_generate(c->core->text, q, &ticket, e);
    return rc ? rc : MR_CALL_LATER;
}

int mr_aisemble_llm_generate(struct mr_call *c, struct mr_err *e) {
    struct mr_text_request q = {.prompt = mr_call_str(c, "prompt"),
                                .raw = mr_call_value(c, "raw")->i != 0};
    return start(c, &q, false, e);
}

int mr_aisemble_llm_chat(struct mr_call *c, struct mr_err *e) {
    struct mr_text_request q = {0};
    int rc = mr_aisemble_messages(mr_call_value(c, "messages")->json, c->req->arena, &q, e);
    return rc ? rc : start(c, &q, true, e);
}

/* --- what there is ------------------------------------------------------------------------ */

static void capabilities(struct mr_buf *b, const struct mr_catalog_model *m) {
    static const char *const remote[] = {"text_generation", "chat", NULL};
    mr_json_key(b, "capabilities");
    mr_buf_char(b, '[');
    for (const char *const *k = m ? m->capabilities : remote; k && *k; k++) {
        if (b->p[b->n - 1] != '[')
            mr_buf_char(b, ',');
        mr_buf_json(b, mr_str(*k));
    }
    mr_buf_char(b, ']');
}

static void one_model(struct mr_call *c, struct mr_buf *b, const struct mr_text_model *m) {
    int64_t dearer = m->input_nano > m->output_nano ? m->input_nano : m->output_nano;
    const char *status = m->available ? "available" : "unavailable";
    if (m->local) {
        struct mr_model_stats st;
        mr_model_stats(c->core->residency, m->local, &st);
        if (st.state != MR_MODEL_LOADED && st.state != MR_MODEL_LOADING)
            status =
                mr_model_state_name(st.state); /* else it is available, whatever it waits for */
        if (m->adapter && !m->available)
            status = mr_model_state_name(MR_MODEL_ABSENT);
    }
    mr_buf_char(b, '{');
    mr_json_str(b, "id", m->id);
    mr_json_str(b, "name", m->name);
    mr_json_str(b, "description", m->description.p ? m->description : MR_LIT(""));
    mr_json_i64(b, "max_tokens", m->context_length ? m->context_length : m->max_tokens);
    /* nano-USD a million tokens -> USD a token */
    mr_json_f64(b, "cost_per_token", dearer > 0 ? (double)dearer / 1e15 : 0);
    capabilities(b, m->local);
    mr_json_cstr(b, "status", status);
    mr_json_str(b, "provider", m->owned_by.p ? m->owned_by : MR_LIT("local"));
    if (m->adapter) {
        mr_json_cstr(b, "parent", m->local->id);
        mr_json_cstr(b, "license", m->adapter->license);
    }
    if (m->alias_of.n)
        mr_json_str(b, "alias_of", m->alias_of);
    mr_buf_char(b, '}');
}

int mr_aisemble_llm_models(struct mr_call *c, struct mr_err *e) {
    struct mr_text_model *v;
    struct mr_buf b;
    size_t n;
    int rc = mr_text_models(c->core->text, c->req->arena, &v, &n, e);
    if (rc)
        return rc;
    mr_call_buf(c, &b);
    mr_buf_cstr(&b, "{\"models\":[");
    for (size_t i = 0; i < n; i++) {
        if (i)
            mr_buf_char(&b, ',');
        one_model(c, &b, &v[i]);
    }
    mr_buf_cstr(&b, "]}");
    return mr_call_json(c, 200, &b, e);
}
