#include "core/jobs/predictions.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "core/core.h"
#include "core/usage/usage.h"

#include <yyjson.h>

#define OUTPUT_MAX (64u << 20)

static int deployment_of(struct mr_str parameters, struct mr_id *ret, struct mr_err *e) {
    yyjson_doc *doc =
        yyjson_read_opts((char *)(uintptr_t)parameters.p, parameters.n, 0, NULL, NULL);
    yyjson_val *v = yyjson_obj_get(yyjson_doc_get_root(doc), "deployment_id");
    bool ok =
        yyjson_is_str(v) &&
        mr_id_parse_prefixed(MR_DEP_PREFIX, mr_strn(yyjson_get_str(v), yyjson_get_len(v)), ret);
    yyjson_doc_free(doc);
    return ok ? 0
              : mr_fail_field(e, MR_EFIELD, "parameters.deployment_id",
                              "parameters.deployment_id must name a deployment");
}

static int check(void *arg, const struct mr_principal *who, struct mr_str parameters,
                 struct mr_err *e) {
    const struct mr_core *core = arg;
    struct mr_deployment d;
    struct mr_arena arena;
    struct mr_id id;
    int rc = deployment_of(parameters, &id, e);
    if (rc)
        return rc;
    mr_arena_init(&arena, 16u << 20);
    rc = mr_deployments_get(core->deployments, who->account, id, &arena, &d, e);
    mr_arena_release(&arena);
    return rc == MR_ENOTFOUND ? mr_fail_field(e, MR_EFIELD, "parameters.deployment_id",
                                              "no such deployment in this account")
                              : rc;
}

/* The answer into the arena; the buffer goes. */
static int keep_output(struct mr_buf *b, struct mr_arena *arena, struct mr_str *ret,
                       struct mr_err *e) {
    struct mr_str s = mr_buf_ok(b) ? mr_arena_keep(arena, mr_buf_view(b)) : mr_strn(NULL, 0);
    int rc = s.p ? 0 : mr_fail(e, mr_buf_ok(b) ? MR_ENOMEM : b->fail, "the answer is too large");
    mr_buf_release(b);
    if (!rc)
        *ret = s;
    return rc;
}

static int predict(const struct mr_dep_use *use, yyjson_val *data, struct mr_arena *arena,
                   size_t *ret_rows, struct mr_str *ret, struct mr_err *e) {
    struct mr_run run = {0};
    struct mr_buf b;
    mr_buf_init(&b, OUTPUT_MAX);
    mr_buf_char(&b, '{');
    int rc = mr_instance_predict(use->instance, data, false, arena, &b, &run, e);
    if (rc) {
        mr_buf_release(&b);
        return rc;
    }
    mr_buf_fmt(&b, ",\"model_version\":\"v%u\"", use->version);
    if (run.batch)
        mr_buf_fmt(&b, ",\"batch_size\":%zu", run.rows);
    mr_buf_char(&b, '}');
    *ret_rows = run.rows;
    return keep_output(&b, arena, ret, e);
}

static void meter(const struct mr_core *core, const struct mr_job_item *item,
                  const struct mr_dep_use *use, struct mr_id deployment, size_t rows,
                  int64_t began_ns, struct mr_str output, bool failed) {
    static const struct mr_id none;
    const struct mr_id *by = mr_id_eq(item->who.user, none) ? &item->who.key : &item->who.user;
    int64_t us = (mr_mono_ns() - began_ns) / 1000;
    struct mr_usage_record r = {.time_us = mr_now_us(),
                                .account = item->who.account,
                                .deployment = deployment,
                                .user_hash = mr_usage_user_hash(mr_strn((const char *)by->b, 16)),
                                .version = use->version,
                                .rows = (uint32_t)rows,
                                .latency_us = us < UINT32_MAX ? (uint32_t)us : UINT32_MAX,
                                .bytes_in = (uint32_t)item->input.n,
                                .bytes_out = (uint32_t)output.n,
                                .error = failed,
                                .cold_start = use->cold};
    if (core->usage)
        (void)mr_usage_record(core->usage, &r); /* refused records are counted there */
}

static int run(void *arg, const struct mr_job_item *item, struct mr_arena *arena,
               struct mr_str *ret, struct mr_err *e) {
    const struct mr_core *core = arg;
    struct mr_dep_use use = {0};
    struct mr_str output = {0};
    struct mr_id id;
    size_t rows = 0;
    int64_t began = mr_mono_ns();
    if (item->file)
        return mr_fail(e, MR_EUNSUPPORTED, "a prediction's item is JSON, not a file");
    int rc = deployment_of(item->parameters, &id, e);
    if (!rc && !(item->who.scopes & MR_SCOPE_PREDICT))
        rc = mr_fail(e, MR_EFORBIDDEN, "the creator of this job may not predict any more");
    if (!rc)
        rc = mr_dep_acquire(core->deployments, item->who.account, id, true, &use, e);
    if (rc)
        return rc;
    yyjson_doc *doc =
        yyjson_read_opts((char *)(uintptr_t)item->input.p, item->input.n, 0, NULL, NULL);
    rc = doc ? predict(&use, yyjson_doc_get_root(doc), arena, &rows, &output, e)
             : mr_fail(e, MR_EINVAL, "the item is not JSON");
    yyjson_doc_free(doc);
    meter(core, item, &use, id, rows, began, output, rc != 0);
    mr_instance_unref(use.instance);
    if (!rc)
        *ret = output;
    return rc;
}

struct mr_job_runner mr_job_predictions_runner(struct mr_core *core, unsigned at_once) {
    return (struct mr_job_runner){
        .service = "predictions", .run = run, .check = check, .arg = core, .at_once = at_once};
}
