/* What a family of endpoints is made of. The generated tables (gen_<family>.c) give one row an
 * operation; phases.c drives every request by its row: authentication, rate limit, validation,
 * handler, log. Handlers hold no policy: validated values in, one core call, a reply out. */
#ifndef MR_API_API_H
#define MR_API_API_H

#include "api/edge.h"
#include "base/buf.h"
#include "base/err.h"
#include "core/core.h"
#include "core/limits.h"
#include "core/plans.h"
#include "core/principal.h"
#include "http/http.h"
#include "store/blobs.h"

#include <yyjson.h>

enum mr_auth_need { MR_AUTH_NONE, MR_AUTH_OPTIONAL, MR_AUTH_REQUIRED };
enum mr_body_kind {
    MR_BODY_NONE,
    MR_BODY_JSON,
    MR_BODY_MULTIPART,
    MR_BODY_EITHER, /* multipart when the content type says so, else JSON */
    MR_BODY_RAW,    /* buffered up to the cap, read by the handler */
};
enum mr_field_in { MR_IN_QUERY, MR_IN_HEADER, MR_IN_BODY, MR_IN_FORM };
enum mr_field_type {
    MR_T_STR = 1,
    MR_T_INT = 2,
    MR_T_NUM = 4,
    MR_T_BOOL = 8,
    MR_T_ARR = 16,
    MR_T_OBJ = 32,
    MR_T_ANY = 63,
    MR_T_STR_ITEMS = 64, /* array of strings (of `enums` when given) */
};
enum mr_field_format { MR_F_NONE, MR_F_EMAIL, MR_F_FILE, MR_F_VERSION };

struct mr_field {
    const char *name;
    uint8_t in, format; /* enum mr_field_in, enum mr_field_format */
    uint32_t type;      /* mask of enum mr_field_type */
    bool required, nullable, has_min, has_max;
    double min, max; /* of the number, of the string's code points, of the array's items */
    const char *const *enums;
    const char *def; /* default as text, query and form fields */
};

struct mr_api;
struct mr_call;
/* 0: the reply is set. MR_CALL_POOL: run me again on a pool thread (only when `c->on_loop`).
 * Negative: an error code, rendered by the family.
 *
 * Streams: on a pool thread mr_req_stream_start, then writes, then 0: the phases record the
 * metering and end the stream; an error code cuts the stream off unfinished. What takes long must
 * not hold a pool thread: MR_CALL_LATER and mr_call_finish are for it, with the same meaning.
 * c->meter is filled before the return or mr_call_finish, so a streamed reply is metered once, with
 * what it came to, before its last byte. */
typedef int mr_handler_fn(struct mr_call *c, struct mr_err *e);
#define MR_CALL_POOL  1
#define MR_CALL_LATER 2 /* the handler answers with mr_call_finish, from any thread */

struct mr_row {
    const char *id;
    enum mr_method method;
    const char *path;
    mr_handler_fn *fn;
    uint8_t auth, body; /* enum mr_auth_need, enum mr_body_kind */
    uint8_t rate;       /* enum mr_rate */
    bool body_optional; /* no body is an empty object */
    bool strict;        /* unknown body fields are an error */
    bool quick;         /* may run on the loop thread */
    uint32_t scope;     /* enum mr_scope that the caller must have */
    uint64_t body_max;
    const struct mr_field *fields;
    size_t n_fields;
};

/* A validated value, in the order of the row's fields. */
struct mr_value {
    bool present;    /* given, or defaulted */
    bool given;      /* by the caller */
    struct mr_str s; /* strings, form text */
    int64_t i;
    double f;
    yyjson_val *json; /* body fields */
};

struct mr_family {
    const char *name;
    const struct mr_row *rows;
    const size_t *n_rows;
    /* Sets the reply for an error: status and wire shape. `status` 0 = from e->code. */
    void (*render_error)(struct mr_api *api, struct mr_req *r, int status, const struct mr_err *e);
    struct mr_rate_rule limits[MR_RATE_N];
    const char *openapi; /* the published document, JSON */
    const size_t *openapi_len;
    const struct mr_plan *plans; /* monthly quotas by tier, for this family alone; NULL: none */
    /* Requests an hour by tier, all of the family's routes together, instead of `limits` for those
     * who are authenticated; NULL: none. */
    const struct mr_tier_rate *hourly;
    /* Paths below these ("/api/task") that no route serves get this family's error shape; NULL
     * ends them, NULL for none. The longest one wins; without any, the first family answers. */
    const char *const *prefixes;
    bool keyless_owner; /* see mr_keyless_owner: its seed has no authentication */
    /* NULL, or told when the head of a `quick` row's request is there and again when its body is,
     * before the caller is known: may have memory fetched, must not block or fail. */
    void (*ahead)(struct mr_call *c, bool body);
};

#define MR_MAX_FIELDS 16

struct mr_form;
struct mr_keyed;

