#include "base/codec.h"
#include "base/hash.h"
#include "mr_test.h"
#include "wire/jwt.h"

#include <pthread.h>

/* RFC 7515 appendix A.1 */
#define RFC_KEY                                                                                    \
    "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"
#define RFC_TOKEN                                                                                  \
    "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9."                                                    \
    "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVl" \
    "fQ."                                                                                          \
    "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
#define RFC_CLAIMS                                                                                 \
    "{\"iss\":\"joe\",\r\n \"exp\":1300819380,\r\n \"http://example.com/is_root\":true}"

static const struct mr_str key = MR_LIT("0123456789abcdef0123456789abcdef");

static int verify(struct mr_str k, struct mr_str token, struct mr_buf *claims) {
    struct mr_err e = {0};
    mr_buf_clear(claims);
    int rc = mr_jwt_verify(k, token, claims, &e);
    CHECK(rc == 0 || (rc == MR_EUNAUTH && e.msg[0]));
    if (rc)
        CHECK_INT(claims->n, 0);
    return rc;
}

MR_TEST(rfc_7515_vector) {
    struct mr_buf k, claims;
    mr_buf_init(&k, 100);
    mr_buf_init(&claims, 4096);
    CHECK(mr_base64url_decode(MR_LIT(RFC_KEY), &k));
    CHECK_INT(verify(mr_buf_view(&k), MR_LIT(RFC_TOKEN), &claims), 0);
    CHECK_STR(claims.p, RFC_CLAIMS);
    CHECK_INT(mr_jwt_check(mr_buf_view(&claims), "joe", 1300819379, NULL), 0);
    CHECK_INT(mr_jwt_check(mr_buf_view(&claims), "joe", 1300819380, NULL), MR_EUNAUTH);
    mr_buf_release(&k);
    mr_buf_release(&claims);
}

/* RFC 4231, cases 1, 2 and 6 (a key longer than a block), twice each and mixed: the kept context
 * must not leak from one key into the next. */
MR_TEST(rfc_4231_vectors_with_changing_keys) {
    static char long_key[131], k1[20];
    memset(long_key, 0xaa, sizeof long_key);
    memset(k1, 0x0b, sizeof k1);
    const struct {
        struct mr_str key, msg;
        const char *want;
    } rows[] = {
        {{k1, 20},
         MR_LIT("Hi There"),
         "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"},
        {MR_LIT("Jefe"), MR_LIT("what do ya want for nothing?"),
         "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"},
        {{long_key, 131},
         MR_LIT("Test Using Larger Than Block-Size Key - Hash Key First"),
         "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"},
    };
    static const int order[] = {0, 0, 1, 0, 2, 2, 1, 1, 2, 0};
    for (size_t i = 0; i < sizeof order / sizeof *order; i++) {
        uint8_t mac[MR_SHA256_LEN];
        struct mr_buf hex;
        mr_buf_init(&hex, 100);
        CHECK(mr_hmac_sha256(rows[order[i]].key, rows[order[i]].msg, mac));
        mr_hex_add(&hex, mac, sizeof mac);
        CHECK_STR(hex.p, rows[order[i]].want);
        mr_buf_release(&hex);
    }
}

static void sign_parts(const char *header, const char *payload, struct mr_buf *out) {
    uint8_t mac[MR_SHA256_LEN];
    mr_buf_clear(out);
    mr_base64url_add(out, header, strlen(header));
    mr_buf_char(out, '.');
    mr_base64url_add(out, payload, strlen(payload));
    CHECK(mr_hmac_sha256(key, mr_buf_view(out), mac));
    mr_buf_char(out, '.');
    mr_base64url_add(out, mac, sizeof mac);
}

MR_TEST(headers_of_other_algorithms_are_refused) {
    static const char *const bad[] = {
        "{\"alg\":\"none\"}",
        "{\"alg\":\"None\",\"typ\":\"JWT\"}",
        "{\"alg\":\"RS256\",\"typ\":\"JWT\"}",
        "{\"alg\":\"HS384\"}",
        "{\"alg\":\"hs256\"}",
        "{\"alg\":[\"HS256\"]}",
        "{\"alg\":\"HS256\",\"typ\":\"JWE\"}",
        "{\"alg\":\"HS256\",\"crit\":[\"b64\"],\"b64\":false}",
        "{\"typ\":\"JWT\"}",
        "[]",
        "{}",
        "\"HS256\"",
        "{\"alg\":\"HS256\"",
    };
    struct mr_buf t, claims;
    mr_buf_init(&t, 4096);
    mr_buf_init(&claims, 4096);
    sign_parts("{\"alg\":\"HS256\"}", "{}", &t);
    CHECK_INT(verify(key, mr_buf_view(&t), &claims), 0);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        sign_parts(bad[i], "{\"exp\":99}", &t);
        CHECK_INT(verify(key, mr_buf_view(&t), &claims), MR_EUNAUTH);
    }
    /* the classic: no algorithm, no signature */
    CHECK_INT(verify(key, MR_LIT("eyJhbGciOiJub25lIn0.e30."), &claims), MR_EUNAUTH);
    mr_buf_release(&t);
    mr_buf_release(&claims);
}

