/* PP-OCRv4: a detector finds lines, a classifier turns those that stand on their head, a recogniser
 * reads each. Inputs are BGR, (v / 255 - 0.5) / 0.5, as the nets were trained. */
#include "base/cleanup.h"
#include "engine/vision/nets.h"
#include "engine/vision/ocr_lines.h"
#include "engine/vision/ocr_priv.h"
#include "engine/vision/pp_priv.h"

#include <math.h>

#define DETECT_LONG  1280 /* the longer side at detection is at most this … */
#define DETECT_SHORT 640
#define LINE_HEIGHT  48
#define LINE_LEAST   320 /* columns; shorter lines are padded with grey */
#define LINE_WIDEST  3200
#define TURN_WIDTH   192
#define TURN_SURE    0.9f
#define LINE_SURE    0.5 /* lines below are no text */

struct mr_pp_reader {
    struct mr_nets *find, *turn, *read;
    struct mr_lines keys;
};

int mr_pp_open(const char *dir, struct mr_pp_reader **ret, struct mr_err *e) {
    static const char *const any[] = {NULL};
    size_t order[1];
    struct mr_pp_reader *p = mr_calloc(1, sizeof *p);
    if (!p)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    int r = mr_lines_read(dir, "keys.txt", &p->keys, e);
    if (!r)
        r = mr_nets_open(dir, "det.onnx", &p->find, e);
    if (!r)
        r = mr_nets_open(dir, "cls.onnx", &p->turn, e);
    if (!r)
        r = mr_nets_open(dir, "rec.onnx", &p->read, e);
    if (!r)
        r = mr_nets_expect(p->find, any, 1, order, e);
    if (!r)
        r = mr_nets_expect(p->turn, any, 1, order, e);
    if (!r)
        r = mr_nets_expect(p->read, any, 1, order, e);
    if (r) {
        mr_pp_free(p);
        return r;
    }
    *ret = p;
    return 0;
}

void mr_pp_free(struct mr_pp_reader *p) {
    if (!p)
        return;
    mr_nets_free(p->find);
    mr_nets_free(p->turn);
    mr_nets_free(p->read);
    mr_lines_release(&p->keys);
    mr_free(p);
}

uint64_t mr_pp_memory(struct mr_pp_reader *p) {
    return mr_nets_memory(p->find) + mr_nets_memory(p->turn) + mr_nets_memory(p->read);
}

/* `rgb` of w x h into the left of a tensor of `width` columns; the rest is grey. */
static void fill(const uint8_t *rgb, uint32_t w, uint32_t h, uint32_t width, float *x) {
    size_t plane = (size_t)width * h;
    memset(x, 0, plane * 3 * sizeof *x);
    for (uint32_t y = 0; y < h; y++)
        for (uint32_t k = 0; k < w; k++)
            for (size_t c = 0; c < 3; c++)
                x[(2 - c) * plane + (size_t)y * width + k] =
                    (float)rgb[((size_t)y * w + k) * 3 + c] * (2.0f / 255) - 1;
}

/* One run over one picture; the output and its tensor are in the arena. */
static int run(struct mr_nets *net, const uint8_t *rgb, uint32_t w, uint32_t h, uint32_t width,
               struct mr_arena *arena, const struct mr_tensor **ret, struct mr_err *e) {
    const int64_t dim[] = {1, 3, h, width};
    MR_AUTO_FREE float *x = mr_reallocarray(NULL, (size_t)width * h, 3 * sizeof *x);
    if (!x)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    fill(rgb, w, h, width, x);
    struct mr_tensor in = mr_nets_tensor(x, 4, dim);
    return mr_nets_run(net, &in, arena, ret, 1, e);
}

static uint32_t round32(double v) {
    uint32_t n = (uint32_t)lround(v / 32) * 32;
    return n ? n : 32;
}

