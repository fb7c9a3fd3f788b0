/* Deployments: versions, replays, deletion, changes, lack of memory. */
#include "dep_fixture.h"

MR_TEST(versions_follow_the_name_and_roll_back) {
    struct mr_err e = {0};
    struct mr_version *v;
    uint32_t previous;
    size_t n;
    begin();
    struct mr_deployment a = deployed("iris", TREE), b = deployed("iris", MODELS "lgb_cancer.pkl");
    CHECK(mr_id_eq(a.id, b.id));
    CHECK_INT(b.version, 2);
    CHECK_INT(served(a.id, NULL), 2);
    CHECK(mr_str_is(get(a.id).framework, "lightgbm"));
    CHECK_INT(mr_versions_rollback(deps, me.account, a.id, 1, &previous, &e), 0);
    CHECK_INT(previous, 2);
    CHECK_INT(served(a.id, NULL), 1);
    CHECK(mr_str_is(get(a.id).framework, "sklearn"));
    CHECK_INT(get(a.id).version, 1);
    CHECK_INT(mr_versions_rollback(deps, me.account, a.id, 9, &previous, &e), MR_ENOTFOUND);
    CHECK_INT(mr_versions_rollback(deps, mr_id_new(), a.id, 2, &previous, &e), MR_ENOTFOUND);
    CHECK_INT(mr_versions_list(deps, me.account, a.id, &arena, &v, &n, &e), 0);
    CHECK_INT(n, 2);
    CHECK(v[1].current && mr_str_is(v[1].status, "active") && mr_str_is(v[0].status, "inactive"));
    CHECK(!mr_id_eq(deployed(NULL, TREE).id, deployed(NULL, TREE).id));
    reopen();
    CHECK_INT(served(a.id, NULL), 1);
    end();
}

/* A version that fails leaves what serves and its limits alone. */
MR_TEST(a_failed_version_changes_nothing_that_serves) {
    struct mr_deployment a, dep;
    struct mr_err e = {0};
    struct mr_version *v;
    uint32_t previous;
    bool replayed;
    size_t n;
    begin();
    struct mr_deploy in = form("iris", TREE);
    in.memory_mb = 512;
    must(mr_deploy(deps, &me, &in, &arena, &a, &replayed, &e), &e);
    in = form("iris", __FILE__);
    in.memory_mb = 128;
    CHECK_INT(mr_deploy(deps, &me, &in, &arena, &dep, &replayed, &e), MR_EREFUSED);
    CHECK(!in.model && e.msg[0]);
    CHECK_INT(served(a.id, NULL), 1);
    dep = get(a.id);
    CHECK(mr_str_is(dep.status, "active"));
    CHECK_INT(dep.version, 1);
    CHECK_INT(dep.config.memory_mb, 512);
    CHECK_INT(mr_versions_list(deps, me.account, a.id, &arena, &v, &n, &e), 0);
    CHECK(n == 2 && mr_str_is(v[0].status, "failed") && v[0].error.n > 0);
    CHECK_INT(mr_versions_rollback(deps, me.account, a.id, 2, &previous, &e), MR_ECONFLICT);
    in = form("iris", TREE);
    in.memory_mb = 256;
    must(mr_deploy(deps, &me, &in, &arena, &dep, &replayed, &e), &e);
    CHECK_INT(get(a.id).config.memory_mb, 256);
    in = form("bad", __FILE__);
    CHECK_INT(mr_deploy(deps, &me, &in, &arena, &dep, &replayed, &e), MR_EREFUSED);
    struct mr_dep_filter f = {.limit = 10, .status = MR_LIT("failed")};
    struct mr_deployment *list;
    int64_t total;
    CHECK_INT(mr_deployments_list(deps, me.account, &f, &arena, &list, &n, &total, &e), 0);
    CHECK(n == 1 && total == 1 && mr_str_is(list[0].name, "bad"));
    int rc;
    CHECK_INT(served(list[0].id, &rc), 0);
    CHECK_INT(rc, MR_ECONFLICT);
    end();
}

MR_TEST(an_idempotency_key_repeats_the_answer) {
    struct mr_deployment a, b;
    struct mr_err e = {0};
    bool replayed;
    begin();
    struct mr_deploy in = form(NULL, TREE);
    in.idempotency_key = MR_LIT("once");
    must(mr_deploy(deps, &me, &in, &arena, &a, &replayed, &e), &e);
    in = form(NULL, TREE);
    in.idempotency_key = MR_LIT("once");
    must(mr_deploy(deps, &me, &in, &arena, &b, &replayed, &e), &e);
    CHECK(replayed && mr_id_eq(a.id, b.id));
    CHECK_INT(mr_deployments_count(deps, me.account), 1);
    in = form(NULL, TREE);
    in.changes = MR_LIT("something else");
    in.idempotency_key = MR_LIT("once");
    CHECK_INT(mr_deploy(deps, &me, &in, &arena, &b, &replayed, &e), MR_EFIELD);
    CHECK_INT(mr_deployments_count(deps, me.account), 1);
    end();
}

