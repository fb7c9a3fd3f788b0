/* Transactions that failed (a full disk) and must be written all the same. The janitor's thread
 * (registry.c) calls mr_dep_retry_due between its sweeps. */
#include "base/clock.h"
#include "core/deployments_priv.h"

#define FIRST_NS 100000000ll   /* 0.1 s, doubled after each failure up to … */
#define LAST_NS  10000000000ll /* … 10 s */

/* Under stop_lock. */
static void push(struct mr_deployments *d, struct mr_dep_retry *r) {
    r->at_ns = mr_mono_ns() + r->delay_ns;
    r->next = d->retries;
    d->retries = r;
}

void mr_dep_retry(struct mr_deployments *d, struct mr_dep_retry *r) {
    r->delay_ns = FIRST_NS;
    pthread_mutex_lock(&d->stop_lock);
    push(d, r);
    pthread_cond_signal(&d->stop_cond);
    pthread_mutex_unlock(&d->stop_lock);
}

int64_t mr_dep_retry_wait(const struct mr_deployments *d, int64_t longest_ns) {
    int64_t now = mr_mono_ns();
    for (const struct mr_dep_retry *r = d->retries; r; r = r->next)
        if (r->at_ns - now < longest_ns)
            longest_ns = r->at_ns - now;
    return longest_ns > 0 ? longest_ns : 0;
}

/* The first that is due, taken out of the list. */
static struct mr_dep_retry *take_due(struct mr_deployments *d, int64_t now) {
    struct mr_dep_retry **at = &d->retries;
    while (*at && (*at)->at_ns > now)
        at = &(*at)->next;
    struct mr_dep_retry *r = *at;
    if (r)
        *at = r->next;
    return r;
}

void mr_dep_retry_due(struct mr_deployments *d) {
    int64_t now = mr_mono_ns();
    for (struct mr_dep_retry *r; !d->stopping && (r = take_due(d, now));) {
        struct mr_err err;
        pthread_mutex_unlock(&d->stop_lock);
        int rc = mr_db_write(d->c.db, r->fn, r->arg, &err);
        if (!rc)
            r->done(r->arg, true); /* r is gone */
        else
            mr_log_msg(d->c.log, MR_LOG_ERROR, "deploy", "still not written: %s", err.msg);
        pthread_mutex_lock(&d->stop_lock);
        if (rc) {
            r->delay_ns = r->delay_ns * 2 < LAST_NS ? r->delay_ns * 2 : LAST_NS;
            push(d, r);
        }
    }
}

void mr_dep_retry_drop(struct mr_deployments *d) {
    for (struct mr_dep_retry *r = d->retries, *next; r; r = next) {
        next = r->next;
        r->done(r->arg, false);
    }
    d->retries = NULL;
}
