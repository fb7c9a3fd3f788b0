/* Figures of a deployment over time, and what they are estimated to cost. */
#include "api/serveml/gen_serveml.h"
#include "api/serveml/serveml.h"
#include "base/clock.h"
#include "core/usage/usage.h"

#include <math.h>

static enum mr_resolution resolution_of(struct mr_str s) {
    if (mr_str_is(s, "1m"))
        return MR_RES_1M;
    if (mr_str_is(s, "5m"))
        return MR_RES_5M;
    return mr_str_is(s, "1d") ? MR_RES_1D : MR_RES_1H;
}

static double ms(double us) {
    return round(us) / 1000.0;
}

static double mean_ms(uint64_t sum_us, uint64_t n) {
    return n ? ms((double)sum_us / (double)n) : 0;
}

static void figures(struct mr_buf *b, const struct mr_usage_report *r) {
    mr_json_key(b, "metrics");
    mr_buf_char(b, '{');
    mr_json_i64(b, "request_count", (int64_t)r->requests);
    mr_json_i64(b, "error_count", (int64_t)r->errors);
    mr_json_f64(b, "avg_latency_ms", mean_ms(r->latency_us_sum, r->requests));
    mr_json_f64(b, "p50_latency_ms", ms(r->p50_us));
    mr_json_f64(b, "p95_latency_ms", ms(r->p95_us));
    mr_json_f64(b, "p99_latency_ms", ms(r->p99_us));
    mr_json_i64(b, "cold_starts", (int64_t)r->cold_starts);
    mr_json_i64(b, "unique_users", (int64_t)r->unique_users);
    mr_json_i64(b, "rows", (int64_t)r->rows);
    mr_buf_char(b, '}');
}

static void series(struct mr_buf *b, const struct mr_usage_report *r) {
    mr_json_key(b, "time_series");
    mr_buf_cstr(b, "{\"timestamps\":[");
    for (size_t i = 0; i < r->n_bucket; i++) {
        char t[32];
        mr_time_rfc3339(r->bucket[i].start_us, t);
        mr_buf_fmt(b, "%s\"%s\"", i ? "," : "", t);
    }
    mr_buf_cstr(b, "],\"request_counts\":[");
    for (size_t i = 0; i < r->n_bucket; i++) {
        if (i)
            mr_buf_char(b, ',');
        mr_buf_u64(b, r->bucket[i].requests);
    }
    mr_buf_cstr(b, "],\"avg_latencies\":[");
    for (size_t i = 0; i < r->n_bucket; i++) {
        if (i)
            mr_buf_char(b, ',');
        mr_buf_f64(b, mean_ms(r->bucket[i].latency_us_sum, r->bucket[i].requests));
    }
    mr_buf_cstr(b, "],\"error_counts\":[");
    for (size_t i = 0; i < r->n_bucket; i++) {
        if (i)
            mr_buf_char(b, ',');
        mr_buf_u64(b, r->bucket[i].errors);
    }
    mr_buf_cstr(b, "]}");
}

static double cents(double usd) {
    return round(usd * 1e6) / 1e6;
}

/* docs/PRICES.md: run time, the model's file over the period, bytes both ways. */
static void cost(struct mr_buf *b, const struct mr_prices *p, const struct mr_usage_report *r,
                 double model_gb, int hours) {
    double compute = (double)r->latency_us_sum / 3.6e9 * p->compute_per_hour;
    double storage = model_gb * p->storage_per_gb_month * hours / 730.0;
    double network = (double)(r->bytes_in + r->bytes_out) / 1e9 * p->network_per_gb;
    compute = cents(compute);
    storage = cents(storage);
    network = cents(network);
    mr_json_key(b, "cost_estimate");
    mr_buf_char(b, '{');
    mr_json_f64(b, "total_usd", cents(compute + storage + network));
    mr_json_key(b, "breakdown");
    mr_buf_char(b, '{');
    mr_json_f64(b, "compute", compute);
    mr_json_f64(b, "storage", storage);
    mr_json_f64(b, "network", network);
    mr_buf_cstr(b, "}}");
}

static double size_gb(struct mr_str metadata) {
    yyjson_doc *doc = yyjson_read(metadata.p, metadata.n, 0);
    double bytes = yyjson_get_num(yyjson_obj_get(yyjson_doc_get_root(doc), "size_bytes"));
    yyjson_doc_free(doc);
    return bytes / 1e9;
}

int mr_serveml_metrics_get(struct mr_call *c, struct mr_err *e) {
    int hours = (int)mr_call_i64(c, "hours", 24);
    struct mr_usage_report r;
    struct mr_deployment d;
    struct mr_id id;
    struct mr_buf b;
    int rc = mr_serveml_deployment_id(c, &id, e);
    if (!rc)
        rc = mr_deployments_get(c->core->deployments, c->who.account, id, c->req->arena, &d, e);
    if (!rc)
        rc = mr_usage_query(c->core->usage, c->who.account, id, hours,
                            resolution_of(mr_call_str(c, "resolution")), c->req->arena, &r, e);
    if (rc)
        return rc;
    struct mr_str base = mr_call_base_url(c);
    char hex[MR_ID_HEX];
    mr_id_hex(id, hex);
    mr_call_buf(c, &b);
    mr_buf_char(&b, '{');
    mr_json_id(&b, "deployment_id", MR_DEP_PREFIX, id);
    mr_json_key(&b, "period");
    mr_buf_char(&b, '{');
    mr_json_time(&b, "start", r.start_us);
    mr_json_time(&b, "end", r.end_us);
    mr_buf_char(&b, '}');
    figures(&b, &r);
    series(&b, &r);
    cost(&b, &c->core->prices, &r, size_gb(d.metadata), hours);
    mr_json_key(&b, "dashboard_url");
    mr_buf_fmt(&b, "\"%.*s/dashboard/deployments/" MR_DEP_PREFIX "%s/metrics\"}", (int)base.n,
               base.p, hex);
    return mr_call_json(c, 200, &b, e);
}
