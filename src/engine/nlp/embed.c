/* Sentence embeddings: word pieces, the model in sandboxed workers, mean over the words, length 1.
 * Method: Reimers and Gurevych 2019, doi 10.18653/v1/D19-1410; settings of all-MiniLM-L6-v2. */
#include "base/alloc.h"
#include "base/cleanup.h"
#include "engine/nlp/file.h"
#include "engine/nlp/nlp.h"
#include "engine/nlp/wordpiece.h"
#include "engine/onnx/onnx.h"

#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#define PIECES_MAX  256 /* with [CLS] and [SEP], as the model was trained */
#define WORKERS_MAX 2
#define RUN_MS      60000
#define BATCH_ROWS  16
#define BATCH_MAX   512 /* word pieces of a run, with padding; above, caches suffer */
#define N_INPUTS    3

struct mr_embedder {
    struct mr_wordpiece *pieces;
    unsigned dim;
    uint8_t order[N_INPUTS]; /* which of ids, mask, types each input of the model is */
    int model_fd;
    pthread_mutex_t lock; /* the rest */
    pthread_cond_t freed;
    struct mr_onnx *worker[WORKERS_MAX];
    bool busy[WORKERS_MAX];
    unsigned n_workers; /* started, or being started */
    unsigned running, waiting;
    _Atomic uint64_t memory;
};

static int start_worker(struct mr_embedder *m, unsigned k, struct mr_err *e) {
    struct mr_onnx **ret = &m->worker[k];
    const struct mr_model_spec spec = {
        .kind = MR_ENGINE_ONNX, .timeout_ms = RUN_MS, .threads = k ? 1 : mr_onnx_threads()};
    int r = mr_onnx_load(&spec, m->model_fd, ret, e);
    if (!r)
        m->memory += mr_onnx_memory(*ret);
    return r;
}

static int check_model(struct mr_embedder *m, struct mr_err *e) {
    static const char *const name[N_INPUTS] = {"input_ids", "attention_mask", "token_type_ids"};
    size_t n_in, n_out;
    const struct mr_onnx_value *in = mr_onnx_inputs(m->worker[0], &n_in);
    const struct mr_onnx_value *out = mr_onnx_outputs(m->worker[0], &n_out);
    unsigned seen = 0;
    for (size_t k = 0; n_in == N_INPUTS && k < n_in; k++)
        for (uint8_t x = 0; x < N_INPUTS; x++)
            if (mr_str_is(in[k].name, name[x])) {
                m->order[k] = x;
                seen |= 1u << x;
            }
    if (seen != 7 || n_out < 1)
        return mr_fail(e, MR_EUNSUPPORTED,
                       "the embedding model must take input_ids, attention_mask and "
                       "token_type_ids");
    if (out[0].rank != 3 || out[0].dim[2] < 1 || out[0].dim[2] > 8192)
        return mr_fail(e, MR_EUNSUPPORTED, "the embedding model must give one vector a word piece");
    m->dim = (unsigned)out[0].dim[2];
    return 0;
}

int mr_embedder_open(const char *dir, struct mr_embedder **ret, struct mr_err *e) {
    struct mr_str vocab;
    MR_AUTO_FREE char *text = NULL;
    struct mr_embedder *m = mr_calloc(1, sizeof *m);
    if (!m)
        return mr_fail(e, MR_ENOMEM, "out of memory loading a model");
    pthread_mutex_init(&m->lock, NULL);
    pthread_cond_init(&m->freed, NULL);
    m->model_fd = -1;
    int r = mr_nlp_read_file(dir, "vocab.txt", MR_WORDPIECE_VOCAB_MAX, &text, &vocab, e);
    if (!r)
        r = mr_wordpiece_new(vocab, &m->pieces, e);
    if (!r)
        r = mr_nlp_open_file(dir, "model.onnx", &m->model_fd, e);
    if (!r) {
        m->memory = sizeof *m + mr_wordpiece_memory(m->pieces);
        r = start_worker(m, 0, e);
    }
    if (!r) {
        m->n_workers = 1;
        r = check_model(m, e);
    }
    if (r) {
        mr_embedder_free(m);
        return r;
    }
    *ret = m;
    return 0;
}

void mr_embedder_free(struct mr_embedder *m) {
    if (!m)
        return;
    for (int k = 0; k < WORKERS_MAX; k++)
        mr_onnx_free(m->worker[k]);
    if (m->model_fd >= 0)
        close(m->model_fd);
    mr_wordpiece_free(m->pieces);
    pthread_cond_destroy(&m->freed);
    pthread_mutex_destroy(&m->lock);
    mr_free(m);
}

uint64_t mr_embedder_memory(const struct mr_embedder *m) {
    return m->memory;
}

