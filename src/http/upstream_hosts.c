/* Which URLs the plain client takes, and what they say (RFC 3986). What is not plainly readable is
 * left to libcurl, which takes it or refuses it. */
#include "http/upstream_plain.h"

#include "base/alloc.h"

#include <arpa/inet.h>

static void add_v4(struct plain_url *p, const char *text, uint16_t port) {
    struct plain_address *a = &p->address[p->n_address];
    *a = (struct plain_address){.n = sizeof a->to.v4};
    a->to.v4.sin_family = AF_INET;
    a->to.v4.sin_port = htons(port);
    if (inet_pton(AF_INET, text, &a->to.v4.sin_addr) == 1)
        p->n_address++;
}

static void add_v6(struct plain_url *p, const char *text, uint16_t port) {
    struct plain_address *a = &p->address[p->n_address];
    *a = (struct plain_address){.n = sizeof a->to.v6};
    a->to.v6.sin6_family = AF_INET6;
    a->to.v6.sin6_port = htons(port);
    if (inet_pton(AF_INET6, text, &a->to.v6.sin6_addr) == 1)
        p->n_address++;
}

/* "host", "host:port", "[v6]", "[v6]:port" */
static void read_authority(struct plain_url *p) {
    struct mr_str rest = p->authority, host;
    bool v6 = rest.n && rest.p[0] == '[';
    int64_t port = 80;
    char text[64];
    if (v6) {
        rest = mr_strn(rest.p + 1, rest.n - 1);
        host = mr_str_cut(&rest, ']');
        if (!rest.p || (rest.n && rest.p[0] != ':'))
            return;
        rest = rest.n ? mr_strn(rest.p + 1, rest.n - 1) : (struct mr_str){0};
    } else {
        host = mr_str_cut(&rest, ':');
    }
    if (rest.p && !mr_str_i64(rest, 1, 65535, &port))
        return;
    if (!host.n || host.n >= sizeof text)
        return;
    memcpy(text, host.p, host.n);
    text[host.n] = 0;
    if (v6) {
        add_v6(p, text, (uint16_t)port);
    } else if (mr_str_ieq(host,
                          MR_LIT("localhost"))) { /* RFC 6761 6.3: never asked of a resolver */
        add_v4(p, "127.0.0.1", (uint16_t)port);
        add_v6(p, "::1", (uint16_t)port);
    } else {
        add_v4(p, text, (uint16_t)port);
    }
}

struct plain_url mr_upstream_plain_url(struct mr_str url) {
    struct plain_url p = {0};
    if (url.n < 8 || !mr_str_ieq(mr_strn(url.p, 7), MR_LIT("http://")))
        return p;
    for (size_t i = 0; i < url.n; i++)
        if (url.p[i] <= ' ' || url.p[i] > '~' || url.p[i] == '#' || url.p[i] == '\\')
            return p;
    struct mr_str rest = mr_strn(url.p + 7, url.n - 7);
    size_t n = 0;
    while (n < rest.n && rest.p[n] != '/' && rest.p[n] != '?')
        n++;
    p.authority = mr_strn(rest.p, n);
    p.target = mr_strn(rest.p + n, rest.n - n);
    if (n >= sizeof((struct plain_host *)0)->authority || memchr(p.authority.p, '@', n))
        return p;
    read_authority(&p);
    p.ours = p.n_address > 0;
    return p;
}

/* ---- hosts ---- */

static struct plain_host *host_of(struct mr_upstream *u, const struct plain_url *p) {
    struct plain_host *h = u->hosts;
    while (h && !mr_str_is(p->authority, h->authority))
        h = h->next;
    if (h)
        return h;
    h = mr_calloc(1, sizeof *h);
    if (!h)
        return NULL;
    h->u = u;
    memcpy(h->authority, p->authority.p, p->authority.n);
    memcpy(h->address, p->address, sizeof h->address);
    h->n_address = p->n_address;
    h->pump = (struct mr_loop_task){.fn = mr_upstream_pump, .arg = h};
    h->next = u->hosts;
    u->hosts = h;
    return h;
}

/* The request line and the headers; Content-Length and the empty line follow with the body. */
static void render(struct upstream_call *c, const struct plain_url *p) {
    struct mr_buf *b = &c->wire;
    mr_buf_clear(b);
    mr_buf_cstr(b, c->method);
    mr_buf_cstr(b, p->target.n && p->target.p[0] == '/' ? " " : " /");
    mr_buf_str(b, p->target);
    mr_buf_cstr(b, " HTTP/1.1\r\nhost: ");
    mr_buf_str(b, p->authority);
    mr_buf_cstr(b, "\r\nuser-agent: millrace/" MR_VERSION "\r\naccept: */*\r\n");
    struct mr_str rest = mr_buf_view(&c->head);
    while (rest.n) {
        mr_buf_str(b, mr_str_cut(&rest, '\n'));
        mr_buf_cstr(b, "\r\n");
    }
}

int mr_upstream_set_plain(struct upstream_call *c) {
    struct plain_url p = mr_upstream_plain_url(mr_buf_view(&c->url));
    c->host = NULL;
    if (!p.ours || strcmp(c->method, "HEAD") == 0) /* a HEAD's reply has a length and no body */
        return 0;
    c->host = host_of(c->u, &p);
    if (c->host)
        render(c, &p);
    c->configured = c->host && mr_buf_ok(&c->wire);
    return c->configured ? 0 : MR_ENOMEM;
}

void mr_upstream_free_hosts(struct mr_upstream *u) {
    while (u->hosts) {
        struct plain_host *h = u->hosts;
        u->hosts = h->next;
        mr_free(h);
    }
}
