#include "http/outbound.h"

#include "base/alloc.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "http/outbound_impl.h"

#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>
#include <string.h>

enum { ADDR_MAX = 16, READ_MAX = 65536 };

struct call {
    const struct mr_outbound_policy *policy;
    struct mr_outbound_url url;
    struct sockaddr_storage addr[ADDR_MAX];
    size_t n_addr;
    struct mr_buf body;
    size_t keep, seen;
    bool capped;
    struct mr_err refused; /* by the socket callback */
};

void mr_outbound_reply_release(struct mr_outbound_reply *r) {
    mr_free(r->body);
    *r = (struct mr_outbound_reply){0};
}

static pthread_once_t curl_once = PTHREAD_ONCE_INIT;
static void init_curl(void) {
    curl_global_init(CURL_GLOBAL_DEFAULT);
}

/* Resolves once; every address must pass. */
static int resolve(struct call *c, struct mr_err *e) {
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_family = AF_UNSPEC}, *list = NULL;
    int gai = getaddrinfo(c->url.name, NULL, &hints, &list);
    if (gai)
        return mr_fail(e, MR_EIO, "cannot resolve %s: %s", c->url.name, gai_strerror(gai));
    int rc = 0;
    for (const struct addrinfo *i = list; rc == 0 && i; i = i->ai_next) {
        rc = mr_outbound_judge(c->policy, &c->url, i->ai_addr, e);
        if (rc == 0 && c->n_addr < ADDR_MAX && i->ai_addrlen <= sizeof *c->addr)
            memcpy(&c->addr[c->n_addr++], i->ai_addr, i->ai_addrlen);
    }
    freeaddrinfo(list);
    if (rc == 0 && c->n_addr == 0)
        rc = mr_fail(e, MR_EIO, "%s has no address", c->url.name);
    return rc;
}

static bool same_addr(const struct sockaddr *a, const struct sockaddr *b) {
    if (a->sa_family != b->sa_family)
        return false;
    if (a->sa_family == AF_INET)
        return ((const struct sockaddr_in *)(const void *)a)->sin_addr.s_addr ==
               ((const struct sockaddr_in *)(const void *)b)->sin_addr.s_addr;
    return memcmp(&((const struct sockaddr_in6 *)(const void *)a)->sin6_addr,
                  &((const struct sockaddr_in6 *)(const void *)b)->sin6_addr, 16) == 0;
}

/* The last word: whatever libcurl wants to connect to must be an address that passed. */
static curl_socket_t open_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *a) {
    struct call *c = arg;
    (void)purpose;
    for (size_t i = 0; i < c->n_addr; i++)
        if (same_addr(&a->addr, (struct sockaddr *)&c->addr[i]))
            return socket(a->family, a->socktype | SOCK_CLOEXEC, a->protocol);
    mr_fail(&c->refused, MR_EFORBIDDEN, "the connection to %s went to an unchecked address",
            c->url.host);
    return CURL_SOCKET_BAD;
}

static size_t on_body(char *p, size_t size, size_t n, void *arg) {
    struct call *c = arg;
    size_t len = size * n;
    size_t room = c->keep > c->body.n ? c->keep - c->body.n : 0;
    mr_buf_add(&c->body, p, len < room ? len : room);
    c->seen += len;
    if (c->seen > READ_MAX) {
        c->capped = true;
        return 0; /* enough: ends the transfer, the status is known */
    }
    return len;
}

/* "host:port:addr,addr" for CURLOPT_RESOLVE. */
static int pin(struct call *c, struct curl_slist **ret, struct mr_err *e) {
    MR_CLEANUP(mr_buf_release) struct mr_buf b;
    mr_buf_init(&b, 4096);
    mr_buf_fmt(&b, "%s:%d:", c->url.name, c->url.port);
    for (size_t i = 0; i < c->n_addr; i++) {
        char ip[64];
        const struct sockaddr *sa = (struct sockaddr *)&c->addr[i];
        socklen_t len =
            sa->sa_family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
        if (getnameinfo(sa, len, ip, sizeof ip, NULL, 0, NI_NUMERICHOST))
            return mr_fail(e, MR_EINTERNAL, "cannot print an address");
        mr_buf_fmt(&b, sa->sa_family == AF_INET ? "%s%s" : "%s[%s]", i ? "," : "", ip);
    }
    *ret = mr_buf_ok(&b) ? curl_slist_append(NULL, b.p) : NULL;
    return *ret ? 0 : mr_fail(e, MR_ENOMEM, "out of memory");
}

static int add_headers(const struct mr_outbound_request *q, struct curl_slist **ret,
                       struct mr_err *e) {
    MR_CLEANUP(mr_buf_release) struct mr_buf b;
    mr_buf_init(&b, 16384);
    for (size_t i = 0; i < q->n_headers; i++) {
        struct mr_str v = q->headers[i].value;
        for (size_t k = 0; k < v.n; k++)
            if ((unsigned char)v.p[k] < ' ' || v.p[k] == 127)
                return mr_fail(e, MR_EINVAL, "a header value has control characters");
        mr_buf_clear(&b);
        mr_buf_fmt(&b, "%s: ", q->headers[i].name);
        mr_buf_str(&b, v);
        struct curl_slist *more = mr_buf_ok(&b) ? curl_slist_append(*ret, b.p) : NULL;
        if (!more)
            return mr_fail(e, MR_ENOMEM, "out of memory");
        *ret = more;
    }
    struct curl_slist *more = curl_slist_append(*ret, "Expect:");
    if (!more)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    *ret = more;
    return 0;
}

