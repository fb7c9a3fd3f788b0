/* Choices, usage and log probabilities as OpenAI writes them. */
#include "api/openai/openai.h"
#include "base/clock.h"
#include "engine/llm/tools.h"

void mr_openai_add(struct mr_openai_sum *s, const struct mr_text_result *r) {
    s->tokens.input += r->tokens.input;
    s->tokens.cached += r->tokens.cached;
    s->tokens.cache_write += r->tokens.cache_write;
    s->tokens.output += r->tokens.output;
    s->cost_nano += r->cost_nano;
    if (r->provider.n)
        s->provider = r->provider;
    if (!s->charge)
        s->charge = r->charge;
}

void mr_openai_put_usage(struct mr_buf *b, const char *key, const struct mr_usage_tokens *t) {
    mr_json_key(b, key);
    mr_buf_fmt(b,
               "{\"prompt_tokens\":%lld,\"completion_tokens\":%lld,\"total_tokens\":%lld,"
               "\"prompt_tokens_details\":{\"cached_tokens\":%lld}}",
               (long long)t->input, (long long)t->output, (long long)(t->input + t->output),
               (long long)t->cached);
}

/* --- a local model's calls ------------------------------------------------------------------ */

static int calls_of(const struct mr_openai_ask *a, const struct mr_text_result *r,
                    struct mr_arena *arena, struct mr_openai_choice *c, struct mr_err *e) {
    struct mr_tool_call *call;
    size_t n;
    int rc = mr_tools_find(c->text, arena, &c->text, &call, &n, e);
    if (rc || !n)
        return rc;
    struct mr_buf b;
    mr_buf_init(&b, (size_t)16 << 20);
    if (a->one_call)
        n = 1;
    for (size_t i = 0; i < n; i++) {
        char id[MR_ID_HEX];
        mr_id_hex(mr_id_new(), id);
        mr_buf_fmt(&b, "%s{\"id\":\"call_%.24s\",\"type\":\"function\",\"function\":{\"name\":",
                   i ? "," : "[", id + 8);
        mr_buf_json(&b, call[i].name);
        mr_buf_cstr(&b, ",\"arguments\":");
        mr_buf_json(&b, call[i].arguments);
        mr_buf_cstr(&b, "}}");
    }
    mr_buf_char(&b, ']');
    c->tool_calls_json = mr_buf_ok(&b) ? mr_arena_keep(arena, mr_buf_view(&b)) : (struct mr_str){0};
    mr_buf_release(&b);
    if (!c->tool_calls_json.p)
        return mr_fail(e, MR_ETOOBIG, "the tool calls do not fit into memory");
    if (!mr_str_is(r->finish_reason, "length"))
        c->finish_reason = MR_LIT("tool_calls");
    return 0;
}

int mr_openai_choice(const struct mr_openai_ask *a, const struct mr_text_result *r,
                     struct mr_arena *arena, struct mr_openai_choice *ret, struct mr_err *e) {
    struct mr_str reason = r->finish_reason.n ? r->finish_reason : MR_LIT("stop");
    struct mr_str text = r->text.n ? r->text : MR_LIT("");
    struct mr_str logprobs = r->logprobs_json.n ? r->logprobs_json : MR_LIT("");
    struct mr_str calls = r->tool_calls_json.n ? r->tool_calls_json : MR_LIT("");
    struct mr_openai_choice c = {.text = mr_arena_keep(arena, text),
                                 .finish_reason = mr_arena_keep(arena, reason),
                                 .logprobs_json = mr_arena_keep(arena, logprobs),
                                 .tool_calls_json = mr_arena_keep(arena, calls),
                                 .model = mr_arena_keep(arena, r->model)};
    if (!c.text.p || !c.finish_reason.p || !c.logprobs_json.p || !c.tool_calls_json.p)
        return mr_fail(e, MR_ETOOBIG, "the answer does not fit into memory");
    int rc = a->local && a->tools ? calls_of(a, r, arena, &c, e) : 0;
    if (!rc)
        *ret = c;
    return rc;
}

/* --- log probabilities ---------------------------------------------------------------------- */

struct legacy {
    struct mr_buf tokens, values, tops, offsets;
    size_t at; /* characters before the next token */
};

static void put_top(struct mr_buf *b, yyjson_val *item) {
    size_t i, n;
    yyjson_val *alt;
    mr_buf_char(b, '{');
    yyjson_arr_foreach (yyjson_obj_get(item, "top_logprobs"), i, n, alt) {
        yyjson_val *token = yyjson_obj_get(alt, "token");
        if (i)
            mr_buf_char(b, ',');
        mr_buf_json(b, mr_strn(yyjson_get_str(token), yyjson_get_len(token)));
        mr_buf_char(b, ':');
        mr_buf_f64(b, yyjson_get_num(yyjson_obj_get(alt, "logprob")));
    }
    mr_buf_char(b, '}');
}

static size_t characters(const char *p, size_t n) {
    size_t k = 0;
    for (size_t i = 0; i < n; i++)
        k += ((unsigned char)p[i] & 0xC0) != 0x80;
    return k;
}

static void put_legacy_item(struct legacy *l, yyjson_val *item, bool first) {
    yyjson_val *token = yyjson_obj_get(item, "token");
    const char *comma = first ? "" : ",";
    mr_buf_cstr(&l->tokens, comma);
    mr_buf_json(&l->tokens, mr_strn(yyjson_get_str(token), yyjson_get_len(token)));
    mr_buf_cstr(&l->values, comma);
    mr_buf_f64(&l->values, yyjson_get_num(yyjson_obj_get(item, "logprob")));
    mr_buf_cstr(&l->tops, comma);
    put_top(&l->tops, item);
    mr_buf_fmt(&l->offsets, "%s%zu", comma, l->at);
    l->at += characters(yyjson_get_str(token), yyjson_get_len(token));
}

