/* Inside of http/outbound.h. */
#ifndef MR_HTTP_OUTBOUND_IMPL_H
#define MR_HTTP_OUTBOUND_IMPL_H

#include "http/outbound.h"

#include <curl/curl.h>

struct mr_outbound_url {
    char host[256]; /* as in the URL, IPv6 in brackets */
    char name[256]; /* for the resolver */
    int port;
    bool https, exempt;
};

int mr_outbound_parse(const struct mr_outbound_policy *p, struct mr_str url,
                      struct mr_outbound_url *ret, struct mr_err *e);
/* Whether the URL may be called at this address. MR_EFORBIDDEN. */
int mr_outbound_judge(const struct mr_outbound_policy *p, struct mr_outbound_url *t,
                      const struct sockaddr *sa, struct mr_err *e);
/* outbound_allow.c: by the list of struct mr_outbound_policy (NULL: none). */
bool mr_outbound_host_allowed(const char *allow, const struct mr_outbound_url *t);
/* sa NULL: whether any address is. */
bool mr_outbound_addr_allowed(const char *allow, const struct sockaddr *sa);
bool mr_outbound_addr_loopback(const struct sockaddr *sa);

#endif
