/* Jobs: a life from creation to results, refusals, turns, retries, cancelling, idempotency. */
#include "core/events/events.h"
#include "jobs_fixture.h"

MR_TEST(a_job_over_inline_inputs_completes) {
    begin();
    struct mr_job k = make("{\"model\":\"m\",\"inputs\":[1.50,\"zwei\",{\"a\":[true,null]}]}");
    CHECK_INT(k.status, MR_JOB_QUEUED);
    CHECK_INT(k.total, 3);
    CHECK(k.estimated_us > k.created_us);
    CHECK_TEXT(k.parameters, "{\"model\":\"m\"}");
    k = wait_for(k.id, MR_JOB_COMPLETED);
    CHECK_INT(k.done, 3);
    CHECK_INT(k.failed, 0);
    CHECK(k.started_us && k.ended_us >= k.started_us && k.estimated_us == k.ended_us);
    size_t n;
    struct mr_job_result *r = results(k.id, &n);
    CHECK_INT(n, 3);
    CHECK_TEXT(r[0].input, "1.50");
    CHECK_TEXT(r[0].output, "{\"echo\":1.50,\"index\":0}");
    CHECK_TEXT(r[1].output, "{\"echo\":\"zwei\",\"index\":1}");
    CHECK_TEXT(r[2].input, "{\"a\":[true,null]}");
    CHECK(!r[0].error.p && r[0].attempts == 1);
    CHECK_INT(atomic_load(&calls), 3);
    end();
}

MR_TEST(bad_requests_name_their_field) {
    begin();
    struct mr_job_request q = request("{\"inputs\":[1]}");
    q.type = MR_LIT("training");
    CHECK_STR(refused(q), "type");
    q = request("{\"inputs\":[1]}");
    q.service = MR_LIT("astrology");
    CHECK_STR(refused(q), "service");
    q.service = MR_LIT("test_service");
    CHECK_STR(refused(q), "accepted");
    q.retries = 11;
    CHECK_STR(refused(q), "retries");
    q = request("{\"inputs\":[1]}");
    q.name = MR_LIT("\xff");
    CHECK_STR(refused(q), "name");
    q = request("{\"inputs\":[1]}");
    q.cron = MR_LIT("* * * *");
    CHECK_STR(refused(q), "cron");
    q.cron = MR_LIT("0 0 30 2 *");
    CHECK_STR(refused(q), "cron");
    CHECK_STR(refused(request("[1]")), "parameters");
    CHECK_STR(refused(request("{\"inputs\":[1}")), "parameters");
    CHECK_STR(refused(request("{}")), "parameters.inputs");
    CHECK_STR(refused(request("{\"inputs\":[]}")), "parameters.inputs");
    CHECK_STR(refused(request("{\"inputs\":{}}")), "parameters.inputs");
    CHECK_STR(refused(request("{\"inputs\":[1],\"input_file\":\"x\"}")), "parameters.inputs");
    CHECK_STR(refused(request("{\"input_file\":\"file_7\"}")), "parameters.input_file");
    CHECK_STR(refused(request("{\"input_file\":7}")), "parameters.input_file");
    CHECK_STR(refused(request("{\"inputs\":[1],\"output_format\":\"xml\"}")),
              "parameters.output_format");
    CHECK_STR(refused(request("{\"inputs\":[1],\"input_format\":\"xml\"}")),
              "parameters.input_format");
    static const char *const folders[] = {
        "s3://bucket/images/",
        "https://h/x",
        "file:///etc",
        "/etc",
        "..",
        "public/../x",
        "public//x",
        "",
        "public/missing",
        "./public",
        "01000000000000000000000000000002" /* not this account's */};
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
        char text[200];
        snprintf(text, sizeof text, "{\"input_source\":\"%s\"}", folders[i]);
        CHECK_STR(refused(request(text)), "parameters.input_source");
    }
    struct mr_err e = {0};
    struct mr_job k;
    q = request("{\"input_source\":\"s3://bucket/images/\"}");
    mr_job_create(jobs, &q, &arena, &k, NULL, &e);
    CHECK(strstr(e.msg, "not configured"));
    CHECK_INT(sql("SELECT COUNT(*) FROM jobs", me.account), 1);
    end();
}

