/* The plain HTTP/1.1 client against a server that plays scripts: what is a reply and what is not,
 * which connections are used again, waiting for one, large requests, addresses. */
#include "upstream_fixture.h"

enum after { KEEP, CLOSE, EXTRA /* more bytes on `go` */ };

struct script {
    const char *reply;
    size_t step; /* bytes written at once; 0 = all */
    enum after after;
    bool deaf; /* answers after the head and reads no body */
};

static struct {
    int fd, port;
    pthread_mutex_t mu; /* of now, body_n, head */
    struct script now;
    atomic_int accepted, answered, ended, go;
    size_t body_n; /* of the last request */
    char head[2048];
} server = {.mu = PTHREAD_MUTEX_INITIALIZER};

static void play(struct script s) {
    pthread_mutex_lock(&server.mu);
    server.now = s;
    pthread_mutex_unlock(&server.mu);
}

static struct script script(void) {
    pthread_mutex_lock(&server.mu);
    struct script s = server.now;
    pthread_mutex_unlock(&server.mu);
    return s;
}

static size_t last_body(void) {
    pthread_mutex_lock(&server.mu);
    size_t n = server.body_n;
    pthread_mutex_unlock(&server.mu);
    return n;
}

static bool last_head_has(const char *text) {
    pthread_mutex_lock(&server.mu);
    bool has = strstr(server.head, text) != NULL;
    pthread_mutex_unlock(&server.mu);
    return has;
}

static void say_in_steps(int fd, const char *p, size_t n, size_t step) {
    for (size_t at = 0, k; at < n; at += k) {
        k = step && step < n - at ? step : n - at;
        if (send(fd, p + at, k, MSG_NOSIGNAL) < 0)
            return;
        if (step)
            usleep(200);
    }
}

/* One request off the connection. False: it ended. */
static bool hear_request(int fd) {
    char buf[65536];
    size_t n = 0;
    char *end = NULL;
    while (!end) {
        ssize_t k = recv(fd, buf + n, sizeof buf - 1 - n, 0);
        if (k <= 0)
            return false;
        n += (size_t)k;
        buf[n] = 0;
        end = strstr(buf, "\r\n\r\n");
    }
    pthread_mutex_lock(&server.mu);
    snprintf(server.head, sizeof server.head, "%.*s", (int)(end - buf), buf);
    const char *length = strstr(server.head, "content-length: ");
    size_t want = length ? strtoul(length + 16, NULL, 10) : 0;
    bool deaf = server.now.deaf;
    pthread_mutex_unlock(&server.mu);
    size_t got = n - (size_t)(end + 4 - buf);
    while (!deaf && got < want) {
        usleep(50); /* slower than it is sent */
        ssize_t k = recv(fd, buf, sizeof buf, 0);
        if (k <= 0)
            return false;
        got += (size_t)k;
    }
    pthread_mutex_lock(&server.mu);
    server.body_n = got;
    pthread_mutex_unlock(&server.mu);
    return true;
}

static void *talk(void *arg) {
    int fd = (int)(intptr_t)arg;
    struct script s = {.after = KEEP};
    while (hear_request(fd)) {
        s = script();
        say_in_steps(fd, s.reply, strlen(s.reply), s.step);
        atomic_fetch_add(&server.answered, 1);
        if (s.after == EXTRA) {
            MR_UNTIL(atomic_load(&server.go));
            static const char evil[] = "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil";
            say_in_steps(fd, evil, sizeof evil - 1, 0);
            break;
        }
        if (s.after == CLOSE)
            break;
    }
    if (s.after == EXTRA) {
        atomic_fetch_add(&server.ended, 1);
        MR_UNTIL(!atomic_load(&server.go)); /* open, with the bytes in it */
    }
    close(fd);
    atomic_fetch_add(&server.ended, 1);
    return NULL;
}

static void *accept_all(void *arg) {
    (void)arg;
    for (;;) {
        int fd = accept(server.fd, NULL, NULL);
        pthread_t t;
        if (fd < 0)
            return NULL;
        atomic_fetch_add(&server.accepted, 1);
        pthread_create(&t, NULL, talk, (void *)(intptr_t)fd);
        pthread_detach(t);
    }
}

