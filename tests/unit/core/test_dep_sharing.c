/* One loaded model for one program, however many deployments serve it. */
#include "dep_fixture.h"

static struct mr_instance *loaded(struct mr_id id) {
    return mr_registry_find(deps, id)->instance;
}

static uint64_t loaded_bytes(void) {
    struct mr_deployments_stats st;
    mr_deployments_stats(deps, &st);
    return st.loaded_bytes;
}

static void sweep_before(int64_t ns) {
    mr_registry_sweep(deps, ns + deps->c.idle_unload_s * 1000000000ll);
}

MR_TEST(the_same_program_is_loaded_once) {
    struct mr_err e = {0};
    begin();
    struct mr_deployment a = deployed("a", TREE);
    uint64_t one = loaded_bytes();
    struct mr_deployment b = deployed("b", TREE);
    CHECK(one > 0 && loaded_bytes() == one);
    CHECK_INT(n_loaded(), 1);
    CHECK(loaded(a.id) == loaded(b.id));
    CHECK_INT(mr_deployments_delete(deps, me.account, a.id, MR_LIT("http://h"), &e), 0);
    CHECK_INT(served(b.id, NULL), 1);
    CHECK_INT(n_loaded(), 1);
    CHECK_INT(mr_deployments_delete(deps, me.account, b.id, MR_LIT("http://h"), &e), 0);
    CHECK_INT(n_loaded(), 0);
    CHECK_INT(loaded_bytes(), 0);
    CHECK_INT(deps->programs.n, 0);
    end();
}

MR_TEST(versions_share_and_part) {
    struct mr_err e = {0};
    uint32_t previous;
    begin();
    struct mr_deployment a = deployed("a", TREE), b = deployed("b", TREE);
    deployed("a", FOREST);
    CHECK_INT(served(a.id, NULL), 2);
    CHECK(loaded(a.id) != loaded(b.id));
    CHECK_INT(n_loaded(), 2);
    CHECK_INT(mr_versions_rollback(deps, me.account, a.id, 1, &previous, &e), 0);
    CHECK(loaded(a.id) == loaded(b.id));
    CHECK_INT(n_loaded(), 1);
    reopen(); /* loaded again by the first request of each */
    CHECK_INT(n_loaded(), 0);
    CHECK_INT(served(a.id, NULL), 1);
    CHECK_INT(served(b.id, NULL), 1);
    CHECK(loaded(a.id) == loaded(b.id));
    CHECK_INT(n_loaded(), 1);
    end();
}

/* A cold start is a request that has a model read into memory. */
MR_TEST(taking_what_another_loaded_is_no_cold_start) {
    struct mr_err e = {0};
    struct mr_deployments_stats st;
    struct mr_dep_use u;
    begin();
    struct mr_id id[2] = {deployed("a", TREE).id, deployed("b", TREE).id};
    reopen();
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < 2; i++) {
            u = (struct mr_dep_use){0};
            CHECK_INT(mr_dep_acquire(deps, me.account, id[i], false, &u, &e), MR_EUNAVAIL);
            CHECK_INT(mr_dep_acquire(deps, me.account, id[i], true, &u, &e), 0);
            CHECK_INT(u.cold, i == 0);
            mr_instance_unref(u.instance);
        }
        u = (struct mr_dep_use){0};
        CHECK_INT(mr_dep_acquire(deps, me.account, id[0], true, &u, &e), 0);
        CHECK(!u.cold);
        mr_instance_unref(u.instance);
        mr_deployments_stats(deps, &st);
        CHECK_INT(st.loads, round + 1);
        sweep_before(mr_mono_ns() + 1); /* both let go: the next round reads it again */
    }
    end();
}

/* The time limit belongs to the loaded model, the memory limit to each deployment. */
MR_TEST(limits_are_not_shared) {
    struct mr_err e = {0};
    struct mr_deployment dep;
    struct mr_loaded *l = NULL;
    begin();
    struct mr_deployment a = deployed("a", FOREST), b = deployed("b", FOREST);
    struct mr_dep_change ch = {.memory_mb = -1, .timeout_s = 7, .min_instances = -1};
    ch.max_instances = -1;
    CHECK_INT(mr_deployments_update(deps, me.account, a.id, &ch, &arena, &dep, &e), 0);
    mr_pool_free(deps->intake); /* runs what ends the update */
    deps->intake = NULL;
    CHECK(loaded(a.id) != loaded(b.id));
    CHECK_INT(n_loaded(), 2);
    struct mr_dep *at = mr_registry_find(deps, b.id);
    struct mr_dep_config small = at->now.config;
    small.memory_mb = 0; /* none */
    CHECK_INT(mr_program_load(deps, &at->now.program, &small, &l, NULL, &e), 0);
    CHECK(l == at->loaded && l->holders == 2);
    CHECK(!mr_programs_drop(&deps->programs, l));
    CHECK_INT(mr_instance_fits(l->instance, 1000, &e), MR_ETOOBIG);
    CHECK_INT(mr_instance_fits(l->instance, mr_instance_memory(l->instance), &e), 0);
    end();
}

