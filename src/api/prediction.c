/* What every protocol does around a prediction of a deployment. */
#include "api/prediction.h"

#include "base/alloc.h"
#include "core/events/events.h"
#include "core/usage/usage.h"

uint64_t mr_prediction_caller(const struct mr_call *c) {
    static const struct mr_id zero;
    struct mr_id id = mr_id_eq(c->who.user, zero) ? c->who.key : c->who.user;
    return mr_usage_user_hash(mr_strn((const char *)id.b, 16));
}

void mr_prediction_url(struct mr_call *c, struct mr_buf *b, struct mr_id id) {
    struct mr_str base = mr_call_base_url(c);
    char hex[MR_ID_HEX];
    mr_id_hex(id, hex);
    mr_json_key(b, "endpoint_url");
    mr_buf_fmt(b, "\"%.*s/api/v1/predict/" MR_DEP_PREFIX "%s\"", (int)base.n, base.p, hex);
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

void mr_prediction_failed(struct mr_call *c, struct mr_id id, uint32_t version,
                          const struct mr_err *err) {
    struct mr_buf b;
    if (!mr_dep_error_due(c->core->deployments, id))
        return;
    struct failed *f = mr_malloc(sizeof *f);
    if (!f)
        return;
    mr_buf_init(&b, sizeof f->json - 1);
    mr_json_id(&b, "deployment_id", MR_DEP_PREFIX, id);
    mr_prediction_url(c, &b, id);
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
