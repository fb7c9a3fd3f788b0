/* POST /v1/embeddings: sentence embeddings of local models and of providers, as numbers or as
 * Base64 of 32-bit floats. */
#include "api/openai/embed.h"
#include "api/openai/gen_openai.h"
#include "api/openai/openai.h"
#include "base/codec.h"
#include "base/num.h"
#include "core/bill/bill.h"
#include "engine/nlp/nlp.h"

#include <math.h>

#define TEXTS_MAX 2048
#define TEXT_MAX  ((size_t)1 << 20) /* of one text; engine/nlp/nlp.h */

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

static int read_input(yyjson_val *input, struct mr_arena *arena, struct mr_openai_texts *a,
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

int mr_openai_read_texts(yyjson_val *body, struct mr_arena *arena, struct mr_openai_texts *a,
                         struct mr_err *e) {
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

void mr_openai_put_vectors(struct mr_buf *b, const struct mr_openai_texts *a, const float *v,
                           size_t stride, size_t width, struct mr_str model, int64_t tokens) {
    mr_buf_cstr(b, "{\"object\":\"list\",\"data\":[");
    for (size_t i = 0; i < a->n; i++) {
        mr_buf_fmt(b, "%s{\"object\":\"embedding\",\"index\":%zu,\"embedding\":", i ? "," : "", i);
        put_vector(v + i * stride, width, a->base64, b);
        mr_buf_char(b, '}');
    }
    mr_buf_cstr(b, "],\"model\":");
    mr_buf_json(b, model);
    mr_buf_fmt(b, ",\"usage\":{\"prompt_tokens\":%lld,\"total_tokens\":%lld}}", (long long)tokens,
               (long long)tokens);
}

static int run(struct mr_embedder *m, const char *name, struct mr_openai_texts *a,
               struct mr_arena *arena, struct mr_buf *b, int64_t *ret_tokens, struct mr_err *e) {
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
    for (size_t i = 0; n < width && i < a->n; i++)
        shorten(v + i * width, n);
    mr_openai_put_vectors(b, a, v, width, n, mr_str(name), tokens);
    return mr_buf_ok(b) ? 0 : mr_fail(e, b->fail, "the reply is too large");
}

static int embed(struct mr_bill *bill, struct mr_openai_texts *a, struct mr_arena *arena,
                 struct mr_buf *b, struct mr_err *e) {
    struct mr_use use = {0};
    struct mr_bill_item *item;
    int rc =
        mr_bill_use(bill, a->model, MR_KIND_EMBEDDER, mr_embed_most(a->text, a->n), &use, &item, e);
    if (rc)
        return rc;
    rc = run(use.handle, use.model->id, a, arena, b, &item->tokens.input, e);
    mr_use_end(&use, !rc || rc == MR_EINVAL || rc == MR_EFIELD);
    return rc;
}

static struct mr_openai_sum sum_of(const struct mr_bill *bill) {
    const struct mr_bill_item *i = &bill->item[0];
    return bill->n ? (struct mr_openai_sum){.tokens = i->tokens,
                                            .cost_nano = bill->cost_nano,
                                            .charge = i->hold.charge,
                                            .provider = i->provider,
                                            .model = i->model}
                   : (struct mr_openai_sum){0};
}

/* Where it runs: a provider's model is one that is no local embedder's name. */
static int place(struct mr_core *core, const struct mr_openai_texts *a, struct mr_arena *arena,
                 struct mr_text_place *ret, struct mr_err *e) {
    const struct mr_catalog_model *m;
    if (!mr_catalog_find(core->catalog, a->model, MR_KIND_EMBEDDER, &m, NULL)) {
        *ret = (struct mr_text_place){.local = true};
        return 0;
    }
    int rc = mr_text_locate(core->text, a->model, arena, ret, e);
    if (rc == MR_ENOTFOUND || (!rc && ret->local))
        return mr_fail_field(e, MR_ENOTFOUND, "model",
                             "the model '%.*s' does not exist here or makes no embeddings; GET "
                             "/v1/models lists them",
                             (int)(a->model.n > 100 ? 100 : a->model.n), a->model.p);
    return rc;
}

int mr_openai_embed(struct mr_core *core, const struct mr_principal *who, yyjson_val *body,
                    struct mr_arena *arena, struct mr_buf *b, struct mr_err *e) {
    struct mr_bill bill = {.biller = &core->biller, .who = who, .family = "openai", .arena = arena};
    struct mr_openai_texts a = {0};
    struct mr_text_place at;
    int rc = mr_openai_read_texts(body, arena, &a, e);
    if (!rc)
        rc = place(core, &a, arena, &at, e);
    if (rc)
        return rc;
    rc = at.local ? embed(&bill, &a, arena, b, e)
                  : mr_openai_embed_remote_wait(core, &bill, &a, &at, arena, b, e);
    return mr_bill_close(&bill, rc, e);
}

static int reply(struct mr_call *c, struct mr_bill *bill, struct mr_buf *b, int rc,
                 struct mr_err *e) {
    rc = mr_bill_close(bill, rc, e);
    struct mr_openai_sum sum = sum_of(bill);
    if (rc) {
        mr_buf_release(b);
        return rc;
    }
    mr_openai_cost_headers(c, &sum, sum.model);
    return mr_openai_json(c, 200, b, e);
}

/* --- requests ------------------------------------------------------------------------------- */

/* A provider is waited for without a thread. In an arena of its own. */
struct waiting {
    struct mr_call *c;
    struct mr_arena arena;
    struct mr_bill bill;
    struct mr_openai_texts texts;
    struct mr_openai_remote remote;
};

static void answered(void *arg) {
    struct waiting *w = arg;
    struct mr_call *c = w->c;
    struct mr_buf b;
    struct mr_err e = {0};
    mr_call_buf(c, &b);
    c->retry_after_ms = w->remote.retry_after_ms > 0 ? w->remote.retry_after_ms : 0;
    int rc = mr_openai_embed_remote_end(&w->remote, &b, &e);
    rc = reply(c, &w->bill, &b, rc, &e);
    struct mr_arena arena = w->arena; /* which holds w */
    mr_arena_release(&arena);
    mr_call_finish(c, rc ? &e : NULL);
}

/* On the provider's thread: the rest waits for the disk. */
static void came(void *arg) {
    struct waiting *w = arg;
    if (mr_pool_submit(w->c->core->pool, answered, w) &&
        mr_pool_submit(w->c->core->ai_pool, answered, w))
        answered(w);
}

static int start(struct waiting *w, const struct mr_text_place *at, struct mr_err *e) {
    struct mr_call *c = w->c;
    w->bill = (struct mr_bill){
        .biller = &c->core->biller, .who = &c->who, .family = "openai", .arena = &w->arena};
    w->remote = (struct mr_openai_remote){.core = c->core,
                                          .bill = &w->bill,
                                          .texts = &w->texts,
                                          .arena = &w->arena,
                                          .done = came,
                                          .arg = w};
    int rc = mr_openai_embed_remote(&w->remote, at, e);
    return rc ? mr_bill_close(&w->bill, rc, e) : 0;
}

int mr_openai_embeddings(struct mr_call *c, struct mr_err *e) {
    struct mr_text_place at;
    struct mr_arena arena;
    mr_arena_init(&arena, (size_t)384 << 20);
    struct waiting *w = mr_arena_zalloc(&arena, sizeof *w);
    if (!w)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    w->c = c;
    w->arena = arena; /* no more from `arena` itself */
    int rc = mr_openai_read_texts(c->body, &w->arena, &w->texts, e);
    if (!rc)
        rc = place(c->core, &w->texts, &w->arena, &at, e);
    if (!rc && !at.local) {
        rc = start(w, &at, e);
        if (!rc)
            return MR_CALL_LATER;
    } else if (!rc) {
        struct mr_buf b;
        w->bill = (struct mr_bill){
            .biller = &c->core->biller, .who = &c->who, .family = "openai", .arena = &w->arena};
        mr_call_buf(c, &b);
        rc = embed(&w->bill, &w->texts, &w->arena, &b, e);
        rc = reply(c, &w->bill, &b, rc, e);
    }
    arena = w->arena;
    mr_arena_release(&arena);
    return rc;
}
