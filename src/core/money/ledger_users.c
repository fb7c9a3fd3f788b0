#include "base/clock.h"
#include "base/hash.h"
#include "core/money/ledger_priv.h"

enum { NAME_MAX_BYTES = 256 };

static int name_ok(struct mr_str name, struct mr_err *e) {
    if (!name.p || !name.n || name.n > NAME_MAX_BYTES)
        return mr_fail_field(e, MR_EFIELD, "user_id", "user_id must have 1 to %d bytes",
                             NAME_MAX_BYTES);
    return mr_utf8_valid(name) ? 0 : mr_fail_field(e, MR_EFIELD, "user_id", "user_id is not UTF-8");
}

static int find(struct mr_tx *tx, struct mr_id account, struct mr_str name, int64_t *ret,
                struct mr_err *e) {
    struct mr_stmt *s;
    int rc = mr_db_prepare(tx, "SELECT id FROM end_users WHERE account = ?1 AND name = ?2", &s, e);
    if (rc)
        return rc;
    mr_db_bind_id(s, 1, account);
    mr_db_bind_str(s, 2, name);
    rc = mr_db_step(s, e);
    if (rc < 0)
        return rc;
    *ret = rc == 1 ? mr_db_i64(s, 0) : 0;
    mr_db_done(s);
    return 0;
}

static struct mr_known_user *slot_of(struct mr_ledger *l, struct mr_id account,
                                     struct mr_str name) {
    uint64_t h = mr_hash64(name) ^ mr_hash64(mr_strn((const char *)account.b, sizeof account.b));
    return &l->known[h % MR_KNOWN_USERS];
}

static bool is_known(const struct mr_known_user *k, struct mr_id account, struct mr_str name) {
    return k->id && k->name_n == name.n && memcmp(k->name, name.p, name.n) == 0 &&
           mr_id_eq(k->account, account);
}

static void know(struct mr_known_user *k, struct mr_id account, struct mr_str name, int64_t id) {
    if (name.n > sizeof k->name)
        return;
    *k = (struct mr_known_user){.account = account, .id = id, .name_n = name.n};
    memcpy(k->name, name.p, name.n);
}

int mr_end_user_in(struct mr_ledger *l, struct mr_tx *tx, struct mr_id account, struct mr_str name,
                   int64_t *ret, struct mr_err *e) {
    int64_t id = 0;
    int rc = name_ok(name, e);
    if (rc)
        return rc;
    struct mr_known_user *k = slot_of(l, account, name);
    if (is_known(k, account, name)) {
        *ret = k->id;
        return 0;
    }
    rc = find(tx, account, name, &id, e);
    if (rc == 0 && id && !(l->fresh_serial == mr_db_serial(tx) && id >= l->fresh_user))
        know(k, account, name, id);
    if (rc == 0 && !id) {
        struct mr_stmt *s;
        rc = mr_db_prepare(
            tx, "INSERT INTO end_users(id, account, name, created_at) VALUES(?1, ?2, ?3, ?4)", &s,
            e);
        if (rc)
            return rc;
        id = atomic_fetch_add(&l->next_user, 1);
        if (l->fresh_serial != mr_db_serial(tx)) {
            l->fresh_serial = mr_db_serial(tx);
            l->fresh_user = id;
        }
        mr_db_bind_i64(s, 1, id);
        mr_db_bind_id(s, 2, account);
        mr_db_bind_str(s, 3, name);
        mr_db_bind_i64(s, 4, mr_now_us());
        rc = mr_db_exec(s, e);
    }
    if (rc == 0)
        *ret = id;
    return rc;
}

struct query {
    struct mr_id account;
    struct mr_str name;
    int64_t id;
};

static int find_tx(struct mr_tx *tx, void *arg, struct mr_err *e) {
    struct query *q = arg;
    return find(tx, q->account, q->name, &q->id, e);
}

int mr_end_user_find(struct mr_ledger *l, struct mr_id account, struct mr_str name, int64_t *ret,
                     struct mr_err *e) {
    struct query q = {account, name, 0};
    int rc = name_ok(name, e);
    if (rc == 0)
        rc = mr_db_read(l->db, find_tx, &q, e);
    if (rc == 0)
        *ret = q.id;
    return rc;
}
