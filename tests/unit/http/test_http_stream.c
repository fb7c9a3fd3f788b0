/* Streamed replies over sockets: framing, back-pressure, leaving clients, deadlines, the drain. */
#include "base/clock.h"
#include "http_test.h"
#include "tls_cert.h"

#include <netinet/tcp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <semaphore.h>

/* What a producer does is written by the test into this script, one stream at a time. */
static struct script {
    sem_t go;             /* each post lets a stepping producer write once */
    atomic_int steps;     /* writes made */
    atomic_int ended;     /* producers that have finished */
    atomic_int gone_seen; /* producers that saw mr_req_gone without writing */
    atomic_int last_rc;   /* of the last write */
    atomic_llong high;    /* most bytes ever queued */
    atomic_llong logged_len;
    atomic_int logs, logged_gone, logged_status;
    atomic_int blocked; /* the loop is held until the test takes this back */
    long long total;    /* flood: bytes to write */
    bool abort, dont_wait;
} sc;
static struct mr_http_server *server;
static struct mr_pool *pool;
static uint16_t port;

static void producer_ends(struct mr_req *r) {
    mr_req_finish(r);
    atomic_fetch_add(&sc.ended, 1);
}

/* "event N" at every post of `go`, until the client is gone or "bye" (a negative count). */
static void step_producer(void *arg) {
    struct mr_req *r = arg;
    struct mr_str q = mr_req_query(r, "n");
    int64_t n = 3;
    (void)mr_str_i64(q, 0, 1000, &n);
    mr_req_set_header(r, "X-RateLimit-Limit", MR_LIT("9"));
    CHECK_INT(mr_req_stream_start(r, 200, "text/event-stream"), 0);
    CHECK(mr_req_streaming(r));
    CHECK_INT(mr_req_stream_start(r, 200, "text/event-stream"), MR_EINTERNAL);
    mr_req_reply(r, 500, "text/plain", MR_LIT("too late"), true);
    for (int64_t i = 0; i < n; i++) {
        char text[32];
        if (!sc.dont_wait)
            sem_wait(&sc.go);
        int k = snprintf(text, sizeof text, "event %d;", (int)i);
        ptrdiff_t rc = mr_req_stream_write(r, mr_strn(text, (size_t)k));
        atomic_store(&sc.last_rc, (int)rc);
        atomic_fetch_add(&sc.steps, 1);
    }
    if (sc.abort)
        mr_req_stream_abort(r);
    producer_ends(r);
}

/* Writes sc.total bytes as fast as it may, waiting whenever it is told to. */
static void flood_producer(void *arg) {
    struct mr_req *r = arg;
    static char block[65536];
    CHECK_INT(mr_req_stream_start(r, 200, "application/octet-stream"), 0);
    memset(block, 'f', sizeof block);
    for (long long left = sc.total; left > 0;) {
        size_t n = left < (long long)sizeof block ? (size_t)left : sizeof block;
        ptrdiff_t rc = mr_req_stream_write(r, mr_strn(block, n));
        if (rc == MR_EUNAVAIL) {
            atomic_fetch_add(&sc.steps, 1); /* times it was told to wait */
            int w = mr_req_stream_wait(r, MR_STREAM_LOW, 20000);
            if (w < 0) {
                atomic_store(&sc.last_rc, w);
                break;
            }
            continue;
        }
        if (rc < 0) {
            atomic_store(&sc.last_rc, (int)rc);
            break;
        }
        if (rc > atomic_load(&sc.high))
            atomic_store(&sc.high, rc);
        left -= (long long)n;
    }
    producer_ends(r);
}

/* Says one word, then nothing, until the client is gone. */
static void quiet_producer(void *arg) {
    struct mr_req *r = arg;
    CHECK_INT(mr_req_stream_start(r, 200, "text/plain"), 0);
    ptrdiff_t rc = mr_req_stream_write(r, MR_LIT("hi"));
    CHECK(rc >= 0 || rc == MR_ECANCELLED);
    MR_UNTIL(mr_req_gone(r));
    if (mr_req_gone(r))
        atomic_fetch_add(&sc.gone_seen, 1);
    usleep(20000);
    CHECK_INT(mr_req_stream_write(r, MR_LIT("anyone?")), MR_ECANCELLED);
    CHECK_INT(mr_req_stream_wait(r, 0, 1000), MR_ECANCELLED);
    producer_ends(r);
}

