/* Accounts: registration, login, keys, members, and what a revocation does to caches. */
#include "base/alloc.h"
#include "base/clock.h"
#include "core/accounts.h"
#include "mr_test.h"
#include "mr_tmp.h"

static struct mr_tmp tmp;
static struct mr_db *db;
static struct mr_accounts *acc;
static struct mr_arena arena;

static int open_accounts(const char *owner_key, struct mr_err *e) {
    struct mr_accounts_config c = {.db = db,
                                   .data_dir = tmp.dir,
                                   .owner_key = owner_key ? mr_str(owner_key) : mr_strn(NULL, 0)};
    return mr_accounts_open(&c, &acc, e);
}

static void begin(void) {
    struct mr_db_config c = {.path = ":memory:"};
    struct mr_err e = {0};
    mr_tmp_make(&tmp);
    mr_arena_init(&arena, 16 << 20);
    if (mr_db_open(&c, &db, &e) || open_accounts(NULL, &e)) {
        fprintf(stderr, "%s\n", e.msg);
        exit(2);
    }
}

static void end(void) {
    mr_accounts_free(acc);
    mr_db_close(db);
    mr_arena_release(&arena);
    mr_tmp_remove(&tmp);
}

static struct mr_registration form(const char *email, const char *name) {
    return (struct mr_registration){
        .email = mr_str(email), .username = mr_str(name), .password = MR_LIT("secure-password")};
}

static struct mr_user registered(const char *email, const char *name) {
    struct mr_registration in = form(email, name);
    struct mr_user u = {0};
    struct mr_err e = {0};
    CHECK_INT(mr_accounts_register(acc, &in, &arena, &u, &e), 0);
    return u;
}

static int auth(struct mr_str token, struct mr_principal *ret) {
    struct mr_err e = {0};
    return mr_accounts_authenticate(acc, token, ret, &e);
}

static struct mr_str token_of(const struct mr_user *u) {
    struct mr_buf b;
    int64_t ttl;
    mr_buf_init(&b, 4096);
    CHECK_INT(mr_accounts_token(acc, u, &b, &ttl, NULL), 0);
    struct mr_str kept = mr_arena_keep(&arena, mr_buf_view(&b));
    mr_buf_release(&b);
    return kept;
}

MR_TEST(registers_and_logs_in) {
    struct mr_user u, in;
    struct mr_err e = {0};
    struct mr_principal who;
    begin();
    u = registered("Ann@Example.com", "ann");
    CHECK(mr_str_is(u.email, "ann@example.com"));
    CHECK_INT(u.role, MR_ROLE_OWNER);
    CHECK_INT(mr_accounts_login(acc, MR_LIT("ANN@example.com"), MR_LIT("secure-password"), &arena,
                                &in, &e),
              0);
    CHECK(mr_id_eq(in.id, u.id) && mr_id_eq(in.account, u.account));
    CHECK_INT(auth(token_of(&u), &who), 0);
    CHECK(mr_id_eq(who.account, u.account) && mr_id_eq(who.user, u.id));
    CHECK_INT(who.scopes, MR_SCOPE_ALL);
    CHECK(!who.operator_);
    /* one message for both */
    struct mr_err other = {0};
    CHECK_INT(mr_accounts_login(acc, MR_LIT("ann@example.com"), MR_LIT("wrong"), &arena, &in, &e),
              MR_EUNAUTH);
    CHECK_INT(
        mr_accounts_login(acc, MR_LIT("nobody@example.com"), MR_LIT("x"), &arena, &in, &other),
        MR_EUNAUTH);
    CHECK_STR(other.msg, e.msg);
    end();
}

MR_TEST(taken_names_are_conflicts_and_change_nothing) {
    struct mr_registration same_mail, same_name;
    struct mr_user u;
    struct mr_err e = {0};
    begin();
    registered("ann@example.com", "ann");
    same_mail = form("ANN@example.com", "other");
    same_name = form("other@example.com", "ann");
    CHECK_INT(mr_accounts_register(acc, &same_mail, &arena, &u, &e), MR_ECONFLICT);
    CHECK_STR(e.field, "email");
    CHECK_INT(mr_accounts_register(acc, &same_name, &arena, &u, &e), MR_ECONFLICT);
    CHECK_STR(e.field, "username");
    registered("other@example.com", "other"); /* the refused ones left no row */
    end();
}

