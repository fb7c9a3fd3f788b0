/* Budgets of the account and of the calling key. */
#include "api/serveml/gen_serveml.h"
#include "api/serveml/serveml.h"
#include "core/money/ledger.h"
#include "core/money/money.h"

#include <math.h>

static void money(struct mr_buf *b, const char *key, int64_t nano) {
    mr_json_key(b, key);
    mr_money_print(b, nano);
}

static void spending(struct mr_buf *b, const struct mr_budget *v) {
    int64_t left = v->limit_nano - v->spent_nano - v->reserved_nano;
    if (v->limit_nano < 0) {
        mr_json_raw(b, "monthly_budget_usd", MR_LIT("null"));
        mr_json_raw(b, "remaining_usd", MR_LIT("null"));
    } else {
        money(b, "monthly_budget_usd", v->limit_nano);
        money(b, "remaining_usd", left > 0 ? left : 0);
    }
    money(b, "spent_usd", v->spent_nano);
    money(b, "reserved_usd", v->reserved_nano);
    mr_json_time(b, "renews_at", v->renews_us);
}

int mr_serveml_budget_get(struct mr_call *c, struct mr_err *e) {
    struct mr_ledger *l = c->core->ledger;
    struct mr_budget account, key;
    struct mr_buf b;
    bool own = c->who.key_budget_nanousd >= 0;
    int rc = mr_budget_account(l, c->who.account, &account, e);
    if (!rc && own)
        rc = mr_budget_key(l, c->who.account, c->who.key, &key, e);
    if (rc)
        return rc;
    mr_call_buf(c, &b);
    mr_buf_char(&b, '{');
    spending(&b, &account);
    mr_json_cstr(&b, "timezone", account.zone);
    if (own) {
        mr_buf_cstr(&b, ",\"key\":{");
        spending(&b, &key);
        mr_buf_char(&b, '}');
    } else
        mr_json_raw(&b, "key", MR_LIT("null"));
    mr_buf_char(&b, '}');
    return mr_call_json(c, 200, &b, e);
}

int mr_serveml_budget_set(struct mr_call *c, struct mr_err *e) {
    struct mr_ledger *l = c->core->ledger;
    const struct mr_value *limit = mr_call_value(c, "monthly_budget_usd");
    yyjson_val *given = yyjson_obj_get(c->body, "monthly_budget_usd");
    struct mr_budget now;
    int rc = mr_budget_account(l, c->who.account, &now, e);
    if (rc)
        return rc;
    int64_t nano = now.limit_nano; /* not named: as it is */
    if (limit->present)
        nano = (int64_t)llround(limit->f * 1e9);
    else if (yyjson_is_null(given))
        nano = -1;
    rc = mr_budget_set(l, c->who.account, nano, mr_call_str(c, "timezone"), e);
    return rc ? rc : mr_serveml_budget_get(c, e);
}
