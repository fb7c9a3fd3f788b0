/* Bodies of requests, whole replies, and the events of streams. */
#include "base/cleanup.h"
#include "engine/provider/text.h"

#include <math.h>

/* Mistral's words for what OpenAI calls otherwise; the members are valid JSON. */
static void put_renamed(struct mr_str members, struct mr_buf *out) {
    MR_CLEANUP(mr_buf_release) struct mr_buf b;
    size_t i, n;
    yyjson_val *key, *v;
    mr_buf_init(&b, SIZE_MAX / 4);
    mr_buf_char(&b, '{');
    mr_buf_str(&b, members);
    mr_buf_char(&b, '}');
    yyjson_doc *doc = mr_buf_ok(&b) ? yyjson_read(b.p, b.n, 0) : NULL;
    yyjson_obj_foreach (yyjson_doc_get_root(doc), i, n, key, v) {
        size_t len;
        char *json = yyjson_val_write(v, 0, &len);
        mr_buf_char(out, ',');
        mr_buf_json(out, yyjson_equals_str(key, "seed")
                             ? MR_LIT("random_seed")
                             : mr_strn(yyjson_get_str(key), yyjson_get_len(key)));
        mr_buf_char(out, ':');
        if (yyjson_equals_str(key, "tool_choice") && yyjson_equals_str(v, "required"))
            mr_buf_cstr(out, "\"any\"");
        else if (json)
            mr_buf_add(out, json, len);
        else
            mr_buf_cstr(out, "null");
        free(json);
    }
    yyjson_doc_free(doc);
}

void mr_provider_chat_body(enum mr_dialect d, const struct mr_chat_body *q, struct mr_buf *out) {
    mr_buf_cstr(out, "{\"model\":");
    mr_buf_json(out, q->model);
    mr_buf_cstr(out, ",\"messages\":");
    if (q->messages_json.p) {
        mr_buf_str(out, q->messages_json);
    } else {
        mr_buf_cstr(out, "[{\"role\":\"user\",\"content\":");
        mr_buf_json(out, q->prompt);
        mr_buf_cstr(out, "}]");
    }
    if (q->max_tokens > 0) {
        mr_buf_cstr(out,
                    d == MR_DIALECT_OPENAI ? ",\"max_completion_tokens\":" : ",\"max_tokens\":");
        mr_buf_i64(out, q->max_tokens);
    }
    if (isfinite(q->temperature)) {
        mr_buf_cstr(out, ",\"temperature\":");
        mr_buf_f64(out, q->temperature);
    }
    if (q->extra_json.n && d == MR_DIALECT_MISTRAL) {
        put_renamed(q->extra_json, out);
    } else if (q->extra_json.n) {
        mr_buf_char(out, ',');
        mr_buf_str(out, q->extra_json);
    }
    if (q->stream)
        mr_buf_cstr(out, d == MR_DIALECT_MISTRAL
                             ? ",\"stream\":true"
                             : ",\"stream\":true,\"stream_options\":{\"include_usage\":true}");
    mr_buf_char(out, '}');
}

static void free_doc(yyjson_doc **doc) {
    yyjson_doc_free(*doc);
}

/* Items of logprobs.content. p == NULL: no memory. */
static struct mr_str logprobs(yyjson_val *choice, struct mr_arena *arena) {
    yyjson_val *list = yyjson_obj_get(yyjson_obj_get(choice, "logprobs"), "content");
    struct mr_str s = mr_provider_list(arena, list);
    return s.n > 2 ? mr_strn(s.p + 1, s.n - 2) : s;
}

static int no_memory(struct mr_err *e) {
    return mr_fail(e, MR_ENOMEM, "the reply is larger than allowed");
}

static int reply_error(yyjson_val *root, struct mr_arena *arena, struct mr_err *e) {
    struct mr_str reason = mr_provider_reason(root, arena);
    if (reason.n)
        return mr_fail(e, MR_EINVAL, "the reply is an error: %.*s", (int)reason.n, reason.p);
    return mr_fail(e, MR_EINVAL, "the reply has no \"choices\"");
}

