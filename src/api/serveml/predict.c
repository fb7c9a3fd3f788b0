/* Predict and test-model. */
#include "api/serveml/gen_serveml.h"
#include "api/serveml/serveml.h"
#include "base/alloc.h"
#include "base/clock.h"
#include "core/events/events.h"
#include "core/usage/usage.h"

/* Distinct callers: the end user that the body names, else the user, else the key. */
static uint64_t caller_hash(struct mr_call *c) {
    static const struct mr_id zero;
    const struct mr_value *u = mr_call_value(c, "user_id");
    if (u->present && u->s.p)
        return mr_usage_user_hash(u->s);
    if (u->present) {
        char text[24];
        int n = snprintf(text, sizeof text, "%lld", (long long)u->i);
        return mr_usage_user_hash(mr_strn(text, (size_t)n));
    }
    struct mr_id id = mr_id_eq(c->who.user, zero) ? c->who.key : c->who.user;
    return mr_usage_user_hash(mr_strn((char *)id.b, 16));
}

struct failed {
    struct mr_events *events;
    struct mr_id account, deployment;
    char json[2048]; /* members of the payload, but for the name */
};

static int write_failed(struct mr_tx *tx, void *arg, struct mr_err *e) {
    struct failed *f = arg;
    struct mr_stmt *s;
    struct mr_buf b;
    int rc = mr_db_prepare(tx, "SELECT name FROM deployments WHERE id = ?1", &s, e);
    if (rc)
        return rc;
    mr_db_bind_id(s, 1, f->deployment);
    rc = mr_db_step(s, e);
    if (rc <= 0)
        return rc;
    mr_buf_init(&b, 16384);
    mr_buf_char(&b, '{');
    mr_json_str(&b, "name", mr_db_str(s, 0));
    mr_buf_fmt(&b, ",%s}", f->json);
    mr_db_done(s);
    rc = mr_buf_ok(&b)
             ? mr_event_emit(f->events, tx, f->account, "prediction.error", mr_buf_view(&b), e)
             : mr_fail(e, b.fail, "the event is too large");
    mr_buf_release(&b);
    return rc;
}

static void failed_written(void *arg, int rc, const struct mr_err *err) {
    (void)rc; /* the prediction's own error went to its caller; the event is best effort */
    (void)err;
    mr_free(arg);
}

static void emit_failed(struct mr_call *c, struct mr_id id, uint32_t version,
                        const struct mr_err *err) {
    struct mr_buf b;
    if (!mr_dep_error_due(c->core->deployments, id))
        return;
    struct failed *f = mr_malloc(sizeof *f);
    if (!f)
        return;
    mr_buf_init(&b, sizeof f->json - 1);
    mr_json_id(&b, "deployment_id", MR_DEP_PREFIX, id);
    mr_serveml_endpoint_url(c, &b, id);
    mr_json_key(&b, "version");
    mr_buf_fmt(&b, "\"v%u\"", version);
    mr_json_cstr(&b, "request_id", c->req->id);
    mr_json_cstr(&b, "error", err->msg);
    if (mr_buf_ok(&b)) {
        f->events = c->core->events;
        f->account = c->who.account;
        f->deployment = id;
        memcpy(f->json, b.p, b.n + 1);
        if (mr_db_write_async(c->core->db, write_failed, f, failed_written))
            mr_free(f); /* not queued: nobody else will */
    } else
        mr_free(f);
    mr_buf_release(&b);
}

static void add_time(struct mr_buf *b, const struct mr_req *r) {
    double ms = (double)(mr_mono_ns() - r->start_ns) / 1e6;
    mr_json_f64(b, "response_time_ms", (double)(int64_t)(ms * 1000 + 0.5) / 1000);
}

static size_t rows_hint(yyjson_val *data) {
    return yyjson_is_arr(data) && yyjson_is_ctn(yyjson_arr_get_first(data)) ? yyjson_arr_size(data)
                                                                            : 1;
}

