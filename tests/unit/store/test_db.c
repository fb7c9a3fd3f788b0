/* The contract of store/db.h, run on a file and on :memory:. */
#include "base/alloc.h"
#include "mr_test.h"
#include "mr_tmp.h"
#include "mr_wait.h"
#include "store/db.h"

#include <errno.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <sys/mount.h>
#include <sys/stat.h>

static struct mr_tmp tmp;
static bool in_memory;

static struct mr_db *open_db(void) {
    char path[300];
    struct mr_db_config c = {.path = in_memory ? ":memory:" : mr_tmp_path(&tmp, "a.db", path)};
    struct mr_db *db = NULL;
    struct mr_err e = {0};
    if (mr_db_open(&c, &db, &e)) {
        fprintf(stderr, "open: %s\n", e.msg);
        exit(2);
    }
    return db;
}

static int run_sql(struct mr_tx *tx, void *arg, struct mr_err *e) {
    struct mr_stmt *s;
    int rc = mr_db_prepare(tx, arg, &s, e);
    return rc ? rc : mr_db_exec(s, e);
}

static struct mr_db *open_with_table(void) {
    struct mr_db *db = open_db();
    CHECK_INT(
        mr_db_write(db, run_sql, "CREATE TABLE t(id BIGINT PRIMARY KEY, s TEXT, b BLOB)", NULL), 0);
    return db;
}

static int count(struct mr_tx *tx, void *arg, struct mr_err *e) {
    struct mr_stmt *s;
    int rc = mr_db_prepare(tx, "SELECT COUNT(*) FROM t", &s, e);
    if (rc == 0)
        rc = mr_db_step(s, e);
    if (rc < 0)
        return rc;
    *(int64_t *)arg = mr_db_i64(s, 0);
    mr_db_done(s);
    return 0;
}

static int64_t rows(struct mr_db *db) {
    int64_t n = -1;
    struct mr_err e = {0};
    if (mr_db_read(db, count, &n, &e))
        fprintf(stderr, "count: %s\n", e.msg);
    return n;
}

static int insert(struct mr_tx *tx, void *arg, struct mr_err *e) {
    struct mr_stmt *s;
    int rc = mr_db_prepare(tx, "INSERT INTO t(id) VALUES(?1)", &s, e);
    if (rc)
        return rc;
    mr_db_bind_i64(s, 1, *(int64_t *)arg);
    return mr_db_exec(s, e);
}

static int insert_then_fail(struct mr_tx *tx, void *arg, struct mr_err *e) {
    int rc = insert(tx, arg, e);
    return rc ? rc : mr_fail(e, MR_EFIELD, "no");
}

/* Leaves a statement open in mid-result, then fails. */
static int leave_open(struct mr_tx *tx, void *arg, struct mr_err *e) {
    struct mr_stmt *s;
    int rc = insert(tx, arg, e);
    if (rc == 0)
        rc = mr_db_prepare(tx, "SELECT id FROM t", &s, e);
    if (rc == 0)
        rc = mr_db_step(s, e);
    return rc < 0 ? rc : MR_EINVAL;
}

static void writes_commit_or_vanish(void) {
    struct mr_db *db = open_with_table();
    struct mr_err e = {0};
    int64_t a = 1, b = 2;
    CHECK_INT(mr_db_write(db, insert, &a, &e), 0);
    CHECK_INT(rows(db), 1);
    CHECK_INT(mr_db_write(db, insert, &a, &e), MR_ECONFLICT);
    CHECK_INT(e.code, MR_ECONFLICT);
    CHECK_INT(mr_db_write(db, insert_then_fail, &b, &e), MR_EFIELD);
    CHECK_STR(e.msg, "no");
    CHECK_INT(mr_db_write(db, leave_open, &b, &e), MR_EINVAL);
    CHECK_INT(rows(db), 1);
    CHECK_INT(mr_db_write(db, insert, &b, &e), 0);
    CHECK_INT(rows(db), 2);
    CHECK_INT(mr_db_ping(db, &e), 0);
    struct mr_db_stats st;
    mr_db_stats(db, &st);
    CHECK_INT(st.failed, 3);
    CHECK(st.commits >= 6);
    CHECK_INT(st.queued, 0);
    mr_db_close(db);
}

