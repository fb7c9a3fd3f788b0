/* SSD-MobileNet-v2 over the whole picture at 300 x 300. The net gives offsets of 1,917 anchors and
 * logits of 91 classes for each; anchors, box decoding and non-maximum suppression are as in
 * TensorFlow's object detection (SSD, Liu et al. 2016): six feature maps of 19, 10, 5, 3, 2 and 1
 * cells a side, variances 10, 10, 5, 5, a sigmoid a class. */
#include "base/cleanup.h"
#include "engine/vision/coco_labels.h"
#include "engine/vision/image_mix.h"
#include "engine/vision/nets.h"
#include "engine/vision/vision.h"

#include <math.h>

#define SIDE    300
#define ANCHORS 1917

enum { BOXES, LOGITS, N_OUT };

struct anchor {
    float cy, cx, h, w; /* fractions of the picture */
};

struct mr_detector {
    struct mr_nets *nets;
    size_t order[N_OUT];
    struct anchor anchor[ANCHORS];
};

/* Six anchors a cell: five aspect ratios at the map's scale, and a square between this scale and
 * the next; the first map has three. */
static void make_anchors(struct anchor *out) {
    static const int cells[] = {19, 10, 5, 3, 2, 1};
    static const double ratio[] = {1.0, 2.0, 0.5, 3.0, 1.0 / 3};
    for (int m = 0; m < 6; m++) {
        double scale = 0.2 + 0.15 * m, next = m < 5 ? 0.2 + 0.15 * (m + 1) : 1.0;
        double s[6], r[6];
        int n = 0;
        if (m == 0) {
            s[0] = 0.1, r[0] = 1.0;
            s[1] = s[2] = scale, r[1] = 2.0, r[2] = 0.5;
            n = 3;
        } else {
            for (; n < 5; n++)
                s[n] = scale, r[n] = ratio[n];
            s[n] = sqrt(scale * next), r[n++] = 1.0;
        }
        for (int y = 0; y < cells[m]; y++)
            for (int x = 0; x < cells[m]; x++)
                for (int k = 0; k < n; k++)
                    *out++ = (struct anchor){
                        (float)((y + 0.5) / cells[m]), (float)((x + 0.5) / cells[m]),
                        (float)(s[k] / sqrt(r[k])), (float)(s[k] * sqrt(r[k]))};
    }
}

int mr_detector_open(const char *dir, struct mr_detector **ret, struct mr_err *e) {
    static const char *const outputs[] = {[BOXES] = "boxes", [LOGITS] = "logits"};
    struct mr_detector *d = mr_calloc(1, sizeof *d);
    if (!d)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    make_anchors(d->anchor);
    int r = mr_nets_open(dir, "model.onnx", &d->nets, e);
    if (!r)
        r = mr_nets_expect(d->nets, outputs, N_OUT, d->order, e);
    if (r) {
        mr_detector_free(d);
        return r;
    }
    *ret = d;
    return 0;
}

void mr_detector_free(struct mr_detector *d) {
    if (!d)
        return;
    mr_nets_free(d->nets);
    mr_free(d);
}

uint64_t mr_detector_memory(const struct mr_detector *d) {
    return mr_nets_memory(d->nets);
}

static int prepare(const struct mr_image *im, float *x, struct mr_err *e) {
    MR_AUTO_FREE uint8_t *rgb = mr_malloc(SIDE * SIDE * 3);
    if (!rgb)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    int r = mr_image_resize(im, 0, 0, im->width, im->height, SIDE, SIDE, rgb, e);
    float value[256];
    for (int k = 0; k < 256; k++)
        value[k] = (float)k * (2.0f / 255) - 1;
    if (!r)
        mr_image_planes(rgb, (size_t)SIDE * SIDE, value, x);
    return r;
}

struct candidate {
    float score; /* logit */
    uint16_t anchor, id;
    float y0, x0, y1, x1; /* fractions, inside the picture */
};

static int by_score(const void *a, const void *b) {
    const struct candidate *x = a, *y = b;
    if (x->score != y->score)
        return x->score > y->score ? -1 : 1;
    return x->anchor != y->anchor ? x->anchor - y->anchor : x->id - y->id;
}

static float inside(float v) {
    return v < 0 ? 0 : v > 1 ? 1 : v; /* a NaN stays one */
}

static bool decode(const struct anchor *a, const float *t, struct candidate *c) {
    float cy = t[0] / 10 * a->h + a->cy, cx = t[1] / 10 * a->w + a->cx;
    float h = expf(t[2] / 5) * a->h, w = expf(t[3] / 5) * a->w;
    c->y0 = inside(cy - h / 2);
    c->x0 = inside(cx - w / 2);
    c->y1 = inside(cy + h / 2);
    c->x1 = inside(cx + w / 2);
    return c->y1 > c->y0 && c->x1 > c->x0; /* false for NaN too */
}

static float overlap(const struct candidate *a, const struct candidate *b) {
    float h = fminf(a->y1, b->y1) - fmaxf(a->y0, b->y0);
    float w = fminf(a->x1, b->x1) - fmaxf(a->x0, b->x0);
    if (h <= 0 || w <= 0)
        return 0;
    float both = h * w;
    return both / ((a->y1 - a->y0) * (a->x1 - a->x0) + (b->y1 - b->y0) * (b->x1 - b->x0) - both);
}

