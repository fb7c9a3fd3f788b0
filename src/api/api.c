/* The route table over all families, and helpers for handlers. */
#include "api/api.h"

#include "api/keyed.h"
#include "api/stats.h"
#include "base/alloc.h"

#define REPLY_MAX (256u << 20)

/* The route that an earlier family has for the same method and path. */
static struct mr_route_ref *same_route(struct mr_api *a, const struct mr_row *row) {
    for (size_t i = 0; i < a->n_routes; i++)
        if (a->routes[i].method == row->method && !strcmp(a->routes[i].pattern, row->path))
            return (struct mr_route_ref *)(uintptr_t)a->routes[i].row;
    return NULL;
}

static void add_row(struct mr_api *a, const struct mr_family *f, const struct mr_row *row,
                    struct mr_row_stats *stats) {
    struct mr_route_ref *ref = &a->refs[a->n_refs++], *same = same_route(a, row);
    *ref = (struct mr_route_ref){.family = f, .row = row, .stats = stats};
    if (!same) {
        a->routes[a->n_routes++] = (struct mr_http_route){row->method, row->path, ref};
        return;
    }
    while (same->next)
        same = same->next;
    same->next = ref;
}

int mr_api_new(struct mr_core *core, const struct mr_family *const *families, struct mr_api **ret,
               struct mr_err *e) {
    struct mr_api *a = mr_calloc(1, sizeof *a);
    if (!a)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    a->core = core;
    a->families = families;
    size_t n = 0;
    for (size_t f = 0; families[f]; f++)
        n += *families[f]->n_rows;
    a->routes = mr_calloc(n, sizeof *a->routes);
    a->refs = mr_calloc(n, sizeof *a->refs);
    struct mr_row_stats *stats = mr_calloc(n, sizeof *stats);
    if (!a->routes || !a->refs || !stats) {
        mr_free(stats);
        mr_api_free(a);
        return mr_fail(e, MR_ENOMEM, "out of memory");
    }
    a->stats = stats;
    for (size_t f = 0; families[f]; f++)
        for (size_t i = 0; i < *families[f]->n_rows; i++)
            add_row(a, families[f], &families[f]->rows[i], &stats[a->n_refs]);
    *ret = a;
    return 0;
}

int mr_api_pin(struct mr_api *a, size_t listener, struct mr_str family, struct mr_err *e) {
    char names[200] = "";
    size_t n = 0;
    for (size_t f = 0; a->families[f]; f++) {
        if (mr_str_is(family, a->families[f]->name) && listener < MR_LIST_MAX) {
            a->pinned[listener] = a->families[f];
            return 0;
        }
        int k = snprintf(names + n, sizeof names - n, "%s%s", f ? ", " : "", a->families[f]->name);
        n += k > 0 && n + (size_t)k < sizeof names ? (size_t)k : 0;
    }
    return mr_fail_field(e, MR_EFIELD, "listen", "listen: there is no family '%.*s'; there are: %s",
                         (int)(family.n > 60 ? 60 : family.n), family.p, names);
}

void mr_api_free(struct mr_api *a) {
    if (!a)
        return;
    mr_free(a->stats);
    mr_free(a->refs);
    mr_free(a->routes);
    mr_free(a);
}

const struct mr_value *mr_call_value(const struct mr_call *c, const char *name) {
    static const struct mr_value none;
    for (size_t i = 0; i < c->row->n_fields; i++)
        if (!strcmp(c->row->fields[i].name, name) && c->value[i].present)
            return &c->value[i];
    return &none;
}

int mr_call_list(const struct mr_call *c, const char *name, const struct mr_str **ret,
                 size_t *ret_n, struct mr_err *e) {
    const struct mr_value *v = mr_call_value(c, name);
    struct mr_str rest = v->s;
    size_t n = yyjson_arr_size(v->json), i, max;
    yyjson_val *item;
    for (size_t k = 0; !v->json && k < rest.n; k++)
        n += rest.p[k] == ',';
    struct mr_str *list = mr_arena_array(c->req->arena, n + 1, sizeof *list);
    if (!list)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    n = 0;
    if (yyjson_is_arr(v->json)) {
        yyjson_arr_foreach (v->json, i, max, item) {
            list[n++] = mr_strn(yyjson_get_str(item), yyjson_get_len(item));
        }
    } else if (v->json && v->s.p) {
        list[n++] = v->s;
    } else
        while (rest.p)
            list[n++] = mr_str_cut(&rest, ',');
    *ret = list;
    *ret_n = n;
    return 0;
}

struct mr_str mr_call_str(const struct mr_call *c, const char *name) {
    return mr_call_value(c, name)->s;
}

int64_t mr_call_i64(const struct mr_call *c, const char *name, int64_t otherwise) {
    const struct mr_value *v = mr_call_value(c, name);
    return v->present ? v->i : otherwise;
}

void mr_call_buf(struct mr_call *c, struct mr_buf *b) {
    (void)c;
    mr_buf_init(b, REPLY_MAX);
}

int mr_call_json(struct mr_call *c, int status, struct mr_buf *b, struct mr_err *e) {
    if (!mr_buf_ok(b)) {
        int rc = mr_fail(e, b->fail, "the reply is too large");
        mr_buf_release(b);
        return rc;
    }
    if (status < 300)
        mr_keyed_keep(c, status, MR_LIT("application/json"), mr_buf_view(b));
    mr_req_reply_buf(c->req, status, "application/json", b);
    return 0;
}

void mr_call_error_details(struct mr_call *c, struct mr_str json_members) {
    c->error_details = mr_arena_keep(c->req->arena, json_members);
}

/* Host as sent, when it is one: what is echoed into a reply must not be a way to inject. */
static bool host_ok(struct mr_str h) {
    if (!h.n || h.n > 255)
        return false;
    for (size_t i = 0; i < h.n; i++) {
        char ch = h.p[i];
        if (!((ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z') || (ch >= '0' && ch <= '9') ||
              ch == '.' || ch == '-' || ch == ':' || ch == '[' || ch == ']'))
            return false;
    }
    return true;
}

struct mr_str mr_call_base_url(struct mr_call *c) {
    if (c->core->public_url.p)
        return c->core->public_url;
    struct mr_str host = mr_req_header(c->req, "host");
    bool https = c->req->tls;
    if (c->req->via_proxy) {
        struct mr_caller who;
        mr_caller_read(c->req, &who);
        host = who.host;
        https = who.https;
    }
    if (!host_ok(host))
        host = MR_LIT("localhost");
    char *p =
        mr_arena_fmt(c->req->arena, "%s://%.*s", https ? "https" : "http", (int)host.n, host.p);
    return mr_str(p);
}
