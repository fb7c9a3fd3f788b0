/* Outgoing requests: what comes back, caps and time-outs, cancelling, shutting down, never twice,
 * verified certificates. Against the stand-in upstream and scripted sockets. */
#include "tls_cert.h"
#include "upstream_fixture.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

MR_TEST(a_reply_comes_back_whole_and_connections_are_kept) {
    begin();
    standin_ask(&up, "/control/reset", "{}");
    for (int i = 0; i < 20; i++) {
        struct result *s = result_new();
        const char *body = chat("out=3");
        struct mr_upstream_request q = request(chat_url, body, s);
        run(&q);
        CHECK_INT(s->rc, 0);
        CHECK_INT(s->status, 200);
        CHECK(s->sent && strstr(s->body, "chat.completion") != NULL);
        CHECK(strncmp(s->request_id, "req_", 4) == 0);
        CHECK(s->first_ns > 0 && s->total_ns >= s->first_ns);
        CHECK_INT(s->retry_after_ms, -1);
        result_free(s);
    }
    CHECK_INT(standin_count(&up, "connections"), 3); /* ours, and one for each control request */
    struct result *s = result_new();
    char url[128];
    snprintf(url, sizeof url, "%s/models", up.openai);
    struct mr_upstream_request q = request(url, "", s);
    q.method = "GET";
    run(&q);
    CHECK_INT(s->status, 200);
    CHECK(strstr(s->body, "gpt-4o-mini") != NULL);
    result_free(s);
    end();
}

MR_TEST(caps_time_outs_and_statuses) {
    static const struct {
        const char *marker;
        int total_ms, idle_ms;
        size_t reply_max;
        int rc, status;
        bool sent;
        int64_t retry_after_ms;
    } rows[] = {
        {"fault=429 arg=7", 30000, 0, 1 << 20, 0, 429, true, 7000},
        {"fault=redirect", 30000, 0, 1 << 20, 0, 302, true, -1},
        {"fault=hang", 100, 0, 1 << 20, MR_ETIMEOUT, 0, true, -1},
        {"fault=hang-midway", 100, 0, 1 << 20, MR_ETIMEOUT, 200, true, -1},
        {"fault=hang-midway", 60000, 100, 1 << 20, MR_ETIMEOUT, 200, true, -1},
        {"fault=huge arg=3000000", 30000, 0, 1 << 20, MR_ETOOBIG, 200, true, -1},
        {"fault=huge-head", 30000, 0, 1 << 20, MR_ETOOBIG, 200, true, -1},
        {"fault=reset", 30000, 0, 1 << 20, MR_EIO, 0, true, -1},
        {"fault=close-midway", 30000, 0, 1 << 20, MR_EIO, 200, true, -1},
    };
    begin();
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct result *s = result_new();
        const char *body = chat(rows[i].marker);
        struct mr_upstream_request q = request(chat_url, body, s);
        q.total_ms = rows[i].total_ms;
        q.idle_ms = rows[i].idle_ms;
        q.reply_max = rows[i].reply_max;
        run(&q);
        if (s->rc != rows[i].rc)
            fprintf(stderr, "%s: %s\n", rows[i].marker, s->err);
        CHECK_INT(s->rc, rows[i].rc);
        CHECK_INT(s->status, rows[i].status);
        CHECK_INT(s->sent, rows[i].sent);
        CHECK_INT(s->retry_after_ms, rows[i].retry_after_ms);
        CHECK(s->rc == 0 || s->err[0]);
        result_free(s);
    }
    struct result *s = result_new();
    struct mr_upstream_request q = request("http://127.0.0.1:1/", "", s);
    run(&q);
    CHECK_INT(s->rc, MR_EIO);
    CHECK(!s->sent);
    result_free(s);
    static const char *const others[] = {"file:///etc/passwd", "ftp://127.0.0.1/", "no url"};
    for (int i = 0; i < 3; i++) {
        s = result_new();
        q = request(others[i], "", s);
        run(&q);
        CHECK(s->rc < 0 && !s->sent);
        result_free(s);
    }
    end();
}