MR_TEST(every_changed_byte_is_noticed) {
    struct mr_buf t, claims;
    mr_buf_init(&t, 4096);
    mr_buf_init(&claims, 4096);
    CHECK_INT(mr_jwt_sign(key, MR_LIT("{\"sub\":\"u1\",\"exp\":2000000000}"), &t, NULL), 0);
    CHECK_INT(verify(key, mr_buf_view(&t), &claims), 0);
    CHECK_STR(claims.p, "{\"sub\":\"u1\",\"exp\":2000000000}");
    for (size_t i = 0; i < t.n; i++) {
        char was = t.p[i];
        t.p[i] = was == 'A' ? 'B' : 'A';
        CHECK_INT(verify(key, mr_buf_view(&t), &claims), MR_EUNAUTH);
        t.p[i] = '.';
        if (was != '.')
            CHECK_INT(verify(key, mr_buf_view(&t), &claims), MR_EUNAUTH);
        t.p[i] = was;
        CHECK_INT(verify(key, mr_strn(t.p, i), &claims), MR_EUNAUTH);
    }
    CHECK_INT(verify(MR_LIT("0123456789abcdef0123456789abcdeg"), mr_buf_view(&t), &claims),
              MR_EUNAUTH);
    mr_buf_char(&t, '=');
    CHECK_INT(verify(key, mr_buf_view(&t), &claims), MR_EUNAUTH);
    mr_buf_release(&t);
    mr_buf_release(&claims);
}

MR_TEST(forms_that_are_no_token) {
    static const char *const bad[] = {"",      ".",    "..",   "...",  "a.b",
                                      "a.b.c", "a..c", ".b.c", "a b c"};
    struct mr_buf claims;
    mr_buf_init(&claims, 4096);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        CHECK_INT(verify(key, mr_str(bad[i]), &claims), MR_EUNAUTH);
    CHECK_INT(verify(key, (struct mr_str){NULL, 0}, &claims), MR_EUNAUTH);
    enum { BIG = 1 << 20 };
    char *big = malloc(BIG);
    memset(big, 'A', BIG);
    big[100] = big[BIG - 50] = '.';
    CHECK_INT(verify(key, mr_strn(big, BIG), &claims), MR_EUNAUTH);
    free(big);
    struct mr_buf small;
    mr_buf_init(&small, 50);
    CHECK_INT(mr_jwt_sign(key, MR_LIT("{}"), &small, NULL), MR_ETOOBIG);
    mr_buf_release(&small);
    mr_buf_release(&claims);
}

MR_TEST(times_and_issuer_are_checked) {
    static const struct {
        const char *claims, *why;
    } rows[] = {
        {"{\"exp\":101,\"iss\":\"me\"}", NULL},
        {"{\"exp\":100.5,\"nbf\":100,\"iss\":\"me\"}", NULL},
        {"{\"exp\":100,\"iss\":\"me\"}", "expired"},
        {"{\"exp\":-1,\"iss\":\"me\"}", "expired"},
        {"{\"iss\":\"me\"}", "when it expires"},
        {"{\"exp\":\"101\",\"iss\":\"me\"}", "when it expires"},
        {"{\"exp\":null,\"iss\":\"me\"}", "when it expires"},
        {"{\"exp\":101,\"nbf\":101,\"iss\":\"me\"}", "not valid yet"},
        {"{\"exp\":101,\"nbf\":\"1\",\"iss\":\"me\"}", "not valid yet"},
        {"{\"exp\":101,\"iss\":\"you\"}", "someone else"},
        {"{\"exp\":101}", "someone else"},
        {"[101]", "no JSON object"},
        {"{\"exp\":101", "no JSON object"},
        {"", "no JSON object"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct mr_err e = {0};
        int rc = mr_jwt_check(mr_str(rows[i].claims), "me", 100, &e);
        CHECK_INT(rc, rows[i].why ? MR_EUNAUTH : 0);
        if (rows[i].why && !strstr(e.msg, rows[i].why))
            CHECK_STR(e.msg, rows[i].why);
    }
    CHECK_INT(mr_jwt_check(MR_LIT("{\"exp\":101}"), NULL, 100, NULL), 0);
}

static void *in_a_thread(void *arg) {
    struct mr_buf claims;
    mr_buf_init(&claims, 4096);
    for (int i = 0; i < 200; i++)
        if (mr_jwt_verify(key, *(const struct mr_str *)arg, &claims, NULL))
            return arg;
        else
            mr_buf_clear(&claims);
    mr_buf_release(&claims);
    return NULL;
}

MR_TEST(threads_do_not_share_contexts) {
    struct mr_buf t;
    mr_buf_init(&t, 4096);
    CHECK_INT(mr_jwt_sign(key, MR_LIT("{\"exp\":1}"), &t, NULL), 0);
    struct mr_str token = mr_buf_view(&t);
    pthread_t th[4];
    for (int i = 0; i < 4; i++)
        CHECK_INT(pthread_create(&th[i], NULL, in_a_thread, &token), 0);
    for (int i = 0; i < 4; i++) {
        void *bad = &token;
        pthread_join(th[i], &bad);
        CHECK(!bad);
    }
    mr_buf_release(&t);
}

MR_TEST_MAIN(CASE(rfc_7515_vector), CASE(rfc_4231_vectors_with_changing_keys),
             CASE(headers_of_other_algorithms_are_refused), CASE(every_changed_byte_is_noticed),
             CASE(forms_that_are_no_token), CASE(times_and_issuer_are_checked),
             CASE(threads_do_not_share_contexts))
