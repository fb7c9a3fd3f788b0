#include "base/hash.h"

#include "base/alloc.h"
#include "base/id.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/params.h>
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

/* Keying costs more than a short message, so each thread keeps the context of its last key. */
struct hmac {
    EVP_MAC_CTX *ctx;
    size_t n;
    uint8_t key[128];
};

static pthread_key_t hmac_slot;
static pthread_once_t hmac_once = PTHREAD_ONCE_INIT;
static bool hmac_ok;

static void hmac_free(void *p) {
    struct hmac *h = p;
    EVP_MAC_CTX_free(h->ctx);
    OPENSSL_cleanse(h->key, sizeof h->key);
    mr_free(h);
}
static void hmac_make_slot(void) {
    hmac_ok = pthread_key_create(&hmac_slot, hmac_free) == 0;
}

/* This thread's context, not keyed yet when fresh; NULL when it cannot be had. */
static struct hmac *hmac_get(void) {
    pthread_once(&hmac_once, hmac_make_slot);
    struct hmac *h = hmac_ok ? pthread_getspecific(hmac_slot) : NULL;
    if (h || !hmac_ok)
        return h;
    EVP_MAC *mac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    h = mr_calloc(1, sizeof *h);
    if (h && mac)
        h->ctx = EVP_MAC_CTX_new(mac);
    EVP_MAC_free(mac);
    if (!h || !h->ctx || pthread_setspecific(hmac_slot, h)) {
        if (h)
            hmac_free(h);
        return NULL;
    }
    return h;
}

static bool hmac_key(struct hmac *h, struct mr_str key) {
    if (key.n && key.n == h->n && CRYPTO_memcmp(key.p, h->key, key.n) == 0)
        return EVP_MAC_init(h->ctx, NULL, 0, NULL) == 1;
    char digest[] = "SHA256";
    const OSSL_PARAM params[] = {OSSL_PARAM_construct_utf8_string("digest", digest, 0),
                                 OSSL_PARAM_construct_end()};
    h->n = 0;
    if (EVP_MAC_init(h->ctx, (const unsigned char *)(key.n ? key.p : ""), key.n, params) != 1)
        return false;
    if (key.n <= sizeof h->key) {
        memcpy(h->key, key.n ? key.p : "", key.n);
        h->n = key.n;
    }
    return true;
}

bool mr_hmac_sha256(struct mr_str key, struct mr_str msg, uint8_t out[MR_SHA256_LEN]) {
    size_t n = 0;
    struct hmac *h = hmac_get();
    return h && hmac_key(h, key) &&
           EVP_MAC_update(h->ctx, (const unsigned char *)(msg.n ? msg.p : ""), msg.n) == 1 &&
           EVP_MAC_final(h->ctx, out, &n, MR_SHA256_LEN) == 1 && n == MR_SHA256_LEN;
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
