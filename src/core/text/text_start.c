/* Which model, at what price, with what budget; then the open charge, then the model. */
#include "base/clock.h"
#include "core/text/text_priv.h"

#include <math.h>
#include <string.h>

#define WRAP_TOKENS 64 /* what a chat form may add to a conversation */

/* --- where it runs ------------------------------------------------------------------------ */

bool mr_text_has_key(const struct mr_provider *p) {
    return !p->key_needed || (p->key && *p->key);
}

static const struct mr_provider *provider_named(struct mr_text *t, struct mr_str name) {
    size_t n;
    const struct mr_provider *p = mr_gateway_providers(t->c.gateway, &n);
    for (size_t i = 0; i < n; i++)
        if (mr_str_is(name, p[i].name))
            return &p[i];
    return NULL;
}

/* "provider/model" as the caller wrote it; false: the part before '/' names no provider. */
static bool written_out(struct mr_text_run *u) {
    const char *slash = u->q.model.n ? memchr(u->q.model.p, '/', u->q.model.n) : NULL;
    if (!slash)
        return false;
    size_t n = (size_t)(slash - u->q.model.p);
    u->provider = provider_named(u->t, mr_strn(u->q.model.p, n));
    u->model = mr_strn(slash + 1, u->q.model.n - n - 1);
    return u->provider && u->model.n;
}

/* A name that a provider with a key has a price for, or that is its default. */
static bool by_price(struct mr_text_run *u) {
    struct mr_text *t = u->t;
    struct mr_price price;
    size_t n;
    const struct mr_provider *p = mr_gateway_providers(t->c.gateway, &n);
    for (size_t i = 0; i < n; i++) {
        if (!mr_text_has_key(&p[i]) || (!p[i].key_needed && !mr_str_is(u->q.model, p[i].model)))
            continue;
        if (mr_price_find(t->c.prices, mr_str(p[i].name), u->q.model, mr_now_us(), &u->arena,
                          &price, NULL))
            continue;
        u->provider = &p[i];
        u->model = u->q.model;
        return true;
    }
    return false;
}

/* The adapter asked for by its own field; the model beside it must be its base. */
static int take_adapter(struct mr_text_run *u, struct mr_err *e) {
    const struct mr_catalog *catalog = u->t->c.catalog;
    const struct mr_catalog_adapter *a = mr_catalog_adapter(catalog, u->q.adapter);
    const struct mr_catalog_model *named = NULL;
    int shown = (int)(u->q.adapter.n > 100 ? 100 : u->q.adapter.n);
    if (!a)
        return mr_fail_field(e, MR_ENOTFOUND, "adapter", "there is no adapter '%.*s' here", shown,
                             u->q.adapter.p);
    bool other = mr_catalog_adapter(catalog, u->q.model) != NULL && !mr_str_is(u->q.model, a->id);
    int rc = u->q.model.n && !other && !mr_str_is(u->q.model, a->id)
                 ? mr_catalog_find(catalog, u->q.model, MR_KIND_LLM, &named, e)
                 : 0;
    if (rc)
        return rc;
    if (other || (named && named != a->base))
        return mr_fail_field(e, MR_EFIELD, "adapter",
                             "the adapter %s is for the model %s, not for %.*s", a->id, a->base->id,
                             (int)(u->q.model.n > 100 ? 100 : u->q.model.n), u->q.model.p);
    u->adapter = a;
    return 0;
}

static int is_adapter(struct mr_text_run *u) {
    u->local = u->adapter->base;
    u->model = mr_str(u->adapter->id);
    return 0;
}

