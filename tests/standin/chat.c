/* Chat completions and embeddings of both dialects. Text and counts follow from the prompt alone:
 * README.md has the rules. */
#include "standin.h"

#include "base/codec.h"

#include <time.h>

struct chat {
    struct mr_str model, prompt;
    int64_t prompt_tokens, cached, out, max_tokens;
    uint64_t seed;
    bool stream, include_usage, logprobs;
    struct mr_str tool; /* the function that the answer calls; n == 0: it is text */
    struct fault fault;
};

const char *standin_word(uint64_t seed, int64_t i) {
    static const char *const words[64] = {
        "amber",  "basin",  "cedar",   "delta",  "ember",   "fjord",  "grove",  "harbor",
        "inlet",  "jasper", "kestrel", "lagoon", "maple",   "nectar", "orchid", "pebble",
        "quartz", "raven",  "saddle",  "tundra", "umber",   "valley", "willow", "yarrow",
        "zephyr", "acorn",  "birch",   "canyon", "dune",    "elm",    "falcon", "glacier",
        "hazel",  "iris",   "juniper", "knoll",  "larch",   "meadow", "nettle", "oasis",
        "poplar", "quill",  "ridge",   "summit", "thyme",   "upland", "violet", "walnut",
        "aspen",  "brook",  "clover",  "dawn",   "estuary", "fern",   "gorge",  "heath",
        "ivy",    "jetty",  "kelp",    "lichen", "moss",    "nova",   "opal",   "prairie"};
    uint64_t h = (seed + (uint64_t)i) * 0x9e3779b97f4a7c15U;
    return words[h >> 58];
}

/* ---- the request ---- */

static void mistral_422(struct standin *s, struct answer *a, const char *type, const char *field,
                        const char *msg) {
    struct mr_buf b;
    mr_buf_init(&b, 4096);
    mr_buf_fmt(&b,
               "{\"detail\":[{\"type\":\"%s\",\"loc\":[\"body\",\"%s\"],\"msg\":\"%s\","
               "\"input\":null}]}",
               type, field, msg);
    standin_json(s, a, MISTRAL, 422, NULL, mr_buf_view(&b));
    mr_buf_release(&b);
}

static bool missing(struct standin *s, struct answer *a, enum dialect d, const char *field) {
    char msg[96];
    snprintf(msg, sizeof msg, "Missing required parameter: '%s'.", field);
    if (d == MISTRAL)
        mistral_422(s, a, "missing", field, "Field required");
    else
        standin_error(s, a, OPENAI, 400, NULL, "invalid_request_error",
                      "missing_required_parameter", msg);
    return false;
}

static int64_t text_tokens(yyjson_val *content, struct mr_str *ret_first) {
    if (yyjson_is_str(content)) {
        *ret_first = mr_strn(yyjson_get_str(content), yyjson_get_len(content));
        return (int64_t)(ret_first->n + 3) / 4;
    }
    int64_t n = 0;
    size_t i, max;
    yyjson_val *part;
    yyjson_arr_foreach (content, i, max, part) {
        yyjson_val *text = yyjson_obj_get(part, "text");
        if (!text)
            continue;
        if (n == 0)
            *ret_first = mr_strn(yyjson_get_str(text), yyjson_get_len(text));
        n += (int64_t)(yyjson_get_len(text) + 3) / 4;
    }
    return n;
}

static const char *const mistral_knows[] = {
    "model",      "temperature",      "top_p",       "max_tokens",       "stream",
    "stop",       "random_seed",      "metadata",    "messages",         "response_format",
    "tools",      "tool_choice",      "n",           "presence_penalty", "frequency_penalty",
    "prediction", "prompt_mode",      "safe_prompt", "reasoning_effort", "parallel_tool_calls",
    "guardrails", "prompt_cache_key", "service_tier"};

