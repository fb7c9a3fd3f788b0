/* The worker process: 3 = the GGUF file, 4 = the socket to the server, 5 = the socket through which
 * adapters come. The library is loaded and its threads are started first, then the sandbox is
 * closed, and only then the model is looked at. */
#include "engine/llm/worker.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "io/child.h"
#include "io/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define IN_MAX (2 * MR_LLM_MESSAGE_MAX)

static void last_error(enum ggml_log_level level, const char *text, void *arg) {
    char *keep = arg;
    if (level == GGML_LOG_LEVEL_ERROR) {
        size_t n = strcspn(text, "\n");
        snprintf(keep, 300, "%.*s", (int)(n < 299 ? n : 299), text);
    }
}

static void meet(void *barrier) {
    pthread_barrier_wait(barrier); /* each on a thread of its own */
}

/* libgomp keeps the threads of a parallel region for the next one. Started here, before the
 * sandbox is closed, they are all that the process ever has. */
static int start_threads(struct mr_lw *w, unsigned n, struct mr_err *e) {
    pthread_barrier_t all;
    if (n < 2)
        return 0;
    if (pthread_barrier_init(&all, NULL, n))
        return mr_fail(e, MR_ENOMEM, "out of memory");
    w->api.GOMP_parallel(meet, &all, n, 0);
    pthread_barrier_destroy(&all);
    return 0;
}

/* Address space in use now: the limit of a model comes on top. */
static uint64_t address_space(void) {
    char text[64];
    MR_AUTO_CLOSE int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? 0 : read(fd, text, sizeof text - 1);
    text[n > 0 ? n : 0] = 0;
    return strtoull(text, NULL, 10) * (uint64_t)sysconf(_SC_PAGESIZE);
}

static int lock_down(struct mr_lw *w, const struct mr_llm_hello *h, struct mr_err *e) {
    const struct mr_sandbox_fd fds[] = {
        {.fd = MR_LLM_MODEL_FD, .read = true},
        {.fd = MR_LLM_TALK_FD, .read = true, .write = true},
        {.fd = MR_LLM_FILES_FD, .receive = true},
        {.fd = MR_LLM_ADAPTER_FD, .read = true},
    };
    struct mr_sandbox box = {
        .profile = MR_SANDBOX_LLM_WORKER, .fds = fds, .n_fds = 4, .namespaces = true};
    int r = mr_sandbox_drop(&box, e);
    if (!r)
        r = start_threads(w, h->threads, e);
    box.memory_max = h->memory_max ? address_space() + h->memory_max : 0;
    return r ? r : mr_sandbox_seal(&box, e);
}

static int load_model(struct mr_lw *w, const struct mr_llm_hello *h, const char *why,
                      struct mr_err *e) {
    FILE *f = fdopen(MR_LLM_MODEL_FD, "rb");
    if (!f)
        return mr_fail_errno(e, "model file");
    struct llama_model_params mp = w->api.llama_model_default_params();
    mp.n_gpu_layers = 0;
    mp.load_mode = LLAMA_LOAD_MODE_NONE; /* weights are packed anew: a mapping would stay beside */
    w->model = w->api.llama_model_load_from_file_ptr(f, mp);
    if (!w->model)
        return mr_fail(e, MR_EREFUSED, "llama.cpp does not take the model: %s",
                       *why ? why : "no reason given");
    if (!w->api.llama_model_has_decoder(w->model) || w->api.llama_model_has_encoder(w->model) ||
        w->api.llama_model_is_diffusion(w->model))
        return mr_fail(e, MR_EUNSUPPORTED, "the model does not generate text token by token");
    w->vocab = w->api.llama_model_get_vocab(w->model);
    w->n_vocab = w->api.llama_vocab_n_tokens(w->vocab);
    if (w->n_vocab < 2)
        return mr_fail(e, MR_EUNSUPPORTED, "the model has no vocabulary");
    uint32_t train = (uint32_t)w->api.llama_model_n_ctx_train(w->model);
    w->context = h->context ? h->context : train < 8192 ? train : 8192;
    w->parallel = h->parallel;
    w->threads = h->threads;
    w->n_slots = 3 * h->parallel;
    w->shares =
        !w->api.llama_model_is_recurrent(w->model) && !w->api.llama_model_is_hybrid(w->model);
    w->cells = w->context > 1024 * h->parallel ? w->context : 1024 * h->parallel;
    if (w->cells > w->context * h->parallel)
        w->cells = w->context * h->parallel;
    struct llama_context_params cp = w->api.llama_context_default_params();
    cp.n_ctx = w->cells;
    cp.n_batch = cp.n_ubatch = MR_LLM_BATCH;
    cp.n_seq_max = w->n_slots;
    cp.n_threads = cp.n_threads_batch = (int32_t)h->threads;
    cp.kv_unified = true;
    cp.swa_full = true; /* windows that forget could not be shared */
    cp.no_perf = true;
    w->ctx = w->api.llama_init_from_model(w->model, cp);
    if (!w->ctx)
        return mr_fail(e, MR_EREFUSED, "llama.cpp cannot run the model: %s",
                       *why ? why : "no reason given");
    w->memory = w->api.llama_get_memory(w->ctx);
    w->chat_template = w->api.llama_model_chat_template(w->model, NULL);
    return 0;
}

