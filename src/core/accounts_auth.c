/* From a bearer token to a principal. */
#include "base/alloc.h"
#include "base/clock.h"
#include "core/accounts_priv.h"
#include "wire/jwt.h"

#include <pthread.h>
#include <yyjson.h>

#define CACHE_SLOTS  512u
#define CACHE_TTL_US (60 * 1000000ll)
#define TOKEN_CACHED 512u

/* One thread's recent authentications. A slot is good for one accounts object, one generation of
 * it and a minute, so a revocation is seen at once and a key's last use is written at most so
 * often. */
struct cached {
    const struct mr_accounts *owner;
    unsigned generation;
    uint32_t len;
    int64_t until_us;
    struct mr_principal who;
    char token[TOKEN_CACHED];
};

static _Thread_local struct cached *cache;
static pthread_key_t cache_key; /* frees a thread's cache when the thread ends */
static pthread_once_t cache_once = PTHREAD_ONCE_INIT;

static void make_cache_key(void) {
    pthread_key_create(&cache_key, mr_free);
}

static struct cached *my_cache(void) {
    if (!cache) {
        pthread_once(&cache_once, make_cache_key);
        cache = mr_calloc(CACHE_SLOTS, sizeof *cache);
        if (cache && pthread_setspecific(cache_key, cache)) {
            mr_free(cache);
            cache = NULL;
        }
    }
    return cache;
}

struct key_read {
    uint8_t hash[MR_SHA256_LEN];
    struct mr_principal who;
    int64_t last_used_us;
};

static int read_key(struct mr_tx *tx, void *arg, struct mr_err *e) {
    struct key_read *r = arg;
    struct mr_stmt *s;
    int rc = mr_db_prepare(tx,
                           "SELECT k.id, k.account_id, k.user_id, k.scopes, k.rate_per_minute, "
                           "k.budget_nanousd, k.expires_at, k.last_used_at, a.kind "
                           "FROM api_keys k JOIN accounts a ON a.id = k.account_id "
                           "WHERE k.hash = ?1 AND k.revoked_at = 0",
                           &s, e);
    if (rc)
        return rc;
    mr_db_bind_blob(s, 1, r->hash, sizeof r->hash);
    rc = mr_db_step(s, e);
    if (rc <= 0)
        return rc ? rc : mr_fail(e, MR_EUNAUTH, "the API key is not valid");
    struct mr_principal *w = &r->who;
    mr_db_id(s, 0, &w->key);
    mr_db_id(s, 1, &w->account);
    mr_db_id(s, 2, &w->user);
    w->scopes = (uint32_t)mr_db_i64(s, 3) & MR_SCOPE_ALL;
    w->key_rate_per_minute = (uint32_t)mr_db_i64(s, 4);
    w->key_budget_nanousd = mr_db_i64(s, 5);
    w->expires_us = mr_db_i64(s, 6) ? mr_db_i64(s, 6) : INT64_MAX;
    r->last_used_us = mr_db_i64(s, 7);
    w->operator_ = mr_str_is(mr_db_str(s, 8), "operator");
    w->authenticated = true;
    mr_db_done(s);
    return 0;
}

struct key_used {
    struct mr_id key;
    int64_t at_us;
};

static int write_used(struct mr_tx *tx, void *arg, struct mr_err *e) {
    struct key_used *u = arg;
    struct mr_stmt *s;
    int rc = mr_db_prepare(tx, "UPDATE api_keys SET last_used_at = ?1 WHERE id = ?2", &s, e);
    if (rc)
        return rc;
    mr_db_bind_i64(s, 1, u->at_us);
    mr_db_bind_id(s, 2, u->key);
    return mr_db_exec(s, e);
}

static void used_written(void *arg, int rc, const struct mr_err *err) {
    (void)rc; /* last use is a convenience: a failed write is retried a minute later */
    (void)err;
    mr_free(arg);
}

int mr_auth_lookup_key(struct mr_accounts *a, struct mr_str key, struct mr_principal *ret,
                       struct mr_err *e) {
    struct key_read r = {0};
    mr_key_hash(key, r.hash);
    int rc = mr_db_read(a->db, read_key, &r, e);
    if (rc)
        return rc;
    int64_t now = mr_now_us();
    if (now >= r.who.expires_us)
        return mr_fail(e, MR_EUNAUTH, "the API key has expired");
    if (now - r.last_used_us > CACHE_TTL_US) {
        struct key_used *u = mr_malloc(sizeof *u);
        if (u) {
            *u = (struct key_used){r.who.key, now};
            if (mr_db_write_async(a->db, write_used, u, used_written))
                mr_free(u); /* not queued: nobody else will */
        }
    }
    *ret = r.who;
    return 0;
}

static int read_member(struct mr_tx *tx, void *arg, struct mr_err *e) {
    struct mr_principal *w = arg;
    struct mr_stmt *s;
    int rc = mr_db_prepare(tx,
                           "SELECT m.role, a.kind FROM members m JOIN accounts a ON a.id = "
                           "m.account_id WHERE m.account_id = ?1 AND m.user_id = ?2",
                           &s, e);
    if (rc)
        return rc;
    mr_db_bind_id(s, 1, w->account);
    mr_db_bind_id(s, 2, w->user);
    rc = mr_db_step(s, e);
    if (rc <= 0)
        return rc ? rc : mr_fail(e, MR_EUNAUTH, "the user is no longer a member of the account");
    w->role = (int)mr_db_i64(s, 0);
    w->operator_ = mr_str_is(mr_db_str(s, 1), "operator");
    mr_db_done(s);
    return 0;
}

