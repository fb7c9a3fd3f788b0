/* Hex, Base64 (RFC 4648) and percent encoding. Pure, thread-safe. */
#ifndef MR_BASE_CODEC_H
#define MR_BASE_CODEC_H

#include "base/buf.h"
#include "base/str.h"

void mr_hex_add(struct mr_buf *b, const void *p, size_t n); /* lower case */
void mr_base64_add(struct mr_buf *b, const void *p, size_t n);
void mr_base64url_add(struct mr_buf *b, const void *p, size_t n); /* no padding */
/* Strict: no white space, canonical. Appends; false (nothing appended) when malformed. */
bool mr_base64_decode(struct mr_str s, struct mr_buf *b);
bool mr_base64url_decode(struct mr_str s, struct mr_buf *b);
/* Everything but RFC 3986's unreserved characters as %XX. */
void mr_percent_add(struct mr_buf *b, struct mr_str s);
/* %XX decoded in place into out (cap >= s.n); '+' becomes a space when `form`. Returns the length,
 * or -1 on a bad escape or an encoded NUL. */
ptrdiff_t mr_percent_decode(struct mr_str s, bool form, char *out);

#endif
