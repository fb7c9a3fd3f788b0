/* TLS server side over OpenSSL, for non-blocking sockets (TLS 1.2 and 1.3, ALPN "http/1.1").
 * The context is shared by threads; a connection belongs to one thread. */
#ifndef MR_IO_TLS_H
#define MR_IO_TLS_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct mr_tls_ctx;
struct mr_tls;

/* PEM files: certificate chain (leaf first) and private key. */
int mr_tls_ctx_new(const char *cert, const char *key, struct mr_tls_ctx **ret, struct mr_err *e);
void mr_tls_ctx_free(struct mr_tls_ctx *c);

/* Wraps an accepted socket; does not own it. NULL: out of memory. */
struct mr_tls *mr_tls_new(struct mr_tls_ctx *c, int fd);
void mr_tls_free(struct mr_tls *t);

#define MR_TLS_AGAIN (-1000) /* wait for the socket to become readable or writable */
/* 0 when finished, MR_TLS_AGAIN, or MR_EIO. */
int mr_tls_handshake(struct mr_tls *t);
/* Bytes, 0 at the end of the stream, MR_TLS_AGAIN, or MR_EIO. */
ssize_t mr_tls_read(struct mr_tls *t, void *p, size_t n);
ssize_t mr_tls_write(struct mr_tls *t, const void *p, size_t n);
/* Sends close_notify once, best effort. */
void mr_tls_shutdown(struct mr_tls *t);

#endif
