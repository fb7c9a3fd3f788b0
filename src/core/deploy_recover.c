/* Versions that an earlier process left 'building': they are built now, each as often as three
 * starts; then they are failed, in case that building them is what ends the server. */
#include "base/buf.h"
#include "core/deploy_priv.h"

#include <yyjson.h>

#define ATTEMPTS_MAX 3
#define TEXT(x)      #x
#define NUMBER(x)    TEXT(x)
#define GIVEN_UP                                                                                   \
    "v.status = 'building' AND (v.attempts >= " NUMBER(                                            \
        ATTEMPTS_MAX) " OR EXISTS (SELECT 1 FROM "                                                 \
                      "deployments d WHERE d.id = v.deployment_id AND d.deleted_at > 0))"

struct mr_str mr_deploy_request(struct mr_arena *a, const struct mr_deploy_job *j) {
    struct mr_buf b;
    mr_buf_init(&b, (size_t)16 << 20);
    mr_buf_cstr(&b, "{\"file_name\":");
    mr_buf_json(&b, j->file_name);
    mr_buf_cstr(&b, ",\"base_url\":");
    mr_buf_json(&b, j->base_url);
    if (j->requirements.p) {
        mr_buf_cstr(&b, ",\"requirements\":");
        mr_buf_json(&b, j->requirements);
    }
    mr_buf_fmt(&b, ",\"memory_mb\":%lld,\"timeout_s\":%lld}", (long long)j->memory_mb,
               (long long)j->timeout_s);
    struct mr_str r = mr_buf_ok(&b) ? mr_arena_keep(a, mr_buf_view(&b)) : mr_strn(NULL, 0);
    mr_buf_release(&b);
    return r;
}

static bool text_of(struct mr_arena *a, yyjson_val *root, const char *key, struct mr_str *ret) {
    yyjson_val *v = yyjson_obj_get(root, key);
    if (!yyjson_is_str(v))
        return true;
    *ret = mr_arena_keep(a, mr_strn(yyjson_get_str(v), yyjson_get_len(v)));
    return ret->p != NULL;
}

/* False when memory ran out. */
static bool read_request(struct mr_deploy_job *j, struct mr_str json) {
    yyjson_doc *doc = yyjson_read(json.p, json.n, 0); /* '' of an older release: nothing is known */
    yyjson_val *root = yyjson_doc_get_root(doc);
    bool whole = text_of(&j->arena, root, "file_name", &j->file_name) &&
                 text_of(&j->arena, root, "base_url", &j->base_url) &&
                 text_of(&j->arena, root, "requirements", &j->requirements);
    j->memory_mb = yyjson_get_sint(yyjson_obj_get(root, "memory_mb"));
    j->timeout_s = yyjson_get_sint(yyjson_obj_get(root, "timeout_s"));
    yyjson_doc_free(doc);
    return whole;
}

static int job_of_row(struct mr_deployments *d, struct mr_stmt *s, struct mr_err *e) {
    struct mr_deploy_job *j = mr_deploy_job_new(d);
    if (!j)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    struct mr_str source = mr_db_blob(s, 9);
    if (source.n == MR_SHA256_LEN)
        memcpy(j->source.sha, source.p, MR_SHA256_LEN);
    bool whole = read_request(j, mr_db_str(s, 10));
    mr_db_id(s, 0, &j->dep.id);
    mr_db_id(s, 1, &j->dep.account);
    j->account = j->dep.account;
    j->dep.name = mr_arena_keep(&j->arena, mr_db_str(s, 2));
    j->dep.version = (uint32_t)mr_db_i64(s, 3);
    j->dep.metadata = mr_arena_keep(&j->arena, mr_db_str(s, 4));
    j->dep.config =
        (struct mr_dep_config){mr_db_i64(s, 5), mr_db_i64(s, 6), mr_db_i64(s, 7), mr_db_i64(s, 8)};
    if (j->memory_mb > 0)
        j->dep.config.memory_mb = j->memory_mb;
    if (j->timeout_s > 0)
        j->dep.config.timeout_s = j->timeout_s;
    j->inserted = true;
    if (!whole || !j->dep.name.p || !j->dep.metadata.p) {
        mr_deploy_job_unref(j);
        return mr_fail(e, MR_ENOMEM, "out of memory");
    }
    j->next = d->recover;
    d->recover = j;
    return 0;
}

static int list_unfinished(struct mr_deployments *d, struct mr_tx *tx, struct mr_err *e) {
    struct mr_stmt *s;
    /* Newest first: the list turns it round. */
    int rc = mr_db_prepare(tx,
                           "SELECT d.id, d.account_id, d.name, v.n, v.metadata, d.memory_mb, "
                           "d.timeout_s, d.min_instances, d.max_instances, v.source_blob, "
                           "v.request FROM versions v JOIN deployments d ON d.id = "
                           "v.deployment_id WHERE v.status = 'building' ORDER BY v.created_at "
                           "DESC, v.n DESC",
                           &s, e);
    while (!rc && (rc = mr_db_step(s, e)) > 0) {
        rc = job_of_row(d, s, e);
        if (rc)
            mr_db_done(s);
    }
    return rc;
}

int mr_deploy_repair(struct mr_tx *tx, void *arg, struct mr_err *e) {
    static const char *const steps[] = {
        /* Its retry builds anew instead of repeating the interruption. */
        "DELETE FROM idempotency WHERE EXISTS (SELECT 1 FROM versions v WHERE v.deployment_id = "
        "idempotency.deployment_id AND v.n = idempotency.version AND " GIVEN_UP ")",
        "UPDATE versions AS v SET status = 'failed', request = '', error = 'interrupted by a "
        "restart: deploy again' WHERE " GIVEN_UP,
        "UPDATE deployments SET status = 'failed' WHERE status = 'building' AND current_version = "
        "0 AND deleted_at = 0 AND NOT EXISTS (SELECT 1 FROM versions v WHERE v.deployment_id = "
        "deployments.id AND v.status = 'building')",
        /* in brackets: clang takes it for a lost comma */
        ("UPDATE deployments SET status = 'active' WHERE status IN ('updating', 'building') AND "
         "current_version > 0 AND deleted_at = 0"),
    };
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        struct mr_stmt *s;
        int rc = mr_db_prepare(tx, steps[i], &s, e);
        if (!rc)
            rc = mr_db_exec(s, e);
        if (rc)
            return rc;
    }
    return list_unfinished(arg, tx, e);
}

static int write_attempt(struct mr_tx *tx, void *arg, struct mr_err *e) {
    const struct mr_deploy_job *j = arg;
    struct mr_stmt *s;
    int rc = mr_db_prepare(
        tx, "UPDATE versions SET attempts = attempts + 1 WHERE deployment_id = ?1 AND n = ?2", &s,
        e);
    if (rc)
        return rc;
    mr_db_bind_id(s, 1, j->dep.id);
    mr_db_bind_i64(s, 2, j->dep.version);
    return mr_db_exec(s, e);
}

void mr_deploy_recover(void *deployments) {
    struct mr_deployments *d = deployments;
    for (struct mr_deploy_job *j; !atomic_load(&d->closing) && (j = d->recover);) {
        struct mr_err err;
        d->recover = j->next;
        j->entry = mr_registry_find(d, j->dep.id);
        int rc = mr_db_write(d->c.db, write_attempt, j, &err);
        if (!rc && j->entry) {
            mr_deploy_run(j);
            continue;
        }
        if (rc)
            mr_log_msg(d->c.log, MR_LOG_ERROR, "deploy", "not built before the next start: %s",
                       err.msg);
        mr_deploy_job_unref(j);
    }
}
