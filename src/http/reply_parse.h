/* A parser of HTTP/1.x replies without I/O: llhttp in its strict mode plus caps. Bytes go in in any
 * fragmentation. Interim replies (1xx) are read and dropped; trailers are dropped. Bodies end by
 * their length, by their last chunk or with the connection. Sources: RFC 9112 (message syntax, 6.3
 * body length), RFC 9110 15.2 (interim replies). */
#ifndef MR_HTTP_REPLY_PARSE_H
#define MR_HTTP_REPLY_PARSE_H

#include "base/str.h"

#include <llhttp.h>

enum mr_rparse_rc {
    MR_RPARSE_MORE,  /* all bytes used, reply incomplete */
    MR_RPARSE_DONE,  /* complete; what was not used came unasked */
    MR_RPARSE_ERROR, /* `why` says what; the connection is of no more use */
    MR_RPARSE_STOP,  /* on_body asked to stop */
};

struct mr_rparse {
    llhttp_t ll;
    /* set by the caller before mr_rparse_begin */
    size_t head_max; /* bytes of header lines, interim replies and trailers together */
    void *ctx;
    /* A header line of the reply, name in lower case; lines that do not fit `name` and `value`
     * below are skipped. Lines of an interim reply come too, followed by on_interim. */
    void (*on_header)(void *ctx, struct mr_str name, struct mr_str value);
    void (*on_interim)(void *ctx);                      /* what came so far does not count */
    int (*on_body)(void *ctx, const char *p, size_t n); /* non-zero: MR_RPARSE_STOP */

    /* results */
    int status; /* of the final reply as soon as its status line is read; else 0 */
    bool head_done, keep_alive, too_big;
    const char *why;

    /* state */
    size_t head_bytes, raw;
    char name[40], value[256];
    size_t name_n, value_n; /* beyond the arrays: the line is skipped */
    bool done;
};

void mr_rparse_begin(struct mr_rparse *p);
/* *ret_used is set in every case. */
enum mr_rparse_rc mr_rparse_feed(struct mr_rparse *p, const char *buf, size_t n, size_t *ret_used);
/* The connection ended: MR_RPARSE_DONE when that ends the body, else MR_RPARSE_ERROR. */
enum mr_rparse_rc mr_rparse_eof(struct mr_rparse *p);

#endif
