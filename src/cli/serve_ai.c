#include "cli/serve_ai.h"

#include "core/catalog/residency.h"

static int open_models(struct mr_core *core, const struct mr_config *c, struct mr_err *e) {
    struct mr_catalog_config cc = {
        .models_dir = c->models_dir, .data_dir = core->data_dir, .log = &core->log};
    int rc = mr_catalog_open(&cc, &core->catalog, e);
    struct mr_residency_config res = {.catalog = core->catalog,
                                      .log = &core->log,
                                      .memory_max = (uint64_t)c->models_memory_mb << 20,
                                      .llm_parallel = (unsigned)c->llm_parallel,
                                      .llm_threads = (unsigned)c->llm_threads,
                                      .llm_queue = (unsigned)c->llm_queue};
    return rc ? rc : mr_residency_new(&res, &core->residency, e);
}

int mr_serve_ai_open(struct mr_core *core, const struct mr_config *c, struct mr_err *e) {
    return open_models(core, c, e);
}

void mr_serve_ai_close(struct mr_core *core) {
    mr_residency_free(core->residency);
    mr_catalog_free(core->catalog);
}
