"""Transformers of numbers and of string columns, each alone."""

import numpy as np
import sklearn
from sklearn import preprocessing as P
from sklearn.feature_selection import SelectKBest, SelectPercentile, VarianceThreshold, f_classif
from sklearn.impute import MissingIndicator, SimpleImputer

from . import data as D
from .store import LINEAR

VERSION = tuple(int(p) for p in sklearn.__version__.split(".")[:2])


def build(g):
    scalers(g)
    functions(g)
    imputers(g)
    encoders(g)
    selection(g)


def scalers(g):
    X, y = D.wine()
    Xm = D.with_missing(X)
    fit = lambda name, est, **k: g.fit(name, est, X, tol=LINEAR, n=8, **k)
    fit("standard", P.StandardScaler())
    fit("standard_mean", P.StandardScaler(with_std=False))
    fit("standard_std", P.StandardScaler(with_mean=False))
    g.fit("standard_missing", P.StandardScaler(), Xm, tol=LINEAR, n=8, missing=True)
    g.fit("standard_frame", P.StandardScaler(), D.iris_frame()[0], tol=LINEAR, n=8)
    const = X.copy()
    const[:, 2] = 3.0
    g.fit("standard_constant", P.StandardScaler(), const, tol=LINEAR, n=8, notes="a column without variance")
    fit("minmax", P.MinMaxScaler())
    fit("minmax_range_clip", P.MinMaxScaler((-1, 2), clip=True))
    g.fit("minmax_missing", P.MinMaxScaler(), Xm, tol=LINEAR, n=8, missing=True)
    fit("maxabs", P.MaxAbsScaler())
    fit("robust", P.RobustScaler())
    fit("robust_options", P.RobustScaler(with_centering=False, quantile_range=(10, 90), unit_variance=True))
    fit("robust_center", P.RobustScaler(with_scaling=False))
    for norm in ("l1", "l2", "max"):
        fit("normalizer_" + norm, P.Normalizer(norm))
    fit("binarizer", P.Binarizer(threshold=2.0))
    g.fit("quantile_uniform", P.QuantileTransformer(n_quantiles=20, random_state=0), X, n=8)
    g.fit("quantile_normal", P.QuantileTransformer(n_quantiles=20, output_distribution="normal", random_state=0), X,
          n=8)
    g.fit("power_yeojohnson", P.PowerTransformer(), X, n=8)
    g.fit("power_boxcox", P.PowerTransformer(method="box-cox", standardize=False), X, n=8, edges=False)


def functions(g):
    X, _ = D.iris()
    fit = lambda name, est, **k: g.fit(name, est, X, tol=LINEAR, n=6, **k)
    fit("poly2", P.PolynomialFeatures(2))
    fit("poly3", P.PolynomialFeatures(3))
    fit("poly_interaction", P.PolynomialFeatures(3, interaction_only=True))
    fit("poly_no_bias", P.PolynomialFeatures(2, include_bias=False))
    fit("poly_range", P.PolynomialFeatures((2, 3), include_bias=False))
    fit("poly_range_interaction", P.PolynomialFeatures((2, 3), interaction_only=True))
    for encode in ("onehot", "onehot-dense", "ordinal"):
        for strategy in ("uniform", "quantile"):
            est = P.KBinsDiscretizer(4, encode=encode, strategy=strategy, **subsample_none())
            fit(f"kbins_{encode.replace('-', '_')}_{strategy}", est)
    est = P.KBinsDiscretizer(3, encode="ordinal", strategy="kmeans", **subsample_none())
    fit("kbins_kmeans", est)
    fit("spline", P.SplineTransformer(n_knots=4, degree=3))


def subsample_none():
    return {"subsample": None}


def imputers(g):
    X, _ = D.iris()
    Xm = D.with_missing(X)
    fit = lambda name, est, **k: g.fit(name, est, k.pop("X", Xm), tol=LINEAR, n=8, missing=True, **k)
    for strategy in ("mean", "median", "most_frequent"):
        fit("imputer_" + strategy, SimpleImputer(strategy=strategy))
    fit("imputer_constant", SimpleImputer(strategy="constant", fill_value=-1.5))
    fit("imputer_constant_default", SimpleImputer(strategy="constant"))
    fit("imputer_indicator", SimpleImputer(add_indicator=True))
    empty = Xm.copy()
    empty[:, 1] = np.nan
    fit("imputer_empty_column", SimpleImputer(), X=empty, notes="a column without values is dropped")
    fit("imputer_keep_empty", SimpleImputer(keep_empty_features=True), X=empty)
    zeros = np.round(X)
    zeros[::9] = 0
    fit("imputer_marker", SimpleImputer(missing_values=0, strategy="mean"), X=zeros, inputs=zeros[::12])
    fit("missing_indicator", MissingIndicator())
    cols = ["city", "plan", "colour"]
    S = D.mixed()[0][cols].astype(object)
    rows = D.mixed_frame([[r[1], r[3], r[5]] for r in D.mixed_inputs()], cols).astype(object)
    g.fit("imputer_strings", SimpleImputer(strategy="most_frequent"), S, inputs=rows)
    g.fit("imputer_strings_constant", SimpleImputer(strategy="constant", fill_value="none"), S, inputs=rows)