static bool server_start(int family) {
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    struct sockaddr_in v4 = {.sin_family = AF_INET};
    v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t n = family == AF_INET ? sizeof v4 : sizeof v6;
    struct sockaddr *a = family == AF_INET ? (struct sockaddr *)&v4 : (struct sockaddr *)&v6;
    server.fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (server.fd < 0 || bind(server.fd, a, n) < 0 || listen(server.fd, 64) < 0)
        return false; /* a machine without IPv6 */
    getsockname(server.fd, a, &n);
    server.port = ntohs(family == AF_INET ? v4.sin_port : v6.sin6_port);
    atomic_store(&server.accepted, 0);
    return true;
}

static pthread_t server_thread;
static void serve(int family) {
    CHECK(server_start(family));
    pthread_create(&server_thread, NULL, accept_all, NULL);
}

static void serve_no_more(void) {
    shutdown(server.fd, SHUT_RDWR);
    pthread_join(server_thread, NULL);
    close(server.fd);
}

static char url[128];
static struct result *ask_once(const char *host, const char *body) {
    struct result *s = result_new();
    snprintf(url, sizeof url, "http://%s:%d/x?y=1", host, server.port);
    struct mr_upstream_request q = request(url, body, s);
    return run(&q);
}

static void upstream_up(unsigned conns) {
    struct mr_err e;
    struct mr_upstream_config c = {.conns_per_host = conns};
    CHECK_INT(mr_upstream_new(&c, &u, &e), 0);
}

#define OK        "HTTP/1.1 200 OK\r\n"
#define OK_LENGTH OK "content-length: 2\r\n"

MR_TEST(what_is_a_reply_and_what_is_not) {
    static const struct {
        const char *reply;
        enum after after;
        int rc, status;
        const char *body;
        bool reused; /* the next request uses the connection again */
    } rows[] = {
        {OK_LENGTH "\r\nok", KEEP, 0, 200, "ok", true},
        {OK_LENGTH "connection: close\r\n\r\nok", KEEP, 0, 200, "ok", false},
        {OK_LENGTH "x-request-id: a\r\nX-Long: " /* longer than what is kept of a value */
                   "0123456789012345678901234567890123456789012345678901234567890123456789012345678"
                   "0123456789012345678901234567890123456789012345678901234567890123456789012345678"
                   "0123456789012345678901234567890123456789012345678901234567890123456789012345678"
                   "01234567890123456789012345678901234567890\r\n\r\nok",
         KEEP, 0, 200, "ok", true},
        {OK "transfer-encoding: chunked\r\n\r\n3;a=b\r\nabc\r\n2\r\nde\r\n0\r\nx-t: 1\r\n\r\n",
         KEEP, 0, 200, "abcde", true},
        {OK "\r\nuntil the end", CLOSE, 0, 200, "until the end", false},
        {"HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nok", KEEP, 0, 200, "ok", false},
        {"HTTP/1.1 204 No Content\r\n\r\n", KEEP, 0, 204, "", true},
        {"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nretry-after: 9\r\n\r\n" OK_LENGTH
         "\r\nok",
         KEEP, 0, 200, "ok", true},
        {OK_LENGTH "\r\nok and more", KEEP, 0, 200, "ok", false},
        {"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n", KEEP,
         MR_EIO, 0, "", false},
        {"HTTP/1.1 103 Early Hints\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n", KEEP,
         MR_EIO, 0, "", false},
        {"rubbish\r\n\r\n", KEEP, MR_EIO, 0, "", false},
        {"", CLOSE, MR_EIO, 0, "", false},
        {"HTTP/1.1 2", CLOSE, MR_EIO, 0, "", false},
        {"HTTP/2.0 200 OK\r\ncontent-length: 0\r\n\r\n", KEEP, MR_EIO, 0, "", false},
        {"HTTP/1.1 099 Low\r\ncontent-length: 0\r\n\r\n", KEEP, MR_EIO, 0, "", false},
        {"HTTP/1.1 600 High\r\ncontent-length: 0\r\n\r\n", KEEP, MR_EIO, 0, "", false},
        {OK_LENGTH "transfer-encoding: chunked\r\n\r\n0\r\n\r\n", KEEP, MR_EIO, 200, "", false},
        {OK_LENGTH "content-length: 3\r\n\r\nok", KEEP, MR_EIO, 200, "", false},
        {OK "content-length: -1\r\n\r\n", KEEP, MR_EIO, 200, "", false},
        {OK "content-length: 99999999999999999999999\r\n\r\n", KEEP, MR_EIO, 200, "", false},
        {OK "a b: c\r\n\r\n", KEEP, MR_EIO, 200, "", false},
        {OK "transfer-encoding: chunked\r\n\r\nzz\r\n", KEEP, MR_EIO, 200, "", false},
        {OK "transfer-encoding: chunked\r\n\r\n5\r\nab", CLOSE, MR_EIO, 200, "ab", false},
        {OK "content-length: 9\r\n\r\nabc", CLOSE, MR_EIO, 200, "abc", false},
    };
    serve(AF_INET);
    upstream_up(0);
    for (size_t i = 0; i < sizeof rows / sizeof *rows * 2; i++) {
        size_t r = i / 2;
        play((struct script){rows[r].reply, i % 2, rows[r].after, false});
        struct result *s = ask_once("127.0.0.1", "{}");
        int accepted = atomic_load(&server.accepted);
        if (s->rc != rows[r].rc || s->status != rows[r].status)
            fprintf(stderr, "row %zu, step %zu: %s\n", r, i % 2, s->err);
        CHECK_INT(s->rc, rows[r].rc);
        CHECK_INT(s->status, rows[r].status);
        CHECK(s->sent && (s->rc == 0) == (s->err[0] == 0));
        CHECK(strcmp(s->body, rows[r].body) == 0);
        CHECK_INT(s->retry_after_ms, -1);
        result_free(s);
        /* More than a reply, piece by piece: it may come after the next request was sent. */
        if (rows[r].after == CLOSE || (i % 2 && !rows[r].reused))
            continue;
        play((struct script){OK_LENGTH "connection: close\r\n\r\nok", 0, CLOSE, false});
        s = ask_once("127.0.0.1", "{}");
        CHECK_INT(s->rc, 0);
        CHECK_INT(atomic_load(&server.accepted) == accepted, rows[r].reused);
        result_free(s);
    }
    CHECK(last_head_has("POST /x?y=1 HTTP/1.1\r\nhost: 127.0.0.1:"));
    CHECK(last_head_has("\r\nauthorization: Bearer k"));
    end();
    serve_no_more();
}

