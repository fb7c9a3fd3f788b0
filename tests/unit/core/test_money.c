#include "core/money/money.h"
#include "mr_test.h"

static void both(const char *text, int64_t nano, const char *printed) {
    int64_t v = -7;
    CHECK(mr_money_parse(mr_str(text), &v));
    CHECK_INT(v, nano);
    struct mr_buf b;
    mr_buf_init(&b, 100);
    mr_money_print(&b, nano);
    CHECK_STR(b.p, printed);
    mr_buf_release(&b);
}

MR_TEST(parses_and_prints) {
    both("0", 0, "0.0");
    both("1.5", 1500000000, "1.5");
    both("12.50", 12500000000, "12.5");
    both("-0.000000001", -1, "-0.000000001");
    both("0.000000001", 1, "0.000000001");
    both("007", 7 * MR_NANO, "7.0");
    both("9223372036.854775807", INT64_MAX, "9223372036.854775807");
    both("-9223372036.854775808", INT64_MIN, "-9223372036.854775808");
}

MR_TEST(refuses_what_is_no_amount) {
    static const char *const bad[] = {"",
                                      ".",
                                      "1.",
                                      ".5",
                                      "-",
                                      "--1",
                                      "1e3",
                                      "1,5",
                                      "0.0000000001",
                                      "9223372036.854775808",
                                      "+1",
                                      " 1",
                                      "1 ",
                                      "1.2.3",
                                      "-9223372036.854775809",
                                      "inf",
                                      "0x1",
                                      "1_00",
                                      "99999999999999999999999999999999999"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        int64_t v = 42;
        CHECK(!mr_money_parse(mr_str(bad[i]), &v));
        CHECK_INT(v, 42);
    }
}

MR_TEST(adds_without_overflow) {
    int64_t v;
    CHECK(mr_money_add(INT64_MAX - 1, 1, &v) && v == INT64_MAX);
    CHECK(!mr_money_add(INT64_MAX, 1, &v));
    CHECK(!mr_money_add(INT64_MIN, -1, &v));
}

MR_TEST(minor_units_of_currencies) {
    int64_t v;
    CHECK(mr_money_from_minor(1999, MR_LIT("usd"), &v) && v == 19990000000);
    CHECK(mr_money_from_minor(500, MR_LIT("jpy"), &v) && v == 500 * MR_NANO);
    CHECK(mr_money_from_minor(1234, MR_LIT("kwd"), &v) && v == 1234000000);
    CHECK(mr_money_from_minor(-1999, MR_LIT("eur"), &v) && v == -19990000000);
    CHECK(mr_money_from_minor(100, MR_LIT("ugx"), &v) && v == MR_NANO);
    CHECK(!mr_money_from_minor(INT64_MAX / 1000, MR_LIT("jpy"), &v));
}

MR_TEST_MAIN(CASE(parses_and_prints), CASE(refuses_what_is_no_amount), CASE(adds_without_overflow),
             CASE(minor_units_of_currencies))
