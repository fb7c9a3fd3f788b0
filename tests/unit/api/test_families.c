/* Families on their listeners, over sockets: whose root, health and error shape a request gets, who
 * acts as the owner without a key, what proxies and foreign pages may. */
#include "api/api.h"

#include "core/accounts.h"
#include "core/usage/usage.h"
#include "mr_test.h"
#include "mr_tmp.h"
#include "wire/sse.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

static int say(struct mr_call *c, const char *text) {
    mr_req_reply(c->req, 200, "text/plain", mr_str(text), true);
    return 0;
}
static int one_root(struct mr_call *c, struct mr_err *e) {
    (void)e;
    return say(c, "one root");
}
static int two_root(struct mr_call *c, struct mr_err *e) {
    (void)e;
    return say(c, "two root");
}
static int two_health(struct mr_call *c, struct mr_err *e) {
    (void)e;
    return say(c, "two health");
}
static int who(struct mr_call *c, struct mr_err *e) {
    (void)e;
    char *p = mr_arena_fmt(c->req->arena, "%s %s %s", c->who.operator_ ? "owner" : "other",
                           c->req->peer, mr_call_base_url(c).p);
    return say(c, p);
}

/* Streams: complete on a pool thread, cut off by an error, and ended by another thread. */
static int stream(struct mr_call *c, struct mr_err *e) {
    struct mr_buf b;
    mr_buf_init(&b, 4096);
    if (mr_req_stream_start(c->req, 200, "text/event-stream"))
        return mr_fail(e, MR_ENOMEM, "no memory");
    for (int i = 0; i < 3; i++) {
        mr_sse_data(&b, MR_LIT("tick"));
        CHECK(mr_req_stream_write(c->req, mr_buf_view(&b)) >= 0);
        mr_buf_clear(&b);
    }
    mr_buf_release(&b);
    c->meter.on = true;
    c->meter.account = c->who.account;
    c->meter.deployment = c->who.account;
    c->meter.rows = 1;
    return mr_str_is(c->req->query, "cut") ? mr_fail(e, MR_EIO, "the upstream broke off") : 0;
}
static void *later_main(void *arg) {
    struct mr_err e = {0};
    struct mr_call *c = arg;
    int rc = stream(c, &e);
    mr_call_finish(c, rc ? &e : NULL);
    return NULL;
}
static int stream_later(struct mr_call *c, struct mr_err *e) {
    pthread_t t;
    if (pthread_create(&t, NULL, later_main, c))
        return mr_fail(e, MR_EUNAVAIL, "no thread");
    pthread_detach(t);
    return MR_CALL_LATER;
}

static const struct mr_row one_rows[] = {
    {.id = "root", .method = MR_GET, .path = "/", .fn = one_root, .quick = true},
    {.id = "who", .method = MR_GET, .path = "/one/who", .fn = who, .auth = MR_AUTH_REQUIRED},
    {.id = "set", .method = MR_POST, .path = "/one/who", .fn = who, .auth = MR_AUTH_REQUIRED},
};
static const size_t one_n = sizeof one_rows / sizeof *one_rows;
static const struct mr_row two_rows[] = {
    {.id = "root", .method = MR_GET, .path = "/", .fn = two_root, .quick = true},
    {.id = "health", .method = MR_GET, .path = "/health", .fn = two_health, .quick = true},
    {.id = "who", .method = MR_GET, .path = "/two/who", .fn = who, .auth = MR_AUTH_REQUIRED},
    {.id = "set", .method = MR_POST, .path = "/two/who", .fn = who, .auth = MR_AUTH_REQUIRED},
    {.id = "stream",
     .method = MR_GET,
     .path = "/two/stream",
     .fn = stream,
     .auth = MR_AUTH_REQUIRED},
    {.id = "later",
     .method = MR_GET,
     .path = "/two/later",
     .fn = stream_later,
     .auth = MR_AUTH_REQUIRED,
     .quick = true},
};
static const size_t two_n = sizeof two_rows / sizeof *two_rows;