int mr_provider_reply(struct mr_str body, struct mr_arena *arena, struct mr_chat_reply *ret,
                      struct mr_err *e) {
    struct provider_json j;
    yyjson_val *root = mr_provider_json(&j, body);
    MR_CLEANUP(free_doc) yyjson_doc *doc = j.doc;
    if (!doc)
        return mr_fail(e, MR_EINVAL, body.n ? "the reply is not JSON" : "the reply is empty");
    yyjson_val *choices = yyjson_obj_get(root, "choices");
    if (!yyjson_is_arr(choices))
        return reply_error(root, arena, e);
    yyjson_val *choice = yyjson_arr_get_first(choices);
    yyjson_val *message = yyjson_obj_get(choice, "message");
    if (!yyjson_is_obj(message))
        return mr_fail(e, MR_EINVAL, "the reply has no message in its first choice");
    yyjson_val *content = yyjson_obj_get(message, "content");
    if (content && !yyjson_is_str(content) && !yyjson_is_null(content) && !yyjson_is_arr(content))
        return mr_fail(e, MR_EINVAL, "the reply's content is neither text nor parts");
    yyjson_val *refusal = yyjson_obj_get(message, "refusal");
    if ((!content || yyjson_is_null(content)) && yyjson_is_str(refusal))
        content = refusal; /* what the model answered instead */
    struct mr_chat_reply r = {.usage = mr_provider_usage(yyjson_obj_get(root, "usage"))};
    if (mr_provider_content(content, arena, &r.text) < 0)
        return no_memory(e);
    r.model = mr_provider_keep(arena, mr_provider_str(yyjson_obj_get(root, "model")));
    r.id = mr_provider_keep(arena, mr_provider_str(yyjson_obj_get(root, "id")));
    r.finish_reason =
        mr_provider_keep(arena, mr_provider_str(yyjson_obj_get(choice, "finish_reason")));
    r.tool_calls_json = mr_provider_list(arena, yyjson_obj_get(message, "tool_calls"));
    r.logprobs_json = logprobs(choice, arena);
    if (!r.model.p || !r.id.p || !r.finish_reason.p || !r.tool_calls_json.p || !r.logprobs_json.p)
        return no_memory(e);
    *ret = r;
    return 0;
}

int mr_provider_event(struct mr_str data, struct mr_arena *arena, struct mr_chat_event *ret,
                      struct mr_err *e) {
    struct mr_chat_event ev = {.delta = MR_LIT(""),
                               .finish_reason = MR_LIT(""),
                               .model = MR_LIT(""),
                               .tool_calls_json = MR_LIT(""),
                               .logprobs_json = MR_LIT("")};
    if (mr_str_is(mr_str_trim(data), "[DONE]")) {
        ev.done = true;
        *ret = ev;
        return 0;
    }
    struct provider_json j;
    yyjson_val *root = mr_provider_json(&j, data);
    MR_CLEANUP(free_doc) yyjson_doc *doc = j.doc;
    (void)doc; /* only released */
    if (!yyjson_is_obj(root))
        return mr_fail(e, MR_EINVAL, "an event of the stream is not JSON");
    yyjson_val *choices = yyjson_obj_get(root, "choices");
    yyjson_val *usage = yyjson_obj_get(root, "usage");
    if (!yyjson_is_arr(choices) && !yyjson_is_obj(usage)) {
        struct mr_str reason = mr_provider_reason(root, arena);
        if (reason.n)
            return mr_fail(e, MR_EPREDICT, "%.*s", (int)reason.n, reason.p);
        return mr_fail(e, MR_EINVAL, "an event of the stream has no \"choices\"");
    }
    yyjson_val *choice = yyjson_arr_get_first(choices);
    yyjson_val *delta = yyjson_obj_get(choice, "delta");
    yyjson_val *content = yyjson_obj_get(delta, "content");
    if (!yyjson_is_str(content) && !yyjson_is_arr(content))
        content = yyjson_obj_get(delta, "refusal");
    if (mr_provider_content(content, arena, &ev.delta) < 0)
        return no_memory(e);
    ev.finish_reason =
        mr_provider_keep(arena, mr_provider_str(yyjson_obj_get(choice, "finish_reason")));
    ev.model = mr_provider_keep(arena, mr_provider_str(yyjson_obj_get(root, "model")));
    ev.tool_calls_json = mr_provider_list(arena, yyjson_obj_get(delta, "tool_calls"));
    ev.logprobs_json = logprobs(choice, arena);
    if (!ev.finish_reason.p || !ev.model.p || !ev.tool_calls_json.p || !ev.logprobs_json.p)
        return no_memory(e);
    ev.usage = mr_provider_usage(usage);
    *ret = ev;
    return 0;
}
