#include "model/convert/convert.h"

const struct mr_converter mr_convert_boost[] = {
    {NULL, NULL, NULL, NULL},
};

static int later(struct mr_build *b, struct mr_err *e) {
    (void)b;
    return mr_fail(e, MR_EUNSUPPORTED, "this kind of file has no native reader");
}

int mr_convert_xgboost_json(struct mr_str file, struct mr_build *b, struct mr_err *e) {
    (void)file;
    return later(b, e);
}

int mr_convert_xgboost_ubj(struct mr_str file, struct mr_build *b, struct mr_err *e) {
    (void)file;
    return later(b, e);
}

int mr_convert_lightgbm_text(struct mr_str file, struct mr_build *b, struct mr_err *e) {
    (void)file;
    return later(b, e);
}