static void error_as(struct mr_req *r, const char *name, int status, const struct mr_err *e) {
    if (!status)
        status = e->code == MR_EUNAUTH ? 401 : e->code == MR_EFORBIDDEN ? 403 : 500;
    char *p = mr_arena_fmt(r->arena, "error of %s", name);
    mr_req_reply(r, status, "text/plain", mr_str(p), true);
}
static void one_error(struct mr_api *a, struct mr_req *r, int status, const struct mr_err *e) {
    (void)a;
    error_as(r, "one", status, e);
}
static void two_error(struct mr_api *a, struct mr_req *r, int status, const struct mr_err *e) {
    (void)a;
    error_as(r, "two", status, e);
}

#define LIMITS                                                                                     \
    {                                                                                              \
        [MR_RATE_GENERAL] = { 1000, 60 }                                                           \
    }
static const char *const two_prefixes[] = {"/two", "/more/two", NULL};
static const char *const one_prefixes[] = {"/more", NULL};
static const struct mr_family one = {.name = "one",
                                     .rows = one_rows,
                                     .n_rows = &one_n,
                                     .render_error = one_error,
                                     .limits = LIMITS,
                                     .prefixes = one_prefixes};
static const struct mr_family two = {.name = "two",
                                     .rows = two_rows,
                                     .n_rows = &two_n,
                                     .render_error = two_error,
                                     .limits = LIMITS,
                                     .prefixes = two_prefixes,
                                     .keyless_owner = true};
static const struct mr_family *const families[] = {&one, &two, NULL};

static struct mr_tmp tmp;
static struct mr_core core;
static struct mr_api *api;
static uint16_t main_port, two_port;

static void must(int rc, const struct mr_err *e) {
    if (rc) {
        fprintf(stderr, "cannot start: %s\n", e->msg);
        exit(2);
    }
}

/* Settings as "key=value" pairs, ended by NULL. */
static void up(const char *const *settings) {
    static struct mr_config cfg;
    struct mr_err e = {0};
    mr_tmp_make(&tmp);
    mr_config_release(&cfg);
    mr_config_defaults(&cfg);
    for (; settings && *settings; settings++) {
        struct mr_str value = mr_str(*settings), key = mr_str_cut(&value, '=');
        must(mr_config_set(&cfg, key, value, true, &e), &e);
    }
    core = (struct mr_core){.log = {.fd = -1, .level = MR_LOG_ERROR}};
    struct mr_db_config dc = {.path = ":memory:"};
    must(mr_db_open(&dc, &core.db, &e), &e);
    struct mr_accounts_config ac = {.db = core.db, .data_dir = tmp.dir};
    must(mr_accounts_open(&ac, &core.accounts, &e), &e);
    must(mr_limits_new(64, &core.limits, &e), &e);
    must(mr_pool_new(2, 64, &core.pool, &e), &e);
    struct mr_usage_config uc = {.db = core.db, .data_dir = tmp.dir, .log = &core.log};
    must(mr_usage_open(&uc, &core.usage, &e), &e);
    must(mr_api_new(&core, families, &api, &e), &e);
    must(mr_edge_init(&api->edge, &cfg, &e), &e);
    struct mr_http_config hc = {.threads = 1,
                                .limits = mr_http_default_limits(),
                                .app = mr_api_app(api),
                                .routes = api->routes,
                                .n_routes = api->n_routes};
    must(mr_http_new(&hc, &core.http, &e), &e);
    must(mr_http_listen(core.http, "127.0.0.1:0", &main_port, &e), &e);
    must(mr_http_listen(core.http, "127.0.0.1:0", &two_port, &e), &e);
    must(mr_api_pin(api, 1, MR_LIT("two"), &e), &e);
    must(mr_http_start(core.http, &e), &e);
}

