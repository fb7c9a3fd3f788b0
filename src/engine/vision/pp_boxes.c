/* DB post-processing with PP-OCR's settings: threshold 0.3, a 2 x 2 dilation, a rectangle of least
 * area around each connected region, a mean of at least 0.5 over the region (not over the
 * rectangle, which is half empty around a curved line), and growing it by
 * area * 1.6 / perimeter, because the map's regions are shrunken text. */
#include "base/cleanup.h"
#include "engine/vision/pp_priv.h"

#include <math.h>

#define THRESHOLD   0.3f
#define REGION_MEAN 0.5
#define GROW        1.6
#define SIDE_MIN    3.0

struct map {
    const float *p;
    uint32_t w, h;
    uint8_t *on;       /* 1: text, not yet visited */
    uint32_t *stack;   /* w * h */
    uint32_t *lo, *hi; /* of the region: leftmost and rightmost column of each row */
};

static void threshold(struct map *m) {
    size_t n = (size_t)m->w * m->h;
    for (size_t k = 0; k < n; k++)
        m->on[k] = m->p[k] > THRESHOLD;
    for (uint32_t y = m->h; y-- > 0;) /* from the end: inputs are still the undilated ones */
        for (uint32_t x = m->w; x-- > 0;) {
            uint8_t *at = m->on + (size_t)y * m->w + x;
            *at |= (x && at[-1]) || (y && *(at - m->w)) || (x && y && *(at - m->w - 1));
        }
}

/* Visits the 8-connected region of a pixel; rows first..last were touched. Returns the mean
 * probability. */
static double flood(struct map *m, uint32_t from, uint32_t *ret_first, uint32_t *ret_last) {
    size_t n = 0, seen = 0;
    double sum = 0;
    uint32_t first = from / m->w, last = first;
    m->on[from] = 0;
    m->stack[n++] = from;
    while (n) {
        uint32_t at = m->stack[--n], y = at / m->w, x = at % m->w;
        if (m->p[at] > THRESHOLD) { /* not what the dilation added */
            sum += (double)m->p[at];
            seen++;
        }
        m->lo[y] = x < m->lo[y] ? x : m->lo[y];
        m->hi[y] = x > m->hi[y] ? x : m->hi[y];
        first = y < first ? y : first;
        last = y > last ? y : last;
        for (uint32_t ny = y ? y - 1 : 0; ny <= y + 1 && ny < m->h; ny++)
            for (uint32_t nx = x ? x - 1 : 0; nx <= x + 1 && nx < m->w; nx++) {
                uint32_t next = ny * m->w + nx;
                if (m->on[next]) {
                    m->on[next] = 0;
                    m->stack[n++] = next;
                }
            }
    }
    *ret_first = first;
    *ret_last = last;
    return sum / (double)seen;
}

static double turn(const struct mr_pp_hull_point *a, const struct mr_pp_hull_point *b,
                   const struct mr_pp_hull_point *c) {
    return (b->x - a->x) * (c->y - a->y) - (b->y - a->y) * (c->x - a->x);
}

/* Of the row ends, downwards on the left and upwards on the right. `out` has room for two a row. */
static size_t hull(const struct map *m, uint32_t first, uint32_t last,
                   struct mr_pp_hull_point *out) {
    size_t n = 0;
    for (uint32_t y = first; y <= last; y++) {
        struct mr_pp_hull_point p = {m->lo[y], y};
        while (n >= 2 && turn(&out[n - 2], &out[n - 1], &p) >= 0)
            n--;
        out[n++] = p;
    }
    size_t left = n;
    for (uint32_t y = last + 1; y-- > first;) {
        struct mr_pp_hull_point p = {m->hi[y], y};
        while (n >= left + 1 && n >= 2 && turn(&out[n - 2], &out[n - 1], &p) >= 0)
            n--;
        out[n++] = p;
    }
    return n;
}

