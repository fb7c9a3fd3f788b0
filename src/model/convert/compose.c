/* Pipeline, FeatureUnion, searches: steps one after the other or side by side. */
#include "model/convert/steps.h"

static const struct mr_pk *part(const struct mr_pk *tuple, size_t i) {
    struct mr_pk *const *v;
    size_t n;
    return mr_pk_seq(tuple, &v, &n) && i < n ? v[i] : NULL;
}

static bool is_text(const struct mr_pk *v, const char *text) {
    struct mr_str s;
    return mr_pk_str(v, &s) && mr_str_is(s, text);
}

static bool does_nothing(const struct mr_pk *step) {
    return step && (step->type == MR_PK_NONE || is_text(step, "passthrough"));
}

/* Follows missing values through a pipeline; guards the steps that must not see one. */
struct flow {
    enum mr_flow state; /* PASS: untouched, PART, CLEAN; REFUSE once the whole refuses */
};

static int one_step(struct mr_convert *c, const struct mr_pk *step, struct flow *f, uint32_t *slot,
                    struct mr_err *e) {
    if (does_nothing(step))
        return 0;
    enum mr_flow s = mr_flow_of(step);
    if (s == MR_FLOW_REFUSE) {
        if (f->state == MR_FLOW_PART) {
            *slot = mr_step_no_missing(c, *slot);
            f->state = MR_FLOW_CLEAN;
        } else if (f->state == MR_FLOW_PASS) {
            f->state = MR_FLOW_REFUSE;
        }
    } else if (f->state != MR_FLOW_REFUSE && s > f->state) {
        f->state = s;
    }
    return mr_convert_transform(c, step, *slot, slot, e);
}

static int steps(struct mr_convert *c, const struct mr_pk *list, size_t n, struct flow *f,
                 uint32_t *slot, struct mr_err *e) {
    f->state = MR_FLOW_PASS;
    int rc = 0;
    for (size_t i = 0; i < n && rc == 0; i++)
        rc = one_step(c, part(part(list, i), 1), f, slot, e);
    return rc;
}

static int step_list(const struct mr_pk *obj, const char *attr, const struct mr_pk **ret,
                     struct mr_err *e) {
    int rc = mr_convert_need(obj, attr, ret, e);
    if (rc == 0 && (mr_pk_len(*ret) == 0 || mr_pk_len(*ret) > 1000))
        rc = mr_fail(e, MR_EREFUSED, "%s is empty or damaged", attr);
    return rc;
}

MR_STEP(mr_compose_pipeline) {
    const struct mr_pk *list;
    struct flow f;
    int rc = step_list(obj, "steps", &list, e);
    if (rc == 0)
        rc = steps(c, list, mr_pk_len(list), &f, &in, e);
    if (rc == 0)
        *ret_out = in;
    return rc;
}

/* Whether the estimator takes missing values, by converting it into a throw-away builder. */
static int takes_missing(struct mr_convert *c, const struct mr_pk *est, uint32_t in, bool *ret,
                         struct mr_err *e) {
    struct mr_build *b = mr_build_new(c->arena);
    if (!b)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    mr_build_input(b, mr_build_slot_kind(c->b, in), mr_build_slot_width(c->b, in));
    struct mr_convert trial = {.b = b, .arena = c->arena, .depth = c->depth, .steps = c->steps};
    struct mr_estimator_out out;
    int rc = mr_convert_estimator(&trial, est, 0, &out, e);
    mr_build_free(b);
    c->steps = trial.steps;
    if (rc == 0)
        *ret = out.accepts_missing;
    return rc;
}

static int last_estimator(struct mr_convert *c, const struct mr_pk *est, struct flow *f,
                          uint32_t in, struct mr_estimator_out *ret, struct mr_err *e) {
    bool guarded = false, takes = false;
    if (f->state == MR_FLOW_PART) {
        int rc = takes_missing(c, est, in, &takes, e);
        if (rc)
            return rc;
        if (!takes)
            in = mr_step_no_missing(c, in);
        guarded = true;
    }
    int rc = mr_convert_estimator(c, est, in, ret, e);
    if (rc)
        return rc;
    if (f->state == MR_FLOW_REFUSE)
        ret->accepts_missing = false;
    else if (f->state == MR_FLOW_CLEAN || guarded)
        ret->accepts_missing = true;
    return 0;
}

