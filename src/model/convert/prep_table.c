#include "model/convert/steps.h"

#define STEP(name, fn)                                                                             \
    { "sklearn", name, fn, NULL }

const struct mr_converter mr_convert_prep[] = {
    STEP("StandardScaler", mr_prep_standard),
    STEP("MinMaxScaler", mr_prep_minmax),
    STEP("MaxAbsScaler", mr_prep_maxabs),
    STEP("RobustScaler", mr_prep_robust),
    STEP("Normalizer", mr_prep_normalizer),
    STEP("Binarizer", mr_prep_binarizer),
    STEP("PolynomialFeatures", mr_prep_poly),
    STEP("KBinsDiscretizer", mr_prep_kbins),
    STEP("QuantileTransformer", mr_prep_quantile),
    STEP("PowerTransformer", mr_prep_power),
    STEP("FunctionTransformer", mr_prep_function),
    STEP("SimpleImputer", mr_prep_imputer),
    STEP("MissingIndicator", mr_prep_indicator),
    STEP("KNNImputer", mr_prep_refused_imputer),
    STEP("IterativeImputer", mr_prep_refused_imputer),
    STEP("OneHotEncoder", mr_prep_onehot),
    STEP("OrdinalEncoder", mr_prep_ordinal),
    STEP("TargetEncoder", mr_prep_target),
    STEP("LabelEncoder", mr_prep_label_encoder),
    STEP("LabelBinarizer", mr_prep_label_binarizer),
    STEP("VarianceThreshold", mr_prep_select),
    STEP("SelectKBest", mr_prep_select),
    STEP("SelectPercentile", mr_prep_select),
    STEP("SelectFpr", mr_prep_select),
    STEP("SelectFdr", mr_prep_select),
    STEP("SelectFwe", mr_prep_select),
    STEP("SelectFromModel", mr_prep_select),
    STEP("SequentialFeatureSelector", mr_prep_select),
    {"sklearn", "RFE", mr_prep_select, mr_compose_rfe},
    {"sklearn", "RFECV", mr_prep_select, mr_compose_rfe},
    {NULL, NULL, NULL, NULL},
};
