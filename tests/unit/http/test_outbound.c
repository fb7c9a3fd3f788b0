/* The guard of outbound requests: URL and address forms, and requests to a loopback receiver. */
#include "base/buf.h"
#include "http/outbound.h"
#include "mr_receiver.h"
#include "mr_test.h"

#include <ifaddrs.h>

static const struct mr_outbound_policy strict = {0};
static const struct mr_outbound_policy local = {.allow_loopback = true};

/* Refused when registered, without a look at the network. */
MR_TEST(forbidden_urls_are_refused) {
    static const char *const urls[] = {
        "",
        "x",
        "//a.example/",
        "/path",
        "https://",
        "https:///x",
        "https:/x",
        "https:x",
        "https:/.a.exhttp://e/hook",
        "a.example/hook",
        "ftp://a.example/",
        "file:///etc/passwd",
        "gopher://a.example/",
        "dict://a.example/",
        "ldap://a.example/",
        "javascript:alert(1)",
        "smb://a.example/x",
        "unix:///run/x",
        "http://a.example/",
        "http://93.184.215.14/",
        "https://a.example:8443/",
        "https://a.example:22/",
        "https://a.example:0/",
        "https://a.example:99999/",
        "https://user@a.example/",
        "https://user:pw@a.example/",
        "https://a.example@127.0.0.1/",
        "https://127.0.0.1/",
        "https://127.0.0.1:443/",
        "https://127.1/",
        "https://127.0.1/",
        "https://0/",
        "https://0.0.0.0/",
        "https://2130706433/",
        "https://0x7f000001/",
        "https://0x7f.0.0.1/",
        "https://0x7f.1/",
        "https://017700000001/",
        "https://0177.0.0.1/",
        "https://0177.1/",
        "https://00000177.0.0.1/",
        "https://127.255.255.254/",
        "https://10.0.0.1/",
        "https://167772161/",
        "https://172.16.0.1/",
        "https://172.31.255.255/",
        "https://192.168.1.1/",
        "https://3232235777/",
        "https://169.254.169.254/latest/meta-data/",
        "https://0xa9fea9fe/",
        "https://2852039166/",
        "https://0251.0376.0251.0376/",
        "https://100.64.0.1/",
        "https://100.127.255.255/",
        "https://192.0.0.1/",
        "https://192.0.2.1/",
        "https://192.88.99.1/",
        "https://198.18.0.1/",
        "https://198.19.0.1/",
        "https://198.51.100.1/",
        "https://203.0.113.1/",
        "https://224.0.0.1/",
        "https://239.255.255.250/",
        "https://240.0.0.1/",
        "https://255.255.255.255/",
        "https://[::]/",
        "https://[::1]/",
        "https://[0:0:0:0:0:0:0:1]/",
        "https://[::ffff:127.0.0.1]/",
        "https://[::ffff:7f00:1]/",
        "https://[::ffff:10.0.0.1]/",
        "https://[::127.0.0.1]/",
        "https://[64:ff9b::7f00:1]/",
        "https://[64:ff9b::10.0.0.1]/",
        "https://[64:ff9b:1::1]/",
        "https://[100::1]/",
        "https://[fc00::1]/",
        "https://[fd12:3456::1]/",
        "https://[fe80::1]/",
        "https://[fe80::1%25eth0]/",
        "https://[fec0::1]/",
        "https://[ff02::1]/",
        "https://[2001::1]/",
        "https://[2001:db8::1]/",
        "https://[2002:7f00:1::]/",
        "https://[3fff::1]/",
        "https://a.example\\@127.0.0.1/",
        "https://a b.example/",
        "https://a.example/\r\nX: y",
        "https://a.example/\x7f",
        "https://ex\xc3\xa4mple.example/",
        "https://[::1",
        "https://127.0.0.1%2f.a.example/",
        "https://a%20b.example/",
    };
    size_t n = sizeof urls / sizeof *urls;
    CHECK(n >= 80);
    for (size_t i = 0; i < n; i++) {
        struct mr_err e = {0};
        int rc = mr_outbound_check_url(&strict, mr_str(urls[i]), &e);
        if (rc != MR_EFIELD || strcmp(e.field, "url") != 0 || !e.msg[0]) {
            fprintf(stderr, "%s: %d %s\n", urls[i], rc, e.msg);
            CHECK(!"refused");
        }
    }
}

