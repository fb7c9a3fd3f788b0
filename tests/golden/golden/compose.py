"""Further steps and compositions: encoders with groups, selectors, functions, missing values on
their way through column transformers, hashing and stop-word options."""

import numpy as np
import sklearn
from sklearn import feature_selection as F
from sklearn import preprocessing as P
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.ensemble import (GradientBoostingClassifier, HistGradientBoostingClassifier, RandomForestClassifier,
                              StackingClassifier, StackingRegressor)
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.feature_extraction.text import CountVectorizer, HashingVectorizer, TfidfTransformer, TfidfVectorizer
from sklearn.impute import MissingIndicator, SimpleImputer
from sklearn.linear_model import Lasso, LinearRegression, LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV, HalvingGridSearchCV
from sklearn.multioutput import RegressorChain
from sklearn.pipeline import FeatureUnion, Pipeline, make_pipeline
from sklearn.svm import LinearSVC
from sklearn.tree import DecisionTreeClassifier

from . import data as D
from .store import LINEAR

VERSION = tuple(int(p) for p in sklearn.__version__.split(".")[:2])
NUM, CAT = ["age", "income", "visits"], ["city", "plan", "colour"]


def build(g):
    encoders(g)
    selectors(g)
    functions(g)
    flows(g)
    metas(g)
    texts(g)


def encoders(g):
    S = D.mixed()[0][CAT].astype(object)
    full = S.fillna("none")
    unseen = D.mixed_frame([[r[1], r[3], r[5]] for r in D.mixed_inputs(missing=False)], CAT).astype(object)
    OHE = P.OneHotEncoder
    g.fit("cx_onehot_groups_drop", OHE(min_frequency=8, handle_unknown="infrequent_if_exist", drop="first"), full,
          inputs=unseen)
    g.fit("cx_onehot_groups_ignore", OHE(max_categories=2, handle_unknown="ignore"), full, inputs=unseen)
    ints = (np.round(D.iris()[0][:, :2]) - 4).astype(int)
    g.fit("cx_onehot_ints", OHE(handle_unknown="ignore"), ints, inputs=np.array([[1, -1], [7, 0], [0, -2]]))
    wide = (np.arange(1200) * 7 % 400).reshape(-1, 2).astype(float)
    g.fit("cx_onehot_wide_lr", make_pipeline(OHE(handle_unknown="ignore"), LogisticRegression(max_iter=50)), wide,
          (wide[:, 0] > 200).astype(int), inputs=np.vstack([wide[:12], [[-1, 3]]]))
    y = D.mixed()[1]
    if VERSION >= (1, 3):
        for name, target in (("binary", y), ("multi", (y + np.arange(len(y)) % 2)), ("numbers", y * 1.5 + 2)):
            if name == "multi" and VERSION < (1, 4):
                continue
            g.fit("cx_target_" + name, P.TargetEncoder(cv=3, random_state=0), full, target, inputs=unseen)


