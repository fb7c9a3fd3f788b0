#include "http/parse.h"

#include <string.h>

static int refuse(struct mr_hparse *p, int status, const char *detail) {
    if (!p->status) {
        p->status = status;
        p->detail = detail;
    }
    return HPE_USER;
}

static struct mr_hparse *self(llhttp_t *ll) {
    return ll->data;
}

/* Extends span by [at, at+n): pieces of one span are contiguous in the message. */
static void extend(struct mr_hparse *p, struct mr_hspan *s, const char *at, size_t n) {
    if (!s->n)
        s->at = (uint32_t)(at - p->base);
    s->n += (uint32_t)n;
}

static int over_cap(struct mr_hparse *p, const char *end) {
    return (size_t)(end - p->base) > p->head_max;
}

static int on_begin(llhttp_t *ll) {
    self(ll)->started = true;
    return 0;
}

static int on_url(llhttp_t *ll, const char *at, size_t n) {
    struct mr_hparse *p = self(ll);
    extend(p, &p->target, at, n);
    if (p->target.n > p->target_max)
        return refuse(p, 414, "The request target is too long.");
    return 0;
}

static int on_field(llhttp_t *ll, const char *at, size_t n) {
    struct mr_hparse *p = self(ll);
    if (p->head_done)
        return 0; /* trailers are read and dropped */
    if (over_cap(p, at + n))
        return refuse(p, 431, "The request's headers are too large.");
    if (p->in_value || !p->n_headers) {
        if (p->n_headers == MR_HEADERS_MAX)
            return refuse(p, 431, "The request has too many headers.");
        p->headers[p->n_headers++] = (struct mr_hheader){{0, 0}, {0, 0}};
        p->in_value = false;
    }
    extend(p, &p->headers[p->n_headers - 1].name, at, n);
    return 0;
}

static int on_value(llhttp_t *ll, const char *at, size_t n) {
    struct mr_hparse *p = self(ll);
    if (p->head_done || !p->n_headers)
        return 0;
    if (over_cap(p, at + n))
        return refuse(p, 431, "The request's headers are too large.");
    p->in_value = true;
    extend(p, &p->headers[p->n_headers - 1].value, at, n);
    return 0;
}

static int on_value_done(llhttp_t *ll) {
    self(ll)->in_value = true; /* also for an empty value */
    return 0;
}

static bool is(const struct mr_hparse *p, const struct mr_hheader *h, const char *name, size_t n) {
    return h->name.n == n && memcmp(p->base + h->name.at, name, n) == 0;
}
#define IS(name) is(p, h, "" name, sizeof(name) - 1)

/* A host name, address or [IPv6], with an optional port: no user part, no spaces, no lists. */
static bool host_ok(struct mr_str v) {
    if (!v.n || v.n > 255)
        return false;
    for (size_t i = 0; i < v.n; i++) {
        switch (v.p[i]) {
        case '@':
        case '/':
        case '\\':
        case ',':
        case '?':
        case '#':
        case '"':
        case '<':
        case '>':
            return false;
        default:
            if (v.p[i] <= ' ' || v.p[i] >= 0x7f) /* also bytes over 0x7f, which are negative */
                return false;
        }
    }
    return true;
}

struct seen {
    int host, te, cl, expect;
};

static int look_at(struct mr_hparse *p, int i, struct seen *seen) {
    struct mr_hheader *h = &p->headers[i];
    char *name = p->base + h->name.at;
    for (uint32_t k = 0; k < h->name.n; k++)
        if (name[k] >= 'A' && name[k] <= 'Z')
            name[k] |= 0x20;
    const char *v = p->base + h->value.at;
    while (h->value.n && (v[h->value.n - 1] == ' ' || v[h->value.n - 1] == '\t'))
        h->value.n--;
    struct mr_str value = mr_strn(v, h->value.n);
    switch (h->name.n) {
    case 4:
        if (IS("host")) {
            p->host = (int16_t)i;
            if (seen->host++)
                return refuse(p, 400, "The request has more than one Host header.");
            if (!host_ok(value))
                return refuse(p, 400, "The Host header is malformed.");
        }
        break;
    case 6:
        if (IS("expect")) {
            if (!mr_str_ieq(value, MR_LIT("100-continue")))
                return refuse(p, 417, "The only expectation served is 100-continue.");
            p->expect_continue = true;
        }
        break;
    case 12:
        if (IS("x-request-id") && p->request_id < 0)
            p->request_id = (int16_t)i;
        break;
    case 14:
        if (IS("content-length") && seen->cl++)
            return refuse(p, 400, "The request has more than one Content-Length header.");
        break;
    case 17:
        if (IS("transfer-encoding")) {
            if (seen->te++ || !mr_str_ieq(value, MR_LIT("chunked")))
                return refuse(p, 400, "The only transfer coding served is chunked.");
            p->chunked = true;
        }
        break;
    default:
        break;
    }
    return 0;
}

static int check_head(struct mr_hparse *p) {
    struct seen seen = {0};
    if (p->ll.http_major != 1)
        return refuse(p, p->ll.http_major == 0 ? 400 : 505, "Only HTTP/1.1 and 1.0 are served.");
    p->minor = p->ll.http_minor;
    for (uint32_t i = 0; i < p->n_headers; i++)
        if (look_at(p, (int)i, &seen))
            return HPE_USER;
    if (!seen.host && p->minor >= 1)
        return refuse(p, 400, "The Host header is missing.");
    if (seen.te && seen.cl)
        return refuse(p, 400, "Content-Length and Transfer-Encoding exclude each other.");
    if (seen.te && p->minor == 0)
        return refuse(p, 400, "HTTP/1.0 has no Transfer-Encoding.");
    if (seen.cl && p->ll.content_length > INT64_MAX)
        return refuse(p, 413, "The Content-Length is beyond any limit.");
    p->content_length = seen.cl ? (int64_t)p->ll.content_length : -1;
    if (p->minor == 0)
        p->expect_continue = false;
    return 0;
}