/* Parameters that one of them refuses. */
static bool acceptable(struct standin *s, struct answer *a, enum dialect d, yyjson_val *root,
                       const struct chat *c) {
    size_t i, max;
    yyjson_val *k, *v;
    yyjson_obj_foreach (root, i, max, k, v) {
        bool known = d == OPENAI;
        for (size_t j = 0; !known && j < sizeof mistral_knows / sizeof *mistral_knows; j++)
            known = !strcmp(yyjson_get_str(k), mistral_knows[j]);
        if (!known) {
            mistral_422(s, a, "extra_forbidden", yyjson_get_str(k),
                        "Extra inputs are not permitted");
            return false;
        }
    }
    if (d == MISTRAL)
        return true;
    bool reasoning =
        mr_str_starts(c->model, MR_LIT("o1")) || mr_str_starts(c->model, MR_LIT("o3")) ||
        mr_str_starts(c->model, MR_LIT("o4")) || mr_str_starts(c->model, MR_LIT("gpt-5")) ||
        mr_str_starts(c->model, MR_LIT("gpt-6"));
    if (reasoning && yyjson_obj_get(root, "max_tokens")) {
        standin_error(s, a, d, 400, NULL, "invalid_request_error", "unsupported_parameter",
                      "Unsupported parameter: 'max_tokens' is not supported with this model. Use "
                      "'max_completion_tokens' instead.");
        return false;
    }
    if (!c->stream && yyjson_obj_get(root, "stream_options")) {
        standin_error(s, a, d, 400, NULL, "invalid_request_error", NULL,
                      "The 'stream_options' parameter is only allowed when 'stream' is enabled.");
        return false;
    }
    return true;
}

static bool read_messages(yyjson_val *root, struct chat *c) {
    yyjson_val *list = yyjson_obj_get(root, "messages"), *m;
    size_t i, max;
    if (!yyjson_is_arr(list) || yyjson_arr_size(list) == 0)
        return false;
    c->prompt_tokens = 3;
    yyjson_arr_foreach (list, i, max, m) {
        struct mr_str text = {"", 0};
        yyjson_val *role = yyjson_obj_get(m, "role");
        if (!yyjson_is_str(role))
            return false;
        c->prompt_tokens += 4 + text_tokens(yyjson_obj_get(m, "content"), &text);
        if (yyjson_equals_str(role, "user"))
            c->prompt = text;
    }
    return true;
}

/* Tools are called when the last word is the user's: the one that is asked for, else the first. */
static void read_tools(yyjson_val *root, struct chat *c) {
    yyjson_val *choice = yyjson_obj_get(root, "tool_choice"),
               *messages = yyjson_obj_get(root, "messages"), *last = yyjson_arr_get_last(messages),
               *tool = yyjson_arr_get_first(yyjson_obj_get(root, "tools")),
               *from = yyjson_is_obj(choice) ? choice : tool,
               *name = yyjson_obj_get(yyjson_obj_get(from, "function"), "name");
    c->logprobs = yyjson_get_bool(yyjson_obj_get(root, "logprobs"));
    if (tool && yyjson_is_str(name) && !yyjson_equals_str(choice, "none") &&
        yyjson_equals_str(yyjson_obj_get(last, "role"), "user"))
        c->tool = mr_strn(yyjson_get_str(name), yyjson_get_len(name));
}

