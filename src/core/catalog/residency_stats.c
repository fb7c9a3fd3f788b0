/* Counting uses, and what the counts say. */
#include "base/alloc.h"
#include "base/clock.h"
#include "core/catalog/residency_priv.h"

#include <string.h>

const double mr_service_bounds_s[MR_SERVICE_BUCKETS] = {0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5,
                                                        1,     2.5,  5,     10,   30,  60,   120};

static void turn_minutes(struct mr_slot *s, int64_t now) {
    if (now - s->minute_at >= MR_SLOT_MINUTES)
        memset(s->minute, 0, sizeof s->minute);
    else
        for (int64_t t = s->minute_at + 1; t <= now; t++)
            s->minute[t % MR_SLOT_MINUTES] = 0;
    if (now > s->minute_at)
        s->minute_at = now;
}

void mr_slot_count(struct mr_residency *r, struct mr_slot *s, double seconds, bool ok) {
    struct mr_service_state *v = &r->service[s->m->service];
    int64_t now = mr_now_us() / 60000000;
    size_t b = 0;
    s->requests++;
    s->failures += !ok;
    s->sum_seconds += seconds;
    if (!s->hist)
        s->hist = mr_calloc(1, sizeof *s->hist);
    if (s->hist) /* tenths of a millisecond */
        mr_hist_add(s->hist, seconds < 400000 ? (uint32_t)(seconds * 10000) : UINT32_MAX);
    turn_minutes(s, now);
    s->minute[s->minute_at % MR_SLOT_MINUTES]++;
    while (b < MR_SERVICE_BUCKETS && seconds > mr_service_bounds_s[b])
        b++;
    v->bucket[b]++;
    v->sum_seconds += seconds;
    v->ok += ok;
    v->failed += !ok;
    v->last[v->n_last++ % MR_SLOT_LAST] = seconds;
}

void mr_model_stats(struct mr_residency *r, const struct mr_catalog_model *m,
                    struct mr_model_stats *ret) {
    struct mr_slot *s = mr_slot_of(r, m);
    int64_t now_us = mr_now_us();
    bool installed = mr_catalog_installed(m);
    pthread_mutex_lock(&r->mu);
    *ret = (struct mr_model_stats){.state = s->state,
                                   .loaded_us = s->loaded_us,
                                   .load_seconds = s->load_seconds,
                                   .requests = s->requests,
                                   .failures = s->failures,
                                   .in_use = s->in_use};
    memcpy(ret->error, s->error, sizeof ret->error);
    if (!installed && !s->handle)
        ret->state = MR_MODEL_ABSENT;
    if (s->handle && s->driver->memory)
        ret->memory = s->driver->memory(s->handle);
    double alive = (double)(now_us - s->loaded_us) / 1e6;
    if (s->handle && s->driver->cpu_seconds && alive > 0)
        ret->cpu_percent = 100 * s->driver->cpu_seconds(s->handle) / alive;
    if (!ret->load_seconds) /* from a disk at 200 MB/s */
        ret->load_seconds = 0.1 + (double)m->size_bytes / 200e6;
    turn_minutes(s, now_us / 60000000);
    for (size_t i = 0; i < MR_SLOT_MINUTES; i++)
        ret->last_hour += s->minute[i];
    if (s->requests)
        ret->avg_seconds = s->sum_seconds / (double)s->requests;
    if (s->hist)
        ret->p95_seconds = mr_hist_quantile(s->hist, 0.95) / 10000;
    pthread_mutex_unlock(&r->mu);
}

void mr_service_stats(struct mr_residency *r, enum mr_service service,
                      struct mr_service_stats *ret) {
    pthread_mutex_lock(&r->mu);
    const struct mr_service_state *v = &r->service[service];
    *ret = (struct mr_service_stats){.running = v->running,
                                     .since_us = v->since_us,
                                     .queue = v->waiting,
                                     .ok = v->ok,
                                     .failed = v->failed,
                                     .sum_seconds = v->sum_seconds};
    memcpy(ret->bucket, v->bucket, sizeof ret->bucket);
    for (size_t i = 0; i < r->n_slot; i++) {
        struct mr_slot *s = &r->slot[i];
        if (s->m->service != service)
            continue;
        ret->in_use += s->in_use;
        if (!s->handle)
            continue;
        ret->models_loaded++;
        ret->memory += s->driver->memory ? s->driver->memory(s->handle) : 0;
        ret->queue += s->driver->queue ? s->driver->queue(s->handle) : 0;
    }
    size_t n = v->n_last < MR_SLOT_LAST ? v->n_last : MR_SLOT_LAST;
    for (size_t i = 0; i < n; i++)
        ret->avg_seconds += v->last[i] / (double)n;
    pthread_mutex_unlock(&r->mu);
}
