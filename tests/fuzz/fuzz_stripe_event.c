/* Signed events of any content: refused or booked, a second delivery changes nothing, and the books
 * hold only positive amounts of three-letter currencies. */
#include "base/buf.h"
#include "base/clock.h"
#include "base/codec.h"
#include "base/hash.h"
#include "core/billing/billing.h"

#include <stdlib.h>

#define SECRET  "whsec_fuzz"
#define RENEWAL 3000 /* runs with one database */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct mr_db *db;
static struct mr_zone *utc;
static struct mr_price_book *prices;
static struct mr_ledger *ledger;
static struct mr_billing *billing;
static struct mr_err err;

static void must(bool ok) {
    if (!ok)
        abort();
}

static int add_account(struct mr_tx *tx, void *arg, struct mr_err *e) {
    struct mr_stmt *s;
    int rc = mr_db_prepare(tx,
                           "INSERT INTO accounts(id, name, kind, tier, created_at) "
                           "VALUES(?1, 'a', 'personal', 'free', 1)",
                           &s, e);
    if (rc)
        return rc;
    mr_db_bind_id(s, 1, *(struct mr_id *)arg);
    return mr_db_exec(s, e);
}

static void close_all(void) {
    mr_billing_free(billing);
    mr_ledger_free(ledger);
    mr_db_close(db);
    billing = NULL;
    ledger = NULL;
    db = NULL;
}

static void open_all(void) {
    struct mr_id account;
    struct mr_db_config dc = {.path = ":memory:"};
    must(mr_id_parse(MR_LIT("0123456789abcdef0123456789abcdef"), &account));
    if (!utc)
        must(!mr_zone_open(MR_LIT("UTC"), &utc, &err) &&
             !mr_price_book_open(NULL, NULL, &prices, &err));
    must(!mr_db_open(&dc, &db, &err) && !mr_db_write(db, add_account, &account, &err));
    struct mr_ledger_config lc = {.db = db, .prices = prices, .zone = utc};
    must(!mr_ledger_open(&lc, &ledger, &err));
    struct mr_billing_config bc = {
        .db = db, .ledger = ledger, .webhook_secret = SECRET, .operator_account = account};
    must(!mr_billing_open(&bc, &billing, &err));
}

struct totals {
    int64_t rows, ids, bad;
};

static int sum(struct mr_tx *tx, void *arg, struct mr_err *e) {
    struct totals *t = arg;
    struct mr_stmt *s;
    int rc = mr_db_prepare(tx,
                           "SELECT COUNT(*), SUM(id), SUM(CASE WHEN amount <= 0 OR "
                           "LENGTH(currency) <> 3 THEN 1 ELSE 0 END) FROM ledger",
                           &s, e);
    if (rc || (rc = mr_db_step(s, e)) <= 0)
        return rc;
    *t = (struct totals){mr_db_i64(s, 0), mr_db_i64(s, 1), mr_db_i64(s, 2)};
    mr_db_done(s);
    return 0;
}

static int deliver(struct mr_str body) {
    struct mr_buf message, header;
    uint8_t mac[MR_SHA256_LEN];
    char t[32];
    snprintf(t, sizeof t, "%lld", (long long)(mr_now_us() / 1000000));
    mr_buf_init(&message, 1 << 21);
    mr_buf_init(&header, 256);
    mr_buf_cstr(&message, t);
    mr_buf_char(&message, '.');
    mr_buf_str(&message, body);
    mr_hmac_sha256(MR_LIT(SECRET), mr_buf_view(&message), mac);
    mr_buf_cstr(&header, "t=");
    mr_buf_cstr(&header, t);
    mr_buf_cstr(&header, ",v1=");
    mr_hex_add(&header, mac, sizeof mac);
    int rc = mr_billing_event(billing, mr_buf_view(&header), body, &err);
    mr_buf_release(&message);
    mr_buf_release(&header);
    return rc;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static int runs;
    struct mr_str body = mr_strn((const char *)data, size);
    struct totals once = {0}, twice = {0};
    if (runs++ % RENEWAL == 0) {
        close_all();
        open_all();
    }
    int rc = deliver(body);
    if (rc == MR_EINVAL || rc == MR_EFIELD)
        return 0;
    must(!rc && !mr_db_write(db, sum, &once, &err));
    must(!deliver(body) && !mr_db_write(db, sum, &twice, &err));
    must(once.rows == twice.rows && once.ids == twice.ids && !twice.bad);
    return 0;
}
