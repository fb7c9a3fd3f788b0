/* Dense kernels for avx2. */
#define MR_KERNEL_NAME mr_dense_avx2
#include "model/ops/dense_kernel_impl.h"