def selectors(g):
    X, y = D.wine()
    fit = lambda name, est, **k: g.fit("cx_" + name, est, X, y, n=4, tol=LINEAR, edges=False, **k)
    fit("select_fpr", F.SelectFpr(alpha=1e-9))
    fit("select_fdr", F.SelectFdr(alpha=1e-12))
    fit("select_fwe", F.SelectFwe(alpha=1e-10))
    fit("select_all", F.SelectKBest(k="all"))
    fit("select_half", F.SelectPercentile(percentile=50))
    lr = lambda: LogisticRegression(max_iter=400, C=0.1)
    S = P.StandardScaler().fit_transform(X)
    fit2 = lambda name, est, **k: g.fit("cx_" + name, est, S, y, n=4, tol=1e-9, edges=False, **k)
    fit2("from_model_mean", F.SelectFromModel(lr()))
    fit2("from_model_median", F.SelectFromModel(lr(), threshold="1.1*median", norm_order=2))
    fit2("from_model_number", F.SelectFromModel(LinearSVC(dual=False, penalty="l1", C=0.01)))
    fit2("from_model_most", F.SelectFromModel(lr(), max_features=3, threshold=-np.inf))
    fit2("from_model_lasso", F.SelectFromModel(Lasso(0.05)))
    forest = RandomForestClassifier(n_estimators=5, max_depth=3, random_state=0)
    fit2("from_model_forest", make_pipeline(F.SelectFromModel(forest, threshold="median"), lr()))
    fit2("from_model_tree", F.SelectFromModel(DecisionTreeClassifier(max_depth=4, random_state=0)))
    fit2("from_model_boosting", F.SelectFromModel(GradientBoostingClassifier(n_estimators=3, max_depth=2,
                                                                             random_state=0)))
    fit2("rfe", F.RFE(lr(), n_features_to_select=4))
    fit2("rfecv_pipe", make_pipeline(F.RFECV(lr(), min_features_to_select=2, cv=3), lr()))


def functions(g):
    X, y = D.iris()
    for f in (np.log1p, np.log, np.exp, np.sqrt, np.abs, np.square, np.cbrt, np.log2, np.tanh):
        g.fit("cx_function_" + f.__name__, P.FunctionTransformer(f), X, n=4, tol=LINEAR, edges=False,
              inputs=X[::40])
    g.fit("cx_function_none", P.FunctionTransformer(), X, n=4, tol=LINEAR)
    g.fit("cx_function_pipe", make_pipeline(P.FunctionTransformer(np.log1p), P.StandardScaler(), LinearRegression()),
          X, y, inputs=X[::25])
    diab = D.diabetes_scaled()
    target = np.abs(diab[1]) + 1
    g.fit("cx_target_log", TransformedTargetRegressor(Ridge(), func=np.log1p, inverse_func=np.expm1), diab[0], target,
          n=6)
    g.fit("cx_target_minmax", TransformedTargetRegressor(LinearRegression(), transformer=P.MinMaxScaler((1, 3))),
          diab[0], target, n=6)
    g.fit("cx_target_robust", TransformedTargetRegressor(Ridge(), transformer=P.RobustScaler()), diab[0], target, n=6)
    g.fit("cx_label_binarizer", P.LabelBinarizer(neg_label=-1), D.iris_named()[1],
          inputs=["setosa", "virginica", "other"]) if g.wanted("cx_label_binarizer") else None


def flows(g):
    """A missing value in one column and none in another."""
    X, y = D.mixed()
    rows = D.mixed_frame(D.mixed_inputs())
    words = Pipeline([("fill", SimpleImputer(strategy="constant", fill_value="?")),
                      ("code", P.OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1))])
    prep = ColumnTransformer([("words", words, CAT), ("gaps", MissingIndicator(features="all"), NUM),
                              ("num", SimpleImputer(strategy="mean"), NUM)], remainder="drop")
    g.fit("cx_flow_clean", Pipeline([("prep", prep), ("scale", P.MinMaxScaler()), ("m", LogisticRegression())]), X, y,
          inputs=rows)
    part = ColumnTransformer([("words", P.OneHotEncoder(handle_unknown="ignore"), CAT)], remainder="passthrough",
                             sparse_threshold=0)
    g.fit("cx_flow_part_hgb", Pipeline([("prep", part), ("m", HistGradientBoostingClassifier(
        max_iter=8, min_samples_leaf=3, random_state=0))]), X, y, inputs=rows)
    late = ColumnTransformer([("words", SimpleImputer(strategy="most_frequent"), CAT),
                              ("num", SimpleImputer(), NUM)])
    g.fit("cx_flow_two_stage", Pipeline([("fill", late), ("code", ColumnTransformer(
        [("cat", P.OneHotEncoder(handle_unknown="ignore"), [0, 1, 2])], remainder=P.StandardScaler(),
        sparse_threshold=0)), ("m", LogisticRegression())]), X, y, inputs=rows)
    g.fit("cx_union_missing", make_pipeline(FeatureUnion([("num", SimpleImputer()), ("gap", MissingIndicator())]),
                                            RandomForestClassifier(4, max_depth=3, random_state=0)),
          D.with_missing(D.iris()[0]), D.iris()[1], missing=True)
    sentinel = D.mixed()[0][CAT].fillna("?").astype(object)
    asked = D.mixed_frame([[r[1] or "?", r[3] or "?", r[5] or "?"] for r in D.mixed_inputs()], CAT).astype(object)
    asked = asked.where(asked.notna(), "?")
    g.fit("cx_flow_sentinel", make_pipeline(SimpleImputer(missing_values="?", strategy="most_frequent",
                                                          add_indicator=False),
                                            P.OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)),
          sentinel, inputs=asked)


