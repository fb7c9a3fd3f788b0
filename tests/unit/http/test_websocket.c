#include "http/websocket.h"

#include "http_test.h"

static struct mr_http_server *server;
static uint16_t port;
static atomic_int messages, closes, last_code, refused_sends;
static int opened; /* upgrades that succeeded: each ends in one on_close, maybe a little later */
static struct mr_ws *kept; /* of /push: a reference for other threads */
static pthread_t pusher;

static void on_message(void *ctx, struct mr_ws *w, bool text, struct mr_str msg) {
    (void)ctx;
    atomic_fetch_add(&messages, 1);
    if (mr_str_is(msg, "bye"))
        mr_ws_close(w, 1000);
    else
        CHECK_INT(mr_ws_send(w, text, msg), 0);
}

static void on_close(void *ctx, struct mr_ws *w, int code) {
    (void)ctx;
    (void)w;
    atomic_store(&last_code, code);
    atomic_fetch_add(&closes, 1);
}

static void *push(void *arg) {
    struct mr_ws *w = arg;
    for (int i = 0; i < 200; i++) {
        char text[16];
        snprintf(text, sizeof text, "%d", i);
        while (mr_ws_send(w, true, mr_str(text)) == MR_ELIMIT)
            usleep(100);
    }
    mr_ws_close(w, 1000);
    mr_ws_unref(w);
    return NULL;
}

/* Fills the queue of a client that does not read. */
static void *flood(void *arg) {
    struct mr_ws *w = arg;
    static char block[65536];
    size_t worst = 0;
    for (int i = 0; i < 2000; i++) {
        int rc = mr_ws_send(w, false, mr_strn(block, sizeof block));
        if (rc == MR_ELIMIT) {
            atomic_fetch_add(&refused_sends, 1);
            usleep(100);
        }
        if (mr_ws_queued(w) > worst)
            worst = mr_ws_queued(w);
    }
    CHECK(worst <= 1 << 20);
    mr_ws_unref(w);
    return NULL;
}

static enum mr_http_step on_request(void *ctx, struct mr_req *r) {
    struct mr_ws_config c = {.on_message = on_message, .on_close = on_close, .message_max = 100000};
    struct mr_ws *w;
    (void)ctx;
    if (mr_req_websocket(r, &c, &w) == 0 && !mr_str_is(r->path, "/ws")) {
        kept = mr_ws_ref(w);
        pthread_create(&pusher, NULL, mr_str_is(r->path, "/push") ? push : flood, kept);
    }
    return MR_HTTP_DONE;
}

static void start(void) {
    static const struct mr_http_route routes[] = {
        {MR_GET, "/ws", NULL}, {MR_GET, "/push", NULL}, {MR_GET, "/flood", NULL}};
    struct mr_http_config c = {.threads = 2,
                               .limits = mr_http_default_limits(),
                               .app = {.on_request = on_request},
                               .routes = routes,
                               .n_routes = 3};
    struct mr_err e = {0};
    c.limits.idle_ms = 300;
    c.limits.write_ms = 1000;
    CHECK_INT(mr_http_new(&c, &server, &e), 0);
    CHECK_INT(mr_http_listen(server, "127.0.0.1:0", &port, &e), 0);
    CHECK_INT(mr_http_start(server, &e), 0);
}

#define HELLO(path, extra)                                                                         \
    "GET " path " HTTP/1.1\r\nHost: localhost:1\r\nConnection: keep-alive, Upgrade\r\n"            \
    "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"                                          \
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n" extra "\r\n"

static char out[1 << 17];

static int upgrade(const char *hello, int want) {
    int fd = dial(port);
    CHECK(say(fd, hello, strlen(hello)));
    CHECK_INT(hear_reply(fd, out, sizeof out, want == 101), want);
    opened += want == 101;
    return fd;
}

