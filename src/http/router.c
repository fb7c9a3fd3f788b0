#include "http/router.h"

#include "base/alloc.h"
#include "base/arena.h"

#include <stdio.h>

struct node {
    struct mr_str word; /* fixed segment */
    struct node *next;  /* sibling */
    struct node *words; /* fixed children */
    struct node *param, *rest;
    const struct mr_http_route *by_method[MR_METHOD_OTHER];
    uint32_t allow;
};

struct mr_router {
    struct mr_arena arena;
    struct node root;
};

static const char *const method_names[] = {"GET",   "HEAD",   "POST",    "PUT",
                                           "PATCH", "DELETE", "OPTIONS", "?"};

const char *mr_method_name(enum mr_method m) {
    return method_names[m <= MR_METHOD_OTHER ? m : MR_METHOD_OTHER];
}

void mr_allow_text(uint32_t allow, char *out, size_t cap) {
    size_t n = 0;
    out[0] = 0;
    for (unsigned m = 0; m < MR_METHOD_OTHER; m++)
        if (allow & (1u << m)) {
            int k = snprintf(out + n, cap - n, "%s%s", n ? ", " : "", method_names[m]);
            if (k < 0 || (size_t)k >= cap - n)
                return;
            n += (size_t)k;
        }
}

/* The next segment of *rest ("/a/b" gives "a", leaves "/b"). */
static struct mr_str segment(struct mr_str *rest) {
    const char *p = rest->p + 1, *end = rest->p + rest->n;
    const char *q = memchr(p, '/', (size_t)(end - p));
    if (!q)
        q = end;
    *rest = mr_strn(q, (size_t)(end - q));
    return mr_strn(p, (size_t)(q - p));
}

static struct node *child(struct mr_router *r, struct node *at, struct mr_str seg) {
    struct node **slot = NULL;
    if (seg.n > 2 && seg.p[0] == '{' && seg.p[seg.n - 1] == '}')
        slot = seg.p[seg.n - 2] == '*' ? &at->rest : &at->param;
    if (slot) {
        if (!*slot)
            *slot = mr_arena_zalloc(&r->arena, sizeof **slot);
        return *slot;
    }
    for (struct node *c = at->words; c; c = c->next)
        if (mr_str_eq(c->word, seg))
            return c;
    struct node *c = mr_arena_zalloc(&r->arena, sizeof *c);
    if (c) {
        c->word = seg;
        c->next = at->words;
        at->words = c;
    }
    return c;
}

static int insert(struct mr_router *r, const struct mr_http_route *row, struct mr_err *e) {
    struct mr_str rest = mr_str(row->pattern);
    if (!rest.n || rest.p[0] != '/' || row->method >= MR_METHOD_OTHER)
        return mr_fail(e, MR_EINVAL, "route %s: not a path or no method", row->pattern);
    struct node *at = &r->root;
    unsigned params = 0, segments = 0;
    while (rest.n && !(rest.n == 1 && rest.p[0] == '/')) {
        if (++segments > MR_SEGMENTS_MAX)
            return mr_fail(e, MR_EINVAL, "route %s: too many segments", row->pattern);
        struct mr_str seg = segment(&rest);
        bool param = seg.n > 2 && seg.p[0] == '{' && seg.p[seg.n - 1] == '}';
        if (!seg.n || (param && ++params > MR_PARAM_MAX) ||
            (param && seg.p[seg.n - 2] == '*' && rest.n))
            return mr_fail(e, MR_EINVAL, "route %s: malformed pattern", row->pattern);
        at = child(r, at, seg);
        if (!at)
            return mr_fail(e, MR_ENOMEM, "no memory for routes");
    }
    if (at->by_method[row->method])
        return mr_fail(e, MR_EINVAL, "route %s %s is there twice", mr_method_name(row->method),
                       row->pattern);
    at->by_method[row->method] = row;
    at->allow |= 1u << row->method;
    if (row->method == MR_GET)
        at->allow |= 1u << MR_HEAD;
    return 0;
}

int mr_router_new(const struct mr_http_route *routes, size_t n, struct mr_router **ret,
                  struct mr_err *e) {
    struct mr_router *r = mr_calloc(1, sizeof *r);
    if (!r)
        return mr_fail(e, MR_ENOMEM, "no memory for routes");
    mr_arena_init(&r->arena, 64u << 20);
    for (size_t i = 0; i < n; i++) {
        int rc = insert(r, &routes[i], e);
        if (rc < 0) {
            mr_router_free(r);
            return rc;
        }
    }
    *ret = r;
    return 0;
}

void mr_router_free(struct mr_router *r) {
    if (!r)
        return;
    mr_arena_release(&r->arena);
    mr_free(r);
}

static const struct mr_http_route *row_of(const struct node *at, enum mr_method m) {
    if (m >= MR_METHOD_OTHER)
        return NULL;
    const struct mr_http_route *row = at->by_method[m];
    return row || m != MR_HEAD ? row : at->by_method[MR_GET];
}

/* Names come from the row's own pattern: two rows may name the same position differently. */
static void name_params(struct mr_match *m) {
    struct mr_str rest = mr_str(m->route->pattern);
    uint32_t k = 0;
    while (rest.n && k < m->n_param) {
        struct mr_str seg = segment(&rest);
        if (seg.n > 2 && seg.p[0] == '{' && seg.p[seg.n - 1] == '}')
            m->name[k++] = mr_strn(seg.p + 1, seg.n - 2 - (seg.p[seg.n - 2] == '*'));
    }
}

/* Depth is bounded by the tree, whose patterns have at most MR_SEGMENTS_MAX segments. A path with
 * the row's method wins over an earlier one that only serves other methods. */
static bool walk(const struct node *at, struct mr_str rest, enum mr_method m, uint32_t n_param,
                 struct mr_match *ret) {
    if (!rest.n || (rest.n == 1 && rest.p[0] == '/')) {
        ret->allow |= at->allow;
        ret->route = row_of(at, m);
        ret->n_param = n_param;
        return ret->route != NULL;
    }
    struct mr_str after = rest;
    struct mr_str seg = segment(&after);
    for (const struct node *c = at->words; c; c = c->next)
        if (mr_str_eq(c->word, seg)) {
            if (walk(c, after, m, n_param, ret))
                return true;
            break;
        }
    if (at->param && seg.n && n_param < MR_PARAM_MAX) {
        ret->raw[n_param] = seg;
        if (walk(at->param, after, m, n_param + 1, ret))
            return true;
    }
    if (at->rest && rest.n > 1 && n_param < MR_PARAM_MAX) {
        ret->raw[n_param] = mr_strn(rest.p + 1, rest.n - 1);
        return walk(at->rest, mr_strn("", 0), m, n_param + 1, ret);
    }
    return false;
}

void mr_router_find(const struct mr_router *r, enum mr_method m, struct mr_str path,
                    struct mr_match *ret) {
    ret->route = NULL;
    ret->allow = 0;
    ret->n_param = 0;
    if (!path.n || path.p[0] != '/' || !walk(&r->root, path, m, 0, ret)) {
        ret->route = NULL;
        ret->n_param = 0;
        return;
    }
    name_params(ret);
}