MR_TEST(allowed_urls_are_taken) {
    static const char *const urls[] = {
        "https://a.example/hook", "https://a.example",          "HTTPS://A.EXAMPLE:443/x?y=z#f",
        "https://93.184.215.14/", "https://[2606:4700::1111]/", "https://xn--exmple-cua.example/",
        "https://172.32.0.1/",    "https://100.128.0.1/",       "https://[64:ff9b::5db8:d70e]/",
    };
    for (size_t i = 0; i < sizeof urls / sizeof *urls; i++) {
        struct mr_err e = {0};
        if (mr_outbound_check_url(&strict, mr_str(urls[i]), &e)) {
            fprintf(stderr, "%s: %s\n", urls[i], e.msg);
            CHECK(!"allowed");
        }
    }
    static const char *const loop[] = {"http://127.0.0.1:9/x", "http://localhost:9000/",
                                       "https://127.9.9.9:1/", "http://[::1]:8080/",
                                       "http://2130706433:80/"};
    for (size_t i = 0; i < sizeof loop / sizeof *loop; i++)
        CHECK_INT(mr_outbound_check_url(&local, mr_str(loop[i]), NULL), 0);
    CHECK(mr_outbound_check_url(&local, mr_str("http://10.0.0.1/"), NULL) < 0);
    CHECK(mr_outbound_check_url(&local, mr_str("http://0.0.0.0/"), NULL) < 0);
    CHECK(mr_outbound_check_url(&local, mr_str("http://93.184.215.14/"), NULL) < 0);
    struct mr_outbound_policy p = {.allow = "hooks.lan, 10.1.2.3:8080, [fd00::1]:9, bad:port"};
    CHECK_INT(mr_outbound_check_url(&p, mr_str("https://hooks.lan/"), NULL), 0);
    CHECK_INT(mr_outbound_check_url(&p, mr_str("http://10.1.2.3:8080/x"), NULL), 0);
    CHECK_INT(mr_outbound_check_url(&p, mr_str("http://[fd00::1]:9/x"), NULL), 0);
    CHECK(mr_outbound_check_url(&p, mr_str("http://hooks.lan/"), NULL) < 0);
    CHECK(mr_outbound_check_url(&p, mr_str("http://10.1.2.3:8081/x"), NULL) < 0);
    CHECK(mr_outbound_check_url(&p, mr_str("https://10.1.2.4/"), NULL) < 0);
}

