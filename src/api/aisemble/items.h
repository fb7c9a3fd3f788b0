/* What jobs of the services llm, vision and nlp do with one item. */
#ifndef MR_API_AISEMBLE_ITEMS_H
#define MR_API_AISEMBLE_ITEMS_H

#include "core/core.h"
#include "core/jobs/jobs.h"

#define MR_AISEMBLE_RUNNERS 3
/* Items use core->text and residency, which outlive the jobs; core is borrowed. */
void mr_aisemble_runners(struct mr_core *core, struct mr_job_runner out[MR_AISEMBLE_RUNNERS]);

#endif
