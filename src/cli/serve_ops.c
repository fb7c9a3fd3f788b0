#include "cli/serve_ops.h"

#include "base/alloc.h"
#include "core/ops/announce.h"
#include "core/ops/log_ring.h"
#include "core/ops/ops.h"
#include "engine/vision/image.h"

#define AI_THREADS   8 /* most of their time they wait for a model's worker */
#define AI_QUEUE_MAX 256

int mr_serve_log_open(struct mr_core *core, struct mr_err *e) {
    int rc = mr_log_ring_new(0, &core->log_ring, e);
    if (!rc)
        core->log.tap = mr_log_ring_tap(core->log_ring);
    return rc;
}

void mr_serve_log_close(struct mr_core *core) {
    core->log.tap = (struct mr_log_tap){0};
    mr_log_ring_free(core->log_ring);
}

int mr_serve_ops_open(struct mr_core *core, const struct mr_config *c, struct mr_err *e) {
    (void)c;
    int rc = mr_pool_new(AI_THREADS, AI_QUEUE_MAX, &core->ai_pool, e);
    if (!rc)
        rc = mr_image_crew_new(NULL, &core->image_crew, e);
    struct mr_ops_config oc = {.data_dir = core->data_dir,
                               .log = &core->log,
                               .residency = core->residency,
                               .pool = core->pool,
                               .ai_pool = core->ai_pool};
    if (!rc)
        rc = mr_ops_open(&oc, &core->ops, e);
    if (!rc && !(core->announce = mr_calloc(1, sizeof *core->announce)))
        rc = mr_fail(e, MR_ENOMEM, "out of memory");
    if (rc)
        return rc;
    *core->announce = (struct mr_announce){core->db, core->events, &core->log};
    return mr_announce_loads(core->announce, core->residency, e);
}

void mr_serve_ops_stop(struct mr_core *core) {
    if (core->image_crew)
        mr_image_crew_stop(core->image_crew);
    mr_ops_free(core->ops);
    core->ops = NULL;
    mr_pool_free(core->ai_pool);
    core->ai_pool = NULL;
}

void mr_serve_ops_close(struct mr_core *core) {
    mr_image_crew_free(core->image_crew);
    mr_free(core->announce);
}