/* The lines' boxes in pixels of the image. */
static int find_lines(struct mr_pp_reader *p, const struct mr_image *im, struct mr_arena *scratch,
                      struct mr_quad **ret, size_t *ret_n, struct mr_err *e) {
    double longer = im->width > im->height ? im->width : im->height, scale = 1;
    if (longer > DETECT_LONG)
        scale = DETECT_LONG / longer;
    else if (longer < DETECT_SHORT)
        scale = DETECT_SHORT / longer;
    uint32_t w = round32(im->width * scale), h = round32(im->height * scale);
    MR_AUTO_FREE uint8_t *rgb = mr_reallocarray(NULL, (size_t)w * h, 3);
    if (!rgb)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    const struct mr_tensor *map;
    int r = mr_image_resize(im, 0, 0, im->width, im->height, w, h, rgb, e);
    if (!r)
        r = run(p->find, rgb, w, h, w, scratch, &map, e);
    if (!r &&
        (map->rank != 4 || map->dim[2] != h || map->dim[3] != w || map->count != (size_t)w * h))
        r = mr_fail(e, MR_EPREDICT, "the text detector answered %zu numbers", map->count);
    if (!r)
        r = mr_pp_boxes(map->data, w, h, scratch, ret, ret_n, e);
    if (r)
        return r;
    double sx = (double)im->width / w, sy = (double)im->height / h;
    for (size_t k = 0; k < *ret_n; k++) { /* sx and sy differ by rounding only */
        struct mr_quad *q = &(*ret)[k];
        double along = hypot(q->ux * sx, q->uy * sy), across = hypot(q->uy * sx, q->ux * sy);
        *q = (struct mr_quad){q->cx * sx,         q->cy * sy,   q->ux * sx / along,
                              q->uy * sy / along, q->w * along, q->h * across};
        if (q->h >= 1.5 * q->w) /* written downwards: read from the top, as if turned left */
            *q = (struct mr_quad){q->cx, q->cy, -q->uy, q->ux, q->h, q->w};
    }
    return 0;
}

static uint8_t sample(const struct mr_image *im, double x, double y, size_t c) {
    x = fmin(fmax(x, 0), im->width - 1.0);
    y = fmin(fmax(y, 0), im->height - 1.0);
    uint32_t x0 = (uint32_t)x, y0 = (uint32_t)y;
    uint32_t x1 = x0 + 1 < im->width ? x0 + 1 : x0, y1 = y0 + 1 < im->height ? y0 + 1 : y0;
    double fx = x - x0, fy = y - y0;
    const uint8_t *top = im->rgb + (size_t)y0 * im->width * 3 + c;
    const uint8_t *low = im->rgb + (size_t)y1 * im->width * 3 + c;
    double a = top[3 * x0] * (1 - fx) + top[3 * x1] * fx;
    double b = low[3 * x0] * (1 - fx) + low[3 * x1] * fx;
    return (uint8_t)(a * (1 - fy) + b * fy + 0.5);
}

/* The quad's pixels, level, at their own size: then resized (antialiased) as needed. */
static int cut_out(const struct mr_image *im, const struct mr_quad *q, struct mr_image *ret,
                   struct mr_err *e) {
    uint32_t w = (uint32_t)fmin(fmax(lround(q->w), 1), MR_IMAGE_SIDE_MAX);
    uint32_t h = (uint32_t)fmin(fmax(lround(q->h), 1), MR_IMAGE_SIDE_MAX);
    uint8_t *rgb = mr_reallocarray(NULL, (size_t)w * h, 3);
    if (!rgb)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    for (uint32_t y = 0; y < h; y++)
        for (uint32_t x = 0; x < w; x++) {
            double s = x - (w - 1) / 2.0, t = y - (h - 1) / 2.0;
            double px = q->cx + s * q->ux - t * q->uy, py = q->cy + s * q->uy + t * q->ux;
            for (size_t c = 0; c < 3; c++)
                rgb[((size_t)y * w + x) * 3 + c] = sample(im, px, py, c);
        }
    *ret = (struct mr_image){.width = w, .height = h, .rgb = rgb};
    return 0;
}

