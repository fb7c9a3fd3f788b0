/* Errors of providers. Known shapes:
 *   OpenAI    {"error": {"message", "type", "param", "code"}}; compatible ones {"error": "…"}
 *   Mistral   {"object": "error", "message": "…" or {"detail": […]}, "type", "code"},
 *             {"message": "…"}, {"detail": "…"}, {"detail": [{"loc", "msg", "type"}]}
 * and bodies that are no JSON at all. */
#include "engine/provider/text.h"

#include <strings.h>

/* FastAPI's validation list: "msg (body.field); …". */
static struct mr_str details(yyjson_val *list, struct mr_arena *arena) {
    struct mr_buf b;
    mr_buf_init(&b, PROVIDER_MESSAGE_MAX * 8);
    size_t i, max, k, parts;
    yyjson_val *item, *part;
    yyjson_arr_foreach (list, i, max, item) {
        struct mr_str msg = mr_provider_str(yyjson_obj_get(item, "msg"));
        if (!msg.p || !mr_buf_ok(&b))
            continue;
        if (b.n)
            mr_buf_cstr(&b, "; ");
        mr_buf_str(&b, msg);
        yyjson_val *loc = yyjson_obj_get(item, "loc");
        yyjson_arr_foreach (loc, k, parts, part) {
            mr_buf_cstr(&b, k ? "." : " (");
            if (yyjson_is_int(part))
                mr_buf_i64(&b, yyjson_get_sint(part));
            else
                mr_buf_str(&b, mr_provider_str(part));
        }
        if (yyjson_arr_size(loc))
            mr_buf_char(&b, ')');
    }
    struct mr_str s = b.n ? mr_provider_message(arena, mr_buf_view(&b)) : (struct mr_str){0};
    mr_buf_release(&b);
    return s;
}

static struct mr_str of_value(yyjson_val *v, struct mr_arena *arena) {
    struct mr_str s = mr_provider_str(v);
    if (s.n)
        return mr_provider_message(arena, s);
    if (yyjson_is_arr(v))
        return details(v, arena);
    return (struct mr_str){0};
}

struct mr_str mr_provider_reason(yyjson_val *root, struct mr_arena *arena) {
    yyjson_val *error = yyjson_obj_get(root, "error");
    yyjson_val *message = yyjson_obj_get(root, "message");
    yyjson_val *tries[] = {yyjson_obj_get(error, "message"), error, message,
                           yyjson_obj_get(message, "detail"), yyjson_obj_get(root, "detail")};
    for (size_t i = 0; i < sizeof tries / sizeof *tries; i++) {
        struct mr_str s = of_value(tries[i], arena);
        if (s.n)
            return s;
    }
    return (struct mr_str){0};
}

static bool names_quota(yyjson_val *v) {
    static const char *const names[] = {"insufficient_quota", "billing_hard_limit_reached",
                                        "billing_not_active", "insufficient_balance"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (yyjson_equals_str(v, names[i]))
            return true;
    return false;
}

static bool is_quota(yyjson_val *root) {
    yyjson_val *error = yyjson_obj_get(root, "error");
    return names_quota(yyjson_obj_get(error, "code")) ||
           names_quota(yyjson_obj_get(error, "type")) ||
           names_quota(yyjson_obj_get(root, "code")) || names_quota(yyjson_obj_get(root, "type"));
}

/* Of a page its title, of other text the beginning. */
static struct mr_str plain(struct mr_str body, struct mr_arena *arena) {
    size_t n = body.n < 4096 ? body.n : 4096;
    for (size_t i = 0; i + 7 < n; i++) {
        if (body.p[i] != '<' || strncasecmp(body.p + i, "<title>", 7) != 0)
            continue;
        size_t end = i += 7;
        while (end < n && body.p[end] != '<')
            end++;
        return mr_provider_message(arena, mr_strn(body.p + i, end - i));
    }
    if (n && memchr(body.p, '<', n))
        return (struct mr_str){0}; /* markup without a title says nothing */
    return mr_provider_message(arena, mr_strn(body.p, n));
}

enum mr_failure mr_provider_error(int status, struct mr_str body, struct mr_arena *arena,
                                  struct mr_str *ret_msg) {
    struct provider_json j;
    yyjson_val *root = mr_provider_json(&j, body);
    bool json = yyjson_is_obj(root);
    struct mr_str msg = json ? mr_provider_reason(root, arena) : plain(body, arena);
    bool quota = status == 402 || (json && is_quota(root));
    yyjson_doc_free(j.doc);
    if (!msg.n) {
        char *text = mr_arena_fmt(arena, "HTTP status %d", status);
        msg = text ? mr_str(text) : MR_LIT("an error without a reason");
    }
    *ret_msg = msg;
    if (quota)
        return MR_FAIL_QUOTA;
    if (status == 401 || status == 403)
        return MR_FAIL_AUTH;
    if (status == 408 || status == 409 || status == 425 || status == 429 || status >= 500)
        return MR_FAIL_RETRY;
    return MR_FAIL_REQUEST;
}
