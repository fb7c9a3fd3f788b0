/* The end of a generation: its outcome, its cost, one transaction, the answer. */
#include "base/clock.h"
#include "core/text/text_priv.h"

static void keep(struct mr_text_run *u, struct mr_str from, struct mr_str *to) {
    *to = MR_LIT("");
    if (!from.n)
        return;
    *to = mr_arena_keep(&u->arena, from);
    if (!to->p) {
        *to = MR_LIT("");
        if (!u->result.rc)
            u->result.rc =
                mr_fail(&u->result.err, MR_ENOMEM, "the answer does not fit into memory");
    }
}

void mr_text_refuse(struct mr_text_run *u, int rc, const struct mr_err *e) {
    mr_hold_end(u->t->c.ledger, &u->hold, 0);
    u->result.rc = rc;
    u->result.err = e ? *e : (struct mr_err){.code = rc};
    u->result.retry_after_ms = -1;
    u->q.done(u->q.arg, &u->result);
    mr_text_run_free(u);
}

int mr_text_commit_in(struct mr_tx *tx, void *arg, struct mr_err *e) {
    struct mr_text_run *u = arg;
    struct mr_ledger *l = u->t->c.ledger;
    return u->billed ? mr_charge_settle_in(l, tx, u->hold.charge, &u->settle, e)
                     : mr_charge_release_in(l, tx, u->hold.charge, e);
}

static void answer(struct mr_text_run *u) {
    if (u->answered)
        return;
    u->answered = true;
    u->result.total_ns = mr_mono_ns() - u->began_ns;
    u->result.first_ns = u->first_ns ? u->first_ns : u->result.total_ns;
    u->q.done(u->q.arg, &u->result);
}

/* The charge stays open and its budget held until a commit succeeds. */
static void stick(struct mr_text_run *u) {
    struct mr_text *t = u->t;
    pthread_mutex_lock(&t->mu);
    if (u->prev)
        u->prev->next = u->next;
    else
        t->live = u->next;
    if (u->next)
        u->next->prev = u->prev;
    u->next = u->prev = NULL;
    u->next_stuck = t->stuck;
    t->stuck = u;
    if (!t->live)
        pthread_cond_broadcast(&t->idle);
    pthread_mutex_unlock(&t->mu);
}

static void commit(struct mr_text_run *u);

void mr_text_retry_stuck(struct mr_text *t) {
    pthread_mutex_lock(&t->mu);
    struct mr_text_run *u = t->stuck;
    if (u) {
        t->stuck = u->next_stuck;
        u->next = t->live;
        if (t->live)
            t->live->prev = u;
        t->live = u;
    }
    pthread_mutex_unlock(&t->mu);
    if (u)
        commit(u);
}

static void committed(void *arg, int rc, const struct mr_err *err) {
    struct mr_text_run *u = arg;
    struct mr_text *t = u->t;
    if (rc) {
        mr_log_msg(t->c.log, MR_LOG_ERROR, "text", "charge %lld cannot be recorded yet: %s",
                   (long long)u->hold.charge, err ? err->msg : "");
        if (!u->result.rc)
            u->result.rc = mr_fail(&u->result.err, rc,
                                   "the end of charge %lld cannot be recorded now: look later",
                                   (long long)u->hold.charge);
        answer(u);
        stick(u);
        return;
    }
    mr_hold_end(t->c.ledger, &u->hold, u->billed ? u->settle.cost_nano : 0);
    answer(u);
    mr_text_run_free(u);
    mr_text_retry_stuck(t);
}

static void commit(struct mr_text_run *u) {
    int rc = mr_db_write_bare(u->t->c.db, mr_text_commit_in, u, committed);
    if (rc) {
        struct mr_err e;
        mr_fail(&e, rc, "the database takes no more writes");
        committed(u, rc, &e);
    }
}

static void price_it(struct mr_text_run *u, bool estimated) {
    struct mr_settle *s = &u->settle;
    s->provider = mr_str(u->local ? "local" : u->provider->name);
    s->model = u->model;
    s->price_version = u->price.version;
    s->tokens = u->result.tokens;
    s->estimated = estimated;
    if (mr_price_cost(&u->price, MR_TIER_STANDARD, &s->tokens, &s->cost_nano, NULL))
        s->cost_nano = u->hold.reserved_nano;
    u->result.cost_nano = s->cost_nano;
}