MR_TEST(failed_items_are_stored_and_others_go_on) {
    begin();
    struct mr_job k = make("{\"inputs\":[\"a\",\"fail\",\"flaky 3\",\"flaky 9\"]}");
    k = wait_for(k.id, MR_JOB_COMPLETED);
    CHECK_INT(k.done, 4);
    CHECK_INT(k.failed, 2);
    size_t n;
    struct mr_job_result *r = results(k.id, &n);
    CHECK_TEXT(r[1].error, "this item is bad");
    CHECK_INT(r[1].error_code, MR_EINVAL);
    CHECK_INT(r[1].attempts, 1);
    CHECK(!r[1].output.p);
    CHECK_TEXT(r[2].output, "{\"echo\":\"flaky 3\",\"index\":2}");
    CHECK_INT(r[2].attempts, 3);
    CHECK_TEXT(r[3].error, "not yet");
    CHECK_INT(r[3].attempts, 3);
    struct mr_job_log *l;
    size_t n_log, warned = 0;
    struct mr_err e = {0};
    must(mr_job_logs(jobs, me.account, k.id, 100, &arena, &l, &n_log, &e), &e);
    for (size_t i = 0; i < n_log; i++) {
        warned += !strcmp(l[i].level, "WARNING");
        CHECK(!i || l[i].at_us >= l[i - 1].at_us);
    }
    CHECK_INT(warned, 3); /* two items and the end */
    CHECK_TEXT(l[0].message, "Job queued");
    CHECK_TEXT(l[1].message, "Processing started");
    CHECK_TEXT(l[n_log - 1].message, "Processing completed: 4 items, 2 of them failed");
    must(mr_job_logs(jobs, me.account, k.id, 2, &arena, &l, &n_log, &e), &e);
    CHECK_INT(n_log, 2);
    k = wait_for(make("{\"inputs\":[\"fail\",\"fail\"]}").id, MR_JOB_FAILED);
    CHECK_TEXT(k.error, "every item failed");
    CHECK_INT(k.done, 2);
    end();
}

MR_TEST(revoked_rights_end_the_job) {
    begin();
    atomic_store(&unauth, 1);
    struct mr_job k = wait_for(make("{\"inputs\":[1,2,3]}").id, MR_JOB_FAILED);
    CHECK_TEXT(k.error, "the key was revoked");
    CHECK_INT(k.done, 0);
    CHECK_INT(atomic_load(&calls), 0);
    end();
}

static void await(atomic_int *v, int want) {
    for (int i = 0; i < 10000 && atomic_load(v) < want; i++)
        usleep(1000);
    CHECK_INT(atomic_load(v), want);
}

MR_TEST(a_cancelled_job_stores_nothing_more) {
    begin();
    struct mr_err e = {0};
    struct mr_job k = make("{\"inputs\":[\"gate\",\"gate\",\"a\",\"b\",\"gate\",\"gate\"]}");
    await(&waiting_at_gate, 4);
    for (int i = 0; i < 5000 && look_at(k.id).done < 2; i++)
        usleep(1000);
    CHECK_INT(look_at(k.id).done, 2); /* partial results while it runs */
    size_t n;
    CHECK_INT(results(k.id, &n)[0].index, 2);
    struct mr_job c;
    must(mr_job_cancel(jobs, me.account, k.id, &arena, &c, &e), &e);
    CHECK_INT(c.status, MR_JOB_CANCELLED);
    CHECK(c.ended_us && c.estimated_us == c.ended_us);
    for (int i = 0; i < 5000 && atomic_load(&waiting_at_gate); i++)
        usleep(1000); /* the runner looks at mr_job_cancelled */
    CHECK_INT(atomic_load(&waiting_at_gate), 0);
    usleep(20000);
    CHECK_INT(sql("SELECT COUNT(*) FROM job_results WHERE job_id = ?1", k.id), 2);
    CHECK_INT(mr_job_cancel(jobs, me.account, k.id, &arena, &c, &e), MR_ECONFLICT);
    CHECK_INT(mr_job_cancel(jobs, id_of(9), k.id, &arena, &c, &e), MR_ENOTFOUND);
    CHECK_INT(mr_job_get(jobs, id_of(9), k.id, &arena, &c, &e), MR_ENOTFOUND);
    struct mr_job_result *r;
    int64_t total;
    CHECK_INT(mr_job_results(jobs, id_of(9), k.id, 1, 0, &arena, &r, &n, &total, &e), MR_ENOTFOUND);
    struct mr_job_log *l;
    CHECK_INT(mr_job_logs(jobs, id_of(9), k.id, 1, &arena, &l, &n, &e), MR_ENOTFOUND);
    wait_for(make("{\"inputs\":[1]}").id, MR_JOB_COMPLETED); /* the service goes on */
    end();
}

