#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "engine/intake_wire.h"
#include "engine/llm/client.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define START_NS   ((int64_t)120 * 1000000000)
#define READ_BYTES 65536
#define NEVER      INT64_MAX
#define MS_AT_MOST 3600000

void mr_llm_wake(struct mr_llm *m) {
    uint64_t one = 1;
    ssize_t unused = write(m->wake, &one, sizeof one); /* full: it is awake */
    (void)unused;
}

/* --- ends of requests ------------------------------------------------------------------------- */
/* With the lock held, which is given up for the call. The job is out of the list. */
static void finish(struct mr_llm *m, struct mr_llm_job *j, struct mr_llm_result *r) {
    mr_llm_lora_done(m, j->adapter);
    m->prompt_tokens += r->prompt_tokens;
    m->cached_tokens += r->cached_tokens;
    m->output_tokens += r->output_tokens;
    r->text = mr_buf_view(&j->text);
    r->logprobs_json = mr_buf_view(&j->logprobs);
    if (!r->stopped_by.p)
        r->stopped_by = (struct mr_str){"", 0};
    r->total_ns = mr_mono_ns() - j->asked_ns;
    if (!r->retry_after_ms)
        r->retry_after_ms = -1;
    pthread_mutex_unlock(&m->lock);
    if (j->q.done)
        j->q.done(j->q.arg, r);
    mr_buf_release(&j->text);
    mr_buf_release(&j->logprobs);
    mr_free(j->stops);
    mr_free(j);
    pthread_mutex_lock(&m->lock);
}

static struct mr_llm_job *take_out(struct mr_llm *m, uint64_t id) {
    struct mr_llm_job **at = &m->jobs;
    while (*at && (*at)->id != id)
        at = &(*at)->next;
    struct mr_llm_job *j = *at;
    if (j) {
        *at = j->next;
        j->next = NULL;
        m->n_jobs--;
    }
    return j;
}

static void fail_job(struct mr_llm *m, struct mr_llm_job *j, const struct mr_err *why) {
    struct mr_llm_result r = {.rc = why->code, .err = *why, .output_tokens = j->tokens};
    finish(m, j, &r);
}

/* Those that were there when it happened: a callback may ask again at once. */
static void fail_all(struct mr_llm *m, const struct mr_err *why) {
    struct mr_llm_job *all = m->jobs, *next;
    m->jobs = NULL;
    m->n_jobs = 0;
    for (struct mr_llm_job *j = all; j; j = next) {
        next = j->next;
        fail_job(m, j, why);
    }
}

/* --- the process ------------------------------------------------------------------------------ */
static void stop(struct mr_llm *m) {
    if (m->sock >= 0)
        close(m->sock);
    if (m->files >= 0)
        close(m->files);
    m->sock = m->files = -1;
    mr_child_release(&m->worker);
    mr_buf_clear(&m->in);
    memset(m->lora, 0, sizeof m->lora);
}

static int start(struct mr_llm *m, struct mr_err *e) {
    char threads[32];
    snprintf(threads, sizeof threads, "OMP_NUM_THREADS=%u", m->c.threads);
    /* A bounded spin: as fast as endless spinning on free cores, and it does not collapse when the
     * cores have other work. */
    const char *const env[] = {"GOMP_SPINCOUNT=20000", "OMP_DYNAMIC=false", threads, NULL};
    const char *const argv[] = {"millrace", "__llm-worker", m->folder, NULL};
    int talk[2], files[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, talk) < 0)
        return mr_fail_errno(e, "socketpair");
    m->sock = talk[0];
    MR_AUTO_CLOSE int theirs = talk[1];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, files) < 0)
        return mr_fail_errno(e, "socketpair");
    m->files = files[0];
    MR_AUTO_CLOSE int their_files = files[1];
    struct mr_child_spec spec = {.argv = argv,
                                 .env = env,
                                 .fds = (const int[]){m->model_fd, theirs, their_files},
                                 .n_fds = 3,
                                 .stderr_too = MR_INTAKE_STDERR};
    struct mr_llm_hello h = {.memory_max = m->c.memory_max,
                             .parallel = m->c.parallel,
                             .threads = m->c.threads,
                             .context = m->c.context};
    int r = lseek(m->model_fd, 0, SEEK_SET) < 0 ? mr_fail_errno(e, "the model file") : 0;
    if (!r)
        r = mr_child_spawn(&spec, &m->worker, e);
    if (!r)
        r = mr_msg_write(m->sock, &h, sizeof h, mr_mono_ns() + START_NS, e);
    return r;
}

/* With the lock held. */
static void start_failed(struct mr_llm *m, const struct mr_err *why) {
    stop(m);
    m->state = MR_LLM_DEAD;
    m->why = *why;
    mr_buf_clear(&m->out);
    struct mr_err e;
    mr_fail(&e, MR_EPREDICT, "the model's process cannot be started again: %.400s", why->msg);
    pthread_cond_broadcast(&m->changed);
    fail_all(m, &e);
}

