/* Times a compiled model in process: one row a call over varied rows, and a batch of all rows.
 *
 *   trees MODEL [ROWS.f64]     MODEL: a compiled file, or a pickle/XGBoost/LightGBM file by its
 * name
 *
 * ROWS.f64 holds rows of little-endian doubles; without it rows are random. Prints nanoseconds a
 * row: the median of 9 repetitions [smallest … largest]. */
#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "model/convert/convert.h"
#include "model/model.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#define REPEATS 9

static char *read_all(const char *path, size_t *ret_n) {
    MR_AUTO_FCLOSE FILE *f = fopen(path, "rb");
    if (!f || fseek(f, 0, SEEK_END))
        return NULL;
    long n = ftell(f);
    rewind(f);
    char *p = n < 0 ? NULL : mr_malloc((size_t)n + 1);
    if (p && fread(p, 1, (size_t)n, f) != (size_t)n) {
        mr_free(p);
        return NULL;
    }
    *ret_n = (size_t)n;
    return p;
}

static int compile(const char *path, int *ret_fd, struct mr_err *e) {
    size_t n;
    MR_AUTO_FREE char *bytes = read_all(path, &n);
    struct mr_arena arena;
    struct mr_pk_doc *doc = NULL;
    if (!bytes)
        return mr_fail(e, MR_EIO, "cannot read %s", path);
    mr_arena_init(&arena, (size_t)1 << 30);
    struct mr_build *b = mr_build_new(&arena);
    struct mr_pk_limits lim = mr_pk_default_limits();
    struct mr_str s = mr_strn(bytes, n);
    int r;
    if (mr_str_ends(mr_str(path), MR_LIT(".json")))
        r = mr_convert_xgboost_json(s, b, e);
    else if (mr_str_ends(mr_str(path), MR_LIT(".ubj")))
        r = mr_convert_xgboost_ubj(s, b, e);
    else if (mr_str_ends(mr_str(path), MR_LIT(".txt")))
        r = mr_convert_lightgbm_text(s, b, e);
    else if (!(r = mr_pickle_load(bytes, n, &lim, &doc, e)))
        r = mr_convert_pickle(doc, b, e);
    *ret_fd = memfd_create("model", MFD_CLOEXEC);
    if (!r)
        r = mr_build_write(b, *ret_fd, e);
    mr_pickle_free(doc);
    mr_build_free(b);
    mr_arena_release(&arena);
    return r;
}

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double seconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t); /* other work on the machine does not count */
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* Runs over all rows, `step` at a time; nanoseconds a row. */
static double once(const struct mr_model *m, const double *x, size_t rows, size_t step,
                   struct mr_arena *a, int loops) {
    size_t w = mr_model_info(m)->n_features;
    struct mr_result res;
    struct mr_err e;
    double t = seconds();
    for (int k = 0; k < loops; k++)
        for (size_t i = 0; i + step <= rows; i += step) {
            mr_arena_reset(a);
            if (mr_model_run(m, x + i * w, NULL, step, a, &res, &e)) {
                fprintf(stderr, "%s\n", e.msg);
                exit(1);
            }
        }
    return (seconds() - t) * 1e9 / ((double)loops * (double)(rows / step * step));
}

static void report(const char *name, const struct mr_model *m, const double *x, size_t rows,
                   size_t step) {
    double v[REPEATS];
    struct mr_arena a;
    mr_arena_init(&a, (size_t)1 << 30);
    int loops = 1;
    while (once(m, x, rows, step, &a, loops) * (double)rows * loops < 2e7 && loops < 1000)
        loops *= 2;
    for (int i = 0; i < REPEATS; i++)
        v[i] = once(m, x, rows, step, &a, loops);
    mr_arena_release(&a);
    qsort(v, REPEATS, sizeof *v, by_value);
    printf("  %-12s %8.0f ns/row [%.0f … %.0f]\n", name, v[REPEATS / 2], v[0], v[REPEATS - 1]);
}

int main(int argc, char **argv) {
    struct mr_err e = {0};
    struct mr_model *m = NULL;
    int fd = -1;
    if (argc < 2) {
        fprintf(stderr, "usage: trees MODEL [ROWS.f64]\n");
        return 2;
    }
    fd = open(argv[1], O_RDONLY | O_CLOEXEC);
    if (fd < 0 || mr_model_open(fd, &m, &e)) {
        if (fd >= 0)
            close(fd);
        if (compile(argv[1], &fd, &e) || mr_model_open(fd, &m, &e)) {
            fprintf(stderr, "%s: %s\n", argv[1], e.msg);
            return 1;
        }
    }
    const struct mr_model_info *in = mr_model_info(m);
    if (in->input_kind != MR_SLOT_DENSE) {
        fprintf(stderr, "the model reads text\n");
        return 1;
    }
    size_t rows = 1000, n = 0;
    double *x = argc > 2 ? (double *)(void *)read_all(argv[2], &n) : NULL;
    if (x) {
        rows = n / sizeof(double) / in->n_features;
    } else {
        x = mr_calloc(rows * in->n_features, sizeof *x);
        uint64_t seed = 1;
        for (size_t i = 0; i < rows * in->n_features; i++) {
            seed = seed * 6364136223846793005u + 1442695040888963407u;
            x[i] = (double)(seed >> 40) / 16777216 * 8;
        }
    }
    printf("%s: %.*s, %u columns, %zu rows, estimate %.0f ns\n", argv[1], (int)in->model_type.n,
           in->model_type.p, in->n_features, rows, in->est_row_ns);
    report("1 row", m, x, rows, 1);
    report("batch", m, x, rows, rows);
    mr_free(x);
    mr_model_free(m);
    close(fd);
    return 0;
}
