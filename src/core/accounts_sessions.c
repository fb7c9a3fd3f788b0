/* Logins with refresh tokens that rotate. */
#include "base/clock.h"
#include "base/codec.h"
#include "core/accounts_priv.h"
#include "wire/jwt.h"

#define REFRESH_TTL_US (30 * 86400 * 1000000ll)

void mr_owner_mark(const struct mr_accounts *a, char out[MR_OWNER_MARK_LEN]) {
    uint8_t hash[MR_SHA256_LEN];
    mr_sha256(mr_str(a->owner_key), hash);
    for (int i = 0; i < 8; i++)
        snprintf(out + i * 2, 3, "%02x", hash[i]);
}

int mr_token_make(struct mr_accounts *a, struct mr_id user, struct mr_id account,
                  struct mr_id session, bool owner, struct mr_buf *out, struct mr_err *e) {
    static const struct mr_id none;
    struct mr_buf claims;
    char text[MR_ID_HEX], mark[MR_OWNER_MARK_LEN];
    int64_t now = mr_now_us() / 1000000;
    mr_buf_init(&claims, 1024);
    mr_id_hex(user, text);
    mr_buf_fmt(&claims, "{\"iss\":\"" MR_TOKEN_ISS "\",\"sub\":\"user-%s\"", text);
    mr_id_hex(account, text);
    mr_buf_fmt(&claims, ",\"acc\":\"%s\"", text);
    if (!mr_id_eq(session, none)) {
        uint8_t nonce[8]; /* two tokens of one session in one second differ */
        mr_random(nonce, sizeof nonce);
        mr_id_hex(session, text);
        mr_buf_fmt(&claims, ",\"ses\":\"%s\",\"jti\":\"", text);
        mr_hex_add(&claims, nonce, sizeof nonce);
        mr_buf_char(&claims, '"');
    }
    if (owner) {
        mr_owner_mark(a, mark);
        mr_buf_fmt(&claims, ",\"own\":\"%s\"", mark);
    }
    mr_buf_fmt(&claims, ",\"iat\":%lld,\"exp\":%lld}", (long long)now, (long long)(now + a->ttl_s));
    int rc = mr_buf_ok(&claims) ? mr_jwt_sign(mr_strn((const char *)a->jwt_key, sizeof a->jwt_key),
                                              mr_buf_view(&claims), out, e)
                                : mr_fail(e, MR_ENOMEM, "out of memory");
    mr_buf_release(&claims);
    return rc;
}

/* --- database ----------------------------------------------------------------------------- */

static int read_revoked(struct mr_tx *tx, void *arg, struct mr_err *e) {
    struct mr_id *session = arg;
    struct mr_stmt *s;
    int rc = mr_db_prepare(tx, "SELECT revoked_at FROM auth_sessions WHERE id = ?1", &s, e);
    if (rc)
        return rc;
    mr_db_bind_id(s, 1, *session);
    rc = mr_db_step(s, e);
    if (rc < 0)
        return rc;
    bool live = rc > 0 && mr_db_i64(s, 0) == 0;
    mr_db_done(rc > 0 ? s : NULL);
    return live ? 0 : mr_fail(e, MR_EUNAUTH, "this login has ended: log in again");
}

int mr_session_check(struct mr_accounts *a, struct mr_id session, struct mr_err *e) {
    return mr_db_read(a->db, read_revoked, &session, e);
}

struct session {
    struct mr_id id, account, user;
    char mark[MR_OWNER_MARK_LEN]; /* "" for users */
    uint8_t old_hash[MR_SHA256_LEN], new_hash[MR_SHA256_LEN];
    int64_t now, until;
    bool reused; /* the old token had been used: the session was ended */
};

static int add_refresh(struct mr_tx *tx, const struct session *n, struct mr_err *e) {
    struct mr_stmt *s;
    int rc = mr_db_prepare(tx,
                           "INSERT INTO refresh_tokens (hash, session_id, expires_at, used_at) "
                           "VALUES (?1, ?2, ?3, 0)",
                           &s, e);
    if (rc)
        return rc;
    mr_db_bind_blob(s, 1, n->new_hash, sizeof n->new_hash);
    mr_db_bind_id(s, 2, n->id);
    mr_db_bind_i64(s, 3, n->until);
    return mr_db_exec(s, e);
}

