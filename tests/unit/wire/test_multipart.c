#include "wire/multipart.h"

#include "base/buf.h"

#include "mr_test.h"

struct seen {
    struct mr_buf text; /* begin, data and end as one line a part */
    int fail_data;
    size_t pieces; /* calls of on_data */
};

static int on_begin(void *ctx, struct mr_str name, struct mr_str file, struct mr_str type,
                    struct mr_err *e) {
    struct seen *s = ctx;
    (void)e;
    mr_buf_str(&s->text, name);
    mr_buf_char(&s->text, '|');
    mr_buf_str(&s->text, file.p ? file : MR_LIT("-"));
    mr_buf_char(&s->text, '|');
    mr_buf_str(&s->text, type.p ? type : MR_LIT("-"));
    mr_buf_char(&s->text, '=');
    return 0;
}

static int on_data(void *ctx, const char *p, size_t n, struct mr_err *e) {
    struct seen *s = ctx;
    if (s->fail_data)
        return mr_fail(e, MR_ENOSPC, "full");
    s->pieces++;
    mr_buf_add(&s->text, p, n);
    return 0;
}

static int on_end(void *ctx, struct mr_err *e) {
    struct seen *s = ctx;
    (void)e;
    mr_buf_char(&s->text, '\n');
    return 0;
}

/* Parses in pieces of `step` bytes; returns the first error. */
static int parse(const char *p, size_t n, size_t step, const struct mr_multipart_limits *lim,
                 struct seen *s, struct mr_err *e) {
    struct mr_multipart_handler h = {on_begin, on_data, on_end, s};
    struct mr_multipart *m = NULL;
    CHECK_INT(mr_multipart_new(MR_LIT("XyZ"), lim, &h, &m, e), 0);
    int rc = 0;
    mr_buf_init(&s->text, 1 << 20);
    for (size_t i = 0; i < n && rc == 0; i += step)
        rc = mr_multipart_feed(m, p + i, n - i < step ? n - i : step, e);
    if (rc == 0)
        rc = mr_multipart_end(m, e);
    mr_multipart_free(m);
    return rc;
}

#define CD "Content-Disposition: form-data; "

static const struct {
    const char *body, *want; /* want NULL: refused with MR_EINVAL */
} rows[] = {
    {"--XyZ\r\n" CD "name=\"a\"\r\n\r\n1\r\n--XyZ--\r\n", "a|-|-=1\n"},
    {"--XyZ\r\n" CD "name=a\r\n\r\n\r\n--XyZ--", "a|-|-=\n"},
    {"pre\r\n--XyZ  \r\n" CD "name=\"a\"\r\n\r\n1\r\n--XyZ--\r\nepilogue", "a|-|-=1\n"},
    {"--XyZ\r\n" CD "name=\"a\"\r\n\r\n1\r\n--XyZ\r\n" CD
     "name=\"f\"; filename=\"m.pkl\"\r\nContent-Type: "
     "text/x\r\n\r\nx\r\n--Xy\r\n--XyY\r\n\r\r\n-\r\n"
     "--XyZ--\r\n",
     "a|-|-=1\nf|m.pkl|text/x=x\r\n--Xy\r\n--XyY\r\n\r\r\n-\n"},
    {"--XyZ\r\n" CD "name=\"f\"; filename=\"a \\\"b\\\" c.bin\"\r\n\r\n\r\n--XyZ--",
     "f|a \"b\" c.bin|-=\n"},
    {"--XyZ\r\n" CD "name=\"f\"; filename=\"a %22b%22.bin\"\r\n\r\n\r\n--XyZ--",
     "f|a \"b\".bin|-=\n"},
    {"--XyZ\r\n" CD "name=\"f\"; filename=\"x;y=z.bin\"\r\n\r\n\r\n--XyZ--", "f|x;y=z.bin|-=\n"},
    {"--XyZ\r\n" CD "name=\"f\"; filename=\"C:\\a\\b.bin\"\r\n\r\n\r\n--XyZ--",
     "f|C:\\a\\b.bin|-=\n"},
    {"--XyZ\r\n" CD "name=\"f\"; filename=\"e.bin\"; filename*=UTF-8''%E2%82%AC%20x\r\n\r\n"
     "\r\n--XyZ--",
     "f|\xE2\x82\xAC x|-=\n"},
    {"--XyZ\r\ncontent-DISPOSITION:form-data;name=\"a\"\r\n\r\n1\r\n--XyZ--", "a|-|-=1\n"},
    {"--XyZ--\r\n", ""},
    /* refused */
    {"", NULL},
    {"--XyZ\r\n" CD "name=\"a\"\r\n\r\n1\r\n--XyZ\r\n", NULL},
    {"--XyZ\r\n" CD "name=\"a\"\r\n\r\n1", NULL},
    {"--XyZ\r\n\r\n1\r\n--XyZ--", NULL},
    {"--XyZ\r\n" CD "filename=\"a\"\r\n\r\n1\r\n--XyZ--", NULL},
    {"--XyZ\r\n" CD "name=\"a\"; name=\"b\"\r\n\r\n1\r\n--XyZ--", NULL},
    {"--XyZ\r\n" CD "name=\"a\r\n\r\n1\r\n--XyZ--", NULL},
    {"--XyZ\r\n" CD "name=\"a\"\n\r\n\r\n1\r\n--XyZ--", NULL},
    {"--XyZ\r\nContent-Disposition: attachment; name=\"a\"\r\n\r\n1\r\n--XyZ--", NULL},
    {"--XyZ\r\n" CD "name=\"a\"\r\nContent-Transfer-Encoding: base64\r\n\r\n1\r\n--XyZ--", NULL},
    {"--XyZ\r\n" CD "name=\"a\"; filename*=latin1''x\r\n\r\n1\r\n--XyZ--", NULL},
    {"--XyZ\r\n" CD "name=\"a\"; filename*=UTF-8''%ff\r\n\r\n1\r\n--XyZ--", NULL},
    {"--XyZ\r\n" CD "name=\"a\"\r\n folded\r\n\r\n1\r\n--XyZ--", NULL},
    {"--XyZ\r\n" CD "name=\"a\"\r\n\r\n1\r\n--XyZfoo\r\n", NULL},
};