static void empty_producer(void *arg) {
    struct mr_req *r = arg;
    CHECK_INT(mr_req_stream_start(r, 204, NULL), 0);
    CHECK_INT(mr_req_stream_write(r, MR_LIT("no body here")), 0);
    producer_ends(r);
}

static enum mr_http_step on_request(void *ctx, struct mr_req *r) {
    void (*fn)(void *) = mr_str_is(r->path, "/step")    ? step_producer
                         : mr_str_is(r->path, "/flood") ? flood_producer
                         : mr_str_is(r->path, "/quiet") ? quiet_producer
                         : mr_str_is(r->path, "/empty") ? empty_producer
                                                        : NULL;
    (void)ctx;
    if (fn)
        return mr_pool_submit(pool, fn, r) == 0 ? MR_HTTP_LATER : MR_HTTP_DONE;
    if (mr_str_is(r->path, "/block")) { /* holds the loop, so that writes pile up */
        atomic_store(&sc.blocked, 1);
        MR_UNTIL(!atomic_load(&sc.blocked));
    }
    mr_req_reply(r, 200, "text/plain", MR_LIT("hello"), true);
    return MR_HTTP_DONE;
}

static void on_log(void *ctx, struct mr_req *r) {
    (void)ctx;
    atomic_store(&sc.logged_len, (long long)r->reply_len);
    atomic_store(&sc.logged_status, r->status);
    if (r->client_gone)
        atomic_fetch_add(&sc.logged_gone, 1);
    atomic_fetch_add(&sc.logs, 1);
}

static const struct mr_http_route routes[] = {
    {MR_GET, "/step", NULL},  {MR_GET, "/flood", NULL}, {MR_GET, "/quiet", NULL},
    {MR_GET, "/empty", NULL}, {MR_GET, "/block", NULL}, {MR_GET, "/hello", NULL},
};

static void up_with(struct mr_http_limits lim, const char *cert, const char *key) {
    struct mr_err e = {0};
    sc = (struct script){.total = 0};
    sem_init(&sc.go, 0, 0);
    struct mr_http_config c = {.threads = 1,
                               .limits = lim,
                               .app = {.on_request = on_request, .on_log = on_log},
                               .routes = routes,
                               .n_routes = sizeof routes / sizeof *routes,
                               .tls_cert = cert,
                               .tls_key = key};
    if (mr_pool_new(4, 100, &pool, &e) || mr_http_new(&c, &server, &e) ||
        mr_http_listen(server, "127.0.0.1:0", &port, &e) || mr_http_start(server, &e)) {
        fprintf(stderr, "cannot start: %s\n", e.msg);
        exit(2);
    }
}
static void up(void) {
    up_with(mr_http_default_limits(), NULL, NULL);
}
static void down(void) {
    mr_http_drain(server);
    mr_pool_free(pool);
    mr_http_free(server);
    sem_destroy(&sc.go);
}

static void send_text(int fd, const char *s) {
    CHECK(say(fd, s, strlen(s)));
}

/* Reads until `want` has come; false when the peer closes or nothing comes for 5 s. */
static bool until(int fd, char *buf, size_t cap, size_t *n, const char *want) {
    for (;;) {
        buf[*n] = 0;
        if (strstr(buf, want))
            return true;
        struct pollfd p = {fd, POLLIN, 0};
        if (*n + 1 >= cap || poll(&p, 1, MR_PATIENCE_MS) <= 0)
            return false;
        ssize_t k = recv(fd, buf + *n, cap - 1 - *n, 0);
        if (k <= 0)
            return false;
        *n += (size_t)k;
    }
}

static char buf[1 << 16];

