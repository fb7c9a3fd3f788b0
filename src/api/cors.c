#include "api/cors.h"

#include "http/router.h"

#define MAX_AGE_S "600" /* short enough that a changed setting is felt, long enough to matter */

void mr_cors_headers(const struct mr_edge *d, struct mr_req *r) {
    if (!d->n_cors)
        return;
    mr_req_set_header(r, "Vary", MR_LIT("Origin"));
    struct mr_str origin = mr_req_header(r, "origin");
    if (!origin.p || !mr_origin_listed(d, origin))
        return;
    mr_req_set_header(r, "Access-Control-Allow-Origin", origin);
    mr_req_set_header(r, "Access-Control-Allow-Credentials", MR_LIT("true"));
    mr_req_set_header(r, "Access-Control-Expose-Headers",
                      MR_LIT("X-Request-Id, X-RateLimit-Limit, X-RateLimit-Remaining, "
                             "X-RateLimit-Reset, Retry-After, Allow, ETag, Content-Range, "
                             "Content-Disposition, Idempotent-Replayed"));
}

bool mr_cors_preflight(const struct mr_edge *d, struct mr_req *r) {
    if (r->method != MR_OPTIONS || !r->allow ||
        !mr_req_header(r, "access-control-request-method").p)
        return false;
    struct mr_str origin = mr_req_header(r, "origin");
    if (!origin.p || !mr_origin_listed(d, origin))
        return false;
    char allow[64];
    mr_allow_text(r->allow, allow, sizeof allow);
    mr_req_set_header(r, "Access-Control-Allow-Methods", mr_str(allow));
    mr_req_set_header(r, "Access-Control-Allow-Headers",
                      MR_LIT("Authorization, Content-Type, X-API-Key, Idempotency-Key, "
                             "X-Request-Id, If-None-Match, Range, Last-Event-ID, Cache-Control"));
    mr_req_set_header(r, "Access-Control-Max-Age", MR_LIT(MAX_AGE_S));
    mr_req_reply(r, 204, NULL, mr_strn("", 0), true);
    return true;
}

int mr_cors_check(const struct mr_edge *d, const struct mr_req *r, struct mr_err *e) {
    if (r->method == MR_GET || r->method == MR_HEAD || r->method == MR_OPTIONS)
        return 0;
    if (!mr_req_header(r, "origin").p)
        return 0;
    struct mr_caller c;
    mr_caller_read(r, &c);
    if (mr_origin_own(d, &c) || mr_origin_listed(d, c.origin))
        return 0;
    return mr_fail(e, MR_EFORBIDDEN,
                   "pages of the origin %.*s may not send this; the setting cors_origin names "
                   "those that may",
                   (int)(c.origin.n > 100 ? 100 : c.origin.n), c.origin.p);
}