static int typed(struct mr_tx *tx, void *arg, struct mr_err *e) {
    (void)arg;
    struct mr_stmt *s;
    int rc = mr_db_prepare(tx, "SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7", &s, e);
    if (rc)
        return rc;
    struct mr_id id = mr_id_new(), back;
    mr_db_bind_i64(s, 1, INT64_MIN);
    mr_db_bind_f64(s, 2, 0.1);
    mr_db_bind_str(s, 3, mr_strn("a\0b", 3));
    mr_db_bind_blob(s, 4, "", 0);
    mr_db_bind_id(s, 5, id);
    mr_db_bind_null(s, 6);
    mr_db_bind_str(s, 7, (struct mr_str){NULL, 0});
    CHECK_INT(mr_db_step(s, e), 1);
    CHECK(mr_db_i64(s, 0) == INT64_MIN);
    CHECK(mr_db_f64(s, 1) == 0.1);
    CHECK(mr_str_eq(mr_db_str(s, 2), mr_strn("a\0b", 3)));
    CHECK(mr_db_blob(s, 3).p && mr_db_blob(s, 3).n == 0);
    CHECK(!mr_db_is_null(s, 3));
    CHECK(mr_db_id(s, 4, &back) && mr_id_eq(id, back));
    CHECK(!mr_db_id(s, 2, &back));
    CHECK(mr_db_is_null(s, 5) && mr_db_i64(s, 5) == 0 && !mr_db_blob(s, 5).p);
    CHECK(!mr_db_str(s, 6).p);
    CHECK_INT(mr_db_step(s, e), 0);
    CHECK_INT(mr_db_step(s, e), MR_EINTERNAL); /* finished */
    /* the cached statement comes back without its old values */
    CHECK_INT(mr_db_prepare(tx, "SELECT ?1", &s, e), 0);
    struct mr_stmt *twice;
    CHECK_INT(mr_db_prepare(tx, "SELECT ?1", &twice, e), 0);
    CHECK(s != twice);
    mr_db_bind_i64(s, 1, 7);
    CHECK_INT(mr_db_step(s, e), 1);
    mr_db_done(s);
    mr_db_done(NULL);
    CHECK_INT(mr_db_step(twice, e), 1);
    CHECK(mr_db_is_null(twice, 0));
    mr_db_done(twice);
    CHECK_INT(mr_db_prepare(tx, "SELECT ?1", &s, e), 0);
    mr_db_bind_i64(s, 2, 7); /* no such parameter */
    CHECK_INT(mr_db_step(s, e), MR_EINTERNAL);
    CHECK_INT(mr_db_prepare(tx, "SELECT 1; SELECT 2", &s, e), MR_EINTERNAL);
    CHECK_INT(mr_db_prepare(tx, "SELEKT", &s, e), MR_EINTERNAL);
    return 0;
}

static void values_of_every_type(void) {
    struct mr_db *db = open_db();
    CHECK_INT(mr_db_read(db, typed, NULL, NULL), 0);
    CHECK_INT(mr_db_write(db, typed, NULL, NULL), 0);
    mr_db_close(db);
}

/* A literal at a reused address must not find the old statement. */
static int reused_text(struct mr_tx *tx, void *arg, struct mr_err *e) {
    (void)arg;
    char sql[32];
    for (int i = 0; i < 3; i++) {
        snprintf(sql, sizeof sql, "SELECT %d", 40 + i);
        struct mr_stmt *s;
        CHECK_INT(mr_db_prepare(tx, sql, &s, e), 0);
        CHECK_INT(mr_db_step(s, e), 1);
        CHECK_INT(mr_db_i64(s, 0), 40 + i);
        mr_db_done(s);
    }
    return 0;
}

