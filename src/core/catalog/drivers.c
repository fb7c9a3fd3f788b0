#include "core/catalog/drivers.h"

#include "engine/nlp/nlp.h"

/* Adapts an engine's open, close and memory functions of one handle type. */
#define DRIVER(name, type, open_expr, close_fn, memory_fn)                                         \
    static int open_##name(const struct mr_catalog_model *m, const struct mr_residency_config *c,  \
                           void **ret, struct mr_err *e) {                                         \
        struct type *handle = NULL;                                                                \
        (void)c;                                                                                   \
        int rc = open_expr;                                                                        \
        if (!rc)                                                                                   \
            *ret = handle;                                                                         \
        return rc;                                                                                 \
    }                                                                                              \
    static void close_##name(void *handle) {                                                       \
        close_fn(handle);                                                                          \
    }                                                                                              \
    static uint64_t memory_##name(void *handle) {                                                  \
        return memory_fn(handle);                                                                  \
    }

DRIVER(embedder, mr_embedder, mr_embedder_open(m->dir, &handle, e), mr_embedder_free,
       mr_embedder_memory)

#define ROW(name)                                                                                  \
    { .open = open_##name, .close = close_##name, .memory = memory_##name }

const struct mr_model_driver mr_model_drivers[MR_KIND_N] = {
    [MR_KIND_EMBEDDER] = ROW(embedder),
    [MR_KIND_KEYWORDS] = {.open = NULL}, /* algorithms: nothing to load */
    [MR_KIND_SUMMARY] = {.open = NULL},
};
