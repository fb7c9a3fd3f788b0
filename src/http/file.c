/* Static files: conditional requests and one byte range (RFC 9110 §13, §14). */
#include "http/internal.h"

#include "base/cleanup.h"
#include "base/hash.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static const struct {
    const char *ext, *type;
} types[] = {
    {".html", "text/html; charset=utf-8"},
    {".css", "text/css; charset=utf-8"},
    {".js", "text/javascript; charset=utf-8"},
    {".mjs", "text/javascript; charset=utf-8"},
    {".json", "application/json"},
    {".map", "application/json"},
    {".txt", "text/plain; charset=utf-8"},
    {".md", "text/markdown; charset=utf-8"},
    {".csv", "text/csv; charset=utf-8"},
    {".yaml", "application/yaml"},
    {".xml", "application/xml"},
    {".svg", "image/svg+xml"},
    {".png", "image/png"},
    {".jpg", "image/jpeg"},
    {".jpeg", "image/jpeg"},
    {".gif", "image/gif"},
    {".webp", "image/webp"},
    {".ico", "image/vnd.microsoft.icon"},
    {".woff2", "font/woff2"},
    {".woff", "font/woff"},
    {".wasm", "application/wasm"},
    {".pdf", "application/pdf"},
    {".zip", "application/zip"},
};

static const char *type_of(struct mr_str path) {
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        struct mr_str ext = mr_str(types[i].ext);
        if (path.n > ext.n && mr_str_ieq(mr_strn(path.p + path.n - ext.n, ext.n), ext))
            return types[i].type;
    }
    return "application/octet-stream";
}

/* Opens rel below dir; ".." and links can never leave it (the kernel checks while walking). A
 * regular file or nothing: O_NONBLOCK keeps a FIFO from blocking the loop. */
static int open_below(const char *dir, struct mr_str rel, struct stat *st) {
    char name[1024];
    while (rel.n && rel.p[0] == '/')
        rel = mr_strn(rel.p + 1, rel.n - 1);
    if (!rel.n || rel.n >= sizeof name || memchr(rel.p, 0, rel.n))
        return -1;
    memcpy(name, rel.p, rel.n);
    name[rel.n] = 0;
    MR_AUTO_CLOSE int base = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (base < 0)
        return -1;
    struct open_how how = {.flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY,
                           .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS};
    int fd = (int)syscall(SYS_openat2, base, name, &how, sizeof how);
    if (fd >= 0 && (fstat(fd, st) < 0 || !S_ISREG(st->st_mode))) {
        close(fd);
        return -1;
    }
    return fd;
}

/* Weak comparison of a list of entity tags against ours ("…" with quotes). */
static bool tag_listed(struct mr_str list, struct mr_str tag) {
    while (list.p && list.n) {
        struct mr_str one = mr_str_trim(mr_str_cut(&list, ','));
        if (one.n > 2 && one.p[0] == 'W' && one.p[1] == '/')
            one = mr_strn(one.p + 2, one.n - 2);
        if (mr_str_eq(one, tag) || mr_str_is(one, "*"))
            return true;
    }
    return false;
}

static bool not_modified(const struct mr_req *r, struct mr_str tag, int64_t mtime_s) {
    struct mr_str match = mr_req_header(r, "if-none-match");
    if (match.p)
        return tag_listed(match, tag);
    int64_t since;
    struct mr_str date = mr_req_header(r, "if-modified-since");
    return date.p && http_date_parse(date, &since) && mtime_s <= since;
}

/* An If-Range that no longer holds turns the range off. */
static bool range_allowed(const struct mr_req *r, struct mr_str tag, int64_t mtime_s) {
    struct mr_str cond = mr_req_header(r, "if-range");
    int64_t at;
    if (!cond.p)
        return true;
    if (cond.n && cond.p[0] == '"')
        return mr_str_eq(cond, tag);
    return http_date_parse(cond, &at) && at == mtime_s;
}

/* 1: one satisfiable range, 0: ignore the header, -1: unsatisfiable. */
static int parse_range(struct mr_str v, int64_t size, int64_t *ret_from, int64_t *ret_n) {
    if (!mr_str_starts(v, MR_LIT("bytes=")))
        return 0;
    struct mr_str last = mr_str_trim(mr_strn(v.p + 6, v.n - 6));
    if (memchr(last.p, ',', last.n))
        return 0; /* several ranges: the whole file is a valid answer */
    struct mr_str first = mr_str_cut(&last, '-');
    int64_t a, b;
    if (!last.p)
        return 0;
    if (!first.n) { /* the last b bytes */
        if (!mr_str_i64(last, 0, INT64_MAX, &b))
            return 0;
        if (!b || !size)
            return -1;
        *ret_from = b < size ? size - b : 0;
        *ret_n = size - *ret_from;
        return 1;
    }
    if (!mr_str_i64(first, 0, INT64_MAX, &a))
        return 0;
    b = INT64_MAX;
    if (last.n && (!mr_str_i64(last, 0, INT64_MAX, &b) || b < a))
        return 0;
    if (a >= size)
        return -1;
    if (b >= size)
        b = size - 1;
    *ret_from = a;
    *ret_n = b - a + 1;
    return 1;
}

