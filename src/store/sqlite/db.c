#include "base/alloc.h"
#include "store/sqlite/sqlite.h"

#include <sys/stat.h>

static void init_locks(struct mr_db *db) {
    pthread_mutexattr_t a;
    pthread_mutexattr_init(&a);
    pthread_mutexattr_settype(&a, PTHREAD_MUTEX_RECURSIVE);
    pthread_mutex_init(&db->writer_mu, &a);
    pthread_mutexattr_destroy(&a);
    pthread_mutex_init(&db->mu, NULL);
    pthread_mutex_init(&db->readers_mu, NULL);
    pthread_cond_init(&db->work, NULL);
    db->tail = &db->head;
}

int mr_db_open(const struct mr_db_config *c, struct mr_db **ret, struct mr_err *e) {
    /* Statistics nobody reads, behind a lock at every allocation. Refused, and of no consequence,
     * when SQLite is in use already. */
    sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
    if (!c->path || !c->path[0])
        return mr_fail(e, MR_EINVAL, "the database needs a path");
    struct mr_db *db = mr_calloc(1, sizeof *db);
    if (!db)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    init_locks(db);
    db->memory = strcmp(c->path, ":memory:") == 0;
    db->sync_normal = c->sync_normal;
    db->commit_ms = c->commit_ms > 0 ? c->commit_ms : 5;
    db->commit_rows = c->commit_rows > 0 ? c->commit_rows : 1000;
    db->queue_max = c->queue_max > 0 ? c->queue_max : 100000;
    db->path = mr_strdup(c->path);
    int rc = db->path ? 0 : mr_fail(e, MR_ENOMEM, "out of memory");
    if (rc == 0)
        rc = mr_sqlite_open(db, true, &db->writer, e);
    if (rc == 0)
        rc = mr_sqlite_migrate(db->writer, e);
    if (rc == 0)
        rc = mr_sqlite_writer_start(db, e);
    if (rc) {
        mr_db_close(db);
        return rc;
    }
    *ret = db;
    return 0;
}

int mr_db_open_read_only(const char *path, struct mr_db **ret, struct mr_err *e) {
    struct mr_db *db = mr_calloc(1, sizeof *db);
    if (!db)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    init_locks(db);
    db->read_only = true;
    db->path = mr_strdup(path);
    int rc = db->path ? mr_db_read(db, mr_sqlite_is_current, NULL, e)
                      : mr_fail(e, MR_ENOMEM, "out of memory");
    if (rc) {
        mr_db_close(db);
        return rc;
    }
    *ret = db;
    return 0;
}

void mr_db_close(struct mr_db *db) {
    if (!db)
        return;
    mr_sqlite_writer_stop(db);
    mr_sqlite_readers_close(db);
    if (db->writer && !db->memory) /* last connection: closing it checkpoints and drops the WAL */
        sqlite3_wal_checkpoint_v2(db->writer->sq, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
    mr_sqlite_close(db->writer);
    pthread_mutex_destroy(&db->writer_mu);
    pthread_mutex_destroy(&db->mu);
    pthread_mutex_destroy(&db->readers_mu);
    pthread_cond_destroy(&db->work);
    mr_free(db->path);
    mr_free(db);
}

static uint64_t size_of(const char *path, const char *suffix) {
    char name[4096];
    struct stat st;
    int n = snprintf(name, sizeof name, "%s%s", path, suffix);
    if (n < 0 || (size_t)n >= sizeof name || stat(name, &st))
        return 0;
    return (uint64_t)st.st_size;
}

void mr_db_stats(struct mr_db *db, struct mr_db_stats *ret) {
    pthread_mutex_lock(&db->mu);
    *ret = db->stats;
    ret->queued = db->queued;
    ret->connections_active = db->queued > 0;
    pthread_mutex_unlock(&db->mu);
    ret->connections_active += atomic_load_explicit(&db->reading, memory_order_relaxed);
    ret->connections = 1 + mr_sqlite_readers_open(db);
    if (!db->memory) {
        ret->file_bytes = size_of(db->path, "");
        ret->wal_bytes = size_of(db->path, "-wal");
    }
}

static int ping_read(struct mr_tx *tx, void *arg, struct mr_err *e) {
    (void)arg;
    struct mr_stmt *s;
    int rc = mr_db_prepare(tx, "SELECT 1", &s, e);
    return rc ? rc : mr_db_exec(s, e);
}

static int ping_write(struct mr_tx *tx, void *arg, struct mr_err *e) {
    (void)tx, (void)arg, (void)e;
    return 0;
}

int mr_db_ping(struct mr_db *db, struct mr_err *e) {
    int rc = mr_db_read(db, ping_read, NULL, e);
    return rc ? rc : mr_db_write(db, ping_write, NULL, e);
}
