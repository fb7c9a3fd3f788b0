#include "http_test.h"

#include <fcntl.h>
#include <sys/stat.h>

static struct test_server t;
static char out[1 << 18], tag[128], modified[64];

static void put(const char *name, const char *text, size_t n) {
    char path[200];
    snprintf(path, sizeof path, "%s/%s", t.app.dir, name);
    int fd = open(path, O_CREAT | O_TRUNC | O_WRONLY, 0644);
    CHECK(fd >= 0 && write(fd, text, n) == (ssize_t)n);
    close(fd);
}

static int get(const char *path, const char *headers) {
    char req[1024];
    snprintf(req, sizeof req, "GET /files/%s HTTP/1.1\r\nHost: a\r\n%s\r\n", path, headers);
    return ask(t.port, req, out, sizeof out);
}

static void field(const char *name, char *to, size_t cap) {
    char *at = strstr(out, name);
    to[0] = 0;
    if (at)
        snprintf(to, cap, "%.*s", (int)strcspn(at + strlen(name), "\r"), at + strlen(name));
}

MR_TEST(up) {
    server_up(&t, NULL, 1, NULL, NULL);
    snprintf(t.app.dir, sizeof t.app.dir, "/tmp/mr_static_XXXXXX");
    CHECK(mkdtemp(t.app.dir) != NULL);
    char path[200];
    snprintf(path, sizeof path, "%s/sub", t.app.dir);
    CHECK_INT(mkdir(path, 0755), 0);
    put("a.txt", "0123456789", 10);
    put("sub/b.js", "let x", 5);
    put("empty", "", 0);
    snprintf(path, sizeof path, "%s/out", t.app.dir);
    CHECK_INT(symlink("/etc/passwd", path), 0);
    snprintf(path, sizeof path, "%s/up", t.app.dir);
    CHECK_INT(symlink("../../etc/passwd", path), 0);
    snprintf(path, sizeof path, "%s/fifo", t.app.dir);
    CHECK_INT(mkfifo(path, 0644), 0);
}

MR_TEST(whole_files_and_types) {
    CHECK_INT(get("a.txt", ""), 200);
    CHECK(strstr(out, "\r\n\r\n0123456789") && strstr(out, "Content-Type: text/plain"));
    CHECK(strstr(out, "Accept-Ranges: bytes\r\n") != NULL);
    field("ETag: ", tag, sizeof tag);
    field("Last-Modified: ", modified, sizeof modified);
    CHECK(tag[0] == '"' && strlen(modified) == 29);
    CHECK_INT(get("sub/b.js", ""), 200);
    CHECK(strstr(out, "Content-Type: text/javascript") != NULL);
    CHECK_INT(get("empty", ""), 200);
    CHECK(strstr(out, "Content-Length: 0\r\n") && strstr(out, "application/octet-stream"));
    CHECK_INT(ask(t.port, "HEAD /files/a.txt HTTP/1.1\r\nHost: a\r\n\r\n", out, sizeof out), 200);
    CHECK(strstr(out, "Content-Length: 10\r\n") && !strstr(out, "0123456789"));
}

MR_TEST(nothing_outside_of_the_directory) {
    static const char *const paths[] = {
        "../../../../etc/passwd",
        "sub/../../../../../etc/passwd",
        "%2e%2e/%2e%2e/etc/passwd",
        "..%2f..%2f..%2fetc%2fpasswd",
        "/etc/passwd",
        "%2fetc%2fpasswd",
        "out",
        "up",
        "fifo",
        "sub",
        "sub/",
        "nope",
        "a.txt/",
    };
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        int status = get(paths[i], "");
        CHECK(status == 404);
        CHECK(!strstr(out, "root:"));
        if (status != 404)
            fprintf(stderr, "path %s: %d\n", paths[i], status);
    }
    CHECK_INT(get("sub/../a.txt", ""), 200); /* stays inside */
}