/* The classes that pass at each anchor, best first. *ret is from mr_malloc. */
static int gather(const struct mr_detector *d, const float *box, const float *logit, double least,
                  struct candidate **ret, size_t *ret_n, struct mr_err *e) {
    double odds = log(least / (1 - least));
    size_t n = 0, room = 256;
    MR_AUTO_FREE struct candidate *c = mr_reallocarray(NULL, room, sizeof *c);
    if (!c)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    const struct mr_image_kernels *kernels = mr_image_kernels();
    float near = nextafterf((float)odds, -INFINITY); /* the double may have been rounded up */
    for (size_t a = 0; a < ANCHORS; a++) {
        if (!kernels->any_at_least(logit + a * MR_COCO_IDS + 1, MR_COCO_IDS - 1, near))
            continue;
        for (size_t id = 1; id < MR_COCO_IDS; id++) {
            float v = logit[a * MR_COCO_IDS + id];
            if (!((double)v >= odds) || !mr_coco_label[id])
                continue;
            if (n == room) {
                struct candidate *more = mr_reallocarray(c, room * 2, sizeof *c);
                if (!more)
                    return mr_fail(e, MR_ENOMEM, "out of memory");
                c = more;
                room *= 2;
            }
            c[n] = (struct candidate){.score = v, .anchor = (uint16_t)a, .id = (uint16_t)id};
            n += decode(&d->anchor[a], box + a * 4, &c[n]);
        }
    }
    qsort(c, n, sizeof *c, by_score);
    *ret = MR_TAKE(c);
    *ret_n = n;
    return 0;
}

/* Greedy, a class by itself: keeps candidates to the front. */
static size_t suppress(struct candidate *c, size_t n, float iou, size_t most) {
    size_t kept = 0;
    for (size_t k = 0; k < n && kept < most; k++) {
        bool hidden = false;
        for (size_t i = 0; i < kept && !hidden; i++)
            hidden = c[i].id == c[k].id && overlap(&c[i], &c[k]) > iou;
        if (!hidden)
            c[kept++] = c[k];
    }
    return kept;
}

static int answer(const struct mr_image *im, const struct candidate *c, size_t n,
                  struct mr_arena *arena, struct mr_object **ret, size_t *ret_n, struct mr_err *e) {
    struct mr_object *out = mr_arena_array(arena, n ? n : 1, sizeof *out);
    if (!out)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    double w = im->width, h = im->height;
    for (size_t k = 0; k < n; k++)
        out[k] = (struct mr_object){.name = mr_str(mr_coco_label[c[k].id]),
                                    .class_id = c[k].id,
                                    .confidence = 1 / (1 + exp(-(double)c[k].score)),
                                    .box = {(double)c[k].x0 * w, (double)c[k].y0 * h,
                                            (double)c[k].x1 * w, (double)c[k].y1 * h}};
    *ret = out;
    *ret_n = n;
    return 0;
}

/* The net's numbers die with the scratch arena. */
static int run(struct mr_detector *d, const struct mr_image *im, const struct mr_detect_params *p,
               struct mr_arena *scratch, struct mr_arena *arena, struct mr_object **ret,
               size_t *ret_n, struct mr_err *e) {
    static const int64_t dim[] = {1, 3, SIDE, SIDE};
    float *x = mr_arena_array(scratch, (size_t)3 * SIDE * SIDE, sizeof *x);
    if (!x)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    int r = prepare(im, x, e);
    if (r)
        return r;
    struct mr_tensor in = mr_nets_tensor(x, 4, dim);
    const struct mr_tensor *out[N_OUT];
    r = mr_nets_run(d->nets, &in, scratch, out, N_OUT, e);
    if (r)
        return r;
    const struct mr_tensor *box = out[d->order[BOXES]], *logit = out[d->order[LOGITS]];
    if (box->count != ANCHORS * 4 || logit->count != (size_t)ANCHORS * MR_COCO_IDS)
        return mr_fail(e, MR_EPREDICT, "the detector answered %zu and %zu numbers", box->count,
                       logit->count);
    double least = p && p->min_confidence > 0 ? p->min_confidence : 0.4;
    double iou = p && p->iou > 0 ? p->iou : 0.5;
    size_t most = p && p->max_objects ? p->max_objects : 100, n = 0;
    MR_AUTO_FREE struct candidate *c = NULL;
    r = least < 1 ? gather(d, box->data, logit->data, least, &c, &n, e) : 0;
    if (r)
        return r;
    return answer(im, c, suppress(c, n, (float)iou, most), arena, ret, ret_n, e);
}

int mr_detector_run(struct mr_detector *d, const struct mr_image *im,
                    const struct mr_detect_params *p, struct mr_arena *arena,
                    struct mr_object **ret, size_t *ret_n, struct mr_err *e) {
    struct mr_arena scratch;
    mr_arena_init(&scratch, (size_t)64 << 20);
    int r = run(d, im, p, &scratch, arena, ret, ret_n, e);
    mr_arena_release(&scratch);
    return r;
}

struct mr_onnx *mr_detector_net(const struct mr_detector *d) {
    return mr_nets_first(d->nets);
}
