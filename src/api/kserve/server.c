/* The server itself, and the repository: index, load, unload. */
#include "api/kserve/gen_kserve.h"
#include "api/kserve/kserve.h"

#define INDEX_PAGE 100

int mr_kserve_server(struct mr_call *c, struct mr_err *e) {
    struct mr_buf b;
    mr_call_buf(c, &b);
    mr_buf_cstr(&b, "{\"name\":\"millrace\",\"version\":\"" MR_VERSION "\",\"extensions\":["
                    "\"binary_tensor_data\",\"model_repository\","
                    "\"statistics\"]}");
    return mr_call_json(c, 200, &b, e);
}

int mr_kserve_live(struct mr_call *c, struct mr_err *e) {
    struct mr_buf b;
    mr_call_buf(c, &b);
    mr_buf_cstr(&b, "{\"live\":true}");
    return mr_call_json(c, 200, &b, e);
}

int mr_kserve_ready(struct mr_call *c, struct mr_err *e) {
    struct mr_buf b;
    if (mr_http_draining(c->core->http))
        return mr_fail(e, MR_EUNAVAIL, "the server is shutting down");
    mr_call_buf(c, &b);
    mr_buf_cstr(&b, "{\"ready\":true}");
    return mr_call_json(c, 200, &b, e);
}

/* {"ready": true} in a body that may be missing. */
static int only_ready(struct mr_call *c, bool *ret, struct mr_err *e) {
    *ret = false;
    if (!c->req->body.n)
        return 0;
    yyjson_doc *doc = yyjson_read(c->req->body.p, c->req->body.n, 0);
    yyjson_val *root = yyjson_doc_get_root(doc), *v = yyjson_obj_get(root, "ready");
    bool ok = yyjson_is_obj(root) && (!v || yyjson_is_bool(v));
    *ret = ok && yyjson_is_true(v);
    yyjson_doc_free(doc);
    return ok ? 0
              : mr_fail(e, MR_EINVAL,
                        "the body must be empty or a JSON object; 'ready' is true or false");
}

static void index_entry(struct mr_call *c, struct mr_buf *b, const struct mr_deployment *d,
                        bool only) {
    bool serves = mr_str_is(d->status, "active") || mr_str_is(d->status, "updating");
    bool unloaded = mr_dep_unloaded(c->core->deployments, c->who.account, d->id);
    const char *state = serves && !unloaded                ? "READY"
                        : mr_str_is(d->status, "building") ? "LOADING"
                                                           : "UNAVAILABLE";
    if (only && strcmp(state, "READY") != 0)
        return;
    mr_buf_cstr(b, b->n > 1 ? ",{" : "{");
    mr_json_id(b, "name", MR_DEP_PREFIX, d->id);
    mr_json_key(b, "version");
    mr_buf_fmt(b, "\"%u\"", d->version);
    mr_json_cstr(b, "state", state);
    mr_json_str(b, "reason", unloaded ? MR_LIT("unloaded") : d->error);
    mr_buf_char(b, '}');
}

int mr_kserve_index(struct mr_call *c, struct mr_err *e) {
    struct mr_buf b;
    bool only;
    int64_t total = 0;
    int rc = only_ready(c, &only, e);
    if (rc)
        return rc;
    mr_call_buf(c, &b);
    mr_buf_char(&b, '[');
    for (int64_t at = 0; !rc && (at == 0 || at < total); at += INDEX_PAGE) {
        struct mr_dep_filter f = {.limit = INDEX_PAGE, .offset = at};
        struct mr_deployment *v;
        size_t n;
        struct mr_arena arena;
        mr_arena_init(&arena, (size_t)64 << 20);
        rc = mr_deployments_list(c->core->deployments, c->who.account, &f, &arena, &v, &n, &total,
                                 e);
        for (size_t i = 0; !rc && i < n; i++)
            index_entry(c, &b, &v[i], only);
        mr_arena_release(&arena);
    }
    if (rc) {
        mr_buf_release(&b);
        return rc;
    }
    mr_kserve_catalog_index(c, &b, only);
    mr_buf_char(&b, ']');
    return mr_call_json(c, 200, &b, e);
}

static int done(struct mr_call *c, struct mr_err *e) {
    struct mr_buf b;
    mr_call_buf(c, &b);
    mr_buf_cstr(&b, "{}");
    return mr_call_json(c, 200, &b, e);
}

/* Triton's load takes a configuration and files; a deployment's version is its configuration. */
static int no_override(struct mr_call *c, struct mr_err *e) {
    if (!c->req->body.n)
        return 0;
    yyjson_doc *doc = yyjson_read(c->req->body.p, c->req->body.n, 0);
    yyjson_val *root = yyjson_doc_get_root(doc), *params = yyjson_obj_get(root, "parameters");
    bool object = yyjson_is_obj(root), override = yyjson_obj_get(params, "config") != NULL;
    size_t i, n;
    yyjson_val *key, *v;
    yyjson_obj_foreach (params, i, n, key, v)
        override = override || !strncmp(yyjson_get_str(key), "file:", 5);
    yyjson_doc_free(doc);
    if (!object)
        return mr_fail(e, MR_EINVAL, "the body must be empty or a JSON object");
    return override ? mr_fail(e, MR_EINVAL,
                              "a configuration or files cannot be given here: deploy a new version")
                    : 0;
}

int mr_kserve_load(struct mr_call *c, struct mr_err *e) {
    struct mr_kserve_model m;
    int rc = no_override(c, e);
    if (!rc)
        rc = mr_kserve_find(c, &m, e);
    if (!rc)
        rc = m.catalog ? mr_kserve_catalog_load(c, &m, e)
                       : mr_dep_load(c->core->deployments, c->who.account, m.deployment, e);
    return rc ? rc : done(c, e);
}

int mr_kserve_unload(struct mr_call *c, struct mr_err *e) {
    struct mr_kserve_model m;
    int rc = mr_kserve_find(c, &m, e);
    if (!rc)
        rc = m.catalog ? mr_kserve_catalog_unload(c, &m, e)
                       : mr_dep_unload(c->core->deployments, c->who.account, m.deployment, e);
    return rc ? rc : done(c, e);
}
