/* Deadlines, caps, drain, streamed bodies. */
#include "http_test.h"

#include <sys/resource.h>

#define HELLO "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n"

static char out[1 << 16];

/* -1: it never was. */
static int64_t ms_until_closed(int fd, const char *drip, int step_ms) {
    int64_t from = mr_mono_ns();
    for (;;) {
        int64_t ms = (mr_mono_ns() - from) / 1000000;
        if (ms > MR_PATIENCE_MS)
            return -1;
        if (drip)
            (void)send(fd, drip, 1, MSG_NOSIGNAL);
        struct pollfd p = {fd, POLLIN, 0};
        if (poll(&p, 1, step_ms) > 0) {
            ssize_t n = recv(fd, out, sizeof out - 1, 0);
            if (n <= 0)
                return (mr_mono_ns() - from) / 1000000;
            out[n] = 0;
        }
    }
}

static struct mr_http_limits quick(void) {
    struct mr_http_limits l = mr_http_default_limits();
    l.head_ms = 300;
    l.idle_ms = 400;
    l.write_ms = 400;
    l.body_window_ms = 300;
    l.drain_ms = 2000;
    return l;
}

static void check_cut(uint16_t port, const char *first, const char *drip, const char *answer,
                      int lo) {
    int fd = dial(port);
    out[0] = 0;
    CHECK(say(fd, first, strlen(first)));
    int64_t ms = ms_until_closed(fd, drip, 20);
    if (ms < lo)
        fprintf(stderr, "\"%.20s\" cut after %lld ms, want %d\n", first, (long long)ms, lo);
    CHECK(ms >= lo);
    CHECK(!answer || strstr(out, answer));
    close(fd);
}

