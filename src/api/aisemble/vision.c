/* Vision endpoints: an image from a form or as Base64 in JSON. */
#include "api/aisemble/aisemble.h"
#include "api/aisemble/analyze.h"
#include "api/aisemble/gen_aisemble.h"
#include "api/form.h"
#include "core/bill/bill.h"
#include "engine/vision/image.h"

typedef int see_fn(struct mr_core *core, const struct mr_vision_ask *q, struct mr_arena *arena,
                   struct mr_buf *out, struct mr_err *e);

static int ask_of(struct mr_call *c, struct mr_vision_ask *q, struct mr_err *e) {
    const struct mr_value *least = mr_call_value(c, "min_confidence");
    const struct mr_str *kind;
    size_t n;
    int rc = mr_call_list(c, "analysis_type", &kind, &n, e);
    for (size_t i = 0; i < n && !rc; i++)
        q->kinds |= mr_vision_kind(kind[i]);
    q->model = mr_call_str(c, "model");
    q->min_confidence = least->present ? least->f : 0;
    q->top_k = (unsigned)mr_call_i64(c, "top_k", 5);
    return rc;
}

static int see(struct mr_call *c, see_fn *fn, struct mr_err *e) {
    struct mr_bill bill = mr_aisemble_bill(c);
    struct mr_vision_ask q = {.bill = &bill};
    struct mr_buf image, b;
    int rc = ask_of(c, &q, e);
    if (rc)
        return rc;
    mr_buf_init(&image, MR_IMAGE_BYTES_MAX);
    if (c->form)
        q.bytes = mr_form_text_file(c, "image");
    else {
        rc = mr_vision_base64(mr_call_str(c, "image"), "image", &image, e);
        q.bytes = mr_buf_view(&image);
    }
    mr_aisemble_begin(c, &b);
    if (!rc)
        rc = fn(c->core, &q, c->req->arena, &b, e);
    mr_buf_release(&image);
    rc = mr_close_bill(&bill, rc, &b, e);
    if (rc) {
        mr_buf_release(&b);
        return rc;
    }
    mr_json_f64(&b, "processing_time", mr_aisemble_seconds(c));
    mr_buf_char(&b, '}');
    return mr_call_json(c, 200, &b, e);
}

static int analyze_now(struct mr_call *c, struct mr_err *e) {
    return see(c, mr_vision_analyze, e);
}
static int classify_now(struct mr_call *c, struct mr_err *e) {
    return see(c, mr_vision_classify, e);
}

int mr_aisemble_vision_analyze(struct mr_call *c, struct mr_err *e) {
    return mr_aisemble_later(c, analyze_now, e);
}

int mr_aisemble_vision_classify(struct mr_call *c, struct mr_err *e) {
    return mr_aisemble_later(c, classify_now, e);
}
