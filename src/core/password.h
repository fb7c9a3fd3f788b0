/* Password hashing: Argon2id (RFC 9106), 19 MiB, 2 passes (OWASP's floor), bounded parallelism so
 * that logins cannot exhaust memory. Thread-safe; takes ~20 ms. */
#ifndef MR_CORE_PASSWORD_H
#define MR_CORE_PASSWORD_H

#include "base/err.h"
#include "base/str.h"

#include <stdbool.h>

#define MR_PASSWORD_HASH_MAX 128

struct mr_password_gate;
int mr_password_gate_new(unsigned parallel, struct mr_password_gate **ret, struct mr_err *e);
void mr_password_gate_free(struct mr_password_gate *g);
int mr_password_hash(struct mr_password_gate *g, struct mr_str password,
                     char out[MR_PASSWORD_HASH_MAX], struct mr_err *e);
/* `hash` NULL or "" does the same work and answers false, so that unknown users take as long. */
bool mr_password_verify(struct mr_password_gate *g, struct mr_str password, const char *hash);

#endif
