/* Which addresses a user-named target may have. */
#include "http/outbound_impl.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <netinet/in.h>
#include <string.h>

struct range {
    const char *net; /* prefix in text */
    int bits;
    const char *why;
};

/* IANA IPv4 special-purpose registry, and multicast and reserved space. */
static const struct range v4_ranges[] = {
    {"0.0.0.0", 8, "this network"},
    {"10.0.0.0", 8, "a private network"},
    {"100.64.0.0", 10, "carrier-grade NAT"},
    {"127.0.0.0", 8, "loopback"},
    {"169.254.0.0", 16, "link-local (cloud metadata)"},
    {"172.16.0.0", 12, "a private network"},
    {"192.0.0.0", 24, "protocol assignments"},
    {"192.0.2.0", 24, "documentation"},
    {"192.31.196.0", 24, "AS112"},
    {"192.52.193.0", 24, "AMT"},
    {"192.88.99.0", 24, "6to4 relay"},
    {"192.168.0.0", 16, "a private network"},
    {"192.175.48.0", 24, "AS112"},
    {"198.18.0.0", 15, "benchmarking"},
    {"198.51.100.0", 24, "documentation"},
    {"203.0.113.0", 24, "documentation"},
    {"224.0.0.0", 4, "multicast"},
    {"240.0.0.0", 4, "reserved or broadcast"},
};

/* Global unicast is 2000::/3; these are the exceptions in it. Embedded IPv4 is handled before. */
static const struct range v6_ranges[] = {
    {"2001::", 23, "protocol assignments (Teredo, ORCHID, benchmarking)"},
    {"2001:db8::", 32, "documentation"},
    {"2002::", 16, "6to4"},
    {"2620:4f:8000::", 48, "AS112"},
    {"3fff::", 20, "documentation"},
};

static bool in_net(const uint8_t *addr, int family, const struct range *r) {
    uint8_t net[16];
    if (inet_pton(family, r->net, net) != 1)
        return true;
    int bytes = r->bits / 8, rest = r->bits % 8;
    if (memcmp(addr, net, (size_t)bytes) != 0)
        return false;
    return rest == 0 || ((addr[bytes] ^ net[bytes]) >> (8 - rest)) == 0;
}

static bool v4_ok(const uint8_t a[4], bool allow_loopback, const char **why) {
    if (allow_loopback && a[0] == 127)
        return true;
    for (size_t i = 0; i < sizeof v4_ranges / sizeof *v4_ranges; i++) {
        if (in_net(a, AF_INET, &v4_ranges[i])) {
            *why = v4_ranges[i].why;
            return false;
        }
    }
    return true;
}

static bool all_zero(const uint8_t *p, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (p[i])
            return false;
    return true;
}

static bool v6_ok(const uint8_t a[16], bool allow_loopback, const char **why) {
    static const uint8_t nat64[12] = {0x00, 0x64, 0xff, 0x9b};
    if (all_zero(a, 15) && a[15] == 1) {
        *why = "loopback";
        return allow_loopback;
    }
    /* mapped (::ffff:a.b.c.d) is how the kernel reaches IPv4 too */
    if (all_zero(a, 10) && a[10] == 0xff && a[11] == 0xff)
        return v4_ok(a + 12, allow_loopback, why);
    if (memcmp(a, nat64, 12) == 0)
        return v4_ok(a + 12, false, why);
    if ((a[0] & 0xe0) !=
        0x20) { /* compatible, NAT64 local, discard, fc00::/7, fe80::/10, ff00::/8 */
        *why = "not a global IPv6 address";
        return false;
    }
    for (size_t i = 0; i < sizeof v6_ranges / sizeof *v6_ranges; i++) {
        if (in_net(a, AF_INET6, &v6_ranges[i])) {
            *why = v6_ranges[i].why;
            return false;
        }
    }
    return true;
}

/* One of this machine's own addresses (a public one too: our own listeners trust it). */
static bool is_own(const struct sockaddr *sa) {
    struct ifaddrs *all = NULL;
    bool own = false;
    if (getifaddrs(&all))
        return true;
    for (const struct ifaddrs *i = all; i && !own; i = i->ifa_next) {
        if (!i->ifa_addr || i->ifa_addr->sa_family != sa->sa_family)
            continue;
        if (sa->sa_family == AF_INET)
            own = ((const struct sockaddr_in *)(const void *)i->ifa_addr)->sin_addr.s_addr ==
                  ((const struct sockaddr_in *)(const void *)sa)->sin_addr.s_addr;
        else
            own = memcmp(&((const struct sockaddr_in6 *)(const void *)i->ifa_addr)->sin6_addr,
                         &((const struct sockaddr_in6 *)(const void *)sa)->sin6_addr, 16) == 0;
    }
    freeifaddrs(all);
    return own;
}

static bool is_loopback(const struct sockaddr *sa) {
    const char *why;
    bool with, without;
    if (sa->sa_family == AF_INET) {
        const uint8_t *a =
            (const uint8_t *)&((const struct sockaddr_in *)(const void *)sa)->sin_addr;
        with = v4_ok(a, true, &why);
        without = v4_ok(a, false, &why);
    } else {
        const uint8_t *a = ((const struct sockaddr_in6 *)(const void *)sa)->sin6_addr.s6_addr;
        with = v6_ok(a, true, &why);
        without = v6_ok(a, false, &why);
    }
    return with && !without;
}

bool mr_outbound_addr_loopback(const struct sockaddr *sa) {
    return (sa->sa_family == AF_INET || sa->sa_family == AF_INET6) && is_loopback(sa);
}

bool mr_outbound_addr_ok(const struct sockaddr *sa, bool allow_loopback, const char **ret_why) {
    const char *why = "not an internet address";
    bool ok = false;
    if (sa->sa_family == AF_INET)
        ok = v4_ok((const uint8_t *)&((const struct sockaddr_in *)(const void *)sa)->sin_addr,
                   allow_loopback, &why);
    else if (sa->sa_family == AF_INET6)
        ok = v6_ok(((const struct sockaddr_in6 *)(const void *)sa)->sin6_addr.s6_addr,
                   allow_loopback, &why);
    if (ok && !is_loopback(sa) && is_own(sa)) {
        ok = false;
        why = "an address of this machine";
    }
    if (!ok && ret_why)
        *ret_why = why;
    return ok;
}
