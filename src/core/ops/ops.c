#include "core/ops/ops.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "core/catalog/residency.h"
#include "io/pool.h"

#include <pthread.h>

#define EVERY_MS_DEFAULT 15000
#define FRESH_US         1000000
#define WINDOW           20 /* samples: five minutes at the default pace */

struct uses {
    uint64_t ok, failed;
};

struct mr_ops {
    char *data_dir;
    const struct mr_log *log;
    struct mr_residency *residency;
    struct mr_pool *pool, *ai_pool;
    int64_t every_ms;
    pthread_t thread;
    bool started;
    pthread_mutex_t mu;
    pthread_cond_t cond;
    bool stopping;
    struct mr_cpu_times cpu;
    struct mr_machine machine;
    struct uses uses[WINDOW]; /* totals, the newest at [newest] */
    unsigned newest, n_uses;
    bool raised[MR_RULE_N];
    struct mr_alert alert[MR_RULE_N];
};

static void count_uses(struct mr_ops *o, struct uses *now, uint64_t *queued) {
    *now = (struct uses){0};
    *queued =
        (o->pool ? mr_pool_queued(o->pool) : 0) + (o->ai_pool ? mr_pool_queued(o->ai_pool) : 0);
    for (int s = 0; o->residency && s < MR_SERVICE_N; s++) {
        struct mr_service_stats st;
        mr_service_stats(o->residency, (enum mr_service)s, &st);
        now->ok += st.ok;
        now->failed += st.failed;
        *queued += st.queue;
    }
}

/* With mu held. */
static void apply_rules(struct mr_ops *o, const struct mr_rule_figures *f) {
    for (int i = 0; i < MR_RULE_N; i++) {
        struct mr_alert a;
        bool holds = mr_rule_check((enum mr_rule)i, f, &a);
        a.since_us = holds && o->raised[i] ? o->alert[i].since_us : f->machine.at_us;
        if (holds && !o->raised[i])
            mr_log_msg(o->log, MR_LOG_WARN, "alert", "%s", a.message);
        if (!holds && o->raised[i])
            mr_log_msg(o->log, MR_LOG_INFO, "alert", "over: %s", mr_rule_name((enum mr_rule)i));
        o->raised[i] = holds;
        o->alert[i] = a;
    }
}

/* `step`: one of the thread's, which moves the window on. */
static void sample(struct mr_ops *o, bool step) {
    struct mr_rule_figures f = {0};
    struct uses now;
    count_uses(o, &now, &f.queued);
    pthread_mutex_lock(&o->mu);
    mr_machine_sample(o->data_dir, &o->cpu, &o->machine);
    f.machine = o->machine;
    unsigned oldest = o->n_uses < WINDOW ? 0 : (o->newest + 1) % WINDOW;
    if (o->n_uses) {
        f.ok = now.ok - o->uses[oldest].ok;
        f.failed = now.failed - o->uses[oldest].failed;
    }
    if (step) {
        o->newest = o->n_uses ? (o->newest + 1) % WINDOW : 0;
        o->uses[o->newest] = now;
        o->n_uses += o->n_uses < WINDOW;
    }
    apply_rules(o, &f);
    pthread_mutex_unlock(&o->mu);
}

/* False: it is time to end. */
static bool wait_for_next(struct mr_ops *o) {
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    at.tv_sec += o->every_ms / 1000;
    at.tv_nsec += o->every_ms % 1000 * 1000000;
    if (at.tv_nsec >= 1000000000) {
        at.tv_sec++;
        at.tv_nsec -= 1000000000;
    }
    pthread_mutex_lock(&o->mu);
    while (!o->stopping && !pthread_cond_timedwait(&o->cond, &o->mu, &at))
        ;
    bool go_on = !o->stopping;
    pthread_mutex_unlock(&o->mu);
    return go_on;
}

static void *watch(void *arg) {
    struct mr_ops *o = arg;
    (void)pthread_setname_np(pthread_self(), "ops");
    do
        sample(o, true);
    while (wait_for_next(o));
    return NULL;
}

int mr_ops_open(const struct mr_ops_config *c, struct mr_ops **ret, struct mr_err *e) {
    struct mr_ops *o = mr_calloc(1, sizeof *o);
    pthread_condattr_t a;
    if (!o)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    pthread_mutex_init(&o->mu, NULL);
    pthread_condattr_init(&a);
    pthread_condattr_setclock(&a, CLOCK_MONOTONIC);
    pthread_cond_init(&o->cond, &a);
    pthread_condattr_destroy(&a);
    o->data_dir = mr_strndup(c->data_dir, strlen(c->data_dir));
    o->log = c->log;
    o->residency = c->residency;
    o->pool = c->pool;
    o->ai_pool = c->ai_pool;
    o->every_ms = c->every_ms ? c->every_ms : EVERY_MS_DEFAULT;
    int rc = o->data_dir ? 0 : mr_fail(e, MR_ENOMEM, "out of memory");
    if (!rc && pthread_create(&o->thread, NULL, watch, o))
        rc = mr_fail(e, MR_EUNAVAIL, "cannot start a thread");
    o->started = !rc;
    if (rc) {
        mr_ops_free(o);
        return rc;
    }
    *ret = o;
    return 0;
}

void mr_ops_free(struct mr_ops *o) {
    if (!o)
        return;
    pthread_mutex_lock(&o->mu);
    o->stopping = true;
    pthread_cond_broadcast(&o->cond);
    pthread_mutex_unlock(&o->mu);
    if (o->started)
        pthread_join(o->thread, NULL);
    pthread_cond_destroy(&o->cond);
    pthread_mutex_destroy(&o->mu);
    mr_free(o->data_dir);
    mr_free(o);
}

static void refresh(struct mr_ops *o) {
    pthread_mutex_lock(&o->mu);
    int64_t age = mr_now_us() - o->machine.at_us;
    pthread_mutex_unlock(&o->mu);
    if (age > FRESH_US || age < 0)
        sample(o, false);
}

void mr_ops_machine(struct mr_ops *o, struct mr_machine *ret) {
    refresh(o);
    pthread_mutex_lock(&o->mu);
    *ret = o->machine;
    pthread_mutex_unlock(&o->mu);
}

bool mr_ops_alive(struct mr_ops *o) {
    pthread_mutex_lock(&o->mu);
    int64_t age = mr_now_us() - o->machine.at_us;
    bool ok = !o->stopping && o->machine.memory_total && age < 4 * o->every_ms * 1000;
    pthread_mutex_unlock(&o->mu);
    return ok;
}

size_t mr_ops_alerts(struct mr_ops *o, struct mr_alert out[MR_RULE_N]) {
    size_t n = 0;
    refresh(o);
    pthread_mutex_lock(&o->mu);
    for (int i = 0; i < MR_RULE_N; i++)
        if (o->raised[i])
            out[n++] = o->alert[i];
    pthread_mutex_unlock(&o->mu);
    return n;
}
