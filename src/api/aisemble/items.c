#include "api/aisemble/items.h"

#include "api/aisemble/analyze.h"
#include "api/aisemble/params.h"
#include "api/api.h"
#include "core/bill/bill.h"
#include "core/money/money.h"
#include "core/text/text.h"
#include "engine/vision/image.h"

#include <math.h>

#define OUTPUT_MAX ((size_t)32 << 20)

/* An item under way: the job's parameters and the item's own, which win. */
struct item {
    struct mr_core *core;
    const struct mr_job_item *job;
    struct mr_arena *arena;
    yyjson_doc *given, *own;
    yyjson_val *parameters, *input; /* input: any JSON; NULL: a file */
    struct mr_buf out;
    struct mr_bill bill;
};

static yyjson_val *value(const struct item *it, const char *key) {
    yyjson_val *v = yyjson_is_obj(it->input) ? yyjson_obj_get(it->input, key) : NULL;
    return v ? v : yyjson_obj_get(it->parameters, key);
}

static struct mr_str text_of(yyjson_val *v) {
    return yyjson_is_str(v) ? mr_strn(yyjson_get_str(v), yyjson_get_len(v)) : mr_strn(NULL, 0);
}

static struct mr_str text(const struct item *it, const char *key) {
    return text_of(value(it, key));
}

static int64_t whole(const struct item *it, const char *key, int64_t lo, int64_t hi, int64_t def) {
    yyjson_val *v = value(it, key);
    double f = yyjson_is_num(v) ? yyjson_get_num(v) : (double)def;
    return f < (double)lo ? lo : f > (double)hi ? hi : (int64_t)f;
}

/* The item itself when it is text, else its member `key`. */
static int main_text(const struct item *it, const char *key, struct mr_str *ret, struct mr_err *e) {
    *ret = yyjson_is_str(it->input) ? text_of(it->input) : text(it, key);
    if (it->job->file) {
        *ret = it->job->bytes;
        if (!mr_utf8_valid(*ret))
            return mr_fail(e, MR_EINVAL, "the file is not UTF-8 text");
    }
    return ret->n ? 0 : mr_fail_field(e, MR_EFIELD, key, "the item has no %s", key);
}

static int parse(struct item *it, struct mr_err *e) {
    const struct mr_job_item *j = it->job;
    it->given = yyjson_read(j->parameters.p, j->parameters.n, 0);
    it->parameters = yyjson_doc_get_root(it->given);
    if (!j->file) {
        it->own = yyjson_read(j->input.p, j->input.n, 0);
        it->input = yyjson_doc_get_root(it->own);
        if (!it->input)
            return mr_fail(e, MR_EINVAL, "the item is not JSON");
    }
    return it->given ? 0 : mr_fail(e, MR_EINTERNAL, "a job's parameters cannot be read");
}

/* The operations of a service; NULL ends. */
static const char *const llm_operations[] = {"generate", "chat", NULL};
static const char *const vision_operations[] = {"analyze", "classify", NULL};
static const char *const nlp_operations[] = {"analyze", "summarize", "embeddings", NULL};

static int operation(struct mr_str name, const char *const *known, int *ret, struct mr_err *e) {
    *ret = 0;
    if (!name.p)
        return 0;
    for (int i = 0; known[i]; i++)
        if (mr_str_is(name, known[i])) {
            *ret = i;
            return 0;
        }
    return mr_fail_field(e, MR_EFIELD, "parameters.operation",
                         "parameters.operation must be one of: %s, %s%s%s", known[0], known[1],
                         known[2] ? ", " : "", known[2] ? known[2] : "");
}

/* A list of words, as one text or an array of them, into bits. */
static int bits(yyjson_val *v, const char *field, unsigned (*bit)(struct mr_str), unsigned *ret,
                struct mr_err *e) {
    size_t i, n;
    yyjson_val *one;
    struct mr_str all = text_of(v);
    *ret = 0;
    while (all.p) {
        unsigned k = bit(mr_str_trim(mr_str_cut(&all, ',')));
        *ret |= k;
        if (!k)
            return mr_fail_field(e, MR_EFIELD, field, "%s names an unknown analysis", field);
    }
    yyjson_arr_foreach (v, i, n, one) {
        unsigned k = bit(text_of(one));
        *ret |= k;
        if (!k)
            return mr_fail_field(e, MR_EFIELD, field, "%s names an unknown analysis", field);
    }
    return 0;
}

/* --- llm ---------------------------------------------------------------------------------- */

static int wanted(void *arg, const struct mr_llm_delta *d) {
    (void)d;
    return mr_job_cancelled(arg);
}

