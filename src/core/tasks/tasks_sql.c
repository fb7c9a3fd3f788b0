/* The statements of tasks. */
#include "base/alloc.h"
#include "base/hash.h"
#include "core/tasks/tasks_priv.h"

#define IDS_MAX           65536
#define ROOM_MAX          1024
#define ROW_NUMBERS       24 /* that times, tokens and a longer model name take */
#define KEY_KEEP_US       (48ll * 3600 * 1000000) /* promised: 24 h */
#define KEY_CLEAN_EVERY   1024
#define KEY_CLEAN_AT_ONCE 4096

/* --- ids ---------------------------------------------------------------------------------- */

static size_t place(const struct mr_task_ids *m, struct mr_id account) {
    size_t i = (size_t)mr_hash64(mr_strn((const char *)account.b, 16)) & (m->cap - 1);
    while (m->slot[i].last && !mr_id_eq(m->slot[i].account, account))
        i = (i + 1) & (m->cap - 1);
    return i;
}

/* Doubles, and starts anew beyond IDS_MAX: what is forgotten is read again. */
static int grow(struct mr_task_ids *m, struct mr_err *e) {
    struct mr_task_ids fresh = {.cap = m->cap ? m->cap * 2 : 64};
    bool forget = fresh.cap > IDS_MAX * 2;
    if (forget)
        fresh.cap = 64;
    fresh.slot = mr_calloc(fresh.cap, sizeof *fresh.slot);
    if (!fresh.slot)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    for (size_t i = 0; i < m->cap && !forget; i++)
        if (m->slot[i].last) {
            fresh.slot[place(&fresh, m->slot[i].account)] = m->slot[i];
            fresh.n++;
        }
    mr_free(m->slot);
    *m = fresh;
    return 0;
}

static int highest(struct mr_tx *tx, struct mr_id account, int64_t *ret, struct mr_err *e) {
    struct mr_stmt *s;
    int rc = mr_db_prepare(tx, "SELECT MAX(id) FROM tasks WHERE account_id = ?1", &s, e);
    if (rc)
        return rc;
    mr_db_bind_id(s, 1, account);
    rc = mr_db_step(s, e);
    if (rc > 0)
        *ret = mr_db_i64(s, 0);
    if (rc > 0)
        mr_db_done(s);
    return rc < 0 ? rc : 0;
}

int mr_task_next_id(struct mr_tasks *t, struct mr_tx *tx, struct mr_id account, int64_t *ret,
                    struct mr_err *e) {
    struct mr_task_ids *m = &t->ids;
    int rc = 0;
    if ((m->n + 1) * 4 > m->cap * 3 && (rc = grow(m, e)))
        return rc;
    size_t i = place(m, account);
    int64_t last = m->slot[i].last;
    if (!last) {
        rc = highest(tx, account, &last, e);
        if (rc)
            return rc;
        m->slot[i].account = account;
        m->n++;
    }
    *ret = m->slot[i].last = last + 1;
    return 0;
}

/* --- rows --------------------------------------------------------------------------------- */

/* An open task's output holds as many zeros as rows grew by at their ends lately, so that the end
 * mostly fits in place: rows that grow split the pages that they fill. Readers do not see it. */
int mr_task_insert_in(struct mr_tx *tx, struct mr_task_job *j, struct mr_err *e) {
    const struct mr_task_info *k = &j->task;
    struct mr_stmt *s;
    int rc = mr_db_prepare(tx,
                           "INSERT INTO tasks (account_id, id, status, error_code, charge_id, "
                           "tokens, cost_nano, created_at, completed_at, provider, model, "
                           "end_user, input, output) VALUES (?1, ?2, ?3, 0, ?4, 0, 0, ?5, 0, ?6, "
                           "?7, ?8, ?9, ?10)",
                           &s, e);
    if (rc)
        return rc;
    mr_db_bind_id(s, 1, j->who.account);
    mr_db_bind_i64(s, 2, k->id);
    mr_db_bind_i64(s, 3, k->status);
    mr_db_bind_i64(s, 4, k->charge);
    mr_db_bind_i64(s, 5, k->created_us);
    mr_db_bind_static(s, 6, k->provider);
    mr_db_bind_static(s, 7, k->model);
    mr_db_bind_static(s, 8, k->end_user);
    mr_db_bind_static(s, 9, k->input);
    mr_db_bind_zeros(s, 10, (size_t)j->t->room);
    mr_task_opened(j);
    return mr_db_exec(s, e);
}

void mr_task_learn_room(struct mr_tasks *t, const struct mr_task_info *ended) {
    int64_t grew = (int64_t)(ended->output.n + ended->error.n) + ROW_NUMBERS;
    t->room += ((grew < ROOM_MAX ? grew : ROOM_MAX) - t->room) / 8;
}

int mr_task_end_in(struct mr_tx *tx, struct mr_id account, const struct mr_task_info *k,
                   int error_code, struct mr_err *e) {
    struct mr_stmt *s;
    int rc = mr_db_prepare(tx,
                           "UPDATE tasks SET status = ?3, error_code = ?4, tokens = ?5, "
                           "cost_nano = ?6, completed_at = ?7, provider = ?8, model = ?9, "
                           "error = ?10, output = ?11 WHERE account_id = ?1 AND id = ?2",
                           &s, e);
    if (rc)
        return rc;
    mr_db_bind_id(s, 1, account);
    mr_db_bind_i64(s, 2, k->id);
    mr_db_bind_i64(s, 3, k->status);
    mr_db_bind_i64(s, 4, error_code);
    mr_db_bind_i64(s, 5, k->tokens);
    mr_db_bind_i64(s, 6, k->cost_nano);
    mr_db_bind_i64(s, 7, k->completed_us);
    mr_db_bind_static(s, 8, k->provider);
    mr_db_bind_static(s, 9, k->model);
    mr_db_bind_static(s, 10, k->error);
    mr_db_bind_static(s, 11, k->output);
    rc = mr_db_exec(s, e);
    if (!rc && mr_db_changes(tx) != 1)
        return mr_fail(e, MR_EINTERNAL, "task %lld is not there to be ended", (long long)k->id);
    return rc;
}

