/* CSV against RFC 4180: its own cases, damage, and what the writer writes read back. */
#include "base/alloc.h"
#include "mr_test.h"
#include "wire/csv.h"

/* "a|b/c|d": fields by |, records by /, quoted ones in (). An error: "!message". */
static const char *read_all(struct mr_str s, size_t max_fields, size_t max_record) {
    static char out[2000];
    struct mr_csv c;
    struct mr_err e = {0};
    size_t n = 0;
    int rc;
    mr_csv_init(&c, s, max_fields, max_record);
    out[0] = 0;
    while ((rc = mr_csv_next(&c, &e)) > 0) {
        n += (size_t)snprintf(out + n, sizeof out - n, "%s", c.record > 1 ? "/" : "");
        for (size_t i = 0; i < c.n; i++)
            n += (size_t)snprintf(out + n, sizeof out - n, "%s%s%.*s%s", i ? "|" : "",
                                  c.field[i].quoted ? "(" : "", (int)c.field[i].text.n,
                                  c.field[i].text.p, c.field[i].quoted ? ")" : "");
    }
    if (rc < 0)
        snprintf(out + n, sizeof out - n, "!%s", e.msg);
    mr_csv_release(&c);
    return out;
}

static const char *text(const char *s) {
    return read_all(mr_str(s), 100, 1000);
}

MR_TEST(records_and_fields) {
    CHECK_STR(text("a,b\r\nc,d\r\n"), "a|b/c|d");
    CHECK_STR(text("a,b\nc,d"), "a|b/c|d");
    CHECK_STR(text("a\rb"), "a/b");
    CHECK_STR(text("\xef\xbb\xbf"
                   "a,b"),
              "a|b");
    CHECK_STR(text("\n\r\na\n\n\nb\n\n"), "a/b");
    CHECK_STR(text(""), "");
    CHECK_STR(text(","), "|");
    CHECK_STR(text("a,,\n"), "a||");
    CHECK_STR(text(" a , b "), " a | b ");
    CHECK_STR(text("\"a,1\",\"b\"\"c\"\"\",\"\"\n\"x\r\ny\",z"), "(a,1)|(b\"c\")|()/(x\r\ny)|z");
    CHECK_STR(text("a\"b,c"), "a\"b|c");
    CHECK_STR(read_all(MR_LIT("a\0b,\"c\0d\""), 10, 100), "a|(c)"); /* printf stops at the NUL */
}

MR_TEST(damage_names_its_line) {
    CHECK_STR(text("a\n\"b"), "a!CSV, record at line 2: a quoted field does not end");
    CHECK_STR(text("\"a\nb\nc\"\n\"d\"e"),
              "(a\nb\nc)!CSV, record at line 4: text follows a closing quote");
    CHECK_STR(read_all(MR_LIT("a,b,c"), 2, 100), "!CSV, record at line 1: it has too many fields");
    CHECK_STR(read_all(MR_LIT("\"abcdefgh\""), 2, 7), "!CSV, record at line 1: it is too long");
}

MR_TEST(memory_that_runs_out_is_an_error) {
    int refused = 0;
    for (size_t nth = 1; nth < 20; nth++) {
        struct mr_csv c;
        struct mr_err e = {0};
        mr_csv_init(&c, MR_LIT("\"a\",b\nc,\"d\""), 10, 100);
        mr_alloc_fail_at(nth);
        int rc;
        while ((rc = mr_csv_next(&c, &e)) > 0)
            ;
        size_t made = mr_alloc_fail_at(0);
        refused += rc == MR_ENOMEM;
        CHECK(!rc || rc == MR_ENOMEM);
        mr_csv_release(&c);
        if (made < nth)
            break;
    }
    CHECK(refused >= 2);
}

MR_TEST(what_is_written_reads_back) {
    static const char *const fields[] = {"",    "a",           "a,b", "\"", "\"\"",          "\r",
                                         "\n",  "a\"b\"",      " a",  "a ", "{\"k\":\"v\"}", "ä,ö",
                                         "1.5", "a\r\nb,\"c\""};
    enum { N = sizeof fields / sizeof *fields };
    struct mr_buf b;
    mr_buf_init(&b, 10000);
    for (int i = 0; i < N; i++) {
        if (i)
            mr_buf_char(&b, ',');
        mr_csv_add(&b, mr_str(fields[i]));
    }
    struct mr_csv c;
    struct mr_err e = {0};
    mr_csv_init(&c, mr_buf_view(&b), N, 1000);
    CHECK_INT(mr_csv_next(&c, &e), 1);
    CHECK_INT(c.n, N);
    for (size_t i = 0; i < c.n; i++)
        CHECK(mr_str_is(c.field[i].text, fields[i]));
    CHECK_INT(mr_csv_next(&c, &e), 0);
    mr_csv_release(&c);
    mr_buf_release(&b);
}

MR_TEST_MAIN(CASE(records_and_fields), CASE(damage_names_its_line),
             CASE(memory_that_runs_out_is_an_error), CASE(what_is_written_reads_back))
