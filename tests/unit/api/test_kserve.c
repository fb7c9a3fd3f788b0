/* Tensors of the KServe protocol: half floats, requests read, answers written. */
#include "api/kserve/request.h"
#include "base/half.h"
#include "mr_test.h"

#include <math.h>

static struct mr_arena arena;
static struct mr_kserve_request q;
static struct mr_err e;

static int parse(const char *json) {
    mr_arena_release(&arena);
    mr_arena_init(&arena, 1 << 20);
    return mr_kserve_parse(mr_str(json), -1, &arena, &q, &e);
}

MR_TEST(every_half_survives_a_float) {
    for (uint32_t h = 0; h < 65536; h++) {
        float f = mr_half_to_float((uint16_t)h);
        if ((h & 0x7C00) == 0x7C00 && (h & 0x3FF))
            CHECK(isnan(f) && isnan(mr_half_to_float(mr_half_from_float(f))));
        else
            CHECK_INT(mr_half_from_float(f), h);
    }
    CHECK(mr_half_to_float(0x3C00) == 1.0f && mr_half_to_float(0x7BFF) == 65504.0f);
    CHECK(mr_half_to_float(1) == 0x1p-24f && isinf(mr_half_to_float(0xFC00)));
}

MR_TEST(floats_round_to_the_nearest_half_and_ties_to_even) {
    for (uint32_t h = 0; h < 0x7BFF; h++) {
        float a = mr_half_to_float((uint16_t)h), b = mr_half_to_float((uint16_t)(h + 1));
        float middle = a + (b - a) / 2; /* exact: a float has bits to spare */
        CHECK_INT(mr_half_from_float(middle), h & 1 ? h + 1 : h);
        CHECK_INT(mr_half_from_float(nextafterf(middle, 0)), h);
        CHECK_INT(mr_half_from_float(nextafterf(middle, 1e9f)), h + 1);
    }
    CHECK_INT(mr_half_from_float(65520.0f), 0x7C00);
    CHECK_INT(mr_half_from_float(65519.9f), 0x7BFF);
    CHECK_INT(mr_half_from_float(-1e-9f), 0x8000);
}

MR_TEST(a_request_is_read_with_its_types) {
    CHECK_INT(
        parse("{\"id\":\"7\",\"inputs\":[{\"name\":\"a\",\"shape\":[2,2],\"datatype\":\"INT16\","
              "\"data\":[[1,-2],[3,4]]},{\"name\":\"b\",\"shape\":[1],\"datatype\":\"BYTES\","
              "\"data\":[\"hey\"]}],\"outputs\":[{\"name\":\"o\",\"parameters\":{"
              "\"binary_data\":true}}]}"),
        0);
    CHECK_INT(q.n_in, 2);
    CHECK_INT(((const int16_t *)q.in[0].t.data)[1], -2);
    CHECK_INT(q.in[0].t.count, 4);
    CHECK(mr_str_is(q.in[1].t.str[0], "hey") && mr_str_is(q.id, "7"));
    CHECK(q.n_out == 1 && q.out[0].binary && !q.binary);
}

MR_TEST(numbers_must_fit_their_type) {
    static const struct {
        const char *type, *good, *bad;
    } cases[] = {
        {"INT8", "-128", "-129"},
        {"INT8", "127", "128"},
        {"UINT8", "255", "256"},
        {"UINT8", "0", "-1"},
        {"INT16", "32767", "32768"},
        {"UINT16", "65535", "65536"},
        {"INT32", "-2147483648", "2147483648"},
        {"UINT32", "4294967295", "4294967296"},
        {"INT64", "9223372036854775807", "9223372036854775808"},
        {"INT64", "-9223372036854775808", "0.5"},
        {"UINT64", "18446744073709551615", "-1"},
        {"FP16", "65504", "65520"},
        {"FP32", "3.4e38", "3.5e38"},
        {"FP64", "1e308", "\"1\""},
        {"BOOL", "true", "2"},
        {"BYTES", "\"x\"", "1"},
    };
    char json[256];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (int bad = 0; bad < 2; bad++) {
            snprintf(
                json, sizeof json,
                "{\"inputs\":[{\"name\":\"x\",\"shape\":[1],\"datatype\":\"%s\",\"data\":[%s]}]}",
                cases[i].type, bad ? cases[i].bad : cases[i].good);
            CHECK_INT(parse(json), bad ? MR_EINVAL : 0);
        }
    CHECK_INT(parse("{\"inputs\":[{\"name\":\"x\",\"shape\":[1],\"datatype\":\"FP32\","
                    "\"data\":[null]}]}"),
              0);
    CHECK(isnan(((const float *)q.in[0].t.data)[0]));
}

MR_TEST(an_answer_in_both_forms) {
    static const double v[] = {1.5, NAN};
    static const struct mr_str s[] = {{"a", 1}, {"bc", 2}};
    static const bool raw[] = {false, true};
    struct mr_named_tensor out[] = {
        {MR_LIT("d"), {.elem = MR_ONNX_DOUBLE, .rank = 1, .dim = {2}, .count = 2, .data = v}},
        {MR_LIT("s"), {.elem = MR_ONNX_STRING, .rank = 1, .dim = {2}, .count = 2, .str = s}}};
    struct mr_kserve_answer a = {
        .model = MR_LIT("m"), .version = MR_LIT("1"), .out = out, .binary = raw, .n_out = 2};
    struct mr_buf b;
    int64_t json_len;
    mr_buf_init(&b, 1 << 16);
    CHECK_INT(mr_kserve_answer(&a, &b, &json_len, &e), 0);
    CHECK_INT(b.n - (size_t)json_len, 11);
    CHECK(!memcmp(b.p + json_len, "\1\0\0\0a\2\0\0\0bc", 11));
    b.p[json_len] = 0;
    CHECK_STR(b.p,
              "{\"model_name\":\"m\",\"model_version\":\"1\",\"outputs\":[{\"name\":\"d\","
              "\"datatype\":\"FP64\",\"shape\":[2],\"data\":[1.5,null]},{\"name\":\"s\","
              "\"datatype\":\"BYTES\",\"shape\":[2],\"parameters\":{\"binary_data_size\":11}}]}");
    mr_buf_release(&b);
    mr_arena_release(&arena);
}

MR_TEST_MAIN(CASE(every_half_survives_a_float),
             CASE(floats_round_to_the_nearest_half_and_ties_to_even),
             CASE(a_request_is_read_with_its_types), CASE(numbers_must_fit_their_type),
             CASE(an_answer_in_both_forms))
