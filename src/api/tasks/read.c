/* Tasks and their sums. */
#include "api/tasks/gen_tasks.h"
#include "api/tasks/tasks.h"
#include "base/clock.h"
#include "core/tasks/tasks.h"

int mr_tasks_health(struct mr_call *c, struct mr_err *e) {
    struct mr_buf b;
    mr_call_buf(c, &b);
    mr_buf_cstr(&b, "{\"status\":\"healthy\"");
    mr_tasks_time(c, &b, "timestamp", mr_now_us());
    mr_buf_char(&b, '}');
    return mr_call_json(c, 200, &b, e);
}

static void common(const struct mr_call *c, struct mr_buf *b, const struct mr_task_info *k) {
    mr_json_i64(b, "id", k->id);
    mr_json_cstr(b, "status", mr_task_status_name(k->status));
    mr_json_str(b, "provider", k->provider);
    mr_json_str(b, "model", k->model);
    mr_json_i64(b, "tokens_used", k->tokens);
    mr_tasks_money(b, "cost", k->cost_nano);
    mr_tasks_time(c, b, "created_at", k->created_us);
    mr_tasks_time(c, b, "completed_at", k->completed_us);
    mr_json_str(b, "user_id", k->end_user);
    mr_json_str(b, "error", k->error);
}

int mr_tasks_get(struct mr_call *c, struct mr_err *e) {
    struct mr_task_info k;
    struct mr_buf b;
    int64_t id;
    if (!mr_str_i64(mr_req_param(c->req, "task_id"), 1, INT64_MAX, &id))
        return mr_fail(e, MR_ENOTFOUND, "task not found: ids are whole numbers from 1");
    int rc = mr_task_get(c->core->tasks, c->who.account, id, c->req->arena, &k, e);
    if (rc)
        return rc;
    mr_call_buf(c, &b);
    mr_buf_char(&b, '{');
    common(c, &b, &k);
    mr_json_str(&b, "input", k.input);
    mr_json_str(&b, "output", k.output);
    mr_json_i64(&b, "charge_id", k.charge);
    mr_buf_char(&b, '}');
    return mr_call_json(c, 200, &b, e);
}

int mr_tasks_list(struct mr_call *c, struct mr_err *e) {
    struct mr_str text = mr_call_str(c, "status");
    enum mr_task_status status;
    struct mr_task_info *v;
    struct mr_buf b;
    size_t n;
    int want = text.p && mr_task_status_parse(text, &status) ? (int)status : -1;
    int rc = mr_task_list(c->core->tasks, c->who.account, want, mr_call_i64(c, "limit", 50),
                          mr_call_i64(c, "offset", 0), c->req->arena, &v, &n, e);
    if (rc)
        return rc;
    mr_call_buf(c, &b);
    mr_buf_cstr(&b, "{\"tasks\":[");
    for (size_t i = 0; i < n; i++) {
        mr_buf_cstr(&b, i ? ",{" : "{");
        common(c, &b, &v[i]);
        mr_buf_char(&b, '}');
    }
    mr_buf_cstr(&b, "]}");
    return mr_call_json(c, 200, &b, e);
}
