/* Tasks and money under pressure: idempotency keys, a budget that eight threads spend at once, ends
 * that the database refuses for a while. */
#include "tasks_fixture.h"

#include <stdatomic.h>

static struct mr_tmp tmp;

static void begin(struct rig *r) {
    mr_tmp_make(&tmp);
    rig_open(r, tmp.dir, (struct rig_options){0});
}

static void end(struct rig *r) {
    rig_close(r);
    mr_tmp_remove(&tmp);
}

static void budget(struct rig *r, int64_t nano) {
    struct mr_err e = {0};
    CHECK_INT(mr_budget_set(r->ledger, r->who.account, nano, mr_strn(NULL, 0), &e), 0);
}

/* --- keys --------------------------------------------------------------------------------- */

MR_TEST(a_used_key_gets_the_first_ones_task) {
    struct rig r;
    struct answer first, again;
    begin(&r);
    struct ask q = {.prompt = "once only", .key = "k-1"};
    run(&r, q, &first);
    CHECK_INT(first.err.code, 0);
    run(&r, q, &again);
    CHECK_INT(again.err.code, 0);
    CHECK_INT(again.task.id, first.task.id);
    CHECK_INT(again.task.cost_nano, first.task.cost_nano);
    CHECK_INT(again.task.charge, first.task.charge);
    CHECK_STR(again.output, first.output);
    CHECK_INT(asked(), 1);
    CHECK_INT(metrics_of(&r).replayed, 1);
    CHECK_INT(metrics_of(&r).created, 1);
    CHECK_INT(budget_of(&r).spent_nano, first.task.cost_nano);
    CHECK_INT(budget_of(&r).reserved_nano, 0);

    /* Another body under the same key is a mistake of the caller, and changes nothing. */
    q.prompt = "something else";
    run(&r, q, &again);
    CHECK_INT(again.err.code, MR_EFIELD);
    CHECK_STR(again.err.field, "Idempotency-Key");
    CHECK(!again.has_task);
    q.prompt = "once only";
    run(&r, q, &again);
    CHECK_INT(again.task.id, first.task.id);

    /* Keys belong to accounts. */
    q.who = &r.other;
    run(&r, q, &again);
    CHECK_INT(again.err.code, 0);
    CHECK_INT(asked(), 2);

    /* An answer that was paid for is given also when the budget is used up since. */
    q.who = NULL;
    budget(&r, 0);
    run(&r, q, &again);
    CHECK_INT(again.err.code, 0);
    CHECK_INT(again.task.id, first.task.id);
    q.key = "k-2";
    run(&r, q, &again);
    CHECK_INT(again.err.code, MR_ELIMIT);
    CHECK(!again.has_task);
    struct mr_task_info *v;
    CHECK_INT(list_of(&r, -1, 9, 0, &v), 1);
    rig_close(&r);
    rig_open(&r, tmp.dir, (struct rig_options){0}); /* kept over a restart */
    budget(&r, -1);
    q.key = "k-1";
    run(&r, q, &again);
    CHECK_INT(again.task.id, first.task.id);
    CHECK_STR(again.output, first.output);
    end(&r);
}

MR_TEST(a_key_in_flight_is_a_conflict) {
    struct rig r;
    struct answer first, again;
    struct mr_err e = {0};
    begin(&r);
    struct ask q = {.provider = "mistral", .prompt = "slow", .key = "k"};
    answer_init(&first);
    CHECK_INT(submit(&r, q, &first, &e), 0);
    int fd = held_take(&r);
    run(&r, q, &again);
    CHECK_INT(again.err.code, MR_ECONFLICT);
    CHECK(!again.has_task);
    q.body = "another body";
    run(&r, q, &again);
    CHECK_INT(again.err.code, MR_EFIELD);
    q.body = NULL;
    held_answer(fd);
    answer_wait(&first);
    CHECK_INT(first.err.code, 0);
    run(&r, q, &again);
    CHECK_INT(again.err.code, 0);
    CHECK_INT(again.task.id, first.task.id);
    CHECK_STR(again.output, "held");
    CHECK_INT(budget_of(&r).reserved_nano, 0);
    CHECK_INT(budget_of(&r).spent_nano, first.task.cost_nano);
    end(&r);
}

