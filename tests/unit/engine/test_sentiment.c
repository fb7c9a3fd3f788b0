/* Sentiment and summaries on the installed models. tools/models/sentiment.py --evaluate runs this
 * program with "classify". */
#include "base/alloc.h"
#include "engine/nlp/net.h"
#include "engine/nlp/nlp.h"
#include "engine/onnx/onnx.h"
#include "mr_test.h"
#include "nlp_models.h"
#include "nlp_texts.h"

static struct mr_embedder *embedder;
static struct mr_sentiment *model;
static struct mr_arena arena;

static struct mr_sentiment_result rate(const char *text) {
    struct mr_sentiment_result r = {0};
    struct mr_err e = {0};
    mr_arena_reset(&arena);
    if (mr_sentiment_read(model, embedder, mr_str(text), &arena, &r, &e))
        fprintf(stderr, "%s\n", e.msg);
    CHECK(r.label);
    CHECK(r.confidence > 1.0 / 3 - 1e-9 && r.confidence <= 1);
    CHECK(fabs(r.polarity) <= 1 && r.subjectivity >= 0 && r.subjectivity <= 1);
    return r;
}

MR_TEST(clear_cases) {
    static const struct {
        const char *text, *label;
    } c[] = {
        {"I love this camera, the pictures are wonderful.", "positive"},
        {"What a great evening! The food was delicious and everybody was kind.", "positive"},
        {"This is the best phone I have ever owned.", "positive"},
        {"Terrible service, the waiter was rude and the soup was cold.", "negative"},
        {"The battery died after two days, a complete waste of money.", "negative"},
        {"I hate this boring, stupid film.", "negative"},
        {"The plot was not good at all.", "negative"},
        {"The committee meets in room 12 on Tuesday.", "neutral"},
    };
    for (size_t i = 0; i < sizeof c / sizeof *c; i++) {
        struct mr_sentiment_result r = rate(c[i].text);
        CHECK_STR(r.label, c[i].label);
        if (strcmp(c[i].label, "neutral"))
            CHECK(r.polarity * (*c[i].label == 'p' ? 1 : -1) > 0.3);
        else
            CHECK(fabs(r.polarity) < 0.5);
    }
    CHECK(rate("It was absolutely wonderful.").subjectivity > 0.5);
    CHECK(rate("Water boils at 100 degrees.").subjectivity < 0.3);
    CHECK_STR(rate("").label, "neutral");
    CHECK_STR(rate(" \n ").label, "neutral");
}

MR_TEST(long_texts_are_weighed) {
    char *text = mr_calloc(1, 1 << 20);
    size_t n = 0;
    while (n < (1 << 20) - 200)
        n += (size_t)snprintf(text + n, 200, "%s",
                              n / 100 % 5 ? "I love this wonderful place and its kind people. "
                                          : "The room was dirty and awful. ");
    struct mr_sentiment_result r = rate(text);
    CHECK_STR(r.label, "positive");
    memset(text, 'a', (1 << 20) - 1);
    rate(text);
    for (size_t i = 0; i + 2 < 1 << 20; i += 2)
        memcpy(text + i, "\xcc\x81", 2);
    rate(text);
    mr_free(text);
}

MR_TEST(words_by_the_lexicon) {
    CHECK(mr_sentiment_word(model, MR_LIT("Wonderful")) > 0.5);
    CHECK(mr_sentiment_word(model, MR_LIT("terrible")) < -0.3);
    CHECK(mr_sentiment_word(model, MR_LIT("great battery")) > 0.3);
    CHECK_NEAR(mr_sentiment_word(model, MR_LIT("battery")), 0, 0);
    CHECK_NEAR(mr_sentiment_word(model, MR_LIT("")), 0, 0);
}

MR_TEST(damaged_classifiers_are_refused) {
    uint32_t head[] = {0x4353524d, 1, 2, 1, 2}; /* "MRSC" */
    float w[2 + 1 + 2 + 2] = {1, 1, 0, 1, -1, 0, 0};
    char file[sizeof head + sizeof w];
    struct mr_net *c = NULL;
    memcpy(file, head, sizeof head);
    memcpy(file + sizeof head, w, sizeof w);
    CHECK_INT(mr_net_new(mr_strn(file, sizeof file), &c, NULL), 0);
    double p[2];
    mr_net_run(c, (float[]){1, 0.5f}, p);
    CHECK_NEAR(p[0], 1 / (1 + exp(-3)), 1e-6);
    CHECK_NEAR(p[0] + p[1], 1, 1e-12);
    mr_net_free(c);
    for (size_t n = 0; n < sizeof file; n++)
        CHECK_INT(mr_net_new(mr_strn(file, n), &c, NULL), MR_EREFUSED);
    for (size_t at = 0; at < sizeof head; at++) {
        file[at] ^= 0x55;
        CHECK_INT(mr_net_new(mr_strn(file, sizeof file), &c, NULL), MR_EREFUSED);
        file[at] ^= 0x55;
    }
    memset(file + sizeof head, 0xff, 4); /* not a number */
    CHECK_INT(mr_net_new(mr_strn(file, sizeof file), &c, NULL), MR_EREFUSED);
}