static int on_head(llhttp_t *ll) {
    struct mr_hparse *p = self(ll);
    if (check_head(p))
        return -1;
    p->head_done = true;
    p->keep_alive = llhttp_should_keep_alive(ll);
    p->upgrade_asked = ll->upgrade != 0;
    ll->upgrade = 0; /* an upgrade that nobody serves is ignored (RFC 9110 7.8) */
    if (p->on_head(p->ctx)) {
        p->status = 0;
        p->detail = "stop";
        return -1;
    }
    return 0;
}

static int on_body(llhttp_t *ll, const char *at, size_t n) {
    struct mr_hparse *p = self(ll);
    if (p->on_body(p->ctx, at, n)) {
        p->status = 0;
        p->detail = "stop";
        return HPE_USER;
    }
    return 0;
}

static int on_done(llhttp_t *ll) {
    (void)ll;
    return HPE_PAUSED;
}

static const llhttp_settings_t settings = {
    .on_message_begin = on_begin,
    .on_url = on_url,
    .on_header_field = on_field,
    .on_header_value = on_value,
    .on_header_value_complete = on_value_done,
    .on_headers_complete = on_head,
    .on_body = on_body,
    .on_message_complete = on_done,
};

void mr_hparse_begin(struct mr_hparse *p) {
    llhttp_init(&p->ll, HTTP_REQUEST, &settings);
    p->ll.data = p;
    p->target = (struct mr_hspan){0, 0};
    p->n_headers = 0;
    p->content_length = -1;
    p->minor = 0;
    p->chunked = p->keep_alive = p->expect_continue = p->upgrade_asked = false;
    p->host = p->request_id = -1;
    p->status = 0;
    p->detail = NULL;
    p->base = NULL;
    p->seen = 0;
    p->started = p->head_done = p->in_value = false;
}

static void explain(struct mr_hparse *p, enum llhttp_errno rc) {
    if (p->status)
        return;
    switch (rc) {
    case HPE_INVALID_VERSION:
    case HPE_PAUSED_H2_UPGRADE:
        refuse(p, 505, "Only HTTP/1.1 and 1.0 are served.");
        break;
    case HPE_INVALID_METHOD:
        refuse(p, 400, "The request line does not begin with a known method.");
        break;
    case HPE_INVALID_URL:
        refuse(p, 400, "The request target is malformed.");
        break;
    case HPE_INVALID_CONTENT_LENGTH:
    case HPE_UNEXPECTED_CONTENT_LENGTH:
        refuse(p, 400, "The Content-Length is malformed, repeated or excluded.");
        break;
    case HPE_INVALID_TRANSFER_ENCODING:
        refuse(p, 400, "The Transfer-Encoding is malformed or excluded.");
        break;
    case HPE_INVALID_CHUNK_SIZE:
        refuse(p, 400, "The chunked body is malformed.");
        break;
    case HPE_INVALID_HEADER_TOKEN:
        refuse(p, 400, "A header is malformed.");
        break;
    default:
        refuse(p, 400, "The request is malformed.");
    }
}

enum mr_hparse_rc mr_hparse_feed(struct mr_hparse *p, char *base, char *buf, size_t n,
                                 size_t *ret_used) {
    p->base = base;
    p->now = buf;
    enum llhttp_errno rc = llhttp_execute(&p->ll, buf, n);
    *ret_used = n;
    if (rc == HPE_OK) {
        p->seen += n;
        if (!p->head_done && p->seen > p->head_max) {
            refuse(p, 431, "The request's headers are too large.");
            return MR_HPARSE_ERROR;
        }
        return MR_HPARSE_MORE;
    }
    const char *pos = llhttp_get_error_pos(&p->ll);
    if (pos >= buf && pos <= buf + n)
        *ret_used = (size_t)(pos - buf);
    if (rc == HPE_PAUSED)
        return MR_HPARSE_DONE;
    if (!p->status && p->detail)
        return MR_HPARSE_STOP;
    explain(p, rc);
    return MR_HPARSE_ERROR;
}

enum mr_method mr_hparse_method(const struct mr_hparse *p) {
    switch (llhttp_get_method((llhttp_t *)&p->ll)) {
    case HTTP_GET:
        return MR_GET;
    case HTTP_HEAD:
        return MR_HEAD;
    case HTTP_POST:
        return MR_POST;
    case HTTP_PUT:
        return MR_PUT;
    case HTTP_PATCH:
        return MR_PATCH;
    case HTTP_DELETE:
        return MR_DELETE;
    case HTTP_OPTIONS:
        return MR_OPTIONS;
    default:
        return MR_METHOD_OTHER;
    }
}

int mr_hparse_find(const struct mr_hparse *p, const char *base, const char *name, size_t n) {
    for (uint32_t i = 0; i < p->n_headers; i++) {
        const struct mr_hheader *h = &p->headers[i];
        if (h->name.n == n && memcmp(base + h->name.at, name, n) == 0)
            return (int)i;
    }
    return -1;
}
