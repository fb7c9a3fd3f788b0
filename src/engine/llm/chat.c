#include "engine/llm/chat.h"

#include "base/cleanup.h"

#include <string.h>
#include <yyjson.h>

MR_DEFINE_CLEANUP(yyjson_doc *, yyjson_doc_free);

struct talk {
    struct mr_arena *arena;
    struct mr_llm_turn *turn;
    uint32_t n;
    bool chatml;
    struct mr_buf text; /* of the turn under construction */
};

static int at_message(struct mr_err *e, size_t k, const char *member, const char *text) {
    char field[64];
    snprintf(field, sizeof field, "messages[%zu].%s", k, member);
    return mr_fail_field(e, MR_EFIELD, field, "%s", text);
}

static int add_turn(struct talk *t, const char *role, struct mr_str text, struct mr_err *e) {
    char *copy = mr_buf_ok(&t->text) ? mr_arena_strn(t->arena, text.p, text.n) : NULL;
    if (!copy)
        return mr_fail(e, MR_ETOOBIG, "the conversation is too long");
    t->turn[t->n++] = (struct mr_llm_turn){mr_str(role), {copy, text.n}};
    return 0;
}

/* A text, null, or a list of parts of type "text". */
static int add_content(struct talk *t, yyjson_val *v, size_t k, struct mr_err *e) {
    if (yyjson_is_str(v)) {
        mr_buf_add(&t->text, yyjson_get_str(v), yyjson_get_len(v));
        return 0;
    }
    if (!v || yyjson_is_null(v))
        return 0;
    if (!yyjson_is_arr(v))
        return at_message(e, k, "content", "must be a text or a list of parts");
    size_t i, n;
    yyjson_val *part;
    yyjson_arr_foreach (v, i, n, part) {
        const char *type = yyjson_get_str(yyjson_obj_get(part, "type"));
        yyjson_val *text = yyjson_obj_get(part, "text");
        if (!type || strcmp(type, "text") || !yyjson_is_str(text))
            return at_message(e, k, "content",
                              "this model reads text only: every part must be of type \"text\"");
        mr_buf_add(&t->text, yyjson_get_str(text), yyjson_get_len(text));
    }
    return 0;
}

/* What the model said when it called tools, in its own words again. */
static int add_calls(struct talk *t, yyjson_val *calls, size_t k, struct mr_err *e) {
    size_t i, n;
    yyjson_val *call;
    if (!yyjson_is_arr(calls))
        return at_message(e, k, "tool_calls", "must be a list");
    yyjson_arr_foreach (calls, i, n, call) {
        yyjson_val *f = yyjson_obj_get(call, "function");
        yyjson_val *name = yyjson_obj_get(f, "name"), *args = yyjson_obj_get(f, "arguments");
        if (!yyjson_is_str(name) || !yyjson_is_str(args))
            return at_message(e, k, "tool_calls",
                              "each needs function.name and function.arguments, both texts");
        mr_buf_cstr(&t->text,
                    t->text.n ? "\n<tool_call>\n{\"name\": " : "<tool_call>\n{\"name\": ");
        mr_buf_json(&t->text, (struct mr_str){yyjson_get_str(name), yyjson_get_len(name)});
        mr_buf_cstr(&t->text, ", \"arguments\": ");
        mr_buf_add(&t->text, yyjson_get_str(args), yyjson_get_len(args));
        mr_buf_cstr(&t->text, "}\n</tool_call>");
    }
    return 0;
}

static int add_result(struct talk *t, bool joins, struct mr_err *e) {
    struct mr_buf b;
    mr_buf_init(&b, MR_LLM_TEXT_MAX);
    if (joins) {
        mr_buf_str(&b, t->turn[--t->n].content);
        mr_buf_char(&b, '\n');
    }
    mr_buf_cstr(&b, "<tool_response>\n");
    mr_buf_str(&b, mr_buf_view(&t->text));
    mr_buf_cstr(&b, "\n</tool_response>");
    int r = mr_buf_ok(&b) ? add_turn(t, "user", mr_buf_view(&b), e)
                          : mr_fail(e, MR_ETOOBIG, "the conversation is too long");
    mr_buf_release(&b);
    return r;
}

static int add_message(struct talk *t, yyjson_val *m, size_t k, bool *results, struct mr_err *e) {
    const char *role = yyjson_get_str(yyjson_obj_get(m, "role"));
    yyjson_val *calls = yyjson_obj_get(m, "tool_calls");
    if (!yyjson_is_obj(m) || !role)
        return at_message(e, k, "role", "every message needs a role");
    mr_buf_clear(&t->text);
    int r = add_content(t, yyjson_obj_get(m, "content"), k, e);
    if (r)
        return r;
    bool result = !strcmp(role, "tool") || !strcmp(role, "function");
    if ((result || (calls && !yyjson_is_null(calls))) && !t->chatml)
        return at_message(e, k, "role", "this model's chat template knows no tools");
    if (calls && !yyjson_is_null(calls))
        r = add_calls(t, calls, k, e);
    if (r)
        return r;
    if (result)
        r = add_result(t, *results, e);
    else if (!strcmp(role, "system") || !strcmp(role, "developer"))
        r = add_turn(t, "system", mr_buf_view(&t->text), e);
    else if (!strcmp(role, "user")) /* turns outlive the document that `role` is in */
        r = add_turn(t, "user", mr_buf_view(&t->text), e);
    else if (!strcmp(role, "assistant"))
        r = add_turn(t, "assistant", mr_buf_view(&t->text), e);
    else
        r = at_message(e, k, "role", "must be system, developer, user, assistant or tool");
    *results = result;
    return r;
}

