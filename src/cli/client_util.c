/* Names to ids, paths, printing of replies. */
#include "base/codec.h"
#include "base/id.h"
#include "cli/client.h"

#define DEP_PREFIX "dep-"
#define PAGE       100
#define PAGES_MAX  1000

int mr_client_get_id(struct mr_client *c, const char *before, const char *id, const char *after,
                     struct mr_reply *ret, struct mr_err *e) {
    struct mr_buf path;
    *ret = (struct mr_reply){0};
    mr_buf_init(&path, 8192);
    mr_buf_cstr(&path, before);
    mr_percent_add(&path, mr_str(id));
    mr_buf_cstr(&path, after);
    int rc = mr_buf_ok(&path) ? mr_client_call(c, "GET", path.p, mr_strn(NULL, 0), ret, e)
                              : mr_fail(e, MR_ETOOBIG, "the id is too long");
    mr_buf_release(&path);
    return rc;
}

struct search {
    const char *name;
    char *id;
    size_t cap;
    int found;
};

/* Items of one page whose name is exactly the one that is sought. */
static int64_t scan(struct search *s, yyjson_val *root) {
    yyjson_val *item;
    size_t i, max;
    yyjson_arr_foreach (yyjson_obj_get(root, "items"), i, max, item) {
        const char *name = yyjson_get_str(yyjson_obj_get(item, "name"));
        const char *id = yyjson_get_str(yyjson_obj_get(item, "id"));
        if (name && id && !strcmp(name, s->name) && strlen(id) < s->cap) {
            if (!s->found++)
                snprintf(s->id, s->cap, "%s", id);
        }
    }
    return (int64_t)max;
}

int mr_client_deployment(struct mr_client *c, const char *name, char *ret_id, size_t cap,
                         struct mr_err *e) {
    struct search s = {name, ret_id, cap, 0};
    struct mr_id id;
    int64_t total = 1;
    if (mr_id_parse_prefixed(DEP_PREFIX, mr_str(name), &id) && strlen(name) < cap) {
        snprintf(ret_id, cap, "%s", name);
        return 0;
    }
    for (int64_t page = 0, seen = 0; seen < total && page < PAGES_MAX; page++) {
        struct mr_reply r;
        char tail[64];
        snprintf(tail, sizeof tail, "&limit=%d&offset=%lld", PAGE, (long long)seen);
        int rc = mr_client_get_id(c, "/api/v1/deployments?search=", name, tail, &r, e);
        yyjson_val *root = yyjson_doc_get_root(r.doc);
        int64_t n = rc ? 0 : scan(&s, root);
        seen += n;
        if (!rc)
            total = yyjson_get_sint(yyjson_obj_get(root, "total"));
        mr_reply_release(&r);
        if (rc)
            return rc;
        if (!n)
            break;
    }
    if (!s.found)
        return mr_fail(e, MR_ENOTFOUND, "no deployment has the id or name '%.100s'%s", name,
                       c->key ? "" : "; without --key or MILLRACE_KEY none is visible");
    if (s.found > 1)
        return mr_fail(e, MR_ECONFLICT, "%d deployments are named '%.100s': give the id", s.found,
                       name);
    return 0;
}

void mr_reply_print(const struct mr_reply *r) {
    size_t n;
    char *text = r->doc ? yyjson_write(r->doc, YYJSON_WRITE_PRETTY_TWO_SPACES, &n) : NULL;
    if (text)
        printf("%s\n", text);
    free(text); /* yyjson's own malloc */
}

int mr_reply_failed(const struct mr_args *a, const struct mr_reply *r, const struct mr_err *e) {
    if (a->json)
        mr_reply_print(r);
    return mr_args_failed(a, e);
}
