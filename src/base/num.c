#include "base/num.h"

#include "base/pow10_table.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* The printer is R. Giulietti's Schubfach ("The Schubfach way to render doubles", 2020): the
 * shortest decimal in the rounding interval, and of those the closest to the value. One 64x128-bit
 * product for each interval end replaces big-number arithmetic. */

__extension__ typedef unsigned __int128 u128;

/* floor(g * cp / 2^128) with the lowest bit set when anything was cut off ("round to odd"). */
static uint64_t round_to_odd(const uint64_t g[2], uint64_t cp) {
    uint64_t x1 = (uint64_t)(((u128)g[1] * cp) >> 64);
    u128 y = (u128)g[0] * cp + x1;
    return (uint64_t)(y >> 64) | ((uint64_t)y > 1);
}

/* c * 2^q = digits * 10^exp10, c > 0. `closer`: the neighbour below is half as far away as the one
 * above. Digits may end in zeros. Holds for doubles and floats alike. */
static uint64_t shortest(uint64_t c, int q, bool closer, int *ret_exp10) {
    bool odd = c & 1;
    int k = (q * 1262611 - (closer ? 524031 : 0)) >> 22;
    int h = q + ((-k * 1741647) >> 19) + 1;
    const uint64_t *g = mr_pow10_table[-k - MR_POW10_MIN];
    uint64_t low = round_to_odd(g, (4 * c - 2 + closer) << h) + odd;
    uint64_t mid = round_to_odd(g, 4 * c << h);
    uint64_t high = round_to_odd(g, (4 * c + 2) << h) - odd;

    uint64_t s = mid / 4;
    if (s >= 10) {
        uint64_t t = s / 10;
        bool down = low <= 40 * t, up = 40 * t + 40 <= high;
        if (down != up) {
            *ret_exp10 = k + 1;
            return t + up;
        }
    }
    *ret_exp10 = k;
    bool down = low <= 4 * s, up = 4 * s + 4 <= high;
    if (down != up)
        return s + up;
    uint64_t half = 4 * s + 2;
    return s + (mid > half || (mid == half && (s & 1)));
}

static const char two_digits[200] = {
    "0001020304050607080910111213141516171819202122232425262728293031323334353637383940414243444546"
    "4748495051525354555657585960616263646566676869707172737475767778798081828384858687888990919293"
    "949596979899"};

/* Decimal digits of d > 0, most significant first; returns how many (<= 20). */
static int put_digits(uint64_t d, char *out) {
    char tmp[20];
    int at = 20;
    while (d >= 100) {
        memcpy(tmp + (at -= 2), two_digits + 2 * (d % 100), 2);
        d /= 100;
    }
    if (d >= 10)
        memcpy(tmp + (at -= 2), two_digits + 2 * d, 2);
    else
        tmp[--at] = (char)('0' + d);
    memcpy(out, tmp + at, (size_t)(20 - at));
    return 20 - at;
}

/* n digits with the decimal point after the first `point` of them; same choice between fixed and
 * exponent form as Python's repr, exponents without sign '+' and leading zero. */
static size_t layout(const char *digits, int n, int point, char *out) {
    char *p = out;
    if (point > -4 && point <= 16) {
        if (point <= 0) {
            memcpy(p, "0.0000", 6);
            p += 2 - point;
            memcpy(p, digits, (size_t)n);
            return (size_t)(p + n - out);
        }
        if (point >= n) {
            memcpy(p, digits, (size_t)n);
            memset(p + n, '0', (size_t)(point - n));
            memcpy(p + point, ".0", 2);
            return (size_t)point + 2;
        }
        memcpy(p, digits, (size_t)point);
        p[point] = '.';
        memcpy(p + point + 1, digits + point, (size_t)(n - point));
        return (size_t)n + 1;
    }
    *p++ = digits[0];
    if (n > 1) {
        *p++ = '.';
        memcpy(p, digits + 1, (size_t)(n - 1));
        p += n - 1;
    }
    *p++ = 'e';
    int e = point - 1;
    if (e < 0) {
        *p++ = '-';
        e = -e;
    }
    return (size_t)(p - out) + (size_t)put_digits((uint64_t)e, p);
}

/* Whole numbers below 2^53 (counts, class labels, 0 and 1) and short decimals need no search. */
static int quick_digits(double a, char *digits, int *ret_point) {
    static const double scale[] = {1, 1e4};
    for (int k = 0; k < 2; k++) {
        double scaled = a * scale[k];
        if (scaled >= 1e15) /* up to 15 digits no two decimals read as the same double */
            return 0;
        uint64_t d = (uint64_t)(scaled + 0.5);
        /* Both operands are exact, so the division rounds once and d digits read back as a. */
        if ((double)d / scale[k] == a) {
            int n = put_digits(d, digits);
            *ret_point = n - 4 * k;
            return n;
        }
    }
    return 0;
}

static size_t finish(char *digits, int n, int point, char *out) {
    while (n > 1 && digits[n - 1] == '0')
        n--;
    return layout(digits, n, point, out);
}

static size_t put_null(char *out) {
    memcpy(out, "null", 4);
    return 4;
}

size_t mr_f64_print(double v, char *out) {
    uint64_t bits;
    memcpy(&bits, &v, sizeof bits);
    size_t sign = bits >> 63;
    bits &= ~0ull >> 1;
    if (bits >= 0x7ffull << 52)
        return put_null(out);
    *out = '-';
    out += sign;
    if (!bits) {
        memcpy(out, "0.0", 3);
        return sign + 3;
    }
    char digits[20];
    int point, n = quick_digits(fabs(v), digits, &point);
    if (!n) {
        uint64_t mant = bits & ((1ull << 52) - 1);
        int biased = (int)(bits >> 52), exp10;
        uint64_t d = shortest(biased ? mant | 1ull << 52 : mant, biased ? biased - 1075 : -1074,
                              !mant && biased > 1, &exp10);
        n = put_digits(d, digits);
        point = n + exp10;
    }
    return sign + finish(digits, n, point, out);
}

size_t mr_f32_print(float v, char *out) {
    uint32_t bits;
    memcpy(&bits, &v, sizeof bits);
    size_t sign = bits >> 31;
    bits &= ~0u >> 1;
    if (bits >= 0xffu << 23)
        return put_null(out);
    *out = '-';
    out += sign;
    if (!bits) {
        memcpy(out, "0.0", 3);
        return sign + 3;
    }
    char digits[20];
    uint32_t mant = bits & ((1u << 23) - 1);
    int biased = (int)(bits >> 23), exp10;
    uint64_t d = shortest(biased ? mant | 1u << 23 : mant, biased ? biased - 150 : -149,
                          !mant && biased > 1, &exp10);
    int n = put_digits(d, digits);
    return sign + finish(digits, n, n + exp10, out);
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
