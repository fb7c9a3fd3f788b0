#include "api/access_log.h"

#include "api/api.h"
#include "base/alloc.h"
#include "base/clock.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

#define BUF_MAX     (1u << 20)
#define BUF_FLUSH   (128u << 10)
#define FLUSH_MS    250
#define SHARDS      16u
#define PATH_LOGGED 512u

struct shard {
    pthread_mutex_t lock;
    struct mr_buf buf;
    struct mr_buf spare; /* the flusher's: changes places with `buf`, so neither grows twice */
    uint64_t dropped;    /* lines lost because the log's reader stalls */
    int64_t second;      /* cached timestamp text */
    char stamp[MR_TIME_LEN];
    char pad[64];
};

struct mr_access_log {
    const struct mr_log *log;
    struct shard shard[SHARDS];
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t cond;
    bool stop, started;
};

static atomic_uint next_shard;

static struct shard *mine(struct mr_access_log *a) {
    static _Thread_local unsigned index;
    if (!index)
        index = atomic_fetch_add(&next_shard, 1) % SHARDS + 1;
    return &a->shard[index - 1];
}

static void write_all(int fd, const char *p, size_t n) {
    while (n) {
        ssize_t w = write(fd, p, n);
        if (w < 0 && errno == EINTR)
            continue;
        if (w <= 0)
            return; /* a log that cannot be written must not stop the server */
        p += w;
        n -= (size_t)w;
    }
}

static void flush(struct mr_access_log *a, struct shard *s) {
    pthread_mutex_lock(&s->lock);
    struct mr_buf out = s->buf;
    s->buf = s->spare;
    uint64_t dropped = s->dropped;
    s->dropped = 0;
    pthread_mutex_unlock(&s->lock);
    if (out.n)
        write_all(a->log->fd, out.p, out.n);
    else
        mr_buf_release(&out); /* nothing for a while: no memory either */
    mr_buf_clear(&out);
    s->spare = out;
    if (dropped)
        mr_log_msg(a->log, MR_LOG_WARN, "access_log",
                   "%llu lines dropped: the log is read too "
                   "slowly",
                   (unsigned long long)dropped);
}

static void *flusher(void *arg) {
    struct mr_access_log *a = arg;
    (void)pthread_setname_np(pthread_self(), "access-log");
    pthread_mutex_lock(&a->lock);
    while (!a->stop) {
        struct timespec until;
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_nsec += FLUSH_MS * 1000000l;
        if (until.tv_nsec >= 1000000000l) {
            until.tv_nsec -= 1000000000l;
            until.tv_sec++;
        }
        pthread_cond_timedwait(&a->cond, &a->lock, &until);
        pthread_mutex_unlock(&a->lock);
        for (unsigned i = 0; i < SHARDS; i++)
            flush(a, &a->shard[i]);
        pthread_mutex_lock(&a->lock);
    }
    pthread_mutex_unlock(&a->lock);
    return NULL;
}

int mr_access_log_open(const struct mr_log *log, struct mr_access_log **ret, struct mr_err *e) {
    struct mr_access_log *a = mr_calloc(1, sizeof *a);
    if (!a)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    a->log = log;
    pthread_mutex_init(&a->lock, NULL);
    pthread_cond_init(&a->cond, NULL);
    for (unsigned i = 0; i < SHARDS; i++) {
        pthread_mutex_init(&a->shard[i].lock, NULL);
        mr_buf_init(&a->shard[i].buf, BUF_MAX);
        mr_buf_init(&a->shard[i].spare, BUF_MAX);
    }
    if (pthread_create(&a->thread, NULL, flusher, a)) {
        mr_access_log_close(a);
        return mr_fail(e, MR_EIO, "cannot start a thread");
    }
    a->started = true;
    *ret = a;
    return 0;
}

void mr_access_log_close(struct mr_access_log *a) {
    if (!a)
        return;
    if (a->started) {
        pthread_mutex_lock(&a->lock);
        a->stop = true;
        pthread_cond_signal(&a->cond);
        pthread_mutex_unlock(&a->lock);
        pthread_join(a->thread, NULL);
    }
    for (unsigned i = 0; i < SHARDS; i++) {
        if (a->started)
            flush(a, &a->shard[i]);
        mr_buf_release(&a->shard[i].buf);
        mr_buf_release(&a->shard[i].spare);
        pthread_mutex_destroy(&a->shard[i].lock);
    }
    pthread_mutex_destroy(&a->lock);
    pthread_cond_destroy(&a->cond);
    mr_free(a);
}

