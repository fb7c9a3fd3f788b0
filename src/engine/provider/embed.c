/* Embeddings: POST …/embeddings of OpenAI's form, and what comes back. */
#include "base/codec.h"
#include "engine/provider/text.h"

#include <math.h>
#include <string.h>

#define WIDTH_MAX 65536

void mr_provider_embed_body(enum mr_dialect d, const struct mr_embed_body *q, struct mr_buf *out) {
    mr_buf_cstr(out, "{\"model\":");
    mr_buf_json(out, q->model);
    mr_buf_cstr(out, ",\"input\":[");
    for (size_t i = 0; i < q->n; i++) {
        if (i)
            mr_buf_char(out, ',');
        mr_buf_json(out, q->text[i]);
    }
    mr_buf_char(out, ']');
    if (q->dimensions > 0) {
        mr_buf_cstr(out, d == MR_DIALECT_MISTRAL ? ",\"output_dimension\":" : ",\"dimensions\":");
        mr_buf_i64(out, q->dimensions);
    }
    if (d == MR_DIALECT_OPENAI) /* a third of the bytes; others may not know it */
        mr_buf_cstr(out, ",\"encoding_format\":\"base64\"");
    mr_buf_char(out, '}');
}

struct vectors {
    struct mr_arena *arena;
    struct mr_embed_reply *out;
    size_t n;
    bool *seen;
};

static int damaged(const char *what, struct mr_err *e) {
    return mr_fail(e, MR_EINVAL, "the reply is not a list of embeddings: %s", what);
}

/* The width is that of the first; room for all is made then. */
static int widen(struct vectors *x, size_t width, struct mr_err *e) {
    if (!width || width > WIDTH_MAX || (x->out->v && width != x->out->width))
        return damaged("their lengths differ or make no sense", e);
    if (x->out->v)
        return 0;
    x->out->width = width;
    x->out->v = mr_arena_array(x->arena, x->n * width, sizeof *x->out->v);
    return x->out->v ? 0 : mr_fail(e, MR_ETOOBIG, "the embeddings do not fit into memory");
}

static int from_base64(struct vectors *x, size_t at, yyjson_val *v, struct mr_err *e) {
    struct mr_buf b;
    mr_buf_init(&b, sizeof(float) * WIDTH_MAX);
    bool ok = mr_base64_decode(mr_provider_str(v), &b) && b.n % sizeof(float) == 0;
    int rc = ok ? widen(x, b.n / sizeof(float), e) : damaged("its Base64 is damaged", e);
    if (!rc)
        memcpy(x->out->v + at * x->out->width, b.p, b.n);
    mr_buf_release(&b);
    return rc;
}

static int one(struct vectors *x, yyjson_val *item, size_t place, struct mr_err *e) {
    yyjson_val *v = yyjson_obj_get(item, "embedding"), *index = yyjson_obj_get(item, "index"), *f;
    size_t at = yyjson_is_uint(index) ? yyjson_get_uint(index) : place, i, n;
    if (at >= x->n || x->seen[at])
        return damaged("an index is out of range or comes twice", e);
    x->seen[at] = true;
    int rc = yyjson_is_str(v)   ? from_base64(x, at, v, e)
             : yyjson_is_arr(v) ? widen(x, yyjson_arr_size(v), e)
                                : damaged("a vector is missing", e);
    if (rc)
        return rc;
    float *to = x->out->v + at * x->out->width;
    if (yyjson_is_arr(v))
        yyjson_arr_foreach (v, i, n, f)
            to[i] = yyjson_is_num(f) ? (float)yyjson_get_num(f) : NAN;
    for (i = 0; i < x->out->width; i++)
        if (!isfinite(to[i]))
            return damaged("a vector holds something that is not a number", e);
    return 0;
}

static int read_all(yyjson_val *root, struct vectors *x, struct mr_err *e) {
    yyjson_val *data = yyjson_obj_get(root, "data"), *item;
    yyjson_val *tokens = yyjson_obj_get(yyjson_obj_get(root, "usage"), "prompt_tokens");
    size_t i, n;
    int rc = 0;
    if (yyjson_arr_size(data) != x->n)
        return damaged("there is not one for each text", e);
    yyjson_arr_foreach (data, i, n, item) {
        rc = one(x, item, i, e);
        if (rc)
            return rc;
    }
    x->out->tokens =
        yyjson_is_int(tokens) && yyjson_get_sint(tokens) >= 0 ? yyjson_get_sint(tokens) : -1;
    x->out->model = mr_provider_keep(x->arena, mr_provider_str(yyjson_obj_get(root, "model")));
    return x->out->model.p ? 0 : mr_fail(e, MR_ENOMEM, "out of memory");
}

int mr_provider_embeddings(struct mr_str body, size_t n, struct mr_arena *arena,
                           struct mr_embed_reply *ret, struct mr_err *e) {
    struct mr_embed_reply r = {.tokens = -1};
    struct vectors x = {arena, &r, n, mr_arena_zalloc(arena, n ? n : 1)};
    struct provider_json *j = mr_arena_zalloc(arena, sizeof *j);
    if (!x.seen || !j)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    yyjson_val *root = mr_provider_json(j, body);
    int rc = yyjson_is_obj(root) ? read_all(root, &x, e) : damaged("it is not a JSON object", e);
    yyjson_doc_free(j->doc);
    if (!rc)
        *ret = r;
    return rc;
}
