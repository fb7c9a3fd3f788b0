/* Times a model compiled by tl2cgen (or lleaves) in a C loop, one call a row.
 *
 *   tl_loop LIB.so ROWS.f64 FEATURES OUTPUTS EXPECTED.exp CLASSES [lleaves]
 *
 * Prints: largest difference from the library's answer, then nanoseconds a row, the median of 9
 * repetitions [smallest … largest], thread CPU time. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define REPEATS 9

typedef void tl_fn(double *, int, double *);
typedef void ll_fn(double *, double *, int, int);
static tl_fn *tl;
static ll_fn *ll;

static double seconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double *read_doubles(const char *path, size_t *n) {
    FILE *f = fopen(path, "rb");
    if (!f || fseek(f, 0, SEEK_END))
        exit(2);
    *n = (size_t)ftell(f) / sizeof(double);
    rewind(f);
    double *p = aligned_alloc(64, (*n * sizeof *p + 63) / 64 * 64);
    if (!p || fread(p, sizeof *p, *n, f) != *n)
        exit(2);
    fclose(f);
    return p;
}

static void run(double *x, double *o, size_t rows, size_t w, size_t outs, int step) {
    if (ll) {
        for (size_t i = 0; i + (size_t)step <= rows; i += (size_t)step)
            ll(x + i * w, o + i, 0, step);
        return;
    }
    memset(o, 0, rows * outs * sizeof *o);
    for (size_t i = 0; i < rows; i++)
        tl(x + i * w, 0, o + i * outs);
}

static void report(const char *name, double *x, double *o, size_t rows, size_t w, size_t outs,
                   int step) {
    double v[REPEATS];
    int loops = 1;
    for (double t = 0; t < 0.02 && loops < 4096; loops *= 2) {
        t = seconds();
        for (int k = 0; k < loops; k++)
            run(x, o, rows, w, outs, step);
        t = seconds() - t;
    }
    for (int i = 0; i < REPEATS; i++) {
        double t = seconds();
        for (int k = 0; k < loops; k++)
            run(x, o, rows, w, outs, step);
        v[i] = (seconds() - t) * 1e9 / ((double)loops * (double)rows);
    }
    qsort(v, REPEATS, sizeof *v, by_value);
    printf("  %-12s %8.0f ns/row [%.0f … %.0f]\n", name, v[REPEATS / 2], v[0], v[REPEATS - 1]);
}

int main(int argc, char **argv) {
    size_t n, m, w, outs, classes;
    if (argc < 7)
        return 2;
    void *lib = dlopen(argv[1], RTLD_NOW);
    if (!lib) {
        fprintf(stderr, "%s\n", dlerror());
        return 2;
    }
    if (argc > 7)
        ll = (ll_fn *)dlsym(lib, "forest_root");
    else
        tl = (tl_fn *)dlsym(lib, "predict");
    if (!ll && !tl)
        return 2;
    double *x = read_doubles(argv[2], &n), *want = read_doubles(argv[5], &m), worst = 0;
    w = strtoul(argv[3], NULL, 10);
    outs = strtoul(argv[4], NULL, 10);
    classes = strtoul(argv[6], NULL, 10);
    size_t rows = n / w;
    double *o = calloc(rows * outs, sizeof *o);
    run(x, o, rows, w, outs, 1);
    for (size_t i = 0; i < rows; i++)
        for (size_t k = 0; k < outs; k++) {
            double y = outs == 1 ? want[i * classes + 1] : want[i * classes + k];
            worst = fmax(worst, fabs(o[i * outs + k] - y));
        }
    printf("  difference %g\n", worst);
    report("1 row", x, o, rows, w, outs, 1);
    report("batch", x, o, rows, w, outs, ll ? (int)rows : 1);
    return 0;
}
