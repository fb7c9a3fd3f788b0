/* Sentences, words and keywords: rules on texts of ours; no model is needed. */
#include "base/alloc.h"
#include "base/clock.h"
#include "engine/nlp/nlp.h"
#include "engine/nlp/stopwords.h"
#include "engine/nlp/words.h"
#include "mr_test.h"

static struct mr_arena arena;

/* The sentences of a text, "|" between. */
static const char *cut(const char *text) {
    static char out[4096];
    struct mr_span *s;
    size_t n, at = 0;
    if (mr_sentences(mr_str(text), &arena, &s, &n, NULL))
        return NULL;
    out[0] = 0;
    for (size_t i = 0; i < n; i++)
        at += (size_t)snprintf(out + at, sizeof out - at, "%s%.*s", i ? "|" : "",
                               (int)(s[i].end - s[i].start), text + s[i].start);
    return out;
}

MR_TEST(sentence_borders) {
    static const char *const same[] = {
        "One. | Two! | Three?",
        "Dr. Weiss met Mrs. Ito at 3.30 p.m. in St. Gallen. | They spoke.",
        "It costs 3.14 euros, e.g. in No. 5. | Really?! | Yes...",
        "\"Stop!\" he said. | She stopped.",
        "J. R. Brook wrote it. | I did not, and neither did I. | Good.",
        "He works at Foo Inc. | The firm is old.",
        "Foo Inc. makes screws.",
        "Wait... what? | No.",
        "1. Open the lid. | 2. Close it.",
        "12. Open the lid. | 113. Close it.",
        "An end.\n\n | small letters begin a paragraph.",
        "Er kam z.B. am Montag. | Dann ging er.",
        "(It rained.) | We left.",
        "今日は晴れです。 | 明日は雨です。",
        "これは何？ | 本です！",
        "यह घर है। | वह पेड़ है।",
        "A title\n\n | A paragraph without an end",
        "See www.example.org/a.b?c=d for more. | Bye.",
        "U.S. exports grew. | That is good.",
        "Version 2.0.1 is out. | Try it!",
    };
    for (size_t i = 0; i < sizeof same / sizeof *same; i++) {
        char plain[400], want[400];
        size_t p = 0, w = 0;
        for (const char *c = same[i]; *c; c++) {
            if (!strncmp(c, " | ", 3)) {
                plain[p++] = ' ';
                while (w && (want[w - 1] == '\n' || want[w - 1] == ' '))
                    w--;
                want[w++] = '|';
                c += 2;
                continue;
            }
            plain[p++] = want[w++] = *c;
        }
        plain[p] = want[w] = 0;
        CHECK_STR(cut(plain), want);
    }
    CHECK_STR(cut(""), "");
    CHECK_STR(cut(" \n\n \t"), "");
    CHECK_STR(cut("今日は。明日は。"), "今日は。|明日は。");
}

MR_TEST(word_counts) {
    static const struct {
        const char *text;
        uint32_t n;
    } c[] = {{"", 0},
             {"  \n", 0},
             {"one", 1},
             {"one two  three.", 3},
             {"don't well-known U.S.A. 3.14", 4},
             {"this \xe2\x80\x94 that", 2},
             {"this\xe2\x80\x94that", 2},
             {"- ... !", 0},
             {"\xe4\xbb\x8a\xe5\xa4\xa9\xe5\xa4\xa9\xe6\xb0\x94", 4},  /* Chinese */
             {"\xed\x95\x9c\xea\xb5\xad \xec\x82\xac\xeb\x9e\x8c", 2}, /* Korean */
             {"GPT \xe6\x98\xaf model", 3}};
    for (size_t i = 0; i < sizeof c / sizeof *c; i++)
        CHECK_INT(mr_word_count(mr_str(c[i].text)), c[i].n);
    struct mr_str s = mr_first_words(MR_LIT("one two, three four"), 3);
    CHECK_INT(s.n, strlen("one two, three"));
    CHECK_INT(mr_first_words(MR_LIT("one two"), 5).n, 7);
    CHECK_INT(mr_first_words(MR_LIT("one two"), 0).n, 0);
}

static const char ARTICLE[] =
    "Solar panels turn sunlight into electricity. The price of solar panels has fallen for years, "
    "and "
    "many towns now build solar farms outside their borders. A solar farm needs land, and farmers "
    "near Lake Varen argue that good soil should grow food. The town council of Varen wants solar "
    "farms only on poor soil. Engineers answer that solar panels may stand high above the crops, "
    "so "
    "that farmers keep their fields. Such double use is called agrivoltaics. In agrivoltaics, "
    "crops "
    "grow in the shade of the panels. First trials near Lake Varen show that agrivoltaics saves "
    "water.";

