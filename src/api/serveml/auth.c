/* Register, login, me. */
#include "api/serveml/gen_serveml.h"
#include "api/serveml/serveml.h"
#include "core/usage/usage.h"

static void user_members(struct mr_buf *b, const struct mr_user *u) {
    mr_json_id(b, "id", "user-", u->id);
    mr_json_str(b, "email", u->email);
    mr_json_str(b, "username", u->username);
}

/* {"access_token":…,"token_type":"bearer"…} plus the user after a registration. */
static int token_reply(struct mr_call *c, const struct mr_user *u, bool with_user,
                       struct mr_err *e) {
    struct mr_buf b, token;
    int64_t ttl;
    mr_buf_init(&token, 4096);
    int rc = mr_accounts_token(c->core->accounts, u, &token, &ttl, e);
    if (rc) {
        mr_buf_release(&token);
        return rc;
    }
    mr_call_buf(c, &b);
    mr_buf_char(&b, '{');
    mr_json_str(&b, "access_token", mr_buf_view(&token));
    mr_json_cstr(&b, "token_type", "bearer");
    mr_json_i64(&b, "expires_in", ttl);
    mr_buf_release(&token);
    if (with_user) {
        mr_json_key(&b, "user");
        mr_buf_char(&b, '{');
        user_members(&b, u);
        if (u->full_name.p)
            mr_json_str(&b, "full_name", u->full_name);
        mr_json_time(&b, "created_at", u->created_us);
        mr_buf_char(&b, '}');
    }
    mr_buf_char(&b, '}');
    return mr_call_json(c, 200, &b, e);
}

int mr_serveml_auth_register(struct mr_call *c, struct mr_err *e) {
    struct mr_registration in = {.email = mr_call_str(c, "email"),
                                 .username = mr_call_str(c, "username"),
                                 .password = mr_call_str(c, "password"),
                                 .full_name = mr_call_str(c, "full_name"),
                                 .invitation = mr_call_str(c, "invitation")};
    struct mr_user u;
    int rc = mr_accounts_register(c->core->accounts, &in, c->req->arena, &u, e);
    return rc ? rc : token_reply(c, &u, true, e);
}

int mr_serveml_auth_login(struct mr_call *c, struct mr_err *e) {
    struct mr_user u;
    int rc = mr_accounts_login(c->core->accounts, mr_call_str(c, "email"),
                               mr_call_str(c, "password"), c->req->arena, &u, e);
    return rc ? rc : token_reply(c, &u, false, e);
}

/* The operator's key belongs to no user: it answers for the account itself. */
static void operator_user(struct mr_call *c, struct mr_user *u) {
    *u = (struct mr_user){.id = c->who.account,
                          .account = c->who.account,
                          .email = MR_LIT("owner@localhost"),
                          .username = MR_LIT("owner"),
                          .full_name = {NULL, 0},
                          .role = MR_ROLE_OWNER,
                          .created_us = mr_accounts_owner_created(c->core->accounts)};
}

int mr_serveml_auth_me(struct mr_call *c, struct mr_err *e) {
    static const struct mr_id zero;
    struct mr_user u;
    struct mr_buf b;
    struct mr_usage_totals t = {0};
    if (mr_id_eq(c->who.user, zero))
        operator_user(c, &u);
    else {
        int rc =
            mr_accounts_user(c->core->accounts, c->who.account, c->who.user, c->req->arena, &u, e);
        if (rc)
            return rc;
    }
    int rc = mr_usage_account_totals(c->core->usage, c->who.account, &t, e);
    if (rc)
        return rc;
    mr_call_buf(c, &b);
    mr_buf_char(&b, '{');
    user_members(&b, &u);
    mr_json_str(&b, "full_name", u.full_name);
    mr_json_time(&b, "created_at", u.created_us);
    mr_json_i64(&b, "deployment_count", mr_deployments_count(c->core->deployments, c->who.account));
    mr_json_i64(&b, "total_predictions", (int64_t)t.requests);
    mr_json_id(&b, "account_id", "acc-", c->who.account);
    mr_json_cstr(&b, "role", c->who.role ? mr_role_name(c->who.role) : "key");
    mr_buf_char(&b, '}');
    return mr_call_json(c, 200, &b, e);
}