static const char ARTICLE[] =
    "The town of Varen opened its new library on Monday. More than two thousand people came to the "
    "opening, and the queue reached the market square. The library has ninety thousand books and a "
    "reading room for children. The old library had closed after a flood four years ago. The mayor "
    "thanked the volunteers who had dried and saved half of the books. Near the entrance there is "
    "a "
    "small shop that sells coffee. The building cost eleven million and was paid for by the town "
    "and "
    "by a foundation. A second stage with a concert hall is planned, but the council has not yet "
    "voted on it. Critics say that the money is needed for the schools. The library is open every "
    "day "
    "from nine to eight.";

static struct mr_summary sum_up(const char *text, uint32_t min, uint32_t max) {
    struct mr_summary s = {0};
    struct mr_err e = {0};
    CHECK_INT(mr_summarize(embedder, mr_str(text), min, max, &arena, &s, &e), 0);
    CHECK_STR(e.msg, "");
    return s;
}

MR_TEST(summaries_keep_their_limits) {
    static const uint32_t limit[][2] = {{10, 30}, {30, 60},   {40, 45},
                                        {0, 20},  {100, 130}, {1, 400}};
    for (size_t i = 0; i < sizeof limit / sizeof *limit; i++) {
        mr_arena_reset(&arena);
        struct mr_summary s = sum_up(ARTICLE, limit[i][0], limit[i][1]);
        CHECK(s.words <= limit[i][1]);
        CHECK(s.words >= limit[i][0] || s.words + 20 > limit[i][1]);
        CHECK_INT(s.words, mr_word_count(s.text));
        CHECK_INT(s.original_words, mr_word_count(mr_str(ARTICLE)));
        CHECK(s.text.n && s.text.p[s.text.n - 1] == '.');
    }
    struct mr_summary s = sum_up(ARTICLE, 0, 3); /* no sentence is that short */
    CHECK_INT(s.words, 3);
    s = sum_up("One short sentence.", 50, 100);
    CHECK_INT(s.words, 3);
    s = sum_up("", 0, 100);
    CHECK_INT(s.words, 0);
    struct mr_summary none;
    CHECK_INT(mr_summarize(embedder, MR_LIT("a"), 5, 4, &arena, &none, NULL), MR_EINVAL);
}

MR_TEST(summaries_find_what_matters) {
    mr_arena_reset(&arena);
    struct mr_summary s = sum_up(ARTICLE, 10, 40);
    char *text = mr_arena_str(&arena, s.text);
    CHECK(strstr(text, "library"));
    CHECK(!strstr(text, "coffee"));
    s = sum_up(
        "The river rose. The river rose. The river rose. The bridge was closed by the police.", 5,
        14);
    text = mr_arena_str(&arena, s.text);
    char *first = strstr(text, "The river rose.");
    CHECK(!first || !strstr(first + 1, "The river rose."));
}

static int classify(void) {
    struct mr_str text;
    while (mr_next_text(&text)) {
        struct mr_sentiment_result r;
        struct mr_err e = {0};
        if (mr_sentiment_read(model, embedder, text, &arena, &r, &e)) {
            fprintf(stderr, "%s\n", e.msg);
            return 1;
        }
        printf("%s %.6f %.6f %.6f\n", r.label, r.confidence, r.polarity, r.subjectivity);
        mr_arena_reset(&arena);
        mr_free((void *)text.p);
    }
    return 0;
}

#define main test_main
int test_main(int argc, char **argv);
MR_TEST_MAIN(CASE(clear_cases), CASE(long_texts_are_weighed), CASE(words_by_the_lexicon),
             CASE(damaged_classifiers_are_refused), CASE(summaries_keep_their_limits),
             CASE(summaries_find_what_matters))
#undef main

int main(int argc, char **argv) {
    if (argc > 1 && !strcmp(argv[1], "__onnx-worker"))
        return mr_onnx_worker_main();
    char dir[4096];
    struct mr_err e = {0};
    if (mr_model_missing("all-minilm-l6-v2") || mr_model_missing("vader-minilm-sentiment"))
        return 0;
    mr_arena_init(&arena, (size_t)64 << 20);
    if (mr_embedder_open(mr_models_dir("all-minilm-l6-v2", dir), &embedder, &e) ||
        mr_sentiment_open(mr_models_dir("vader-minilm-sentiment", dir), &model, &e)) {
        fprintf(stderr, "%s\n", e.msg);
        return 1;
    }
    int rc = argc == 2 && !strcmp(argv[1], "classify") ? classify() : test_main(argc, argv);
    mr_sentiment_free(model);
    mr_embedder_free(embedder);
    mr_arena_release(&arena);
    return rc;
}