/* A cut-out at the height of a line, up to `most` columns wide. *ret is from mr_malloc. */
static int as_line(const struct mr_image *cut, uint32_t most, uint8_t **ret, uint32_t *ret_w,
                   struct mr_err *e) {
    double w = ceil((double)cut->width * LINE_HEIGHT / cut->height);
    uint32_t width = w < 1 ? 1 : w > most ? most : (uint32_t)w;
    MR_AUTO_FREE uint8_t *rgb = mr_malloc((size_t)width * LINE_HEIGHT * 3);
    if (!rgb)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    int r = mr_image_resize(cut, 0, 0, cut->width, cut->height, width, LINE_HEIGHT, rgb, e);
    if (!r) {
        *ret = MR_TAKE(rgb);
        *ret_w = width;
    }
    return r;
}

static int upside_down(struct mr_pp_reader *p, const struct mr_image *cut, struct mr_arena *scratch,
                       bool *ret, struct mr_err *e) {
    MR_AUTO_FREE uint8_t *rgb = NULL;
    uint32_t w = 0;
    const struct mr_tensor *t;
    int r = as_line(cut, TURN_WIDTH, &rgb, &w, e);
    if (!r)
        r = run(p->turn, rgb, w, LINE_HEIGHT, TURN_WIDTH, scratch, &t, e);
    if (!r && t->count != 2)
        r = mr_fail(e, MR_EPREDICT, "the direction net answered %zu numbers", t->count);
    if (!r)
        *ret = ((const float *)t->data)[1] > TURN_SURE;
    return r;
}

struct span { /* of a line's width, 0..1 */
    double from, to;
};

static struct mr_box box_of(const struct mr_quad *q, struct span s, const struct mr_image *im) {
    double a = (s.from - 0.5) * q->w, b = (s.to - 0.5) * q->w, mid = (a + b) / 2;
    double rx = (fabs(q->ux) * (b - a) + fabs(q->uy) * q->h) / 2;
    double ry = (fabs(q->uy) * (b - a) + fabs(q->ux) * q->h) / 2;
    double cx = q->cx + mid * q->ux, cy = q->cy + mid * q->uy;
    return (struct mr_box){fmin(fmax(cx - rx, 0), im->width), fmin(fmax(cy - ry, 0), im->height),
                           fmin(fmax(cx + rx, 0), im->width), fmin(fmax(cy + ry, 0), im->height)};
}

/* Characters c[0..n) as one word; it reaches half a column's way to its neighbours. */
static int make_word(const struct mr_pp_char *c, size_t n, double half, double used,
                     const struct mr_quad *q, const struct mr_image *im, struct mr_arena *arena,
                     struct mr_text_word *ret, struct mr_err *e) {
    size_t bytes = 0;
    double sum = 0;
    for (size_t k = 0; k < n; k++) {
        bytes += c[k].text.n;
        sum += c[k].confidence;
    }
    char *text = mr_arena_alloc(arena, bytes + 1);
    if (!text)
        return mr_fail(e, MR_ETOOBIG, "the picture has too much text");
    struct span s = {fmax((c[0].at - half) / used, 0), fmin((c[n - 1].at + half) / used, 1)};
    *ret = (struct mr_text_word){
        .text = {text, bytes}, .confidence = fmin(sum / (double)n, 1), .box = box_of(q, s, im)};
    for (size_t k = 0; k < n; k++) {
        memcpy(text, c[k].text.p, c[k].text.n);
        text += c[k].text.n;
    }
    *text = 0;
    return 0;
}

/* Words between blanks. `used`: the part of the columns that is not padding. */
static int make_line(const struct mr_pp_char *c, size_t n, double used, const struct mr_quad *q,
                     const struct mr_image *im, struct mr_arena *arena, struct mr_text_line *ret,
                     struct mr_err *e) {
    struct mr_text_word *word = mr_arena_array(arena, n + 1, sizeof *word);
    if (!word)
        return mr_fail(e, MR_ETOOBIG, "the picture has too much text");
    *ret = (struct mr_text_line){.word = word};
    double half = n > 1 ? (c[n - 1].at - c[0].at) / (double)(n - 1) / 2 : used / 2;
    for (size_t k = 0, end; k < n; k = end + 1) {
        for (end = k; end < n && !mr_str_is(c[end].text, " ");)
            end++;
        if (end == k)
            continue;
        int r = make_word(c + k, end - k, half, used, q, im, arena, &word[ret->n_word], e);
        if (r)
            return r;
        ret->n_word++;
    }
    return ret->n_word ? mr_ocr_line_finish(ret, arena, e) : 0;
}

