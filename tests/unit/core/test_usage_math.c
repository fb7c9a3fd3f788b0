/* Histogram and distinct-user sketch against exact answers. */
#include "core/usage/hist.h"
#include "core/usage/sketch.h"
#include "core/usage/varint.h"
#include "mr_test.h"

static uint64_t rng = 88172645463325252u;
static uint64_t next_random(void) {
    rng ^= rng << 13;
    rng ^= rng >> 7;
    rng ^= rng << 17;
    return rng * 0x2545F4914F6CDD1Du;
}

static int by_value(const void *a, const void *b) {
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

static struct mr_hist h, h2, h3;

MR_TEST(quantiles_are_within_half_a_percent) {
    enum { N = 20000 };
    static uint32_t v[N];
    for (int shape = 0; shape < 4; shape++) {
        mr_hist_clear(&h);
        for (int i = 0; i < N; i++) {
            uint64_t r = next_random() >> 32;
            v[i] = shape == 0   ? (uint32_t)(r % 200)
                   : shape == 1 ? (uint32_t)r
                   : shape == 2 ? (uint32_t)exp((double)r / 4294967296.0 * 22)
                                : (uint32_t)(r % 1000 ? 900 + r % 300 : 5000000);
            mr_hist_add(&h, v[i]);
        }
        qsort(v, N, sizeof *v, by_value);
        static const double q[] = {0, 0.01, 0.5, 0.9, 0.95, 0.99, 0.999, 1};
        for (size_t i = 0; i < sizeof q / sizeof *q; i++) {
            size_t rank = (size_t)ceil(q[i] * N);
            double want = v[rank ? rank - 1 : 0];
            CHECK_NEAR(mr_hist_quantile(&h, q[i]), want, want * 0.004);
        }
    }
    mr_hist_clear(&h);
    CHECK(mr_hist_quantile(&h, 0.5) == 0);
    mr_hist_add(&h, UINT32_MAX);
    CHECK_NEAR(mr_hist_quantile(&h, 0.5), 4294967295.0, 4294967295.0 * 0.004);
}

MR_TEST(histograms_merge_and_travel_as_blobs) {
    struct mr_buf b;
    mr_buf_init(&b, 1 << 20);
    mr_hist_clear(&h);
    mr_hist_clear(&h2);
    mr_hist_clear(&h3);
    for (int i = 0; i < 5000; i++) {
        uint32_t v = (uint32_t)(next_random() >> (32 + i % 32));
        mr_hist_add(i % 2 ? &h : &h2, v);
        mr_hist_add(&h3, v);
    }
    mr_hist_encode(&h, &b);
    CHECK(mr_hist_merge_blob(&h2, mr_buf_view(&b)));
    CHECK(memcmp(&h2, &h3, sizeof h2) == 0);
    CHECK(mr_hist_merge_blob(&h2, MR_LIT("")));
    CHECK(memcmp(&h2, &h3, sizeof h2) == 0);
    mr_hist_merge(&h2, &h);
    CHECK_INT(h2.n, h3.n + h.n);
    /* every cut is either refused or shorter, and never reads on */
    int refused = 0;
    for (size_t n = 1; n < b.n; n++) {
        char *cut = memcpy(malloc(n), b.p, n);
        refused += !mr_hist_merge_blob(&h, mr_strn(cut, n));
        free(cut);
    }
    CHECK(refused > 0);
    memcpy(&h3, &h, sizeof h);
    static const char *const bad[] = {"\x02",
                                      "\x01\x80",
                                      "\x01\x05",
                                      "\x01\x05\x01\x00\x01",
                                      "\x01\xff\x7f\x01",
                                      "\x01\x01\x80\x80\x80\x80\x80\x80\x80"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        CHECK(!mr_hist_merge_blob(&h, i == 3 ? mr_strn(bad[i], 5) : mr_str(bad[i])));
    CHECK(!mr_hist_merge_blob(&h, mr_strn("\x01\x05\x00", 3))); /* an empty bucket */
    CHECK(memcmp(&h, &h3, sizeof h) == 0);
    mr_buf_release(&b);
}

MR_TEST(distinct_counts_are_exact_then_close) {
    static struct mr_sketch s;
    mr_sketch_clear(&s);
    uint64_t n = 0;
    double worst = 0;
    for (uint64_t target = 1; target < 300000; target = target * 3 / 2 + 1) {
        for (; n < target; n++) {
            mr_sketch_add(&s, n * 2654435761u + 7);
            mr_sketch_add(&s, n * 2654435761u + 7);
        }
        double got = (double)mr_sketch_count(&s), off = fabs(got - (double)n) / (double)n;
        if (n <= MR_SKETCH_EXACT)
            CHECK(got == (double)n);
        else if (off > worst)
            worst = off;
    }
    CHECK(worst > 0 && worst < 0.05); /* three standard errors */
}

MR_TEST(sketches_merge_as_blobs) {
    static struct mr_sketch a, b, both;
    struct mr_buf buf;
    mr_buf_init(&buf, 1 << 16);
    static const uint32_t sizes[][2] = {{10, 20}, {400, 400}, {5000, 3}, {3, 5000}, {4000, 9000}};
    for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++) {
        mr_sketch_clear(&a);
        mr_sketch_clear(&b);
        mr_sketch_clear(&both);
        for (uint32_t i = 0; i < sizes[k][0]; i++) {
            mr_sketch_add(&a, 3 * i);
            mr_sketch_add(&both, 3 * i);
        }
        for (uint32_t i = 0; i < sizes[k][1]; i++) {
            mr_sketch_add(&b, 2 * i);
            mr_sketch_add(&both, 2 * i);
        }
        mr_buf_clear(&buf);
        mr_sketch_encode(&b, &buf);
        CHECK(mr_sketch_merge_blob(&a, mr_buf_view(&buf)));
        CHECK_INT(mr_sketch_count(&a), mr_sketch_count(&both));
        for (size_t n = 1; n < buf.n; n += 7) {
            char *cut = memcpy(malloc(n), buf.p, n);
            bool ok = mr_sketch_merge_blob(&both, mr_strn(cut, n));
            CHECK(!ok || !b.dense);
            free(cut);
        }
    }
    uint64_t pair[2] = {5, 5};
    char bad[17] = {1};
    memcpy(bad + 1, pair, 16);
    CHECK(!mr_sketch_merge_blob(&a, mr_strn(bad, 17))); /* not ascending */
    CHECK(!mr_sketch_merge_blob(&a, mr_str("\x03")));
    mr_buf_release(&buf);
}

MR_TEST(varints_read_back) {
    static const uint64_t v[] = {0, 1, 127, 128, 16383, 16384, UINT32_MAX, INT64_MAX, UINT64_MAX};
    struct mr_buf b;
    mr_buf_init(&b, 1000);
    for (size_t i = 0; i < sizeof v / sizeof *v; i++) {
        char some[MR_VARINT_MAX];
        mr_buf_add(&b, some, mr_varint_put(some, v[i]));
    }
    struct mr_str s = mr_buf_view(&b);
    uint64_t back;
    for (size_t i = 0; i < sizeof v / sizeof *v; i++)
        CHECK(mr_varint_get(&s, &back) && back == v[i]);
    CHECK(!mr_varint_get(&s, &back));
    s = mr_str("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02");
    CHECK(!mr_varint_get(&s, &back)); /* 65 bits */
    mr_buf_release(&b);
}

MR_TEST_MAIN(CASE(quantiles_are_within_half_a_percent), CASE(histograms_merge_and_travel_as_blobs),
             CASE(distinct_counts_are_exact_then_close), CASE(sketches_merge_as_blobs),
             CASE(varints_read_back))