MR_TEST(deleted_ones_are_gone_and_free_their_name) {
    struct mr_err e = {0};
    uint32_t previous;
    int rc;
    begin();
    struct mr_deployment a = deployed("iris", TREE);
    CHECK_INT(mr_deployments_delete(deps, mr_id_new(), a.id, MR_LIT("http://h"), &e), MR_ENOTFOUND);
    struct mr_dep_use held;
    CHECK_INT(mr_dep_acquire(deps, me.account, a.id, true, &held, &e), 0);
    CHECK_INT(mr_deployments_delete(deps, me.account, a.id, MR_LIT("http://h"), &e), 0);
    mr_instance_unref(held.instance); /* in flight: kept until here */
    CHECK_INT(served(a.id, &rc), 0);
    CHECK_INT(rc, MR_ENOTFOUND);
    CHECK_INT(mr_deployments_delete(deps, me.account, a.id, MR_LIT("http://h"), &e), MR_ENOTFOUND);
    CHECK_INT(mr_versions_rollback(deps, me.account, a.id, 1, &previous, &e), MR_ENOTFOUND);
    struct mr_deployment b = deployed("iris", TREE);
    CHECK(!mr_id_eq(a.id, b.id));
    CHECK_INT(b.version, 1);
    struct mr_deployments_stats st;
    mr_deployments_stats(deps, &st);
    CHECK_INT(st.loaded, 1);
    reopen();
    CHECK_INT(served(a.id, &rc), 0);
    CHECK_INT(rc, MR_ENOTFOUND);
    CHECK_INT(served(b.id, NULL), 1);
    end();
}

MR_TEST(changes_take_effect_or_are_refused) {
    struct mr_err e = {0};
    struct mr_deployment dep;
    begin();
    struct mr_deployment a = deployed("a", TREE);
    deployed("b", TREE);
    struct mr_dep_change keep = {.memory_mb = -1, .timeout_s = -1, .min_instances = -1};
    keep.max_instances = -1;
    struct mr_dep_change ch = keep;
    ch.name = MR_LIT("b");
    CHECK_INT(mr_deployments_update(deps, me.account, a.id, &ch, &arena, &dep, &e), MR_ECONFLICT);
    ch = keep;
    ch.min_instances = 5;
    ch.max_instances = 2;
    CHECK_INT(mr_deployments_update(deps, me.account, a.id, &ch, &arena, &dep, &e), MR_EFIELD);
    ch = keep;
    ch.memory_mb = 300;
    CHECK_INT(mr_deployments_update(deps, me.account, a.id, &ch, &arena, &dep, &e), 0);
    mr_pool_free(deps->intake); /* runs what ends the update */
    deps->intake = NULL;
    dep = get(a.id);
    CHECK(mr_str_is(dep.status, "active"));
    CHECK_INT(dep.config.memory_mb, 300);
    CHECK_INT(mr_registry_find(deps, a.id)->now.config.memory_mb, 300);
    CHECK_INT(served(a.id, NULL), 1);
    end();
}

/* Every allocation of the caller's thread fails once: an error, no leak, and the next one works. */
MR_TEST(out_of_memory_is_an_error) {
    int rc = MR_ENOMEM, failed = 0;
    begin();
    for (size_t nth = 1; rc && nth < 200; nth++) {
        struct mr_deploy in = form("iris", TREE);
        struct mr_arena small;
        struct mr_deployment dep;
        struct mr_err e = {0};
        bool replayed;
        in.idempotency_key = MR_LIT("once");
        in.requirements = MR_LIT("scikit-learn");
        mr_arena_init(&small, 16 << 20);
        mr_alloc_fail_at(nth);
        rc = mr_deploy(deps, &me, &in, &small, &dep, &replayed, &e);
        mr_alloc_fail_at(0);
        CHECK(!rc || rc == MR_ENOMEM);
        CHECK(!in.model);
        failed += rc != 0;
        mr_arena_release(&small);
    }
    CHECK_INT(rc, 0);
    CHECK(failed > 2);
    CHECK_INT(mr_deployments_count(deps, me.account), 1);
    CHECK_INT(deployed("iris", TREE).version, 2);
    rc = MR_ENOMEM;
    for (size_t nth = 1; rc && nth < 500; nth++) {
        struct mr_deployments_config c = deps->c;
        struct mr_deployments *other = NULL;
        mr_alloc_fail_at(nth);
        rc = mr_deployments_open(&c, &other, NULL);
        mr_alloc_fail_at(0);
        CHECK(!rc || rc == MR_ENOMEM);
        mr_deployments_free(other);
    }
    CHECK_INT(rc, 0);
    end();
}

MR_TEST_MAIN(CASE(versions_follow_the_name_and_roll_back),
             CASE(a_failed_version_changes_nothing_that_serves),
             CASE(an_idempotency_key_repeats_the_answer),
             CASE(deleted_ones_are_gone_and_free_their_name),
             CASE(changes_take_effect_or_are_refused), CASE(out_of_memory_is_an_error))

#undef main
int main(int argc, char **argv) {
    return dep_main(argc, argv);
}
