#include "core/bill/bill.h"

#include "base/alloc.h"
#include "base/clock.h"

#include <pthread.h>

static int recover_one(struct mr_tx *tx, const struct mr_open_charge *c, void *arg,
                       struct mr_err *e) {
    const struct mr_biller *m = arg;
    return mr_charge_release_in(m->ledger, tx, c->charge, e);
}

int mr_biller_recover(const struct mr_biller *m, const char *family, struct mr_err *e) {
    return mr_ledger_recover(m->ledger, family, recover_one, (void *)(uintptr_t)m, e);
}

struct flush {
    pthread_mutex_t mu;
    pthread_cond_t cond;
    bool over;
};

static int nothing_in(struct mr_tx *tx, void *arg, struct mr_err *e) {
    (void)tx;
    (void)arg;
    (void)e;
    return 0;
}

static void flushed(void *arg, int rc, const struct mr_err *err) {
    struct flush *f = arg;
    (void)rc;
    (void)err;
    pthread_mutex_lock(&f->mu);
    f->over = true;
    pthread_cond_signal(&f->cond);
    pthread_mutex_unlock(&f->mu);
}

/* Ends of asynchronous writes come in their order: this one's is behind all the others. */
void mr_biller_flush(const struct mr_biller *m) {
    struct flush f = {.over = false};
    if (!m->db)
        return;
    pthread_mutex_init(&f.mu, NULL);
    pthread_cond_init(&f.cond, NULL);
    if (!mr_db_write_async(m->db, nothing_in, &f, flushed)) {
        pthread_mutex_lock(&f.mu);
        while (!f.over)
            pthread_cond_wait(&f.cond, &f.mu);
        pthread_mutex_unlock(&f.mu);
    }
    pthread_cond_destroy(&f.cond);
    pthread_mutex_destroy(&f.mu);
}

static struct mr_reserve reserve_of(const struct mr_bill *b, const struct mr_bill_item *i) {
    return (struct mr_reserve){.who = b->who,
                               .family = b->family,
                               .provider = i->provider,
                               .model = i->model,
                               .reserved_nano = i->hold.reserved_nano,
                               .price_version = i->price.version};
}

static struct mr_settle settle_of(const struct mr_bill_item *i) {
    return (struct mr_settle){.provider = i->provider,
                              .model = i->model,
                              .price_version = i->price.version,
                              .tokens = i->tokens,
                              .estimated = i->estimated,
                              .cost_nano = i->cost_nano};
}

/* --- what may run ------------------------------------------------------------------------- */

struct opening {
    struct mr_bill *b;
    struct mr_bill_item *i;
};

static int open_in(struct mr_tx *tx, void *arg, struct mr_err *e) {
    struct opening *o = arg;
    struct mr_reserve r = reserve_of(o->b, o->i);
    return mr_charge_open_in(o->b->biller->ledger, tx, &o->i->hold, &r, e);
}

static int admit(struct mr_bill *b, struct mr_bill_item *i, int64_t most, struct mr_err *e) {
    const struct mr_biller *m = b->biller;
    struct mr_usage_tokens k = {.input = most};
    int64_t need;
    int rc = mr_price_find(m->prices, i->provider, i->model, mr_now_us(), b->arena, &i->price, e);
    if (rc == MR_ENOTFOUND && e)
        snprintf(e->field, sizeof e->field, "model");
    if (!rc)
        rc = mr_price_cost(&i->price, MR_TIER_STANDARD, &k, &need, e);
    if (rc)
        return rc;
    struct mr_reserve r = reserve_of(b, i);
    r.reserved_nano = need;
    rc = mr_hold_take(m->ledger, &r, &i->hold, e);
    if (rc || !need)
        return rc;
    struct opening o = {b, i};
    rc = mr_db_write(m->db, open_in, &o, e);
    if (rc)
        mr_hold_end(m->ledger, &i->hold, 0);
    i->opened = !rc;
    return rc;
}

int mr_bill_add(struct mr_bill *b, struct mr_str provider, struct mr_str model, int64_t most,
                struct mr_bill_item **ret, struct mr_err *e) {
    struct mr_bill_item *i = b->item;
    while (i < b->item + b->n && !(mr_str_eq(i->provider, provider) && mr_str_eq(i->model, model)))
        i++;
    if (i == b->item + b->n) {
        if (b->n == MR_BILL_MAX)
            return mr_fail(e, MR_EINTERNAL, "a request names more than %d models", MR_BILL_MAX);
        *i = (struct mr_bill_item){.provider = provider, .model = model};
        if (!b->n)
            mr_price_book_refresh(b->biller->prices);
        int rc = admit(b, i, most, e);
        if (rc)
            return rc;
        b->n++;
    }
    if (ret)
        *ret = i;
    return 0;
}

