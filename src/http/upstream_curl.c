/* The libcurl side of outgoing requests: one multi handle driven by the event loop's descriptors
 * and timers. Everything here runs on the upstream's thread.
 *
 * libcurl takes a descriptor off the watch list after each transfer and puts it back for the next
 * one on the same connection. For connections, which tell us when they are opened and closed, the
 * epoll registration stays meanwhile: two system calls fewer a request. */
#include "base/alloc.h"
#include "base/clock.h"
#include "http/upstream_impl.h"

#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

struct upstream_sock {
    struct mr_upstream *u;
    struct mr_loop_io *io;
    int fd;
    uint32_t want;   /* 0: libcurl is not interested now */
    bool connection; /* opened by open_socket, so close_socket will tell */
};

/* ---- the end of a request ---- */

static int code_of(const struct upstream_call *c, CURLcode code) {
    if (c->stopped)
        return MR_ECANCELLED;
    if (c->too_big)
        return MR_ETOOBIG;
    if (code == CURLE_OK)
        return 0;
    return code == CURLE_OPERATION_TIMEDOUT ? MR_ETIMEOUT : MR_EIO;
}

bool mr_upstream_leave_curl(struct upstream_call *c) {
    long sent = 0, status = 0;
    if (c->in_multi) {
        (void)curl_easy_getinfo(c->easy, CURLINFO_REQUEST_SIZE, &sent);
        (void)curl_easy_getinfo(c->easy, CURLINFO_RESPONSE_CODE, &status);
        (void)curl_multi_remove_handle(c->u->multi, c->easy);
        c->status = (int)status;
    }
    c->in_multi = false;
    return c->tries > 0 && (sent > 0 || c->resent);
}

static void reap(struct mr_upstream *u) {
    int left;
    CURLMsg *m;
    while ((m = curl_multi_info_read(u->multi, &left))) {
        if (m->msg != CURLMSG_DONE)
            continue;
        struct upstream_call *c = NULL;
        CURLcode code = m->data.result;
        (void)curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, (char **)&c);
        const char *why = c->err[0] ? c->err : curl_easy_strerror(code);
        if (c->too_big)
            why = "the reply is larger than allowed";
        else if (c->resent)
            why = "the connection was closed without an answer";
        mr_upstream_finish(c, code_of(c, code), why);
    }
}

