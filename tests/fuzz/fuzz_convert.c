/* A pickle on its whole way: machine, converters, compiled file, checks, one prediction. Bytes
 * behind the pickle's end overwrite words of the compiled file (8 bytes each: offset, value), which
 * must then be refused or run. */
#include "base/alloc.h"
#include "model/convert/convert.h"
#include "model/model.h"

#include <sys/mman.h>
#include <unistd.h>

#define MEMORY (64u << 20)
#define ROWS   2

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void predict(const struct mr_model *m) {
    const struct mr_model_info *info = mr_model_info(m);
    if (info->n_features > 4096)
        return;
    size_t n = (size_t)info->n_features * ROWS;
    struct mr_arena a;
    mr_arena_init(&a, MEMORY);
    double *dense = mr_arena_array(&a, n, sizeof *dense);
    struct mr_cell *cells = mr_arena_array(&a, n, sizeof *cells);
    for (size_t i = 0; dense && cells && i < n; i++) {
        dense[i] = (double)(i % 7) * 0.3;
        cells[i] = (struct mr_cell){.num = dense[i]};
        if (info->text_input || i % 5 == 4)
            cells[i].s = mr_str("good film");
    }
    struct mr_result r;
    if (dense && cells)
        (void)mr_model_run(m, dense, cells, ROWS, &a, &r, NULL);
    mr_arena_release(&a);
}

/* What our own writer wrote must open: the checks and the converters agree. */
static void open_file(int fd, bool ours) {
    struct mr_model *m;
    struct mr_err e = {0};
    int r = mr_model_open(fd, &m, &e);
    if (r && r != MR_ENOMEM && ours) {
        fprintf(stderr, "written, but not opened: %s\n", e.msg);
        __builtin_trap();
    }
    if (r)
        return;
    predict(m);
    mr_model_free(m);
}

static void damage(int fd, const uint8_t *patch, size_t n) {
    off_t size = lseek(fd, 0, SEEK_END);
    for (size_t i = 0; i + 8 <= n; i += 8) {
        uint32_t off, value;
        memcpy(&off, patch + i, 4);
        memcpy(&value, patch + i + 4, 4);
        off_t at = (off_t)off % size & ~(off_t)3;
        if (pwrite(fd, &value, 4, at) != 4)
            return;
    }
}

static void compiled(struct mr_build *b, const uint8_t *patch, size_t n) {
    int fd = memfd_create("fuzz", MFD_CLOEXEC);
    if (fd < 0)
        return;
    if (!mr_build_write(b, fd, NULL)) {
        open_file(fd, true);
        damage(fd, patch, n);
        open_file(fd, false);
    }
    close(fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct mr_pk_limits limits = mr_pk_default_limits();
    limits.max_memory = MEMORY;
    struct mr_pk_doc *doc;
    if (mr_pickle_load(data, size, &limits, &doc, NULL))
        return 0;
    struct mr_arena a;
    mr_arena_init(&a, MEMORY);
    struct mr_build *b = mr_build_new(&a);
    size_t rest = mr_pickle_trailing(doc);
    if (b && !mr_convert_pickle(doc, b, NULL))
        compiled(b, data + size - rest, rest < 128 ? rest : 128);
    mr_build_free(b);
    mr_arena_release(&a);
    mr_pickle_free(doc);
    return 0;
}
