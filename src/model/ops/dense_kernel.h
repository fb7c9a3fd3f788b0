/* Dense inner loops shared by the linear and neighbour operations, compiled once per instruction
 * set (dense_base.c, dense_avx2.c, dense_avx512.c) and chosen at run time. */
#ifndef MR_MODEL_OPS_DENSE_KERNEL_H
#define MR_MODEL_OPS_DENSE_KERNEL_H

#include <stddef.h>
#include <stdint.h>

/* MR_DIST_FMA: scalar product with one rounding a step, as matrix products of FMA machines. */
enum mr_dist_kind { MR_DIST_DOT, MR_DIST_SQ, MR_DIST_L1, MR_DIST_MAX, MR_DIST_FMA };

struct mr_dense_kernel {
    /* y[r * y_stride + k] = b[k] + sum_j w[j * stride + k] * x[r * x_stride + j], k < n_out.
     * stride = mr_linear_stride(n_out); w has n_in * stride values, b stride. */
    void (*linear)(const double *x, size_t rows, size_t n_in, size_t x_stride, const double *w,
                   const double *b, size_t stride, size_t n_out, double *y, size_t y_stride);
    /* out[block * 8 + lane] over blocks of 8 points [feature][lane]; each lane adds its terms in
     * feature order, so the result is the plain loop's bit for bit. */
    void (*dist8)(enum mr_dist_kind kind, const double *x, size_t n_in, const double *blocks,
                  size_t n_block, double *out);
    /* v[i] = exp(v[i]), relative error below 1e-15; outside [-690, 690] it is libm. */
    void (*exp)(double *v, size_t n);
};

const struct mr_dense_kernel *mr_dense_kernel(void);

extern const struct mr_dense_kernel mr_dense_base, mr_dense_avx2, mr_dense_avx512;

#endif
