/* bench_llm_kernels [THREADS]: our products of quantised weights (src/engine/llm/kernels) on shapes
 * of the default model. Few columns are bound by memory, so weights are more than the caches hold;
 * many by arithmetic. The first line that is printed is to be dropped: pages and clocks warm up. */
#include "base/clock.h"
#include "engine/llm/kernels/qmm.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define THREADS_MAX 64
#define WEIGHTS     ((size_t)96 << 20)

struct job {
    enum mr_qmm_type type;
    size_t rows, k, n, copies, repeat, threads;
    uint8_t *weights, *acts;
    float *out;
    pthread_barrier_t *meet;
};
struct thread {
    const struct job *j;
    size_t ith;
};

static void *run(void *arg) {
    const struct thread *t = arg;
    const struct job *j = t->j;
    size_t panels = j->rows / MR_QMM_ROWS, size = mr_qmm_weights_size(j->type, j->rows, j->k);
    pthread_barrier_wait(j->meet);
    for (size_t r = 0; r < j->repeat; r++)
        mr_qmm_mul(j->type, j->weights + r % j->copies * size, j->rows, j->k, j->acts, j->n, j->out,
                   j->rows * sizeof(float), panels * t->ith / j->threads,
                   panels * (t->ith + 1) / j->threads);
    pthread_barrier_wait(j->meet);
    return NULL;
}

static void measure(struct job j) {
    static const char *const name[] = {"Q4_0", "Q4_1", "Q8_0"};
    struct thread t[THREADS_MAX];
    pthread_t id[THREADS_MAX];
    pthread_barrier_t meet;
    size_t size = mr_qmm_weights_size(j.type, j.rows, j.k);
    float *x = calloc(j.n * j.k, sizeof *x);
    j.acts = malloc(mr_qmm_acts_size(j.n, j.k));
    j.out = malloc(j.n * j.rows * sizeof *j.out);
    j.copies = WEIGHTS / size;
    j.repeat = j.n > 16 ? 2 * j.copies / j.n + 8 : 3 * j.copies;
    for (size_t i = 0; i < j.n * j.k; i++)
        x[i] = (float)(i * 7919 % 2001) / 1000 - 1;
    mr_qmm_acts(j.type, j.n, j.k, x, j.k * sizeof *x, j.acts, 0, mr_qmm_tiles(j.n));
    pthread_barrier_init(&meet, NULL, (unsigned)j.threads + 1);
    j.meet = &meet;
    for (size_t i = 0; i < j.threads; i++) {
        t[i] = (struct thread){&j, i};
        pthread_create(&id[i], NULL, run, &t[i]);
    }
    int64_t start = mr_mono_ns();
    pthread_barrier_wait(&meet);
    pthread_barrier_wait(&meet);
    double ns = (double)(mr_mono_ns() - start) / (double)j.repeat;
    for (size_t i = 0; i < j.threads; i++)
        pthread_join(id[i], NULL);
    printf("%s %5zu x %4zu, %3zu columns: %6.1f GFLOP/s %5.1f GB/s\n", name[j.type], j.rows, j.k,
           j.n, 2.0 * (double)(j.rows * j.k * j.n) / ns, (double)size / ns);
    pthread_barrier_destroy(&meet);
    free(j.acts);
    free(j.out);
    free(x);
}

int main(int argc, char **argv) {
    static const size_t columns[] = {1, 1, 2, 4, 8, 12, 64, 256, 512};
    size_t threads = argc > 1 ? strtoul(argv[1], NULL, 10) : 2;
    if (threads < 1 || threads > THREADS_MAX || !mr_qmm_usable())
        return 2;
    uint8_t *w = mmap(NULL, WEIGHTS, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (w == MAP_FAILED)
        return 1;
    madvise(w, WEIGHTS, MADV_HUGEPAGE);
    memset(w, 0x11, WEIGHTS);
    for (size_t i = 0; i < sizeof columns / sizeof *columns; i++) {
        measure((struct job){MR_QMM_Q4_1, 1536, 576, columns[i], .threads = threads, .weights = w});
        measure(
            (struct job){MR_QMM_Q8_0, 49152, 576, columns[i], .threads = threads, .weights = w});
    }
    return 0;
}