MR_TEST(each_write_arrives_before_the_next) {
    size_t n = 0;
    up();
    int fd = dial(port);
    send_text(fd, "GET /step HTTP/1.1\r\nHost: h\r\nX-Request-Id: my-id\r\n\r\n");
    CHECK(until(fd, buf, sizeof buf, &n, "\r\n\r\n")); /* the head does not wait for a write */
    CHECK(strstr(buf, "HTTP/1.1 200 OK\r\n") == buf);
    CHECK(strstr(buf, "\r\nTransfer-Encoding: chunked\r\n") != NULL);
    CHECK(strstr(buf, "\r\nContent-Type: text/event-stream\r\n") != NULL);
    CHECK(strstr(buf, "\r\nX-Request-Id: my-id\r\n") != NULL);
    CHECK(strstr(buf, "\r\nX-RateLimit-Limit: 9\r\n") != NULL);
    CHECK(strstr(buf, "Content-Length") == NULL);
    sem_post(&sc.go);
    CHECK(until(fd, buf, sizeof buf, &n, "\r\n\r\n8\r\nevent 0;\r\n"));
    sem_post(&sc.go);
    CHECK(until(fd, buf, sizeof buf, &n, "8\r\nevent 1;\r\n"));
    CHECK_INT(atomic_load(&sc.logs), 0);
    sem_post(&sc.go);
    CHECK(until(fd, buf, sizeof buf, &n, "8\r\nevent 2;\r\n0\r\n\r\n") ||
          until(fd, buf, sizeof buf, &n, "0\r\n\r\n"));
    wait_for(&sc.logs, 1);
    CHECK_INT(atomic_load(&sc.logged_len), 24);
    CHECK_INT(atomic_load(&sc.logged_status), 200);
    CHECK_INT(atomic_load(&sc.logged_gone), 0);
    send_text(fd, "GET /hello HTTP/1.1\r\nHost: h\r\n\r\n"); /* the connection lives on */
    CHECK_INT(hear_reply(fd, buf, sizeof buf, false), 200);
    CHECK(strstr(buf, "hello") != NULL);
    close(fd);
    down();
}

MR_TEST(pipelined_requests_wait_behind_a_stream) {
    size_t n = 0;
    up();
    int fd = dial(port);
    send_text(fd,
              "GET /step?n=1 HTTP/1.1\r\nHost: h\r\n\r\nGET /hello HTTP/1.1\r\nHost: h\r\n\r\n"
              "GET /step?n=0 HTTP/1.1\r\nHost: h\r\n\r\nGET /hello HTTP/1.1\r\nHost: h\r\n\r\n");
    CHECK(until(fd, buf, sizeof buf, &n, "\r\n\r\n"));
    usleep(50000);
    bool closed;
    CHECK_INT(hear(fd, buf + n, sizeof buf - n, 50, &closed), 0);
    sem_post(&sc.go);
    CHECK(until(fd, buf, sizeof buf, &n, "event 0;\r\n0\r\n\r\nHTTP/1.1 200 OK"));
    CHECK(until(fd, buf, sizeof buf, &n,
                "hello"
                "HTTP/1.1 200 OK"));
    CHECK(until(fd, buf, sizeof buf, &n, "\r\n\r\n0\r\n\r\nHTTP/1.1 200 OK"));
    char *last = strstr(buf, "hello");
    CHECK(last && until(fd, last + 5, 4096, &(size_t){strlen(last + 5)}, "hello"));
    wait_for(&sc.logs, 4);
    close(fd);
    down();
}

