/* Tasks on a real database with providers that a test holds in its hand: a task's life from its
 * reservation to its settled charge, what is refused, lists, sums, end users, keys. */
#include "tasks_fixture.h"

static struct mr_tmp tmp;

static void begin(struct rig *r, struct rig_options o) {
    mr_tmp_make(&tmp);
    rig_open(r, tmp.dir, o);
}

static void end(struct rig *r) {
    rig_close(r);
    mr_tmp_remove(&tmp);
}

/* What those tokens cost by the price that the charge names, rounded half up once. */
static int64_t cost_by_hand(struct rig *r, const struct mr_charge *c) {
    struct mr_price p;
    struct mr_err e;
    CHECK_INT(mr_price_version(r->prices, c->price_version, &r->arena, &p, &e), 0);
    return (c->tokens.input * p.input + c->tokens.output * p.output + 500000) / 1000000;
}

MR_TEST(a_task_is_paid_as_its_provider_counted) {
    struct rig r;
    struct answer a;
    begin(&r, (struct rig_options){0});
    run(&r, (struct ask){.prompt = "hello there", .user = "ann@example.com"}, &a);
    CHECK_INT(a.err.code, 0);
    CHECK(a.has_task);
    CHECK_INT(a.task.id, 1);
    CHECK_INT(a.task.status, MR_TASK_COMPLETED);
    CHECK_STR(a.provider, "openai");
    CHECK(a.output[0] != 0);
    CHECK(a.task.completed_us >= a.task.created_us && a.task.created_us > 0);

    struct mr_charge c = charge_of(&r, a.task.charge);
    CHECK_INT(c.state, MR_CHARGE_SETTLED);
    CHECK(!c.estimated);
    CHECK_INT(c.tokens.input, 3 + 4 + 3); /* the stand-in's rule, for 11 bytes */
    CHECK(c.tokens.output >= 8 && c.tokens.output <= 40);
    CHECK_INT(a.task.tokens, c.tokens.input + c.tokens.output);
    CHECK_INT(c.cost_nano, cost_by_hand(&r, &c));
    CHECK_INT(a.task.cost_nano, c.cost_nano);
    CHECK(c.cost_nano > 0 && c.cost_nano <= c.reserved_nano);
    CHECK(says(c.end_user, "ann@example.com"));

    struct mr_budget b = budget_of(&r);
    CHECK_INT(b.spent_nano, c.cost_nano);
    CHECK_INT(b.reserved_nano, 0);

    struct mr_task_info k = task_of(&r, 1);
    CHECK_INT(k.status, MR_TASK_COMPLETED);
    CHECK_INT(k.cost_nano, c.cost_nano);
    CHECK(says(k.input, "hello there") && says(k.output, a.output));
    CHECK(says(k.end_user, "ann@example.com") && !k.error.n);
    struct mr_err e = {0};
    CHECK_INT(mr_task_get(r.t, r.other.account, 1, &r.arena, &k, &e), MR_ENOTFOUND);
    CHECK_INT(mr_task_get(r.t, r.who.account, 2, &r.arena, &k, &e), MR_ENOTFOUND);
    end(&r);
}

