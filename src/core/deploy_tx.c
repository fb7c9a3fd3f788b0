/* A deploy's two transactions: the version with its first events, and what became of it. */
#include "base/clock.h"
#include "core/deploy_priv.h"
#include "core/metadata.h"

/* --- the first transaction --------------------------------------------------------------- */

/* The version that the earlier call made, which need not be the current one. */
static int select_version(struct mr_tx *tx, struct mr_deploy_job *j, uint32_t n, struct mr_err *e) {
    struct mr_stmt *s;
    int rc = mr_db_prepare(tx,
                           "SELECT status, metadata, error FROM versions WHERE deployment_id = ?1 "
                           "AND n = ?2",
                           &s, e);
    if (rc)
        return rc;
    mr_db_bind_id(s, 1, j->dep.id);
    mr_db_bind_i64(s, 2, n);
    rc = mr_db_step(s, e);
    if (rc <= 0)
        return rc ? rc : mr_fail(e, MR_EINTERNAL, "the version is not in the store");
    j->dep.version = n;
    if (mr_str_is(mr_db_str(s, 0), "failed"))
        j->dep.status = MR_LIT("failed");
    j->dep.metadata = mr_arena_keep(&j->arena, mr_db_str(s, 1));
    j->dep.error = mr_arena_keep(&j->arena, mr_db_str(s, 2));
    mr_db_done(s);
    return j->dep.metadata.p && j->dep.error.p ? 0 : mr_fail(e, MR_ENOMEM, "out of memory");
}

static int find_replay(struct mr_tx *tx, struct mr_deploy_job *j, struct mr_err *e) {
    struct mr_stmt *s;
    int rc = mr_db_prepare(tx,
                           "SELECT request_hash, deployment_id, version FROM idempotency WHERE "
                           "account_id = ?1 AND key = ?2",
                           &s, e);
    if (rc)
        return rc;
    mr_db_bind_id(s, 1, j->account);
    mr_db_bind_str(s, 2, j->idem);
    rc = mr_db_step(s, e);
    if (rc <= 0)
        return rc;
    struct mr_str hash = mr_db_blob(s, 0);
    bool same = hash.n == MR_SHA256_LEN && !memcmp(hash.p, j->request_hash, MR_SHA256_LEN);
    struct mr_id id;
    mr_db_id(s, 1, &id);
    uint32_t version = (uint32_t)mr_db_i64(s, 2);
    mr_db_done(s);
    if (!same)
        return mr_fail_field(e, MR_EFIELD, "Idempotency-Key",
                             "this key was used for a different request");
    j->replayed = true;
    rc = mr_dep_select(tx, j->account, id, &j->arena, &j->dep, e);
    return rc ? rc : select_version(tx, j, version, e);
}

static int find_named(struct mr_tx *tx, struct mr_deploy_job *j, struct mr_err *e) {
    struct mr_stmt *s;
    struct mr_id id;
    int rc = mr_db_prepare(tx,
                           "SELECT id FROM deployments WHERE account_id = ?1 AND name = ?2 AND "
                           "named = 1 AND deleted_at = 0",
                           &s, e);
    if (rc)
        return rc;
    mr_db_bind_id(s, 1, j->account);
    mr_db_bind_str(s, 2, j->name);
    rc = mr_db_step(s, e);
    if (rc <= 0)
        return rc;
    mr_db_id(s, 0, &id);
    mr_db_done(s);
    j->fresh = false;
    rc = mr_dep_select(tx, j->account, id, &j->arena, &j->dep, e);
    if (rc)
        return rc;
    rc = mr_db_prepare(tx, "SELECT max(n) FROM versions WHERE deployment_id = ?1", &s, e);
    if (rc)
        return rc;
    mr_db_bind_id(s, 1, id);
    rc = mr_db_step(s, e);
    if (rc < 0)
        return rc;
    j->dep.version = (uint32_t)mr_db_i64(s, 0) + 1;
    mr_db_done(s);
    if (j->memory_mb > 0)
        j->dep.config.memory_mb = j->memory_mb;
    if (j->timeout_s > 0)
        j->dep.config.timeout_s = j->timeout_s;
    return 0;
}

