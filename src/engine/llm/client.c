#include "engine/llm/client.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "engine/llm/chat.h"
#include "engine/llm/llama_api.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#define QUEUE_DEFAULT    256
#define PARALLEL_DEFAULT 8
#define THREADS_MAX      16
#define OUT_MAX          ((size_t)1 << 30)

void mr_llm_params_default(struct mr_llm_params *p) {
    *p = (struct mr_llm_params){.temperature = 0.8,
                                .top_p = 0.95,
                                .min_p = 0.05,
                                .top_k = 40,
                                .repeat_penalty = 1.0,
                                .seed = -1,
                                .logprobs = -1};
}

static int range(struct mr_err *e, const char *field, double v, double lo, double hi) {
    if (v >= lo && v <= hi)
        return 0;
    return mr_fail_field(e, MR_EFIELD, field, "must be from %g to %g", lo, hi);
}

int mr_llm_params_check(const struct mr_llm_params *p, struct mr_err *e) {
    int r = range(e, "temperature", p->temperature, 0, 2);
    if (!r)
        r = range(e, "top_p", p->top_p, 0, 1);
    if (!r)
        r = range(e, "min_p", p->min_p, 0, 1);
    if (!r)
        r = range(e, "top_k", p->top_k, 0, 1000000);
    if (!r)
        r = range(e, "frequency_penalty", p->frequency_penalty, -2, 2);
    if (!r)
        r = range(e, "presence_penalty", p->presence_penalty, -2, 2);
    if (!r)
        r = range(e, "repeat_penalty", p->repeat_penalty, 0.01, 10);
    if (!r && (p->seed < -1))
        r = mr_fail_field(e, MR_EFIELD, "seed", "must be -1 or more");
    if (!r && p->max_tokens < 0)
        r = mr_fail_field(e, MR_EFIELD, "max_tokens", "must be 0 or more");
    if (!r && p->n_stop > MR_LLM_STOPS_MAX)
        r = mr_fail_field(e, MR_EFIELD, "stop", "at most %d stop strings", MR_LLM_STOPS_MAX);
    for (size_t k = 0; !r && k < p->n_stop; k++)
        if (!p->stop[k].n || p->stop[k].n > 1024 || !mr_utf8_valid(p->stop[k]))
            r = mr_fail_field(e, MR_EFIELD, "stop",
                              "each stop string must have 1 to 1024 bytes of valid UTF-8");
    if (!r)
        r = range(e, "logprobs", p->logprobs, -1, MR_LLM_LOGPROBS_MAX);
    if (!r && p->grammar.n > (1 << 20))
        r = mr_fail_field(e, MR_EFIELD, "grammar", "the grammar is over 1 MiB");
    return r;
}

/* --- opening ---------------------------------------------------------------------------------- */
static bool keep(struct mr_llm *m, struct mr_str *s) {
    *s = mr_arena_keep(&m->keep, s->p ? *s : (struct mr_str){"", 0});
    return s->p != NULL;
}

static int look_at_file(struct mr_llm *m, struct mr_err *e) {
    struct stat st;
    if (fstat(m->model_fd, &st))
        return mr_fail_errno(e, "the model file");
    if (!S_ISREG(st.st_mode) || st.st_size < 24)
        return mr_fail(e, MR_EREFUSED, "this is not a GGUF file");
    m->file_bytes = (uint64_t)st.st_size;
    void *p = mmap(NULL, m->file_bytes, PROT_READ, MAP_PRIVATE, m->model_fd, 0);
    if (p == MAP_FAILED)
        return mr_fail_errno(e, "mapping the model file");
    int r = mr_gguf_parse((struct mr_str){p, m->file_bytes}, &m->file, e);
    struct mr_gguf *g = &m->file;
    if (!r && (!keep(m, &g->architecture) || !keep(m, &g->name) || !keep(m, &g->type) ||
               !keep(m, &g->chat_template) || !keep(m, &g->bos)))
        r = mr_fail(e, MR_ENOMEM, "out of memory");
    munmap(p, m->file_bytes);
    if (r)
        return r;
    if (g->split_count > 1)
        return mr_fail(e, MR_EUNSUPPORTED, "the model is split into %llu files; join them first",
                       (unsigned long long)g->split_count);
    if (!g->vocabulary || !g->n_tensors || mr_str_is(g->type, "adapter"))
        return mr_fail(e, MR_EUNSUPPORTED, "the GGUF file is not a language model");
    return 0;
}

static unsigned cores(void) {
    cpu_set_t set;
    int n = sched_getaffinity(0, sizeof set, &set) ? 1 : CPU_COUNT(&set);
    return n < 1 ? 1 : n > THREADS_MAX ? THREADS_MAX : (unsigned)n;
}

