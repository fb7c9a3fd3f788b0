/* Bodies of the dense kernels; included by one file per instruction set, which defines
 * MR_KERNEL_NAME. Vectors are GCC vector extensions: the compiler lowers 8 doubles to what the
 * target has. */
#include "model/ops/dense_kernel.h"

typedef double v8 __attribute__((vector_size(64)));
typedef double v8u __attribute__((vector_size(64), aligned(8)));
typedef int64_t i8 __attribute__((vector_size(64)));
typedef double v4 __attribute__((vector_size(32)));
typedef double v4u __attribute__((vector_size(32), aligned(8)));

#define LD8(p) (*(const v8u *)(p))
#define LD4(p) (*(const v4u *)(p))

static double dot(const double *x, const double *w, size_t n) {
    v8 a0 = {0}, a1 = {0};
    size_t j = 0;
    for (; j + 16 <= n; j += 16) {
        a0 += LD8(x + j) * LD8(w + j);
        a1 += LD8(x + j + 8) * LD8(w + j + 8);
    }
    a0 += a1;
    double s = ((a0[0] + a0[4]) + (a0[1] + a0[5])) + ((a0[2] + a0[6]) + (a0[3] + a0[7]));
    double t = 0;
    for (; j < n; j++)
        t += x[j] * w[j];
    return s + t;
}

static inline __attribute__((always_inline)) void store(double *y, const v8 *a, size_t n) {
    if (n >= 8)
        *(v8u *)y = *a;
    else
        for (size_t k = 0; k < n; k++)
            y[k] = (*a)[k];
}

static void row_narrow(const double *x, size_t n_in, const double *w, const double *b, size_t n_out,
                       double *y) {
    v4 a0 = LD4(b), a1 = {0}, a2 = {0}, a3 = {0};
    size_t j = 0;
    for (; j + 4 <= n_in; j += 4) {
        a0 += x[j] * LD4(w + j * 4);
        a1 += x[j + 1] * LD4(w + j * 4 + 4);
        a2 += x[j + 2] * LD4(w + j * 4 + 8);
        a3 += x[j + 3] * LD4(w + j * 4 + 12);
    }
    for (; j < n_in; j++)
        a0 += x[j] * LD4(w + j * 4);
    a0 = (a0 + a1) + (a2 + a3);
    for (size_t k = 0; k < n_out; k++)
        y[k] = a0[k];
}

/* One row, 8 outputs: four chains hide the adder's latency. */
static void row_wide1(const double *x, size_t n_in, const double *w, const double *b, size_t stride,
                      size_t n, double *y) {
    v8 a0 = LD8(b), a1 = {0}, a2 = {0}, a3 = {0};
    size_t j = 0;
    for (; j + 4 <= n_in; j += 4) {
        a0 += x[j] * LD8(w + j * stride);
        a1 += x[j + 1] * LD8(w + (j + 1) * stride);
        a2 += x[j + 2] * LD8(w + (j + 2) * stride);
        a3 += x[j + 3] * LD8(w + (j + 3) * stride);
    }
    for (; j < n_in; j++)
        a0 += x[j] * LD8(w + j * stride);
    a0 = (a0 + a1) + (a2 + a3);
    store(y, &a0, n);
}

static void row_wide4(const double *x, size_t n_in, const double *w, const double *b, size_t stride,
                      size_t n, double *y) {
    v8 a0 = LD8(b), a1 = LD8(b + 8), a2 = LD8(b + 16), a3 = LD8(b + 24);
    for (size_t j = 0; j < n_in; j++) {
        const double *p = w + j * stride;
        a0 += x[j] * LD8(p);
        a1 += x[j] * LD8(p + 8);
        a2 += x[j] * LD8(p + 16);
        a3 += x[j] * LD8(p + 24);
    }
    store(y, &a0, 8);
    store(y + 8, &a1, 8);
    store(y + 16, &a2, 8);
    store(y + 24, &a3, n - 24);
}

/* Four rows, 8 outputs: each weight is read once for four rows. */
static void rows4_wide1(const double *x, size_t xs, size_t n_in, const double *w, const double *b,
                        size_t stride, size_t n, double *y, size_t ys) {
    v8 a0 = LD8(b), a1 = a0, a2 = a0, a3 = a0;
    for (size_t j = 0; j < n_in; j++) {
        v8 v = LD8(w + j * stride);
        a0 += x[j] * v;
        a1 += x[xs + j] * v;
        a2 += x[2 * xs + j] * v;
        a3 += x[3 * xs + j] * v;
    }
    store(y, &a0, n);
    store(y + ys, &a1, n);
    store(y + 2 * ys, &a2, n);
    store(y + 3 * ys, &a3, n);
}

static void linear(const double *x, size_t rows, size_t n_in, size_t xs, const double *w,
                   const double *b, size_t stride, size_t n_out, double *y, size_t ys) {
    if (stride == 1) {
        for (size_t r = 0; r < rows; r++)
            y[r * ys] = dot(x + r * xs, w, n_in) + b[0];
        return;
    }
    if (stride == 4) {
        for (size_t r = 0; r < rows; r++)
            row_narrow(x + r * xs, n_in, w, b, n_out, y + r * ys);
        return;
    }
    size_t r = 0;
    for (; r + 4 <= rows; r += 4)
        for (size_t k = 0; k < n_out; k += 8)
            rows4_wide1(x + r * xs, xs, n_in, w + k, b + k, stride, n_out - k, y + r * ys + k, ys);
    for (; r < rows; r++) {
        size_t k = 0;
        for (; k + 24 < n_out; k += 32)
            row_wide4(x + r * xs, n_in, w + k, b + k, stride, n_out - k, y + r * ys + k);
        for (; k < n_out; k += 8)
            row_wide1(x + r * xs, n_in, w + k, b + k, stride, n_out - k, y + r * ys + k);
    }
}

