/* The edge's plain rules: the keyless owner as a table, address blocks, loopback names, origins. */
#include "api/edge.h"

#include "mr_test.h"

struct keyless_row {
    const char *why;
    bool peer, listener, proxied, https, family, open, want;
    const char *host, *origin, *site;
};

/* peer, listener, proxied, https, family, open, want */
static const struct keyless_row keyless_rows[] = {
    {"a local tool", 1, 1, 0, 0, 1, 0, 1, "127.0.0.1:5000", NULL, NULL},
    {"by name", 1, 1, 0, 0, 1, 0, 1, "localhost:5000", NULL, NULL},
    {"IPv6", 1, 1, 0, 0, 1, 0, 1, "[::1]:5000", NULL, NULL},
    {"our own page", 1, 1, 0, 0, 1, 0, 1, "localhost:5000", "http://localhost:5000", "same-origin"},
    {"typed into a browser", 1, 1, 0, 0, 1, 0, 1, "localhost:5000", NULL, "none"},
    {"our own page over TLS", 1, 1, 0, 1, 1, 0, 1, "localhost", "https://localhost", NULL},
    {"another family", 1, 1, 0, 0, 0, 0, 0, "localhost:5000", NULL, NULL},
    {"peer elsewhere", 0, 1, 0, 0, 1, 0, 0, "localhost:5000", NULL, NULL},
    {"listener on a network", 1, 0, 0, 0, 1, 0, 0, "localhost:5000", NULL, NULL},
    {"a proxy in between", 1, 1, 1, 0, 1, 0, 0, "localhost:5000", NULL, NULL},
    {"rebound DNS name", 1, 1, 0, 0, 1, 0, 0, "evil.example:5000", NULL, NULL},
    {"name that only begins so", 1, 1, 0, 0, 1, 0, 0, "localhost.evil.example", NULL, NULL},
    {"address as a name's head", 1, 1, 0, 0, 1, 0, 0, "127.0.0.1.evil.example", NULL, NULL},
    {"no Host", 1, 1, 0, 0, 1, 0, 0, NULL, NULL, NULL},
    {"foreign page", 1, 1, 0, 0, 1, 0, 0, "localhost:5000", "https://evil.example", "cross-site"},
    {"page of another local port", 1, 1, 0, 0, 1, 0, 0, "localhost:5000", "http://localhost:3000",
     "same-site"},
    {"sandboxed page", 1, 1, 0, 0, 1, 0, 0, "localhost:5000", "null", NULL},
    {"empty Origin", 1, 1, 0, 0, 1, 0, 0, "localhost:5000", "", NULL},
    {"scheme differs", 1, 1, 0, 0, 1, 0, 0, "localhost:5000", "https://localhost:5000", NULL},
    {"an image on a foreign page", 1, 1, 0, 0, 1, 0, 0, "localhost:5000", NULL, "cross-site"},
    {"--open from anywhere", 0, 0, 1, 0, 1, 1, 1, "evil.example", "https://evil.example", NULL},
    {"--open, another family", 0, 0, 1, 0, 0, 1, 0, "evil.example", NULL, NULL},
};

MR_TEST(keyless_owner) {
    for (size_t i = 0; i < sizeof keyless_rows / sizeof *keyless_rows; i++) {
        const struct keyless_row *k = &keyless_rows[i];
        struct mr_edge d = {.open = k->open};
        struct mr_caller c = {.peer_loopback = k->peer,
                              .listener_loopback = k->listener,
                              .proxied = k->proxied,
                              .https = k->https,
                              .host = mr_str(k->host),
                              .origin = mr_str(k->origin),
                              .fetch_site = mr_str(k->site)};
        if (mr_keyless_owner(&d, &c, k->family) != k->want) {
            fprintf(stderr, "row \"%s\": want %d\n", k->why, k->want);
            CHECK(false);
        }
    }
}

static bool in_net(const char *net, const char *addr) {
    struct mr_net n;
    struct mr_err e = {0};
    CHECK_INT(mr_net_parse(mr_str(net), &n, &e), 0);
    return mr_net_has(&n, mr_str(addr));
}

