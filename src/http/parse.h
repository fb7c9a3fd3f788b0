/* A request parser without I/O: llhttp plus the policy that llhttp leaves to its user (version,
 * Host, one length, caps, unknown transfer codings). Bytes go in in any fragmentation; the head's
 * slices are offsets from the message's first byte, so the caller may move its buffer between
 * feeds as long as the head stays contiguous in it.
 *
 * Sources: RFC 9112 (message syntax), RFC 9110 (Host, Expect, Upgrade). */
#ifndef MR_HTTP_PARSE_H
#define MR_HTTP_PARSE_H

#include "http/http.h"

#include <llhttp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MR_HEADERS_MAX 100

struct mr_hspan {
    uint32_t at, n; /* from the message's first byte */
};

struct mr_hheader {
    struct mr_hspan name, value; /* name in lower case (rewritten in place) */
};

struct mr_hparse {
    llhttp_t ll;
    /* set by the caller before mr_hparse_begin */
    size_t head_max, target_max;
    void *ctx;
    /* Head is complete (fields below are valid). Return 0 to go on, else mr_hparse_feed returns
     * MR_HPARSE_STOP. */
    int (*on_head)(void *ctx);
    /* A piece of the decoded body. Return 0 to go on, else MR_HPARSE_STOP. */
    int (*on_body)(void *ctx, const char *p, size_t n);

    /* results */
    struct mr_hspan target;
    uint32_t n_headers;
    struct mr_hheader headers[MR_HEADERS_MAX];
    int64_t content_length; /* -1: chunked or none */
    int minor;              /* HTTP/1.<minor> */
    bool chunked, keep_alive, expect_continue, upgrade_asked;
    int16_t host; /* header index or -1 */
    int16_t request_id;

    /* error: status and a sentence */
    int status;
    const char *detail;

    /* state */
    char *base;      /* the message's first byte while feeding */
    size_t seen;     /* bytes of this message fed before the current feed */
    const char *now; /* start of the current feed */
    bool started, head_done, in_value;
};

enum mr_hparse_rc {
    MR_HPARSE_MORE,  /* all bytes used, message incomplete */
    MR_HPARSE_DONE,  /* message complete; *ret_used says where the next begins */
    MR_HPARSE_STOP,  /* a callback asked */
    MR_HPARSE_ERROR, /* status and detail are set; the connection cannot go on */
};

/* Ready for the first byte of a message. */
void mr_hparse_begin(struct mr_hparse *p);
/* Feeds buf[0..n). While the head is incomplete, buf must directly follow the bytes fed before it,
 * at `base`+seen; the parser lowers header names in place. */
enum mr_hparse_rc mr_hparse_feed(struct mr_hparse *p, char *base, char *buf, size_t n,
                                 size_t *ret_used);

enum mr_method mr_hparse_method(const struct mr_hparse *p);
/* Index of a header by lower-case name, or -1. */
int mr_hparse_find(const struct mr_hparse *p, const char *base, const char *name, size_t n);

#endif
