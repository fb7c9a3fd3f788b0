#include "wire/jwt.h"

#include "base/codec.h"
#include "base/hash.h"

#include <yyjson.h>

/* base64url of {"alg":"HS256","typ":"JWT"} */
#define OUR_HEADER "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9"

int mr_jwt_sign(struct mr_str key, struct mr_str claims_json, struct mr_buf *out,
                struct mr_err *e) {
    size_t start = out->n;
    uint8_t mac[MR_SHA256_LEN];
    mr_buf_cstr(out, OUR_HEADER ".");
    mr_base64url_add(out, claims_json.p, claims_json.n);
    if (!mr_buf_ok(out))
        return mr_fail(e, out->fail, "the token is too large");
    if (!mr_hmac_sha256(key, mr_strn(out->p + start, out->n - start), mac))
        return mr_fail(e, MR_EINTERNAL, "HMAC failed");
    mr_buf_char(out, '.');
    mr_base64url_add(out, mac, sizeof mac);
    return mr_buf_ok(out) ? 0 : mr_fail(e, out->fail, "the token is too large");
}

/* Ours, or another writer's of the same algorithm: alg, typ and nothing that changes the meaning.
 */
static bool header_is_ours(struct mr_str part) {
    if (mr_str_is(part, OUR_HEADER))
        return true;
    char tmp[256];
    struct mr_buf b;
    bool ok = false;
    mr_buf_init(&b, sizeof tmp);
    if (part.n < sizeof tmp && mr_base64url_decode(part, &b)) {
        yyjson_doc *doc = yyjson_read(b.p, b.n, 0);
        yyjson_val *root = yyjson_doc_get_root(doc);
        yyjson_val *typ = yyjson_obj_get(root, "typ");
        ok = yyjson_equals_str(yyjson_obj_get(root, "alg"), "HS256") &&
             (!typ || yyjson_equals_str(typ, "JWT")) && !yyjson_obj_get(root, "crit");
        yyjson_doc_free(doc);
    }
    mr_buf_release(&b);
    return ok;
}

int mr_jwt_verify(struct mr_str key, struct mr_str token, struct mr_buf *claims, struct mr_err *e) {
    struct mr_str rest = token;
    if (!token.p || token.n > MR_JWT_MAX)
        return mr_fail(e, MR_EUNAUTH, "the token is not a JWT");
    struct mr_str head = mr_str_cut(&rest, '.');
    struct mr_str payload = mr_str_cut(&rest, '.');
    if (!rest.p || memchr(rest.p, '.', rest.n) || !head.n || !payload.n)
        return mr_fail(e, MR_EUNAUTH, "the token is not a JWT");
    uint8_t mac[MR_SHA256_LEN];
    struct mr_buf sig;
    mr_buf_init(&sig, 64);
    bool good = mr_base64url_decode(rest, &sig) && sig.n == sizeof mac &&
                mr_hmac_sha256(key, mr_strn(token.p, head.n + 1 + payload.n), mac) &&
                mr_equal_ct(mac, sig.p, sizeof mac);
    mr_buf_release(&sig);
    if (!good)
        return mr_fail(e, MR_EUNAUTH, "the token's signature is not valid");
    if (!header_is_ours(head) || !mr_base64url_decode(payload, claims))
        return mr_fail(e, MR_EUNAUTH, "the token is not one of ours");
    return 0;
}

int mr_jwt_check(struct mr_str claims, const char *issuer, int64_t now_s, struct mr_err *e) {
    yyjson_doc *doc = yyjson_read(claims.p ? claims.p : "", claims.n, 0);
    yyjson_val *root = yyjson_doc_get_root(doc);
    yyjson_val *exp = yyjson_obj_get(root, "exp"), *nbf = yyjson_obj_get(root, "nbf");
    yyjson_val *iss = yyjson_obj_get(root, "iss");
    double now = (double)now_s;
    const char *why = NULL;
    if (!yyjson_is_obj(root))
        why = "the token's claims are no JSON object";
    else if (!yyjson_is_num(exp))
        why = "the token does not say when it expires";
    else if (!(now < yyjson_get_num(exp)))
        why = "the token has expired";
    else if (nbf && !(yyjson_is_num(nbf) && yyjson_get_num(nbf) <= now))
        why = "the token is not valid yet";
    else if (issuer && !yyjson_equals_str(iss, issuer))
        why = "the token was issued by someone else";
    yyjson_doc_free(doc);
    return why ? mr_fail(e, MR_EUNAUTH, "%s", why) : 0;
}