static void down(void) {
    mr_http_drain(core.http);
    mr_pool_free(core.pool);
    mr_http_free(core.http);
    mr_api_free(api);
    mr_usage_free(core.usage);
    mr_limits_free(core.limits);
    mr_accounts_free(core.accounts);
    mr_db_close(core.db);
    mr_tmp_remove(&tmp);
}

static char reply[8192];

/* Status of "METHOD target" with more header lines ("A: b\r\n"); the reply is in `reply`. */
static int ask(uint16_t port, const char *line, const char *host, const char *headers) {
    char req[2048];
    struct sockaddr_in sa = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int n = snprintf(req, sizeof req, "%s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n%s\r\n",
                     line, host, headers);
    size_t got = 0;
    ssize_t k;
    if (connect(fd, (struct sockaddr *)&sa, sizeof sa) || send(fd, req, (size_t)n, 0) != n)
        exit(2);
    while ((k = recv(fd, reply + got, sizeof reply - 1 - got, 0)) > 0)
        got += (size_t)k;
    reply[got] = 0;
    close(fd);
    return got > 12 ? (int)strtol(reply + 9, NULL, 10) : 0;
}

static const char *body(void) {
    const char *p = strstr(reply, "\r\n\r\n");
    return p ? p + 4 : "";
}

MR_TEST(a_listener_speaks_its_familys_words) {
    up(NULL);
    CHECK_INT(ask(main_port, "GET /", "localhost", ""), 200);
    CHECK_STR(body(), "one root");
    CHECK_INT(ask(two_port, "GET /", "localhost", ""), 200);
    CHECK_STR(body(), "two root");
    CHECK_INT(ask(two_port, "HEAD /", "localhost", ""), 200);
    CHECK_INT(ask(main_port, "GET /health", "localhost", ""), 200); /* nobody else's path */
    CHECK_STR(body(), "two health");
    CHECK_INT(ask(two_port, "GET /nothing", "localhost", ""), 404);
    CHECK_STR(body(), "error of two");
    CHECK_INT(ask(two_port, "DELETE /one/who", "localhost", ""), 405);
    CHECK_STR(body(), "error of two");
    CHECK_INT(ask(two_port, "GET /one/who", "localhost", ""), 401); /* a row explains itself */
    CHECK_STR(body(), "error of one");
    struct mr_err e = {0};
    CHECK_INT(mr_api_pin(api, 0, MR_LIT("three"), &e), MR_EFIELD);
    CHECK_STR(e.msg, "listen: there is no family 'three'; there are: one, two");
    down();
}

MR_TEST(errors_before_routing_take_the_prefixs_shape) {
    static const struct {
        const char *target, *want;
    } rows[] = {{"GET /two/nothing", "error of two"},   {"GET /twofold", "error of one"},
                {"GET /more/two/x", "error of two"},    {"GET /more/x", "error of one"},
                {"GET /nothing", "error of one"},       {"DELETE /two/who", "error of two"},
                {"GET //two//nothing", "error of two"}, {"GET /two", "error of two"},
                {"GET /two/%zz/who?x", "error of two"}};
    up(NULL);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        CHECK(ask(main_port, rows[i].target, "localhost", "") >= 400);
        CHECK_STR(body(), rows[i].want);
        CHECK(strstr(reply, "X-RateLimit-Remaining: 1000\r\n") != NULL);
    }
    down();
}