static void on_curl_timer(void *arg) {
    struct mr_upstream *u = arg;
    int running;
    (void)curl_multi_socket_action(u->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    reap(u);
}

static int timer_fn(CURLM *m, long ms, void *arg) {
    struct mr_upstream *u = arg;
    (void)m;
    if (ms < 0)
        mr_loop_timer_cancel(u->loop, &u->curl_timer);
    else if (mr_loop_timer_set(u->loop, &u->curl_timer, mr_loop_now_ns(u->loop) + ms * 1000000) < 0)
        return -1;
    return 0;
}

/* ---- descriptors ---- */

static struct upstream_sock *sock_of(struct mr_upstream *u, int fd) {
    if (fd < 0)
        return NULL;
    if ((size_t)fd >= u->n_socks) {
        size_t n = (size_t)fd * 2 + 64;
        struct upstream_sock **all = mr_reallocarray(u->socks, n, sizeof(struct upstream_sock *));
        if (!all)
            return NULL;
        memset(all + u->n_socks, 0, (n - u->n_socks) * sizeof(struct upstream_sock *));
        u->socks = all;
        u->n_socks = n;
    }
    if (!u->socks[fd]) {
        struct upstream_sock *s = mr_calloc(1, sizeof *s);
        if (!s)
            return NULL;
        s->u = u;
        s->fd = fd;
        u->socks[fd] = s;
    }
    return u->socks[fd];
}

static void unwatch(struct upstream_sock *s) {
    mr_loop_del(s->io);
    s->io = NULL;
    s->want = 0;
}

static void on_sock(void *arg, uint32_t events) {
    struct upstream_sock *s = arg;
    struct mr_upstream *u = s->u;
    if (!s->want) { /* an idle connection was closed: libcurl sees that when it looks at it */
        unwatch(s);
        return;
    }
    int mask = (events & EPOLLIN ? CURL_CSELECT_IN : 0) |
               (events & EPOLLOUT ? CURL_CSELECT_OUT : 0) |
               (events & (EPOLLERR | EPOLLHUP) ? CURL_CSELECT_ERR : 0);
    int running;
    (void)curl_multi_socket_action(u->multi, s->fd, mask, &running);
    reap(u);
}

static int socket_fn(CURL *h, curl_socket_t fd, int what, void *arg, void *unused) {
    struct mr_upstream *u = arg;
    struct upstream_sock *s = sock_of(u, fd);
    (void)h;
    (void)unused;
    if (!s)
        return -1;
    s->want = what == CURL_POLL_IN      ? EPOLLIN
              : what == CURL_POLL_OUT   ? EPOLLOUT
              : what == CURL_POLL_INOUT ? EPOLLIN | EPOLLOUT
                                        : 0;
    if (!s->want) {
        if (!s->connection)
            unwatch(s);
        return 0;
    }
    if (s->io)
        return mr_loop_set(s->io, s->want) < 0 ? -1 : 0;
    return mr_loop_add(u->loop, fd, s->want, on_sock, s, &s->io, NULL) < 0 ? -1 : 0;
}

static curl_socket_t open_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *a) {
    struct mr_upstream *u = arg;
    (void)purpose;
    int fd = socket(a->family, a->socktype | SOCK_CLOEXEC, a->protocol);
    struct upstream_sock *s = sock_of(u, fd);
    if (!s) {
        if (fd >= 0)
            close(fd);
        return CURL_SOCKET_BAD;
    }
    unwatch(s);
    s->connection = true;
    return fd;
}

static int close_socket(void *arg, curl_socket_t fd) {
    struct upstream_sock *s = sock_of(arg, fd);
    if (s) {
        unwatch(s);
        s->connection = false;
    }
    return close(fd);
}

/* ---- what comes back ---- */

static size_t on_header(char *p, size_t size, size_t n, void *arg) {
    struct upstream_call *c = arg;
    struct mr_str line = mr_strn(p, size * n), value = line;
    if (!c->first_ns)
        c->first_ns = mr_mono_ns();
    c->head_bytes += line.n;
    if (c->head_bytes > UPSTREAM_HEAD_MAX) {
        c->too_big = true;
        return 0;
    }
    if (mr_str_starts(line, MR_LIT("HTTP/"))) { /* a status line */
        mr_upstream_no_headers(c);
        return line.n;
    }
    struct mr_str name = mr_str_cut(&value, ':');
    while (value.n && (value.p[value.n - 1] == '\r' || value.p[value.n - 1] == '\n'))
        value.n--;
    if (value.p)
        mr_upstream_header(c, name, mr_str_trim(value));
    return line.n;
}

static size_t on_body(char *p, size_t size, size_t n, void *arg) {
    struct upstream_call *c = arg;
    if (!c->status) {
        long status = 0;
        (void)curl_easy_getinfo(c->easy, CURLINFO_RESPONSE_CODE, &status);
        c->status = (int)status;
    }
    return mr_upstream_piece(c, mr_strn(p, size * n)) == 0 ? size * n : 0;
}

/* libcurl sends a request again by itself when a kept connection closes without an answer. The
 * first one may have reached the server and may be billed: never a second time, unless the server
 * said that it does not process it. */
static int before_request(void *arg, char *to, char *from, int to_port, int from_port) {
    struct upstream_call *c = arg;
    long sent = 0;
    (void)to;
    (void)from;
    (void)to_port;
    (void)from_port;
    if (c->tries++ > 0) {
        (void)curl_easy_getinfo(c->easy, CURLINFO_REQUEST_SIZE, &sent);
        if (sent > 0 && !c->refused) {
            c->resent = true;
            return CURL_PREREQFUNC_ABORT;
        }
    }
    c->refused = false;
    return CURL_PREREQFUNC_OK;
}