static int make_tables(struct mr_lw *w, struct mr_err *e) {
    size_t n = (size_t)w->n_vocab;
    char piece[512];
    w->batch = w->api.llama_batch_init(MR_LLM_BATCH, 0, 1);
    w->seen = mr_calloc(n, 1);
    w->copy = mr_malloc(n * sizeof *w->copy);
    w->room = mr_malloc(n * sizeof *w->room);
    w->data = mr_malloc(n * sizeof *w->data);
    w->eog = mr_malloc(n * sizeof *w->eog);
    if (!w->seen || !w->copy || !w->room || !w->data || !w->eog)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    w->longest_piece = 1;
    for (int32_t k = 0; k < w->n_vocab; k++) {
        int len = w->api.llama_token_to_piece(w->vocab, k, piece, sizeof piece, 0, true);
        len = len < 0 ? -len : len;
        w->longest_piece = len > w->longest_piece ? len : w->longest_piece;
        if (w->api.llama_vocab_is_eog(w->vocab, k))
            w->eog[w->n_eog++] = k;
    }
    mr_buf_init(&w->in, IN_MAX);
    return 0;
}

static int start(struct mr_lw *w, const char *folder, char *why, struct mr_err *e) {
    MR_AUTO_FREE char *p = NULL;
    size_t n;
    struct mr_llm_hello h;
    int r = mr_msg_read(MR_LLM_TALK_FD, sizeof h, 0, &p, &n, e);
    if (r || n != sizeof h)
        return r ? r : mr_fail(e, MR_EINTERNAL, "damaged hello");
    memcpy(&h, p, sizeof h);
    if (!h.parallel || h.parallel > MR_LLM_PARALLEL_MAX || !h.threads)
        return mr_fail(e, MR_EINTERNAL, "damaged hello");
    r = mr_llama_load(folder, &w->api, e);
    if (r)
        return r;
    w->api.llama_log_set(last_error, why);
    w->api.llama_backend_init();
    r = lock_down(w, &h, e);
    if (!r)
        r = load_model(w, &h, why, e);
    return r ? r : make_tables(w, e);
}

static void put_ready(struct mr_lw *w) {
    size_t at = mr_llm_frame_begin(&w->out, 'R');
    mr_tensors_put_u32(&w->out, w->context);
    mr_tensors_put_u32(&w->out, (uint32_t)w->api.llama_model_n_ctx_train(w->model));
    mr_tensors_put_u32(&w->out, (uint32_t)w->api.llama_model_n_embd(w->model));
    mr_tensors_put_u64(&w->out, w->api.llama_model_n_params(w->model));
    mr_buf_char(&w->out, w->chat_template != NULL);
    mr_llm_frame_end(&w->out, at);
}

static void put_refusal(struct mr_lw *w, const struct mr_err *e) {
    int32_t code = e->code;
    size_t at = mr_llm_frame_begin(&w->out, 'E');
    mr_buf_add(&w->out, &code, sizeof code);
    mr_buf_cstr(&w->out, e->msg);
    mr_llm_frame_end(&w->out, at);
}

