/* A server in this process on a free loopback port, and a client that speaks raw bytes. */
#ifndef MR_HTTP_TEST_H
#define MR_HTTP_TEST_H

#include "base/clock.h"
#include "http/http.h"
#include "io/pool.h"

#include "mr_test.h"
#include "mr_wait.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <unistd.h>

#define PART_UNUSED __attribute__((unused))

struct test_app {
    atomic_int heads, requests, logs, errors;
    atomic_int last_status, gone;
    struct mr_pool *pool; /* for /later */
    atomic_ullong sunk;
    atomic_int sink_fail_after; /* bytes; 0 = never */
    atomic_int sink_sleep_ms, later_ms;
    char dir[64];
};

static PART_UNUSED int test_sink(void *ctx, const char *p, size_t n, struct mr_err *e) {
    struct test_app *a = ctx;
    (void)p;
    unsigned long long all = atomic_fetch_add(&a->sunk, n) + n;
    if (atomic_load(&a->sink_sleep_ms))
        usleep((useconds_t)atomic_load(&a->sink_sleep_ms) * 1000);
    int cap = atomic_load(&a->sink_fail_after);
    if (cap && all > (unsigned long long)cap)
        return mr_fail(e, MR_ENOSPC, "sink is full");
    return 0;
}

static PART_UNUSED enum mr_http_step test_on_head(void *ctx, struct mr_req *r) {
    struct test_app *a = ctx;
    atomic_fetch_add(&a->heads, 1);
    if (mr_str_is(r->path, "/sink")) {
        r->sink = (struct mr_body_sink){test_sink, a};
        r->body_max = SIZE_MAX / 2;
    }
    if (mr_str_is(r->path, "/small"))
        r->body_max = 10;
    if (mr_str_is(r->path, "/denied")) {
        mr_req_reply(r, 401, "text/plain", MR_LIT("denied"), true);
        return MR_HTTP_DONE;
    }
    return MR_HTTP_NEXT;
}

static PART_UNUSED struct test_app *test_app_of_later;

static PART_UNUSED void test_later(void *arg) {
    struct mr_req *r = arg;
    usleep((useconds_t)atomic_load(&test_app_of_later->later_ms) * 1000);
    if (mr_req_gone(r))
        atomic_fetch_add(&test_app_of_later->gone, 1);
    mr_req_reply(r, 200, "text/plain", r->body.n ? r->body : MR_LIT("later"), false);
    mr_req_finish(r);
}

static PART_UNUSED enum mr_http_step test_on_request(void *ctx, struct mr_req *r) {
    struct test_app *a = ctx;
    atomic_fetch_add(&a->requests, 1);
    if (mr_str_is(r->path, "/later")) {
        mr_req_header(r, "host");
        return mr_pool_submit(a->pool, test_later, r) == 0 ? MR_HTTP_LATER : MR_HTTP_DONE;
    }
    if (mr_str_starts(r->path, MR_LIT("/files/")))
        return mr_req_send_file(r, a->dir, mr_req_param(r, "path"), NULL);
    if (mr_str_is(r->path, "/sink")) {
        struct mr_buf *b = mr_req_out(r);
        mr_buf_u64(b, r->body_len);
        if (r->body_err.code)
            mr_buf_cstr(b, r->body_err.msg);
        mr_req_reply(r, r->body_err.code ? 507 : 200, "text/plain", mr_buf_view(b), true);
        return MR_HTTP_DONE;
    }
    if (mr_str_is(r->path, "/big")) {
        char *p = mr_arena_alloc(r->arena, 8 << 20);
        memset(p, 'b', 8 << 20);
        mr_req_reply(r, 200, "text/plain", mr_strn(p, 8 << 20), true);
        return MR_HTTP_DONE;
    }
    if (mr_str_is(r->path, "/silent"))
        return MR_HTTP_DONE;
    if (r->n_param) {
        mr_req_set_header(r, "X-Param", r->param[0]);
        mr_req_set_header(r, "X-Evil", MR_LIT("a\r\nSet-Cookie: b"));
    }
    struct mr_str q = mr_req_query(r, "q");
    if (q.p) {
        mr_req_reply(r, 200, "text/plain", q, true);
        return MR_HTTP_DONE;
    }
    mr_req_reply(r, 200, "text/plain", r->body.n ? r->body : MR_LIT("hello"), false);
    return MR_HTTP_DONE;
}

static PART_UNUSED void test_on_log(void *ctx, struct mr_req *r) {
    struct test_app *a = ctx;
    atomic_store(&a->last_status, r->status);
    if (r->client_gone)
        atomic_fetch_add(&a->gone, 1);
    atomic_fetch_add(&a->logs, 1);
}

static PART_UNUSED void test_render_error(void *ctx, struct mr_req *r, int status,
                                          const char *detail) {
    struct test_app *a = ctx;
    atomic_fetch_add(&a->errors, 1);
    mr_req_reply(r, status, "text/x-error", mr_str(detail), false);
}

