#include "engine/llm/tools.h"

#include "base/cleanup.h"
#include "engine/llm/grammar.h"

#include <stdlib.h>
#include <string.h>

MR_DEFINE_CLEANUP(yyjson_doc *, yyjson_doc_free);
MR_DEFINE_CLEANUP(yyjson_mut_doc *, yyjson_mut_doc_free);

#define TOOLS_MAX 128
#define CALLS_MAX 64

static int at_tool(struct mr_err *e, size_t k, const char *member, const char *why) {
    char field[64];
    snprintf(field, sizeof field, "tools[%zu].%s", k, member);
    return mr_fail_field(e, MR_EFIELD, field, "%s", why);
}

/* {"type":"object","properties":{"name":{"const":…},"arguments":…},"required":[both],
 * "additionalProperties":false} */
static yyjson_mut_val *call_schema(yyjson_mut_doc *d, yyjson_val *name, yyjson_val *parameters) {
    yyjson_mut_val *call = yyjson_mut_obj(d), *props = yyjson_mut_obj(d);
    yyjson_mut_val *is = yyjson_mut_obj(d), *req = yyjson_mut_arr(d), *args;
    if (parameters && !yyjson_is_null(parameters)) {
        args = yyjson_val_mut_copy(d, parameters);
    } else {
        args = yyjson_mut_obj(d);
        yyjson_mut_obj_add_str(d, args, "type", "object");
    }
    yyjson_mut_obj_add_val(d, is, "const", yyjson_val_mut_copy(d, name));
    yyjson_mut_obj_add_val(d, props, "name", is);
    yyjson_mut_obj_add_val(d, props, "arguments", args);
    yyjson_mut_arr_add_str(d, req, "name");
    yyjson_mut_arr_add_str(d, req, "arguments");
    yyjson_mut_obj_add_str(d, call, "type", "object");
    yyjson_mut_obj_add_val(d, call, "properties", props);
    yyjson_mut_obj_add_val(d, call, "required", req);
    yyjson_mut_obj_add_bool(d, call, "additionalProperties", false);
    return call;
}

/* References of a tool's schema mean its own root; in the joined one that root lies deeper. */
static int move_references(yyjson_mut_doc *d, yyjson_mut_val *v, const char *root, int depth) {
    size_t i, n;
    yyjson_mut_val *key, *x;
    if (depth > 64)
        return MR_EFIELD;
    yyjson_mut_val *ref = yyjson_mut_obj_get(v, "$ref");
    const char *to = yyjson_mut_get_str(ref);
    if (to && *to == '#') {
        char path[512];
        if (snprintf(path, sizeof path, "%s%s", root, to + 1) >= (int)sizeof path ||
            !yyjson_mut_set_strn(ref, unsafe_yyjson_mut_strncpy(d, path, strlen(path)),
                                 strlen(path)))
            return MR_EFIELD;
    }
    yyjson_mut_obj_foreach(v, i, n, key, x) {
        if (move_references(d, x, root, depth + 1))
            return MR_EFIELD;
    }
    yyjson_mut_arr_foreach(v, i, n, x) {
        if (move_references(d, x, root, depth + 1))
            return MR_EFIELD;
    }
    return 0;
}

/* The one schema's grammar, its root renamed to "call". */
static int call_grammar(yyjson_val *schema, bool single, struct mr_buf *out, struct mr_err *e) {
    MR_CLEANUP(mr_buf_release) struct mr_buf g;
    mr_buf_init(&g, (size_t)4 << 20);
    int r = mr_grammar_from_schema(schema, &g, e);
    if (r)
        return r;
    const char *root = strstr(g.p, "root ::=");
    mr_buf_cstr(out, single ? "root ::= one\n" : "root ::= one (\"\\n\" one){0,7}\n");
    mr_buf_cstr(out, "one ::= \"<tool_call>\\n\" call \"\\n</tool_call>\"\n");
    mr_buf_add(out, g.p, (size_t)(root - g.p));
    mr_buf_cstr(out, "call");
    mr_buf_cstr(out, root + 4);
    return mr_buf_ok(out) ? 0 : mr_fail_field(e, MR_EFIELD, "tools", "the tools are too large");
}