static int set_at(struct mr_tx *tx, const char *sql, int64_t at, struct mr_id id,
                  struct mr_err *e) {
    struct mr_stmt *s;
    int rc = mr_db_prepare(tx, sql, &s, e);
    if (rc)
        return rc;
    mr_db_bind_i64(s, 1, at);
    if (strstr(sql, "?2"))
        mr_db_bind_id(s, 2, id);
    return mr_db_exec(s, e);
}

static int write_session(struct mr_tx *tx, void *arg, struct mr_err *e) {
    struct session *n = arg;
    struct mr_stmt *s;
    /* What has run out leaves with the next login. */
    int rc = set_at(tx, "DELETE FROM refresh_tokens WHERE expires_at < ?1", n->now, n->id, e);
    if (!rc)
        rc = set_at(tx, "DELETE FROM auth_sessions WHERE expires_at < ?1", n->now, n->id, e);
    if (!rc)
        rc = mr_db_prepare(tx,
                           "INSERT INTO auth_sessions (id, account_id, user_id, owner_mark, "
                           "created_at, expires_at, revoked_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, 0)",
                           &s, e);
    if (rc)
        return rc;
    mr_db_bind_id(s, 1, n->id);
    mr_db_bind_id(s, 2, n->account);
    mr_db_bind_id(s, 3, n->user);
    mr_db_bind_str(s, 4, mr_str(n->mark));
    mr_db_bind_i64(s, 5, n->now);
    mr_db_bind_i64(s, 6, n->until);
    rc = mr_db_exec(s, e);
    return rc ? rc : add_refresh(tx, n, e);
}

/* The session of the old token; *ret_used: when that token was used, 0 = never. */
static int find_session(struct mr_tx *tx, struct session *n, int64_t *ret_used, struct mr_err *e) {
    struct mr_stmt *s;
    int rc = mr_db_prepare(tx,
                           "SELECT s.id, s.account_id, s.user_id, s.owner_mark, t.used_at FROM "
                           "refresh_tokens t JOIN auth_sessions s ON s.id = t.session_id WHERE "
                           "t.hash = ?1 AND t.expires_at > ?2 AND s.revoked_at = 0",
                           &s, e);
    if (rc)
        return rc;
    mr_db_bind_blob(s, 1, n->old_hash, sizeof n->old_hash);
    mr_db_bind_i64(s, 2, n->now);
    rc = mr_db_step(s, e);
    if (rc <= 0)
        return rc ? rc : mr_fail(e, MR_EUNAUTH, "the refresh token is not valid: log in again");
    mr_db_id(s, 0, &n->id);
    mr_db_id(s, 1, &n->account);
    mr_db_id(s, 2, &n->user);
    struct mr_str mark = mr_db_str(s, 3);
    snprintf(n->mark, sizeof n->mark, "%.*s", (int)mark.n, mark.p);
    *ret_used = mr_db_i64(s, 4);
    mr_db_done(s);
    return 0;
}

static int rotate(struct mr_tx *tx, void *arg, struct mr_err *e) {
    struct session *n = arg;
    struct mr_stmt *s;
    int64_t used;
    int rc = find_session(tx, n, &used, e);
    if (rc)
        return rc;
    if (used) { /* commits: the caller says that it failed */
        n->reused = true;
        return set_at(tx, "UPDATE auth_sessions SET revoked_at = ?1 WHERE id = ?2", n->now, n->id,
                      e);
    }
    rc = mr_db_prepare(tx, "UPDATE refresh_tokens SET used_at = ?1 WHERE hash = ?2", &s, e);
    if (rc)
        return rc;
    mr_db_bind_i64(s, 1, n->now);
    mr_db_bind_blob(s, 2, n->old_hash, sizeof n->old_hash);
    rc = mr_db_exec(s, e);
    if (!rc)
        rc = set_at(tx, "UPDATE auth_sessions SET expires_at = ?1 WHERE id = ?2", n->until, n->id,
                    e);
    return rc ? rc : add_refresh(tx, n, e);
}

/* --- tokens ------------------------------------------------------------------------------- */