int mr_text_resolve(struct mr_text_run *u, struct mr_err *e) {
    struct mr_text *t = u->t;
    struct mr_str provider, model;
    struct mr_err why;
    mr_price_book_refresh(t->c.prices);
    if (u->q.adapter.n) {
        int wrong = take_adapter(u, e);
        return wrong ? wrong : is_adapter(u);
    }
    if (u->q.model.n && (u->adapter = mr_catalog_adapter(t->c.catalog, u->q.model)))
        return is_adapter(u);
    if (u->q.model.n && written_out(u))
        return mr_gateway_provider(t->c.gateway, mr_str(u->provider->name), &u->provider, e);
    u->provider = NULL;
    if (u->q.model.n && mr_catalog_remote(t->c.catalog, u->q.model, &provider, &model)) {
        const struct mr_provider *p = provider_named(t, provider);
        if (p && mr_text_has_key(p)) {
            u->provider = p;
            u->model = model;
            return 0;
        }
    }
    int rc = mr_catalog_find(t->c.catalog, u->q.model, MR_KIND_LLM, &u->local, &why);
    if (!rc) {
        u->model = mr_str(u->local->id);
        return 0;
    }
    if (u->q.model.n && by_price(u))
        return 0;
    if (e)
        *e = why;
    return rc;
}

int mr_text_locate(struct mr_text *t, struct mr_str model, struct mr_arena *arena,
                   struct mr_text_place *ret, struct mr_err *e) {
    struct mr_text_run u = {.t = t, .q = {.model = model}};
    mr_arena_init(&u.arena, 1 << 20);
    int rc = mr_text_resolve(&u, e);
    struct mr_str name = rc ? MR_LIT("") : mr_arena_keep(arena, u.model);
    mr_arena_release(&u.arena);
    if (!rc && !name.p)
        rc = mr_fail(e, MR_ENOMEM, "out of memory");
    if (!rc)
        *ret = (struct mr_text_place){.local = u.local != NULL,
                                      .provider = mr_str(u.local ? "local" : u.provider->name),
                                      .model = name};
    return rc;
}

/* --- what it may cost --------------------------------------------------------------------- */

static void limit_tokens(struct mr_text_run *u) {
    u->max_tokens = u->q.params.max_tokens;
    if (u->local)
        return; /* the worker knows its context */
    if (u->max_tokens <= 0)
        u->max_tokens = u->t->c.max_output_tokens;
    if (u->price.max_output && u->max_tokens > u->price.max_output)
        u->max_tokens = u->price.max_output;
}

/* The most that it can cost at a price: a token has at least one byte. */
static int most(const struct mr_text_run *u, const struct mr_price *price, int64_t *ret,
                struct mr_err *e) {
    int64_t plain, written;
    size_t bytes =
        u->q.prompt.n + u->q.messages_json.n + u->q.tools_json.n + u->q.provider_members.n;
    int64_t out = u->max_tokens > 0 ? u->max_tokens : u->local ? u->local->context_length : 0;
    struct mr_usage_tokens k = {.input = (int64_t)bytes + WRAP_TOKENS, .output = out};
    int rc = mr_price_cost(price, MR_TIER_STANDARD, &k, &plain, e);
    k.cache_write = k.input;
    if (!rc)
        rc = mr_price_cost(price, MR_TIER_STANDARD, &k, &written, e);
    if (!rc)
        *ret = plain > written ? plain : written;
    return rc;
}

static struct mr_reserve reserve_of(const struct mr_text_run *u) {
    return (struct mr_reserve){.who = &u->q.who,
                               .family = u->q.family,
                               .provider = mr_str(u->local ? "local" : u->provider->name),
                               .model = u->model,
                               .end_user = u->end_user,
                               .reserved_nano = u->hold.reserved_nano,
                               .price_version = u->price.version};
}

/* An adapter without a price of its own costs what its base does. */
static int find_price(struct mr_text_run *u, struct mr_err *e) {
    struct mr_price_book *b = u->t->c.prices;
    struct mr_str provider = mr_str(u->local ? "local" : u->provider->name);
    int rc = mr_price_find(b, provider, u->model, mr_now_us(), &u->arena, &u->price, e);
    bool own = !rc && !mr_str_is(u->price.model, "*");
    return u->adapter && !own ? mr_price_find(b, provider, mr_str(u->local->id), mr_now_us(),
                                              &u->arena, &u->price, e)
                              : rc;
}

static bool is_option(const struct mr_text_run *u, const char *provider) {
    for (size_t i = 0; i < u->n_option; i++)
        if (!strcmp(u->option[i].provider->name, provider))
            return true;
    return false;
}