/* The form of completions: parallel arrays. */
static void put_legacy(struct mr_buf *b, struct mr_str items, size_t from) {
    struct legacy l = {.at = from};
    struct mr_buf *all[] = {&l.tokens, &l.values, &l.tops, &l.offsets};
    static const char *const names[] = {"\"tokens\":[", "],\"token_logprobs\":[",
                                        "],\"top_logprobs\":[", "],\"text_offset\":["};
    struct mr_buf whole;
    size_t i, n;
    yyjson_val *item;
    mr_buf_init(&whole, (size_t)64 << 20);
    for (i = 0; i < 4; i++)
        mr_buf_init(all[i], (size_t)64 << 20);
    mr_buf_char(&whole, '[');
    mr_buf_str(&whole, items);
    mr_buf_char(&whole, ']');
    yyjson_doc *doc = mr_buf_ok(&whole) ? yyjson_read(whole.p, whole.n, 0) : NULL;
    yyjson_arr_foreach (yyjson_doc_get_root(doc), i, n, item)
        put_legacy_item(&l, item, i == 0);
    mr_buf_char(b, '{');
    for (i = 0; i < 4; i++) {
        mr_buf_cstr(b, names[i]);
        mr_buf_str(b, mr_buf_view(all[i]));
        mr_buf_release(all[i]);
    }
    mr_buf_cstr(b, "]}");
    yyjson_doc_free(doc);
    mr_buf_release(&whole);
}

void mr_openai_put_logprobs(struct mr_buf *b, const struct mr_openai_ask *a, struct mr_str items,
                            size_t from) {
    mr_buf_cstr(b, ",\"logprobs\":");
    if (!a->logprobs) {
        mr_buf_cstr(b, "null");
    } else if (a->chat) {
        mr_buf_cstr(b, "{\"content\":[");
        mr_buf_str(b, items);
        mr_buf_cstr(b, "],\"refusal\":null}");
    } else
        put_legacy(b, items, from);
}

/* --- the whole reply ------------------------------------------------------------------------ */

static void put_choice(struct mr_buf *b, const struct mr_openai_ask *a,
                       const struct mr_openai_choice *c, size_t i) {
    struct mr_str prompt = a->echo ? a->prompt[i / (size_t)a->n] : MR_LIT("");
    mr_buf_fmt(b, "%s{\"index\":%zu,", i ? "," : "", i);
    if (a->chat) {
        bool only_calls = c->tool_calls_json.n && !c->text.n;
        mr_buf_cstr(b, "\"message\":{\"role\":\"assistant\",\"content\":");
        if (only_calls)
            mr_buf_cstr(b, "null");
        else
            mr_buf_json(b, c->text);
        mr_buf_cstr(b, ",\"refusal\":null");
        if (c->tool_calls_json.n) {
            mr_buf_cstr(b, ",\"tool_calls\":");
            mr_buf_str(b, c->tool_calls_json);
        }
        mr_buf_char(b, '}');
    } else {
        struct mr_buf text;
        mr_buf_init(&text, (size_t)128 << 20);
        mr_buf_str(&text, prompt);
        mr_buf_str(&text, c->text);
        mr_buf_cstr(b, "\"text\":");
        mr_buf_json(b, text.n ? mr_buf_view(&text) : MR_LIT(""));
        mr_buf_release(&text);
    }
    mr_openai_put_logprobs(b, a, c->logprobs_json, characters(prompt.p, prompt.n));
    mr_buf_cstr(b, ",\"finish_reason\":");
    mr_buf_json(b, c->finish_reason);
    mr_buf_char(b, '}');
}

void mr_openai_put_reply(struct mr_buf *b, const struct mr_openai_ask *a, const char *id,
                         int64_t created, const struct mr_openai_choice *v, size_t n,
                         const struct mr_openai_sum *sum) {
    mr_buf_fmt(b, "{\"id\":\"%s-%s\",\"object\":\"%s\",\"created\":%lld,\"model\":",
               a->chat ? "chatcmpl" : "cmpl", id, a->chat ? "chat.completion" : "text_completion",
               (long long)created);
    mr_buf_json(b, n && v[0].model.n ? v[0].model : a->model);
    mr_buf_cstr(b, ",\"choices\":[");
    for (size_t i = 0; i < n; i++)
        put_choice(b, a, &v[i], i);
    mr_buf_char(b, ']');
    mr_openai_put_usage(b, "usage", &sum->tokens);
    mr_buf_char(b, '}');
}

int mr_openai_run(struct mr_core *core, const struct mr_openai_ask *a, const char *id,
                  struct mr_arena *arena, struct mr_buf *b, struct mr_err *e) {
    size_t n = a->n_prompt * (size_t)a->n;
    struct mr_openai_choice *v = mr_arena_array(arena, n, sizeof *v);
    struct mr_openai_sum sum = {0};
    if (!v)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    for (size_t i = 0; i < n; i++) {
        struct mr_text_request q = a->q;
        struct mr_text_result r;
        q.prompt = a->prompt[i / (size_t)a->n];
        if (q.params.seed >= 0)
            q.params.seed += (int64_t)(i % (size_t)a->n);
        int rc = mr_text_generate_wait(core->text, &q, arena, &r, e);
        if (!rc)
            rc = mr_openai_choice(a, &r, arena, &v[i], e);
        if (rc)
            return rc;
        mr_openai_add(&sum, &r);
    }
    mr_openai_put_reply(b, a, id, mr_now_us() / 1000000, v, n, &sum);
    return mr_buf_ok(b) ? 0 : mr_fail(e, b->fail, "the reply is too large");
}
