/* The operator's list of targets that the address check lets pass. */
#include "http/outbound_impl.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

struct item {
    struct mr_str host; /* as in a URL: IPv6 in brackets */
    int port;           /* 0: none was given */
    bool net;           /* then: */
    int family, bits;
    uint8_t addr[16];
};

static const char *read_net(struct mr_str text, const char *slash, struct item *ret) {
    char addr[64];
    int64_t bits;
    size_t n = (size_t)(slash - text.p);
    if (n >= sizeof addr)
        return "its address is too long";
    memcpy(addr, text.p, n);
    addr[n] = 0;
    ret->net = true;
    ret->family = memchr(addr, ':', n) ? AF_INET6 : AF_INET;
    if (inet_pton(ret->family, addr, ret->addr) != 1)
        return "it is no CIDR block (like 10.2.0.0/16 or fd00:1::/32) nor a host";
    int64_t most = ret->family == AF_INET ? 32 : 128;
    if (!mr_str_i64(mr_strn(slash + 1, text.n - n - 1), 0, most, &bits))
        return ret->family == AF_INET ? "its prefix length must be 0 to 32"
                                      : "its prefix length must be 0 to 128";
    ret->bits = (int)bits;
    return NULL;
}

static bool host_ok(struct mr_str h) {
    if (h.n > 2 && h.p[0] == '[' && h.p[h.n - 1] == ']') {
        char addr[64];
        uint8_t ignored[16];
        if (h.n - 2 >= sizeof addr)
            return false;
        memcpy(addr, h.p + 1, h.n - 2);
        addr[h.n - 2] = 0;
        return inet_pton(AF_INET6, addr, ignored) == 1;
    }
    for (size_t i = 0; i < h.n; i++) {
        char c = h.p[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
              c == '.' || c == '-' || c == '_'))
            return false;
    }
    return h.n > 0 && h.n < 254;
}

/* NULL, or what is wrong with it. */
static const char *read_item(struct mr_str text, struct item *ret) {
    *ret = (struct item){.host = text};
    const char *slash = text.n ? memchr(text.p, '/', text.n) : NULL;
    if (slash && memmem(text.p, text.n, "://", 3))
        return "it is a URL; write its host, or host:port";
    if (slash)
        return read_net(text, slash, ret);
    const char *colon = text.n ? memrchr(text.p, ':', text.n) : NULL;
    if (colon && text.p[text.n - 1] != ']') {
        int64_t port;
        if (text.p[0] != '[' && memchr(text.p, ':', (size_t)(colon - text.p)))
            return "write an IPv6 address in brackets, or as a CIDR block";
        if (!mr_str_i64(mr_strn(colon + 1, (size_t)(text.p + text.n - colon - 1)), 1, 65535, &port))
            return "its port must be 1 to 65535";
        ret->port = (int)port;
        ret->host.n = (size_t)(colon - text.p);
    }
    return host_ok(ret->host) ? NULL : "it is no host, host:port or CIDR block";
}

int mr_outbound_check_allow(const char *allow, struct mr_err *e) {
    struct mr_str rest = mr_str(allow);
    struct item it;
    while (allow && rest.p) {
        struct mr_str text = mr_str_trim(mr_str_cut(&rest, ','));
        const char *why = read_item(text, &it);
        if (why)
            return mr_fail_field(e, MR_EFIELD, "webhook_allow_targets",
                                 "webhook_allow_targets: '%.*s': %s",
                                 (int)(text.n > 100 ? 100 : text.n), text.p ? text.p : "", why);
    }
    return 0;
}

bool mr_outbound_host_allowed(const char *allow, const struct mr_outbound_url *t) {
    struct mr_str rest = mr_str(allow);
    struct item it;
    while (allow && rest.p) {
        if (read_item(mr_str_trim(mr_str_cut(&rest, ',')), &it) || it.net ||
            !mr_str_ieq(it.host, mr_str(t->host)))
            continue;
        if (it.port ? it.port == t->port : t->port == 443 && t->https)
            return true;
    }
    return false;
}

static bool in_block(const struct item *it, const uint8_t *a) {
    int bytes = it->bits / 8, left = it->bits % 8;
    if (memcmp(a, it->addr, (size_t)bytes) != 0)
        return false;
    return left == 0 || ((a[bytes] ^ it->addr[bytes]) >> (8 - left)) == 0;
}

bool mr_outbound_addr_allowed(const char *allow, const struct sockaddr *sa) {
    struct mr_str rest = mr_str(allow);
    struct item it;
    const uint8_t *a = NULL;
    if (sa && sa->sa_family == AF_INET)
        a = (const uint8_t *)&((const struct sockaddr_in *)(const void *)sa)->sin_addr;
    else if (sa && sa->sa_family == AF_INET6)
        a = ((const struct sockaddr_in6 *)(const void *)sa)->sin6_addr.s6_addr;
    while (allow && rest.p) {
        if (read_item(mr_str_trim(mr_str_cut(&rest, ',')), &it) || !it.net)
            continue;
        if (!sa || (a && it.family == sa->sa_family && in_block(&it, a)))
            return true;
    }
    return false;
}
