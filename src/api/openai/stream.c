/* Chunks of streams. Text of a local model that has tools is passed on as long as it cannot be a
 * tool call; from "<tool_call>" on it is held back until the choice is complete. */
#include "api/openai/generate.h"
#include "wire/sse.h"

#define CALL_TAG "<tool_call>"

static bool open_stream(struct gen *g) {
    struct mr_req *r = g->c->req;
    if (mr_req_streaming(r))
        return true;
    mr_openai_headers(g->c);
    mr_req_set_header(r, "Cache-Control", MR_LIT("no-cache"));
    mr_req_set_header(r, "x-millrace-model-id", g->ask.model);
    g->lost = mr_req_stream_start(r, 200, "text/event-stream") != 0;
    return !g->lost;
}

static void send_text(struct gen *g, struct mr_str text) {
    if (g->lost || !open_stream(g))
        return;
    if (mr_keyed_on(g->c))
        mr_buf_str(&g->sent, text);
    if (mr_req_stream_write(g->c->req, text) < 0)
        g->lost = true;
}

static void send_json(struct gen *g, struct mr_buf *json) {
    struct mr_buf out;
    mr_buf_init(&out, MR_STREAM_WRITE_MAX);
    mr_sse_data(&out, mr_buf_view(json));
    if (!mr_buf_ok(json) || !mr_buf_ok(&out))
        g->lost = true;
    send_text(g, mr_buf_view(&out));
    mr_buf_release(&out);
}

static void chunk_head(struct gen *g, struct mr_buf *b) {
    mr_buf_init(b, MR_STREAM_WRITE_MAX);
    mr_buf_fmt(b, "{\"id\":\"%s-%s\",\"object\":\"%s\",\"created\":%lld,\"model\":",
               g->ask.chat ? "chatcmpl" : "cmpl", g->id,
               g->ask.chat ? "chat.completion.chunk" : "text_completion", (long long)g->created);
    mr_buf_json(b, g->ask.model);
    mr_buf_cstr(b, ",\"choices\":[");
}

struct piece {
    struct mr_str text, calls, logprobs, finish; /* calls: an array; p NULL: absent */
};

static void chat_delta(struct choice *k, const struct piece *p, struct mr_buf *b) {
    mr_buf_cstr(b, ",\"delta\":{");
    if (!k->begun)
        mr_buf_cstr(b, p->text.p    ? "\"role\":\"assistant\","
                       : p->calls.n ? "\"role\":\"assistant\",\"content\":null,"
                                    : "\"role\":\"assistant\",\"content\":\"\",");
    if (p->text.p) {
        mr_buf_cstr(b, "\"content\":");
        mr_buf_json(b, p->text);
        mr_buf_char(b, ',');
    }
    if (p->calls.n) {
        mr_buf_cstr(b, "\"tool_calls\":");
        mr_buf_str(b, p->calls);
        mr_buf_char(b, ',');
    }
    if (b->n && b->p && b->p[b->n - 1] == ',')
        b->n--;
    mr_buf_char(b, '}');
}

static size_t characters(struct mr_str s) {
    size_t n = 0;
    for (size_t i = 0; i < s.n; i++)
        n += ((unsigned char)s.p[i] & 0xC0) != 0x80;
    return n;
}

static void plain_text(struct gen *g, struct choice *k, const struct piece *p, struct mr_buf *b) {
    struct mr_buf text;
    mr_buf_init(&text, MR_STREAM_WRITE_MAX);
    if (!k->begun && g->ask.echo)
        mr_buf_str(&text, g->ask.prompt[k->index / (size_t)g->ask.n]);
    mr_buf_str(&text, p->text);
    mr_buf_cstr(b, ",\"text\":");
    mr_buf_json(b, text.n ? mr_buf_view(&text) : MR_LIT(""));
    if (!mr_buf_ok(&text))
        b->fail = text.fail;
    mr_buf_release(&text);
}

static void send_piece(struct gen *g, struct choice *k, const struct piece *p) {
    struct mr_buf b;
    chunk_head(g, &b);
    mr_buf_fmt(&b, "{\"index\":%zu", k->index);
    if (g->ask.chat)
        chat_delta(k, p, &b);
    else
        plain_text(g, k, p, &b);
    struct mr_openai_ask form = g->ask;
    form.logprobs = form.logprobs && p->logprobs.n;
    mr_openai_put_logprobs(&b, &form, p->logprobs, k->characters);
    mr_buf_cstr(&b, ",\"finish_reason\":");
    if (p->finish.n)
        mr_buf_json(&b, p->finish);
    else
        mr_buf_cstr(&b, "null");
    mr_buf_cstr(&b, g->ask.include_usage ? "}],\"usage\":null}" : "}]}");
    k->begun = true;
    k->characters += characters(p->text);
    send_json(g, &b);
    mr_buf_release(&b);
}

