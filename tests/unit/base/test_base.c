#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/codec.h"
#include "base/err.h"
#include "base/hash.h"
#include "base/id.h"
#include "base/num.h"
#include "mr_test.h"

MR_TEST(buf_keeps_its_cap) {
    struct mr_buf b;
    mr_buf_init(&b, 8);
    mr_buf_cstr(&b, "12345678");
    CHECK(mr_buf_ok(&b));
    mr_buf_char(&b, '9');
    CHECK_INT(b.fail, MR_ETOOBIG);
    CHECK_INT(b.n, 8);
    mr_buf_release(&b);
}

MR_TEST(json_strings_are_escaped) {
    struct mr_buf b;
    mr_buf_init(&b, 1000);
    mr_buf_json(&b, mr_str("a\"\\\n\x01\xC3\xA9\xFFz"));
    CHECK_STR(b.p, "\"a\\\"\\\\\\n\\u0001\xC3\xA9\xEF\xBF\xBDz\"");
    mr_buf_release(&b);
}

MR_TEST(numbers_are_shortest_and_read_back) {
    static const struct {
        double v;
        const char *text;
    } rows[] = {{0.98, "0.98"},
                {1, "1.0"},
                {-0.0, "-0.0"},
                {0.1, "0.1"},
                {100, "100.0"},
                {1e-7, "1e-07"},
                {1.0 / 3, "0.3333333333333333"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char out[MR_F64_LEN + 1];
        size_t n = mr_f64_print(rows[i].v, out);
        out[n] = 0;
        CHECK(strtod(out, NULL) == rows[i].v);
        if (rows[i].v != 1e-7)
            CHECK_STR(out, rows[i].text);
    }
}

MR_TEST(ids_sort_and_read_back) {
    struct mr_id a = mr_id_new(), b;
    char text[64];
    CHECK(mr_id_print("dep-", a, text, sizeof text));
    CHECK(mr_id_parse_prefixed("dep-", mr_str(text), &b));
    CHECK(mr_id_eq(a, b));
    CHECK(!mr_id_parse_prefixed("key-", mr_str(text), &b));
    CHECK_INT(a.b[6] >> 4, 7);
}

MR_TEST(times_read_back) {
    char text[MR_TIME_LEN];
    int64_t us;
    mr_time_rfc3339(1705314600000000, text);
    CHECK_STR(text, "2024-01-15T10:30:00Z");
    CHECK(mr_time_parse(mr_str(text), &us));
    CHECK_INT(us, 1705314600000000);
    CHECK(!mr_time_parse(mr_str("2024-13-15T10:30:00Z"), &us));
}

MR_TEST(base64_is_strict) {
    struct mr_buf b;
    mr_buf_init(&b, 100);
    mr_base64_add(&b, "ab", 2);
    CHECK_STR(b.p, "YWI=");
    mr_buf_clear(&b);
    CHECK(mr_base64_decode(MR_LIT("YWI="), &b));
    CHECK_STR(b.p, "ab");
    CHECK(!mr_base64_decode(MR_LIT("YWJ="), &b)); /* non-canonical tail bits */
    CHECK(!mr_base64_decode(MR_LIT("YWI"), &b));
    mr_buf_release(&b);
}

MR_TEST(sha256_matches_its_vector) {
    uint8_t d[32];
    struct mr_buf b;
    mr_buf_init(&b, 100);
    mr_sha256(MR_LIT("abc"), d);
    mr_hex_add(&b, d, 32);
    CHECK_STR(b.p, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    mr_buf_release(&b);
}

MR_TEST(arena_keeps_its_cap) {
    struct mr_arena a;
    mr_arena_init(&a, 100);
    CHECK(mr_arena_alloc(&a, 90) != NULL);
    CHECK(mr_arena_alloc(&a, 16) == NULL);
    CHECK(mr_arena_array(&a, (size_t)-1, 16) == NULL);
    mr_arena_release(&a);
}

MR_TEST(utf8_is_checked) {
    CHECK(mr_utf8_valid(mr_str("a\xC3\xA9\xF0\x9F\x98\x80")));
    CHECK(!mr_utf8_valid(mr_str("\xC0\x80")));
    CHECK(!mr_utf8_valid(mr_str("\xED\xA0\x80")));
    CHECK(!mr_utf8_valid(mr_strn("\xE2\x82", 2)));
}

MR_TEST(a_message_takes_in_the_one_before) {
    struct mr_err e;
    CHECK_INT(mr_fail_field(&e, MR_EFIELD, "model", "no %s", "tea"), MR_EFIELD);
    CHECK_STR(e.field, "model");
    mr_fail_field(&e, MR_EINVAL, e.field, "%s: %s", "parameters", e.msg);
    CHECK_INT(e.code, MR_EINVAL);
    CHECK_STR(e.field, "model");
    CHECK_STR(e.msg, "parameters: no tea");
    mr_fail(&e, MR_EIO, "outer: %.13s", e.msg);
    CHECK_STR(e.field, "");
    CHECK_STR(e.msg, "outer: parameters: n");
    CHECK_INT(mr_fail(NULL, MR_EIO, "x"), MR_EIO);
}

MR_TEST_MAIN(CASE(buf_keeps_its_cap), CASE(json_strings_are_escaped),
             CASE(numbers_are_shortest_and_read_back), CASE(ids_sort_and_read_back),
             CASE(times_read_back), CASE(base64_is_strict), CASE(sha256_matches_its_vector),
             CASE(arena_keeps_its_cap), CASE(utf8_is_checked),
             CASE(a_message_takes_in_the_one_before))