struct mr_quad mr_pp_least_rect(const struct mr_pp_hull_point *p, size_t n) {
    struct mr_quad best = {.cx = p[0].x, .cy = p[0].y, .ux = 1};
    double least = INFINITY;
    for (size_t k = 0; k < n; k++) {
        const struct mr_pp_hull_point *a = &p[k], *b = &p[(k + 1) % n];
        double len = hypot(b->x - a->x, b->y - a->y);
        double ux = len > 0 ? (b->x - a->x) / len : 1, uy = len > 0 ? (b->y - a->y) / len : 0;
        double s0 = INFINITY, s1 = -INFINITY, t0 = INFINITY, t1 = -INFINITY;
        for (size_t i = 0; i < n; i++) {
            double s = p[i].x * ux + p[i].y * uy, t = p[i].y * ux - p[i].x * uy;
            s0 = fmin(s0, s), s1 = fmax(s1, s);
            t0 = fmin(t0, t), t1 = fmax(t1, t);
        }
        if ((s1 - s0) * (t1 - t0) >= least)
            continue;
        least = (s1 - s0) * (t1 - t0);
        double s = (s0 + s1) / 2, t = (t0 + t1) / 2;
        best = (struct mr_quad){s * ux - t * uy, s * uy + t * ux, ux, uy, s1 - s0, t1 - t0};
    }
    if (fabs(best.ux) < fabs(best.uy)) /* the other side is closer to level */
        best = (struct mr_quad){best.cx, best.cy, -best.uy, best.ux, best.h, best.w};
    if (best.ux < 0) {
        best.ux = -best.ux;
        best.uy = -best.uy;
    }
    return best;
}

static int by_row(const void *a, const void *b) {
    const struct mr_quad *x = a, *y = b;
    return x->cy < y->cy ? -1 : x->cy > y->cy;
}

static int by_column(const void *a, const void *b) {
    const struct mr_quad *x = a, *y = b;
    return x->cx < y->cx ? -1 : x->cx > y->cx;
}

/* Rows from the top; boxes whose middles are within half a height are one row, from the left. */
static void reading_order(struct mr_quad *q, size_t n) {
    qsort(q, n, sizeof *q, by_row);
    for (size_t k = 0, end; k < n; k = end) {
        for (end = k + 1; end < n && q[end].cy - q[k].cy < fmin(q[k].h, q[end].h) / 2;)
            end++;
        qsort(q + k, end - k, sizeof *q, by_column);
    }
}

static size_t find(struct map *m, struct mr_pp_hull_point *points, struct mr_quad *out) {
    size_t n = 0, pixels = (size_t)m->w * m->h;
    for (size_t k = 0; k < pixels && n < MR_PP_BOXES_MAX; k++) {
        uint32_t first, last;
        if (!m->on[k])
            continue;
        double mean = flood(m, (uint32_t)k, &first, &last);
        struct mr_quad q = mr_pp_least_rect(points, hull(m, first, last, points));
        for (uint32_t y = first; y <= last; y++) {
            m->lo[y] = UINT32_MAX;
            m->hi[y] = 0;
        }
        if (fmin(q.w, q.h) < SIDE_MIN || mean < REGION_MEAN)
            continue;
        double grow = q.w * q.h * GROW / (q.w + q.h); /* twice area * ratio / perimeter */
        q.w += grow;
        q.h += grow;
        out[n++] = q;
    }
    reading_order(out, n);
    return n;
}

int mr_pp_boxes(const float *map, uint32_t w, uint32_t h, struct mr_arena *arena,
                struct mr_quad **ret, size_t *ret_n, struct mr_err *e) {
    size_t n = (size_t)w * h;
    if (!n || n > ((size_t)16 << 20))
        return mr_fail(e, MR_EPREDICT, "a text map of %u x %u", w, h);
    struct map m = {.p = map, .w = w, .h = h};
    MR_AUTO_FREE uint8_t *on = m.on = mr_malloc(n);
    MR_AUTO_FREE uint32_t *stack = m.stack = mr_reallocarray(NULL, n, sizeof *stack);
    MR_AUTO_FREE uint32_t *ends = mr_reallocarray(NULL, h, 2 * sizeof *ends);
    MR_AUTO_FREE struct mr_pp_hull_point *points = mr_reallocarray(NULL, h, 2 * sizeof *points);
    struct mr_quad *out = mr_arena_array(arena, MR_PP_BOXES_MAX, sizeof *out);
    if (!on || !stack || !ends || !points || !out)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    m.lo = ends;
    m.hi = ends + h;
    memset(m.lo, 255, h * sizeof *m.lo);
    memset(m.hi, 0, h * sizeof *m.hi);
    threshold(&m);
    *ret_n = find(&m, points, out);
    *ret = out;
    return 0;
}
