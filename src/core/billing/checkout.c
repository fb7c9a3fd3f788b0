/* Checkout Sessions: POST /v1/checkout/sessions as a form with bracketed names. */
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/codec.h"
#include "base/crash_point.h"
#include "base/hash.h"
#include "core/billing/internal.h"

#include <pthread.h>

#define REPLY_MAX     (1u << 20)
#define REFERENCE_MAX 200 /* Stripe refuses a longer client_reference_id */

void mr_form_add(struct mr_buf *b, const char *name, struct mr_str value) {
    if (b->n)
        mr_buf_char(b, '&');
    mr_buf_cstr(b, name);
    mr_buf_char(b, '=');
    mr_percent_add(b, value);
}

/* --- one blocking request over the shared upstream ---------------------------------------- */

struct wait {
    pthread_mutex_t lock;
    pthread_cond_t cond;
    bool done;
    int rc, status;
    char why[256];
    struct mr_buf *body;
};

static void on_done(void *arg, const struct mr_upstream_reply *r) {
    struct wait *w = arg;
    pthread_mutex_lock(&w->lock);
    w->rc = r->rc;
    w->status = r->status;
    snprintf(w->why, sizeof w->why, "%s", r->err);
    mr_buf_str(w->body, r->body);
    w->done = true;
    pthread_cond_signal(&w->cond);
    pthread_mutex_unlock(&w->lock);
}

static int stripe_reason(int status, struct mr_str body, struct mr_err *e) {
    if (status == 401 || status == 403)
        return mr_fail(e, MR_EPREDICT, "Stripe refused this server's key (%d): check %s", status,
                       "STRIPE_API_KEY");
    yyjson_doc *doc = yyjson_read(body.p, body.n, 0);
    yyjson_val *error = yyjson_obj_get(yyjson_doc_get_root(doc), "error");
    const char *msg = yyjson_get_str(yyjson_obj_get(error, "message"));
    int rc = msg ? mr_fail(e, MR_EPREDICT, "Stripe refused the request (%d): %.300s", status, msg)
                 : mr_fail(e, MR_EPREDICT, "Stripe answered with status %d", status);
    yyjson_doc_free(doc);
    return rc;
}

int mr_stripe_post(struct mr_billing *b, const char *path, struct mr_str form,
                   struct mr_str idempotency, struct mr_buf *out, struct mr_err *e) {
    char url[2048], auth[512];
    if (!b->c.api_key || !*b->c.api_key)
        return mr_fail(e, MR_EUNAVAIL,
                       "payments are not set up on this server: STRIPE_API_KEY is not set");
    snprintf(url, sizeof url, "%s%s", b->c.api_base ? b->c.api_base : MR_STRIPE_BASE, path);
    snprintf(auth, sizeof auth, "Bearer %s", b->c.api_key);
    struct mr_upstream_header headers[] = {
        {"Authorization", mr_str(auth)},
        {"Content-Type", MR_LIT("application/x-www-form-urlencoded")},
        {"Stripe-Version", MR_LIT(MR_STRIPE_VERSION)},
        {"Idempotency-Key", idempotency},
    };
    struct wait w = {.lock = PTHREAD_MUTEX_INITIALIZER, .cond = PTHREAD_COND_INITIALIZER};
    w.body = out;
    struct mr_upstream_request q = {.method = "POST",
                                    .url = mr_str(url),
                                    .headers = headers,
                                    .n_headers = sizeof headers / sizeof *headers,
                                    .body = form,
                                    .total_ms = b->c.timeout_ms > 0 ? b->c.timeout_ms : 30000,
                                    .reply_max = REPLY_MAX,
                                    .done = on_done,
                                    .arg = &w};
    int rc = mr_upstream_start(b->c.upstream, &q, NULL, e);
    explicit_bzero(auth, sizeof auth);
    if (rc)
        return rc;
    pthread_mutex_lock(&w.lock);
    while (!w.done)
        pthread_cond_wait(&w.cond, &w.lock);
    pthread_mutex_unlock(&w.lock);
    if (w.rc)
        return mr_fail(e, MR_EPREDICT, "Stripe could not be reached: %s", w.why);
    if (w.status < 200 || w.status > 299)
        return stripe_reason(w.status, mr_buf_view(out), e);
    return mr_buf_ok(out) ? 0 : mr_fail(e, MR_ENOMEM, "out of memory");
}

/* --- Idempotency-Key ---------------------------------------------------------------------- */

struct request {
    struct mr_billing *b;
    struct mr_id account;
    struct mr_str key;
    uint8_t hash[MR_SHA256_LEN];
    struct mr_arena *arena;
    struct mr_str url; /* of an earlier answer */
};

