/* A page of results as CSV. */
#include "base/alloc.h"
#include "core/jobs/jobs_priv.h"
#include "wire/csv.h"

#include <yyjson.h>

#define ARENA_MAX   (512u << 20)
#define COLUMNS_MAX 500u
#define READ        YYJSON_READ_NUMBER_AS_RAW

/* A JSON value as the text of a cell: strings bare, null as nothing. */
static int cell(struct mr_buf *out, yyjson_val *v) {
    size_t n = 0;
    if (!v || yyjson_is_null(v))
        return 0;
    if (yyjson_is_str(v)) {
        mr_csv_add(out, mr_strn(yyjson_get_str(v), yyjson_get_len(v)));
        return 0;
    }
    char *text = yyjson_val_write(v, 0, &n);
    if (!text)
        return MR_ENOMEM;
    mr_csv_add(out, mr_strn(text, n));
    free(text);
    return 0;
}

static yyjson_doc *read_json(struct mr_str s) {
    return s.p ? yyjson_read_opts((char *)(uintptr_t)s.p, s.n, READ, NULL, NULL) : NULL;
}

/* The keys that get columns: of the first output. */
struct columns {
    yyjson_doc *doc;
    yyjson_val *o; /* NULL: no columns */
};

static int find_columns(struct mr_jobs *j, struct mr_id account, struct mr_id id, int64_t at,
                        struct mr_arena *arena, struct columns *ret, struct mr_err *e) {
    struct mr_job_result *r;
    size_t n;
    int64_t total;
    int rc = mr_job_results(j, account, id, 100, at, arena, &r, &n, &total, e);
    for (size_t i = 0; i < n && !rc && !ret->o; i++) {
        ret->doc = read_json(r[i].output);
        ret->o = ret->doc ? yyjson_doc_get_root(ret->doc) : NULL;
        if (!yyjson_is_obj(ret->o) || yyjson_obj_size(ret->o) > COLUMNS_MAX) {
            yyjson_doc_free(ret->doc);
            *ret = (struct columns){0};
        }
    }
    return rc;
}

static void header(struct mr_buf *out, const struct columns *k) {
    yyjson_obj_iter it;
    yyjson_val *key;
    mr_buf_cstr(out, "index,input,error,output");
    if (k->o) {
        yyjson_obj_iter_init(k->o, &it);
        while ((key = yyjson_obj_iter_next(&it))) {
            struct mr_buf name;
            mr_buf_init(&name, 1u << 20);
            mr_buf_cstr(&name, "output.");
            mr_buf_add(&name, yyjson_get_str(key), yyjson_get_len(key));
            mr_buf_char(out, ',');
            mr_csv_add(out, mr_buf_view(&name));
            mr_buf_release(&name);
        }
    }
    mr_buf_cstr(out, "\r\n");
}

static int row(struct mr_buf *out, const struct columns *k, const struct mr_job_result *r) {
    yyjson_doc *in = read_json(r->input), *doc = read_json(r->output);
    yyjson_val *o = doc ? yyjson_doc_get_root(doc) : NULL, *key;
    yyjson_obj_iter it;
    mr_buf_i64(out, r->index);
    mr_buf_char(out, ',');
    int rc = cell(out, in ? yyjson_doc_get_root(in) : NULL);
    mr_buf_char(out, ',');
    if (r->error.p)
        mr_csv_add(out, r->error);
    mr_buf_char(out, ',');
    if (!rc)
        rc = cell(out, o);
    if (k->o) {
        yyjson_obj_iter_init(k->o, &it);
        while ((key = yyjson_obj_iter_next(&it)) && !rc) {
            mr_buf_char(out, ',');
            rc = cell(out, yyjson_obj_getn(o, yyjson_get_str(key), yyjson_get_len(key)));
        }
    }
    mr_buf_cstr(out, "\r\n");
    yyjson_doc_free(in);
    yyjson_doc_free(doc);
    return rc;
}

static int page(struct mr_jobs *j, struct mr_id account, struct mr_id id, int64_t limit,
                int64_t offset, struct columns *k, struct mr_arena *arena, struct mr_buf *out,
                struct mr_err *e) {
    struct mr_job_result *r;
    size_t n;
    int64_t total;
    int rc = find_columns(j, account, id, 0, arena, k, e);
    mr_arena_reset(arena);
    if (!rc)
        rc = mr_job_results(j, account, id, limit, offset, arena, &r, &n, &total, e);
    if (rc)
        return rc;
    if (!offset)
        header(out, k);
    for (size_t i = 0; i < n && !rc; i++)
        rc = row(out, k, &r[i]);
    if (rc || !mr_buf_ok(out))
        return mr_fail(e, rc ? rc : out->fail, "the results do not fit into memory: ask for fewer");
    return 0;
}

int mr_job_results_csv(struct mr_jobs *j, struct mr_id account, struct mr_id id, int64_t limit,
                       int64_t offset, struct mr_buf *out, struct mr_err *e) {
    struct mr_arena arena;
    struct columns k = {0};
    mr_arena_init(&arena, ARENA_MAX);
    int rc = page(j, account, id, limit, offset, &k, &arena, out, e);
    yyjson_doc_free(k.doc);
    mr_arena_release(&arena);
    return rc;
}