struct claims {
    struct mr_principal who;
    bool in_session;
    struct mr_id session;
    char owner[MR_OWNER_MARK_LEN]; /* "" = a user's */
};

/* Claims of a token whose signature is already proven. */
static int read_claims(struct mr_str json, struct claims *c, struct mr_err *e) {
    struct mr_principal *w = &c->who;
    yyjson_doc *doc = yyjson_read(json.p, json.n, 0);
    yyjson_val *root = yyjson_doc_get_root(doc);
    int64_t exp = yyjson_get_sint(yyjson_obj_get(root, "exp"));
    bool ok = yyjson_equals_str(yyjson_obj_get(root, "iss"), MR_TOKEN_ISS) &&
              mr_id_parse_prefixed("user-", mr_str(yyjson_get_str(yyjson_obj_get(root, "sub"))),
                                   &w->user) &&
              mr_id_parse(mr_str(yyjson_get_str(yyjson_obj_get(root, "acc"))), &w->account) &&
              exp > 0;
    yyjson_val *session = yyjson_obj_get(root, "ses"), *owner = yyjson_obj_get(root, "own");
    c->in_session = session != NULL;
    ok = ok && (!session || mr_id_parse(mr_str(yyjson_get_str(session)), &c->session));
    snprintf(c->owner, sizeof c->owner, "%s", yyjson_is_str(owner) ? yyjson_get_str(owner) : "");
    yyjson_doc_free(doc);
    if (!ok)
        return mr_fail(e, MR_EUNAUTH, "the token is not one of ours");
    w->expires_us = exp * 1000000;
    if (mr_now_us() >= w->expires_us)
        return mr_fail(e, MR_EUNAUTH, "the token has expired: log in again");
    return 0;
}

/* The operator's own login: good while the owner key is the one that it was made with. */
static int read_owner(struct mr_accounts *a, const struct claims *c, struct mr_principal *ret,
                      struct mr_err *e) {
    char mark[MR_OWNER_MARK_LEN];
    mr_owner_mark(a, mark);
    if (strcmp(mark, c->owner) != 0 || !mr_id_eq(c->who.account, a->operator_account))
        return mr_fail(e, MR_EUNAUTH, "the owner key has changed: log in again");
    mr_accounts_operator(a, ret);
    ret->expires_us = c->who.expires_us;
    return 0;
}

int mr_auth_lookup_jwt(struct mr_accounts *a, struct mr_str token, struct mr_principal *ret,
                       struct mr_err *e) {
    struct claims c = {.who.key_budget_nanousd = -1};
    struct mr_buf claims;
    mr_buf_init(&claims, MR_JWT_MAX);
    int rc = mr_jwt_verify(mr_strn((const char *)a->jwt_key, sizeof a->jwt_key), token, &claims, e);
    if (!rc)
        rc = read_claims(mr_buf_view(&claims), &c, e);
    mr_buf_release(&claims);
    if (!rc && c.in_session)
        rc = mr_session_check(a, c.session, e);
    if (!rc && c.owner[0])
        return read_owner(a, &c, ret, e);
    if (!rc)
        rc = mr_db_read(a->db, read_member, &c.who, e);
    if (rc)
        return rc;
    c.who.scopes = mr_role_scopes(c.who.role);
    c.who.authenticated = true;
    *ret = c.who;
    return 0;
}

int mr_accounts_authenticate(struct mr_accounts *a, struct mr_str token, struct mr_principal *ret,
                             struct mr_err *e) {
    if (!token.n || token.n > MR_JWT_MAX)
        return mr_fail(e, MR_EUNAUTH, "no token was given");
    int64_t now = mr_now_coarse_us();
    unsigned generation = atomic_load_explicit(&a->generation, memory_order_acquire);
    struct cached *slot = NULL;
    if (token.n <= TOKEN_CACHED && my_cache()) {
        slot = &cache[mr_hash64(token) % CACHE_SLOTS];
        if (slot->owner == a && slot->generation == generation && slot->len == token.n &&
            now < slot->until_us && mr_equal_ct(slot->token, token.p, token.n)) {
            *ret = slot->who;
            return 0;
        }
    }
    struct mr_principal w;
    int rc = mr_str_starts(token, MR_LIT("ey")) ? mr_auth_lookup_jwt(a, token, &w, e)
                                                : mr_auth_lookup_key(a, token, &w, e);
    if (rc)
        return rc;
    if (slot) {
        *slot = (struct cached){.owner = a, .generation = generation, .len = (uint32_t)token.n};
        slot->until_us = now + CACHE_TTL_US < w.expires_us ? now + CACHE_TTL_US : w.expires_us;
        slot->who = w;
        memcpy(slot->token, token.p, token.n);
    }
    *ret = w;
    return 0;
}
