"""Decision trees, forests, boosting."""

import numpy as np
import sklearn
from sklearn.ensemble import (AdaBoostClassifier, AdaBoostRegressor, ExtraTreesClassifier,
                              ExtraTreesRegressor, GradientBoostingClassifier,
                              GradientBoostingRegressor, HistGradientBoostingClassifier,
                              HistGradientBoostingRegressor, IsolationForest,
                              RandomForestClassifier, RandomForestRegressor)
from sklearn.linear_model import LinearRegression
from sklearn.tree import (DecisionTreeClassifier, DecisionTreeRegressor, ExtraTreeClassifier,
                          ExtraTreeRegressor)

from . import data as D
from .store import OTHER, TREE

VERSION = tuple(int(p) for p in sklearn.__version__.split(".")[:2])


def build(g):
    single_trees(g)
    forests(g)
    multi_output(g)
    gradient_boosting(g)
    hist_boosting(g)
    ada(g)
    isolation(g)


def single_trees(g):
    X, y = D.iris()
    g.fit("dt_iris", DecisionTreeClassifier(random_state=0), X, y, tol=TREE)
    g.fit("dt_iris_entropy", DecisionTreeClassifier(criterion="entropy", max_depth=3, random_state=0), X, y,
          tol=TREE, notes="impure leaves")
    g.fit("dt_iris_weighted", DecisionTreeClassifier(max_depth=2, class_weight={0: 1.0, 1: 2.5, 2: 0.3},
                                                     random_state=0), X, y, tol=TREE)
    g.fit("dt_iris_strings", DecisionTreeClassifier(max_depth=3, random_state=0), *D.iris_named(), tol=TREE)
    g.fit("dt_iris_frame", DecisionTreeClassifier(max_depth=3, random_state=0), *D.iris_frame(), tol=TREE,
          notes="feature_names_in_")
    g.fit("dt_bool", DecisionTreeClassifier(max_depth=3, random_state=0), X, y == 1, tol=TREE,
          notes="boolean classes")
    g.fit("dt_offset_labels", DecisionTreeClassifier(max_depth=3, random_state=0), X, y * 10 - 5, tol=TREE)
    g.fit("dt_float_labels", DecisionTreeClassifier(max_depth=3, random_state=0), X, y.astype(float), tol=TREE)
    g.fit("dt_one_leaf", DecisionTreeClassifier(max_depth=1, min_samples_leaf=200, random_state=0), X, y,
          tol=TREE, notes="a tree of one leaf")
    Xd, yd = D.diabetes()
    g.fit("dt_deep_diab", DecisionTreeRegressor(random_state=0), Xd[:150], yd[:150], tol=TREE)
    g.fit("dt_mae_diab", DecisionTreeRegressor(criterion="absolute_error", max_depth=4, random_state=0),
          *D.diabetes(), tol=TREE)
    g.fit("et1_iris", ExtraTreeClassifier(max_depth=4, random_state=0), X, y, tol=TREE)
    g.fit("et1_diab", ExtraTreeRegressor(max_depth=4, random_state=0), *D.diabetes(), tol=TREE)
    if VERSION >= (1, 3):
        g.fit("dt_wine_missing", DecisionTreeClassifier(max_depth=5, random_state=0), D.with_missing(D.wine()[0]),
              D.wine()[1], tol=TREE, missing=True)
        g.fit("dt_diab_missing", DecisionTreeRegressor(max_depth=5, random_state=0),
              D.with_missing(D.diabetes()[0]), D.diabetes()[1], tol=TREE, missing=True)


def forests(g):
    X, y = D.iris()
    if g.tag in ("new", "sk12"):
        g.fit("rf100_iris", RandomForestClassifier(n_estimators=100, random_state=42), X, y, tol=TREE)
    g.fit("rf_wine", RandomForestClassifier(n_estimators=12, random_state=0), *D.wine(), tol=TREE)
    g.fit("rf_cancer", RandomForestClassifier(n_estimators=8, max_depth=5, random_state=0), *D.cancer(), tol=TREE)
    g.fit("rf_digits", RandomForestClassifier(n_estimators=4, max_depth=4, random_state=0), *D.digits(200),
          tol=TREE, n=12)
    g.fit("rf_balanced", RandomForestClassifier(n_estimators=10, max_depth=3, random_state=0,
                                                class_weight="balanced_subsample"), X[20:], y[20:], tol=TREE)
    g.fit("rf_strings_frame", RandomForestClassifier(n_estimators=5, random_state=0), D.iris_frame()[0],
          D.iris_named()[1], tol=TREE)
    g.fit("rf_nobootstrap", RandomForestClassifier(n_estimators=5, bootstrap=False, oob_score=False,
                                                   random_state=0), X, y, tol=TREE)
    g.fit("rf_oob", RandomForestClassifier(n_estimators=8, oob_score=True, max_depth=3, random_state=0), X, y,
          tol=TREE, notes="carries oob_decision_function_")
    g.fit("rf_diab", RandomForestRegressor(n_estimators=8, max_depth=4, random_state=0), *D.diabetes(), tol=TREE)
    g.fit("rf_poisson_diab", RandomForestRegressor(n_estimators=5, max_depth=4, criterion="poisson", random_state=0),
          *D.diabetes(), tol=TREE)
    g.fit("et_iris", ExtraTreesClassifier(n_estimators=12, max_depth=5, random_state=0), X, y, tol=TREE)
    g.fit("et_digits", ExtraTreesClassifier(n_estimators=4, max_depth=4, random_state=0), *D.digits(200), tol=TREE, n=12)
    g.fit("et_diab", ExtraTreesRegressor(n_estimators=8, max_depth=4, random_state=0), *D.diabetes(), tol=TREE)
    if VERSION >= (1, 4):
        g.fit("rf_wine_missing", RandomForestClassifier(n_estimators=5, max_depth=5, random_state=0),
              D.with_missing(D.wine()[0]), D.wine()[1], tol=TREE, missing=True)
        g.fit("rf_diab_missing", RandomForestRegressor(n_estimators=5, max_depth=4, random_state=0),
              D.with_missing(D.diabetes()[0]), D.diabetes()[1], tol=TREE, missing=True)
    if VERSION >= (1, 6):
        g.fit("et_wine_missing", ExtraTreesClassifier(n_estimators=5, max_depth=4, random_state=0),
              D.with_missing(D.wine()[0]), D.wine()[1], tol=TREE, missing=True)