static int llm_request(struct item *it, int op, struct mr_text_request *q, struct mr_err *e) {
    yyjson_val *messages = yyjson_is_arr(it->input) ? it->input : value(it, "messages");
    yyjson_val *t = value(it, "temperature");
    q->who = it->job->who;
    q->family = "jobs";
    q->on_delta = wanted;
    q->arg = (void *)(uintptr_t)it->job;
    q->model = text(it, "model");
    q->raw = yyjson_get_bool(value(it, "raw"));
    int rc = op == 1 || (!yyjson_is_str(it->input) && !text(it, "prompt").p && messages)
                 ? mr_aisemble_messages(messages, it->arena, q, e)
                 : main_text(it, "prompt", &q->prompt, e);
    return rc ? rc
              : mr_aisemble_params(value(it, "parameters"),
                                   yyjson_is_num(t) ? yyjson_get_num(t) : NAN,
                                   whole(it, "max_tokens", 0, 16777216, 0), it->arena, q, e);
}

static int run_llm(struct item *it, struct mr_err *e) {
    struct mr_text_request q = {0};
    struct mr_text_result r = {0};
    int op;
    int rc = operation(text(it, "operation"), llm_operations, &op, e);
    if (!rc)
        rc = llm_request(it, op, &q, e);
    if (!rc)
        rc = mr_text_generate_wait(it->core->text, &q, it->arena, &r, e);
    if (rc)
        return rc;
    mr_json_str(&it->out, op == 1 ? "content" : "generated_text", r.text.p ? r.text : MR_LIT(""));
    mr_json_str(&it->out, "model", r.model);
    mr_json_str(&it->out, "provider", r.provider.p ? r.provider : MR_LIT("local"));
    mr_json_str(&it->out, "finish_reason", r.finish_reason.p ? r.finish_reason : MR_LIT("stop"));
    mr_json_i64(&it->out, "tokens_used", r.tokens.input + r.tokens.output);
    mr_json_key(&it->out, "cost");
    mr_money_print(&it->out, r.cost_nano);
    return 0;
}

/* --- vision ------------------------------------------------------------------------------- */

static int run_vision(struct item *it, struct mr_err *e) {
    struct mr_vision_ask q = {.bill = &it->bill,
                              .model = text(it, "model"),
                              .top_k = (unsigned)whole(it, "top_k", 1, 1000, 5)};
    yyjson_val *least = value(it, "min_confidence");
    struct mr_buf image;
    int op;
    int rc = operation(text(it, "operation"), vision_operations, &op, e);
    if (!rc)
        rc = bits(value(it, "analysis_type"), "parameters.analysis_type", mr_vision_kind, &q.kinds,
                  e);
    if (rc)
        return rc;
    q.min_confidence = yyjson_is_num(least) ? yyjson_get_num(least) : 0;
    mr_buf_init(&image, MR_IMAGE_BYTES_MAX);
    if (it->job->file)
        q.bytes = it->job->bytes;
    else {
        struct mr_str base64 = yyjson_is_str(it->input) ? text_of(it->input) : text(it, "image");
        rc = base64.n ? mr_vision_base64(base64, "image", &image, e)
                      : mr_fail_field(e, MR_EFIELD, "image", "the item has no image");
        q.bytes = mr_buf_view(&image);
    }
    if (!rc)
        rc = (op ? mr_vision_classify : mr_vision_analyze)(it->core, &q, it->arena, &it->out, e);
    mr_buf_release(&image);
    return rc;
}

/* --- nlp ---------------------------------------------------------------------------------- */

static int run_nlp(struct item *it, struct mr_err *e) {
    struct mr_str t;
    int op;
    int rc = operation(text(it, "operation"), nlp_operations, &op, e);
    if (!rc)
        rc = main_text(it, "text", &t, e);
    if (rc)
        return rc;
    if (op == 1) {
        struct mr_summary_ask q = {.bill = &it->bill,
                                   .text = t,
                                   .model = text(it, "model"),
                                   .min_words = (uint32_t)whole(it, "min_length", 0, 100000, 0),
                                   .max_words = (uint32_t)whole(it, "max_length", 1, 100000, 100),
                                   .on_delta = wanted,
                                   .arg = (void *)(uintptr_t)it->job};
        return mr_nlp_summary(it->core, &q, it->arena, &it->out, e);
    }
    if (op == 2)
        return mr_nlp_embed(&it->bill, &t, 1, text(it, "model"), it->arena, &it->out, e);
    struct mr_nlp_ask q = {.bill = &it->bill,
                           .text = t,
                           .language = text(it, "language"),
                           .max_keywords = (unsigned)whole(it, "max_keywords", 1, 100, 10)};
    rc = bits(value(it, "analysis_types"), "parameters.analysis_types", mr_nlp_kind, &q.kinds, e);
    return rc ? rc : mr_nlp_analyze(it->core, &q, it->arena, &it->out, e);
}

/* --- all of them -------------------------------------------------------------------------- */

