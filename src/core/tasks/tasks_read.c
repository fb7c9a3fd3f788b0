/* Looking at tasks: one, a page of them, their sums. */
#include "core/tasks/tasks_priv.h"

#define ADVANCE_ROWS 500 /* so many ended tasks are worth a write of the sums */

struct get {
    struct mr_id account;
    int64_t id;
    struct mr_arena *arena;
    struct mr_task_info *ret;
};

static int get_in(struct mr_tx *tx, void *arg, struct mr_err *e) {
    struct get *g = arg;
    int code;
    return mr_task_read_in(tx, g->account, g->id, g->arena, g->ret, &code, e);
}

int mr_task_get(struct mr_tasks *t, struct mr_id account, int64_t id, struct mr_arena *arena,
                struct mr_task_info *ret, struct mr_err *e) {
    struct get g = {account, id, arena, ret};
    return mr_db_read(t->c.db, get_in, &g, e);
}

/* --- listing ------------------------------------------------------------------------------ */

struct list {
    struct mr_id account;
    int status;
    int64_t limit, offset, first_open;
    struct mr_arena *arena;
    struct mr_task_info *v;
    size_t n;
};

#define COLUMNS                                                                                    \
    "SELECT id, status, charge_id, tokens, cost_nano, created_at, completed_at, provider, model, " \
    "end_user, error FROM tasks WHERE account_id = ?1 "
#define PAGE "ORDER BY id DESC LIMIT ?2 OFFSET ?3"

/* One text a status: the partial index (of failed tasks) serves only conditions that it can see.
 * What has not ended is never below ?4. */
static const char *sql_of(int status) {
    switch (status) {
    case MR_TASK_PENDING:
        return COLUMNS "AND id >= ?4 AND status = 0 " PAGE;
    case MR_TASK_PROCESSING:
        return COLUMNS "AND id >= ?4 AND status = 1 " PAGE;
    case MR_TASK_COMPLETED:
        return COLUMNS "AND status = 2 " PAGE;
    case MR_TASK_FAILED:
        return COLUMNS "AND status = 3 " PAGE;
    default:
        return COLUMNS PAGE;
    }
}

static int row(struct list *l, struct mr_stmt *s, struct mr_err *e) {
    struct mr_task_info *k = &l->v[l->n++];
    *k = (struct mr_task_info){.id = mr_db_i64(s, 0),
                               .status = (enum mr_task_status)mr_db_i64(s, 1),
                               .charge = mr_db_i64(s, 2),
                               .tokens = mr_db_i64(s, 3),
                               .cost_nano = mr_db_i64(s, 4),
                               .created_us = mr_db_i64(s, 5),
                               .completed_us = mr_db_i64(s, 6)};
    struct mr_str *const text[] = {&k->provider, &k->model, &k->end_user, &k->error};
    for (size_t i = 0; i < 4; i++) {
        struct mr_str v = mr_db_str(s, 7 + (int)i);
        *text[i] = mr_arena_keep(l->arena, v);
        if (v.p && !text[i]->p)
            return mr_fail(e, MR_ENOMEM, "out of memory");
    }
    return 0;
}

static int list_in(struct mr_tx *tx, void *arg, struct mr_err *e) {
    struct list *l = arg;
    struct mr_stmt *s;
    int rc = mr_db_prepare(tx, sql_of(l->status), &s, e);
    if (rc)
        return rc;
    mr_db_bind_id(s, 1, l->account);
    mr_db_bind_i64(s, 2, l->limit);
    mr_db_bind_i64(s, 3, l->offset);
    if (l->status == MR_TASK_PENDING || l->status == MR_TASK_PROCESSING)
        mr_db_bind_i64(s, 4, l->first_open);
    while ((rc = mr_db_step(s, e)) > 0) {
        rc = row(l, s, e);
        if (rc) {
            mr_db_done(s);
            return rc;
        }
    }
    return rc;
}

int mr_task_list(struct mr_tasks *t, struct mr_id account, int status, int64_t limit,
                 int64_t offset, struct mr_arena *arena, struct mr_task_info **ret, size_t *ret_n,
                 struct mr_err *e) {
    struct list l = {account, status, limit, offset, 0, arena, NULL, 0};
    l.v = mr_arena_array(arena, (size_t)(limit > 0 ? limit : 1), sizeof *l.v);
    if (!l.v)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    bool open = status == MR_TASK_PENDING || status == MR_TASK_PROCESSING;
    if (open) /* before the snapshot: what is opened after this has higher ids */
        l.first_open = mr_task_first_open(t, account);
    int rc = open && !l.first_open ? 0 : mr_db_read(t->c.db, list_in, &l, e);
    if (!rc) {
        *ret = l.v;
        *ret_n = l.n;
    }
    return rc;
}

/* --- sums --------------------------------------------------------------------------------- */

struct sums {
    struct mr_id account;
    int64_t up_to, total, completed, tokens, cost;
    int64_t ended;    /* tasks after up_to that have ended, without a gap */
    int64_t ended_at; /* the last of them */
    struct mr_task_stats *ret;
};

static int one_number(struct mr_tx *tx, const char *sql, struct mr_id account, int64_t after,
                      int64_t *ret, struct mr_err *e) {
    struct mr_stmt *s;
    int rc = mr_db_prepare(tx, sql, &s, e);
    if (rc)
        return rc;
    mr_db_bind_id(s, 1, account);
    if (after >= 0)
        mr_db_bind_i64(s, 2, after);
    rc = mr_db_step(s, e);
    if (rc > 0)
        *ret = mr_db_i64(s, 0);
    if (rc > 0)
        mr_db_done(s);
    return rc < 0 ? rc : 0;
}

