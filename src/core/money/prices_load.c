#include "core/money/prices_priv.h"

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/hash.h"
#include "core/money/money.h"
#include "core/money/zone_priv.h"
#include "wire/toml.h"

#include <stdlib.h>

enum {
    NAME_MAX_BYTES = 200,
    TOKENS_MAX = 1000000000,
    USD_MAX = 1000000, /* a million tokens */
};

struct file {
    struct mr_price_set *set;
    const char *name;
    struct mr_err *e;
    const struct mr_toml_table *top, *row;
};

#define SHOW(s) (int)((s).n > 100 ? 100 : (s).n), (s).p

/* Of the row, else of the file. */
static const struct mr_toml_value *find(const struct file *f, const char *key) {
    const struct mr_toml_value *v = mr_toml_find(f->row, key);
    return v ? v : mr_toml_find(f->top, key);
}

static int wrong(const struct file *f, uint32_t line, const char *key, const char *what) {
    return mr_fail_field(f->e, MR_EFIELD, key, "%s: line %u: %s %s", f->name, line, key, what);
}

static int no_memory(const struct file *f) {
    return mr_fail(f->e, MR_ENOMEM, "out of memory");
}

static int text(const struct file *f, const char *key, bool needed, struct mr_str *ret) {
    const struct mr_toml_value *v = find(f, key);
    if (!v) {
        *ret = MR_LIT("");
        return needed ? wrong(f, f->row->line, key, "is missing") : 0;
    }
    if (v->kind != MR_TOML_STRING)
        return wrong(f, v->line, key, "must be a string");
    if (v->text.n > (needed ? NAME_MAX_BYTES : 1000) || (needed && !v->text.n))
        return wrong(f, v->line, key, "must have 1 to 200 bytes");
    *ret = v->text;
    return 0;
}

/* USD a million tokens. An absent one leaves *ret as it is. */
static int price(const struct file *f, const char *key, int64_t *ret) {
    const struct mr_toml_value *v = mr_toml_find(f->row, key);
    int64_t nano;
    if (!v)
        return 0;
    if (v->kind != MR_TOML_INTEGER && v->kind != MR_TOML_DECIMAL)
        return wrong(f, v->line, key, "must be a number (US dollars)");
    if (!mr_money_parse(v->text, &nano) || nano < 0 || nano > USD_MAX * MR_NANO)
        return wrong(f, v->line, key, "must be 0 to 1000000 with at most nine decimals");
    *ret = nano;
    return 0;
}

static int tokens(const struct file *f, const char *key, int64_t *ret) {
    const struct mr_toml_value *v = mr_toml_find(f->row, key);
    if (!v)
        return 0;
    if (v->kind != MR_TOML_INTEGER || !mr_str_i64(v->text, 0, TOKENS_MAX, ret))
        return wrong(f, v->line, key, "must be a whole number of tokens");
    return 0;
}

static int date(const struct file *f, const char *key, struct mr_str *ret_text, int64_t *ret) {
    const struct mr_toml_value *v = find(f, key);
    struct mr_date d;
    if (!v)
        return 0;
    if (v->kind != MR_TOML_DATE || !mr_date_parse(v->text, &d) || d.year < 1970)
        return wrong(f, v->line, key, "must be a date like 2026-01-31");
    *ret = mr_days_of(d.year, d.month, d.day) * INT64_C(86400000000);
    if (ret_text)
        *ret_text = v->text;
    return 0;
}

/* A misspelt key would be a price that is silently not used. */
static int known_keys(const struct file *f, const struct mr_toml_table *t,
                      const char *const *known) {
    for (uint32_t i = 0; i < t->n_value; i++) {
        const char *const *k = known;
        while (*k && !mr_str_is(t->value[i].key, *k))
            k++;
        if (!*k)
            return mr_fail_field(f->e, MR_EFIELD, "prices", "%s: line %u: unknown key '%.*s'",
                                 f->name, t->value[i].line, SHOW(t->value[i].key));
    }
    return 0;
}

