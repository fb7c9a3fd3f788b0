/* Jobs: a life from creation to results, turns, retries, cancelling, idempotency. */
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

MR_TEST_MAIN(CASE(a_job_over_inline_inputs_completes))
