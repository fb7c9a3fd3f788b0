#include "base/cleanup.h"
#include "base/codec.h"
#include "base/hash.h"
#include "core/events/internal.h"

int mr_webhook_key(struct mr_str secret, struct mr_buf *key, struct mr_err *e) {
    if (!secret.p || secret.n == 0)
        return mr_fail_field(e, MR_EFIELD, "secret", "secret must not be empty");
    if (secret.n > 512)
        return mr_fail_field(e, MR_EFIELD, "secret", "secret is longer than 512 bytes");
    struct mr_str prefix = MR_LIT("whsec_");
    if (!mr_str_starts(secret, prefix)) {
        mr_buf_str(key, secret);
    } else {
        struct mr_str text = mr_strn(secret.p + prefix.n, secret.n - prefix.n);
        size_t before = key->n;
        bool ok = mr_base64_decode(text, key) && key->n > before;
        if (!ok && mr_buf_ok(key))
            return mr_fail_field(e, MR_EFIELD, "secret",
                                 "secret must have Base64 text after \"whsec_\"");
    }
    return mr_buf_ok(key) ? 0 : mr_fail(e, MR_ENOMEM, "out of memory");
}

static int finish(struct mr_buf *text, char *out, size_t cap, struct mr_err *e) {
    if (!mr_buf_ok(text) || text->n >= cap)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    memcpy(out, text->p, text->n + 1);
    return 0;
}

int mr_webhook_sign(struct mr_str secret, struct mr_str id, int64_t timestamp_s, struct mr_str body,
                    struct mr_webhook_signature *ret, struct mr_err *e) {
    MR_CLEANUP(mr_buf_release) struct mr_buf key, message, text;
    mr_buf_init(&key, 1024);
    mr_buf_init(&message, body.n + 256);
    mr_buf_init(&text, 256);
    int rc = mr_webhook_key(secret, &key, e);
    if (rc)
        return rc;
    mr_buf_str(&message, id);
    mr_buf_char(&message, '.');
    mr_buf_i64(&message, timestamp_s);
    mr_buf_char(&message, '.');
    mr_buf_str(&message, body);
    uint8_t standard[MR_SHA256_LEN], plain[MR_SHA256_LEN];
    if (!mr_buf_ok(&message) ||
        !mr_hmac_sha256(mr_buf_view(&key), mr_buf_view(&message), standard) ||
        !mr_hmac_sha256(mr_buf_view(&key), body, plain))
        return mr_fail(e, MR_ENOMEM, "out of memory");
    struct mr_webhook_signature s;
    mr_buf_cstr(&text, "v1,");
    mr_base64_add(&text, standard, sizeof standard);
    rc = finish(&text, s.standard, sizeof s.standard, e);
    mr_buf_clear(&text);
    mr_buf_cstr(&text, "sha256=");
    mr_hex_add(&text, plain, sizeof plain);
    if (rc == 0)
        rc = finish(&text, s.serveml, sizeof s.serveml, e);
    if (rc == 0)
        *ret = s;
    return rc;
}