MR_TEST(streams_pass_pieces_and_keep_error_bodies) {
    begin();
    struct result *s = result_new();
    const char *body = chat("fault=events arg=1 out=5");
    struct mr_upstream_request q = request(chat_url, body, s);
    q.on_data = on_piece;
    run(&q);
    CHECK(s->rc == 0 && s->body_n == 0 && s->streamed > 100);
    result_free(s);
    s = result_new();
    body = chat("fault=503");
    q = request(chat_url, body, s);
    q.on_data = on_piece;
    run(&q);
    CHECK_INT(s->status, 503);
    CHECK(s->pieces == 0 && strstr(s->body, "had an error") != NULL);
    result_free(s);
    s = result_new();
    s->stop_after = 1;
    body = chat("fault=drip out=50");
    q = request(chat_url, body, s);
    q.on_data = on_piece;
    run(&q);
    CHECK_INT(s->rc, MR_ECANCELLED);
    CHECK_INT(s->pieces, 1);
    result_free(s);
    end();
}

MR_TEST(cancelling_ends_once_and_late_cancels_do_nothing) {
    enum { N = 200 };
    begin();
    struct result *all[N];
    uint64_t ticket[N];
    struct mr_err e;
    for (int i = 0; i < N; i++) {
        all[i] = result_new();
        const char *body = chat(i % 2 ? "fault=hang" : "out=1");
        struct mr_upstream_request q = request(chat_url, body, all[i]);
        CHECK_INT(mr_upstream_start(u, &q, &ticket[i], &e), 0);
        if (i % 4 == 2)
            mr_upstream_cancel(u, ticket[i]); /* races with its end */
    }
    for (int i = 0; i < N; i++) {
        if (i % 2)
            mr_upstream_cancel(u, ticket[i]);
        mr_upstream_cancel(u, ticket[i] + (1ULL << 60)); /* nobody's */
        result_wait(all[i]);
        if (i % 2)
            CHECK_INT(all[i]->rc, MR_ECANCELLED);
        else
            CHECK(all[i]->rc == 0 || (i % 4 == 2 && all[i]->rc == MR_ECANCELLED));
        mr_upstream_cancel(u, ticket[i]);
    }
    end();
    for (int i = 0; i < N; i++) {
        CHECK_INT(all[i]->done, 1);
        result_free(all[i]);
    }
}

static void count_up(void *arg) {
    atomic_fetch_add((atomic_int *)arg, 1);
}

MR_TEST(shutting_down_ends_what_is_under_way_and_takes_nothing_new) {
    begin();
    struct mr_err e;
    atomic_int ran = 0;
    struct result *s = result_new();
    const char *body = chat("fault=hang");
    struct mr_upstream_request q = request(chat_url, body, s);
    CHECK_INT(mr_upstream_start(u, &q, NULL, &e), 0);
    CHECK_INT(mr_upstream_after(u, 3600000, count_up, &ran, &e), 0);
    CHECK_INT(mr_upstream_after(u, 1, count_up, &ran, &e), 0);
    while (atomic_load(&ran) < 1)
        usleep(1000);
    end();
    CHECK_INT(s->rc, MR_ECANCELLED);
    CHECK_INT(atomic_load(&ran), 2);
    result_free(s);
}

MR_TEST(too_many_and_bad_headers_are_refused_at_once) {
    if (!up.pid)
        standin_start(&up);
    struct mr_err e;
    struct mr_upstream_config c = {.in_flight_max = 2, .only_curl = only_curl};
    CHECK_INT(mr_upstream_new(&c, &u, &e), 0);
    struct result *s[2] = {result_new(), result_new()};
    const char *body = chat("fault=hang");
    for (int i = 0; i < 2; i++) {
        struct mr_upstream_request q = request(chat_url, body, s[i]);
        CHECK_INT(mr_upstream_start(u, &q, NULL, &e), 0);
    }
    struct mr_upstream_request q = request(chat_url, body, NULL);
    CHECK_INT(mr_upstream_start(u, &q, NULL, &e), MR_EUNAVAIL);
    struct mr_upstream_header evil = {"x-a", MR_LIT("1\r\nx-b: 2")};
    q.headers = &evil;
    q.n_headers = 1;
    CHECK_INT(mr_upstream_start(u, &q, NULL, &e), MR_EINVAL);
    end();
    for (int i = 0; i < 2; i++)
        result_free(s[i]);
}

