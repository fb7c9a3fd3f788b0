#include "http/internal.h"

#include "base/clock.h"

#include <string.h>
#include <time.h>

static const char days[7][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
static const char months[12][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                   "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

static void digits(char *at, int v) {
    at[0] = (char)('0' + v / 10 % 10);
    at[1] = (char)('0' + v % 10);
}

void http_date(int64_t unix_s, char out[32]) {
    time_t t = (time_t)unix_s;
    struct tm tm;
    if (!gmtime_r(&t, &tm))
        tm = (struct tm){.tm_mday = 1, .tm_year = 70, .tm_wday = 4};
    int year = tm.tm_year + 1900;
    memcpy(out, days[tm.tm_wday % 7], 3);
    memcpy(out + 3, ", 00 ", 5);
    digits(out + 5, tm.tm_mday);
    memcpy(out + 8, months[tm.tm_mon % 12], 3);
    memcpy(out + 11, " 0000 00:00:00 GMT", 19);
    digits(out + 12, year / 100);
    digits(out + 14, year % 100);
    digits(out + 17, tm.tm_hour);
    digits(out + 20, tm.tm_min);
    digits(out + 23, tm.tm_sec);
}

static bool two(const char *p, int *ret) {
    if (p[0] < '0' || p[0] > '9' || p[1] < '0' || p[1] > '9')
        return false;
    *ret = (p[0] - '0') * 10 + (p[1] - '0');
    return true;
}

/* "Sun, 06 Nov 1994 08:49:37 GMT": the one form that is sent today. */
bool http_date_parse(struct mr_str s, int64_t *ret_s) {
    struct tm tm = {0};
    int hi, lo, mon = -1;
    if (s.n != 29 || memcmp(s.p + 25, " GMT", 4) != 0 || s.p[3] != ',' || s.p[19] != ':' ||
        s.p[22] != ':')
        return false;
    for (int i = 0; i < 12; i++)
        if (memcmp(s.p + 8, months[i], 3) == 0)
            mon = i;
    if (mon < 0 || !two(s.p + 5, &tm.tm_mday) || !two(s.p + 12, &hi) || !two(s.p + 14, &lo) ||
        !two(s.p + 17, &tm.tm_hour) || !two(s.p + 20, &tm.tm_min) || !two(s.p + 23, &tm.tm_sec))
        return false;
    tm.tm_mon = mon;
    tm.tm_year = hi * 100 + lo - 1900;
    *ret_s = (int64_t)timegm(&tm);
    return true;
}

const char *http_date_line(struct hloop *l, size_t *ret_n) {
    struct timespec ts;
    clock_gettime(CLOCK_REALTIME_COARSE, &ts);
    if (ts.tv_sec != l->date_s) {
        char d[32];
        http_date((int64_t)ts.tv_sec, d);
        l->date_s = (int64_t)ts.tv_sec;
        memcpy(l->date, "Date: ", 6);
        memcpy(l->date + 6, d, 29);
        memcpy(l->date + 35, "\r\n", 2);
    }
    *ret_n = 37;
    return l->date;
}