void mr_serveml_ahead(struct mr_call *c, bool body) {
    if (c->row->fn != mr_serveml_predict)
        return;
    struct mr_id *id = &c->meter.deployment; /* set for good by the handler */
    struct mr_str text = mr_req_param(c->req, "deployment_id");
    if (body)
        mr_dep_ahead(c->core->deployments, *id, MR_DEP_AHEAD_ENTRY);
    else if (mr_id_parse_prefixed(MR_DEP_PREFIX, text, id))
        mr_dep_ahead(c->core->deployments, *id, MR_DEP_AHEAD_PLACE);
}

int mr_serveml_predict(struct mr_call *c, struct mr_err *e) {
    struct mr_dep_use use = {0};
    struct mr_run run = {0};
    struct mr_buf *b = mr_req_out(c->req); /* reused from request to request */
    struct mr_id id;
    yyjson_val *data = c->value[0].json; /* `data` is the row's first field */
    int rc = mr_serveml_deployment_id(c, &id, e);
    if (rc)
        return rc;
    rc = mr_dep_acquire(c->core->deployments, c->who.account, id, !c->on_loop, &use, e);
    if (rc == MR_EUNAVAIL && c->on_loop)
        return MR_CALL_POOL;
    if (rc)
        return rc;
    if (c->on_loop && !mr_instance_is_quick(use.instance, rows_hint(data))) {
        mr_instance_unref(use.instance);
        return MR_CALL_POOL;
    }
    c->meter.on = true;
    c->meter.account = c->who.account;
    c->meter.deployment = id;
    c->meter.version = use.version;
    c->meter.cold = use.cold;
    c->meter.user_hash = caller_hash(c);
    mr_buf_char(b, '{');
    rc = mr_instance_predict(use.instance, data, false, c->req->arena, b, &run, e);
    mr_instance_unref(use.instance);
    if (rc) {
        emit_failed(c, id, use.version, e);
        return rc;
    }
    c->meter.rows = (uint32_t)run.rows;
    mr_buf_str(b, MR_LIT(",\"model_version\":\"v"));
    mr_buf_u64(b, use.version);
    mr_buf_char(b, '"');
    add_time(b, c->req);
    if (run.batch)
        mr_json_i64(b, "batch_size", (int64_t)run.rows);
    mr_buf_char(b, '}');
    if (!mr_buf_ok(b))
        return mr_fail(e, b->fail, "the reply is too large");
    mr_req_reply(c->req, 200, "application/json", mr_buf_view(b), true);
    return 0;
}

int mr_serveml_test_model(struct mr_call *c, struct mr_err *e) {
    struct mr_dep_use use = {0};
    struct mr_run run = {0};
    struct mr_buf b;
    struct mr_id id;
    if (!mr_id_parse_prefixed(MR_DEP_PREFIX, mr_call_str(c, "deployment_id"), &id))
        return mr_fail(e, MR_ENOTFOUND, "no such deployment");
    int rc = mr_dep_acquire(c->core->deployments, c->who.account, id, true, &use, e);
    if (rc)
        return rc;
    mr_call_buf(c, &b);
    mr_buf_char(&b, '{');
    rc = mr_instance_predict(use.instance, mr_call_value(c, "data")->json, true, c->req->arena, &b,
                             &run, e);
    if (!rc) {
        mr_json_id(&b, "deployment_id", MR_DEP_PREFIX, id);
        mr_json_key(&b, "model_version");
        mr_buf_fmt(&b, "\"v%u\"", use.version);
        mr_json_key(&b, "input_schema");
        mr_instance_input_schema(use.instance, &b);
        mr_json_raw(&b, "features_read", run.features_read.p ? run.features_read : MR_LIT("[]"));
        add_time(&b, c->req);
        if (run.batch)
            mr_json_i64(&b, "batch_size", (int64_t)run.rows);
        mr_buf_char(&b, '}');
        rc = mr_call_json(c, 200, &b, e);
    } else
        mr_buf_release(&b);
    mr_instance_unref(use.instance);
    return rc;
}
