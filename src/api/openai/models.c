/* GET /v1/models: what this family can be asked for: language models, local and providers', and
 * local embedders. */
#include "api/openai/gen_openai.h"
#include "api/openai/openai.h"
#include "core/catalog/catalog.h"

static void put_model(struct mr_call *c, struct mr_buf *b, const char *comma, struct mr_str id,
                      struct mr_str owner, struct mr_str parent) {
    mr_buf_cstr(b, comma);
    mr_buf_char(b, '{');
    mr_json_str(b, "id", id);
    mr_json_cstr(b, "object", "model");
    mr_json_i64(b, "created", c->core->started_us / 1000000);
    mr_json_str(b, "owned_by", owner);
    if (parent.n)
        mr_json_str(b, "parent", parent); /* of an adapter */
    mr_buf_char(b, '}');
}

/* Calls `each` for all of them until it says stop. */
static int walk(struct mr_call *c,
                bool (*each)(void *arg, struct mr_str id, struct mr_str owner,
                             struct mr_str parent),
                void *arg, struct mr_err *e) {
    struct mr_text_model *m;
    size_t n, n_all;
    int rc = mr_text_models(c->core->text, c->req->arena, &m, &n, e);
    if (rc)
        return rc;
    for (size_t i = 0; i < n; i++)
        if (m[i].available &&
            !each(arg, m[i].id, m[i].owned_by, mr_str(m[i].adapter ? m[i].local->id : "")))
            return 0;
    const struct mr_catalog_model *all = mr_catalog_models(c->core->catalog, &n_all);
    for (size_t i = 0; i < n_all; i++)
        if (all[i].kind == MR_KIND_EMBEDDER && mr_catalog_installed(&all[i]) &&
            !each(arg, mr_str(all[i].id), MR_LIT("local"), MR_LIT("")))
            return 0;
    return 0;
}

struct listing {
    struct mr_call *c;
    struct mr_buf *b;
    bool any;
};

static bool add(void *arg, struct mr_str id, struct mr_str owner, struct mr_str parent) {
    struct listing *l = arg;
    put_model(l->c, l->b, l->any ? "," : "", id, owner, parent);
    l->any = true;
    return true;
}

int mr_openai_models(struct mr_call *c, struct mr_err *e) {
    struct mr_buf b;
    mr_call_buf(c, &b);
    mr_buf_cstr(&b, "{\"object\":\"list\",\"data\":[");
    struct listing l = {.c = c, .b = &b};
    int rc = walk(c, add, &l, e);
    if (rc) {
        mr_buf_release(&b);
        return rc;
    }
    mr_buf_cstr(&b, "]}");
    return mr_openai_json(c, 200, &b, e);
}

struct search {
    struct mr_str want, owner, parent;
    bool found;
};

static bool match(void *arg, struct mr_str id, struct mr_str owner, struct mr_str parent) {
    struct search *s = arg;
    s->found = mr_str_eq(id, s->want);
    s->owner = owner;
    s->parent = parent;
    return !s->found;
}

static int one(struct mr_call *c, struct mr_str id, struct mr_err *e) {
    struct search s = {.want = id};
    struct mr_buf b;
    struct mr_text_place at;
    int rc = walk(c, match, &s, e);
    if (!rc && !s.found && !mr_text_locate(c->core->text, id, c->req->arena, &at, NULL)) {
        s.found = true; /* a provider's model that is not listed, but priced */
        s.owner = at.provider;
    }
    if (!rc && !s.found)
        rc = mr_fail_field(e, MR_ENOTFOUND, "model", "the model '%.*s' does not exist here",
                           (int)(id.n > 100 ? 100 : id.n), id.p);
    if (rc)
        return rc;
    mr_call_buf(c, &b);
    put_model(c, &b, "", id, s.owner, s.parent);
    return mr_openai_json(c, 200, &b, e);
}

int mr_openai_model(struct mr_call *c, struct mr_err *e) {
    return one(c, mr_req_param(c->req, "model"), e);
}

/* "provider/model" that was not percent-encoded. */
int mr_openai_model_of(struct mr_call *c, struct mr_err *e) {
    struct mr_str owner = mr_req_param(c->req, "owner"), model = mr_req_param(c->req, "model");
    char *id =
        mr_arena_fmt(c->req->arena, "%.*s/%.*s", (int)owner.n, owner.p, (int)model.n, model.p);
    return id ? one(c, mr_str(id), e) : mr_fail(e, MR_ENOMEM, "out of memory");
}
