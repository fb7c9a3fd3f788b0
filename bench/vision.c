/* Stages of image analysis in process: decoding in a fresh child, classifying, detecting, reading.
 *   bench_vision PHOTO [RUNS]
 * Prints the median of wall time and the mean of CPU time (this process and its children). */
#include "engine/vision/vision.h"
#include "base/clock.h"
#include "engine/onnx/onnx.h"

#include <sys/resource.h>
#include <unistd.h>

struct bench {
    struct mr_image_crew *crew;
    struct mr_str file;
    struct mr_image im;
    struct mr_classifier *classifier;
    struct mr_detector *detector;
    struct mr_ocr *pages, *photos;
};

static double cpu_ms(void) {
    double sum = 0;
    const int who[] = {RUSAGE_SELF, RUSAGE_CHILDREN}; /* children: those that ended */
    for (int k = 0; k < 2; k++) {
        struct rusage u;
        getrusage(who[k], &u);
        sum += (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1e3 +
               (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e3;
    }
    return sum;
}

static int by_time(const void *a, const void *b) {
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return x < y ? -1 : x > y;
}

static int stage(struct bench *b, int what, struct mr_arena *a, struct mr_err *e) {
    struct mr_class *c;
    struct mr_object *o;
    struct mr_text_line *l;
    struct mr_image im;
    size_t n;
    int r;
    switch (what) {
    case 0:
        r = mr_image_decode(NULL, b->file, &im, e);
        if (!r)
            mr_image_release(&im);
        return r;
    case 1:
        r = mr_image_decode(b->crew, b->file, &im, e);
        if (!r)
            mr_image_release(&im);
        return r;
    case 2:
        return mr_classify(b->classifier, &b->im, 5, a, &c, &n, NULL, e);
    case 3:
        return mr_detector_run(b->detector, &b->im, NULL, a, &o, &n, e);
    case 4:
        return mr_ocr_read(b->pages, &b->im, a, &l, &n, e);
    default:
        return mr_ocr_read(b->photos, &b->im, a, &l, &n, e);
    }
}

static void measure(struct bench *b, int what, const char *name, int runs) {
    static int64_t took[10000];
    struct mr_err e = {0};
    struct mr_arena a;
    double cpu = cpu_ms();
    for (int k = 0; k < runs; k++) {
        mr_arena_init(&a, (size_t)64 << 20);
        int64_t from = mr_mono_ns();
        if (stage(b, what, &a, &e)) {
            fprintf(stderr, "%s: %s\n", name, e.msg);
            exit(1);
        }
        took[k] = mr_mono_ns() - from;
        mr_arena_release(&a);
    }
    cpu = (cpu_ms() - cpu) / runs;
    qsort(took, (size_t)runs, sizeof *took, by_time);
    printf("%-34s p50 %7.2f ms, min %7.2f ms, CPU here and in ended children %6.2f ms\n", name,
           (double)took[runs / 2] / 1e6, (double)took[0] / 1e6, cpu);
}

static int open_models(struct bench *b, const char *root, struct mr_err *e) {
    char dir[1024];
    snprintf(dir, sizeof dir, "%s/efficientnet-lite0", root);
    int r = mr_classifier_open(dir, &b->classifier, e);
    snprintf(dir, sizeof dir, "%s/ssd-mobilenet-v2-coco", root);
    if (!r)
        r = mr_detector_open(dir, &b->detector, e);
    snprintf(dir, sizeof dir, "%s/tesseract-eng", root);
    if (!r)
        r = mr_ocr_open(dir, MR_OCR_TESSERACT, &b->pages, e);
    snprintf(dir, sizeof dir, "%s/pp-ocr-v4", root);
    return r ? r : mr_ocr_open(dir, MR_OCR_PP, &b->photos, e);
}

static int read_file(const char *path, struct mr_str *ret) {
    static char bytes[MR_IMAGE_BYTES_MAX];
    FILE *f = fopen(path, "rbe");
    if (!f)
        return 1;
    *ret = (struct mr_str){bytes, fread(bytes, 1, sizeof bytes, f)};
    fclose(f);
    return 0;
}

int main(int argc, char **argv) {
    if (argc > 1 && !strcmp(argv[1], "__image-worker"))
        return mr_image_worker_main();
    if (argc > 1 && !strcmp(argv[1], "__onnx-worker"))
        return mr_onnx_worker_main();
    if (argc > 1 && !strcmp(argv[1], "__ocr-worker"))
        return mr_ocr_worker_main();
    static const char *const names[] = {"decode, child started for it",
                                        "decode, spare child",
                                        "classify",
                                        "detect",
                                        "read, tesseract",
                                        "read, PP-OCR"};
    struct bench b = {0};
    struct mr_err e = {0};
    char root[900];
    const char *cache = getenv("MILLRACE_CACHE"), *home = getenv("HOME");
    snprintf(root, sizeof root, "%s%s/models",
             cache  ? cache
             : home ? home
                    : "",
             cache ? "" : "/.cache/millrace");
    int runs = argc > 2 ? (int)strtol(argv[2], NULL, 10) : 20;
    if (argc < 2 || runs < 1 || runs > 10000 || read_file(argv[1], &b.file)) {
        fprintf(stderr, "usage: bench_vision PHOTO [RUNS]\n");
        return 2;
    }
    if (mr_image_crew_new(NULL, &b.crew, &e) || open_models(&b, root, &e) ||
        mr_image_decode(b.crew, b.file, &b.im, &e)) {
        fprintf(stderr, "%s\n", e.msg);
        return 1;
    }
    usleep(100000); /* the spare is ready */
    for (int k = 0; k < 6; k++)
        measure(&b, k, names[k], k < 4 ? runs : (runs + 4) / 5);
    return 0;
}
