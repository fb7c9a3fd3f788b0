/* The small operations that stand around an ensemble. */
#include "model/convert/trees_build.h"
#include "model/op_ids.h"
#include "model/ops/params.h"

uint32_t mr_tree_link(struct mr_convert *c, uint32_t in, uint32_t link, double scale,
                      uint32_t width) {
    uint32_t out = mr_build_slot(c->b, MR_SLOT_DENSE, width);
    struct mr_blob b;
    mr_blob_begin(c->b, &b, sizeof(struct mr_p_link));
    *(struct mr_p_link *)mr_blob_head(&b) = (struct mr_p_link){.link = link, .scale = scale};
    mr_build_op(c->b, MR_OP_LINK, &in, 1, out, &b);
    return out;
}

uint32_t mr_tree_argmax(struct mr_convert *c, uint32_t in) {
    uint32_t out = mr_build_slot(c->b, MR_SLOT_DENSE, 1);
    struct mr_blob b;
    mr_blob_begin(c->b, &b, sizeof(struct mr_p_argmax));
    mr_build_op(c->b, MR_OP_ARGMAX, &in, 1, out, &b);
    return out;
}

uint32_t mr_tree_threshold(struct mr_convert *c, uint32_t in, double t, bool or_equal) {
    uint32_t out = mr_build_slot(c->b, MR_SLOT_DENSE, 1);
    struct mr_blob b;
    mr_blob_begin(c->b, &b, sizeof(struct mr_p_threshold));
    struct mr_p_threshold *p = mr_blob_head(&b);
    *p = (struct mr_p_threshold){.t = t, .or_equal = or_equal};
    mr_build_op(c->b, MR_OP_THRESHOLD, &in, 1, out, &b);
    return out;
}

uint32_t mr_tree_affine(struct mr_convert *c, uint32_t in, const double *shift, const double *scale,
                        bool divide, const double *lo, const double *hi) {
    uint32_t out = mr_build_slot(c->b, MR_SLOT_DENSE, mr_build_slot_width(c->b, in));
    struct mr_p_affine p = {.divide = divide};
    struct mr_blob b;
    mr_blob_begin(c->b, &b, sizeof p);
    p.shift = mr_blob_f64(&b, shift, shift != NULL);
    p.scale = mr_blob_f64(&b, scale, scale != NULL);
    p.lo = mr_blob_f64(&b, lo, lo != NULL);
    p.hi = mr_blob_f64(&b, hi, hi != NULL);
    memcpy(mr_blob_head(&b), &p, sizeof p);
    mr_build_op(c->b, MR_OP_AFFINE, &in, 1, out, &b);
    return out;
}

static uint32_t mean_op(struct mr_convert *c, const uint32_t *slot, uint32_t n, const double *w,
                        double divisor) {
    uint32_t out = mr_build_slot(c->b, MR_SLOT_DENSE, mr_build_slot_width(c->b, slot[0]));
    struct mr_p_mean p = {.divisor = divisor};
    struct mr_blob b;
    mr_blob_begin(c->b, &b, sizeof p);
    p.weight = mr_blob_f64(&b, w, w ? n : 0);
    memcpy(mr_blob_head(&b), &p, sizeof p);
    mr_build_op(c->b, MR_OP_MEAN, slot, n, out, &b);
    return out;
}

uint32_t mr_tree_mean(struct mr_convert *c, const uint32_t *slot, size_t n, const double *w,
                      double divisor) {
    uint32_t in[MR_OP_MAX_IN];
    double weight[MR_OP_MAX_IN];
    size_t at = 0;
    uint32_t k = 0;
    for (;;) {
        while (k < MR_OP_MAX_IN && at < n) {
            weight[k] = w ? w[at] : 1;
            in[k++] = slot[at++];
        }
        uint32_t sum = mean_op(c, in, k, w ? weight : NULL, at < n ? 1 : divisor);
        if (at >= n)
            return sum;
        in[0] = sum; /* the sum so far goes on as the first input */
        weight[0] = 1;
        k = 1;
    }
}

uint32_t mr_tree_select(struct mr_convert *c, uint32_t in, const uint32_t *cols, uint32_t at,
                        uint32_t n) {
    if (!cols && at == 0 && n == mr_build_slot_width(c->b, in))
        return in;
    uint32_t out = mr_build_slot(c->b, mr_build_slot_kind(c->b, in), n);
    uint32_t *v = mr_arena_array(c->arena, n ? n : 1, sizeof *v);
    for (uint32_t i = 0; v && i < n; i++)
        v[i] = cols ? cols[i] : at + i;
    struct mr_blob b;
    mr_blob_begin(c->b, &b, sizeof(struct mr_p_select));
    struct mr_ref r = mr_blob_u32(&b, v, v ? n : 0);
    ((struct mr_p_select *)mr_blob_head(&b))->cols = r;
    mr_build_op(c->b, MR_OP_SELECT, &in, 1, out, &b);
    return out;
}