/* "2024-01-15T10:00:00.123Z": the seconds are printed once a second. */
static void add_stamp(struct shard *s) {
    int64_t now = mr_now_us();
    if (now / 1000000 != s->second) {
        s->second = now / 1000000;
        mr_time_rfc3339(now, s->stamp);
    }
    unsigned ms = (unsigned)(now / 1000 % 1000);
    char frac[5] = {'.', (char)('0' + ms / 100), (char)('0' + ms / 10 % 10), (char)('0' + ms % 10),
                    'Z'};
    mr_buf_add(&s->buf, s->stamp, 19);
    mr_buf_add(&s->buf, frac, 5);
}

/* Microseconds as milliseconds with three places. */
static void add_ms(struct mr_buf *b, int64_t us) {
    char frac[4] = {'.', (char)('0' + us / 100 % 10), (char)('0' + us / 10 % 10),
                    (char)('0' + us % 10)};
    mr_buf_i64(b, us / 1000);
    mr_buf_add(b, frac, 4);
}

#define ADD(b, lit) mr_buf_add(b, lit, sizeof lit - 1)

static void add_json(struct shard *s, const struct mr_req *r, const struct mr_call *c,
                     struct mr_str path, int64_t us) {
    struct mr_buf *b = &s->buf;
    ADD(b, "{\"ts\":\"");
    add_stamp(s);
    ADD(b, "\",\"level\":\"info\",\"event\":\"request\",\"id\":\"");
    mr_buf_cstr(b, r->id);
    ADD(b, "\",\"method\":\"");
    mr_buf_cstr(b, mr_method_name(r->method));
    ADD(b, "\",\"path\":");
    mr_buf_json(b, path);
    ADD(b, ",\"status\":");
    mr_buf_i64(b, r->status);
    ADD(b, ",\"ms\":");
    add_ms(b, us);
    ADD(b, ",\"in\":");
    mr_buf_u64(b, r->body_len);
    ADD(b, ",\"out\":");
    mr_buf_u64(b, r->reply_len);
    ADD(b, ",\"peer\":\"");
    mr_buf_cstr(b, r->peer);
    mr_buf_char(b, '"');
    if (c && c->who.authenticated) {
        char hex[MR_ID_HEX];
        mr_id_hex(c->who.account, hex);
        ADD(b, ",\"account\":\"");
        mr_buf_add(b, hex, 32);
        mr_buf_char(b, '"');
    }
    if (r->client_gone)
        ADD(b, ",\"gone\":true");
    ADD(b, "}\n");
}

static void add_text(struct shard *s, const struct mr_req *r, struct mr_str path, int64_t us) {
    struct mr_buf *b = &s->buf;
    mr_buf_fmt(b, "%.8s %3d %-6s ", s->stamp[0] ? s->stamp + 11 : "", r->status,
               mr_method_name(r->method));
    mr_buf_json(b, path);
    mr_buf_char(b, ' ');
    add_ms(b, us);
    mr_buf_fmt(b, " ms %s\n", r->id);
}

void mr_access_log_add(struct mr_access_log *a, const struct mr_req *r, const struct mr_call *c) {
    if (!a || a->log->level > MR_LOG_INFO)
        return;
    struct shard *s = mine(a);
    int64_t us = ((r->sent_ns ? r->sent_ns : mr_mono_ns()) - r->start_ns) / 1000;
    /* The path only: a query may carry what should not be kept. */
    struct mr_str path = mr_strn(r->path.p, r->path.n > PATH_LOGGED ? PATH_LOGGED : r->path.n);
    pthread_mutex_lock(&s->lock);
    size_t before = s->buf.n;
    if (a->log->format == MR_LOG_JSON)
        add_json(s, r, c, path, us);
    else {
        int64_t now = mr_now_us();
        if (now / 1000000 != s->second) {
            s->second = now / 1000000;
            mr_time_rfc3339(now, s->stamp);
        }
        add_text(s, r, path, us);
    }
    if (!mr_buf_ok(&s->buf)) {
        s->buf.n = before;
        s->buf.fail = 0;
        s->dropped++;
    }
    bool full = before <= BUF_FLUSH && s->buf.n > BUF_FLUSH; /* once a buffer */
    pthread_mutex_unlock(&s->lock);
    if (full)
        pthread_cond_signal(&a->cond);
}
