/* Shared by the accounts_*.c files only. */
#ifndef MR_CORE_ACCOUNTS_PRIV_H
#define MR_CORE_ACCOUNTS_PRIV_H

#include "base/hash.h"
#include "core/accounts.h"
#include "core/password.h"

#include <stdatomic.h>

#define MR_KEY_PREFIX  "mrk_"
#define MR_TOKEN_ISS   "millrace"
#define MR_JWT_KEY_LEN 32

struct mr_accounts {
    struct mr_db *db;
    struct mr_password_gate *gate;
    int64_t ttl_s;
    uint8_t jwt_key[MR_JWT_KEY_LEN];
    char *owner_key;
    struct mr_id operator_account;
    int64_t operator_created_us;
    atomic_uint generation; /* raised by every revocation: cached authentications of before die */
};

uint32_t mr_role_scopes(int role);
void mr_key_hash(struct mr_str key, uint8_t out[MR_SHA256_LEN]);
/* "mrk_" and 43 characters of Base64url (256 bits). */
void mr_key_make(struct mr_buf *out);
/* A JWT; session zero: none. With `owner` it is the operator's, as long as the owner key is this
 * one. */
int mr_token_make(struct mr_accounts *a, struct mr_id user, struct mr_id account,
                  struct mr_id session, bool owner, struct mr_buf *out, struct mr_err *e);
#define MR_OWNER_MARK_LEN 17 /* hex digits of the owner key's hash, and a NUL */
void mr_owner_mark(const struct mr_accounts *a, char out[MR_OWNER_MARK_LEN]);
/* MR_EUNAUTH when the session was ended. */
int mr_session_check(struct mr_accounts *a, struct mr_id session, struct mr_err *e);
/* Creates the operator account and its key when they are missing. */
int mr_accounts_bootstrap(struct mr_accounts *a, struct mr_err *e);
/* Reads what authentication needs from the database (a cache miss). */
int mr_auth_lookup_key(struct mr_accounts *a, struct mr_str key, struct mr_principal *ret,
                       struct mr_err *e);
int mr_auth_lookup_jwt(struct mr_accounts *a, struct mr_str token, struct mr_principal *ret,
                       struct mr_err *e);

#endif
