#include "base/alloc.h"
#include "base/clock.h"
#include "io/loop.h"
#include "store/sqlite/sqlite.h"

enum {
    CHECKPOINT_PAGES = 1000, /* 4 MiB: copied back after the waiters are woken */
    WAKE_EVERY = 8,          /* callbacks between two wake-ups of the loops that they post to */
    RESTART_PAGES = 16000,   /* 64 MiB: readers hold it up; wait for them briefly */
};

bool mr_sqlite_on_writer(struct mr_db *db) {
    return db->thread_started && pthread_equal(db->thread, pthread_self());
}

/* The next one; everything queued is taken at once, under one lock. */
static struct mr_db_job *pop(struct mr_db *db) {
    if (!db->taken) {
        pthread_mutex_lock(&db->mu);
        db->taken = db->head;
        db->head = NULL;
        db->tail = &db->head;
        db->queued = 0;
        pthread_mutex_unlock(&db->mu);
    }
    struct mr_db_job *j = db->taken;
    if (j) {
        db->taken = j->next;
        j->next = NULL;
    }
    return j;
}

static void set_failed(struct mr_db_job *j, const struct mr_err *why) {
    if (j->rc == 0) {
        j->rc = why->code;
        j->err = *why;
    }
}

static void call(struct mr_tx *tx, struct mr_db_job *j) {
    tx->depth = 1;
    j->rc = j->fn(tx, j->arg, &j->err);
    tx->depth = 0;
    mr_sqlite_reset_busy(tx);
    if (j->rc > 0)
        j->rc = mr_fail(&j->err, MR_EINTERNAL, "database: a write function returned %d", j->rc);
    if (j->rc < 0 && j->err.code == 0)
        mr_fail(&j->err, j->rc, "the database write was refused");
}

/* A function that promised to change nothing before it may fail. */
static bool run_bare(struct mr_db *db, struct mr_db_job *j, struct mr_err *why) {
    struct mr_tx *tx = db->writer;
    int before = sqlite3_total_changes(tx->sq);
    call(tx, j);
    if (j->rc == 0 || (sqlite3_total_changes(tx->sq) == before && !sqlite3_get_autocommit(tx->sq)))
        return true;
    *why = j->err; /* broken, or SQLite gave up: nothing of the batch may stay */
    return false;
}

/* One caller's function in its own savepoint. False when the whole transaction is to be undone. */
static bool run_job(struct mr_db *db, struct mr_db_job *j, struct mr_err *why) {
    struct mr_tx *tx = db->writer;
    if (j->bare)
        return run_bare(db, j, why);
    int sr = mr_sqlite_step_once(tx, db->savepoint);
    if (sr != SQLITE_OK) {
        j->rc = mr_sqlite_fail(&j->err, tx->sq, sr, "database");
    } else {
        call(tx, j);
        if (!sqlite3_get_autocommit(tx->sq)) {
            if (j->rc < 0)
                sr = mr_sqlite_step_once(tx, db->rollback_to);
            if (sr == SQLITE_OK)
                sr = mr_sqlite_step_once(tx, db->release);
            if (sr != SQLITE_OK && j->rc == 0)
                j->rc = mr_sqlite_fail(&j->err, tx->sq, sr, "database");
        }
    }
    if (sr == SQLITE_OK && !sqlite3_get_autocommit(tx->sq))
        return true;
    /* e.g. disk full while spilling: everything since BEGIN is undone */
    *why = j->err;
    if (why->code >= 0)
        mr_fail(why, MR_EIO, "database: the transaction was rolled back");
    return false;
}

/* Commits, or fails every job that had succeeded. */
static void finish(struct mr_db *db, struct mr_db_job *batch, bool alive, struct mr_err *why) {
    struct mr_tx *tx = db->writer;
    if (alive) {
        int sr = mr_sqlite_step_once(tx, tx->commit);
        if (sr != SQLITE_OK) {
            mr_sqlite_fail(why, tx->sq, sr, "database: commit");
            alive = false;
        }
    }
    if (!alive) {
        if (!sqlite3_get_autocommit(tx->sq))
            mr_sqlite_step_once(tx, tx->rollback);
        for (struct mr_db_job *j = batch; j; j = j->next)
            set_failed(j, why);
    }
}

