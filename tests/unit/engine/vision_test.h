/* What the tests of vision share: photos and models of the set-up cache. */
#ifndef VISION_TEST_H
#define VISION_TEST_H

#include "engine/vision/vision.h"
#include "mr_test.h"
#include "test_file.h"

static inline const char *vision_cache(void) {
    static char dir[1024];
    const char *cache = getenv("MILLRACE_CACHE"), *home = getenv("HOME");
    if (cache && *cache)
        snprintf(dir, sizeof dir, "%s", cache);
    else
        snprintf(dir, sizeof dir, "%s/.cache/millrace", home ? home : "");
    return dir;
}

static inline const char *vision_model(const char *id) {
    static char path[1200];
    snprintf(path, sizeof path, "%s/models/%s", vision_cache(), id);
    return path;
}

/* The test stops when the photo is not there: scripts/setup --dev brings it. */
static inline struct test_file vision_photo(const char *name) {
    char path[1200];
    snprintf(path, sizeof path, "%s/photos/%s", vision_cache(), name);
    return test_file_read(path);
}

static inline struct mr_image vision_decode(const char *name) {
    struct test_file f = vision_photo(name);
    struct mr_image im = {0};
    struct mr_err e = {0};
    int r = mr_image_decode(NULL, (struct mr_str){f.p, f.n}, &im, &e);
    if (r) {
        fprintf(stderr, "%s: %s\n", name, e.msg);
        exit(2);
    }
    free(f.p);
    return im;
}

#endif