static void start_wanted(struct mr_llm *m) {
    struct mr_err e = {0};
    if (m->was_ready)
        m->restarts++;
    m->state = MR_LLM_STARTING;
    m->start_deadline_ns = mr_mono_ns() + START_NS;
    if (start(m, &e))
        start_failed(m, &e);
    else if (m->was_ready)
        mr_log_msg(m->c.log, MR_LOG_INFO, "llm_restarted", "the process of %.*s was started again",
                   (int)m->file.name.n, m->file.name.p);
}

/* The socket closed. */
static void died(struct mr_llm *m) {
    struct mr_child_exit x;
    char text[128] = "stopped answering";
    struct mr_err e;
    if (!mr_child_wait(&m->worker, mr_mono_ns() + 1000000000, &x, NULL))
        mr_child_exit_text(&x, text, sizeof text);
    if (m->state == MR_LLM_STARTING) {
        mr_fail(&e, MR_EREFUSED, "the model cannot be loaded: its process %s", text);
        start_failed(m, &e);
        return;
    }
    stop(m);
    m->state = MR_LLM_DEAD;
    mr_buf_clear(&m->out);
    mr_fail(&e, MR_EPREDICT, "the model's process %s while it answered", text);
    mr_log_msg(m->c.log, MR_LOG_WARN, "llm_died", "the process of %.*s %s: %llu requests failed",
               (int)m->file.name.n, m->file.name.p, text, (unsigned long long)m->n_jobs);
    fail_all(m, &e);
}

/* --- messages --------------------------------------------------------------------------------- */
static bool on_ready(struct mr_llm *m, struct mr_reader *r) {
    const uint8_t *tmpl;
    if (!mr_tensors_get_u32(r, &m->context) || !mr_tensors_get_u32(r, &m->context_train) ||
        !mr_tensors_get_u32(r, &m->embedding) || !mr_tensors_get_u64(r, &m->parameters) ||
        !mr_tensors_get_bytes(r, 1, &tmpl))
        return false;
    m->has_template = *tmpl != 0;
    m->state = MR_LLM_READY;
    m->was_ready = true;
    m->why = (struct mr_err){0};
    pthread_cond_broadcast(&m->changed);
    return true;
}

static bool on_refusal(struct mr_llm *m, struct mr_reader *r) {
    const uint8_t *p;
    int32_t code;
    struct mr_err e;
    if (!mr_tensors_get_bytes(r, sizeof code, &p))
        return false;
    memcpy(&code, p, sizeof code);
    size_t n = (size_t)(r->end - r->p);
    mr_fail(&e, code < 0 && code >= MR_CODE_MIN ? code : MR_EREFUSED, "%.*s",
            (int)(n < 480 ? n : 480), (const char *)r->p);
    start_failed(m, &e);
    return true;
}

static bool on_delta(struct mr_llm *m, struct mr_reader *r) {
    uint64_t id;
    struct mr_llm_delta d;
    if (!mr_tensors_get_u64(r, &id) || !mr_tensors_get_u32(r, &d.tokens) ||
        !mr_llm_get_text(r, &d.text) || !mr_llm_get_text(r, &d.logprobs_json) ||
        !mr_utf8_valid(d.text))
        return false;
    struct mr_llm_job *j = m->jobs;
    while (j && j->id != id)
        j = j->next;
    if (!j)
        return true; /* over: its deadline passed */
    mr_buf_str(&j->text, d.text);
    if (j->logprobs.n && d.logprobs_json.n)
        mr_buf_char(&j->logprobs, ',');
    mr_buf_str(&j->logprobs, d.logprobs_json);
    j->tokens = d.tokens;
    if (!j->q.on_delta || j->gone)
        return true;
    pthread_mutex_unlock(&m->lock); /* only this thread takes jobs away */
    int gone = j->q.on_delta(j->q.arg, &d);
    if (gone)
        mr_llm_cancel(m, id);
    pthread_mutex_lock(&m->lock);
    return true;
}

static bool on_end(struct mr_llm *m, struct mr_reader *r) {
    const uint8_t *p;
    struct mr_llm_end end;
    struct mr_str field, msg;
    if (!mr_tensors_get_bytes(r, sizeof end, &p) || !mr_llm_get_text(r, &field) ||
        !mr_llm_get_text(r, &msg))
        return false;
    memcpy(&end, p, sizeof end);
    struct mr_llm_job *j = take_out(m, end.id);
    if (!j)
        return true;
    struct mr_llm_result res = {.prompt_tokens = end.prompt_tokens,
                                .cached_tokens = end.cached_tokens,
                                .output_tokens = end.output_tokens,
                                .queue_ns = end.queue_ns,
                                .prompt_ns = end.prompt_ns,
                                .finish_reason = end.length ? "length" : "stop"};
    if (end.stop >= 0 && (size_t)end.stop < j->n_stop)
        res.stopped_by = j->stop[end.stop];
    if (end.rc) {
        char where[96];
        snprintf(where, sizeof where, "%.*s", (int)(field.n < 95 ? field.n : 95), field.p);
        res.rc = end.rc < 0 && end.rc >= MR_CODE_MIN ? end.rc : MR_EPREDICT;
        mr_fail_field(&res.err, res.rc, where, "%.*s", (int)(msg.n < 480 ? msg.n : 480), msg.p);
        res.finish_reason = NULL;
    }
    finish(m, j, &res);
    return true;
}

