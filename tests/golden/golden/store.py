"""Fits one model, computes its golden values and writes both files."""

import json
import math
import os
import pickle
import warnings

import numpy as np
from sklearn.base import is_classifier, is_regressor

from . import rows as R
from .thin import left_out

TREE, LINEAR, OTHER, XGB = 1e-12, 1e-12, 1e-9, 1e-6


def plain(v):
    """A NumPy value as plain JSON: missing inputs are null, non-finite numbers are strings."""
    if v is None or isinstance(v, (str, bool)):
        return v
    if isinstance(v, (list, tuple)):
        return [plain(x) for x in v]
    if isinstance(v, np.ndarray):
        return [plain(x) for x in v.tolist()] if v.dtype != np.float32 else plain(v.astype(np.float64))
    if isinstance(v, np.generic):
        return plain(v.item())
    if isinstance(v, int):
        return v
    v = float(v)
    if math.isfinite(v):
        return v
    return "nan" if v != v else ("inf" if v > 0 else "-inf")


def plain_input(v):
    if isinstance(v, list):
        return [plain_input(x) for x in v]
    if isinstance(v, float) and v != v:
        return None
    if isinstance(v, float) and v == int(v) and abs(v) < 1e15 and math.copysign(1, v) > 0:
        return int(v)
    return v


def dense(a):
    return a.toarray() if hasattr(a, "toarray") else np.asarray(a)


def input_rows(X):
    """Model input (array, DataFrame, list of strings) as JSON rows."""
    if hasattr(X, "columns"):
        X = X.astype(object).values.tolist()
    elif hasattr(X, "tolist"):
        X = np.asarray(X).tolist()
    return plain_input(list(X))


def task_of(est):
    if getattr(est, "_estimator_type", None) == "outlier_detector" or "IsolationForest" in type(est).__name__:
        return "outlier"
    if is_classifier(est):
        return "classifier"
    if is_regressor(est):
        return "regressor"
    return "cluster" if hasattr(est, "predict") else "transformer"


def values_of(est, X, want_transform=False):
    """What the library answers for X, as plain JSON; absent methods are null."""
    if type(est).__name__ in ("Booster", "InferenceSession"):
        return raw_values(est, X)
    out = {"predict": None, "predict_proba": None, "decision_function": None}
    for method in ("predict", "predict_proba", "decision_function"):
        if not hasattr(est, method):
            continue
        got = getattr(est, method)(X)
        out[method] = [plain(np.asarray(a)) for a in got] if isinstance(got, list) else plain(dense(got))
    if want_transform or (out["predict"] is None and hasattr(est, "transform")):
        out["transform"] = plain(dense(est.transform(X)))
    return out


def raw_values(est, X):
    """Values of a model without the estimator interface, by its library's module."""
    from importlib import import_module

    home = {"xgboost": "xgb", "lightgbm": "lgbm"}.get(type(est).__module__.split(".")[0], "onnx_models")
    return import_module("golden." + home).raw_values(est, X)


class Store:
    """Where models and values of one pinned environment go."""

    def __init__(self, tag, out, only=""):
        self.tag, self.out, self.only, self.done = tag, out, only, []
        for kind in ("models", "values"):
            os.makedirs(os.path.join(out, kind, tag), exist_ok=True)

    def wanted(self, name):
        return self.only in name and not left_out(self.tag, name)

    def path(self, kind, file):
        return os.path.join(self.out, kind, self.tag, file)

    def fit(self, name, est, X, y=None, inputs=None, n=18, tol=OTHER, notes="", missing=False,
            edges=True, transform=False, task=None, fit_args=None, dump=None):
        """Fits `est`, writes <name>.pkl (or what `dump` writes) and <name>.json; gives the model."""
        if not self.wanted(name):
            return None
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            est.fit(X, **(fit_args or {})) if y is None else est.fit(X, y, **(fit_args or {}))
            if inputs is None:
                n = n if self.tag == "new" else (n + 1) // 2
                inputs = R.sample(X, est, n=n, missing=missing, edges=edges)
            elif self.tag != "new" and len(inputs) > 30:
                inputs = inputs[::2]
            self.write(name, est, inputs, tol, notes, transform=transform, task=task, dump=dump)
        return est

    def write(self, name, est, inputs, tol, notes="", transform=False, task=None, dump=None,
              library="scikit-learn", extra=None, values=None):
        """Writes the model and the values of a fitted estimator."""
        if not self.wanted(name):
            return
        ext = "pkl"
        if dump is None:
            with open(self.path("models", name + ".pkl"), "wb") as f:
                pickle.dump(est, f, protocol=5)
        else:
            ext = dump(self.path("models", name))
        cls = type(est).__name__
        classes = getattr(est, "classes_", None) if hasattr(est, "classes_") else None
        names = getattr(est, "feature_names_in_", None)
        task = task or task_of(est)
        # A regressor of XGBoost or LightGBM may carry an unset classes_.
        if task not in ("classifier",) and not cls.startswith("LabelEncoder"):
            classes = None
        doc = {
            "name": name,
            "class": cls,
            "library": library,
            "version": library_version(library),
            "task": task,
            "n_features": n_features(est, inputs),
            "feature_names": None if names is None else [str(c) for c in names],
            "classes": None if classes is None else plain(classes),
            "inputs": input_rows(inputs),
        }
        doc.update(values if values is not None else values_of(est, inputs, transform))
        doc.update(extra or {})
        doc["tolerance"] = tol
        doc["notes"] = notes
        with open(self.path("values", name + ".json"), "w", encoding="utf-8") as f:
            dump_values(doc, f)
        self.done.append((name, cls, [name + "." + ext], tol))

    def also(self, name, files):
        """Further files of a written model (other encodings of the same object)."""
        for i, row in enumerate(self.done):
            if row[0] == name:
                self.done[i] = (row[0], row[1], row[2] + files, row[3])

    def write_index(self):
        """Merges what this run wrote into OUTDIR/INDEX.tsv."""
        path = os.path.join(self.out, "INDEX.tsv")
        rows = {}
        if os.path.exists(path):
            with open(path, encoding="utf-8") as f:
                for line in list(f)[1:]:
                    cells = line.rstrip("\n").split("\t")
                    rows[cells[0], cells[1]] = cells[2:]
        for name, cls, files, tol in self.done:
            rows[self.tag, name] = [cls, ",".join(files), f"{tol:g}"]
        with open(path, "w", encoding="utf-8") as f:
            f.write("tag\tname\tclass\tfiles\ttolerance\n")
            for key in sorted(rows):
                f.write("\t".join([*key, *rows[key]]) + "\n")


def n_features(est, inputs):
    if isinstance(inputs, list) and inputs and isinstance(inputs[0], str):
        return 1
    n = getattr(est, "n_features_in_", None)
    if n is None and np.ndim(inputs) == 2:
        n = np.shape(inputs)[1]
    return None if n is None else int(n)


def library_version(library):
    return __import__({"scikit-learn": "sklearn"}.get(library, library)).__version__


def dump_values(doc, f):
    """JSON, one line a key and one line a row of inputs, so that a diff can be read."""
    f.write("{\n")
    items = list(doc.items())
    for i, (k, v) in enumerate(items):
        f.write(json.dumps(k) + ":")
        if k == "inputs":
            f.write("[\n" + ",\n".join(json.dumps(r, separators=(",", ":"), ensure_ascii=False) for r in v) + "]")
        else:
            f.write(json.dumps(v, separators=(",", ":"), ensure_ascii=False, allow_nan=False))
        f.write(",\n" if i + 1 < len(items) else "\n")
    f.write("}\n")
