/* Images: every kind of every format against the same picture, all orientations, hostile files. */
#include "engine/vision/image_priv.h"
#include "vision_test.h"

#include <dirent.h>
#include <dlfcn.h>
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>
#include <turbojpeg.h>
#include <unistd.h>

static struct mr_image_crew *crew;

static int decode_bytes(const void *p, size_t n, struct mr_image *ret, struct mr_err *e) {
    return mr_image_decode(crew, (struct mr_str){p, n}, ret, e);
}

static struct mr_image decode_made(const char *name) {
    char path[256];
    snprintf(path, sizeof path, "made/%s", name);
    struct test_file f = vision_photo(path);
    struct mr_image im = {0};
    struct mr_err e = {0};
    int r = decode_bytes(f.p, f.n, &im, &e);
    if (r)
        fprintf(stderr, "%s: %s\n", name, e.msg);
    CHECK_INT(r, 0);
    CHECK(!r && im.size_bytes == f.n);
    free(f.p);
    return im;
}

/* Largest and mean difference of samples. */
static void compare(const char *name, const struct mr_image *a, const struct mr_image *b,
                    double mean_max) {
    CHECK_INT(a->width, b->width);
    CHECK_INT(a->height, b->height);
    if (a->width != b->width || a->height != b->height || !a->rgb || !b->rgb)
        return;
    size_t n = (size_t)a->width * a->height * 3;
    double sum = 0;
    for (size_t k = 0; k < n; k++)
        sum += abs((int)a->rgb[k] - (int)b->rgb[k]);
    if (sum / (double)n > mean_max)
        fprintf(stderr, "%s differs by %.2f on average\n", name, sum / (double)n);
    CHECK(sum / (double)n <= mean_max);
}

MR_TEST(every_kind_shows_the_same_picture) {
    static const struct {
        const char *name, *like, *format;
        double mean;
    } kinds[] = {{"png_16bit.png", "base.png", "PNG", 0},
                 {"png_interlaced.png", "base.png", "PNG", 0},
                 {"png_exif6.png", "base.png", "PNG", 0},
                 {"png_grey16.png", "png_grey.png", "PNG", 0},
                 {"png_palette.png", "palette_rgb.png", "PNG", 0},
                 {"png_alpha.png", "alpha_rgb.png", "PNG", 0.6},
                 {"webp_alpha.webp", "alpha_rgb.png", "WEBP", 0.6},
                 {"webp_lossless.webp", "base.png", "WEBP", 0},
                 {"webp_lossy.webp", "base.png", "WEBP", 8},
                 {"webp_animated.webp", "base.png", "WEBP", 0},
                 {"webp_exif8.webp", "base.png", "WEBP", 0},
                 {"gif_plain.gif", "palette_rgb.png", "GIF", 0},
                 {"gif_interlaced.gif", "palette_rgb.png", "GIF", 0},
                 {"gif_animated.gif", "palette_rgb.png", "GIF", 0},
                 {"gif_holes.gif", "holes_rgb.png", "GIF", 0},
                 {"progressive.jpg", "base.png", "JPEG", 3},
                 {"grey.jpg", "png_grey.png", "JPEG", 2},
                 {"cmyk.jpg", "base.png", "JPEG", 3},
                 {"cmyk_plain.jpg", "base.png", "JPEG", 3}};
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
        struct mr_image a = decode_made(kinds[k].name), b = decode_made(kinds[k].like);
        CHECK_STR(a.format, kinds[k].format);
        compare(kinds[k].name, &a, &b, kinds[k].mean);
        mr_image_release(&a);
        mr_image_release(&b);
    }
}

MR_TEST(all_orientations_show_the_same_picture) {
    struct mr_image base = decode_made("base.png");
    for (int o = 1; o <= 8; o++) {
        char name[32];
        snprintf(name, sizeof name, "orient_%d.jpg", o);
        struct mr_image im = decode_made(name);
        compare(name, &im, &base, 3);
        mr_image_release(&im);
    }
    mr_image_release(&base);
}

