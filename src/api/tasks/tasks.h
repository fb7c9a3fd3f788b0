/* The family of seed 004: tasks, reports, payments. Errors are {"error": "…"}; a request from this
 * machine without a key acts as the owner. */
#ifndef MR_API_TASKS_TASKS_H
#define MR_API_TASKS_TASKS_H

#include "api/api.h"

extern const struct mr_family mr_family_tasks;

void mr_tasks_render_error(struct mr_api *api, struct mr_req *r, int status,
                           const struct mr_err *e);
/* A time in the operator's zone, as the seed writes it; 0 becomes null. */
void mr_tasks_time(const struct mr_call *c, struct mr_buf *b, const char *key, int64_t wall_us);
/* An exact decimal. */
void mr_tasks_money(struct mr_buf *b, const char *key, int64_t nano);

#endif
