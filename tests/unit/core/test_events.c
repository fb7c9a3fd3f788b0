/* Events and webhooks against a receiver on loopback. */
#include "base/alloc.h"
#include "base/clock.h"
#include "core/events/events.h"
#include "http/outbound.h"
#include "mr_receiver.h"
#include "mr_test.h"
#include "mr_tmp.h"

#define OK200 "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
#define E500  "HTTP/1.1 500 Oops\r\nContent-Length: 4\r\n\r\nbad\xff"

static struct mr_db *db;
static struct mr_events *ev;
static struct mr_id account, stranger;
static struct mr_arena arena;
static const int64_t quick[] = {0, 5, 5};
static int attempt_ms = 2000;

static void open_events(const int64_t *schedule, size_t n) {
    struct mr_events_config c = {.db = db,
                                 .allow_loopback = true,
                                 .schedule_ms = schedule,
                                 .n_schedule = n,
                                 .timeout_ms = attempt_ms,
                                 .workers = 2};
    struct mr_err e = {0};
    if (mr_events_open(&c, &ev, &e)) {
        fprintf(stderr, "%s\n", e.msg);
        exit(2);
    }
}

static void begin_on(const char *path) {
    struct mr_db_config c = {.path = path};
    if (mr_db_open(&c, &db, NULL))
        exit(2);
    account = mr_id_new();
    stranger = mr_id_new();
    mr_arena_init(&arena, 16 << 20);
    open_events(quick, 3);
}

static void begin(void) {
    begin_on(":memory:");
}

static void end(void) {
    mr_events_free(ev);
    mr_db_close(db);
    mr_arena_release(&arena);
}

static struct mr_webhook hook(const struct receiver *r, const char *secret) {
    char url[100];
    struct mr_str events[] = {MR_LIT("deployment.ready"), MR_LIT("prediction.error"),
                              MR_LIT("deployment.ready")};
    struct mr_webhook w = {0};
    struct mr_str made;
    struct mr_err e = {0};
    snprintf(url, sizeof url, "http://127.0.0.1:%d/hook", r->port);
    int rc = mr_webhook_create(ev, account, mr_str(url), events, 3, mr_str(secret), &arena, &w,
                               &made, &e);
    CHECK_INT(rc, 0);
    CHECK(!made.p);
    if (rc)
        fprintf(stderr, "%s\n", e.msg);
    return w;
}

static int emit_tx(struct mr_tx *tx, void *arg, struct mr_err *e) {
    return mr_event_emit(ev, tx, account, arg, MR_LIT("{\"n\":1}"), e);
}

static int emit_then_fail(struct mr_tx *tx, void *arg, struct mr_err *e) {
    int rc = emit_tx(tx, arg, e);
    return rc ? rc : mr_fail(e, MR_EINVAL, "no");
}

static void emit(const char *event) {
    CHECK_INT(mr_db_write(db, emit_tx, (void *)(uintptr_t)event, NULL), 0);
}

/* The newest delivery, when its status is (or becomes) `status`. */
static struct mr_delivery newest(struct mr_id webhook, const char *status) {
    struct mr_delivery *list = NULL;
    size_t n = 0;
    int64_t total;
    for (int i = 0; i < MR_PATIENCE_MS; i++) {
        CHECK_INT(
            mr_webhook_deliveries(ev, account, webhook, 10, 0, &arena, &list, &n, &total, NULL), 0);
        if (n > 0 && mr_str_is(list[0].status, status))
            return list[0];
        usleep(1000);
    }
    CHECK(!"the delivery reached its status");
    return n ? list[0] : (struct mr_delivery){0};
}

static int times(struct mr_str s, const char *what) {
    int n = 0;
    for (const char *p = s.p ? s.p : ""; (p = strstr(p, what)); p++)
        n++;
    return n;
}

