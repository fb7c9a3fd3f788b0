#include "base/alloc.h"
#include "store/sqlite/sqlite.h"

static size_t bucket_of(const char *sql) {
    uint64_t h = (uint64_t)(uintptr_t)sql * 0x9E3779B97F4A7C15u;
    return (size_t)(h >> 56) % MR_STMT_BUCKETS;
}

static void mark_busy(struct mr_stmt *s) {
    struct mr_tx *tx = s->tx;
    s->busy = true;
    s->bind_rc = SQLITE_OK;
    s->busy_next = tx->busy;
    s->busy_at = &tx->busy;
    if (tx->busy)
        tx->busy->busy_at = &s->busy_next;
    tx->busy = s;
}

static void free_stmt(struct mr_stmt *s) {
    sqlite3_finalize(s->st);
    mr_free(s->text);
    mr_free(s);
}

void mr_db_done(struct mr_stmt *s) {
    if (!s || !s->busy)
        return;
    s->busy = false;
    *s->busy_at = s->busy_next;
    if (s->busy_next)
        s->busy_next->busy_at = s->busy_at;
    sqlite3_reset(s->st);
    if (s->cached)
        sqlite3_clear_bindings(s->st);
    else
        free_stmt(s);
}

void mr_sqlite_reset_busy(struct mr_tx *tx) {
    while (tx->busy)
        mr_db_done(tx->busy);
}

void mr_sqlite_free_stmts(struct mr_tx *tx) {
    mr_sqlite_reset_busy(tx);
    for (size_t i = 0; i < MR_STMT_BUCKETS; i++) {
        while (tx->bucket[i]) {
            struct mr_stmt *s = tx->bucket[i];
            tx->bucket[i] = s->next;
            free_stmt(s);
        }
    }
    tx->n_stmt = 0;
}

int mr_db_prepare(struct mr_tx *tx, const char *sql, struct mr_stmt **ret, struct mr_err *e) {
    size_t b = bucket_of(sql);
    for (struct mr_stmt *s = tx->bucket[b]; s; s = s->next) {
        if (s->key == sql && !s->busy && strcmp(s->text, sql) == 0) {
            mark_busy(s);
            *ret = s;
            return 0;
        }
    }
    struct mr_stmt *s = mr_calloc(1, sizeof *s);
    char *text = mr_strdup(sql);
    if (!s || !text) {
        mr_free(s);
        mr_free(text);
        return mr_fail(e, MR_ENOMEM, "out of memory");
    }
    s->text = text;
    s->key = sql;
    s->tx = tx;
    const char *tail = NULL;
    int rc = sqlite3_prepare_v3(tx->sq, sql, -1, SQLITE_PREPARE_PERSISTENT, &s->st, &tail);
    if (rc != SQLITE_OK || !s->st) {
        int code = rc ? mr_sqlite_fail(e, tx->sq, rc, "database")
                      : mr_fail(e, MR_EINTERNAL, "database: empty statement");
        free_stmt(s);
        return code;
    }
    if (tail && tail[strspn(tail, " \t\n;")]) {
        free_stmt(s);
        return mr_fail(e, MR_EINTERNAL, "database: more than one statement in \"%.80s\"", sql);
    }
    s->cached = tx->n_stmt < MR_STMT_MAX;
    if (s->cached) {
        s->next = tx->bucket[b];
        tx->bucket[b] = s;
        tx->n_stmt++;
    }
    mark_busy(s);
    *ret = s;
    return 0;
}

static void bound(struct mr_stmt *s, int rc) {
    if (rc != SQLITE_OK && s->bind_rc == SQLITE_OK)
        s->bind_rc = rc;
}

void mr_db_bind_i64(struct mr_stmt *s, int i, int64_t v) {
    bound(s, sqlite3_bind_int64(s->st, i, v));
}

void mr_db_bind_f64(struct mr_stmt *s, int i, double v) {
    bound(s, sqlite3_bind_double(s->st, i, v));
}