MR_TEST(conditional) {
    char h[256];
    snprintf(h, sizeof h, "If-None-Match: %s\r\n", tag);
    CHECK_INT(get("a.txt", h), 304);
    CHECK(strstr(out, tag) && !strstr(out, "Content-Length"));
    snprintf(h, sizeof h, "If-None-Match: \"x\", W/%s\r\n", tag);
    CHECK_INT(get("a.txt", h), 304);
    CHECK_INT(get("a.txt", "If-None-Match: \"x\"\r\n"), 200);
    CHECK_INT(get("a.txt", "If-None-Match: *\r\n"), 304);
    snprintf(h, sizeof h, "If-Modified-Since: %s\r\n", modified);
    CHECK_INT(get("a.txt", h), 304);
    CHECK_INT(get("a.txt", "If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT\r\n"), 200);
    CHECK_INT(get("a.txt", "If-Modified-Since: yesterday\r\n"), 200);
    /* the tag wins over the date */
    snprintf(h, sizeof h, "If-None-Match: \"x\"\r\nIf-Modified-Since: %s\r\n", modified);
    CHECK_INT(get("a.txt", h), 200);
}

MR_TEST(ranges) {
    static const struct {
        const char *range;
        int status;
        const char *content_range, *body;
    } rows[] = {
        {"bytes=0-3", 206, "bytes 0-3/10", "0123"},
        {"bytes=8-", 206, "bytes 8-9/10", "89"},
        {"bytes=8-100", 206, "bytes 8-9/10", "89"},
        {"bytes=-3", 206, "bytes 7-9/10", "789"},
        {"bytes=-30", 206, "bytes 0-9/10", "0123456789"},
        {"bytes=9-9", 206, "bytes 9-9/10", "9"},
        {"bytes=10-", 416, "bytes */10", NULL},
        {"bytes=-0", 416, "bytes */10", NULL},
        {"bytes=5-2", 200, NULL, "0123456789"},
        {"bytes=a-b", 200, NULL, "0123456789"},
        {"bytes=0-1,4-5", 200, NULL, "0123456789"},
        {"lines=0-1", 200, NULL, "0123456789"},
        {"bytes=99999999999999999999-", 200, NULL, "0123456789"},
    };
    char h[300];
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        snprintf(h, sizeof h, "Range: %s\r\n", rows[i].range);
        CHECK_INT(get("a.txt", h), rows[i].status);
        char got[64];
        field("Content-Range: ", got, sizeof got);
        CHECK_STR(got, rows[i].content_range ? rows[i].content_range : "");
        if (rows[i].body)
            CHECK_STR(strstr(out, "\r\n\r\n") + 4, rows[i].body);
    }
    snprintf(h, sizeof h, "Range: bytes=0-3\r\nIf-Range: %s\r\n", tag);
    CHECK_INT(get("a.txt", h), 206);
    CHECK_INT(get("a.txt", "Range: bytes=0-3\r\nIf-Range: \"old\"\r\n"), 200);
    snprintf(h, sizeof h, "Range: bytes=0-3\r\nIf-Range: %s\r\n", modified);
    CHECK_INT(get("a.txt", h), 206);
    CHECK_INT(get("empty", "Range: bytes=0-\r\n"), 416);
}

MR_TEST(larger_than_a_chunk) {
    static char text[200000];
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = (char)('a' + i % 23);
    put("big.bin", text, sizeof text);
    CHECK_INT(get("big.bin", ""), 200);
    CHECK(memcmp(strstr(out, "\r\n\r\n") + 4, text, sizeof text) == 0);
    CHECK_INT(get("big.bin", "Range: bytes=70000-170000\r\n"), 206);
    CHECK(memcmp(strstr(out, "\r\n\r\n") + 4, text + 70000, 100001) == 0);
    put("a.txt", "01234567890", 11);
    char h[200];
    snprintf(h, sizeof h, "If-None-Match: %s\r\n", tag);
    CHECK_INT(get("a.txt", h), 200); /* changed: another tag */
}

MR_TEST(down) {
    static const char *const names[] = {"a.txt", "sub/b.js", "empty",  "out",
                                        "up",    "fifo",     "big.bin"};
    char path[200];
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        snprintf(path, sizeof path, "%s/%s", t.app.dir, names[i]);
        unlink(path);
    }
    snprintf(path, sizeof path, "%s/sub", t.app.dir);
    rmdir(path);
    CHECK_INT(rmdir(t.app.dir), 0);
    server_down(&t);
}

MR_TEST_MAIN(CASE(up), CASE(whole_files_and_types), CASE(nothing_outside_of_the_directory),
             CASE(conditional), CASE(ranges), CASE(larger_than_a_chunk), CASE(down))