MR_TEST(http_1_0_ends_by_closing) {
    size_t n = 0;
    bool closed;
    up();
    sc.dont_wait = true;
    int fd = dial(port);
    send_text(fd, "GET /step HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    n = hear(fd, buf, sizeof buf, MR_PATIENCE_MS, &closed);
    CHECK(closed && n > 0);
    CHECK(strstr(buf, "chunked") == NULL && strstr(buf, "Content-Length") == NULL);
    CHECK(strstr(buf, "Connection: close\r\n") != NULL);
    CHECK(strstr(buf, "\r\n\r\nevent 0;event 1;event 2;") != NULL);
    close(fd);
    down();
}

MR_TEST(no_body_for_head_and_204) {
    up();
    sc.dont_wait = true;
    int fd = dial(port);
    send_text(fd, "HEAD /step HTTP/1.1\r\nHost: h\r\n\r\nGET /empty HTTP/1.1\r\nHost: h\r\n\r\n"
                  "GET /hello HTTP/1.1\r\nHost: h\r\n\r\n");
    CHECK_INT(hear_reply(fd, buf, sizeof buf, true), 200);
    CHECK(strstr(buf, "Transfer-Encoding: chunked") != NULL);
    CHECK_INT(hear_reply(fd, buf, sizeof buf, true), 204);
    CHECK(strstr(buf, "Transfer-Encoding") == NULL && strstr(buf, "Content-Length") == NULL);
    CHECK_INT(hear_reply(fd, buf, sizeof buf, false), 200);
    CHECK(strstr(buf, "HTTP/1.1 200 OK") == buf);
    CHECK_INT(atomic_load(&sc.last_rc), 0);
    wait_for(&sc.logs, 3);
    close(fd);
    down();
}

/* The sum of the chunks' payloads; -1 when the framing is wrong or the last chunk is missing. */
static long long dechunk(int fd, int pause_ms) {
    static char in[1 << 18];
    size_t have = 0, at = 0;
    long long sum = 0, left = -1; /* -1: a size line comes; payload and its CRLF else */
    bool head = true;
    for (;;) {
        if (at) {
            memmove(in, in + at, have - at);
            have -= at;
            at = 0;
        }
        struct pollfd p = {fd, POLLIN, 0};
        if (poll(&p, 1, MR_PATIENCE_MS) <= 0)
            return -1;
        ssize_t k = recv(fd, in + have, sizeof in - 1 - have, 0);
        if (k <= 0)
            return -1;
        have += (size_t)k;
        in[have] = 0;
        if (pause_ms)
            usleep((useconds_t)pause_ms * 1000);
        while (at < have) {
            if (head) {
                char *end = strstr(in + at, "\r\n\r\n");
                if (!end)
                    break;
                at = (size_t)(end + 4 - in);
                head = false;
            } else if (left < 0) {
                char *end = memchr(in + at, '\n', have - at);
                if (!end)
                    break;
                left = (long long)strtoul(in + at, NULL, 16) + 2;
                at = (size_t)(end + 1 - in);
                sum += left - 2;
            } else {
                size_t take = (long long)(have - at) < left ? have - at : (size_t)left;
                bool last = left == 2 && take == 2;
                at += take;
                left -= (long long)take;
                if (!left) {
                    left = -1;
                    if (last && at >= 5 && !memcmp(in + at - 5, "0\r\n\r\n", 5))
                        return sum;
                }
            }
        }
    }
}

MR_TEST(a_slow_reader_holds_the_producer_not_memory) {
    up();
    sc.total = 40ll << 20;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), small = 32768;
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    struct sockaddr_in sa = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    CHECK_INT(connect(fd, (struct sockaddr *)&sa, sizeof sa), 0);
    send_text(fd, "GET /flood HTTP/1.1\r\nHost: h\r\n\r\n");
    MR_UNTIL(atomic_load(&sc.steps) > 0);
    CHECK(atomic_load(&sc.steps) > 0); /* told to wait while nobody reads */
    CHECK_INT(atomic_load(&sc.ended), 0);
    CHECK_INT(dechunk(fd, 0), 40ll << 20);
    wait_for(&sc.logs, 1);
    CHECK(atomic_load(&sc.high) <= (long long)(MR_STREAM_HIGH + 65536));
    CHECK_INT(atomic_load(&sc.logged_len), 40ll << 20);
    close(fd);
    down();
}

MR_TEST(a_burst_leaves_as_one_chunk) {
    size_t n = 0;
    up();
    int fd = dial(port), other = dial(port);
    send_text(fd, "GET /step?n=1000 HTTP/1.1\r\nHost: h\r\n\r\n");
    CHECK(until(fd, buf, sizeof buf, &n, "\r\n\r\n"));
    send_text(other, "GET /block HTTP/1.1\r\nHost: h\r\n\r\n");
    wait_for(&sc.blocked, 1); /* the only loop */
    for (int i = 0; i < 1000; i++)
        sem_post(&sc.go);
    wait_for(&sc.ended, 1);
    atomic_store(&sc.blocked, 0);
    CHECK(until(fd, buf, sizeof buf, &n, "0\r\n\r\n"));
    int chunks = 0;
    for (char *p = strstr(buf, "\r\n\r\n") + 2; (p = strstr(p, "\r\n")); p += 2)
        chunks++;
    /* lines after the head: size, payload a chunk, then "0" and an empty one */
    CHECK(chunks >= 5 && chunks < 40);
    close(fd);
    close(other);
    down();
}

