#include "api/stats.h"

#include "api/api.h"
#include "api/stats_money.h"
#include "base/clock.h"
#include "store/db.h"

#include <malloc.h>
#include <stdio.h>
#include <unistd.h>

const double mr_stat_bounds_s[MR_STAT_BUCKETS] = {
    0.00001, 0.000025, 0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025,
    0.005,   0.01,     0.025,   0.05,   0.1,     0.5,    1,     10};

static void bump(atomic_uint_least64_t *c, uint64_t v) {
    atomic_fetch_add_explicit(c, v, memory_order_relaxed);
}
static uint64_t get(atomic_uint_least64_t *c) {
    return atomic_load_explicit(c, memory_order_relaxed);
}

void mr_stats_add(struct mr_row_stats *s, int status, int64_t duration_ns, uint64_t bytes_in,
                  uint64_t bytes_out) {
    int cls = status / 100;
    size_t i = 0;
    double seconds = (double)duration_ns / 1e9;
    while (i < MR_STAT_BUCKETS && seconds > mr_stat_bounds_s[i])
        i++;
    bump(&s->by_class[cls >= 1 && cls <= 5 ? cls : 0], 1);
    bump(&s->bucket[i], 1);
    bump(&s->sum_ns, (uint64_t)duration_ns);
    bump(&s->bytes_in, bytes_in);
    bump(&s->bytes_out, bytes_out);
}

