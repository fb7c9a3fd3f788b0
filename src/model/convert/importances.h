/* Private to convert/. */
#ifndef MR_MODEL_CONVERT_IMPORTANCES_H
#define MR_MODEL_CONVERT_IMPORTANCES_H

#include "model/convert/convert.h"

/* feature_importances_ (n of them, in the arena) of a decision tree, random forest, extra trees or
 * gradient boosting model; MR_EUNSUPPORTED without a text for other classes. */
int mr_importances(struct mr_convert *c, const struct mr_pk *est, uint32_t n, const double **ret,
                   struct mr_err *e);

#endif
