/* What an earlier process left behind. Its charge was open, so the request was on its way to the
 * provider or about to be, and nobody knows whether it was billed: the prompt's input is settled as
 * estimated, so that the books never show less than what is certain to be asked for, and the task
 * fails with a reason that says so. */
#include "base/clock.h"
#include "core/tasks/tasks_priv.h"

static const char why[] = "the server stopped before the provider's answer was recorded";

enum { NEAR = 256 };

struct recovery {
    struct mr_tasks *t;
    struct mr_arena arena;
    int64_t tasks, nano;
    struct mr_id account; /* of the task found last */
    int64_t id;
};

static int find_by(struct mr_tx *tx, const char *sql, const struct mr_open_charge *c, int64_t after,
                   int64_t *ret, struct mr_err *e) {
    struct mr_stmt *s;
    int rc = mr_db_prepare(tx, sql, &s, e);
    if (rc)
        return rc;
    mr_db_bind_id(s, 1, c->account);
    mr_db_bind_i64(s, 2, c->charge);
    mr_db_bind_i64(s, 3, after);
    rc = mr_db_step(s, e);
    if (rc > 0)
        *ret = mr_db_i64(s, 0);
    if (rc > 0)
        mr_db_done(s);
    return rc < 0 ? rc : 0;
}

/* The unfinished task of that charge; MR_ENOTFOUND. There is no index for it, which each task would
 * have to pay for: charges come in the order of their tasks, or nearly, so it lies close behind the
 * one found before, and else among the account's latest. */
static int find(struct mr_tx *tx, struct recovery *r, const struct mr_open_charge *c, int64_t *ret,
                struct mr_err *e) {
    bool same = r->id && mr_id_eq(r->account, c->account);
    int64_t id = 0;
    int rc = 0;
    if (same)
        rc = find_by(tx,
                     "SELECT id FROM tasks WHERE account_id = ?1 AND charge_id = ?2 AND "
                     "status IN (0, 1) AND id > ?3 ORDER BY id LIMIT 1",
                     c, r->id - NEAR, &id, e);
    if (!rc && !id)
        rc = find_by(tx,
                     "SELECT id FROM tasks WHERE account_id = ?1 AND charge_id = ?2 AND "
                     "status IN (0, 1) AND id > ?3 ORDER BY id DESC LIMIT 1",
                     c, 0, &id, e);
    if (rc)
        return rc;
    if (!id)
        return mr_fail(e, MR_ENOTFOUND, "no task has this charge");
    r->account = c->account;
    *ret = r->id = id;
    return 0;
}

static int recover(struct mr_tx *tx, const struct mr_open_charge *c, void *arg, struct mr_err *e) {
    struct recovery *r = arg;
    struct mr_task_info k = {0};
    struct mr_price price;
    int64_t id;
    int code;
    int rc = find(tx, r, c, &id, e);
    if (rc == MR_ENOTFOUND)
        return mr_charge_release_in(r->t->c.ledger, tx, c->charge, e);
    if (!rc)
        rc = mr_task_read_in(tx, c->account, id, &r->arena, &k, &code, e);
    if (rc)
        return rc;
    struct mr_settle s = {.provider = c->provider,
                          .model = c->model,
                          .price_version = c->price_version,
                          .tokens = {.input = mr_provider_estimate_tokens(k.input)},
                          .estimated = true};
    if (mr_price_version(r->t->c.prices, c->price_version, &r->arena, &price, NULL) ||
        mr_price_cost(&price, MR_TIER_STANDARD, &s.tokens, &s.cost_nano, NULL))
        s.cost_nano = c->reserved_nano; /* its price is gone: the most it may have cost */
    k.status = MR_TASK_FAILED;
    k.error = mr_str(why);
    k.tokens = s.tokens.input;
    k.cost_nano = s.cost_nano;
    k.completed_us = mr_now_us();
    rc = mr_charge_settle_in(r->t->c.ledger, tx, c->charge, &s, e);
    if (!rc)
        rc = mr_task_end_in(tx, c->account, &k, MR_EUNAVAIL, e);
    r->tasks++;
    r->nano += s.cost_nano;
    mr_arena_reset(&r->arena);
    return rc;
}

int mr_tasks_recover(struct mr_tasks *t, struct mr_err *e) {
    struct recovery r = {.t = t};
    mr_arena_init(&r.arena, 64u << 20);
    int rc = mr_ledger_recover(t->c.ledger, "tasks", recover, &r, e);
    mr_arena_release(&r.arena);
    if (!rc && r.tasks)
        mr_log_msg(t->c.log, MR_LOG_WARN, "tasks",
                   "%lld tasks of an earlier process ended: settled with %lld nano-dollars, as "
                   "estimated",
                   (long long)r.tasks, (long long)r.nano);
    return rc;
}
