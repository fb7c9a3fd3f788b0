#include "api/edge.h"

#include <arpa/inet.h>

/* --- addresses --------------------------------------------------------------------------- */

static bool parse_ip(struct mr_str s, unsigned char out[16], bool *ret_v4) {
    char text[INET6_ADDRSTRLEN];
    if (!s.n || s.n >= sizeof text)
        return false;
    memcpy(text, s.p, s.n);
    text[s.n] = 0;
    memset(out, 0, 16);
    *ret_v4 = inet_pton(AF_INET, text, out + 12) == 1;
    if (*ret_v4) {
        out[10] = out[11] = 0xff;
        return true;
    }
    return inet_pton(AF_INET6, text, out) == 1;
}

int mr_net_parse(struct mr_str text, struct mr_net *ret, struct mr_err *e) {
    struct mr_str bits = text;
    struct mr_str addr = mr_str_cut(&bits, '/');
    struct mr_net n = {.bits = 128};
    bool v4;
    int64_t k = 0;
    if (!parse_ip(addr, n.addr, &v4))
        return mr_fail_field(e, MR_EFIELD, "trusted_proxies",
                             "trusted_proxies: '%.*s' is neither an address nor a CIDR block",
                             (int)(text.n > 60 ? 60 : text.n), text.p);
    if (bits.p) {
        if (!mr_str_i64(bits, 0, v4 ? 32 : 128, &k))
            return mr_fail_field(e, MR_EFIELD, "trusted_proxies",
                                 "trusted_proxies: the prefix length of '%.*s' must be 0 to %d",
                                 (int)(text.n > 60 ? 60 : text.n), text.p, v4 ? 32 : 128);
        n.bits = (unsigned)k + (v4 ? 96 : 0);
    }
    *ret = n;
    return 0;
}

bool mr_net_has(const struct mr_net *n, struct mr_str addr) {
    unsigned char a[16];
    bool v4;
    if (!parse_ip(addr, a, &v4))
        return false;
    unsigned whole = n->bits / 8, rest = n->bits % 8;
    if (memcmp(a, n->addr, whole))
        return false;
    return !rest || !((a[whole] ^ n->addr[whole]) >> (8 - rest));
}

bool mr_edge_is_proxy(const struct mr_edge *d, struct mr_str peer) {
    for (size_t i = 0; i < d->n_proxies; i++)
        if (mr_net_has(&d->proxies[i], peer))
            return true;
    return false;
}

/* --- settings ---------------------------------------------------------------------------- */

/* "https://host[:port]" as browsers write an Origin: no path, no wildcard. */
static bool origin_ok(struct mr_str o) {
    size_t at = mr_str_starts(o, MR_LIT("http://"))    ? 7
                : mr_str_starts(o, MR_LIT("https://")) ? 8
                                                       : 0;
    if (!at || o.n == at || o.n > 260)
        return false;
    for (size_t i = at; i < o.n; i++) {
        char ch = o.p[i];
        if (!((ch >= 'a' && ch <= 'z') || (ch >= '0' && ch <= '9') || ch == '.' || ch == '-' ||
              ch == ':' || ch == '[' || ch == ']' || ch == '_'))
            return false;
    }
    return true;
}

int mr_edge_init(struct mr_edge *d, const struct mr_config *c, struct mr_err *e) {
    struct mr_edge n = {.open = c->open};
    if (c->public_url && *c->public_url)
        n.public_url = mr_str(c->public_url);
    for (size_t i = 0; i < c->trusted_proxies.n; i++) {
        int rc = mr_net_parse(mr_str(c->trusted_proxies.item[i]), &n.proxies[i], e);
        if (rc)
            return rc;
        n.n_proxies++;
    }
    for (size_t i = 0; i < c->cors_origin.n; i++) {
        n.cors[i] = mr_str(c->cors_origin.item[i]);
        if (!origin_ok(n.cors[i]))
            return mr_fail_field(e, MR_EFIELD, "cors_origin",
                                 "cors_origin: '%.60s' is no origin; write it as browsers do: "
                                 "https://host or https://host:port, lower case, no path",
                                 n.cors[i].p);
        n.n_cors++;
    }
    *d = n;
    return 0;
}

/* --- the caller -------------------------------------------------------------------------- */

/* Headers that only something between client and server adds. */
static bool proxy_header(struct mr_str name) {
    return mr_str_starts(name, MR_LIT("x-forwarded")) || mr_str_is(name, "forwarded") ||
           mr_str_is(name, "via") || mr_str_is(name, "x-real-ip") ||
           mr_str_is(name, "x-original-host");
}

void mr_caller_read(const struct mr_req *r, struct mr_caller *ret) {
    struct mr_caller c = {.peer_loopback = r->peer_loopback,
                          .listener_loopback = r->listener_loopback,
                          .https = r->tls};
    struct mr_str name, value, proto = {0}, host = {0};
    uint32_t at = 0;
    while (mr_req_header_next(r, &at, &name, &value)) {
        if (mr_str_is(name, "host"))
            c.host = value;
        else if (mr_str_is(name, "origin"))
            c.origin = value;
        else if (mr_str_is(name, "sec-fetch-site"))
            c.fetch_site = value;
        else if (proxy_header(name))
            c.proxied = true;
        if (mr_str_is(name, "x-forwarded-proto"))
            proto = value;
        else if (mr_str_is(name, "x-forwarded-host"))
            host = value;
    }
    if (r->via_proxy) { /* only a listed proxy's word counts */
        c.proxied = true;
        if (proto.p)
            c.https = mr_str_ieq(proto, MR_LIT("https"));
        if (host.n)
            c.host = host;
    }
    *ret = c;
}

