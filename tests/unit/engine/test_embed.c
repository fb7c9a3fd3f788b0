/* Sentence embeddings on the installed all-minilm-l6-v2. */
#include "base/alloc.h"
#include "base/clock.h"
#include "engine/nlp/nlp.h"
#include "engine/onnx/onnx.h"
#include "mr_test.h"
#include "nlp_models.h"

#include <pthread.h>

static struct mr_embedder *model;

static double cosine(const float *a, const float *b) {
    double sum = 0;
    for (unsigned d = 0; d < mr_embedder_dim(model); d++)
        sum += (double)a[d] * b[d];
    return sum;
}

MR_TEST(near_meanings_are_near) {
    const struct mr_str text[] = {
        MR_LIT("The cat sits on the sofa."),
        MR_LIT("A kitten rests on the couch."),
        MR_LIT("Shares fell sharply on Monday."),
        MR_LIT("The stock market dropped at the start "
               "of the week."),
        MR_LIT("How do I bake a loaf of rye bread?"),
    };
    struct mr_arena a;
    mr_arena_init(&a, 1 << 20);
    float *v;
    uint32_t tokens;
    struct mr_err e = {0};
    CHECK_INT(mr_embed(model, text, 5, &a, &v, &tokens, &e), 0);
    CHECK_STR(e.msg, "");
    unsigned d = mr_embedder_dim(model);
    CHECK_INT(d, 384);
    CHECK(tokens > 40 && tokens < 70);
    for (int i = 0; i < 5; i++)
        CHECK_NEAR(cosine(v + i * d, v + i * d), 1, 1e-5);
    CHECK(cosine(v, v + d) > 0.5);
    CHECK(cosine(v + 2 * d, v + 3 * d) > 0.5);
    CHECK(cosine(v, v + 2 * d) < 0.2);
    CHECK(cosine(v + d, v + 3 * d) < 0.2);
    CHECK(cosine(v, v + 4 * d) < 0.2);
    mr_arena_release(&a);
}

/* A text's vector is the same whatever it is sent with. */
MR_TEST(neighbours_change_nothing) {
    struct mr_str text[40];
    char buf[40][200];
    struct mr_arena a;
    mr_arena_init(&a, 1 << 20);
    float *all, *one;
    for (int i = 0; i < 40; i++) {
        size_t n = 0;
        for (int k = 0; k <= i; k++)
            n += (size_t)snprintf(buf[i] + n, sizeof buf[i] - n, "w%d ", k);
        text[i] = mr_str(buf[i]);
    }
    text[7] = MR_LIT("");
    CHECK_INT(mr_embed(model, text, 40, &a, &all, NULL, NULL), 0);
    for (int i = 0; i < 40; i++) {
        CHECK_INT(mr_embed(model, &text[i], 1, &a, &one, NULL, NULL), 0);
        for (int d = 0; d < 384; d++)
            CHECK_NEAR(one[d], all[i * 384 + d], 2e-5);
    }
    mr_arena_release(&a);
}

MR_TEST(long_texts_are_cut) {
    size_t n = 1 << 20;
    char *big = mr_malloc(n);
    for (size_t i = 0; i < n; i++)
        big[i] = i % 5 == 4 ? ' ' : (char)('a' + i % 5);
    struct mr_str text[] = {mr_strn(big, n), mr_strn(big, n / 2)};
    struct mr_arena a;
    mr_arena_init(&a, 1 << 20);
    float *v;
    uint32_t tokens;
    CHECK_INT(mr_embed(model, text, 2, &a, &v, &tokens, NULL), 0);
    CHECK_INT(tokens, 512);
    CHECK(!memcmp(v, v + 384, 384 * sizeof *v));
    mr_arena_release(&a);
    mr_free(big);
}

MR_TEST(no_texts) {
    struct mr_arena a;
    mr_arena_init(&a, 1 << 20);
    float *v = NULL;
    uint32_t tokens = 7;
    CHECK_INT(mr_embed(model, NULL, 0, &a, &v, &tokens, NULL), 0);
    CHECK_INT(tokens, 0);
    mr_arena_release(&a);
}

static void *embed_some(void *arg) {
    struct mr_arena a;
    mr_arena_init(&a, 1 << 20);
    float *v;
    struct mr_err e = {0};
    const struct mr_str text[] = {MR_LIT("one"), MR_LIT("two words"), MR_LIT("and three words"),
                                  MR_LIT("four"), MR_LIT("five of them")};
    for (int i = 0; i < 5 && !*(int *)arg; i++) {
        *(int *)arg = mr_embed(model, text, 5, &a, &v, NULL, &e);
        if (fabs(cosine(v, v) - 1) > 1e-5)
            *(int *)arg = 1;
        mr_arena_reset(&a);
    }
    mr_arena_release(&a);
    return NULL;
}

MR_TEST(threads_share_it) {
    pthread_t t[6];
    int rc[6] = {0};
    for (int i = 0; i < 6; i++)
        CHECK_INT(pthread_create(&t[i], NULL, embed_some, &rc[i]), 0);
    for (int i = 0; i < 6; i++) {
        pthread_join(t[i], NULL);
        CHECK_INT(rc[i], 0);
    }
    CHECK(mr_embedder_memory(model) > 20000000);
}

MR_TEST(a_folder_without_the_model_says_which_file) {
    struct mr_embedder *m = NULL;
    struct mr_err e = {0};
    CHECK_INT(mr_embedder_open("/nonexistent", &m, &e), MR_ENOTLOADED);
    CHECK(strstr(e.msg, "vocab.txt"));
}

#define main test_main
int test_main(int argc, char **argv);
MR_TEST_MAIN(CASE(near_meanings_are_near), CASE(neighbours_change_nothing),
             CASE(long_texts_are_cut), CASE(no_texts), CASE(threads_share_it),
             CASE(a_folder_without_the_model_says_which_file))
#undef main

int main(int argc, char **argv) {
    if (argc > 1 && !strcmp(argv[1], "__onnx-worker"))
        return mr_onnx_worker_main();
    char dir[4096];
    struct mr_err e = {0};
    if (mr_model_missing("all-minilm-l6-v2"))
        return 0;
    if (mr_embedder_open(mr_models_dir("all-minilm-l6-v2", dir), &model, &e)) {
        fprintf(stderr, "%s\n", e.msg);
        return 1;
    }
    int rc = test_main(argc, argv);
    mr_embedder_free(model);
    return rc;
}