static void statements_are_found_by_text(void) {
    struct mr_db *db = open_db();
    CHECK_INT(mr_db_read(db, reused_text, NULL, NULL), 0);
    mr_db_close(db);
}

static int read_writes(struct mr_tx *tx, void *arg, struct mr_err *e) {
    (void)tx;
    CHECK_INT(mr_db_write(arg, run_sql, "DELETE FROM t", e), MR_EINTERNAL);
    int64_t n = -1;
    CHECK_INT(mr_db_read(arg, count, &n, e), 0); /* nested: same snapshot */
    CHECK_INT(n, 0);
    return MR_ENOTFOUND;
}

static int write_writes(struct mr_tx *tx, void *arg, struct mr_err *e) {
    (void)tx;
    CHECK_INT(mr_db_write(arg, run_sql, "DELETE FROM t", e), MR_EINTERNAL);
    return 0;
}

static void nesting_is_refused_not_deadlocked(void) {
    struct mr_db *db = open_with_table();
    CHECK_INT(mr_db_read(db, read_writes, db, NULL), MR_ENOTFOUND);
    CHECK_INT(mr_db_write(db, write_writes, db, NULL), 0);
    mr_db_close(db);
}

enum { THREADS = 8, EACH = 200 };
struct worker {
    struct mr_db *db;
    int k;
    pthread_t t;
};
static atomic_int async_done, async_failed;

static void on_done(void *arg, int rc, const struct mr_err *err) {
    (void)err;
    mr_free(arg);
    atomic_fetch_add(rc ? &async_failed : &async_done, 1);
}

static void *work(void *arg) {
    struct worker *w = arg;
    for (int i = 0; i < EACH; i++) {
        int64_t id = (int64_t)w->k * EACH + i, bad = -1 - id;
        CHECK_INT(mr_db_write(w->db, insert, &id, NULL), 0);
        CHECK_INT(mr_db_write(w->db, insert_then_fail, &bad, NULL), MR_EFIELD);
        int64_t *later = mr_malloc(sizeof *later);
        *later = 1000000 + id;
        if (mr_db_write_async(w->db, insert, later, on_done))
            mr_free(later);
        if (i % 16 == 0)
            CHECK(rows(w->db) > i);
    }
    return NULL;
}

static void many_threads_share_commits(void) {
    struct mr_db *db = open_with_table();
    struct worker w[THREADS];
    atomic_store(&async_done, 0);
    atomic_store(&async_failed, 0);
    for (int i = 0; i < THREADS; i++) {
        w[i] = (struct worker){.db = db, .k = i};
        pthread_create(&w[i].t, NULL, work, &w[i]);
    }
    for (int i = 0; i < THREADS; i++)
        pthread_join(w[i].t, NULL);
    CHECK_INT(mr_db_ping(db, NULL), 0);                   /* behind the last async write */
    MR_UNTIL(atomic_load(&async_done) >= THREADS * EACH); /* the last callbacks may still run */
    CHECK_INT(atomic_load(&async_done), THREADS * EACH);
    CHECK_INT(atomic_load(&async_failed), 0);
    CHECK_INT(rows(db), 2 * THREADS * EACH);
    struct mr_db_stats st;
    mr_db_stats(db, &st);
    CHECK_INT(st.failed, THREADS * EACH);
    CHECK(st.commits < st.writes);
    mr_db_close(db);
}

static void close_commits_what_is_queued(void) {
    struct mr_db *db = open_with_table();
    atomic_store(&async_done, 0);
    for (int i = 0; i < 500; i++) {
        int64_t *id = mr_malloc(sizeof *id);
        *id = i;
        CHECK_INT(mr_db_write_async(db, insert, id, on_done), 0);
    }
    mr_db_close(db);
    CHECK_INT(atomic_load(&async_done), 500);
    if (!in_memory) {
        db = open_db();
        CHECK_INT(rows(db), 500);
        mr_db_close(db);
    }
}

