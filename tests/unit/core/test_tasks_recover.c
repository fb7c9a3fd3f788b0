/* A process dies (kill -9) at each state that a task can be in; the next one finds every task ended
 * once, every charge closed and the books balanced, however often it starts. */
#include "tasks_fixture.h"

#include <signal.h>

static struct mr_tmp tmp;

static const char prompt[] = "a prompt of some forty bytes, or a few more";

/* What the dying process knew, handed over before its end. */
struct last_words {
    int64_t task, charge, cost;
};
static int words[2];

static void die(struct last_words w) {
    if (write(words[1], &w, sizeof w) != (ssize_t)sizeof w)
        abort();
    raise(SIGKILL);
}

/* Runs fn in a process of its own until it dies. */
static struct last_words dies(void (*fn)(struct rig *r)) {
    struct last_words w = {0};
    int status;
    if (!up.pid) { /* before the fork: both speak to the same one */
        standin_start(&up);
        atexit(rig_stop_upstream);
    }
    if (pipe(words))
        abort();
    pid_t pid = fork();
    if (pid == 0) {
        struct rig r;
        rig_open(&r, tmp.dir, (struct rig_options){0});
        fn(&r);
        _exit(3);
    }
    close(words[1]);
    if (read(words[0], &w, sizeof w) != (ssize_t)sizeof w)
        CHECK(!"the child said nothing");
    close(words[0]);
    waitpid(pid, &status, 0);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    return w;
}

/* Three starts one after the other; the second and third must find nothing to do. */
static void restart(struct rig *r) {
    int64_t spent = -1;
    for (int i = 0; i < 3; i++) {
        if (i)
            rig_close(r);
        rig_open(r, tmp.dir, (struct rig_options){0});
        CHECK_INT(budget_of(r).reserved_nano, 0);
        CHECK(spent < 0 || budget_of(r).spent_nano == spent);
        spent = budget_of(r).spent_nano;
        CHECK_INT(stats_of(r).cost_nano, spent);
    }
}

static void end(struct rig *r) {
    rig_close(r);
    mr_tmp_remove(&tmp);
}

static void runs_on(struct rig *r, int64_t id) {
    struct answer a;
    run(r, (struct ask){.prompt = "the next one"}, &a);
    CHECK_INT(a.err.code, 0);
    CHECK_INT(a.task.id, id);
}

/* --- the states --------------------------------------------------------------------------- */

static void with_a_hold(struct rig *r) {
    struct mr_hold h;
    struct mr_err e = {0};
    struct mr_reserve v = {.who = &r->who,
                           .family = "tasks",
                           .provider = MR_LIT("openai"),
                           .model = MR_LIT("gpt-4o-mini"),
                           .reserved_nano = 1000,
                           .price_version = MR_LIT("v")};
    rig_must(mr_hold_take(r->ledger, &v, &h, &e), &e, "hold");
    die((struct last_words){0});
}

MR_TEST(a_hold_alone_leaves_nothing) {
    struct rig r;
    struct mr_task_info *v;
    mr_tmp_make(&tmp);
    dies(with_a_hold);
    restart(&r);
    CHECK_INT(list_of(&r, -1, 9, 0, &v), 0);
    CHECK_INT(budget_of(&r).spent_nano, 0);
    runs_on(&r, 1);
    end(&r);
}

static void while_asked(struct rig *r) {
    struct answer a;
    struct mr_err e = {0};
    answer_init(&a);
    struct ask q = {.provider = "mistral", .prompt = prompt, .key = "k", .user = "ann"};
    rig_must(submit(r, q, &a, &e), &e, "task");
    held_take(r);
    die((struct last_words){.task = 1, .charge = task_of(r, 1).charge});
}

/* By the price that it was made with, of the tokens that its prompt is estimated at. */
static void check_recovered(struct rig *r, int64_t id, const char *text) {
    struct mr_price p;
    struct mr_err e = {0};
    struct mr_task_info k = task_of(r, id);
    struct mr_charge c = charge_of(r, k.charge);
    CHECK_INT(k.status, MR_TASK_FAILED);
    CHECK(k.error.p && strstr(k.error.p, "the server stopped"));
    CHECK(k.completed_us >= k.created_us);
    CHECK_INT(c.state, MR_CHARGE_SETTLED);
    CHECK(c.estimated);
    CHECK_INT(c.tokens.input, mr_provider_estimate_tokens(mr_str(text)));
    CHECK_INT(c.tokens.output, 0);
    CHECK_INT(k.tokens, c.tokens.input);
    CHECK_INT(mr_price_version(r->prices, c.price_version, &r->arena, &p, &e), 0);
    CHECK_INT(c.cost_nano, (c.tokens.input * p.input + 500000) / 1000000);
    CHECK(c.cost_nano > 0);
    CHECK_INT(k.cost_nano, c.cost_nano);
}