static int figures(const struct file *f, struct mr_price *p) {
    static const struct {
        const char *in, *out;
    } tier[MR_PRICE_TIERS] = {{NULL, NULL},
                              {"batch_input", "batch_output"},
                              {"flex_input", "flex_output"},
                              {"priority_input", "priority_output"}};
    struct mr_str mode;
    int rc = text(f, "mode", false, &mode);
    bool embedding = mr_str_is(mode, "embedding");
    p->input = p->output = -1;
    p->request = -1;
    if (!rc && !(rc = price(f, "request", &p->request)) && p->request >= 0)
        p->input = p->output = 0; /* tokens may cost nothing beside it */
    p->request = p->request < 0 ? 0 : p->request;
    if (rc || (rc = price(f, "input", &p->input)) || (rc = price(f, "output", &p->output)))
        return rc;
    if (p->input < 0)
        return wrong(f, f->row->line, "input", "is missing");
    if (p->output < 0 && !embedding)
        return wrong(f, f->row->line, "output",
                     "is missing (only mode = \"embedding\" and rows with request have none)");
    if (p->output < 0)
        p->output = 0;
    p->cached = p->cache_write = p->input;
    if ((rc = price(f, "cached_input", &p->cached)) ||
        (rc = price(f, "cache_write", &p->cache_write)) ||
        (rc = tokens(f, "long_over", &p->long_over)) ||
        (rc = tokens(f, "max_input", &p->max_input)) ||
        (rc = tokens(f, "max_output", &p->max_output)))
        return rc;
    p->long_input = p->long_output = -1;
    if ((rc = price(f, "long_input", &p->long_input)) ||
        (rc = price(f, "long_output", &p->long_output)))
        return rc;
    bool some = p->long_over > 0 || p->long_input >= 0 || p->long_output >= 0;
    if (some && (p->long_over <= 0 || p->long_input < 0 || p->long_output < 0))
        return wrong(f, f->row->line, "long_over", "needs long_input and long_output, and they it");
    /* what the provider does not list grows as input does */
    p->long_cached = p->cached;
    p->long_cache_write = p->cache_write;
    if (some && p->input > 0) {
        p->long_cached = (int64_t)((__int128)p->cached * p->long_input / p->input);
        p->long_cache_write = (int64_t)((__int128)p->cache_write * p->long_input / p->input);
    }
    if ((rc = price(f, "long_cached_input", &p->long_cached)) ||
        (rc = price(f, "long_cache_write", &p->long_cache_write)))
        return rc;
    for (int i = 1; i < MR_PRICE_TIERS; i++) {
        p->tier_input[i] = p->tier_output[i] = -1;
        if ((rc = price(f, tier[i].in, &p->tier_input[i])) ||
            (rc = price(f, tier[i].out, &p->tier_output[i])))
            return rc;
        if (embedding && p->tier_input[i] >= 0 && p->tier_output[i] < 0)
            p->tier_output[i] = 0;
        if ((p->tier_input[i] < 0) != (p->tier_output[i] < 0))
            return wrong(f, f->row->line, tier[i].in, "and the tier's output price go together");
    }
    return 0;
}

/* Names the row by what it charges: the same figures give the same version. */
static int version(const struct file *f, struct mr_price *p, struct mr_str from) {
    MR_CLEANUP(mr_buf_release) struct mr_buf b;
    mr_buf_init(&b, 4096);
    const int64_t all[] = {p->input,       p->cached,           p->cache_write,
                           p->output,      p->long_over,        p->long_input,
                           p->long_cached, p->long_cache_write, p->long_output};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        mr_buf_fmt(&b, "%lld ", (long long)all[i]);
    for (int i = 1; i < MR_PRICE_TIERS; i++)
        mr_buf_fmt(&b, "%lld %lld ", (long long)p->tier_input[i], (long long)p->tier_output[i]);
    if (p->request)
        mr_buf_fmt(&b, "request %lld ", (long long)p->request);
    if (!mr_buf_ok(&b))
        return no_memory(f);
    uint8_t h[MR_SHA256_LEN];
    mr_sha256(mr_buf_view(&b), h);
    char *v = mr_arena_fmt(&f->set->arena, "%.*s/%.*s@%.*s#%02x%02x%02x%02x", (int)p->provider.n,
                           p->provider.p, (int)p->model.n, p->model.p, (int)from.n, from.p, h[0],
                           h[1], h[2], h[3]);
    if (!v)
        return no_memory(f);
    p->version = mr_str(v);
    return 0;
}

