/* Wiring: settings -> parts -> server; SIGTERM drains. */
#include "api/access_log.h"
#include "api/api.h"
#include "api/families.h"
#include "base/clock.h"
#include "cli/cli.h"
#include "cli/serve_ai.h"
#include "cli/serve_money.h"
#include "cli/serve_ops.h"
#include "core/core.h"
#include "core/events/events.h"
#include "core/usage/infer_stats.h"
#include "core/usage/usage.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

struct server {
    struct mr_config cfg;
    struct mr_core core;
    struct mr_api *api;
    char self[4096];
    struct mr_buf targets;      /* webhook_allow_targets as one text */
    char addr[MR_LIST_MAX][80]; /* as bound, with the real port */
    int lock_fd;
};

static int log_format(const char *name, int fd) {
    if (!strcmp(name, "text") || (!strcmp(name, "auto") && isatty(fd)))
        return MR_LOG_TEXT;
    return MR_LOG_JSON;
}

static int log_level(const char *name) {
    static const char *const names[] = {"debug", "info", "warn", "error"};
    for (int i = 0; i < 4; i++)
        if (!strcmp(name, names[i]))
            return i;
    return MR_LOG_INFO;
}

static int open_log(const struct mr_config *c, struct mr_log *log, struct mr_err *e) {
    int fd = STDERR_FILENO;
    if (*c->log_file)
        fd = open(c->log_file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (fd < 0)
        return mr_fail_errno(e, c->log_file);
    *log = (struct mr_log){.fd = fd,
                           .level = (enum mr_log_level)log_level(c->log_level),
                           .format = (enum mr_log_format)log_format(c->log_format, fd)};
    return 0;
}

/* One server a data dir: two would fold the same metering records. */
static int lock_data_dir(struct server *s, struct mr_err *e) {
    char path[4200];
    if (mkdir(s->cfg.data_dir, 0700) && errno != EEXIST)
        return mr_fail_errno(e, s->cfg.data_dir);
    snprintf(path, sizeof path, "%s/lock", s->cfg.data_dir);
    s->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (s->lock_fd < 0)
        return mr_fail_errno(e, path);
    if (flock(s->lock_fd, LOCK_EX | LOCK_NB))
        return mr_fail(e, MR_ECONFLICT, "another millrace already serves from %s", s->cfg.data_dir);
    return 0;
}

static bool loopback_only(const struct mr_config *c) {
    for (size_t i = 0; i < c->listen.n; i++) {
        struct mr_str a = mr_str(c->listen.item[i]);
        if (!mr_str_starts(a, MR_LIT("127.")) && !mr_str_starts(a, MR_LIT("[::1]")) &&
            !mr_str_starts(a, MR_LIT("localhost:")))
            return false;
    }
    return true;
}

static int open_store(struct server *s, struct mr_err *e) {
    char path[4200];
    struct mr_core *core = &s->core;
    snprintf(path, sizeof path, "%s/millrace.db", s->cfg.data_dir);
    struct mr_db_config dc = {.path = path};
    int rc = mr_db_open(&dc, &core->db, e);
    snprintf(path, sizeof path, "%s/blobs", s->cfg.data_dir);
    if (!rc)
        rc = mr_blobs_open_fs(path, &core->blobs, e);
    return rc;
}

/* "a,b", or NULL when there is none. */
static const char *join_targets(struct server *s) {
    const struct mr_strings *list = &s->cfg.webhook_allow_targets;
    mr_buf_init(&s->targets, 65536);
    for (size_t i = 0; i < list->n; i++)
        mr_buf_fmt(&s->targets, "%s%s", i ? "," : "", list->item[i]);
    mr_buf_char(&s->targets, 0);
    return list->n && mr_buf_ok(&s->targets) ? s->targets.p : NULL;
}

static int open_core(struct server *s, struct mr_err *e) {
    struct mr_core *core = &s->core;
    const struct mr_config *c = &s->cfg;
    struct mr_accounts_config ac = {.db = core->db,
                                    .data_dir = c->data_dir,
                                    .owner_key =
                                        *c->owner_key ? mr_str(c->owner_key) : mr_strn(NULL, 0),
                                    .token_ttl_s = c->token_ttl_s};
    struct mr_usage_config uc = {
        .db = core->db, .data_dir = c->data_dir, .log = &core->log, .sync = c->metering_sync};
    struct mr_events_config ec = {.db = core->db,
                                  .log = &core->log,
                                  .allow_loopback = loopback_only(c),
                                  .allow_targets = join_targets(s)};
    int rc = mr_pool_new((unsigned)c->pool_threads, 4096, &core->pool, e);
    if (!rc)
        rc = mr_limits_new(65536, &core->limits, e);
    if (!rc)
        rc = mr_accounts_open(&ac, &core->accounts, e);
    if (!rc)
        rc = mr_usage_open(&uc, &core->usage, e);
    if (!rc)
        rc = mr_infer_stats_new(&core->infer_stats, e);
    if (!rc)
        rc = mr_events_open(&ec, &core->events, e);
    struct mr_deployments_config pc = {.db = core->db,
                                       .blobs = core->blobs,
                                       .events = core->events,
                                       .log = &core->log,
                                       .self_exe = s->self,
                                       .model_cache_max = (uint64_t)c->model_cache_mb << 20,
                                       .idle_unload_s = c->idle_unload_s};
    if (!rc)
        rc = mr_deployments_open(&pc, &core->deployments, e);
    if (!rc)
        rc = mr_access_log_open(&core->log, &core->access_log, e);
    if (!rc)
        rc = mr_serve_money_open(core, c, e);
    return rc ? rc : mr_serve_ai_open(core, c, e);
}

static int listen_all(struct server *s, struct mr_err *e) {
    for (size_t i = 0; i < s->cfg.listen.n; i++) {
        char text[128];
        struct mr_str family = mr_str(s->cfg.listen.item[i]);
        struct mr_str addr = mr_str_cut(&family, '=');
        uint16_t port;
        snprintf(text, sizeof text, "%.*s", (int)(addr.n > 120 ? 120 : addr.n), addr.p);
        int rc = mr_http_listen(s->core.http, text, &port, e);
        if (!rc && family.p)
            rc = mr_api_pin(s->api, i, family, e);
        if (rc)
            return rc;
        const char *colon = strrchr(text, ':');
        int host = colon ? (int)(colon - text) : (int)strlen(text);
        snprintf(s->addr[i], sizeof s->addr[i], "%.*s:%u", host > 64 ? 64 : host, text, port);
    }
    return 0;
}

static int open_http(struct server *s, struct mr_err *e) {
    const struct mr_config *c = &s->cfg;
    int rc = mr_api_new(&s->core, mr_families, &s->api, e);
    if (!rc)
        rc = mr_edge_init(&s->api->edge, c, e);
    if (rc)
        return rc;
    struct mr_http_config hc = {.threads = (unsigned)c->threads,
                                .limits = mr_http_default_limits(),
                                .app = mr_api_app(s->api),
                                .routes = s->api->routes,
                                .n_routes = s->api->n_routes,
                                .tls_cert = *c->tls_cert ? c->tls_cert : NULL,
                                .tls_key = *c->tls_key ? c->tls_key : NULL,
                                .log = &s->core.log};
    hc.limits.head_max = (size_t)c->header_max;
    hc.limits.head_ms = c->header_timeout_ms;
    hc.limits.idle_ms = c->idle_timeout_ms;
    hc.limits.write_ms = c->write_timeout_ms;
    hc.limits.drain_ms = c->drain_timeout_ms;
    hc.limits.body_min_rate = (unsigned)c->body_min_rate;
    hc.limits.conns_max = (unsigned)c->conns_max;
    hc.limits.conns_per_ip = (unsigned)c->conns_per_ip;
    rc = mr_http_new(&hc, &s->core.http, e);
    if (!rc)
        rc = listen_all(s, e);
    if (!rc)
        rc = mr_http_start(s->core.http, e);
    return rc;
}

static void greet(const struct server *s) {
    const char *scheme = *s->cfg.tls_cert ? "https" : "http";
    struct mr_str key = mr_accounts_owner_key(s->core.accounts);
    /* Keys and addresses go to standard output, once; the log never sees a secret. */
    printf("millrace " MR_VERSION " serves on %s://%s  (data in %s)\n", scheme, s->addr[0],
           s->cfg.data_dir);
    for (size_t i = 1; i < s->cfg.listen.n; i++) {
        const char *family = strchr(s->cfg.listen.item[i], '=');
        printf("                also on %s://%s%s%s\n", scheme, s->addr[i], family ? " for " : "",
               family ? family + 1 : "");
    }
    if (s->cfg.open)
        printf(
            "WARNING:        --open: whoever reaches these addresses acts as the owner without a "
            "key\n");
    printf("API key:        %.*s\n", (int)key.n, key.p);
    printf("Documentation:  %s://%s/docs\n", scheme, s->addr[0]);
    printf("Dashboard:      %s://%s/dashboard\n", scheme, s->addr[0]);
    printf("Try it:         curl -H 'Authorization: Bearer %.*s' %s://%s/api/v1/deployments\n",
           (int)key.n, key.p, scheme, s->addr[0]);
    printf("Deploy a model: curl -H 'Authorization: Bearer %.*s' -F model_file=@model.pkl "
           "%s://%s/api/v1/deploy\n",
           (int)key.n, key.p, scheme, s->addr[0]);
    fflush(stdout);
}

/* The signals that end the server are blocked in every thread and taken here. */
static void wait_for_signal(void) {
    sigset_t set;
    int sig;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigwait(&set, &sig);
}

static void block_signals(void) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
}