/* Pillow writes no YCCK; libturbojpeg makes it of CMYK. */
MR_TEST(ycck_is_read) {
    struct mr_image base = decode_made("base.png");
    size_t n = (size_t)base.width * base.height;
    uint8_t *cmyk = malloc(n * 4), *jpeg = NULL;
    unsigned long len = 0;
    void *lib = dlopen("libturbojpeg.so.0", RTLD_NOW | RTLD_LOCAL);
    __typeof__(&tjInitCompress) init = NULL;
    __typeof__(&tjCompress2) compress = NULL;
    *(void **)&init = dlsym(lib, "tjInitCompress");
    *(void **)&compress = dlsym(lib, "tjCompress2");
    __typeof__(&tjDestroy) destroy = NULL;
    __typeof__(&tjFree) release = NULL;
    *(void **)&destroy = dlsym(lib, "tjDestroy");
    *(void **)&release = dlsym(lib, "tjFree");
    tjhandle h = init();
    for (size_t k = 0; k < n; k++) { /* inverted, as Adobe's; no black */
        memcpy(cmyk + 4 * k, base.rgb + 3 * k, 3);
        cmyk[4 * k + 3] = 255;
    }
    CHECK_INT(compress(h, cmyk, (int)base.width, 0, (int)base.height, TJPF_CMYK, &jpeg, &len,
                       TJSAMP_444, 98, 0),
              0);
    struct mr_image im = {0};
    struct mr_err e = {0};
    CHECK_INT(decode_bytes(jpeg, len, &im, &e), 0);
    compare("YCCK", &im, &base, 3);
    mr_image_release(&im);
    mr_image_release(&base);
    destroy(h);
    release(jpeg);
    free(cmyk);
}

/* expect.txt says of each hostile file what its error must name; "?" when it may also be readable.
 * None may take the test down, or long. */
MR_TEST(hostile_files_get_clear_errors) {
    struct test_file list = vision_photo("made/bad/expect.txt");
    struct mr_str rest = {list.p, list.n};
    int refused = 0, seen = 0;
    while (rest.p && rest.n) {
        struct mr_str want = mr_str_cut(&rest, '\n'), name = mr_str_cut(&want, ':');
        char path[256];
        want = mr_str_trim(want);
        snprintf(path, sizeof path, "made/bad/%.*s", (int)name.n, name.p);
        struct test_file f = vision_photo(path);
        struct mr_image im = {0};
        struct mr_err e = {0};
        int r = decode_bytes(f.p, f.n, &im, &e);
        char text[128];
        snprintf(text, sizeof text, "%.*s", (int)want.n, want.p);
        bool may_be_read = !strcmp(text, "?");
        bool fine = r ? (r == MR_EINVAL || r == MR_ETOOBIG || r == MR_EUNSUPPORTED) && e.msg[0] &&
                            (may_be_read || strstr(e.msg, text))
                      : may_be_read;
        if (!fine)
            fprintf(stderr, "%s: %d %s, want '%s'\n", path, r, e.msg, text);
        CHECK(fine);
        seen++;
        refused += r != 0;
        if (!r)
            mr_image_release(&im);
        free(f.p);
    }
    free(list.p);
    CHECK(seen > 100);
    CHECK(refused > 60);
}

MR_TEST(a_header_is_enough_to_know) {
    static const struct {
        const char *photo, *format;
        uint32_t w, h;
    } want[] = {{"china.jpg", "JPEG", 640, 427},
                {"chelsea.png", "PNG", 451, 300},
                {"made/orient_6.jpg", "JPEG", 32, 48}, /* as stored */
                {"made/webp_lossy.webp", "WEBP", 48, 32},
                {"made/gif_plain.gif", "GIF", 48, 32}};
    for (size_t k = 0; k < sizeof want / sizeof *want; k++) {
        struct test_file f = vision_photo(want[k].photo);
        struct mr_image_head h = {0};
        CHECK_INT(mr_image_sniff((struct mr_str){f.p, f.n}, &h, NULL), 0);
        CHECK_STR(h.format, want[k].format);
        CHECK_INT(h.width, want[k].w);
        CHECK_INT(h.height, want[k].h);
        for (size_t n = 0; n < f.n && n < 600; n++) { /* exact size: reading over shows */
            char *part = test_file_copy(&f, n);
            (void)mr_image_sniff((struct mr_str){part, n}, &h, NULL);
            free(part);
        }
        free(f.p);
    }
    struct mr_err e = {0};
    struct mr_image_head h;
    struct mr_str big = {(const char *)&h, MR_IMAGE_BYTES_MAX + 1};
    CHECK_INT(mr_image_sniff(big, &h, &e), MR_ETOOBIG);
}

