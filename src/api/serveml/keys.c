/* API keys and members of the account. */
#include "api/serveml/gen_serveml.h"
#include "api/serveml/serveml.h"
#include "base/clock.h"

static const struct {
    const char *name;
    uint32_t bit;
} scopes[] = {{"read", MR_SCOPE_READ},
              {"write", MR_SCOPE_WRITE},
              {"predict", MR_SCOPE_PREDICT},
              {"admin", MR_SCOPE_ADMIN}};

static void maybe_time(struct mr_buf *b, const char *key, int64_t us) {
    if (us)
        mr_json_time(b, key, us);
    else
        mr_json_raw(b, key, MR_LIT("null"));
}

static void key_object(struct mr_buf *b, const struct mr_api_key *k, struct mr_str secret) {
    mr_buf_char(b, '{');
    mr_json_id(b, "id", "key-", k->id);
    mr_json_str(b, "name", k->name);
    mr_json_str(b, "prefix", k->prefix);
    if (secret.p)
        mr_json_str(b, "key", secret);
    mr_json_key(b, "scopes");
    mr_buf_char(b, '[');
    for (size_t i = 0, n = 0; i < sizeof scopes / sizeof *scopes; i++)
        if (k->scopes & scopes[i].bit)
            mr_buf_fmt(b, "%s\"%s\"", n++ ? "," : "", scopes[i].name);
    mr_buf_char(b, ']');
    mr_json_time(b, "created_at", k->created_us);
    maybe_time(b, "last_used_at", k->last_used_us);
    maybe_time(b, "expires_at", k->expires_us);
    if (k->rate_per_minute)
        mr_json_i64(b, "rate_limit_per_minute", k->rate_per_minute);
    else
        mr_json_raw(b, "rate_limit_per_minute", MR_LIT("null"));
    if (k->budget_nanousd >= 0)
        mr_json_f64(b, "monthly_budget_usd", (double)k->budget_nanousd / 1e9);
    else
        mr_json_raw(b, "monthly_budget_usd", MR_LIT("null"));
    mr_buf_char(b, '}');
}

int mr_serveml_keys_create(struct mr_call *c, struct mr_err *e) {
    struct mr_api_key k = {.name = mr_call_str(c, "name"),
                           .scopes = MR_SCOPE_READ | MR_SCOPE_WRITE | MR_SCOPE_PREDICT,
                           .rate_per_minute = mr_call_i64(c, "rate_limit_per_minute", 0),
                           .budget_nanousd = -1};
    const struct mr_value *list = mr_call_value(c, "scopes");
    const struct mr_value *budget = mr_call_value(c, "monthly_budget_usd");
    int64_t days = mr_call_i64(c, "expires_in_days", 0);
    struct mr_str secret;
    struct mr_buf b;
    if (list->present) {
        size_t i, n;
        yyjson_val *item;
        k.scopes = 0;
        yyjson_arr_foreach (list->json, i, n, item) {
            for (size_t s = 0; s < sizeof scopes / sizeof *scopes; s++)
                if (yyjson_equals_str(item, scopes[s].name))
                    k.scopes |= scopes[s].bit;
        }
        if (!k.scopes)
            return mr_fail_field(e, MR_EFIELD, "scopes", "scopes must name at least one scope");
    }
    if (budget->present)
        k.budget_nanousd = (int64_t)(budget->f * 1e9 + 0.5);
    if (days)
        k.expires_us = mr_now_us() + days * 86400000000ll;
    int rc = mr_accounts_key_create(c->core->accounts, &c->who, &k, c->req->arena, &secret, e);
    if (rc)
        return rc;
    mr_call_buf(c, &b);
    key_object(&b, &k, secret);
    return mr_call_json(c, 201, &b, e);
}

int mr_serveml_keys_list(struct mr_call *c, struct mr_err *e) {
    struct mr_api_key *v;
    struct mr_buf b;
    size_t n;
    int rc = mr_accounts_key_list(c->core->accounts, c->who.account, c->req->arena, &v, &n, e);
    if (rc)
        return rc;
    mr_call_buf(c, &b);
    mr_buf_cstr(&b, "{\"items\":[");
    for (size_t i = 0; i < n; i++) {
        if (i)
            mr_buf_char(&b, ',');
        key_object(&b, &v[i], mr_strn(NULL, 0));
    }
    mr_buf_fmt(&b, "],\"total\":%zu}", n);
    return mr_call_json(c, 200, &b, e);
}

static int message(struct mr_call *c, const char *text, struct mr_str id, struct mr_err *e) {
    struct mr_buf b;
    mr_call_buf(c, &b);
    mr_buf_char(&b, '{');
    mr_json_cstr(&b, "message", text);
    mr_json_str(&b, "id", id);
    mr_buf_char(&b, '}');
    return mr_call_json(c, 200, &b, e);
}

int mr_serveml_keys_revoke(struct mr_call *c, struct mr_err *e) {
    struct mr_str text = mr_req_param(c->req, "key_id");
    struct mr_id id;
    if (!mr_id_parse_prefixed("key-", text, &id))
        return mr_fail(e, MR_ENOTFOUND, "no such API key");
    int rc = mr_accounts_key_revoke(c->core->accounts, c->who.account, id, e);
    return rc ? rc : message(c, "API key revoked", text, e);
}

int mr_serveml_members_list(struct mr_call *c, struct mr_err *e) {
    struct mr_user *v;
    struct mr_buf b;
    size_t n;
    int rc = mr_accounts_members(c->core->accounts, c->who.account, c->req->arena, &v, &n, e);
    if (rc)
        return rc;
    mr_call_buf(c, &b);
    mr_buf_cstr(&b, "{\"items\":[");
    for (size_t i = 0; i < n; i++) {
        mr_buf_cstr(&b, i ? ",{" : "{");
        mr_json_id(&b, "user_id", "user-", v[i].id);
        mr_json_str(&b, "email", v[i].email);
        mr_json_str(&b, "username", v[i].username);
        mr_json_cstr(&b, "role", mr_role_name(v[i].role));
        mr_json_time(&b, "joined_at", v[i].created_us);
        mr_buf_char(&b, '}');
    }
    mr_buf_fmt(&b, "],\"total\":%zu}", n);
    return mr_call_json(c, 200, &b, e);
}

int mr_serveml_members_invite(struct mr_call *c, struct mr_err *e) {
    struct mr_str email = mr_call_str(c, "email"), role_text = mr_call_str(c, "role"), token;
    int role = MR_ROLE_MEMBER;
    int64_t expires;
    struct mr_buf b;
    if (role_text.p)
        mr_role_parse(role_text, &role);
    int rc = mr_accounts_invite(c->core->accounts, &c->who, email, role, c->req->arena, &token,
                                &expires, e);
    if (rc)
        return rc;
    mr_call_buf(c, &b);
    mr_buf_char(&b, '{');
    mr_json_str(&b, "email", email);
    mr_json_cstr(&b, "role", mr_role_name(role));
    mr_json_str(&b, "invitation", token);
    mr_json_time(&b, "expires_at", expires);
    mr_buf_char(&b, '}');
    return mr_call_json(c, 201, &b, e);
}

int mr_serveml_members_remove(struct mr_call *c, struct mr_err *e) {
    struct mr_str text = mr_req_param(c->req, "user_id");
    struct mr_id id;
    if (!mr_id_parse_prefixed("user-", text, &id))
        return mr_fail(e, MR_ENOTFOUND, "no such member");
    int rc = mr_accounts_member_remove(c->core->accounts, c->who.account, id, e);
    return rc ? rc : message(c, "Member removed", text, e);
}