/* --- talking -------------------------------------------------------------------------------- */
static bool send_all(struct mr_lw *w) {
    size_t at = 0;
    while (at < w->out.n) {
        ssize_t n = send(MR_LLM_TALK_FD, w->out.p + at, w->out.n - at, MSG_NOSIGNAL);
        if (n < 0 && errno != EINTR)
            return false;
        at += n > 0 ? (size_t)n : 0;
    }
    bool ok = mr_buf_ok(&w->out);
    mr_buf_clear(&w->out);
    return ok;
}

static void take_adapter(struct mr_lw *w, uint64_t id, const char *why) {
    uint64_t record;
    int fd;
    struct mr_lw_adapter *a = NULL;
    for (unsigned k = 0; k < MR_LLM_ADAPTERS && !a; k++)
        a = w->adapter[k].id ? NULL : &w->adapter[k];
    if (mr_fds_recv(MR_LLM_FILES_FD, &record, sizeof record, &fd, 1, NULL) || record != id ||
        fd != MR_LLM_ADAPTER_FD || !a)
        _exit(1); /* server and worker no longer agree on what is open */
    *a = (struct mr_lw_adapter){.id = id};
    FILE *f = fdopen(fd, "rb");
    if (f)
        a->lora = w->api.llama_adapter_lora_init_from_file_ptr(w->model, f);
    if (!a->lora)
        mr_fail_field(&a->err, MR_EFIELD, "lora", "the adapter does not fit the model: %s", why);
    if (f)
        fclose(f);
}

static void drop_adapter(struct mr_lw *w, uint64_t id) {
    for (unsigned k = 0; k < MR_LLM_ADAPTERS; k++)
        if (w->adapter[k].id == id) {
            if (w->adapter_set == id) {
                w->api.llama_set_adapters_lora(w->ctx, NULL, 0, NULL);
                w->adapter_set = 0;
                w->scale_set = 0;
            }
            mr_lw_forget_adapter(w, id);
            if (w->adapter[k].lora)
                w->api.llama_adapter_lora_free(w->adapter[k].lora);
            w->adapter[k] = (struct mr_lw_adapter){0};
        }
}

static void handle(struct mr_lw *w, char kind, struct mr_reader *r, const char *why) {
    uint64_t id;
    if (kind == 'G')
        mr_lw_ask(w, r);
    else if (kind == 'C' && mr_tensors_get_u64(r, &id))
        mr_lw_cancel(w, id);
    else if (kind == 'A' && mr_tensors_get_u64(r, &id))
        take_adapter(w, id, why);
    else if (kind == 'U' && mr_tensors_get_u64(r, &id))
        drop_adapter(w, id);
    else
        _exit(1);
}

/* Takes what has arrived; waits for something when `wait`. False: the server is gone. */
static bool listen_once(struct mr_lw *w, bool wait, const char *why) {
    for (;;) {
        char *p = mr_buf_reserve(&w->in, 65536);
        if (!p)
            return false;
        ssize_t n = recv(MR_LLM_TALK_FD, p, 65536, wait ? 0 : MSG_DONTWAIT);
        if (n == 0 || (n < 0 && errno != EINTR && errno != EAGAIN))
            return false;
        if (n < 0 && errno == EAGAIN)
            break;
        if (n > 0) {
            w->in.n += (size_t)n;
            wait = false;
        }
        if (n > 0 && n < 65536)
            break;
    }
    size_t at = 0;
    char kind;
    struct mr_reader r;
    int found;
    while ((found = mr_llm_frame_next(&w->in, &at, &kind, &r)) > 0)
        handle(w, kind, &r, why);
    mr_buf_consume(&w->in, at);
    return !found;
}

int mr_llm_worker_main(const char *folder) {
    static struct mr_lw w;
    static char why[300];
    struct mr_err e = {0};
    mr_buf_init(&w.out, 8 * MR_LLM_MESSAGE_MAX);
    int r = start(&w, folder ? folder : "", why, &e);
    if (r)
        put_refusal(&w, &e);
    else
        put_ready(&w);
    if (!send_all(&w) || r)
        _exit(1);
    while (listen_once(&w, !w.running && !w.waiting, why)) {
        mr_lw_step(&w);
        if (w.out.n && !send_all(&w))
            break;
    }
    _exit(0);
}