static void wake(struct mr_db *db, struct mr_db_job *batch, int64_t took_ns) {
    uint64_t n = 0, failed = 0;
    for (struct mr_db_job *j = batch; j; j = j->next)
        n++, failed += j->rc != 0;
    pthread_mutex_lock(&db->mu);
    db->stats.commits++;
    db->stats.writes += n;
    db->stats.failed += failed;
    db->stats.last_commit_ns = took_ns;
    if (took_ns > db->stats.max_commit_ns)
        db->stats.max_commit_ns = took_ns;
    struct mr_db_job *async = NULL, **at = &async;
    for (struct mr_db_job *j = batch, *next; j; j = next) {
        next = j->next; /* a woken caller's job is gone */
        if (j->async) {
            j->next = NULL;
            *at = j;
            at = &j->next;
        } else {
            j->finished = true;
            pthread_cond_signal(&j->cond);
        }
    }
    pthread_mutex_unlock(&db->mu);
    for (unsigned i = 0; async; i++) {
        struct mr_db_job *j = async;
        async = j->next;
        if (i % WAKE_EVERY == 0)
            mr_loop_hold_wakes();
        if (j->done)
            j->done(j->arg, j->rc, &j->err);
        mr_free(j);
        if (i % WAKE_EVERY == WAKE_EVERY - 1)
            mr_loop_wake_held();
    }
    mr_loop_wake_held();
}

static void checkpoint(struct mr_db *db) {
    if (db->wal_pages < CHECKPOINT_PAGES)
        return;
    int mode = SQLITE_CHECKPOINT_PASSIVE;
    if (db->wal_pages >= RESTART_PAGES) {
        mode = SQLITE_CHECKPOINT_RESTART;
        sqlite3_busy_timeout(db->writer->sq, 100);
    }
    /* A failure (readers in the way, disk full) is tried again after the next commit. */
    if (sqlite3_wal_checkpoint_v2(db->writer->sq, NULL, mode, NULL, NULL) == SQLITE_OK)
        db->wal_pages = 0;
    if (mode == SQLITE_CHECKPOINT_RESTART)
        sqlite3_busy_timeout(db->writer->sq, 10000);
}

static void run_batch(struct mr_db *db) {
    struct mr_tx *tx = db->writer;
    struct mr_db_job *batch = NULL, **at = &batch;
    struct mr_err why = {0};
    if (db->memory)
        pthread_mutex_lock(&db->writer_mu);
    int64_t t0 = mr_mono_ns(), window = (int64_t)db->commit_ms * 1000000;
    tx->serial++;
    int sr = mr_sqlite_step_once(tx, tx->begin);
    bool alive = sr == SQLITE_OK;
    if (!alive)
        mr_sqlite_fail(&why, tx->sq, sr, "database: begin");
    for (int n = 0; n < db->commit_rows; n++) {
        struct mr_db_job *j = pop(db);
        if (!j)
            break;
        *at = j;
        at = &j->next;
        if (!alive) {
            set_failed(j, &why);
            break;
        }
        alive = run_job(db, j, &why);
        if (!alive || mr_mono_ns() - t0 >= window)
            break;
    }
    int64_t t1 = mr_mono_ns();
    finish(db, batch, alive, &why);
    int64_t took = mr_mono_ns() - t1;
    if (db->memory)
        pthread_mutex_unlock(&db->writer_mu);
    wake(db, batch, took);
    if (!db->memory)
        checkpoint(db);
}

static void *writer_main(void *arg) {
    struct mr_db *db = arg;
    (void)pthread_setname_np(pthread_self(), "db-writer");
    for (;;) {
        pthread_mutex_lock(&db->mu);
        while (!db->taken && !db->head && !db->stopping) {
            db->waiting = true;
            pthread_cond_wait(&db->work, &db->mu);
        }
        db->waiting = false;
        bool end = !db->taken && !db->head && db->stopping;
        pthread_mutex_unlock(&db->mu);
        if (end)
            return NULL;
        run_batch(db);
    }
}