MR_TEST(a_client_that_hangs_up_is_noticed_in_silence) {
    size_t n = 0;
    up();
    int fd = dial(port);
    send_text(fd, "GET /quiet HTTP/1.1\r\nHost: h\r\n\r\n");
    CHECK(until(fd, buf, sizeof buf, &n, "hi\r\n"));
    CHECK_INT(atomic_load(&sc.gone_seen), 0);
    close(fd);
    wait_for(&sc.gone_seen, 1);
    wait_for(&sc.logs, 1);
    CHECK_INT(atomic_load(&sc.logged_gone), 1);
    CHECK_INT(atomic_load(&sc.logged_len), 2);
    /* the same with a reset, and before the stream begins */
    struct linger hard = {1, 0};
    n = 0;
    fd = dial(port);
    send_text(fd, "GET /quiet HTTP/1.1\r\nHost: h\r\n\r\n");
    CHECK(until(fd, buf, sizeof buf, &n, "hi\r\n"));
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
    close(fd);
    wait_for(&sc.gone_seen, 2);
    for (int i = 0; i < 20; i++) {
        fd = dial(port);
        send_text(fd, "GET /quiet HTTP/1.1\r\nHost: h\r\n\r\n");
        close(fd);
    }
    wait_for(&sc.logs, 22);
    CHECK_INT(atomic_load(&sc.logged_gone), 22);
    down();
}

MR_TEST(a_client_that_does_not_read_is_closed) {
    struct mr_http_limits lim = mr_http_default_limits();
    lim.write_ms = 300;
    up_with(lim, NULL, NULL);
    sc.total = 1ll << 32;
    int fd = dial(port);
    send_text(fd, "GET /flood HTTP/1.1\r\nHost: h\r\n\r\n");
    wait_for(&sc.ended, 1);
    CHECK_INT(atomic_load(&sc.last_rc), MR_ECANCELLED);
    wait_for(&sc.logs, 1);
    CHECK_INT(atomic_load(&sc.logged_gone), 1);
    close(fd);
    /* silence of the producer is no client's fault */
    size_t n = 0;
    fd = dial(port);
    send_text(fd, "GET /step?n=1 HTTP/1.1\r\nHost: h\r\n\r\n");
    usleep(700000);
    sem_post(&sc.go);
    CHECK(until(fd, buf, sizeof buf, &n, "event 0;\r\n"));
    CHECK(until(fd, buf, sizeof buf, &n, "0\r\n\r\n"));
    close(fd);
    down();
}

MR_TEST(an_aborted_stream_shows_that_it_is_unfinished) {
    bool closed;
    up();
    sc.dont_wait = sc.abort = true;
    int fd = dial(port);
    send_text(fd, "GET /step HTTP/1.1\r\nHost: h\r\n\r\n");
    hear(fd, buf, sizeof buf, MR_PATIENCE_MS, &closed);
    CHECK(closed);
    CHECK(strstr(buf, "event 2;\r\n") != NULL);
    CHECK(strstr(buf, "\r\n0\r\n") == NULL);
    wait_for(&sc.logs, 1);
    CHECK_INT(atomic_load(&sc.logged_len), 24);
    close(fd);
    down();
}

static void *drain_main(void *arg) {
    mr_http_drain(arg);
    return NULL;
}

