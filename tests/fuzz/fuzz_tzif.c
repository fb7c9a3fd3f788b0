/* TZif files, and TZ strings (inputs that do not begin with TZif); what is read is asked. */
#include "core/money/zone_priv.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void ask(const struct mr_zone *z, int64_t us) {
    char text[MR_LOCAL_TIME_LEN];
    struct mr_date first;
    int64_t from, to;
    int32_t off = mr_zone_offset(z, us);
    if (off < -25 * 3600 || off > 26 * 3600)
        __builtin_trap();
    mr_zone_print(z, us, text);
    for (int p = MR_PERIOD_DAY; p <= MR_PERIOD_MONTH; p++) {
        mr_zone_period(z, (enum mr_period)p, mr_zone_date(z, us), &first, &from, &to);
        if (from > to)
            __builtin_trap();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct mr_str in = mr_strn((const char *)data, size);
    struct mr_zone_rule r;
    struct mr_zone *z = NULL;
    struct mr_err e = {0};
    if (!mr_str_starts(in, MR_LIT("TZif"))) {
        struct mr_zone bare = {.name = "x"};
        if (mr_zone_rule_parse(in, &r)) {
            bare.rule = r;
            for (int64_t y = 0; y < 60; y += 7)
                ask(&bare, y * INT64_C(31556952000000) + 12345678);
        }
        return 0;
    }
    int rc = mr_zone_parse(MR_LIT("fuzz"), in, &z, &e);
    if ((rc != 0) != (e.msg[0] != '\0'))
        __builtin_trap();
    if (rc)
        return 0;
    ask(z, 0);
    ask(z, INT64_C(1795651200000000));
    ask(z, INT64_C(-2208988800000000));
    ask(z, INT64_C(32503680000000000));
    for (uint32_t i = 0; i < z->n && i < 8; i++)
        if (z->at[i] > -100000000000 && z->at[i] < 100000000000)
            ask(z, z->at[i] * 1000000 - 1);
    mr_zone_free(z);
    return 0;
}
