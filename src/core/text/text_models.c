/* The one list of names. */
#include "base/clock.h"
#include "core/text/text_priv.h"

struct list {
    struct mr_text *t;
    struct mr_arena *arena;
    struct mr_text_model *m;
    size_t n, cap;
};

static int push(struct list *l, const struct mr_text_model *m, struct mr_err *e) {
    if (l->n == l->cap) {
        size_t cap = l->cap ? l->cap * 2 : 16;
        struct mr_text_model *more = mr_arena_array(l->arena, cap, sizeof *more);
        if (!more)
            return mr_fail(e, MR_ENOMEM, "out of memory");
        for (size_t i = 0; i < l->n; i++)
            more[i] = l->m[i];
        l->m = more;
        l->cap = cap;
    }
    l->m[l->n++] = *m;
    return 0;
}

static void set_price(struct list *l, struct mr_text_model *m, struct mr_str model) {
    struct mr_price p;
    m->input_nano = m->output_nano = -1;
    if (mr_price_find(l->t->c.prices, m->owned_by, model, mr_now_us(), l->arena, &p, NULL))
        return;
    m->input_nano = p.input;
    m->output_nano = p.output;
    if (!m->local) {
        m->context_length = p.max_input;
        m->max_tokens = p.max_output;
    }
}

static int add_local(struct list *l, const struct mr_catalog_model *c, const char *name,
                     struct mr_err *e) {
    struct mr_text_model m = {.id = mr_str(name ? name : c->id),
                              .name = mr_str(c->name),
                              .description = mr_str(c->description),
                              .owned_by = MR_LIT("local"),
                              .local = c,
                              .context_length = c->context_length,
                              .max_tokens = c->max_tokens,
                              .available = mr_catalog_installed(c),
                              .alias_of = mr_str(name ? c->id : "")};
    set_price(l, &m, mr_str(c->id));
    return push(l, &m, e);
}

static int add_adapter(struct list *l, const struct mr_catalog_adapter *a, struct mr_err *e) {
    struct mr_text_model m = {.id = mr_str(a->id),
                              .name = mr_str(a->name),
                              .description = mr_str(a->description),
                              .owned_by = MR_LIT("local"),
                              .local = a->base,
                              .context_length = a->base->context_length,
                              .max_tokens = a->base->max_tokens,
                              .available =
                                  mr_catalog_installed(a->base) && mr_catalog_adapter_installed(a),
                              .adapter = a};
    set_price(l, &m, m.id);
    return push(l, &m, e);
}

static int add_remote(struct list *l, const struct mr_provider *p, struct mr_str model,
                      const char *alias, struct mr_err *e) {
    const char *id = mr_arena_fmt(l->arena, "%s/%.*s", p->name, (int)model.n, model.p);
    if (!id)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    struct mr_text_model m = {.id = mr_str(alias ? alias : id),
                              .name = mr_arena_keep(l->arena, model),
                              .description = MR_LIT("answered by a configured provider"),
                              .owned_by = mr_str(p->name),
                              .available = mr_text_has_key(p),
                              .alias_of = mr_str(alias ? id : "")};
    set_price(l, &m, model);
    return push(l, &m, e);
}

static const struct mr_provider *named(const struct mr_provider *p, size_t n, struct mr_str name) {
    for (size_t i = 0; i < n; i++)
        if (mr_str_is(name, p[i].name))
            return &p[i];
    return NULL;
}

static int add_alias(struct list *l, const struct mr_alias *a, const struct mr_provider *p,
                     size_t n_p, struct mr_err *e) {
    struct mr_str provider, model;
    const struct mr_catalog_model *c;
    for (size_t i = 0; i < l->n; i++)
        if (mr_str_eq(l->m[i].id, mr_str(a->name)))
            return 0;
    if (mr_catalog_remote(l->t->c.catalog, mr_str(a->name), &provider, &model)) {
        const struct mr_provider *at = named(p, n_p, provider);
        if (at && mr_text_has_key(at))
            return add_remote(l, at, model, a->name, e);
    }
    if (mr_catalog_find(l->t->c.catalog, mr_str(a->name), MR_KIND_LLM, &c, NULL))
        return 0; /* an alias of another kind, or of a provider without a key */
    return add_local(l, c, a->name, e);
}

int mr_text_models(struct mr_text *t, struct mr_arena *arena, struct mr_text_model **ret,
                   size_t *ret_n, struct mr_err *e) {
    struct list l = {.t = t, .arena = arena};
    size_t n, n_p, n_a, n_x;
    const struct mr_catalog_adapter *x = mr_catalog_adapters(t->c.catalog, &n_x);
    const struct mr_catalog_model *c = mr_catalog_models(t->c.catalog, &n);
    const struct mr_provider *p = mr_gateway_providers(t->c.gateway, &n_p);
    const struct mr_alias *a = mr_catalog_aliases(t->c.catalog, &n_a);
    int rc = 0;
    mr_price_book_refresh(t->c.prices);
    for (size_t i = 0; !rc && i < n; i++)
        if (c[i].kind == MR_KIND_LLM)
            rc = add_local(&l, &c[i], NULL, e);
    for (size_t i = 0; !rc && i < n_x; i++)
        rc = add_adapter(&l, &x[i], e);
    for (size_t i = 0; !rc && i < n_p; i++)
        if (p[i].model && *p[i].model)
            rc = add_remote(&l, &p[i], mr_str(p[i].model), NULL, e);
    for (size_t i = 0; !rc && i < n_a; i++)
        rc = add_alias(&l, &a[i], p, n_p, e);
    if (!rc) {
        *ret = l.m;
        *ret_n = l.n;
    }
    return rc;
}
