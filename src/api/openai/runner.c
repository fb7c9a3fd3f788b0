/* One line of a batch: {"custom_id", "method": "POST", "url", "body"}, answered as the endpoint
 * would have. */
#include "api/openai/batch.h"
#include "base/clock.h"
#include "core/usage/usage.h"

#define AT_ONCE  8
#define BODY_MAX ((size_t)64 << 20)
#define PREDICT  "/api/v1/predict/"

static bool endpoint_known(struct mr_str url) {
    struct mr_id id;
    struct mr_str p = MR_LIT(PREDICT);
    return mr_str_is(url, "/v1/chat/completions") || mr_str_is(url, "/v1/completions") ||
           mr_str_is(url, "/v1/embeddings") ||
           (mr_str_starts(url, p) &&
            mr_id_parse_prefixed(MR_DEP_PREFIX, mr_strn(url.p + p.n, url.n - p.n), &id));
}

static struct mr_str text_of(yyjson_val *o, const char *key) {
    yyjson_val *v = yyjson_obj_get(o, key);
    return mr_strn(yyjson_get_str(v), yyjson_get_len(v));
}

static int check(void *arg, const struct mr_principal *who, struct mr_str parameters,
                 struct mr_err *e) {
    (void)arg;
    yyjson_doc *doc = yyjson_read(parameters.p, parameters.n, 0);
    bool ok = endpoint_known(text_of(yyjson_doc_get_root(doc), "endpoint"));
    yyjson_doc_free(doc);
    if (!(who->scopes & MR_SCOPE_PREDICT))
        return mr_fail(e, MR_EFORBIDDEN, "this key may not run models");
    return ok ? 0
              : mr_fail_field(e, MR_EFIELD, "endpoint",
                              "'endpoint' must be /v1/chat/completions, /v1/completions, "
                              "/v1/embeddings or /api/v1/predict/{deployment_id}");
}

static int predict(struct mr_core *core, const struct mr_job_item *item, struct mr_str url,
                   yyjson_val *body, struct mr_arena *arena, struct mr_buf *b, struct mr_err *e) {
    size_t from = sizeof PREDICT - 1;
    struct mr_dep_use use = {0};
    struct mr_run run = {0};
    struct mr_id id;
    int64_t began = mr_mono_ns();
    if (!mr_id_parse_prefixed(MR_DEP_PREFIX, mr_strn(url.p + from, url.n - from), &id))
        return mr_fail_field(e, MR_ENOTFOUND, "url", "no such deployment");
    int rc = mr_dep_acquire(core->deployments, item->who.account, id, true, &use, e);
    if (rc)
        return rc;
    mr_buf_char(b, '{');
    rc = mr_instance_predict(use.instance, yyjson_obj_get(body, "data"), false, arena, b, &run, e);
    if (!rc)
        mr_buf_fmt(b, ",\"model_version\":\"v%u\"}", use.version);
    struct mr_usage_record r = {.time_us = mr_now_us(),
                                .account = item->who.account,
                                .deployment = id,
                                .user_hash =
                                    mr_usage_user_hash(mr_strn((const char *)item->who.user.b, 16)),
                                .version = use.version,
                                .rows = (uint32_t)run.rows,
                                .latency_us = (uint32_t)((mr_mono_ns() - began) / 1000),
                                .bytes_in = (uint32_t)item->input.n,
                                .bytes_out = (uint32_t)b->n,
                                .error = rc != 0,
                                .cold_start = use.cold};
    (void)mr_usage_record(core->usage, &r); /* refused records are counted there */
    mr_instance_unref(use.instance);
    return rc;
}