static struct mr_str make_key(const struct mr_principal *who, uint32_t scopes,
                              struct mr_api_key *ret) {
    struct mr_str secret = {NULL, 0};
    struct mr_err e = {0};
    *ret = (struct mr_api_key){.name = MR_LIT("k"), .scopes = scopes, .budget_nanousd = -1};
    CHECK_INT(mr_accounts_key_create(acc, who, ret, &arena, &secret, &e), 0);
    return secret;
}

MR_TEST(keys_serve_until_they_are_revoked) {
    struct mr_principal who, by_key;
    struct mr_api_key key, wide = {.name = MR_LIT("w"), .scopes = MR_SCOPE_ALL};
    struct mr_api_key *list;
    struct mr_err e = {0};
    struct mr_str secret;
    size_t n;
    begin();
    struct mr_user u = registered("ann@example.com", "ann");
    struct mr_user stranger = registered("bob@example.com", "bob");
    CHECK_INT(auth(token_of(&u), &who), 0);
    secret = make_key(&who, MR_SCOPE_READ | MR_SCOPE_PREDICT, &key);
    CHECK(mr_str_starts(secret, MR_LIT("mrk_")) && secret.n > 40);
    for (int i = 0; i < 3; i++) /* from the database, then from the thread's cache */
        CHECK_INT(auth(secret, &by_key), 0);
    CHECK_INT(by_key.scopes, MR_SCOPE_READ | MR_SCOPE_PREDICT);
    CHECK(mr_id_eq(by_key.key, key.id) && mr_id_eq(by_key.account, u.account));
    CHECK_INT(mr_accounts_key_create(acc, &by_key, &wide, &arena, &secret, &e), MR_EFORBIDDEN);
    CHECK_INT(mr_accounts_key_list(acc, u.account, &arena, &list, &n, &e), 0);
    CHECK_INT(n, 1);
    CHECK_INT(mr_accounts_key_revoke(acc, stranger.account, key.id, &e), MR_ENOTFOUND);
    CHECK_INT(auth(secret, &by_key), 0);
    CHECK_INT(mr_accounts_key_revoke(acc, u.account, key.id, &e), 0);
    CHECK_INT(auth(secret, &by_key), MR_EUNAUTH);
    CHECK_INT(mr_accounts_key_revoke(acc, u.account, key.id, &e), MR_ENOTFOUND);
    CHECK_INT(mr_accounts_key_list(acc, u.account, &arena, &list, &n, &e), 0);
    CHECK_INT(n, 0);
    end();
}

MR_TEST(expired_keys_and_foreign_tokens_are_refused) {
    struct mr_principal who;
    struct mr_err e = {0};
    struct mr_str secret;
    begin();
    struct mr_user u = registered("ann@example.com", "ann");
    struct mr_str token = token_of(&u);
    CHECK_INT(auth(token, &who), 0);
    struct mr_api_key key = {.name = MR_LIT("k"), .scopes = 1, .expires_us = mr_now_us() - 1};
    CHECK_INT(mr_accounts_key_create(acc, &who, &key, &arena, &secret, &e), 0);
    CHECK_INT(auth(secret, &who), MR_EUNAUTH);
    CHECK_INT(auth(MR_LIT(""), &who), MR_EUNAUTH);
    CHECK_INT(auth(MR_LIT("mrk_nothing"), &who), MR_EUNAUTH);
    char *bent = mr_arena_strn(&arena, token.p, token.n);
    bent[token.n / 2] = bent[token.n / 2] == 'A' ? 'B' : 'A';
    CHECK_INT(auth(mr_strn(bent, token.n), &who), MR_EUNAUTH);
    end();
}

