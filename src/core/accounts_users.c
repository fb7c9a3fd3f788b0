/* Registration, login, members, invitations. */
#include "base/alloc.h"
#include "base/clock.h"
#include "base/codec.h"
#include "core/accounts_priv.h"
#include "wire/jwt.h"

#define INVITE_TTL_US (7 * 86400 * 1000000ll)

struct reg {
    const struct mr_registration *in;
    char email[256];
    char hash[MR_PASSWORD_HASH_MAX];
    struct mr_id user, account;
    int role;
    int64_t now;
};

static void lower_copy(struct mr_str s, char out[256]) {
    size_t n = s.n < 255 ? s.n : 255;
    for (size_t i = 0; i < n; i++)
        out[i] = (char)(s.p[i] >= 'A' && s.p[i] <= 'Z' ? s.p[i] + 32 : s.p[i]);
    out[n] = 0;
}

static int taken(struct mr_tx *tx, const char *sql, struct mr_str v, const char *field,
                 struct mr_err *e) {
    struct mr_stmt *s;
    int rc = mr_db_prepare(tx, sql, &s, e);
    if (rc)
        return rc;
    mr_db_bind_str(s, 1, v);
    rc = mr_db_step(s, e);
    mr_db_done(rc > 0 ? s : NULL);
    if (rc > 0)
        return mr_fail_field(e, MR_ECONFLICT, field, "this %s is already registered", field);
    return rc;
}

static int add_account(struct mr_tx *tx, struct mr_id id, struct mr_str name, const char *kind,
                       int64_t now, struct mr_err *e) {
    struct mr_stmt *s;
    int rc = mr_db_prepare(tx,
                           "INSERT INTO accounts (id, name, kind, tier, created_at) "
                           "VALUES (?1, ?2, ?3, 'free', ?4)",
                           &s, e);
    if (rc)
        return rc;
    mr_db_bind_id(s, 1, id);
    mr_db_bind_str(s, 2, name);
    mr_db_bind_str(s, 3, mr_str(kind));
    mr_db_bind_i64(s, 4, now);
    return mr_db_exec(s, e);
}

static int add_member(struct mr_tx *tx, const struct reg *r, struct mr_err *e) {
    struct mr_stmt *s;
    int rc = mr_db_prepare(
        tx, "INSERT INTO members (account_id, user_id, role, joined_at) VALUES (?1, ?2, ?3, ?4)",
        &s, e);
    if (rc)
        return rc;
    mr_db_bind_id(s, 1, r->account);
    mr_db_bind_id(s, 2, r->user);
    mr_db_bind_i64(s, 3, r->role);
    mr_db_bind_i64(s, 4, r->now);
    return mr_db_exec(s, e);
}

/* Uses up the invitation and takes its account and role. */
static int take_invitation(struct mr_tx *tx, struct reg *r, struct mr_err *e) {
    uint8_t hash[MR_SHA256_LEN];
    struct mr_stmt *s;
    mr_key_hash(r->in->invitation, hash);
    int rc = mr_db_prepare(tx,
                           "SELECT account_id, role FROM invitations WHERE hash = ?1 AND email = "
                           "?2 AND used_at = 0 AND expires_at > ?3",
                           &s, e);
    if (rc)
        return rc;
    mr_db_bind_blob(s, 1, hash, sizeof hash);
    mr_db_bind_str(s, 2, mr_str(r->email));
    mr_db_bind_i64(s, 3, r->now);
    rc = mr_db_step(s, e);
    if (rc <= 0)
        return rc ? rc
                  : mr_fail_field(e, MR_EFIELD, "invitation",
                                  "the invitation is not valid for this e-mail, was used, or has "
                                  "expired");
    mr_db_id(s, 0, &r->account);
    r->role = (int)mr_db_i64(s, 1);
    mr_db_done(s);
    rc = mr_db_prepare(tx, "UPDATE invitations SET used_at = ?1 WHERE hash = ?2", &s, e);
    if (rc)
        return rc;
    mr_db_bind_i64(s, 1, r->now);
    mr_db_bind_blob(s, 2, hash, sizeof hash);
    return mr_db_exec(s, e);
}