MR_EST(mr_compose_pipeline_est) {
    const struct mr_pk *list;
    struct flow f;
    int rc = step_list(obj, "steps", &list, e);
    if (rc)
        return rc;
    size_t n = mr_pk_len(list);
    const struct mr_pk *last = part(part(list, n - 1), 1);
    bool predicts = false;
    if (!does_nothing(last)) {
        const struct mr_converter *row = mr_convert_find(last, e);
        if (!row)
            return MR_EUNSUPPORTED;
        predicts = row->estimator != NULL;
    }
    uint32_t out = in;
    rc = steps(c, list, predicts ? n - 1 : n, &f, &out, e);
    if (rc)
        return rc;
    if (predicts)
        return last_estimator(c, last, &f, out, ret, e);
    *ret = (struct mr_estimator_out){.task = MR_TASK_TRANSFORM,
                                     .n_outputs = 1,
                                     .decision_slot = UINT32_MAX,
                                     .accepts_missing = f.state != MR_FLOW_REFUSE};
    ret->out[0].proba_slot = UINT32_MAX;
    return mr_step_answer(c, in, out, &ret->out[0].pred_slot, e);
}

MR_STEP(mr_compose_search) {
    const struct mr_pk *best;
    int rc = mr_convert_need(obj, "best_estimator_", &best, e);
    return rc ? rc : mr_convert_transform(c, best, in, ret_out, e);
}

MR_EST(mr_compose_search_est) {
    const struct mr_pk *best;
    int rc = mr_convert_need(obj, "best_estimator_", &best, e);
    if (rc)
        return rc;
    const struct mr_converter *row = mr_convert_find(best, e);
    if (!row)
        return MR_EUNSUPPORTED;
    if (row->estimator)
        return mr_convert_estimator(c, best, in, ret, e);
    uint32_t out;
    rc = mr_convert_transform(c, best, in, &out, e);
    if (rc)
        return rc;
    *ret = (struct mr_estimator_out){.task = MR_TASK_TRANSFORM,
                                     .n_outputs = 1,
                                     .decision_slot = UINT32_MAX,
                                     .accepts_missing = mr_flow_of(best) != MR_FLOW_REFUSE};
    ret->out[0].proba_slot = UINT32_MAX;
    return mr_step_answer(c, in, out, &ret->out[0].pred_slot, e);
}

/* transformer_weights: a factor for a named branch. */
static int weigh(struct mr_convert *c, const struct mr_pk *obj, const struct mr_pk *name,
                 uint32_t *slot, struct mr_err *e) {
    const struct mr_pk *w = mr_pk_attr(obj, "transformer_weights");
    char key[256];
    struct mr_str s;
    double factor;
    if (!w || w->type == MR_PK_NONE)
        return 0;
    if (!mr_pk_str(name, &s) || s.n >= sizeof key)
        return mr_fail(e, MR_EREFUSED, "a branch has no usable name");
    memcpy(key, s.p, s.n);
    key[s.n] = 0;
    const struct mr_pk *v = mr_pk_get(w, key);
    if (!v || v->type == MR_PK_NONE)
        return 0;
    if (!mr_pk_num(v, &factor))
        return mr_fail(e, MR_EREFUSED, "transformer_weights holds no number for %s", key);
    *slot = mr_step_affine(c, *slot, &(struct mr_affine){.scale = &factor, .one = true});
    return 0;
}