MR_TEST(a_failure_under_a_key_runs_again_only_if_it_was_free) {
    struct rig r;
    struct answer a, again;
    struct mr_err e = {0};
    begin(&r);
    struct ask q = {.prompt = "[standin fault=400 times=1] x", .key = "free"};
    run(&r, q, &a);
    CHECK(a.err.code < 0);
    run(&r, q, &again);
    CHECK_INT(again.err.code, 0);
    CHECK_INT(again.task.id, a.task.id + 1);
    /* What may have been billed is not run a second time: its failure is the answer. */
    struct ask held = {.provider = "mistral", .prompt = "x", .key = "billed"};
    answer_init(&a);
    CHECK_INT(submit(&r, held, &a, &e), 0);
    held_send(held_take(&r), "HTTP/1.1 200 OK\r\ncontent-length: 9999", "{\"id\":");
    answer_wait(&a);
    CHECK(a.err.code < 0 && a.task.cost_nano > 0);
    run(&r, held, &again);
    CHECK_INT(again.err.code, a.err.code);
    CHECK_STR(again.err.msg, a.err.msg);
    CHECK_INT(again.task.id, a.task.id);
    CHECK_INT(again.task.cost_nano, a.task.cost_nano);
    end(&r);
}

/* Eight clients send the same key at the same moment: one task, one charge, one call upstream. */
enum { THREADS = 8 };

struct racer {
    pthread_t thread;
    pthread_barrier_t *start;
    struct rig *r;
    int wrong;
};

static void *race(void *arg) {
    struct racer *me = arg;
    for (int i = 0; i < 40; i++) {
        char key[32];
        struct answer a;
        snprintf(key, sizeof key, "race-%d", i);
        pthread_barrier_wait(me->start);
        do
            run(me->r, (struct ask){.prompt = key, .key = key}, &a);
        while (a.err.code == MR_ECONFLICT); /* as a client does with a 409 */
        me->wrong += a.err.code != 0 || a.task.id != i + 1;
        pthread_barrier_wait(me->start);
    }
    return NULL;
}

MR_TEST(a_key_sent_eight_times_at_once_is_one_task) {
    struct rig r;
    struct racer racer[THREADS];
    pthread_barrier_t start;
    begin(&r);
    pthread_barrier_init(&start, NULL, THREADS);
    for (int i = 0; i < THREADS; i++) {
        racer[i] = (struct racer){.start = &start, .r = &r};
        pthread_create(&racer[i].thread, NULL, race, &racer[i]);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(racer[i].thread, NULL);
        CHECK_INT(racer[i].wrong, 0);
    }
    CHECK_INT(asked(), 40);
    CHECK_INT(stats_of(&r).total, 40);
    CHECK_INT(stats_of(&r).cost_nano, budget_of(&r).spent_nano);
    CHECK_INT(budget_of(&r).reserved_nano, 0);
    pthread_barrier_destroy(&start);
    end(&r);
}

/* --- a budget is a hard stop -------------------------------------------------------------- */

struct spender {
    pthread_t thread;
    struct rig *r;
    const struct mr_principal *who;
    int64_t cost;
    int ran, refused, odd;
};

static void *spend(void *arg) {
    struct spender *me = arg;
    for (int i = 0; i < 40; i++) {
        struct answer a;
        run(me->r, (struct ask){.who = me->who, .prompt = "x", .max_tokens = 40}, &a);
        if (a.err.code == MR_ELIMIT)
            me->refused++;
        else if (a.err.code)
            me->odd++;
        else
            me->ran++, me->cost += a.task.cost_nano;
    }
    return NULL;
}