static int add_row(const struct file *f) {
    static const char *const known[] = {"provider",
                                        "model",
                                        "mode",
                                        "from",
                                        "source",
                                        "input",
                                        "cached_input",
                                        "cache_write",
                                        "output",
                                        "request",
                                        "long_over",
                                        "long_input",
                                        "long_output",
                                        "max_input",
                                        "max_output",
                                        "retires",
                                        "batch_input",
                                        "batch_output",
                                        "flex_input",
                                        "flex_output",
                                        "long_cached_input",
                                        "priority_input",
                                        "long_cache_write",
                                        "priority_output",
                                        NULL};
    struct mr_price p = {0};
    struct mr_str from = {NULL, 0};
    int rc = known_keys(f, f->row, known);
    if (rc || (rc = text(f, "provider", true, &p.provider)) ||
        (rc = text(f, "model", true, &p.model)) || (rc = text(f, "source", false, &p.source)) ||
        (rc = date(f, "from", &from, &p.from_us)) ||
        (rc = date(f, "retires", NULL, &p.retires_us)) || (rc = figures(f, &p)))
        return rc;
    if (!from.p)
        return wrong(f, f->row->line, "from", "is missing");
    rc = version(f, &p, from);
    if (rc)
        return rc;
    struct mr_price_set *s = f->set;
    if (s->n_row == s->cap_row) {
        size_t cap = s->cap_row ? 2 * s->cap_row : 256;
        void *q = mr_reallocarray(s->row, cap, sizeof *s->row);
        if (!q)
            return no_memory(f);
        s->row = q;
        s->cap_row = cap;
    }
    s->row[s->n_row++] = p;
    return 0;
}

static int add_alias(const struct file *f) {
    static const char *const known[] = {"provider", "name", "model", NULL};
    struct mr_price_alias a = {.own = f->set->own};
    int rc = known_keys(f, f->row, known);
    if (rc || (rc = text(f, "provider", true, &a.provider)) ||
        (rc = text(f, "name", true, &a.name)) || (rc = text(f, "model", true, &a.model)))
        return rc;
    struct mr_price_set *s = f->set;
    if (s->n_alias == s->cap_alias) {
        size_t cap = s->cap_alias ? 2 * s->cap_alias : 16;
        void *q = mr_reallocarray(s->alias, cap, sizeof *s->alias);
        if (!q)
            return no_memory(f);
        s->alias = q;
        s->cap_alias = cap;
    }
    s->alias[s->n_alias++] = a;
    return 0;
}

int mr_price_set_add(struct mr_price_set *s, const char *name, struct mr_str body,
                     struct mr_err *e) {
    static const char *const known[] = {"provider", "from", "source", NULL};
    struct mr_toml t;
    struct mr_err why = {0};
    struct mr_str own = mr_arena_keep(&s->arena, body);
    if (!own.p)
        return mr_fail(e, MR_ETOOBIG, "%s: the price files are too large", name);
    int rc = mr_toml_parse(own, &s->arena, &t, &why);
    if (rc)
        return mr_fail(e, rc, "%s: %.400s", name, why.msg);
    struct file f = {.set = s, .name = name, .e = e, .top = &t.table[0]};
    rc = known_keys(&f, f.top, known);
    for (uint32_t i = 1; rc == 0 && i < t.n_table; i++) {
        f.row = &t.table[i];
        if (f.row->array && mr_str_is(f.row->name, "price"))
            rc = add_row(&f);
        else if (f.row->array && mr_str_is(f.row->name, "alias"))
            rc = add_alias(&f);
        else
            rc = mr_fail_field(e, MR_EFIELD, "prices",
                               "%s: line %u: only [[price]] and [[alias]] are known", name,
                               f.row->line);
    }
    return rc;
}

static int order(struct mr_str a, struct mr_str b) {
    size_t n = a.n < b.n ? a.n : b.n;
    int c = n ? memcmp(a.p, b.p, n) : 0;
    return c ? c : (a.n > b.n) - (a.n < b.n);
}

