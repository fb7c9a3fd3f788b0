/* Admission: prices and budget are found, the task and its open charge committed, the request
 * handed to the gateway. */
#include "base/clock.h"
#include "base/crash_point.h"
#include "core/tasks/tasks_priv.h"

#include <math.h>
#include <stdio.h>

#define JOB_MAX      (64u << 20)
#define END_USER_MAX 256
#define MODEL_MAX    128
#define WRAP_TOKENS  64 /* what a provider's chat form may add to a prompt */

static int keep(struct mr_task_job *j, struct mr_str *s, struct mr_err *e) {
    if (!s->p)
        return 0;
    *s = mr_arena_keep(&j->arena, *s);
    return s->p ? 0 : mr_fail(e, MR_ETOOBIG, "the request does not fit into memory");
}

/* An empty arena, from a task that is over where there is one. */
static void take_arena(struct mr_tasks *t, struct mr_arena *ret) {
    pthread_mutex_lock(&t->mu);
    struct mr_task_job *spare = t->spare;
    if (spare) {
        t->spare = spare->next;
        t->n_spare--;
    }
    t->jobs++;
    pthread_mutex_unlock(&t->mu);
    if (spare) {
        *ret = spare->arena; /* the job lies in it */
        mr_arena_reset(ret);
    } else {
        mr_arena_init(ret, JOB_MAX);
    }
}

static int job_new(struct mr_tasks *t, const struct mr_task_request *q, struct mr_task_job **ret,
                   struct mr_err *e) {
    struct mr_arena arena;
    take_arena(t, &arena);
    struct mr_task_job *j = mr_arena_zalloc(&arena, sizeof *j);
    if (!j) {
        mr_arena_release(&arena);
        mr_task_job_gone(t);
        return mr_fail(e, MR_ENOMEM, "out of memory");
    }
    j->t = t;
    j->arena = arena;
    j->q = *q;
    j->who = q->who;
    int rc = keep(j, &j->q.prompt, e);
    if (!rc)
        rc = keep(j, &j->q.end_user, e);
    if (!rc)
        rc = keep(j, &j->q.idempotency_key, e);
    if (rc) {
        mr_task_job_free(j);
        return rc;
    }
    *ret = j;
    return 0;
}

/* --- what it may cost --------------------------------------------------------------------- */

static int add_option(struct mr_task_job *j, const struct mr_provider *p, struct mr_str model,
                      struct mr_err *e) {
    struct mr_task_option *o = &j->option[j->n_option];
    o->provider = p;
    o->model = model;
    int rc = keep(j, &o->model, e);
    if (!rc)
        rc = mr_price_find(j->t->c.prices, mr_str(p->name), model, j->task.created_us, &j->arena,
                           &o->price, e);
    if (!rc)
        j->n_option++;
    return rc;
}

static bool known(const struct mr_task_job *j, const char *provider) {
    for (size_t i = 0; i < j->n_option; i++)
        if (!strcmp(j->option[i].provider->name, provider))
            return true;
    return false;
}

/* The provider asked for, then its fallbacks as far as they have keys and prices. */
static int find_options(struct mr_task_job *j, struct mr_err *e) {
    struct mr_gateway *g = j->t->c.gateway;
    const struct mr_provider *p;
    int rc = mr_gateway_provider(g, j->q.provider.p ? j->q.provider : MR_LIT("openai"), &p, e);
    if (rc)
        return rc;
    struct mr_str model = j->q.model.p ? j->q.model : mr_str(p->model);
    if (!model.n || model.n > MODEL_MAX)
        return mr_fail_field(e, MR_EFIELD, "model",
                             model.n ? "model is longer than 128 bytes"
                                     : "model is required: this provider has no default model");
    rc = add_option(j, p, model, e);
    if (rc == MR_ENOTFOUND) {
        if (e) {
            e->code = MR_EFIELD;
            snprintf(e->field, sizeof e->field, "model");
        }
        return MR_EFIELD;
    }
    while (!rc && j->n_option < MR_TASK_OPTIONS && p->fallback && !known(j, p->fallback)) {
        const struct mr_provider *next;
        if (mr_gateway_provider(g, mr_str(p->fallback), &next, NULL) || !next->model ||
            add_option(j, next, mr_str(next->model), NULL))
            break;
        p = next;
    }
    return rc;
}