static atomic_bool watching;

static void *watch(void *arg) {
    struct rig *r = arg;
    while (watching) {
        struct mr_budget b = {0};
        CHECK_INT(mr_budget_account(r->ledger, r->who.account, &b, NULL), 0);
        CHECK(b.spent_nano + b.reserved_nano <= b.limit_nano);
        usleep(200);
    }
    return NULL;
}

static void spend_together(struct rig *r, const struct mr_principal *who, struct spender *sum) {
    struct spender s[THREADS];
    *sum = (struct spender){0};
    for (int i = 0; i < THREADS; i++) {
        s[i] = (struct spender){.r = r, .who = who};
        pthread_create(&s[i].thread, NULL, spend, &s[i]);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(s[i].thread, NULL);
        sum->cost += s[i].cost;
        sum->ran += s[i].ran;
        sum->refused += s[i].refused;
        sum->odd += s[i].odd;
    }
}

MR_TEST(eight_threads_never_spend_more_than_the_budget) {
    enum { LIMIT = 1000000 };
    struct rig r;
    struct spender sum;
    struct answer a;
    pthread_t watcher;
    begin(&r);
    budget(&r, LIMIT);
    watching = true;
    pthread_create(&watcher, NULL, watch, &r);
    spend_together(&r, &r.who, &sum);
    watching = false;
    pthread_join(watcher, NULL);
    CHECK_INT(sum.odd, 0);
    CHECK(sum.ran > 0 && sum.refused > 0);
    CHECK_INT(sum.ran + sum.refused, THREADS * 40);
    struct mr_budget b = budget_of(&r);
    CHECK_INT(b.spent_nano, sum.cost);
    CHECK_INT(b.reserved_nano, 0);
    CHECK(b.spent_nano <= LIMIT);
    CHECK_INT(stats_of(&r).total, sum.ran); /* nothing was written of what was refused */
    CHECK_INT(stats_of(&r).cost_nano, sum.cost);
    CHECK_INT(asked(), sum.ran);
    /* It stopped because the next one might not fit any more, not before. */
    int64_t reserve = charge_of(&r, task_of(&r, 1).charge).reserved_nano;
    CHECK(b.spent_nano + reserve > LIMIT);
    run(&r, (struct ask){.prompt = "x", .max_tokens = 40}, &a);
    CHECK_INT(a.err.code, MR_ELIMIT);
    CHECK(strstr(a.err.msg, "budget"));
    budget(&r, b.spent_nano + reserve); /* to the nano-dollar */
    run(&r, (struct ask){.prompt = "x", .max_tokens = 40}, &a);
    CHECK_INT(a.err.code, 0);
    budget(&r, b.spent_nano + a.task.cost_nano + reserve - 1);
    run(&r, (struct ask){.prompt = "x", .max_tokens = 40}, &a);
    CHECK_INT(a.err.code, MR_ELIMIT);
    end(&r);
}

MR_TEST(a_keys_budget_stops_that_key) {
    enum { LIMIT = 500000 };
    struct rig r;
    struct spender sum;
    struct answer a;
    begin(&r);
    struct mr_principal keyed = r.who;
    keyed.key_budget_nanousd = LIMIT;
    spend_together(&r, &keyed, &sum);
    CHECK_INT(sum.odd, 0);
    CHECK(sum.ran > 0 && sum.refused > 0 && sum.cost <= LIMIT);
    struct mr_principal free_ = r.who;
    memset(free_.key.b, 0, sizeof free_.key.b);
    run(&r, (struct ask){.who = &free_, .prompt = "x"}, &a);
    CHECK_INT(a.err.code, 0);
    CHECK_INT(budget_of(&r).spent_nano, sum.cost + a.task.cost_nano);
    CHECK_INT(budget_of(&r).reserved_nano, 0);
    end(&r);
}

/* --- ends that cannot be written ---------------------------------------------------------- */

