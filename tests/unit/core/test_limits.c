#include "core/limits.h"

#include "mr_test.h"

static const struct mr_rate_rule rule = {3, 60};
#define T0 1700000059500000ll /* half a second before a full minute */

MR_TEST(a_window_begins_with_its_first_request) {
    struct mr_limits *l;
    CHECK_INT(mr_limits_new(1000, &l, NULL), 0);
    for (int i = 0; i < 3; i++) {
        struct mr_rate_state s = mr_limits_take(l, MR_LIT("a"), 0, rule, T0 + i * 1000000, true);
        CHECK(s.allowed);
        CHECK_INT(s.remaining, 2 - i);
        CHECK_INT(s.reset_s, T0 / 1000000 + 61);
    }
    /* The minute of the clock has turned, the subject's own has not. */
    struct mr_rate_state s = mr_limits_take(l, MR_LIT("a"), 0, rule, T0 + 59000000, true);
    CHECK(!s.allowed);
    CHECK_INT(s.remaining, 0);
    CHECK(s.retry_s >= 1 && s.retry_s <= 2);
    s = mr_limits_take(l, MR_LIT("a"), 0, rule, T0 + 60000000, true);
    CHECK(s.allowed);
    CHECK_INT(s.remaining, 2);
    mr_limits_free(l);
}

MR_TEST(subjects_and_classes_count_apart) {
    struct mr_limits *l;
    CHECK_INT(mr_limits_new(1000, &l, NULL), 0);
    for (int i = 0; i < 4; i++)
        mr_limits_take(l, MR_LIT("a"), 1, rule, T0, true);
    CHECK(!mr_limits_take(l, MR_LIT("a"), 1, rule, T0, true).allowed);
    CHECK(mr_limits_take(l, MR_LIT("b"), 1, rule, T0, true).allowed);
    CHECK(mr_limits_take(l, MR_LIT("a"), 2, rule, T0, true).allowed);
    CHECK(mr_limits_take(l, MR_LIT("a"), 1, rule, T0, false).allowed); /* only a look */
    mr_limits_free(l);
}

MR_TEST(a_clock_that_jumps_back_does_not_lock_out) {
    struct mr_limits *l;
    CHECK_INT(mr_limits_new(1000, &l, NULL), 0);
    for (int i = 0; i < 4; i++)
        mr_limits_take(l, MR_LIT("a"), 0, rule, T0, true);
    CHECK(mr_limits_take(l, MR_LIT("a"), 0, rule, T0 - 3600000000ll, true).allowed);
    mr_limits_free(l);
}

MR_TEST(the_table_never_grows) {
    struct mr_limits *l;
    CHECK_INT(mr_limits_new(512, &l, NULL), 0);
    for (int i = 0; i < 100000; i++)
        CHECK(mr_limits_take(l, mr_strn((char *)&i, sizeof i), 0, rule, T0 + i, true).allowed);
    mr_limits_free(l);
}

MR_TEST_MAIN(CASE(a_window_begins_with_its_first_request), CASE(subjects_and_classes_count_apart),
             CASE(a_clock_that_jumps_back_does_not_lock_out), CASE(the_table_never_grows))