/* The last address of a comma-separated list; what is before it stays in *rest. */
static struct mr_str cut_last(struct mr_str *rest) {
    const char *comma = rest->n ? memrchr(rest->p, ',', rest->n) : NULL;
    struct mr_str last = *rest;
    if (comma)
        last = mr_strn(comma + 1, (size_t)(rest->p + rest->n - comma - 1));
    *rest = comma ? mr_strn(rest->p, (size_t)(comma - rest->p)) : mr_strn(NULL, 0);
    return mr_str_trim(last);
}

/* "192.0.2.7:4711" and "[2001:db8::1]:4711" carry ports, which some proxies send. */
static struct mr_str bare(struct mr_str a) {
    if (a.n && a.p[0] == '[') {
        const char *end = memchr(a.p, ']', a.n);
        return end ? mr_strn(a.p + 1, (size_t)(end - a.p - 1)) : a;
    }
    const char *colon = a.n ? memchr(a.p, ':', a.n) : NULL;
    if (colon && memchr(a.p, '.', (size_t)(colon - a.p)))
        return mr_strn(a.p, (size_t)(colon - a.p));
    return a;
}

#define FORWARD_LINES 8

void mr_edge_client(const struct mr_edge *d, struct mr_req *r) {
    struct mr_str line[FORWARD_LINES], name, value;
    size_t n = 0;
    uint32_t at = 0;
    if (!d->n_proxies || !mr_edge_is_proxy(d, mr_str(r->peer)))
        return;
    r->via_proxy = true;
    while (mr_req_header_next(r, &at, &name, &value))
        if (mr_str_is(name, "x-forwarded-for")) {
            if (n == FORWARD_LINES) { /* the nearest proxy's line is the last one */
                memmove(line, line + 1, sizeof *line * (FORWARD_LINES - 1));
                n--;
            }
            line[n++] = value;
        }
    while (n) {
        struct mr_str addr = bare(cut_last(&line[n - 1]));
        unsigned char ip[16];
        bool v4;
        if (!line[n - 1].p)
            n--;
        if (!parse_ip(addr, ip, &v4))
            return; /* what stands left of it is nobody's word */
        memcpy(r->peer, addr.p, addr.n);
        r->peer[addr.n] = 0;
        if (!mr_edge_is_proxy(d, addr))
            return;
    }
}

bool mr_host_loopback(struct mr_str h) {
    if (h.n > 2 && h.p[0] == '[') {
        const char *end = memchr(h.p, ']', h.n);
        size_t inner = end ? (size_t)(end - h.p - 1) : 0;
        return end && mr_str_is(mr_strn(h.p + 1, inner), "::1") &&
               (inner + 2 == h.n || end[1] == ':');
    }
    struct mr_str rest = h;
    struct mr_str name = mr_str_cut(&rest, ':');
    if (rest.p && memchr(rest.p, ':', rest.n))
        return false;
    if (name.n > 1 && name.p[name.n - 1] == '.')
        name.n--;
    if (mr_str_ieq(name, MR_LIT("localhost")))
        return true;
    if (name.n > 10 &&
        mr_str_ieq(mr_strn(name.p + name.n - 10, 10), MR_LIT(".localhost"))) /* RFC 6761 6.3 */
        return true;
    unsigned char ip[16];
    bool v4;
    return parse_ip(name, ip, &v4) && v4 && ip[12] == 127;
}

bool mr_origin_own(const struct mr_edge *d, const struct mr_caller *c) {
    struct mr_str o = c->origin, url = d->public_url;
    struct mr_str prefix = c->https ? MR_LIT("https://") : MR_LIT("http://");
    if (o.n > prefix.n && mr_str_starts(o, prefix) &&
        mr_str_ieq(mr_strn(o.p + prefix.n, o.n - prefix.n), c->host))
        return true;
    return o.n && url.n >= o.n && mr_str_ieq(mr_strn(url.p, o.n), o) &&
           (url.n == o.n || url.p[o.n] == '/');
}

bool mr_origin_listed(const struct mr_edge *d, struct mr_str origin) {
    for (size_t i = 0; i < d->n_cors; i++)
        if (mr_str_eq(d->cors[i], origin))
            return true;
    return false;
}

bool mr_keyless_owner(const struct mr_edge *d, const struct mr_caller *c, bool family_allows) {
    if (!family_allows)
        return false;
    if (d->open)
        return true;
    if (!c->listener_loopback || !c->peer_loopback || c->proxied || !mr_host_loopback(c->host))
        return false;
    if (c->origin.p && !mr_origin_own(d, c))
        return false;
    return !c->fetch_site.p || mr_str_is(c->fetch_site, "same-origin") ||
           mr_str_is(c->fetch_site, "none");
}
