/* Server-sent events: what is written, what is read, and that cuts and line ends change nothing. */
#include "wire/sse.h"

#include "mr_test.h"

static struct mr_buf seen; /* "[event|id|data]" of each event */
static int answer;         /* what the callback returns */

static int on_event(void *ctx, const struct mr_sse_event *ev) {
    (void)ctx;
    mr_buf_char(&seen, '[');
    mr_buf_str(&seen, ev->event);
    mr_buf_char(&seen, '|');
    mr_buf_str(&seen, ev->id);
    mr_buf_char(&seen, '|');
    mr_buf_str(&seen, ev->data);
    mr_buf_char(&seen, ']');
    return answer;
}

/* Feeds the stream in pieces of `piece` bytes (0: whole). */
static int parse(const char *s, size_t n, size_t piece, size_t line_max, size_t data_max,
                 int64_t *ret_retry) {
    struct mr_sse_parser p;
    struct mr_err e = {0};
    int rc = 0;
    mr_buf_release(&seen);
    mr_buf_init(&seen, 1 << 20);
    mr_buf_add(&seen, "", 0);
    mr_sse_begin(&p, line_max, data_max, on_event, NULL);
    for (size_t at = 0; at < n && !rc;) {
        size_t k = !piece || piece > n - at ? n - at : piece;
        char *copy = malloc(k); /* so that a sanitizer sees a read beyond the piece */
        memcpy(copy, s + at, k);
        rc = mr_sse_feed(&p, copy, k, &e);
        free(copy);
        at += k;
    }
    if (rc) {
        CHECK(e.msg[0] != 0);
        CHECK_INT(mr_sse_feed(&p, "\n\n", 2, NULL), rc); /* it stays failed */
    }
    if (ret_retry)
        *ret_retry = p.retry_ms;
    mr_sse_release(&p);
    mr_buf_char(&seen, 0);
    return rc;
}

static const struct {
    const char *in, *want;
} rows[] = {
    /* the standard's own examples */
    {"data: YHOO\ndata: +2\ndata: 10\n\n", "[message||YHOO\n+2\n10]"},
    {": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n\n",
     "[message|1|first event][message||second event][message|| third event]"},
    {"data\n\ndata\ndata\n\ndata:", "[message||][message||\n]"},
    {"data:test\n\ndata: test\n\n", "[message||test][message||test]"},
    {"event: add\ndata: 73857293\n\nevent: remove\ndata: 2153\n\n",
     "[add||73857293][remove||2153]"},
    /* ends of lines */
    {"data: a\r\n\r\ndata: b\r\rdata: c\n\n", "[message||a][message||b][message||c]"},
    {"data: a\r\ndata: b\r\n\r\n", "[message||a\nb]"},
    {"data: a\n\r\ndata: b\r\n\n", "[message||a][message||b]"},
    {"data: a\rdata: b\r\r", "[message||a\nb]"},
    /* the mark, once and only first */
    {"\xEF\xBB\xBF"
     "data: a\n\n\xEF\xBB\xBF"
     "data: b\n\n",
     "[message||a]"},
    {"\xEF\xBB"
     "data: a\n\n",
     ""},
    /* an event without data is none, and its name does not stay */
    {"event: x\n\ndata: a\n\n", "[message||a]"},
    {"id: 7\n\ndata: a\n\n", "[message|7|a]"},
    {"data: unfinished", ""},
    {"data: unfinished\n", ""},
    {"DATA: a\n data: b\nfoo: c\n\n", ""},
    {"data:a:b: c\n\n", "[message||a:b: c]"},
    {"\n\n\n", ""},
};

MR_TEST(streams_cut_anywhere) {
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        for (size_t piece = 0; piece < 8; piece++) {
            CHECK_INT(parse(rows[i].in, strlen(rows[i].in), piece, 1024, 1024, NULL), 0);
            if (strcmp(seen.p, rows[i].want))
                fprintf(stderr, "row %zu in pieces of %zu\n", i, piece);
            CHECK_STR(seen.p, rows[i].want);
        }
}

