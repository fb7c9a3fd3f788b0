/* multipart/form-data (RFC 7578, RFC 2046 §5.1): a streaming push parser. Bytes go in as they come,
 * callbacks see each part's head, its data in pieces, and its end. Nothing of a part's data is
 * kept. Pure; one thread at a time. */
#ifndef MR_WIRE_MULTIPART_H
#define MR_WIRE_MULTIPART_H

#include "base/err.h"
#include "base/str.h"

#include <stdbool.h>
#include <stddef.h>

struct mr_multipart;

struct mr_multipart_limits {
    size_t max_parts;      /* default 64 */
    size_t max_head_bytes; /* of one part; default 8 KiB */
};

/* Each returns 0, or a negative code that stops the parser and is returned by feed. Slices are
 * valid during the call only. */
struct mr_multipart_handler {
    /* file_name.p == NULL: an ordinary field. content_type.p may be NULL. */
    int (*begin)(void *ctx, struct mr_str name, struct mr_str file_name, struct mr_str content_type,
                 struct mr_err *e);
    int (*data)(void *ctx, const char *p, size_t n, struct mr_err *e);
    int (*end)(void *ctx, struct mr_err *e);
    void *ctx;
};

/* The boundary parameter of a Content-Type header; false when it is no multipart/form-data or the
 * boundary is missing or malformed (1-70 bytes). ret points into `content_type`. */
bool mr_multipart_boundary(struct mr_str content_type, struct mr_str *ret);

/* `limits` NULL: defaults. The boundary is copied. */
int mr_multipart_new(struct mr_str boundary, const struct mr_multipart_limits *limits,
                     const struct mr_multipart_handler *h, struct mr_multipart **ret,
                     struct mr_err *e);
void mr_multipart_free(struct mr_multipart *m);
/* MR_EINVAL on malformed input, or the handler's code; after an error the parser stays failed. */
int mr_multipart_feed(struct mr_multipart *m, const char *p, size_t n, struct mr_err *e);
/* After the last byte: MR_EINVAL when the closing boundary never came. */
int mr_multipart_end(struct mr_multipart *m, struct mr_err *e);

#endif
