#include "base/alloc.h"
#include "engine/vision/ocr_priv.h"

struct mr_ocr {
    struct mr_tess_reader *tess; /* one of the two */
    struct mr_pp_reader *pp;
};

int mr_ocr_open(const char *dir, enum mr_ocr_engine engine, struct mr_ocr **ret, struct mr_err *e) {
    struct mr_ocr *o = mr_calloc(1, sizeof *o);
    if (!o)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    int r =
        engine == MR_OCR_TESSERACT ? mr_tess_open(dir, &o->tess, e) : mr_pp_open(dir, &o->pp, e);
    if (r) {
        mr_ocr_free(o);
        return r;
    }
    *ret = o;
    return 0;
}

void mr_ocr_free(struct mr_ocr *o) {
    if (!o)
        return;
    mr_tess_free(o->tess);
    mr_pp_free(o->pp);
    mr_free(o);
}

uint64_t mr_ocr_memory(const struct mr_ocr *o) {
    return o->tess ? mr_tess_memory(o->tess) : mr_pp_memory(o->pp);
}

int mr_ocr_read(struct mr_ocr *o, const struct mr_image *im, struct mr_arena *arena,
                struct mr_text_line **ret, size_t *ret_n, struct mr_err *e) {
    return o->tess ? mr_tess_read(o->tess, im, arena, ret, ret_n, e)
                   : mr_pp_read(o->pp, im, arena, ret, ret_n, e);
}

struct mr_onnx *mr_ocr_net(const struct mr_ocr *o, unsigned k) {
    return o->pp ? mr_pp_net(o->pp, k) : NULL;
}
