/* Scenes: what the tables say, and what photos give. */
#include "engine/onnx/onnx.h"
#include "engine/vision/coco_labels.h"
#include "engine/vision/scene_groups.h"
#include "vision_test.h"

MR_TEST(tables_are_sorted_and_in_range) {
    for (size_t k = 0; k < mr_setting_n_class; k++) {
        const struct mr_setting_sign *s = &mr_setting_class[k];
        CHECK(s->id >= 0 && s->id < 1000 && (!k || s->id > s[-1].id));
        CHECK(s->setting > 0 && s->setting < MR_SETTINGS && s->percent <= 100);
    }
    for (size_t k = 0; k < mr_setting_n_object; k++) {
        const struct mr_setting_sign *s = &mr_setting_object[k];
        CHECK(s->id > 0 && s->id < MR_COCO_IDS && mr_coco_label[s->id]);
        CHECK((!k || s->id > s[-1].id) && s->setting < MR_SETTINGS);
    }
    for (int k = 0; k < MR_SETTINGS; k++)
        CHECK(mr_setting_name[k] && *mr_setting_name[k]);
}

/* A picture whose upper half is one colour with a little grain, the lower another. */
static struct mr_image picture(const uint8_t top[3], const uint8_t low[3]) {
    struct mr_image im = {.width = 200, .height = 150};
    im.rgb = malloc(200 * 150 * 3);
    for (size_t k = 0; im.rgb && k < 200 * 150; k++)
        for (size_t c = 0; c < 3; c++)
            im.rgb[3 * k + c] = (uint8_t)((k < 200 * 75 ? top : low)[c] + (k * 7 + k / 200) % 4);
    return im;
}

static struct mr_scene derive(const struct mr_image *im, int id, double confidence,
                              struct mr_arena *a) {
    struct mr_class c = {MR_LIT("some"), id, confidence};
    struct mr_scene s = {0};
    CHECK_INT(mr_scene_derive(im, &c, 1, NULL, 0, a, &s, NULL), 0);
    return s;
}

MR_TEST(the_sky_is_only_read_outdoors) {
    static const uint8_t blue[] = {90, 140, 210}, grey[] = {170, 172, 175}, green[] = {90, 120, 60},
                         black[] = {6, 6, 12}, white[] = {240, 240, 240};
    static const struct {
        const uint8_t *top, *low;
        int id;
        double confidence;
        const char *setting, *time, *weather;
    } want[] = {{blue, green, 698, 0.9, "historic_architecture", "daytime", "clear"},
                {grey, green, 698, 0.9, "historic_architecture", "daytime", "overcast"},
                {white, green, 698, 0.9, "historic_architecture", "daytime", "unknown"},
                {black, black, 698, 0.9, "historic_architecture", "night", "unknown"},
                {green, green, 698, 0.9, "historic_architecture", "unknown", "unknown"},
                {blue, green, 762, 0.9, "indoor_dining", "unknown", "unknown"},
                {black, black, 762, 0.9, "indoor_dining", "unknown", "unknown"},
                {blue, green, 698, 0.2, "unknown", "unknown", "unknown"},
                {blue, green, 281, 0.9, "unknown", "unknown", "unknown"}};
    for (size_t k = 0; k < sizeof want / sizeof *want; k++) {
        struct mr_arena a;
        mr_arena_init(&a, 1 << 16);
        struct mr_image im = picture(want[k].top, want[k].low);
        struct mr_scene s = derive(&im, want[k].id, want[k].confidence, &a);
        CHECK_STR(s.setting, want[k].setting);
        CHECK_STR(s.time_of_day, want[k].time);
        CHECK_STR(s.weather, want[k].weather);
        bool known = strcmp(s.setting, "unknown") != 0;
        CHECK_INT(s.n_evidence, known);
        CHECK(known ? s.confidence > 0.3 : s.confidence == 0);
        free(im.rgb);
        mr_arena_release(&a);
    }
}

MR_TEST(objects_count_once_a_kind) {
    struct mr_object cup[10];
    struct mr_image im = {0};
    struct mr_scene s;
    struct mr_arena a;
    mr_arena_init(&a, 1 << 16);
    for (size_t k = 0; k < 10; k++)
        cup[k] = (struct mr_object){.name = MR_LIT("cup"), .class_id = 47, .confidence = 0.9};
    CHECK_INT(mr_scene_derive(&im, NULL, 0, cup, 10, &a, &s, NULL), 0);
    CHECK_STR(s.setting, "indoor_dining");
    CHECK_NEAR(s.confidence, 0.405, 1e-9);
    mr_arena_release(&a);
}

MR_TEST(photos_get_scenes) {
    static const struct {
        const char *photo, *setting;
    } want[] = {{"china.jpg", "historic_architecture"},
                {"coffee.png", "indoor_dining"},
                {"chelsea.png", "unknown"},
                {"motorcycle_left.png", "unknown"}, /* it stands in a room */
                {"astronaut.png", "unknown"}};
    struct mr_classifier *c = NULL;
    struct mr_detector *d = NULL;
    struct mr_err e = {0};
    if (mr_classifier_open(vision_model("efficientnet-lite0"), &c, &e) ||
        mr_detector_open(vision_model("ssd-mobilenet-v2-coco"), &d, &e)) {
        fprintf(stderr, "%s\n", e.msg);
        exit(2);
    }
    for (size_t k = 0; k < sizeof want / sizeof *want; k++) {
        struct mr_arena a;
        struct mr_class *cls = NULL;
        struct mr_object *o = NULL;
        struct mr_scene s = {.setting = ""};
        size_t n = 0, m = 0;
        mr_arena_init(&a, 1 << 20);
        struct mr_image im = vision_decode(want[k].photo);
        CHECK_INT(mr_classify(c, &im, 1000, &a, &cls, &n, NULL, &e), 0);
        CHECK_INT(mr_detector_run(d, &im, NULL, &a, &o, &m, &e), 0);
        CHECK_INT(mr_scene_derive(&im, cls, n, o, m, &a, &s, &e), 0);
        if (getenv("SHOW"))
            printf("%s: %s %.2f, %s, %s\n", want[k].photo, s.setting, s.confidence, s.time_of_day,
                   s.weather);
        CHECK_STR(s.setting, want[k].setting);
        mr_image_release(&im);
        mr_arena_release(&a);
    }
    mr_classifier_free(c);
    mr_detector_free(d);
}

#define main test_main
int test_main(int argc, char **argv);
MR_TEST_MAIN(CASE(tables_are_sorted_and_in_range), CASE(the_sky_is_only_read_outdoors),
             CASE(objects_count_once_a_kind), CASE(photos_get_scenes))
#undef main

int main(int argc, char **argv) {
    if (argc > 1 && !strcmp(argv[1], "__image-worker"))
        return mr_image_worker_main();
    if (argc > 1 && !strcmp(argv[1], "__onnx-worker"))
        return mr_onnx_worker_main();
    return test_main(argc, argv);
}
