/* Tasks: a prompt of an account's end user, run by a provider, paid from the ledger. Ids are
 * integers counted up an account from 1.
 *
 * A task's way: hold the budget -> one transaction (task row, open charge) -> gateway -> one
 * transaction (task row, settled or released charge, entry) -> answer. Nothing is answered before
 * its commit; a task that an earlier process left behind fails at start with a reason that says so,
 * and what its prompt costs is settled as estimated, because its request may have been sent. */
#ifndef MR_CORE_TASKS_TASKS_H
#define MR_CORE_TASKS_TASKS_H

#include "core/gateway/gateway.h"
#include "core/money/ledger.h"

struct mr_tasks;
struct mr_tasks_config {
    struct mr_db *db;
    struct mr_ledger *ledger;
    struct mr_price_book *prices;
    struct mr_gateway *gateway;
    const struct mr_log *log;
    int64_t max_output_tokens; /* sent to the provider and reserved for; 0 = 4096 */
};
/* Recovers what an earlier process left open. */
int mr_tasks_open(const struct mr_tasks_config *c, struct mr_tasks **ret, struct mr_err *e);
/* Waits for the tasks under way (the gateway's deadline bounds them). */
void mr_tasks_free(struct mr_tasks *t);

enum mr_task_status { MR_TASK_PENDING, MR_TASK_PROCESSING, MR_TASK_COMPLETED, MR_TASK_FAILED };
const char *mr_task_status_name(enum mr_task_status s);
bool mr_task_status_parse(struct mr_str s, enum mr_task_status *ret);

struct mr_task_info {
    int64_t id;
    enum mr_task_status status;
    struct mr_str provider, model, input, output, error, end_user; /* end_user.p NULL: none */
    int64_t tokens, cost_nano;
    int64_t charge;                   /* for explain; 0 = none */
    int64_t created_us, completed_us; /* 0 = not yet */
    int64_t retry_after_ms;           /* of a failure just now: when to try again; 0 = not said */
};

struct mr_task_request {
    struct mr_principal who;
    struct mr_str provider; /* p NULL: "openai" */
    struct mr_str model;    /* p NULL: the provider's default */
    struct mr_str prompt;
    struct mr_str end_user;        /* p NULL: none */
    struct mr_str idempotency_key; /* p NULL: none */
    uint8_t body_hash[32];         /* SHA-256 of the request body, with an idempotency key */
    int64_t max_tokens;            /* 0 = the server's */
    /* Streaming, on the upstream's thread; non-zero: the client is gone (the task goes on). */
    int (*on_delta)(void *arg, int64_t task, struct mr_str text);
    /* Exactly once after mr_task_create returned 0, on any thread, after the commit. `task` is
     * valid during the call. With e != NULL the task (when there is one) failed. */
    void (*done)(void *arg, const struct mr_task_info *task, const struct mr_err *e);
    void *arg;
};
/* Copies what it needs and does not block when mr_ledger_warm(). Errors before anything was
 * written: MR_EFIELD (provider, model, prompt), MR_EUNAVAIL (no key: names the variable), MR_ELIMIT
 * (budget). A repeated idempotency key gets the first one's task, kept for 24 hours and more unless
 * that one failed and cost nothing (then it runs again); MR_ECONFLICT while it runs,
 * MR_EFIELD naming "Idempotency-Key" for another body: both through done. */
int mr_task_create(struct mr_tasks *t, const struct mr_task_request *q, struct mr_err *e);
int mr_task_get(struct mr_tasks *t, struct mr_id account, int64_t id, struct mr_arena *arena,
                struct mr_task_info *ret, struct mr_err *e);
/* Newest first, without input and output. status -1 = all. */
int mr_task_list(struct mr_tasks *t, struct mr_id account, int status, int64_t limit,
                 int64_t offset, struct mr_arena *arena, struct mr_task_info **ret, size_t *ret_n,
                 struct mr_err *e);
struct mr_task_stats {
    int64_t total, completed, tokens, cost_nano; /* tokens and cost of all tasks */
    int64_t end_users;                           /* seen so far */
};
int mr_task_stats(struct mr_tasks *t, struct mr_id account, struct mr_task_stats *ret,
                  struct mr_err *e);

struct mr_tasks_metrics {
    uint64_t created, completed, failed; /* by this process; replays not counted */
    uint64_t replayed;                   /* answered from an idempotency key */
    uint64_t running, stuck;             /* stuck: ended, but not yet committed */
};
void mr_tasks_metrics(struct mr_tasks *t, struct mr_tasks_metrics *ret);

#endif