MR_TEST(every_row_in_every_split) {
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        for (size_t step = 1; step <= strlen(rows[i].body) + 1; step++) {
            struct seen s = {.fail_data = 0};
            struct mr_err e = {0};
            int rc = parse(rows[i].body, strlen(rows[i].body), step, NULL, &s, &e);
            if (rows[i].want) {
                CHECK_INT(rc, 0);
                CHECK_STR(s.text.p ? s.text.p : "", rows[i].want);
            } else {
                CHECK_INT(rc, MR_EINVAL);
                CHECK(e.msg[0]);
            }
            if (mr_test_failed_)
                fprintf(stderr, "row %zu step %zu: %s\n", i, step, e.msg);
            mr_buf_release(&s.text);
            if (mr_test_failed_)
                return;
        }
}

MR_TEST(caps) {
    struct mr_multipart_limits lim = {.max_parts = 2, .max_head_bytes = 64};
    struct seen s = {.fail_data = 0};
    struct mr_err e = {0};
    static const char three[] = "--XyZ\r\n" CD "name=a\r\n\r\n\r\n--XyZ\r\n" CD
                                "name=a\r\n\r\n\r\n--XyZ\r\n" CD "name=a\r\n\r\n\r\n--XyZ--";
    CHECK_INT(parse(three, sizeof three - 1, 7, &lim, &s, &e), MR_ETOOBIG);
    mr_buf_release(&s.text);
    static const char head[] =
        "--XyZ\r\n" CD "name=a; filename=aaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n\r\n";
    CHECK_INT(parse(head, sizeof head - 1, 7, &lim, &s, &e), MR_ETOOBIG);
    mr_buf_release(&s.text);
}

MR_TEST(returns_in_data_do_not_cut_it) {
    struct seen s = {.pieces = 0};
    struct mr_err e = {0};
    static const char body[] =
        "--XyZ\r\n" CD "name=a\r\n\r\n\r\r\n1\r\n-2\r\n--X3\r\r\n--Xy\r\n--XyZ--";
    CHECK_INT(parse(body, sizeof body - 1, sizeof body, NULL, &s, &e), 0);
    mr_buf_char(&s.text, 0);
    CHECK_STR(s.text.p, "a|-|-=\r\r\n1\r\n-2\r\n--X3\r\r\n--Xy\n");
    CHECK_INT(s.pieces, 1);
    mr_buf_release(&s.text);
}

MR_TEST(handler_error_stops) {
    struct seen s = {.fail_data = 1};
    struct mr_err e = {0};
    struct mr_multipart_handler h = {on_begin, on_data, on_end, &s};
    struct mr_multipart *m = NULL;
    mr_buf_init(&s.text, 1 << 20);
    CHECK_INT(mr_multipart_new(MR_LIT("XyZ"), NULL, &h, &m, &e), 0);
    static const char body[] = "--XyZ\r\n" CD "name=a\r\n\r\nxx";
    CHECK_INT(mr_multipart_feed(m, body, sizeof body - 1, &e), MR_ENOSPC);
    CHECK_STR(e.msg, "full");
    CHECK_INT(mr_multipart_feed(m, "x", 1, &e), MR_EINVAL);
    mr_multipart_free(m);
    mr_buf_release(&s.text);
}

MR_TEST(boundary_parameter) {
    static const struct {
        const char *type, *want;
    } b[] = {
        {"multipart/form-data; boundary=abc", "abc"},
        {"Multipart/Form-Data; charset=utf-8; Boundary=\"a b\"", "a b"},
        {"multipart/form-data;boundary=----x1;y=2", "----x1"},
        {"multipart/form-data", NULL},
        {"multipart/form-data; boundary=", NULL},
        {"multipart/form-data; boundary=\"\"", NULL},
        {"multipart/form-data; boundary=a\rb", NULL},
        {"multipart/mixed; boundary=abc", NULL},
        {"text/plain", NULL},
        {"", NULL},
        {"multipart/form-data; boundary="
         "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
         NULL},
    };
    for (size_t i = 0; i < sizeof b / sizeof *b; i++) {
        struct mr_str got = {NULL, 0};
        bool ok = mr_multipart_boundary(mr_str(b[i].type), &got);
        CHECK_INT(ok, b[i].want != NULL);
        if (ok)
            CHECK(mr_str_is(got, b[i].want));
    }
    struct mr_str got;
    CHECK(!mr_multipart_boundary(mr_strn(NULL, 0), &got));
}

MR_TEST_MAIN(CASE(every_row_in_every_split), CASE(caps), CASE(returns_in_data_do_not_cut_it),
             CASE(handler_error_stops), CASE(boundary_parameter))