/* False: nonsense. */
static bool take_messages(struct mr_llm *m) {
    size_t at = 0;
    char kind;
    struct mr_reader r;
    int found;
    while ((found = mr_llm_frame_next(&m->in, &at, &kind, &r)) > 0) {
        bool starting = m->state == MR_LLM_STARTING, ok;
        if (kind == 'E' && starting)
            return on_refusal(m, &r);
        if (starting != (kind == 'R'))
            return false;
        ok = kind == 'R'   ? on_ready(m, &r)
             : kind == 'D' ? on_delta(m, &r)
             : kind == 'F' ? on_end(m, &r)
                           : false;
        if (!ok)
            return false;
    }
    mr_buf_consume(&m->in, at);
    return !found;
}

/* With the lock held. */
static void read_some(struct mr_llm *m) {
    char *p = mr_buf_reserve(&m->in, READ_BYTES);
    ssize_t n = p ? recv(m->sock, p, READ_BYTES, MSG_DONTWAIT) : 0;
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        died(m);
        return;
    }
    m->in.n += (size_t)n;
    if (!take_messages(m)) {
        mr_child_kill(&m->worker); /* it no longer keeps to the protocol */
        died(m);
    }
}

static void write_some(struct mr_llm *m) {
    ssize_t n = send(m->sock, m->out.p, m->out.n, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n > 0)
        mr_buf_consume(&m->out, (size_t)n);
}

/* --- time ------------------------------------------------------------------------------------- */
static int64_t next_deadline(const struct mr_llm *m) {
    int64_t next = m->state == MR_LLM_STARTING ? m->start_deadline_ns : NEVER;
    for (const struct mr_llm_job *j = m->jobs; j; j = j->next)
        if (j->q.deadline_ns && j->q.deadline_ns < next)
            next = j->q.deadline_ns;
    return next;
}

static void keep_deadlines(struct mr_llm *m) {
    int64_t now = mr_mono_ns();
    struct mr_err e;
    if (m->state == MR_LLM_STARTING && now >= m->start_deadline_ns) {
        mr_fail(&e, MR_ETIMEOUT, "the model was not loaded within %lld s",
                (long long)(START_NS / 1000000000));
        start_failed(m, &e);
    }
    for (struct mr_llm_job *j = m->jobs; j;) {
        if (!j->q.deadline_ns || now < j->q.deadline_ns) {
            j = j->next;
            continue;
        }
        size_t at = mr_llm_frame_begin(&m->out, 'C');
        mr_tensors_put_u64(&m->out, j->id);
        mr_llm_frame_end(&m->out, at);
        take_out(m, j->id);
        mr_fail(&e, MR_ETIMEOUT, "the answer was not finished in time");
        fail_job(m, j, &e);
        j = m->jobs; /* the lock was given up */
    }
}

static void sleep_until_something(struct mr_llm *m) {
    struct pollfd p[2] = {{.fd = m->wake, .events = POLLIN}, {.fd = m->sock, .events = POLLIN}};
    if (m->state == MR_LLM_READY && m->out.n)
        p[1].events |= POLLOUT;
    int64_t next = next_deadline(m),
            left = next == NEVER ? -1 : (next - mr_mono_ns()) / 1000000 + 1;
    int ms = left < 0 && next != NEVER ? 0 : left > MS_AT_MOST ? MS_AT_MOST : (int)left;
    pthread_mutex_unlock(&m->lock);
    poll(p, m->sock >= 0 ? 2 : 1, ms);
    uint64_t unused;
    ssize_t n = p[0].revents ? read(m->wake, &unused, sizeof unused) : 0;
    (void)n;
    pthread_mutex_lock(&m->lock);
    if (m->sock >= 0 && (p[1].revents & POLLOUT))
        write_some(m);
    if (m->sock >= 0 && (p[1].revents & (POLLIN | POLLHUP | POLLERR)))
        read_some(m);
}

void *mr_llm_thread(void *arg) {
    struct mr_llm *m = arg;
    pthread_setname_np(pthread_self(), "llm");
    pthread_mutex_lock(&m->lock);
    while (!m->closing) {
        if (m->state == MR_LLM_WANTED)
            start_wanted(m);
        else
            sleep_until_something(m);
        keep_deadlines(m);
    }
    struct mr_err e;
    mr_fail(&e, MR_ECANCELLED, "the model was unloaded");
    fail_all(m, &e);
    stop(m);
    pthread_mutex_unlock(&m->lock);
    return NULL;
}
