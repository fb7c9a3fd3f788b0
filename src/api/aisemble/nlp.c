/* Text analysis endpoints. */
#include "api/aisemble/aisemble.h"
#include "api/aisemble/analyze.h"
#include "api/aisemble/gen_aisemble.h"
#include "core/bill/bill.h"

#define TEXTS_MAX 2048

static int finish(struct mr_call *c, struct mr_bill *bill, struct mr_buf *b, int rc,
                  struct mr_err *e) {
    rc = mr_close_bill(bill, rc, b, e);
    if (rc) {
        mr_buf_release(b);
        return rc;
    }
    mr_json_f64(b, "processing_time", mr_aisemble_seconds(c));
    mr_buf_char(b, '}');
    return mr_call_json(c, 200, b, e);
}

static int analyze_now(struct mr_call *c, struct mr_err *e) {
    struct mr_bill bill = mr_aisemble_bill(c);
    struct mr_nlp_ask q = {.bill = &bill,
                           .text = mr_call_str(c, "text"),
                           .language = mr_call_str(c, "language"),
                           .max_keywords = (unsigned)mr_call_i64(c, "max_keywords", 10)};
    const struct mr_str *kind;
    struct mr_buf b;
    size_t n;
    int rc = mr_call_list(c, "analysis_types", &kind, &n, e);
    if (rc)
        return rc;
    for (size_t i = 0; i < n; i++)
        q.kinds |= mr_nlp_kind(kind[i]);
    mr_aisemble_begin(c, &b);
    return finish(c, &bill, &b, mr_nlp_analyze(c->core, &q, c->req->arena, &b, e), e);
}

static int still_there(void *arg, const struct mr_llm_delta *d) {
    (void)d;
    return mr_req_gone(arg);
}

static int summarize_now(struct mr_call *c, struct mr_err *e) {
    struct mr_bill bill = mr_aisemble_bill(c);
    struct mr_summary_ask q = {.bill = &bill,
                               .text = mr_call_str(c, "text"),
                               .model = mr_call_str(c, "model"),
                               .min_words = (uint32_t)mr_call_i64(c, "min_length", 0),
                               .max_words = (uint32_t)mr_call_i64(c, "max_length", 100),
                               .on_delta = still_there,
                               .arg = c->req};
    struct mr_buf b;
    mr_aisemble_begin(c, &b);
    return finish(c, &bill, &b, mr_nlp_summary(c->core, &q, c->req->arena, &b, e), e);
}

static int embed_now(struct mr_call *c, struct mr_err *e) {
    const struct mr_value *v = mr_call_value(c, "input");
    const struct mr_str *text = &v->s;
    struct mr_buf b;
    size_t n = 1;
    int rc = v->s.p ? 0 : mr_call_list(c, "input", &text, &n, e);
    if (rc)
        return rc;
    if (!n || n > TEXTS_MAX)
        return mr_fail_field(e, MR_EFIELD, "input", "input must be a text, or 1 to %d texts",
                             TEXTS_MAX);
    mr_aisemble_begin(c, &b);
    struct mr_bill bill = mr_aisemble_bill(c);
    return finish(c, &bill, &b,
                  mr_nlp_embed(&bill, text, n, mr_call_str(c, "model"), c->req->arena, &b, e), e);
}

int mr_aisemble_nlp_analyze(struct mr_call *c, struct mr_err *e) {
    return mr_aisemble_later(c, analyze_now, e);
}

int mr_aisemble_nlp_summarize(struct mr_call *c, struct mr_err *e) {
    return mr_aisemble_later(c, summarize_now, e);
}

int mr_aisemble_nlp_embeddings(struct mr_call *c, struct mr_err *e) {
    return mr_aisemble_later(c, embed_now, e);
}