MR_TEST(blocks_of_addresses_are_let_pass) {
    struct mr_outbound_policy p = {.allow = "10.1.0.0/17,fd00:1::/33, 192.168.7.7/32"};
    static const char *const good[] = {"http://10.1.2.3:8080/x", "https://10.1.127.255/",
                                       "http://[fd00:1:7fff::1]:9/", "http://192.168.7.7/",
                                       "http://name.lan:81/" /* its addresses decide */};
    static const char *const bad[] = {"http://10.1.128.0/",         "http://[fd00:1:8000::1]/",
                                      "https://192.168.7.6/",       "https://127.0.0.1/",
                                      "https://[::ffff:10.1.2.3]/", "http://93.184.215.14/"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        CHECK_INT(mr_outbound_check_url(&p, mr_str(good[i]), NULL), 0);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        CHECK(mr_outbound_check_url(&p, mr_str(bad[i]), NULL) < 0);
}

MR_TEST(a_list_that_cannot_be_read_is_an_error) {
    static const char *const good[] = {"a.example",          "a_b-c.lan:1", "[::1]:65535",
                                       "[fd00::1]",          "10.0.0.0/0",  "fd00::/128",
                                       "a, b:80 ,10.0.0.0/8"};
    static const char *const bad[] = {"",
                                      "a,,b",
                                      "a:0",
                                      "a:65536",
                                      "a:x",
                                      ":80",
                                      "fd00::1",
                                      "[fd00::g]",
                                      "https://a.example/",
                                      "10.0.0.0/33",
                                      "10.0.0/8",
                                      "fd00::/129",
                                      "fd00::/",
                                      "a.example/8",
                                      "a b",
                                      "user@host"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        CHECK_INT(mr_outbound_check_allow(good[i], NULL), 0);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct mr_err e = {0};
        CHECK_INT(mr_outbound_check_allow(bad[i], &e), MR_EFIELD);
        CHECK(strstr(e.msg, "webhook_allow_targets") != NULL);
    }
    CHECK_INT(mr_outbound_check_allow(NULL, NULL), 0);
}

MR_TEST(own_addresses_are_forbidden) {
    struct ifaddrs *all = NULL;
    CHECK_INT(getifaddrs(&all), 0);
    for (struct ifaddrs *i = all; i; i = i->ifa_next) {
        const char *why = "";
        if (i->ifa_addr &&
            (i->ifa_addr->sa_family == AF_INET || i->ifa_addr->sa_family == AF_INET6))
            CHECK(!mr_outbound_addr_ok(i->ifa_addr, false, &why) && why[0]);
    }
    freeifaddrs(all);
    struct sockaddr sa = {.sa_family = AF_UNIX};
    CHECK(!mr_outbound_addr_ok(&sa, true, NULL));
}

static int post(const struct mr_outbound_policy *p, const char *host, int port, int timeout_ms,
                struct mr_outbound_reply *r, struct mr_err *e) {
    char url[200];
    snprintf(url, sizeof url, "http://%s:%d/hook?x=1", host, port);
    struct mr_outbound_header h[] = {{"X-Test", MR_LIT("yes")}};
    struct mr_outbound_request q = {.method = "POST",
                                    .url = mr_str(url),
                                    .headers = h,
                                    .n_headers = 1,
                                    .body = MR_LIT("{\"a\":1}"),
                                    .timeout_ms = timeout_ms,
                                    .keep = 10};
    return mr_outbound(p, &q, r, e);
}

MR_TEST(requests_arrive_and_answers_come_back) {
    static char big[200000];
    int n = snprintf(big, sizeof big, "HTTP/1.1 200 OK\r\nContent-Length: 190000\r\n\r\n");
    memset(big + n, 'x', 190000);
    const char *script[] = {
        "HTTP/1.1 201 Created\r\nContent-Length: 14\r\n\r\nhello receiver",
        "HTTP/1.1 503 Busy\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 302 Found\r\nLocation: http://169.254.169.254/\r\nContent-Length: 0\r\n\r\n",
        big,
        "hang",
        NULL,
    };
    struct receiver r;
    receiver_start(&r, script);
    setenv("http_proxy", "http://127.0.0.1:1", 1); /* must be ignored */
    setenv("ALL_PROXY", "http://127.0.0.1:1", 1);
    struct mr_outbound_reply a = {0};
    struct mr_err e = {0};
    char v[100];
    CHECK_INT(post(&local, "127.0.0.1", r.port, 5000, &a, &e), 0);
    CHECK_INT(a.status, 201);
    CHECK_STR(a.body, "hello rece");
    CHECK_STR(a.ip, "127.0.0.1");
    CHECK_INT(a.retry_after_s, -1);
    CHECK(strncmp(r.request[0], "POST /hook?x=1 HTTP/1.1\r\n", 24) == 0);
    CHECK_STR(receiver_header(&r, 0, "x-test", v, sizeof v), "yes");
    CHECK_STR(receiver_body(&r, 0), "{\"a\":1}");
    mr_outbound_reply_release(&a);
    CHECK_INT(post(&local, "localhost", r.port, 5000, &a, &e), 0);
    CHECK_INT(a.status, 503);
    CHECK_INT(a.retry_after_s, 7);
    mr_outbound_reply_release(&a);
    CHECK_INT(post(&local, "127.0.0.1", r.port, 5000, &a, &e), 0);
    CHECK_INT(a.status, 302); /* not followed */
    mr_outbound_reply_release(&a);
    CHECK_INT(post(&local, "127.0.0.1", r.port, 5000, &a, &e), 0);
    CHECK_INT(a.status, 200); /* cut at 64 KiB */
    mr_outbound_reply_release(&a);
    CHECK_INT(post(&local, "127.0.0.1", r.port, 200, &a, &e), MR_ETIMEOUT);
    /* the guard at the time of the request: names too */
    int before = receiver_count(&r);
    CHECK_INT(post(&strict, "localhost", r.port, 1000, &a, &e), MR_EFORBIDDEN);
    CHECK(post(&strict, "localhost.", r.port, 1000, &a, &e) < 0); /* may not resolve */
    CHECK_INT(post(&strict, "127.0.0.1", r.port, 1000, &a, &e), MR_EFORBIDDEN);
    CHECK_INT(post(&strict, "[::1]", r.port, 1000, &a, &e), MR_EFORBIDDEN);
    CHECK_INT(post(&local, "0.0.0.0", r.port, 1000, &a, &e), MR_EFORBIDDEN);
    CHECK_INT(receiver_count(&r), before);
    CHECK(post(&local, "no-such-host.invalid", 80, 1000, &a, &e) < 0);
    receiver_stop(&r);
    CHECK_INT(post(&local, "127.0.0.1", r.port, 1000, &a, &e), MR_EIO); /* nobody listens */
    struct mr_outbound_header bad = {"X", MR_LIT("a\r\nY: b")};
    struct mr_outbound_request q = {.method = "POST",
                                    .url = MR_LIT("http://127.0.0.1:1/"),
                                    .headers = &bad,
                                    .n_headers = 1,
                                    .timeout_ms = 100};
    CHECK_INT(mr_outbound(&local, &q, &a, &e), MR_EINVAL);
}

MR_TEST_MAIN(CASE(forbidden_urls_are_refused), CASE(allowed_urls_are_taken),
             CASE(blocks_of_addresses_are_let_pass), CASE(a_list_that_cannot_be_read_is_an_error),
             CASE(own_addresses_are_forbidden), CASE(requests_arrive_and_answers_come_back))
