/* HTTP requests to addresses that users name (webhooks): one blocking request on libcurl with a
 * guard against server-side request forgery.
 *
 * The name is resolved once; every address must be allowed; the connection goes to those addresses
 * only (checked again when the socket is opened). No redirects, no proxies (also not from the
 * environment), no other protocols, no user info in the URL. Allowed are https on port 443 to
 * public unicast addresses, and what the policy adds. Forbidden ranges: IANA special-purpose
 * registries (RFC 6890 and successors), multicast, addresses of this machine, and IPv6 forms that
 * embed such an IPv4 address. */
#ifndef MR_HTTP_OUTBOUND_H
#define MR_HTTP_OUTBOUND_H

#include "base/err.h"
#include "base/str.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

struct mr_outbound_policy {
    bool allow_loopback; /* http and https, any port, when all addresses are loopback */
    /* Comma-separated "host" (port 443 and https), "host:port" (http too) or CIDR block (its
     * addresses, any port, http too) that are exempt from the address check; NULL: none. */
    const char *allow;
};

struct mr_outbound_header {
    const char *name;
    struct mr_str value; /* no control characters */
};

struct mr_outbound_request {
    const char *method; /* "POST" */
    struct mr_str url;
    const struct mr_outbound_header *headers;
    size_t n_headers;
    struct mr_str body;
    int timeout_ms; /* whole request; at least 1 */
    size_t keep;    /* bytes of the answer to keep; the rest (at most 64 KiB) is read and dropped */
};

struct mr_outbound_reply {
    int status;
    int64_t retry_after_s; /* seconds from Retry-After (number or date), -1 = none */
    char *body;            /* kept part, NUL-terminated; mr_free */
    size_t body_len;
    char ip[64]; /* connected to */
};
void mr_outbound_reply_release(struct mr_outbound_reply *r);

/* Whether every entry of such a list can be read. MR_EFIELD naming the entry and what is wrong. */
int mr_outbound_check_allow(const char *allow, struct mr_err *e);
/* Whether the address may be called; *ret_why (static) says why not. */
bool mr_outbound_addr_ok(const struct sockaddr *sa, bool allow_loopback, const char **ret_why);
/* Syntax, scheme, port and literal addresses, without resolving: for when a URL is registered.
 * MR_EFIELD naming "url". */
int mr_outbound_check_url(const struct mr_outbound_policy *p, struct mr_str url, struct mr_err *e);
/* Blocks. 0 whenever an HTTP status came back. MR_EFORBIDDEN: the guard refused; MR_ETIMEOUT,
 * MR_EIO otherwise. Thread-safe. */
int mr_outbound(const struct mr_outbound_policy *p, const struct mr_outbound_request *q,
                struct mr_outbound_reply *ret, struct mr_err *e);

#endif
