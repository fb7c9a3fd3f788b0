/* Webhooks: register, list, remove. Deliveries, tests and replays are under /api/v1/webhooks. */
#include "api/aisemble/aisemble.h"
#include "api/aisemble/gen_aisemble.h"
#include "core/events/events.h"

static void members(struct mr_buf *b, const struct mr_webhook *w) {
    mr_json_id(b, "webhook_id", MR_WEBHOOK_PREFIX, w->id);
    mr_json_str(b, "url", w->url);
    mr_json_key(b, "events");
    mr_buf_char(b, '[');
    for (size_t i = 0; i < w->n_events; i++) {
        if (i)
            mr_buf_char(b, ',');
        mr_buf_json(b, w->events[i]);
    }
    mr_buf_char(b, ']');
    mr_json_cstr(b, "status", w->active ? "active" : "disabled");
    mr_json_time(b, "created_at", w->created_us);
}

int mr_aisemble_webhooks_create(struct mr_call *c, struct mr_err *e) {
    const struct mr_str *events;
    struct mr_str secret = {NULL, 0};
    struct mr_webhook w;
    struct mr_buf b;
    size_t n;
    int rc = mr_call_list(c, "events", &events, &n, e);
    if (!rc)
        rc = mr_webhook_create(c->core->events, c->who.account, mr_call_str(c, "url"), events, n,
                               mr_call_str(c, "secret"), c->req->arena, &w, &secret, e);
    if (rc)
        return rc;
    mr_call_buf(c, &b);
    mr_buf_char(&b, '{');
    members(&b, &w);
    if (secret.p)
        mr_json_str(&b, "secret", secret);
    mr_buf_char(&b, '}');
    return mr_call_json(c, 200, &b, e);
}

int mr_aisemble_webhooks_list(struct mr_call *c, struct mr_err *e) {
    struct mr_webhook *v;
    struct mr_buf b;
    size_t n;
    int rc = mr_webhook_list(c->core->events, c->who.account, c->req->arena, &v, &n, e);
    if (rc)
        return rc;
    mr_call_buf(c, &b);
    mr_buf_cstr(&b, "{\"webhooks\":[");
    for (size_t i = 0; i < n; i++) {
        mr_buf_cstr(&b, i ? ",{" : "{");
        members(&b, &v[i]);
        mr_buf_char(&b, '}');
    }
    mr_buf_cstr(&b, "]}");
    return mr_call_json(c, 200, &b, e);
}

int mr_aisemble_webhooks_delete(struct mr_call *c, struct mr_err *e) {
    struct mr_id id;
    struct mr_buf b;
    if (!mr_id_parse_prefixed(MR_WEBHOOK_PREFIX, mr_req_param(c->req, "webhook_id"), &id))
        return mr_fail(e, MR_ENOTFOUND, "no such webhook");
    int rc = mr_webhook_delete(c->core->events, c->who.account, id, e);
    if (rc)
        return rc;
    mr_call_buf(c, &b);
    mr_buf_char(&b, '{');
    mr_json_id(&b, "webhook_id", MR_WEBHOOK_PREFIX, id);
    mr_json_cstr(&b, "message", "Webhook removed");
    mr_buf_char(&b, '}');
    return mr_call_json(c, 200, &b, e);
}