MR_TEST(address_blocks) {
    CHECK(in_net("10.0.0.0/8", "10.255.0.1"));
    CHECK(!in_net("10.0.0.0/8", "11.0.0.1"));
    CHECK(in_net("192.0.2.128/25", "192.0.2.200"));
    CHECK(!in_net("192.0.2.128/25", "192.0.2.127"));
    CHECK(in_net("192.0.2.7", "192.0.2.7"));
    CHECK(!in_net("192.0.2.7", "192.0.2.8"));
    CHECK(in_net("192.0.2.7", "::ffff:192.0.2.7"));
    CHECK(in_net("fd00::/8", "fd12::1"));
    CHECK(!in_net("fd00::/8", "fe80::1"));
    CHECK(in_net("0.0.0.0/0", "198.51.100.1"));
    CHECK(!in_net("0.0.0.0/0", "2001:db8::1"));
    CHECK(!in_net("::1", "not an address"));
    static const char *const bad[] = {"",        "10.0.0.0/33", "::1/129",    "host",
                                      "1.2.3/8", "10.0.0.0/",   "10.0.0.0/-1"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct mr_net n;
        struct mr_err e = {0};
        CHECK_INT(mr_net_parse(mr_str(bad[i]), &n, &e), MR_EFIELD);
        CHECK(strstr(e.msg, "trusted_proxies") != NULL);
    }
}

MR_TEST(loopback_names) {
    static const char *const yes[] = {"localhost", "LOCALHOST:80",    "localhost.", "app.localhost",
                                      "127.0.0.1", "127.8.9.1:65535", "[::1]",      "[::1]:8080"};
    static const char *const no[] = {
        "",        ":80",       "localhostx", "xlocalhost", ".localhost.example",
        "0.0.0.0", "10.0.0.1",  "[::2]",      "[::1]x",     "::1",
        "[::1",    "128.0.0.1", "2130706433", "127.1",      "localhost:80:80"};
    for (size_t i = 0; i < sizeof yes / sizeof *yes; i++)
        if (!mr_host_loopback(mr_str(yes[i]))) {
            fprintf(stderr, "%s is loopback\n", yes[i]);
            CHECK(false);
        }
    for (size_t i = 0; i < sizeof no / sizeof *no; i++)
        if (mr_host_loopback(mr_str(no[i]))) {
            fprintf(stderr, "%s is not loopback\n", no[i]);
            CHECK(false);
        }
}

static int edge_of(const char *cors, const char *proxy, struct mr_edge *d, struct mr_err *e) {
    static struct mr_config c;
    mr_config_release(&c);
    mr_config_defaults(&c);
    CHECK_INT(mr_config_set(&c, MR_LIT("public_url"), MR_LIT("https://api.example/base"), true, e),
              0);
    CHECK_INT(mr_config_set(&c, MR_LIT("cors_origin"), mr_str(cors), true, e), 0);
    CHECK_INT(mr_config_set(&c, MR_LIT("trusted_proxies"), mr_str(proxy), true, e), 0);
    return mr_edge_init(d, &c, e);
}

MR_TEST(origins) {
    struct mr_edge d;
    struct mr_err e = {0};
    CHECK_INT(edge_of("https://app.example", "10.0.0.0/8", &d, &e), 0);
    CHECK(mr_origin_listed(&d, MR_LIT("https://app.example")));
    CHECK(!mr_origin_listed(&d, MR_LIT("https://app.example.evil")));
    CHECK(!mr_origin_listed(&d, MR_LIT("http://app.example")));
    CHECK(mr_edge_is_proxy(&d, MR_LIT("10.1.2.3")));
    struct mr_caller c = {.host = MR_LIT("inner:8080"), .origin = MR_LIT("https://api.example")};
    CHECK(mr_origin_own(&d, &c)); /* the public URL's */
    c.origin = MR_LIT("https://api.exam");
    CHECK(!mr_origin_own(&d, &c));
    c.origin = MR_LIT("http://inner:8080");
    CHECK(mr_origin_own(&d, &c));
    c.origin = MR_LIT("http://");
    CHECK(!mr_origin_own(&d, &c));
    static const char *const bad[] = {"*",
                                      "https://",
                                      "app.example",
                                      "https://app.example/",
                                      "https://*.example",
                                      "https://App.example",
                                      "null"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        e = (struct mr_err){0};
        CHECK_INT(edge_of(bad[i], "", &d, &e), MR_EFIELD);
        CHECK(strstr(e.msg, "cors_origin") != NULL);
    }
}

MR_TEST_MAIN(CASE(keyless_owner), CASE(address_blocks), CASE(loopback_names), CASE(origins))