static void set_validators(struct mr_req *r, const struct stat *st, char tag[64]) {
    char date[32];
    snprintf(tag, 64, "\"%llx-%llx%05x\"", (unsigned long long)st->st_size,
             (unsigned long long)st->st_mtim.tv_sec, (unsigned)(st->st_mtim.tv_nsec / 1000));
    http_date((int64_t)st->st_mtim.tv_sec, date);
    mr_req_set_header(r, "ETag", mr_str(tag));
    mr_req_set_header(r, "Last-Modified", mr_str(date));
    mr_req_set_header(r, "Accept-Ranges", MR_LIT("bytes"));
    mr_req_set_header(r, "X-Content-Type-Options", MR_LIT("nosniff"));
}

enum mr_http_step mr_req_send_file(struct mr_req *r, const char *dir, struct mr_str rel_path,
                                   const char *content_type_or_null) {
    struct exchange *x = (struct exchange *)r;
    struct stat st;
    MR_AUTO_CLOSE int fd = open_below(dir, rel_path, &st);
    if (fd < 0) {
        render_error(x, 404, "There is nothing at this path.");
        return MR_HTTP_DONE;
    }
    char tag[64], text[64];
    int64_t from = 0, n = (int64_t)st.st_size, mtime_s = (int64_t)st.st_mtim.tv_sec;
    const char *type = content_type_or_null ? content_type_or_null : type_of(rel_path);
    set_validators(r, &st, tag);
    if (not_modified(r, mr_str(tag), mtime_s)) {
        mr_req_reply(r, 304, NULL, mr_strn("", 0), true);
        return MR_HTTP_DONE;
    }
    int status = 200;
    struct mr_str range = mr_req_header(r, "range");
    if (range.p && r->method == MR_GET && range_allowed(r, mr_str(tag), mtime_s)) {
        int rc = parse_range(range, (int64_t)st.st_size, &from, &n);
        if (rc < 0) {
            snprintf(text, sizeof text, "bytes */%lld", (long long)st.st_size);
            mr_req_set_header(r, "Content-Range", mr_str(text));
            render_error(x, 416, "The range lies outside of the file.");
            return MR_HTTP_DONE;
        }
        if (rc > 0) {
            status = 206;
            snprintf(text, sizeof text, "bytes %lld-%lld/%lld", (long long)from,
                     (long long)(from + n - 1), (long long)st.st_size);
            mr_req_set_header(r, "Content-Range", mr_str(text));
        }
    }
    mr_req_reply(r, status, type, mr_strn("", 0), true);
    x->has_file = true;
    x->file_fd = MR_TAKE_FD(fd);
    x->file_at = (off_t)from;
    x->file_left = (uint64_t)n;
    r->reply_len = (uint64_t)n;
    return MR_HTTP_DONE;
}

void mr_req_send_bytes(struct mr_req *r, struct mr_str bytes, const char *type) {
    uint8_t sum[MR_SHA256_LEN];
    char tag[24], text[64];
    int64_t from = 0, n = (int64_t)bytes.n;
    mr_sha256(bytes, sum);
    snprintf(tag, sizeof tag, "\"%02x%02x%02x%02x%02x%02x%02x%02x\"", sum[0], sum[1], sum[2],
             sum[3], sum[4], sum[5], sum[6], sum[7]);
    mr_req_set_header(r, "ETag", mr_str(tag));
    mr_req_set_header(r, "Accept-Ranges", MR_LIT("bytes"));
    struct mr_str match = mr_req_header(r, "if-none-match"), range = mr_req_header(r, "range");
    struct mr_str cond = mr_req_header(r, "if-range");
    if (match.p && tag_listed(match, mr_str(tag))) {
        mr_req_reply(r, 304, NULL, mr_strn("", 0), true);
        return;
    }
    bool wanted = range.p && r->method == MR_GET && (!cond.p || mr_str_is(cond, tag));
    int rc = wanted ? parse_range(range, (int64_t)bytes.n, &from, &n) : 0;
    if (rc < 0) {
        snprintf(text, sizeof text, "bytes */%zu", bytes.n);
        mr_req_set_header(r, "Content-Range", mr_str(text));
        render_error((struct exchange *)r, 416, "The range lies outside of the file.");
        return;
    }
    if (rc > 0) {
        snprintf(text, sizeof text, "bytes %lld-%lld/%zu", (long long)from,
                 (long long)(from + n - 1), bytes.n);
        mr_req_set_header(r, "Content-Range", mr_str(text));
    }
    mr_req_reply(r, rc > 0 ? 206 : 200, type, mr_strn(bytes.p + from, (size_t)n), true);
}