static void head(struct mr_buf *b, const char *name, const char *type, const char *help) {
    mr_buf_fmt(b, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void gauge(struct mr_buf *b, const char *name, const char *help, double v) {
    head(b, name, "gauge", help);
    mr_buf_fmt(b, "%s ", name);
    mr_buf_f64(b, v);
    mr_buf_char(b, '\n');
}

static void counter(struct mr_buf *b, const char *name, const char *help, uint64_t v) {
    head(b, name, "counter", help);
    mr_buf_fmt(b, "%s %llu\n", name, (unsigned long long)v);
}

static void render_requests(struct mr_api *a, struct mr_buf *b) {
    head(b, "millrace_http_requests_total", "counter", "Requests by route and status class.");
    for (size_t i = 0; i < a->n_refs; i++)
        for (int cls = 0; cls < 6; cls++) {
            uint64_t n = get(&a->refs[i].stats->by_class[cls]);
            if (n)
                mr_buf_fmt(b,
                           "millrace_http_requests_total{family=\"%s\",route=\"%s\",method=\"%s\","
                           "status=\"%s\"} %llu\n",
                           a->refs[i].family->name, a->refs[i].row->path,
                           mr_method_name(a->refs[i].row->method),
                           (const char *const[]){"gone", "1xx", "2xx", "3xx", "4xx", "5xx"}[cls],
                           (unsigned long long)n);
        }
}

static void render_durations(struct mr_api *a, struct mr_buf *b) {
    static const char name[] = "millrace_http_request_duration_seconds";
    head(b, name, "histogram", "From the first byte of the request to the last of the reply.");
    for (size_t i = 0; i < a->n_refs; i++) {
        struct mr_row_stats *s = a->refs[i].stats;
        char labels[400];
        uint64_t cumulated = 0;
        snprintf(labels, sizeof labels, "family=\"%s\",route=\"%s\",method=\"%s\"",
                 a->refs[i].family->name, a->refs[i].row->path,
                 mr_method_name(a->refs[i].row->method));
        for (size_t k = 0; k <= MR_STAT_BUCKETS; k++)
            cumulated += get(&s->bucket[k]);
        if (!cumulated)
            continue;
        uint64_t sum = 0;
        for (size_t k = 0; k < MR_STAT_BUCKETS; k++) {
            sum += get(&s->bucket[k]);
            mr_buf_fmt(b, "%s_bucket{%s,le=\"%g\"} %llu\n", name, labels, mr_stat_bounds_s[k],
                       (unsigned long long)sum);
        }
        mr_buf_fmt(b, "%s_bucket{%s,le=\"+Inf\"} %llu\n", name, labels,
                   (unsigned long long)cumulated);
        mr_buf_fmt(b, "%s_sum{%s} %.9f\n", name, labels, (double)get(&s->sum_ns) / 1e9);
        mr_buf_fmt(b, "%s_count{%s} %llu\n", name, labels, (unsigned long long)cumulated);
    }
}

static double resident_bytes(void) {
    unsigned long size = 0, resident = 0;
    FILE *f = fopen("/proc/self/statm", "re");
    if (!f)
        return 0;
    if (fscanf(f, "%lu %lu", &size, &resident) != 2)
        resident = 0;
    fclose(f);
    return (double)resident * (double)sysconf(_SC_PAGESIZE);
}

static void render_parts(struct mr_api *a, struct mr_buf *b) {
    struct mr_core *core = a->core;
    struct mr_http_stats h;
    struct mr_deployments_stats d;
    struct mr_db_stats s;
    mr_http_stats(core->http, &h);
    mr_deployments_stats(core->deployments, &d);
    mr_db_stats(core->db, &s);
    gauge(b, "millrace_http_connections_open", "Open client connections.", (double)h.conns_open);
    counter(b, "millrace_http_connections_total", "Connections accepted.", h.conns_total);
    counter(b, "millrace_http_connections_refused_total", "Connections over a cap.",
            h.conns_refused);
    counter(b, "millrace_http_bytes_received_total", "Bytes read from clients.", h.bytes_in);
    counter(b, "millrace_http_bytes_sent_total", "Bytes sent to clients.", h.bytes_out);
    counter(b, "millrace_http_malformed_total", "Requests refused by the parser.", h.parse_errors);
    gauge(b, "millrace_http_batch_scheduling",
          "1 while the HTTP loops run under SCHED_BATCH because of the load.", h.gentle);
    gauge(b, "millrace_deployments", "Deployments in the registry.", (double)d.deployments);
    gauge(b, "millrace_models_loaded", "Models in memory.", (double)d.loaded);
    gauge(b, "millrace_models_loaded_bytes", "Memory of the loaded models.",
          (double)d.loaded_bytes);
    counter(b, "millrace_model_loads_total", "Models read into memory on demand (cold starts).",
            d.loads);
    counter(b, "millrace_model_evictions_total", "Idle models that left memory.", d.evictions);
    counter(b, "millrace_intakes_total", "Model files read.", d.intakes);
    counter(b, "millrace_intake_failures_total", "Model files refused.", d.intake_failures);
    counter(b, "millrace_blobs_deleted_total", "Stored files deleted as nothing referred to them.",
            d.blobs_deleted);
    counter(b, "millrace_blob_bytes_deleted_total", "Bytes of those files.", d.blob_bytes_deleted);
    counter(b, "millrace_db_commits_total", "Group commits.", s.commits);
    counter(b, "millrace_db_writes_total", "Writes in those commits.", s.writes);
    counter(b, "millrace_db_failed_total", "Writes that failed.", s.failed);
    gauge(b, "millrace_db_queue", "Writes waiting.", (double)s.queued);
    gauge(b, "millrace_pool_queue", "Requests waiting for a worker thread.",
          (double)mr_pool_queued(core->pool));
    gauge(b, "millrace_start_time_seconds", "Unix time of the start.",
          (double)core->started_us / 1e6);
    gauge(b, "process_resident_memory_bytes", "Resident memory.", resident_bytes());
    head(b, "millrace_build_info", "gauge", "Version of this program.");
    mr_buf_cstr(b, "millrace_build_info{version=\"" MR_VERSION "\"} 1\n");
}

void mr_stats_render(struct mr_api *a, struct mr_buf *out) {
    render_requests(a, out);
    render_durations(a, out);
    render_parts(a, out);
    mr_stats_render_money(a->core, out);
}
