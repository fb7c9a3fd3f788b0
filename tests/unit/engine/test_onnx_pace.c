/* When an ONNX worker lets a run have several threads. */
#include "engine/onnx/worker_priv.h"
#include "mr_test.h"

#define MS ((int64_t)1000000)

/* Runs of 10 ms whose threads got `share` of their processors; returns when they were narrowed. */
static int64_t runs(struct mr_onnx_pace *p, int64_t now, int n, double share) {
    for (int k = 0; k < n; k++, now += 10 * MS) {
        if (!mr_onnx_pace_wide(p, now))
            return now;
        mr_onnx_pace_note(p, 2, now, 10 * MS, (int64_t)(share * 20 * (double)MS));
    }
    return 0;
}

MR_TEST(runs_that_get_their_processors_stay_wide) {
    struct mr_onnx_pace p = {0};
    CHECK_INT(runs(&p, MS, 1000, 0.95), 0);
    CHECK_INT(runs(&p, MS, 1, 0.4), 0); /* one outlier is none */
    CHECK_INT(runs(&p, MS, 100, 0.95), 0);
}

MR_TEST(contended_runs_pause_longer_each_time) {
    struct mr_onnx_pace p = {0};
    int64_t now = MS, pause = 0;
    for (int k = 0; k < 8; k++) {
        int64_t at = runs(&p, now, 20, 0.5);
        CHECK(at > 0 && at < now + 100 * MS);
        CHECK(p.narrow_until - at >= pause - 10 * MS && p.narrow_until - at <= 4000 * MS);
        CHECK(!mr_onnx_pace_wide(&p, p.narrow_until - 1));
        CHECK(mr_onnx_pace_wide(&p, p.narrow_until));
        pause = p.narrow_until - at;
        now = p.narrow_until;
    }
    CHECK(pause > 3900 * MS);
    CHECK_INT(runs(&p, now, 100, 0.98), 0); /* the processors are free again */
    CHECK_INT(p.pause, 0);
}

MR_TEST_MAIN(CASE(runs_that_get_their_processors_stay_wide),
             CASE(contended_runs_pause_longer_each_time))
