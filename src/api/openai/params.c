/* Bodies of chat and completion requests. Local models take mr_llm_params; for a provider's model
 * the members go on as they came, but for those that we set ourselves. */
#include "api/openai/openai.h"
#include "engine/llm/grammar.h"
#include "engine/llm/tools.h"

#include <math.h>

static int refuse(const char *key, const char *why, struct mr_err *e) {
    return mr_fail_field(e, MR_EFIELD, key, "'%s' %s", key, why);
}

static bool given(yyjson_val *o, const char *key) {
    yyjson_val *v = yyjson_obj_get(o, key);
    return v && !yyjson_is_null(v);
}

/* --- members that both endpoints share ------------------------------------------------------ */

static int read_stop(yyjson_val *body, struct mr_llm_params *p, struct mr_err *e) {
    yyjson_val *stop = yyjson_obj_get(body, "stop"), *v;
    size_t i, n;
    if (!given(body, "stop"))
        return 0;
    bool one = yyjson_is_str(stop);
    if (!one && (!yyjson_is_arr(stop) || yyjson_arr_size(stop) > MR_LLM_STOPS_MAX))
        return refuse("stop", "must be a text or an array of at most 16 texts", e);
    if (one)
        p->stop[p->n_stop++] = mr_strn(yyjson_get_str(stop), yyjson_get_len(stop));
    yyjson_arr_foreach (one ? NULL : stop, i, n, v) {
        if (!yyjson_is_str(v))
            return refuse("stop", "must hold texts", e);
        p->stop[p->n_stop++] = mr_strn(yyjson_get_str(v), yyjson_get_len(v));
    }
    for (i = 0; i < p->n_stop; i++)
        if (!p->stop[i].n)
            return refuse("stop", "holds an empty text", e);
    return 0;
}

static int read_stream(yyjson_val *body, struct mr_openai_ask *a, struct mr_err *e) {
    yyjson_val *options = yyjson_obj_get(body, "stream_options");
    int rc = mr_openai_bool(body, "stream", &a->stream, e);
    if (rc || !given(body, "stream_options"))
        return rc;
    if (!yyjson_is_obj(options) || !a->stream)
        return refuse("stream_options", "is an object, for streams only", e);
    return mr_openai_bool(options, "include_usage", &a->include_usage, e);
}

static int read_sampling(yyjson_val *body, struct mr_llm_params *p, struct mr_err *e) {
    int64_t seed = -1, top_k = p->top_k;
    int rc = mr_openai_num(body, "temperature", 0, 2, &p->temperature, e);
    if (!rc)
        rc = mr_openai_num(body, "top_p", 0, 1, &p->top_p, e);
    if (!rc)
        rc = mr_openai_num(body, "min_p", 0, 1, &p->min_p, e);
    if (!rc)
        rc = mr_openai_int(body, "top_k", 0, INT32_MAX, &top_k, e);
    if (!rc)
        rc = mr_openai_num(body, "frequency_penalty", -2, 2, &p->frequency_penalty, e);
    if (!rc)
        rc = mr_openai_num(body, "presence_penalty", -2, 2, &p->presence_penalty, e);
    if (!rc)
        rc = mr_openai_int(body, "seed", INT64_MIN, INT64_MAX, &seed, e);
    if (rc)
        return rc;
    p->top_k = (int32_t)top_k;
    p->seed = given(body, "seed") ? seed & INT64_MAX : -1;
    return read_stop(body, p, e);
}

static int read_shared(struct mr_core *core, const struct mr_principal *who, yyjson_val *body,
                       struct mr_arena *arena, struct mr_openai_ask *a, struct mr_err *e) {
    struct mr_text_place at;
    a->q = (struct mr_text_request){.who = *who, .family = "openai"};
    a->n = 1;
    mr_llm_params_default(&a->q.params);
    a->q.params.temperature = (double)NAN;
    if (!yyjson_is_str(yyjson_obj_get(body, "model")))
        return refuse("model", "is required: the name of a model, see GET /v1/models", e);
    int rc = mr_openai_str(body, "model", 256, &a->q.model, e);
    if (!rc)
        rc = mr_openai_str(body, "user", 256, &a->q.end_user, e);
    if (!rc)
        rc = mr_openai_int(body, "n", 1, 8, &a->n, e);
    if (!rc)
        rc = read_stream(body, a, e);
    if (!rc)
        rc = read_sampling(body, &a->q.params, e);
    if (!rc) {
        rc = mr_text_locate(core->text, a->q.model, arena, &at, e);
        a->local = !rc && at.local;
        a->model = rc ? a->q.model : at.model;
        if (rc == MR_ENOTFOUND)
            rc = mr_fail_field(e, rc, "model",
                               "the model '%.*s' does not exist here or is not a language model; "
                               "GET /v1/models lists them",
                               (int)(a->q.model.n > 100 ? 100 : a->q.model.n), a->q.model.p);
    }
    if (!rc && a->local && yyjson_obj_size(yyjson_obj_get(body, "logit_bias")))
        rc = refuse("logit_bias", "is not taken by local models", e);
    return rc;
}

