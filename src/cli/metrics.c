/* millrace metrics: figures of a deployment. */
#include "base/codec.h"
#include "cli/client.h"
#include "cli/table.h"
#include "cli/verbs.h"

static const struct mr_opt opts[] = {
    {"--hours", "N", "time range, 1 to 168; default 24"},
    {"--resolution", "STEP", "1m, 5m, 1h or 1d; default 1h"},
    {NULL, NULL, NULL},
};
const struct mr_spec mr_metrics_spec = {
    .verb = "metrics",
    .usage = "ID|NAME [options]",
    .about = "Requests, errors, latency and cost of a deployment over time.",
    .opts = opts,
    .net = true,
};

static double num(yyjson_val *obj, const char *key) {
    return yyjson_get_num(yyjson_obj_get(obj, key));
}

static const char *text(yyjson_val *obj, const char *key) {
    const char *s = yyjson_get_str(yyjson_obj_get(obj, key));
    return s ? s : "";
}

/* Buckets in which something happened. */
static void print_series(yyjson_val *series) {
    yyjson_val *times = yyjson_obj_get(series, "timestamps"), *t;
    yyjson_val *counts = yyjson_obj_get(series, "request_counts");
    yyjson_val *lat = yyjson_obj_get(series, "avg_latencies");
    struct mr_table table;
    size_t i, max;
    mr_table_init(&table, 3);
    mr_table_cell(&table, "TIME");
    mr_table_cell(&table, "REQUESTS");
    mr_table_cell(&table, "AVG MS");
    yyjson_arr_foreach (times, i, max, t) {
        int64_t n = yyjson_get_sint(yyjson_arr_get(counts, i));
        if (!n)
            continue;
        mr_table_cell(&table, yyjson_get_str(t));
        mr_table_fmt(&table, "%lld", (long long)n);
        mr_table_fmt(&table, "%.3g", yyjson_get_num(yyjson_arr_get(lat, i)));
    }
    if (table.n > 3)
        mr_table_print(&table);
    mr_table_release(&table);
}

static void print(const struct mr_reply *r) {
    yyjson_val *root = yyjson_doc_get_root(r->doc);
    yyjson_val *m = yyjson_obj_get(root, "metrics"), *p = yyjson_obj_get(root, "period");
    yyjson_val *cost = yyjson_obj_get(root, "cost_estimate");
    printf("%s  %s to %s\n", text(root, "deployment_id"), text(p, "start"), text(p, "end"));
    printf("requests      %.0f\nerrors        %.0f\n", num(m, "request_count"),
           num(m, "error_count"));
    printf("latency       avg %.3g ms, p95 %.3g ms, p99 %.3g ms\n", num(m, "avg_latency_ms"),
           num(m, "p95_latency_ms"), num(m, "p99_latency_ms"));
    printf("cold starts   %.0f\nunique users  %.0f\n", num(m, "cold_starts"),
           num(m, "unique_users"));
    printf("cost estimate %.6g USD\n", num(cost, "total_usd"));
    print_series(yyjson_obj_get(root, "time_series"));
}

static int run(struct mr_client *c, const struct mr_args *a, int64_t hours) {
    struct mr_reply r = {0};
    struct mr_err e = {0};
    struct mr_buf tail;
    char id[80];
    int status = 0;
    const char *step = mr_args_get(a, "--resolution");
    if (mr_client_deployment(c, a->pos[0], id, sizeof id, &e))
        return mr_args_failed(a, &e);
    mr_buf_init(&tail, 1024);
    mr_buf_fmt(&tail, "?hours=%lld", (long long)hours);
    if (step) {
        mr_buf_cstr(&tail, "&resolution=");
        mr_percent_add(&tail, mr_str(step));
    }
    if (!mr_buf_ok(&tail))
        status = mr_args_wrong(a, "--resolution must be 1m, 5m, 1h or 1d");
    else if (mr_client_get_id(c, "/api/v1/metrics/", id, tail.p, &r, &e))
        status = mr_reply_failed(a, &r, &e);
    else if (a->json)
        mr_reply_print(&r);
    else
        print(&r);
    mr_reply_release(&r);
    mr_buf_release(&tail);
    return status;
}

int mr_cli_metrics(int argc, char **argv) {
    struct mr_args a;
    struct mr_client c;
    struct mr_err e = {0};
    int64_t hours;
    int status;
    if (mr_args_parse(&a, &mr_metrics_spec, argc, argv, &status))
        return status;
    if (a.n_pos != 1)
        return mr_args_wrong(&a, "which deployment?");
    if (!mr_args_int(&a, "--hours", 1, 168, 24, &hours))
        return 2;
    int rc = mr_client_open(&c, &a, &e);
    status = rc ? (mr_args_failed(&a, &e), 2) : run(&c, &a, hours);
    mr_client_release(&c);
    return status;
}