MR_TEST(keywords_of_an_article) {
    struct mr_keyword *k;
    size_t n;
    CHECK_INT(mr_keywords(mr_str(ARTICLE), "en", 15, &arena, &k, &n, NULL), 0);
    CHECK_INT(n, 15);
    bool panels = false, farms = false, agri = false;
    for (size_t i = 0; i < n; i++) {
        CHECK(k[i].relevance > 0 && k[i].relevance <= 1);
        CHECK(!i || k[i].relevance <= k[i - 1].relevance);
        CHECK(k[i].count >= 1);
        panels |= mr_str_ieq(k[i].text, MR_LIT("solar panels"));
        farms |= mr_str_ieq(k[i].text, MR_LIT("solar farms")) ||
                 mr_str_ieq(k[i].text, MR_LIT("solar farm"));
        agri |= mr_str_ieq(k[i].text, MR_LIT("agrivoltaics"));
        CHECK(!mr_str_ieq(k[i].text, MR_LIT("the")));
    }
    CHECK(panels && farms && agri);
    CHECK_INT(mr_keywords(mr_str(ARTICLE), "en", 0, &arena, &k, &n, NULL), 0);
    CHECK_INT(n, 0);
}

MR_TEST(keywords_of_other_scripts_and_odd_texts) {
    struct mr_keyword *k;
    size_t n;
    CHECK_INT(mr_keywords(MR_LIT("機械学習は人工知能の一分野です。機械学習のモデルを作ります。"),
                          "ja", 5, &arena, &k, &n, NULL),
              0);
    CHECK(n > 0);
    for (size_t i = 0; i < n; i++)
        CHECK(!mr_str_is(k[i].text, "です") && !mr_str_is(k[i].text, "の"));
    static const char *const odd[] = {"",    " ", "12 13 14",    "the of and",
                                      "!!!", "a", "\xff\xfe\x80"};
    for (size_t i = 0; i < sizeof odd / sizeof *odd; i++) {
        CHECK_INT(mr_keywords(mr_str(odd[i]), "en", 5, &arena, &k, &n, NULL), 0);
        CHECK_INT(n, 0);
    }
    CHECK_INT(mr_keywords(MR_LIT("zebra"), "xx", 5, &arena, &k, &n, NULL), 0);
    CHECK_INT(n, 1);
    CHECK_INT(mr_keywords(MR_LIT("zebra"), NULL, 5, &arena, &k, &n, NULL), 0);
    CHECK_INT(n, 1);
}

MR_TEST(stop_words) {
    CHECK(mr_stopword(mr_stopwords("en"), MR_LIT("the")));
    CHECK(mr_stopword(mr_stopwords("en"), MR_LIT("don\xe2\x80\x99t")));
    CHECK(!mr_stopword(mr_stopwords("en"), MR_LIT("th")));
    CHECK(!mr_stopword(mr_stopwords("en"), MR_LIT("a about")));
    CHECK(mr_stopword(mr_stopwords("de"), MR_LIT("über")));
    CHECK(!mr_stopwords("tlh") && !mr_stopword(NULL, MR_LIT("the")));
}

/* A mebibyte of each of several kinds of trouble. */
MR_TEST(large_texts_are_bounded) {
    static const char *const piece[] = {"a ",       ".",     "word. ",   "Ab",
                                        "x\n\n",    "ab12 ", "! \"",     "\xe6\xbc\xa2",
                                        "\xcc\x81", "\xff",  "The End. "};
    size_t n = 1 << 20;
    char *text = mr_malloc(n);
    for (size_t i = 0; i < sizeof piece / sizeof *piece; i++) {
        struct mr_arena a;
        struct mr_keyword *k;
        struct mr_span *s;
        size_t len = strlen(piece[i]), at = 0, found;
        mr_arena_init(&a, (size_t)32 << 20);
        for (; at + len <= n; at += len)
            memcpy(text + at, piece[i], len);
        CHECK_INT(mr_keywords(mr_strn(text, at), "en", 50, &a, &k, &found, NULL), 0);
        CHECK_INT(mr_sentences(mr_strn(text, at), &a, &s, &found, NULL), 0);
        mr_word_count(mr_strn(text, at));
        mr_arena_release(&a);
    }
    /* Different words, so that every phrase is new. */
    for (size_t i = 0; i + 8 <= n; i += 8)
        memcpy(text + i,
               (char[]){(char)('a' + i / 8 % 26), (char)('a' + i / 208 % 26),
                        (char)('a' + i / 5408 % 26), 'q', 'x', 'e', 'r', ' '},
               8);
    struct mr_arena a;
    struct mr_keyword *k;
    size_t found;
    mr_arena_init(&a, (size_t)32 << 20);
    CHECK_INT(mr_keywords(mr_strn(text, n), "en", 50, &a, &k, &found, NULL), 0);
    CHECK(found > 10);
    mr_arena_release(&a);
    mr_free(text);
}

#define main test_main
int test_main(int argc, char **argv);
MR_TEST_MAIN(CASE(sentence_borders), CASE(word_counts), CASE(keywords_of_an_article),
             CASE(keywords_of_other_scripts_and_odd_texts), CASE(stop_words),
             CASE(large_texts_are_bounded))
#undef main

int main(int argc, char **argv) {
    mr_arena_init(&arena, (size_t)64 << 20);
    int rc = test_main(argc, argv);
    mr_arena_release(&arena);
    return rc;
}
