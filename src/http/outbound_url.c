/* Reading and judging a target's URL. libcurl's own parser is used, the one that makes the
 * connection, so that the two cannot disagree. */
#include "http/outbound_impl.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static int bad(struct mr_err *e, const char *why) {
    return mr_fail_field(e, MR_EFIELD, "url", "url %s", why);
}

static bool read_part(CURLU *u, CURLUPart what, unsigned flags, char *out, size_t cap) {
    char *part = NULL;
    if (curl_url_get(u, what, &part, flags) != CURLUE_OK)
        return false;
    size_t n = strlen(part);
    bool fits = n < cap;
    if (fits)
        memcpy(out, part, n + 1);
    curl_free(part);
    return fits;
}

static bool has(CURLU *u, CURLUPart what) {
    char *part = NULL;
    bool there = curl_url_get(u, what, &part, 0) == CURLUE_OK && part;
    curl_free(part);
    return there;
}

static int fill(CURLU *u, struct mr_outbound_url *t, struct mr_err *e) {
    char scheme[16], port[16];
    if (!read_part(u, CURLUPART_SCHEME, 0, scheme, sizeof scheme))
        return bad(e, "has no scheme");
    t->https = strcasecmp(scheme, "https") == 0;
    if (!t->https && strcasecmp(scheme, "http") != 0)
        return bad(e, "must start with https://");
    if (has(u, CURLUPART_USER) || has(u, CURLUPART_PASSWORD))
        return bad(e, "must not hold a user name or password");
    if (!read_part(u, CURLUPART_HOST, 0, t->host, sizeof t->host) || !t->host[0])
        return bad(e, "has no usable host");
    if (!read_part(u, CURLUPART_PORT, CURLU_DEFAULT_PORT, port, sizeof port))
        return bad(e, "has no usable port");
    int64_t n;
    if (!mr_str_i64(mr_str(port), 1, 65535, &n))
        return bad(e, "has no usable port");
    t->port = (int)n;
    for (const char *p = t->host; *p; p++)
        if ((unsigned char)*p <= ' ' || (unsigned char)*p >= 127 || *p == '%' || *p == '\\')
            return bad(e,
                       "has characters in its host that are not allowed (use the punycode form)");
    size_t len = strlen(t->host);
    if (t->host[0] == '[' && len > 2) {
        memcpy(t->name, t->host + 1, len - 2);
        t->name[len - 2] = 0;
    } else {
        memcpy(t->name, t->host, len + 1);
    }
    return 0;
}

/* A literal address: into *sa. */
static bool literal(const struct mr_outbound_url *t, struct sockaddr_storage *sa) {
    memset(sa, 0, sizeof *sa);
    struct sockaddr_in *v4 = (struct sockaddr_in *)sa;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)sa;
    if (inet_pton(AF_INET, t->name, &v4->sin_addr) == 1)
        sa->ss_family = AF_INET;
    else if (inet_pton(AF_INET6, t->name, &v6->sin6_addr) == 1)
        sa->ss_family = AF_INET6;
    return sa->ss_family != 0;
}

int mr_outbound_judge(const struct mr_outbound_policy *p, struct mr_outbound_url *t,
                      const struct sockaddr *sa, struct mr_err *e) {
    const char *why = "";
    if (t->exempt || mr_outbound_addr_allowed(p->allow, sa))
        return 0;
    if (!mr_outbound_addr_ok(sa, p->allow_loopback, &why))
        return mr_fail(e, MR_EFORBIDDEN, "the target %s has a forbidden address (%s)", t->host,
                       why);
    if (mr_outbound_addr_loopback(sa))
        return 0; /* any port, also http */
    if (!t->https)
        return mr_fail(e, MR_EFORBIDDEN, "the target %s must use https", t->host);
    if (t->port != 443)
        return mr_fail(e, MR_EFORBIDDEN, "the target %s must use port 443", t->host);
    return 0;
}

int mr_outbound_parse(const struct mr_outbound_policy *p, struct mr_str url,
                      struct mr_outbound_url *ret, struct mr_err *e) {
    char text[2049];
    if (url.n == 0 || !url.p)
        return bad(e, "is missing");
    if (url.n >= sizeof text)
        return bad(e, "is longer than 2048 characters");
    for (size_t i = 0; i < url.n; i++)
        if ((unsigned char)url.p[i] <= ' ' || url.p[i] == 127)
            return bad(e, "has white space or control characters");
    memcpy(text, url.p, url.n);
    text[url.n] = 0;
    /* libcurl would take https:/x and https:///x for https://x */
    size_t scheme = strncasecmp(text, "https://", 8) == 0 ? 8 : 7;
    if ((scheme == 7 && strncasecmp(text, "http://", 7) != 0) || text[scheme] == '/')
        return bad(e, "must be an absolute URL that starts with https://");
    CURLU *u = curl_url();
    if (!u)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    int rc;
    *ret = (struct mr_outbound_url){0};
    if (curl_url_set(u, CURLUPART_URL, text, CURLU_DISALLOW_USER) != CURLUE_OK)
        rc = bad(e, "is not an absolute http(s) URL without user name");
    else
        rc = fill(u, ret, e);
    curl_url_cleanup(u);
    if (rc)
        return rc;
    ret->exempt = mr_outbound_host_allowed(p->allow, ret);
    return 0;
}

int mr_outbound_check_url(const struct mr_outbound_policy *p, struct mr_str url, struct mr_err *e) {
    struct mr_outbound_url t;
    struct sockaddr_storage sa;
    struct mr_err why = {0};
    int rc = mr_outbound_parse(p, url, &t, e);
    if (rc || t.exempt)
        return rc;
    if (literal(&t, &sa)) {
        rc = mr_outbound_judge(p, &t, (struct sockaddr *)&sa, &why);
        return rc ? mr_fail_field(e, MR_EFIELD, "url", "url: %s", why.msg) : 0;
    }
    bool by_address = p->allow_loopback || mr_outbound_addr_allowed(p->allow, NULL);
    if (!by_address && (!t.https || t.port != 443))
        return bad(e, "must use https on port 443");
    return 0; /* the name's addresses are checked at each delivery */
}
