/* LightGBM's model text -> builder -> compiled file -> opened. */
#include "model/convert/convert.h"
#include "model/model.h"

#include <sys/mman.h>
#include <unistd.h>

#define ARENA_MAX (256u << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct mr_arena a;
    struct mr_err e;
    struct mr_model *m;
    mr_arena_init(&a, ARENA_MAX);
    struct mr_build *b = mr_build_new(&a);
    int fd = memfd_create("model", MFD_CLOEXEC);
    /* What a converter accepts must also be accepted, and run, when opened. */
    if (b && fd >= 0 && mr_convert_lightgbm_text(mr_strn((const char *)data, size), b, &e) == 0 &&
        mr_build_write(b, fd, &e) == 0) {
        if (mr_model_open(fd, &m, &e))
            __builtin_trap();
        mr_model_free(m);
    }
    if (fd >= 0)
        close(fd);
    mr_build_free(b);
    mr_arena_release(&a);
    return 0;
}
