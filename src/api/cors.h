/* Cross-origin resource sharing (WHATWG Fetch 3.3) for the origins of --cors-origin, and the check
 * of Origin on what changes state. */
#ifndef MR_API_CORS_H
#define MR_API_CORS_H

#include "api/edge.h"

/* Adds the reply headers that let a listed origin's page read the reply, and Vary: Origin. Nothing
 * when no origin is configured. Once a request. */
void mr_cors_headers(const struct mr_edge *d, struct mr_req *r);
/* Answers a preflight of a listed origin for a path that is served (204, r->allow). False when the
 * request is none. */
bool mr_cors_preflight(const struct mr_edge *d, struct mr_req *r);
/* MR_EFORBIDDEN when a page of another origin sends something other than GET, HEAD or OPTIONS. A
 * request without Origin comes from no page and passes. */
int mr_cors_check(const struct mr_edge *d, const struct mr_req *r, struct mr_err *e);

#endif