def multi_output(g):
    X, Y = D.linnerud()
    g.fit("dt_linnerud", DecisionTreeRegressor(max_depth=4, random_state=0), X, Y, tol=TREE)
    g.fit("rf_linnerud", RandomForestRegressor(n_estimators=8, random_state=0), X, Y, tol=TREE)
    g.fit("et_linnerud", ExtraTreesRegressor(n_estimators=5, random_state=0), X, Y, tol=TREE)
    X, y = D.iris()
    Y2 = np.column_stack([y, (X[:, 0] > 5.8).astype(int)])
    g.fit("dt_two_outputs", DecisionTreeClassifier(max_depth=3, random_state=0), X, Y2, tol=TREE,
          notes="classes per output: 3 and 2")
    g.fit("rf_two_outputs", RandomForestClassifier(n_estimators=6, max_depth=4, random_state=0), X, Y2, tol=TREE,
          notes="classes per output: 3 and 2")


def gradient_boosting(g):
    bin_, iris, diab = D.cancer(), D.iris(), D.diabetes()
    gbc = lambda **k: GradientBoostingClassifier(n_estimators=12, random_state=0, **k)
    gbr = lambda **k: GradientBoostingRegressor(n_estimators=12, random_state=0, **k)
    g.fit("gb_cancer", gbc(), *bin_, tol=TREE)
    g.fit("gb_cancer_init_zero", gbc(init="zero", max_depth=2), *bin_, tol=TREE)
    g.fit("gb_cancer_exponential", gbc(loss="exponential", max_depth=2), *bin_, tol=TREE)
    g.fit("gb_cancer_subsample", gbc(subsample=0.5, learning_rate=0.3, max_depth=2), *bin_, tol=TREE)
    g.fit("gb_iris", gbc(max_depth=2).set_params(n_estimators=6), *iris, tol=TREE)
    g.fit("gb_iris_init_zero", gbc(init="zero", max_depth=2).set_params(n_estimators=4), *iris, tol=TREE)
    g.fit("gb_iris_strings", gbc(max_depth=1).set_params(n_estimators=4), *D.iris_named(), tol=TREE)
    g.fit("gb_cancer_init_tree", gbc(init=DecisionTreeClassifier(max_depth=2, random_state=0), max_depth=2), *bin_,
          tol=TREE, notes="init is an estimator")
    g.fit("gb_diab", gbr(), *diab, tol=TREE)
    g.fit("gb_diab_huber", gbr(loss="huber", max_depth=2), *diab, tol=TREE)
    g.fit("gb_diab_lad", gbr(loss="absolute_error", max_depth=2), *diab, tol=TREE)
    g.fit("gb_diab_quantile", gbr(loss="quantile", alpha=0.8, max_depth=2), *diab, tol=TREE)
    g.fit("gb_diab_init_zero", gbr(init="zero", max_depth=2), *diab, tol=TREE)
    g.fit("gb_diab_init_linear", gbr(init=LinearRegression(), max_depth=2), *diab, tol=TREE,
          notes="init is an estimator")


