/* The detector on real photos: what is there, where, and nothing where nothing is. */
#include "engine/onnx/onnx.h"
#include "vision_test.h"

static struct mr_detector *open_detector(void) {
    struct mr_detector *d = NULL;
    struct mr_err e = {0};
    if (mr_detector_open(vision_model("ssd-mobilenet-v2-coco"), &d, &e)) {
        fprintf(stderr, "%s\n", e.msg);
        exit(2);
    }
    return d;
}

MR_TEST(photos_show_their_objects) {
    static const struct {
        const char *photo, *name; /* NULL: nothing */
        int id;
        double least;
        struct mr_box about; /* fractions of the photo */
    } want[] = {{"chelsea.png", "cat", 17, 0.85, {0.02, 0.0, 0.95, 1.0}},
                {"coffee.png", "cup", 47, 0.9, {0.29, 0.03, 0.69, 0.61}},
                {"motorcycle_left.png", "motorcycle", 4, 0.95, {0.13, 0.13, 0.92, 0.89}},
                {"astronaut.png", "person", 1, 0.7, {0.02, 0.02, 0.73, 1.0}},
                {"china.jpg", NULL, 0, 0, {0, 0, 0, 0}}};
    struct mr_detector *d = open_detector();
    CHECK(mr_detector_memory(d) > 0);
    for (size_t k = 0; k < sizeof want / sizeof *want; k++) {
        struct mr_image im = vision_decode(want[k].photo);
        struct mr_arena a;
        struct mr_err e = {0};
        struct mr_object *o = NULL;
        size_t n = 0;
        mr_arena_init(&a, 1 << 20);
        CHECK_INT(mr_detector_run(d, &im, NULL, &a, &o, &n, &e), 0);
        for (size_t i = 0; i < n && getenv("SHOW"); i++)
            printf("%s %.*s %d %.3f [%.2f %.2f %.2f %.2f]\n", want[k].photo, (int)o[i].name.n,
                   o[i].name.p, o[i].class_id, o[i].confidence, o[i].box.x0 / im.width,
                   o[i].box.y0 / im.height, o[i].box.x1 / im.width, o[i].box.y1 / im.height);
        if (!want[k].name) {
            CHECK_INT(n, 0);
        } else if (n) {
            CHECK(mr_str_is(o[0].name, want[k].name));
            CHECK_INT(o[0].class_id, want[k].id);
            CHECK(o[0].confidence >= want[k].least);
            CHECK_NEAR(o[0].box.x0 / im.width, want[k].about.x0, 0.1);
            CHECK_NEAR(o[0].box.y0 / im.height, want[k].about.y0, 0.1);
            CHECK_NEAR(o[0].box.x1 / im.width, want[k].about.x1, 0.1);
            CHECK_NEAR(o[0].box.y1 / im.height, want[k].about.y1, 0.1);
            CHECK(o[0].box.x1 <= im.width && o[0].box.y1 <= im.height);
        } else {
            fprintf(stderr, "%s: nothing found\n", want[k].photo);
            CHECK(n > 0);
        }
        mr_arena_release(&a);
        mr_image_release(&im);
    }
    mr_detector_free(d);
}

#define main test_main
int test_main(int argc, char **argv);
MR_TEST_MAIN(CASE(photos_show_their_objects))
#undef main

int main(int argc, char **argv) {
    if (argc > 1 && !strcmp(argv[1], "__image-worker"))
        return mr_image_worker_main();
    if (argc > 1 && !strcmp(argv[1], "__onnx-worker"))
        return mr_onnx_worker_main();
    return test_main(argc, argv);
}