static bool read_chat(struct standin *s, const struct request *q, struct answer *a,
                      yyjson_val *root, struct chat *c) {
    enum dialect d = q->dialect;
    if (!yyjson_is_obj(root)) {
        standin_error(s, a, d, 400, NULL, "invalid_request_error", NULL,
                      "We could not parse the JSON body of your request.");
        return false;
    }
    yyjson_val *model = yyjson_obj_get(root, "model");
    if (!yyjson_is_str(model))
        return missing(s, a, d, "model");
    c->model = mr_strn(yyjson_get_str(model), yyjson_get_len(model));
    if (!read_messages(root, c))
        return missing(s, a, d, "messages");
    read_tools(root, c);
    c->stream = yyjson_get_bool(yyjson_obj_get(root, "stream"));
    yyjson_val *options = yyjson_obj_get(root, "stream_options");
    c->include_usage = d == MISTRAL || yyjson_get_bool(yyjson_obj_get(options, "include_usage"));
    yyjson_val *cap = yyjson_obj_get(root, "max_completion_tokens");
    if (!cap)
        cap = yyjson_obj_get(root, "max_tokens");
    c->max_tokens = yyjson_is_int(cap) ? yyjson_get_sint(cap) : INT64_MAX;
    if (!acceptable(s, a, d, root, c))
        return false;
    if (mr_str_starts(c->model, MR_LIT("no-such"))) {
        if (d == OPENAI)
            standin_error(s, a, d, 404, NULL, "invalid_request_error", "model_not_found",
                          "The model does not exist or you do not have access to it.");
        else
            standin_error(s, a, d, 400, NULL, "invalid_model", "1500", "Invalid model");
        return false;
    }
    return true;
}

/* A fault named in the prompt goes before rules; `times` of a prompt counts that very prompt. */
static void choose_fault(struct standin *s, const struct request *q, struct chat *c,
                         struct answer *a) {
    fault_clear(&c->fault);
    fault_from_prompt(c->prompt, &c->fault);
    if (c->fault.name[0] && c->fault.times >= 0) {
        char name[24];
        snprintf(name, sizeof name, "%016llx", (unsigned long long)standin_hash(c->prompt));
        struct tally *t = tally_get(&s->repeats, mr_str(name));
        if (t && t->requests++ >= (uint64_t)c->fault.times)
            c->fault.name[0] = 0;
    }
    if (c->fault.tag[0]) {
        a->tag = tally_get(&s->tags, mr_str(c->fault.tag));
        if (a->tag)
            a->tag->requests++;
    }
    const struct fault *rule =
        c->fault.name[0] ? NULL : fault_from_rules(s, q->path, c->model, q->auth);
    if (rule) {
        memcpy(c->fault.name, rule->name, sizeof rule->name);
        c->fault.arg = rule->arg;
        if (c->fault.out < 0)
            c->fault.out = rule->out;
        if (c->fault.cached < 0)
            c->fault.cached = rule->cached;
    }
}

/* ---- the reply ---- */

static bool is(const struct chat *c, const char *name) {
    return strcmp(c->fault.name, name) == 0;
}

static void field(struct mr_buf *b, const char *name, int64_t v) {
    mr_buf_cstr(b, name);
    mr_buf_i64(b, v);
}

static void usage(struct mr_buf *b, enum dialect d, const struct chat *c) {
    if (is(c, "wrong-usage")) {
        static const char *const forms[] = {
            "{\"prompt_tokens\":-5,\"completion_tokens\":7,\"total_tokens\":2}",
            "{\"prompt_tokens\":5.5,\"completion_tokens\":7,\"total_tokens\":12.5}",
            "{\"prompt_tokens\":\"5\",\"completion_tokens\":\"7\"}",
            "{\"prompt_tokens\":5,\"completion_tokens\":7,\"total_tokens\":99}",
            "{\"prompt_tokens\":5,\"completion_tokens\":7,\"total_tokens\":12,"
            "\"prompt_tokens_details\":{\"cached_tokens\":6}}",
            "{\"prompt_tokens\":9223372036854775807,\"completion_tokens\":1,"
            "\"total_tokens\":9223372036854775807}",
            "\"none\""};
        size_t n = sizeof forms / sizeof *forms;
        mr_buf_cstr(b, forms[c->fault.arg > 0 && (size_t)c->fault.arg < n ? c->fault.arg : 0]);
        return;
    }
    field(b, "{\"prompt_tokens\":", c->prompt_tokens);
    field(b, ",\"completion_tokens\":", c->out);
    field(b, ",\"total_tokens\":", c->prompt_tokens + c->out);
    if (d == OPENAI || c->cached > 0)
        field(b, ",\"prompt_tokens_details\":{\"cached_tokens\":", c->cached);
    if (d == OPENAI)
        mr_buf_cstr(b, ",\"audio_tokens\":0},\"completion_tokens_details\":{\"reasoning_tokens\":0,"
                       "\"audio_tokens\":0,\"accepted_prediction_tokens\":0,"
                       "\"rejected_prediction_tokens\":0}}");
    else
        mr_buf_cstr(b, c->cached > 0 ? "}}" : "}");
}