/* Expected values: Python's hmac module, same key and text. */
MR_TEST(signatures_match_an_independent_computation) {
    struct mr_str body =
        MR_LIT("{\"event\":\"deployment.ready\",\"timestamp\":\"2024-01-15T10:35:00Z"
               "\",\"data\":{\"deployment_id\":\"dep-1\"}}");
    struct mr_webhook_signature s;
    struct mr_err e = {0};
    CHECK_INT(mr_webhook_sign(mr_str("whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="),
                              mr_str("msg_1"), 1705314900, body, &s, &e),
              0);
    CHECK_STR(s.standard, "v1,CELZC01JkvVvnT0sdImqYZewA5KFn1wH3Qfr9hlBF9o=");
    CHECK_STR(s.serveml, "sha256=05eba06569524b55ccb888373d2d08a5822245ddca1b9f02abe6722551f4d54a");
    CHECK_INT(mr_webhook_sign(mr_str("webhook-secret"), mr_str("msg_1"), 1705314900, body, &s, &e),
              0);
    CHECK_STR(s.standard, "v1,bqrKDpOLtozmpeTGOiFmTRKJk5hkm10bla0Xw4HSxMo=");
    CHECK_STR(s.serveml, "sha256=66490ceecf9369c8a7c873eb0514a16a080e3c83a56c0212874b347d030bfd36");
    static const char *const bad[] = {"", "whsec_", "whsec_!!", "whsec_AAE"};
    for (size_t i = 0; i < 4; i++) {
        CHECK_INT(mr_webhook_sign(mr_str(bad[i]), mr_str("m"), 1, body, &s, &e), MR_EFIELD);
        CHECK_STR(e.field, "secret");
    }
}

MR_TEST(an_event_is_delivered_signed) {
    begin();
    struct receiver r;
    const char *script[] = {OK200, NULL};
    receiver_start(&r, script);
    struct mr_webhook w = hook(&r, "webhook-secret");
    CHECK_INT(w.n_events, 2);   /* named twice, kept once */
    emit("deployment.created"); /* not wanted */
    CHECK_INT(mr_db_write(db, emit_then_fail, "deployment.ready", NULL), MR_EINVAL);
    CHECK_INT(mr_db_write(db, emit_tx, "no.such", NULL), MR_EINTERNAL);
    emit("deployment.ready");
    CHECK(receiver_wait(&r, 1));
    struct mr_delivery d = newest(w.id, "delivered");
    CHECK_INT(times(d.attempts, "\"attempt\":"), 1);
    CHECK(times(d.attempts, "\"status_code\":200") && times(d.attempts, "\"response\":\"ok\""));
    char id[100], stamp[100], sig[100], own[100], name[100], type[100];
    receiver_header(&r, 0, "webhook-id", id, sizeof id);
    receiver_header(&r, 0, "webhook-timestamp", stamp, sizeof stamp);
    receiver_header(&r, 0, "webhook-signature", sig, sizeof sig);
    receiver_header(&r, 0, "x-serveml-signature", own, sizeof own);
    CHECK_STR(receiver_header(&r, 0, "x-serveml-event", name, sizeof name), "deployment.ready");
    CHECK_STR(receiver_header(&r, 0, "content-type", type, sizeof type), "application/json");
    CHECK(strncmp(id, "msg_", 4) == 0);
    const char *body = receiver_body(&r, 0);
    CHECK(strncmp(body, "{\"event\":\"deployment.ready\",\"timestamp\":\"20", 43) == 0);
    CHECK(strstr(body, "Z\",\"data\":{\"n\":1}}") != NULL);
    struct mr_webhook_signature want;
    int64_t at = strtoll(stamp, NULL, 10);
    CHECK(llabs(at - mr_now_us() / 1000000) < 30);
    CHECK_INT(mr_webhook_sign(mr_str("webhook-secret"), mr_str(id), at, mr_str(body), &want, NULL),
              0);
    CHECK_STR(sig, want.standard);
    CHECK_STR(own, want.serveml);
    CHECK_INT(receiver_count(&r), 1);
    receiver_stop(&r);
    end();
}