int mr_tools_grammar(yyjson_val *tools, enum mr_tool_choice choice, struct mr_str one,
                     struct mr_buf *out, struct mr_err *e) {
    size_t i, n;
    yyjson_val *tool;
    if (choice == MR_TOOLS_AUTO || choice == MR_TOOLS_NONE)
        return mr_fail(e, MR_EINVAL, "an answer that may be text needs no grammar");
    if (!yyjson_is_arr(tools) || !yyjson_arr_size(tools) || yyjson_arr_size(tools) > TOOLS_MAX)
        return mr_fail_field(e, MR_EFIELD, "tools", "must be a list of 1 to %d tools", TOOLS_MAX);
    MR_CLEANUP(yyjson_mut_doc_free_p) yyjson_mut_doc *d = yyjson_mut_doc_new(NULL);
    yyjson_mut_val *any = yyjson_mut_arr(d);
    yyjson_arr_foreach (tools, i, n, tool) {
        yyjson_val *f = yyjson_obj_get(tool, "function"), *name = yyjson_obj_get(f, "name");
        yyjson_val *parameters = yyjson_obj_get(f, "parameters");
        if (!yyjson_equals_str(yyjson_obj_get(tool, "type"), "function") || !yyjson_is_str(name) ||
            !yyjson_get_len(name))
            return at_tool(e, i, "function", "a tool needs the type \"function\" and a name");
        if (choice == MR_TOOLS_ONE &&
            !mr_str_eq((struct mr_str){yyjson_get_str(name), yyjson_get_len(name)}, one))
            continue;
        if (parameters && !yyjson_is_null(parameters) && !yyjson_is_obj(parameters))
            return at_tool(e, i, "function.parameters", "must be a JSON schema");
        char at[64];
        snprintf(at, sizeof at, "#/anyOf/%zu/properties/arguments", yyjson_mut_arr_size(any));
        yyjson_mut_val *call = call_schema(d, name, parameters);
        if (move_references(d, call, at, 0))
            return at_tool(e, i, "function.parameters", "is nested too deeply");
        yyjson_mut_arr_append(any, call);
    }
    if (!yyjson_mut_arr_size(any))
        return mr_fail_field(e, MR_EFIELD, "tool_choice", "no tool has this name");
    yyjson_mut_val *root = yyjson_mut_obj(d);
    yyjson_mut_obj_add_val(d, root, "anyOf", any);
    yyjson_mut_doc_set_root(d, root);
    MR_CLEANUP(yyjson_doc_free_p) yyjson_doc *fixed = yyjson_mut_doc_imut_copy(d, NULL);
    if (!fixed)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    return call_grammar(yyjson_doc_get_root(fixed), choice == MR_TOOLS_ONE, out, e);
}

/* A JSON object with a name and arguments, and nothing but space around it. */
static bool read_call(struct mr_str body, struct mr_arena *arena, struct mr_tool_call *ret) {
    MR_CLEANUP(yyjson_doc_free_p)
    yyjson_doc *d = yyjson_read_opts((char *)(uintptr_t)body.p, body.n, 0, NULL, NULL);
    yyjson_val *root = yyjson_doc_get_root(d), *name = yyjson_obj_get(root, "name");
    yyjson_val *args = yyjson_obj_get(root, "arguments");
    if (!yyjson_is_str(name) || !yyjson_get_len(name) || (args && !yyjson_is_obj(args)))
        return false;
    size_t n = 2;
    char *json = args ? yyjson_val_write(args, 0, &n) : NULL;
    const char *text = args ? json : "{}";
    ret->name = (struct mr_str){mr_arena_strn(arena, yyjson_get_str(name), yyjson_get_len(name)),
                                yyjson_get_len(name)};
    ret->arguments = (struct mr_str){text ? mr_arena_strn(arena, text, n) : NULL, n};
    free(json);
    return ret->name.p && ret->arguments.p;
}

int mr_tools_find(struct mr_str answer, struct mr_arena *arena, struct mr_str *ret_text,
                  struct mr_tool_call **ret, size_t *ret_n, struct mr_err *e) {
    static const char open[] = "<tool_call>", close[] = "</tool_call>";
    struct mr_tool_call *calls = mr_arena_array(arena, CALLS_MAX, sizeof *calls);
    char *text = mr_arena_alloc(arena, answer.n + 1);
    size_t n = 0, n_text = 0;
    if (!calls || !text)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    const char *p = answer.p, *end = answer.p + answer.n;
    while (p < end) {
        const char *at = n < CALLS_MAX ? memmem(p, (size_t)(end - p), open, sizeof open - 1) : NULL;
        const char *stop = at ? memmem(at, (size_t)(end - at), close, sizeof close - 1) : NULL;
        /* The last call may lack its end: models stop there. */
        const char *body = at ? at + sizeof open - 1 : NULL;
        size_t len = at ? (size_t)((stop ? stop : end) - body) : 0;
        if (!at) {
            memcpy(text + n_text, p, (size_t)(end - p));
            n_text += (size_t)(end - p);
            break;
        }
        memcpy(text + n_text, p, (size_t)(at - p));
        n_text += (size_t)(at - p);
        if (read_call((struct mr_str){body, len}, arena, &calls[n])) {
            n++;
            p = stop ? stop + sizeof close - 1 : end;
        } else { /* not a call: the mark is text, and what follows is looked at on its own */
            memcpy(text + n_text, open, sizeof open - 1);
            n_text += sizeof open - 1;
            p = body;
        }
    }
    while (n && n_text && strchr(" \t\r\n", text[n_text - 1]))
        n_text--;
    text[n_text] = 0;
    *ret_text = (struct mr_str){text, n_text};
    *ret = calls;
    *ret_n = n;
    return 0;
}
