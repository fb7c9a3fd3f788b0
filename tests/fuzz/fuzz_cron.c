/* A cron expression is refused, or has times that grow and fit it. */
#include "core/jobs/cron.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct mr_cron c;
    int64_t t = 1700000000000000, next;
    if (mr_cron_parse(mr_strn((const char *)data, size), &c, NULL))
        return 0;
    if (!c.minute || !c.hour || !c.day || !c.month || !c.weekday)
        __builtin_trap();
    for (int i = 0; i < 3 && mr_cron_next(&c, NULL, t, &next); i++) {
        int64_t s = next / 1000000;
        if (next <= t || s % 60 || !(c.minute >> (s / 60 % 60) & 1) ||
            !(c.hour >> (s / 3600 % 24) & 1))
            __builtin_trap();
        t = next;
    }
    return 0;
}