MR_TEST(failures_are_retried_then_dead_then_replayed) {
    begin();
    struct receiver r;
    const char *script[] = {E500, "HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\n\r\n",
                            "garbage\r\n\r\n", OK200, NULL};
    receiver_start(&r, script);
    struct mr_webhook w = hook(&r, "s");
    emit("prediction.error");
    struct mr_delivery d = newest(w.id, "dead");
    CHECK_INT(receiver_count(&r), 3);
    CHECK_INT(times(d.attempts, "\"attempt\":"), 3);
    CHECK(times(d.attempts, "\"status_code\":500") && times(d.attempts, "bad\xEF\xBF\xBD"));
    CHECK(times(d.attempts, "\"status_code\":302") == 1);
    CHECK(times(d.attempts, "\"status_code\":0") == 1);
    CHECK_INT(d.next_us, 0);
    char first[100], later[100];
    receiver_header(&r, 0, "webhook-id", first, sizeof first);
    for (int i = 1; i < 3; i++)
        CHECK_STR(receiver_header(&r, i, "webhook-id", later, sizeof later), first);
    CHECK_STR(receiver_body(&r, 2), receiver_body(&r, 0));
    struct mr_id again;
    CHECK_INT(mr_webhook_replay(ev, stranger, w.id, d.id, &again, NULL), MR_ENOTFOUND);
    CHECK_INT(mr_webhook_replay(ev, account, d.id, d.id, &again, NULL), MR_ENOTFOUND);
    CHECK_INT(mr_webhook_replay(ev, account, w.id, d.id, &again, NULL), 0);
    CHECK(receiver_wait(&r, 4));
    struct mr_delivery d2 = newest(w.id, "delivered");
    CHECK(mr_id_eq(d2.id, again) && !mr_id_eq(d2.id, d.id));
    CHECK_STR(receiver_header(&r, 3, "webhook-id", later, sizeof later), first);
    receiver_stop(&r);
    end();
}

MR_TEST(gone_disables) {
    begin();
    struct receiver r;
    const char *script[] = {"HTTP/1.1 410 Gone\r\nContent-Length: 0\r\n\r\n", OK200, NULL};
    receiver_start(&r, script);
    struct mr_webhook w = hook(&r, "s");
    struct mr_id id;
    CHECK_INT(mr_webhook_test(ev, account, w.id, &id, NULL), 0);
    struct mr_delivery d = newest(w.id, "dead");
    CHECK(mr_id_eq(d.id, id) && mr_str_is(d.event, "webhook.test"));
    CHECK(strstr(receiver_body(&r, 0), "{\"event\":\"webhook.test\"") != NULL);
    CHECK_INT(mr_webhook_get(ev, account, w.id, &arena, &w, NULL), 0);
    CHECK(!w.active && w.disabled_reason.n > 0);
    emit("deployment.ready");
    CHECK_INT(mr_webhook_test(ev, account, w.id, &id, NULL), MR_ECONFLICT);
    CHECK_INT(mr_webhook_replay(ev, account, w.id, d.id, &id, NULL), MR_ECONFLICT);
    usleep(50000);
    CHECK_INT(receiver_count(&r), 1);
    receiver_stop(&r);
    end();
}

MR_TEST(retry_after_is_honoured) {
    begin();
    struct receiver r;
    const char *script[] = {"HTTP/1.1 429 Slow\r\nRetry-After: 100\r\nContent-Length: 0\r\n\r\n",
                            OK200, NULL};
    receiver_start(&r, script);
    struct mr_webhook w = hook(&r, "s");
    emit("deployment.ready");
    CHECK(receiver_wait(&r, 1));
    struct mr_delivery d = {0};
    for (int i = 0; i < MR_PATIENCE_MS && times(d.attempts, "429") == 0; i++) {
        usleep(1000);
        d = newest(w.id, "pending");
    }
    CHECK(d.next_us > mr_now_us() + 90000000 && d.next_us < mr_now_us() + 110000000);
    receiver_stop(&r);
    end();
}