static int insert_deployment(struct mr_tx *tx, struct mr_deploy_job *j, struct mr_err *e) {
    struct mr_stmt *s;
    const struct mr_deployment *dep = &j->dep;
    int rc = mr_db_prepare(tx,
                           "INSERT INTO deployments (id, account_id, name, named, status, "
                           "current_version, framework, memory_mb, timeout_s, min_instances, "
                           "max_instances, created_at, updated_at, deleted_at) VALUES (?1, ?2, ?3, "
                           "?4, 'building', 0, '', ?5, ?6, ?7, ?8, ?9, ?9, 0)",
                           &s, e);
    if (rc)
        return rc;
    mr_db_bind_id(s, 1, dep->id);
    mr_db_bind_id(s, 2, j->account);
    mr_db_bind_str(s, 3, dep->name);
    mr_db_bind_i64(s, 4, j->named);
    mr_db_bind_i64(s, 5, dep->config.memory_mb);
    mr_db_bind_i64(s, 6, dep->config.timeout_s);
    mr_db_bind_i64(s, 7, dep->config.min_instances);
    mr_db_bind_i64(s, 8, dep->config.max_instances);
    mr_db_bind_i64(s, 9, dep->created_us);
    return mr_db_exec(s, e);
}

/* The new limits come with the version, when it is ready: one that fails changes nothing. */
static int update_deployment(struct mr_tx *tx, struct mr_deploy_job *j, struct mr_err *e) {
    struct mr_stmt *s;
    int rc = mr_db_prepare(tx,
                           "UPDATE deployments SET updated_at = ?1, status = CASE WHEN "
                           "current_version > 0 THEN status ELSE 'building' END WHERE id = ?2",
                           &s, e);
    if (rc)
        return rc;
    mr_db_bind_i64(s, 1, mr_now_us());
    mr_db_bind_id(s, 2, j->dep.id);
    return mr_db_exec(s, e);
}

