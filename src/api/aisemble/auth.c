/* Login by user name, and refresh tokens. */
#include "api/aisemble/aisemble.h"
#include "api/aisemble/gen_aisemble.h"

static int reply(struct mr_call *c, const struct mr_session_tokens *t, struct mr_err *e) {
    struct mr_buf b;
    mr_call_buf(c, &b);
    mr_buf_char(&b, '{');
    mr_json_str(&b, "access_token", t->access);
    mr_json_cstr(&b, "token_type", "bearer");
    mr_json_i64(&b, "expires_in", t->ttl_s);
    mr_json_str(&b, "refresh_token", t->refresh);
    mr_buf_char(&b, '}');
    mr_req_set_header(c->req, "Cache-Control", MR_LIT("no-store"));
    return mr_call_json(c, 200, &b, e);
}

int mr_aisemble_login(struct mr_call *c, struct mr_err *e) {
    struct mr_session_tokens t;
    int rc = mr_session_login(c->core->accounts, mr_call_str(c, "username"),
                              mr_call_str(c, "password"), c->req->arena, &t, e);
    return rc ? rc : reply(c, &t, e);
}

int mr_aisemble_refresh(struct mr_call *c, struct mr_err *e) {
    struct mr_session_tokens t;
    int rc = mr_session_refresh(c->core->accounts, mr_call_str(c, "refresh_token"), c->req->arena,
                                &t, e);
    return rc ? rc : reply(c, &t, e);
}