static void name_it(struct mr_text_run *u) {
    u->result.provider = mr_str(u->local ? "local" : u->provider->name);
    u->result.model = u->model;
    u->result.charge = u->hold.charge;
}

/* What is wrong with an adapter's file is not the request's fault. */
static int adapter_error(const struct mr_text_run *u, int rc, struct mr_err *e) {
    char why[sizeof e->msg];
    if (!u->adapter || rc != MR_EFIELD || strcmp(e->field, "lora") != 0)
        return rc;
    memcpy(why, e->msg, sizeof why);
    return mr_fail_field(e, MR_ENOTLOADED, "adapter", "the adapter %s cannot be used on %s: %.300s",
                         u->adapter->id, u->local->id, why);
}

void mr_text_fail(struct mr_text_run *u, int rc, const struct mr_err *e) {
    mr_use_end(&u->use, rc != MR_EPREDICT && rc != MR_EINTERNAL);
    name_it(u);
    u->result.err = *e;
    u->result.rc = rc = adapter_error(u, rc, &u->result.err);
    u->result.retry_after_ms = rc == MR_EUNAVAIL ? 1000 : -1;
    commit(u);
}

void mr_text_llm_done(void *arg, const struct mr_llm_result *r) {
    struct mr_text_run *u = arg;
    struct mr_text_result *o = &u->result;
    pthread_mutex_lock(&u->t->mu);
    u->running = false;
    bool stopped = u->stopped;
    pthread_mutex_unlock(&u->t->mu);
    mr_use_end(&u->use, r->rc != MR_EPREDICT && r->rc != MR_EINTERNAL);
    name_it(u);
    o->err = r->err;
    o->rc = adapter_error(u, r->rc, &o->err);
    if (stopped && r->rc == MR_ECANCELLED)
        o->rc = mr_fail(&o->err, MR_EUNAVAIL, "the llm service was stopped");
    keep(u, r->text, &o->text);
    keep(u, r->logprobs_json, &o->logprobs_json);
    o->finish_reason = mr_str(r->finish_reason ? r->finish_reason : "stop"); /* static texts */
    o->tokens = (struct mr_usage_tokens){
        .input = r->prompt_tokens, .cached = r->cached_tokens, .output = r->output_tokens};
    o->queue_ns = r->queue_ns;
    o->retry_after_ms = r->retry_after_ms;
    u->billed = !r->rc || r->output_tokens;
    if (u->billed)
        price_it(u, false);
    commit(u);
}

/* What is charged is what answered. */
static void take_option(struct mr_text_run *u, const struct mr_provider *p) {
    for (size_t i = 0; i < u->n_option; i++)
        if (p == u->option[i].provider) {
            u->provider = p;
            u->model = u->option[i].model;
            u->price = u->option[i].price;
        }
}

void mr_text_chat_done(void *arg, const struct mr_chat_result *r) {
    struct mr_text_run *u = arg;
    struct mr_text_result *o = &u->result;
    take_option(u, r->provider);
    o->rc = r->rc == MR_ELIMIT ? MR_EPREDICT : r->rc; /* its limits are not the caller's budget */
    o->err = r->err;
    o->err.code = o->rc;
    name_it(u);
    keep(u, r->text, &o->text);
    keep(u, r->finish_reason, &o->finish_reason);
    keep(u, r->tool_calls_json, &o->tool_calls_json);
    keep(u, r->logprobs_json, &o->logprobs_json);
    if (r->model.n)
        keep(u, r->model, &o->model);
    o->retry_after_ms = r->retry_after_ms;
    u->billed = !r->rc || r->billed;
    if (u->billed && r->usage.present)
        o->tokens = (struct mr_usage_tokens){.input = r->usage.input,
                                             .cached = r->usage.cached,
                                             .cache_write = r->usage.cache_write,
                                             .output = r->usage.output};
    else if (u->billed)
        o->tokens =
            (struct mr_usage_tokens){.input = mr_provider_estimate_tokens(
                                         u->q.messages_json.n ? u->q.messages_json : u->q.prompt),
                                     .output = mr_provider_estimate_tokens(r->text)};
    if (u->billed)
        price_it(u, !r->usage.present);
    commit(u);
}
