/* The KServe v2 family (Open Inference Protocol over REST): paths, limits and error shape. */
#ifndef MR_API_KSERVE_KSERVE_H
#define MR_API_KSERVE_KSERVE_H

#include "api/api.h"
#include "engine/tensor_run.h"

extern const struct mr_family mr_family_kserve;

void mr_kserve_render_error(struct mr_api *api, struct mr_req *r, int status,
                            const struct mr_err *e);

/* What {model_name} and {model_version} of a request name. */
struct mr_kserve_model {
    struct mr_str name; /* as the client called it */
    struct mr_str key;  /* the deployment's id as text */
    struct mr_id deployment;
    bool cold;
    uint32_t version;             /* of the one that serves; 0 = none yet */
    struct mr_instance *instance; /* a reference, or NULL */
};
/* Finds the model and takes it into use. On a loop thread MR_CALL_POOL when that could block.
 * mr_kserve_model_release gives it back. MR_ENOTFOUND, MR_ECONFLICT, MR_ENOTLOADED, MR_EUNAVAIL. */
int mr_kserve_open(struct mr_call *c, struct mr_kserve_model *ret, struct mr_err *e);
/* The same without loading it: instance stays NULL. Not for loop threads. */
int mr_kserve_find(struct mr_call *c, struct mr_kserve_model *ret, struct mr_err *e);
void mr_kserve_model_release(struct mr_kserve_model *m);
/* The name of a version on the wire: "3". */
struct mr_str mr_kserve_version(struct mr_call *c, uint32_t version);

#endif