MR_TEST(while_it_runs_its_charge_is_open_and_its_budget_held) {
    struct rig r;
    struct answer a;
    struct mr_err e = {0};
    begin(&r, (struct rig_options){0});
    answer_init(&a);
    CHECK_INT(submit(&r, (struct ask){.provider = "mistral", .prompt = "wait"}, &a, &e), 0);
    int fd = held_take(&r); /* asked only after the commit of task and charge */
    struct mr_task_info k = task_of(&r, 1);
    CHECK_INT(k.status, MR_TASK_PROCESSING);
    CHECK(!k.output.p); /* its row has room for one */
    CHECK_INT(k.completed_us, 0);
    struct mr_charge c = charge_of(&r, k.charge);
    CHECK_INT(c.state, MR_CHARGE_OPEN);
    /* Held is the most that it can cost: a token has at least one byte. */
    struct mr_charge most = c;
    most.tokens.input = (int64_t)strlen("wait");
    most.tokens.output = 4096;
    CHECK(c.reserved_nano >= cost_by_hand(&r, &most));
    CHECK_INT(budget_of(&r).reserved_nano, c.reserved_nano);
    CHECK_INT(budget_of(&r).spent_nano, 0);
    CHECK_INT(metrics_of(&r).running, 1);
    CHECK_INT(a.done, 0);
    held_answer(fd);
    answer_wait(&a);
    CHECK_INT(a.task.status, MR_TASK_COMPLETED);
    CHECK_INT(a.task.tokens, 10);
    CHECK_STR(a.output, "held");
    c = charge_of(&r, k.charge);
    CHECK_INT(c.state, MR_CHARGE_SETTLED);
    CHECK_INT(c.cost_nano, cost_by_hand(&r, &c));
    MR_UNTIL(!metrics_of(&r).running);
    CHECK_INT(metrics_of(&r).running, 0);
    CHECK_INT(metrics_of(&r).created, 1);
    CHECK_INT(metrics_of(&r).completed, 1);
    CHECK_INT(budget_of(&r).reserved_nano, 0);
    CHECK_INT(budget_of(&r).spent_nano, c.cost_nano);
    end(&r);
}

