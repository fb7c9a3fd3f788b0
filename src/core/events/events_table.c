#include "core/events/events.h"

/* Families add their events here. */
const char *const mr_event_names[] = {
    "deployment.created",
    "deployment.building",
    "deployment.ready",
    "deployment.failed",
    "deployment.deleted",
    "prediction.error",
    "budget.alert",
    "job.completed",
    "job.failed",
    "model.loaded",
    NULL,
};

bool mr_event_known(struct mr_str name) {
    for (size_t i = 0; mr_event_names[i]; i++)
        if (mr_str_is(name, mr_event_names[i]))
            return true;
    return false;
}