def hist_boosting(g):
    hgc = lambda **k: HistGradientBoostingClassifier(max_iter=12, max_leaf_nodes=8, max_bins=40, random_state=0, **k)
    hgr = lambda **k: HistGradientBoostingRegressor(max_iter=12, max_leaf_nodes=8, max_bins=40, random_state=0, **k)
    Xm, y = D.with_missing(D.cancer()[0]), D.cancer()[1]
    g.fit("hgb_cancer", HistGradientBoostingClassifier(max_iter=10, max_leaf_nodes=8, random_state=0), *D.cancer(),
          tol=TREE, missing=True, notes="trained without missing values")
    g.fit("hgb_cancer_missing", hgc(), Xm, y, tol=TREE, missing=True)
    g.fit("hgb_iris", hgc(max_depth=3).set_params(max_iter=6), *D.iris(), tol=TREE)
    g.fit("hgb_wine_strings", hgc().set_params(max_iter=5), D.with_missing(D.wine()[0]), np.array(["a", "bb", "c"])[D.wine()[1]], tol=TREE,
          missing=True)
    g.fit("hgb_diab", hgr(), *D.diabetes(), tol=TREE)
    g.fit("hgb_diab_missing", hgr(), D.with_missing(D.diabetes()[0]), D.diabetes()[1], tol=TREE, missing=True)
    g.fit("hgb_diab_lad", hgr(loss="absolute_error"), *D.diabetes(), tol=TREE)
    g.fit("hgb_diab_poisson", hgr(loss="poisson"), *D.diabetes(), tol=TREE, notes="log link")
    if VERSION >= (1, 3):
        g.fit("hgb_diab_gamma", hgr(loss="gamma"), *D.diabetes(), tol=TREE, notes="log link")
    g.fit("hgb_diab_quantile", hgr(loss="quantile", quantile=0.7), *D.diabetes(), tol=TREE)
    g.fit("hgb_monotonic", hgr(monotonic_cst=[0, 0, 1, 1, 0, 0, -1, 0, 0, 0]), *D.diabetes(), tol=TREE)
    X, y, inputs = categorical_table()
    g.fit("hgb_categorical", hgr(categorical_features=[1, 3]), X, y, inputs=inputs, tol=TREE,
          notes="categorical columns 1 and 3; unseen, missing, negative and fractional categories")
    g.fit("hgb_categorical_clf", hgc(categorical_features=[1, 3]), X, (y > np.median(y)).astype(int), inputs=inputs,
          tol=TREE)
    if VERSION >= (1, 4):
        hist_frame(g, hgc)


def categorical_table():
    """Diabetes with two columns cut into categories (12 and 40 of them), some missing."""
    X, y = D.diabetes()
    X = X[:, :5].copy()
    order = np.argsort(np.argsort(y + 40 * np.sin(np.arange(len(y)))))
    X[:, 1] = (order * 12 // len(y)) * 5 % 12
    X[:, 3] = (order * 40 // len(y)) * 7 % 40
    X[::17, 1] = np.nan
    X[::23, 0] = np.nan
    rows = X[::30].tolist()
    for cat in (0, 3, 11, 12, 39, 63, 64, 200, np.nan, 3.7, -1):
        r = X[5].copy()
        r[1] = cat
        rows.append(r.tolist())
        r = X[9].copy()
        r[3] = cat
        rows.append(r.tolist())
    return X, y, np.array(rows)


def hist_frame(g, hgc):
    import pandas as pd

    X, y = D.mixed()
    X = X.drop(columns=["income"])
    cats = {"city": ["Graz", "Linz", "Salzburg", "Wien"], "plan": ["basic", "plus", "pro"],
            "colour": ["blue", "green", "red"]}
    for col, values in cats.items():
        X[col] = pd.Categorical(X[col], categories=values)
    inputs = X.iloc[::3].copy()
    g.fit("hgb_frame_categories", hgc(categorical_features="from_dtype", min_samples_leaf=3), X, y, inputs=inputs,
          tol=TREE, notes="categories by pandas dtype; strings are encoded by the model's own preprocessor")


def ada(g):
    X, y = D.iris()
    algorithms = ["SAMME", "SAMME.R"] if VERSION < (1, 6) else ["SAMME"]
    for algorithm in algorithms:
        short = algorithm.replace(".", "").lower()
        if VERSION < (1, 6):
            kw = {"algorithm": algorithm}
        else:
            kw = {}
        g.fit("ada_iris_" + short, AdaBoostClassifier(n_estimators=20, random_state=0, **kw), X, y, tol=OTHER)
        g.fit("ada_cancer_" + short, AdaBoostClassifier(DecisionTreeClassifier(max_depth=2), n_estimators=15,
                                                        random_state=0, **kw), *D.cancer(), tol=OTHER)
        g.fit("ada_strings_" + short, AdaBoostClassifier(n_estimators=10, random_state=0, **kw), *D.iris_named(),
              tol=OTHER)
    for loss in ("linear", "square", "exponential"):
        g.fit("ada_diab_" + loss, AdaBoostRegressor(n_estimators=12, loss=loss, random_state=0), *D.diabetes(),
              tol=TREE, notes="weighted median of the trees")


def isolation(g):
    X, _ = D.cancer()
    g.fit("iforest_cancer", IsolationForest(n_estimators=8, max_samples=64, random_state=0), X, tol=OTHER,
          notes="decision_function is score_samples - offset_")
    g.fit("iforest_contamination", IsolationForest(n_estimators=4, contamination=0.1, max_samples=32,
                                                   random_state=0), X, tol=OTHER)
    g.fit("iforest_features", IsolationForest(n_estimators=4, max_samples=32, max_features=0.5, random_state=0), X, tol=OTHER,
          notes="each tree sees its own columns (estimators_features_)")
