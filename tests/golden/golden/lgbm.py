"""LightGBM: estimator pickles, raw Booster pickles and the text file."""

import warnings

import numpy as np

from . import data as D
from .rows import around, sample
from .store import TREE, plain

try:
    import lightgbm as lgb
except ImportError:
    lgb = None


def load(path):
    return lgb.Booster(model_file=path)


def build(g):
    if lgb is None:
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        classifiers(g)
        regressors(g)
        boosters(g)
        categorical(g)


def objective_of(booster):
    for line in booster.model_to_string().splitlines():
        if line.startswith("objective="):
            return line[len("objective="):]
    return ""


def raw_values(booster, X):
    """raw_predict and margin as the Booster gives them; predict and predict_proba read from them."""
    X = np.asarray(X, dtype=np.float64)
    raw = booster.predict(X)
    out = {"predict": plain(raw), "predict_proba": None, "decision_function": None, "raw_predict": plain(raw),
           "margin": plain(booster.predict(X, raw_score=True))}
    objective = objective_of(booster)
    if objective.startswith("binary"):
        out["predict"] = [int(p > 0.5) for p in raw]
        out["predict_proba"] = plain(np.column_stack([1.0 - raw, raw]))
    elif objective.startswith("multiclass"):
        out["predict"] = plain(raw.argmax(axis=1))
        out["predict_proba"] = plain(raw)
    return out


def splits(booster):
    """(feature index, threshold) of the numeric splits of the first trees."""
    found = []

    def walk(node):
        if "split_feature" not in node:
            return
        if node["decision_type"] == "<=":
            found.append((node["split_feature"], node["threshold"]))
        walk(node["left_child"])
        walk(node["right_child"])

    for tree in booster.dump_model()["tree_info"][:3]:
        walk(tree["tree_structure"])
    return found


