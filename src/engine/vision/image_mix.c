#include "engine/vision/image_mix.h"

const struct mr_image_kernels mr_image_base = {mr_image_mix_rows, mr_image_mix_columns,
                                               mr_image_any_at_least};

const struct mr_image_kernels *mr_image_kernels(void) {
#if defined __x86_64__
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
        return &mr_image_avx2;
#endif
    return &mr_image_base;
}
