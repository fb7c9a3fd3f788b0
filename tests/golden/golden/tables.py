"""Pipelines, unions and column transformers on arrays and on DataFrames."""

import numpy as np
import sklearn
from sklearn import preprocessing as P
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor, make_column_selector, make_column_transformer
from sklearn.decomposition import PCA
from sklearn.ensemble import (GradientBoostingRegressor, HistGradientBoostingClassifier, RandomForestClassifier)
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.feature_selection import SelectKBest
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV, RandomizedSearchCV
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import FeatureUnion, Pipeline, make_pipeline
from sklearn.svm import SVC

from . import data as D
from .store import LINEAR, TREE

VERSION = tuple(int(p) for p in sklearn.__version__.split(".")[:2])
NUM, CAT = ["age", "income", "visits"], ["city", "plan", "colour"]


def build(g):
    pipelines(g)
    columns(g)
    frames(g)
    searches(g)


def pipelines(g):
    iris, cancer, wine = D.iris(), D.cancer(), D.wine()
    LR = LogisticRegression(max_iter=300)
    g.fit("pipe_scaler_lr", make_pipeline(P.StandardScaler(), LR), *cancer, tol=LINEAR)
    g.fit("pipe_named", Pipeline([("scale", P.MinMaxScaler()), ("drop", "passthrough"),
                                  ("model", LogisticRegression(max_iter=300))]), *D.iris_frame(), tol=LINEAR)
    g.fit("pipe_pca_svc", make_pipeline(P.StandardScaler(), PCA(3), SVC()), *wine, n=12)
    g.fit("pipe_poly_ridge", make_pipeline(P.PolynomialFeatures(2), P.StandardScaler(), Ridge()), *iris)
    g.fit("pipe_impute_forest", make_pipeline(SimpleImputer(strategy="median"),
                                              RandomForestClassifier(n_estimators=8, max_depth=4, random_state=0)),
          D.with_missing(wine[0]), wine[1], tol=TREE, missing=True)
    g.fit("pipe_select_knn", make_pipeline(SelectKBest(k=3), P.RobustScaler(), KNeighborsClassifier(3)), *wine, n=12)
    g.fit("pipe_nested", Pipeline([("prep", make_pipeline(SimpleImputer(), P.StandardScaler())), ("none", None),
                                   ("model", LogisticRegression(max_iter=300))])
          if VERSION < (1, 5) else Pipeline([("prep", make_pipeline(SimpleImputer(), P.StandardScaler())),
                                             ("model", LogisticRegression(max_iter=300))]),
          D.with_missing(iris[0]), iris[1], missing=True)
    g.fit("pipe_transform_only", make_pipeline(P.StandardScaler(), PCA(2)), iris[0])
    g.fit("union_transform", FeatureUnion([("pca", PCA(2)), ("scaled", P.StandardScaler())]), iris[0])
    g.fit("union_weights", FeatureUnion([("pca", PCA(1)), ("raw", "passthrough"), ("gone", "drop")],
                                        transformer_weights={"pca": 2.5}), iris[0])
    g.fit("pipe_union_lr", make_pipeline(FeatureUnion([("a", P.StandardScaler()), ("b", P.PolynomialFeatures(2))]),
                                         LogisticRegression(max_iter=500)), *iris)
    g.fit("target_log_ridge", TransformedTargetRegressor(Ridge(), transformer=P.StandardScaler()),
          *D.diabetes_scaled(), n=6, notes="the target is scaled back")
    g.fit("pipe_kbins_lr", make_pipeline(P.KBinsDiscretizer(4, subsample=None), LogisticRegression(max_iter=300)),
          *iris, notes="sparse features inside")


def columns(g):
    X, y = D.wine()
    LR = LogisticRegression(max_iter=500)
    drop = ColumnTransformer([("a", P.StandardScaler(), [0, 3, 5]), ("b", P.MinMaxScaler(), [9])])
    keep = ColumnTransformer([("a", P.StandardScaler(), [12, 0]), ("b", "passthrough", [4]), ("c", "drop", [5])],
                             remainder="passthrough")
    scaled = ColumnTransformer([("a", P.StandardScaler(), slice(0, 4))], remainder=P.MinMaxScaler())
    mask = ColumnTransformer([("a", P.Normalizer(), np.arange(13) % 3 == 0)], remainder="passthrough",
                             transformer_weights={"a": 3.0})
    g.fit("ct_index_drop", drop, X, n=6)
    g.fit("ct_index_passthrough", keep, X, n=6, notes="columns come out in the transformer's order, then the rest")
    g.fit("ct_slice_remainder", scaled, X, n=6, notes="the remainder has its own transformer")
    g.fit("ct_mask_weights", mask, X, n=6)
    g.fit("pipe_ct_index_lr", make_pipeline(sklearn.base.clone(keep), LR), X, y, n=8)