int mr_bill_use(struct mr_bill *b, struct mr_str name, enum mr_model_kind kind, int64_t most,
                struct mr_use *use, struct mr_bill_item **ret, struct mr_err *e) {
    const struct mr_catalog_model *model;
    int rc = mr_catalog_find(b->biller->catalog, name, kind, &model, e);
    if (!rc)
        rc = mr_bill_add(b, MR_LIT("local"), mr_str(model->id), most, ret, e);
    return rc ? rc : mr_use_begin(b->biller->residency, mr_str(model->id), kind, use, e);
}

int64_t mr_embed_most(const struct mr_str *text, size_t n) {
    int64_t sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += (int64_t)text[i].n + 2;
    return sum;
}

/* --- the end ------------------------------------------------------------------------------ */

/* A bill's charges as one write, which may outlive the bill: strings are its own. */
struct closing {
    struct mr_ledger *ledger;
    const struct mr_log *log;
    size_t n;
    struct line {
        struct mr_principal who;
        struct mr_reserve reserve;
        struct mr_settle settle;
        struct mr_hold hold;
        bool opened, billed;
    } line[MR_BILL_MAX];
    char text[];
};

static int close_in(struct mr_tx *tx, void *arg, struct mr_err *e) {
    struct closing *c = arg;
    int rc = 0;
    for (size_t k = 0; k < c->n && !rc; k++) {
        struct line *l = &c->line[k];
        if (!l->opened && l->billed)
            rc = mr_charge_open_in(c->ledger, tx, &l->hold, &l->reserve, e);
        if (!rc && l->billed)
            rc = mr_charge_settle_in(c->ledger, tx, l->hold.charge, &l->settle, e);
        else if (!rc && l->opened)
            rc = mr_charge_release_in(c->ledger, tx, l->hold.charge, e);
    }
    return rc;
}

/* What a provider is owed stays held: the next start books it. */
static void let_go(struct closing *c, int rc) {
    for (size_t k = 0; k < c->n; k++) {
        struct line *l = &c->line[k];
        if (!rc || !l->billed || mr_str_is(l->settle.provider, "local"))
            mr_hold_end(c->ledger, &l->hold, !rc && l->billed ? l->settle.cost_nano : 0);
    }
}

static void closed(void *arg, int rc, const struct mr_err *err) {
    struct closing *c = arg;
    let_go(c, rc);
    if (rc)
        mr_log_msg(c->log, MR_LOG_ERROR, "bill", "uses of models cannot be recorded: %s",
                   err ? err->msg : "");
    mr_free(c);
}

static struct mr_str own_text(char **at, struct mr_str s) {
    char *p = *at;
    memcpy(p, s.p, s.n);
    *at += s.n;
    return mr_strn(p, s.n);
}

static struct closing *closing_of(struct mr_bill *b, int rc) {
    size_t bytes = 0;
    for (size_t k = 0; k < b->n; k++)
        bytes += b->item[k].provider.n + b->item[k].model.n + b->item[k].price.version.n;
    struct closing *c = mr_malloc(sizeof *c + bytes + 1);
    if (!c)
        return NULL;
    *c = (struct closing){.ledger = b->biller->ledger, .log = b->biller->log, .n = b->n};
    char *at = c->text;
    for (size_t k = 0; k < b->n; k++) {
        struct mr_bill_item i = b->item[k];
        struct line *l = &c->line[k];
        i.provider = own_text(&at, i.provider);
        i.model = own_text(&at, i.model);
        i.price.version = own_text(&at, i.price.version);
        bool remote = !mr_str_is(i.provider, "local");
        l->billed = !rc || (remote && i.tokens.input);
        l->opened = i.opened;
        l->hold = i.hold;
        l->who = *b->who;
        l->reserve = reserve_of(b, &i);
        l->reserve.who = &l->who;
        l->settle = settle_of(&i);
        b->item[k].hold.active = false;
    }
    return c;
}

int mr_bill_close(struct mr_bill *b, int rc, struct mr_err *e) {
    const struct mr_biller *m = b->biller;
    bool waits = false;
    b->cost_nano = 0;
    for (size_t k = 0; k < b->n; k++) {
        struct mr_bill_item *i = &b->item[k];
        if (mr_price_cost(&i->price, MR_TIER_STANDARD, &i->tokens, &i->cost_nano, NULL))
            i->cost_nano = i->hold.reserved_nano;
        b->cost_nano += i->cost_nano;
        waits |= i->opened || i->cost_nano;
    }
    if (!b->n)
        return rc;
    struct closing *c = closing_of(b, rc);
    if (!c) {
        for (size_t k = 0; k < b->n; k++)
            mr_hold_end(m->ledger, &b->item[k].hold, 0);
        return rc ? rc : mr_fail(e, MR_ENOMEM, "out of memory");
    }
    if (!waits && (rc || !mr_db_write_async(m->db, close_in, c, closed))) {
        if (rc) { /* nothing is written */
            let_go(c, 0);
            mr_free(c);
        }
        return rc;
    }
    struct mr_err why;
    int failed = mr_db_write(m->db, close_in, c, &why);
    closed(c, failed, &why);
    if (failed && !rc)
        rc = mr_fail(e, failed, "what this request costs cannot be recorded now: %.200s", why.msg);
    return rc;
}
