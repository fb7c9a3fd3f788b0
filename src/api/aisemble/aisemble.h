/* The Ai-semble family (seed 002): LLM, vision and NLP services, jobs, health, operations. */
#ifndef MR_API_AISEMBLE_AISEMBLE_H
#define MR_API_AISEMBLE_AISEMBLE_H

#include "api/api.h"

struct mr_bill;

extern const struct mr_family mr_family_aisemble;

#define MR_AISEMBLE_VERSION "2.0.0"

void mr_aisemble_render_error(struct mr_api *api, struct mr_req *r, int status,
                              const struct mr_err *e);
/* The error object alone, {"code":…,…}, as it stands in replies, streams and job results. */
void mr_aisemble_error_json(struct mr_buf *b, const struct mr_err *e, const char *request_id);
/* "AUTHENTICATION_REQUIRED" … of an enum mr_code. */
const char *mr_aisemble_code(int code);
/* The request's id in this family's style, "req_…"; also what header and log then show. */
const char *mr_aisemble_request_id(struct mr_req *r);
/* Starts a reply: `{"request_id":…`. */
void mr_aisemble_begin(struct mr_call *c, struct mr_buf *b);
/* For the uses of models by this request. */
struct mr_bill mr_aisemble_bill(struct mr_call *c);
/* Seconds with microseconds since the request came. */
double mr_aisemble_seconds(const struct mr_call *c);
/* MR_EFORBIDDEN unless the caller is the owner of this server. */
int mr_aisemble_owner_only(const struct mr_call *c, struct mr_err *e);
/* The Idempotency-Key of a request that costs: 1 go on; 0 answered with the first one's reply. */
int mr_aisemble_again(struct mr_call *c, struct mr_err *e);
/* With its key looked at; runs fn on the threads for model work and returns MR_CALL_LATER; fn's
 * error is rendered. */
int mr_aisemble_later(struct mr_call *c, mr_handler_fn *fn, struct mr_err *e);

#endif
