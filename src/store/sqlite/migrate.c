#include "base/clock.h"
#include "store/migrations.h"
#include "store/sqlite/sqlite.h"

static int newest_known(void) {
    return mr_n_migrations ? mr_migrations[mr_n_migrations - 1].version : 0;
}

/* *ret: 1 when `version` is recorded. Its name must be ours. */
static int is_applied(struct mr_tx *tx, const struct mr_migration *m, bool *ret, struct mr_err *e) {
    struct mr_stmt *s;
    int rc = mr_db_prepare(tx, "SELECT name FROM schema_migrations WHERE version = ?1", &s, e);
    if (rc)
        return rc;
    mr_db_bind_i64(s, 1, m->version);
    rc = mr_db_step(s, e);
    if (rc < 0)
        return rc;
    if (rc == 1 && !mr_str_is(mr_db_str(s, 0), m->name)) {
        rc = mr_fail(e, MR_ECONFLICT,
                     "the database's schema step %d is called \"%.60s\", this program's \"%s\": "
                     "it belongs to another build",
                     m->version, mr_db_str(s, 0).p, m->name);
        mr_db_done(s);
        return rc;
    }
    *ret = rc == 1;
    mr_db_done(s);
    return 0;
}

static int record(struct mr_tx *tx, const struct mr_migration *m, struct mr_err *e) {
    struct mr_stmt *s;
    int rc = mr_db_prepare(
        tx, "INSERT INTO schema_migrations(version, name, applied_at) VALUES(?1, ?2, ?3)", &s, e);
    if (rc)
        return rc;
    mr_db_bind_i64(s, 1, m->version);
    mr_db_bind_str(s, 2, mr_str(m->name));
    mr_db_bind_i64(s, 3, mr_now_us());
    return mr_db_exec(s, e);
}

static int apply(struct mr_tx *tx, const struct mr_migration *m, struct mr_err *e) {
    int rc = mr_sqlite_run(tx->sq, "BEGIN IMMEDIATE", e);
    if (rc)
        return rc;
    bool applied = false;
    rc = is_applied(tx, m, &applied, e);
    if (rc == 0 && !applied) {
        struct mr_err why = {0};
        rc = mr_sqlite_run(tx->sq, m->sql, &why);
        if (rc)
            mr_fail(e, rc, "schema step %04d_%s: %.300s", m->version, m->name, why.msg);
        if (rc == 0)
            rc = record(tx, m, e);
    }
    if (rc == 0)
        rc = mr_sqlite_run(tx->sq, "COMMIT", e);
    if (rc && !sqlite3_get_autocommit(tx->sq))
        mr_sqlite_run(tx->sq, "ROLLBACK", NULL);
    return rc;
}

static int newest_applied(struct mr_tx *tx, int64_t *ret, struct mr_err *e) {
    struct mr_stmt *s;
    int rc = mr_db_prepare(tx, "SELECT COALESCE(MAX(version), 0) FROM schema_migrations", &s, e);
    if (rc)
        return rc;
    rc = mr_db_step(s, e);
    if (rc < 0)
        return rc;
    *ret = mr_db_i64(s, 0);
    mr_db_done(s);
    if (*ret > newest_known())
        return mr_fail(e, MR_EUNSUPPORTED,
                       "the database was written by a newer millrace: its schema is at step %lld, "
                       "this program knows %d",
                       (long long)*ret, newest_known());
    return 0;
}

int mr_sqlite_is_current(struct mr_tx *tx, void *unused, struct mr_err *e) {
    int64_t have;
    (void)unused;
    int rc = newest_applied(tx, &have, e);
    for (size_t i = 0; !rc && i < mr_n_migrations; i++) {
        bool applied = false;
        rc = is_applied(tx, &mr_migrations[i], &applied, e);
        if (!rc && !applied)
            rc = mr_fail(e, MR_ECONFLICT,
                         "the database's schema is older than this program: step %d (%s) is still "
                         "to be made, which the next start of the server does",
                         mr_migrations[i].version, mr_migrations[i].name);
    }
    return rc;
}

int mr_sqlite_migrate(struct mr_tx *tx, struct mr_err *e) {
    int rc = mr_sqlite_run(tx->sq,
                           "CREATE TABLE IF NOT EXISTS schema_migrations("
                           "version BIGINT PRIMARY KEY, name TEXT NOT NULL, applied_at BIGINT "
                           "NOT NULL)",
                           e);
    if (rc)
        return rc;
    int64_t have;
    rc = newest_applied(tx, &have, e);
    if (rc)
        return rc;
    for (size_t i = 0; i < mr_n_migrations; i++) {
        bool applied = false;
        rc = is_applied(tx, &mr_migrations[i], &applied, e);
        if (rc == 0 && !applied)
            rc = apply(tx, &mr_migrations[i], e);
        if (rc)
            return rc;
    }
    return 0;
}
