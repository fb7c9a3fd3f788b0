#include "io/tls.h"

#include "base/alloc.h"

#include <errno.h>
#include <limits.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sys/socket.h>

struct mr_tls_ctx {
    SSL_CTX *ctx;
    BIO_METHOD *bio;
};

struct mr_tls {
    SSL *ssl;
    bool up, failed;
};

/* OpenSSL's own socket BIO writes with write(2), which raises SIGPIPE; this one does not. */
static int bio_write(BIO *b, const char *p, int n) {
    int fd = (int)(intptr_t)BIO_get_data(b);
    BIO_clear_retry_flags(b);
    ssize_t k = send(fd, p, (size_t)n, MSG_NOSIGNAL);
    if (k < 0 && (errno == EAGAIN || errno == EINTR))
        BIO_set_retry_write(b);
    return (int)k;
}

static int bio_read(BIO *b, char *p, int n) {
    int fd = (int)(intptr_t)BIO_get_data(b);
    BIO_clear_retry_flags(b);
    ssize_t k = recv(fd, p, (size_t)n, 0);
    if (k < 0 && (errno == EAGAIN || errno == EINTR))
        BIO_set_retry_read(b);
    return (int)k;
}

static long bio_ctrl(BIO *b, int cmd, long num, void *ptr) {
    (void)b;
    (void)num;
    (void)ptr;
    return cmd == BIO_CTRL_FLUSH;
}

static int pick_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_n,
                     const unsigned char *in, unsigned in_n, void *arg) {
    static const unsigned char ours[] = {8, 'h', 't', 't', 'p', '/', '1', '.', '1'};
    (void)ssl;
    (void)arg;
    unsigned char *sel;
    if (SSL_select_next_proto(&sel, out_n, ours, sizeof ours, in, in_n) != OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    *out = sel;
    return SSL_TLSEXT_ERR_OK;
}

static int tls_fail(struct mr_err *e, const char *what, const char *file) {
    unsigned long code = ERR_peek_last_error();
    const char *why = code ? ERR_reason_error_string(code) : NULL;
    int rc = mr_fail(e, MR_EINVAL, "%s %s: %s", what, file, why ? why : "cannot be used");
    ERR_clear_error();
    return rc;
}

int mr_tls_ctx_new(const char *cert, const char *key, struct mr_tls_ctx **ret, struct mr_err *e) {
    struct mr_tls_ctx *c = mr_calloc(1, sizeof *c);
    if (!c)
        return mr_fail(e, MR_ENOMEM, "no memory for TLS");
    ERR_clear_error();
    c->ctx = SSL_CTX_new(TLS_server_method());
    c->bio = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK | BIO_TYPE_DESCRIPTOR,
                          "socket without SIGPIPE");
    if (!c->ctx || !c->bio) {
        mr_tls_ctx_free(c);
        return mr_fail(e, MR_ENOMEM, "no memory for TLS");
    }
    BIO_meth_set_write(c->bio, bio_write);
    BIO_meth_set_read(c->bio, bio_read);
    BIO_meth_set_ctrl(c->bio, bio_ctrl);
    SSL_CTX_set_min_proto_version(c->ctx, TLS1_2_VERSION);
    SSL_CTX_set_options(c->ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                                    SSL_OP_CIPHER_SERVER_PREFERENCE);
    SSL_CTX_set_mode(c->ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                 SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_read_ahead(c->ctx, 1); /* a record in one recv instead of two */
    SSL_CTX_set_alpn_select_cb(c->ctx, pick_alpn, NULL);
    int rc = 0;
    if (SSL_CTX_use_certificate_chain_file(c->ctx, cert) != 1)
        rc = tls_fail(e, "TLS certificate", cert);
    else if (SSL_CTX_use_PrivateKey_file(c->ctx, key, SSL_FILETYPE_PEM) != 1)
        rc = tls_fail(e, "TLS key", key);
    else if (SSL_CTX_check_private_key(c->ctx) != 1)
        rc = tls_fail(e, "TLS key does not fit the certificate:", key);
    if (rc < 0) {
        mr_tls_ctx_free(c);
        return rc;
    }
    *ret = c;
    return 0;
}

void mr_tls_ctx_free(struct mr_tls_ctx *c) {
    if (!c)
        return;
    SSL_CTX_free(c->ctx);
    BIO_meth_free(c->bio);
    mr_free(c);
}

struct mr_tls *mr_tls_new(struct mr_tls_ctx *c, int fd) {
    struct mr_tls *t = mr_calloc(1, sizeof *t);
    BIO *bio = t ? BIO_new(c->bio) : NULL;
    if (bio)
        t->ssl = SSL_new(c->ctx);
    if (!bio || !t->ssl) {
        BIO_free(bio);
        mr_free(t);
        return NULL;
    }
    BIO_set_data(bio, (void *)(intptr_t)fd);
    BIO_set_init(bio, 1);
    SSL_set_bio(t->ssl, bio, bio);
    SSL_set_accept_state(t->ssl);
    return t;
}

void mr_tls_free(struct mr_tls *t) {
    if (!t)
        return;
    SSL_free(t->ssl);
    mr_free(t);
}

static ssize_t outcome(struct mr_tls *t, int k) {
    int err = SSL_get_error(t->ssl, k);
    if (err == SSL_ERROR_WANT_READ || err == SSL_ERROR_WANT_WRITE)
        return MR_TLS_AGAIN;
    if (err == SSL_ERROR_ZERO_RETURN)
        return 0;
    t->failed = true;
    ERR_clear_error();
    return MR_EIO;
}

int mr_tls_handshake(struct mr_tls *t) {
    ERR_clear_error();
    int k = SSL_accept(t->ssl);
    if (k == 1) {
        t->up = true;
        return 0;
    }
    ssize_t rc = outcome(t, k);
    return rc == 0 ? MR_EIO : (int)rc;
}

ssize_t mr_tls_read(struct mr_tls *t, void *p, size_t n) {
    ERR_clear_error();
    int k = SSL_read(t->ssl, p, n > INT_MAX ? INT_MAX : (int)n);
    return k > 0 ? k : outcome(t, k);
}

ssize_t mr_tls_write(struct mr_tls *t, const void *p, size_t n) {
    if (!n)
        return 0;
    ERR_clear_error();
    int k = SSL_write(t->ssl, p, n > INT_MAX ? INT_MAX : (int)n);
    if (k > 0)
        return k;
    ssize_t rc = outcome(t, k);
    return rc == 0 ? MR_EIO : rc;
}

void mr_tls_shutdown(struct mr_tls *t) {
    if (!t->up || t->failed)
        return;
    ERR_clear_error();
    (void)SSL_shutdown(t->ssl);
    ERR_clear_error();
    t->up = false;
}
