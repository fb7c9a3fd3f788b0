/* What families share when they render errors: sentences for the statuses that the HTTP layer finds
 * by itself, and what a client may read of a failure inside. */
#ifndef MR_API_STATUS_TEXT_H
#define MR_API_STATUS_TEXT_H

#include "api/api.h"

const char *mr_status_text(int status);
/* The sentence for the client. An internal error (500) goes to the log, with the request's id, and
 * the client reads only that. */
const char *mr_error_text(struct mr_api *api, struct mr_req *r, int status, const struct mr_err *e);

#endif
