#include "http/router.h"

#include "mr_test.h"

static const struct mr_http_route rows[] = {
    {MR_GET, "/", NULL},
    {MR_GET, "/a/{x}/c", NULL},
    {MR_GET, "/a/b/d", NULL},
    {MR_POST, "/a/b", NULL},
    {MR_GET, "/a/{name}", NULL},
    {MR_DELETE, "/a/{other}", NULL},
    {MR_GET, "/files/{path*}", NULL},
    {MR_GET, "/files/index", NULL},
};

static const struct {
    enum mr_method m;
    const char *path;
    int row; /* -1: none */
    uint32_t allow;
    const char *param; /* "name=raw" of the first, or NULL */
} paths[] = {
    {MR_GET, "/", 0, 0, NULL},
    {MR_GET, "/a/b/c", 1, 0, "x=b"}, /* the fixed word leads nowhere: back to the param */
    {MR_GET, "/a/b/d", 2, 0, NULL},
    {MR_POST, "/a/b", 3, 0, NULL},
    {MR_GET, "/a/b", 4, 0, "name=b"}, /* the fixed word serves only POST */
    {MR_HEAD, "/a/q", 4, 0, "name=q"},
    {MR_DELETE, "/a/q/", 5, 0, "other=q"},
    {MR_GET, "/files/x/y.js", 6, 0, "path=x/y.js"},
    {MR_GET, "/files/index", 7, 0, NULL},
    {MR_GET, "/files", -1, 0, NULL},
    {MR_GET, "/files/", -1, 0, NULL},
    {MR_PUT, "/a/b", -1, 1u << MR_POST | 1u << MR_GET | 1u << MR_HEAD | 1u << MR_DELETE, NULL},
    {MR_METHOD_OTHER, "/", -1, 1u << MR_GET | 1u << MR_HEAD, NULL},
    {MR_GET, "/A/b/d", -1, 0, NULL},
    {MR_GET, "/a/b/d/e", -1, 0, NULL},
    {MR_GET, "*", -1, 0, NULL},
    {MR_GET, "", -1, 0, NULL},
};

MR_TEST(finds) {
    struct mr_router *r = NULL;
    struct mr_err e = {0};
    CHECK_INT(mr_router_new(rows, sizeof rows / sizeof *rows, &r, &e), 0);
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        struct mr_match m;
        mr_router_find(r, paths[i].m, mr_str(paths[i].path), &m);
        CHECK_INT(m.route ? m.route - rows : -1, paths[i].row);
        if (paths[i].row < 0)
            CHECK_INT(m.allow, paths[i].allow);
        if (paths[i].param) {
            char text[64];
            snprintf(text, sizeof text, "%.*s=%.*s", (int)m.name[0].n, m.name[0].p, (int)m.raw[0].n,
                     m.raw[0].p);
            CHECK_STR(text, paths[i].param);
        } else {
            CHECK_INT(m.n_param, 0);
        }
    }
    mr_router_free(r);
}

MR_TEST(refuses_bad_tables) {
    static const struct mr_http_route bad[][2] = {
        {{MR_GET, "/a", NULL}, {MR_GET, "/a", NULL}},
        {{MR_GET, "/{a}", NULL}, {MR_GET, "/{b}", NULL}},
        {{MR_GET, "a", NULL}, {MR_GET, "/b", NULL}},
        {{MR_GET, "/a//b", NULL}, {MR_GET, "/b", NULL}},
        {{MR_GET, "/{a*}/b", NULL}, {MR_GET, "/b", NULL}},
        {{MR_METHOD_OTHER, "/a", NULL}, {MR_GET, "/b", NULL}},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct mr_router *r = NULL;
        struct mr_err e = {0};
        CHECK_INT(mr_router_new(bad[i], 2, &r, &e), MR_EINVAL);
        CHECK(e.msg[0]);
    }
}

MR_TEST_MAIN(CASE(finds), CASE(refuses_bad_tables))