def rows_for(booster, X, n=10, missing=True):
    """Real, odd and threshold rows, rows with missing cells, and values around LightGBM's zero."""
    frame = hasattr(X, "columns")
    values = np.nan_to_num(np.asarray(X, dtype=np.float64))
    parts = [sample(X.values if frame else X, n=n, missing=missing)]
    found = splits(booster)
    for k in sorted({0, len(found) // 2, len(found) - 1} if found else ()):
        feature, threshold = found[k]
        for v in around(threshold) + [0.0, -0.0, 1e-36, -1e-36, 1e-35, 1.1e-35]:
            r = values[(k * 41) % len(values)].copy()
            r[feature] = v
            parts.append(r)
    rows = np.vstack(parts)
    return type(X)(rows, columns=X.columns) if frame else rows


def fit(g, name, est, X, y, notes="", files=False, missing=True, inputs=None, **fit_args):
    """Fits an estimator; `files` writes the same Booster as text too."""
    if not g.wanted(name):
        return
    est.fit(X, y, **fit_args)
    if inputs is None:
        inputs = rows_for(est.booster_, X, missing=missing)
    names = getattr(X, "columns", None)
    extra = {"feature_names": None if names is None else [str(c) for c in names]}
    g.write(name, est, inputs, TREE, notes, library="lightgbm", extra=extra)
    if files:
        write_booster(g, name + "_txt", est.booster_, inputs, f"the file of {name}, saved as text", True)


def write_booster(g, name, booster, inputs, notes, text=False):
    inputs = inputs[::3] if text else inputs

    def dump(path):
        booster.save_model(path + ".txt")
        return "txt"

    task = "classifier" if objective_of(booster).startswith(("binary", "multiclass")) else "regressor"
    extra = {"n_features": booster.num_feature(), "feature_names": None, "objective": objective_of(booster)}
    g.write(name, booster, inputs, TREE, notes, task=task, dump=dump if text else None, library="lightgbm",
            extra=extra)


def small(**k):
    return dict({"n_estimators": 4, "num_leaves": 7, "min_child_samples": 5, "random_state": 0, "n_jobs": 1,
                 "verbose": -1, "deterministic": True, "force_row_wise": True}, **k)


def classifiers(g):
    C = lambda **k: lgb.LGBMClassifier(**small(**k))
    X, y = D.cancer()
    fit(g, "lgb_cancer", C(), X, y, files=True)
    fit(g, "lgb_cancer_missing", C(), D.with_missing(X), y, files=True)
    holes = np.where(np.isnan(D.with_missing(X)), 0.0, X)
    fit(g, "lgb_zero_missing", C(zero_as_missing=True), holes, y, files=True, notes="zeros are missing values")
    fit(g, "lgb_no_missing", C(use_missing=False), holes, y, notes="missing values are read as zero")
    fit(g, "lgb_cancer_dart", C(boosting_type="dart"), X, y)
    fit(g, "lgb_cancer_rf", C(boosting_type="rf", bagging_freq=1, bagging_fraction=0.6), X, y, files=True,
        notes="the average of the trees")
    fit(g, "lgb_iris", C(num_leaves=4), *D.iris(), files=True)
    fit(g, "lgb_iris_ova", C(num_leaves=4, objective="multiclassova"), *D.iris(), notes="one-vs-all")
    fit(g, "lgb_iris_strings", C(num_leaves=4), *D.iris_named())
    fit(g, "lgb_iris_frame", C(num_leaves=4), *D.iris_frame(), notes="feature names hold spaces: stored with _")
    fit(g, "lgb_iris_rf", C(num_leaves=4, boosting_type="rf", bagging_freq=1, bagging_fraction=0.6), *D.iris())
    fit(g, "lgb_labels", C(num_leaves=4), D.iris()[0], D.iris()[1] * 10 - 5)
    fit(g, "lgb_unbalance", C(is_unbalance=True, sigmoid=1.7), X, y, notes="the sigmoid has a factor")
    fit(g, "lgb_early_stop", C(n_estimators=40, learning_rate=0.8), X[:400], y[:400], eval_set=[(X[400:], y[400:])],
        callbacks=[lgb.early_stopping(4, verbose=False)], files=True, notes="best_iteration_")


def regressors(g):
    R = lambda **k: lgb.LGBMRegressor(**small(**k))
    X, y = D.diabetes()
    fit(g, "lgb_diab", R(), X, y, files=True)
    fit(g, "lgb_diab_missing", R(), D.with_missing(X), y)
    for objective in ("poisson", "gamma", "tweedie", "regression_l1", "huber", "quantile", "fair", "mape"):
        fit(g, "lgb_diab_" + objective, R(objective=objective, num_leaves=5), X, y, files=objective == "poisson")
    fit(g, "lgb_diab_sqrt", R(reg_sqrt=True, num_leaves=5), X, y, notes="the target's square root is learnt")
    fit(g, "lgb_diab_dart", R(boosting_type="dart", num_leaves=5), X, y)
    fit(g, "lgb_diab_rf", R(boosting_type="rf", bagging_freq=1, bagging_fraction=0.6, num_leaves=5), X, y)
    fit(g, "lgb_diab_cross_entropy", R(objective="cross_entropy", num_leaves=5), X, y / 400.0)
    fit(g, "lgb_linear_tree", R(linear_tree=True, num_leaves=4), D.diabetes_scaled()[0], y, files=True,
        notes="linear models in the leaves")
    fit(g, "lgb_one_leaf", R(min_child_samples=1000), X, y, files=True, notes="trees of one leaf")


def boosters(g):
    X, y = D.cancer()
    for name, params, data in (("lgb_booster_binary", {"objective": "binary"}, (X, y)),
                               ("lgb_booster_multi", {"objective": "multiclass", "num_class": 3}, D.iris()),
                               ("lgb_booster_reg", {"objective": "regression"}, D.diabetes())):
        if not g.wanted(name):
            continue
        p = dict(small(num_leaves=5), seed=0, num_threads=1, **params)
        rounds = p.pop("n_estimators")
        for key in ("random_state", "n_jobs"):
            p.pop(key)
        booster = lgb.train(p, lgb.Dataset(data[0], data[1]), num_boost_round=rounds)
        write_booster(g, name, booster, rows_for(booster, data[0]), "a pickled raw Booster")


def categorical(g):
    from .trees import categorical_table

    X, y, inputs = categorical_table()
    fit(g, "lgb_categorical", lgb.LGBMRegressor(**small()), X, y, inputs=inputs, categorical_feature=[1, 3],
        files=True, notes="categorical columns 1 and 3; unseen, missing, negative and fractional categories")
    fit(g, "lgb_categorical_clf", lgb.LGBMClassifier(**small(max_cat_to_onehot=20)), X, (y > 140).astype(int),
        inputs=inputs, categorical_feature=[1, 3])