MR_TEST(a_head_without_end_is_cut_off) {
    static char big[80000]; /* the server may still be sending it */
    memcpy(big, OK "x: ", 20);
    memset(big + 20, ' ', 79000); /* white space comes in no callback of the parser */
    big[79020] = 0;
    serve(AF_INET);
    upstream_up(0);
    play((struct script){big, 0, KEEP, false});
    struct result *s = ask_once("127.0.0.1", "{}");
    CHECK_INT(s->rc, MR_ETOOBIG);
    result_free(s);
    end();
    serve_no_more();
}

/* Closed while idle, or with bytes in it that nobody asked for: not used again, and nothing is
 * sent twice for it. */
MR_TEST(idle_connections_that_went_bad_are_not_used) {
    serve(AF_INET);
    upstream_up(0);
    for (int i = 0; i < 2; i++) {
        int answered = atomic_load(&server.answered), accepted = atomic_load(&server.accepted);
        int ended = atomic_load(&server.ended);
        atomic_store(&server.go, 0);
        play((struct script){OK_LENGTH "\r\nok", 0, i ? EXTRA : CLOSE, false});
        result_free(ask_once("127.0.0.1", "{}"));
        atomic_store(&server.go, 1);
        MR_UNTIL(atomic_load(&server.ended) > ended);
        play((struct script){OK_LENGTH "connection: close\r\n\r\nme", 0, CLOSE, false});
        struct result *s = ask_once("127.0.0.1", "{}");
        CHECK_INT(s->rc, 0);
        CHECK(strcmp(s->body, "me") == 0);
        MR_UNTIL(atomic_load(&server.answered) >= answered + 2);
        CHECK_INT(atomic_load(&server.answered), answered + 2);
        CHECK_INT(atomic_load(&server.accepted), accepted + 2);
        result_free(s);
        atomic_store(&server.go, 0);
    }
    end();
    serve_no_more();
}

