/* POST /v1/embeddings: local sentence embeddings, as numbers or as Base64 of 32-bit floats. */
#include "api/openai/gen_openai.h"
#include "api/openai/openai.h"
#include "base/codec.h"
#include "base/num.h"
#include "core/bill/bill.h"
#include "engine/nlp/nlp.h"

#include <math.h>

#define TEXTS_MAX 2048
#define TEXT_MAX  ((size_t)1 << 20) /* of one text; engine/nlp/nlp.h */

struct asked {
    struct mr_str model;
    struct mr_str *text;
    size_t n;
    bool base64;
    int64_t dimensions; /* 0 = all */
};

static int bad_input(const char *why, struct mr_err *e) {
    return mr_fail_field(e, MR_EFIELD, "input", "'input' %s", why);
}

static int take_text(yyjson_val *v, struct mr_str *ret, struct mr_err *e) {
    if (yyjson_is_int(v) || yyjson_is_arr(v))
        return bad_input("holds token ids of another model's tokenizer: send the text itself "
                         "(langchain-openai: check_embedding_ctx_length=False)",
                         e);
    if (!yyjson_is_str(v))
        return bad_input("must be a text or an array of texts", e);
    if (!yyjson_get_len(v))
        return bad_input("holds an empty text", e);
    if (yyjson_get_len(v) > TEXT_MAX)
        return bad_input("holds a text of more than 1 MiB", e);
    *ret = mr_strn(yyjson_get_str(v), yyjson_get_len(v));
    return 0;
}

static int read_input(yyjson_val *input, struct mr_arena *arena, struct asked *a,
                      struct mr_err *e) {
    bool list = yyjson_is_arr(input);
    size_t i, n = list ? yyjson_arr_size(input) : 1;
    yyjson_val *v;
    if (!n || n > TEXTS_MAX)
        return bad_input("must hold 1 to 2048 texts", e);
    a->text = mr_arena_array(arena, n, sizeof *a->text);
    if (!a->text)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    a->n = n;
    if (!list)
        return take_text(input, &a->text[0], e);
    yyjson_arr_foreach (input, i, n, v) {
        int rc = take_text(v, &a->text[i], e);
        if (rc)
            return rc;
    }
    return 0;
}

static int read_body(yyjson_val *body, struct mr_arena *arena, struct asked *a, struct mr_err *e) {
    struct mr_str form = MR_LIT("float");
    if (!yyjson_is_str(yyjson_obj_get(body, "model")))
        return mr_fail_field(e, MR_EFIELD, "model", "'model' is required");
    int rc = mr_openai_str(body, "model", 256, &a->model, e);
    if (!rc)
        rc = mr_openai_str(body, "encoding_format", 16, &form, e);
    a->base64 = mr_str_is(form, "base64");
    if (!rc && !a->base64 && !mr_str_is(form, "float"))
        rc = mr_fail_field(e, MR_EFIELD, "encoding_format",
                           "'encoding_format' must be float or base64");
    if (!rc)
        rc = mr_openai_int(body, "dimensions", 1, 65536, &a->dimensions, e);
    return rc ? rc : read_input(yyjson_obj_get(body, "input"), arena, a, e);
}

/* The first n numbers, at unit length again. */
static void shorten(float *v, size_t n) {
    double sum = 0;
    for (size_t k = 0; k < n; k++)
        sum += (double)v[k] * (double)v[k];
    for (size_t k = 0; sum > 0 && k < n; k++)
        v[k] = (float)((double)v[k] / sqrt(sum));
}

static void put_vector(const float *v, size_t n, bool base64, struct mr_buf *b) {
    char text[MR_F64_LEN];
    if (base64) {
        mr_buf_char(b, '"');
        mr_base64_add(b, v, n * sizeof *v);
        mr_buf_char(b, '"');
        return;
    }
    mr_buf_char(b, '[');
    for (size_t k = 0; k < n; k++) {
        if (k)
            mr_buf_char(b, ',');
        mr_buf_add(b, text, mr_f32_print(v[k], text));
    }
    mr_buf_char(b, ']');
}

