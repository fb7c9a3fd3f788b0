/* fastText models: small ones of random numbers against fastText's own predictions
 * (tests/data/nlp/make_fasttext.py), the installed language model on our multilingual list, damaged
 * files. tests/conformance/check_language.py runs this program with "predict". */
#include "base/alloc.h"
#include "engine/nlp/fasttext.h"
#include "engine/nlp/file.h"
#include "engine/nlp/nlp.h"
#include "mr_test.h"
#include "nlp_models.h"
#include "nlp_texts.h"

#include <yyjson.h>

#define DATA MR_SRC_DIR "/tests/data/nlp"

static char *read_file(const char *dir, const char *name, struct mr_str *ret) {
    char *own = NULL;
    struct mr_err e = {0};
    if (mr_nlp_read_file(dir, name, MR_FASTTEXT_FILE_MAX, &own, ret, &e)) {
        fprintf(stderr, "%s\n", e.msg);
        exit(2);
    }
    return own;
}

static struct mr_fasttext *load(const char *dir, const char *name) {
    struct mr_str file;
    struct mr_err e = {0};
    struct mr_fasttext *f = NULL;
    char *own = read_file(dir, name, &file);
    if (mr_fasttext_new(file, &f, &e)) {
        fprintf(stderr, "%s: %s\n", name, e.msg);
        exit(2);
    }
    mr_free(own);
    return f;
}

static const char *const TINY[] = {"tiny_hs.ftz", "tiny_softmax.bin", "tiny_ova.bin"};

MR_TEST(small_models_predict_as_fasttext) {
    struct mr_fasttext *f[3];
    struct mr_str rest;
    unsigned n = 0;
    for (int k = 0; k < 3; k++)
        f[k] = load(DATA, TINY[k]);
    char *own = read_file(DATA, "fasttext.jsonl", &rest);
    while (rest.p && rest.n) {
        struct mr_str line = mr_str_cut(&rest, '\n');
        yyjson_doc *doc = yyjson_read(line.p, line.n, 0);
        yyjson_val *o = yyjson_doc_get_root(doc), *t = yyjson_obj_get(o, "text");
        int before = mr_test_failed_;
        for (int k = 0; k < 3; k++) {
            yyjson_val *want = yyjson_obj_get(o, TINY[k]);
            uint32_t label = 0;
            double p = 0;
            CHECK(mr_fasttext_predict(f[k], mr_strn(yyjson_get_str(t), yyjson_get_len(t)), &label,
                                      &p));
            CHECK(
                mr_str_is(mr_fasttext_label(f[k], label), yyjson_get_str(yyjson_arr_get(want, 0))));
            CHECK_NEAR(p, fmin(yyjson_get_num(yyjson_arr_get(want, 1)), 1), 2e-5);
        }
        if (mr_test_failed_ > before)
            fprintf(stderr, "in %.*s\n", (int)line.n, line.p);
        yyjson_doc_free(doc);
        n++;
    }
    CHECK_INT(n, 61);
    mr_free(own);
    for (int k = 0; k < 3; k++)
        mr_fasttext_free(f[k]);
}

/* Every prefix, and every byte of the head changed: refused, or a model that predicts. */
MR_TEST(damaged_models_are_refused_or_harmless) {
    struct mr_str file;
    unsigned refused = 0;
    for (int k = 0; k < 3; k++) {
        char *own = read_file(DATA, TINY[k], &file);
        for (size_t n = 0; n < file.n; n += 1 + n / 500) {
            struct mr_fasttext *f = NULL;
            CHECK(mr_fasttext_new(mr_strn(own, n), &f, NULL) < 0);
        }
        for (size_t at = 0; at < 500; at++) {
            static const uint8_t flip[] = {0x01, 0x80, 0xff};
            for (int x = 0; x < 3; x++) {
                struct mr_fasttext *f = NULL;
                struct mr_err e = {0};
                uint32_t label;
                double p;
                own[at] = (char)(own[at] ^ flip[x]);
                if (mr_fasttext_new(file, &f, &e)) {
                    CHECK(e.msg[0]);
                    refused++;
                } else if (mr_fasttext_predict(f, MR_LIT("the haus is"), &label, &p))
                    CHECK(label < mr_fasttext_labels(f));
                mr_fasttext_free(f);
                own[at] = (char)(own[at] ^ flip[x]);
            }
        }
        mr_free(own);
    }
    CHECK(refused > 500);
}

