/* The classifier on real photos: the standard classes and their ids. */
#include "engine/onnx/onnx.h"
#include "vision_test.h"

static struct mr_classifier *open_classifier(void) {
    struct mr_classifier *c = NULL;
    struct mr_err e = {0};
    if (mr_classifier_open(vision_model("efficientnet-lite0"), &c, &e)) {
        fprintf(stderr, "%s\n", e.msg);
        exit(2);
    }
    return c;
}

MR_TEST(photos_get_their_classes) {
    static const struct {
        const char *photo, *name;
        int id;
        double least;
    } want[] = {{"china.jpg", "palace", 698, 0.3},
                {"flower.jpg", "daisy", 985, 0.2},
                {"chelsea.png", "tiger_cat", 282, 0.25},
                {"coffee.png", "espresso", 967, 0.8},
                {"motorcycle_left.png", "moped", 665, 0.4}};
    struct mr_classifier *c = open_classifier();
    CHECK(mr_classifier_memory(c) > 0);
    for (size_t k = 0; k < sizeof want / sizeof *want; k++) {
        struct mr_image im = vision_decode(want[k].photo);
        struct mr_arena a;
        struct mr_err e = {0};
        struct mr_class *cls = NULL;
        const float *feature = NULL;
        size_t n = 0;
        mr_arena_init(&a, 1 << 20);
        CHECK_INT(mr_classify(c, &im, 5, &a, &cls, &n, &feature, &e), 0);
        CHECK_INT(n, 5);
        if (n == 5) {
            if (!mr_str_is(cls[0].name, want[k].name) || cls[0].confidence < want[k].least)
                fprintf(stderr, "%s: %.*s %.3f\n", want[k].photo, (int)cls[0].name.n, cls[0].name.p,
                        cls[0].confidence);
            CHECK(mr_str_is(cls[0].name, want[k].name));
            CHECK_INT(cls[0].class_id, want[k].id);
            CHECK(cls[0].confidence >= want[k].least);
            CHECK(cls[0].confidence >= cls[1].confidence);
            CHECK(feature != NULL);
        }
        mr_arena_release(&a);
        mr_image_release(&im);
    }
    mr_classifier_free(c);
}

MR_TEST(as_many_as_asked_for) {
    struct mr_classifier *c = open_classifier();
    struct mr_image im = vision_decode("china.jpg");
    static const struct {
        unsigned asked, given;
    } want[] = {{0, 0}, {1, 1}, {1000, 1000}, {10000, 1000}};
    for (size_t k = 0; k < 4; k++) {
        struct mr_arena a;
        struct mr_class *cls = NULL;
        size_t n = 7;
        mr_arena_init(&a, 1 << 20);
        CHECK_INT(mr_classify(c, &im, want[k].asked, &a, &cls, &n, NULL, NULL), 0);
        CHECK_INT(n, want[k].given);
        double sum = 0;
        for (size_t i = 0; i < n; i++)
            sum += cls[i].confidence;
        if (n == 1000)
            CHECK_NEAR(sum, 1.0, 1e-4);
        mr_arena_release(&a);
    }
    mr_image_release(&im);
    mr_classifier_free(c);
}

MR_TEST(what_is_missing_is_named) {
    struct mr_classifier *c = NULL;
    struct mr_err e = {0};
    CHECK_INT(mr_classifier_open("/nonexistent/model", &c, &e), MR_ENOTFOUND);
    CHECK(strstr(e.msg, "labels.txt") != NULL);
}

#define main test_main
int test_main(int argc, char **argv);
MR_TEST_MAIN(CASE(photos_get_their_classes), CASE(as_many_as_asked_for),
             CASE(what_is_missing_is_named))
#undef main

int main(int argc, char **argv) {
    if (argc > 1 && !strcmp(argv[1], "__image-worker"))
        return mr_image_worker_main();
    if (argc > 1 && !strcmp(argv[1], "__onnx-worker"))
        return mr_onnx_worker_main();
    return test_main(argc, argv);
}
