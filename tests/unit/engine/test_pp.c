/* PP-OCR's arithmetic: rectangles, regions and spelling on made-up inputs. */
#include "engine/vision/pp_priv.h"
#include "mr_test.h"

MR_TEST(the_least_rectangle_of_a_turned_one) {
    for (int deg = -40; deg <= 40; deg += 8) {
        double a = deg * 3.14159265358979 / 180, c = cos(a), s = sin(a);
        struct mr_pp_hull_point p[4];
        const double x[] = {-50, 50, 50, -50}, y[] = {-10, -10, 10, 10};
        for (int k = 0; k < 4; k++)
            p[k] = (struct mr_pp_hull_point){200 + x[k] * c - y[k] * s, 100 + x[k] * s + y[k] * c};
        struct mr_quad q = mr_pp_least_rect(p, 4);
        CHECK_NEAR(q.cx, 200, 1e-6);
        CHECK_NEAR(q.cy, 100, 1e-6);
        CHECK_NEAR(q.w, 100, 1e-6);
        CHECK_NEAR(q.h, 20, 1e-6);
        CHECK_NEAR(q.ux, c, 1e-6);
        CHECK_NEAR(q.uy, s, 1e-6);
    }
    struct mr_pp_hull_point one = {3, 4};
    struct mr_quad q = mr_pp_least_rect(&one, 1);
    CHECK(q.w == 0 && q.h == 0 && q.cx == 3 && q.cy == 4);
}

static void paint(float *map, uint32_t w, uint32_t x0, uint32_t y0, uint32_t x1, uint32_t y1,
                  float v) {
    for (uint32_t y = y0; y < y1; y++)
        for (uint32_t x = x0; x < x1; x++)
            map[y * w + x] = v;
}

MR_TEST(regions_become_boxes_in_reading_order) {
    enum { W = 200, H = 100 };
    static float map[W * H];
    struct mr_arena a;
    struct mr_quad *q = NULL;
    size_t n = 0;
    mr_arena_init(&a, 1 << 20);
    memset(map, 0, sizeof map);
    paint(map, W, 110, 22, 170, 32, 0.9f); /* right of the first row, a little lower */
    paint(map, W, 20, 20, 80, 30, 0.9f);
    paint(map, W, 20, 60, 120, 70, 0.9f);
    paint(map, W, 150, 60, 190, 70, 0.4f); /* too faint */
    paint(map, W, 5, 90, 6, 91, 0.9f);     /* too small */
    CHECK_INT(mr_pp_boxes(map, W, H, &a, &q, &n, NULL), 0);
    CHECK_INT(n, 3);
    if (n == 3) {
        CHECK_NEAR(q[0].cx, 50, 1);
        CHECK_NEAR(q[1].cx, 140, 1);
        CHECK_NEAR(q[2].cx, 70, 1);
        /* 60 x 10 (pixels' middles, and one of dilation) grown by 60 * 10 * 1.6 / 70 */
        CHECK_NEAR(q[0].w, 60 + 13.7, 0.5);
        CHECK_NEAR(q[0].h, 10 + 13.7, 0.5);
        CHECK_NEAR(q[0].ux, 1, 1e-9);
    }
    memset(map, 0, sizeof map);
    CHECK_INT(mr_pp_boxes(map, W, H, &a, &q, &n, NULL), 0);
    CHECK_INT(n, 0);
    for (size_t k = 0; k < W * H; k++)
        map[k] = k % 2 ? NAN : 0.9f; /* a broken net */
    CHECK_INT(mr_pp_boxes(map, W, H, &a, &q, &n, NULL), 0);
    CHECK_INT(mr_pp_boxes(map, 0, H, &a, &q, &n, NULL), MR_EPREDICT);
    mr_arena_release(&a);
}

MR_TEST(columns_spell_words) {
    char text[] = "a\nb\n";
    struct mr_str line[] = {{text, 1}, {text + 2, 1}};
    struct mr_lines keys = {.line = line, .n = 2};
    enum { CLASSES = 4 };
    /* a a _ a (b) _ blank-ish _ b: "aab b" with the second blank only half seen */
    static const float p[][CLASSES] = {
        {0.1f, 0.9f, 0, 0},    {0.2f, 0.8f, 0, 0}, {0.9f, 0.1f, 0, 0}, {0.1f, 0.7f, 0.2f, 0},
        {0.1f, 0.1f, 0.8f, 0}, {0.9f, 0, 0, 0.1f}, {0.7f, 0, 0, 0.3f}, {0, 0, 1, 0}};
    struct mr_arena a;
    struct mr_pp_char *c = NULL;
    size_t n = 0;
    mr_arena_init(&a, 1 << 16);
    CHECK_INT(mr_pp_spell(&p[0][0], 8, CLASSES, &keys, &a, &c, &n, NULL), 0);
    char got[16] = "";
    for (size_t k = 0; k < n && k < 15; k++)
        got[k] = c[k].text.p[0];
    CHECK_STR(got, "aab b");
    if (n == 5) {
        CHECK_NEAR(c[0].at, 1.0 / 8, 1e-9); /* the middle of two columns */
        CHECK_NEAR(c[0].confidence, 0.9, 1e-6);
        CHECK_NEAR(c[4].at, 7.5 / 8, 1e-9);
    }
    CHECK_INT(mr_pp_spell(&p[0][0], 8, 3, &keys, &a, &c, &n, NULL), MR_EPREDICT);
    float bad[CLASSES] = {NAN, NAN, NAN, NAN};
    CHECK_INT(mr_pp_spell(bad, 1, CLASSES, &keys, &a, &c, &n, NULL), MR_EPREDICT);
    mr_arena_release(&a);
}

MR_TEST_MAIN(CASE(the_least_rectangle_of_a_turned_one), CASE(regions_become_boxes_in_reading_order),
             CASE(columns_spell_words))
