#include "http_test.h"

#include "base/alloc.h"

static struct test_server t;
static char out[1 << 16];

/* status 0: closed without an answer is fine too */
static const struct {
    const char *name, *req;
    int status;
} matrix[] = {
    {"bare LF request line, no version", "GET /hello\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
     400},
    {"HTTP/0.9", "GET /hello\r\n\r\n", 400},
    {"HTTP/0.9 spelled", "GET /hello HTTP/0.9\r\nHost: a\r\n\r\n", 400},
    {"HTTP/2.0", "GET /hello HTTP/2.0\r\nHost: a\r\n\r\n", 505},
    {"h2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505},
    {"HTTP/3.7", "GET /hello HTTP/3.7\r\nHost: a\r\n\r\n", 505},
    {"bare LF in header", "GET /hello HTTP/1.1\r\nHost: a\nX: y\r\n\r\n", 400},
    {"CL and TE",
     "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n"
     "0\r\n\r\n",
     400},
    {"TE and CL",
     "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n"
     "0\r\n\r\n",
     400},
    {"two CL",
     "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\nabcde", 400},
    {"two equal CL",
     "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nabcde", 400},
    {"CL list", "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5, 5\r\n\r\nabcde", 400},
    {"CL +5", "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: +5\r\n\r\nabcde", 400},
    {"CL -1", "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n", 400},
    {"CL hex", "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 0x5\r\n\r\nabcde", 400},
    {"CL overflow",
     "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\n", 400},
    {"CL empty", "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: \r\n\r\n", 400},
    {"TE xchunked",
     "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", 400},
    {"TE gzip, chunked",
     "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 400},
    {"TE twice",
     "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: "
     "chunked\r\n\r\n0\r\n\r\n",
     400},
    {"TE in 1.0", "POST /echo HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
     400},
    {"space before colon", "GET /hello HTTP/1.1\r\nHost : a\r\n\r\n", 400},
    {"no Host", "GET /hello HTTP/1.1\r\n\r\n", 400},
    {"two Hosts", "GET /hello HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400},
    {"Host with user", "GET /hello HTTP/1.1\r\nHost: a@b\r\n\r\n", 400},
    {"empty Host", "GET /hello HTTP/1.1\r\nHost:\r\n\r\n", 400},
    {"obs-fold", "GET /hello HTTP/1.1\r\nHost: a\r\n b\r\n\r\n", 400},
    {"no colon", "GET /hello HTTP/1.1\r\nHost: a\r\nfoo\r\n\r\n", 400},
    {"CR in value", "GET /hello HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n", 400},
    {"chunk ext with LF",
     "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: "
     "chunked\r\n\r\n2;\nxx\r\n{}\r\n0\r\n\r\n",
     400},
    {"chunk size with sign",
     "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n+2\r\n{}\r\n0\r\n\r\n",
     400},
    {"chunk size overflow",
     "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n{}",
     400},
    {"chunk without CRLF",
     "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}0\r\n\r\n", 400},
    {"unknown method", "FROB /hello HTTP/1.1\r\nHost: a\r\n\r\n", 400},
    {"TLS hello on a plain port", "\x16\x03\x01\x02\x05\x01\x0f\x03", 400},
    {"fragment in target", "GET /hello#x HTTP/1.1\r\nHost: a\r\n\r\n", 400},
    {"authority target", "GET a:80 HTTP/1.1\r\nHost: a\r\n\r\n", 400},
    {"other scheme", "GET ftp://a/hello HTTP/1.1\r\nHost: a\r\n\r\n", 400},
    {"broken escape in a param", "GET /item/%zz HTTP/1.1\r\nHost: a\r\n\r\n", 400},
    {"escaped NUL in a param", "GET /item/a%00b HTTP/1.1\r\nHost: a\r\n\r\n", 400},
    {"unknown expectation",
     "POST /echo HTTP/1.1\r\nHost: a\r\nExpect: tea\r\nContent-Length: "
     "1\r\n\r\nx",
     417},
};

MR_TEST(malformed_matrix) {
    for (size_t i = 0; i < sizeof matrix / sizeof *matrix; i++) {
        int got = ask(t.port, matrix[i].req, out, sizeof out);
        CHECK_INT(got, matrix[i].status);
        CHECK(strstr(out, "X-Request-Id: ") != NULL);
        if (got != matrix[i].status)
            fprintf(stderr, "row \"%s\"\n", matrix[i].name);
    }
    CHECK_INT(ask(t.port, "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n", out, sizeof out), 200);
}

MR_TEST(head_caps) {
    static char big[210000];
    int n = snprintf(big, sizeof big, "GET /hello HTTP/1.1\r\nHost: a\r\nX: ");
    memset(big + n, 'a', 200000);
    snprintf(big + n + 200000, 10, "\r\n\r\n");
    CHECK_INT(ask(t.port, big, out, sizeof out), 431);
    n = snprintf(big, sizeof big, "GET /");
    memset(big + n, 'a', 9000);
    snprintf(big + n + 9000, 100, " HTTP/1.1\r\nHost: a\r\n\r\n");
    CHECK_INT(ask(t.port, big, out, sizeof out), 414);
    n = snprintf(big, sizeof big, "GET /hello HTTP/1.1\r\nHost: a\r\n");
    for (int i = 0; i < 120; i++)
        n += snprintf(big + n, 20, "X%d: a\r\n", i);
    snprintf(big + n, 10, "\r\n");
    CHECK_INT(ask(t.port, big, out, sizeof out), 431);
    /* a head of 20 KiB is within the cap and outgrows the first buffer */
    n = snprintf(big, sizeof big, "GET /hello HTTP/1.1\r\nHost: a\r\nX: ");
    memset(big + n, 'a', 20000);
    snprintf(big + n + 20000, 10, "\r\n\r\n");
    CHECK_INT(ask(t.port, big, out, sizeof out), 200);
}

static const struct {
    const char *req;
    int status;
    const char *has, *lacks;
} good[] = {
    {"GET /hello HTTP/1.1\r\nHost: a\r\n\r\n", 200, "hello", "Connection:"},
    {"GET //hello HTTP/1.1\r\nHost: a\r\n\r\n", 200, "hello", NULL},
    {"GET /hello/ HTTP/1.1\r\nHost: a\r\n\r\n", 200, "hello", NULL},
    {"GET http://a/hello?q=x HTTP/1.1\r\nHost: a\r\n\r\n", 200, "\r\n\r\nx", NULL},
    {"GET http://a HTTP/1.1\r\nHost: a\r\n\r\n", 200, "hello", NULL},
    {"GET /hello?a=1&q=b%20c+d HTTP/1.1\r\nHost: a\r\n\r\n", 200, "\r\n\r\nb c d", NULL},
    {"HEAD /hello HTTP/1.1\r\nHost: a\r\n\r\n", 200, "Content-Length: 5\r\n", "hello"},
    {"GET /nope HTTP/1.1\r\nHost: a\r\n\r\n", 404, "text/x-error", NULL},
    {"POST /hello HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n", 405, "Allow: GET, HEAD\r\n",
     NULL},
    {"GET /echo HTTP/1.1\r\nHost: a\r\n\r\n", 405, "Allow: POST, PUT\r\n", NULL},
    {"OPTIONS /echo HTTP/1.1\r\nHost: a\r\n\r\n", 405, "Allow: POST, PUT\r\n", NULL},
    {"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc", 200, "\r\n\r\nabc", NULL},
    {"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n2\r\nab\r\n1;x=y\r\nc\r\n"
     "0\r\nT: v\r\n\r\n",
     200, "\r\n\r\nabc", NULL},
    {"GET /item/a%2Fb HTTP/1.1\r\nHost: a\r\n\r\n", 200, "X-Param: a/b\r\n", "\r\nSet-Cookie"},
    {"GET /item/fixed HTTP/1.1\r\nHost: a\r\n\r\n", 200, "hello", "X-Param"},
    {"GET /hello HTTP/1.0\r\n\r\n", 200, "Connection: close\r\n", NULL},
    {"GET /hello HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", 200, "Connection: keep-alive\r\n",
     NULL},
    {"GET /hello HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", 200, "Connection: close\r\n",
     NULL},
    {"GET /hello HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n", 200, "hello",
     NULL},
    {"GET /hello HTTP/1.1\r\nHost: a\r\nX-Request-ID: my.id_7-x\r\n\r\n", 200,
     "X-Request-Id: my.id_7-x\r\n", NULL},
    {"GET /hello HTTP/1.1\r\nHost: a\r\nX-Request-ID: bad id\r\n\r\n", 200, "X-Request-Id: req-",
     "bad id"},
    {"\r\n\r\nGET /hello HTTP/1.1\r\nHost: a\r\n\r\n", 200, "hello", NULL},
    {"GET /silent HTTP/1.1\r\nHost: a\r\n\r\n", 500, "text/x-error", NULL},
    {"CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n", 400, "text/x-error", NULL},
};

MR_TEST(well_formed) {
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        CHECK_INT(ask(t.port, good[i].req, out, sizeof out), good[i].status);
        bool has = strstr(out, good[i].has) != NULL;
        bool lacks = !good[i].lacks || !strstr(out, good[i].lacks);
        CHECK(has && lacks && strstr(out, "\r\nDate: ") && strstr(out, "\r\nX-Request-Id: "));
        if (!has || !lacks)
            fprintf(stderr, "row %zu: %s", i, out);
    }
}

MR_TEST(byte_by_byte) {
    const char *req = "POST /echo?q= HTTP/1.1\r\nHost: abc\r\nX-Request-Id: drip\r\n"
                      "Content-Length: 5\r\n\r\nhello";
    int fd = dial(t.port);
    for (size_t i = 0; req[i]; i++) {
        CHECK(say(fd, req + i, 1));
        usleep(200);
    }
    CHECK_INT(hear_reply(fd, out, sizeof out, false), 200);
    CHECK(strstr(out, "X-Request-Id: drip\r\n") != NULL);
    const char *chunked = "POST /echo HTTP/1.1\r\nHost: abc\r\nTransfer-Encoding: chunked\r\n\r\n"
                          "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n";
    for (size_t i = 0; chunked[i]; i++)
        CHECK(say(fd, chunked + i, 1));
    CHECK_INT(hear_reply(fd, out, sizeof out, false), 200);
    CHECK(strstr(out, "\r\n\r\nabcde") != NULL);
    close(fd);
}

struct send_job {
    int fd;
    char *p;
    size_t n;
};

static void *send_all(void *arg) {
    struct send_job *j = arg;
    say(j->fd, j->p, j->n);
    return NULL;
}

MR_TEST(keep_alive_and_pipelining) {
    static char many[300000];
    size_t n = 0;
    const int count = 2000;
    for (int i = 0; i < count; i++)
        n += (size_t)snprintf(many + n, sizeof many - n,
                              i % 3 ? "GET /hello?q=%d HTTP/1.1\r\nHost: a\r\n\r\n"
                                    : "POST /later HTTP/1.1\r\nHost: a\r\nContent-Length: "
                                      "6\r\n\r\n%06d",
                              i);
    int fd = dial(t.port);
    pthread_t writer;
    struct send_job job = {fd, many, n};
    CHECK_INT(pthread_create(&writer, NULL, send_all, &job), 0);
    for (int i = 0; i < count; i++) {
        char want[32];
        snprintf(want, sizeof want, i % 3 ? "\r\n\r\n%d" : "\r\n\r\n%06d", i);
        int status = hear_reply(fd, out, sizeof out, false);
        if (status != 200 || !strstr(out, want)) {
            CHECK_INT(status, 200);
            CHECK_STR(out, want);
            break;
        }
    }
    pthread_join(writer, NULL);
    close(fd);
}

/* A large body, then a request right behind it in the same segments. */
MR_TEST(next_request_behind_a_large_body) {
    static char body[120000];
    char head[200];
    memset(body, 'x', sizeof body);
    int fd = dial(t.port);
    int n = snprintf(head, sizeof head,
                     "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: %zu\r\n\r\n", sizeof body);
    static char all[130000];
    memcpy(all, head, (size_t)n);
    memcpy(all + n, body, sizeof body);
    size_t total = (size_t)n + sizeof body;
    total += (size_t)snprintf(all + total, 200,
                              "GET /hello?q=second HTTP/1.1\r\nHost: a\r\n\r\n"
                              "GET /hello?q=third HTTP/1.1\r\nHost: a\r\n\r\n");
    CHECK(say(fd, all, total));
    static char reply[140000];
    CHECK_INT(hear_reply(fd, reply, sizeof reply, false), 200);
    CHECK_INT(strspn(strstr(reply, "\r\n\r\n") + 4, "x"), sizeof body);
    CHECK_INT(hear_reply(fd, out, sizeof out, false), 200);
    CHECK(strstr(out, "\r\n\r\nsecond") != NULL);
    CHECK_INT(hear_reply(fd, out, sizeof out, false), 200);
    CHECK(strstr(out, "\r\n\r\nthird") != NULL);
    close(fd);
}

MR_TEST(expect_continue) {
    int fd = dial(t.port);
    const char *head = "POST /echo HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n"
                       "Content-Length: 3\r\n\r\n";
    CHECK(say(fd, head, strlen(head)));
    CHECK_INT(hear_reply(fd, out, sizeof out, true), 100);
    CHECK(say(fd, "abc", 3));
    CHECK_INT(hear_reply(fd, out, sizeof out, false), 200);
    /* refused before the body: no 100, and the connection ends */
    const char *denied = "POST /denied HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n"
                         "Content-Length: 3\r\n\r\n";
    CHECK(say(fd, denied, strlen(denied)));
    CHECK_INT(hear_reply(fd, out, sizeof out, false), 401);
    CHECK(strstr(out, "Connection: close\r\n") != NULL);
    close(fd);
}

MR_TEST(early_answers_and_the_rest_of_the_body) {
    static char rest[200000];
    int fd = dial(t.port);
    /* 200 KB are taken and thrown away, then the connection serves again */
    const char *head = "POST /small HTTP/1.1\r\nHost: a\r\nContent-Length: 200000\r\n\r\n";
    CHECK(say(fd, head, strlen(head)));
    CHECK(say(fd, rest, sizeof rest));
    CHECK_INT(hear_reply(fd, out, sizeof out, false), 413);
    CHECK(!strstr(out, "Connection: close"));
    CHECK(say(fd, "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n", 32));
    CHECK_INT(hear_reply(fd, out, sizeof out, false), 200);
    /* chunked: over the cap in the middle */
    const char *chunked = "POST /small HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
                          "14\r\n01234567890123456789\r\n";
    CHECK(say(fd, chunked, strlen(chunked)));
    CHECK_INT(hear_reply(fd, out, sizeof out, false), 413);
    CHECK(say(fd, "0\r\n\r\nGET /hello HTTP/1.1\r\nHost: a\r\n\r\n", 37));
    CHECK_INT(hear_reply(fd, out, sizeof out, false), 200);
    close(fd);
    /* a body beyond the bound: answered, and closed */
    fd = dial(t.port);
    head = "POST /small HTTP/1.1\r\nHost: a\r\nContent-Length: 999999999\r\n\r\n";
    CHECK(say(fd, head, strlen(head)));
    CHECK_INT(hear_reply(fd, out, sizeof out, false), 413);
    CHECK(strstr(out, "Connection: close\r\n") != NULL);
    close(fd);
}

/* A client that writes 40 MB before it reads must find the answer, not a reset. */
MR_TEST(large_refused_body_leaves_the_answer_readable) {
    static char block[1 << 20];
    static const char *const heads[] = {
        "POST /small HTTP/1.1\r\nHost: a\r\nContent-Length: 41943040\r\n\r\n",
        "POST /small HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2800000\r\n"};
    for (int k = 0; k < 2; k++) {
        int fd = dial(t.port);
        CHECK(say(fd, heads[k], strlen(heads[k])));
        bool all = true;
        for (int i = 0; i < 40 && all; i++)
            all = say(fd, block, sizeof block);
        CHECK(all);
        CHECK_INT(hear_reply(fd, out, sizeof out, false), 413);
        close(fd);
    }
}

MR_TEST(logged_exactly_once) {
    struct test_server u; /* its own: a log comes just after the client has the answer */
    server_up(&u, NULL, 1, NULL, NULL);
    CHECK_INT(ask(u.port, "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n", out, sizeof out), 200);
    wait_for(&u.app.logs, 1);
    CHECK_INT(ask(u.port, "GET /nope HTTP/1.1\r\nHost: a\r\n\r\n", out, sizeof out), 404);
    wait_for(&u.app.logs, 2);
    CHECK_INT(atomic_load(&u.app.last_status), 404);
    int fd = dial(u.port); /* hangs up in the middle of a body */
    const char *head = "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nab";
    CHECK(say(fd, head, strlen(head)));
    close(fd);
    wait_for(&u.app.logs, 3);
    CHECK_INT(atomic_load(&u.app.gone), 1);
    server_down(&u);
    CHECK_INT(atomic_load(&u.app.logs), 3);
    test_app_of_later = &t.app;
}

MR_TEST(client_gone_while_later) {
    struct test_server u;
    server_up(&u, NULL, 1, NULL, NULL);
    atomic_store(&u.app.later_ms, 100);
    int fd = dial(u.port);
    const char *req = "GET /later HTTP/1.1\r\nHost: a\r\n\r\n";
    CHECK(say(fd, req, strlen(req)));
    wait_for(&u.app.requests, 1);
    struct linger reset = {1, 0};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    close(fd);
    wait_for(&u.app.logs, 1);
    CHECK_INT(atomic_load(&u.app.gone), 2); /* seen by the worker and in the log */
    server_down(&u);
    test_app_of_later = &t.app;
}

/* A client that ends its side after the request still gets the answer. */
MR_TEST(half_closed_client) {
    static const char *const reqs[] = {"GET /hello HTTP/1.1\r\nHost: a\r\n\r\n",
                                       "GET /later HTTP/1.1\r\nHost: a\r\n\r\n"};
    for (int i = 0; i < 2; i++) {
        int fd = dial(t.port);
        bool closed;
        CHECK(say(fd, reqs[i], strlen(reqs[i])));
        CHECK_INT(shutdown(fd, SHUT_WR), 0);
        CHECK(hear(fd, out, sizeof out, 2000, &closed) > 0);
        CHECK(closed && strstr(out, "200 OK"));
        close(fd);
    }
}

MR_TEST(every_allocation_may_fail) {
    struct mr_http_config c = {.threads = 2,
                               .limits = mr_http_default_limits(),
                               .app = {.on_request = test_on_request},
                               .routes = test_routes,
                               .n_routes = sizeof test_routes / sizeof *test_routes};
    int rc = MR_ENOMEM;
    size_t n = 0;
    while (rc < 0 && n < 200) {
        struct mr_http_server *s = NULL;
        struct mr_err e = {0};
        (void)mr_alloc_fail_at(++n);
        rc = mr_http_new(&c, &s, &e);
        (void)mr_alloc_fail_at(0);
        CHECK(rc == 0 || (rc == MR_ENOMEM && !s && e.msg[0]));
        mr_http_free(s);
    }
    CHECK(n > 5 && n < 200);
}

MR_TEST(stats_add_up) {
    struct mr_http_stats s;
    mr_http_stats(t.s, &s);
    CHECK(s.requests_total >= 2000 && s.bytes_in > 100000 && s.bytes_out > 100000);
    CHECK(s.parse_errors >= 30 && s.conns_total >= 50);
    CHECK_INT(s.conns_refused, 0);
}

MR_TEST(up) {
    server_up(&t, NULL, 2, NULL, NULL);
}
MR_TEST(down) {
    server_down(&t);
}

MR_TEST_MAIN(CASE(up), CASE(malformed_matrix), CASE(head_caps), CASE(well_formed),
             CASE(byte_by_byte), CASE(keep_alive_and_pipelining),
             CASE(next_request_behind_a_large_body), CASE(expect_continue),
             CASE(early_answers_and_the_rest_of_the_body),
             CASE(large_refused_body_leaves_the_answer_readable), CASE(logged_exactly_once),
             CASE(client_gone_while_later), CASE(half_closed_client),
             CASE(every_allocation_may_fail), CASE(stats_add_up), CASE(down))
