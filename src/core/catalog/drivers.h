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
/* A model's ONNX networks: "" for the only one, else what each does ("det"). *ret: n names; 0: it
 * has none. What runs tensors through one asks for it by its place, while it uses the model. */
struct mr_onnx;
size_t mr_model_nets(const struct mr_catalog_model *m, const char *const **ret);
struct mr_onnx *mr_model_net(const struct mr_catalog_model *m, void *handle, size_t k);
extern const struct mr_model_driver mr_model_drivers[MR_KIND_N];

#endif