static int answer(struct mr_core *core, const struct mr_job_item *item, struct mr_str url,
                  yyjson_val *body, struct mr_arena *arena, struct mr_buf *b, struct mr_err *e) {
    struct mr_openai_ask ask;
    char hex[MR_ID_HEX], id[64];
    int rc;
    if (mr_str_is(url, "/v1/embeddings"))
        return mr_openai_embed(core, &item->who, body, arena, b, e);
    if (mr_str_starts(url, MR_LIT(PREDICT)))
        return predict(core, item, url, body, arena, b, e);
    if (mr_str_is(url, "/v1/chat/completions"))
        rc = mr_openai_read_chat(core, &item->who, body, arena, &ask, e);
    else
        rc = mr_openai_read_completion(core, &item->who, body, arena, &ask, e);
    if (!rc && ask.stream)
        rc = mr_fail_field(e, MR_EFIELD, "stream", "a batch's answers cannot be streams");
    if (rc)
        return rc;
    mr_id_hex(item->job, hex);
    snprintf(id, sizeof id, "%.16s%lld", hex + 16, (long long)item->index);
    return mr_openai_run(core, &ask, id, arena, b, e);
}

static int line(struct mr_core *core, const struct mr_job_item *item, yyjson_val *root,
                struct mr_arena *arena, struct mr_buf *b, struct mr_err *e) {
    yyjson_val *body = yyjson_obj_get(root, "body");
    struct mr_str url = text_of(root, "url"), custom = text_of(root, "custom_id");
    yyjson_doc *doc = yyjson_read(item->parameters.p, item->parameters.n, 0);
    struct mr_str want = text_of(yyjson_doc_get_root(doc), "endpoint");
    int rc = 0;
    if (!custom.n)
        rc = mr_fail_field(e, MR_EFIELD, "custom_id", "the line has no custom_id");
    else if (!mr_str_is(text_of(root, "method"), "POST"))
        rc = mr_fail_field(e, MR_EFIELD, "method", "'method' must be POST");
    else if (!url.n || !mr_str_eq(url, want))
        rc = mr_fail_field(e, MR_EFIELD, "url", "'url' must be the batch's endpoint");
    else if (!yyjson_is_obj(body))
        rc = mr_fail_field(e, MR_EFIELD, "body", "'body' must be an object");
    if (!rc) {
        mr_buf_cstr(b, "{\"custom_id\":");
        mr_buf_json(b, custom);
        mr_buf_cstr(b, ",\"body\":");
        struct mr_buf inner;
        mr_buf_init(&inner, BODY_MAX);
        rc = answer(core, item, url, body, arena, &inner, e);
        mr_buf_str(b, mr_buf_view(&inner));
        if (!rc && !mr_buf_ok(&inner))
            rc = mr_fail(e, inner.fail, "the answer is too large");
        mr_buf_release(&inner);
        mr_buf_char(b, '}');
    }
    yyjson_doc_free(doc);
    return rc;
}

static int run(void *arg, const struct mr_job_item *item, struct mr_arena *arena,
               struct mr_str *ret_output, struct mr_err *e) {
    struct mr_buf b;
    if (item->file)
        return mr_fail(e, MR_EUNSUPPORTED, "a batch's line is JSON, not a file");
    if (!(item->who.scopes & MR_SCOPE_PREDICT))
        return mr_fail(e, MR_EFORBIDDEN, "the creator of this batch may not run models any more");
    yyjson_doc *doc = yyjson_read(item->input.p, item->input.n, 0);
    yyjson_val *root = yyjson_doc_get_root(doc);
    mr_buf_init(&b, BODY_MAX + 65536);
    int rc = yyjson_is_obj(root) ? line(arg, item, root, arena, &b, e)
                                 : mr_fail(e, MR_EINVAL, "the line is not a JSON object");
    if (!rc) {
        *ret_output = mr_buf_ok(&b) ? mr_arena_keep(arena, mr_buf_view(&b)) : mr_strn(NULL, 0);
        if (!ret_output->p)
            rc = mr_fail(e, MR_ETOOBIG, "the answer is too large");
    }
    mr_buf_release(&b);
    yyjson_doc_free(doc);
    return rc;
}

void mr_openai_runner(struct mr_core *core, struct mr_job_runner *ret) {
    *ret = (struct mr_job_runner){
        .service = MR_OPENAI_SERVICE, .run = run, .check = check, .arg = core, .at_once = AT_ONCE};
}