/* --- for providers: members as they came ---------------------------------------------------- */

static bool ours(yyjson_val *key) {
    static const char *const names[] = {"model",
                                        "messages",
                                        "stream",
                                        "stream_options",
                                        "n",
                                        "max_tokens",
                                        "max_completion_tokens",
                                        "temperature",
                                        "user",
                                        "service_tier"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (yyjson_equals_str(key, names[i]))
            return true;
    return false;
}

static int keep_members(yyjson_val *body, struct mr_arena *arena, struct mr_str *ret,
                        struct mr_err *e) {
    struct mr_buf b;
    size_t i, n;
    yyjson_val *key, *v;
    mr_buf_init(&b, (size_t)16 << 20);
    yyjson_obj_foreach (body, i, n, key, v) {
        size_t len;
        if (ours(key) || yyjson_is_null(v))
            continue;
        char *json = yyjson_val_write(v, 0, &len);
        if (b.n)
            mr_buf_char(&b, ',');
        mr_buf_json(&b, mr_strn(yyjson_get_str(key), yyjson_get_len(key)));
        mr_buf_char(&b, ':');
        if (json)
            mr_buf_add(&b, json, len);
        else
            b.fail = MR_ENOMEM;
        free(json);
    }
    *ret = MR_LIT("");
    if (mr_buf_ok(&b) && b.n)
        *ret = mr_arena_keep(arena, mr_buf_view(&b));
    bool ok = mr_buf_ok(&b) && ret->p;
    mr_buf_release(&b);
    return ok ? 0 : mr_fail(e, MR_ETOOBIG, "the request does not fit into memory");
}

/* What would come back in a form that we do not pass on, or cost what we do not know. */
static int refuse_unpassed(yyjson_val *body, struct mr_err *e) {
    yyjson_val *tier = yyjson_obj_get(body, "service_tier");
    if (given(body, "functions") || given(body, "function_call"))
        return refuse("functions", "is not taken any more: use tools", e);
    if (given(body, "audio") || given(body, "web_search_options"))
        return refuse(given(body, "audio") ? "audio" : "web_search_options", "is not offered", e);
    if (given(body, "service_tier") && !yyjson_equals_str(tier, "auto") &&
        !yyjson_equals_str(tier, "default"))
        return refuse("service_tier", "must be auto or default", e);
    return 0;
}

/* --- chat ----------------------------------------------------------------------------------- */

static int grammar_done(struct mr_buf *b, int rc, struct mr_arena *arena, struct mr_str *ret,
                        struct mr_err *e) {
    if (!rc) {
        *ret = mr_buf_ok(b) ? mr_arena_keep(arena, mr_buf_view(b)) : (struct mr_str){0};
        rc = ret->p ? 0 : mr_fail(e, MR_ETOOBIG, "the grammar does not fit into memory");
    }
    mr_buf_release(b);
    return rc;
}

static int read_format(yyjson_val *body, struct mr_arena *arena, struct mr_openai_ask *a,
                       struct mr_err *e) {
    yyjson_val *f = yyjson_obj_get(body, "response_format"), *type = yyjson_obj_get(f, "type");
    yyjson_val *schema = NULL;
    struct mr_buf b;
    if (!given(body, "response_format") || yyjson_equals_str(type, "text"))
        return 0;
    if (yyjson_equals_str(type, "json_schema")) {
        schema = yyjson_obj_get(yyjson_obj_get(f, "json_schema"), "schema");
        if (!yyjson_is_obj(schema))
            return refuse("response_format", "needs json_schema.schema, an object", e);
    } else if (!yyjson_equals_str(type, "json_object"))
        return refuse("response_format", "has a type that is not text, json_object or json_schema",
                      e);
    if (a->tools)
        return refuse("response_format", "cannot be combined with tools on a local model", e);
    mr_buf_init(&b, (size_t)4 << 20);
    return grammar_done(&b, mr_grammar_from_schema(schema, &b, e), arena, &a->q.params.grammar, e);
}

static int keep_tools(yyjson_val *tools, struct mr_arena *arena, struct mr_openai_ask *a,
                      struct mr_err *e) {
    size_t n;
    char *json = yyjson_val_write(tools, 0, &n);
    a->q.tools_json = json ? mr_arena_keep(arena, mr_strn(json, n)) : (struct mr_str){0};
    free(json);
    return a->q.tools_json.p ? 0 : mr_fail(e, MR_ETOOBIG, "the tools do not fit into memory");
}

static int read_choice(yyjson_val *choice, enum mr_tool_choice *ret, struct mr_str *ret_one,
                       struct mr_err *e) {
    yyjson_val *name = yyjson_obj_get(yyjson_obj_get(choice, "function"), "name");
    *ret = MR_TOOLS_AUTO;
    if (!choice || yyjson_is_null(choice) || yyjson_equals_str(choice, "auto"))
        return 0;
    if (yyjson_equals_str(choice, "none"))
        *ret = MR_TOOLS_NONE;
    else if (yyjson_equals_str(choice, "required"))
        *ret = MR_TOOLS_REQUIRED;
    else if (yyjson_is_str(name)) {
        *ret = MR_TOOLS_ONE;
        *ret_one = mr_strn(yyjson_get_str(name), yyjson_get_len(name));
    } else
        return refuse("tool_choice", "must be none, auto, required, or name a function", e);
    return 0;
}

static int read_tools(yyjson_val *body, struct mr_arena *arena, struct mr_openai_ask *a,
                      struct mr_err *e) {
    yyjson_val *tools = yyjson_obj_get(body, "tools"),
               *choice = yyjson_obj_get(body, "tool_choice");
    enum mr_tool_choice kind;
    struct mr_str one = {0};
    if (!given(body, "tools") || (yyjson_is_arr(tools) && !yyjson_arr_size(tools)))
        return given(body, "tool_choice") && !yyjson_equals_str(choice, "none") &&
                       !yyjson_equals_str(choice, "auto")
                   ? refuse("tool_choice", "needs tools", e)
                   : 0;
    if (!yyjson_is_arr(tools))
        return refuse("tools", "must be an array", e);
    int rc = read_choice(choice, &kind, &one, e);
    if (rc || kind == MR_TOOLS_NONE)
        return rc;
    bool parallel = true;
    a->tools = true;
    rc = mr_openai_bool(body, "parallel_tool_calls", &parallel, e);
    a->one_call = !parallel;
    if (rc || !a->local)
        return rc;
    rc = keep_tools(tools, arena, a, e);
    if (rc)
        return rc;
    /* Also for AUTO: what is wrong in the tools is said at once, the grammar is not used then. */
    struct mr_buf b;
    struct mr_str grammar;
    mr_buf_init(&b, (size_t)4 << 20);
    rc = mr_tools_grammar(tools, kind == MR_TOOLS_AUTO ? MR_TOOLS_REQUIRED : kind, one, &b, e);
    rc = grammar_done(&b, rc, arena, &grammar, e);
    if (!rc && kind != MR_TOOLS_AUTO)
        a->q.params.grammar = grammar;
    return rc;
}

static int read_logprobs(yyjson_val *body, struct mr_openai_ask *a, struct mr_err *e) {
    int64_t top = 0;
    int rc = mr_openai_bool(body, "logprobs", &a->logprobs, e);
    if (!rc)
        rc = mr_openai_int(body, "top_logprobs", 0, MR_LLM_LOGPROBS_MAX, &top, e);
    if (!rc && top && !a->logprobs)
        rc = refuse("top_logprobs", "needs logprobs", e);
    if (!rc && a->logprobs)
        a->q.params.logprobs = (int)top;
    return rc;
}

static int read_length(yyjson_val *body, struct mr_openai_ask *a, struct mr_err *e) {
    int64_t old = 0, fresh = 0;
    int rc = mr_openai_int(body, "max_tokens", 1, INT32_MAX, &old, e);
    if (!rc)
        rc = mr_openai_int(body, "max_completion_tokens", 1, INT32_MAX, &fresh, e);
    if (!rc && old && fresh && old != fresh)
        rc = refuse("max_tokens", "contradicts max_completion_tokens", e);
    a->q.params.max_tokens = fresh ? fresh : old;
    return rc;
}

int mr_openai_read_chat(struct mr_core *core, const struct mr_principal *who, yyjson_val *body,
                        struct mr_arena *arena, struct mr_openai_ask *ret, struct mr_err *e) {
    static struct mr_str none;
    struct mr_openai_ask a = {.chat = true, .prompt = &none, .n_prompt = 1};
    int rc = read_shared(core, who, body, arena, &a, e);
    if (!rc)
        rc = refuse_unpassed(body, e);
    if (!rc)
        rc = read_length(body, &a, e);
    if (!rc)
        rc = read_logprobs(body, &a, e);
    if (!rc)
        rc = mr_openai_messages(yyjson_obj_get(body, "messages"), a.local, arena,
                                &a.q.messages_json, e);
    if (!rc)
        rc = read_tools(body, arena, &a, e);
    if (!rc)
        rc = a.local ? read_format(body, arena, &a, e)
                     : keep_members(body, arena, &a.q.provider_members, e);
    if (!rc)
        *ret = a;
    return rc;
}

/* --- completions ---------------------------------------------------------------------------- */

static int read_prompts(yyjson_val *body, struct mr_arena *arena, struct mr_openai_ask *a,
                        struct mr_err *e) {
    yyjson_val *p = yyjson_obj_get(body, "prompt"), *v;
    size_t i, n = yyjson_is_arr(p) ? yyjson_arr_size(p) : 1;
    if (!given(body, "prompt"))
        return refuse("prompt", "is required", e);
    if (!n || n * (size_t)a->n > MR_OPENAI_CHOICES_MAX)
        return refuse("prompt", "must hold 1 to 128 texts, choices of each included", e);
    a->prompt = mr_arena_array(arena, n, sizeof *a->prompt);
    if (!a->prompt)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    a->n_prompt = n;
    if (yyjson_is_str(p))
        a->prompt[0] = mr_strn(yyjson_get_str(p), yyjson_get_len(p));
    else if (!yyjson_is_arr(p))
        return refuse("prompt", "must be a text or an array of texts", e);
    yyjson_arr_foreach (yyjson_is_str(p) ? NULL : p, i, n, v) {
        if (!yyjson_is_str(v))
            return refuse("prompt",
                          "must hold texts: token ids mean something else for every model", e);
        a->prompt[i] = mr_strn(yyjson_get_str(v), yyjson_get_len(v));
    }
    for (i = 0; i < a->n_prompt; i++)
        if (!a->prompt[i].n)
            return refuse("prompt", "holds an empty text", e);
    return 0;
}

int mr_openai_read_completion(struct mr_core *core, const struct mr_principal *who,
                              yyjson_val *body, struct mr_arena *arena, struct mr_openai_ask *ret,
                              struct mr_err *e) {
    struct mr_openai_ask a = {0};
    int64_t logprobs = -1, best = 0;
    int rc = read_shared(core, who, body, arena, &a, e);
    if (!rc && !a.local)
        rc = mr_fail_field(e, MR_EFIELD, "model",
                           "'%.*s' is a provider's model, which answers chat/completions only",
                           (int)(a.q.model.n > 100 ? 100 : a.q.model.n), a.q.model.p);
    if (!rc && given(body, "suffix"))
        rc = refuse("suffix", "is not offered: no model here fills in the middle", e);
    a.q.params.max_tokens = 16; /* as documented for this endpoint */
    if (!rc)
        rc = mr_openai_int(body, "max_tokens", 1, INT32_MAX, &a.q.params.max_tokens, e);
    if (!rc)
        rc = mr_openai_bool(body, "echo", &a.echo, e);
    if (!rc)
        rc = mr_openai_int(body, "logprobs", 0, 5, &logprobs, e);
    if (!rc)
        rc = mr_openai_int(body, "best_of", 1, 20, &best, e);
    if (!rc && best && best != a.n)
        rc = refuse("best_of", "must be n: the best of more is not offered", e);
    if (!rc && a.echo && logprobs >= 0)
        rc = refuse("echo", "cannot be combined with logprobs: a prompt's are not known here", e);
    if (!rc)
        rc = read_prompts(body, arena, &a, e);
    if (rc)
        return rc;
    a.logprobs = logprobs >= 0;
    a.q.params.logprobs = (int)logprobs;
    a.q.raw = true;
    *ret = a;
    return 0;
}
