#include "engine/vision/image_mix.h"

#if defined __x86_64__

const struct mr_image_kernels mr_image_avx2 = {mr_image_mix_rows, mr_image_mix_columns,
                                               mr_image_any_at_least};

#endif