static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
static int wait_gate(struct mr_tx *tx, void *arg, struct mr_err *e) {
    (void)tx, (void)arg, (void)e;
    pthread_mutex_lock(&gate);
    pthread_mutex_unlock(&gate);
    return 0;
}

static int refuse(struct mr_tx *tx, void *arg, struct mr_err *e) {
    (void)tx, (void)arg;
    return mr_fail(e, MR_EFIELD, "no");
}

/* Three writes of one batch, the middle one as given. */
static void batch(struct mr_db *db, mr_db_fn *middle) {
    static int64_t next = 1;
    atomic_store(&async_done, 0);
    atomic_store(&async_failed, 0);
    pthread_mutex_lock(&gate);
    CHECK_INT(mr_db_write_async(db, wait_gate, NULL, NULL), 0);
    for (int i = 0; i < 3; i++) {
        int64_t *id = mr_malloc(sizeof *id);
        *id = next++;
        CHECK_INT(mr_db_write_bare(db, i == 1 ? middle : insert, id, on_done), 0);
    }
    pthread_mutex_unlock(&gate);
    CHECK_INT(mr_db_ping(db, NULL), 0);
    MR_UNTIL(atomic_load(&async_done) + atomic_load(&async_failed) >= 3);
}

static void bare_writes_fail_alone_or_all(void) {
    struct mr_db *db = open_with_table();
    batch(db, insert);
    CHECK_INT(atomic_load(&async_done), 3);
    CHECK_INT(rows(db), 3);
    batch(db, refuse); /* before any change: only its own */
    CHECK_INT(atomic_load(&async_failed), 1);
    CHECK_INT(rows(db), 5);
    batch(db, insert_then_fail); /* what it changed cannot be told from the others' */
    CHECK_INT(atomic_load(&async_done) <= 1, 1); /* those behind it make a batch of their own */
    CHECK_INT(rows(db), 5 + atomic_load(&async_done));
    batch(db, insert);
    CHECK_INT(atomic_load(&async_done), 3);
    mr_db_close(db);
}

static void a_full_queue_refuses(void) {
    char path[300];
    struct mr_db_config c = {.path = in_memory ? ":memory:" : mr_tmp_path(&tmp, "a.db", path),
                             .queue_max = 4};
    struct mr_db *db = NULL;
    CHECK_INT(mr_db_open(&c, &db, NULL), 0);
    pthread_mutex_lock(&gate);
    int taken = 0, refused = 0;
    for (int i = 0; i < 20; i++) {
        int rc = mr_db_write_async(db, wait_gate, NULL, NULL);
        if (rc == 0)
            taken++;
        else if (rc == MR_EUNAVAIL)
            refused++;
    }
    pthread_mutex_unlock(&gate);
    CHECK(taken >= 4 && taken <= 5); /* one may already be running */
    CHECK_INT(refused, 20 - taken);
    int rc;
    while ((rc = mr_db_ping(db, NULL)) == MR_EUNAVAIL) /* until there is room again */
        usleep(1000);
    CHECK_INT(rc, 0);
    mr_db_close(db);
}

static void *read_once(void *arg) {
    CHECK_INT(rows(arg), 0);
    return NULL;
}

static void ended_threads_leave_nothing(void) {
    struct mr_db *db = open_with_table();
    for (int i = 0; i < 40; i++) {
        pthread_t t;
        pthread_create(&t, NULL, read_once, db);
        pthread_join(t, NULL);
    }
    CHECK_INT(rows(db), 0);
    mr_db_close(db);
    /* the same thread, a new database, perhaps at the same address */
    for (int i = 0; i < 5; i++) {
        db = open_db();
        if (in_memory)
            CHECK_INT(mr_db_write(db, run_sql, "CREATE TABLE t(id BIGINT)", NULL), 0);
        CHECK_INT(rows(db), 0);
        mr_db_close(db);
    }
}

