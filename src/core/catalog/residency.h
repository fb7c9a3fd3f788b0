/* Which catalogue models are in memory, and what they were used for. A model is loaded by its first
 * use, which waits for it (as do the others that want it), or by mr_model_load; it stays until the
 * owner unloads it, its service is stopped, or it was idle while memory is short. Thread-safe; what
 * loads or waits is not for loop threads. */
#ifndef MR_CORE_CATALOG_RESIDENCY_H
#define MR_CORE_CATALOG_RESIDENCY_H

#include "core/catalog/catalog.h"

struct mr_model_driver;
struct mr_residency;
struct mr_residency_config {
    const struct mr_catalog *catalog; /* borrowed */
    const struct mr_log *log;
    uint64_t memory_max; /* bytes of all loaded models; 0 = half of the machine's */
    unsigned llm_parallel, llm_threads, llm_queue; /* see engine/llm/llm.h; 0 = its defaults */
    const struct mr_model_driver *drivers;         /* MR_KIND_N of them; NULL = drivers.c's */
};
int mr_residency_new(const struct mr_residency_config *c, struct mr_residency **ret,
                     struct mr_err *e);
/* Waits for loads and uses under way. */
void mr_residency_free(struct mr_residency *r);
/* Who wants to know; set before the first use, any thread calls. on_loaded: after a load that
 * somebody asked for or needed. on_stop: a service was stopped or a model is unloaded: end what
 * runs on it (m NULL: all of the service). */
struct mr_residency_hooks {
    void (*on_loaded)(void *arg, const struct mr_catalog_model *m);
    void (*on_stop)(void *arg, enum mr_service s, const struct mr_catalog_model *m);
    void *arg;
};
int mr_residency_hook(struct mr_residency *r, const struct mr_residency_hooks *h); /* at most 4 */

/* One use of a model: begin, work with the handle, end. The handle is valid in between. */
struct mr_use {
    struct mr_residency *residency;
    const struct mr_catalog_model *model;
    void *handle; /* by model->kind; NULL for algorithms */
    int64_t began_ns;
};
/* MR_ENOTFOUND: unknown name. MR_ENOTLOADED: not installed, cannot be loaded (why), or unloaded by
 * the owner. MR_EUNAVAIL: its service is stopped. */
int mr_use_begin(struct mr_residency *r, struct mr_str name, enum mr_model_kind kind,
                 struct mr_use *ret, struct mr_err *e);
/* ok: the model did its work (a client's mistake is ok too). Counts and times it. No-op when zero.
 */
void mr_use_end(struct mr_use *u, bool ok);

/* Whether a use would begin without waiting. */
bool mr_model_ready(struct mr_residency *r, const struct mr_catalog_model *m);

enum mr_model_state {
    MR_MODEL_ABSENT,    /* not installed */
    MR_MODEL_AVAILABLE, /* installed; the first use loads it */
    MR_MODEL_LOADING,
    MR_MODEL_LOADED,
    MR_MODEL_UNLOADED, /* by the owner: used again only after a load */
    MR_MODEL_FAILED,   /* the last load failed; the next use tries again */
};
const char *mr_model_state_name(enum mr_model_state s); /* "not_installed", "available", … */
struct mr_model_stats {
    enum mr_model_state state;
    char error[200];     /* of the last load, or "" */
    uint64_t memory;     /* bytes, loaded ones */
    double cpu_percent;  /* of the worker process since it started; 0 = in process */
    int64_t loaded_us;   /* wall time; 0 = not loaded */
    double load_seconds; /* of the last load; else estimated from the size */
    uint64_t requests, failures, in_use;
    uint64_t last_hour; /* requests in the last 60 minutes */
    double avg_seconds, p95_seconds;
};
void mr_model_stats(struct mr_residency *r, const struct mr_catalog_model *m,
                    struct mr_model_stats *ret);
/* Loads in the background (state LOADING at return) unless it is loaded; `again` loads it anew.
 * MR_ENOTLOADED: not installed, or larger than memory_max. MR_EUNAVAIL: its service is stopped. */
int mr_model_load(struct mr_residency *r, const struct mr_catalog_model *m, bool again,
                  struct mr_err *e);
/* After its uses ended. No-op when it is not loaded. */
int mr_model_unload(struct mr_residency *r, const struct mr_catalog_model *m, struct mr_err *e);

/* --- services ----------------------------------------------------------------------------- */
/* A stopped service refuses uses (MR_EUNAVAIL) at once; its models leave memory when the uses under
 * way have ended, which on_stop may hasten. Not kept over a restart. */
int mr_service_stop(struct mr_residency *r, enum mr_service s, struct mr_err *e);
int mr_service_start(struct mr_residency *r, enum mr_service s, struct mr_err *e);
#define MR_SERVICE_BUCKETS 14
extern const double mr_service_bounds_s[MR_SERVICE_BUCKETS]; /* upper bounds, seconds */
struct mr_service_stats {
    bool running;
    int64_t since_us; /* started or stopped */
    unsigned models_loaded;
    uint64_t memory;
    uint64_t queue; /* uses waiting for a load or in an LLM's queue */
    uint64_t in_use;
    uint64_t ok, failed;                     /* uses, by this process */
    uint64_t bucket[MR_SERVICE_BUCKETS + 1]; /* uses by duration, not cumulative; last: longer */
    double sum_seconds;
    double avg_seconds; /* of the last 100; 0 = none yet */
};
void mr_service_stats(struct mr_residency *r, enum mr_service s, struct mr_service_stats *ret);

#endif
