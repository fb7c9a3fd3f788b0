/* Numbers within bounds, digit by digit. */
#include "engine/llm/grammar_priv.h"

#include <string.h>

#define DIGITS  18
#define LARGEST ((uint64_t)999999999999999999) /* of 18 digits */

/* What is left of two numbers of the same length, the first at most the second. */
static void span(struct mr_buf *b, const char *lo, const char *hi) {
    size_t n = strlen(lo);
    static const char zeros[] = "000000000000000000", nines[] = "999999999999999999";
    if (!n) {
        mr_buf_cstr(b, "\"\"");
        return;
    }
    if (!strcmp(lo, zeros + DIGITS - n) && !strcmp(hi, nines + DIGITS - n)) {
        mr_buf_fmt(b, "[0-9]{%zu}", n);
        return;
    }
    if (*lo == *hi) {
        mr_buf_fmt(b, "\"%c\"", *lo);
        if (n > 1) {
            mr_buf_cstr(b, " (");
            span(b, lo + 1, hi + 1);
            mr_buf_char(b, ')');
        }
        return;
    }
    char from = *lo, to = *hi;
    mr_buf_fmt(b, "\"%c\" (", from);
    span(b, lo + 1, nines + DIGITS - (n - 1));
    mr_buf_cstr(b, ") | ");
    if (to - from > 1) {
        mr_buf_fmt(b, "[%c-%c]", from + 1, to - 1);
        if (n > 1)
            mr_buf_fmt(b, " [0-9]{%zu}", n - 1);
        mr_buf_cstr(b, " | ");
    }
    mr_buf_fmt(b, "\"%c\" (", to);
    span(b, zeros + DIGITS - (n - 1), hi + 1);
    mr_buf_char(b, ')');
}

/* lo..hi without sign or leading zeros, between parentheses. */
static void whole(struct mr_buf *b, uint64_t lo, uint64_t hi) {
    mr_buf_char(b, '(');
    bool any = false;
    for (uint64_t first = 0, last = 9; lo <= hi; last = last * 10 + 9) {
        if (lo <= last) {
            char a[24], z[24];
            snprintf(a, sizeof a, "%llu", (unsigned long long)lo);
            snprintf(z, sizeof z, "%llu", (unsigned long long)(hi < last ? hi : last));
            mr_buf_cstr(b, any ? " | (" : "(");
            span(b, a, z);
            mr_buf_char(b, ')');
            any = true;
            first = last + 1;
            lo = first;
        }
        if (last >= LARGEST)
            break;
    }
    mr_buf_char(b, ')');
}

struct bounds {
    bool has_lo, has_hi;
    int64_t lo, hi;
};

static int bound(struct mr_grammar *g, yyjson_val *s, const char *key, bool *has, int64_t *ret,
                 struct mr_err *e) {
    yyjson_val *v = yyjson_obj_get(s, key);
    *has = v != NULL;
    if (!v)
        return 0;
    double d = yyjson_is_num(v) ? yyjson_get_num(v) : 0.5;
    if (!(d > -1e17 && d < 1e17) || (double)(int64_t)d != d)
        return mr_grammar_unsupported(g, key, "must be a whole number of at most 17 digits", e);
    *ret = yyjson_is_int(v) ? yyjson_get_sint(v) : (int64_t)d;
    return 0;
}

static int bounds(struct mr_grammar *g, yyjson_val *s, bool integer, struct bounds *b,
                  struct mr_err *e) {
    bool has;
    int64_t v = 0;
    int r = bound(g, s, "minimum", &b->has_lo, &b->lo, e);
    if (!r)
        r = bound(g, s, "maximum", &b->has_hi, &b->hi, e);
    if (!r)
        r = bound(g, s, "exclusiveMinimum", &has, &v, e);
    if (!r && has && !integer)
        return mr_grammar_unsupported(g, "exclusiveMinimum", "is possible with integers only", e);
    if (!r && has && (!b->has_lo || v + 1 > b->lo))
        b->has_lo = true, b->lo = v + 1;
    if (!r)
        r = bound(g, s, "exclusiveMaximum", &has, &v, e);
    if (!r && has && !integer)
        return mr_grammar_unsupported(g, "exclusiveMaximum", "is possible with integers only", e);
    if (!r && has && (!b->has_hi || v - 1 < b->hi))
        b->has_hi = true, b->hi = v - 1;
    if (!r && b->has_lo && b->has_hi && b->lo > b->hi)
        return mr_grammar_unsupported(g, "maximum", "is less than the minimum", e);
    return r;
}

int mr_grammar_integer(struct mr_grammar *g, yyjson_val *s, struct mr_buf *b, struct mr_err *e) {
    struct bounds x = {0};
    int r = bounds(g, s, true, &x, e);
    if (r)
        return r;
    if (!x.has_lo && !x.has_hi) {
        g->common |= MR_G_INTEGER;
        mr_buf_cstr(b, "integer");
        return 0;
    }
    int64_t lo = x.has_lo ? x.lo : -(int64_t)LARGEST, hi = x.has_hi ? x.hi : (int64_t)LARGEST;
    if (lo < 0) {
        mr_buf_cstr(b, "\"-\" ");
        whole(b, hi < 0 ? (uint64_t)-hi : 1, (uint64_t)-lo);
        if (hi >= 0)
            mr_buf_cstr(b, " | ");
    }
    if (hi >= 0)
        whole(b, lo > 0 ? (uint64_t)lo : 0, (uint64_t)hi);
    return 0;
}

/* lo..hi with a fraction: whole parts below hi may have any, hi itself none but zeros. */
static void real(struct mr_buf *b, uint64_t lo, uint64_t hi) {
    mr_buf_char(b, '(');
    if (lo < hi) {
        whole(b, lo, hi - 1);
        mr_buf_cstr(b, " (\".\" [0-9]{1,17})? | ");
    }
    whole(b, hi, hi);
    mr_buf_cstr(b, " (\".\" \"0\"{1,3})?)");
}

int mr_grammar_number(struct mr_grammar *g, yyjson_val *s, struct mr_buf *b, struct mr_err *e) {
    struct bounds x = {0};
    int r = bounds(g, s, false, &x, e);
    if (r)
        return r;
    if (!x.has_lo && !x.has_hi) {
        g->common |= MR_G_NUMBER;
        mr_buf_cstr(b, "number");
        return 0;
    }
    int64_t lo = x.has_lo ? x.lo : -(int64_t)LARGEST, hi = x.has_hi ? x.hi : (int64_t)LARGEST;
    if (lo < 0) {
        mr_buf_cstr(b, "\"-\" ");
        real(b, hi < 0 ? (uint64_t)-hi : 0, (uint64_t)-lo);
        if (hi >= 0)
            mr_buf_cstr(b, " | ");
    }
    if (hi >= 0)
        real(b, lo > 0 ? (uint64_t)lo : 0, (uint64_t)hi);
    return 0;
}