static PART_UNUSED const struct mr_http_route test_routes[] = {
    {MR_GET, "/", NULL},           {MR_GET, "/hello", NULL},         {MR_POST, "/echo", NULL},
    {MR_PUT, "/echo", NULL},       {MR_POST, "/small", NULL},        {MR_POST, "/sink", NULL},
    {MR_POST, "/later", NULL},     {MR_GET, "/later", NULL},         {MR_POST, "/denied", NULL},
    {MR_GET, "/big", NULL},        {MR_GET, "/silent", NULL},        {MR_GET, "/item/{id}", NULL},
    {MR_GET, "/item/fixed", NULL}, {MR_GET, "/files/{path*}", NULL},
};

struct test_server {
    struct mr_http_server *s;
    struct test_app app;
    uint16_t port;
};

static PART_UNUSED void server_up(struct test_server *t, const struct mr_http_limits *lim,
                                  unsigned threads, const char *cert, const char *key) {
    struct mr_err e = {0};
    memset(t, 0, sizeof *t);
    test_app_of_later = &t->app;
    CHECK_INT(mr_pool_new(2, 1000, &t->app.pool, &e), 0);
    struct mr_http_config c = {.threads = threads,
                               .limits = lim ? *lim : mr_http_default_limits(),
                               .app = {.ctx = &t->app,
                                       .on_head = test_on_head,
                                       .on_request = test_on_request,
                                       .on_log = test_on_log,
                                       .render_error = test_render_error},
                               .routes = test_routes,
                               .n_routes = sizeof test_routes / sizeof *test_routes,
                               .tls_cert = cert,
                               .tls_key = key};
    int rc = mr_http_new(&c, &t->s, &e);
    if (rc == 0)
        rc = mr_http_listen(t->s, "127.0.0.1:0", &t->port, &e);
    if (rc == 0)
        rc = mr_http_start(t->s, &e);
    if (rc < 0) {
        fprintf(stderr, "cannot start: %s\n", e.msg);
        exit(1);
    }
}

static PART_UNUSED void server_down(struct test_server *t) {
    mr_http_free(t->s);
    mr_pool_free(t->app.pool);
}

static PART_UNUSED int dial(uint16_t port) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in sa = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    if (connect(fd, (struct sockaddr *)&sa, sizeof sa) < 0) {
        close(fd);
        return -1;
    }
    return fd;
}

static PART_UNUSED bool say(int fd, const char *p, size_t n) {
    while (n) {
        ssize_t k = send(fd, p, n, MSG_NOSIGNAL);
        if (k <= 0)
            return false;
        p += k;
        n -= (size_t)k;
    }
    return true;
}

/* What arrives until the peer closes, cap is full, or nothing came for `ms`. */
static PART_UNUSED size_t hear(int fd, char *out, size_t cap, int ms, bool *ret_closed) {
    size_t n = 0;
    *ret_closed = false;
    while (n + 1 < cap) {
        struct pollfd pfd = {fd, POLLIN, 0};
        if (poll(&pfd, 1, ms) <= 0)
            break;
        ssize_t k = recv(fd, out + n, cap - 1 - n, 0);
        if (k <= 0) {
            *ret_closed = true;
            break;
        }
        n += (size_t)k;
    }
    out[n] = 0;
    return n;
}

/* Reads one whole reply by its Content-Length; its status, or 0 when the peer closed first. */
static PART_UNUSED int hear_reply(int fd, char *out, size_t cap, bool head_only) {
    size_t n = 0;
    for (;;) {
        out[n] = 0;
        char *end = strstr(out, "\r\n\r\n");
        if (end) {
            char *cl = strstr(out, "Content-Length: ");
            size_t want = (size_t)(end + 4 - out);
            if (cl && cl < end && !head_only)
                want += strtoul(cl + 16, NULL, 10);
            if (n >= want)
                return (int)strtol(out + 9, NULL, 10);
        }
        if (n + 1 >= cap)
            return -1;
        struct pollfd pfd = {fd, POLLIN, 0};
        if (poll(&pfd, 1, MR_PATIENCE_MS) <= 0)
            return -2;
        /* byte for byte, so that nothing of a next reply is taken */
        ssize_t k = recv(fd, out + n, 1, 0);
        if (k <= 0)
            return 0;
        n += (size_t)k;
    }
}

static PART_UNUSED int ask(uint16_t port, const char *req, char *out, size_t cap) {
    int fd = dial(port);
    int status =
        say(fd, req, strlen(req)) ? hear_reply(fd, out, cap, strncmp(req, "HEAD", 4) == 0) : -3;
    close(fd);
    return status;
}

static PART_UNUSED void wait_for(atomic_int *v, int want) {
    MR_UNTIL(atomic_load(v) >= want);
    CHECK_INT(atomic_load(v), want);
}

#endif