MR_TEST(a_task_on_its_way_to_the_provider_fails_and_is_settled_as_estimated) {
    struct rig r;
    struct answer a;
    mr_tmp_make(&tmp);
    struct last_words w = dies(while_asked);
    restart(&r);
    CHECK_INT(task_of(&r, 1).charge, w.charge);
    check_recovered(&r, 1, prompt);
    CHECK(says(task_of(&r, 1).end_user, "ann") && says(task_of(&r, 1).input, prompt));
    CHECK_INT(budget_of(&r).spent_nano, task_of(&r, 1).cost_nano);
    /* It may have been billed: its key does not run it again. */
    run(&r, (struct ask){.provider = "mistral", .prompt = prompt, .key = "k"}, &a);
    CHECK_INT(a.err.code, MR_EUNAVAIL);
    CHECK_INT(a.task.id, 1);
    CHECK(strstr(a.err.msg, "the server stopped"));
    runs_on(&r, 2);
    end(&r);
}

static void after_the_answer(struct rig *r) {
    struct answer a;
    run(r, (struct ask){.prompt = prompt, .key = "k"}, &a);
    die((struct last_words){a.task.id, a.task.charge, a.task.cost_nano});
}

static void die_in_done(void *arg, const struct mr_task_info *k, const struct mr_err *e) {
    (void)arg, (void)e;
    die((struct last_words){k->id, k->charge, k->cost_nano});
}

/* Committed, and its client never heard of it. */
static void before_the_answer(struct rig *r) {
    struct mr_err e = {0};
    struct answer same;
    run(r, (struct ask){.prompt = "another first"}, &same);
    struct mr_task_request q = {.who = r->who,
                                .prompt = mr_str(prompt),
                                .idempotency_key = MR_LIT("k"),
                                .done = die_in_done};
    for (size_t i = 0; prompt[i]; i++)
        q.body_hash[i % 32] = (uint8_t)(q.body_hash[i % 32] * 31 + (uint8_t)prompt[i]);
    rig_must(mr_task_create(r->t, &q, &e), &e, "task");
    pause();
}

static void check_kept(void (*fn)(struct rig *r)) {
    struct rig r;
    struct answer a;
    mr_tmp_make(&tmp);
    struct last_words w = dies(fn);
    CHECK(w.cost > 0);
    restart(&r);
    struct mr_task_info k = task_of(&r, w.task);
    CHECK_INT(k.status, MR_TASK_COMPLETED);
    CHECK_INT(k.charge, w.charge);
    CHECK_INT(k.cost_nano, w.cost);
    CHECK_INT(charge_of(&r, w.charge).cost_nano, w.cost);
    CHECK(!charge_of(&r, w.charge).estimated);
    run(&r, (struct ask){.prompt = prompt, .key = "k"}, &a);
    CHECK_INT(a.err.code, 0);
    CHECK_INT(a.task.id, w.task);
    CHECK(says(k.output, a.output) && a.output[0]);
    CHECK_INT(asked(), 0); /* counted from the restart on: the answer came from the books */
    runs_on(&r, w.task + 1);
    end(&r);
}

MR_TEST(an_acknowledged_task_stays_as_it_was) {
    check_kept(after_the_answer);
}

MR_TEST(a_settled_task_that_was_not_answered_is_answered_by_its_key) {
    check_kept(before_the_answer);
}

static int refuse_ends(struct mr_tx *tx, void *arg, struct mr_err *e) {
    struct mr_stmt *s;
    int rc = mr_db_prepare(tx,
                           *(bool *)arg ? "CREATE TRIGGER no_ends BEFORE UPDATE ON tasks BEGIN "
                                          "SELECT RAISE(ABORT, 'on purpose'); END"
                                        : "DROP TRIGGER no_ends",
                           &s, e);
    return rc ? rc : mr_db_exec(s, e);
}

static void with_a_stuck_end(struct rig *r) {
    struct mr_err e = {0};
    struct answer a;
    bool on = true;
    rig_must(mr_db_write(r->db, refuse_ends, &on, &e), &e, "trigger");
    run(r, (struct ask){.prompt = prompt}, &a);
    MR_UNTIL(metrics_of(r).stuck);
    on = false; /* the disk has room again, too late for this process */
    rig_must(mr_db_write(r->db, refuse_ends, &on, &e), &e, "trigger");
    die((struct last_words){.task = a.task.id});
}

MR_TEST(an_end_that_was_never_written_is_recovered) {
    struct rig r;
    mr_tmp_make(&tmp);
    struct last_words w = dies(with_a_stuck_end);
    CHECK_INT(w.task, 1);
    restart(&r);
    check_recovered(&r, 1, prompt);
    runs_on(&r, 2);
    end(&r);
}

enum { MANY = 60 };

