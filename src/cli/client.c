#include "cli/client.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/id.h"
#include "cli/local_config.h"
#include "wire/sse.h"

#include <fcntl.h>

#define REPLY_MAX (256u << 20)

void mr_reply_release(struct mr_reply *r) {
    yyjson_doc_free(r->doc);
    mr_buf_release(&r->body);
    *r = (struct mr_reply){0};
}

/* The first line of a small file, or NULL. */
static char *read_key(const char *path) {
    char text[256];
    MR_AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return NULL;
    ssize_t n = read(fd, text, sizeof text);
    if (n <= 0 || n == (ssize_t)sizeof text)
        return NULL;
    size_t len = 0;
    while (len < (size_t)n && (unsigned char)text[len] > ' ')
        len++;
    return len ? mr_strndup(text, len) : NULL;
}

static void owner_key(struct mr_client *c) {
    struct mr_buf path, show;
    struct mr_config cfg;
    /* A broken settings file is the server's (and doctor's) to report. */
    (void)mr_cli_local_config(&cfg, NULL, NULL);
    mr_buf_init(&path, 8192);
    mr_buf_init(&show, 8192);
    mr_buf_fmt(&path, "%s/owner.key", cfg.data_dir ? cfg.data_dir : "data");
    if (mr_buf_ok(&path) && (c->key = read_key(path.p))) {
        mr_buf_fmt(&show, "$(cat '%s')", path.p);
        c->key_file = mr_strdup(path.p);
        c->key_show_own = mr_buf_ok(&show) ? mr_strdup(show.p) : NULL;
        c->key_show = c->key_show_own;
    }
    mr_buf_release(&path);
    mr_buf_release(&show);
    mr_config_release(&cfg);
}

static bool key_ok(const char *key) {
    for (; *key; key++)
        if ((unsigned char)*key <= ' ' || (unsigned char)*key >= 127)
            return false;
    return true;
}

static int find_key(struct mr_client *c, const struct mr_args *a, struct mr_err *e) {
    const char *given = mr_args_get(a, "--key"), *env = getenv("MILLRACE_KEY");
    if (given)
        c->key_show = given;
    else if (env && *env)
        c->key_show = "$MILLRACE_KEY";
    if (given || (env && *env)) {
        c->key = mr_strdup(given ? given : env);
        if (!c->key)
            return mr_fail(e, MR_ENOMEM, "out of memory");
    } else if (c->loopback) {
        owner_key(c); /* never sent to another machine */
    }
    if (c->key && !key_ok(c->key))
        return mr_fail(e, MR_EFIELD, "the API key holds spaces or other odd characters");
    return 0;
}

static int find_url(struct mr_client *c, const struct mr_args *a, struct mr_err *e) {
    const char *url = mr_args_get(a, "--url"), *env = getenv("MILLRACE_URL");
    c->chosen = url || (env && *env);
    if (!url)
        url = env && *env ? env : "http://127.0.0.1:8080";
    struct mr_str s = mr_str(url);
    while (s.n && s.p[s.n - 1] == '/')
        s.n--;
    CURLU *u = curl_url();
    char *host = NULL, *scheme = NULL;
    int rc = 0;
    c->base = mr_strndup(s.p, s.n);
    if (!u || !c->base)
        rc = mr_fail(e, MR_ENOMEM, "out of memory");
    else if (curl_url_set(u, CURLUPART_URL, c->base, 0) ||
             curl_url_get(u, CURLUPART_SCHEME, &scheme, 0) ||
             curl_url_get(u, CURLUPART_HOST, &host, 0) ||
             (strcmp(scheme, "http") && strcmp(scheme, "https")))
        rc = mr_fail(e, MR_EFIELD, "the URL must look like http://host:port, not '%.200s'", url);
    else
        c->loopback =
            !strncmp(host, "127.", 4) || !strcmp(host, "localhost") || !strcmp(host, "[::1]");
    curl_free(host);
    curl_free(scheme);
    curl_url_cleanup(u);
    return rc;
}

