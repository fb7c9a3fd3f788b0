"""XGBoost: estimator pickles, raw Booster pickles, and the .json and .ubj files."""

import json

import numpy as np

from . import data as D
from .rows import around, sample
from .store import XGB, plain

try:
    import xgboost as xgb
except ImportError:
    xgb = None


def load(path):
    return xgb.Booster(model_file=path)


def build(g):
    if xgb is None:
        return
    classifiers(g)
    regressors(g)
    boosters(g)
    categorical(g)


def objective_of(booster):
    return json.loads(booster.save_config())["learner"]["objective"]["name"]


def raw_values(booster, X):
    """raw_predict and margin as the Booster gives them; predict and predict_proba read from them."""
    names = booster.feature_names
    dm = xgb.DMatrix(np.asarray(X, dtype=np.float64), feature_names=names, feature_types=booster.feature_types,
                     enable_categorical=True)
    raw = booster.predict(dm)
    objective = objective_of(booster)
    out = {"predict": plain(raw), "predict_proba": None, "decision_function": None, "raw_predict": plain(raw),
           "margin": plain(booster.predict(dm, output_margin=True))}
    if objective == "binary:logistic":
        out["predict"] = [int(p > 0.5) for p in raw]
        # The complement is taken in float, as the library's own estimator does.
        out["predict_proba"] = plain(np.column_stack([np.float32(1.0) - raw, raw]))
    elif objective == "multi:softprob":
        out["predict"] = plain(raw.argmax(axis=1))
        out["predict_proba"] = plain(raw)
    return out


def splits(booster):
    """(feature index, threshold) of the numeric splits of the first trees."""
    names = booster.feature_names
    found = []
    if json.loads(booster.save_config())["learner"]["learner_train_param"].get("multi_strategy") == "multi_output_tree":
        return found  # vector leaves have no dump

    def walk(node):
        if "children" not in node:
            return
        if isinstance(node["split_condition"], (int, float)):
            split = node["split"]
            found.append((names.index(split) if names and split in names else int(split[1:]), node["split_condition"]))
        for c in node["children"]:
            walk(c)

    for text in booster.get_dump(dump_format="json")[:3]:
        walk(json.loads(text))
    return found


