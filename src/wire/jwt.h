/* JSON Web Tokens (RFC 7519) in one pinned form: JWS compact (RFC 7515), HS256 only. The header is
 * never used to choose an algorithm; it must be exactly what we sign. Pure, thread-safe. */
#ifndef MR_WIRE_JWT_H
#define MR_WIRE_JWT_H

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

#include <stdint.h>

#define MR_JWT_MAX 2048

/* Appends header.payload.signature of a JSON claims object. */
int mr_jwt_sign(struct mr_str key, struct mr_str claims_json, struct mr_buf *out, struct mr_err *e);
/* Checks form, algorithm and signature, and decodes the claims JSON into `claims`. Times and issuer
 * are the caller's to check (mr_jwt_check). MR_EUNAUTH otherwise. */
int mr_jwt_verify(struct mr_str key, struct mr_str token, struct mr_buf *claims, struct mr_err *e);
/* Registered claims of RFC 7519 section 4.1, at `now_s` seconds since 1970: `exp` must be there and
 * later, `nbf` where present not later, `iss` must equal `issuer` (NULL: not checked). MR_EUNAUTH
 * with the reason otherwise. */
int mr_jwt_check(struct mr_str claims, const char *issuer, int64_t now_s, struct mr_err *e);

#endif