MR_STEP(mr_compose_union) {
    const struct mr_pk *list;
    int rc = step_list(obj, "transformer_list", &list, e);
    if (rc)
        return rc;
    uint32_t n = (uint32_t)mr_pk_len(list), k = 0;
    uint32_t *branch = mr_arena_array(c->arena, n, sizeof *branch);
    if (!branch)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    for (uint32_t i = 0; i < n && rc == 0; i++) {
        const struct mr_pk *item = part(list, i), *step = part(item, 1);
        if (is_text(step, "drop") || (step && step->type == MR_PK_NONE))
            continue;
        branch[k] = in;
        if (!does_nothing(step))
            rc = mr_convert_transform(c, step, in, &branch[k], e);
        if (rc == 0)
            rc = weigh(c, obj, part(item, 0), &branch[k], e);
        k++;
    }
    return rc ? rc : mr_step_concat(c, branch, k, false, ret_out, e);
}

/* Input columns of branch `name`, as the library resolved them when fitting. */
static int columns(struct mr_convert *c, const struct mr_pk *obj, const struct mr_pk *name,
                   uint32_t width, uint32_t **ret, uint32_t *ret_n, struct mr_err *e) {
    const struct mr_pk *map = mr_pk_attr(obj, "_transformer_to_input_indices");
    char key[256];
    struct mr_str s;
    if (!mr_pk_str(name, &s) || s.n >= sizeof key)
        return mr_fail(e, MR_EREFUSED, "ColumnTransformer: a branch has no usable name");
    memcpy(key, s.p, s.n);
    key[s.n] = 0;
    const struct mr_pk *idx = mr_pk_get(map, key);
    if (!idx)
        return mr_fail(e, MR_EREFUSED, "ColumnTransformer does not say which columns %s reads",
                       key);
    size_t n = mr_pk_len(idx);
    uint32_t *v = n <= MR_MAX_WIDTH ? mr_arena_array(c->arena, n + 1, sizeof *v) : NULL;
    if (!v)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    for (size_t i = 0; i < n; i++) {
        int64_t j;
        if (!mr_pk_int(mr_pk_item(c->arena, idx, i), &j) || j < 0 || j >= width)
            return mr_fail(e, MR_EREFUSED, "ColumnTransformer: a column of %s is out of range",
                           key);
        v[i] = (uint32_t)j;
    }
    *ret = v;
    *ret_n = (uint32_t)n;
    return 0;
}

MR_STEP(mr_compose_columns) {
    const struct mr_pk *list;
    uint32_t width = mr_build_slot_width(c->b, in), k = 0, n_cols, *cols;
    int rc = mr_step_width(c, obj, in, e);
    if (rc == 0)
        rc = step_list(obj, "transformers_", &list, e);
    if (rc)
        return rc;
    uint32_t n = (uint32_t)mr_pk_len(list);
    uint32_t *branch = mr_arena_array(c->arena, n, sizeof *branch);
    if (!branch)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    bool cells = false, mixed = mr_flow_of(obj) != MR_FLOW_REFUSE;
    for (uint32_t i = 0; i < n && rc == 0; i++) {
        const struct mr_pk *item = part(list, i), *step = part(item, 1);
        if (is_text(step, "drop"))
            continue;
        rc = columns(c, obj, part(item, 0), width, &cols, &n_cols, e);
        if (rc)
            break;
        if (n_cols == 0)
            continue;
        branch[k] = mr_step_select(c, in, cols, n_cols);
        if (!does_nothing(step)) {
            if (mixed && mr_flow_of(step) == MR_FLOW_REFUSE &&
                !mr_str_ends(mr_pk_class_short(step), MR_LIT("Vectorizer")))
                branch[k] = mr_step_no_missing(c, branch[k]);
            rc = mr_convert_transform(c, step, branch[k], &branch[k], e);
            /* a text that was filled in must reach the encoder behind */
            cells |= rc == 0 && mr_build_slot_kind(c->b, branch[k]) == MR_SLOT_CELLS &&
                     !mr_str_is(mr_pk_class_short(step), "FunctionTransformer");
        }
        if (rc == 0)
            rc = weigh(c, obj, part(item, 0), &branch[k], e);
        k++;
    }
    return rc ? rc : mr_step_concat(c, branch, k, cells, ret_out, e);
}
