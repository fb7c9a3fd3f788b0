/* Dense kernels for any CPU, and the choice at run time. */
#define MR_KERNEL_NAME mr_dense_base
#include "model/ops/dense_kernel_impl.h"

const struct mr_dense_kernel *mr_dense_kernel(void) {
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
        __builtin_cpu_supports("avx512vpopcntdq"))
        return &mr_dense_avx512;
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
        __builtin_cpu_supports("bmi2"))
        return &mr_dense_avx2;
#endif
    return &mr_dense_base;
}