MR_TEST(ids_and_retries) {
    int64_t retry;
    CHECK_INT(parse("id: a\0b\ndata: x\n\n", 17, 0, 99, 99, NULL), 0);
    CHECK_STR(seen.p, "[message||x]"); /* an id with a NUL is ignored */
    CHECK_INT(parse("retry: 1500\n", 12, 0, 99, 99, &retry), 0);
    CHECK_INT(retry, 1500);
    CHECK_INT(parse("retry: 1500x\nretry: -2\nretry:\nretry: +3\nretry: 99999999999999999999\n", 66,
                    0, 99, 99, &retry),
              0);
    CHECK_INT(retry, -1);
}

MR_TEST(caps) {
    CHECK_INT(parse("data: 12345\n\n", 13, 0, 11, 5, NULL), 0);
    CHECK_STR(seen.p, "[message||12345]");
    for (size_t piece = 0; piece < 4; piece++) {
        CHECK_INT(parse("data: 12345\n\n", 13, piece, 10, 100, NULL), MR_ETOOBIG);
        CHECK_INT(parse("data: 12345\n\n", 13, piece, 100, 4, NULL), MR_ETOOBIG);
        CHECK_INT(parse("data: 12\ndata: 34\n\n", 19, piece, 100, 5, NULL), 0);
        CHECK_INT(parse("data: 12\ndata: 34\n\n", 19, piece, 100, 4, NULL), MR_ETOOBIG);
        CHECK_INT(parse("no end of this line", 19, piece, 8, 100, NULL), MR_ETOOBIG);
    }
    answer = MR_ECANCELLED;
    CHECK_INT(parse("data: a\n\ndata: b\n\n", 18, 0, 99, 99, NULL), MR_ECANCELLED);
    CHECK_STR(seen.p, "[message||a]");
    answer = 0;
}

static const char *written(const struct mr_sse_event *ev) {
    static struct mr_buf b;
    mr_buf_release(&b);
    mr_buf_init(&b, 1 << 16);
    mr_sse_write(&b, ev);
    return b.p;
}

MR_TEST(writing) {
    CHECK_STR(written(&(struct mr_sse_event){.data = MR_LIT("x")}), "data: x\n\n");
    CHECK_STR(written(&(struct mr_sse_event){.data = MR_LIT("")}), "data: \n\n");
    CHECK_STR(written(&(struct mr_sse_event){
                  .event = MR_LIT("e"), .id = MR_LIT("7"), .data = MR_LIT("a\nb\r\nc\rd\n")}),
              "event: e\nid: 7\ndata: a\ndata: b\ndata: c\ndata: d\ndata: \n\n");
    CHECK_STR(written(&(struct mr_sse_event){
                  .event = MR_LIT("e\ndata: forged\r"), .id = MR_LIT("1\n2"), .data = MR_LIT("x")}),
              "event: e data: forged \nid: 1 2\ndata: x\n\n");
    CHECK_STR(written(&(struct mr_sse_event){.id = mr_strn("1\0", 2), .data = MR_LIT("x")}),
              "data: x\n\n");
    struct mr_buf b;
    mr_buf_init(&b, 1 << 16);
    mr_sse_data(&b, MR_LIT("[DONE]"));
    mr_sse_comment(&b, MR_LIT(" keep\nalive"));
    mr_sse_comment(&b, MR_LIT(""));
    mr_sse_retry(&b, 3000);
    CHECK_STR(b.p, "data: [DONE]\n\n: keep alive\n\n:\n\nretry: 3000\n\n");
    mr_buf_release(&b);
}

MR_TEST(what_is_written_reads_back) {
    static const char *const data[] = {"",           "x",   "\n",      "a\n\nb",      " leading",
                                       "trailing\n", ": c", "data: d", "\xEF\xBB\xBF"};
    for (size_t i = 0; i < sizeof data / sizeof *data; i++) {
        char want[64];
        const char *text = written(&(struct mr_sse_event){
            .event = MR_LIT("e"), .id = MR_LIT("i"), .data = mr_str(data[i])});
        snprintf(want, sizeof want, "[e|i|%s]", data[i]);
        CHECK_INT(parse(text, strlen(text), 1, 99, 99, NULL), 0);
        CHECK_STR(seen.p, want);
    }
    mr_buf_release(&seen);
    (void)written(&(struct mr_sse_event){.data = MR_LIT("x")});
}

MR_TEST_MAIN(CASE(streams_cut_anywhere), CASE(ids_and_retries), CASE(caps), CASE(writing),
             CASE(what_is_written_reads_back))
