"""What the older environments leave out, so that the whole directory stays small.

Bagging, stacking, chains and one-vs-one are in the newest alone. Every other family
remains in every environment (sk13 has no XGBoost and LightGBM, only the newest has ONNX);
what is left out are further options of a family.
"""

import re

_PATTERNS = [
    r"rf100_iris|rf_(balanced|nobootstrap|cancer|oob|poisson_diab)|dt_(deep_diab|float_labels|offset_labels)",
    r"et_(digits|diab)|iforest_(contamination|features)|gb_iris_strings|hgb_(cancer|wine_strings)|lr_digits",
    r"svc_digits|.*_proba_digits|nusvr_.*|svr_diab_(poly|sigmoid)|svc_cancer_(poly|sigmoid|linear)",
    r"knn_(digits|manhattan.*|p3.*|chebyshev|.*_brute)|mlp_(strings|lbfgs)|mlp_diab_(?!relu).*",
    r"text_count_(?!mnb$|min_df$|char_wb$|tfidf).*|text_tfidf_(?!lr$|svc$|sublinear$).*",
    r"text_(hash_(char|raw|lr)|union_lr|char_lr)|kbins_onehot_dense.*|poly_(range.*|no_bias)",
    r"bagging.*|stacking.*|ovo_svc|chain|calibrated_isotonic",
    r"xgb_(cancer_(exact|logitraw|hinge|linear.*|base)|iris_(softmax|linear|frame)|rf_cancer|.*_ubj)",
    r"xgb_(diab_(?!missing).*|wine.*|categorical_onehot.*|booster_(reg|rank)|linnerud)",
    r"lgb_(zero_missing.*|no_missing|cancer_dart|iris_(ova|frame|rf)|labels|unbalance|one_leaf.*)",
    r"lgb_(diab_(?!missing|poisson$|txt).*|linear_tree.*|booster_reg|categorical_clf|iris_strings)",
    r"lda_cancer|qda_cancer|kmeans_wine|svd_arpack|voting_reg|hgb_(monotonic|diab_lad|diab_quantile)|power_boxcox",
    r"svc_(poly_degree|weighted|iris_linear|iris_sigmoid)|nusvc_proba_iris",
    r"knn_(diab_distance|one|iris_distance_ball_tree)",
    r"text_(count_tfidf_lr|tfidf_sgd|count_tfidf|hash_unsigned)|ada_strings.*|et1_.*|gb_cancer_subsample|pca_share",
    r"xgb_(iris_forest_step|cancer_marker)|lgb_cancer_missing_txt|sgd_.*_cancer|lrcv_cancer|multi_clf",
]
_LEFT_OUT = re.compile("|".join(_PATTERNS))
OLD_FORMATS = (".p2.pkl", ".p4.pkl", ".joblib", ".joblib.z")


def left_out(tag, name):
    return tag != "new" and _LEFT_OUT.fullmatch(name) is not None


def wanted_format(tag, file):
    return tag == "new" or file.endswith(OLD_FORMATS)