MR_TEST(without_a_key) {
    static const struct {
        const char *line, *host, *headers;
        int want;
    } rows[] = {
        {"GET /two/who", "localhost:1", "", 200},
        {"POST /two/who", "127.0.0.1", "Content-Length: 0\r\n", 200},
        {"GET /one/who", "localhost:1", "", 401},
        {"GET /two/who", "example.com", "", 401},
        {"GET /two/who", "localhost", "X-Forwarded-For: 127.0.0.1\r\n", 401},
        {"GET /two/who", "localhost", "X-Forwarded-Anything: 1\r\n", 401},
        {"GET /two/who", "localhost", "FORWARDED: for=127.0.0.1\r\n", 401},
        {"GET /two/who", "localhost", "Via: 1.1 x\r\n", 401},
        {"GET /two/who", "localhost:7", "Origin: http://localhost:7\r\n", 200},
        {"GET /two/who", "localhost:7", "Origin: http://localhost:8\r\n", 401},
        {"POST /two/who", "localhost:7", "Content-Length: 0\r\nOrigin: http://localhost:8\r\n",
         403},
        {"GET /two/who", "localhost", "Authorization: Bearer wrong\r\n", 401},
        {"GET /two/who", "localhost", "Sec-Fetch-Site: cross-site\r\n", 401},
    };
    up(NULL);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        int got = ask(two_port, rows[i].line, rows[i].host, rows[i].headers);
        if (got != rows[i].want)
            fprintf(stderr, "row %zu: %s\n", i, reply);
        CHECK_INT(got, rows[i].want);
        if (got == 200)
            CHECK(mr_str_starts(mr_str(body()), MR_LIT("owner 127.0.0.1 ")));
        CHECK(strstr(reply, "Access-Control") == NULL);
    }
    down();
    static const char *const open_all[] = {"open=true", NULL};
    up(open_all);
    CHECK_INT(ask(two_port, "GET /two/who", "example.com", "X-Forwarded-For: 192.0.2.1\r\n"), 200);
    CHECK_INT(ask(two_port, "GET /one/who", "example.com", ""), 401);
    down();
}

static int with_key(const char *line, const char *headers) {
    char all[1024];
    snprintf(all, sizeof all, "Authorization: Bearer %s\r\n%s",
             mr_accounts_owner_key(core.accounts).p, headers);
    return ask(main_port, line, "inner:8080", all);
}

MR_TEST(proxies) {
    static const char *const trusted[] = {"trusted_proxies=127.0.0.0/8", NULL};
    up(NULL); /* nobody is trusted: forwarded headers are just text */
    CHECK_INT(with_key("GET /one/who", "X-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Host: h\r\n"),
              200);
    CHECK_STR(body(), "owner 127.0.0.1 http://inner:8080");
    down();
    up(trusted);
    CHECK_INT(with_key("GET /one/who",
                       "X-Forwarded-For: 203.0.113.9, 192.0.2.1\r\nX-Forwarded-Proto: https\r\n"
                       "X-Forwarded-Host: api.example\r\n"),
              200);
    CHECK_STR(body(), "owner 192.0.2.1 https://api.example");
    /* the client's own line comes first, the proxy's last; listed proxies are passed over */
    CHECK_INT(with_key("GET /one/who",
                       "X-Forwarded-For: 203.0.113.9\r\nX-Forwarded-For: [2001:db8::7]:99, "
                       "127.0.0.3\r\n"),
              200);
    CHECK_STR(body(), "owner 2001:db8::7 http://inner:8080");
    CHECK_INT(with_key("GET /one/who", "X-Forwarded-For: 198.51.100.1, junk\r\n"), 200);
    CHECK_STR(body(), "owner 127.0.0.1 http://inner:8080");
    /* whatever it says, a proxy is no local user */
    CHECK_INT(ask(two_port, "GET /two/who", "localhost", ""), 401);
    CHECK_INT(ask(two_port, "GET /two/who", "localhost", "X-Forwarded-For: 127.0.0.1\r\n"), 401);
    down();
}