static void ident(struct mr_buf *b, enum dialect d, uint64_t id, const char *object,
                  const struct chat *c) {
    char hex[40];
    snprintf(hex, sizeof hex, d == OPENAI ? "chatcmpl-%024llx" : "%032llx", (unsigned long long)id);
    mr_buf_cstr(b, "{\"id\":\"");
    mr_buf_cstr(b, hex);
    mr_buf_cstr(b, "\",\"object\":\"");
    mr_buf_cstr(b, object);
    mr_buf_cstr(b, "\",\"created\":");
    mr_buf_i64(b, time(NULL));
    mr_buf_cstr(b, ",\"model\":");
    mr_buf_json(b, c->model);
}

static void content(struct mr_buf *b, const struct chat *c) {
    if (is(c, "null-content")) {
        mr_buf_cstr(b, "null");
        return;
    }
    bool parts = is(c, "parts");
    mr_buf_cstr(b, parts ? "[{\"type\":\"text\",\"text\":\"" : "\"");
    for (int64_t i = 0; i < c->out; i++) {
        if (i)
            mr_buf_char(b, ' ');
        mr_buf_cstr(b, standin_word(c->seed, i));
    }
    if (is(c, "invalid-utf8"))
        mr_buf_cstr(b, " \xff\xfe\xc3(");
    mr_buf_cstr(b, parts ? "\"}]" : "\"");
}

static void tool_head(struct mr_buf *b, const struct chat *c, bool stream) {
    mr_buf_cstr(b, stream ? ",\"tool_calls\":[{\"index\":0,\"id\":\"call_standin\""
                          : ",\"tool_calls\":[{\"id\":\"call_standin\"");
    mr_buf_cstr(b, ",\"type\":\"function\",\"function\":{\"name\":");
    mr_buf_json(b, c->tool);
    mr_buf_cstr(b, ",\"arguments\":\"");
}

/* The arguments are {"text": the reply's words}, as a text inside of JSON. */
static void tool_piece(struct mr_buf *b, const struct chat *c, int64_t i) {
    mr_buf_cstr(b, i ? " " : "{\\\"text\\\":\\\"");
    mr_buf_cstr(b, standin_word(c->seed, i));
    if (i + 1 == c->out)
        mr_buf_cstr(b, "\\\"}");
}

static void logprobs(struct mr_buf *b, const struct chat *c, int64_t from, int64_t to) {
    if (!c->logprobs) {
        mr_buf_cstr(b, "\"logprobs\":null");
        return;
    }
    mr_buf_cstr(b, "\"logprobs\":{\"content\":[");
    for (int64_t i = from; i < to; i++)
        mr_buf_fmt(b, "%s{\"token\":\"%s%s\",\"logprob\":-0.5,\"bytes\":null,\"top_logprobs\":[]}",
                   i > from ? "," : "", i ? " " : "", standin_word(c->seed, i));
    mr_buf_cstr(b, "],\"refusal\":null}");
}

static const char *finish_reason(const struct chat *c) {
    if (c->tool.n)
        return "tool_calls";
    return c->out >= c->max_tokens ? "length" : "stop";
}

