/* Deployments: what happens at the same time, or in another order. */
#include "dep_fixture.h"

static void *catch_up(void *arg) {
    struct mr_dep *dep = arg;
    usleep(20000);
    pthread_mutex_lock(&dep->lock);
    dep->now.serving = true;
    pthread_mutex_unlock(&dep->lock);
    return NULL;
}

/* The registry lies behind the commit that a caller has read. */
MR_TEST(what_was_seen_active_is_served) {
    struct mr_dep_use u;
    struct mr_err e;
    pthread_t t;
    begin();
    struct mr_deployment a = deployed("iris", TREE);
    struct mr_dep *dep = mr_registry_find(deps, a.id);
    uint32_t got = 0;
    for (int tries = 0; tries < 20 && got == 0; tries++) { /* again where the machine stalls */
        pthread_mutex_lock(&dep->lock);
        dep->now.serving = false;
        pthread_mutex_unlock(&dep->lock);
        CHECK_INT(mr_dep_acquire(deps, me.account, a.id, false, &u, &e), MR_EUNAVAIL);
        CHECK_INT(pthread_create(&t, NULL, catch_up, dep), 0);
        got = served(a.id, NULL);
        pthread_join(t, NULL);
    }
    CHECK_INT(got, 1);
    end();
}

MR_TEST(late_states_are_ignored) {
    begin();
    struct mr_deployment a = deployed("iris", TREE);
    struct mr_dep *dep = mr_registry_find(deps, a.id);
    struct mr_dep_state early = dep->now, late = dep->now;
    early.seq += 1;
    early.program.version = 2;
    late.seq += 2;
    late.program.version = 3;
    mr_registry_set(deps, dep, &late, NULL);
    mr_registry_set(deps, dep, &early, NULL);
    CHECK_INT(served(a.id, NULL), 3);
    struct mr_dep_state gone = {.seq = late.seq + 2, .deleted = true};
    late.seq++;
    mr_registry_set(deps, dep, &gone, NULL);
    mr_registry_set(deps, dep, &late, NULL);
    CHECK_INT(served(a.id, NULL), 0);
    CHECK(!dep->instance);
    end();
}

/* An older version that is ready after a newer one stays in its place. */
MR_TEST(an_overtaken_version_does_not_serve) {
    begin();
    struct mr_deployment a = deployed("iris", TREE);
    /* a later version than 10 becomes ready while 10 is built */
    CHECK_INT(sql("INSERT INTO versions (deployment_id, n, status, engine, source_blob, "
                  "program_blob, metadata, changes, error, created_at) SELECT deployment_id, 9, "
                  "'ready', engine, source_blob, program_blob, metadata, '', '', created_at FROM "
                  "versions"),
              0);
    CHECK_INT(sql("CREATE TRIGGER swap_n AFTER INSERT ON versions WHEN new.n = 10 BEGIN UPDATE "
                  "versions SET n = 11 WHERE n = 9; END"),
              0);
    CHECK_INT(deployed("iris", TREE).version, 10);
    CHECK_INT(served(a.id, NULL), 1);
    CHECK_INT(get(a.id).version, 1);
    CHECK(mr_str_is(get(a.id).status, "active"));
    end();
}

static void *deploy_some(void *arg) {
    struct mr_arena mine;
    mr_arena_init(&mine, 16 << 20);
    for (int i = 0; i < 4; i++) {
        struct mr_deploy in = form("busy", TREE);
        struct mr_deployment dep;
        struct mr_err e = {0};
        bool replayed;
        if (mr_deploy(deps, &me, &in, &mine, &dep, &replayed, &e)) {
            fprintf(stderr, "%s\n", e.msg);
            *(int *)arg = 1;
        }
    }
    mr_arena_release(&mine);
    return NULL;
}

MR_TEST(deploys_of_one_name_at_a_time) {
    pthread_t t[4];
    int bad[4] = {0};
    struct mr_dep_filter f = {.limit = 10};
    struct mr_deployment *list;
    struct mr_err e = {0};
    int64_t total;
    size_t n;
    begin();
    for (int i = 0; i < 4; i++)
        pthread_create(&t[i], NULL, deploy_some, &bad[i]);
    for (int i = 0; i < 4; i++) {
        pthread_join(t[i], NULL);
        CHECK_INT(bad[i], 0);
    }
    mr_pool_free(deps->intake); /* those that took over 2 s too */
    deps->intake = NULL;
    CHECK_INT(mr_deployments_list(deps, me.account, &f, &arena, &list, &n, &total, &e), 0);
    CHECK_INT(n, 1);
    CHECK_INT(list[0].version, 16);
    CHECK_INT(served(list[0].id, NULL), 16);
    end();
}

MR_TEST_MAIN(CASE(late_states_are_ignored), CASE(what_was_seen_active_is_served),
             CASE(an_overtaken_version_does_not_serve), CASE(deploys_of_one_name_at_a_time))

#undef main
int main(int argc, char **argv) {
    return dep_main(argc, argv);
}