static int set_up(struct mr_llm *m, const struct mr_llm_config *c, struct mr_err *e) {
    char folder[4096];
    m->c = *c;
    m->c.path = NULL;
    if (!m->c.parallel)
        m->c.parallel = PARALLEL_DEFAULT;
    if (m->c.parallel > MR_LLM_PARALLEL_MAX)
        return mr_fail(e, MR_EINVAL, "at most %d sequences at once", MR_LLM_PARALLEL_MAX);
    if (!m->c.threads || m->c.threads > THREADS_MAX)
        m->c.threads = m->c.threads ? THREADS_MAX : cores();
    if (!m->c.queue_max)
        m->c.queue_max = QUEUE_DEFAULT;
    int r = mr_llama_folder(folder, sizeof folder, e);
    if (r)
        return r;
    m->folder = mr_strdup(folder);
    m->model_fd = open(c->path, O_RDONLY | O_CLOEXEC);
    if (m->model_fd < 0)
        return mr_fail_errno(e, c->path);
    m->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (m->wake < 0)
        return mr_fail_errno(e, "eventfd");
    return m->folder ? look_at_file(m, e) : mr_fail(e, MR_ENOMEM, "out of memory");
}

static int run_thread(struct mr_llm *m, struct mr_err *e) {
    m->state = MR_LLM_WANTED;
    int rc = pthread_create(&m->thread, NULL, mr_llm_thread, m);
    if (rc) {
        errno = rc;
        return mr_fail_errno(e, "pthread_create");
    }
    m->has_thread = true;
    pthread_mutex_lock(&m->lock);
    while (m->state != MR_LLM_READY && m->state != MR_LLM_DEAD)
        pthread_cond_wait(&m->changed, &m->lock);
    int r = m->state == MR_LLM_READY ? 0 : m->why.code ? m->why.code : MR_EREFUSED;
    if (r && e)
        *e = m->why;
    pthread_mutex_unlock(&m->lock);
    return r;
}

int mr_llm_open(const struct mr_llm_config *c, struct mr_llm **ret, struct mr_err *e) {
    struct mr_llm *m = mr_calloc(1, sizeof *m);
    if (!m)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    m->model_fd = m->sock = m->files = m->wake = -1;
    m->worker = MR_CHILD_NONE;
    m->next_id = 1;
    pthread_mutex_init(&m->lock, NULL);
    pthread_cond_init(&m->changed, NULL);
    mr_arena_init(&m->keep, (size_t)64 << 20);
    mr_buf_init(&m->out, OUT_MAX);
    mr_buf_init(&m->in, 2 * MR_LLM_MESSAGE_MAX);
    int r = set_up(m, c, e);
    if (!r)
        r = run_thread(m, e);
    if (r) {
        mr_llm_free(m);
        return r;
    }
    *ret = m;
    return 0;
}

void mr_llm_free(struct mr_llm *m) {
    if (!m)
        return;
    if (m->has_thread) {
        pthread_mutex_lock(&m->lock);
        m->closing = true;
        mr_llm_wake(m);
        pthread_mutex_unlock(&m->lock);
        pthread_join(m->thread, NULL);
    }
    const int fds[] = {m->sock, m->files, m->wake, m->model_fd};
    for (size_t k = 0; k < sizeof fds / sizeof *fds; k++)
        if (fds[k] >= 0)
            close(fds[k]);
    mr_child_release(&m->worker);
    mr_buf_release(&m->out);
    mr_buf_release(&m->in);
    mr_arena_release(&m->keep);
    pthread_cond_destroy(&m->changed);
    pthread_mutex_destroy(&m->lock);
    mr_free(m->folder);
    mr_free(m);
}

/* --- asking ----------------------------------------------------------------------------------- */
static void fill_ask(const struct mr_llm_request *q, struct mr_llm_ask *a, struct mr_llm_texts *t) {
    const struct mr_llm_params *p = &q->params;
    a->adapter_scale = q->lora_path.n ? q->lora_scale : 0;
    a->temperature = p->temperature;
    a->top_p = p->top_p;
    a->min_p = p->min_p;
    a->frequency_penalty = p->frequency_penalty;
    a->presence_penalty = p->presence_penalty;
    a->repeat_penalty = p->repeat_penalty;
    a->seed = (uint64_t)p->seed;
    if (p->seed < 0 && getrandom(&a->seed, sizeof a->seed, 0) != sizeof a->seed)
        a->seed = (uint64_t)mr_mono_ns();
    a->max_tokens = p->max_tokens;
    a->top_k = p->top_k;
    a->logprobs = p->logprobs;
    a->ignore_eos = p->ignore_eos;
    a->n_stop = (uint32_t)p->n_stop;
    memcpy(t->stop, p->stop, p->n_stop * sizeof *p->stop);
    t->grammar = p->grammar.p ? p->grammar : (struct mr_str){"", 0};
}