def encoders(g):
    cols = ["city", "plan", "colour"]
    S = D.mixed()[0][cols].astype(object)
    full = S.fillna("none")
    known = D.mixed_frame([["Graz", "plus", "red"], ["Salzburg", "none", "none"], ["Wien", "pro", "blue"]], cols)
    every = D.mixed_frame([[r[1], r[3], r[5]] for r in D.mixed_inputs()], cols).astype(object)
    unseen = D.mixed_frame([[r[1], r[3], r[5]] for r in D.mixed_inputs(missing=False)], cols).astype(object)
    OHE, ORD = P.OneHotEncoder, P.OrdinalEncoder
    g.fit("onehot", OHE(), full, inputs=known)
    g.fit("onehot_dense", OHE(sparse_output=False), full.values, inputs=known.values)
    g.fit("onehot_ignore", OHE(handle_unknown="ignore"), full, inputs=unseen)
    g.fit("onehot_missing", OHE(handle_unknown="ignore"), S, inputs=every, notes="missing is a category")
    g.fit("onehot_drop_first", OHE(drop="first"), full, inputs=known)
    g.fit("onehot_drop_binary", OHE(drop="if_binary", handle_unknown="ignore"), full.assign(plan=full.plan == "pro"),
          inputs=D.mixed_frame([["Graz", True, "red"], ["Paris", False, "none"]], cols))
    g.fit("onehot_drop_values", OHE(drop=["Graz", "pro", "red"], handle_unknown="ignore"), full, inputs=unseen)
    g.fit("onehot_min_frequency", OHE(min_frequency=8, handle_unknown="infrequent_if_exist"), full, inputs=unseen)
    g.fit("onehot_max_categories", OHE(max_categories=3, handle_unknown="infrequent_if_exist"), S, inputs=every)
    g.fit("onehot_categories", OHE(categories=[["Wien", "Graz", "Linz", "Bern"], ["pro", "plus"], ["red", "blue"]],
                                   handle_unknown="ignore"), full, inputs=unseen)
    ints = (np.round(D.iris()[0][:, :2]) - 4).astype(float)
    seen = np.array([[1.0, -1.0], [2.0, 0.0], [0.0, -2.0]])
    more = np.vstack([seen, [[9.0, 0.0], [0.5, -1.0], [-0.0, 0.0]]])
    g.fit("onehot_numbers", OHE(handle_unknown="ignore"), ints, inputs=more)
    g.fit("onehot_numbers_nan", OHE(handle_unknown="ignore"), np.where(ints == 1, np.nan, ints),
          inputs=np.vstack([more, [[np.nan, np.nan]]]))
    g.fit("ordinal", ORD(), full, inputs=known)
    g.fit("ordinal_unknown", ORD(handle_unknown="use_encoded_value", unknown_value=-1), full, inputs=unseen)
    g.fit("ordinal_missing", ORD(handle_unknown="use_encoded_value", unknown_value=-1, encoded_missing_value=-2), S,
          inputs=every)
    g.fit("ordinal_nan", ORD(handle_unknown="use_encoded_value", unknown_value=np.nan), S, inputs=every)
    g.fit("ordinal_numbers", ORD(), ints, inputs=seen)
    if VERSION >= (1, 3):
        g.fit("ordinal_infrequent", ORD(min_frequency=8, handle_unknown="use_encoded_value", unknown_value=-1), full,
              inputs=unseen)
    labels(g)


def labels(g):
    named = D.iris_named()[1]
    if g.wanted("label_encoder"):
        est = P.LabelEncoder().fit(named)
        words = ["setosa", "virginica", "versicolor", "setosa"]
        g.write("label_encoder", est, words, LINEAR, "one column of labels in, codes out", transform=True)


def selection(g):
    X, y = D.wine()
    g.fit("variance_threshold", VarianceThreshold(0.2), X, n=6, tol=LINEAR)
    g.fit("select_k_best", SelectKBest(f_classif, k=4), X, y, n=6, tol=LINEAR)
    g.fit("select_percentile", SelectPercentile(percentile=40), X, y, n=6, tol=LINEAR)
