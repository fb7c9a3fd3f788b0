/* The family of seed 000. Errors are {"success": false, "error", "code", "details"}. */
#ifndef MR_API_GENERATOR_GENERATOR_H
#define MR_API_GENERATOR_GENERATOR_H

#include "api/api.h"

extern const struct mr_family mr_family_generator;

void mr_generator_render_error(struct mr_api *api, struct mr_req *r, int status,
                               const struct mr_err *e);

#endif