/* acc += one feature's term; by pointer, as passing wide vectors has no stable ABI. */
static inline __attribute__((always_inline)) void term(enum mr_dist_kind kind, v8 *acc, double x,
                                                       const double *p) {
    v8 d = x - LD8(p);
    v8 a = (v8)((i8)d & INT64_MAX);
    i8 m = *acc > a;
    if (kind == MR_DIST_DOT)
        *acc += x * LD8(p);
    else if (kind == MR_DIST_SQ)
        *acc += d * d;
    else if (kind == MR_DIST_L1)
        *acc += a;
    else
        *acc = (v8)(((i8)*acc & m) | ((i8)a & ~m));
}

static inline __attribute__((always_inline)) void dist(enum mr_dist_kind kind, const double *x,
                                                       size_t n, const double *p, size_t n_block,
                                                       double *out) {
    size_t i = 0, step = n * 8;
    for (; i + 4 <= n_block; i += 4, p += 4 * step) {
        v8 a0 = {0}, a1 = {0}, a2 = {0}, a3 = {0};
        for (size_t j = 0; j < n; j++) {
            term(kind, &a0, x[j], p + j * 8);
            term(kind, &a1, x[j], p + step + j * 8);
            term(kind, &a2, x[j], p + 2 * step + j * 8);
            term(kind, &a3, x[j], p + 3 * step + j * 8);
        }
        store(out + i * 8, &a0, 8);
        store(out + i * 8 + 8, &a1, 8);
        store(out + i * 8 + 16, &a2, 8);
        store(out + i * 8 + 24, &a3, 8);
    }
    for (; i < n_block; i++, p += step) {
        v8 a = {0};
        for (size_t j = 0; j < n; j++)
            term(kind, &a, x[j], p + j * 8);
        store(out + i * 8, &a, 8);
    }
}

/* One fused multiply-add a lane and feature, in feature order. */
static void dist_fma(const double *x, size_t n, const double *p, size_t n_block, double *out) {
    for (size_t i = 0; i < n_block; i++, p += n * 8) {
        double a[8] = {0};
        for (size_t j = 0; j < n; j++)
            for (size_t k = 0; k < 8; k++)
                a[k] = __builtin_fma(x[j], p[j * 8 + k], a[k]);
        for (size_t k = 0; k < 8; k++)
            out[i * 8 + k] = a[k];
    }
}

static void dist8(enum mr_dist_kind kind, const double *x, size_t n_in, const double *blocks,
                  size_t n_block, double *out) {
    switch (kind) {
    case MR_DIST_DOT:
        dist(MR_DIST_DOT, x, n_in, blocks, n_block, out);
        break;
    case MR_DIST_SQ:
        dist(MR_DIST_SQ, x, n_in, blocks, n_block, out);
        break;
    case MR_DIST_L1:
        dist(MR_DIST_L1, x, n_in, blocks, n_block, out);
        break;
    case MR_DIST_MAX:
        dist(MR_DIST_MAX, x, n_in, blocks, n_block, out);
        break;
    case MR_DIST_FMA:
        dist_fma(x, n_in, blocks, n_block, out);
        break;
    }
}

/* exp by x = n ln 2 + r, |r| <= ln 2 / 2, Taylor series of r to the 13th power, exponent added to
 * the bits. Inputs outside [-690, 690] or NaN take the library's exp. */
static void exp8(double *v) {
    static const double inv[14] = {1.0,
                                   1.0,
                                   1.0 / 2,
                                   1.0 / 6,
                                   1.0 / 24,
                                   1.0 / 120,
                                   1.0 / 720,
                                   1.0 / 5040,
                                   1.0 / 40320,
                                   1.0 / 362880,
                                   1.0 / 3628800,
                                   1.0 / 39916800,
                                   1.0 / 479001600,
                                   1.0 / 6227020800.0};
    const double shift = 0x1.8p52;
    v8 x = LD8(v);
    v8 t = x * 0x1.71547652b82fep0 + shift; /* log2(e); the low bits of t hold n */
    v8 n = t - shift;
    v8 r = x - n * 0x1.62e42fee00000p-1; /* ln 2, high part with free low bits, then the rest */
    r = r - n * 0x1.a39ef35793c76p-33;
    v8 p = r * inv[13] + inv[12];
    for (int i = 11; i >= 0; i--)
        p = p * r + inv[i];
    i8 bits = (i8)p + ((i8)t << 52);
    *(v8u *)v = (v8)bits;
}

static void vexp(double *v, size_t n) {
    double tmp[8];
    for (size_t i = 0; i < n; i += 8) {
        size_t m = n - i < 8 ? n - i : 8;
        double *p = v + i;
        int plain = 1;
        for (size_t k = 0; k < m; k++)
            plain &= p[k] >= -690.0 && p[k] <= 690.0;
        if (plain && m == 8) {
            exp8(p);
        } else if (plain) {
            for (size_t k = 0; k < 8; k++)
                tmp[k] = k < m ? p[k] : 0;
            exp8(tmp);
            for (size_t k = 0; k < m; k++)
                p[k] = tmp[k];
        } else {
            for (size_t k = 0; k < m; k++)
                p[k] = __builtin_exp(p[k]);
        }
    }
}

const struct mr_dense_kernel MR_KERNEL_NAME = {linear, dist8, vexp};
