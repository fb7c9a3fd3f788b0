"""The same objects in every encoding a user may upload: pickle protocols and joblib files."""

import pickle

import joblib
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from . import data as D
from .thin import wanted_format

COMPRESS = {"joblib": 0, "joblib.z": 3, "joblib.gz": ("gzip", 3), "joblib.bz2": ("bz2", 3), "joblib.xz": ("xz", 3),
            "joblib.lz4": ("lz4", 3)}


def build(g):
    X, y = D.iris()
    X, y, named = X[::3], y[::3], D.iris_named()[1][::3]
    cases = {
        "format_rf": RandomForestClassifier(n_estimators=4, max_depth=3, random_state=0),
        "format_pipe": make_pipeline(StandardScaler(), LogisticRegression(max_iter=300)),
        "format_knn": KNeighborsClassifier(4),
    }
    for name, est in cases.items():
        est = g.fit(name, est, X, named if name == "format_knn" else y, n=10)
        if est is not None:
            g.also(name, encodings(g, name, est))
    if g.tag == "new" and g.wanted("rf100_iris"):
        with open(g.path("models", "rf100_iris.pkl"), "rb") as f:
            est = pickle.load(f)
        joblib.dump(est, g.path("models", "rf100_iris.joblib.z"), compress=3)
        g.also("rf100_iris", ["rf100_iris.joblib.z"])


def encodings(g, name, est):
    """Writes the further files of one model; gives their names."""
    writers = {}
    for protocol in range(5):
        writers[f"{name}.p{protocol}.pkl"] = lambda path, p=protocol: pickle_to(path, est, p)
    for ext, compress in COMPRESS.items():
        writers[f"{name}.{ext}"] = lambda path, c=compress: joblib.dump(est, path, compress=c)
    files = [file for file in writers if wanted_format(g.tag, file)]
    for file in files:
        writers[file](g.path("models", file))
    return files


def pickle_to(path, est, protocol):
    with open(path, "wb") as f:
        pickle.dump(est, f, protocol=protocol)