MR_TEST(members_come_by_invitation_and_leave_with_their_keys) {
    struct mr_principal owner, member;
    struct mr_user *list, u, guest;
    struct mr_api_key key;
    struct mr_err e = {0};
    struct mr_str invitation, secret, token;
    int64_t until;
    size_t n;
    begin();
    u = registered("ann@example.com", "ann");
    CHECK_INT(auth(token_of(&u), &owner), 0);
    CHECK_INT(mr_accounts_invite(acc, &owner, MR_LIT("Bob@example.com"), MR_ROLE_MEMBER, &arena,
                                 &invitation, &until, &e),
              0);
    struct mr_registration in = form("eve@example.com", "eve");
    in.invitation = invitation;
    CHECK_INT(mr_accounts_register(acc, &in, &arena, &guest, &e), MR_EFIELD);
    in.email = MR_LIT("bob@example.com");
    CHECK_INT(mr_accounts_register(acc, &in, &arena, &guest, &e), 0);
    CHECK(mr_id_eq(guest.account, u.account));
    CHECK_INT(guest.role, MR_ROLE_MEMBER);
    in.email = MR_LIT("bob2@example.com");
    in.username = MR_LIT("bob2");
    CHECK_INT(mr_accounts_register(acc, &in, &arena, &guest, &e), MR_EFIELD); /* used up */
    CHECK_INT(mr_accounts_login(acc, MR_LIT("bob@example.com"), in.password, &arena, &guest, &e),
              0);
    CHECK_INT(mr_accounts_members(acc, u.account, &arena, &list, &n, &e), 0);
    CHECK_INT(n, 2);
    token = token_of(&guest);
    CHECK_INT(auth(token, &member), 0);
    CHECK_INT(member.scopes, MR_SCOPE_READ | MR_SCOPE_WRITE | MR_SCOPE_PREDICT);
    secret = make_key(&member, MR_SCOPE_READ, &key);
    CHECK_INT(auth(secret, &member), 0);
    CHECK_INT(mr_accounts_member_remove(acc, u.account, u.id, &e), MR_ECONFLICT);
    CHECK_INT(auth(token_of(&u), &owner), 0); /* the refusal undid the delete */
    CHECK_INT(mr_accounts_member_remove(acc, u.account, guest.id, &e), 0);
    CHECK_INT(auth(token, &member), MR_EUNAUTH);
    CHECK_INT(auth(secret, &member), MR_EUNAUTH);
    CHECK_INT(mr_accounts_member_remove(acc, u.account, guest.id, &e), MR_ENOTFOUND);
    end();
}

/* Whatever key the settings name is the operator's, also one that was replaced or revoked. */
MR_TEST(the_operators_key_follows_the_settings) {
    static const char *const keys[] = {"operator-key-number-1", "operator-key-number-2",
                                       "operator-key-number-1"};
    struct mr_principal who;
    struct mr_err e = {0};
    begin();
    CHECK_INT(auth(mr_accounts_owner_key(acc), &who), 0);
    CHECK(who.operator_);
    for (int i = 0; i < 3; i++) {
        mr_accounts_free(acc);
        acc = NULL;
        CHECK_INT(open_accounts(keys[i], &e), 0);
        if (!acc)
            break;
        CHECK_INT(auth(mr_str(keys[i]), &who), 0);
        CHECK(who.operator_);
        if (i)
            CHECK_INT(auth(mr_str(keys[i - 1]), &who), MR_EUNAUTH);
    }
    CHECK_INT(auth(mr_str(keys[0]), &who), 0);
    CHECK_INT(mr_accounts_key_revoke(acc, who.account, who.key, &e), 0);
    CHECK_INT(auth(mr_str(keys[0]), &who), MR_EUNAUTH);
    mr_accounts_free(acc);
    acc = NULL;
    CHECK_INT(open_accounts(keys[0], &e), 0);
    CHECK_INT(auth(mr_str(keys[0]), &who), 0);
    end();
}