static void every_allocation_may_fail(void) {
    struct mr_db *db = open_with_table();
    char path[300];
    int64_t n;
    for (size_t nth = 1; nth < 40; nth++) {
        struct mr_db_config c = {.path =
                                     in_memory ? ":memory:" : mr_tmp_path(&tmp, "oom.db", path)};
        struct mr_db *other = NULL;
        mr_alloc_fail_at(nth);
        int rc = mr_db_open(&c, &other, NULL);
        mr_alloc_fail_at(0);
        CHECK(rc == 0 || rc == MR_ENOMEM);
        if (rc == 0)
            mr_db_close(other);
        mr_alloc_fail_at(nth);
        rc = mr_db_read(db, count, &n, NULL);
        mr_alloc_fail_at(0);
        CHECK(rc == 0 || rc == MR_ENOMEM);
    }
    mr_db_close(db);
}

/* --- a file only ------------------------------------------------------------------------- */

static int hold_snapshot(struct mr_tx *tx, void *arg, struct mr_err *e) {
    int64_t before = -1, after = -1, id = 77;
    struct mr_db *db = arg;
    (void)e;
    CHECK_INT(count(tx, &before, NULL), 0);
    int64_t *later = mr_malloc(sizeof *later);
    *later = id;
    atomic_store(&async_done, 0);
    CHECK_INT(mr_db_write_async(db, insert, later, on_done), 0);
    while (!atomic_load(&async_done))
        usleep(1000);
    CHECK_INT(count(tx, &after, NULL), 0);
    CHECK_INT(after, before);
    return 0;
}

static void a_read_is_one_snapshot(void) {
    struct mr_db *db = open_with_table();
    CHECK_INT(mr_db_read(db, hold_snapshot, db, NULL), 0);
    CHECK_INT(rows(db), 1);
    CHECK(mr_db_read(db, run_sql, "DELETE FROM t", NULL) < 0); /* read connections cannot write */
    mr_db_close(db);
}

static int many_rows(struct mr_tx *tx, void *arg, struct mr_err *e) {
    static char blob[60000]; /* a row's pages fill what is gathered of the log many times over */
    struct mr_stmt *s;
    int rc = 0;
    for (int64_t i = 0; rc == 0 && i < 400; i++) { /* more than the cache holds */
        rc = mr_db_prepare(tx, "INSERT INTO t(id, b) VALUES(?1, ?2)", &s, e);
        if (rc)
            break;
        memset(blob, (int)(1 + i % 100), sizeof blob); /* text without zeros */
        mr_db_bind_i64(s, 1, *(int64_t *)arg + i);
        mr_db_bind_static(s, 2, mr_strn(blob, sizeof blob));
        rc = mr_db_exec(s, e);
    }
    return rc ? rc : *(int64_t *)arg < 0 ? mr_fail(e, MR_EINVAL, "undo") : 0;
}

static int64_t number(sqlite3 *sq, const char *sql) {
    sqlite3_stmt *st = NULL;
    int64_t n = -1;
    CHECK_INT(sqlite3_prepare_v2(sq, sql, -1, &st, NULL), SQLITE_OK);
    if (sqlite3_step(st) == SQLITE_ROW)
        n = sqlite3_column_int64(st, 0);
    sqlite3_finalize(st);
    return n;
}

/* Others see each commit whole as soon as its writer returns, small and large ones, also between
 * transactions that were undone. */
