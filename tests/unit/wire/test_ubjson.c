#include "base/err.h"
#include "mr_test.h"
#include "wire/ubjson.h"

static void expect(struct mr_str in, const char *json) {
    yyjson_doc *d = NULL;
    struct mr_err e = {0};
    int rc = mr_ubjson_read(in, 1 << 20, &d, &e);
    CHECK_INT(rc, 0);
    if (rc) {
        fprintf(stderr, "  %s\n", e.msg);
        return;
    }
    char *text = yyjson_write(d, 0, NULL);
    CHECK_STR(text, json);
    free(text);
    yyjson_doc_free(d);
}

MR_TEST(every_type_is_read) {
    expect(MR_LIT("Z"), "null");
    expect(MR_LIT("T"), "true");
    expect(MR_LIT("i\xff"), "-1");
    expect(MR_LIT("U\xff"), "255");
    expect(MR_LIT("I\x80\x00"), "-32768");
    expect(MR_LIT("l\xff\xff\xff\xfe"), "-2");
    expect(MR_LIT("L\x00\x00\x00\x01\x00\x00\x00\x00"), "4294967296");
    expect(MR_LIT("d\x3f\x00\x00\x00"), "0.5");
    expect(MR_LIT("D\xbf\xe0\x00\x00\x00\x00\x00\x00"), "-0.5");
    expect(MR_LIT("Ca"), "\"a\"");
    expect(MR_LIT("Si\x03xyz"), "\"xyz\"");
    expect(MR_LIT("Si\x00"), "\"\"");
    expect(MR_LIT("NNF"), "false");
}

MR_TEST(containers_are_read) {
    expect(MR_LIT("[]"), "[]");
    expect(MR_LIT("[TF[Z]]"), "[true,false,[null]]");
    expect(MR_LIT("[#i\x02TF"), "[true,false]");
    expect(MR_LIT("[$d#L\0\0\0\0\0\0\0\x02\x3f\x80\x00\x00\x40\x00\x00\x00"), "[1.0,2.0]");
    expect(MR_LIT("[$U#i\x03\x01\x02\x03"), "[1,2,3]");
    expect(MR_LIT("[$l#i\x00"), "[]");
    expect(MR_LIT("{i\x01"
                  "ai\x05L\0\0\0\0\0\0\0\x01"
                  "b{}}"),
           "{\"a\":5,\"b\":{}}");
    expect(MR_LIT("{#i\x01i\x01z[#i\x01T"), "{\"z\":[true]}");
    expect(MR_LIT("[N[NTN]N]"), "[[true]]");
}

MR_TEST(damage_is_refused_with_a_reason) {
    static const struct {
        struct mr_str in;
        const char *why;
    } rows[] = {
        {{"", 0}, "the file ends"},
        {{"TT", 2}, "other bytes"},
        {{"[T", 2}, "the file ends"},
        {{"[#i\xffT", 5}, "a negative length"},
        {{"[#L\x7f\xff\xff\xff\xff\xff\xff\xff", 11}, "beyond the end"},
        {{"[$d#L\x3f\xff\xff\xff\xff\xff\xff\xff", 13}, "beyond the end"},
        {{"[$Z#L\x3f\xff\xff\xff\xff\xff\xff\xff", 13}, "does not write"},
        {{"[$dT", 4}, "without a count"},
        {{"{$i#i\x01", 6}, "does not write"},
        {{"Si\x05xyz", 6}, "longer than the file"},
        {{"Si\x01\xff", 4}, "not UTF-8"},
        {{"Sd\x00\x00\x00\x00", 6}, "no integer"},
        {{"H", 1}, "unknown type"},
        {{"D\x00", 2}, "ends inside a number"},
        {{"C\xff", 2}, "not ASCII"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        yyjson_doc *d = NULL;
        struct mr_err e = {0};
        CHECK_INT(mr_ubjson_read(rows[i].in, 1 << 20, &d, &e), MR_EREFUSED);
        if (!strstr(e.msg, rows[i].why))
            CHECK_STR(e.msg, rows[i].why);
        CHECK(!d);
    }
}

MR_TEST(depth_and_memory_are_capped) {
    char deep[100];
    memset(deep, '[', sizeof deep);
    yyjson_doc *d = NULL;
    struct mr_err e = {0};
    CHECK_INT(mr_ubjson_read(mr_strn(deep, sizeof deep), 1 << 20, &d, &e), MR_EREFUSED);
    CHECK(strstr(e.msg, "too deep"));
    enum { N = 60000 };
    char *wide = malloc(N + 9);
    memcpy(wide, "[$U#l\x00\x00\xea\x60", 9);
    memset(wide + 9, 1, N);
    CHECK_INT(mr_ubjson_read(mr_strn(wide, N + 9), 1 << 20, &d, &e), MR_EREFUSED);
    CHECK(strstr(e.msg, "memory"));
    CHECK_INT(mr_ubjson_read(mr_strn(wide, N + 9), 1 << 24, &d, &e), 0);
    CHECK_INT(yyjson_arr_size(yyjson_doc_get_root(d)), N);
    yyjson_doc_free(d);
    free(wide);
}

MR_TEST(sniff_knows_xgboost_files) {
    CHECK(mr_ubjson_sniff(MR_LIT("{L\0\0\0\0\0\0\0\x07learner")));
    CHECK(mr_ubjson_sniff(MR_LIT("{i\x07learner")));
    CHECK(!mr_ubjson_sniff(MR_LIT("{\"learner\":{}}")));
    CHECK(!mr_ubjson_sniff(MR_LIT("{}")));
    CHECK(!mr_ubjson_sniff(MR_LIT("tree\nversion=v4")));
}

MR_TEST_MAIN(CASE(every_type_is_read), CASE(containers_are_read),
             CASE(damage_is_refused_with_a_reason), CASE(depth_and_memory_are_capped),
             CASE(sniff_knows_xgboost_files))