MR_TEST(a_program_in_use_keeps_its_idle_deployments) {
    struct mr_err e = {0};
    struct mr_deployment dep;
    begin();
    struct mr_deployment a = deployed("a", TREE), b = deployed("b", TREE);
    struct mr_deployment c = deployed("c", FOREST);
    CHECK_INT(served(a.id, NULL), 1);
    CHECK_INT(served(c.id, NULL), 1);
    int64_t between = mr_mono_ns() + 1;
    while (mr_mono_ns() <= between)
        ;
    CHECK_INT(served(b.id, NULL), 1);
    sweep_before(between);
    CHECK(loaded(a.id) && loaded(a.id) == loaded(b.id) && !loaded(c.id));
    sweep_before(mr_mono_ns() + 1);
    CHECK(!loaded(a.id) && !loaded(b.id));
    CHECK_INT(n_loaded(), 0);
    struct mr_deployments_stats st;
    mr_deployments_stats(deps, &st);
    CHECK_INT(st.evictions, 2);
    struct mr_dep_change ch = {.memory_mb = -1, .timeout_s = -1, .min_instances = 1};
    ch.max_instances = -1;
    CHECK_INT(mr_deployments_update(deps, me.account, a.id, &ch, &arena, &dep, &e), 0);
    mr_pool_free(deps->intake); /* min_instances loads it */
    deps->intake = NULL;
    CHECK_INT(served(b.id, NULL), 1);
    deps->c.model_cache_max = 1;
    sweep_before(mr_mono_ns() + 1);
    CHECK(loaded(a.id) && loaded(a.id) == loaded(b.id));
    end();
}

MR_TEST(over_the_cache_size_the_oldest_leave) {
    begin();
    struct mr_deployment a = deployed("a", TREE), c = deployed("c", FOREST);
    CHECK_INT(served(a.id, NULL), 1);
    uint64_t both = loaded_bytes();
    CHECK_INT(served(c.id, NULL), 1);
    deps->c.model_cache_max = both - 1;
    mr_registry_sweep(deps, mr_registry_find(deps, c.id)->used_ns);
    CHECK(!loaded(a.id) && loaded(c.id));
    end();
}

struct sharer {
    struct mr_id *id;
    int bad;
};

static void *acquire_all(void *arg) {
    struct sharer *s = arg;
    for (int i = 0; i < 2000; i++) {
        struct mr_dep_use u;
        struct mr_err e = {0};
        if (mr_dep_acquire(deps, me.account, s->id[i % 4], true, &u, &e))
            s->bad += e.code != MR_EUNAVAIL;
        else
            mr_instance_unref(u.instance);
    }
    return NULL;
}

MR_TEST(sharing_survives_loading_and_leaving_at_once) {
    pthread_t t[3];
    struct mr_id id[4];
    char name[2] = "a";
    struct sharer s[3] = {{id, 0}, {id, 0}, {id, 0}};
    begin();
    for (int i = 0; i < 4; i++, name[0]++)
        id[i] = deployed(name, TREE).id;
    for (int i = 0; i < 3; i++)
        pthread_create(&t[i], NULL, acquire_all, &s[i]);
    for (int i = 0; i < 300; i++)
        sweep_before(mr_mono_ns() + 1);
    for (int i = 0; i < 3; i++) {
        pthread_join(t[i], NULL);
        CHECK_INT(s[i].bad, 0);
    }
    for (int i = 0; i < 4; i++)
        CHECK_INT(served(id[i], NULL), 1);
    CHECK_INT(n_loaded(), 1);
    CHECK_INT(mr_registry_find(deps, id[0])->loaded->holders, 4);
    sweep_before(mr_mono_ns() + 1);
    CHECK_INT(n_loaded(), 0);
    CHECK_INT(loaded_bytes(), 0);
    end();
}

MR_TEST_MAIN(CASE(the_same_program_is_loaded_once), CASE(versions_share_and_part),
             CASE(taking_what_another_loaded_is_no_cold_start), CASE(limits_are_not_shared),
             CASE(a_program_in_use_keeps_its_idle_deployments),
             CASE(over_the_cache_size_the_oldest_leave),
             CASE(sharing_survives_loading_and_leaving_at_once))

#undef main
int main(int argc, char **argv) {
    return dep_main(argc, argv);
}