static int run(struct mr_embedder *m, const char *name, struct asked *a, struct mr_arena *arena,
               struct mr_buf *b, int64_t *ret_tokens, struct mr_err *e) {
    size_t width = mr_embedder_dim(m), n = width;
    uint32_t tokens = 0;
    float *v;
    if (a->dimensions > (int64_t)width)
        return mr_fail_field(e, MR_EFIELD, "dimensions",
                             "'dimensions' is more than the model's %zu", width);
    int rc = mr_embed(m, a->text, a->n, arena, &v, &tokens, e);
    if (rc)
        return rc;
    *ret_tokens = tokens;
    if (a->dimensions)
        n = (size_t)a->dimensions;
    mr_buf_cstr(b, "{\"object\":\"list\",\"data\":[");
    for (size_t i = 0; i < a->n; i++) {
        if (n < width)
            shorten(v + i * width, n);
        mr_buf_fmt(b, "%s{\"object\":\"embedding\",\"index\":%zu,\"embedding\":", i ? "," : "", i);
        put_vector(v + i * width, n, a->base64, b);
        mr_buf_char(b, '}');
    }
    mr_buf_cstr(b, "],\"model\":");
    mr_buf_json(b, mr_str(name));
    mr_buf_fmt(b, ",\"usage\":{\"prompt_tokens\":%u,\"total_tokens\":%u}}", tokens, tokens);
    return mr_buf_ok(b) ? 0 : mr_fail(e, b->fail, "the reply is too large");
}

static int embed(struct mr_bill *bill, yyjson_val *body, struct mr_arena *arena, struct mr_buf *b,
                 struct mr_err *e) {
    struct asked a = {0};
    struct mr_use use = {0};
    struct mr_bill_item *item;
    int rc = read_body(body, arena, &a, e);
    if (rc)
        return rc;
    rc = mr_bill_use(bill, a.model, MR_KIND_EMBEDDER, mr_embed_most(a.text, a.n), &use, &item, e);
    if (rc == MR_ENOTFOUND)
        return mr_fail_field(e, rc, "model",
                             "the model '%.*s' does not exist here or makes no embeddings; GET "
                             "/v1/models lists them",
                             (int)(a.model.n > 100 ? 100 : a.model.n), a.model.p);
    if (rc)
        return rc;
    rc = run(use.handle, use.model->id, &a, arena, b, &item->tokens.input, e);
    mr_use_end(&use, !rc || rc == MR_EINVAL || rc == MR_EFIELD);
    return rc;
}

int mr_openai_embed(struct mr_core *core, const struct mr_principal *who, yyjson_val *body,
                    struct mr_arena *arena, struct mr_buf *b, struct mr_openai_sum *sum,
                    struct mr_err *e) {
    struct mr_bill bill = {.biller = &core->biller, .who = who, .family = "openai", .arena = arena};
    int rc = embed(&bill, body, arena, b, e);
    rc = mr_bill_close(&bill, rc, e);
    if (bill.n)
        *sum = (struct mr_openai_sum){.tokens = bill.item[0].tokens,
                                      .cost_nano = bill.cost_nano,
                                      .charge = bill.item[0].hold.charge,
                                      .provider = bill.item[0].provider,
                                      .model = bill.item[0].model};
    return rc;
}

int mr_openai_embeddings(struct mr_call *c, struct mr_err *e) {
    struct mr_buf b;
    struct mr_arena arena;
    mr_arena_init(&arena, (size_t)256 << 20);
    mr_call_buf(c, &b);
    struct mr_openai_sum sum = {0};
    int rc = mr_openai_embed(c->core, &c->who, c->body, &arena, &b, &sum, e);
    if (!rc)
        mr_openai_cost_headers(c, &sum, sum.model);
    mr_arena_release(&arena);
    if (rc) {
        mr_buf_release(&b);
        return rc;
    }
    return mr_openai_json(c, 200, &b, e);
}
