/* Predict and test-model. */
#include "api/prediction.h"
#include "api/serveml/gen_serveml.h"
#include "api/serveml/serveml.h"
#include "base/clock.h"
#include "core/usage/usage.h"

/* Distinct callers: the end user that the body names, else the user, else the key. */
static uint64_t caller_hash(struct mr_call *c) {
    const struct mr_value *u = mr_call_value(c, "user_id");
    if (u->present && u->s.p)
        return mr_usage_user_hash(u->s);
    if (u->present) {
        char text[24];
        int n = snprintf(text, sizeof text, "%lld", (long long)u->i);
        return mr_usage_user_hash(mr_strn(text, (size_t)n));
    }
    return mr_prediction_caller(c);
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
        mr_prediction_failed(c, id, use.version, e);
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