/* The provider asked for, then its fallbacks as far as they have keys, defaults and prices. */
static void find_options(struct mr_text_run *u) {
    const struct mr_provider *p = u->provider;
    u->option[u->n_option++] = (struct mr_text_option){p, u->model, u->price};
    while (u->n_option < MR_TEXT_OPTIONS && p->fallback && !is_option(u, p->fallback)) {
        struct mr_text_option *o = &u->option[u->n_option];
        if (mr_gateway_provider(u->t->c.gateway, mr_str(p->fallback), &p, NULL) || !p->model)
            return;
        *o = (struct mr_text_option){.provider = p, .model = mr_str(p->model)};
        if (mr_price_find(u->t->c.prices, mr_str(p->name), o->model, mr_now_us(), &u->arena,
                          &o->price, NULL))
            return;
        u->n_option++;
    }
}

/* Holds what the dearest of the first n options may cost. */
static int hold_for(struct mr_text_run *u, size_t n, struct mr_err *e) {
    int64_t need, dearest = 0;
    int rc = most(u, &u->price, &dearest, e);
    for (size_t i = 1; !rc && i < n; i++) {
        rc = most(u, &u->option[i].price, &need, e);
        dearest = !rc && need > dearest ? need : dearest;
    }
    if (rc)
        return rc;
    struct mr_reserve r = reserve_of(u);
    r.reserved_nano = dearest;
    return mr_hold_take(u->t->c.ledger, &r, &u->hold, e);
}

static int admit(struct mr_text_run *u, struct mr_err *e) {
    int rc = find_price(u, e);
    if (rc == MR_ENOTFOUND && e)
        snprintf(e->field, sizeof e->field, "model");
    if (rc)
        return rc;
    limit_tokens(u);
    if (!u->local)
        find_options(u);
    rc = hold_for(u, u->n_option, e);
    if (rc == MR_ELIMIT && u->n_option > 1) {
        u->n_option = 1; /* the budget does not reach for the dearer fallback */
        rc = hold_for(u, 1, e);
    }
    return rc;
}

/* --- the model ---------------------------------------------------------------------------- */

static bool is_gone(struct mr_text_run *u) {
    pthread_mutex_lock(&u->t->mu);
    bool gone = u->cancelled || u->stopped;
    pthread_mutex_unlock(&u->t->mu);
    return gone;
}

static int on_llm_delta(void *arg, const struct mr_llm_delta *d) {
    struct mr_text_run *u = arg;
    if (!u->first_ns)
        u->first_ns = mr_mono_ns() - u->began_ns;
    return u->q.on_delta ? u->q.on_delta(u->q.arg, d) : 0;
}

static int on_chat_event(void *arg, const struct mr_chat_event *ev) {
    struct mr_text_run *u = arg;
    const struct mr_provider *p = u->speaking;
    struct mr_llm_delta d = {.text = ev->delta,
                             .provider = mr_str(p->name),
                             .model = ev->model,
                             .logprobs_json = ev->logprobs_json,
                             .tool_calls_json = ev->tool_calls_json};
    return is_gone(u) ? 1 : on_llm_delta(u, &d);
}

static struct mr_str one_message(struct mr_text_run *u) {
    struct mr_buf b;
    mr_buf_init(&b, 64 << 20);
    mr_buf_cstr(&b, "[{\"role\":\"user\",\"content\":");
    mr_buf_json(&b, u->q.prompt);
    mr_buf_cstr(&b, "}]");
    struct mr_str s = mr_buf_ok(&b) ? mr_arena_keep(&u->arena, mr_buf_view(&b)) : mr_strn(NULL, 0);
    mr_buf_release(&b);
    return s;
}