static int read_cut(struct mr_pp_reader *p, const struct mr_image *im, const struct mr_quad *q,
                    const struct mr_image *cut, struct mr_arena *scratch, struct mr_arena *arena,
                    struct mr_text_line *ret, struct mr_err *e) {
    MR_AUTO_FREE uint8_t *rgb = NULL;
    uint32_t w = 0;
    int r = as_line(cut, LINE_WIDEST, &rgb, &w, e);
    if (r)
        return r;
    uint32_t width = w > LINE_LEAST ? w : LINE_LEAST;
    const struct mr_tensor *t;
    r = run(p->read, rgb, w, LINE_HEIGHT, width, scratch, &t, e);
    if (r)
        return r;
    if (t->rank != 3 || t->dim[1] < 1 || t->dim[2] < 1)
        return mr_fail(e, MR_EPREDICT, "the recogniser answered %zu numbers", t->count);
    struct mr_pp_char *c;
    size_t n = 0;
    r = mr_pp_spell(t->data, (size_t)t->dim[1], (size_t)t->dim[2], &p->keys, scratch, &c, &n, e);
    return r ? r : make_line(c, n, (double)w / width, q, im, arena, ret, e);
}

/* Turns the cut-out by 180 degrees. */
static void turn_over(struct mr_image *cut) {
    size_t n = (size_t)cut->width * cut->height;
    for (size_t a = 0, b = n - 1; a < b; a++, b--)
        for (size_t c = 0; c < 3; c++) {
            uint8_t v = cut->rgb[3 * a + c];
            cut->rgb[3 * a + c] = cut->rgb[3 * b + c];
            cut->rgb[3 * b + c] = v;
        }
}

/* The net that says what stands on its head errs on some upright lines: such are read both ways,
 * and the reading that is surer of itself is taken. */
static int read_line(struct mr_pp_reader *p, const struct mr_image *im, const struct mr_quad *q,
                     struct mr_arena *scratch, struct mr_arena *arena, struct mr_text_line *ret,
                     struct mr_err *e) {
    struct mr_image cut;
    int r = cut_out(im, q, &cut, e);
    if (r)
        return r;
    bool turned = false;
    r = upside_down(p, &cut, scratch, &turned, e);
    if (!r)
        r = read_cut(p, im, q, &cut, scratch, arena, ret, e);
    if (!r && turned) {
        struct mr_quad over = *q;
        struct mr_text_line other;
        over.ux = -q->ux;
        over.uy = -q->uy;
        turn_over(&cut);
        r = read_cut(p, im, &over, &cut, scratch, arena, &other, e);
        if (!r && other.n_word && (!ret->n_word || other.confidence > ret->confidence))
            *ret = other;
    }
    mr_free(cut.rgb);
    return r;
}

int mr_pp_read(struct mr_pp_reader *p, const struct mr_image *im, struct mr_arena *arena,
               struct mr_text_line **ret, size_t *ret_n, struct mr_err *e) {
    struct mr_arena boxes, scratch;
    struct mr_quad *q = NULL;
    size_t n = 0, kept = 0;
    mr_arena_init(&boxes, (size_t)64 << 20);
    mr_arena_init(&scratch, (size_t)64 << 20);
    int r = find_lines(p, im, &boxes, &q, &n, e);
    struct mr_text_line *line = r ? NULL : mr_arena_array(arena, n + 1, sizeof *line);
    if (!r && !line)
        r = mr_fail(e, MR_ETOOBIG, "the picture has too much text");
    for (size_t k = 0; !r && k < n; k++) {
        mr_arena_reset(&scratch);
        r = read_line(p, im, &q[k], &scratch, arena, &line[kept], e);
        kept += !r && line[kept].n_word && line[kept].confidence >= LINE_SURE;
    }
    mr_arena_release(&boxes);
    mr_arena_release(&scratch);
    if (r)
        return r;
    *ret = line;
    *ret_n = kept;
    return 0;
}

struct mr_onnx *mr_pp_net(const struct mr_pp_reader *p, unsigned k) {
    return mr_nets_first(k == 0 ? p->find : k == 1 ? p->turn : p->read);
}