def metas(g):
    X, y = D.iris()
    named = D.iris_named()
    lr = lambda: LogisticRegression(max_iter=300)
    g.fit("cx_stack_decision", StackingClassifier([("svc", LinearSVC(dual=False)), ("lr", lr())], lr(), cv=3,
                                                  stack_method="decision_function"), *named)
    g.fit("cx_stack_predict", StackingClassifier([("tree", DecisionTreeClassifier(max_depth=2)), ("lr", lr())], lr(),
                                                 cv=3, stack_method="predict"), X, y)
    g.fit("cx_stack_reg_through", StackingRegressor([("a", Ridge()), ("b", "drop"), ("c", Lasso(0.1))], Ridge(), cv=3,
                                                    passthrough=True), *D.diabetes_scaled(), n=6)
    g.fit("cx_chain_reg", RegressorChain(Ridge(), order=[2, 0, 1]), *D.linnerud(), n=6)
    g.fit("cx_halving", HalvingGridSearchCV(lr(), {"C": [0.1, 1]}, cv=3, random_state=0), X, y, n=6)
    g.fit("cx_search_transform", GridSearchCV(make_pipeline(P.StandardScaler(), lr()),
                                              {"logisticregression__C": [0.5, 2]}, cv=3), X, y, n=6)
    g.fit("cx_rfe_predict", F.RFE(lr(), n_features_to_select=2), X, y, n=6)


def texts(g):
    docs, y = D.texts()
    asked = D.text_inputs()
    fit = lambda name, est: g.fit("cx_text_" + name, est, docs, y, inputs=asked)
    lr = lambda: LogisticRegression(max_iter=100)
    fit("pattern", make_pipeline(CountVectorizer(token_pattern=r"[a-zA-Z]+", stop_words=["the", "a"]), lr()))
    fit("union", make_pipeline(FeatureUnion([("w", TfidfVectorizer(max_features=40)),
                                             ("c", TfidfVectorizer(analyzer="char", ngram_range=(2, 2),
                                                                   max_features=40))],
                                            transformer_weights={"c": 0.5}), lr()))
    fit("tfidf_maxabs", make_pipeline(CountVectorizer(), TfidfTransformer(norm=None, sublinear_tf=True),
                                      P.MaxAbsScaler(), lr()))
    fit("tfidf_normalizer", make_pipeline(CountVectorizer(binary=True), P.Normalizer("l1"), lr()))
    fit("scaler_sparse", make_pipeline(TfidfVectorizer(), P.StandardScaler(with_mean=False), lr()))
    fit("select", make_pipeline(TfidfVectorizer(), F.SelectKBest(F.chi2, k=15), lr()))
    fit("hash_tfidf", make_pipeline(HashingVectorizer(n_features=256, norm=None, alternate_sign=False),
                                    TfidfTransformer(), lr()))
    fit("hash_max", make_pipeline(HashingVectorizer(n_features=128, norm="l1", ngram_range=(1, 2), stop_words="english"), lr()))