/* The most that an option can cost: a token has at least one byte. */
static int most(const struct mr_task_job *j, const struct mr_task_option *o, int64_t *ret,
                struct mr_err *e) {
    int64_t plain, written, out = j->max_tokens;
    struct mr_usage_tokens u = {.input = (int64_t)j->q.prompt.n + WRAP_TOKENS, .output = out};
    int rc = mr_price_cost(&o->price, MR_TIER_STANDARD, &u, &plain, e);
    u.cache_write = u.input;
    if (!rc)
        rc = mr_price_cost(&o->price, MR_TIER_STANDARD, &u, &written, e);
    if (!rc)
        *ret = plain > written ? plain : written;
    return rc;
}

static int reserve(struct mr_task_job *j, size_t n_option, struct mr_err *e) {
    int64_t need = 0;
    for (size_t i = 0; i < n_option; i++) {
        int64_t one;
        int rc = most(j, &j->option[i], &one, e);
        if (rc)
            return rc;
        if (one > need)
            need = one;
    }
    struct mr_reserve r = {.who = &j->who,
                           .family = "tasks",
                           .provider = mr_str(j->option[0].provider->name),
                           .model = j->option[0].model,
                           .reserved_nano = need,
                           .price_version = j->option[0].price.version};
    return mr_hold_take(j->t->c.ledger, &r, &j->hold, e);
}

static int admit(struct mr_task_job *j, struct mr_err *e) {
    struct mr_tasks *t = j->t;
    if (!j->q.prompt.n)
        return mr_fail_field(e, MR_EFIELD, "prompt", "prompt is required");
    if (j->q.end_user.n > END_USER_MAX)
        return mr_fail_field(e, MR_EFIELD, "user_id", "user_id is longer than 256 bytes");
    j->task.created_us = mr_now_us();
    mr_price_book_refresh(t->c.prices);
    int rc = find_options(j, e);
    if (rc)
        return rc;
    int64_t cap = t->c.max_output_tokens, known_max = j->option[0].price.max_output;
    if (known_max && known_max < cap)
        cap = known_max;
    j->max_tokens = j->q.max_tokens > 0 && j->q.max_tokens < cap ? j->q.max_tokens : cap;
    rc = reserve(j, j->n_option, e);
    if (rc == MR_ELIMIT && j->n_option > 1) {
        j->n_option = 1; /* the budget does not reach for the dearer fallback */
        rc = reserve(j, 1, e);
    }
    return rc;
}

/* --- first transaction -------------------------------------------------------------------- */

/* An idempotency key that was used: its task again. 1: yes, 0: it is new. */
static int replay(struct mr_task_job *j, struct mr_tx *tx, struct mr_err *e) {
    int64_t id;
    int code;
    int rc = mr_task_key_find_in(tx, j->who.account, j->q.idempotency_key, j->q.body_hash, &id, e);
    if (rc || !id)
        return rc;
    rc = mr_task_read_in(tx, j->who.account, id, &j->arena, &j->task, &code, e);
    if (rc)
        return rc;
    if (j->task.status == MR_TASK_PENDING || j->task.status == MR_TASK_PROCESSING)
        return mr_fail(e, MR_ECONFLICT,
                       "the first request with this Idempotency-Key is still being processed");
    if (code)
        j->rc = mr_fail(&j->err, code, "%.*s", (int)(j->task.error.n > 400 ? 400 : j->task.error.n),
                        j->task.error.p ? j->task.error.p : "");
    j->replay = true;
    return 1;
}