MR_TEST(what_cannot_run_writes_nothing) {
    struct rig r;
    struct answer a;
    char model[200], user[300];
    memset(model, 'm', sizeof model);
    model[129] = 0;
    memset(user, 'u', sizeof user);
    user[257] = 0;
    begin(&r, (struct rig_options){0});
    const struct {
        struct ask q;
        int code;
        const char *field, *word;
    } cases[] = {
        {{.prompt = ""}, MR_EFIELD, "prompt", "prompt"},
        {{.prompt = "x", .provider = "nobody"}, MR_EFIELD, "provider", "openai"},
        {{.prompt = "x", .provider = "keyless"}, MR_EUNAVAIL, "", "KEYLESS_API_KEY"},
        {{.prompt = "x", .model = "never-priced"}, MR_EFIELD, "model", "never-priced"},
        {{.prompt = "x", .model = model}, MR_EFIELD, "model", "128"},
        {{.prompt = "x", .user = user}, MR_EFIELD, "user_id", "256"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        run(&r, cases[i].q, &a);
        CHECK_INT(a.done, 0);
        CHECK_INT(a.err.code, cases[i].code);
        CHECK_STR(a.err.field, cases[i].field);
        CHECK(strstr(a.err.msg, cases[i].word));
    }
    struct mr_task_info *v;
    CHECK_INT(list_of(&r, -1, 10, 0, &v), 0);
    CHECK_INT(budget_of(&r).reserved_nano, 0);
    CHECK_INT(metrics_of(&r).running, 0);
    CHECK_INT(asked(), 0);
    user[256] = 0; /* the longest that is taken; and ids have no gap from what was refused */
    run(&r, (struct ask){.prompt = "x", .user = user}, &a);
    CHECK_INT(a.err.code, 0);
    CHECK_INT(a.task.id, 1);
    end(&r);
}

MR_TEST(a_failure_releases_and_is_kept_with_its_reason) {
    struct rig r;
    struct answer a;
    begin(&r, (struct rig_options){0});
    run(&r, (struct ask){.prompt = "[standin fault=400] x"}, &a);
    CHECK(a.err.code < 0 && strstr(a.err.msg, "openai"));
    CHECK(a.has_task);
    CHECK_INT(a.task.status, MR_TASK_FAILED);
    struct mr_task_info k = task_of(&r, 1);
    CHECK_INT(k.status, MR_TASK_FAILED);
    CHECK(says(k.error, a.error) && a.error[0]);
    CHECK_INT(k.tokens, 0);
    CHECK_INT(k.cost_nano, 0);
    CHECK_INT(charge_of(&r, k.charge).state, MR_CHARGE_RELEASED);
    CHECK_INT(budget_of(&r).spent_nano, 0);
    CHECK_INT(budget_of(&r).reserved_nano, 0);
    /* The provider's own limit is not the caller's budget. */
    run(&r, (struct ask){.prompt = "[standin fault=quota] x"}, &a);
    CHECK_INT(a.err.code, MR_EPREDICT);
    CHECK_INT(charge_of(&r, a.task.charge).state, MR_CHARGE_RELEASED);
    CHECK_INT(metrics_of(&r).failed, 2);
    end(&r);
}

MR_TEST(an_answer_that_broke_off_is_settled_as_estimated) {
    struct rig r;
    struct answer a;
    struct mr_err e = {0};
    begin(&r, (struct rig_options){0});
    answer_init(&a);
    CHECK_INT(
        submit(&r, (struct ask){.provider = "mistral", .prompt = "forty bytes are ten tokens here"},
               &a, &e),
        0);
    held_send(held_take(&r), "HTTP/1.1 200 OK\r\ncontent-length: 9999", "{\"id\":");
    answer_wait(&a);
    CHECK(a.err.code < 0);
    CHECK_INT(a.task.status, MR_TASK_FAILED);
    struct mr_charge c = charge_of(&r, a.task.charge);
    CHECK_INT(c.state, MR_CHARGE_SETTLED);
    CHECK(c.estimated);
    CHECK_INT(c.tokens.input,
              mr_provider_estimate_tokens(MR_LIT("forty bytes are ten tokens here")));
    CHECK_INT(c.cost_nano, cost_by_hand(&r, &c));
    CHECK(c.cost_nano > 0);
    CHECK_INT(task_of(&r, 1).cost_nano, c.cost_nano);
    /* The same where the provider answers whole, but does not count. */
    run(&r, (struct ask){.prompt = "[standin fault=no-usage] x"}, &a);
    CHECK_INT(a.task.status, MR_TASK_COMPLETED);
    c = charge_of(&r, a.task.charge);
    CHECK(c.estimated && c.tokens.input > 0 && c.tokens.output > 0);
    CHECK_INT(c.cost_nano, cost_by_hand(&r, &c));
    end(&r);
}

MR_TEST(a_fallback_is_paid_at_its_own_price) {
    struct rig r;
    struct answer a;
    struct mr_err e = {0};
    begin(&r, (struct rig_options){.openai_falls_back = true, .openai_is_away = true});
    answer_init(&a);
    CHECK_INT(submit(&r, (struct ask){.prompt = "either"}, &a, &e), 0);
    held_answer(held_take(&r));
    answer_wait(&a);
    CHECK_INT(a.err.code, 0);
    CHECK_STR(a.provider, "mistral");
    CHECK_STR(a.model, "mistral-small-latest");
    struct mr_charge c = charge_of(&r, a.task.charge);
    CHECK(says(c.provider, "mistral"));
    CHECK(mr_str_starts(c.price_version, MR_LIT("mistral/")));
    CHECK_INT(c.cost_nano, cost_by_hand(&r, &c));
    CHECK_INT(c.tokens.input + c.tokens.output, 10);
    CHECK(says(task_of(&r, 1).provider, "mistral"));
    end(&r);
}

MR_TEST(a_stream_brings_its_text_and_goes_on_without_its_client) {
    struct rig r;
    struct answer a;
    begin(&r, (struct rig_options){0});
    run(&r, (struct ask){.prompt = "stream this", .stream = true}, &a);
    CHECK_INT(a.err.code, 0);
    CHECK(a.deltas > 3);
    CHECK_STR(a.seen, a.output);
    int64_t cost = a.task.cost_nano;
    run(&r, (struct ask){.prompt = "stream this", .stream = false}, &a);
    CHECK_INT(a.task.cost_nano, cost); /* streamed or not, the same work costs the same */
    struct answer gone;
    answer_init(&gone);
    gone.leave_after = 2;
    struct mr_err e = {0};
    CHECK_INT(submit(&r, (struct ask){.prompt = "stream this", .stream = true}, &gone, &e), 0);
    answer_wait(&gone);
    CHECK_INT(gone.deltas, 2);
    CHECK_INT(gone.task.status, MR_TASK_COMPLETED);
    CHECK_INT(gone.task.cost_nano, cost);
    CHECK(!charge_of(&r, gone.task.charge).estimated);
    CHECK_INT(budget_of(&r).spent_nano, 3 * cost);
    end(&r);
}

MR_TEST(lists_filter_and_page) {
    struct rig r;
    struct answer a, held;
    struct mr_task_info *v;
    struct mr_err e = {0};
    begin(&r, (struct rig_options){0});
    for (int i = 1; i <= 9; i++) /* 3, 6 and 9 fail */
        run(&r, (struct ask){.prompt = i % 3 ? "x" : "[standin fault=400] x", .user = "7"}, &a);
    run(&r, (struct ask){.who = &r.other, .prompt = "another account's"}, &a);
    CHECK_INT(a.task.id, 1); /* ids count up an account */
    answer_init(&held);
    CHECK_INT(submit(&r, (struct ask){.provider = "mistral", .prompt = "x"}, &held, &e), 0);
    int fd = held_take(&r);

    CHECK_INT(list_of(&r, -1, 50, 0, &v), 10);
    for (int i = 0; i < 10; i++)
        CHECK_INT(v[i].id, 10 - i);
    CHECK(!v[5].input.p && !v[5].output.p); /* a page of long texts would not be one */
    CHECK(says(v[5].end_user, "7") && says(v[5].provider, "openai"));
    CHECK(v[1].error.n > 0 && !v[2].error.n);
    static const int64_t failed[] = {9, 6, 3}, completed[] = {8, 7, 5, 4, 2, 1};
    CHECK_INT(list_of(&r, MR_TASK_FAILED, 50, 0, &v), 3);
    for (int i = 0; i < 3; i++)
        CHECK_INT(v[i].id, failed[i]);
    CHECK_INT(list_of(&r, MR_TASK_COMPLETED, 50, 0, &v), 6);
    for (int i = 0; i < 6; i++)
        CHECK_INT(v[i].id, completed[i]);
    CHECK_INT(list_of(&r, MR_TASK_PROCESSING, 50, 0, &v), 1);
    CHECK_INT(v[0].id, 10);
    CHECK_INT(list_of(&r, MR_TASK_PENDING, 50, 0, &v), 0);
    CHECK_INT(list_of(&r, MR_TASK_COMPLETED, 2, 3, &v), 2);
    CHECK(v[0].id == 4 && v[1].id == 2);
    CHECK_INT(list_of(&r, -1, 3, 9, &v), 1);
    CHECK_INT(v[0].id, 1);
    CHECK_INT(list_of(&r, -1, 3, 10, &v), 0);
    CHECK_INT(list_of(&r, -1, 0, 0, &v), 0);
    held_answer(fd);
    answer_wait(&held);
    CHECK_INT(list_of(&r, MR_TASK_PROCESSING, 50, 0, &v), 0);
    end(&r);
}

MR_TEST(a_status_is_its_name) {
    static const char *const name[] = {"pending", "processing", "completed", "failed"};
    enum mr_task_status s = MR_TASK_PENDING;
    for (int i = 0; i < 4; i++) {
        CHECK_STR(mr_task_status_name((enum mr_task_status)i), name[i]);
        CHECK(mr_task_status_parse(mr_str(name[i]), &s));
        CHECK_INT(s, i);
    }
    CHECK(!mr_task_status_parse(MR_LIT("Completed"), &s));
    CHECK(!mr_task_status_parse(MR_LIT("complete"), &s));
    CHECK(!mr_task_status_parse(MR_LIT(""), &s));
}

MR_TEST(end_users_are_made_on_first_sight) {
    struct rig r;
    struct answer a;
    int64_t number, text, none = -1;
    struct mr_err e = {0};
    begin(&r, (struct rig_options){0});
    run(&r, (struct ask){.prompt = "one", .user = "42"}, &a);
    int64_t first = a.task.cost_nano;
    run(&r, (struct ask){.prompt = "another prompt", .user = "ann"}, &a);
    run(&r, (struct ask){.prompt = "one", .user = "42"}, &a);
    run(&r, (struct ask){.prompt = "one"}, &a);
    run(&r, (struct ask){.who = &r.other, .prompt = "one", .user = "42"}, &a);
    CHECK_INT(stats_of(&r).end_users, 2);
    CHECK_INT(mr_end_user_find(r.ledger, r.who.account, MR_LIT("42"), &number, &e), 0);
    CHECK_INT(mr_end_user_find(r.ledger, r.who.account, MR_LIT("ann"), &text, &e), 0);
    CHECK(number > 0 && text > 0 && number != text);
    CHECK_INT(mr_end_user_find(r.ledger, r.who.account, MR_LIT("042"), &none, &e), 0);
    CHECK_INT(none, 0);
    struct mr_report_query q = {.account = r.who.account,
                                .to_us = INT64_C(4102444800) * 1000000,
                                .one_end_user = true,
                                .end_user = number};
    struct mr_report_line *v;
    size_t n;
    CHECK_INT(mr_report(r.ledger, &q, MR_BY_TOTAL, &r.arena, &v, &n, &e), 0);
    CHECK_INT(n, 1);
    CHECK_INT(v[0].requests, 2);
    CHECK_INT(v[0].expense_nano, 2 * first);
    end(&r);
}

/* The sums that are kept advance only over what has ended, so a task that still runs is counted
 * once, whenever it ends. */
MR_TEST(sums_are_the_same_however_they_are_kept) {
    struct rig r;
    struct answer held, a;
    struct mr_err e = {0};
    begin(&r, (struct rig_options){0});
    int64_t cost = 0, tokens = 0;
    enum { N = 540, WAVE = 60 };
    static struct answer wave[WAVE];
    for (int i = 0; i < N; i += WAVE) {
        for (int k = 0; k < WAVE; k++) {
            answer_init(&wave[k]);
            CHECK_INT(submit(&r, (struct ask){.prompt = "x"}, &wave[k], &e), 0);
        }
        for (int k = 0; k < WAVE; k++) {
            answer_wait(&wave[k]);
            CHECK_INT(wave[k].task.status, MR_TASK_COMPLETED);
            cost += wave[k].task.cost_nano;
            tokens += wave[k].task.tokens;
        }
    }
    answer_init(&held);
    CHECK_INT(submit(&r, (struct ask){.provider = "mistral", .prompt = "x"}, &held, &e), 0);
    int fd = held_take(&r);
    run(&r, (struct ask){.prompt = "[standin fault=400] x"}, &a);
    for (int i = 0; i < 3; i++) {
        struct mr_task_stats s = stats_of(&r);
        CHECK_INT(s.total, N + 2);
        CHECK_INT(s.completed, N);
        CHECK_INT(s.cost_nano, cost);
        CHECK_INT(s.tokens, tokens);
    }
    held_answer(fd);
    answer_wait(&held);
    struct mr_task_stats s = stats_of(&r);
    CHECK_INT(s.total, N + 2);
    CHECK_INT(s.completed, N + 1);
    CHECK_INT(s.tokens, tokens + 10);
    CHECK_INT(s.cost_nano, cost + held.task.cost_nano);
    CHECK_INT(s.cost_nano, budget_of(&r).spent_nano);
    CHECK_INT(task_of(&r, N + 1).id, N + 1);
    rig_close(&r);
    rig_open(&r, tmp.dir, (struct rig_options){0}); /* and after a restart ids go on */
    CHECK_INT(stats_of(&r).cost_nano, s.cost_nano);
    run(&r, (struct ask){.prompt = "x"}, &a);
    CHECK_INT(a.task.id, N + 3);
    end(&r);
}

MR_TEST_MAIN(CASE(a_task_is_paid_as_its_provider_counted),
             CASE(while_it_runs_its_charge_is_open_and_its_budget_held),
             CASE(what_cannot_run_writes_nothing),
             CASE(a_failure_releases_and_is_kept_with_its_reason),
             CASE(an_answer_that_broke_off_is_settled_as_estimated),
             CASE(a_fallback_is_paid_at_its_own_price),
             CASE(a_stream_brings_its_text_and_goes_on_without_its_client),
             CASE(lists_filter_and_page), CASE(a_status_is_its_name),
             CASE(end_users_are_made_on_first_sight), CASE(sums_are_the_same_however_they_are_kept))