MR_TEST(a_slow_receiver_does_not_hold_up_others) {
    attempt_ms = 2 * MR_PATIENCE_MS;
    begin();
    attempt_ms = 2000;
    struct receiver slow, fast;
    const char *hang[] = {"hang", NULL}, *ok[] = {OK200, NULL};
    receiver_start(&slow, hang);
    receiver_start(&fast, ok);
    struct mr_webhook w = hook(&slow, "s");
    hook(&fast, "s");
    for (int i = 0; i < 10; i++)
        emit("deployment.ready");
    CHECK(receiver_wait(&fast, 10));
    CHECK_INT(receiver_count(&slow), 1);                      /* one at a time */
    CHECK_INT(mr_webhook_delete(ev, account, w.id, NULL), 0); /* while it is under way */
    receiver_stop(&slow);
    receiver_stop(&fast);
    end();
}

MR_TEST(what_a_crash_left_is_tried_again) {
    struct mr_tmp tmp;
    char path[300];
    mr_tmp_make(&tmp);
    begin_on(mr_tmp_path(&tmp, "a.db", path));
    struct receiver r;
    const char *script[] = {OK200, NULL};
    receiver_start(&r, script);
    struct mr_webhook w = hook(&r, "s");
    mr_events_free(ev);
    ev = NULL; /* nobody delivers */
    emit("deployment.ready");
    mr_db_close(db);
    struct mr_db_config c = {.path = path};
    CHECK_INT(mr_db_open(&c, &db, NULL), 0);
    CHECK_INT(receiver_count(&r), 0);
    open_events(quick, 3);
    CHECK(receiver_wait(&r, 1));
    newest(w.id, "delivered");
    receiver_stop(&r);
    end();
    mr_tmp_remove(&tmp);
}

MR_TEST(the_registry_checks_and_keeps_accounts_apart) {
    begin();
    struct mr_webhook w, *list;
    struct mr_str secret, all = MR_LIT("*"), wrong = MR_LIT("deployment.explode");
    struct mr_err e = {0};
    size_t n;
    CHECK_INT(mr_webhook_create(ev, account, mr_str("http://10.0.0.1/"), &all, 1,
                                (struct mr_str){0}, &arena, &w, &secret, &e),
              MR_EFIELD);
    CHECK_STR(e.field, "url");
    CHECK_INT(mr_webhook_create(ev, account, mr_str("https://a.example/"), &wrong, 1,
                                (struct mr_str){0}, &arena, &w, &secret, &e),
              MR_EFIELD);
    CHECK_STR(e.field, "events");
    CHECK_INT(mr_webhook_create(ev, account, mr_str("https://a.example/"), &all, 0,
                                (struct mr_str){0}, &arena, &w, &secret, &e),
              MR_EFIELD);
    CHECK_INT(mr_webhook_create(ev, account, mr_str("https://a.example/"), &all, 1, MR_LIT(""),
                                &arena, &w, &secret, &e),
              MR_EFIELD);
    CHECK_STR(e.field, "secret");
    CHECK_INT(mr_webhook_create(ev, account, mr_str("https://a.example/"), &all, 1,
                                (struct mr_str){0}, &arena, &w, &secret, &e),
              0);
    CHECK(mr_str_starts(secret, MR_LIT("whsec_")) && secret.n == 50);
    CHECK(w.active && mr_str_is(w.url, "https://a.example/") && mr_str_is(w.events[0], "*"));
    CHECK_INT(mr_webhook_get(ev, stranger, w.id, &arena, &w, &e), MR_ENOTFOUND);
    CHECK_INT(mr_webhook_delete(ev, stranger, w.id, &e), MR_ENOTFOUND);
    struct mr_id id;
    CHECK_INT(mr_webhook_test(ev, stranger, w.id, &id, &e), MR_ENOTFOUND);
    struct mr_delivery *d;
    int64_t total;
    CHECK_INT(mr_webhook_deliveries(ev, stranger, w.id, 10, 0, &arena, &d, &n, &total, &e),
              MR_ENOTFOUND);
    CHECK_INT(mr_webhook_deliveries(ev, account, w.id, 0, 0, &arena, &d, &n, &total, &e),
              MR_EFIELD);
    CHECK_INT(mr_webhook_list(ev, stranger, &arena, &list, &n, NULL), 0);
    CHECK_INT(n, 0);
    CHECK_INT(mr_webhook_list(ev, account, &arena, &list, &n, NULL), 0);
    CHECK_INT(n, 1);
    for (int i = 1; i < MR_WEBHOOKS_MAX; i++)
        CHECK_INT(mr_webhook_create(ev, account, mr_str("https://a.example/"), &all, 1, MR_LIT("s"),
                                    &arena, &w, &secret, &e),
                  0);
    CHECK_INT(mr_webhook_create(ev, account, mr_str("https://a.example/"), &all, 1, MR_LIT("s"),
                                &arena, &w, &secret, &e),
              MR_ELIMIT);
    CHECK_INT(mr_webhook_delete(ev, account, w.id, &e), 0);
    CHECK_INT(mr_webhook_delete(ev, account, w.id, &e), MR_ENOTFOUND);
    end();
}

