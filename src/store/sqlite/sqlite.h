/* Inside of the SQLite backend of store/db.h. */
#ifndef MR_STORE_SQLITE_H
#define MR_STORE_SQLITE_H

#include "store/db.h"

#include <pthread.h>
#include <sqlite3.h>
#include <stdatomic.h>

#define MR_STMT_BUCKETS 256
#define MR_STMT_MAX     1024 /* cached statements a connection */

struct mr_stmt {
    sqlite3_stmt *st;
    struct mr_tx *tx;
    const char *key; /* the caller's literal */
    char *text;      /* own copy: tells a reused address */
    struct mr_stmt *next;
    struct mr_stmt *busy_next, **busy_at; /* linked while handed out */
    int bind_rc;                          /* first failed bind, reported by step */
    bool busy, cached;
};

/* A connection; used by one thread at a time. */
struct mr_tx {
    sqlite3 *sq;
    struct mr_db *db;
    struct mr_stmt *bucket[MR_STMT_BUCKETS];
    struct mr_stmt *busy;
    size_t n_stmt;
    uint64_t serial; /* transactions begun by the writer */
    int depth;       /* > 0: inside mr_db_read or a write function */
    sqlite3_stmt *begin, *commit, *rollback;
};

struct mr_db_job {
    struct mr_db_job *next;
    mr_db_fn *fn;
    void *arg;
    void (*done)(void *arg, int rc, const struct mr_err *err); /* async only */
    struct mr_err err;
    int rc;
    bool async, bare, finished;
    pthread_cond_t cond; /* sync only */
};

/* A thread's read connection. Held by its thread and by the db; whoever comes last frees it. */
struct mr_reader {
    pthread_mutex_t mu;
    atomic_int refs;
    _Atomic(struct mr_db *) db; /* NULL once the db is closed or the thread has ended */
    struct mr_tx *tx;
    struct mr_reader *db_next;     /* the db's list */
    struct mr_reader *thread_next; /* the thread's list */
};

struct mr_db {
    char *path;
    bool memory, sync_normal, read_only;
    int commit_ms, commit_rows;
    size_t queue_max;

    struct mr_tx *writer;
    sqlite3_stmt *savepoint, *release, *rollback_to;
    pthread_mutex_t writer_mu; /* recursive; held around each use of the writer in memory mode */
    pthread_t thread;
    bool thread_started;
    int wal_pages;           /* writer thread only */
    struct mr_db_job *taken; /* writer thread only: off the queue, not yet run */

    pthread_mutex_t mu; /* the queue and the figures */
    pthread_cond_t work;
    struct mr_db_job *head, **tail;
    size_t queued;
    bool stopping, waiting; /* waiting: the writer thread sleeps and nobody has woken it yet */
    struct mr_db_stats stats;

    pthread_mutex_t readers_mu;
    struct mr_reader *readers;
    atomic_uint reading; /* outermost mr_db_read calls under way */
};

/* conn.c */
int mr_sqlite_fail(struct mr_err *e, sqlite3 *sq, int rc, const char *what);
int mr_sqlite_open(struct mr_db *db, bool write, struct mr_tx **ret, struct mr_err *e);
void mr_sqlite_close(struct mr_tx *tx);
int mr_sqlite_run(sqlite3 *sq, const char *sql, struct mr_err *e);
int mr_sqlite_step_once(struct mr_tx *tx, sqlite3_stmt *st); /* and reset; SQLITE_DONE is 0 */
/* wal_file.c */
const char *mr_sqlite_wal_vfs(void); /* for writers; NULL: the default one. Thread-safe */
/* Once journal and synchronous are set: gathers the log's writes if each commit is flushed. */
void mr_sqlite_wal_gather(sqlite3 *sq);
/* stmt.c */
void mr_sqlite_reset_busy(struct mr_tx *tx);
void mr_sqlite_free_stmts(struct mr_tx *tx);
/* writer.c */
int mr_sqlite_writer_start(struct mr_db *db, struct mr_err *e);
void mr_sqlite_writer_stop(struct mr_db *db);
bool mr_sqlite_on_writer(struct mr_db *db);
/* reader.c */
void mr_sqlite_readers_close(struct mr_db *db);
bool mr_sqlite_in_read(struct mr_db *db);
unsigned mr_sqlite_readers_open(struct mr_db *db);
/* migrate.c */
int mr_sqlite_migrate(struct mr_tx *tx, struct mr_err *e);
int mr_sqlite_is_current(struct mr_tx *tx, void *unused, struct mr_err *e); /* an mr_db_fn */

#endif
