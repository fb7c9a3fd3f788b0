#include "api/keyed.h"

#include "api/form.h"
#include "base/hash.h"

#include <stdlib.h>

static void add(struct mr_sha256 *h, struct mr_str s) {
    uint64_t n = s.n;
    mr_sha256_add(h, &n, sizeof n);
    mr_sha256_add(h, s.p, s.n);
}

/* A form by what its fields say: its boundary is another one each time. */
static void add_form(struct mr_call *c, struct mr_sha256 *h) {
    for (size_t i = 0; i < c->row->n_fields; i++) {
        const struct mr_field *f = &c->row->fields[i];
        const struct mr_value *v = &c->value[i];
        size_t n = 0;
        char *json = v->json ? yyjson_val_write(v->json, 0, &n) : NULL;
        mr_sha256_add(h, f->name, strlen(f->name) + 1);
        add(h, f->format == MR_F_FILE ? mr_form_text_file(c, f->name) : v->s);
        add(h, json ? mr_strn(json, n) : MR_LIT(""));
        mr_sha256_add(h, &v->i, sizeof v->i);
        mr_sha256_add(h, &v->f, sizeof v->f);
        free(json);
    }
}

int mr_keyed_begin(struct mr_call *c, struct mr_reply *ret, struct mr_err *e) {
    struct mr_str key = mr_req_header(c->req, "idempotency-key");
    bool again;
    if (!key.p)
        return 1;
    struct mr_keyed *k = mr_arena_zalloc(c->req->arena, sizeof *k);
    struct mr_sha256 *h = k ? mr_sha256_new() : NULL;
    if (!h)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    k->key.account = c->who.account;
    k->key.key = key;
    mr_sha256_add(h, c->row->path, strlen(c->row->path) + 1);
    if (c->form)
        add_form(c, h);
    else
        mr_sha256_add(h, c->req->body.p, c->req->body.n);
    mr_sha256_end(h, k->key.body_hash);
    mr_sha256_free(h);
    int rc =
        mr_reply_begin(c->core->db, &k->key, c->core->started_us, c->req->arena, ret, &again, e);
    if (rc)
        return rc;
    if (again && ret->status == 409)
        return mr_fail(e, MR_ECONFLICT,
                       "the reply to this Idempotency-Key was too large to be kept");
    k->on = !again;
    c->keyed = k;
    return again ? 0 : 1;
}

void mr_keyed_replay(struct mr_call *c, const struct mr_reply *r) {
    char *type = mr_arena_strn(c->req->arena, r->type.p, r->type.n);
    mr_req_set_header(c->req, "Idempotency-Replayed", MR_LIT("true"));
    mr_req_reply(c->req, r->status, type ? type : "application/json", r->body, true);
}

void mr_keyed_keep(struct mr_call *c, int status, struct mr_str type, struct mr_str body) {
    if (!mr_keyed_on(c))
        return;
    c->keyed->on = false;
    mr_reply_end(c->core->db, &c->keyed->key, &(struct mr_reply){status, type, body});
}

void mr_keyed_forget(struct mr_call *c) {
    if (!mr_keyed_on(c))
        return;
    c->keyed->on = false;
    mr_reply_end(c->core->db, &c->keyed->key, NULL);
}