static void raise_fd_limit(void) {
    struct rlimit r;
    if (!getrlimit(RLIMIT_NOFILE, &r) && r.rlim_cur < r.rlim_max) {
        r.rlim_cur = r.rlim_max > 65536 ? 65536 : r.rlim_max;
        setrlimit(RLIMIT_NOFILE, &r);
    }
}

static void close_all(struct server *s) {
    struct mr_core *core = &s->core;
    /* A handler that has just given its request back may still be inside the loop's wake-up: the
     * pool ends before the loops are freed. */
    if (core->http)
        mr_http_drain(core->http);
    mr_pool_free(core->pool);
    mr_serve_ai_close(core);
    mr_serve_money_close(core); /* its last tasks answer requests */
    mr_http_free(core->http);
    mr_deployments_free(core->deployments);
    mr_usage_free(core->usage);
    mr_infer_stats_free(core->infer_stats);
    mr_events_free(core->events);
    mr_access_log_close(core->access_log);
    mr_accounts_free(core->accounts);
    mr_limits_free(core->limits);
    mr_api_free(s->api);
    mr_blobs_free(core->blobs);
    mr_db_close(core->db);
    if (s->lock_fd >= 0)
        close(s->lock_fd);
    mr_buf_release(&s->targets);
    mr_config_release(&s->cfg);
}