int mr_client_open(struct mr_client *c, const struct mr_args *a, struct mr_err *e) {
    int64_t timeout;
    *c = (struct mr_client){.key_show = "$MILLRACE_KEY"};
    if (!mr_args_int(a, "--http-timeout", 1, 86400, 60, &timeout))
        return mr_fail(e, MR_EFIELD, "--http-timeout is wrong");
    c->timeout_s = (long)timeout;
    curl_global_init(CURL_GLOBAL_DEFAULT);
    c->curl = curl_easy_init();
    if (!c->curl)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    int rc = find_url(c, a, e);
    return rc ? rc : find_key(c, a, e);
}

void mr_client_release(struct mr_client *c) {
    curl_easy_cleanup(c->curl);
    mr_free(c->base);
    mr_free(c->key);
    mr_free(c->key_show_own);
    mr_free(c->key_file);
    *c = (struct mr_client){0};
}

static size_t on_body(char *p, size_t size, size_t n, void *arg) {
    struct mr_buf *b = arg;
    mr_buf_add(b, p, size * n);
    return mr_buf_ok(b) ? size * n : 0;
}

static size_t on_header(char *p, size_t size, size_t n, void *arg) {
    struct mr_reply *r = arg;
    struct mr_str rest = mr_strn(p, size * n);
    struct mr_str name = mr_str_cut(&rest, ':');
    if (rest.p) {
        while (rest.n && (rest.p[rest.n - 1] == '\r' || rest.p[rest.n - 1] == '\n'))
            rest.n--;
        rest = mr_str_trim(rest);
        if (mr_str_ieq(name, MR_LIT("x-request-id")))
            snprintf(r->request_id, sizeof r->request_id, "%.*s", (int)(rest.n > 95 ? 95 : rest.n),
                     rest.p);
        char date[64];
        if (mr_str_ieq(name, MR_LIT("date")) && rest.n < sizeof date) {
            memcpy(date, rest.p, rest.n);
            date[rest.n] = 0;
            time_t t = curl_getdate(date, NULL);
            r->date_s = t > 0 ? (int64_t)t : 0;
        }
    }
    return size * n;
}

static int no_answer(struct mr_client *c, CURLcode code, const char *text, struct mr_err *e) {
    const char *said = *text ? text : curl_easy_strerror(code);
    if (code == CURLE_COULDNT_CONNECT)
        return mr_fail(e, MR_EUNAVAIL, "no server answers at %s%s", c->base,
                       c->loopback ? "; start one with: millrace serve" : "");
    if (code == CURLE_OPERATION_TIMEDOUT)
        return mr_fail(e, MR_ETIMEOUT, "%s: no answer in time (--http-timeout %ld)", c->base,
                       c->timeout_s);
    return mr_fail(e, MR_EIO, "%s: %s", c->base, said);
}

static int code_of(long status) {
    switch (status) {
    case 401:
        return MR_EUNAUTH;
    case 403:
        return MR_EFORBIDDEN;
    case 404:
        return MR_ENOTFOUND;
    case 409:
        return MR_ECONFLICT;
    case 422:
        return MR_EFIELD;
    case 429:
        return MR_ELIMIT;
    default:
        return status >= 500 ? MR_EUNAVAIL : MR_EINVAL;
    }
}

static const char *str_of(yyjson_val *obj, const char *key) {
    const char *s = yyjson_get_str(yyjson_obj_get(obj, key));
    return s ? s : "";
}

static int judge(struct mr_client *c, struct mr_reply *r, struct mr_err *e) {
    if (r->body.n)
        r->doc = yyjson_read(r->body.p, r->body.n, 0);
    yyjson_val *root = yyjson_doc_get_root(r->doc);
    if (r->status < 400 && root)
        return 0;
    if (r->status < 400)
        return mr_fail(e, MR_EIO, "%s does not answer in JSON: is it a millrace server?", c->base);
    yyjson_val *err = yyjson_obj_get(root, "error");
    const char *id = str_of(root, "request_id");
    if (!yyjson_is_obj(err))
        return mr_fail(e, code_of(r->status), "HTTP %ld from %s (request %s)", r->status, c->base,
                       r->request_id[0] ? r->request_id : "without id");
    const char *hint = r->status == 401 && !c->key ? "; give --key or set MILLRACE_KEY" : "";
    return mr_fail(e, code_of(r->status), "%s: %.300s%s (request %.90s)", str_of(err, "code"),
                   str_of(err, "message"), hint, *id ? id : r->request_id);
}