static struct mr_image plain(uint32_t w, uint32_t h) {
    struct mr_image im = {.width = w, .height = h, .rgb = malloc((size_t)w * h * 3)};
    return im;
}

MR_TEST(resizing_averages_and_interpolates) {
    struct mr_image im = plain(64, 64);
    uint8_t out[64 * 64 * 3];
    for (size_t k = 0; k < 64 * 64; k++) /* a checkerboard: sampling would keep black and white */
        memset(im.rgb + 3 * k, ((k + k / 64) & 1) ? 255 : 0, 3);
    CHECK_INT(mr_image_resize(&im, 0, 0, 64, 64, 8, 8, out, NULL), 0);
    for (size_t k = 0; k < 8 * 8 * 3; k++)
        CHECK(out[k] >= 125 && out[k] <= 130);
    for (size_t k = 0; k < 64 * 64; k++) /* a ramp stays one */
        for (size_t c = 0; c < 3; c++)
            im.rgb[3 * k + c] = (uint8_t)(k % 64 * 4);
    CHECK_INT(mr_image_resize(&im, 0, 0, 64, 64, 16, 16, out, NULL), 0);
    for (size_t x = 1; x < 15; x++)
        CHECK_NEAR(out[3 * (16 * 5 + x)], 4 * (4 * (double)x + 1.5), 1.0);
    CHECK_INT(mr_image_resize(&im, 10, 3, 2, 1, 4, 2, out, NULL), 0); /* 40 and 44, twice as wide */
    CHECK_INT(out[0], 40);
    CHECK_INT(out[3], 41);
    CHECK_INT(out[6], 43);
    CHECK_INT(out[9], 44);
    CHECK_INT(mr_image_resize(&im, 0, 0, 64, 64, 64, 64, out, NULL), 0); /* the same */
    CHECK(!memcmp(out, im.rgb, sizeof out));
    CHECK_INT(mr_image_resize(&im, 60, 0, 5, 5, 4, 4, out, NULL), MR_EINVAL);
    CHECK_INT(mr_image_resize(&im, 0, 0, 0, 5, 4, 4, out, NULL), MR_EINVAL);
    CHECK_INT(mr_image_resize(&im, UINT32_MAX, 0, 2, 2, 4, 4, out, NULL), MR_EINVAL);
    free(im.rgb);
}

static void *decode_some(void *arg) {
    const struct test_file *f = arg;
    long bad = 0;
    for (int k = 0; k < 8; k++) {
        struct mr_image im = {0};
        bad += decode_bytes(f->p, f->n, &im, NULL) != 0 || im.width != 640;
        mr_image_release(&im);
    }
    return (void *)bad;
}

MR_TEST(many_at_once) {
    struct test_file f = vision_photo("china.jpg");
    pthread_t t[4];
    for (int k = 0; k < 4; k++)
        CHECK_INT(pthread_create(&t[k], NULL, decode_some, &f), 0);
    for (int k = 0; k < 4; k++) {
        void *bad;
        pthread_join(t[k], &bad);
        CHECK_INT((long)bad, 0);
    }
    free(f.p);
}

