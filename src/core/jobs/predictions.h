/* Jobs over a deployment: parameters.deployment_id; an item is what POST /predict calls `data`, and
 * its output that call's answer without the response time. Each item is metered like a request. */
#ifndef MR_CORE_JOBS_PREDICTIONS_H
#define MR_CORE_JOBS_PREDICTIONS_H

#include "core/jobs/jobs.h"

struct mr_core;

/* Borrows core's deployments and usage (NULL: unmetered). */
struct mr_job_runner mr_job_predictions_runner(struct mr_core *core, unsigned at_once);

#endif
