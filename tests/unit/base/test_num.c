#include "base/clock.h"
#include "base/num.h"
#include "mr_test.h"

static uint64_t next_random(uint64_t *s) {
    *s ^= *s << 13;
    *s ^= *s >> 7;
    *s ^= *s << 17;
    return *s;
}

static double from_bits(uint64_t b) {
    double v;
    memcpy(&v, &b, sizeof v);
    return v;
}

/* Reads back, is no longer than %.17g (which writes no ".0"), and %.*g with one digit less does not
 * read back. */
static bool is_shortest(double v) {
    char out[MR_F64_LEN + 1], ref[400];
    size_t n = mr_f64_print(v, out);
    out[n] = 0;
    double back = strtod(out, NULL);
    if (memcmp(&back, &v, sizeof v) != 0) {
        fprintf(stderr, "%.17g printed as %s\n", v, out);
        return false;
    }
    int digits = 0;
    bool leading = true;
    int zeros = 0;
    for (const char *p = out; *p && *p != 'e'; p++) {
        if (*p < '0' || *p > '9' || (leading && *p == '0'))
            continue;
        leading = false;
        zeros = *p == '0' ? zeros + 1 : 0;
        digits++;
    }
    digits -= zeros;
    snprintf(ref, sizeof ref, "%.17g", v);
    /* ".0" of whole numbers, and exponents already from 1e16 where %.17g begins at 1e17 */
    if (n > strlen(ref) + (fabs(v) >= 1e16 && fabs(v) < 1e17 ? 4 : 2))
        return false;
    if (digits > 1) {
        snprintf(ref, sizeof ref, "%.*g", digits - 1, v);
        if (strtod(ref, NULL) == v) {
            fprintf(stderr, "%s is shorter than %s\n", ref, out);
            return false;
        }
    }
    return true;
}

MR_TEST(random_bit_patterns_are_shortest_and_read_back) {
    uint64_t s = 88172645463325252ull;
    int bad = 0;
    for (int i = 0; i < 2000000; i++) {
        double v = from_bits(next_random(&s));
        if (isfinite(v) && !is_shortest(v) && ++bad > 10)
            break;
    }
    CHECK_INT(bad, 0);
}

MR_TEST(edges_are_shortest_and_read_back) {
    int bad = 0;
    for (uint64_t e = 0; e < 2047; e++)
        for (int d = -2; d <= 2; d++) {
            uint64_t b = (e << 52) + (uint64_t)d;
            double v = from_bits(b & ~0ull >> 1);
            if (isfinite(v) && v != 0 && !is_shortest(v))
                bad++;
        }
    uint64_t s = 7;
    for (int i = 0; i < 300000; i++) { /* short decimals, probabilities, floats, counts */
        double d = (double)(next_random(&s) % 1000000),
               r = from_bits(0x3ff0000000000000ull | s >> 12);
        double rows[] = {d / 100, d / 1000, r - 1,        (double)(float)r,
                         d,       d / 7,    d * 1e10 + 1, -d / 3};
        for (size_t k = 0; k < sizeof rows / sizeof *rows; k++)
            bad += rows[k] != 0 && !is_shortest(rows[k]);
    }
    CHECK_INT(bad, 0);
}

MR_TEST(floats_are_shortest_and_read_back) {
    uint64_t s = 3;
    int bad = 0;
    for (int i = 0; i < 1000000; i++) {
        uint32_t bits = (uint32_t)next_random(&s);
        float v, back;
        char out[MR_F64_LEN + 1], ref[400];
        if (i < 4096) /* every exponent with its neighbours */
            bits = ((uint32_t)i / 8 << 23) + (uint32_t)(i % 8) - 4;
        memcpy(&v, &bits, sizeof v);
        if (!isfinite(v) || v == 0)
            continue;
        out[mr_f32_print(v, out)] = 0;
        back = strtof(out, NULL);
        int digits = 0, zeros = 0;
        for (const char *p = out; *p && *p != 'e'; p++)
            if (*p >= '0' && *p <= '9' && (digits || *p != '0')) {
                digits++;
                zeros = *p == '0' ? zeros + 1 : 0;
            }
        digits -= zeros;
        snprintf(ref, sizeof ref, "%.*g", digits > 1 ? digits - 1 : 1, (double)v);
        bad += memcmp(&v, &back, sizeof v) != 0 || (digits > 1 && strtof(ref, NULL) == v);
    }
    CHECK_INT(bad, 0);
}

MR_TEST(text_is_pythons) {
    FILE *f = fopen(MR_SRC_DIR "/tests/golden/num/repr.txt", "r");
    CHECK(f != NULL);
    if (!f)
        return;
    char line[80];
    int rows = 0;
    while (fgets(line, sizeof line, f)) {
        char *end;
        uint64_t bits = strtoull(line, &end, 16);
        end[strcspn(end, "\n")] = 0;
        char out[MR_F64_LEN + 1];
        out[mr_f64_print(from_bits(bits), out)] = 0;
        CHECK_STR(out, end + 1);
        rows++;
    }
    fclose(f);
    CHECK_INT(rows, 600);
}

MR_TEST(not_finite_is_null) {
    char out[MR_F64_LEN + 1];
    double rows[] = {NAN, -NAN, INFINITY, -INFINITY};
    for (int i = 0; i < 4; i++) {
        out[mr_f64_print(rows[i], out)] = 0;
        CHECK_STR(out, "null");
    }
}

/* Not a check: MR_TEST_BENCH=1 prints the time of one number of each kind. */
MR_TEST(bench) {
    if (!getenv("MR_TEST_BENCH"))
        return;
    static const char *const names[] = {"whole", "0.dd", "0.dddd", "random in [0,1)", "any bits"};
    uint64_t s = 99;
    static double v[5][4096];
    for (int i = 0; i < 4096; i++) {
        uint64_t r = next_random(&s);
        v[0][i] = (double)(r % 1000);
        v[1][i] = (double)(r % 101) / 100;
        v[2][i] = (double)(r % 10001) / 10000;
        v[3][i] = (double)(r >> 11) * 0x1p-53;
        v[4][i] = from_bits(r);
    }
    for (int k = 0; k < 5; k++) {
        char out[MR_F64_LEN];
        size_t total = 0;
        int64_t t = mr_mono_ns();
        for (int rep = 0; rep < 200; rep++)
            for (int i = 0; i < 4096; i++)
                total += mr_f64_print(v[k][i], out);
        t = mr_mono_ns() - t;
        printf("%-16s %.1f ns (%zu)\n", names[k], (double)t / 200 / 4096, total);
    }
}

MR_TEST_MAIN(CASE(random_bit_patterns_are_shortest_and_read_back),
             CASE(edges_are_shortest_and_read_back), CASE(floats_are_shortest_and_read_back),
             CASE(text_is_pythons), CASE(not_finite_is_null), CASE(bench))