static int insert_version(struct mr_tx *tx, struct mr_deploy_job *j, struct mr_err *e) {
    struct mr_stmt *s;
    int rc = mr_db_prepare(tx,
                           "INSERT INTO versions (deployment_id, n, status, engine, source_blob, "
                           "metadata, changes, error, created_at, request) VALUES (?1, ?2, "
                           "'building', 0, ?3, ?4, ?5, '', ?6, ?7)",
                           &s, e);
    if (rc)
        return rc;
    mr_db_bind_id(s, 1, j->dep.id);
    mr_db_bind_i64(s, 2, j->dep.version);
    mr_db_bind_blob(s, 3, j->source.sha, MR_SHA256_LEN);
    mr_db_bind_str(s, 4, j->dep.metadata);
    mr_db_bind_str(s, 5, j->changes);
    mr_db_bind_i64(s, 6, mr_now_us());
    mr_db_bind_str(s, 7, j->request);
    rc = mr_db_exec(s, e);
    if (rc || !j->idem.p)
        return rc;
    rc = mr_db_prepare(tx,
                       "INSERT INTO idempotency (account_id, key, request_hash, deployment_id, "
                       "version, created_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                       &s, e);
    if (rc)
        return rc;
    mr_db_bind_id(s, 1, j->account);
    mr_db_bind_str(s, 2, j->idem);
    mr_db_bind_blob(s, 3, j->request_hash, MR_SHA256_LEN);
    mr_db_bind_id(s, 4, j->dep.id);
    mr_db_bind_i64(s, 5, j->dep.version);
    mr_db_bind_i64(s, 6, mr_now_us());
    return mr_db_exec(s, e);
}

/* On the writer thread, so that a second deploy of the name in the same commit finds the entry. */
static int enter(struct mr_deploy_job *j, struct mr_err *e) {
    if (j->fresh) {
        mr_registry_add(j->d, j->spare, j->dep.id, j->account);
        j->entry = j->spare;
        j->spare = NULL;
    } else
        j->entry = mr_registry_find(j->d, j->dep.id);
    return j->entry ? 0 : mr_fail(e, MR_EINTERNAL, "the deployment is not in the registry");
}

int mr_deploy_insert(struct mr_tx *tx, void *arg, struct mr_err *e) {
    struct mr_deploy_job *j = arg;
    int rc = j->idem.p ? find_replay(tx, j, e) : 0;
    if (rc || j->replayed)
        return rc;
    j->fresh = true;
    j->dep = (struct mr_deployment){.id = mr_id_new(),
                                    .account = j->account,
                                    .name = j->name,
                                    .status = MR_LIT("building"),
                                    .version = 1,
                                    .created_us = mr_now_us()};
    j->dep.config = (struct mr_dep_config){.memory_mb = j->memory_mb > 0 ? j->memory_mb : 1024,
                                           .timeout_s = j->timeout_s > 0 ? j->timeout_s : 30,
                                           .max_instances = 10};
    if (j->named)
        rc = find_named(tx, j, e);
    j->dep.metadata = mr_metadata_initial(&j->arena, j->file_name, j->size, &j->source);
    if (!rc && !j->dep.metadata.p)
        rc = mr_fail(e, MR_ENOMEM, "out of memory");
    if (!rc)
        rc = j->fresh ? insert_deployment(tx, j, e) : update_deployment(tx, j, e);
    if (!rc)
        rc = insert_version(tx, j, e);
    if (!rc)
        rc =
            mr_dep_event(j->d, tx, "deployment.created", &j->dep, j->base_url, mr_strn(NULL, 0), e);
    if (!rc)
        rc = mr_dep_event(j->d, tx, "deployment.building", &j->dep, j->base_url, mr_strn(NULL, 0),
                          e);
    return rc ? rc : enter(j, e);
}

/* --- the second transaction -------------------------------------------------------------- */

/* A ready version serves, unless a later one was ready first. */
int mr_deploy_outcome(struct mr_tx *tx, void *arg, struct mr_err *e) {
    struct mr_deploy_job *j = arg;
    struct mr_stmt *s;
    bool ok = j->rc == 0;
    int rc =
        mr_db_prepare(tx,
                      "UPDATE versions SET status = ?1, engine = ?2, program_blob = ?3, "
                      "metadata = ?4, error = ?5, request = '' WHERE deployment_id = ?6 AND n = ?7",
                      &s, e);
    if (rc)
        return rc;
    mr_db_bind_str(s, 1, ok ? MR_LIT("ready") : MR_LIT("failed"));
    mr_db_bind_i64(s, 2, j->program.kind);
    if (ok)
        mr_db_bind_blob(s, 3, j->program.blob.sha, MR_SHA256_LEN);
    else
        mr_db_bind_null(s, 3);
    mr_db_bind_str(s, 4, j->metadata);
    mr_db_bind_str(s, 5, ok ? MR_LIT("") : mr_str(j->err.msg));
    mr_db_bind_id(s, 6, j->dep.id);
    mr_db_bind_i64(s, 7, j->dep.version);
    rc = mr_db_exec(s, e);
    if (rc)
        return rc;
    if (ok)
        rc = mr_db_prepare(tx,
                           "UPDATE deployments SET status = 'active', current_version = ?1, "
                           "framework = ?2, updated_at = ?3, memory_mb = CASE WHEN ?5 > 0 THEN ?5 "
                           "ELSE memory_mb END, timeout_s = CASE WHEN ?6 > 0 THEN ?6 ELSE "
                           "timeout_s END WHERE id = ?4 AND deleted_at = 0 AND NOT EXISTS (SELECT "
                           "1 FROM versions v WHERE v.deployment_id = ?4 AND v.n > ?1 AND v.status "
                           "= 'ready')",
                           &s, e);
    else
        rc = mr_db_prepare(tx,
                           "UPDATE deployments SET status = CASE WHEN current_version > 0 THEN "
                           "'active' ELSE 'failed' END, framework = CASE WHEN current_version > 0 "
                           "THEN framework ELSE ?2 END, updated_at = ?3 WHERE id = ?4 AND "
                           "deleted_at = 0 AND ?1 > 0",
                           &s, e);
    if (rc)
        return rc;
    mr_db_bind_i64(s, 1, j->dep.version);
    mr_db_bind_str(s, 2, j->framework.p ? j->framework : MR_LIT(""));
    mr_db_bind_i64(s, 3, mr_now_us());
    mr_db_bind_id(s, 4, j->dep.id);
    if (ok) {
        mr_db_bind_i64(s, 5, j->memory_mb);
        mr_db_bind_i64(s, 6, j->timeout_s);
    }
    rc = mr_db_exec(s, e);
    if (!rc)
        rc = mr_dep_state_read(j->d, tx, j->dep.id, &j->state, e);
    if (rc || j->state.deleted)
        return rc;
    return mr_dep_event(j->d, tx, ok ? "deployment.ready" : "deployment.failed", &j->dep,
                        j->base_url, ok ? mr_strn(NULL, 0) : mr_str(j->err.msg), e);
}
