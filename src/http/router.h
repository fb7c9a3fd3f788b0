/* The route table compiled into a tree of path segments. Read-only after building: any thread.
 *
 * A pattern is "/seg/{param}/…"; "{name*}" as the last segment takes the rest of the path (one
 * segment or more). Fixed words beat params, params beat the rest. Matching is on the raw path;
 * params are percent-decoded afterwards. A trailing slash makes no difference. */
#ifndef MR_HTTP_ROUTER_H
#define MR_HTTP_ROUTER_H

#include "http/http.h"

#define MR_PARAM_MAX    8
#define MR_SEGMENTS_MAX 24

struct mr_router;

/* `routes` must outlive the router. MR_EINVAL on a malformed pattern or a duplicate. */
int mr_router_new(const struct mr_http_route *routes, size_t n, struct mr_router **ret,
                  struct mr_err *e);
void mr_router_free(struct mr_router *r);

struct mr_match {
    const struct mr_http_route *route; /* NULL: no such path, or (allow != 0) no such method */
    uint32_t allow;                    /* bit per enum mr_method the path serves */
    uint32_t n_param;
    struct mr_str name[MR_PARAM_MAX], raw[MR_PARAM_MAX]; /* as sent */
};

/* `path` begins with '/' and has no double slashes. Only route, allow and the n_param first
 * entries are written. */
void mr_router_find(const struct mr_router *r, enum mr_method m, struct mr_str path,
                    struct mr_match *ret);
/* "GET, HEAD, POST" into out (at least 64 bytes). */
void mr_allow_text(uint32_t allow, char *out, size_t cap);

#endif
