#include "core/replies/replies.h"

#include "base/alloc.h"
#include "base/clock.h"

#define KEEP_US 86400000000ll

struct begin {
    const struct mr_reply_key *k;
    int64_t since_us;
    struct mr_arena *arena;
    struct mr_reply found;
    bool again;
};

static int prune(struct mr_tx *tx, int64_t now_us, struct mr_err *e) {
    struct mr_stmt *s;
    int rc = mr_db_prepare(tx, "DELETE FROM api_replies WHERE created_at < ?1", &s, e);
    if (rc)
        return rc;
    mr_db_bind_i64(s, 1, now_us - KEEP_US);
    return mr_db_exec(s, e);
}

static int insert(struct mr_tx *tx, const struct mr_reply_key *k, int64_t now_us,
                  struct mr_err *e) {
    struct mr_stmt *s;
    int rc = mr_db_prepare(tx,
                           "INSERT OR REPLACE INTO api_replies (account_id, idem_key, body_hash, "
                           "status, type, body, created_at) VALUES (?1, ?2, ?3, 0, '', x'', ?4)",
                           &s, e);
    if (rc)
        return rc;
    mr_db_bind_id(s, 1, k->account);
    mr_db_bind_str(s, 2, k->key);
    mr_db_bind_blob(s, 3, k->body_hash, sizeof k->body_hash);
    mr_db_bind_i64(s, 4, now_us);
    return mr_db_exec(s, e);
}

/* The row that the statement stands on. */
static int look(struct begin *b, struct mr_stmt *s, bool *ret_free, struct mr_err *e) {
    struct mr_str hash = mr_db_blob(s, 0);
    int status = (int)mr_db_i64(s, 1);
    if (hash.n != sizeof b->k->body_hash || memcmp(hash.p, b->k->body_hash, hash.n) != 0)
        return mr_fail_field(e, MR_EFIELD, "Idempotency-Key",
                             "this Idempotency-Key was used for another request");
    if (!status && mr_db_i64(s, 4) >= b->since_us)
        return mr_fail(e, MR_ECONFLICT,
                       "the first request with this Idempotency-Key is still under way");
    *ret_free = !status;
    if (!status)
        return 0;
    struct mr_str body = mr_db_blob(s, 3);
    b->again = true;
    b->found = (struct mr_reply){.status = status,
                                 .type = mr_arena_keep(b->arena, mr_db_str(s, 2)),
                                 .body = mr_arena_keep(b->arena, body.p ? body : MR_LIT(""))};
    return b->found.type.p && b->found.body.p ? 0 : mr_fail(e, MR_ENOMEM, "out of memory");
}

static int begin_in(struct mr_tx *tx, void *arg, struct mr_err *e) {
    struct begin *b = arg;
    struct mr_stmt *s;
    int64_t now_us = mr_now_us();
    bool unused = true;
    int rc = prune(tx, now_us, e);
    if (!rc)
        rc = mr_db_prepare(tx,
                           "SELECT body_hash, status, type, body, created_at FROM api_replies "
                           "WHERE account_id = ?1 AND idem_key = ?2",
                           &s, e);
    if (rc)
        return rc;
    mr_db_bind_id(s, 1, b->k->account);
    mr_db_bind_str(s, 2, b->k->key);
    rc = mr_db_step(s, e);
    if (rc < 0)
        return rc;
    if (rc > 0) {
        rc = look(b, s, &unused, e);
        mr_db_done(s);
    }
    return rc || !unused ? rc : insert(tx, b->k, now_us, e);
}

int mr_reply_begin(struct mr_db *db, const struct mr_reply_key *k, int64_t since_us,
                   struct mr_arena *arena, struct mr_reply *ret, bool *ret_again,
                   struct mr_err *e) {
    struct begin b = {.k = k, .since_us = since_us, .arena = arena};
    if (!k->key.n || k->key.n > 255)
        return mr_fail_field(e, MR_EFIELD, "Idempotency-Key",
                             "an Idempotency-Key has 1 to 255 bytes");
    int rc = mr_db_write(db, begin_in, &b, e);
    if (rc)
        return rc;
    *ret = b.found;
    *ret_again = b.again;
    return 0;
}

struct end {
    struct mr_reply_key k;
    struct mr_reply r;
    bool keep;
    char bytes[]; /* key, type, body */
};

static int end_in(struct mr_tx *tx, void *arg, struct mr_err *e) {
    struct end *n = arg;
    struct mr_stmt *s;
    int rc = mr_db_prepare(tx,
                           n->keep ? "UPDATE api_replies SET status = ?3, type = ?4, body = ?5 "
                                     "WHERE account_id = ?1 AND idem_key = ?2"
                                   : "DELETE FROM api_replies WHERE account_id = ?1 AND idem_key = "
                                     "?2 AND status = 0",
                           &s, e);
    if (rc)
        return rc;
    mr_db_bind_id(s, 1, n->k.account);
    mr_db_bind_str(s, 2, n->k.key);
    if (n->keep) {
        mr_db_bind_i64(s, 3, n->r.status);
        mr_db_bind_str(s, 4, n->r.type);
        mr_db_bind_blob(s, 5, n->r.body.p, n->r.body.n);
    }
    return mr_db_exec(s, e);
}

static void ended(void *arg, int rc, const struct mr_err *err) {
    (void)rc; /* the key stays under way until the next start: the client is told so */
    (void)err;
    mr_free(arg);
}

void mr_reply_end(struct mr_db *db, const struct mr_reply_key *k, const struct mr_reply *r) {
    static const char too_large[] =
        "{\"error\":{\"message\":\"the reply to this Idempotency-Key was too large to be kept\","
        "\"type\":\"invalid_request_error\",\"param\":\"Idempotency-Key\",\"code\":null}}";
    struct mr_reply big = {
        .status = 409, .type = MR_LIT("application/json"), .body = mr_str(too_large)};
    if (r && r->body.n > MR_REPLY_MAX)
        r = &big;
    size_t type = r ? r->type.n : 0, body = r ? r->body.n : 0;
    struct end *n = mr_malloc(sizeof *n + k->key.n + type + body + 1);
    if (!n)
        return;
    *n = (struct end){.k = *k, .keep = r != NULL};
    char *p = n->bytes;
    memcpy(p, k->key.p, k->key.n);
    n->k.key = mr_strn(p, k->key.n);
    if (r) {
        n->r.status = r->status;
        p += k->key.n;
        memcpy(p, r->type.p, type);
        n->r.type = mr_strn(p, type);
        if (body)
            memcpy(p + type, r->body.p, body);
        n->r.body = mr_strn(p + type, body);
    }
    if (mr_db_write_async(db, end_in, n, ended))
        mr_free(n);
}
