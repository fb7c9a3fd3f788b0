"""Rows on which nearest neighbours tie: the k-th and the next training row are equally far.

Which of the two counts is then decided by numpy's partial sort alone (docs/LIMITS.md), so such a
row proves nothing about a model. The library itself is asked, never the server.
"""

import numpy as np


def tied_rows(est, X):
    """Indices of the rows of X whose k-th neighbour ties with the next one; empty for other models."""
    if hasattr(est, "steps"):
        for _, step in est.steps[:-1]:
            X = X if step in (None, "passthrough") else step.transform(X)
        est = est.steps[-1][1]
    if not hasattr(est, "kneighbors") or not hasattr(est, "n_neighbors"):
        return set()
    k = est.n_neighbors
    if k >= est.n_samples_fit_:
        return set()
    distance, _ = est.kneighbors(X, n_neighbors=k + 1)
    last, following = distance[:, k - 1], distance[:, k]
    return set(np.flatnonzero(following - last <= 1e-12 * np.maximum(1.0, following)).tolist())
