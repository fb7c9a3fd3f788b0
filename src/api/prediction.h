/* What every protocol does around a prediction of a deployment: who counts as the caller, and the
 * event of a failure. */
#ifndef MR_API_PREDICTION_H
#define MR_API_PREDICTION_H

#include "api/api.h"

/* For c->meter.user_hash: the user, else the key. */
uint64_t mr_prediction_caller(const struct mr_call *c);
/* Appends the member "endpoint_url" of a deployment. */
void mr_prediction_url(struct mr_call *c, struct mr_buf *b, struct mr_id id);
/* The event prediction.error, at most once a second and deployment; never blocks. */
void mr_prediction_failed(struct mr_call *c, struct mr_id id, uint32_t version,
                          const struct mr_err *err);

#endif