static int refuse_ends(struct mr_tx *tx, void *arg, struct mr_err *e) {
    struct mr_stmt *s;
    int rc = mr_db_prepare(tx,
                           *(bool *)arg ? "CREATE TRIGGER no_ends BEFORE UPDATE ON tasks BEGIN "
                                          "SELECT RAISE(ABORT, 'on purpose'); END"
                                        : "DROP TRIGGER no_ends",
                           &s, e);
    return rc ? rc : mr_db_exec(s, e);
}

static void refuse(struct rig *r, bool on) {
    struct mr_err e = {0};
    rig_must(mr_db_write(r->db, refuse_ends, &on, &e), &e, "trigger");
}

MR_TEST(an_end_that_is_refused_is_written_later) {
    struct rig r;
    struct answer a, b;
    begin(&r);
    refuse(&r, true);
    run(&r, (struct ask){.prompt = "x", .key = "k"}, &a);
    CHECK(a.err.code < 0 && strstr(a.err.msg, "task 1"));
    MR_UNTIL(metrics_of(&r).stuck == 1 && metrics_of(&r).running == 0);
    CHECK_INT(metrics_of(&r).stuck, 1);
    CHECK_INT(metrics_of(&r).running, 0);
    struct mr_task_info k = task_of(&r, 1);
    CHECK_INT(k.status, MR_TASK_PROCESSING);
    struct mr_charge c = charge_of(&r, k.charge);
    CHECK_INT(c.state, MR_CHARGE_OPEN);
    CHECK_INT(budget_of(&r).reserved_nano, c.reserved_nano);
    run(&r, (struct ask){.prompt = "x", .key = "k"}, &b); /* its answer is not known yet */
    CHECK_INT(b.err.code, MR_ECONFLICT);
    refuse(&r, false);
    run(&r, (struct ask){.prompt = "x"}, &b); /* one that ends well takes it along */
    CHECK_INT(b.err.code, 0);
    MR_UNTIL(metrics_of(&r).stuck == 0 && metrics_of(&r).running == 0);
    CHECK_INT(metrics_of(&r).stuck, 0);
    CHECK_INT(task_of(&r, 1).status, MR_TASK_COMPLETED);
    CHECK_INT(task_of(&r, 1).cost_nano, b.task.cost_nano);
    CHECK_INT(charge_of(&r, k.charge).state, MR_CHARGE_SETTLED);
    CHECK_INT(budget_of(&r).reserved_nano, 0);
    CHECK_INT(budget_of(&r).spent_nano, 2 * b.task.cost_nano);
    CHECK_INT(a.done, 1); /* answered once: what was said is not said again */
    end(&r);
}

MR_TEST(what_is_stuck_at_the_end_gets_a_last_try) {
    struct rig r;
    struct answer a;
    begin(&r);
    refuse(&r, true);
    run(&r, (struct ask){.prompt = "x"}, &a);
    MR_UNTIL(metrics_of(&r).stuck == 1);
    refuse(&r, false);
    rig_close(&r);
    rig_open(&r, tmp.dir, (struct rig_options){0});
    struct mr_task_info k = task_of(&r, 1);
    CHECK_INT(k.status, MR_TASK_COMPLETED);
    CHECK(k.cost_nano > 0 && !charge_of(&r, k.charge).estimated);
    CHECK_INT(budget_of(&r).spent_nano, k.cost_nano);
    end(&r);
}

MR_TEST_MAIN(CASE(a_used_key_gets_the_first_ones_task), CASE(a_key_in_flight_is_a_conflict),
             CASE(a_failure_under_a_key_runs_again_only_if_it_was_free),
             CASE(a_key_sent_eight_times_at_once_is_one_task),
             CASE(eight_threads_never_spend_more_than_the_budget),
             CASE(a_keys_budget_stops_that_key), CASE(an_end_that_is_refused_is_written_later),
             CASE(what_is_stuck_at_the_end_gets_a_last_try))