/* ---- setting up ---- */

static bool set_headers(struct upstream_call *c) {
    curl_slist_free_all(c->slist);
    c->slist = curl_slist_append(NULL, "Expect:"); /* no waiting for 100 Continue */
    struct mr_str rest = mr_buf_view(&c->head);
    while (c->slist && rest.n) {
        char *end = memchr((char *)(uintptr_t)rest.p, '\n', rest.n);
        *end = 0;
        struct curl_slist *more = curl_slist_append(c->slist, rest.p);
        *end = '\n';
        if (!more)
            return false;
        c->slist = more;
        rest = mr_strn(end + 1, rest.n - (size_t)(end + 1 - rest.p));
    }
    return c->slist != NULL;
}

#define SET(opt, value)                                                                            \
    do {                                                                                           \
        if (rc == CURLE_OK)                                                                        \
            rc = curl_easy_setopt(c->easy, opt, value);                                            \
    } while (0)

/* What never changes for one easy handle. */
static CURLcode set_fixed(struct upstream_call *c) {
    struct mr_upstream *u = c->u;
    CURLcode rc = CURLE_OK;
    SET(CURLOPT_PRIVATE, c);
    SET(CURLOPT_NOSIGNAL, 1L);
    SET(CURLOPT_QUICK_EXIT, 1L); /* giving up on a name does not wait for the resolver's thread */
    SET(CURLOPT_ERRORBUFFER, c->err);
    SET(CURLOPT_PROTOCOLS_STR, "http,https");
    SET(CURLOPT_FOLLOWLOCATION, 0L);
    SET(CURLOPT_PROXY, "");
    SET(CURLOPT_USERAGENT, "millrace/" MR_VERSION);
    SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_2TLS);
    SET(CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    SET(CURLOPT_SSL_VERIFYPEER, 1L);
    SET(CURLOPT_SSL_VERIFYHOST, 2L);
    if (u->ca_file && u->ca_file[0])
        SET(CURLOPT_CAINFO, u->ca_file);
    if (u->ca_dir && u->ca_dir[0])
        SET(CURLOPT_CAPATH, u->ca_dir);
    SET(CURLOPT_MAXAGE_CONN, (long)UPSTREAM_AGE_S);
    SET(CURLOPT_TCP_KEEPALIVE, 1L);
    SET(CURLOPT_HEADERFUNCTION, on_header);
    SET(CURLOPT_HEADERDATA, c);
    SET(CURLOPT_WRITEFUNCTION, on_body);
    SET(CURLOPT_WRITEDATA, c);
    SET(CURLOPT_PREREQFUNCTION, before_request);
    SET(CURLOPT_PREREQDATA, c);
    SET(CURLOPT_OPENSOCKETFUNCTION, open_socket);
    SET(CURLOPT_OPENSOCKETDATA, u);
    SET(CURLOPT_CLOSESOCKETFUNCTION, close_socket);
    SET(CURLOPT_CLOSESOCKETDATA, u);
    return rc;
}

/* URL, method and headers. */
static CURLcode set_config(struct upstream_call *c) {
    CURLcode rc = CURLE_OK;
    if (!set_headers(c))
        return CURLE_OUT_OF_MEMORY;
    SET(CURLOPT_URL, c->url.p);
    SET(CURLOPT_HTTPHEADER, c->slist);
    /* requests to one HTTP/2 server wait for its first connection and share it */
    bool tls = strncasecmp(c->url.p, "https:", 6) == 0;
    SET(CURLOPT_PIPEWAIT, tls ? 1L : 0L);
    if (rc == CURLE_OK && tls)
        rc = mr_upstream_watch_h2(c);
    bool get = strcmp(c->method, "GET") == 0;
    if (get)
        SET(CURLOPT_HTTPGET, 1L);
    else
        SET(CURLOPT_POST, 1L);
    SET(CURLOPT_CUSTOMREQUEST, get || strcmp(c->method, "POST") == 0 ? NULL : c->method);
    return rc;
}

