/* Unit tests: each file is one program. `MR_TEST(name)` defines a case, `MR_TEST_MAIN(…)` lists
 * them. A failed check prints both values and the case goes on; the program exits non-zero. */
#ifndef MR_TEST_H
#define MR_TEST_H

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int mr_test_failed_;

#define MR_TEST(name) static void name(void)
#define CHECK(cond)                                                                                \
    do {                                                                                           \
        if (!(cond)) {                                                                             \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #cond);                             \
            mr_test_failed_++;                                                                     \
        }                                                                                          \
    } while (0)
#define CHECK_INT(got, want)                                                                       \
    do {                                                                                           \
        long long g_ = (long long)(got), w_ = (long long)(want);                                   \
        if (g_ != w_) {                                                                            \
            fprintf(stderr, "%s:%d: %s is %lld, want %lld\n", __FILE__, __LINE__, #got, g_, w_);   \
            mr_test_failed_++;                                                                     \
        }                                                                                          \
    } while (0)
#define CHECK_STR(got, want)                                                                       \
    do {                                                                                           \
        const char *g_ = (got), *w_ = (want);                                                      \
        if (!g_ || strcmp(g_, w_)) {                                                               \
            fprintf(stderr, "%s:%d: %s is \"%s\", want \"%s\"\n", __FILE__, __LINE__, #got,        \
                    g_ ? g_ : "(null)", w_);                                                       \
            mr_test_failed_++;                                                                     \
        }                                                                                          \
    } while (0)
#define CHECK_NEAR(got, want, tol)                                                                 \
    do {                                                                                           \
        double g_ = (got), w_ = (want);                                                            \
        if (!(fabs(g_ - w_) <= (tol))) {                                                           \
            fprintf(stderr, "%s:%d: %s is %.17g, want %.17g\n", __FILE__, __LINE__, #got, g_, w_); \
            mr_test_failed_++;                                                                     \
        }                                                                                          \
    } while (0)

struct mr_test_case_ {
    const char *name;
    void (*fn)(void);
};
#define CASE(fn)                                                                                   \
    { #fn, fn }
#define MR_TEST_MAIN(...)                                                                          \
    int main(int argc, char **argv) {                                                              \
        static const struct mr_test_case_ cases[] = {__VA_ARGS__};                                 \
        int passed = 0, failed = 0;                                                                \
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {                                \
            if (argc > 1 && !strstr(cases[i].name, argv[1]))                                       \
                continue;                                                                          \
            mr_test_failed_ = 0;                                                                   \
            cases[i].fn();                                                                         \
            if (mr_test_failed_)                                                                   \
                fprintf(stderr, "FAIL %s\n", cases[i].name), failed++;                             \
            else                                                                                   \
                passed++;                                                                          \
        }                                                                                          \
        printf("%d passed, %d failed\n", passed, failed);                                          \
        return failed ? 1 : 0;                                                                     \
    }

#endif