int mr_price_order(struct mr_str provider, struct mr_str model, const struct mr_price *row) {
    int c = order(provider, row->provider);
    return c ? c : order(model, row->model);
}

static int by_row(const void *a, const void *b) {
    const struct mr_price *x = a, *y = b;
    int c = mr_price_order(x->provider, x->model, y);
    return c ? c : (x->from_us > y->from_us) - (x->from_us < y->from_us);
}

static int by_alias(const void *a, const void *b) {
    const struct mr_price_alias *x = a, *y = b;
    int c = order(x->provider, y->provider);
    c = c ? c : order(x->name, y->name);
    return c ? c : x->own - y->own;
}

static bool same_alias(const struct mr_price_alias *a, const struct mr_price_alias *b) {
    return mr_str_eq(a->provider, b->provider) && mr_str_eq(a->name, b->name);
}

/* Embedded rows of models that the operator prices go behind the others: they are found by their
 * version only. */
static void hide(struct mr_price_set *s, size_t n_base) {
    size_t keep = 0, n = s->n_row;
    if (!n)
        return;
    struct mr_price *base = s->row, *own = s->row + n_base;
    for (size_t i = 0; i < n_base; i++) {
        bool replaced = false;
        for (size_t j = 0; j < n - n_base && !replaced; j++)
            replaced = mr_price_order(base[i].provider, base[i].model, &own[j]) == 0;
        if (!replaced) {
            struct mr_price p = base[i];
            base[i] = base[keep];
            base[keep++] = p;
        }
    }
    /* [keep, n_base) is hidden: swap it with the operator's rows, order does not matter yet */
    size_t hidden = n_base - keep, more = n - n_base;
    for (size_t i = 0, m = hidden < more ? hidden : more; i < m; i++) {
        struct mr_price p = s->row[keep + i];
        s->row[keep + i] = s->row[n - 1 - i];
        s->row[n - 1 - i] = p;
    }
    s->n_row = n - hidden;
    s->n_hidden = hidden;
}

int mr_price_set_finish(struct mr_price_set *s, size_t n_base, struct mr_err *e) {
    hide(s, n_base);
    if (s->n_row)
        qsort(s->row, s->n_row, sizeof *s->row, by_row);
    for (size_t i = 1; i < s->n_row; i++)
        if (by_row(&s->row[i - 1], &s->row[i]) == 0)
            return mr_fail_field(e, MR_EFIELD, "prices", "%.*s has two prices from the same day",
                                 SHOW(s->row[i].version));
    if (s->n_alias)
        qsort(s->alias, s->n_alias, sizeof *s->alias, by_alias);
    size_t kept = 0;
    for (size_t i = 0; i < s->n_alias; i++) {
        bool last = i + 1 == s->n_alias || !same_alias(&s->alias[i], &s->alias[i + 1]);
        if (last || s->alias[i].own || !s->alias[i + 1].own)
            s->alias[kept++] = s->alias[i];
    }
    s->n_alias = kept;
    for (size_t i = 0; i < s->n_alias; i++) {
        const struct mr_price_alias *a = &s->alias[i];
        if (i && same_alias(a - 1, a))
            return mr_fail_field(e, MR_EFIELD, "prices", "alias '%.*s' of %.*s is given twice",
                                 SHOW(a->name), SHOW(a->provider));
        bool found = false;
        for (size_t j = 0; j < s->n_row && !found; j++)
            found = mr_price_order(a->provider, a->model, &s->row[j]) == 0;
        if (!found)
            return mr_fail_field(e, MR_EFIELD, "prices",
                                 "alias '%.*s' of %.*s names model '%.*s', which has no price",
                                 SHOW(a->name), SHOW(a->provider), SHOW(a->model));
    }
    return 0;
}

struct mr_price_set *mr_price_set_new(void) {
    struct mr_price_set *s = mr_calloc(1, sizeof *s);
    if (s)
        mr_arena_init(&s->arena, 64u << 20);
    return s;
}

void mr_price_set_free(struct mr_price_set *s) {
    if (!s)
        return;
    mr_arena_release(&s->arena);
    mr_free(s->row);
    mr_free(s->alias);
    mr_free(s);
}