typedef int part_fn(struct item *it, struct mr_err *e);

static int run(struct mr_core *core, part_fn *fn, const struct mr_job_item *job,
               struct mr_arena *arena, struct mr_str *ret, struct mr_err *e) {
    struct item it = {.core = core, .job = job, .arena = arena};
    it.bill = (struct mr_bill){
        .biller = &core->biller, .who = &job->who, .family = "jobs", .arena = arena};
    mr_buf_init(&it.out, OUTPUT_MAX);
    mr_buf_char(&it.out, '{');
    int rc = parse(&it, e);
    if (!rc)
        rc = fn(&it, e);
    rc = fn == run_llm ? rc : mr_close_bill(&it.bill, rc, &it.out, e);
    mr_buf_char(&it.out, '}');
    if (!rc) {
        struct mr_str kept =
            mr_buf_ok(&it.out) ? mr_arena_keep(arena, mr_buf_view(&it.out)) : mr_strn(NULL, 0);
        if (kept.p)
            *ret = kept;
        else
            rc = mr_fail(e, MR_ETOOBIG, "the item's result is too large");
    }
    mr_buf_release(&it.out);
    yyjson_doc_free(it.own);
    yyjson_doc_free(it.given);
    return rc;
}

#define RUNNER(name, part)                                                                         \
    static int name(void *arg, const struct mr_job_item *i, struct mr_arena *a, struct mr_str *r,  \
                    struct mr_err *e) {                                                            \
        return run(arg, part, i, a, r, e);                                                         \
    }
RUNNER(llm_item, run_llm)
RUNNER(vision_item, run_vision)
RUNNER(nlp_item, run_nlp)

/* A model of the catalogue, or a name that text generation knows: whether its provider can be asked
 * shows when an item runs. */
static int check_model(struct mr_core *core, struct mr_str model, enum mr_service s,
                       struct mr_err *e) {
    const struct mr_catalog_model *m;
    struct mr_text_place at;
    struct mr_arena arena;
    struct mr_err why;
    if (mr_catalog_adapter(core->catalog, model) ||
        !mr_catalog_find(core->catalog, model, MR_KIND_N, &m, &why))
        return 0;
    if (s != MR_SERVICE_VISION) {
        mr_arena_init(&arena, 1 << 20);
        int rc = mr_text_locate(core->text, model, &arena, &at, NULL);
        mr_arena_release(&arena);
        if (rc != MR_ENOTFOUND)
            return 0;
    }
    return mr_fail_field(e, MR_EFIELD, "parameters.model", "parameters.model: %.400s", why.msg);
}

/* What is wrong with the parameters alone is said when the job is made. */
static int check(struct mr_core *core, struct mr_str parameters, enum mr_service s,
                 struct mr_err *e) {
    yyjson_doc *doc = yyjson_read(parameters.p, parameters.n, 0);
    yyjson_val *p = yyjson_doc_get_root(doc);
    struct mr_str op = text_of(yyjson_obj_get(p, "operation"));
    struct mr_str model = text_of(yyjson_obj_get(p, "model"));
    unsigned k;
    int unused, rc = 0;
    if (s == MR_SERVICE_LLM)
        rc = operation(op, llm_operations, &unused, e);
    else if (s == MR_SERVICE_VISION) {
        rc = operation(op, vision_operations, &unused, e);
        if (!rc)
            rc = bits(yyjson_obj_get(p, "analysis_type"), "parameters.analysis_type",
                      mr_vision_kind, &k, e);
    } else if (s == MR_SERVICE_NLP) {
        rc = operation(op, nlp_operations, &unused, e);
        if (!rc)
            rc = bits(yyjson_obj_get(p, "analysis_types"), "parameters.analysis_types", mr_nlp_kind,
                      &k, e);
    }
    if (!rc && model.n)
        rc = check_model(core, model, s, e);
    yyjson_doc_free(doc);
    return rc;
}

#define CHECK(name, service)                                                                       \
    static int name(void *arg, const struct mr_principal *who, struct mr_str p,                    \
                    struct mr_err *e) {                                                            \
        (void)who;                                                                                 \
        return check(arg, p, service, e);                                                          \
    }
CHECK(llm_check, MR_SERVICE_LLM)
CHECK(vision_check, MR_SERVICE_VISION)
CHECK(nlp_check, MR_SERVICE_NLP)

void mr_aisemble_runners(struct mr_core *core, struct mr_job_runner out[MR_AISEMBLE_RUNNERS]) {
    out[0] = (struct mr_job_runner){"llm", llm_item, llm_check, core, 8};
    out[1] = (struct mr_job_runner){"vision", vision_item, vision_check, core, 2};
    out[2] = (struct mr_job_runner){"nlp", nlp_item, nlp_check, core, 2};
}
