/* Headers of any shape: only one that carries the right signature of a near time is taken. Input:
 * the header; what it has after a NUL is the body. */
#include "base/buf.h"
#include "base/codec.h"
#include "base/hash.h"
#include "core/billing/billing.h"

#define NOW INT64_C(1760000000)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Whether the header has "v1=" and the signature of its own time somewhere, found the simple way.
 */
static bool has_signature(struct mr_str header, struct mr_str body) {
    for (size_t i = 0; i + 2 < header.n; i++) {
        if (header.p[i] != 't' || header.p[i + 1] != '=')
            continue;
        size_t n = i + 2;
        while (n < header.n && header.p[n] >= '0' && header.p[n] <= '9')
            n++;
        struct mr_buf message, hex;
        uint8_t mac[MR_SHA256_LEN];
        mr_buf_init(&message, 1 << 20);
        mr_buf_init(&hex, 128);
        mr_buf_str(&message, mr_strn(header.p + i + 2, n - i - 2));
        mr_buf_char(&message, '.');
        mr_buf_str(&message, body);
        mr_hmac_sha256(MR_LIT("whsec_fuzz"), mr_buf_view(&message), mac);
        mr_buf_cstr(&hex, "v1=");
        mr_hex_add(&hex, mac, sizeof mac);
        bool found = memmem(header.p, header.n, hex.p, hex.n) != NULL;
        mr_buf_release(&message);
        mr_buf_release(&hex);
        if (found)
            return true;
    }
    return false;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const uint8_t *nul = size ? memchr(data, 0, size) : NULL;
    struct mr_str header = mr_strn((const char *)data, nul ? (size_t)(nul - data) : size), body;
    struct mr_err e = {0};
    body = nul ? mr_strn((const char *)nul + 1, size - header.n - 1) : MR_LIT("{\"id\":\"evt_1\"}");
    int rc = mr_stripe_verify(MR_LIT("whsec_fuzz"), header, body, NOW, &e);
    if (rc ? rc != MR_EINVAL || !e.msg[0] : !has_signature(header, body))
        __builtin_trap();
    return 0;
}