/* A masked client frame of up to 65,535 bytes. */
static size_t frame(char *to, int op, bool fin, const char *p, size_t n) {
    static const char mask[4] = {1, 2, 3, 4};
    size_t k = 0;
    to[k++] = (char)((fin ? 0x80 : 0) | op);
    if (n < 126) {
        to[k++] = (char)(0x80 | n);
    } else {
        to[k++] = (char)(0x80 | 126);
        to[k++] = (char)(n >> 8);
        to[k++] = (char)n;
    }
    memcpy(to + k, mask, 4);
    k += 4;
    for (size_t i = 0; i < n; i++)
        to[k++] = p[i] ^ mask[i & 3];
    return k;
}

static bool read_n(int fd, unsigned char *p, size_t n) {
    while (n) {
        struct pollfd pfd = {fd, POLLIN, 0};
        ssize_t k = poll(&pfd, 1, MR_PATIENCE_MS) > 0 ? recv(fd, p, n, 0) : 0;
        if (k <= 0)
            return false;
        p += k;
        n -= (size_t)k;
    }
    return true;
}

/* Opcode of the next server frame, its payload in out; -1 when the connection ended. */
static int next_frame(int fd, size_t *ret_n) {
    unsigned char h[4];
    if (!read_n(fd, h, 2))
        return -1;
    size_t n = h[1] & 127;
    if (n == 126) {
        if (!read_n(fd, h + 2, 2))
            return -1;
        n = (size_t)h[2] << 8 | h[3];
    }
    CHECK((h[1] & 0x80) == 0 && n < sizeof out);
    if (!read_n(fd, (unsigned char *)out, n))
        return -1;
    out[n] = 0;
    *ret_n = n;
    return h[0] & 15;
}

static void say_frame(int fd, int op, bool fin, const char *p, size_t n) {
    static char buf[70000];
    CHECK(say(fd, buf, frame(buf, op, fin, p, n)));
}

static int close_code(size_t n) {
    return n >= 2 ? (unsigned char)out[0] << 8 | (unsigned char)out[1] : 0;
}

MR_TEST(up) {
    start();
}

MR_TEST(upgrade_and_echo) {
    size_t n;
    static char big[60000];
    memset(big, 'x', sizeof big);
    int fd = upgrade(HELLO("/ws", ""), 101);
    /* the sample of RFC 6455 1.3 */
    CHECK(strstr(out, "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n") != NULL);
    CHECK(strstr(out, "Connection: Upgrade\r\nUpgrade: websocket\r\n") != NULL);
    CHECK(!strstr(out, "Content-Length"));
    say_frame(fd, 1, true, "hello", 5);
    CHECK_INT(next_frame(fd, &n), 1);
    CHECK_STR(out, "hello");
    say_frame(fd, 2, true, big, sizeof big);
    CHECK_INT(next_frame(fd, &n), 2);
    CHECK_INT(n, sizeof big);
    say_frame(fd, 1, false, "in ", 3); /* in pieces, with a ping between */
    say_frame(fd, 9, true, "p", 1);
    say_frame(fd, 0, true, "two", 3);
    CHECK_INT(next_frame(fd, &n), 10);
    CHECK_STR(out, "p");
    CHECK_INT(next_frame(fd, &n), 1);
    CHECK_STR(out, "in two");
    say_frame(fd, 1, true, "bye", 3);
    CHECK_INT(next_frame(fd, &n), 8);
    CHECK_INT(close_code(n), 1000);
    say_frame(fd, 8, true, "\x03\xe8", 2);
    CHECK_INT(next_frame(fd, &n), -1);
    wait_for(&closes, opened);
    CHECK_INT(atomic_load(&last_code), 1000);
    close(fd);
}

MR_TEST(frames_behind_the_request) {
    char all[600];
    size_t n, k = (size_t)snprintf(all, sizeof all, "%s", HELLO("/ws", ""));
    k += frame(all + k, 1, true, "early", 5);
    int fd = dial(port);
    CHECK(say(fd, all, k));
    CHECK_INT(hear_reply(fd, out, sizeof out, true), 101);
    opened++;
    CHECK_INT(next_frame(fd, &n), 1);
    CHECK_STR(out, "early");
    close(fd);
}

