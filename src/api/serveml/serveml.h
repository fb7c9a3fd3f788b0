/* The ServeML family (seed 001): paths, limits and error shape. */
#ifndef MR_API_SERVEML_SERVEML_H
#define MR_API_SERVEML_SERVEML_H

#include "api/api.h"

extern const struct mr_family mr_family_serveml;

void mr_serveml_render_error(struct mr_api *api, struct mr_req *r, int status,
                             const struct mr_err *e);
void mr_serveml_ahead(struct mr_call *c, bool body); /* mr_family.ahead */
/* Path parameters as ids; MR_ENOTFOUND when they are none of ours. */
int mr_serveml_deployment_id(struct mr_call *c, struct mr_id *ret, struct mr_err *e);

#endif