static CURLcode set_up(CURL *h, struct call *c, const struct mr_outbound_request *q,
                       const char *url, struct curl_slist *headers, struct curl_slist *pins) {
    CURLcode rc = CURLE_OK;
#define SET(opt, value)                                                                            \
    do {                                                                                           \
        if (rc == CURLE_OK)                                                                        \
            rc = curl_easy_setopt(h, opt, value);                                                  \
    } while (0)
    SET(CURLOPT_URL, url);
    SET(CURLOPT_CUSTOMREQUEST, q->method);
    SET(CURLOPT_POSTFIELDS, q->body.p ? q->body.p : "");
    SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)q->body.n);
    SET(CURLOPT_HTTPHEADER, headers);
    SET(CURLOPT_RESOLVE, pins);
    SET(CURLOPT_OPENSOCKETFUNCTION, open_socket);
    SET(CURLOPT_OPENSOCKETDATA, c);
    SET(CURLOPT_WRITEFUNCTION, on_body);
    SET(CURLOPT_WRITEDATA, c);
    SET(CURLOPT_PROTOCOLS_STR, "http,https");
    SET(CURLOPT_FOLLOWLOCATION, 0L);
    SET(CURLOPT_PROXY, "");
    SET(CURLOPT_NOPROXY, "*");
    SET(CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
    SET(CURLOPT_NOSIGNAL, 1L);
    SET(CURLOPT_TIMEOUT_MS, (long)(q->timeout_ms > 0 ? q->timeout_ms : 1));
    SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    SET(CURLOPT_USERAGENT, "millrace/" MR_VERSION);
    SET(CURLOPT_DNS_CACHE_TIMEOUT, 0L);
    SET(CURLOPT_FRESH_CONNECT, 1L);
    SET(CURLOPT_FORBID_REUSE, 1L);
#undef SET
    return rc;
}

static int translate(struct call *c, CURLcode cc, struct mr_err *e) {
    if (c->refused.code) {
        if (e)
            *e = c->refused;
        return c->refused.code;
    }
    if (cc == CURLE_OPERATION_TIMEDOUT)
        return mr_fail(e, MR_ETIMEOUT, "no complete answer from %s in time", c->url.host);
    if (cc == CURLE_OUT_OF_MEMORY)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    return mr_fail(e, MR_EIO, "%s: %s", c->url.host, curl_easy_strerror(cc));
}

static int perform(struct call *c, const struct mr_outbound_request *q, CURL *h,
                   struct mr_outbound_reply *ret, struct mr_err *e) {
    CURLcode cc = curl_easy_perform(h);
    if (cc != CURLE_OK && !(cc == CURLE_WRITE_ERROR && c->capped))
        return translate(c, cc, e);
    long status = 0;
    curl_off_t after = 0;
    struct curl_header *there = NULL;
    char *ip = NULL;
    (void)q;
    curl_easy_getinfo(h, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_getinfo(h, CURLINFO_RETRY_AFTER, &after);
    curl_easy_getinfo(h, CURLINFO_PRIMARY_IP, &ip);
    bool said = curl_easy_header(h, "Retry-After", 0, CURLH_HEADER, -1, &there) == CURLHE_OK;
    if (!mr_buf_ok(&c->body))
        return mr_fail(e, MR_ENOMEM, "out of memory");
    *ret = (struct mr_outbound_reply){
        .status = (int)status, .retry_after_s = said ? (int64_t)after : -1, .body_len = c->body.n};
    snprintf(ret->ip, sizeof ret->ip, "%s", ip ? ip : "");
    ret->body = mr_strndup(c->body.p ? c->body.p : "", c->body.n);
    return ret->body ? 0 : mr_fail(e, MR_ENOMEM, "out of memory");
}

int mr_outbound(const struct mr_outbound_policy *p, const struct mr_outbound_request *q,
                struct mr_outbound_reply *ret, struct mr_err *e) {
    pthread_once(&curl_once, init_curl);
    struct call c = {.policy = p, .keep = q->keep};
    struct curl_slist *headers = NULL, *pins = NULL;
    MR_AUTO_FREE char *url = NULL;
    int rc = mr_outbound_parse(p, q->url, &c.url, e);
    if (rc == 0)
        rc = resolve(&c, e);
    if (rc)
        return rc;
    mr_buf_init(&c.body, q->keep + 1);
    url = mr_strndup(q->url.p, q->url.n);
    CURL *h = curl_easy_init();
    if (!url || !h)
        rc = mr_fail(e, MR_ENOMEM, "out of memory");
    if (rc == 0)
        rc = add_headers(q, &headers, e);
    if (rc == 0)
        rc = pin(&c, &pins, e);
    if (rc == 0) {
        CURLcode cc = set_up(h, &c, q, url, headers, pins);
        rc = cc == CURLE_OK ? perform(&c, q, h, ret, e) : translate(&c, cc, e);
    }
    curl_easy_cleanup(h);
    curl_slist_free_all(headers);
    curl_slist_free_all(pins);
    mr_buf_release(&c.body);
    return rc;
}