MR_TEST(requests_wait_for_a_connection_when_there_may_be_no_more) {
    enum { N = 40 };
    if (!up.pid)
        standin_start(&up);
    standin_ask(&up, "/control/reset", "{}");
    upstream_up(1);
    struct result *all[N], *hang = result_new(), *late = result_new(), *off = result_new();
    uint64_t ticket, hanging;
    struct mr_err e;
    const char *body = chat("fault=hang");
    struct mr_upstream_request q = request(chat_url, body, hang);
    CHECK_INT(mr_upstream_start(u, &q, &hanging, &e), 0); /* has the only one */
    for (int i = 0; i < N; i++) {
        all[i] = result_new();
        body = chat("out=1");
        q = request(chat_url, body, all[i]);
        CHECK_INT(mr_upstream_start(u, &q, NULL, &e), 0);
        if (i == N / 2) {
            q = request(chat_url, body, off);
            CHECK_INT(mr_upstream_start(u, &q, &ticket, &e), 0);
            q = request(chat_url, body, late);
            q.total_ms = 50;
            CHECK_INT(mr_upstream_start(u, &q, NULL, &e), 0);
        }
    }
    result_wait(late);
    CHECK_INT(late->rc, MR_ETIMEOUT);
    CHECK(!late->sent);
    mr_upstream_cancel(u, ticket);
    result_wait(off);
    CHECK_INT(off->rc, MR_ECANCELLED);
    CHECK(!off->sent && !all[0]->done);
    mr_upstream_cancel(u, hanging);
    for (int i = 0; i < N; i++) {
        result_wait(all[i]);
        CHECK_INT(all[i]->rc, 0);
        result_free(all[i]);
    }
    CHECK_INT(standin_count(&up, "connections"), 4); /* the hanging one, one more, two to ask */
    result_wait(hang);
    result_free(hang);
    result_free(late);
    result_free(off);
    end();
    standin_stop(&up);
    up.pid = 0;
}

MR_TEST(large_requests_go_out_in_parts_and_may_be_answered_early) {
    size_t n = 8 << 20;
    char *big = malloc(n + 1);
    memset(big, 'x', n);
    big[n] = 0;
    serve(AF_INET);
    upstream_up(0);
    play((struct script){OK_LENGTH "\r\nok", 0, KEEP, false});
    struct result *s = ask_once("127.0.0.1", big);
    CHECK_INT(s->rc, 0);
    CHECK_INT(last_body(), n);
    result_free(s);
    play((struct script){"HTTP/1.1 413 No\r\ncontent-length: 0\r\n\r\n", 0, KEEP, true});
    s = ask_once("127.0.0.1", big);
    CHECK_INT(s->rc, 0);
    CHECK_INT(s->status, 413);
    result_free(s);
    play((struct script){OK_LENGTH "\r\nok", 0, KEEP, false});
    s = ask_once("127.0.0.1", "{}"); /* on another connection: that one lacks half a request */
    CHECK_INT(s->rc, 0);
    CHECK_INT(atomic_load(&server.accepted), 2);
    result_free(s);
    end();
    serve_no_more();
    free(big);
}

MR_TEST(addresses_and_localhost) {
    for (int i = 0; i < 2; i++) {
        if (!server_start(i ? AF_INET6 : AF_INET))
            continue;
        pthread_create(&server_thread, NULL, accept_all, NULL);
        upstream_up(0);
        play((struct script){OK_LENGTH "\r\nok", 0, KEEP, false});
        static const char *const hosts[] = {"127.0.0.1", "[::1]", "localhost"};
        for (int h = 0; h < 3; h++) { /* localhost: whichever of the two listens */
            struct result *s = ask_once(hosts[h], "{}");
            CHECK_INT(s->rc, h == 2 || h == i ? 0 : MR_EIO);
            CHECK_INT(s->sent, h == 2 || h == i);
            result_free(s);
        }
        end();
        serve_no_more();
    }
}

MR_TEST_MAIN(CASE(what_is_a_reply_and_what_is_not), CASE(a_head_without_end_is_cut_off),
             CASE(idle_connections_that_went_bad_are_not_used),
             CASE(requests_wait_for_a_connection_when_there_may_be_no_more),
             CASE(large_requests_go_out_in_parts_and_may_be_answered_early),
             CASE(addresses_and_localhost))
