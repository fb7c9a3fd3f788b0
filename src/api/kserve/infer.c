/* POST …/infer: tensors in, one run, tensors out, metered like every prediction. */
#include "api/kserve/gen_kserve.h"
#include "api/kserve/kserve.h"
#include "api/kserve/request.h"
#include "api/prediction.h"
#include "base/clock.h"
#include "core/catalog/drivers.h"
#include "core/money/money.h"
#include "core/usage/infer_stats.h"

#define LOOP_BODY_MAX ((size_t)16 << 10) /* larger requests are not read on a loop thread */
#define ARENA_MAX     ((size_t)384 << 20)

struct run {
    struct mr_call *c;
    struct mr_kserve_model m;
    struct mr_kserve_request q;
    struct mr_arena arena; /* tensors of large requests are more than the request's own arena */
    struct mr_infer_sample sample;
    struct mr_named_tensor *out;
    bool *binary;
    size_t n_out;
};

/* The outputs that were asked for, in that order; all when none was. */
static int choose(struct run *r, struct mr_named_tensor *all, size_t n, struct mr_err *e) {
    size_t want = r->q.n_out ? r->q.n_out : n;
    r->out = mr_arena_array(&r->arena, want + 1, sizeof *r->out);
    r->binary = mr_arena_array(&r->arena, want + 1, sizeof *r->binary);
    if (!r->out || !r->binary)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    for (size_t k = 0; k < want; k++) {
        size_t at = k;
        r->binary[k] = r->q.binary;
        if (r->q.n_out) {
            for (at = 0; at < n && !mr_str_eq(all[at].name, r->q.out[k].name);)
                at++;
            r->binary[k] = r->q.out[k].binary;
        }
        if (at == n)
            return mr_fail_field(e, MR_EINVAL, "outputs", "the model has no output '%.*s'",
                                 (int)(r->q.out[k].name.n > 60 ? 60 : r->q.out[k].name.n),
                                 r->q.out[k].name.p);
        r->out[k] = all[at];
    }
    r->n_out = want;
    return 0;
}

static int reply(struct run *r, struct mr_err *e) {
    struct mr_req *req = r->c->req;
    struct mr_kserve_answer a = {.model = r->m.name,
                                 .version = mr_kserve_version(r->c, &r->m),
                                 .id = r->q.id,
                                 .out = r->out,
                                 .binary = r->binary,
                                 .n_out = r->n_out};
    struct mr_buf *b = mr_req_out(req);
    int64_t json_len;
    int rc = mr_kserve_answer(&a, b, &json_len, e);
    if (rc)
        return rc;
    if (json_len >= 0) {
        char *p = mr_arena_fmt(req->arena, "%lld", (long long)json_len);
        mr_req_set_header(req, "Inference-Header-Content-Length", p ? mr_str(p) : MR_LIT(""));
    }
    mr_req_reply(req, 200, json_len < 0 ? "application/json" : "application/octet-stream",
                 mr_buf_view(b), true);
    return 0;
}

static size_t rows_of(const struct mr_kserve_request *q) {
    return q->n_in && q->in[0].t.rank ? (size_t)q->in[0].t.dim[0] : 1;
}

static int run_catalog(struct run *r, struct mr_named_tensor **ret, size_t *ret_n, size_t *ret_rows,
                       struct mr_err *e) {
    struct mr_onnx *net = mr_model_net(r->m.catalog, r->m.use.handle, r->m.net);
    int rc = mr_kserve_catalog_check(&r->m, r->q.in, r->q.n_in, e);
    if (!rc)
        rc = mr_bill_add(r->m.bill, MR_LIT("local"), mr_str(r->m.catalog->id), 0, NULL, e);
    return rc ? rc : mr_onnx_run_named(net, r->q.in, r->q.n_in, &r->arena, ret, ret_n, ret_rows, e);
}

/* What the run costs, before its answer goes out. */
static int close_bill(struct run *r, struct mr_err *e) {
    struct mr_bill *bill = r->m.bill;
    struct mr_buf b;
    char id[32];
    int rc = mr_bill_close(bill, 0, e);
    r->m.bill->n = 0;
    if (rc)
        return rc;
    mr_buf_init(&b, 64);
    mr_money_print(&b, bill->cost_nano);
    mr_req_set_header(r->c->req, "x-millrace-response-cost", mr_buf_view(&b));
    mr_buf_release(&b);
    int n = snprintf(id, sizeof id, "%lld", (long long)bill->item[0].hold.charge);
    mr_req_set_header(r->c->req, "x-millrace-call-id", mr_strn(id, (size_t)n));
    return 0;
}

/* From the request's tensors to the reply. */
static int run(struct run *r, struct mr_err *e) {
    struct mr_named_tensor *all;
    size_t n, rows;
    int64_t t0 = mr_mono_ns();
    int rc = r->m.catalog ? run_catalog(r, &all, &n, &rows, e)
                          : mr_instance_run(r->m.instance, r->q.in, r->q.n_in, &r->arena, &all, &n,
                                            &rows, e);
    int64_t t1 = mr_mono_ns();
    r->sample.infer_ns = t1 - t0;
    if (!rc)
        rc = choose(r, all, n, e);
    if (!rc && r->m.catalog)
        rc = close_bill(r, e);
    if (!rc)
        rc = reply(r, e);
    r->sample.output_ns = mr_mono_ns() - t1;
    r->sample.ok = !rc;
    if (!rc) {
        r->sample.rows = rows;
        r->c->meter.rows = rows > UINT32_MAX ? UINT32_MAX : (uint32_t)rows;
    }
    return rc;
}

static void meter(struct run *r) {
    struct mr_call *c = r->c;
    if (r->m.catalog) /* on a bill instead */
        return;
    c->meter.on = true;
    c->meter.account = c->who.account;
    c->meter.deployment = r->m.deployment;
    c->meter.version = r->m.version;
    c->meter.cold = r->m.cold;
    c->meter.user_hash = mr_prediction_caller(c);
}

int mr_kserve_infer(struct mr_call *c, struct mr_err *e) {
    struct run r = {.c = c};
    int64_t began = mr_mono_ns();
    if (c->on_loop && c->req->body.n > LOOP_BODY_MAX)
        return MR_CALL_POOL;
    int rc = mr_kserve_open(c, &r.m, e);
    if (rc)
        return rc;
    mr_arena_init(&r.arena, ARENA_MAX);
    rc = mr_kserve_parse(c->req->body, mr_call_i64(c, "Inference-Header-Content-Length", -1),
                         &r.arena, &r.q, e);
    if (!rc && c->on_loop && r.m.instance && !mr_instance_is_quick(r.m.instance, rows_of(&r.q))) {
        mr_kserve_model_release(&r.m);
        mr_arena_release(&r.arena);
        return MR_CALL_POOL;
    }
    meter(&r);
    r.sample.queue_ns = began - c->req->start_ns;
    r.sample.input_ns = mr_mono_ns() - began;
    if (!rc)
        rc = run(&r, e);
    struct mr_infer_key key = {c->who.account, r.m.key, r.m.version};
    mr_infer_stats_add(c->core->infer_stats, &key, &r.sample);
    if (r.m.catalog && rc)
        (void)mr_bill_close(r.m.bill, rc, NULL), mr_use_end(&r.m.use, rc != MR_EPREDICT);
    else if (rc)
        mr_prediction_failed(c, r.m.deployment, r.m.version, e);
    mr_kserve_model_release(&r.m);
    mr_arena_release(&r.arena);
    return rc;
}
int mr_kserve_infer_version(struct mr_call *c, struct mr_err *e) {
    return mr_kserve_infer(c, e);
}
