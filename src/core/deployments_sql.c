/* Rows of deployments, shared by reads and writes. */
#include "base/clock.h"
#include "core/deployments_priv.h"
#include "core/events/events.h"

int mr_dep_row(struct mr_stmt *s, struct mr_arena *a, struct mr_deployment *ret, struct mr_err *e) {
    mr_db_id(s, 0, &ret->id);
    mr_db_id(s, 1, &ret->account);
    ret->name = mr_arena_keep(a, mr_db_str(s, 2));
    ret->status = mr_arena_keep(a, mr_db_str(s, 3));
    ret->framework = mr_arena_keep(a, mr_db_str(s, 4));
    ret->version = (uint32_t)mr_db_i64(s, 5);
    ret->metadata = mr_arena_keep(a, mr_db_str(s, 6));
    ret->error = mr_arena_keep(a, mr_db_str(s, 7));
    ret->config.memory_mb = mr_db_i64(s, 8);
    ret->config.timeout_s = mr_db_i64(s, 9);
    ret->config.min_instances = mr_db_i64(s, 10);
    ret->config.max_instances = mr_db_i64(s, 11);
    ret->created_us = mr_db_i64(s, 12);
    ret->updated_us = mr_db_i64(s, 13);
    /* None of these columns can be NULL: an absent copy means that memory ran out. */
    bool whole = ret->name.p && ret->status.p && ret->framework.p && ret->metadata.p;
    return whole && ret->error.p ? 0 : mr_fail(e, MR_ENOMEM, "out of memory");
}

int mr_dep_select(struct mr_tx *tx, struct mr_id account, struct mr_id id, struct mr_arena *a,
                  struct mr_deployment *ret, struct mr_err *e) {
    static const char sql[] =
        MR_DEP_SELECT "WHERE d.id = ?1 AND d.account_id = ?2 AND d.deleted_at = 0";
    struct mr_stmt *s;
    int rc = mr_db_prepare(tx, sql, &s, e);
    if (rc)
        return rc;
    mr_db_bind_id(s, 1, id);
    mr_db_bind_id(s, 2, account);
    rc = mr_db_step(s, e);
    if (rc <= 0)
        return rc ? rc : mr_fail(e, MR_ENOTFOUND, "no such deployment");
    rc = mr_dep_row(s, a, ret, e);
    mr_db_done(s);
    return rc;
}

int mr_dep_state_read(struct mr_deployments *d, struct mr_tx *tx, struct mr_id id,
                      struct mr_dep_state *ret, struct mr_err *e) {
    struct mr_stmt *s;
    int rc = mr_db_prepare(tx,
                           "SELECT d.deleted_at, d.memory_mb, d.timeout_s, d.min_instances, "
                           "d.max_instances, v.n, v.engine, v.program_blob, v.source_blob FROM "
                           "deployments d LEFT "
                           "JOIN versions v ON v.deployment_id = d.id AND v.n = d.current_version "
                           "WHERE d.id = ?1",
                           &s, e);
    if (rc)
        return rc;
    mr_db_bind_id(s, 1, id);
    rc = mr_db_step(s, e);
    if (rc <= 0)
        return rc ? rc : mr_fail(e, MR_ENOTFOUND, "no such deployment");
    struct mr_dep_state now = {
        .seq = atomic_fetch_add(&d->seq, 1) + 1,
        .deleted = mr_db_i64(s, 0) > 0,
        .config = {mr_db_i64(s, 1), mr_db_i64(s, 2), mr_db_i64(s, 3), mr_db_i64(s, 4)},
        .program = {.version = (uint32_t)mr_db_i64(s, 5),
                    .kind = (enum mr_engine_kind)mr_db_i64(s, 6)}};
    struct mr_str blob = mr_db_blob(s, 7);
    now.serving = !now.deleted && now.program.version > 0 && blob.n == MR_SHA256_LEN;
    if (now.serving)
        memcpy(now.program.blob.sha, blob.p, MR_SHA256_LEN);
    struct mr_str source = mr_db_blob(s, 8);
    if (source.n == MR_SHA256_LEN)
        memcpy(now.program.source.sha, source.p, MR_SHA256_LEN);
    mr_db_done(s);
    *ret = now;
    return 0;
}

int mr_dep_set_status(struct mr_tx *tx, struct mr_id id, const char *status, struct mr_err *e) {
    struct mr_stmt *s;
    int rc = mr_db_prepare(tx,
                           "UPDATE deployments SET status = ?1, updated_at = ?2 WHERE id = ?3 AND "
                           "deleted_at = 0",
                           &s, e);
    if (rc)
        return rc;
    mr_db_bind_str(s, 1, mr_str(status));
    mr_db_bind_i64(s, 2, mr_now_us());
    mr_db_bind_id(s, 3, id);
    return mr_db_exec(s, e);
}

int mr_dep_event(struct mr_deployments *d, struct mr_tx *tx, const char *event,
                 const struct mr_deployment *dep, struct mr_str base_url, struct mr_str error,
                 struct mr_err *e) {
    struct mr_buf b;
    char id[64];
    mr_buf_init(&b, 65536);
    mr_id_print(MR_DEP_PREFIX, dep->id, id, sizeof id);
    mr_buf_fmt(&b, "{\"deployment_id\":\"%s\",\"name\":", id);
    mr_buf_json(&b, dep->name);
    mr_buf_cstr(&b, ",\"endpoint_url\":");
    struct mr_buf url;
    mr_buf_init(&url, 4096);
    mr_buf_str(&url, base_url);
    mr_buf_fmt(&url, "/api/v1/predict/%s", id);
    mr_buf_json(&b, mr_buf_view(&url));
    mr_buf_release(&url);
    mr_buf_fmt(&b, ",\"version\":\"v%u\"", dep->version);
    if (error.n) {
        mr_buf_cstr(&b, ",\"error\":");
        mr_buf_json(&b, error);
    }
    mr_buf_char(&b, '}');
    int rc = mr_buf_ok(&b) ? mr_event_emit(d->c.events, tx, dep->account, event, mr_buf_view(&b), e)
                           : mr_fail(e, b.fail, "the event is too large");
    mr_buf_release(&b);
    return rc;
}

struct serves {
    struct mr_id account, id;
    bool yes;
};

static int serves_in(struct mr_tx *tx, void *arg, struct mr_err *e) {
    struct serves *q = arg;
    struct mr_stmt *s;
    int rc = mr_db_prepare(tx,
                           "SELECT current_version > 0 FROM deployments WHERE id = ?1 AND "
                           "account_id = ?2 AND deleted_at = 0",
                           &s, e);
    if (rc)
        return rc;
    mr_db_bind_id(s, 1, q->id);
    mr_db_bind_id(s, 2, q->account);
    rc = mr_db_step(s, e);
    q->yes = rc > 0 && mr_db_i64(s, 0) != 0;
    mr_db_done(rc > 0 ? s : NULL);
    return rc < 0 ? rc : 0;
}

bool mr_dep_serves(struct mr_deployments *d, struct mr_id account, struct mr_id id) {
    struct serves q = {.account = account, .id = id};
    return !mr_db_read(d->c.db, serves_in, &q, NULL) && q.yes;
}