static struct curl_slist *headers_of(struct mr_client *c, bool json, const char *extra) {
    struct curl_slist *h = NULL;
    struct mr_buf line;
    mr_buf_init(&line, 4096);
    if (c->key) {
        mr_buf_fmt(&line, "Authorization: Bearer %s", c->key);
        if (mr_buf_ok(&line))
            h = curl_slist_append(h, line.p);
    }
    if (json)
        h = curl_slist_append(h, "Content-Type: application/json");
    if (extra)
        h = curl_slist_append(h, extra);
    h = curl_slist_append(h, "Accept: application/json");
    mr_buf_release(&line);
    return h;
}

/* Sends what is set up; *ret_code is curl's own outcome. `on_data` NULL: the body is collected. */
static int transfer(struct mr_client *c, const char *path, struct curl_slist *headers,
                    curl_write_callback on_data, void *arg, struct mr_reply *ret,
                    CURLcode *ret_code, struct mr_err *e) {
    char text[CURL_ERROR_SIZE] = "";
    struct mr_buf url;
    mr_buf_init(&url, 16384);
    mr_buf_init(&ret->body, REPLY_MAX);
    mr_buf_fmt(&url, "%s%s", c->base, path);
    if (!mr_buf_ok(&url)) {
        mr_buf_release(&url);
        return mr_fail(e, MR_ETOOBIG, "the request's path is too long");
    }
    curl_easy_setopt(c->curl, CURLOPT_URL, url.p);
    curl_easy_setopt(c->curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(c->curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(c->curl, CURLOPT_USERAGENT, "millrace-cli/" MR_VERSION);
    curl_easy_setopt(c->curl, CURLOPT_ERRORBUFFER, text);
    curl_easy_setopt(c->curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(c->curl, CURLOPT_CONNECTTIMEOUT, c->timeout_s < 10 ? c->timeout_s : 10L);
    curl_easy_setopt(c->curl, CURLOPT_WRITEFUNCTION, on_data ? on_data : on_body);
    curl_easy_setopt(c->curl, CURLOPT_WRITEDATA, on_data ? arg : &ret->body);
    curl_easy_setopt(c->curl, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(c->curl, CURLOPT_HEADERDATA, ret);
    if (c->loopback)
        curl_easy_setopt(c->curl, CURLOPT_NOPROXY, "*");
    CURLcode code = curl_easy_perform(c->curl);
    curl_easy_getinfo(c->curl, CURLINFO_RESPONSE_CODE, &ret->status);
    curl_easy_setopt(c->curl, CURLOPT_ERRORBUFFER, NULL);
    mr_buf_release(&url);
    /* A server that refuses an upload may answer and hang up before all was sent. */
    if (code && !(ret->status >= 400 && ret->body.n)) {
        ret->status = 0;
        *ret_code = code;
        return no_answer(c, code, text, e);
    }
    *ret_code = CURLE_OK;
    return 0;
}

static int perform(struct mr_client *c, const char *path, struct curl_slist *headers,
                   struct mr_reply *ret, struct mr_err *e) {
    CURLcode code;
    int rc = transfer(c, path, headers, NULL, NULL, ret, &code, e);
    return rc ? rc : judge(c, ret, e);
}

int mr_client_call(struct mr_client *c, const char *method, const char *path, struct mr_str body,
                   struct mr_reply *ret, struct mr_err *e) {
    *ret = (struct mr_reply){0};
    curl_easy_reset(c->curl);
    struct curl_slist *h = headers_of(c, body.p != NULL, NULL);
    curl_easy_setopt(c->curl, CURLOPT_TIMEOUT, c->timeout_s);
    if (body.p || !strcmp(method, "POST")) {
        curl_easy_setopt(c->curl, CURLOPT_POSTFIELDS, body.p ? body.p : "");
        curl_easy_setopt(c->curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)body.n);
    }
    curl_easy_setopt(c->curl, CURLOPT_CUSTOMREQUEST, method);
    int rc = perform(c, path, h, ret, e);
    curl_slist_free_all(h);
    return rc;
}

struct progress {
    mr_progress_fn *fn;
    void *arg;
};

static int on_progress(void *arg, curl_off_t dl_total, curl_off_t dl, curl_off_t total,
                       curl_off_t sent) {
    struct progress *p = arg;
    (void)dl_total;
    (void)dl;
    p->fn(p->arg, sent, total);
    return 0;
}

int mr_client_upload(struct mr_client *c, const char *path, const struct mr_upload *parts, size_t n,
                     mr_progress_fn *progress, void *arg, struct mr_reply *ret, struct mr_err *e) {
    char idem[64 + MR_ID_HEX] = "Idempotency-Key: ", hex[MR_ID_HEX];
    struct progress p = {progress, arg};
    int rc = 0;
    *ret = (struct mr_reply){0};
    mr_id_hex(mr_id_new(), hex);
    snprintf(idem, sizeof idem, "Idempotency-Key: %s", hex);
    curl_easy_reset(c->curl);
    struct curl_slist *h = headers_of(c, false, idem);
    curl_mime *form = curl_mime_init(c->curl);
    for (size_t i = 0; i < n && !rc; i++) {
        curl_mimepart *part = curl_mime_addpart(form);
        CURLcode code = curl_mime_name(part, parts[i].field);
        if (!code)
            code = parts[i].path ? curl_mime_filedata(part, parts[i].path)
                                 : curl_mime_data(part, parts[i].value, CURL_ZERO_TERMINATED);
        if (code)
            rc = mr_fail(e, MR_EIO, "%s: %s", parts[i].path ? parts[i].path : parts[i].field,
                         curl_easy_strerror(code));
    }
    if (!rc) {
        curl_easy_setopt(c->curl, CURLOPT_MIMEPOST, form);
        curl_easy_setopt(c->curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
        curl_easy_setopt(c->curl, CURLOPT_LOW_SPEED_TIME, c->timeout_s);
        if (progress) {
            curl_easy_setopt(c->curl, CURLOPT_NOPROGRESS, 0L);
            curl_easy_setopt(c->curl, CURLOPT_XFERINFOFUNCTION, on_progress);
            curl_easy_setopt(c->curl, CURLOPT_XFERINFODATA, &p);
        }
        rc = perform(c, path, h, ret, e);
    }
    curl_mime_free(form);
    curl_slist_free_all(h);
    return rc;
}

/* --- streams ------------------------------------------------------------------------------ */

struct stream {
    struct mr_client *c;
    struct mr_reply *reply;
    struct mr_sse_parser parser;
    int (*on_event)(void *arg, struct mr_str data);
    void *arg;
    bool done;
    int rc;
};

static int on_sse(void *ctx, const struct mr_sse_event *ev) {
    struct stream *s = ctx;
    if (mr_str_is(ev->data, "[DONE]")) {
        s->done = true;
        return 0;
    }
    return s->on_event(s->arg, ev->data);
}

static size_t on_piece(char *p, size_t size, size_t n, void *arg) {
    struct stream *s = arg;
    long status = 0;
    curl_easy_getinfo(s->c->curl, CURLINFO_RESPONSE_CODE, &status);
    if (status >= 400)
        return on_body(p, size, n, &s->reply->body);
    s->rc = mr_sse_feed(&s->parser, p, size * n, NULL);
    return s->rc ? 0 : size * n;
}

int mr_client_stream(struct mr_client *c, const char *path, struct mr_str body,
                     int (*on_event)(void *arg, struct mr_str data), void *arg,
                     struct mr_reply *ret, struct mr_err *e) {
    struct stream s = {.c = c, .reply = ret, .on_event = on_event, .arg = arg};
    CURLcode code;
    *ret = (struct mr_reply){0};
    mr_sse_begin(&s.parser, REPLY_MAX, REPLY_MAX, on_sse, &s);
    curl_easy_reset(c->curl);
    struct curl_slist *h = headers_of(c, true, NULL);
    curl_easy_setopt(c->curl, CURLOPT_POSTFIELDS, body.p);
    curl_easy_setopt(c->curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)body.n);
    int rc = transfer(c, path, h, on_piece, &s, ret, &code, e);
    curl_slist_free_all(h);
    mr_sse_release(&s.parser);
    if (s.rc)
        return s.rc == MR_ETOOBIG ? mr_fail(e, s.rc, "an event of the stream is too large") : s.rc;
    if (!rc && ret->status >= 400)
        return judge(c, ret, e);
    if (!rc && !s.done)
        rc = mr_fail(e, MR_EIO, "the stream ended before its last event");
    return rc;
}
