/* How each kind of model is brought into memory: one row a kind (drivers.c). */
#ifndef MR_CORE_CATALOG_DRIVERS_H
#define MR_CORE_CATALOG_DRIVERS_H

#include "core/catalog/residency.h"

struct mr_model_driver {
    /* Blocks until it serves. NULL: an algorithm, nothing to load. */
    int (*open)(const struct mr_catalog_model *m, const struct mr_residency_config *c, void **ret,
                struct mr_err *e);
    void (*close)(void *handle);
    uint64_t (*memory)(void *handle);
    uint64_t (*queue)(void *handle);     /* requests waiting inside; NULL: none can */
    double (*cpu_seconds)(void *handle); /* of its processes; NULL: not known */
};
extern const struct mr_model_driver mr_model_drivers[MR_KIND_N];

#endif
