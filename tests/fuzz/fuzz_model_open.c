/* Compiled model files: whatever opens must run on any rows. Corpus: small compiled models
 * (test_golden --write DIR). */
#include "model/model.h"

#include <math.h>
#include <sys/mman.h>
#include <unistd.h>

#define ROWS      20
#define ARENA_MAX (32u << 20)
#define CELLS_MAX 100000u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static volatile double sink; /* keeps the reads */

static void run(const struct mr_model *m, size_t rows) {
    const struct mr_model_info *in = mr_model_info(m);
    static const struct mr_str words[] = {{"", 0}, {"a cat sat on the mat", 20}, {"Wien", 4}};
    static const double values[] = {0, 1, -1, 0.5, 3.7, 1e30, -1e-36, NAN, 200, 5.1, -0.0, 41};
    size_t n = rows * in->n_features;
    struct mr_arena a;
    struct mr_result r;
    struct mr_err e;
    if (n > CELLS_MAX)
        return;
    mr_arena_init(&a, ARENA_MAX);
    double *x = mr_arena_array(&a, n, sizeof *x);
    struct mr_cell *c = mr_arena_array(&a, n, sizeof *c);
    for (size_t i = 0; x && c && i < n; i++) {
        x[i] = values[i * 7 % (sizeof values / sizeof *values)];
        c[i] = (struct mr_cell){x[i], {NULL, 0}};
        if (in->text_input || i % 5 == 3)
            c[i].s = words[i % 3];
    }
    if (x && c && mr_model_run(m, x, c, rows, &a, &r, &e) == 0)
        for (uint32_t k = 0; k < in->n_outputs; k++) {
            /* every answer must be readable */
            const struct mr_model_output *o = &in->outputs[k];
            const struct mr_vec *v = &r.slot[o->pred_slot];
            double sum = 0;
            for (size_t i = 0; i < rows * v->width; i++)
                sum += v->dense[i];
            for (size_t i = 0; o->classes && i < rows; i++)
                sum += (double)o->classes[(size_t)v->dense[i]].i;
            for (size_t i = 0; o->proba_slot != UINT32_MAX && i < rows * o->n_classes; i++)
                sum += r.slot[o->proba_slot].dense[i];
            sink = sum;
        }
    mr_arena_release(&a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct mr_model *m;
    struct mr_err e;
    int fd = memfd_create("model", MFD_CLOEXEC);
    if (fd < 0)
        return 0;
    if (write(fd, data, size) == (ssize_t)size && mr_model_open(fd, &m, &e) == 0) {
        run(m, 1);
        run(m, ROWS);
        mr_model_free(m);
    }
    close(fd);
    return 0;
}
