/* Prometheus text format: the seed's two series, then the server's own. No account is named. */
#include "api/aisemble/aisemble.h"
#include "api/aisemble/gen_aisemble.h"
#include "api/stats.h"

enum { LLM, VISION, NLP, ORCHESTRATOR, N_SERVICE };
static const char *const service_names[N_SERVICE] = {"llm", "vision", "nlp", "orchestrator"};

struct sums {
    uint64_t success, error;
    uint64_t bucket[MR_STAT_BUCKETS + 1], sum_ns;
};

static int service_of(const char *path) {
    if (strstr(path, "/ai/llm/"))
        return LLM;
    if (strstr(path, "/ai/vision/"))
        return VISION;
    return strstr(path, "/ai/nlp/") ? NLP : ORCHESTRATOR;
}

static uint64_t get(atomic_uint_least64_t *v) {
    return atomic_load_explicit(v, memory_order_relaxed);
}

static void add_up(struct mr_api *a, struct sums v[N_SERVICE]) {
    for (size_t i = 0; i < a->n_refs; i++) {
        struct mr_row_stats *s = a->refs[i].stats;
        if (a->refs[i].family != &mr_family_aisemble)
            continue;
        struct sums *t = &v[service_of(a->refs[i].row->path)];
        for (int cls = 0; cls < 6; cls++) /* 0: the client went away */
            *(cls == 2 || cls == 3 ? &t->success : &t->error) += get(&s->by_class[cls]);
        for (size_t k = 0; k <= MR_STAT_BUCKETS; k++)
            t->bucket[k] += get(&s->bucket[k]);
        t->sum_ns += get(&s->sum_ns);
    }
}

static void histogram(struct mr_buf *b, const char *service, const struct sums *t) {
    static const char name[] = "aisemble_request_duration_seconds";
    uint64_t n = 0;
    for (size_t k = 0; k < MR_STAT_BUCKETS; k++) {
        n += t->bucket[k];
        mr_buf_fmt(b, "%s_bucket{service=\"%s\",le=\"%g\"} %llu\n", name, service,
                   mr_stat_bounds_s[k], (unsigned long long)n);
    }
    n += t->bucket[MR_STAT_BUCKETS];
    mr_buf_fmt(b, "%s_bucket{service=\"%s\",le=\"+Inf\"} %llu\n", name, service,
               (unsigned long long)n);
    mr_buf_fmt(b, "%s_sum{service=\"%s\"} %.9f\n", name, service, (double)t->sum_ns / 1e9);
    mr_buf_fmt(b, "%s_count{service=\"%s\"} %llu\n", name, service, (unsigned long long)n);
}

int mr_aisemble_metrics(struct mr_call *c, struct mr_err *e) {
    struct sums v[N_SERVICE] = {0};
    struct mr_buf b;
    add_up(c->api, v);
    mr_call_buf(c, &b);
    mr_buf_cstr(&b, "# HELP aisemble_requests_total Total number of requests\n"
                    "# TYPE aisemble_requests_total counter\n");
    for (int i = 0; i < N_SERVICE; i++)
        mr_buf_fmt(&b,
                   "aisemble_requests_total{service=\"%s\",status=\"success\"} %llu\n"
                   "aisemble_requests_total{service=\"%s\",status=\"error\"} %llu\n",
                   service_names[i], (unsigned long long)v[i].success, service_names[i],
                   (unsigned long long)v[i].error);
    mr_buf_cstr(&b, "# HELP aisemble_request_duration_seconds Request duration in seconds\n"
                    "# TYPE aisemble_request_duration_seconds histogram\n");
    for (int i = 0; i < N_SERVICE; i++)
        histogram(&b, service_names[i], &v[i]);
    mr_stats_render(c->api, &b);
    if (!mr_buf_ok(&b)) {
        mr_buf_release(&b);
        return mr_fail(e, MR_ENOMEM, "out of memory");
    }
    mr_req_reply_buf(c->req, 200, "text/plain; version=0.0.4; charset=utf-8", &b);
    return 0;
}
