/* Which model a request names, and what there is to say about it. */
#include "api/kserve/gen_kserve.h"
#include "api/kserve/kserve.h"
#include "api/kserve/request.h"
#include "core/catalog/drivers.h"
#include "core/usage/infer_stats.h"

struct mr_str mr_kserve_version(struct mr_call *c, const struct mr_kserve_model *m) {
    if (m->catalog)
        return mr_str(*m->catalog->version ? m->catalog->version : "1");
    char *p = mr_arena_fmt(c->req->arena, "%u", m->version);
    return p ? mr_str(p) : MR_LIT("");
}

void mr_kserve_model_release(struct mr_kserve_model *m) {
    mr_instance_unref(m->instance);
    m->instance = NULL;
    mr_use_end(&m->use, true);
    m->use = (struct mr_use){0};
}

/* What the path names: a deployment by id or name, else a model of the catalogue. */
static int name_to_id(struct mr_call *c, struct mr_kserve_model *m, struct mr_err *e) {
    struct mr_deployment d;
    m->name = mr_req_param(c->req, "model_name");
    if (!mr_id_parse_prefixed(MR_DEP_PREFIX, m->name, &m->deployment)) {
        if (c->on_loop)
            return MR_CALL_POOL;
        int rc = mr_deployments_find(c->core->deployments, c->who.account, m->name, c->req->arena,
                                     &d, e);
        if (rc == MR_ENOTFOUND && mr_kserve_catalog_name(c, m))
            return 0;
        if (rc == MR_ENOTFOUND)
            return mr_fail(e, rc, "there is no model '%.*s'",
                           (int)(m->name.n > 100 ? 100 : m->name.n), m->name.p);
        if (rc)
            return rc;
        m->deployment = d.id;
    }
    char text[64];
    mr_id_print(MR_DEP_PREFIX, m->deployment, text, sizeof text);
    char *key = mr_arena_strn(c->req->arena, text, strlen(text));
    m->key = key ? mr_str(key) : m->name;
    return key ? 0 : mr_fail(e, MR_ENOMEM, "out of memory");
}

/* "3" or "v3" must be the version that serves. */
static int check_version(struct mr_call *c, const struct mr_kserve_model *m, struct mr_err *e) {
    struct mr_str v = mr_req_param(c->req, "model_version");
    int64_t n;
    if (!v.p)
        return 0;
    if (m->catalog) {
        struct mr_str serves = mr_kserve_version(c, m);
        return mr_str_eq(v, serves)
                   ? 0
                   : mr_fail(e, MR_ENOTFOUND, "version %.*s does not serve; version %.*s does",
                             (int)(v.n > 40 ? 40 : v.n), v.p, (int)serves.n, serves.p);
    }
    struct mr_str digits = v.n && v.p[0] == 'v' ? mr_strn(v.p + 1, v.n - 1) : v;
    if (!mr_str_i64(digits, 1, UINT32_MAX, &n))
        return mr_fail(e, MR_ENOTFOUND, "there is no version '%.*s'", (int)(v.n > 40 ? 40 : v.n),
                       v.p);
    if ((uint32_t)n != m->version)
        return mr_fail(e, MR_ENOTFOUND,
                       "version %lld does not serve; version %u does (roll back to serve another)",
                       (long long)n, m->version);
    return 0;
}

int mr_kserve_open(struct mr_call *c, struct mr_kserve_model *ret, struct mr_err *e) {
    struct mr_kserve_model m = {0};
    struct mr_dep_use use = {0};
    int rc = name_to_id(c, &m, e);
    if (!rc && m.catalog) {
        rc = check_version(c, &m, e);
        if (!rc)
            rc = mr_kserve_catalog_open(c, &m, e);
        if (!rc)
            *ret = m;
        return rc;
    }
    if (rc)
        return rc;
    rc = mr_dep_acquire(c->core->deployments, c->who.account, m.deployment, !c->on_loop, &use, e);
    if (rc == MR_EUNAVAIL && c->on_loop)
        return MR_CALL_POOL;
    if (rc)
        return rc;
    m.instance = use.instance;
    m.version = use.version;
    m.cold = use.cold;
    rc = check_version(c, &m, e);
    if (rc)
        mr_kserve_model_release(&m);
    else
        *ret = m;
    return rc;
}

int mr_kserve_find(struct mr_call *c, struct mr_kserve_model *ret, struct mr_err *e) {
    struct mr_kserve_model m = {0};
    struct mr_deployment d;
    int rc = name_to_id(c, &m, e);
    if (!rc && !m.catalog)
        rc = mr_deployments_get(c->core->deployments, c->who.account, m.deployment, c->req->arena,
                                &d, e);
    if (rc)
        return rc;
    m.version = m.catalog ? 0 : d.version;
    rc = check_version(c, &m, e);
    if (!rc)
        *ret = m;
    return rc;
}