static int check_request(const struct mr_llm_request *q, struct mr_err *e) {
    int r = mr_llm_params_check(&q->params, e);
    if (r)
        return r;
    if (!q->prompt.p == !q->messages_json.p)
        return mr_fail_field(e, MR_EFIELD, q->prompt.p ? "prompt" : "messages",
                             "either a prompt or messages are needed");
    if (q->prompt.n > MR_LLM_TEXT_MAX || q->messages_json.n > MR_LLM_TEXT_MAX ||
        q->tools_json.n > MR_LLM_TEXT_MAX / 4)
        return mr_fail_field(e, MR_EFIELD, q->prompt.p ? "prompt" : "messages",
                             "the prompt is over %zu bytes", MR_LLM_TEXT_MAX);
    if (q->prompt.p && !mr_utf8_valid(q->prompt))
        return mr_fail_field(e, MR_EFIELD, "prompt", "the prompt is not valid UTF-8");
    if (q->lora_path.n && !(fabs(q->lora_scale) <= 100))
        return mr_fail_field(e, MR_EFIELD, "lora_scale", "must be from -100 to 100");
    return 0;
}

static struct mr_llm_job *new_job(const struct mr_llm_request *q, struct mr_err *e) {
    struct mr_llm_job *j = mr_calloc(1, sizeof *j);
    size_t n = 0;
    for (size_t k = 0; k < q->params.n_stop; k++)
        n += q->params.stop[k].n;
    if (j)
        j->stops = mr_malloc(n + 1);
    if (!j || !j->stops) {
        mr_free(j);
        mr_fail(e, MR_ENOMEM, "out of memory");
        return NULL;
    }
    char *p = j->stops;
    for (size_t k = 0; k < q->params.n_stop; k++) {
        memcpy(p, q->params.stop[k].p, q->params.stop[k].n);
        j->stop[k] = (struct mr_str){p, q->params.stop[k].n};
        p += j->stop[k].n;
    }
    j->n_stop = q->params.n_stop;
    j->q.on_delta = q->on_delta;
    j->q.done = q->done;
    j->q.arg = q->arg;
    j->q.deadline_ns = q->deadline_ns;
    j->asked_ns = mr_mono_ns();
    mr_buf_init(&j->text, MR_LLM_MESSAGE_MAX);
    mr_buf_init(&j->logprobs, MR_LLM_MESSAGE_MAX);
    return j;
}

/* With the lock held: into the worker's queue. */
static int enqueue(struct mr_llm *m, struct mr_llm_job *j, struct mr_llm_ask *a,
                   const struct mr_llm_texts *t, struct mr_str lora, struct mr_err *e) {
    if (m->closing)
        return mr_fail(e, MR_ECANCELLED, "the model is being unloaded");
    if (m->n_jobs >= (uint64_t)m->c.parallel + m->c.queue_max)
        return mr_fail(e, MR_EUNAVAIL, "%u requests are waiting for this model already: try later",
                       m->c.queue_max);
    int r = lora.n ? mr_llm_lora(m, lora, &a->adapter, e) : 0;
    if (r)
        return r;
    size_t before = m->out.n;
    j->id = a->id = m->next_id;
    j->adapter = a->adapter;
    size_t at = mr_llm_frame_begin(&m->out, 'G');
    mr_llm_put_ask(&m->out, a, t);
    mr_llm_frame_end(&m->out, at);
    if (!mr_buf_ok(&m->out) || m->out.n - at > MR_LLM_MESSAGE_MAX) {
        m->out.n = before;
        m->out.fail = 0;
        mr_llm_lora_done(m, a->adapter);
        return mr_fail(e, MR_EUNAVAIL, "too much is waiting for this model already: try later");
    }
    m->next_id++;
    m->n_jobs++;
    struct mr_llm_job **end = &m->jobs;
    while (*end)
        end = &(*end)->next;
    *end = j;
    if (m->state == MR_LLM_DEAD)
        m->state = MR_LLM_WANTED;
    mr_llm_wake(m);
    return 0;
}

static int send_ask(struct mr_llm *m, const struct mr_llm_request *q, bool count,
                    uint64_t *ret_ticket, struct mr_err *e) {
    struct mr_llm_ask a = {0};
    struct mr_llm_texts t = {0};
    int r = check_request(q, e);
    if (r)
        return r;
    fill_ask(q, &a, &t);
    a.count_only = count;
    struct mr_arena arena;
    mr_arena_init(&arena, 4 * MR_LLM_TEXT_MAX);
    t.raw = q->prompt.p ? q->prompt : (struct mr_str){"", 0};
    if (q->messages_json.p)
        r = mr_llm_turns(q->messages_json, q->tools_json, m->file.chat_template, &arena, &t.turn,
                         &a.n_turns, e);
    struct mr_llm_job *j = r ? NULL : new_job(q, e);
    if (!r && !j)
        r = MR_ENOMEM;
    if (!r) {
        pthread_mutex_lock(&m->lock);
        r = enqueue(m, j, &a, &t, q->lora_path, e);
        uint64_t id = a.id;
        pthread_mutex_unlock(&m->lock);
        if (!r && ret_ticket)
            *ret_ticket = id;
    }
    if (r && j) {
        mr_free(j->stops);
        mr_free(j);
    }
    mr_arena_release(&arena);
    return r;
}

