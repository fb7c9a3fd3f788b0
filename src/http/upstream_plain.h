/* Inside of the plain HTTP/1.1 client: where it goes and the connections kept there. */
#ifndef MR_HTTP_UPSTREAM_PLAIN_H
#define MR_HTTP_UPSTREAM_PLAIN_H

#include "http/reply_parse.h"
#include "http/upstream_impl.h"

#include <netinet/in.h>

/* Everything belongs to the upstream's thread. */
struct plain_conn {
    struct plain_host *host;
    struct plain_conn *newer, *older; /* while idle */
    struct mr_loop_io *io;
    struct upstream_call *call; /* NULL: idle */
    struct mr_rparse parse;
    int fd, address; /* index of the address it goes to */
    bool connecting, reused, unsendable;
    int64_t idle_since_ns;
};

struct plain_address {
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } to;
    socklen_t n;
};

struct plain_host { /* kept until the upstream is freed: there are as many as were configured */
    struct plain_host *next;
    struct mr_upstream *u;
    char authority[80]; /* as in the URL: host and port */
    struct plain_address address[2];
    int n_address;
    struct plain_conn *newest, *oldest; /* idle */
    size_t n_conn;
    struct upstream_call *first, *last; /* waiting for a connection */
    struct mr_loop_task pump;
    bool pump_posted;
};

/* What a URL says. `ours`: plain http to an IP address or localhost, without user or fragment. */
struct plain_url {
    bool ours;
    struct mr_str authority, target; /* target "": "/" is meant; both lie in the URL */
    struct plain_address address[2];
    int n_address;
};
struct plain_url mr_upstream_plain_url(struct mr_str url);

/* The task of a host: lets waiting calls have what became free. */
void mr_upstream_pump(void *host);

#endif
