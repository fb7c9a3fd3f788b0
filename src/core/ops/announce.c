#include "core/ops/announce.h"

#include "base/alloc.h"
#include "core/events/events.h"

struct loaded {
    const struct mr_announce *a;
    const struct mr_catalog_model *m;
};

static int write_loaded(struct mr_tx *tx, void *arg, struct mr_err *e) {
    struct loaded *l = arg;
    struct mr_buf b;
    mr_buf_init(&b, 2048);
    mr_buf_cstr(&b, "{\"model_id\":");
    mr_buf_json(&b, mr_str(l->m->id));
    mr_buf_cstr(&b, ",\"status\":\"loaded\",\"type\":");
    mr_buf_json(&b, mr_str(mr_kind_name(l->m->kind)));
    mr_buf_cstr(&b, ",\"model_url\":\"/models\"}");
    int rc = mr_buf_ok(&b) ? mr_event_emit_all(l->a->events, tx, "model.loaded", mr_buf_view(&b), e)
                           : mr_fail(e, MR_ENOMEM, "out of memory");
    mr_buf_release(&b);
    return rc;
}

static void written(void *arg, int rc, const struct mr_err *err) {
    struct loaded *l = arg;
    if (rc)
        mr_log_msg(l->a->log, MR_LOG_WARN, "model.loaded", "%s: %s", l->m->id, err->msg);
    mr_free(l);
}

static void on_loaded(void *arg, const struct mr_catalog_model *m) {
    struct loaded *l = mr_calloc(1, sizeof *l);
    if (!l)
        return; /* an event that was not sent; the model is there all the same */
    *l = (struct loaded){arg, m};
    if (mr_db_write_async(l->a->db, write_loaded, l, written))
        mr_free(l);
}

int mr_announce_loads(struct mr_announce *a, struct mr_residency *r, struct mr_err *e) {
    int rc = mr_residency_hook(r, &(struct mr_residency_hooks){.on_loaded = on_loaded, .arg = a});
    return rc ? mr_fail(e, rc, "too many parts watch the models") : 0;
}