static int begin_in(struct mr_tx *tx, void *arg, struct mr_err *e) {
    struct mr_task_job *j = arg;
    struct mr_tasks *t = j->t;
    int rc = j->q.idempotency_key.p ? replay(j, tx, e) : 0;
    if (rc)
        return rc < 0 ? rc : 0;
    if (j->refused.code) {
        if (e)
            *e = j->refused;
        return j->refused.code;
    }
    if (j->q.end_user.n)
        rc = mr_end_user_in(t->c.ledger, tx, j->who.account, j->q.end_user, &j->end_user, e);
    const struct mr_task_option *o = &j->option[0];
    struct mr_reserve r = {.who = &j->who,
                           .family = "tasks",
                           .provider = mr_str(o->provider->name),
                           .model = o->model,
                           .end_user = j->end_user,
                           .reserved_nano = j->hold.reserved_nano,
                           .price_version = o->price.version};
    if (!rc)
        rc = mr_charge_open_in(t->c.ledger, tx, &j->hold, &r, e);
    if (!rc)
        rc = mr_task_next_id(t, tx, j->who.account, &j->task.id, e);
    j->task.status = MR_TASK_PROCESSING;
    j->task.provider = r.provider;
    j->task.model = r.model;
    j->task.input = j->q.prompt;
    j->task.end_user = j->q.end_user.n ? j->q.end_user : mr_strn(NULL, 0);
    j->task.charge = j->hold.charge;
    if (!rc)
        rc = mr_task_insert_in(tx, j, e);
    if (!rc && j->q.idempotency_key.p)
        rc = mr_task_key_add_in(t, tx, j->who.account, j->q.idempotency_key, j->q.body_hash,
                                j->task.id, j->task.created_us, e);
    mr_crash_point("open-written");
    return rc;
}

/* --- the provider ------------------------------------------------------------------------- */

static bool may_fall_back(void *arg, const struct mr_provider *p) {
    struct mr_task_job *j = arg;
    return known(j, p->name);
}

static int on_delta(void *arg, struct mr_str text) {
    struct mr_task_job *j = arg;
    return j->q.on_delta(j->q.arg, j->task.id, text);
}

static void begun(void *arg, int rc, const struct mr_err *err) {
    struct mr_task_job *j = arg;
    struct mr_tasks *t = j->t;
    struct mr_err e;
    if (rc || j->replay) {
        mr_hold_end(t->c.ledger, &j->hold, 0);
        if (rc)
            j->task.id = 0; /* what was not committed is not there */
        if (j->replay)
            atomic_fetch_add_explicit(&t->replayed, 1, memory_order_relaxed);
        mr_task_answer(j, rc ? err : j->rc ? &j->err : NULL);
        mr_task_job_free(j);
        return;
    }
    mr_crash_point("open-committed");
    atomic_fetch_add_explicit(&t->created, 1, memory_order_relaxed);
    struct mr_chat_request q = {.provider = j->option[0].provider,
                                .body = {.model = j->option[0].model,
                                         .prompt = j->q.prompt,
                                         .max_tokens = j->max_tokens,
                                         .temperature = (double)NAN,
                                         .stream = j->q.on_delta != NULL},
                                .may_fall_back = j->n_option > 1 ? may_fall_back : NULL,
                                .on_delta = j->q.on_delta ? on_delta : NULL,
                                .done = mr_task_chat_done,
                                .arg = j};
    rc = mr_gateway_chat(t->c.gateway, &q, &e);
    if (rc) {
        mr_task_fail(j, rc, &e);
        mr_task_commit(j);
    }
}

int mr_task_create(struct mr_tasks *t, const struct mr_task_request *q, struct mr_err *e) {
    struct mr_task_job *j;
    struct mr_err why;
    int rc = job_new(t, q, &j, e);
    if (rc)
        return rc;
    rc = admit(j, &why);
    /* A repeated request gets its answer also when the budget is used up meanwhile. */
    if (rc == MR_ELIMIT && j->q.idempotency_key.p) {
        j->refused = why;
        rc = 0;
    } else if (rc && e)
        *e = why;
    mr_crash_point("hold-taken");
    if (!rc && (rc = mr_db_write_bare(t->c.db, begin_in, j, begun))) {
        mr_hold_end(t->c.ledger, &j->hold, 0);
        mr_fail(e, rc, "the database's write queue is full: try again");
    }
    if (rc)
        mr_task_job_free(j);
    return rc;
}