/* --- handlers ------------------------------------------------------------------------------- */

int mr_kserve_model(struct mr_call *c, struct mr_err *e) {
    struct mr_kserve_model m;
    struct mr_tensor_io io;
    struct mr_buf b;
    int rc = mr_kserve_open(c, &m, e);
    if (rc)
        return rc;
    rc = m.catalog ? mr_onnx_io(mr_model_net(m.catalog, m.use.handle, m.net), c->req->arena, &io, e)
                   : mr_instance_io(m.instance, c->req->arena, &io, e);
    if (!rc) {
        mr_call_buf(c, &b);
        mr_buf_char(&b, '{');
        mr_json_str(&b, "name", m.name);
        mr_json_key(&b, "versions");
        mr_buf_char(&b, '[');
        mr_buf_json(&b, mr_kserve_version(c, &m));
        mr_buf_char(&b, ']');
        mr_json_str(&b, "platform", io.platform);
        mr_json_key(&b, "inputs");
        mr_kserve_put_values(io.in, io.n_in, &b);
        mr_json_key(&b, "outputs");
        mr_kserve_put_values(io.out, io.n_out, &b);
        mr_buf_char(&b, '}');
        rc = mr_call_json(c, 200, &b, e);
    }
    mr_kserve_model_release(&m); /* names of inputs live in it */
    return rc;
}
int mr_kserve_model_version(struct mr_call *c, struct mr_err *e) {
    return mr_kserve_model(c, e);
}

int mr_kserve_model_ready(struct mr_call *c, struct mr_err *e) {
    struct mr_kserve_model m;
    struct mr_buf b;
    struct mr_kserve_model named = {0};
    int rc = name_to_id(c, &named, e);
    if (rc)
        return rc;
    m = named;
    if (!named.catalog)
        rc = mr_kserve_open(c, &m, e);
    else if (!(rc = check_version(c, &named, e)))
        rc = mr_kserve_catalog_ready(c, &named, e);
    if (rc == MR_ENOTLOADED || rc == MR_ECONFLICT) /* not ready is 400 in this protocol */
        e->code = rc = MR_EINVAL;
    if (rc)
        return rc;
    mr_kserve_model_release(&m);
    mr_call_buf(c, &b);
    mr_buf_char(&b, '{');
    mr_json_str(&b, "name", m.name);
    mr_json_bool(&b, "ready", true);
    mr_buf_char(&b, '}');
    return mr_call_json(c, 200, &b, e);
}
int mr_kserve_model_ready_version(struct mr_call *c, struct mr_err *e) {
    return mr_kserve_model_ready(c, e);
}

static void duration(struct mr_buf *b, const char *key, uint64_t count, uint64_t ns) {
    mr_json_key(b, key);
    mr_buf_fmt(b, "{\"count\":%llu,\"ns\":%llu}", (unsigned long long)count,
               (unsigned long long)ns);
}

int mr_kserve_stats(struct mr_call *c, struct mr_err *e) {
    struct mr_kserve_model m;
    struct mr_infer_totals t;
    struct mr_buf b;
    int rc = mr_kserve_find(c, &m, e);
    if (rc)
        return rc;
    struct mr_infer_key key = {c->who.account, m.key, m.version};
    mr_infer_stats_get(c->core->infer_stats, &key, &t);
    mr_call_buf(c, &b);
    mr_buf_cstr(&b, "{\"model_stats\":[{");
    mr_json_str(&b, "name", m.name);
    mr_json_str(&b, "version", mr_kserve_version(c, &m));
    mr_json_i64(&b, "last_inference", t.last_us / 1000);
    mr_json_i64(&b, "inference_count", (int64_t)t.rows);
    mr_json_i64(&b, "execution_count", (int64_t)t.ok);
    mr_json_key(&b, "inference_stats");
    mr_buf_char(&b, '{');
    duration(&b, "success", t.ok, t.ok_ns);
    duration(&b, "fail", t.failed, t.failed_ns);
    duration(&b, "queue", t.ok, t.queue_ns);
    duration(&b, "compute_input", t.ok, t.input_ns);
    duration(&b, "compute_infer", t.ok, t.infer_ns);
    duration(&b, "compute_output", t.ok, t.output_ns);
    mr_buf_cstr(&b, "},\"batch_stats\":[]}]}");
    return mr_call_json(c, 200, &b, e);
}
int mr_kserve_stats_version(struct mr_call *c, struct mr_err *e) {
    return mr_kserve_stats(c, e);
}