static int write_user(struct mr_tx *tx, void *arg, struct mr_err *e) {
    struct reg *r = arg;
    int rc = taken(tx, "SELECT 1 FROM users WHERE email = ?1", mr_str(r->email), "email", e);
    if (!rc)
        rc = taken(tx, "SELECT 1 FROM users WHERE username = ?1", r->in->username, "username", e);
    if (!rc) {
        if (r->in->invitation.p)
            rc = take_invitation(tx, r, e);
        else
            rc = add_account(tx, r->account, r->in->username, "personal", r->now, e);
    }
    if (rc)
        return rc;
    struct mr_stmt *s;
    rc = mr_db_prepare(tx,
                       "INSERT INTO users (id, email, username, full_name, password_hash, "
                       "home_account, created_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                       &s, e);
    if (rc)
        return rc;
    mr_db_bind_id(s, 1, r->user);
    mr_db_bind_str(s, 2, mr_str(r->email));
    mr_db_bind_str(s, 3, r->in->username);
    mr_db_bind_str(s, 4, r->in->full_name);
    mr_db_bind_str(s, 5, mr_str(r->hash));
    mr_db_bind_id(s, 6, r->account);
    mr_db_bind_i64(s, 7, r->now);
    rc = mr_db_exec(s, e);
    return rc ? rc : add_member(tx, r, e);
}

int mr_accounts_register(struct mr_accounts *a, const struct mr_registration *in,
                         struct mr_arena *arena, struct mr_user *ret, struct mr_err *e) {
    struct reg r = {.in = in, .role = MR_ROLE_OWNER, .now = mr_now_us()};
    r.user = mr_id_new();
    r.account = mr_id_new();
    lower_copy(in->email, r.email);
    int rc = mr_password_hash(a->gate, in->password, r.hash, e);
    if (!rc)
        rc = mr_db_write(a->db, write_user, &r, e);
    if (rc)
        return rc;
    return mr_accounts_user(a, r.account, r.user, arena, ret, e);
}

struct user_read {
    struct mr_id account, user;
    const char *email;      /* by e-mail when not NULL, else */
    struct mr_str username; /* by name when p is not NULL, else by id in an account */
    struct mr_arena *arena;
    struct mr_user out;
    char hash[MR_PASSWORD_HASH_MAX];
    struct mr_user *list;
    size_t n;
};

static void fill_user(struct mr_stmt *s, struct mr_arena *arena, struct mr_user *u) {
    mr_db_id(s, 0, &u->id);
    u->email = mr_arena_keep(arena, mr_db_str(s, 1));
    u->username = mr_arena_keep(arena, mr_db_str(s, 2));
    u->full_name = mr_arena_keep(arena, mr_db_str(s, 3));
    u->created_us = mr_db_i64(s, 4);
    mr_db_id(s, 5, &u->account);
    u->role = (int)mr_db_i64(s, 6);
}

static int read_user(struct mr_tx *tx, void *arg, struct mr_err *e) {
    struct user_read *r = arg;
    struct mr_stmt *s;
    int rc;
    if (r->email)
        rc = mr_db_prepare(tx,
                           "SELECT u.id, u.email, u.username, u.full_name, u.created_at, "
                           "m.account_id, m.role, u.password_hash FROM users u JOIN members m ON "
                           "m.user_id = u.id WHERE u.email = ?1 ORDER BY m.account_id = "
                           "u.home_account DESC, m.joined_at LIMIT 1",
                           &s, e);
    else if (r->username.p)
        rc = mr_db_prepare(tx,
                           "SELECT u.id, u.email, u.username, u.full_name, u.created_at, "
                           "m.account_id, m.role, u.password_hash FROM users u JOIN members m ON "
                           "m.user_id = u.id WHERE u.username = ?1 ORDER BY m.account_id = "
                           "u.home_account DESC, m.joined_at LIMIT 1",
                           &s, e);
    else
        rc = mr_db_prepare(tx,
                           "SELECT u.id, u.email, u.username, u.full_name, u.created_at, "
                           "m.account_id, m.role, u.password_hash FROM users u JOIN members m ON "
                           "m.user_id = u.id WHERE m.account_id = ?1 AND u.id = ?2",
                           &s, e);
    if (rc)
        return rc;
    if (r->email)
        mr_db_bind_str(s, 1, mr_str(r->email));
    else if (r->username.p)
        mr_db_bind_str(s, 1, r->username);
    else {
        mr_db_bind_id(s, 1, r->account);
        mr_db_bind_id(s, 2, r->user);
    }
    rc = mr_db_step(s, e);
    if (rc <= 0)
        return rc ? rc : mr_fail(e, MR_ENOTFOUND, "no such user");
    fill_user(s, r->arena, &r->out);
    struct mr_str hash = mr_db_str(s, 7);
    snprintf(r->hash, sizeof r->hash, "%.*s", (int)hash.n, hash.p ? hash.p : "");
    mr_db_done(s);
    return 0;
}

int mr_accounts_user(struct mr_accounts *a, struct mr_id account, struct mr_id user,
                     struct mr_arena *arena, struct mr_user *ret, struct mr_err *e) {
    struct user_read r = {.account = account, .user = user, .arena = arena};
    int rc = mr_db_read(a->db, read_user, &r, e);
    if (!rc)
        *ret = r.out;
    return rc;
}

int mr_accounts_login(struct mr_accounts *a, struct mr_str email, struct mr_str password,
                      struct mr_arena *arena, struct mr_user *ret, struct mr_err *e) {
    char lower[256];
    struct user_read r = {.email = lower, .arena = arena};
    lower_copy(email, lower);
    int rc = mr_db_read(a->db, read_user, &r, e);
    if (rc && rc != MR_ENOTFOUND)
        return rc;
    if (!mr_password_verify(a->gate, password, rc ? NULL : r.hash))
        return mr_fail(e, MR_EUNAUTH, "e-mail or password is wrong");
    *ret = r.out;
    return 0;
}

/* An e-mail address comes first: nobody gets at an account, or in the way of it, by registering
 * another's address as a user name. */
int mr_accounts_login_name(struct mr_accounts *a, struct mr_str name, struct mr_str password,
                           struct mr_arena *arena, struct mr_user *ret, struct mr_err *e) {
    char lower[256];
    struct user_read r = {.arena = arena};
    int rc = MR_ENOTFOUND;
    lower_copy(name, lower);
    if (memchr(name.p, '@', name.n)) {
        r.email = lower;
        rc = mr_db_read(a->db, read_user, &r, e);
    }
    if (rc == MR_ENOTFOUND) {
        r.email = NULL;
        r.username = name;
        rc = mr_db_read(a->db, read_user, &r, e);
    }
    if (rc && rc != MR_ENOTFOUND)
        return rc;
    if (!mr_password_verify(a->gate, password, rc ? NULL : r.hash))
        return mr_fail(e, MR_EUNAUTH, "user name or password is wrong");
    *ret = r.out;
    return 0;
}

int mr_accounts_token(struct mr_accounts *a, const struct mr_user *u, struct mr_buf *out,
                      int64_t *ret_ttl_s, struct mr_err *e) {
    int rc = mr_token_make(a, u->id, u->account, (struct mr_id){0}, false, out, e);
    if (!rc)
        *ret_ttl_s = a->ttl_s;
    return rc;
}

static int read_members(struct mr_tx *tx, void *arg, struct mr_err *e) {
    struct user_read *r = arg;
    struct mr_stmt *s;
    size_t cap = 1000;
    int rc = mr_db_prepare(tx,
                           "SELECT u.id, u.email, u.username, u.full_name, m.joined_at, "
                           "m.account_id, m.role FROM members m JOIN users u ON u.id = m.user_id "
                           "WHERE m.account_id = ?1 ORDER BY m.joined_at LIMIT 1000",
                           &s, e);
    if (rc)
        return rc;
    r->list = mr_arena_array(r->arena, cap, sizeof *r->list);
    if (!r->list) {
        mr_db_done(s);
        return mr_fail(e, MR_ENOMEM, "out of memory");
    }
    mr_db_bind_id(s, 1, r->account);
    while ((rc = mr_db_step(s, e)) > 0)
        fill_user(s, r->arena, &r->list[r->n++]);
    return rc;
}

int mr_accounts_members(struct mr_accounts *a, struct mr_id account, struct mr_arena *arena,
                        struct mr_user **ret, size_t *ret_n, struct mr_err *e) {
    struct user_read r = {.account = account, .arena = arena};
    int rc = mr_db_read(a->db, read_members, &r, e);
    if (rc)
        return rc;
    *ret = r.list;
    *ret_n = r.n;
    return 0;
}

struct invite {
    const struct mr_principal *who;
    char email[256];
    int role;
    uint8_t hash[MR_SHA256_LEN];
    int64_t now;
};

static int write_invite(struct mr_tx *tx, void *arg, struct mr_err *e) {
    struct invite *in = arg;
    struct mr_stmt *s;
    int rc = taken(tx, "SELECT 1 FROM users WHERE email = ?1", mr_str(in->email), "email", e);
    if (!rc)
        rc = mr_db_prepare(tx,
                           "INSERT INTO invitations (hash, account_id, email, role, invited_by, "
                           "created_at, expires_at, used_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, "
                           "0)",
                           &s, e);
    if (rc)
        return rc;
    mr_db_bind_blob(s, 1, in->hash, sizeof in->hash);
    mr_db_bind_id(s, 2, in->who->account);
    mr_db_bind_str(s, 3, mr_str(in->email));
    mr_db_bind_i64(s, 4, in->role);
    mr_db_bind_id(s, 5, in->who->user);
    mr_db_bind_i64(s, 6, in->now);
    mr_db_bind_i64(s, 7, in->now + INVITE_TTL_US);
    return mr_db_exec(s, e);
}

int mr_accounts_invite(struct mr_accounts *a, const struct mr_principal *who, struct mr_str email,
                       int role, struct mr_arena *arena, struct mr_str *ret_token,
                       int64_t *ret_expires_us, struct mr_err *e) {
    struct invite in = {.who = who, .role = role, .now = mr_now_us()};
    struct mr_buf token;
    mr_buf_init(&token, 128);
    mr_key_make(&token);
    lower_copy(email, in.email);
    /* An invitation reads "inv_…", so that nobody takes it for a key. */
    if (!mr_buf_ok(&token)) {
        mr_buf_release(&token);
        return mr_fail(e, MR_ENOMEM, "out of memory");
    }
    memcpy(token.p, "inv_", 4);
    mr_key_hash(mr_buf_view(&token), in.hash);
    int rc = mr_db_write(a->db, write_invite, &in, e);
    if (!rc) {
        ret_token->p = mr_arena_strn(arena, token.p, token.n);
        ret_token->n = token.n;
        *ret_expires_us = in.now + INVITE_TTL_US;
        if (!ret_token->p)
            rc = mr_fail(e, MR_ENOMEM, "out of memory");
    }
    mr_buf_release(&token);
    return rc;
}

static int remove_member(struct mr_tx *tx, void *arg, struct mr_err *e) {
    struct user_read *r = arg;
    struct mr_stmt *s;
    int rc = mr_db_prepare(tx,
                           "SELECT count(*) FROM members WHERE account_id = ?1 AND user_id <> ?2 "
                           "AND role = 1",
                           &s, e);
    if (rc)
        return rc;
    mr_db_bind_id(s, 1, r->account);
    mr_db_bind_id(s, 2, r->user);
    rc = mr_db_step(s, e);
    if (rc < 0)
        return rc;
    int64_t other_owners = mr_db_i64(s, 0);
    mr_db_done(s);
    rc = mr_db_prepare(tx, "DELETE FROM members WHERE account_id = ?1 AND user_id = ?2", &s, e);
    if (rc)
        return rc;
    mr_db_bind_id(s, 1, r->account);
    mr_db_bind_id(s, 2, r->user);
    rc = mr_db_exec(s, e);
    if (rc)
        return rc;
    if (!mr_db_changes(tx))
        return mr_fail(e, MR_ENOTFOUND, "no such member");
    if (!other_owners)
        return mr_fail(e, MR_ECONFLICT, "the account's last owner cannot be removed");
    /* The keys that they made for themselves go with them. */
    rc = mr_db_prepare(tx,
                       "UPDATE api_keys SET revoked_at = ?1 WHERE account_id = ?2 AND user_id = "
                       "?3 AND revoked_at = 0",
                       &s, e);
    if (rc)
        return rc;
    mr_db_bind_i64(s, 1, mr_now_us());
    mr_db_bind_id(s, 2, r->account);
    mr_db_bind_id(s, 3, r->user);
    return mr_db_exec(s, e);
}

int mr_accounts_member_remove(struct mr_accounts *a, struct mr_id account, struct mr_id user,
                              struct mr_err *e) {
    struct user_read r = {.account = account, .user = user};
    int rc = mr_db_write(a->db, remove_member, &r, e);
    if (!rc)
        atomic_fetch_add(&a->generation, 1);
    return rc;
}
