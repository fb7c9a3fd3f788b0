/* JSON Web Tokens (RFC 7519) in one pinned form: JWS compact (RFC 7515), HS256 only. The header is
 * never used to choose an algorithm; it must be exactly what we sign. Pure, thread-safe. */
#ifndef MR_WIRE_JWT_H
#define MR_WIRE_JWT_H

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

#define MR_JWT_MAX 2048

/* Appends header.payload.signature of a JSON claims object. */
int mr_jwt_sign(struct mr_str key, struct mr_str claims_json, struct mr_buf *out, struct mr_err *e);
/* Checks form, algorithm and signature, and decodes the claims JSON into `claims`. Times and issuer
 * are the caller's to check. MR_EUNAUTH otherwise. */
int mr_jwt_verify(struct mr_str key, struct mr_str token, struct mr_buf *claims, struct mr_err *e);

#endif
