/* Tasks and their providers in /metrics. */
#include "api/stats_money.h"

#include "api/api.h"
#include "core/gateway/gateway.h"
#include "core/tasks/tasks.h"

#define PROVIDERS_MAX 32

static void head(struct mr_buf *b, const char *name, const char *type, const char *help) {
    mr_buf_fmt(b, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void render_tasks(struct mr_tasks *t, struct mr_buf *b) {
    struct mr_tasks_metrics m;
    mr_tasks_metrics(t, &m);
    head(b, "millrace_tasks_total", "counter", "Tasks that ended, by outcome.");
    mr_buf_fmt(b,
               "millrace_tasks_total{outcome=\"completed\"} %llu\n"
               "millrace_tasks_total{outcome=\"failed\"} %llu\n",
               (unsigned long long)m.completed, (unsigned long long)m.failed);
    head(b, "millrace_tasks_replayed_total", "counter",
         "Requests answered by what an earlier one with their idempotency key got.");
    mr_buf_fmt(b, "millrace_tasks_replayed_total %llu\n", (unsigned long long)m.replayed);
    head(b, "millrace_tasks_running", "gauge", "Tasks under way.");
    mr_buf_fmt(b, "millrace_tasks_running %llu\n", (unsigned long long)m.running);
    head(b, "millrace_tasks_stuck", "gauge", "Tasks that ended but could not be recorded yet.");
    mr_buf_fmt(b, "millrace_tasks_stuck %llu\n", (unsigned long long)m.stuck);
}

static void series(struct mr_buf *b, const struct mr_gateway_stats *v, size_t n, const char *name,
                   const char *type, const char *help, size_t offset) {
    head(b, name, type, help);
    for (size_t i = 0; i < n; i++) {
        uint64_t value;
        memcpy(&value, (const char *)&v[i] + offset, sizeof value);
        mr_buf_fmt(b, "%s{provider=\"%s\"} %llu\n", name, v[i].provider, (unsigned long long)value);
    }
}

static void render_providers(struct mr_gateway *g, struct mr_buf *b) {
    static const struct {
        const char *name, *type, *help;
        size_t offset;
    } rows[] = {
        {"millrace_provider_requests_total", "counter", "Requests given to a provider.",
         offsetof(struct mr_gateway_stats, requests)},
        {"millrace_provider_failures_total", "counter", "Of them failed, retries included.",
         offsetof(struct mr_gateway_stats, failures)},
        {"millrace_provider_retries_total", "counter", "Further attempts.",
         offsetof(struct mr_gateway_stats, retries)},
        {"millrace_provider_in_flight", "gauge", "Requests that a provider works on.",
         offsetof(struct mr_gateway_stats, in_flight)},
        {"millrace_provider_queued", "gauge", "Requests that wait for a place.",
         offsetof(struct mr_gateway_stats, queued)},
        {"millrace_provider_breaker_open", "gauge", "1: the provider is not asked for now.",
         offsetof(struct mr_gateway_stats, breaker_open)},
    };
    struct mr_gateway_stats v[PROVIDERS_MAX];
    size_t n = mr_gateway_stats(g, v, PROVIDERS_MAX);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        series(b, v, n, rows[i].name, rows[i].type, rows[i].help, rows[i].offset);
}

void mr_stats_render_money(struct mr_core *core, struct mr_buf *b) {
    if (core->tasks)
        render_tasks(core->tasks, b);
    if (core->gateway)
        render_providers(core->gateway, b);
}