struct mr_call {
    struct mr_api *api;
    struct mr_core *core;
    struct mr_req *req;
    const struct mr_family *family;
    const struct mr_row *row;
    struct mr_principal who;
    bool on_loop;
    yyjson_doc *body_doc; /* in the request's arena */
    yyjson_val *body;
    struct mr_value value[MR_MAX_FIELDS];
    struct mr_form *form; /* multipart: files and fields, see form.h */
    /* set by handlers that predict; recorded in the log phase */
    struct mr_meter {
        bool on;
        struct mr_id account, deployment;
        uint32_t version, rows;
        bool cold;
        uint64_t user_hash;
    } meter;
    struct mr_rate_state rate;   /* where the caller stands; limit 0: not looked at yet */
    int64_t retry_after_ms;      /* of the error that the handler is about to return; 0 = unknown */
    struct mr_str error_details; /* JSON members for an error's details, or absent */
    bool account_named;          /* the log line names the account */
    bool cut_off;                /* its stream ended in an error */
    struct mr_keyed *keyed;      /* its Idempotency-Key, see keyed.h; or NULL */
};

struct mr_api {
    struct mr_core *core;
    const struct mr_family *const *families;     /* NULL-terminated */
    struct mr_edge edge;                         /* zero: nothing is trusted or allowed */
    const struct mr_family *pinned[MR_LIST_MAX]; /* by listener; NULL: all families */
    struct mr_http_route *routes;
    struct mr_route_ref {
        const struct mr_family *family;
        const struct mr_row *row;
        struct mr_row_stats *stats; /* one a row, see stats.h */
        struct mr_route_ref *next;  /* the same method and path in another family, or NULL */
    } * refs;
    size_t n_routes, n_refs;
    struct mr_row_stats *stats; /* n_refs of them */
};

/* Builds the route table over the families (NULL-terminated, usually mr_families); the core is
 * borrowed. Where two families have the same method and path ("GET /"), the one named first serves
 * it, except on a listener that is pinned to the other. */
int mr_api_new(struct mr_core *core, const struct mr_family *const *families, struct mr_api **ret,
               struct mr_err *e);
/* Pins a listener (0: the first mr_http_listen call) to a family: rows that several families have
 * are that family's there, and so is the shape of errors that no row explains. Before the server
 * starts. MR_EFIELD for an unknown name, listing those that there are. */
int mr_api_pin(struct mr_api *a, size_t listener, struct mr_str family, struct mr_err *e);
void mr_api_free(struct mr_api *a);
struct mr_http_app mr_api_app(struct mr_api *a);

/* --- for handlers ------------------------------------------------------------------------ */
/* JSON members for the details of an error that the handler is about to return. */
void mr_call_error_details(struct mr_call *c, struct mr_str json_members);
/* The value of field `name` of the row (of the form or the JSON body, whichever came); a zero value
 * when it has none (a bug, asserted in tests). */
const struct mr_value *mr_call_value(const struct mr_call *c, const char *name);
struct mr_str mr_call_str(const struct mr_call *c, const char *name); /* p == NULL: absent */
int64_t mr_call_i64(const struct mr_call *c, const char *name, int64_t otherwise);
/* A list of strings, from a JSON array or text, or a form's fields; absent: 0 items. The items live
 * as long as the request. */
int mr_call_list(const struct mr_call *c, const char *name, const struct mr_str **ret,
                 size_t *ret_n, struct mr_err *e);
/* Ends a call whose handler returned MR_CALL_LATER, exactly once: the reply is set, or `e` says
 * what failed and the family renders it. The call may be gone when it returns. */
void mr_call_finish(struct mr_call *c, const struct mr_err *e_or_null);
/* Sends the buffer as application/json (takes its memory). */
int mr_call_json(struct mr_call *c, int status, struct mr_buf *b, struct mr_err *e);
/* A buffer with the family's reply cap. */
void mr_call_buf(struct mr_call *c, struct mr_buf *b);
/* Base URL as the client sees us ("http://host:port"), in the arena. */
struct mr_str mr_call_base_url(struct mr_call *c);

/* JSON object writing. `"key":` with a leading comma unless first in the object. */
void mr_json_key(struct mr_buf *b, const char *key);
void mr_json_str(struct mr_buf *b, const char *key, struct mr_str v);
void mr_json_cstr(struct mr_buf *b, const char *key, const char *v);
void mr_json_i64(struct mr_buf *b, const char *key, int64_t v);
void mr_json_f64(struct mr_buf *b, const char *key, double v);
void mr_json_bool(struct mr_buf *b, const char *key, bool v);
void mr_json_time(struct mr_buf *b, const char *key, int64_t wall_us);
void mr_json_raw(struct mr_buf *b, const char *key, struct mr_str v);
void mr_json_id(struct mr_buf *b, const char *key, const char *prefix, struct mr_id id);

#endif
