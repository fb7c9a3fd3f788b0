/* VADER against scores of vaderSentiment with a small lexicon of ours (tests/data/nlp, written by
 * tests/conformance/check_vader.py, which also runs this program with "score"). */
#include "base/alloc.h"
#include "base/cleanup.h"
#include "engine/nlp/file.h"
#include "engine/nlp/vader.h"
#include "mr_test.h"
#include "nlp_texts.h"

#include <yyjson.h>

#define DATA MR_SRC_DIR "/tests/data/nlp"

static struct mr_lexicon *load(const char *dir, const char *name) {
    char *own;
    struct mr_str text;
    struct mr_err e = {0};
    struct mr_lexicon *l = NULL;
    if (mr_nlp_read_file(dir, name, MR_LEXICON_FILE_MAX, &own, &text, &e) ||
        mr_lexicon_new(text, &l, &e)) {
        fprintf(stderr, "%s\n", e.msg);
        exit(2);
    }
    mr_free(own);
    return l;
}

MR_TEST(golden_texts) {
    char *own;
    struct mr_str rest;
    struct mr_err e = {0};
    struct mr_arena a;
    mr_arena_init(&a, 1 << 20);
    struct mr_lexicon *l = load(DATA, "lexicon.tsv");
    CHECK_INT(mr_nlp_read_file(DATA, "vader.jsonl", 1 << 22, &own, &rest, &e), 0);
    unsigned n = 0;
    while (rest.p && rest.n) {
        struct mr_str line = mr_str_cut(&rest, '\n');
        yyjson_doc *doc = yyjson_read(line.p, line.n, 0);
        yyjson_val *o = yyjson_doc_get_root(doc), *t = yyjson_obj_get(o, "text");
        struct mr_vader v;
        int before = mr_test_failed_;
        CHECK_INT(mr_vader(l, mr_strn(yyjson_get_str(t), yyjson_get_len(t)), &a, &v, &e), 0);
        CHECK_NEAR(v.compound, yyjson_get_num(yyjson_obj_get(o, "compound")), 1e-4);
        CHECK_NEAR(v.positive, yyjson_get_num(yyjson_obj_get(o, "pos")), 1e-3);
        CHECK_NEAR(v.neutral, yyjson_get_num(yyjson_obj_get(o, "neu")), 1e-3);
        CHECK_NEAR(v.negative, yyjson_get_num(yyjson_obj_get(o, "neg")), 1e-3);
        if (mr_test_failed_ > before)
            fprintf(stderr, "in %.*s\n", (int)line.n, line.p);
        mr_arena_reset(&a);
        yyjson_doc_free(doc);
        n++;
    }
    CHECK_INT(n, 400);
    mr_free(own);
    mr_arena_release(&a);
    mr_lexicon_free(l);
}

MR_TEST(a_mebibyte_of_words_is_bounded) {
    struct mr_lexicon *l = load(DATA, "lexicon.tsv");
    struct mr_arena a;
    struct mr_err e = {0};
    struct mr_vader v;
    mr_arena_init(&a, (size_t)16 << 20);
    size_t n = 1 << 20;
    char *text = mr_malloc(n);
    for (size_t i = 0; i + 4 <= n; i += 4)
        memcpy(text + i, i % 16 ? "bad " : "but ", 4);
    CHECK_INT(mr_vader(l, mr_strn(text, n), &a, &v, &e), 0);
    CHECK(v.compound < -0.99);
    for (size_t i = 0; i + 4 <= n; i += 3) /* emoji, and bytes that are no text */
        memcpy(text + i, i % 2 ? "\xe2\x9d\xa4" : "\xff\xfe\x80", 3);
    CHECK_INT(mr_vader(l, mr_strn(text, n), &a, &v, &e), 0);
    CHECK_INT(mr_vader(l, MR_LIT(""), &a, &v, &e), 0);
    CHECK_NEAR(v.compound, 0, 0);
    mr_free(text);
    mr_arena_release(&a);
    mr_lexicon_free(l);
}

MR_TEST(damaged_lexicons_are_refused) {
    static const char *const bad[] = {
        "valence\tgood\n",       "valence\tgood\tx\n", "valence\tgood\t1\t2\n",
        "valence\t\t1\n",        "mood\tgood\t1\n",    "valence\tgood\t1e9\n",
        "emoji\t\xe2\x9d\xa4\n", "negation\n",         "\n",
        "valence\tgood\tnan\n"};
    struct mr_lexicon *l;
    struct mr_err e = {0};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        CHECK_INT(mr_lexicon_new(mr_str(bad[i]), &l, &e), MR_EINVAL);
        CHECK(strstr(e.msg, "line 1"));
    }
    CHECK_INT(mr_lexicon_new(MR_LIT(""), &l, &e), 0);
    CHECK(!mr_lexicon_find(l, MR_LEX_VALENCE, MR_LIT("good")));
    mr_lexicon_free(l);
}

static int score(const char *path) {
    struct mr_lexicon *l = load("/", path + 1);
    struct mr_arena a;
    struct mr_str text;
    mr_arena_init(&a, (size_t)16 << 20);
    while (mr_next_text(&text)) {
        struct mr_vader v;
        if (mr_vader(l, text, &a, &v, NULL))
            return 1;
        printf("%.9f %.9f %.9f %.9f\n", v.compound, v.positive, v.neutral, v.negative);
        mr_arena_reset(&a);
        mr_free((void *)text.p);
    }
    mr_arena_release(&a);
    mr_lexicon_free(l);
    return 0;
}

#define main test_main
int test_main(int argc, char **argv);
MR_TEST_MAIN(CASE(golden_texts), CASE(a_mebibyte_of_words_is_bounded),
             CASE(damaged_lexicons_are_refused))
#undef main

int main(int argc, char **argv) {
    if (argc == 3 && !strcmp(argv[1], "score") && argv[2][0] == '/')
        return score(argv[2]);
    return test_main(argc, argv);
}
