/* Conversations: checked for all models, and for local ones written in the three roles that every
 * chat template knows. A tool's answer and calls of tools take the form of tools.h. */
#include "api/openai/openai.h"

#define MESSAGES_MAX 4096

static int bad(size_t i, const char *what, struct mr_err *e) {
    char field[40];
    snprintf(field, sizeof field, "messages[%zu]", i);
    return mr_fail_field(e, MR_EFIELD, field, "%s %s", field, what);
}

static bool role_known(yyjson_val *role) {
    static const char *const roles[] = {"system",    "developer", "user",
                                        "assistant", "tool",      "function"};
    for (size_t i = 0; i < sizeof roles / sizeof *roles; i++)
        if (yyjson_equals_str(role, roles[i]))
            return true;
    return false;
}

static int check(size_t i, yyjson_val *m, struct mr_err *e) {
    yyjson_val *content = yyjson_obj_get(m, "content"), *calls = yyjson_obj_get(m, "tool_calls");
    if (!yyjson_is_obj(m))
        return bad(i, "must be an object", e);
    if (!role_known(yyjson_obj_get(m, "role")))
        return bad(i, "needs a role: system, developer, user, assistant or tool", e);
    if (calls && !yyjson_is_null(calls) && !yyjson_is_arr(calls))
        return bad(i, "has tool_calls that are no array", e);
    bool none = !content || yyjson_is_null(content);
    if (none && !yyjson_arr_size(calls))
        return bad(i, "needs a content", e);
    if (!none && !yyjson_is_str(content) && !yyjson_is_arr(content))
        return bad(i, "has a content that is neither a text nor an array of parts", e);
    return 0;
}

/* The text of a message in one buffer. */
static int put_content(size_t i, yyjson_val *content, struct mr_buf *b, struct mr_err *e) {
    size_t k, n;
    yyjson_val *part;
    if (yyjson_is_str(content))
        mr_buf_str(b, mr_strn(yyjson_get_str(content), yyjson_get_len(content)));
    yyjson_arr_foreach (content, k, n, part) {
        yyjson_val *text = yyjson_obj_get(part, "text");
        if (!yyjson_equals_str(yyjson_obj_get(part, "type"), "text") || !yyjson_is_str(text))
            return bad(i, "has a part that is no text; this model reads text only", e);
        if (k)
            mr_buf_char(b, '\n');
        mr_buf_str(b, mr_strn(yyjson_get_str(text), yyjson_get_len(text)));
    }
    return 0;
}

static int put_calls(size_t i, yyjson_val *calls, struct mr_buf *b, struct mr_err *e) {
    size_t k, n;
    yyjson_val *call;
    yyjson_arr_foreach (calls, k, n, call) {
        yyjson_val *f = yyjson_obj_get(call, "function"), *name = yyjson_obj_get(f, "name"),
                   *args = yyjson_obj_get(f, "arguments");
        if (!yyjson_is_str(name) || !yyjson_is_str(args))
            return bad(i, "has a tool call without a function's name and arguments", e);
        mr_buf_cstr(b, b->n ? "\n<tool_call>\n{\"name\": " : "<tool_call>\n{\"name\": ");
        mr_buf_json(b, mr_strn(yyjson_get_str(name), yyjson_get_len(name)));
        mr_buf_cstr(b, ", \"arguments\": ");
        mr_buf_str(b, yyjson_get_len(args) ? mr_strn(yyjson_get_str(args), yyjson_get_len(args))
                                           : MR_LIT("{}"));
        mr_buf_cstr(b, "}\n</tool_call>");
    }
    return 0;
}

static int put_local(size_t i, yyjson_val *m, struct mr_buf *text, struct mr_buf *out,
                     struct mr_err *e) {
    yyjson_val *role = yyjson_obj_get(m, "role");
    bool result = yyjson_equals_str(role, "tool") || yyjson_equals_str(role, "function");
    const char *name = result                                 ? "user"
                       : yyjson_equals_str(role, "developer") ? "system"
                                                              : yyjson_get_str(role);
    mr_buf_clear(text);
    if (result)
        mr_buf_cstr(text, "<tool_response>\n");
    int rc = put_content(i, yyjson_obj_get(m, "content"), text, e);
    if (!rc)
        rc = put_calls(i, yyjson_obj_get(m, "tool_calls"), text, e);
    if (result)
        mr_buf_cstr(text, "\n</tool_response>");
    mr_buf_fmt(out, "%s{\"role\":\"%s\",\"content\":", i ? "," : "", name);
    mr_buf_json(out, text->n ? mr_buf_view(text) : MR_LIT(""));
    mr_buf_char(out, '}');
    return rc;
}

static int as_is(yyjson_val *messages, struct mr_arena *arena, struct mr_str *ret,
                 struct mr_err *e) {
    size_t n;
    char *json = yyjson_val_write(messages, 0, &n);
    *ret = json ? mr_arena_keep(arena, mr_strn(json, n)) : (struct mr_str){0};
    free(json);
    return ret->p ? 0 : mr_fail(e, MR_ETOOBIG, "the messages do not fit into memory");
}

int mr_openai_messages(yyjson_val *messages, bool local, struct mr_arena *arena,
                       struct mr_str *ret_json, struct mr_err *e) {
    size_t i, n;
    yyjson_val *m;
    int rc = 0;
    if (!yyjson_is_arr(messages) || !yyjson_arr_size(messages))
        return mr_fail_field(e, MR_EFIELD, "messages",
                             "'messages' must be an array with at least one message");
    if (yyjson_arr_size(messages) > MESSAGES_MAX)
        return mr_fail_field(e, MR_EFIELD, "messages", "'messages' holds more than %d",
                             MESSAGES_MAX);
    yyjson_arr_foreach (messages, i, n, m)
        if ((rc = check(i, m, e)))
            return rc;
    if (!local)
        return as_is(messages, arena, ret_json, e);
    struct mr_buf text, out;
    mr_buf_init(&text, (size_t)32 << 20);
    mr_buf_init(&out, (size_t)48 << 20);
    mr_buf_char(&out, '[');
    yyjson_arr_foreach (messages, i, n, m)
        if (!rc)
            rc = put_local(i, m, &text, &out, e);
    mr_buf_char(&out, ']');
    if (!rc) {
        *ret_json = mr_buf_ok(&out) && mr_buf_ok(&text) ? mr_arena_keep(arena, mr_buf_view(&out))
                                                        : (struct mr_str){0};
        if (!ret_json->p)
            rc = mr_fail(e, MR_ETOOBIG, "the messages do not fit into memory");
    }
    mr_buf_release(&text);
    mr_buf_release(&out);
    return rc;
}