static void whole(struct standin *s, enum dialect d, const struct chat *c, struct mr_buf *b) {
    ident(b, d, ++s->ids, "chat.completion", c);
    mr_buf_cstr(b, ",\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":");
    if (c->tool.n) {
        mr_buf_cstr(b, "null");
        tool_head(b, c, false);
        for (int64_t i = 0; i < c->out; i++)
            tool_piece(b, c, i);
        mr_buf_cstr(b, "\"}}]");
    } else {
        content(b, c);
        mr_buf_cstr(b, d == OPENAI ? "" : ",\"tool_calls\":null");
    }
    mr_buf_cstr(b, d == OPENAI ? ",\"refusal\":null,\"annotations\":[]}," : ",\"prefix\":false},");
    if (d == OPENAI) {
        logprobs(b, c, 0, c->out);
        mr_buf_char(b, ',');
    }
    mr_buf_cstr(b, "\"finish_reason\":\"");
    mr_buf_cstr(b, finish_reason(c));
    mr_buf_cstr(b, "\"}]");
    if (!is(c, "no-usage")) {
        mr_buf_cstr(b, ",\"usage\":");
        usage(b, d, c);
    }
    mr_buf_cstr(b, d == OPENAI ? ",\"service_tier\":\"default\",\"system_fingerprint\":"
                                 "\"fp_standin\"}"
                               : "}");
}

/* One event in one HTTP chunk: "data: " + piece + blank line. */
static void event(struct mr_buf *out, const struct mr_buf *piece) {
    char size[24];
    snprintf(size, sizeof size, "%zx\r\n", piece->n + 8);
    mr_buf_cstr(out, size);
    mr_buf_cstr(out, "data: ");
    mr_buf_str(out, mr_buf_view(piece));
    mr_buf_cstr(out, "\n\n\r\n");
}

struct pieces {
    struct mr_buf head, one;
};

/* i == -1: the opening event; i == c->out: the closing one. */
static void delta(enum dialect d, const struct chat *c, int64_t i, struct pieces *p) {
    struct mr_buf *b = &p->one;
    mr_buf_clear(b);
    mr_buf_str(b, mr_buf_view(&p->head));
    if (i < 0 && c->tool.n) {
        mr_buf_cstr(b, "{\"role\":\"assistant\",\"content\":null");
        tool_head(b, c, true);
        mr_buf_cstr(b, "\"}}]");
    } else if (i < 0) {
        mr_buf_cstr(b, "{\"role\":\"assistant\",\"content\":\"\"");
    } else if (i < c->out && c->tool.n) {
        mr_buf_cstr(b, "{\"tool_calls\":[{\"index\":0,\"function\":{\"arguments\":\"");
        tool_piece(b, c, i);
        mr_buf_cstr(b, "\"}}]");
    } else if (i < c->out) {
        mr_buf_cstr(b, i ? "{\"content\":\" " : "{\"content\":\"");
        mr_buf_cstr(b, standin_word(c->seed, i));
        if (i == 1 && is(c, "invalid-utf8"))
            mr_buf_cstr(b, "\xff\xfe\xc3");
        mr_buf_char(b, '"');
    } else {
        mr_buf_cstr(b, d == OPENAI ? "{" : "{\"content\":\"\"");
    }
    mr_buf_cstr(b, "},");
    if (d == OPENAI) {
        logprobs(b, c, i < 0 ? 0 : i, i < 0 || i >= c->out ? 0 : i + 1);
        mr_buf_char(b, ',');
    }
    mr_buf_cstr(b, "\"finish_reason\":");
    if (i < c->out) {
        mr_buf_cstr(b, "null}]");
    } else {
        mr_buf_char(b, '"');
        mr_buf_cstr(b, finish_reason(c));
        mr_buf_cstr(b, "\"}]");
    }
    if (d == OPENAI && c->include_usage)
        mr_buf_cstr(b, ",\"usage\":null");
    if (d == MISTRAL && i == c->out && !is(c, "no-usage")) {
        mr_buf_cstr(b, ",\"usage\":");
        usage(b, d, c);
    }
    mr_buf_char(b, '}');
}

static void stream(struct standin *s, enum dialect d, const struct chat *c, struct mr_buf *out) {
    struct pieces p;
    mr_buf_init(&p.head, 8192);
    mr_buf_init(&p.one, 65536);
    ident(&p.head, d, ++s->ids, "chat.completion.chunk", c);
    if (d == OPENAI)
        mr_buf_cstr(&p.head, ",\"service_tier\":\"default\",\"system_fingerprint\":\"fp_standin\"");
    mr_buf_cstr(&p.head, ",\"choices\":[{\"index\":0,\"delta\":");
    for (int64_t i = -1; i <= c->out; i++) {
        if (i == c->out / 2 && (is(c, "error-event") || is(c, "bad-event"))) {
            mr_buf_clear(&p.one);
            mr_buf_cstr(&p.one, is(c, "bad-event")
                                    ? "{\"id\":12,\"choices\":\"broken"
                                    : "{\"error\":{\"message\":\"The server had an error.\","
                                      "\"type\":\"server_error\",\"param\":null,\"code\":null}}");
            event(out, &p.one);
            break;
        }
        delta(d, c, i, &p);
        event(out, &p.one);
    }
    if (d == OPENAI && c->include_usage && !is(c, "no-usage") && !is(c, "error-event")) {
        mr_buf_clear(&p.one);
        ident(&p.one, d, s->ids, "chat.completion.chunk", c);
        mr_buf_cstr(&p.one, ",\"choices\":[],\"usage\":");
        usage(&p.one, d, c);
        mr_buf_char(&p.one, '}');
        event(out, &p.one);
    }
    if (!is(c, "no-done") && !is(c, "error-event"))
        mr_buf_cstr(out, "e\r\ndata: [DONE]\n\n\r\n");
    mr_buf_cstr(out, "0\r\n\r\n");
    mr_buf_release(&p.head);
    mr_buf_release(&p.one);
}

static void complete(struct standin *s, const struct request *q, struct chat *c, struct answer *a) {
    enum dialect d = q->dialect;
    c->seed = standin_hash(c->prompt);
    c->out = c->fault.out >= 0 ? c->fault.out : 8 + (int64_t)(c->seed % 33);
    if (c->out > c->max_tokens)
        c->out = c->max_tokens;
    c->cached = c->fault.cached >= 0       ? c->fault.cached
                : c->prompt_tokens >= 1024 ? c->prompt_tokens / 2 / 128 * 128
                                           : 0;
    if (c->cached > c->prompt_tokens)
        c->cached = c->prompt_tokens;
    size_t start = a->out->n, head;
    if (c->stream) {
        s->stats.streams++;
        standin_head(s, a->out, d, 200, "text/event-stream", "cache-control: no-cache\r\n",
                     SIZE_MAX);
        head = a->out->n;
        stream(s, d, c, a->out);
    } else {
        static struct mr_buf body;
        if (!body.max)
            mr_buf_init(&body, OUT_MAX);
        mr_buf_clear(&body);
        whole(s, d, c, &body);
        standin_head(s, a->out, d, 200, "application/json", NULL, body.n);
        head = a->out->n;
        mr_buf_str(a->out, mr_buf_view(&body));
    }
    s->stats.completions++;
    s->stats.prompt_tokens += (uint64_t)c->prompt_tokens;
    s->stats.completion_tokens += (uint64_t)c->out;
    a->completion = true;
    if (a->key)
        a->key->completions++;
    if (a->tag)
        a->tag->completions++;
    a->plan.delay_ms = s->delay_ms;
    fault_after(&c->fault, start, head, a);
    if (c->fault.name[0])
        s->stats.faults++;
}

void standin_chat(struct standin *s, const struct request *q, struct answer *a) {
    static char pool[1 << 18];
    yyjson_alc alc;
    bool small = q->body.n < sizeof pool / 16 && yyjson_alc_pool_init(&alc, pool, sizeof pool);
    yyjson_doc *doc =
        yyjson_read_opts((char *)(uintptr_t)q->body.p, q->body.n, 0, small ? &alc : NULL, NULL);
    struct chat c = {0};
    if (read_chat(s, q, a, yyjson_doc_get_root(doc), &c)) {
        choose_fault(s, q, &c, a);
        if (!fault_before(s, &c.fault, q->dialect, a))
            complete(s, q, &c, a);
    }
    yyjson_doc_free(doc);
}

/* ---- embeddings ---- */

static void vector(struct mr_buf *b, struct mr_str text, int64_t dims, bool base64) {
    uint64_t h = standin_hash(text);
    struct mr_buf raw;
    mr_buf_init(&raw, 65536);
    mr_buf_char(b, base64 ? '"' : '[');
    for (int64_t i = 0; i < dims; i++) {
        h = h * 6364136223846793005U + 1442695040888963407U;
        float v = (float)((double)(h >> 40) / (1 << 24) - 0.5);
        if (base64) {
            mr_buf_add(&raw, &v, sizeof v);
        } else {
            if (i)
                mr_buf_char(b, ',');
            mr_buf_f64(b, (double)v);
        }
    }
    if (base64)
        mr_base64_add(b, raw.p, raw.n);
    mr_buf_char(b, base64 ? '"' : ']');
    mr_buf_release(&raw);
}

void standin_embeddings(struct standin *s, const struct request *q, struct answer *a) {
    yyjson_doc *doc = yyjson_read(q->body.p, q->body.n, 0);
    yyjson_val *root = yyjson_doc_get_root(doc), *input = yyjson_obj_get(root, "input"), *v;
    yyjson_val *model = yyjson_obj_get(root, "model"), *dim = yyjson_obj_get(root, "dimensions");
    bool base64 = yyjson_equals_str(yyjson_obj_get(root, "encoding_format"), "base64");
    int64_t dims = yyjson_is_int(dim) ? yyjson_get_sint(dim) : q->dialect == OPENAI ? 1536 : 1024;
    int64_t tokens = 0;
    if (!yyjson_is_str(model) || !input || dims < 1 || dims > 4096) {
        (void)missing(s, a, q->dialect, yyjson_is_str(model) ? "input" : "model");
        yyjson_doc_free(doc);
        return;
    }
    const struct fault *f = fault_from_rules(
        s, q->path, mr_strn(yyjson_get_str(model), yyjson_get_len(model)), q->auth);
    if (f && fault_before(s, f, q->dialect, a)) {
        yyjson_doc_free(doc);
        return;
    }
    struct mr_buf b;
    mr_buf_init(&b, OUT_MAX / 4);
    mr_buf_cstr(&b, "{\"object\":\"list\",\"data\":[");
    bool one = yyjson_is_str(input) || yyjson_is_int(yyjson_arr_get_first(input));
    size_t n = one ? 1 : yyjson_arr_size(input);
    for (size_t i = 0; i < n; i++) {
        v = one ? input : yyjson_arr_get(input, i);
        struct mr_str text = mr_strn(yyjson_get_str(v), yyjson_get_len(v));
        if (!yyjson_is_str(v))
            text = MR_LIT("tokens");
        tokens += yyjson_is_str(v) ? (int64_t)(text.n + 3) / 4 : (int64_t)yyjson_arr_size(v);
        mr_buf_fmt(&b, "%s{\"object\":\"embedding\",\"index\":%zu,\"embedding\":", i ? "," : "", i);
        vector(&b, text, dims, base64);
        mr_buf_char(&b, '}');
    }
    mr_buf_cstr(&b, "],\"model\":");
    mr_buf_json(&b, mr_strn(yyjson_get_str(model), yyjson_get_len(model)));
    field(&b, ",\"usage\":{\"prompt_tokens\":", tokens);
    field(&b, ",\"total_tokens\":", tokens);
    mr_buf_cstr(&b, "}}");
    standin_json(s, a, q->dialect, 200, NULL, mr_buf_view(&b));
    s->stats.prompt_tokens += (uint64_t)tokens;
    mr_buf_release(&b);
    yyjson_doc_free(doc);
}
