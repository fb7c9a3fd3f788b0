/* Text readers on rendered pages and on photos, and the parsing of what a reader's process says. */
#include "engine/onnx/onnx.h"
#include "engine/vision/ocr_priv.h"
#include "engine/vision/ocr_wire.h"
#include "vision_test.h"

static struct mr_ocr *open_reader(enum mr_ocr_engine engine) {
    struct mr_ocr *o = NULL;
    struct mr_err e = {0};
    const char *dir = vision_model(engine == MR_OCR_TESSERACT ? "tesseract-eng" : "pp-ocr-v4");
    if (mr_ocr_open(dir, engine, &o, &e)) {
        fprintf(stderr, "%s\n", e.msg);
        exit(2);
    }
    return o;
}

struct reading {
    struct mr_arena arena;
    struct mr_image im;
    struct mr_text_line *line;
    size_t n;
};

static struct reading read_picture(struct mr_ocr *o, const char *name) {
    struct reading r = {.im = vision_decode(name)};
    struct mr_err e = {0};
    mr_arena_init(&r.arena, (size_t)16 << 20);
    CHECK_INT(mr_ocr_read(o, &r.im, &r.arena, &r.line, &r.n, &e), 0);
    if (e.code)
        fprintf(stderr, "%s: %s\n", name, e.msg);
    return r;
}

static void reading_release(struct reading *r) {
    mr_arena_release(&r->arena);
    mr_image_release(&r->im);
}

/* Every line of the text file, in order, and nothing else. */
static void same_lines(const struct reading *r, const char *name) {
    struct test_file f = vision_photo(name);
    struct mr_str rest = {f.p, f.n};
    size_t k = 0;
    while (rest.p && rest.n) {
        struct mr_str want = mr_str_cut(&rest, '\n');
        struct mr_str got = k < r->n ? r->line[k].text : MR_LIT("(nothing)");
        if (!mr_str_eq(want, got))
            fprintf(stderr, "%s, line %zu: \"%.*s\" is read as \"%.*s\"\n", name, k, (int)want.n,
                    want.p, (int)got.n, got.p);
        CHECK(mr_str_eq(want, got));
        k++;
    }
    CHECK_INT(r->n, k);
    free(f.p);
}

static bool within(const struct mr_box *in, const struct mr_box *out) {
    return in->x0 >= out->x0 && in->y0 >= out->y0 && in->x1 <= out->x1 && in->y1 <= out->y1 &&
           in->x0 < in->x1 && in->y0 < in->y1;
}

MR_TEST(an_invoice_reads_back_exactly) {
    struct mr_ocr *o = open_reader(MR_OCR_TESSERACT);
    CHECK(mr_ocr_memory(o) > 0);
    const char *const pages[] = {"made/invoice.png", "made/invoice.jpg"};
    for (size_t k = 0; k < 2; k++) {
        struct reading r = read_picture(o, pages[k]);
        same_lines(&r, "made/invoice.txt");
        for (size_t i = 0; i < r.n; i++) {
            CHECK(r.line[i].confidence > 0.8 && r.line[i].confidence <= 1);
            for (size_t w = 0; w < r.line[i].n_word; w++)
                CHECK(within(&r.line[i].word[w].box, &r.line[i].box));
        }
        if (r.n > 10) { /* the number of line "Invoice No. 2024-0815" stands where it was drawn */
            CHECK_INT(r.line[3].n_word, 3);
            CHECK(mr_str_is(r.line[3].word[2].text, "2024-0815"));
            CHECK_NEAR(r.line[3].word[2].box.x0, 244, 6);
            CHECK_NEAR(r.line[3].word[2].box.y0, 335, 6);
            CHECK_NEAR(r.line[3].word[2].box.x1, 382, 6);
        }
        reading_release(&r);
    }
    mr_ocr_free(o);
}

MR_TEST(a_page_without_text_has_no_lines) {
    struct mr_ocr *o = open_reader(MR_OCR_TESSERACT), *p = open_reader(MR_OCR_PP);
    struct reading r = read_picture(o, "made/base.png"), s = read_picture(p, "made/base.png");
    CHECK_INT(r.n, 0);
    CHECK_INT(s.n, 0);
    reading_release(&r);
    reading_release(&s);
    mr_ocr_free(o);
    mr_ocr_free(p);
}

