/* The end of a task: the provider's outcome, its cost, one transaction, the answer. */
#include "base/clock.h"
#include "base/crash_point.h"
#include "core/tasks/tasks_priv.h"

static const struct mr_task_option *option_of(const struct mr_task_job *j,
                                              const struct mr_provider *p) {
    for (size_t i = 0; i < j->n_option; i++)
        if (p && j->option[i].provider == p)
            return &j->option[i];
    return &j->option[0];
}

/* Tokens as the provider counted them; where it did not, as estimated from the texts. */
static void count(struct mr_task_job *j, const struct mr_task_option *o,
                  const struct mr_chat_result *r) {
    struct mr_settle *s = &j->settle;
    s->provider = mr_str(o->provider->name);
    s->model = o->model;
    s->price_version = o->price.version;
    if (r->usage.present) {
        s->tokens = (struct mr_usage_tokens){.input = r->usage.input,
                                             .cached = r->usage.cached,
                                             .cache_write = r->usage.cache_write,
                                             .output = r->usage.output};
        if (!mr_price_cost(&o->price, MR_TIER_STANDARD, &s->tokens, &s->cost_nano, NULL))
            return;
    }
    s->estimated = true;
    s->tokens = (struct mr_usage_tokens){.input = mr_provider_estimate_tokens(j->q.prompt),
                                         .output = mr_provider_estimate_tokens(r->text)};
    if (mr_price_cost(&o->price, MR_TIER_STANDARD, &s->tokens, &s->cost_nano, NULL))
        s->cost_nano = j->hold.reserved_nano;
}

/* The provider's limits are not the caller's budget. */
static int own_code(int rc) {
    return rc == MR_ELIMIT ? MR_EPREDICT : rc;
}

void mr_task_fail(struct mr_task_job *j, int rc, const struct mr_err *e) {
    j->rc =
        mr_fail(&j->err, own_code(rc), "%s", e->msg[0] ? e->msg : "the provider did not answer");
    j->task.status = MR_TASK_FAILED;
    struct mr_str why = mr_arena_keep(&j->arena, mr_str(j->err.msg));
    j->task.error = why.p ? why : MR_LIT("the task failed");
}

void mr_task_chat_done(void *arg, const struct mr_chat_result *r) {
    struct mr_task_job *j = arg;
    const struct mr_task_option *o = option_of(j, r->provider);
    mr_crash_point("reply-received");
    j->task.provider = mr_str(o->provider->name);
    j->task.model = o->model;
    j->billed = !r->rc || r->billed;
    if (j->billed) {
        count(j, o, r);
        j->task.tokens = j->settle.tokens.input + j->settle.tokens.output;
        j->task.cost_nano = j->settle.cost_nano;
    }
    j->task.status = MR_TASK_COMPLETED;
    /* What came is kept, also of an answer that broke off. */
    if (!r->rc || r->text.n)
        j->task.output = mr_arena_keep(&j->arena, r->text.p ? r->text : MR_LIT(""));
    struct mr_str model = r->model.n ? mr_arena_keep(&j->arena, r->model) : r->model;
    if (model.n && model.p)
        j->task.model = model;
    if (r->rc) {
        mr_task_fail(j, r->rc, &r->err);
        j->task.retry_after_ms = r->retry_after_ms > 0 ? r->retry_after_ms : 0;
    }
    if (!r->rc && !j->task.output.p) {
        struct mr_err e;
        mr_fail(&e, MR_ENOMEM, "the provider's answer does not fit into memory");
        mr_task_fail(j, MR_ENOMEM, &e);
    }
    mr_task_commit(j);
}

int mr_task_commit_in(struct mr_tx *tx, void *arg, struct mr_err *e) {
    struct mr_task_job *j = arg;
    struct mr_tasks *t = j->t;
    struct mr_ledger *l = t->c.ledger;
    int rc = j->billed ? mr_charge_settle_in(l, tx, j->hold.charge, &j->settle, e)
                       : mr_charge_release_in(l, tx, j->hold.charge, e);
    if (!rc)
        rc = mr_task_end_in(tx, j->who.account, &j->task, j->rc, e);
    mr_task_learn_room(t, &j->task);
    /* What failed and cost nothing may be tried again under its key. */
    if (!rc && j->rc && !j->billed && j->q.idempotency_key.p)
        rc = mr_task_key_drop_in(tx, j->who.account, j->q.idempotency_key, e);
    mr_crash_point("settle-written");
    return rc;
}

static void committed(void *arg, int rc, const struct mr_err *err) {
    struct mr_task_job *j = arg;
    struct mr_tasks *t = j->t;
    if (rc) {
        /* The charge stays open, its budget held, and the job waits for a commit that succeeds;
         * what never does is recovered at the next start. */
        struct mr_err e;
        mr_log_msg(t->c.log, MR_LOG_ERROR, "tasks", "task %lld cannot be recorded yet: %s",
                   (long long)j->task.id, err ? err->msg : "");
        mr_fail(&e, rc, "the task's end cannot be recorded now: look at task %lld later",
                (long long)j->task.id);
        mr_task_answer(j, &e);
        mr_task_stick(j);
        return;
    }
    mr_crash_point("settle-committed");
    mr_hold_end(t->c.ledger, &j->hold, j->task.cost_nano);
    atomic_fetch_add_explicit(j->rc ? &t->failed : &t->completed, 1, memory_order_relaxed);
    mr_task_answer(j, j->rc ? &j->err : NULL);
    mr_crash_point("answered");
    mr_task_retry_stuck(t);
    mr_task_job_free(j); /* the last one's end may end t */
}

void mr_task_commit(struct mr_task_job *j) {
    j->task.completed_us = mr_now_us();
    if (j->task.completed_us < j->task.created_us)
        j->task.completed_us = j->task.created_us; /* the clock was set back */
    int rc = mr_db_write_bare(j->t->c.db, mr_task_commit_in, j, committed);
    if (rc) {
        struct mr_err e;
        mr_fail(&e, rc, "the database takes no more writes");
        committed(j, rc, &e);
    }
}