static void what_is_committed_is_in_the_files(void) {
    struct mr_db *db = open_with_table();
    char path[300];
    sqlite3 *sq;
    sqlite3_open(mr_tmp_path(&tmp, "a.db", path), &sq);
    int64_t at[] = {-1000, 1, -1000, 1001}, want[] = {0, 401, 401, 802};
    for (int i = 0; i < 4; i++) {
        CHECK_INT(mr_db_write(db, many_rows, &at[i], NULL), at[i] < 0 ? MR_EINVAL : 0);
        if (at[i] > 0)
            CHECK_INT(
                mr_db_write(db, run_sql, "INSERT INTO t(id) SELECT MAX(id) + 9000 FROM t", NULL),
                0);
        CHECK_INT(number(sq, "SELECT COUNT(*) FROM t"), want[i]);
    }
    CHECK_INT(number(sq, "SELECT COUNT(*) FROM t WHERE b IS NOT NULL AND (length(b) <> 60000 OR "
                         "substr(b, 1, 1) <> substr(b, 60000, 1))"),
              0);
    CHECK_INT(number(sq, "SELECT COUNT(*) FROM pragma_integrity_check WHERE integrity_check <> "
                         "'ok'"),
              0);
    sqlite3_close(sq);
    mr_db_close(db);
}

static void a_newer_schema_is_refused(void) {
    mr_db_close(open_db());
    char path[300];
    struct stat st;
    CHECK_INT(stat(mr_tmp_path(&tmp, "a.db", path), &st), 0);
    CHECK_INT(st.st_mode & 0777, 0600);
    sqlite3 *sq;
    sqlite3_open(path, &sq);
    CHECK_INT(sqlite3_exec(sq, "INSERT INTO schema_migrations VALUES(9999, 'future', 0)", 0, 0, 0),
              0);
    sqlite3_close(sq);
    struct mr_db_config c = {.path = path};
    struct mr_db *db = NULL;
    struct mr_err e = {0};
    CHECK_INT(mr_db_open(&c, &db, &e), MR_EUNSUPPORTED);
    CHECK(strstr(e.msg, "9999") != NULL);
    CHECK(db == NULL);
}

static void what_is_no_database_is_refused(void) {
    char path[300];
    FILE *f = fopen(mr_tmp_path(&tmp, "a.db", path), "w");
    for (int i = 0; i < 1000; i++)
        fputs("this is not a database\n", f);
    fclose(f);
    struct mr_db_config c = {.path = path};
    struct mr_db *db = NULL;
    struct mr_err e = {0};
    CHECK_INT(mr_db_open(&c, &db, &e), MR_EIO);
    CHECK(strstr(e.msg, "not a database") != NULL);
    c.path = mr_tmp_path(&tmp, "none/a.db", path);
    CHECK(mr_db_open(&c, &db, &e) < 0);
}

static int insert_big(struct mr_tx *tx, void *arg, struct mr_err *e) {
    static char page[65536];
    struct mr_stmt *s;
    int rc = mr_db_prepare(tx, "INSERT INTO t(id, b) VALUES(?1, ?2)", &s, e);
    if (rc)
        return rc;
    mr_db_bind_i64(s, 1, *(int64_t *)arg);
    mr_db_bind_blob(s, 2, page, sizeof page);
    return mr_db_exec(s, e);
}

static void a_full_disk_fails_the_batch_and_recovers(void) {
    char dir[300], path[300], ballast[300];
    mkdir(mr_tmp_path(&tmp, "small", dir), 0700);
    if (mount("tmpfs", dir, "tmpfs", 0, "size=4m")) {
        printf("SKIP full disk: cannot mount a tmpfs (%s)\n", strerror(errno));
        return;
    }
    FILE *f = fopen(mr_tmp_path(&tmp, "small/ballast", ballast), "w");
    for (int i = 0; i < 2 * 1024; i++)
        fprintf(f, "%01024d", i);
    fclose(f);
    struct mr_db_config c = {.path = mr_tmp_path(&tmp, "small/a.db", path)};
    struct mr_db *db = NULL;
    CHECK_INT(mr_db_open(&c, &db, NULL), 0);
    CHECK_INT(mr_db_write(db, run_sql, "CREATE TABLE t(id BIGINT PRIMARY KEY, b BLOB)", NULL), 0);
    int64_t ok = 0, full = 0;
    for (int64_t id = 0; id < 200; id++) {
        struct mr_err e = {0};
        int rc = mr_db_write(db, insert_big, &id, &e);
        ok += rc == 0;
        full += rc == MR_ENOSPC;
        if (rc && rc != MR_ENOSPC)
            fprintf(stderr, "full disk: %d %s\n", rc, e.msg);
    }
    CHECK(ok > 0 && full > 0);
    CHECK_INT(ok + full, 200);
    CHECK_INT(rows(db), ok); /* nothing acknowledged is lost, nothing refused is there */
    unlink(ballast);
    int64_t id = 1000;
    CHECK_INT(mr_db_write(db, insert, &id, NULL), 0);
    CHECK_INT(rows(db), ok + 1);
    mr_db_close(db);
    CHECK_INT(mr_db_open(&c, &db, NULL), 0);
    CHECK_INT(rows(db), ok + 1);
    mr_db_close(db);
    umount(dir);
}