MR_TEST(a_repeated_key_is_one_job) {
    begin();
    struct mr_err e = {0};
    struct mr_job_request q = request("{\"inputs\":[1,2]}");
    struct mr_job a, b;
    bool again = true;
    q.idempotency_key = MR_LIT("k1");
    must(mr_job_create(jobs, &q, &arena, &a, &again, &e), &e);
    CHECK(!again);
    must(mr_job_create(jobs, &q, &arena, &b, &again, &e), &e);
    CHECK(again && mr_id_eq(a.id, b.id));
    q.body_hash[0] = 1;
    CHECK_STR(refused(q), "Idempotency-Key");
    q.who.account = id_of(7); /* keys are an account's own */
    must(mr_job_create(jobs, &q, &arena, &b, &again, &e), &e);
    CHECK(!again && !mr_id_eq(a.id, b.id));
    wait_for(a.id, MR_JOB_COMPLETED);
    end();
}

MR_TEST(lists_are_pages_newest_first) {
    begin();
    struct mr_err e = {0};
    struct mr_id id[5];
    for (int i = 0; i < 5; i++) {
        struct mr_job_request q = request("{\"inputs\":[1]}");
        q.service = i % 2 ? MR_LIT("other") : MR_LIT("test");
        q.scheduled_us = i == 4 ? mr_now_us() + 3600000000ll : 0;
        id[i] = make_of(q).id;
    }
    for (int i = 0; i < 4; i++)
        wait_for(id[i], MR_JOB_COMPLETED);
    struct mr_job *v;
    size_t n;
    int64_t total;
    struct mr_job_query q = {.account = me.account, .status = -1, .limit = 2, .offset = 1};
    must(mr_job_list(jobs, &q, &arena, &v, &n, &total, &e), &e);
    CHECK_INT(n, 2);
    CHECK_INT(total, 5);
    CHECK(mr_id_eq(v[0].id, id[3]) && mr_id_eq(v[1].id, id[2]));
    q = (struct mr_job_query){.account = me.account, .status = MR_JOB_SCHEDULED, .limit = 10};
    must(mr_job_list(jobs, &q, &arena, &v, &n, &total, &e), &e);
    CHECK(n == 1 && total == 1 && mr_id_eq(v[0].id, id[4]));
    CHECK(v[0].estimated_us > v[0].scheduled_us);
    q = (struct mr_job_query){
        .account = me.account, .status = -1, .service = MR_LIT("other"), .limit = 10};
    must(mr_job_list(jobs, &q, &arena, &v, &n, &total, &e), &e);
    CHECK(n == 2 && total == 2);
    q.status = MR_JOB_COMPLETED;
    q.service = MR_LIT("test");
    must(mr_job_list(jobs, &q, &arena, &v, &n, &total, &e), &e);
    CHECK(n == 2 && total == 2);
    q.account = id_of(9);
    must(mr_job_list(jobs, &q, &arena, &v, &n, &total, &e), &e);
    CHECK(n == 0 && total == 0);
    struct mr_jobs_metrics m;
    mr_jobs_metrics(jobs, &m);
    for (int i = 0; i < 5000 && m.items_ok < 4; i++) { /* counted behind the commit */
        usleep(1000);
        mr_jobs_metrics(jobs, &m);
    }
    CHECK_INT(m.scheduled, 1);
    CHECK_INT(m.active + m.queued + m.failed_24h, 0);
    CHECK_INT(m.items_ok, 4);
    end();
}

/* Items of one service run one at a time here, so their order is that of the choice. */
static struct mr_id enqueue(const char *parameters, enum mr_job_priority p, uint8_t account) {
    struct mr_job_request q = request(parameters);
    struct mr_err e = {0};
    struct mr_job k;
    q.service = MR_LIT("other");
    q.priority = p;
    q.who.account = id_of(account);
    must(mr_job_create(jobs, &q, &arena, &k, NULL, &e), &e);
    return k.id;
}

