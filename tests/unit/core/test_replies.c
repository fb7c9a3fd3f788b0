/* Replies kept under an Idempotency-Key, and counters of inference. */
#include "core/replies/replies.h"
#include "core/usage/infer_stats.h"
#include "mr_test.h"
#include "mr_tmp.h"

#include <time.h>

static struct mr_tmp tmp;
static struct mr_db *db;
static struct mr_arena arena;
static struct mr_err e;
static struct mr_reply got;
static bool again;

static void begin_db(void) {
    char path[300];
    mr_tmp_make(&tmp);
    struct mr_db_config c = {.path = mr_tmp_path(&tmp, "t.db", path)};
    if (mr_db_open(&c, &db, &e)) {
        fprintf(stderr, "%s\n", e.msg);
        exit(2);
    }
    mr_arena_init(&arena, 1 << 20);
}

static void end_db(void) {
    mr_db_close(db);
    mr_arena_release(&arena);
    mr_tmp_remove(&tmp);
}

static struct mr_reply_key key(const char *name, uint8_t body) {
    struct mr_reply_key k = {.key = mr_str(name)};
    memset(k.body_hash, body, sizeof k.body_hash);
    return k;
}

static int begin(const struct mr_reply_key *k, int64_t since_us) {
    again = false;
    return mr_reply_begin(db, k, since_us, &arena, &got, &again, &e);
}

/* Ends are written in the background: until the key says so. */
static int until_decided(const struct mr_reply_key *k) {
    int rc = MR_ECONFLICT;
    for (int i = 0; i < 5000 && rc == MR_ECONFLICT; i++) {
        rc = begin(k, 0);
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
    return rc;
}

MR_TEST(a_key_is_answered_once_and_then_from_the_store) {
    begin_db();
    struct mr_reply_key k = key("k", 1), other = key("k", 2), fresh = key("l", 1);
    CHECK_INT(begin(&k, 0), 0);
    CHECK(!again);
    CHECK_INT(begin(&k, 0), MR_ECONFLICT); /* under way */
    mr_reply_end(db, &k, &(struct mr_reply){200, MR_LIT("text/plain"), MR_LIT("hello")});
    CHECK_INT(until_decided(&k), 0);
    CHECK(again && got.status == 200 && mr_str_is(got.body, "hello"));
    CHECK(mr_str_is(got.type, "text/plain"));
    CHECK_INT(begin(&other, 0), MR_EFIELD);
    CHECK_STR(e.field, "Idempotency-Key");
    CHECK_INT(begin(&fresh, 0), 0);
    CHECK(!again);
    end_db();
}

MR_TEST(a_failure_and_an_earlier_process_free_the_key) {
    begin_db();
    struct mr_reply_key k = key("k", 1), stale = key("s", 1);
    CHECK_INT(begin(&k, 0), 0);
    mr_reply_end(db, &k, NULL);
    CHECK_INT(until_decided(&k), 0);
    CHECK(!again);
    CHECK_INT(begin(&stale, 0), 0);
    CHECK_INT(begin(&stale, 0), MR_ECONFLICT);
    CHECK_INT(begin(&stale, INT64_MAX), 0); /* what ran before this moment is over */
    CHECK(!again);
    end_db();
}

MR_TEST(keys_have_a_length) {
    begin_db();
    struct mr_reply_key none = key("", 1);
    CHECK_INT(begin(&none, 0), MR_EFIELD);
    end_db();
}

MR_TEST(inference_is_counted_by_model_and_version) {
    struct mr_infer_stats *s;
    struct mr_infer_totals t;
    struct mr_infer_key k = {.model = MR_LIT("m"), .version = 1}, v2 = k;
    v2.version = 2;
    CHECK_INT(mr_infer_stats_new(&s, &e), 0);
    mr_infer_stats_get(s, &k, &t);
    CHECK(!t.ok && !t.failed && !t.last_us);
    struct mr_infer_sample good = {
        .ok = true, .rows = 3, .queue_ns = 1, .input_ns = 2, .infer_ns = 3, .output_ns = 4};
    mr_infer_stats_add(s, &k, &good);
    mr_infer_stats_add(s, &k, &good);
    mr_infer_stats_add(s, &k, &(struct mr_infer_sample){.queue_ns = 7});
    mr_infer_stats_get(s, &k, &t);
    CHECK(t.ok == 2 && t.rows == 6 && t.ok_ns == 20 && t.infer_ns == 6);
    CHECK(t.failed == 1 && t.failed_ns == 7 && t.last_us > 0);
    mr_infer_stats_get(s, &v2, &t);
    CHECK(!t.ok && !t.failed);
    mr_infer_stats_free(s);
}

MR_TEST_MAIN(CASE(a_key_is_answered_once_and_then_from_the_store),
             CASE(a_failure_and_an_earlier_process_free_the_key), CASE(keys_have_a_length),
             CASE(inference_is_counted_by_model_and_version))
