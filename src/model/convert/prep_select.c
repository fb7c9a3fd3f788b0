/* sklearn.feature_selection: transformers that keep some columns. */
#include "base/num.h"
#include "model/convert/importances.h"
#include "model/convert/steps.h"

#include <math.h>
#include <stdlib.h>

struct ranked {
    double score;
    uint32_t col;
};

/* numpy's stable argsort: ties stay in column order. */
static int by_score(const void *a, const void *b) {
    const struct ranked *x = a, *y = b;
    if (x->score != y->score)
        return x->score < y->score ? -1 : 1;
    return (x->col > y->col) - (x->col < y->col);
}

static struct ranked *ranked(struct mr_convert *c, const double *v, uint32_t n) {
    struct ranked *r = mr_arena_array(c->arena, (size_t)n + 1, sizeof *r);
    for (uint32_t j = 0; r && j < n; j++)
        r[j] = (struct ranked){isnan(v[j]) ? -INFINITY : v[j], j};
    if (r)
        qsort(r, n, sizeof *r, by_score);
    return r;
}

/* SelectKBest: the k highest scores, of equal ones the later columns. */
static int k_best(struct mr_convert *c, const struct mr_pk *obj, const double *score, uint32_t n,
                  bool *keep, struct mr_err *e) {
    int64_t k = n;
    if (!mr_step_is(obj, "k", "all") && !mr_pk_int(mr_pk_attr(obj, "k"), &k))
        return mr_fail(e, MR_EREFUSED, "SelectKBest: k is not a number");
    struct ranked *r = ranked(c, score, n);
    if (!r)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    for (uint32_t i = 0; i < n; i++)
        keep[r[n - 1 - i].col] = i < k;
    return 0;
}

static int percentile(struct mr_convert *c, const struct mr_pk *obj, const double *score,
                      uint32_t n, bool *keep, struct mr_err *e) {
    double pct;
    if (!mr_pk_num(mr_pk_attr(obj, "percentile"), &pct) || !(pct >= 0 && pct <= 100))
        return mr_fail(e, MR_EREFUSED, "SelectPercentile: percentile is out of range");
    struct ranked *r = ranked(c, score, n);
    if (!r)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    /* numpy.percentile, linear interpolation */
    double at = (100 - pct) / 100 * (n - 1), lo = floor(at), part = at - lo;
    size_t i = (size_t)lo, k = i + 1 < n ? i + 1 : i;
    double a = r[i].score, b = r[k].score, d = b - a;
    double limit = pct == 100   ? -INFINITY
                   : part == 0  ? a
                   : part < 0.5 ? a + d * part
                                : b - d * (1 - part);
    uint32_t kept = 0, most = (uint32_t)(n * pct / 100);
    for (uint32_t j = 0; j < n; j++) {
        double s = isnan(score[j]) ? -INFINITY : score[j];
        keep[j] = pct != 0 && (pct == 100 || s > limit);
        kept += keep[j];
    }
    for (uint32_t j = 0; j < n && pct != 0 && pct != 100 && kept < most; j++)
        if (!keep[j] && score[j] == limit) {
            keep[j] = true;
            kept++;
        }
    return 0;
}

/* SelectFpr, SelectFdr, SelectFwe: by p-values. */
static int p_values(struct mr_convert *c, const struct mr_pk *obj, struct mr_str cls,
                    const double *p, uint32_t n, bool *keep, struct mr_err *e) {
    double alpha, limit = -1;
    if (!mr_pk_num(mr_pk_attr(obj, "alpha"), &alpha))
        return mr_fail(e, MR_EREFUSED, "a feature selector has no alpha");
    if (mr_str_is(cls, "SelectFdr")) {
        struct ranked *r = ranked(c, p, n);
        if (!r)
            return mr_fail(e, MR_ENOMEM, "out of memory");
        for (uint32_t i = 0; i < n; i++)
            if (r[i].score <= alpha / n * (i + 1))
                limit = r[i].score;
        for (uint32_t j = 0; j < n; j++)
            keep[j] = p[j] <= limit;
        return 0;
    }
    limit = mr_str_is(cls, "SelectFwe") ? alpha / n : alpha;
    for (uint32_t j = 0; j < n; j++)
        keep[j] = p[j] < limit;
    return 0;
}