MR_TEST(cross_origin) {
    static const char *const listed[] = {"cors_origin=https://app.example", NULL};
    static const char good[] = "Origin: https://app.example\r\n",
                      pre[] = "Origin: https://app.example\r\n"
                              "Access-Control-Request-Method: POST\r\n";
    up(listed);
    CHECK_INT(ask(main_port, "OPTIONS /one/who", "h", pre), 204);
    CHECK(strstr(reply, "Access-Control-Allow-Origin: https://app.example\r\n") != NULL);
    CHECK(strstr(reply, "Access-Control-Allow-Methods: GET, HEAD, POST\r\n") != NULL);
    CHECK(strstr(reply, "Authorization, Content-Type, X-API-Key, Idempotency-Key") != NULL);
    CHECK(strstr(reply, "Access-Control-Max-Age: ") != NULL);
    CHECK(strstr(reply, "Access-Control-Allow-Credentials: true\r\n") != NULL);
    CHECK(strstr(reply, "Vary: Origin\r\n") != NULL);
    CHECK_INT(ask(main_port, "OPTIONS /nothing", "h", pre), 404);
    CHECK_INT(ask(main_port, "OPTIONS /one/who", "h", good), 405); /* no preflight */
    CHECK_INT(ask(main_port, "OPTIONS /one/who", "h",
                  "Origin: https://evil.example\r\nAccess-Control-Request-Method: POST\r\n"),
              405);
    CHECK(strstr(reply, "Access-Control") == NULL);
    CHECK(strstr(reply, "Vary: Origin\r\n") != NULL);
    CHECK_INT(ask(main_port, "GET /one/who", "h", good), 401); /* errors are readable too */
    CHECK(strstr(reply, "Access-Control-Allow-Origin: https://app.example\r\n") != NULL);
    CHECK(strstr(reply, "Access-Control-Expose-Headers: X-Request-Id, X-RateLimit-Limit") != NULL);
    CHECK_INT(with_key("POST /one/who", "Content-Length: 0\r\nOrigin: https://app.example\r\n"),
              200);
    CHECK_INT(with_key("POST /one/who", "Content-Length: 0\r\nOrigin: https://evil.example\r\n"),
              403);
    CHECK_INT(with_key("POST /one/who", "Content-Length: 0\r\nOrigin: null\r\n"), 403);
    CHECK_INT(with_key("POST /one/who", "Content-Length: 0\r\n"), 200);
    down();
    up(NULL);
    CHECK_INT(ask(main_port, "OPTIONS /one/who", "h", pre), 405);
    CHECK(strstr(reply, "Vary") == NULL && strstr(reply, "Access-Control") == NULL);
    down();
}

static uint64_t metered(void) {
    struct mr_usage_totals t = {0};
    struct mr_principal owner;
    struct mr_err e = {0};
    mr_accounts_operator(core.accounts, &owner);
    CHECK_INT(mr_usage_account_totals(core.usage, owner.account, &t, &e), 0);
    return t.requests;
}

MR_TEST(streams_are_metered_before_they_end) {
    static const char ticks[] = "data: tick\n\n", end[] = "\r\n0\r\n\r\n";
    static const char *const whole[] = {"GET /two/stream", "GET /two/later"},
                             *const cut[] = {"GET /two/stream?cut", "GET /two/later?cut"};
    up(NULL);
    for (size_t i = 0; i < 2; i++) {
        CHECK_INT(ask(two_port, whole[i], "localhost", ""), 200);
        CHECK_INT(metered(), 2 * i + 1);
        CHECK(strstr(body(), ticks) != NULL);
        CHECK(strstr(reply, "X-RateLimit-Remaining: ") != NULL);
        size_t n = strlen(body());
        CHECK(n > sizeof end && !strcmp(body() + n - (sizeof end - 1), end));
        CHECK_INT(ask(two_port, cut[i], "localhost", ""), 200);
        CHECK_INT(metered(), 2 * i + 2); /* what was delivered counts, as an error */
        CHECK(strstr(body(), ticks) != NULL);
        CHECK(strstr(body(), end) == NULL);
    }
    down();
}

MR_TEST_MAIN(CASE(a_listener_speaks_its_familys_words),
             CASE(errors_before_routing_take_the_prefixs_shape), CASE(without_a_key), CASE(proxies),
             CASE(cross_origin), CASE(streams_are_metered_before_they_end))
