/* Tells every account's webhooks that a model was loaded (event model.loaded). */
#ifndef MR_CORE_OPS_ANNOUNCE_H
#define MR_CORE_OPS_ANNOUNCE_H

#include "base/log.h"
#include "core/catalog/residency.h"
#include "store/db.h"

struct mr_events;
struct mr_announce { /* lives as long as the residency */
    struct mr_db *db;
    struct mr_events *events;
    const struct mr_log *log;
};
int mr_announce_loads(struct mr_announce *a, struct mr_residency *r, struct mr_err *e);

#endif