MR_TEST(our_list_of_languages) {
    char dir[4096], code[8];
    struct mr_err e = {0};
    struct mr_language *l = NULL;
    struct mr_str rest;
    unsigned n = 0, right = 0;
    if (mr_model_missing("lid-176"))
        return;
    CHECK_INT(mr_language_open(mr_models_dir("lid-176", dir), &l, &e), 0);
    char *own = read_file(DATA, "languages.tsv", &rest);
    while (l && rest.p && rest.n) {
        struct mr_str line = mr_str_cut(&rest, '\n'), want = mr_str_cut(&line, '\t');
        double p;
        CHECK_INT(mr_language_detect(l, line, code, &p, &e), 0);
        CHECK(p > 0 && p <= 1);
        right += mr_str_is(want, code);
        n++;
    }
    printf("languages: %u of %u right (%.1f %%)\n", right, n, 100.0 * right / n);
    CHECK(n >= 200 && right * 100 >= n * 98);
    mr_free(own);
    mr_language_free(l);
}

MR_TEST(odd_texts) {
    char dir[4096], code[8];
    double p;
    struct mr_err e = {0};
    struct mr_language *l = NULL;
    if (mr_model_missing("lid-176"))
        return;
    CHECK_INT(mr_language_open(mr_models_dir("lid-176", dir), &l, &e), 0);
    static const char *const nothing[] = {"", "  \n\t ", "12 345 --- !!", "\xff\xfe", "___"};
    for (size_t i = 0; i < sizeof nothing / sizeof *nothing; i++) {
        CHECK_INT(mr_language_detect(l, mr_str(nothing[i]), code, &p, &e), 0);
        CHECK_STR(code, "und");
        CHECK_NEAR(p, 0, 0);
    }
    CHECK_INT(mr_language_detect(
                  l, MR_LIT("PLEASE SEND THE LETTER\nTO THE OTHER OFFICE\nTOMORROW MORNING"), code,
                  &p, &e),
              0);
    CHECK_STR(code, "en");
    size_t n = 1 << 20;
    char *big = mr_malloc(n);
    for (size_t i = 0; i < n; i++)
        big[i] = "une petite maison dans la rue "[i % 30];
    CHECK_INT(mr_language_detect(l, mr_strn(big, n), code, &p, &e), 0);
    CHECK_STR(code, "fr");
    memset(big, 'e', n); /* one word */
    CHECK_INT(mr_language_detect(l, mr_strn(big, n), code, &p, &e), 0);
    mr_free(big);
    mr_language_free(l);
    CHECK_INT(mr_language_open("/nonexistent", &l, &e), MR_ENOTLOADED);
}

static int predict(const char *path) {
    struct mr_fasttext *f = load("/", path + 1);
    struct mr_str text;
    while (mr_next_text(&text)) {
        uint32_t label;
        double p;
        if (!mr_fasttext_predict(f, text, &label, &p))
            return 1;
        struct mr_str name = mr_fasttext_label(f, label);
        printf("%.*s %.9f\n", (int)name.n, name.p, p);
        mr_free((void *)text.p);
    }
    mr_fasttext_free(f);
    return 0;
}

#define main test_main
int test_main(int argc, char **argv);
MR_TEST_MAIN(CASE(small_models_predict_as_fasttext), CASE(damaged_models_are_refused_or_harmless),
             CASE(our_list_of_languages), CASE(odd_texts))
#undef main

int main(int argc, char **argv) {
    if (argc == 3 && !strcmp(argv[1], "predict") && argv[2][0] == '/')
        return predict(argv[2]);
    return test_main(argc, argv);
}