/* support_ (RFE, SequentialFeatureSelector) as it stands. */
static int support(struct mr_convert *c, const struct mr_pk *obj, uint32_t n, bool *keep,
                   struct mr_err *e) {
    const double *v;
    int rc = mr_step_f64(c, obj, "support_", n, &v, e);
    for (uint32_t j = 0; j < n && rc == 0; j++)
        keep[j] = v[j] != 0;
    return rc;
}

static int mask(struct mr_convert *c, const struct mr_pk *obj, uint32_t n, bool *keep,
                struct mr_err *e) {
    struct mr_str cls = mr_pk_class_short(obj);
    const double *v;
    if (mr_pk_attr(obj, "support_"))
        return support(c, obj, n, keep, e);
    if (mr_str_is(cls, "VarianceThreshold")) {
        double t = 0;
        int rc = mr_step_f64(c, obj, "variances_", n, &v, e);
        mr_pk_num(mr_pk_attr(obj, "threshold"), &t);
        for (uint32_t j = 0; j < n && rc == 0; j++)
            keep[j] = v[j] > t;
        return rc;
    }
    bool scores = mr_str_is(cls, "SelectKBest") || mr_str_is(cls, "SelectPercentile");
    if (!scores && !mr_str_is(cls, "SelectFpr") && !mr_str_is(cls, "SelectFdr") &&
        !mr_str_is(cls, "SelectFwe"))
        return mr_step_refuse(obj, e,
                              "decides its columns anew at every prediction from its inner model; "
                              "keep the chosen columns with a ColumnTransformer or SelectKBest");
    int rc = mr_step_f64(c, obj, scores ? "scores_" : "pvalues_", n, &v, e);
    if (rc)
        return rc;
    if (mr_str_is(cls, "SelectKBest"))
        return k_best(c, obj, v, n, keep, e);
    return scores ? percentile(c, obj, v, n, keep, e) : p_values(c, obj, cls, v, n, keep, e);
}

/* Importances of SelectFromModel's estimator: |coef_| (its norm over classes), else
 * feature_importances_. */
static int importances(struct mr_convert *c, const struct mr_pk *obj, const struct mr_pk *est,
                       uint32_t n, const double **ret, struct mr_err *e) {
    const struct mr_pk *coef = mr_pk_attr(est, "coef_");
    if (!mr_step_is(obj, "importance_getter", "auto") && !mr_step_none(obj, "importance_getter"))
        return mr_step_refuse(obj, e, "has its own importance_getter");
    if (!coef) {
        int r = mr_importances(c, est, n, ret, e);
        if (r != MR_EUNSUPPORTED)
            return r;
        return mr_step_refuse(obj, e,
                              "asks its inner model for importances that are not in the file; "
                              "use a linear or tree model inside, or SelectKBest");
    }
    const double *v;
    size_t rows, cols;
    int rc = mr_pk_f64(c->arena, coef, &v, &rows, &cols, e);
    if (rc)
        return rc;
    if (cols == 1 && rows == n && rows != 1) {
        cols = n; /* one row of coefficients */
        rows = 1;
    }
    double order = 1, *sum = mr_arena_zalloc(c->arena, ((size_t)n + 1) * sizeof *sum);
    if (!sum)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    mr_pk_num(mr_pk_attr(obj, "norm_order"), &order);
    if (cols != n || (rows > 1 && order != 1 && order != 2))
        return mr_step_refuse(obj, e, "has an inner model of another shape");
    for (size_t i = 0; i < rows; i++)
        for (uint32_t j = 0; j < n; j++)
            sum[j] += order == 2 && rows > 1 ? v[i * n + j] * v[i * n + j] : fabs(v[i * n + j]);
    for (uint32_t j = 0; j < n && order == 2 && rows > 1; j++)
        sum[j] = sqrt(sum[j]);
    *ret = sum;
    return 0;
}

/* An inner model whose L1 penalty makes exact zeros: "chosen" then means "not zero". */
static bool sparse_by_l1(const struct mr_pk *est) {
    struct mr_str cls = mr_pk_class_short(est);
    double ratio;
    if (mr_step_is(est, "penalty", "l1") || memmem(cls.p ? cls.p : "", cls.n, "Lasso", 5))
        return true;
    if (!mr_str_starts(cls, MR_LIT("ElasticNet")) &&
        !mr_str_starts(cls, MR_LIT("LogisticRegression")))
        return false;
    return (mr_pk_num(mr_pk_attr(est, "l1_ratio_"), &ratio) ||
            mr_pk_num(mr_pk_attr(est, "l1_ratio"), &ratio)) &&
           fabs(ratio - 1) < 1e-8;
}