unsigned mr_embedder_dim(const struct mr_embedder *m) {
    return m->dim;
}

/* --- the pool ------------------------------------------------------------------------------ */
static void give_back(struct mr_embedder *m, unsigned k) {
    pthread_mutex_lock(&m->lock);
    m->busy[k] = false;
    m->running--;
    pthread_cond_signal(&m->freed);
    pthread_mutex_unlock(&m->lock);
}

/* A free worker; the second is started when it is first needed. *ret_alone: it is the only one that
 * runs. */
static int acquire(struct mr_embedder *m, unsigned *ret, bool *ret_alone, struct mr_err *e) {
    int r = 0;
    unsigned k;
    pthread_mutex_lock(&m->lock);
    for (;;) {
        for (k = 0; k < m->n_workers && m->busy[k]; k++)
            ;
        if (k < m->n_workers || k < WORKERS_MAX)
            break;
        m->waiting++;
        pthread_cond_wait(&m->freed, &m->lock);
        m->waiting--;
    }
    m->busy[k] = true;
    *ret_alone = !m->running++ && !m->waiting;
    bool start = k >= m->n_workers;
    if (start)
        m->n_workers = k + 1;
    pthread_mutex_unlock(&m->lock);
    if (!m->worker[k])
        r = start_worker(m, k, e);
    if (r) { /* the slot stays and is tried again by the next who takes it */
        give_back(m, k);
        return r;
    }
    *ret = k;
    return 0;
}

/* --- one run ------------------------------------------------------------------------------- */
struct batch {
    uint32_t first, rows; /* in by_length */
};
struct job {
    struct mr_embedder *m;
    const uint32_t *ids; /* PIECES_MAX a text */
    const uint16_t *len;
    const uint32_t *by_length; /* text numbers, longest first */
    const struct batch *batch;
    size_t n;
    float *out;
    atomic_size_t next;
    pthread_mutex_t lock; /* rc, err */
    int rc;
    struct mr_err err;
};

/* Mean over the pieces, then length 1. */
static void pool(const float *v, unsigned len, unsigned dim, float *out) {
    double norm = 0;
    for (unsigned d = 0; d < dim; d++) {
        float sum = 0;
        for (unsigned t = 0; t < len; t++)
            sum += v[(size_t)t * dim + d];
        out[d] = sum / (float)len;
        norm += (double)out[d] * out[d];
    }
    float scale = norm > 0 ? (float)(1 / sqrt(norm)) : 0;
    for (unsigned d = 0; d < dim; d++)
        out[d] *= scale;
}

/* Texts of nearly one length, padded to the longest; the mask keeps padding out, so a text's vector
 * is the same whatever it runs with (to rounding). */
static int run_batch(struct job *j, const struct batch *b, unsigned worker, bool alone,
                     struct mr_arena *a, struct mr_err *e) {
    int64_t val[N_INPUTS][BATCH_MAX] = {0};
    const uint32_t *text = j->by_length + b->first;
    unsigned len = j->len[text[0]], dim = j->m->dim;
    for (uint32_t row = 0; row < b->rows; row++)
        for (unsigned t = 0; t < j->len[text[row]]; t++) {
            val[0][row * len + t] = j->ids[(size_t)text[row] * PIECES_MAX + t];
            val[1][row * len + t] = 1;
        }
    struct mr_tensor in[N_INPUTS];
    for (int k = 0; k < N_INPUTS; k++)
        in[k] = (struct mr_tensor){.elem = MR_ONNX_INT64,
                                   .rank = 2,
                                   .dim = {b->rows, len},
                                   .count = (size_t)b->rows * len,
                                   .data = val[j->m->order[k]]};
    struct mr_onnx_result *o;
    size_t n;
    mr_arena_reset(a);
    int r = mr_onnx_run(j->m->worker[worker], in, N_INPUTS, alone, a, &o, &n, e);
    if (r)
        return r;
    const struct mr_tensor *t = &o[0].t;
    if (t->elem != MR_ONNX_FLOAT || t->rank != 3 || t->dim[0] != b->rows || t->dim[1] != len ||
        t->dim[2] != dim)
        return mr_fail(e, MR_EPREDICT, "the embedding model answered in another shape");
    for (uint32_t row = 0; row < b->rows; row++)
        pool((const float *)t->data + (size_t)row * len * dim, j->len[text[row]], dim,
             j->out + (size_t)text[row] * dim);
    return 0;
}

