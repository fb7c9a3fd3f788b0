#include "base/alloc.h"
#include "store/sqlite/sqlite.h"

/* Each thread keeps a list of its read connections (one a database); the key's destructor closes
 * them when the thread ends. */
static pthread_key_t thread_key;
static pthread_once_t thread_once = PTHREAD_ONCE_INIT;
static int thread_key_rc;

static void unref(struct mr_reader *r) {
    if (atomic_fetch_sub(&r->refs, 1) != 1)
        return;
    pthread_mutex_destroy(&r->mu);
    mr_free(r);
}

/* Closes the connection once, whoever asks first. */
static void retire(struct mr_reader *r) {
    pthread_mutex_lock(&r->mu);
    struct mr_tx *tx = r->tx;
    r->tx = NULL;
    atomic_store(&r->db, NULL);
    pthread_mutex_unlock(&r->mu);
    mr_sqlite_close(tx);
}

static void thread_ends(void *p) {
    for (struct mr_reader *r = p, *next; r; r = next) {
        next = r->thread_next;
        retire(r);
        unref(r);
    }
}

static void make_key(void) {
    thread_key_rc = pthread_key_create(&thread_key, thread_ends);
}

/* This thread's reader of db, or NULL; drops those of closed databases. */
static struct mr_reader *find(struct mr_db *db) {
    struct mr_reader *list = pthread_getspecific(thread_key), *hit = NULL;
    struct mr_reader **at = &list;
    while (*at) {
        struct mr_reader *r = *at;
        struct mr_db *its = atomic_load(&r->db);
        if (!its) {
            *at = r->thread_next;
            unref(r);
            continue;
        }
        if (its == db)
            hit = r;
        at = &r->thread_next;
    }
    pthread_setspecific(thread_key, list);
    return hit;
}

static int make(struct mr_db *db, struct mr_reader **ret, struct mr_err *e) {
    struct mr_reader *r = mr_calloc(1, sizeof *r);
    if (!r)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    int rc = mr_sqlite_open(db, false, &r->tx, e);
    if (rc) {
        mr_free(r);
        return rc;
    }
    pthread_mutex_init(&r->mu, NULL);
    atomic_init(&r->refs, 2);
    atomic_init(&r->db, db);
    r->thread_next = pthread_getspecific(thread_key);
    if (pthread_setspecific(thread_key, r)) {
        mr_sqlite_close(r->tx);
        pthread_mutex_destroy(&r->mu);
        mr_free(r);
        return mr_fail(e, MR_ENOMEM, "out of memory");
    }
    pthread_mutex_lock(&db->readers_mu);
    /* forget the readers of ended threads */
    for (struct mr_reader **at = &db->readers; *at;) {
        struct mr_reader *old = *at;
        if (atomic_load(&old->db)) {
            at = &old->db_next;
        } else {
            *at = old->db_next;
            unref(old);
        }
    }
    r->db_next = db->readers;
    db->readers = r;
    pthread_mutex_unlock(&db->readers_mu);
    *ret = r;
    return 0;
}

void mr_sqlite_readers_close(struct mr_db *db) {
    pthread_mutex_lock(&db->readers_mu);
    struct mr_reader *list = db->readers;
    db->readers = NULL;
    pthread_mutex_unlock(&db->readers_mu);
    while (list) {
        struct mr_reader *r = list;
        list = r->db_next;
        retire(r);
        unref(r);
    }
    pthread_once(&thread_once, make_key);
    if (thread_key_rc == 0)
        find(NULL); /* the calling thread's own */
}

unsigned mr_sqlite_readers_open(struct mr_db *db) {
    unsigned n = 0;
    pthread_mutex_lock(&db->readers_mu);
    for (struct mr_reader *r = db->readers; r; r = r->db_next)
        n += atomic_load(&r->db) != NULL;
    pthread_mutex_unlock(&db->readers_mu);
    return n;
}

bool mr_sqlite_in_read(struct mr_db *db) {
    if (db->memory) {
        if (pthread_mutex_trylock(&db->writer_mu))
            return false;
        bool in = db->writer->depth > 0;
        pthread_mutex_unlock(&db->writer_mu);
        return in;
    }
    pthread_once(&thread_once, make_key);
    struct mr_reader *r = thread_key_rc ? NULL : find(db);
    return r && r->tx->depth > 0;
}

/* Runs fn in a snapshot of tx; nested calls share the outer one. */
static int in_snapshot(struct mr_tx *tx, mr_db_fn *fn, void *arg, struct mr_err *e) {
    if (tx->depth > 0) {
        tx->depth++;
        int rc = fn(tx, arg, e);
        tx->depth--;
        return rc;
    }
    int sr = mr_sqlite_step_once(tx, tx->begin);
    if (sr != SQLITE_OK)
        return mr_sqlite_fail(e, tx->sq, sr, "database");
    tx->depth = 1;
    int rc = fn(tx, arg, e);
    tx->depth = 0;
    mr_sqlite_reset_busy(tx);
    mr_sqlite_step_once(tx, tx->rollback);
    return rc;
}

int mr_db_read(struct mr_db *db, mr_db_fn *fn, void *arg, struct mr_err *e) {
    if (db->memory) { /* one connection only: readers and the writer take turns */
        pthread_mutex_lock(&db->writer_mu);
        int rc = in_snapshot(db->writer, fn, arg, e);
        pthread_mutex_unlock(&db->writer_mu);
        return rc;
    }
    pthread_once(&thread_once, make_key);
    if (thread_key_rc)
        return mr_fail(e, MR_ENOMEM, "out of thread keys");
    struct mr_reader *r = find(db);
    if (!r) {
        int rc = make(db, &r, e);
        if (rc)
            return rc;
    }
    if (r->tx->depth)
        return in_snapshot(r->tx, fn, arg, e);
    atomic_fetch_add_explicit(&db->reading, 1, memory_order_relaxed);
    int rc = in_snapshot(r->tx, fn, arg, e);
    atomic_fetch_sub_explicit(&db->reading, 1, memory_order_relaxed);
    return rc;
}
