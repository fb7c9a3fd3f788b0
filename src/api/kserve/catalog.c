/* The catalogue's ONNX models as tensors in and out: shared by all accounts, so with bounds on what
 * one request may ask of them, and unloaded only by the owner. */
#include "api/kserve/kserve.h"
#include "core/catalog/drivers.h"

/* The worker's memory grows with its input, for attention with the square of a text's length. */
#define INPUT_MAX  ((size_t)8 << 20)
#define TOKENS_MAX 32768
#define PAIRS_MAX  (1 << 24)

bool mr_kserve_catalog_name(struct mr_call *c, struct mr_kserve_model *m) {
    const char *const *part;
    size_t n, n_part;
    const struct mr_catalog_model *v = mr_catalog_models(c->core->catalog, &n);
    for (size_t i = 0; i < n; i++) {
        n_part = mr_model_nets(&v[i], &part);
        for (size_t k = 0; k < n_part; k++) {
            struct mr_str id = mr_str(v[i].id), rest = m->name;
            if (!mr_str_starts(rest, id))
                continue;
            rest = mr_strn(rest.p + id.n, rest.n - id.n);
            if (*part[k] && (!rest.n || rest.p[0] != '.'))
                continue;
            if (!mr_str_is(*part[k] ? mr_strn(rest.p + 1, rest.n - 1) : rest, part[k]))
                continue;
            m->catalog = &v[i];
            m->net = k;
            m->key = m->name;
            return true;
        }
    }
    return false;
}

int mr_kserve_catalog_open(struct mr_call *c, struct mr_kserve_model *m, struct mr_err *e) {
    m->bill = mr_arena_zalloc(c->req->arena, sizeof *m->bill);
    if (!m->bill)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    *m->bill = (struct mr_bill){
        .biller = &c->core->biller, .who = &c->who, .family = "kserve", .arena = c->req->arena};
    return mr_use_begin(c->core->residency, mr_str(m->catalog->id), m->catalog->kind, &m->use, e);
}

int mr_kserve_catalog_ready(struct mr_call *c, const struct mr_kserve_model *m, struct mr_err *e) {
    struct mr_model_stats st;
    struct mr_service_stats service;
    mr_model_stats(c->core->residency, m->catalog, &st);
    mr_service_stats(c->core->residency, m->catalog->service, &service);
    if (!service.running)
        return mr_fail(e, MR_EINVAL, "the %s service is stopped",
                       mr_service_name(m->catalog->service));
    bool ready = st.state == MR_MODEL_LOADED || st.state == MR_MODEL_AVAILABLE;
    return ready ? 0
                 : mr_fail(e, MR_EINVAL, "%s is not ready: %s%s%s", m->catalog->id,
                           mr_model_state_name(st.state), st.error[0] ? ": " : "", st.error);
}

int mr_kserve_catalog_check(const struct mr_kserve_model *m, const struct mr_named_tensor *in,
                            size_t n, struct mr_err *e) {
    size_t bytes = 0;
    for (size_t i = 0; i < n; i++) {
        const struct mr_tensor *t = &in[i].t;
        bytes += t->count * mr_onnx_elem_size(t->elem);
        if (m->catalog->kind != MR_KIND_EMBEDDER || t->rank != 2)
            continue;
        int64_t rows = t->dim[0], length = t->dim[1];
        if (rows > TOKENS_MAX || length > TOKENS_MAX || rows * length > TOKENS_MAX ||
            rows * length * length > PAIRS_MAX)
            return mr_fail_field(e, MR_ETOOBIG, "inputs",
                                 "%lld texts of %lld tokens are too many for one request",
                                 (long long)rows, (long long)length);
    }
    if (bytes > INPUT_MAX)
        return mr_fail_field(e, MR_ETOOBIG, "inputs",
                             "the inputs are %zu bytes; a model of the catalogue takes %zu", bytes,
                             INPUT_MAX);
    return 0;
}

/* Triton's load answers when the model is there. */
int mr_kserve_catalog_load(struct mr_call *c, const struct mr_kserve_model *m, struct mr_err *e) {
    struct mr_use use = {0};
    int rc = mr_model_load(c->core->residency, m->catalog, false, e);
    if (!rc)
        rc = mr_use_begin(c->core->residency, mr_str(m->catalog->id), m->catalog->kind, &use, e);
    mr_use_end(&use, true);
    return rc;
}

int mr_kserve_catalog_unload(struct mr_call *c, const struct mr_kserve_model *m, struct mr_err *e) {
    if (!c->who.operator_)
        return mr_fail(e, MR_EFORBIDDEN,
                       "%s is everybody's: only the owner of this server may unload it",
                       m->catalog->id);
    return mr_model_unload(c->core->residency, m->catalog, e);
}

static void entry(struct mr_call *c, struct mr_buf *b, const struct mr_kserve_model *m,
                  const char *part, bool only) {
    struct mr_model_stats st;
    struct mr_err why = {0};
    mr_model_stats(c->core->residency, m->catalog, &st);
    bool ready = !mr_kserve_catalog_ready(c, m, &why);
    if (st.state == MR_MODEL_ABSENT || (only && !ready))
        return;
    char *name = mr_arena_fmt(c->req->arena, "%s%s%s", m->catalog->id, *part ? "." : "", part);
    mr_buf_cstr(b, b->n > 1 ? ",{" : "{");
    mr_json_cstr(b, "name", name ? name : m->catalog->id);
    mr_json_str(b, "version", mr_kserve_version(c, m));
    mr_json_cstr(b, "state",
                 ready                          ? "READY"
                 : st.state == MR_MODEL_LOADING ? "LOADING"
                                                : "UNAVAILABLE");
    mr_json_cstr(b, "reason", ready ? "" : st.state == MR_MODEL_UNLOADED ? "unloaded" : why.msg);
    mr_buf_char(b, '}');
}

void mr_kserve_catalog_index(struct mr_call *c, struct mr_buf *b, bool only_ready) {
    const char *const *part;
    size_t n;
    const struct mr_catalog_model *v = mr_catalog_models(c->core->catalog, &n);
    for (size_t i = 0; i < n; i++) {
        size_t n_part = mr_model_nets(&v[i], &part);
        for (size_t k = 0; k < n_part; k++)
            entry(c, b, &(struct mr_kserve_model){.catalog = &v[i], .net = k}, part[k], only_ready);
    }
}
