#include "base/clock.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

int64_t mr_now_us(void) {
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

int64_t mr_now_coarse_us(void) {
    struct timespec t;
    clock_gettime(CLOCK_REALTIME_COARSE, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

int64_t mr_mono_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void print(int64_t wall_us, char out[MR_TIME_LEN], bool micros) {
    time_t s = (time_t)(wall_us / 1000000);
    int64_t us = wall_us % 1000000;
    if (us < 0) {
        us += 1000000;
        s--;
    }
    struct tm tm;
    if (!gmtime_r(&s, &tm) || tm.tm_year < -1900 || tm.tm_year > 8099)
        memset(&tm, 0, sizeof tm);
    size_t n = strftime(out, MR_TIME_LEN, "%Y-%m-%dT%H:%M:%S", &tm);
    if (micros)
        snprintf(out + n, MR_TIME_LEN - n, ".%06dZ", (int)us);
    else
        snprintf(out + n, MR_TIME_LEN - n, "Z");
}

void mr_time_rfc3339(int64_t wall_us, char out[MR_TIME_LEN]) {
    print(wall_us, out, false);
}
void mr_time_rfc3339_us(int64_t wall_us, char out[MR_TIME_LEN]) {
    print(wall_us, out, true);
}

static bool digits(const char *p, size_t n, int *ret) {
    int v = 0;
    for (size_t i = 0; i < n; i++) {
        if (p[i] < '0' || p[i] > '9')
            return false;
        v = v * 10 + (p[i] - '0');
    }
    *ret = v;
    return true;
}

bool mr_time_parse(struct mr_str s, int64_t *ret_us) {
    struct tm tm = {0};
    int us = 0;
    if (s.n < 20 || s.n > 27 || s.p[4] != '-' || s.p[7] != '-' || s.p[10] != 'T' ||
        s.p[13] != ':' || s.p[16] != ':' || s.p[s.n - 1] != 'Z')
        return false;
    if (!digits(s.p, 4, &tm.tm_year) || !digits(s.p + 5, 2, &tm.tm_mon) ||
        !digits(s.p + 8, 2, &tm.tm_mday) || !digits(s.p + 11, 2, &tm.tm_hour) ||
        !digits(s.p + 14, 2, &tm.tm_min) || !digits(s.p + 17, 2, &tm.tm_sec))
        return false;
    if (s.n > 20) {
        size_t frac = s.n - 21;
        if (s.p[19] != '.' || frac < 1 || frac > 6 || !digits(s.p + 20, frac, &us))
            return false;
        for (; frac < 6; frac++)
            us *= 10;
    }
    if (tm.tm_mon < 1 || tm.tm_mon > 12 || tm.tm_mday < 1 || tm.tm_mday > 31 || tm.tm_hour > 23 ||
        tm.tm_min > 59 || tm.tm_sec > 60)
        return false;
    tm.tm_year -= 1900;
    tm.tm_mon -= 1;
    *ret_us = (int64_t)timegm(&tm) * 1000000 + us;
    return true;
}