MR_TEST(the_drain_waits_for_streams_and_not_for_ever) {
    pthread_t t;
    size_t n = 0;
    up();
    int fd = dial(port);
    send_text(fd, "GET /step?n=2 HTTP/1.1\r\nHost: h\r\n\r\n");
    CHECK(until(fd, buf, sizeof buf, &n, "\r\n\r\n"));
    pthread_create(&t, NULL, drain_main, server);
    MR_UNTIL(mr_http_draining(server));
    CHECK(mr_http_draining(server));
    sem_post(&sc.go);
    sem_post(&sc.go);
    CHECK(until(fd, buf, sizeof buf, &n, "0\r\n\r\n"));
    CHECK(strstr(buf, "event 1;") != NULL);
    bool closed;
    hear(fd, buf, sizeof buf, MR_PATIENCE_MS, &closed);
    CHECK(closed);
    pthread_join(t, NULL);
    CHECK_INT(atomic_load(&sc.logs), 1);
    CHECK_INT(atomic_load(&sc.logged_gone), 0);
    close(fd);
    down();

    struct mr_http_limits lim = mr_http_default_limits();
    lim.drain_ms = 200;
    up_with(lim, NULL, NULL);
    n = 0;
    fd = dial(port);
    send_text(fd, "GET /quiet HTTP/1.1\r\nHost: h\r\n\r\n");
    CHECK(until(fd, buf, sizeof buf, &n, "hi\r\n"));
    mr_http_drain(server); /* returns, because the producer learns that it is over */
    CHECK_INT(atomic_load(&sc.gone_seen), 1);
    CHECK_INT(atomic_load(&sc.logged_gone), 1);
    close(fd);
    down();
}

/* --- over TLS ---------------------------------------------------------------------------- */

MR_TEST(over_tls) {
    static const char step[] = "GET /step?n=2 HTTP/1.1\r\nHost: h\r\n\r\n",
                      flood[] = "GET /flood HTTP/1.1\r\nHost: h\r\n\r\n",
                      quiet[] = "GET /quiet HTTP/1.1\r\nHost: h\r\n\r\n";
    buf[0] = 0;
    make_cert();
    up_with(mr_http_default_limits(), cert_path, key_path);
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    int fd = dial(port);
    SSL *s = SSL_new(ctx);
    SSL_set_fd(s, fd);
    CHECK_INT(SSL_connect(s), 1);
    sc.total = 3 << 20;
    sem_post(&sc.go);
    sem_post(&sc.go);
    SSL_write(s, step, sizeof step - 1);
    size_t n = 0;
    int k;
    while (!strstr(buf, "event 1;\r\n0\r\n\r\n") && !(n && strstr(buf, "\r\n0\r\n\r\n")) &&
           (k = SSL_read(s, buf + n, (int)(sizeof buf - 1 - n))) > 0) {
        n += (size_t)k;
        buf[n] = 0;
    }
    CHECK(strstr(buf, "event 0;") && strstr(buf, "event 1;\r\n0\r\n\r\n"));
    SSL_write(s, flood, sizeof flood - 1);
    long long f = 0;
    static char in[65536];
    for (bool last = false; !last && (k = SSL_read(s, in, sizeof in)) > 0;) {
        for (int i = 0; i < k; i++)
            f += in[i] == 'f';
        last = k >= 5 && !memcmp(in + k - 5, "0\r\n\r\n", 5);
    }
    CHECK(f >= 3 << 20 && f < (3 << 20) + 20000); /* sizes in hexadecimal have f's of their own */
    SSL_write(s, quiet, sizeof quiet - 1);
    CHECK(SSL_read(s, buf, sizeof buf - 1) > 0);
    SSL_free(s);
    close(fd);
    wait_for(&sc.gone_seen, 1);
    wait_for(&sc.logs, 3);
    SSL_CTX_free(ctx);
    down();
    unlink(cert_path);
    unlink(key_path);
    rmdir(dir);
}

MR_TEST_MAIN(CASE(each_write_arrives_before_the_next),
             CASE(pipelined_requests_wait_behind_a_stream), CASE(http_1_0_ends_by_closing),
             CASE(no_body_for_head_and_204), CASE(a_slow_reader_holds_the_producer_not_memory),
             CASE(a_burst_leaves_as_one_chunk), CASE(a_client_that_hangs_up_is_noticed_in_silence),
             CASE(a_client_that_does_not_read_is_closed),
             CASE(an_aborted_stream_shows_that_it_is_unfinished),
             CASE(the_drain_waits_for_streams_and_not_for_ever), CASE(over_tls))