static CURLcode set_up(struct upstream_call *c) {
    CURLcode rc = CURLE_OK;
    if (!c->easy) {
        c->easy = curl_easy_init();
        if (!c->easy)
            return CURLE_FAILED_INIT;
        rc = set_fixed(c);
        c->configured = false;
    }
    if (rc == CURLE_OK && !c->configured)
        rc = set_config(c);
    if (c->connect_ms != c->connect_ms_set)
        SET(CURLOPT_CONNECTTIMEOUT_MS, (long)c->connect_ms);
    c->connect_ms_set = c->connect_ms;
    if (rc == CURLE_OK && strcmp(c->method, "GET") != 0) {
        SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)c->body.n);
        SET(CURLOPT_POSTFIELDS, c->body.n ? c->body.p : "");
    }
    c->configured = rc == CURLE_OK;
    return rc;
}

static pthread_once_t curl_once = PTHREAD_ONCE_INIT;
static void init_curl(void) {
    curl_global_init(CURL_GLOBAL_DEFAULT);
}

static int ensure_multi(struct mr_upstream *u) {
    if (u->multi)
        return 0;
    pthread_once(&curl_once, init_curl);
    CURLM *m = curl_multi_init();
    if (!m)
        return MR_EIO;
    u->curl_timer = (struct mr_timer){.fn = on_curl_timer, .arg = u};
    (void)curl_multi_setopt(m, CURLMOPT_SOCKETFUNCTION, socket_fn);
    (void)curl_multi_setopt(m, CURLMOPT_SOCKETDATA, u);
    (void)curl_multi_setopt(m, CURLMOPT_TIMERFUNCTION, timer_fn);
    (void)curl_multi_setopt(m, CURLMOPT_TIMERDATA, u);
    (void)curl_multi_setopt(m, CURLMOPT_PIPELINING, (long)CURLPIPE_MULTIPLEX);
    (void)curl_multi_setopt(m, CURLMOPT_MAX_CONCURRENT_STREAMS, 1000L); /* the server's counts */
    (void)curl_multi_setopt(m, CURLMOPT_MAX_HOST_CONNECTIONS, (long)u->config.conns_per_host);
    (void)curl_multi_setopt(m, CURLMOPT_MAXCONNECTS, (long)u->config.conns_per_host);
    u->multi = m;
    return 0;
}

void mr_upstream_begin_curl(struct upstream_call *c) {
    struct mr_upstream *u = c->u;
    if (ensure_multi(u) < 0) {
        mr_upstream_finish(c, MR_EIO, "libcurl.so.4 is not installed");
        return;
    }
    CURLcode rc = set_up(c);
    if (rc != CURLE_OK) {
        mr_upstream_finish(c, MR_EIO, curl_easy_strerror(rc));
        return;
    }
    mr_upstream_arm(c);
    if (c->timed_out || curl_multi_add_handle(u->multi, c->easy) != CURLM_OK) {
        mr_upstream_finish(c, MR_EIO, "no memory for an outgoing request");
        return;
    }
    c->in_multi = true;
}

void mr_upstream_close_curl(struct mr_upstream *u) {
    if (u->multi)
        (void)curl_multi_cleanup(u->multi);
    u->multi = NULL;
    mr_loop_timer_cancel(u->loop, &u->curl_timer);
    for (size_t i = 0; i < u->n_socks; i++)
        if (u->socks[i]) {
            if (u->socks[i]->io)
                mr_loop_del(u->socks[i]->io);
            mr_free(u->socks[i]);
        }
    mr_free(u->socks);
    u->socks = NULL;
    u->n_socks = 0;
}
