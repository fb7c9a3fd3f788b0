#include "base/alloc.h"
#include "base/cleanup.h"
#include "store/sqlite/sqlite.h"

#include <errno.h>
#include <fcntl.h>

int mr_sqlite_fail(struct mr_err *e, sqlite3 *sq, int rc, const char *what) {
    int code = MR_EIO;
    int os = sq ? sqlite3_system_errno(sq) : 0;
    switch (rc & 0xff) {
    case SQLITE_CONSTRAINT:
        code = MR_ECONFLICT;
        break;
    case SQLITE_FULL:
        code = MR_ENOSPC;
        break;
    case SQLITE_NOMEM:
        code = MR_ENOMEM;
        break;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        code = MR_EUNAVAIL;
        break;
    case SQLITE_TOOBIG:
        code = MR_ETOOBIG;
        break;
    case SQLITE_ERROR:
    case SQLITE_MISUSE:
    case SQLITE_RANGE:
    case SQLITE_MISMATCH:
        code = MR_EINTERNAL;
        break;
    case SQLITE_IOERR:
    case SQLITE_CANTOPEN:
        /* e.g. the -shm file cannot grow */
        if (os == ENOSPC || os == EDQUOT)
            code = MR_ENOSPC;
        break;
    default:
        break;
    }
    const char *detail = sq ? sqlite3_errmsg(sq) : sqlite3_errstr(rc);
    return mr_fail(e, code, "%s: %s", what, detail);
}

int mr_sqlite_run(sqlite3 *sq, const char *sql, struct mr_err *e) {
    int rc = sqlite3_exec(sq, sql, NULL, NULL, NULL);
    if (rc != SQLITE_OK)
        return mr_sqlite_fail(e, sq, rc, "database");
    return 0;
}

int mr_sqlite_step_once(struct mr_tx *tx, sqlite3_stmt *st) {
    (void)tx;
    int rc = sqlite3_step(st);
    int rc2 = sqlite3_reset(st);
    if (rc == SQLITE_DONE || rc == SQLITE_ROW)
        return rc2;
    return rc;
}

static int wal_hook(void *arg, sqlite3 *sq, const char *name, int pages) {
    (void)sq, (void)name;
    struct mr_db *db = arg;
    db->wal_pages = pages;
    return SQLITE_OK;
}

static int set_up(struct mr_tx *tx, bool write, struct mr_err *e) {
    sqlite3 *sq = tx->sq;
    sqlite3_extended_result_codes(sq, 1);
    sqlite3_busy_timeout(sq, 10000);
    int rc = 0;
    if (write && !tx->db->memory) {
        rc = mr_sqlite_run(sq, "PRAGMA journal_mode=WAL", e);
        if (rc == 0)
            rc = mr_sqlite_run(
                sq, tx->db->sync_normal ? "PRAGMA synchronous=NORMAL" : "PRAGMA synchronous=FULL",
                e);
        /* The file keeps at most this much after a checkpoint; we checkpoint in the writer. */
        if (rc == 0)
            rc = mr_sqlite_run(sq, "PRAGMA journal_size_limit=16777216", e);
        if (rc == 0)
            sqlite3_wal_hook(sq, wal_hook, tx->db);
        if (rc == 0)
            mr_sqlite_wal_gather(sq);
    }
    if (rc == 0)
        rc = mr_sqlite_run(sq, "PRAGMA foreign_keys=ON; PRAGMA temp_store=MEMORY", e);
    if (rc == 0 && !write)
        rc = mr_sqlite_run(sq, "PRAGMA query_only=ON; PRAGMA cache_size=-2000", e);
    /* A fold over thousands of deployments changes more pages than the default 2 MB hold, and would
     * write and read them over and over. Memory is taken only as pages are used. */
    if (rc == 0 && write)
        rc = mr_sqlite_run(sq, "PRAGMA cache_size=-16000", e);
    if (rc)
        return rc;
    static const char *const texts[] = {"BEGIN", "BEGIN IMMEDIATE", "COMMIT", "ROLLBACK"};
    sqlite3_stmt **at[] = {&tx->begin, &tx->commit, &tx->rollback};
    const char *sql[] = {texts[write ? 1 : 0], texts[2], texts[3]};
    for (int i = 0; i < 3; i++) {
        int sr = sqlite3_prepare_v3(sq, sql[i], -1, SQLITE_PREPARE_PERSISTENT, at[i], NULL);
        if (sr != SQLITE_OK)
            return mr_sqlite_fail(e, sq, sr, "database");
    }
    return 0;
}

int mr_sqlite_open(struct mr_db *db, bool write, struct mr_tx **ret, struct mr_err *e) {
    struct mr_tx *tx = mr_calloc(1, sizeof *tx);
    if (!tx)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    tx->db = db;
    if (write && !db->memory) {
        /* Ours alone: password and key hashes live in it. SQLite gives -wal and -shm the same. */
        int fd = open(db->path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        if (fd < 0) {
            mr_free(tx);
            return mr_fail_errno(e, db->path);
        }
        close(fd);
    }
    int flags = SQLITE_OPEN_NOMUTEX;
    flags |= db->read_only ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE;
    if (write)
        flags |= SQLITE_OPEN_CREATE;
    const char *vfs = write && !db->memory ? mr_sqlite_wal_vfs() : NULL;
    int rc = sqlite3_open_v2(db->path, &tx->sq, flags, vfs);
    if (rc != SQLITE_OK) {
        int code = mr_sqlite_fail(e, tx->sq, rc, db->path);
        mr_sqlite_close(tx);
        return code;
    }
    int code = set_up(tx, write, e);
    if (code) {
        mr_sqlite_close(tx);
        return code;
    }
    *ret = tx;
    return 0;
}

void mr_sqlite_close(struct mr_tx *tx) {
    if (!tx)
        return;
    mr_sqlite_free_stmts(tx);
    sqlite3_finalize(tx->begin);
    sqlite3_finalize(tx->commit);
    sqlite3_finalize(tx->rollback);
    sqlite3_close_v2(tx->sq);
    mr_free(tx);
}
