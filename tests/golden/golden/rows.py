"""Input rows for the golden values: real rows, odd values, and rows exactly at split thresholds."""

import numpy as np


def sample(X, est=None, n=18, missing=False, edges=True):
    """`n` evenly spaced rows of X, then zeros/negative/large rows, threshold rows, missing cells."""
    if hasattr(X, "columns"):
        frame, X = X, X.values
        out = sample(np.asarray(X, dtype=np.float64), est, n, missing, edges)
        return type(frame)(out, columns=frame.columns)
    X = np.asarray(X, dtype=np.float64)
    take = np.unique(np.linspace(0, len(X) - 1, min(n, len(X))).astype(int))
    parts = [X[take]]
    base = np.nan_to_num(X, nan=0.0)
    if edges:
        parts.append(odd_rows(base))
        if est is not None:
            parts.append(threshold_rows(est, base))
    if missing:
        parts.append(missing_rows(base))
    return np.vstack(parts)


def odd_rows(X):
    d = X.shape[1]
    mean = X.mean(axis=0)
    big = X[len(X) // 2].copy()
    big[d // 2] = 1e4
    return np.vstack([np.zeros(d), -np.abs(X[0]) - 0.5, big, X.max(axis=0) * 3, mean, mean.astype(np.float32)])


def missing_rows(X):
    d = X.shape[1]
    out = []
    for k in range(min(d, 4)):
        r = X[(k * 37) % len(X)].copy()
        r[(k * 3) % d] = np.nan
        out.append(r)
    half = X[len(X) // 3].copy()
    half[::2] = np.nan
    return np.vstack(out + [half, np.full(d, np.nan)])


def around(t):
    """The threshold itself and its neighbours as float64 and as float32."""
    t = float(t)
    f = np.float32(t)
    with np.errstate(over="ignore"):
        up, down = np.nextafter(f, np.float32(np.inf)), np.nextafter(f, np.float32(-np.inf))
    vals = [t, np.nextafter(t, np.inf), np.nextafter(t, -np.inf), float(f), float(up), float(down)]
    return [v for v in vals if np.isfinite(v)]


def threshold_rows(est, X, k=3):
    """Rows that reach a split of the model with the split feature at its threshold."""
    out = []
    splits = list(find_splits(est, X))
    if not splits:
        return np.empty((0, X.shape[1]))
    for i in np.unique(np.linspace(0, len(splits) - 1, k).astype(int)):
        feature, threshold, row = splits[i]
        for v in around(threshold):
            r = X[row].copy()
            r[feature] = v
            out.append(r)
    return np.vstack(out)


def find_splits(est, X):
    """(feature, threshold, index of a row of X that reaches the split) of fitted trees."""
    if hasattr(est, "tree_"):
        yield from tree_splits(est.tree_, X)
    elif hasattr(est, "_predictors"):
        for i, group in enumerate(est._predictors):
            for p in group:
                inner = p.nodes[p.nodes["is_leaf"] == 0]
                for j, node in enumerate(inner[:3]):
                    if not node["is_categorical"] and np.isfinite(node["num_threshold"]):
                        yield int(node["feature_idx"]), node["num_threshold"], (i * 7 + j * 31) % len(X)
    elif hasattr(est, "estimators_") and not hasattr(est, "estimators_features_"):
        subs = np.ravel(np.asarray(est.estimators_, dtype=object))
        for s in subs:
            if hasattr(s, "tree_"):
                yield from tree_splits(s.tree_, X)


def tree_splits(tree, X):
    if tree.n_features != X.shape[1]:
        return
    X32 = X.astype(np.float32)
    hit = tree.decision_path(X32).tocsc()
    for node in range(tree.node_count):
        if tree.children_left[node] < 0 or not np.isfinite(tree.threshold[node]):
            continue
        rows = hit.indices[hit.indptr[node]:hit.indptr[node + 1]]
        if len(rows):
            yield int(tree.feature[node]), tree.threshold[node], int(rows[len(rows) // 2])