int mr_llm_generate(struct mr_llm *m, const struct mr_llm_request *q, uint64_t *ret_ticket,
                    struct mr_err *e) {
    return send_ask(m, q, false, ret_ticket, e);
}

void mr_llm_cancel(struct mr_llm *m, uint64_t ticket) {
    pthread_mutex_lock(&m->lock);
    for (struct mr_llm_job *j = m->jobs; j; j = j->next)
        if (j->id == ticket && !j->gone) {
            j->gone = true;
            size_t at = mr_llm_frame_begin(&m->out, 'C');
            mr_tensors_put_u64(&m->out, ticket);
            mr_llm_frame_end(&m->out, at);
            mr_llm_wake(m);
        }
    pthread_mutex_unlock(&m->lock);
}

/* --- counting --------------------------------------------------------------------------------- */
struct count {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool over;
    int rc;
    uint32_t tokens;
    struct mr_err err;
};

static void counted(void *arg, const struct mr_llm_result *r) {
    struct count *c = arg;
    pthread_mutex_lock(&c->lock);
    c->rc = r->rc;
    c->err = r->err;
    c->tokens = r->prompt_tokens;
    c->over = true;
    pthread_cond_signal(&c->changed);
    pthread_mutex_unlock(&c->lock);
}

int mr_llm_count(struct mr_llm *m, struct mr_str prompt, struct mr_str messages_json, uint32_t *ret,
                 struct mr_err *e) {
    struct count c = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};
    struct mr_llm_request q = {
        .prompt = prompt, .messages_json = messages_json, .done = counted, .arg = &c};
    mr_llm_params_default(&q.params);
    int r = send_ask(m, &q, true, NULL, e);
    if (r)
        return r;
    pthread_mutex_lock(&c.lock);
    while (!c.over)
        pthread_cond_wait(&c.changed, &c.lock);
    pthread_mutex_unlock(&c.lock);
    if (c.rc && e)
        *e = c.err;
    if (!c.rc)
        *ret = c.tokens;
    return c.rc;
}

/* --- figures ---------------------------------------------------------------------------------- */
static ssize_t read_proc(pid_t pid, const char *name, char *out, size_t cap) {
    snprintf(out, cap, "/proc/%d/%s", (int)pid, name);
    MR_AUTO_CLOSE int fd = open(out, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? 0 : read(fd, out, cap - 1);
    out[n > 0 ? n : 0] = 0;
    return n;
}

static void process_figures(pid_t pid, struct mr_llm_info *ret) {
    char text[1024];
    read_proc(pid, "statm", text, sizeof text);
    const char *second = strchr(text, ' ');
    ret->memory = second ? strtoull(second, NULL, 10) * (uint64_t)sysconf(_SC_PAGESIZE) : 0;
    read_proc(pid, "stat", text, sizeof text);
    char *p = strrchr(text, ')'); /* then state is field 3; utime and stime are 14 and 15 */
    for (int k = 0; p && k < 12; k++)
        p = strchr(p + 1, ' ');
    if (p) {
        char *end;
        uint64_t user = strtoull(p, &end, 10), sys = strtoull(end, NULL, 10);
        ret->cpu_seconds = (double)(user + sys) / (double)sysconf(_SC_CLK_TCK);
    }
}

void mr_llm_info(struct mr_llm *m, struct mr_llm_info *ret) {
    pthread_mutex_lock(&m->lock);
    *ret = (struct mr_llm_info){
        .architecture = m->file.architecture,
        .name = m->file.name,
        .quantization = mr_str(mr_gguf_file_type_name(m->file.file_type)),
        .has_chat_template = m->has_template,
        .context = m->context,
        .context_train = m->context_train,
        .parameters = m->parameters,
        .file_bytes = m->file_bytes,
        .embedding_length = m->embedding,
        .parallel = m->c.parallel,
        .running = m->n_jobs < m->c.parallel ? m->n_jobs : m->c.parallel,
        .prompt_tokens = m->prompt_tokens,
        .cached_tokens = m->cached_tokens,
        .output_tokens = m->output_tokens,
        .restarts = m->restarts,
    };
    ret->queued = m->n_jobs - ret->running;
    if (m->worker.pid > 0)
        process_figures(m->worker.pid, ret);
    pthread_mutex_unlock(&m->lock);
}