MR_TEST(a_stopped_crew_refuses) {
    struct mr_image_crew *c = NULL;
    struct test_file f = vision_photo("china.jpg");
    struct mr_image im = {0};
    CHECK_INT(mr_image_crew_new(NULL, &c, NULL), 0);
    CHECK_INT(mr_image_decode(c, (struct mr_str){f.p, f.n}, &im, NULL), 0);
    mr_image_release(&im);
    mr_image_crew_stop(c);
    CHECK_INT(mr_image_decode(c, (struct mr_str){f.p, f.n}, &im, NULL), MR_EUNAVAIL);
    mr_image_crew_free(c);
    free(f.p);
}

MR_TEST(a_room_is_wiped_before_it_is_used_again) {
    struct mr_image_rooms home;
    struct mr_image_room *a, *b, *c;
    mr_image_rooms_init(&home);
    CHECK_INT(mr_image_room_take(&home, 100000, &a, NULL), 0);
    memset(mr_image_room_pixels(a), 0xaa, 100000);
    /* a reader that went bad may write behind its pixels */
    CHECK_INT(pwrite(mr_image_room_fd(a), "secret", 6, 500000), 6);
    mr_image_room_give(a);
    CHECK_INT(mr_image_room_take(&home, 120000, &b, NULL), 0);
    CHECK(a == b);
    long set = 0;
    for (size_t k = 0; k < 600000; k++)
        set += mr_image_room_pixels(b)[k] != 0;
    CHECK_INT(set, 0);
    CHECK(ftruncate(mr_image_room_fd(b), 4096) < 0);
    CHECK_INT(mr_image_room_take(&home, 100000, &c, NULL), 0); /* never one that is in use */
    CHECK(mr_image_room_pixels(c) != mr_image_room_pixels(b));
    mr_image_room_give(b);
    mr_image_room_give(c);
    CHECK_INT(mr_image_room_take(&home, (size_t)40 << 20, &a, NULL), 0); /* not kept */
    mr_image_room_give(a);
    mr_image_rooms_release(&home);
}

/* Every child of this process (the host and the spare), until they are dead. */
static int kill_children(void) {
    DIR *d = opendir("/proc");
    int n = 0;
    siginfo_t si;
    for (const struct dirent *e; d && (e = readdir(d));) {
        char path[300];
        int pid = (int)strtol(e->d_name, NULL, 10), parent = 0;
        snprintf(path, sizeof path, "/proc/%s/stat", e->d_name);
        FILE *f = pid > 0 ? fopen(path, "re") : NULL;
        if (!f)
            continue;
        if (fscanf(f, "%*d (%*[^)]) %*c %d", &parent) == 1 && parent == getpid())
            n += !kill(pid, SIGKILL) && !waitid(P_PID, (id_t)pid, &si, WEXITED | WNOWAIT);
        fclose(f);
    }
    if (d)
        closedir(d);
    return n;
}

MR_TEST(killed_helpers_are_replaced) {
    struct test_file f = vision_photo("china.jpg");
    struct mr_image im = {0};
    for (int k = 0; k < 3; k++) {
        CHECK_INT(decode_bytes(f.p, f.n, &im, NULL), 0);
        mr_image_release(&im);
        CHECK(kill_children() >= 2);
    }
    CHECK_INT(decode_bytes(f.p, f.n, &im, NULL), 0);
    CHECK_INT(im.width, 640);
    mr_image_release(&im);
    free(f.p);
}

#define main test_main
int test_main(int argc, char **argv);
MR_TEST_MAIN(CASE(every_kind_shows_the_same_picture), CASE(all_orientations_show_the_same_picture),
             CASE(ycck_is_read), CASE(hostile_files_get_clear_errors),
             CASE(a_header_is_enough_to_know), CASE(resizing_averages_and_interpolates),
             CASE(many_at_once), CASE(a_stopped_crew_refuses),
             CASE(a_room_is_wiped_before_it_is_used_again), CASE(killed_helpers_are_replaced))
#undef main

int main(int argc, char **argv) {
    if (argc > 1 && !strcmp(argv[1], "__image-worker"))
        return mr_image_worker_main();
    if (mr_image_crew_new(NULL, &crew, NULL))
        return 2;
    int r = test_main(argc, argv);
    mr_image_crew_free(crew);
    return r;
}
