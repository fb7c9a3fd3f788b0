/* The KServe v2 family (Open Inference Protocol over REST): paths, limits and error shape. */
#ifndef MR_API_KSERVE_KSERVE_H
#define MR_API_KSERVE_KSERVE_H

#include "api/api.h"
#include "core/bill/bill.h"
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
    /* Or a network of the catalogue: */
    const struct mr_catalog_model *catalog; /* NULL: a deployment */
    size_t net;
    struct mr_bill *bill; /* in the request's arena */
    struct mr_use use;    /* of a model that was opened */
};
/* Finds the model and takes it into use. On a loop thread MR_CALL_POOL when that could block.
 * mr_kserve_model_release gives it back. MR_ENOTFOUND, MR_ECONFLICT, MR_ENOTLOADED, MR_EUNAVAIL. */
int mr_kserve_open(struct mr_call *c, struct mr_kserve_model *ret, struct mr_err *e);
/* The same without loading it: instance stays NULL. Not for loop threads. */
int mr_kserve_find(struct mr_call *c, struct mr_kserve_model *ret, struct mr_err *e);
void mr_kserve_model_release(struct mr_kserve_model *m);
/* --- catalog.c: the catalogue's ONNX models, by id, or by id and part ("pp-ocr-v4.det") --------
 */
/* False: no such name. Sets catalog, net and key. */
bool mr_kserve_catalog_name(struct mr_call *c, struct mr_kserve_model *m);
int mr_kserve_catalog_open(struct mr_call *c, struct mr_kserve_model *m, struct mr_err *e);
/* MR_EINVAL unless a run would begin. */
int mr_kserve_catalog_ready(struct mr_call *c, const struct mr_kserve_model *m, struct mr_err *e);
/* What a caller may ask of a network that others share. */
int mr_kserve_catalog_check(const struct mr_kserve_model *m, const struct mr_named_tensor *in,
                            size_t n, struct mr_err *e);
int mr_kserve_catalog_load(struct mr_call *c, const struct mr_kserve_model *m, struct mr_err *e);
int mr_kserve_catalog_unload(struct mr_call *c, const struct mr_kserve_model *m, struct mr_err *e);
/* Their entries of the repository's index. */
void mr_kserve_catalog_index(struct mr_call *c, struct mr_buf *b, bool only_ready);

/* The name of the model's version on the wire: "3". */
struct mr_str mr_kserve_version(struct mr_call *c, const struct mr_kserve_model *m);

#endif