/* Every allocation of a call fails once: an error, and nothing half-done. */
MR_TEST(out_of_memory_is_an_error) {
    struct mr_principal owner, who;
    struct mr_err e = {0};
    struct mr_str secret, invitation;
    struct mr_api_key *list;
    int64_t until;
    size_t n, made;
    begin();
    struct mr_user u = registered("ann@example.com", "ann");
    struct mr_str token = token_of(&u);
    CHECK_INT(auth(token, &owner), 0);
    int rc = MR_ENOMEM;
    for (size_t nth = 1; rc && nth < 50; nth++) {
        struct mr_arena small;
        mr_arena_init(&small, 1 << 20);
        struct mr_api_key key = {.name = MR_LIT("k"), .scopes = 1, .budget_nanousd = -1};
        mr_alloc_fail_at(nth);
        rc = mr_accounts_key_create(acc, &owner, &key, &small, &secret, &e);
        made = mr_alloc_fail_at(0);
        CHECK(!rc || rc == MR_ENOMEM);
        if (!rc) {
            CHECK(made < nth || secret.n > 40);
            CHECK_INT(auth(secret, &who), 0);
        }
        mr_arena_release(&small);
    }
    CHECK_INT(rc, 0);
    CHECK_INT(mr_accounts_key_list(acc, u.account, &arena, &list, &n, &e), 0);
    CHECK_INT(n, 1); /* none of the failed ones */
    rc = MR_ENOMEM;
    for (size_t nth = 1; rc && nth < 50; nth++) {
        struct mr_arena small;
        mr_arena_init(&small, 1 << 20);
        mr_alloc_fail_at(nth);
        rc = mr_accounts_invite(acc, &owner, MR_LIT("bob@example.com"), MR_ROLE_MEMBER, &small,
                                &invitation, &until, &e);
        mr_alloc_fail_at(0);
        CHECK(!rc || rc == MR_ENOMEM);
        if (!rc)
            CHECK(mr_str_starts(invitation, MR_LIT("inv_")));
        mr_arena_release(&small);
    }
    CHECK_INT(rc, 0);
    rc = MR_ENOMEM;
    for (size_t nth = 1; rc && nth < 100; nth++) {
        struct mr_tmp dir;
        struct mr_accounts *other = NULL;
        mr_tmp_make(&dir);
        struct mr_accounts_config c = {.db = db, .data_dir = dir.dir};
        mr_alloc_fail_at(nth);
        rc = mr_accounts_open(&c, &other, &e);
        mr_alloc_fail_at(0);
        if (rc) { /* and the folder that it left is one to start from */
            int again = mr_accounts_open(&c, &other, &e);
            CHECK_INT(again, 0);
        }
        mr_accounts_free(other);
        mr_tmp_remove(&dir);
    }
    CHECK_INT(rc, 0);
    end();
}

/* What a login by the owner key gave ends with that key, and a stolen refresh token with its login.
 */
MR_TEST(logins_that_last) {
    struct mr_session_tokens t, next, ignored;
    struct mr_principal who;
    struct mr_err e = {0};
    begin();
    struct mr_str key = mr_accounts_owner_key(acc);
    CHECK_INT(mr_session_login(acc, MR_LIT("owner"), key, &arena, &t, &e), 0);
    CHECK_INT(auth(t.access, &who), 0);
    CHECK(who.operator_ && who.expires_us < INT64_MAX);
    CHECK_INT(mr_session_login(acc, MR_LIT("Owner"), key, &arena, &ignored, &e), MR_EUNAUTH);
    mr_accounts_free(acc);
    CHECK_INT(open_accounts("another-owner-key", &e), 0);
    CHECK_INT(auth(t.access, &who), MR_EUNAUTH);
    CHECK_INT(mr_session_refresh(acc, t.refresh, &arena, &next, &e), MR_EUNAUTH);
    registered("a@example.com", "ann");
    CHECK_INT(mr_session_login(acc, MR_LIT("ann"), MR_LIT("secure-password"), &arena, &t, &e), 0);
    CHECK_INT(mr_session_refresh(acc, t.refresh, &arena, &next, &e), 0);
    CHECK_INT(auth(t.access, &who), 0);
    CHECK_INT(auth(next.access, &who), 0);
    CHECK_INT(mr_session_refresh(acc, t.refresh, &arena, &ignored, &e), MR_EUNAUTH);
    CHECK_INT(auth(t.access, &who), MR_EUNAUTH); /* at once, also what was cached */
    CHECK_INT(auth(next.access, &who), MR_EUNAUTH);
    CHECK_INT(mr_session_refresh(acc, next.refresh, &arena, &ignored, &e), MR_EUNAUTH);
    end();
}

MR_TEST_MAIN(CASE(logins_that_last), CASE(registers_and_logs_in),
             CASE(taken_names_are_conflicts_and_change_nothing),
             CASE(keys_serve_until_they_are_revoked),
             CASE(expired_keys_and_foreign_tokens_are_refused),
             CASE(members_come_by_invitation_and_leave_with_their_keys),
             CASE(the_operators_key_follows_the_settings), CASE(out_of_memory_is_an_error))
