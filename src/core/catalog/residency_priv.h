/* Inside residency: a slot a model, a state a service. Everything is under `mu`. */
#ifndef MR_CORE_CATALOG_RESIDENCY_PRIV_H
#define MR_CORE_CATALOG_RESIDENCY_PRIV_H

#include "core/catalog/drivers.h"
#include "core/usage/hist.h"

#include <pthread.h>

enum { MR_SLOT_LAST = 100, MR_SLOT_MINUTES = 60 };

struct mr_slot {
    const struct mr_catalog_model *m;
    const struct mr_model_driver *driver;
    enum mr_model_state state;
    void *handle;
    unsigned in_use;
    unsigned attempt; /* loads so far */
    int error_code;
    char error[200];
    int64_t loaded_us, last_use_ns;
    double load_seconds;
    uint64_t last_memory; /* when it was last in memory */
    uint64_t requests, failures;
    double sum_seconds;
    struct mr_hist *hist;             /* of milliseconds * 10; NULL until its first use */
    uint32_t minute[MR_SLOT_MINUTES]; /* uses a minute, a ring */
    int64_t minute_at;                /* minutes since the epoch of the newest */
};
struct mr_service_state {
    bool running;
    int64_t since_us;
    uint64_t waiting, ok, failed;
    uint64_t bucket[MR_SERVICE_BUCKETS + 1];
    double sum_seconds;
    double last[MR_SLOT_LAST]; /* a ring */
    uint64_t n_last;
};
struct mr_residency {
    struct mr_residency_config c;
    pthread_mutex_t mu;
    pthread_cond_t changed;
    struct mr_slot *slot; /* in the catalogue's order */
    size_t n_slot;
    struct mr_service_state service[MR_SERVICE_N];
    struct mr_residency_hooks hook[4];
    size_t n_hook;
    unsigned background; /* threads */
    bool closing;
};

struct mr_slot *mr_slot_of(struct mr_residency *r, const struct mr_catalog_model *m);
/* Closes its handle, letting go of the lock meanwhile. */
void mr_slot_close(struct mr_residency *r, struct mr_slot *s, enum mr_model_state next);
/* One use more. */
void mr_slot_count(struct mr_residency *r, struct mr_slot *s, double seconds, bool ok);

#endif
