/* The server's edge: who a request really comes from, which origins may call, and the rule by which
 * a request without a key acts as the owner. Settings are parsed once (mr_edge_init); the rest are
 * plain functions over plain values, safe on any thread. */
#ifndef MR_API_EDGE_H
#define MR_API_EDGE_H

#include "base/err.h"
#include "core/config.h"
#include "http/http.h"

/* An address block; IPv4 as IPv4-mapped IPv6 (RFC 4291 2.5.5.2). */
struct mr_net {
    unsigned char addr[16];
    unsigned bits; /* 0-128 */
};
/* "10.0.0.0/8", "192.0.2.7", "::1", "fd00::/8"; MR_EFIELD naming what is wrong. */
int mr_net_parse(struct mr_str text, struct mr_net *ret, struct mr_err *e);
bool mr_net_has(const struct mr_net *n, struct mr_str addr);

struct mr_edge {
    bool open; /* --open: the keyless rule asks nothing */
    struct mr_net proxies[MR_LIST_MAX];
    size_t n_proxies;
    struct mr_str cors[MR_LIST_MAX]; /* borrowed from the settings */
    size_t n_cors;
    struct mr_str public_url; /* p == NULL: none */
};
/* The strings of `c` must outlive the edge. */
int mr_edge_init(struct mr_edge *d, const struct mr_config *c, struct mr_err *e);

/* What one request says about its caller. Strings borrow from the request. */
struct mr_caller {
    bool peer_loopback, listener_loopback; /* of the connection itself */
    bool proxied;               /* from a listed proxy, or any header that a proxy adds is there */
    bool https;                 /* as the client sees us */
    struct mr_str host, origin; /* host as the client wrote it; origin.p == NULL: absent */
    struct mr_str fetch_site;   /* Sec-Fetch-Site (W3C Fetch Metadata); p == NULL: absent */
};
void mr_caller_read(const struct mr_req *r, struct mr_caller *ret);

/* Replaces r->peer by the client that a listed proxy names (the last address of X-Forwarded-For
 * that is no listed proxy). Does nothing when the peer is not listed. */
void mr_edge_client(const struct mr_edge *d, struct mr_req *r);
/* Whether the request's peer, as connected, is a listed proxy. */
bool mr_edge_is_proxy(const struct mr_edge *d, struct mr_str peer);

/* "localhost", "*.localhost", 127.0.0.0/8 or [::1], with or without a port: a name that no foreign
 * DNS zone can point at us. */
bool mr_host_loopback(struct mr_str host);
/* The origin is the one that the request was sent to, or public_url's. */
bool mr_origin_own(const struct mr_edge *d, const struct mr_caller *c);
/* The origin is in --cors-origin. */
bool mr_origin_listed(const struct mr_edge *d, struct mr_str origin);

/* The keyless rule. A request without credentials acts as the owner account only in a family that
 * allows it (struct mr_family keyless_owner), and only when listener and peer are loopback, Host is
 * a loopback name, nothing says that a proxy is in between, and no foreign page can have sent it
 * (Origin absent or our own, Sec-Fetch-Site absent, same-origin or none). --open asks nothing but
 * the family. */
bool mr_keyless_owner(const struct mr_edge *d, const struct mr_caller *c, bool family_allows);

#endif
