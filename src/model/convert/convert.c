#include "model/convert/convert.h"

#include "model/convert/root.h"
#include "model/convert/steps.h"

#define MAX_NESTING     32
#define MAX_CONVERSIONS 20000 /* a pickle may refer to one object many times over */

static const struct mr_converter *const tables[] = {
    mr_convert_trees, mr_convert_boost, mr_convert_linear,
    mr_convert_prep,  mr_convert_text,  mr_convert_compose,
};

/* "package.sub.Name" with this package and this last name. */
static bool class_is(const char *full, const char *package, const char *name) {
    size_t n = strlen(package);
    const char *dot = strrchr(full, '.');
    return strncmp(full, package, n) == 0 && full[n] == '.' && dot && strcmp(dot + 1, name) == 0;
}

static int unsupported(const char *full, struct mr_err *e) {
    if (strncmp(full, "__main__.", 9) == 0)
        return mr_fail(e, MR_EUNSUPPORTED,
                       "class %.200s is defined in the training script, not in a library; only "
                       "its data is in the file. Save a plain scikit-learn, XGBoost or LightGBM "
                       "model, or export the model to ONNX",
                       full);
    return mr_fail(e, MR_EUNSUPPORTED,
                   "class %.200s has no native reader. Export the model to ONNX (for "
                   "scikit-learn: skl2onnx) and upload the .onnx file",
                   full);
}

const struct mr_converter *mr_convert_find(const struct mr_pk *obj, struct mr_err *e) {
    static const char *const kinds[] = {
        [MR_PK_NONE] = "None",      [MR_PK_BOOL] = "a boolean",
        [MR_PK_INT] = "a number",   [MR_PK_BIGINT] = "a number",
        [MR_PK_FLOAT] = "a number", [MR_PK_STR] = "a text",
        [MR_PK_BYTES] = "bytes",    [MR_PK_LIST] = "a list",
        [MR_PK_TUPLE] = "a tuple",  [MR_PK_DICT] = "a dictionary",
        [MR_PK_SET] = "a set",      [MR_PK_GLOBAL] = "a class or function",
        [MR_PK_ARRAY] = "an array", [MR_PK_DTYPE] = "a dtype",
        [MR_PK_OBJ] = "an object",
    };
    char full[512];
    if (!obj || obj->type != MR_PK_OBJ) {
        mr_fail(e, MR_EUNSUPPORTED, "the file holds %s where a fitted model is needed",
                obj && obj->type < sizeof kinds / sizeof *kinds ? kinds[obj->type] : "nothing");
        return NULL;
    }
    mr_pk_class_name(obj, full, sizeof full);
    for (size_t t = 0; t < sizeof tables / sizeof *tables; t++)
        for (const struct mr_converter *c = tables[t]; c->class_name; c++)
            if (class_is(full, c->package, c->class_name))
                return c;
    unsupported(full, e);
    return NULL;
}

static int wrong_role(const struct mr_converter *row, const char *role, struct mr_err *e) {
    return mr_fail(e, MR_EUNSUPPORTED, "%s cannot be used as %s", row->class_name, role);
}

static int nested(struct mr_convert *c, struct mr_err *e) {
    if (c->depth >= MAX_NESTING)
        return mr_fail(e, MR_EREFUSED, "models are nested deeper than %d levels", MAX_NESTING);
    if (++c->steps > MAX_CONVERSIONS)
        return mr_fail(e, MR_EREFUSED, "the model holds more than %d steps", MAX_CONVERSIONS);
    return 0;
}

int mr_convert_transform(struct mr_convert *c, const struct mr_pk *obj, uint32_t in,
                         uint32_t *ret_out, struct mr_err *e) {
    const struct mr_converter *row = mr_convert_find(obj, e);
    if (!row)
        return MR_EUNSUPPORTED;
    if (!row->transform)
        return wrong_role(row, "a transformer", e);
    int r = nested(c, e);
    if (r)
        return r;
    c->depth++;
    r = row->transform(c, obj, in, ret_out, e);
    c->depth--;
    return r;
}

int mr_convert_estimator(struct mr_convert *c, const struct mr_pk *obj, uint32_t in,
                         struct mr_estimator_out *ret, struct mr_err *e) {
    const struct mr_converter *row = mr_convert_find(obj, e);
    if (!row)
        return MR_EUNSUPPORTED;
    if (!row->estimator)
        return wrong_role(row, "a predictor", e);
    int r = nested(c, e);
    if (r)
        return r;
    *ret = (struct mr_estimator_out){.decision_slot = UINT32_MAX};
    c->depth++;
    r = row->estimator(c, obj, in, ret, e);
    c->depth--;
    return r;
}

/* A lone transformer answers with its transformed row. */
static int root_transform(struct mr_convert *c, const struct mr_pk *obj,
                          struct mr_estimator_out *ret, struct mr_err *e) {
    uint32_t out;
    *ret = (struct mr_estimator_out){.task = MR_TASK_TRANSFORM, .n_outputs = 1};
    ret->decision_slot = UINT32_MAX;
    ret->accepts_missing = mr_flow_of(obj) != MR_FLOW_REFUSE;
    ret->out[0].proba_slot = UINT32_MAX;
    int r = mr_convert_transform(c, obj, 0, &out, e);
    return r ? r : mr_step_answer(c, 0, out, &ret->out[0].pred_slot, e);
}

static int describe(struct mr_build *b, const struct mr_converter *row,
                    const struct mr_root_input *in, const struct mr_estimator_out *out,
                    struct mr_err *e) {
    if (out->n_outputs == 0 || out->n_outputs > 64)
        return mr_fail(e, MR_EUNSUPPORTED, "the model has %u outputs (1 to 64)", out->n_outputs);
    for (uint32_t i = 0; i < out->n_outputs; i++)
        mr_build_output(b, &out->out[i]);
    struct mr_build_info info = {.task = out->task,
                                 .framework = mr_str(row->package),
                                 .framework_version = in->version,
                                 .model_type = mr_str(row->class_name),
                                 .accepts_missing = out->accepts_missing,
                                 .feature_names = in->feature_names,
                                 .text_input = in->text};
    mr_build_info(b, &info);
    return 0;
}

int mr_convert_pickle(const struct mr_pk_doc *doc, struct mr_build *b, struct mr_err *e) {
    const struct mr_pk *root = mr_pickle_root(doc);
    struct mr_convert c = {.b = b, .arena = mr_pickle_arena((struct mr_pk_doc *)(uintptr_t)doc)};
    const struct mr_converter *row = mr_convert_find(root, e);
    if (!row)
        return MR_EUNSUPPORTED;
    struct mr_root_input in;
    int r = mr_root_input(c.arena, root, &in, e);
    if (r)
        return r;
    if (!in.width)
        return mr_fail(e, MR_EREFUSED, "%s does not say how many columns it reads (is it fitted?)",
                       row->class_name);
    mr_build_input(b, MR_SLOT_CELLS, in.width);
    struct mr_estimator_out out;
    r = row->estimator ? mr_convert_estimator(&c, root, 0, &out, e)
                       : root_transform(&c, root, &out, e);
    return r ? r : describe(b, row, &in, &out, e);
}