def mixed_prep(**onehot):
    numbers = Pipeline([("impute", SimpleImputer(strategy="median")), ("scale", P.StandardScaler())])
    words = Pipeline([("impute", SimpleImputer(strategy="most_frequent")),
                      ("onehot", P.OneHotEncoder(handle_unknown="ignore", **onehot))])
    return ColumnTransformer([("num", numbers, NUM), ("cat", words, CAT)])


def frames(g):
    X, y = D.mixed()
    rows = D.mixed_frame(D.mixed_inputs())
    full = D.mixed_inputs(missing=False)
    LR = LogisticRegression(max_iter=300)
    g.fit("mixed_lr", Pipeline([("prep", mixed_prep()), ("model", LR)]), X, y, inputs=rows)
    g.fit("mixed_forest", Pipeline([("prep", mixed_prep()), ("model", RandomForestClassifier(
        n_estimators=8, max_depth=5, random_state=0))]), X, y, inputs=rows, tol=TREE)
    g.fit("mixed_drop_first", Pipeline([("prep", mixed_prep(drop="first")), ("model", LogisticRegression())]), X,
          np.array(["no", "yes"])[y], inputs=rows)
    g.fit("mixed_frequency", Pipeline([("prep", ColumnTransformer([
        ("cat", P.OneHotEncoder(min_frequency=9, handle_unknown="infrequent_if_exist"), CAT),
        ("num", SimpleImputer(add_indicator=True), NUM)])), ("model", LogisticRegression(max_iter=2000))]), X, y,
        inputs=rows)
    g.fit("mixed_ordinal_hgb", Pipeline([("prep", ColumnTransformer([("cat", P.OrdinalEncoder(
        handle_unknown="use_encoded_value", unknown_value=np.nan), CAT)], remainder="passthrough")),
        ("model", HistGradientBoostingClassifier(max_iter=10, min_samples_leaf=3, random_state=0,
                                                 categorical_features=[0, 1, 2]))]), X, y, inputs=rows, tol=TREE)
    g.fit("mixed_transform", mixed_prep(), X, inputs=rows)
    g.fit("mixed_passthrough", ColumnTransformer([("cat", P.OneHotEncoder(), ["plan"])], remainder="passthrough",
                                                 verbose_feature_names_out=False, sparse_threshold=0),
          X[["age", "plan", "visits"]].fillna({"plan": "none", "age": 0}),
          inputs=D.mixed_frame([[30, "pro", 2], [0, "none", -1.5]], ["age", "plan", "visits"]))
    selector = make_column_transformer((make_pipeline(SimpleImputer(), P.RobustScaler()),
                                        make_column_selector(dtype_include=np.number)),
                                       (make_pipeline(SimpleImputer(strategy="constant", fill_value="?"),
                                                      P.OneHotEncoder(handle_unknown="ignore")),
                                        make_column_selector(dtype_include=object)))
    g.fit("mixed_selector", make_pipeline(selector, LogisticRegression(max_iter=300)), X, y, inputs=rows,
          notes="columns were chosen by dtype when it was fitted")
    g.fit("mixed_boosting", Pipeline([("prep", mixed_prep(sparse_output=False)), ("model", GradientBoostingRegressor(
        n_estimators=8, max_depth=2, random_state=0))]), X, y * 10.5, inputs=rows, tol=TREE)
    text_column(g, X, y, full)


def text_column(g, X, y, rows):
    """A text column beside numbers: the vectorizer takes one column by its name."""
    frame = X[["visits", "city"]].assign(note=(D.texts()[0] * 2)[:len(X)])
    prep = ColumnTransformer([("text", TfidfVectorizer(max_features=40), "note"),
                              ("num", P.MinMaxScaler(), ["visits"])])
    inputs = D.mixed_frame([[r[4], r[1], t] for r, t in zip(rows, D.text_inputs())], ["visits", "city", "note"])
    g.fit("mixed_text_column", make_pipeline(prep, LogisticRegression()), frame, y, inputs=inputs)


def searches(g):
    X, y = D.iris()
    grid = GridSearchCV(make_pipeline(P.StandardScaler(), LogisticRegression(max_iter=300)),
                        {"logisticregression__C": [0.1, 1.0]}, cv=3)
    g.fit("grid_pipe_lr", grid, X, y, tol=LINEAR, notes="best_estimator_ answers")
    g.fit("grid_forest", GridSearchCV(RandomForestClassifier(n_estimators=5, random_state=0), {"max_depth": [2, 3]},
                                      cv=3), *D.iris_named(), tol=TREE)
    g.fit("random_ridge", RandomizedSearchCV(Ridge(), {"alpha": [0.1, 1.0, 10.0]}, n_iter=2, cv=3, random_state=0),
          X, y, tol=LINEAR, n=8)
