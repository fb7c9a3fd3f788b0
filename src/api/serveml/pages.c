/* Pages for people: the documentation and the dashboard. */
#include "api/serveml/gen_serveml.h"
#include "api/serveml/serveml.h"
#include "api/web_assets.h"

static int send_asset(struct mr_call *c, struct mr_str name, struct mr_err *e) {
    struct mr_web_asset a;
    if (!mr_web_asset_find(name, &a))
        return mr_fail(e, MR_ENOTFOUND, "there is nothing at this path");
    mr_req_set_header(c->req, "X-Content-Type-Options", MR_LIT("nosniff"));
    /* Swagger UI sets style attributes and inlines its icons; nothing else comes from elsewhere. */
    mr_req_set_header(c->req, "Content-Security-Policy",
                      MR_LIT("default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' "
                             "data:; frame-ancestors 'none'"));
    mr_req_send_bytes(c->req, mr_strn((const char *)a.start, a.len), a.type);
    return 0;
}

int mr_serveml_docs(struct mr_call *c, struct mr_err *e) {
    return send_asset(c, MR_LIT("index.html"), e);
}

int mr_serveml_docs_asset(struct mr_call *c, struct mr_err *e) {
    return send_asset(c, mr_req_param(c->req, "asset"), e);
}

int mr_serveml_dashboard(struct mr_call *c, struct mr_err *e) {
    return send_asset(c, MR_LIT("dashboard.html"), e);
}

int mr_serveml_dashboard_asset(struct mr_call *c, struct mr_err *e) {
    return send_asset(c, mr_req_param(c->req, "asset"), e);
}

int mr_serveml_dashboard_metrics(struct mr_call *c, struct mr_err *e) {
    return send_asset(c, MR_LIT("dashboard.html"), e);
}
