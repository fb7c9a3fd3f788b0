/* Dense kernels for avx512. */
#define MR_KERNEL_NAME mr_dense_avx512
#include "model/ops/dense_kernel_impl.h"