MR_TEST(refusals) {
    static const struct {
        const char *req;
        int status;
    } rows[] = {
        {"GET /ws HTTP/1.1\r\nHost: a\r\n\r\n", 426},
        {"GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n", 426},
        {"GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
         "Sec-WebSocket-Version: 8\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
         426},
        {"GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
         "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: short\r\n\r\n",
         400},
        {HELLO("/ws", "Origin: http://evil.example\r\n"), 403},
        {HELLO("/ws", "Origin: https://localhost:1\r\n"), 403},
        {HELLO("/ws", "Origin: null\r\n"), 403},
        {HELLO("/ws", "Origin: http://localhost:1\r\n"), 101},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        close(upgrade(rows[i].req, rows[i].status));
}

static void check_bad(const char *bytes, size_t n, int code) {
    size_t k;
    int fd = upgrade(HELLO("/ws", ""), 101);
    CHECK(say(fd, bytes, n));
    CHECK_INT(next_frame(fd, &k), 8);
    CHECK_INT(close_code(k), code);
    close(fd);
}

MR_TEST(protocol_errors) {
    static char big[70000], buf[140000];
    check_bad("\x81\x01x", 3, 1002);               /* not masked */
    check_bad("\xc1\x81\1\2\3\4x", 7, 1002);       /* reserved bit */
    check_bad("\x83\x81\1\2\3\4x", 7, 1002);       /* unknown opcode */
    size_t n = frame(buf, 1, true, "\xff\xfe", 2); /* not UTF-8 */
    check_bad(buf, n, 1007);
    n = frame(buf, 2, false, big, 60000); /* 120,000 bytes in two pieces: over message_max */
    n += frame(buf + n, 0, true, big, 60000);
    check_bad(buf, n, 1009);
}

MR_TEST(messages_from_another_thread) {
    size_t n;
    int fd = upgrade(HELLO("/push", ""), 101);
    for (int i = 0; i < 200; i++) {
        char want[16];
        snprintf(want, sizeof want, "%d", i);
        CHECK_INT(next_frame(fd, &n), 1);
        CHECK_STR(out, want);
    }
    CHECK_INT(next_frame(fd, &n), 8);
    pthread_join(pusher, NULL);
    close(fd);
}

MR_TEST(slow_reader_is_bounded_and_cut) {
    wait_for(&closes, opened); /* what earlier cases left must not be taken for this one */
    int fd = upgrade(HELLO("/flood", ""), 101);
    wait_for(&closes, opened);
    CHECK_INT(atomic_load(&last_code), 1006);
    pthread_join(pusher, NULL);
    CHECK(atomic_load(&refused_sends) > 0);
    close(fd);
}

MR_TEST(idle_is_pinged_then_cut) {
    size_t n;
    wait_for(&closes, opened);
    int fd = upgrade(HELLO("/ws", ""), 101);
    CHECK_INT(next_frame(fd, &n), 9);
    say_frame(fd, 10, true, "", 0); /* alive */
    CHECK_INT(next_frame(fd, &n), 9);
    CHECK_INT(next_frame(fd, &n), -1);
    wait_for(&closes, opened);
    close(fd);
}

static void *drain(void *s) {
    mr_http_drain(s);
    return NULL;
}

MR_TEST(drain_says_going_away) {
    size_t n;
    int fd = upgrade(HELLO("/ws", ""), 101);
    pthread_t th;
    pthread_create(&th, NULL, drain, server);
    CHECK_INT(next_frame(fd, &n), 8);
    CHECK_INT(close_code(n), 1001);
    say_frame(fd, 8, true, "\x03\xe9", 2);
    pthread_join(th, NULL);
    close(fd);
    mr_http_free(server);
}

MR_TEST_MAIN(CASE(up), CASE(upgrade_and_echo), CASE(frames_behind_the_request), CASE(refusals),
             CASE(protocol_errors), CASE(messages_from_another_thread),
             CASE(slow_reader_is_bounded_and_cut), CASE(idle_is_pinged_then_cut),
             CASE(drain_says_going_away))