/* ---- a server that answers once and then closes the kept connection without an answer ---- */

struct closer {
    int fd;
    atomic_int requests;
};

static void *closer_main(void *arg) {
    struct closer *c = arg;
    static const char good[] = "HTTP/1.1 200 OK\r\nretry-after: Fri, 31 Dec 1999 23:59:59 GMT\r\n"
                               "content-length: 2\r\n\r\nok";
    for (;;) {
        int fd = accept(c->fd, NULL, NULL);
        if (fd < 0)
            return NULL;
        char buf[4096];
        for (int i = 0; recv(fd, buf, sizeof buf, 0) > 0; i++) {
            atomic_fetch_add(&c->requests, 1);
            if (i == 1 || send(fd, good, sizeof good - 1, MSG_NOSIGNAL) < 0)
                break;
        }
        close(fd);
    }
}

MR_TEST(a_request_is_never_sent_twice) {
    begin();
    struct closer c = {.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    struct sockaddr_in a = {.sin_family = AF_INET};
    socklen_t len = sizeof a;
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    CHECK(bind(c.fd, (struct sockaddr *)&a, len) == 0 && listen(c.fd, 8) == 0);
    getsockname(c.fd, (struct sockaddr *)&a, &len);
    pthread_t t;
    pthread_create(&t, NULL, closer_main, &c);
    char url[64];
    snprintf(url, sizeof url, "http://127.0.0.1:%d/x", ntohs(a.sin_port));
    for (int i = 0; i < 2; i++) {
        struct result *s = result_new();
        struct mr_upstream_request q = request(url, "{}", s);
        run(&q);
        CHECK_INT(s->rc, i ? MR_EIO : 0);
        CHECK(s->sent);
        if (i == 0)
            CHECK_INT(s->retry_after_ms, 0); /* a date in the past */
        result_free(s);
    }
    CHECK_INT(atomic_load(&c.requests), 2);
    end();
    shutdown(c.fd, SHUT_RDWR);
    pthread_join(t, NULL);
    close(c.fd);
}

/* ---- TLS ---- */

MR_TEST(certificates_are_verified) {
    struct test_server t;
    make_cert();
    struct mr_http_limits lim = mr_http_default_limits();
    server_up(&t, &lim, 1, cert_path, key_path);
    for (int i = 0; i < 3; i++) { /* unknown issuer; known; known, but another name */
        if (i)
            setenv("SSL_CERT_FILE", cert_path, 1);
        begin();
        char url[64];
        snprintf(url, sizeof url, "https://%s:%d/nothing", i == 2 ? "127.0.0.1" : "localhost",
                 t.port);
        struct result *s = result_new();
        struct mr_upstream_request q = request(url, "{}", s);
        run(&q);
        if (i == 1) {
            CHECK_INT(s->rc, 0);
            CHECK(s->status > 0);
        } else {
            CHECK_INT(s->rc, MR_EIO);
            CHECK(!s->sent);
        }
        result_free(s);
        end();
    }
    unsetenv("SSL_CERT_FILE");
    server_down(&t);
    unlink(cert_path);
    unlink(key_path);
    rmdir(dir);
}

MR_TEST(stop_standin) {
    if (up.pid)
        standin_stop(&up);
}

MR_TEST(from_here_on_over_libcurl_alone) {
    only_curl = true;
}

#define ALL_CASES                                                                                  \
    CASE(a_reply_comes_back_whole_and_connections_are_kept), CASE(caps_time_outs_and_statuses),    \
        CASE(streams_pass_pieces_and_keep_error_bodies),                                           \
        CASE(cancelling_ends_once_and_late_cancels_do_nothing),                                    \
        CASE(shutting_down_ends_what_is_under_way_and_takes_nothing_new),                          \
        CASE(too_many_and_bad_headers_are_refused_at_once), CASE(a_request_is_never_sent_twice)

MR_TEST_MAIN(ALL_CASES, CASE(from_here_on_over_libcurl_alone), ALL_CASES,
             CASE(certificates_are_verified), CASE(stop_standin))
