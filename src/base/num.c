#include "base/num.h"

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Most served numbers are counts and short decimals (0.98): when v * 10^k is whole below 2^53 and
 * divides back to v, those digits are the shortest (both operands and the power are exact, so the
 * division rounds once). Returns 0 when the form does not apply. */
static size_t print_short(double v, char *out) {
    static const double pow10[] = {1, 10, 100, 1000, 10000, 100000, 1000000};
    double a = fabs(v);
    if (!(a < 1e15) || (a < 1e-4 && a != 0))
        return 0;
    for (int k = 0; k < 7; k++) {
        double scaled = a * pow10[k];
        if (scaled >= 9007199254740992.0)
            return 0;
        uint64_t d = (uint64_t)(scaled + 0.5);
        if ((double)d / pow10[k] != a)
            continue;
        char tmp[24];
        size_t n = 0;
        int places = k ? k : 1;
        if (!k)
            d *= 10;
        while (d || n < (size_t)places + 2) {
            tmp[n++] = (char)('0' + d % 10);
            d /= 10;
            if (n == (size_t)places)
                tmp[n++] = '.';
        }
        size_t len = 0;
        if (signbit(v))
            out[len++] = '-';
        while (n)
            out[len++] = tmp[--n];
        return len;
    }
    return 0;
}

size_t mr_f64_print(double v, char *out) {
    if (!isfinite(v)) {
        memcpy(out, "null", 4);
        return 4;
    }
    size_t n = print_short(v, out);
    if (n)
        return n;
    char tmp[MR_F64_LEN];
    int len = 0;
    for (int prec = 15; prec <= 17; prec++) {
        len = snprintf(tmp, sizeof tmp, "%.*g", prec, v);
        if (strtod(tmp, NULL) == v)
            break;
    }
    if (!memchr(tmp, '.', (size_t)len) && !memchr(tmp, 'e', (size_t)len)) {
        tmp[len++] = '.';
        tmp[len++] = '0';
    }
    memcpy(out, tmp, (size_t)len);
    return (size_t)len;
}

bool mr_f64_parse(struct mr_str s, double *ret) {
    char tmp[402];
    if (!s.n || s.n > 400)
        return false;
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (!((c >= '0' && c <= '9') || c == '+' || c == '-' || c == '.' || c == 'e' || c == 'E'))
            return false;
    }
    memcpy(tmp, s.p, s.n);
    tmp[s.n] = 0;
    char *end;
    double v = strtod(tmp, &end);
    if (end != tmp + s.n)
        return false;
    *ret = v;
    return true;
}
