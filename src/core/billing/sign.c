/* Stripe-Signature: "t=<seconds>,v1=<hex>[,v1=<hex>…]"; HMAC-SHA256 over "<t>.<body>". */
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/codec.h"
#include "base/hash.h"
#include "core/billing/internal.h"

#define TOLERANCE_S  300
#define HEADER_MAX   4096
#define SIGNATURES_N 32

static int bad(struct mr_err *e, const char *what) {
    return mr_fail(e, MR_EINVAL, "the Stripe-Signature header %s", what);
}

static int expected(struct mr_str secret, struct mr_str t, struct mr_str body, struct mr_buf *hex,
                    struct mr_err *e) {
    MR_CLEANUP(mr_buf_release) struct mr_buf message;
    uint8_t mac[MR_SHA256_LEN];
    mr_buf_init(&message, body.n + t.n + 16);
    mr_buf_str(&message, t);
    mr_buf_char(&message, '.');
    mr_buf_str(&message, body);
    if (!mr_buf_ok(&message) || !mr_hmac_sha256(secret, mr_buf_view(&message), mac))
        return mr_fail(e, MR_ENOMEM, "out of memory");
    mr_hex_add(hex, mac, sizeof mac);
    return mr_buf_ok(hex) ? 0 : mr_fail(e, MR_ENOMEM, "out of memory");
}

int mr_stripe_verify(struct mr_str secret, struct mr_str header, struct mr_str body, int64_t now_s,
                     struct mr_err *e) {
    struct mr_str t = {0}, v1[SIGNATURES_N], rest = header;
    size_t n = 0;
    int64_t at;
    if (!header.p || !header.n)
        return bad(e, "is missing");
    if (header.n > HEADER_MAX)
        return bad(e, "is too long");
    while (rest.p) {
        struct mr_str value = mr_str_trim(mr_str_cut(&rest, ','));
        struct mr_str name = mr_str_cut(&value, '=');
        if (mr_str_is(name, "t") && value.p)
            t = value;
        else if (mr_str_is(name, "v1") && value.p && n < SIGNATURES_N)
            v1[n++] = value;
    }
    if (!t.p || !mr_str_i64(t, 0, INT64_MAX / 2, &at))
        return bad(e, "has no timestamp \"t=…\"");
    if (!n)
        return bad(e, "has no \"v1=…\" signature");
    MR_CLEANUP(mr_buf_release) struct mr_buf hex;
    mr_buf_init(&hex, 128);
    int rc = expected(secret, t, body, &hex, e);
    if (rc)
        return rc;
    bool match = false;
    for (size_t i = 0; i < n; i++)
        match |= v1[i].n == hex.n && mr_equal_ct(v1[i].p, hex.p, hex.n);
    if (!match)
        return bad(e, "does not match the body: check STRIPE_WEBHOOK_SECRET");
    if (at < now_s - TOLERANCE_S || at > now_s + TOLERANCE_S)
        return bad(e, "is more than 300 seconds away from this server's clock");
    return 0;
}