static int claim(struct mr_tx *tx, void *arg, struct mr_err *e) {
    struct request *q = arg;
    struct mr_stmt *s;
    int rc = mr_db_prepare(tx,
                           "SELECT request_hash, url FROM billing_requests "
                           "WHERE account_id = ?1 AND key = ?2",
                           &s, e);
    if (rc)
        return rc;
    mr_db_bind_id(s, 1, q->account);
    mr_db_bind_str(s, 2, q->key);
    rc = mr_db_step(s, e);
    if (rc > 0) {
        bool same = mr_str_eq(mr_db_blob(s, 0), mr_strn((char *)q->hash, sizeof q->hash));
        q->url = mr_arena_keep(q->arena, mr_db_str(s, 1));
        mr_db_done(s);
        if (!same)
            return mr_fail_field(e, MR_EFIELD, "Idempotency-Key",
                                 "this Idempotency-Key was used for a different request");
        return q->url.n ? 0
                        : mr_fail(e, MR_ECONFLICT,
                                  "the request with this Idempotency-Key is still running");
    }
    if (!rc)
        rc = mr_db_prepare(tx,
                           "INSERT INTO billing_requests (account_id, key, request_hash, url, "
                           "created_at) VALUES (?1, ?2, ?3, '', ?4)",
                           &s, e);
    if (rc)
        return rc;
    mr_db_bind_id(s, 1, q->account);
    mr_db_bind_str(s, 2, q->key);
    mr_db_bind_blob(s, 3, q->hash, sizeof q->hash);
    mr_db_bind_i64(s, 4, mr_now_us());
    return mr_db_exec(s, e);
}

static int unclaim(struct mr_tx *tx, void *arg, struct mr_err *e) {
    struct request *q = arg;
    struct mr_stmt *s;
    int rc = mr_db_prepare(
        tx, "DELETE FROM billing_requests WHERE account_id = ?1 AND key = ?2 AND url = ''", &s, e);
    if (rc)
        return rc;
    mr_db_bind_id(s, 1, q->account);
    mr_db_bind_str(s, 2, q->key);
    return mr_db_exec(s, e);
}

/* --- sessions ----------------------------------------------------------------------------- */

struct session {
    struct request *request; /* NULL: without a key */
    struct mr_id account;
    const char *mode;
    struct mr_str end_user, id, url;
};

static int remember(struct mr_tx *tx, void *arg, struct mr_err *e) {
    const struct session *c = arg;
    struct mr_stmt *s;
    int rc = mr_db_prepare(tx,
                           "INSERT INTO stripe_sessions (id, account_id, mode, end_user, status, "
                           "created_at) VALUES (?1, ?2, ?3, ?4, 'open', ?5) "
                           "ON CONFLICT (id) DO NOTHING",
                           &s, e);
    if (rc)
        return rc;
    mr_db_bind_str(s, 1, c->id);
    mr_db_bind_id(s, 2, c->account);
    mr_db_bind_str(s, 3, mr_str(c->mode));
    mr_db_bind_str(s, 4, c->end_user);
    mr_db_bind_i64(s, 5, mr_now_us());
    rc = mr_db_exec(s, e);
    if (rc || !c->request)
        return rc;
    rc = mr_db_prepare(
        tx, "UPDATE billing_requests SET url = ?3 WHERE account_id = ?1 AND key = ?2", &s, e);
    if (rc)
        return rc;
    mr_db_bind_id(s, 1, c->account);
    mr_db_bind_str(s, 2, c->request->key);
    mr_db_bind_str(s, 3, c->url);
    return mr_db_exec(s, e);
}

/* Sends the form and keeps what came back; the URL in the arena. */
static int create(struct mr_billing *b, struct mr_str form, struct mr_str idempotency,
                  struct session *c, struct mr_arena *arena, struct mr_err *e) {
    MR_CLEANUP(mr_buf_release) struct mr_buf body;
    mr_buf_init(&body, REPLY_MAX);
    int rc = mr_stripe_post(b, "/v1/checkout/sessions", form, idempotency, &body, e);
    if (rc)
        return rc;
    yyjson_doc *doc = yyjson_read(body.p, body.n, 0);
    yyjson_val *root = yyjson_doc_get_root(doc);
    c->id = mr_arena_keep(arena, mr_str(yyjson_get_str(yyjson_obj_get(root, "id"))));
    c->url = mr_arena_keep(arena, mr_str(yyjson_get_str(yyjson_obj_get(root, "url"))));
    yyjson_doc_free(doc);
    if (!c->id.n || !c->url.n)
        return mr_fail(e, MR_EPREDICT, "Stripe answered without a checkout session");
    mr_crash_point("session-created");
    rc = mr_db_write(b->c.db, remember, c, e);
    mr_crash_point("session-committed");
    return rc;
}