static int new_refresh(struct session *n, struct mr_arena *arena, struct mr_str *ret,
                       struct mr_err *e) {
    uint8_t secret[32];
    struct mr_buf b;
    mr_random(secret, sizeof secret);
    mr_buf_init(&b, 128);
    mr_buf_cstr(&b, MR_REFRESH_PREFIX);
    mr_base64url_add(&b, secret, sizeof secret);
    *ret = mr_buf_ok(&b) ? mr_arena_keep(arena, mr_buf_view(&b)) : mr_strn(NULL, 0);
    mr_sha256(mr_buf_view(&b), n->new_hash);
    mr_buf_release(&b);
    return ret->p ? 0 : mr_fail(e, MR_ENOMEM, "out of memory");
}

static void set_times(const struct mr_accounts *a, struct session *n) {
    int64_t access_us = a->ttl_s * 1000000;
    n->now = mr_now_us();
    n->until = n->now + (access_us > REFRESH_TTL_US ? access_us : REFRESH_TTL_US);
}

static int access_token(struct mr_accounts *a, const struct session *n, struct mr_arena *arena,
                        struct mr_session_tokens *ret, struct mr_err *e) {
    struct mr_buf b;
    mr_buf_init(&b, 4096);
    int rc = mr_token_make(a, n->user, n->account, n->id, n->mark[0] != 0, &b, e);
    if (!rc) {
        ret->access = mr_arena_keep(arena, mr_buf_view(&b));
        ret->ttl_s = a->ttl_s;
        if (!ret->access.p)
            rc = mr_fail(e, MR_ENOMEM, "out of memory");
    }
    mr_buf_release(&b);
    return rc;
}

static bool is_owner(const struct mr_accounts *a, struct mr_str name, struct mr_str password) {
    size_t n = strlen(a->owner_key);
    return mr_str_is(name, "owner") && password.n == n && mr_equal_ct(password.p, a->owner_key, n);
}

int mr_session_login(struct mr_accounts *a, struct mr_str name, struct mr_str password,
                     struct mr_arena *arena, struct mr_session_tokens *ret, struct mr_err *e) {
    struct session n = {.id = mr_id_new()};
    struct mr_session_tokens t = {0};
    struct mr_user u;
    int rc = 0;
    if (is_owner(a, name, password)) {
        n.account = a->operator_account;
        mr_owner_mark(a, n.mark);
    } else {
        rc = mr_accounts_login_name(a, name, password, arena, &u, e);
        if (rc)
            return rc;
        n.account = u.account;
        n.user = u.id;
    }
    set_times(a, &n);
    rc = new_refresh(&n, arena, &t.refresh, e);
    if (!rc)
        rc = access_token(a, &n, arena, &t, e);
    if (!rc)
        rc = mr_db_write(a->db, write_session, &n, e);
    if (!rc)
        *ret = t;
    return rc;
}

int mr_session_refresh(struct mr_accounts *a, struct mr_str refresh, struct mr_arena *arena,
                       struct mr_session_tokens *ret, struct mr_err *e) {
    struct session n = {0};
    struct mr_session_tokens t = {0};
    struct mr_user u;
    char mark[MR_OWNER_MARK_LEN];
    set_times(a, &n);
    mr_sha256(refresh, n.old_hash);
    int rc = new_refresh(&n, arena, &t.refresh, e);
    if (!rc)
        rc = mr_db_write(a->db, rotate, &n, e);
    if (rc)
        return rc;
    if (n.reused) {
        atomic_fetch_add(&a->generation, 1); /* cached access tokens of the session die too */
        return mr_fail(
            e, MR_EUNAUTH,
            "this refresh token was used before: all tokens of its login have ended, log "
            "in again");
    }
    mr_owner_mark(a, mark);
    if (n.mark[0] && strcmp(mark, n.mark) != 0)
        return mr_fail(e, MR_EUNAUTH, "the owner key has changed: log in again");
    if (!n.mark[0] && mr_accounts_user(a, n.account, n.user, arena, &u, NULL))
        return mr_fail(e, MR_EUNAUTH, "the user is no longer a member of the account");
    rc = access_token(a, &n, arena, &t, e);
    if (!rc)
        *ret = t;
    return rc;
}