MR_TEST(photos_are_read_at_an_angle) {
    struct mr_ocr *o = open_reader(MR_OCR_PP);
    CHECK(mr_ocr_memory(o) > 0);
    struct reading r = read_picture(o, "made/sign.jpg");
    same_lines(&r, "made/sign.txt");
    if (r.n == 3) {
        CHECK_INT(r.line[1].n_word, 3);
        CHECK(r.line[1].confidence > 0.9);
        /* words follow each other along the slanted line */
        for (size_t k = 1; k < r.line[1].n_word; k++)
            CHECK(r.line[1].word[k].box.x0 > r.line[1].word[k - 1].box.x0 &&
                  r.line[1].word[k].box.y0 < r.line[1].word[k - 1].box.y0);
    }
    reading_release(&r);
    r = read_picture(o, "made/sign_over.jpg"); /* on its head */
    CHECK(r.n >= 3);
    if (r.n >= 3) {
        CHECK(mr_str_is(r.line[0].text, "OPEN 24 HOURS"));
        CHECK(mr_str_is(r.line[r.n - 1].text, "STOP"));
    }
    reading_release(&r);
    r = read_picture(o, "page.png"); /* uneven light, curved lines */
    CHECK(r.n >= 6);
    if (r.n >= 6) {
        CHECK(mr_str_is(r.line[0].text, "Region-based segmentation"));
        CHECK(mr_str_is(r.line[4].text, "the markers are found at the two extreme parts of the"));
    }
    reading_release(&r);
    mr_ocr_free(o);
}

MR_TEST(what_is_missing_is_named) {
    struct mr_ocr *o = NULL;
    struct mr_err e = {0};
    CHECK_INT(mr_ocr_open("/nonexistent", MR_OCR_TESSERACT, &o, &e), MR_ENOTFOUND);
    CHECK(strstr(e.msg, "eng.traineddata") != NULL);
    CHECK_INT(mr_ocr_open("/nonexistent", MR_OCR_PP, &o, &e), MR_ENOTFOUND);
    CHECK(strstr(e.msg, "keys.txt") != NULL);
}

/* --- what a reader's process says is not believed ------------------------------------------- */
static size_t put_reply(char *p, uint32_t words, const struct mr_ocr_wire_word *w,
                        const char *text) {
    int32_t code = 0;
    memcpy(p, &code, 4);
    memcpy(p + 4, &words, 4);
    memcpy(p + 8, w, sizeof *w);
    memcpy(p + 8 + sizeof *w, text, strlen(text));
    return 8 + sizeof *w + strlen(text);
}

static int parse(const char *p, size_t n, struct mr_text_line **ret, size_t *ret_n,
                 struct mr_arena *a) {
    struct mr_image im = {.width = 100, .height = 50};
    return mr_tess_parse(p, n, &im, 2, a, ret, ret_n, NULL);
}

MR_TEST(replies_are_checked) {
    struct mr_ocr_wire_word good = {
        .line = 1, .confidence = 90, .x0 = 2, .x1 = 400, .y1 = 20, .bytes = 3};
    char buf[256];
    struct mr_arena a;
    struct mr_text_line *l = NULL;
    size_t n = 0, len = put_reply(buf, 1, &good, "abc");
    mr_arena_init(&a, 1 << 20);
    CHECK_INT(parse(buf, len, &l, &n, &a), 0);
    CHECK_INT(n, 1);
    CHECK(n == 1 && mr_str_is(l[0].text, "abc") && l[0].box.x0 == 1 && l[0].box.x1 == 100);
    for (size_t k = 0; k < len; k++)
        CHECK_INT(parse(buf, k, &l, &n, &a), MR_EPREDICT);
    struct mr_ocr_wire_word w = good;
    w.confidence = NAN;
    CHECK_INT(parse(buf, put_reply(buf, 1, &w, "abc"), &l, &n, &a), MR_EPREDICT);
    w = good;
    w.bytes = 4000000000u;
    CHECK_INT(parse(buf, put_reply(buf, 1, &w, "abc"), &l, &n, &a), MR_EPREDICT);
    w = good;
    w.x0 = 500;
    CHECK_INT(parse(buf, put_reply(buf, 1, &w, "abc"), &l, &n, &a), MR_EPREDICT);
    CHECK_INT(parse(buf, put_reply(buf, 1, &good, "a\xff\xfe"), &l, &n, &a), MR_EPREDICT);
    CHECK_INT(parse(buf, put_reply(buf, 4000000000u, &good, "abc"), &l, &n, &a), MR_EPREDICT);
    mr_arena_release(&a);
}

#define main test_main
int test_main(int argc, char **argv);
MR_TEST_MAIN(CASE(an_invoice_reads_back_exactly), CASE(a_page_without_text_has_no_lines),
             CASE(photos_are_read_at_an_angle), CASE(what_is_missing_is_named),
             CASE(replies_are_checked))
#undef main

int main(int argc, char **argv) {
    if (argc > 1 && !strcmp(argv[1], "__image-worker"))
        return mr_image_worker_main();
    if (argc > 1 && !strcmp(argv[1], "__onnx-worker"))
        return mr_onnx_worker_main();
    if (argc > 1 && !strcmp(argv[1], "__ocr-worker"))
        return mr_ocr_worker_main();
    return test_main(argc, argv);
}