static int describe_tools(yyjson_val *tools, struct mr_buf *b, struct mr_err *e) {
    size_t i, n;
    yyjson_val *tool;
    mr_buf_cstr(b, "You can call functions to help the user. What they take is within "
                   "<tools></tools>:\n<tools>");
    yyjson_arr_foreach (tools, i, n, tool) {
        if (!yyjson_is_str(yyjson_obj_get(yyjson_obj_get(tool, "function"), "name"))) {
            char field[64];
            snprintf(field, sizeof field, "tools[%zu].function.name", i);
            return mr_fail_field(e, MR_EFIELD, field, "every tool needs a function with a name");
        }
        size_t len;
        char *json = yyjson_val_write(tool, 0, &len);
        mr_buf_char(b, '\n');
        mr_buf_add(b, json, json ? len : 0);
        free(json);
    }
    mr_buf_cstr(b, "\n</tools>\nTo call one, answer with a JSON object of its name and its "
                   "arguments within <tool_call></tool_call>:\n<tool_call>\n{\"name\": "
                   "\"the function's name\", \"arguments\": {}}\n</tool_call>");
    return mr_buf_ok(b) ? 0 : mr_fail(e, MR_ETOOBIG, "the tools are too long");
}

static int add_system(struct talk *t, yyjson_val *first, yyjson_val *tools, bool *ret_used,
                      struct mr_err *e) {
    const char *role = yyjson_get_str(yyjson_obj_get(first, "role"));
    bool given = role && (!strcmp(role, "system") || !strcmp(role, "developer"));
    bool any = tools && yyjson_arr_size(tools);
    mr_buf_clear(&t->text);
    *ret_used = false;
    if (any && !t->chatml)
        return mr_fail_field(e, MR_EFIELD, "tools", "this model's chat template knows no tools");
    if (!any)
        return 0; /* a system message is one like others */
    int r = given ? add_content(t, yyjson_obj_get(first, "content"), 0, e) : 0;
    if (t->text.n)
        mr_buf_cstr(&t->text, "\n\n");
    if (!r)
        r = describe_tools(tools, &t->text, e);
    *ret_used = given;
    return r || !t->text.n ? r : add_turn(t, "system", mr_buf_view(&t->text), e);
}

static int read_list(struct mr_str json, const char *name, yyjson_doc **ret, struct mr_err *e) {
    yyjson_read_err why;
    yyjson_doc *d = yyjson_read_opts((char *)(uintptr_t)json.p, json.n, 0, NULL, &why);
    if (!d || !yyjson_is_arr(yyjson_doc_get_root(d))) {
        yyjson_doc_free(d);
        return mr_fail_field(e, MR_EFIELD, name, "must be a list%s%s", d ? "" : ": ",
                             d ? "" : why.msg);
    }
    *ret = d;
    return 0;
}

static int convert(struct talk *t, yyjson_val *list, yyjson_val *tools, struct mr_err *e) {
    size_t i, n;
    yyjson_val *m;
    bool used, results = false;
    int r = add_system(t, yyjson_arr_get_first(list), tools, &used, e);
    yyjson_arr_foreach (list, i, n, m) {
        if (!r && !(used && i == 0))
            r = add_message(t, m, i, &results, e);
    }
    return r;
}

int mr_llm_turns(struct mr_str messages_json, struct mr_str tools_json, struct mr_str chat_template,
                 struct mr_arena *arena, struct mr_llm_turn **ret, uint32_t *ret_n,
                 struct mr_err *e) {
    MR_CLEANUP(yyjson_doc_free_p) yyjson_doc *messages = NULL;
    MR_CLEANUP(yyjson_doc_free_p) yyjson_doc *tools = NULL;
    int r = read_list(messages_json, "messages", &messages, e);
    if (!r && tools_json.n)
        r = read_list(tools_json, "tools", &tools, e);
    if (r)
        return r;
    yyjson_val *list = yyjson_doc_get_root(messages);
    size_t n = yyjson_arr_size(list);
    if (!n || n >= MR_LLM_TURNS_MAX)
        return mr_fail_field(e, MR_EFIELD, "messages", "must have 1 to %d messages",
                             MR_LLM_TURNS_MAX - 1);
    struct talk t = {.arena = arena,
                     .chatml = chat_template.n &&
                               memmem(chat_template.p, chat_template.n, "<|im_start|>", 12)};
    t.turn = mr_arena_array(arena, n + 1, sizeof *t.turn);
    if (!t.turn)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    mr_buf_init(&t.text, MR_LLM_TEXT_MAX);
    r = convert(&t, list, tools ? yyjson_doc_get_root(tools) : NULL, e);
    mr_buf_release(&t.text);
    if (r)
        return r;
    *ret = t.turn;
    *ret_n = t.n;
    return 0;
}
