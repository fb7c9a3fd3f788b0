#include "core/money/money.h"

enum { DECIMALS = 9 };

bool mr_money_parse(struct mr_str s, int64_t *ret_nano) {
    bool minus = s.n && s.p[0] == '-';
    size_t i = minus;
    unsigned __int128 v = 0;
    const unsigned __int128 most = (unsigned __int128)INT64_MAX + minus;
    size_t digits = 0, decimals = 0;
    bool point = false;
    for (; i < s.n; i++) {
        char c = s.p[i];
        if (c == '.' && !point && digits) {
            point = true;
            continue;
        }
        if (c < '0' || c > '9' || (point && decimals == DECIMALS))
            return false;
        v = v * 10 + (unsigned)(c - '0');
        digits++;
        decimals += point;
        if (v > most)
            return false;
    }
    if (!digits || (point && !decimals))
        return false;
    for (; decimals < DECIMALS; decimals++) {
        v *= 10;
        if (v > most)
            return false;
    }
    *ret_nano = minus ? (int64_t)(0 - (uint64_t)v) : (int64_t)v;
    return true;
}

void mr_money_print(struct mr_buf *b, int64_t nano) {
    uint64_t v = nano < 0 ? 0 - (uint64_t)nano : (uint64_t)nano;
    uint64_t whole = v / (uint64_t)MR_NANO, part = v % (uint64_t)MR_NANO;
    char digits[DECIMALS];
    for (int i = DECIMALS - 1; i >= 0; i--) {
        digits[i] = (char)('0' + part % 10);
        part /= 10;
    }
    size_t n = DECIMALS;
    while (n > 1 && digits[n - 1] == '0')
        n--;
    if (nano < 0)
        mr_buf_char(b, '-');
    mr_buf_u64(b, whole);
    mr_buf_char(b, '.');
    mr_buf_add(b, digits, n);
}

bool mr_money_add(int64_t a, int64_t b, int64_t *ret) {
    return !__builtin_add_overflow(a, b, ret);
}

/* Stripe's amounts are in the currency's smallest unit; these have no or three decimals there. UGX
 * and ISK are zero-decimal in ISO 4217, but Stripe keeps two decimals for them. */
static bool listed(struct mr_str currency, const char *const *list) {
    for (; *list; list++)
        if (mr_str_is(currency, *list))
            return true;
    return false;
}

bool mr_money_from_minor(int64_t minor, struct mr_str currency, int64_t *ret_nano) {
    static const char *const none[] = {"bif", "clp", "djf", "gnf", "jpy", "kmf", "krw", "mga",
                                       "pyg", "rwf", "vnd", "vuv", "xaf", "xof", "xpf", NULL};
    static const char *const three[] = {"bhd", "jod", "kwd", "omr", "tnd", NULL};
    int64_t unit = listed(currency, none)    ? MR_NANO
                   : listed(currency, three) ? MR_NANO / 1000
                                             : MR_NANO / 100;
    return !__builtin_mul_overflow(minor, unit, ret_nano);
}