static void with_many(struct rig *r) {
    static struct answer a[MANY], done;
    struct mr_err e = {0};
    run(r, (struct ask){.prompt = "x"}, &done);
    for (int i = 0; i < MANY; i++) {
        answer_init(&a[i]);
        struct ask q = {
            .who = i % 3 ? &r->who : &r->other, .provider = "mistral", .prompt = prompt};
        rig_must(submit(r, q, &a[i], &e), &e, "task");
    }
    for (int i = 0; i < MANY; i++)
        held_take(r);
    run(r, (struct ask){.prompt = "x"}, &done);
    die((struct last_words){.task = done.task.id, .cost = done.task.cost_nano});
}

MR_TEST(many_of_two_accounts_are_recovered_once_each) {
    struct rig r;
    struct mr_task_info *v;
    struct mr_budget b = {0};
    struct mr_err e = {0};
    mr_tmp_make(&tmp);
    struct last_words w = dies(with_many);
    restart(&r);
    CHECK_INT(w.task, MANY * 2 / 3 + 2);
    CHECK_INT(list_of(&r, MR_TASK_COMPLETED, 99, 0, &v), 2);
    CHECK_INT(list_of(&r, MR_TASK_PROCESSING, 99, 0, &v), 0);
    size_t n = list_of(&r, MR_TASK_FAILED, 99, 0, &v);
    CHECK_INT(n, MANY * 2 / 3);
    int64_t sum = 2 * w.cost;
    for (size_t i = 0; i < n; i++) {
        check_recovered(&r, v[i].id, prompt);
        sum += v[i].cost_nano;
    }
    CHECK_INT(budget_of(&r).spent_nano, sum);
    CHECK_INT(mr_budget_account(r.ledger, r.other.account, &b, &e), 0);
    CHECK_INT(b.spent_nano, (sum - 2 * w.cost) / 2); /* a third against two thirds */
    CHECK_INT(b.reserved_nano, 0);
    end(&r);
}

/* --- charges that a plain death does not leave ----------------------------------------------- */

static int open_alone(struct mr_tx *tx, void *arg, struct mr_err *e) {
    struct rig *r = arg;
    struct mr_hold h;
    struct mr_reserve v = {.who = &r->who,
                           .family = "tasks",
                           .provider = MR_LIT("openai"),
                           .model = MR_LIT("gpt-4o-mini"),
                           .reserved_nano = 1000,
                           .price_version = MR_LIT("v")};
    int rc = mr_hold_take(r->ledger, &v, &h, e);
    return rc ? rc : mr_charge_open_in(r->ledger, tx, &h, &v, e);
}

static int forget_prices(struct mr_tx *tx, void *arg, struct mr_err *e) {
    struct mr_stmt *s;
    (void)arg;
    int rc = mr_db_prepare(
        tx, "UPDATE charges SET price_version = 'openai/gone@2020-01-01#0' WHERE state = 0", &s, e);
    return rc ? rc : mr_db_exec(s, e);
}

MR_TEST(a_charge_without_its_task_is_released) {
    struct rig r;
    struct mr_err e = {0};
    mr_tmp_make(&tmp);
    rig_books(&r, tmp.dir);
    rig_must(mr_db_write(r.db, open_alone, &r, &e), &e, "charge");
    CHECK_INT(budget_of(&r).reserved_nano, 1000);
    rig_close(&r);
    restart(&r);
    CHECK_INT(budget_of(&r).spent_nano, 0);
    end(&r);
}

MR_TEST(a_charge_whose_price_is_gone_costs_what_was_reserved) {
    struct rig r;
    struct mr_err e = {0};
    mr_tmp_make(&tmp);
    dies(while_asked);
    rig_books(&r, tmp.dir);
    rig_must(mr_db_write(r.db, forget_prices, NULL, &e), &e, "prices");
    rig_close(&r);
    restart(&r);
    struct mr_task_info k = task_of(&r, 1);
    struct mr_charge c = charge_of(&r, k.charge);
    CHECK_INT(k.status, MR_TASK_FAILED);
    CHECK(c.reserved_nano > 0);
    CHECK_INT(c.cost_nano, c.reserved_nano);
    CHECK_INT(k.cost_nano, c.reserved_nano);
    end(&r);
}

MR_TEST_MAIN(CASE(a_hold_alone_leaves_nothing),
             CASE(a_task_on_its_way_to_the_provider_fails_and_is_settled_as_estimated),
             CASE(an_acknowledged_task_stays_as_it_was),
             CASE(a_settled_task_that_was_not_answered_is_answered_by_its_key),
             CASE(an_end_that_was_never_written_is_recovered),
             CASE(many_of_two_accounts_are_recovered_once_each),
             CASE(a_charge_without_its_task_is_released),
             CASE(a_charge_whose_price_is_gone_costs_what_was_reserved))