static void *work(void *arg) {
    struct job *j = arg;
    struct mr_err err = {0};
    MR_CLEANUP(mr_arena_release) struct mr_arena a;
    mr_arena_init(&a, (size_t)64 << 20);
    size_t k;
    int r = 0;
    while (!r && (k = j->next++) < j->n) {
        unsigned worker;
        bool alone;
        r = acquire(j->m, &worker, &alone, &err);
        if (!r) { /* batches of one call run beside each other, with a thread each */
            r = run_batch(j, &j->batch[k], worker, alone && j->n == 1, &a, &err);
            give_back(j->m, worker);
        }
    }
    if (r) {
        j->next = j->n; /* the others stop too */
        pthread_mutex_lock(&j->lock);
        if (!j->rc) {
            j->rc = r;
            j->err = err;
        }
        pthread_mutex_unlock(&j->lock);
    }
    return NULL;
}

/* Longest first, so that two workers end at nearly the same time. A counting sort. */
static void sort_by_length(const uint16_t *len, size_t n, uint32_t *out) {
    size_t start[PIECES_MAX + 2] = {0};
    for (size_t i = 0; i < n; i++)
        start[PIECES_MAX - len[i] + 1]++;
    for (size_t k = 1; k < PIECES_MAX + 2; k++)
        start[k] += start[k - 1];
    for (size_t i = 0; i < n; i++)
        out[start[PIECES_MAX - len[i]]++] = (uint32_t)i;
}

/* Texts in a row of the order, until padding or the size of a run says no. Returns how many. */
static size_t make_batches(const uint16_t *len, const uint32_t *order, size_t n,
                           struct batch *out) {
    size_t k = 0;
    for (size_t i = 0; i < n; i++) {
        struct batch *b = k ? &out[k - 1] : NULL;
        unsigned longest = b ? len[order[b->first]] : 0;
        if (b && b->rows < BATCH_ROWS && (b->rows + 1) * longest <= BATCH_MAX &&
            len[order[i]] * 5 >= longest * 4)
            b->rows++;
        else
            out[k++] = (struct batch){(uint32_t)i, 1};
    }
    return k;
}

static int run_all(struct job *j, struct mr_err *e) {
    pthread_t other[WORKERS_MAX - 1];
    int n_other = 0;
    pthread_mutex_init(&j->lock, NULL);
    if (sysconf(_SC_NPROCESSORS_ONLN) > 1)
        while (n_other < WORKERS_MAX - 1 && j->n >= 2 &&
               !pthread_create(&other[n_other], NULL, work, j))
            n_other++;
    work(j);
    while (n_other)
        pthread_join(other[--n_other], NULL);
    pthread_mutex_destroy(&j->lock);
    if (j->rc && e)
        *e = j->err;
    return j->rc;
}

int mr_embed(struct mr_embedder *m, const struct mr_str *texts, size_t n, struct mr_arena *arena,
             float **ret, uint32_t *ret_tokens, struct mr_err *e) {
    if (n > UINT32_MAX / PIECES_MAX)
        return mr_fail(e, MR_ETOOBIG, "too many texts for one call");
    size_t room = n ? n : 1;
    MR_AUTO_FREE uint32_t *ids = mr_reallocarray(NULL, room, PIECES_MAX * sizeof *ids);
    MR_AUTO_FREE uint16_t *len = mr_reallocarray(NULL, room, sizeof *len);
    MR_AUTO_FREE uint32_t *order = mr_reallocarray(NULL, room, sizeof *order);
    MR_AUTO_FREE struct batch *batch = mr_reallocarray(NULL, room, sizeof *batch);
    float *out = mr_arena_array(arena, room, m->dim * sizeof *out);
    if (!ids || !len || !order || !batch || !out)
        return mr_fail(e, MR_ENOMEM, "out of memory embedding %zu texts", n);
    uint64_t total = 0;
    for (size_t i = 0; i < n; i++) {
        uint32_t *p = ids + i * PIECES_MAX;
        p[0] = mr_wordpiece_cls(m->pieces);
        size_t k = 1 + mr_wordpiece_encode(m->pieces, texts[i], p + 1, PIECES_MAX - 2);
        p[k] = mr_wordpiece_sep(m->pieces);
        len[i] = (uint16_t)(k + 1);
        total += len[i];
    }
    sort_by_length(len, n, order);
    struct job j = {.m = m,
                    .ids = ids,
                    .len = len,
                    .by_length = order,
                    .batch = batch,
                    .n = make_batches(len, order, n, batch),
                    .out = out};
    int r = run_all(&j, e);
    if (r)
        return r;
    *ret = out;
    if (ret_tokens)
        *ret_tokens = total > UINT32_MAX ? UINT32_MAX : (uint32_t)total;
    return 0;
}

struct mr_onnx *mr_embedder_net(const struct mr_embedder *m) {
    return m->worker[0];
}