static int run_local(struct mr_text_run *u, struct mr_err *e) {
    struct mr_text *t = u->t;
    struct mr_llm_request q = {.tools_json = u->q.tools_json,
                               .params = u->q.params,
                               .deadline_ns = mr_mono_ns() + t->c.deadline_ms * 1000000,
                               .on_delta = u->q.on_delta ? on_llm_delta : NULL,
                               .done = mr_text_llm_done,
                               .arg = u};
    if (u->adapter) {
        q.lora_path = mr_str(u->adapter->path);
        q.lora_scale = u->adapter->scale;
    }
    if (isnan(q.params.temperature)) {
        struct mr_llm_params standard;
        mr_llm_params_default(&standard);
        q.params.temperature = standard.temperature;
    }
    if (u->q.messages_json.p)
        q.messages_json = u->q.messages_json;
    else if (u->q.raw)
        q.prompt = u->q.prompt;
    else if (!(q.messages_json = one_message(u)).p)
        return mr_fail(e, MR_ETOOBIG, "the request does not fit into memory");
    /* Under the lock, so that a cancellation finds either the flag or the ticket. */
    pthread_mutex_lock(&t->mu);
    int rc = u->stopped     ? mr_fail(e, MR_EUNAVAIL, "the llm service was stopped")
             : u->cancelled ? mr_fail(e, MR_ECANCELLED, "the client is gone")
                            : 0;
    if (!rc)
        rc = mr_llm_generate(u->use.handle, &q, &u->llm_ticket, e);
    u->running = !rc;
    pthread_mutex_unlock(&t->mu);
    return rc;
}

static bool may_fall_back(void *arg, const struct mr_provider *p) {
    struct mr_text_run *u = arg;
    if (!is_option(u, p->name))
        return false;
    u->speaking = p;
    return true;
}

static int run_remote(struct mr_text_run *u, struct mr_err *e) {
    struct mr_chat_request q = {.provider = u->provider,
                                .body = {.model = u->model,
                                         .prompt = u->q.prompt,
                                         .messages_json = u->q.messages_json,
                                         .max_tokens = u->max_tokens,
                                         .temperature = u->q.params.temperature,
                                         .stream = u->q.on_delta != NULL,
                                         .extra_json = u->q.provider_members},
                                .may_fall_back = u->n_option > 1 ? may_fall_back : NULL,
                                .on_event = u->q.on_delta ? on_chat_event : NULL,
                                .done = mr_text_chat_done,
                                .arg = u};
    u->speaking = u->provider;
    return mr_gateway_chat(u->t->c.gateway, &q, e);
}

static int open_in(struct mr_tx *tx, void *arg, struct mr_err *e) {
    struct mr_text_run *u = arg;
    int rc = 0;
    if (u->q.end_user.n)
        rc = mr_end_user_in(u->t->c.ledger, tx, u->q.who.account, u->q.end_user, &u->end_user, e);
    struct mr_reserve r = reserve_of(u);
    return rc ? rc : mr_charge_open_in(u->t->c.ledger, tx, &u->hold, &r, e);
}

static void go(void *arg) {
    struct mr_text_run *u = arg;
    struct mr_err e;
    int rc = u->local ? run_local(u, &e) : run_remote(u, &e);
    if (rc)
        mr_text_fail(u, rc, &e);
}

static void opened(void *arg, int rc, const struct mr_err *err) {
    struct mr_text_run *u = arg;
    if (rc)
        mr_text_refuse(u, rc, err);
    else if (!u->adapter || mr_pool_submit(u->t->starters, go, u)) /* its file is opened */
        go(u);
}

int mr_text_begin(struct mr_text_run *u, struct mr_err *e) {
    struct mr_text *t = u->t;
    int rc = 0;
    if (u->q.end_user.n > 256)
        return mr_fail_field(e, MR_EFIELD, "user", "user is longer than 256 bytes");
    if (u->adapter && !mr_catalog_adapter_installed(u->adapter))
        return mr_fail_field(e, MR_ENOTLOADED, "adapter",
                             "the adapter %s is not installed: its file is not there",
                             u->adapter->id);
    if (u->local)
        rc = mr_use_begin(t->c.residency, mr_str(u->local->id), MR_KIND_LLM, &u->use, e);
    if (!rc)
        rc = admit(u, e);
    if (!rc && (rc = mr_db_write_bare(t->c.db, open_in, u, opened)))
        mr_fail(e, rc, "the database's write queue is full: try again");
    if (rc)
        mr_hold_end(t->c.ledger, &u->hold, 0);
    return rc;
}
