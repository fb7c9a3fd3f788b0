#include "engine/vision/nets.h"

#include "base/cleanup.h"

#include <fcntl.h>
#include <pthread.h>
#include <unistd.h>

#define RUN_MS 60000

struct mr_nets {
    char *path;
    unsigned most;
    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t freed;
    struct mr_onnx *net[MR_NETS_MAX];
    bool busy[MR_NETS_MAX];
    unsigned n, running, waiting;
    uint64_t tickets, turn; /* callers are served in the order in which they came */
    bool growing;
};

static int load(const struct mr_nets *n, unsigned threads, struct mr_onnx **ret, struct mr_err *e) {
    MR_AUTO_CLOSE int fd = open(n->path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return mr_fail_errno(e, n->path);
    struct mr_model_spec spec = {.kind = MR_ENGINE_ONNX, .timeout_ms = RUN_MS, .threads = threads};
    return mr_onnx_load(&spec, fd, ret, e);
}

int mr_nets_open(const char *dir, const char *file, struct mr_nets **ret, struct mr_err *e) {
    struct mr_nets *n = mr_calloc(1, sizeof *n);
    size_t len = strlen(dir) + strlen(file) + 2;
    if (!n || !(n->path = mr_malloc(len))) {
        mr_free(n);
        return mr_fail(e, MR_ENOMEM, "out of memory");
    }
    snprintf(n->path, len, "%s/%s", dir, file);
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    n->most = cpus < 1 ? 1 : cpus > MR_NETS_MAX ? MR_NETS_MAX : (unsigned)cpus;
    pthread_mutex_init(&n->lock, NULL);
    pthread_cond_init(&n->freed, NULL);
    int r = load(n, mr_onnx_threads(), &n->net[0], e);
    if (r) {
        mr_nets_free(n);
        return r;
    }
    n->n = 1;
    *ret = n;
    return 0;
}

void mr_nets_free(struct mr_nets *n) {
    if (!n)
        return;
    for (unsigned k = 0; k < n->n; k++)
        mr_onnx_free(n->net[k]);
    pthread_cond_destroy(&n->freed);
    pthread_mutex_destroy(&n->lock);
    mr_free(n->path);
    mr_free(n);
}

uint64_t mr_nets_memory(struct mr_nets *n) {
    uint64_t sum = 0;
    pthread_mutex_lock(&n->lock);
    for (unsigned k = 0; k < n->n; k++)
        sum += mr_onnx_memory(n->net[k]);
    pthread_mutex_unlock(&n->lock);
    return sum;
}

/* Loading takes longer than a run, so it pays only when somebody waits already. With the lock held,
 * but not meanwhile; a failure to load more is no failure of the run. */
static void grow(struct mr_nets *n) {
    struct mr_onnx *more = NULL;
    n->growing = true;
    pthread_mutex_unlock(&n->lock);
    int r = load(n, 1, &more, NULL);
    pthread_mutex_lock(&n->lock);
    n->growing = false;
    if (r)
        n->most = n->n;
    else
        n->net[n->n++] = more;
    pthread_cond_broadcast(&n->freed); /* it is for the one whose turn it is */
}

/* *ret_alone: the only run, which the first worker does with all its threads. */
static unsigned take(struct mr_nets *n, bool *ret_alone) {
    pthread_mutex_lock(&n->lock);
    uint64_t mine = n->tickets++;
    for (;;) {
        for (unsigned k = 0; k < n->n && mine == n->turn; k++)
            if (!n->busy[k]) {
                n->busy[k] = true;
                n->turn++;
                *ret_alone = !n->running++ && !n->waiting;
                pthread_cond_broadcast(&n->freed); /* the next may find another one free */
                pthread_mutex_unlock(&n->lock);
                return k;
            }
        if (n->waiting && n->n < n->most && !n->growing) {
            grow(n);
            continue; /* one may have been given back while nobody here listened */
        }
        n->waiting++;
        pthread_cond_wait(&n->freed, &n->lock);
        n->waiting--;
    }
}

static void give(struct mr_nets *n, unsigned k) {
    pthread_mutex_lock(&n->lock);
    n->busy[k] = false;
    n->running--;
    pthread_cond_broadcast(&n->freed);
    pthread_mutex_unlock(&n->lock);
}

int mr_nets_run(struct mr_nets *n, const struct mr_tensor *in, struct mr_arena *arena,
                const struct mr_tensor **out, size_t n_out, struct mr_err *e) {
    struct mr_onnx_result *res;
    size_t got = 0;
    bool alone;
    unsigned k = take(n, &alone);
    int r = mr_onnx_run(n->net[k], in, 1, alone, arena, &res, &got, e);
    give(n, k);
    if (r)
        return r;
    for (size_t i = 0; i < n_out; i++) {
        if (i >= got || res[i].kind != MR_ONNX_TENSOR || res[i].t.elem != MR_ONNX_FLOAT)
            return mr_fail(e, MR_EPREDICT, "the model's output %zu is no tensor of floats", i);
        out[i] = &res[i].t;
    }
    return 0;
}

int mr_nets_expect(struct mr_nets *n, const char *const *outputs, size_t n_out, size_t *order,
                   struct mr_err *e) {
    size_t n_in, have;
    const struct mr_onnx_value *in = mr_onnx_inputs(n->net[0], &n_in);
    const struct mr_onnx_value *out = mr_onnx_outputs(n->net[0], &have);
    if (n_in != 1 || in[0].kind != MR_ONNX_TENSOR || in[0].elem != MR_ONNX_FLOAT || have != n_out)
        return mr_fail(e, MR_EREFUSED, "%s has %zu inputs and %zu outputs, not 1 and %zu", n->path,
                       n_in, have, n_out);
    for (size_t k = 0; k < n_out; k++) {
        size_t at = 0;
        while (outputs[k] && at < have && !mr_str_is(out[at].name, outputs[k]))
            at++;
        if (at == have)
            return mr_fail(e, MR_EREFUSED, "%s has no output '%s'", n->path, outputs[k]);
        order[k] = at;
    }
    return 0;
}

struct mr_tensor mr_nets_tensor(const float *data, int rank, const int64_t *dim) {
    struct mr_tensor t = {.elem = MR_ONNX_FLOAT, .rank = rank, .count = 1, .data = data};
    for (int k = 0; k < rank; k++) {
        t.dim[k] = dim[k];
        t.count *= (size_t)dim[k];
    }
    return t;
}

struct mr_onnx *mr_nets_first(const struct mr_nets *n) {
    return n->net[0];
}