int mr_sqlite_writer_start(struct mr_db *db, struct mr_err *e) {
    static const char *const sql[] = {"SAVEPOINT job", "RELEASE job", "ROLLBACK TO job"};
    sqlite3_stmt **at[] = {&db->savepoint, &db->release, &db->rollback_to};
    for (int i = 0; i < 3; i++) {
        int rc =
            sqlite3_prepare_v3(db->writer->sq, sql[i], -1, SQLITE_PREPARE_PERSISTENT, at[i], NULL);
        if (rc != SQLITE_OK)
            return mr_sqlite_fail(e, db->writer->sq, rc, "database");
    }
    int rc = pthread_create(&db->thread, NULL, writer_main, db);
    if (rc)
        return mr_fail(e, MR_EUNAVAIL, "cannot start the database writer: %s", strerror(rc));
    db->thread_started = true;
    return 0;
}

void mr_sqlite_writer_stop(struct mr_db *db) {
    if (db->thread_started) {
        pthread_mutex_lock(&db->mu);
        db->stopping = true;
        pthread_cond_signal(&db->work);
        pthread_mutex_unlock(&db->mu);
        pthread_join(db->thread, NULL);
        db->thread_started = false;
    }
    sqlite3_finalize(db->savepoint);
    sqlite3_finalize(db->release);
    sqlite3_finalize(db->rollback_to);
}

/* With db->mu held. */
static int enqueue(struct mr_db *db, struct mr_db_job *j, struct mr_err *e) {
    if (db->read_only)
        return mr_fail(e, MR_EUNSUPPORTED, "the database was opened to be read only");
    if (db->stopping)
        return mr_fail(e, MR_EUNAVAIL, "the database is closing");
    if (db->queued >= db->queue_max)
        return mr_fail(e, MR_EUNAVAIL, "the database's write queue is full");
    *db->tail = j;
    db->tail = &j->next;
    db->queued++;
    if (db->waiting) { /* once: it takes all that is there */
        db->waiting = false;
        pthread_cond_signal(&db->work);
    }
    return 0;
}

int mr_db_write(struct mr_db *db, mr_db_fn *fn, void *arg, struct mr_err *e) {
    if (mr_sqlite_on_writer(db) || mr_sqlite_in_read(db))
        return mr_fail(e, MR_EINTERNAL, "database: a write inside a read or write function");
    struct mr_db_job j = {.fn = fn, .arg = arg};
    pthread_cond_init(&j.cond, NULL);
    pthread_mutex_lock(&db->mu);
    int rc = enqueue(db, &j, e);
    if (rc == 0) {
        while (!j.finished)
            pthread_cond_wait(&j.cond, &db->mu);
        rc = j.rc;
    }
    pthread_mutex_unlock(&db->mu);
    pthread_cond_destroy(&j.cond);
    if (j.rc && e)
        *e = j.err;
    return rc;
}

static int write_async(struct mr_db *db, mr_db_fn *fn, void *arg, bool bare,
                       void (*done)(void *arg, int rc, const struct mr_err *err)) {
    struct mr_db_job *j = mr_calloc(1, sizeof *j);
    if (!j)
        return MR_ENOMEM;
    j->fn = fn;
    j->arg = arg;
    j->done = done;
    j->async = true;
    j->bare = bare;
    pthread_mutex_lock(&db->mu);
    int rc = enqueue(db, j, NULL);
    pthread_mutex_unlock(&db->mu);
    if (rc)
        mr_free(j);
    return rc;
}

int mr_db_write_async(struct mr_db *db, mr_db_fn *fn, void *arg,
                      void (*done)(void *arg, int rc, const struct mr_err *err)) {
    return write_async(db, fn, arg, false, done);
}

int mr_db_write_bare(struct mr_db *db, mr_db_fn *fn, void *arg,
                     void (*done)(void *arg, int rc, const struct mr_err *err)) {
    return write_async(db, fn, arg, true, done);
}