def rows_for(booster, X, n=10, missing=True):
    """Real, odd and threshold rows, and rows with missing cells."""
    frame = hasattr(X, "columns")
    values = np.nan_to_num(np.asarray(X, dtype=np.float64))
    parts = [sample(X.values if frame else X, n=n, missing=missing)]
    found = splits(booster) if tree_booster(booster) else []
    for k in sorted({0, len(found) // 2, len(found) - 1} if found else ()):
        feature, threshold = found[k]
        for v in around(np.float32(threshold)):
            r = values[(k * 41) % len(values)].copy()
            r[feature] = v
            parts.append(r)
    rows = np.vstack(parts)
    return type(X)(rows, columns=X.columns) if frame else rows


def tree_booster(booster):
    return json.loads(booster.save_config())["learner"]["learner_train_param"]["booster"] != "gblinear"


def fit(g, name, est, X, y, notes="", files=False, missing=True, inputs=None, **fit_args):
    """Fits an estimator; `files` writes the same Booster as .json and .ubj too."""
    if not g.wanted(name):
        return
    est.fit(X, y, **fit_args)
    booster = est.get_booster()
    if inputs is None:
        inputs = rows_for(booster, X, missing=missing)
    g.write(name, est, inputs, XGB, notes, library="xgboost")
    if files:
        for ext in ("json", "ubj"):
            write_booster(g, f"{name}_{ext}", booster, inputs[::3], f"the file of {name}, saved as .{ext}", ext)


def write_booster(g, name, booster, inputs, notes, ext=None):
    def dump(path):
        booster.save_model(f"{path}.{ext}")
        return ext

    task = "classifier" if objective_of(booster) in ("binary:logistic", "multi:softprob") else "regressor"
    names = booster.feature_names
    extra = {"n_features": booster.num_features(), "feature_names": names, "objective": objective_of(booster)}
    g.write(name, booster, inputs, XGB, notes, task=task, dump=dump if ext else None, library="xgboost", extra=extra)


def small(**k):
    return dict({"n_estimators": 4, "max_depth": 3, "random_state": 0, "n_jobs": 1}, **k)


def classifiers(g):
    C = lambda **k: xgb.XGBClassifier(**small(**k))
    X, y = D.cancer()
    fit(g, "xgb_cancer", C(), X, y, files=True)
    fit(g, "xgb_cancer_missing", C(), D.with_missing(X), y)
    fit(g, "xgb_cancer_marker", C(missing=-999.0), np.where(np.isnan(D.with_missing(X)), -999.0, X), y,
        notes="missing=-999: that value, and NaN, go the default way")
    fit(g, "xgb_cancer_base", C(base_score=0.3), X, y)
    fit(g, "xgb_cancer_dart", C(booster="dart", rate_drop=0.4), X, y, files=True)
    fit(g, "xgb_cancer_linear", C(booster="gblinear", n_estimators=20), X / 100, y, files=True, missing=False)
    fit(g, "xgb_cancer_exact", C(tree_method="exact"), X, y)
    fit(g, "xgb_cancer_logitraw", C(objective="binary:logitraw"), X, y)
    fit(g, "xgb_cancer_hinge", C(objective="binary:hinge"), X, y)
    fit(g, "xgb_iris", C(max_depth=2), *D.iris(), files=True)
    fit(g, "xgb_iris_softmax", C(max_depth=2, objective="multi:softmax"), *D.iris())
    fit(g, "xgb_iris_frame", C(max_depth=2), *D.iris_frame(), notes="feature names")
    fit(g, "xgb_wine_missing", C(max_depth=2), D.with_missing(D.wine()[0]), D.wine()[1])
    fit(g, "xgb_iris_linear", C(booster="gblinear", n_estimators=20), *D.iris(), missing=False)
    fit(g, "xgb_iris_forest_step", C(num_parallel_tree=3, max_depth=2, n_estimators=3, subsample=0.7), *D.iris(),
        notes="several trees a round")
    fit(g, "xgb_rf_cancer", xgb.XGBRFClassifier(n_estimators=8, max_depth=3, random_state=0), X, y)
    early(g, C)


def early(g, C):
    X, y = D.cancer()
    fit(g, "xgb_early_stop", C(n_estimators=30, learning_rate=1.0, max_depth=2, early_stopping_rounds=4), X[:400],
        y[:400], eval_set=[(X[400:], y[400:])], verbose=False, files=True,
        notes="the estimator stops at best_iteration")


def regressors(g):
    R = lambda **k: xgb.XGBRegressor(**small(**k))
    X, y = D.diabetes()
    fit(g, "xgb_diab", R(), X, y, files=True)
    fit(g, "xgb_diab_missing", R(), D.with_missing(X), y)
    fit(g, "xgb_diab_base", R(base_score=100.5), X, y)
    fit(g, "xgb_diab_dart", R(booster="dart", rate_drop=0.3), X, y)
    fit(g, "xgb_diab_linear", R(booster="gblinear", n_estimators=20), D.diabetes_scaled()[0], y, missing=False)
    for objective in ("count:poisson", "reg:gamma", "reg:tweedie", "reg:absoluteerror", "reg:squaredlogerror",
                      "reg:pseudohubererror"):
        short = objective.split(":")[1]
        fit(g, "xgb_diab_" + short, R(objective=objective, max_depth=2), X, y)
    fit(g, "xgb_diab_logistic", R(objective="reg:logistic", max_depth=2), X, y / 400.0)
    fit(g, "xgb_linnerud", R(max_depth=2), *D.linnerud(), notes="three outputs, a tree for each")
    if int(xgb.__version__.split(".")[0]) >= 2:
        fit(g, "xgb_linnerud_vector", R(max_depth=2, multi_strategy="multi_output_tree", tree_method="hist"),
            *D.linnerud(), notes="vector leaves")
        fit(g, "xgb_diab_quantile", R(objective="reg:quantileerror", quantile_alpha=0.7, max_depth=2), X, y)


def boosters(g):
    X, y = D.cancer()
    for name, params, data in (
            ("xgb_booster_binary", {"objective": "binary:logistic"}, (X, y)),
            ("xgb_booster_multi", {"objective": "multi:softprob", "num_class": 3}, D.iris()),
            ("xgb_booster_reg", {"objective": "reg:squarederror"}, D.diabetes()),
            ("xgb_booster_rank", {"objective": "rank:pairwise"}, D.diabetes())):
        if not g.wanted(name):
            continue
        target = data[1] if "rank" not in name else (data[1] > 140).astype(int)
        dm = xgb.DMatrix(data[0], target)
        booster = xgb.train(dict(params, max_depth=2, seed=0, nthread=1), dm, num_boost_round=5)
        write_booster(g, name, booster, rows_for(booster, data[0]), "a pickled raw Booster")


def categorical(g):
    from .trees import categorical_table

    X, y, inputs = categorical_table()
    inputs = inputs[[all(c != c or (c >= 0 and c == int(c)) for c in r[[1, 3]]) for r in inputs]]
    types = ["q", "c", "q", "c", "q"]
    for name, extra in (("xgb_categorical", {"max_cat_to_onehot": 1}), ("xgb_categorical_onehot",
                                                                      {"max_cat_to_onehot": 64})):
        fit(g, name, xgb.XGBRegressor(**small(tree_method="hist", enable_categorical=True, feature_types=types,
                                              **extra)), X, y, inputs=inputs, files=True,
            notes="categorical columns 1 and 3; unseen and missing categories")