static int run(struct mr_billing *b, struct mr_buf *form, struct mr_str idempotency,
               struct session *c, struct mr_arena *arena, struct mr_str *ret_url,
               struct mr_err *e) {
    struct request q = {.b = b, .account = c->account, .key = idempotency, .arena = arena};
    char key[2 * MR_SHA256_LEN + 4], text[MR_ID_HEX];
    uint8_t hash[MR_SHA256_LEN];
    MR_CLEANUP(mr_buf_release) struct mr_buf scope;
    mr_buf_init(&scope, 4096);
    if (!mr_buf_ok(form))
        return mr_fail(e, MR_ENOMEM, "out of memory");
    mr_sha256(mr_buf_view(form), q.hash);
    if (idempotency.p) {
        int rc = mr_db_write(b->c.db, claim, &q, e);
        if (rc || q.url.n) {
            *ret_url = q.url;
            return rc;
        }
        c->request = &q;
    }
    /* Stripe's keys are one name space: ours carry the account and the client's key, hashed. */
    struct mr_id fresh = mr_id_new();
    mr_id_hex(idempotency.p ? c->account : fresh, text);
    mr_buf_cstr(&scope, text);
    mr_buf_str(&scope, idempotency);
    mr_sha256(mr_buf_view(&scope), hash);
    mr_buf_clear(&scope);
    mr_buf_cstr(&scope, "mr-");
    mr_hex_add(&scope, hash, sizeof hash);
    if (!mr_buf_ok(&scope))
        return mr_fail(e, MR_ENOMEM, "out of memory");
    snprintf(key, sizeof key, "%.*s", (int)scope.n, scope.p);
    int rc = create(b, mr_buf_view(form), mr_str(key), c, arena, e);
    if (rc && c->request) {
        struct mr_err ignored;
        mr_db_write(b->c.db, unclaim, &q, &ignored); /* a failed request may be tried again */
    }
    if (!rc)
        *ret_url = c->url;
    return rc;
}

static void common(struct mr_billing *b, struct mr_buf *form, const struct session *c,
                   const char *account) {
    mr_form_add(form, "mode", mr_str(c->mode));
    mr_form_add(form, "success_url", mr_str(b->c.success_url));
    mr_form_add(form, "cancel_url", mr_str(b->c.cancel_url));
    mr_form_add(form, "line_items[0][quantity]", MR_LIT("1"));
    mr_form_add(form, "metadata[account_id]", mr_str(account));
    if (c->end_user.n)
        mr_form_add(form, "metadata[user_id]", c->end_user);
    if (c->end_user.n && c->end_user.n <= REFERENCE_MAX)
        mr_form_add(form, "client_reference_id", c->end_user);
}

int mr_billing_subscription(struct mr_billing *b, struct mr_id account, struct mr_str email,
                            struct mr_str idempotency, struct mr_arena *arena,
                            struct mr_str *ret_url, struct mr_err *e) {
    char id[MR_ID_HEX];
    struct session c = {.account = account, .mode = "subscription", .end_user = email};
    MR_CLEANUP(mr_buf_release) struct mr_buf form;
    mr_buf_init(&form, 16384);
    if (b->c.api_key && !b->c.price_id)
        return mr_fail(e, MR_EUNAVAIL,
                       "subscriptions are not set up on this server: STRIPE_PRICE_ID is not set");
    mr_id_hex(account, id);
    common(b, &form, &c, id);
    mr_form_add(&form, "customer_email", email);
    mr_form_add(&form, "line_items[0][price]", mr_str(b->c.price_id ? b->c.price_id : ""));
    mr_form_add(&form, "subscription_data[metadata][account_id]", mr_str(id));
    mr_form_add(&form, "subscription_data[metadata][user_id]", email);
    return run(b, &form, idempotency, &c, arena, ret_url, e);
}

int64_t mr_minor_units(int64_t nano, struct mr_str currency) {
    int64_t one = 1;
    return mr_money_from_minor(1, currency, &one) && one > 0 ? nano / one : 0;
}

int mr_billing_micro(struct mr_billing *b, struct mr_id account, struct mr_str end_user,
                     struct mr_str description, struct mr_str idempotency, struct mr_arena *arena,
                     struct mr_str *ret_url, struct mr_err *e) {
    char id[MR_ID_HEX], amount[24];
    struct session c = {.account = account, .mode = "payment", .end_user = end_user};
    struct mr_str currency = mr_str(b->c.micro_currency);
    MR_CLEANUP(mr_buf_release) struct mr_buf form;
    mr_id_hex(account, id);
    snprintf(amount, sizeof amount, "%lld",
             (long long)mr_minor_units(b->c.micro_amount_nano, currency));
    mr_buf_init(&form, 16384);
    common(b, &form, &c, id);
    mr_form_add(&form, "line_items[0][price_data][currency]", currency);
    mr_form_add(&form, "line_items[0][price_data][unit_amount]", mr_str(amount));
    mr_form_add(&form, "line_items[0][price_data][product_data][name]", description);
    mr_form_add(&form, "payment_intent_data[metadata][account_id]", mr_str(id));
    if (end_user.n)
        mr_form_add(&form, "payment_intent_data[metadata][user_id]", end_user);
    return run(b, &form, idempotency, &c, arena, ret_url, e);
}