/* --- holding back --------------------------------------------------------------------------- */

/* How much of the end of s could become the tag. */
static size_t undecided(struct mr_str s) {
    size_t longest = sizeof CALL_TAG - 2 < s.n ? sizeof CALL_TAG - 2 : s.n;
    for (size_t n = longest; n; n--)
        if (!memcmp(s.p + s.n - n, CALL_TAG, n))
            return n;
    return 0;
}

/* The part of `held` that is text for sure. */
static size_t passable(struct choice *k) {
    struct mr_str s = mr_buf_view(&k->held);
    const char *tag = s.n ? memmem(s.p, s.n, CALL_TAG, sizeof CALL_TAG - 1) : NULL;
    k->holding = tag != NULL;
    return tag ? (size_t)(tag - s.p) : s.n - undecided(s);
}

/* Who answers is known with the first piece: it may be a fallback. */
static void name_speaker(struct gen *g, const struct mr_llm_delta *d) {
    if (g->named || !d->provider.n)
        return;
    g->named = true;
    mr_req_set_header(g->c->req, "x-millrace-provider", d->provider);
    struct mr_str model = d->model.n ? mr_arena_keep(g->c->req->arena, d->model) : g->ask.model;
    if (model.p)
        g->ask.model = model;
}

void mr_openai_stream_piece(struct gen *g, struct choice *k, const struct mr_llm_delta *d) {
    name_speaker(g, d);
    struct piece p = {.text = d->text, .logprobs = d->logprobs_json, .calls = d->tool_calls_json};
    if (!g->ask.tools || !g->ask.local) {
        if (!p.text.n)
            p.text.p = NULL;
        if (p.text.n || p.calls.n || p.logprobs.n)
            send_piece(g, k, &p);
        return;
    }
    mr_buf_str(&k->held, d->text);
    if (k->holding)
        return;
    size_t n = passable(k);
    if (!n)
        return;
    p.text = mr_strn(k->held.p, n);
    send_piece(g, k, &p);
    mr_buf_consume(&k->held, n);
}

/* OpenAI's delta form: each call with its index. */
static struct mr_str indexed(struct gen *g, struct mr_str calls) {
    struct mr_buf b;
    size_t i, n;
    yyjson_val *call;
    yyjson_doc *doc = yyjson_read(calls.p, calls.n, 0);
    mr_buf_init(&b, MR_STREAM_WRITE_MAX);
    mr_buf_char(&b, '[');
    yyjson_arr_foreach (yyjson_doc_get_root(doc), i, n, call) {
        size_t len;
        char *json = yyjson_val_write(call, 0, &len);
        mr_buf_fmt(&b, "%s{\"index\":%zu,", i ? "," : "", i);
        if (json)
            mr_buf_add(&b, json + 1, len - 1); /* without its brace */
        else
            b.fail = MR_ENOMEM;
        free(json);
    }
    mr_buf_char(&b, ']');
    yyjson_doc_free(doc);
    struct mr_str s = mr_buf_ok(&b) ? mr_arena_keep(g->c->req->arena, mr_buf_view(&b)) : MR_LIT("");
    mr_buf_release(&b);
    return s.p ? s : MR_LIT("");
}

void mr_openai_stream_close(struct gen *g, struct choice *k) {
    struct piece end = {.finish = k->out.finish_reason};
    bool calls = g->ask.local && k->out.tool_calls_json.n;
    if (k->held.n && !calls) /* it was no call after all */
        send_piece(g, k, &(struct piece){.text = mr_buf_view(&k->held)});
    if (calls) {
        struct mr_str list = indexed(g, k->out.tool_calls_json);
        if (!list.n)
            g->lost = true;
        send_piece(g, k, &(struct piece){.calls = list});
    }
    send_piece(g, k, &end);
}

void mr_openai_stream_end(struct gen *g, const struct mr_err *e) {
    struct mr_buf b;
    if (e) {
        mr_buf_init(&b, 16384);
        mr_openai_put_error(&b, e, e->msg, mr_openai_status(e), false);
        send_json(g, &b);
        mr_buf_release(&b);
    } else if (g->ask.include_usage) {
        chunk_head(g, &b);
        mr_buf_char(&b, ']');
        mr_openai_put_usage(&b, "usage", &g->sum.tokens);
        mr_buf_char(&b, '}');
        send_json(g, &b);
        mr_buf_release(&b);
    }
    if (!e)
        send_text(g, MR_LIT("data: [DONE]\n\n"));
    if (!e)
        mr_keyed_keep(g->c, 200, MR_LIT("text/event-stream"),
                      mr_buf_ok(&g->sent) ? mr_buf_view(&g->sent) : mr_strn("", MR_REPLY_MAX + 1));
    if (g->lost && mr_req_streaming(g->c->req))
        mr_req_stream_abort(g->c->req);
}
