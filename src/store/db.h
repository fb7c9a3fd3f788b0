/* The database behind one interface (SQLite now, PostgreSQL later): many readers, one writer with
 * group commit.
 *
 * Writes: a caller hands over a function; the writer thread runs many callers' functions inside one
 * transaction and commits at most every `commit_ms` or `commit_rows` of them. mr_db_write returns
 * after the commit is durable, so whatever is acknowledged afterwards survives a crash. Each
 * function runs in a savepoint of its own: when it returns an error only its own changes are
 * undone. Reads: each calling thread gets a read connection of its own and sees the last commit.
 *
 * SQL is portable (SQLite and PostgreSQL): no rowid tricks, parameters as ?1 ?2 …, times as
 * BIGINT microseconds, ids as 16-byte BLOB or TEXT, booleans as SMALLINT, upserts by
 * ON CONFLICT … DO UPDATE.
 */
#ifndef MR_STORE_DB_H
#define MR_STORE_DB_H

#include "base/arena.h"
#include "base/err.h"
#include "base/id.h"
#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>

struct mr_db;
struct mr_tx;   /* a connection inside a transaction (write) or a snapshot (read) */
struct mr_stmt; /* a running statement */

struct mr_db_config {
    const char *path; /* file, or ":memory:" */
    int commit_ms; /* group commit window; default 5: the wait ends as soon as the queue is empty */
    int commit_rows;  /* default 1000 */
    size_t queue_max; /* waiting writers; beyond: MR_EUNAVAIL; default 100,000 */
    bool sync_normal; /* tests only: the crash suite's negative control */
};

/* Opens, checks the schema version and runs the migrations (store/migrations). */
int mr_db_open(const struct mr_db_config *c, struct mr_db **ret, struct mr_err *e);
/* Only to look, also while a server runs: changes neither rows nor schema, and every write is
 * refused (MR_EUNSUPPORTED). MR_ECONFLICT: the schema is older than this program's or another
 * build's, MR_EUNSUPPORTED: it is newer. */
int mr_db_open_read_only(const char *path, struct mr_db **ret, struct mr_err *e);
/* Commits what is queued, checkpoints, closes. */
void mr_db_close(struct mr_db *db);

typedef int mr_db_fn(struct mr_tx *tx, void *arg, struct mr_err *e);
/* Blocks until committed (or failed, nothing changed). Never call it on a loop thread. */
int mr_db_write(struct mr_db *db, mr_db_fn *fn, void *arg, struct mr_err *e);
/* The same without waiting: done(arg, rc, err) runs on the writer thread after the commit. */
int mr_db_write_async(struct mr_db *db, mr_db_fn *fn, void *arg,
                      void (*done)(void *arg, int rc, const struct mr_err *err));
/* mr_db_write_async without a savepoint, which is a third of the cost of a small write: for
 * functions that make every check that may fail before their first change. One that fails after a
 * change all the same undoes its whole batch, and every write in it fails. */
int mr_db_write_bare(struct mr_db *db, mr_db_fn *fn, void *arg,
                     void (*done)(void *arg, int rc, const struct mr_err *err));
/* Runs fn on this thread's read connection inside one snapshot. */
int mr_db_read(struct mr_db *db, mr_db_fn *fn, void *arg, struct mr_err *e);

/* --- inside fn --------------------------------------------------------------------------- */
/* Prepares (cached by text for the connection's life; `sql` must be a string literal or live as
 * long as the db). Bind 1-based, then step. */
int mr_db_prepare(struct mr_tx *tx, const char *sql, struct mr_stmt **ret, struct mr_err *e);
void mr_db_bind_i64(struct mr_stmt *s, int i, int64_t v);
void mr_db_bind_f64(struct mr_stmt *s, int i, double v);
void mr_db_bind_str(struct mr_stmt *s, int i, struct mr_str v); /* p == NULL binds NULL; copied */
void mr_db_bind_blob(struct mr_stmt *s, int i, const void *p, size_t n);
/* Not copied: unchanged until the statement is done. */
void mr_db_bind_static(struct mr_stmt *s, int i, struct mr_str v);
void mr_db_bind_zeros(struct mr_stmt *s, int i, size_t n); /* a blob of n zeros */
void mr_db_bind_id(struct mr_stmt *s, int i, struct mr_id id);
void mr_db_bind_null(struct mr_stmt *s, int i);
/* 1 = a row, 0 = done, negative = error (MR_ECONFLICT on a constraint, MR_ENOSPC on a full disk).
 * A finished or failed statement is reset and returned to the cache. */
int mr_db_step(struct mr_stmt *s, struct mr_err *e);
/* Ends a statement before its last row. NULL is fine. */
void mr_db_done(struct mr_stmt *s);
/* Steps to the end; for statements without rows. */
int mr_db_exec(struct mr_stmt *s, struct mr_err *e);
int64_t mr_db_changes(struct mr_tx *tx);
/* Of the transaction under way: those begun before it are committed or undone. Write functions. */
uint64_t mr_db_serial(const struct mr_tx *tx);

int64_t mr_db_i64(struct mr_stmt *s, int col); /* 0-based; NULL reads as 0 */
double mr_db_f64(struct mr_stmt *s, int col);
struct mr_str mr_db_str(struct mr_stmt *s, int col); /* valid until the next step; NULL p = NULL */
struct mr_str mr_db_blob(struct mr_stmt *s, int col);
bool mr_db_id(struct mr_stmt *s, int col, struct mr_id *ret);
bool mr_db_is_null(struct mr_stmt *s, int col);

struct mr_db_stats {
    uint64_t commits, writes, failed, queued;
    int64_t last_commit_ns, max_commit_ns;
    uint64_t file_bytes, wal_bytes;
    unsigned connections, connections_active; /* one a reading thread, and the writer */
};
void mr_db_stats(struct mr_db *db, struct mr_db_stats *ret);
/* A cheap read and an empty write; for health checks. */
int mr_db_ping(struct mr_db *db, struct mr_err *e);

#endif
