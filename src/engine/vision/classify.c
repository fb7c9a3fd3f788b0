/* EfficientNet-Lite0 over the middle of the picture, prepared as its authors do: the centre square
 * of 87.5 % of the shorter side, 224 x 224, (v - 127) / 128. */
#include "base/cleanup.h"
#include "engine/vision/lines.h"
#include "engine/vision/nets.h"
#include "engine/vision/vision.h"

#include <math.h>

#define SIDE    224
#define CLASSES 1000
#define FEATURE 1280

enum { PROB, EMBEDDING, N_OUT };

struct mr_classifier {
    struct mr_nets *nets;
    struct mr_lines labels;
    size_t order[N_OUT];
};

int mr_classifier_open(const char *dir, struct mr_classifier **ret, struct mr_err *e) {
    static const char *const outputs[] = {[PROB] = "prob", [EMBEDDING] = "embedding"};
    struct mr_classifier *c = mr_calloc(1, sizeof *c);
    if (!c)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    int r = mr_lines_read(dir, "labels.txt", &c->labels, e);
    if (!r && c->labels.n != CLASSES)
        r = mr_fail(e, MR_EREFUSED, "%s/labels.txt has %zu classes, not %d", dir, c->labels.n,
                    CLASSES);
    if (!r)
        r = mr_nets_open(dir, "model.onnx", &c->nets, e);
    if (!r)
        r = mr_nets_expect(c->nets, outputs, N_OUT, c->order, e);
    if (r) {
        mr_classifier_free(c);
        return r;
    }
    *ret = c;
    return 0;
}

void mr_classifier_free(struct mr_classifier *c) {
    if (!c)
        return;
    mr_nets_free(c->nets);
    mr_lines_release(&c->labels);
    mr_free(c);
}

uint64_t mr_classifier_memory(const struct mr_classifier *c) {
    return mr_nets_memory(c->nets);
}

static int prepare(const struct mr_image *im, float *x, struct mr_err *e) {
    MR_AUTO_FREE uint8_t *rgb = mr_malloc(SIDE * SIDE * 3);
    if (!rgb)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    uint32_t least = im->width < im->height ? im->width : im->height;
    uint32_t side = (uint32_t)((double)least * 0.875);
    side = side ? side : 1;
    int r = mr_image_resize(im, (im->width - side) / 2, (im->height - side) / 2, side, side, SIDE,
                            SIDE, rgb, e);
    float value[256];
    for (int k = 0; k < 256; k++)
        value[k] = ((float)k - 127.0f) / 128.0f;
    if (!r)
        mr_image_planes(rgb, SIDE * SIDE, value, x);
    return r;
}

struct ranked {
    float p;
    int id;
};

static int by_confidence(const void *a, const void *b) {
    const struct ranked *x = a, *y = b;
    return x->p > y->p ? -1 : x->p < y->p ? 1 : x->id - y->id;
}

#define FEW 32

/* The best n to the front, in order: a few by insertion, which most of the classes never enter. */
static void sort_best(struct ranked *all, size_t n) {
    if (n > FEW) {
        qsort(all, CLASSES, sizeof *all, by_confidence);
        return;
    }
    for (size_t k = 0, have = 0; n && k < CLASSES; k++) {
        struct ranked x = all[k];
        if (have == n && by_confidence(&x, &all[n - 1]) > 0)
            continue;
        size_t at = have < n ? have++ : n - 1;
        for (; at && by_confidence(&x, &all[at - 1]) < 0; at--)
            all[at] = all[at - 1];
        all[at] = x;
    }
}

static int rank(const struct mr_classifier *c, const float *prob, unsigned top_k,
                struct mr_arena *arena, struct mr_class **ret, size_t *ret_n, struct mr_err *e) {
    struct ranked all[CLASSES];
    for (int k = 0; k < CLASSES; k++) {
        if (!isfinite(prob[k]))
            return mr_fail(e, MR_EPREDICT, "the classifier gave no number for class %d", k);
        all[k] = (struct ranked){prob[k], k};
    }
    size_t n = top_k < CLASSES ? top_k : CLASSES;
    sort_best(all, n);
    struct mr_class *out = mr_arena_array(arena, n ? n : 1, sizeof *out);
    if (!out)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    for (size_t k = 0; k < n; k++) { /* the model may be unloaded before the answer is written */
        out[k] = (struct mr_class){mr_arena_keep(arena, c->labels.line[all[k].id]), all[k].id,
                                   (double)all[k].p};
        if (!out[k].name.p)
            return mr_fail(e, MR_ENOMEM, "out of memory");
    }
    *ret = out;
    *ret_n = n;
    return 0;
}

int mr_classify(struct mr_classifier *c, const struct mr_image *im, unsigned top_k,
                struct mr_arena *arena, struct mr_class **ret, size_t *ret_n,
                const float **ret_embedding, struct mr_err *e) {
    static const int64_t dim[] = {1, 3, SIDE, SIDE};
    MR_AUTO_FREE float *x = mr_malloc(sizeof(float) * 3 * SIDE * SIDE);
    if (!x)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    int r = prepare(im, x, e);
    if (r)
        return r;
    struct mr_tensor in = mr_nets_tensor(x, 4, dim);
    const struct mr_tensor *out[N_OUT];
    r = mr_nets_run(c->nets, &in, arena, out, N_OUT, e);
    if (r)
        return r;
    const struct mr_tensor *prob = out[c->order[PROB]], *feature = out[c->order[EMBEDDING]];
    if (prob->count != CLASSES || feature->count != FEATURE)
        return mr_fail(e, MR_EPREDICT, "the classifier answered %zu and %zu numbers", prob->count,
                       feature->count);
    r = rank(c, prob->data, top_k, arena, ret, ret_n, e);
    if (!r && ret_embedding)
        *ret_embedding = feature->data;
    return r;
}

struct mr_onnx *mr_classifier_net(const struct mr_classifier *c) {
    return mr_nets_first(c->nets);
}
