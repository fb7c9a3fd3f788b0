#include "base/hash.h"

#include "base/alloc.h"
#include "base/id.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <pthread.h>

struct mr_sha256 {
    EVP_MD_CTX *ctx;
};

struct mr_sha256 *mr_sha256_new(void) {
    struct mr_sha256 *h = mr_malloc(sizeof *h);
    if (!h)
        return NULL;
    h->ctx = EVP_MD_CTX_new();
    if (!h->ctx || EVP_DigestInit_ex(h->ctx, EVP_sha256(), NULL) != 1) {
        mr_sha256_free(h);
        return NULL;
    }
    return h;
}

void mr_sha256_free(struct mr_sha256 *h) {
    if (!h)
        return;
    EVP_MD_CTX_free(h->ctx);
    mr_free(h);
}

void mr_sha256_add(struct mr_sha256 *h, const void *p, size_t n) {
    EVP_DigestUpdate(h->ctx, p, n);
}

void mr_sha256_end(struct mr_sha256 *h, uint8_t out[MR_SHA256_LEN]) {
    EVP_DigestFinal_ex(h->ctx, out, NULL);
    EVP_DigestInit_ex(h->ctx, EVP_sha256(), NULL);
}

void mr_sha256(struct mr_str s, uint8_t out[MR_SHA256_LEN]) {
    EVP_Digest(s.n ? s.p : "", s.n, out, NULL, EVP_sha256(), NULL);
}

bool mr_hmac_sha256(struct mr_str key, struct mr_str msg, uint8_t out[MR_SHA256_LEN]) {
    size_t n = 0;
    return EVP_Q_mac(NULL, "HMAC", NULL, "SHA256", NULL, key.p, key.n, (const unsigned char *)msg.p,
                     msg.n, out, MR_SHA256_LEN, &n) != NULL;
}

bool mr_equal_ct(const void *a, const void *b, size_t n) {
    return CRYPTO_memcmp(a, b, n) == 0;
}

static uint64_t seed;
static pthread_once_t seed_once = PTHREAD_ONCE_INIT;
static void make_seed(void) {
    mr_random(&seed, sizeof seed);
}

/* wyhash-style 64x64->128 multiply-fold over 8-byte words. */
uint64_t mr_hash64(struct mr_str s) {
    pthread_once(&seed_once, make_seed);
    uint64_t h = seed ^ (s.n * 0x9E3779B97F4A7C15ull);
    size_t i = 0;
    for (; i < s.n; i += 8) {
        uint64_t w = 0;
        memcpy(&w, s.p + i, s.n - i < 8 ? s.n - i : 8);
        __uint128_t m = (__uint128_t)(h ^ w) * 0xD6E8FEB86659FD93ull;
        h = (uint64_t)m ^ (uint64_t)(m >> 64);
    }
    return h ^ (h >> 29);
}