MR_TEST(every_allocation_may_fail) {
    begin();
    struct receiver r;
    const char *script[] = {OK200, NULL};
    receiver_start(&r, script);
    struct mr_webhook w = hook(&r, "s");
    emit("deployment.ready");
    newest(w.id, "delivered");
    struct mr_str all = MR_LIT("*"), secret;
    for (size_t nth = 1; nth < 25; nth++) {
        struct mr_webhook made = {0}, *list;
        struct mr_delivery *d;
        size_t n;
        int64_t total;
        struct mr_arena a; /* its own blocks must fail too */
        mr_arena_init(&a, 1 << 20);
        mr_alloc_fail_at(nth);
        int rc = mr_webhook_create(ev, account, mr_str("https://a.example/"), &all, 1,
                                   (struct mr_str){0}, &a, &made, &secret, NULL);
        mr_alloc_fail_at(0);
        CHECK(rc == 0 || rc == MR_ENOMEM);
        mr_arena_release(&a);
        mr_arena_init(&a, 1 << 20);
        mr_alloc_fail_at(nth);
        rc = mr_webhook_list(ev, account, &a, &list, &n, NULL);
        mr_alloc_fail_at(0);
        CHECK(rc == 0 || rc == MR_ENOMEM);
        mr_arena_release(&a);
        mr_arena_init(&a, 1 << 20);
        mr_alloc_fail_at(nth);
        rc = mr_webhook_deliveries(ev, account, w.id, 10, 0, &a, &d, &n, &total, NULL);
        mr_alloc_fail_at(0);
        CHECK(rc == 0 || rc == MR_ENOMEM);
        mr_arena_release(&a);
        struct mr_outbound_policy p = {.allow_loopback = true};
        struct mr_outbound_request q = {
            .method = "POST", .url = w.url, .timeout_ms = 2000, .keep = 10};
        struct mr_outbound_reply reply = {0};
        mr_alloc_fail_at(nth);
        rc = mr_outbound(&p, &q, &reply, NULL);
        mr_alloc_fail_at(0);
        CHECK(rc == 0 || rc == MR_ENOMEM);
        mr_outbound_reply_release(&reply);
        mr_alloc_fail_at(nth);
        struct mr_webhook_signature sig;
        rc = mr_webhook_sign(mr_str("whsec_AAEC"), mr_str("m"), 1, mr_str("{}"), &sig, NULL);
        mr_alloc_fail_at(0);
        CHECK(rc == 0 || rc == MR_ENOMEM);
    }
    receiver_stop(&r);
    end();
}

MR_TEST_MAIN(CASE(signatures_match_an_independent_computation), CASE(an_event_is_delivered_signed),
             CASE(failures_are_retried_then_dead_then_replayed), CASE(gone_disables),
             CASE(retry_after_is_honoured), CASE(a_slow_receiver_does_not_hold_up_others),
             CASE(what_a_crash_left_is_tried_again),
             CASE(the_registry_checks_and_keeps_accounts_apart), CASE(every_allocation_may_fail))
