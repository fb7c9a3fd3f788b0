/* Jobs over a deployment: each item's answer is the prediction's, errors are the item's own. */
#include "core/core.h"
#include "core/jobs/predictions.h"
#include "dep_fixture.h"

static int rights(void *arg, struct mr_id account, struct mr_id user, struct mr_id key,
                  struct mr_principal *ret, struct mr_err *e) {
    (void)arg, (void)user, (void)key, (void)e;
    *ret = me;
    ret->account = account;
    return 0;
}

static int create(struct mr_jobs *jobs, struct mr_id account, const char *dep, struct mr_job *ret,
                  struct mr_err *e) {
    char text[400];
    snprintf(text, sizeof text,
             "{\"deployment_id\":\"%s\",\"inputs\":[[5.1,3.5,1.4,0.2],[1,2],[[6.3,3.3,6.0,2.5],"
             "[5.0,3.4,1.5,0.2]],\"text\"]}",
             dep);
    struct mr_job_request q = {
        .who = me, .service = MR_LIT("predictions"), .parameters = mr_str(text), .retries = -1};
    q.who.account = account;
    return mr_job_create(jobs, &q, &arena, ret, NULL, e);
}

MR_TEST(items_are_predictions) {
    begin();
    struct mr_err e = {0};
    struct mr_core core = {.deployments = deps};
    struct mr_jobs *jobs = NULL;
    struct mr_job_runner r = mr_job_predictions_runner(&core, 2);
    struct mr_jobs_config c = {
        .db = db, .blobs = blobs, .runner = &r, .n_runner = 1, .sole = true, .principal = rights};
    must(mr_jobs_open(&c, &jobs, &e), &e);
    char dep[64];
    struct mr_job k;
    struct mr_id other = {{9}};
    me.scopes = MR_SCOPE_ALL;
    mr_id_print(MR_DEP_PREFIX, deployed("a", TREE).id, dep, sizeof dep);
    CHECK_INT(create(jobs, me.account, "dep-1", &k, &e), MR_EFIELD);
    CHECK_STR(e.field, "parameters.deployment_id");
    CHECK_INT(create(jobs, other, dep, &k, &e), MR_EFIELD); /* not its own */
    CHECK_STR(e.field, "parameters.deployment_id");
    must(create(jobs, me.account, dep, &k, &e), &e);
    for (int i = 0; i < 10000 && !k.ended_us; i++) {
        usleep(1000);
        must(mr_job_get(jobs, me.account, k.id, &arena, &k, &e), &e);
    }
    CHECK_INT(k.status, MR_JOB_COMPLETED);
    CHECK_INT(k.failed, 2);
    struct mr_job_result *v;
    size_t n;
    int64_t total;
    must(mr_job_results(jobs, me.account, k.id, 10, 0, &arena, &v, &n, &total, &e), &e);
    CHECK_INT(n, 4);
    CHECK(v[0].output.p && strstr(mr_arena_str(&arena, v[0].output), "\"model_version\":\"v1\""));
    CHECK(v[2].output.p && strstr(mr_arena_str(&arena, v[2].output), "\"batch_size\":2"));
    CHECK(v[1].error.p && v[1].error_code == MR_EINVAL);
    CHECK(v[3].error.p && v[3].attempts == 1);
    mr_jobs_free(jobs, 0);
    end();
}

MR_TEST_MAIN(CASE(items_are_predictions))

#undef main
int main(int argc, char **argv) {
    return dep_main(argc, argv);
}
