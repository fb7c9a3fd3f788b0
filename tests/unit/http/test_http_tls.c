#include "http_test.h"
#include "tls_cert.h"

#include <openssl/bn.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

static struct test_server t;
static SSL_CTX *client;

MR_TEST(up) {
    make_cert();
    struct mr_http_limits lim = mr_http_default_limits();
    lim.head_ms = 400;
    signal(SIGPIPE, SIG_DFL); /* a write after the peer is gone must not kill the process */
    server_up(&t, &lim, 2, cert_path, key_path);
    client = SSL_CTX_new(TLS_client_method());
}

static SSL *tls_dial(int *ret_fd) {
    SSL *s = SSL_new(client);
    *ret_fd = dial(t.port);
    SSL_set_fd(s, *ret_fd);
    static const unsigned char alpn[] = {2, 'h', '2', 8, 'h', 't', 't', 'p', '/', '1', '.', '1'};
    SSL_set_alpn_protos(s, alpn, sizeof alpn);
    CHECK_INT(SSL_connect(s), 1);
    return s;
}

static int tls_reply(SSL *s, char *out, size_t cap) {
    size_t n = 0;
    for (;;) {
        out[n] = 0;
        char *end = strstr(out, "\r\n\r\n"), *cl = strstr(out, "Content-Length: ");
        if (end && n >= (size_t)(end + 4 - out) + (cl ? strtoul(cl + 16, NULL, 10) : 0))
            return (int)strtol(out + 9, NULL, 10);
        int k = n + 1 < cap ? SSL_read(s, out + n, (int)(cap - 1 - n)) : 0;
        if (k <= 0)
            return 0;
        n += (size_t)k;
    }
}

static void tls_close(SSL *s, int fd) {
    SSL_shutdown(s);
    SSL_free(s);
    close(fd);
}

MR_TEST(requests_over_tls) {
    static char out[1 << 20], body[500000];
    int fd;
    SSL *s = tls_dial(&fd);
    const unsigned char *proto;
    unsigned proto_n;
    SSL_get0_alpn_selected(s, &proto, &proto_n);
    CHECK(proto_n == 8 && memcmp(proto, "http/1.1", 8) == 0);
    const char *req = "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n";
    for (int i = 0; i < 20; i++) {
        CHECK(SSL_write(s, req, (int)strlen(req)) > 0);
        CHECK_INT(tls_reply(s, out, sizeof out), 200);
    }
    memset(body, 'z', sizeof body);
    const char *head = "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 500000\r\n\r\n";
    CHECK(SSL_write(s, head, (int)strlen(head)) > 0);
    CHECK(SSL_write(s, body, sizeof body) > 0);
    CHECK_INT(tls_reply(s, out, sizeof out), 200);
    CHECK_INT(strspn(strstr(out, "\r\n\r\n") + 4, "z"), sizeof body);
    head = "POST /sink HTTP/1.1\r\nHost: a\r\nContent-Length: 500000\r\n\r\n";
    CHECK(SSL_write(s, head, (int)strlen(head)) > 0);
    CHECK(SSL_write(s, body, sizeof body) > 0);
    CHECK_INT(tls_reply(s, out, sizeof out), 200);
    CHECK(strstr(out, "\r\n\r\n500000") != NULL);
    /* head and body in two records, with a close asked for: the answer still comes */
    head = "POST /later HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 3\r\n\r\n";
    CHECK(SSL_write(s, head, (int)strlen(head)) > 0);
    usleep(50000);
    CHECK(SSL_write(s, "abc", 3) > 0);
    CHECK_INT(tls_reply(s, out, sizeof out), 200);
    CHECK(strstr(out, "\r\n\r\nabc") != NULL);
    CHECK_INT(SSL_read(s, out, 1), 0);
    CHECK_INT(SSL_get_shutdown(s) & SSL_RECEIVED_SHUTDOWN, SSL_RECEIVED_SHUTDOWN);
    tls_close(s, fd);
}

MR_TEST(error_is_readable_over_tls) {
    static char out[4096];
    int fd;
    SSL *s = tls_dial(&fd);
    const char *bad = "GET /hello HTTP/1.1\r\n\r\nmore";
    CHECK(SSL_write(s, bad, (int)strlen(bad)) > 0);
    CHECK_INT(tls_reply(s, out, sizeof out), 400);
    tls_close(s, fd);
}

MR_TEST(handshake_deadline) {
    char out[100];
    bool closed;
    int fd = dial(t.port);
    int64_t from = mr_mono_ns();
    CHECK(say(fd, "\x16\x03\x01", 3));
    (void)hear(fd, out, sizeof out, MR_PATIENCE_MS, &closed);
    CHECK(closed);
    int64_t ms = (mr_mono_ns() - from) / 1000000;
    CHECK(ms >= 350);
    close(fd);
    fd = dial(t.port); /* no TLS at all */
    CHECK(say(fd, "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n", 32));
    (void)hear(fd, out, sizeof out, MR_PATIENCE_MS, &closed);
    CHECK(closed && !strstr(out, "200 OK"));
    close(fd);
}

MR_TEST(peer_vanishes_while_writing) {
    for (int i = 0; i < 10; i++) {
        int fd;
        SSL *s = tls_dial(&fd);
        const char *req = "GET /big HTTP/1.1\r\nHost: a\r\n\r\n";
        CHECK(SSL_write(s, req, (int)strlen(req)) > 0);
        usleep(5000);
        struct linger reset = {1, 0};
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
        SSL_free(s);
        close(fd);
    }
    static char out[4096];
    int fd;
    SSL *s = tls_dial(&fd);
    const char *req = "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n";
    CHECK(SSL_write(s, req, (int)strlen(req)) > 0);
    CHECK_INT(tls_reply(s, out, sizeof out), 200);
    tls_close(s, fd);
}

MR_TEST(bad_files_are_refused) {
    struct mr_http_config c = {.limits = mr_http_default_limits(),
                               .app = {.on_request = test_on_request},
                               .tls_cert = key_path,
                               .tls_key = cert_path};
    struct mr_http_server *s = NULL;
    struct mr_err e = {0};
    CHECK_INT(mr_http_new(&c, &s, &e), MR_EINVAL);
    CHECK(strstr(e.msg, "certificate") != NULL);
    c.tls_cert = NULL;
    CHECK_INT(mr_http_new(&c, &s, &e), MR_EINVAL);
}

MR_TEST(down) {
    server_down(&t);
    SSL_CTX_free(client);
    unlink(cert_path);
    unlink(key_path);
    rmdir(dir);
}

MR_TEST_MAIN(CASE(up), CASE(requests_over_tls), CASE(error_is_readable_over_tls),
             CASE(handshake_deadline), CASE(peer_vanishes_while_writing),
             CASE(bad_files_are_refused), CASE(down))
