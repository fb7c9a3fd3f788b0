#include "http/reply_parse.h"

static struct mr_rparse *self(llhttp_t *ll) {
    return ll->data;
}

static int refuse(struct mr_rparse *p, const char *why) {
    if (!p->why)
        p->why = why;
    return HPE_USER;
}

static int count(struct mr_rparse *p, size_t n) {
    p->head_bytes += n;
    if (p->head_bytes <= p->head_max)
        return 0;
    p->too_big = true;
    return refuse(p, "the reply's headers are larger than allowed");
}

static int on_reason(llhttp_t *ll, const char *at, size_t n) {
    (void)at;
    return count(self(ll), n);
}

static int on_status_done(llhttp_t *ll) {
    struct mr_rparse *p = self(ll);
    int status = llhttp_get_status_code(ll);
    if (ll->http_major != 1 || status < 100 || status > 599)
        return refuse(p, "the status line is malformed");
    if (status == 101)
        return refuse(p, "the server switched protocols unasked");
    if (status >= 200)
        p->status = status;
    return count(p, 15);
}

static void add(char *to, size_t cap, size_t *n, const char *at, size_t more) {
    if (*n < cap && more <= cap - *n)
        memcpy(to + *n, at, more);
    *n = more < SIZE_MAX / 2 - *n ? *n + more : SIZE_MAX / 2;
}

static int on_field(llhttp_t *ll, const char *at, size_t n) {
    struct mr_rparse *p = self(ll);
    add(p->name, sizeof p->name, &p->name_n, at, n);
    return count(p, n);
}

static int on_value(llhttp_t *ll, const char *at, size_t n) {
    struct mr_rparse *p = self(ll);
    add(p->value, sizeof p->value, &p->value_n, at, n);
    return count(p, n);
}

static int on_line(llhttp_t *ll) {
    struct mr_rparse *p = self(ll);
    if (!p->head_done && p->name_n <= sizeof p->name && p->value_n <= sizeof p->value) {
        for (size_t i = 0; i < p->name_n; i++)
            if (p->name[i] >= 'A' && p->name[i] <= 'Z')
                p->name[i] |= 0x20;
        p->on_header(p->ctx, mr_strn(p->name, p->name_n),
                     mr_str_trim(mr_strn(p->value, p->value_n)));
    }
    p->name_n = p->value_n = 0;
    return count(p, 4);
}

static int on_head(llhttp_t *ll) {
    struct mr_rparse *p = self(ll);
    p->head_done = p->status != 0;
    return 0;
}

static int on_body(llhttp_t *ll, const char *at, size_t n) {
    struct mr_rparse *p = self(ll);
    if (!p->head_done) /* with a Transfer-Encoding, llhttp reads one */
        return refuse(p, "an interim reply has a body");
    return p->on_body(p->ctx, at, n) == 0 ? 0 : HPE_USER;
}

/* Dropped, but not without end. */
static int on_extension(llhttp_t *ll, const char *at, size_t n) {
    (void)at;
    return count(self(ll), n);
}

static int on_complete(llhttp_t *ll) {
    struct mr_rparse *p = self(ll);
    p->done = true;
    p->keep_alive = llhttp_should_keep_alive(ll) != 0;
    return HPE_PAUSED;
}

static const llhttp_settings_t settings = {
    .on_status = on_reason,
    .on_status_complete = on_status_done,
    .on_header_field = on_field,
    .on_header_value = on_value,
    .on_header_value_complete = on_line,
    .on_headers_complete = on_head,
    .on_body = on_body,
    .on_chunk_extension_name = on_extension,
    .on_chunk_extension_value = on_extension,
    .on_message_complete = on_complete,
};

static void next_reply(struct mr_rparse *p) {
    llhttp_init(&p->ll, HTTP_RESPONSE, &settings);
    p->ll.data = p;
    p->name_n = p->value_n = 0;
    p->done = false;
}

void mr_rparse_begin(struct mr_rparse *p) {
    p->status = 0;
    p->head_done = p->keep_alive = p->too_big = false;
    p->why = NULL;
    p->head_bytes = p->raw = 0;
    next_reply(p);
}

static const char *explain(enum llhttp_errno rc) {
    switch (rc) {
    case HPE_INVALID_CONTENT_LENGTH:
    case HPE_UNEXPECTED_CONTENT_LENGTH:
        return "the reply's Content-Length is malformed, repeated or excluded";
    case HPE_INVALID_TRANSFER_ENCODING:
        return "the reply's Transfer-Encoding is malformed or excluded";
    case HPE_INVALID_CHUNK_SIZE:
        return "the reply's chunks are malformed";
    case HPE_INVALID_HEADER_TOKEN:
        return "a header of the reply is malformed";
    default:
        return "the reply is not HTTP/1.1";
    }
}

enum mr_rparse_rc mr_rparse_feed(struct mr_rparse *p, const char *buf, size_t n, size_t *ret_used) {
    size_t used = 0;
    while (used < n) {
        enum llhttp_errno rc = llhttp_execute(&p->ll, buf + used, n - used);
        if (rc == HPE_OK) {
            used = n;
            break;
        }
        const char *at = llhttp_get_error_pos(&p->ll);
        if (at >= buf + used && at <= buf + n)
            used = (size_t)(at - buf);
        *ret_used = used;
        if (rc == HPE_PAUSED && p->done) {
            if (p->status)
                return MR_RPARSE_DONE;
            p->on_interim(p->ctx);
            next_reply(p);
            continue;
        }
        if (rc == HPE_USER && !p->why)
            return MR_RPARSE_STOP;
        refuse(p, explain(rc));
        return MR_RPARSE_ERROR;
    }
    *ret_used = used;
    if (!p->head_done && (p->raw += n) > p->head_max) { /* white space is in no callback */
        p->too_big = true;
        refuse(p, "the reply's headers are larger than allowed");
        return MR_RPARSE_ERROR;
    }
    return MR_RPARSE_MORE;
}

enum mr_rparse_rc mr_rparse_eof(struct mr_rparse *p) {
    if (p->head_done && !p->done && llhttp_finish(&p->ll) == HPE_PAUSED && p->done) {
        p->keep_alive = false;
        return MR_RPARSE_DONE;
    }
    refuse(p, p->head_done    ? "the connection was closed amid the answer"
              : p->head_bytes ? "the connection was closed amid the answer's headers"
                              : "the connection was closed without an answer");
    return MR_RPARSE_ERROR;
}
