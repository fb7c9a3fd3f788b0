/* Webhooks: register, list, get, delete, test, deliveries, replay. */
#include "api/serveml/gen_serveml.h"
#include "api/serveml/serveml.h"
#include "core/events/events.h"

static void webhook_members(struct mr_buf *b, const struct mr_webhook *w) {
    mr_json_id(b, "id", MR_WEBHOOK_PREFIX, w->id);
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

static int webhook_id(struct mr_call *c, struct mr_id *ret, struct mr_err *e) {
    if (mr_id_parse_prefixed(MR_WEBHOOK_PREFIX, mr_req_param(c->req, "webhook_id"), ret))
        return 0;
    return mr_fail(e, MR_ENOTFOUND, "no such webhook");
}

int mr_serveml_webhooks_create(struct mr_call *c, struct mr_err *e) {
    const struct mr_value *list = mr_call_value(c, "events");
    size_t n = yyjson_arr_size(list->json), i, max;
    struct mr_str *events = mr_arena_array(c->req->arena, n, sizeof *events);
    struct mr_str secret = {NULL, 0};
    struct mr_webhook w;
    struct mr_buf b;
    yyjson_val *item;
    if (!events)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    yyjson_arr_foreach (list->json, i, max, item) {
        events[i] = mr_strn(yyjson_get_str(item), yyjson_get_len(item));
    }
    int rc = mr_webhook_create(c->core->events, c->who.account, mr_call_str(c, "url"), events, n,
                               mr_call_str(c, "secret"), c->req->arena, &w, &secret, e);
    if (rc)
        return rc;
    mr_call_buf(c, &b);
    mr_buf_char(&b, '{');
    webhook_members(&b, &w);
    if (secret.p)
        mr_json_str(&b, "secret", secret);
    mr_buf_char(&b, '}');
    return mr_call_json(c, 200, &b, e);
}

int mr_serveml_webhooks_list(struct mr_call *c, struct mr_err *e) {
    struct mr_webhook *v;
    struct mr_buf b;
    size_t n;
    int rc = mr_webhook_list(c->core->events, c->who.account, c->req->arena, &v, &n, e);
    if (rc)
        return rc;
    mr_call_buf(c, &b);
    mr_buf_cstr(&b, "{\"items\":[");
    for (size_t i = 0; i < n; i++) {
        mr_buf_cstr(&b, i ? ",{" : "{");
        webhook_members(&b, &v[i]);
        mr_buf_char(&b, '}');
    }
    mr_buf_fmt(&b, "],\"total\":%zu}", n);
    return mr_call_json(c, 200, &b, e);
}

int mr_serveml_webhooks_get(struct mr_call *c, struct mr_err *e) {
    struct mr_webhook w;
    struct mr_id id;
    struct mr_buf b;
    int rc = webhook_id(c, &id, e);
    if (!rc)
        rc = mr_webhook_get(c->core->events, c->who.account, id, c->req->arena, &w, e);
    if (rc)
        return rc;
    mr_call_buf(c, &b);
    mr_buf_char(&b, '{');
    webhook_members(&b, &w);
    mr_buf_char(&b, '}');
    return mr_call_json(c, 200, &b, e);
}

int mr_serveml_webhooks_delete(struct mr_call *c, struct mr_err *e) {
    struct mr_id id;
    struct mr_buf b;
    int rc = webhook_id(c, &id, e);
    if (!rc)
        rc = mr_webhook_delete(c->core->events, c->who.account, id, e);
    if (rc)
        return rc;
    mr_call_buf(c, &b);
    mr_buf_char(&b, '{');
    mr_json_cstr(&b, "message", "Webhook deleted successfully");
    mr_json_id(&b, "id", MR_WEBHOOK_PREFIX, id);
    mr_buf_char(&b, '}');
    return mr_call_json(c, 200, &b, e);
}

static int queued(struct mr_call *c, const char *text, struct mr_id delivery, struct mr_err *e) {
    struct mr_buf b;
    mr_call_buf(c, &b);
    mr_buf_char(&b, '{');
    mr_json_cstr(&b, "message", text);
    mr_json_id(&b, "delivery_id", MR_DELIVERY_PREFIX, delivery);
    mr_buf_char(&b, '}');
    return mr_call_json(c, 202, &b, e);
}

int mr_serveml_webhooks_test(struct mr_call *c, struct mr_err *e) {
    struct mr_id id, delivery;
    int rc = webhook_id(c, &id, e);
    if (!rc)
        rc = mr_webhook_test(c->core->events, c->who.account, id, &delivery, e);
    return rc ? rc : queued(c, "Test event queued", delivery, e);
}

int mr_serveml_webhooks_deliveries(struct mr_call *c, struct mr_err *e) {
    struct mr_delivery *v;
    struct mr_id id;
    struct mr_buf b;
    size_t n;
    int64_t total;
    int rc = webhook_id(c, &id, e);
    if (!rc)
        rc = mr_webhook_deliveries(c->core->events, c->who.account, id, mr_call_i64(c, "limit", 20),
                                   mr_call_i64(c, "offset", 0), c->req->arena, &v, &n, &total, e);
    if (rc)
        return rc;
    mr_call_buf(c, &b);
    mr_buf_cstr(&b, "{\"items\":[");
    for (size_t i = 0; i < n; i++) {
        mr_buf_cstr(&b, i ? ",{" : "{");
        mr_json_id(&b, "id", MR_DELIVERY_PREFIX, v[i].id);
        mr_json_str(&b, "event", v[i].event);
        mr_json_str(&b, "status", v[i].status);
        mr_json_raw(&b, "attempts", v[i].attempts);
        mr_json_time(&b, "created_at", v[i].created_us);
        if (v[i].next_us)
            mr_json_time(&b, "next_attempt_at", v[i].next_us);
        mr_buf_char(&b, '}');
    }
    mr_buf_fmt(&b, "],\"total\":%lld}", (long long)total);
    return mr_call_json(c, 200, &b, e);
}

int mr_serveml_webhooks_replay(struct mr_call *c, struct mr_err *e) {
    struct mr_id id, delivery, fresh;
    int rc = webhook_id(c, &id, e);
    if (rc)
        return rc;
    if (!mr_id_parse_prefixed(MR_DELIVERY_PREFIX, mr_req_param(c->req, "delivery_id"), &delivery))
        return mr_fail(e, MR_ENOTFOUND, "no such delivery");
    rc = mr_webhook_replay(c->core->events, c->who.account, id, delivery, &fresh, e);
    return rc ? rc : queued(c, "Delivery queued", fresh, e);
}
