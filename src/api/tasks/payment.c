/* Payments: checkout pages and Stripe's events. */
#include "api/tasks/gen_tasks.h"
#include "api/tasks/tasks.h"
#include "core/billing/billing.h"

#define USER_MAX 200 /* bytes; what Stripe takes as a reference */

/* What the payment service said; the seed's status for it is 500, whose text is otherwise kept from
 * clients. */
static int payment_error(struct mr_call *c, struct mr_err *e) {
    struct mr_buf b;
    mr_log_msg(&c->core->log, MR_LOG_WARN, "payment", "%s: %s", c->req->id, e->msg);
    mr_call_buf(c, &b);
    mr_buf_char(&b, '{');
    mr_json_cstr(&b, "error", e->msg);
    mr_buf_char(&b, '}');
    return mr_call_json(c, 500, &b, e);
}

static int checkout(struct mr_call *c, int rc, struct mr_str url, struct mr_err *e) {
    struct mr_buf b;
    if (rc)
        return rc == MR_EPREDICT ? payment_error(c, e) : rc;
    mr_call_buf(c, &b);
    mr_buf_char(&b, '{');
    mr_json_str(&b, "checkout_url", url);
    mr_buf_char(&b, '}');
    return mr_call_json(c, 200, &b, e);
}

int mr_tasks_subscribe(struct mr_call *c, struct mr_err *e) {
    struct mr_str url = {0};
    int rc = mr_billing_subscription(c->core->billing, c->who.account, mr_call_str(c, "email"),
                                     mr_call_str(c, "Idempotency-Key"), c->req->arena, &url, e);
    return checkout(c, rc, url, e);
}

int mr_tasks_pay(struct mr_call *c, struct mr_err *e) {
    const struct mr_value *v = mr_call_value(c, "user_id");
    struct mr_str url = {0}, user = v->s, description = mr_call_str(c, "description");
    if (!user.p)
        user = mr_str(mr_arena_fmt(c->req->arena, "%lld", (long long)v->i));
    if (!user.n || user.n > USER_MAX)
        return mr_fail_field(e, MR_EFIELD, "user_id", "user_id must be a number or 1 to %d bytes",
                             USER_MAX);
    if (!description.p)
        description = MR_LIT("AI Task Processing");
    int rc = mr_billing_micro(c->core->billing, c->who.account, user, description,
                              mr_call_str(c, "Idempotency-Key"), c->req->arena, &url, e);
    return checkout(c, rc, url, e);
}

int mr_tasks_stripe_webhook(struct mr_call *c, struct mr_err *e) {
    struct mr_buf b;
    int rc = mr_billing_event(c->core->billing, mr_req_header(c->req, "stripe-signature"),
                              c->req->body, e);
    if (rc)
        return rc;
    mr_call_buf(c, &b);
    mr_buf_cstr(&b, "{\"status\":\"success\"}");
    return mr_call_json(c, 200, &b, e);
}