MR_TEST(priorities_come_first_and_accounts_take_turns) {
    begin();
    enqueue("{\"inputs\":[\"gate\"]}", MR_JOB_CRITICAL, 1);
    await(&waiting_at_gate, 1);
    enqueue("{\"inputs\":[1]}", MR_JOB_LOW, 1);
    enqueue("{\"inputs\":[1,2,3,4]}", MR_JOB_NORMAL, 1);
    enqueue("{\"inputs\":[1]}", MR_JOB_NORMAL, 1);
    enqueue("{\"inputs\":[1,2,3]}", MR_JOB_NORMAL, 2);
    enqueue("{\"inputs\":[1]}", MR_JOB_NORMAL, 3);
    struct mr_id high = enqueue("{\"inputs\":[1]}", MR_JOB_HIGH, 4);
    usleep(100000); /* the keeper has claimed one of each */
    atomic_store(&gate_open, 1);
    await(&n_ran, 12);
    CHECK(mr_id_eq(ran[1].job, high));
    int of[4] = {0};
    for (int i = 2; i < 5; i++) /* the first three normal ones: of three accounts */
        of[ran[i].account.b[0]]++;
    CHECK(of[1] == 1 && of[2] == 1 && of[3] == 1);
    for (int i = 5; i < 9; i++)
        of[ran[i].account.b[0]]++;
    CHECK(of[1] == 3 && of[2] == 3 && of[3] == 1);
    CHECK_INT(ran[11].account.b[0], 1); /* low comes last */
    CHECK_INT(sql("SELECT priority FROM jobs WHERE id = ?1", ran[11].job), MR_JOB_LOW);
    end();
}

MR_TEST(no_more_items_side_by_side_than_allowed) {
    begin();
    struct mr_job a = make("{\"inputs\":[\"slow\",\"slow\",\"slow\",\"slow\",\"slow\",\"slow\"]}");
    struct mr_job b = make("{\"inputs\":[\"slow\",\"slow\",\"slow\",\"slow\",\"slow\",\"slow\"]}");
    wait_for(a.id, MR_JOB_COMPLETED);
    wait_for(b.id, MR_JOB_COMPLETED);
    CHECK(atomic_load(&at_once_most) <= 4);
    CHECK(atomic_load(&at_once_most) >= 2);
    end();
}

static int register_hook(struct mr_events *ev) {
    struct mr_str names[] = {MR_LIT("job.completed"), MR_LIT("job.failed")};
    struct mr_webhook w;
    struct mr_str secret;
    return mr_webhook_create(ev, me.account, MR_LIT("http://127.0.0.1:9/x"), names, 2, MR_LIT("s"),
                             &arena, &w, &secret, NULL);
}

struct outbox {
    char event[40], data[400];
    int n;
};
static int outbox_in(struct mr_tx *tx, void *arg, struct mr_err *e) {
    struct outbox *o = arg;
    struct mr_stmt *s;
    int rc = mr_db_prepare(tx, "SELECT event, data FROM outbox ORDER BY created_at, id", &s, e);
    while (!rc && mr_db_step(s, e) > 0) {
        struct mr_str ev = mr_db_str(s, 0), d = mr_db_str(s, 1);
        snprintf(o->event, sizeof o->event, "%.*s", (int)ev.n, ev.p);
        snprintf(o->data, sizeof o->data, "%.*s", (int)d.n, d.p);
        o->n++;
    }
    return rc;
}

MR_TEST(the_end_emits_its_event) {
    begin_store();
    struct mr_err e = {0};
    struct mr_events *events = NULL;
    struct mr_events_config ec = {.db = db, .allow_loopback = true};
    must(mr_events_open(&ec, &events, &e), &e);
    must(register_hook(events), &e);
    conf.events = events;
    open_jobs();
    struct outbox o = {0};
    struct mr_job k = wait_for(make("{\"inputs\":[1]}").id, MR_JOB_COMPLETED);
    char job[64], want[300];
    must(mr_db_read(db, outbox_in, &o, &e), &e);
    mr_id_print(MR_JOB_PREFIX, k.id, job, sizeof job);
    snprintf(want, sizeof want,
             "{\"job_id\":\"%s\",\"status\":\"completed\",\"results_url\":\"/jobs/%s/results\"}",
             job, job);
    CHECK_INT(o.n, 1);
    CHECK_STR(o.event, "job.completed");
    CHECK_STR(o.data, want);
    wait_for(make("{\"inputs\":[\"fail\"]}").id, MR_JOB_FAILED);
    o.n = 0;
    must(mr_db_read(db, outbox_in, &o, &e), &e);
    CHECK_INT(o.n, 2);
    CHECK_STR(o.event, "job.failed");
    mr_jobs_free(jobs, 0);
    jobs = NULL;
    mr_events_free(events);
    end();
}

MR_TEST_MAIN(CASE(a_job_over_inline_inputs_completes), CASE(bad_requests_name_their_field),
             CASE(failed_items_are_stored_and_others_go_on), CASE(revoked_rights_end_the_job),
             CASE(a_cancelled_job_stores_nothing_more), CASE(a_repeated_key_is_one_job),
             CASE(lists_are_pages_newest_first),
             CASE(priorities_come_first_and_accounts_take_turns),
             CASE(no_more_items_side_by_side_than_allowed), CASE(the_end_emits_its_event))