static void the_wal_stays_bounded(void) {
    struct mr_db *db = open_with_table();
    uint64_t most = 0;
    for (int64_t id = 0; id < 400; id++) { /* 26 MB in commits of 64 KiB */
        CHECK_INT(mr_db_write(db, insert_big, &id, NULL), 0);
        struct mr_db_stats st;
        mr_db_stats(db, &st);
        if (st.wal_bytes > most)
            most = st.wal_bytes;
    }
    CHECK(most > 0 && most < 8u << 20);
    mr_db_close(db);
}

#define BOTH(fn)                                                                                   \
    MR_TEST(fn##_file) {                                                                           \
        in_memory = false;                                                                         \
        mr_tmp_make(&tmp);                                                                         \
        fn();                                                                                      \
        mr_tmp_remove(&tmp);                                                                       \
    }                                                                                              \
    MR_TEST(fn##_memory) {                                                                         \
        in_memory = true;                                                                          \
        fn();                                                                                      \
    }
#define FILE_ONLY(fn)                                                                              \
    MR_TEST(fn##_file) {                                                                           \
        in_memory = false;                                                                         \
        mr_tmp_make(&tmp);                                                                         \
        fn();                                                                                      \
        mr_tmp_remove(&tmp);                                                                       \
    }

BOTH(writes_commit_or_vanish)
BOTH(values_of_every_type)
BOTH(statements_are_found_by_text)
BOTH(nesting_is_refused_not_deadlocked)
BOTH(many_threads_share_commits)
BOTH(close_commits_what_is_queued)
BOTH(bare_writes_fail_alone_or_all)
BOTH(a_full_queue_refuses)
BOTH(ended_threads_leave_nothing)
BOTH(every_allocation_may_fail)
FILE_ONLY(a_read_is_one_snapshot)
FILE_ONLY(what_is_committed_is_in_the_files)
FILE_ONLY(a_newer_schema_is_refused)
FILE_ONLY(what_is_no_database_is_refused)
FILE_ONLY(a_full_disk_fails_the_batch_and_recovers)
FILE_ONLY(the_wal_stays_bounded)

#define PAIR(fn) CASE(fn##_file), CASE(fn##_memory)
MR_TEST_MAIN(PAIR(writes_commit_or_vanish), PAIR(values_of_every_type),
             PAIR(statements_are_found_by_text), PAIR(nesting_is_refused_not_deadlocked),
             PAIR(many_threads_share_commits), PAIR(close_commits_what_is_queued),
             PAIR(a_full_queue_refuses), PAIR(bare_writes_fail_alone_or_all),
             PAIR(ended_threads_leave_nothing), PAIR(every_allocation_may_fail),
             CASE(a_read_is_one_snapshot_file), CASE(what_is_committed_is_in_the_files_file),
             CASE(a_newer_schema_is_refused_file), CASE(what_is_no_database_is_refused_file),
             CASE(a_full_disk_fails_the_batch_and_recovers_file), CASE(the_wal_stays_bounded_file))