static int start(struct server *s, struct mr_err *e) {
    ssize_t n = readlink("/proc/self/exe", s->self, sizeof s->self - 1);
    if (n <= 0)
        return mr_fail_errno(e, "/proc/self/exe");
    int rc = lock_data_dir(s, e);
    if (!rc)
        rc = open_store(s, e);
    if (!rc)
        rc = open_core(s, e);
    if (!rc)
        rc = open_http(s, e);
    return rc;
}

int mr_cli_serve(int argc, char **argv) {
    struct server s = {.lock_fd = -1};
    struct mr_err e = {0};
    int status = 1;
    if (mr_cli_load_config(argc, argv, "serve", &s.cfg, &status)) {
        mr_config_release(&s.cfg);
        return status;
    }
    int rc = open_log(&s.cfg, &s.core.log, &e);
    if (!rc)
        rc = mr_serve_log_open(&s.core, &e);
    s.core.data_dir = s.cfg.data_dir;
    s.core.public_url = *s.cfg.public_url ? mr_str(s.cfg.public_url) : mr_strn(NULL, 0);
    s.core.rate_limits_off = !s.cfg.rate_limits;
    s.core.metering_sync = s.cfg.metering_sync;
    s.core.started_us = mr_now_us();
    s.core.prices = (struct mr_prices){s.cfg.price_compute_hour, s.cfg.price_storage_gb_month,
                                       s.cfg.price_network_gb};
    block_signals();
    raise_fd_limit();
    if (!rc)
        rc = start(&s, &e);
    if (rc)
        fprintf(stderr, "millrace: %s\n", e.msg);
    else {
        greet(&s);
        mr_log_msg(&s.core.log, MR_LOG_INFO, "start", "serving on %s", s.addr[0]);
        if (s.cfg.open)
            mr_log_msg(&s.core.log, MR_LOG_WARN, "open",
                       "--open: requests without a key act as the owner, from any address");
        wait_for_signal();
        mr_log_msg(&s.core.log, MR_LOG_INFO, "stop", "draining");
        mr_http_drain(s.core.http);
    }
    close_all(&s);
    mr_serve_log_close(&s.core);
    if (s.core.log.fd > STDERR_FILENO)
        close(s.core.log.fd);
    return rc ? 1 : 0;
}
