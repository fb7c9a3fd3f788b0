/* Accounts, users, members, API keys and authentication. Thread-safe; calls may block on the
 * database unless said otherwise. */
#ifndef MR_CORE_ACCOUNTS_H
#define MR_CORE_ACCOUNTS_H

#include "base/arena.h"
#include "base/buf.h"
#include "core/principal.h"
#include "store/db.h"

struct mr_accounts;

struct mr_accounts_config {
    struct mr_db *db;
    const char *data_dir;    /* keeps jwt.key and owner.key, both 0600 */
    struct mr_str owner_key; /* given by the operator; p == NULL: made at first start */
    unsigned hash_parallel;  /* Argon2id computations at a time; 0 = 2 */
    int64_t token_ttl_s;     /* 0 = 24 h */
};
int mr_accounts_open(const struct mr_accounts_config *c, struct mr_accounts **ret,
                     struct mr_err *e);
void mr_accounts_free(struct mr_accounts *a);
/* The operator's key in clear, for the greeting; lives as long as `a`. */
struct mr_str mr_accounts_owner_key(const struct mr_accounts *a);
/* When the operator's account was made: microseconds UTC. */
int64_t mr_accounts_owner_created(const struct mr_accounts *a);

struct mr_user {
    struct mr_id id, account;
    struct mr_str email, username, full_name; /* full_name.p may be NULL; in the caller's arena */
    int64_t created_us;
    int role;
};

struct mr_registration {
    struct mr_str email, username, password, full_name, invitation;
};
/* MR_ECONFLICT with the field when e-mail or username is taken. */
int mr_accounts_register(struct mr_accounts *a, const struct mr_registration *in,
                         struct mr_arena *arena, struct mr_user *ret, struct mr_err *e);
/* MR_EUNAUTH with one message for unknown user and wrong password. */
int mr_accounts_login(struct mr_accounts *a, struct mr_str email, struct mr_str password,
                      struct mr_arena *arena, struct mr_user *ret, struct mr_err *e);
int mr_accounts_user(struct mr_accounts *a, struct mr_id account, struct mr_id user,
                     struct mr_arena *arena, struct mr_user *ret, struct mr_err *e);
/* By user name or e-mail address. */
int mr_accounts_login_name(struct mr_accounts *a, struct mr_str name, struct mr_str password,
                           struct mr_arena *arena, struct mr_user *ret, struct mr_err *e);

/* A login that lasts: an access token (JWT) and a refresh token that works once and gives the next
 * pair. A refresh token used twice was stolen from one of its users: the whole session ends, access
 * tokens included. Refresh tokens are kept as SHA-256, for 30 days. */
#define MR_REFRESH_PREFIX "mrr_"
struct mr_session_tokens {
    struct mr_str access, refresh; /* in the caller's arena */
    int64_t ttl_s;                 /* of the access token */
};
/* Also "owner" with the owner key as password. MR_EUNAUTH with one message. */
int mr_session_login(struct mr_accounts *a, struct mr_str name, struct mr_str password,
                     struct mr_arena *arena, struct mr_session_tokens *ret, struct mr_err *e);
/* MR_EUNAUTH: unknown, expired, used before, or its user is gone. */
int mr_session_refresh(struct mr_accounts *a, struct mr_str refresh, struct mr_arena *arena,
                       struct mr_session_tokens *ret, struct mr_err *e);

/* A JWT for the user in the account. */
int mr_accounts_token(struct mr_accounts *a, const struct mr_user *u, struct mr_buf *out,
                      int64_t *ret_ttl_s, struct mr_err *e);

/* Authenticates a bearer token (JWT or API key). Cached a thread; a miss does one indexed read.
 * MR_EUNAUTH. Safe on loop threads. */
int mr_accounts_authenticate(struct mr_accounts *a, struct mr_str token, struct mr_principal *ret,
                             struct mr_err *e);

/* The operator's account itself, as its owner key is: what a keyless request acts as. */
void mr_accounts_operator(const struct mr_accounts *a, struct mr_principal *ret);

/* Who began something earlier, with the rights of now, by the ids that a principal had then. No
 * token is needed: for the server's own background work. MR_EUNAUTH: the key was revoked or has
 * expired, the user left the account. */
int mr_accounts_principal(struct mr_accounts *a, struct mr_id account, struct mr_id user,
                          struct mr_id key, struct mr_principal *ret, struct mr_err *e);

struct mr_api_key {
    struct mr_id id;
    struct mr_str name, prefix;
    uint32_t scopes;
    int64_t rate_per_minute, budget_nanousd; /* 0 and -1 = none */
    int64_t created_us, expires_us, last_used_us;
};
/* ret_secret: the key in clear, in the arena. */
int mr_accounts_key_create(struct mr_accounts *a, const struct mr_principal *who,
                           struct mr_api_key *inout, struct mr_arena *arena,
                           struct mr_str *ret_secret, struct mr_err *e);
int mr_accounts_key_list(struct mr_accounts *a, struct mr_id account, struct mr_arena *arena,
                         struct mr_api_key **ret, size_t *ret_n, struct mr_err *e);
int mr_accounts_key_revoke(struct mr_accounts *a, struct mr_id account, struct mr_id key,
                           struct mr_err *e);

int mr_accounts_members(struct mr_accounts *a, struct mr_id account, struct mr_arena *arena,
                        struct mr_user **ret, size_t *ret_n, struct mr_err *e);
int mr_accounts_invite(struct mr_accounts *a, const struct mr_principal *who, struct mr_str email,
                       int role, struct mr_arena *arena, struct mr_str *ret_token,
                       int64_t *ret_expires_us, struct mr_err *e);
/* MR_ECONFLICT when it would leave the account without an owner. */
int mr_accounts_member_remove(struct mr_accounts *a, struct mr_id account, struct mr_id user,
                              struct mr_err *e);
const char *mr_role_name(int role);
bool mr_role_parse(struct mr_str s, int *ret);

#endif