static int kept_sums(struct mr_tx *tx, struct sums *u, struct mr_err *e) {
    struct mr_stmt *s;
    int rc = mr_db_prepare(tx,
                           "SELECT up_to, total, completed, tokens, cost_nano FROM task_totals "
                           "WHERE account_id = ?1",
                           &s, e);
    if (rc)
        return rc;
    mr_db_bind_id(s, 1, u->account);
    rc = mr_db_step(s, e);
    if (rc > 0) {
        u->up_to = mr_db_i64(s, 0);
        u->total = mr_db_i64(s, 1);
        u->completed = mr_db_i64(s, 2);
        u->tokens = mr_db_i64(s, 3);
        u->cost = mr_db_i64(s, 4);
    }
    if (rc > 0)
        mr_db_done(s);
    return rc < 0 ? rc : 0;
}

/* Adds the tasks after up_to: those below the first unfinished one (`ended`) apart. */
static int add_range(struct mr_tx *tx, struct sums *u, int64_t from, int64_t to, int64_t *ret_n,
                     struct mr_err *e) {
    struct mr_stmt *s;
    int rc = mr_db_prepare(tx,
                           "SELECT COUNT(*), SUM(CASE WHEN status = 2 THEN 1 ELSE 0 END), "
                           "SUM(tokens), SUM(cost_nano) FROM tasks "
                           "WHERE account_id = ?1 AND id > ?2 AND id <= ?3",
                           &s, e);
    if (rc)
        return rc;
    mr_db_bind_id(s, 1, u->account);
    mr_db_bind_i64(s, 2, from);
    mr_db_bind_i64(s, 3, to);
    rc = mr_db_step(s, e);
    if (rc > 0) {
        *ret_n = mr_db_i64(s, 0);
        u->total += *ret_n;
        u->completed += mr_db_i64(s, 1);
        u->tokens += mr_db_i64(s, 2);
        u->cost += mr_db_i64(s, 3);
    }
    if (rc > 0)
        mr_db_done(s);
    return rc < 0 ? rc : 0;
}

static int sum_ended(struct mr_tx *tx, struct sums *u, struct mr_err *e) {
    int64_t open = 0, last = 0;
    int rc = kept_sums(tx, u, e);
    if (!rc)
        rc = one_number(tx, "SELECT MAX(id) FROM tasks WHERE account_id = ?1", u->account, -1,
                        &last, e);
    if (!rc)
        rc = one_number(tx,
                        "SELECT id FROM tasks WHERE account_id = ?1 AND id > ?2 AND "
                        "status IN (0, 1) ORDER BY id LIMIT 1",
                        u->account, u->up_to, &open, e);
    u->ended_at = open ? open - 1 : last;
    if (!rc && u->ended_at > u->up_to)
        rc = add_range(tx, u, u->up_to, u->ended_at, &u->ended, e);
    return rc;
}

static int stats_in(struct mr_tx *tx, void *arg, struct mr_err *e) {
    struct sums *u = arg;
    int64_t rest;
    int rc = sum_ended(tx, u, e);
    if (!rc)
        rc = add_range(tx, u, u->ended_at, INT64_MAX, &rest, e);
    if (!rc)
        rc = one_number(tx, "SELECT COUNT(*) FROM end_users WHERE account = ?1", u->account, -1,
                        &u->ret->end_users, e);
    u->ret->total = u->total;
    u->ret->completed = u->completed;
    u->ret->tokens = u->tokens;
    u->ret->cost_nano = u->cost;
    return rc;
}

static int advance_in(struct mr_tx *tx, void *arg, struct mr_err *e) {
    struct sums *u = arg;
    struct mr_stmt *s;
    int rc = sum_ended(tx, u, e);
    if (!rc)
        rc = mr_db_prepare(tx,
                           "INSERT INTO task_totals (account_id, up_to, total, completed, tokens, "
                           "cost_nano) VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT (account_id) "
                           "DO UPDATE SET up_to = excluded.up_to, total = excluded.total, "
                           "completed = excluded.completed, tokens = excluded.tokens, "
                           "cost_nano = excluded.cost_nano",
                           &s, e);
    if (rc)
        return rc;
    mr_db_bind_id(s, 1, u->account);
    mr_db_bind_i64(s, 2, u->ended_at);
    mr_db_bind_i64(s, 3, u->total);
    mr_db_bind_i64(s, 4, u->completed);
    mr_db_bind_i64(s, 5, u->tokens);
    mr_db_bind_i64(s, 6, u->cost);
    return mr_db_exec(s, e);
}

int mr_task_stats(struct mr_tasks *t, struct mr_id account, struct mr_task_stats *ret,
                  struct mr_err *e) {
    struct mr_task_stats out = {0};
    struct sums u = {.account = account, .ret = &out};
    int rc = mr_db_read(t->c.db, stats_in, &u, e);
    if (rc)
        return rc;
    *ret = out;
    if (u.ended > ADVANCE_ROWS) {
        /* Only to be faster the next time: a failure changes no figure. */
        struct sums fresh = {.account = account};
        mr_db_write(t->c.db, advance_in, &fresh, NULL);
    }
    return 0;
}