void mr_db_bind_str(struct mr_stmt *s, int i, struct mr_str v) {
    if (!v.p)
        bound(s, sqlite3_bind_null(s->st, i));
    else
        bound(s, sqlite3_bind_text64(s->st, i, v.p, v.n, SQLITE_TRANSIENT, SQLITE_UTF8));
}

void mr_db_bind_static(struct mr_stmt *s, int i, struct mr_str v) {
    if (!v.p)
        bound(s, sqlite3_bind_null(s->st, i));
    else
        bound(s, sqlite3_bind_text64(s->st, i, v.p, v.n, SQLITE_STATIC, SQLITE_UTF8));
}

void mr_db_bind_zeros(struct mr_stmt *s, int i, size_t n) {
    bound(s, sqlite3_bind_zeroblob64(s->st, i, n));
}

void mr_db_bind_blob(struct mr_stmt *s, int i, const void *p, size_t n) {
    if (n == 0) /* empty, not NULL */
        bound(s, sqlite3_bind_zeroblob(s->st, i, 0));
    else
        bound(s, sqlite3_bind_blob64(s->st, i, p, n, SQLITE_TRANSIENT));
}

void mr_db_bind_id(struct mr_stmt *s, int i, struct mr_id id) {
    mr_db_bind_blob(s, i, id.b, sizeof id.b);
}

void mr_db_bind_null(struct mr_stmt *s, int i) {
    bound(s, sqlite3_bind_null(s->st, i));
}

int mr_db_step(struct mr_stmt *s, struct mr_err *e) {
    if (!s->busy)
        return mr_fail(e, MR_EINTERNAL, "database: a finished statement was stepped");
    if (s->bind_rc != SQLITE_OK) {
        int code = mr_sqlite_fail(e, NULL, s->bind_rc, "database: bind");
        mr_db_done(s);
        return code;
    }
    int rc = sqlite3_step(s->st);
    if (rc == SQLITE_ROW)
        return 1;
    int code = 0;
    if (rc != SQLITE_DONE)
        code = mr_sqlite_fail(e, s->tx->sq, rc, "database");
    mr_db_done(s);
    return code;
}

int mr_db_exec(struct mr_stmt *s, struct mr_err *e) {
    for (;;) {
        int rc = mr_db_step(s, e);
        if (rc <= 0)
            return rc;
    }
}

uint64_t mr_db_serial(const struct mr_tx *tx) {
    return tx->serial;
}

int64_t mr_db_changes(struct mr_tx *tx) {
    return sqlite3_changes64(tx->sq);
}

int64_t mr_db_i64(struct mr_stmt *s, int col) {
    return sqlite3_column_int64(s->st, col);
}

double mr_db_f64(struct mr_stmt *s, int col) {
    return sqlite3_column_double(s->st, col);
}

struct mr_str mr_db_str(struct mr_stmt *s, int col) {
    if (sqlite3_column_type(s->st, col) == SQLITE_NULL)
        return (struct mr_str){NULL, 0};
    const char *p = (const char *)sqlite3_column_text(s->st, col);
    return (struct mr_str){p, p ? (size_t)sqlite3_column_bytes(s->st, col) : 0};
}

struct mr_str mr_db_blob(struct mr_stmt *s, int col) {
    if (sqlite3_column_type(s->st, col) == SQLITE_NULL)
        return (struct mr_str){NULL, 0};
    const char *p = sqlite3_column_blob(s->st, col);
    size_t n = (size_t)sqlite3_column_bytes(s->st, col);
    return (struct mr_str){n ? p : "", n};
}

bool mr_db_id(struct mr_stmt *s, int col, struct mr_id *ret) {
    struct mr_str b = mr_db_blob(s, col);
    if (!b.p || b.n != sizeof ret->b)
        return false;
    memcpy(ret->b, b.p, sizeof ret->b);
    return true;
}

bool mr_db_is_null(struct mr_stmt *s, int col) {
    return sqlite3_column_type(s->st, col) == SQLITE_NULL;
}