MR_TEST(deadlines) {
    struct test_server t;
    struct mr_http_limits lim = quick();
    server_up(&t, &lim, 2, NULL, NULL);
    check_cut(t.port, "", NULL, NULL, 250);
    check_cut(t.port, "GET /hello HTTP/1.1\r\nHost: a\r\nX: ", "a", "408 ", 250);
    check_cut(t.port, "\r\n", "\r", NULL, 0);
    check_cut(t.port, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5000\r\n\r\n", "{", "408 ",
              250);
    check_cut(t.port, "POST /sink HTTP/1.1\r\nHost: a\r\nContent-Length: 5000\r\n\r\n", "{", "408 ",
              250);
    /* answered early, the rest of the body never comes */
    check_cut(t.port, "POST /denied HTTP/1.1\r\nHost: a\r\nContent-Length: 5000\r\n\r\n", NULL,
              "401 ", 250);
    check_cut(t.port, "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n", NULL, "200 OK", 350);
    server_down(&t);
}

/* Bytes of the 8 MB that came, read over at least `ms`. */
static size_t read_slowly(uint16_t port, const char *req, int ms) {
    size_t n = 0;
    int64_t from = mr_mono_ns();
    int fd = dial(port);
    CHECK(say(fd, req, strlen(req)));
    while (n < 8 << 20) {
        ssize_t k = recv(fd, out, sizeof out, 0);
        if (k <= 0)
            break;
        n += (size_t)k;
        int64_t due = from + (int64_t)ms * 1000000 * (int64_t)(n >> 10) / 8192;
        while (mr_mono_ns() < due)
            usleep(1000);
    }
    close(fd);
    return n;
}

/* 8 MB to a client that does not read. */
MR_TEST(write_deadline) {
    struct test_server t;
    struct mr_http_limits lim = quick();
    server_up(&t, &lim, 1, NULL, NULL);
    int fd = dial(t.port);
    const char *req = "GET /big HTTP/1.1\r\nHost: a\r\n\r\n";
    int small = 4096;
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    CHECK(say(fd, req, strlen(req)));
    wait_for(&t.app.logs, 1);
    CHECK_INT(atomic_load(&t.app.gone), 1);
    close(fd);
    /* one that reads slowly but steadily gets all of it; tried again where the machine stalled */
    size_t n = 0;
    for (int tries = 0; tries < 20 && n < 8 << 20; tries++)
        n = read_slowly(t.port, req, 2 * lim.write_ms);
    CHECK(n >= 8 << 20);
    server_down(&t);
}

MR_TEST(connection_caps) {
    struct test_server t;
    struct mr_http_limits lim = mr_http_default_limits();
    lim.conns_max = 5;
    server_up(&t, &lim, 2, NULL, NULL);
    int fd[8], open = 0;
    for (int i = 0; i < 8; i++) {
        fd[i] = dial(t.port);
        open +=
            say(fd[i], HELLO, strlen(HELLO)) && hear_reply(fd[i], out, sizeof out, false) == 200;
    }
    CHECK_INT(open, 5);
    for (int i = 0; i < 8; i++)
        close(fd[i]);
    struct mr_http_stats s;
    MR_UNTIL((mr_http_stats(t.s, &s), !s.conns_open));
    CHECK_INT(ask(t.port, "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n", out, sizeof out), 200);
    mr_http_stats(t.s, &s);
    CHECK_INT(s.conns_refused, 3);
    server_down(&t);
    lim = mr_http_default_limits();
    lim.conns_per_ip_loopback = 3;
    server_up(&t, &lim, 2, NULL, NULL);
    open = 0;
    for (int i = 0; i < 6; i++) {
        fd[i] = dial(t.port);
        open +=
            say(fd[i], HELLO, strlen(HELLO)) && hear_reply(fd[i], out, sizeof out, false) == 200;
    }
    CHECK_INT(open, 3);
    for (int i = 0; i < 6; i++)
        close(fd[i]);
    server_down(&t);
}

static int64_t cpu_ms(void) {
    struct timespec ts;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* No descriptors left: the server waits instead of spinning, and recovers. */
MR_TEST(out_of_descriptors) {
    struct test_server t;
    struct rlimit was, none;
    server_up(&t, NULL, 2, NULL, NULL);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in sa = {.sin_family = AF_INET,
                             .sin_port = htons(t.port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    getrlimit(RLIMIT_NOFILE, &was);
    none = was;
    none.rlim_cur = (rlim_t)fd; /* descriptors below are taken or few: fill them */
    int fill[64], n = 0;
    setrlimit(RLIMIT_NOFILE, &none);
    while (n < 64 && (fill[n] = dup(fd)) >= 0)
        n++;
    CHECK_INT(connect(fd, (struct sockaddr *)&sa, sizeof sa), 0);
    CHECK(say(fd, "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n", 32));
    int64_t cpu = cpu_ms();
    struct pollfd p = {fd, POLLIN, 0};
    CHECK_INT(poll(&p, 1, 500), 0);
    CHECK(cpu_ms() - cpu < 100);
    while (n > 0)
        close(fill[--n]);
    setrlimit(RLIMIT_NOFILE, &was);
    CHECK_INT(hear_reply(fd, out, sizeof out, false), 200);
    close(fd);
    server_down(&t);
}

/* 1,000 connections that drip their heads: all cut in time while others are served. */
MR_TEST(thousand_slow_connections) {
    struct test_server t;
    struct mr_http_limits lim = quick();
    lim.head_ms = 1500;
    struct rlimit files = {4096, 4096};
    (void)setrlimit(RLIMIT_NOFILE, &files);
    server_up(&t, &lim, 2, NULL, NULL);
    static int fd[1000];
    for (int i = 0; i < 1000; i++) {
        fd[i] = dial(t.port);
        CHECK(fd[i] >= 0 && say(fd[i], "GET /hello HTTP/1.1\r\nX: ", 24));
    }
    for (int i = 0; i < 50; i++) {
        for (int k = i; k < 1000; k += 50)
            (void)send(fd[k], "a", 1, MSG_NOSIGNAL);
        CHECK_INT(ask(t.port, HELLO, out, sizeof out), 200);
    }
    struct mr_http_stats s = {0};
    MR_UNTIL((mr_http_stats(t.s, &s), !s.conns_open));
    CHECK_INT(s.conns_open, 0);
    for (int i = 0; i < 1000; i++)
        close(fd[i]);
    server_down(&t);
}

/* ---- drain ---- */

static void *drain(void *arg) {
    mr_http_drain(((struct test_server *)arg)->s);
    return NULL;
}

MR_TEST(drain_finishes_what_is_in_flight) {
    struct test_server t;
    struct mr_http_limits lim = mr_http_default_limits();
    lim.drain_ms = 5000;
    server_up(&t, &lim, 2, NULL, NULL);
    atomic_store(&t.app.later_ms, 300);
    int idle = dial(t.port), busy = dial(t.port), body = dial(t.port);
    const char *hello = "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n";
    const char *later = "GET /later HTTP/1.1\r\nHost: a\r\n\r\n";
    const char *half = "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nab";
    CHECK(say(idle, hello, strlen(hello)));
    CHECK_INT(hear_reply(idle, out, sizeof out, false), 200);
    CHECK(say(busy, later, strlen(later)) && say(body, half, strlen(half)));
    wait_for(&t.app.requests, 2);
    wait_for(&t.app.heads, 3);
    pthread_t th;
    pthread_create(&th, NULL, drain, &t);
    bool closed;
    CHECK_INT(hear(idle, out, sizeof out, MR_PATIENCE_MS, &closed), 0);
    CHECK(closed && mr_http_draining(t.s));
    CHECK(say(body, "cd", 2));
    CHECK_INT(hear_reply(body, out, sizeof out, false), 200);
    CHECK(strstr(out, "Connection: close\r\n") && strstr(out, "abcd"));
    CHECK_INT(hear_reply(busy, out, sizeof out, false), 200);
    CHECK(strstr(out, "Connection: close\r\n") && strstr(out, "later"));
    pthread_join(th, NULL);
    CHECK_INT(dial(t.port), -1);
    CHECK_INT(atomic_load(&t.app.logs), 3);
    close(idle), close(busy), close(body);
    server_down(&t);
}

MR_TEST(drain_gives_up_on_the_slow) {
    struct test_server t;
    struct mr_http_limits lim = mr_http_default_limits();
    lim.drain_ms = 200;
    server_up(&t, &lim, 1, NULL, NULL);
    int fd = dial(t.port);
    const char *half = "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nab";
    CHECK(say(fd, half, strlen(half)));
    wait_for(&t.app.heads, 1);
    int64_t from = mr_mono_ns();
    mr_http_drain(t.s);
    int64_t ms = (mr_mono_ns() - from) / 1000000;
    CHECK(ms >= 150);
    CHECK_INT(atomic_load(&t.app.logs), 1);
    CHECK_INT(atomic_load(&t.app.gone), 1);
    close(fd);
    server_down(&t);
}

/* ---- streamed bodies ---- */

static long rss_kb(void) {
    long pages = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    if (f) {
        if (fscanf(f, "%*s %ld", &pages) != 1)
            pages = 0;
        fclose(f);
    }
    return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

MR_TEST(sink_streams_with_flat_memory) {
    struct test_server t;
    server_up(&t, NULL, 2, NULL, NULL);
    static char block[1 << 20];
    const char *head = "POST /sink HTTP/1.1\r\nHost: a\r\nContent-Length: 67108864\r\n\r\n";
    long before = rss_kb(), worst = 0;
    atomic_store(&t.app.sink_sleep_ms, 1); /* slower than the sender: it must be held back */
    int fd = dial(t.port);
    CHECK(say(fd, head, strlen(head)));
    for (int i = 0; i < 64; i++) {
        CHECK(say(fd, block, sizeof block));
        long now = rss_kb();
        worst = now > worst ? now : worst;
    }
    CHECK_INT(hear_reply(fd, out, sizeof out, false), 200);
    CHECK(strstr(out, "\r\n\r\n67108864") != NULL);
    CHECK_INT(atomic_load(&t.app.sunk), 67108864);
    CHECK(worst - before < 12000);
    /* the connection lives on */
    CHECK(say(fd, "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n", 32));
    CHECK_INT(hear_reply(fd, out, sizeof out, false), 200);
    close(fd);
    server_down(&t);
}

MR_TEST(sink_failure_reaches_the_client) {
    struct test_server t;
    server_up(&t, NULL, 1, NULL, NULL);
    atomic_store(&t.app.sink_fail_after, 100000);
    static char block[200000];
    const char *head = "POST /sink HTTP/1.1\r\nHost: a\r\nContent-Length: 200000\r\n\r\n";
    int fd = dial(t.port);
    CHECK(say(fd, head, strlen(head)));
    CHECK(say(fd, block, sizeof block));
    CHECK_INT(hear_reply(fd, out, sizeof out, false), 507);
    CHECK(strstr(out, "sink is full") != NULL);
    CHECK(say(fd, "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n", 32));
    CHECK_INT(hear_reply(fd, out, sizeof out, false), 200);
    close(fd);
    /* hang up in the middle, while the pool may be writing */
    atomic_store(&t.app.sink_fail_after, 0);
    atomic_store(&t.app.sink_sleep_ms, 50);
    wait_for(&t.app.logs, 2);
    fd = dial(t.port);
    CHECK(say(fd, head, strlen(head)) && say(fd, block, 100000));
    close(fd);
    wait_for(&t.app.logs, 3);
    CHECK_INT(atomic_load(&t.app.gone), 1);
    server_down(&t);
}

MR_TEST(sink_takes_chunked_and_small) {
    struct test_server t;
    server_up(&t, NULL, 1, NULL, NULL);
    CHECK_INT(ask(t.port,
                  "POST /sink HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
                  "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n",
                  out, sizeof out),
              200);
    CHECK(strstr(out, "\r\n\r\n5") != NULL);
    CHECK_INT(
        ask(t.port, "POST /sink HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n", out, sizeof out),
        200);
    CHECK(strstr(out, "\r\n\r\n0") != NULL);
    server_down(&t);
}

MR_TEST_MAIN(CASE(deadlines), CASE(write_deadline), CASE(connection_caps), CASE(out_of_descriptors),
             CASE(thousand_slow_connections), CASE(drain_finishes_what_is_in_flight),
             CASE(drain_gives_up_on_the_slow), CASE(sink_streams_with_flat_memory),
             CASE(sink_failure_reaches_the_client), CASE(sink_takes_chunked_and_small))
