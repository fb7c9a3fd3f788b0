/* SHA-256, HMAC-SHA256 and constant-time compare (OpenSSL libcrypto), and a fast non-cryptographic
 * hash for tables. */
#ifndef MR_BASE_HASH_H
#define MR_BASE_HASH_H

#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>

#define MR_SHA256_LEN 32

struct mr_sha256;                      /* incremental; one thread at a time */
struct mr_sha256 *mr_sha256_new(void); /* NULL: out of memory */
void mr_sha256_free(struct mr_sha256 *h);
void mr_sha256_add(struct mr_sha256 *h, const void *p, size_t n);
/* Finishes and resets for a new message. */
void mr_sha256_end(struct mr_sha256 *h, uint8_t out[MR_SHA256_LEN]);

void mr_sha256(struct mr_str s, uint8_t out[MR_SHA256_LEN]);
/* The keyed context is kept per thread, so repeated use of one key is cheap. */
bool mr_hmac_sha256(struct mr_str key, struct mr_str msg, uint8_t out[MR_SHA256_LEN]);
bool mr_equal_ct(const void *a, const void *b, size_t n);

/* Seeded with random bytes at first use, so that users cannot choose colliding keys. */
uint64_t mr_hash64(struct mr_str s);

#endif