/* "mean", "1.25*median", a number, or None. */
static int threshold(struct mr_convert *c, const struct mr_pk *obj, const struct mr_pk *est,
                     const double *imp, uint32_t n, double *ret, struct mr_err *e) {
    const struct mr_pk *t = mr_pk_attr(obj, "threshold");
    struct mr_str s = MR_LIT("mean");
    double scale = 1, sum = 0;
    if (!t || t->type == MR_PK_NONE) {
        if (sparse_by_l1(est)) {
            *ret = 1e-5;
            return 0;
        }
    } else if (mr_pk_num(t, ret)) {
        return 0;
    } else if (!mr_pk_str(t, &s)) {
        return mr_step_refuse(obj, e, "has an unknown threshold");
    }
    struct mr_str rest = s, first = mr_str_cut(&rest, '*');
    if (rest.p) {
        if (!mr_f64_parse(mr_str_trim(first), &scale))
            return mr_step_refuse(obj, e, "has an unknown threshold");
        s = mr_str_trim(rest);
    }
    if (mr_str_is(s, "mean")) {
        for (uint32_t j = 0; j < n; j++)
            sum += imp[j];
        *ret = scale * (sum / n);
        return 0;
    }
    if (!mr_str_is(s, "median"))
        return mr_step_refuse(obj, e, "has an unknown threshold");
    struct ranked *r = ranked(c, imp, n);
    if (!r)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    *ret = scale * (n % 2 ? r[n / 2].score : (r[n / 2 - 1].score + r[n / 2].score) / 2);
    return 0;
}

static int from_model(struct mr_convert *c, const struct mr_pk *obj, uint32_t n, bool *keep,
                      struct mr_err *e) {
    const struct mr_pk *est = mr_pk_attr(obj, "estimator_");
    if (!est || est->type != MR_PK_OBJ)
        est = mr_pk_attr(obj, "estimator");
    const double *imp;
    double t = 0;
    int rc = importances(c, obj, est, n, &imp, e);
    if (rc == 0)
        rc = threshold(c, obj, est, imp, n, &t, e);
    if (rc)
        return rc;
    int64_t most = n;
    if (!mr_step_none(obj, "max_features") && !mr_pk_int(mr_pk_attr(obj, "max_features_"), &most) &&
        !mr_pk_int(mr_pk_attr(obj, "max_features"), &most))
        return mr_step_refuse(obj, e, "has a computed max_features");
    for (uint32_t j = 0; j < n; j++)
        keep[j] = imp[j] >= t;
    if (most < n) { /* the highest first, of equal ones the earlier columns */
        double *neg = mr_arena_array(c->arena, (size_t)n + 1, sizeof *neg);
        if (!neg)
            return mr_fail(e, MR_ENOMEM, "out of memory");
        for (uint32_t j = 0; j < n; j++)
            neg[j] = -imp[j];
        struct ranked *r = ranked(c, neg, n);
        for (uint32_t i = 0; r && i < n; i++)
            if (i >= most)
                keep[r[i].col] = false;
    }
    return 0;
}

MR_STEP(mr_prep_select) {
    uint32_t n = mr_build_slot_width(c->b, in), n_keep = 0;
    int rc = mr_step_width(c, obj, in, e);
    if (rc)
        return rc;
    bool *keep = mr_arena_zalloc(c->arena, (size_t)n + 1);
    uint32_t *cols = mr_arena_array(c->arena, (size_t)n + 1, sizeof *cols);
    if (!keep || !cols)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    rc = mr_str_is(mr_pk_class_short(obj), "SelectFromModel") ? from_model(c, obj, n, keep, e)
                                                              : mask(c, obj, n, keep, e);
    if (rc)
        return rc;
    for (uint32_t j = 0; j < n; j++)
        if (keep[j])
            cols[n_keep++] = j;
    if (n_keep == 0)
        return mr_step_refuse(obj, e, "keeps no column");
    *ret_out = mr_step_select(c, mr_convert_dense(c, in), cols, n_keep);
    return 0;
}