int mr_task_read_in(struct mr_tx *tx, struct mr_id account, int64_t id, struct mr_arena *arena,
                    struct mr_task_info *ret, int *ret_code, struct mr_err *e) {
    struct mr_stmt *s;
    int rc = mr_db_prepare(tx,
                           "SELECT status, error_code, charge_id, tokens, cost_nano, created_at, "
                           "completed_at, provider, model, end_user, error, input, output "
                           "FROM tasks WHERE account_id = ?1 AND id = ?2",
                           &s, e);
    if (rc)
        return rc;
    mr_db_bind_id(s, 1, account);
    mr_db_bind_i64(s, 2, id);
    rc = mr_db_step(s, e);
    if (rc <= 0)
        return rc < 0 ? rc : mr_fail(e, MR_ENOTFOUND, "task not found");
    rc = 0;
    struct mr_task_info k = {.id = id,
                             .status = (enum mr_task_status)mr_db_i64(s, 0),
                             .charge = mr_db_i64(s, 2),
                             .tokens = mr_db_i64(s, 3),
                             .cost_nano = mr_db_i64(s, 4),
                             .created_us = mr_db_i64(s, 5),
                             .completed_us = mr_db_i64(s, 6)};
    struct mr_str *const text[] = {&k.provider, &k.model, &k.end_user,
                                   &k.error,    &k.input, &k.output};
    for (size_t i = 0; i < 6 && !rc; i++) {
        struct mr_str v = mr_db_str(s, 7 + (int)i);
        *text[i] = mr_arena_keep(arena, v);
        if (v.p && !text[i]->p)
            rc = MR_ENOMEM;
    }
    if (rc) {
        mr_db_done(s);
        return mr_fail(e, MR_ENOMEM, "out of memory");
    }
    *ret_code = (int)mr_db_i64(s, 1);
    if (k.status < MR_TASK_COMPLETED)
        k.output = mr_strn(NULL, 0); /* only room */
    *ret = k;
    mr_db_done(s);
    return 0;
}

/* --- idempotency keys --------------------------------------------------------------------- */

int mr_task_key_find_in(struct mr_tx *tx, struct mr_id account, struct mr_str key,
                        const uint8_t hash[32], int64_t *ret_task, struct mr_err *e) {
    struct mr_stmt *s;
    int rc = mr_db_prepare(tx,
                           "SELECT request_hash, task_id FROM task_idempotency "
                           "WHERE account_id = ?1 AND key = ?2",
                           &s, e);
    *ret_task = 0;
    if (rc)
        return rc;
    mr_db_bind_id(s, 1, account);
    mr_db_bind_str(s, 2, key);
    rc = mr_db_step(s, e);
    if (rc <= 0)
        return rc;
    struct mr_str was = mr_db_blob(s, 0);
    bool same = was.n == 32 && !memcmp(was.p, hash, 32);
    *ret_task = mr_db_i64(s, 1);
    mr_db_done(s);
    if (!same)
        return mr_fail_field(e, MR_EFIELD, "Idempotency-Key",
                             "this Idempotency-Key was used for a different request");
    return 0;
}

static int clean_keys(struct mr_tx *tx, int64_t now_us, struct mr_err *e) {
    struct mr_stmt *s;
    int rc = mr_db_prepare(tx,
                           "DELETE FROM task_idempotency WHERE (account_id, key) IN (SELECT "
                           "account_id, key FROM task_idempotency WHERE created_at < ?1 LIMIT ?2)",
                           &s, e);
    if (rc)
        return rc;
    mr_db_bind_i64(s, 1, now_us - KEY_KEEP_US);
    mr_db_bind_i64(s, 2, KEY_CLEAN_AT_ONCE);
    return mr_db_exec(s, e);
}

int mr_task_key_add_in(struct mr_tasks *t, struct mr_tx *tx, struct mr_id account,
                       struct mr_str key, const uint8_t hash[32], int64_t task, int64_t now_us,
                       struct mr_err *e) {
    struct mr_stmt *s;
    int rc = 0;
    if (t->idempotency_count++ % KEY_CLEAN_EVERY == 0)
        rc = clean_keys(tx, now_us, e);
    if (!rc)
        rc = mr_db_prepare(tx,
                           "INSERT INTO task_idempotency (account_id, key, request_hash, task_id, "
                           "created_at) VALUES (?1, ?2, ?3, ?4, ?5)",
                           &s, e);
    if (rc)
        return rc;
    mr_db_bind_id(s, 1, account);
    mr_db_bind_str(s, 2, key);
    mr_db_bind_blob(s, 3, hash, 32);
    mr_db_bind_i64(s, 4, task);
    mr_db_bind_i64(s, 5, now_us);
    return mr_db_exec(s, e);
}

int mr_task_key_drop_in(struct mr_tx *tx, struct mr_id account, struct mr_str key,
                        struct mr_err *e) {
    struct mr_stmt *s;
    int rc =
        mr_db_prepare(tx, "DELETE FROM task_idempotency WHERE account_id = ?1 AND key = ?2", &s, e);
    if (rc)
        return rc;
    mr_db_bind_id(s, 1, account);
    mr_db_bind_str(s, 2, key);
    return mr_db_exec(s, e);
}
