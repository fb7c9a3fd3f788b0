"""Nearest neighbours: every search structure, weighting and metric, and ties."""

import numpy as np
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor, NearestCentroid

from . import data as D
from .rows import sample


def build(g):
    X, y = D.iris()
    rows = tie_rows(X)
    KC, KR = KNeighborsClassifier, KNeighborsRegressor
    for algorithm in ("kd_tree", "ball_tree", "brute"):
        g.fit(f"knn_iris_{algorithm}", KC(5, algorithm=algorithm), X, y, inputs=rows,
              notes="iris has equal rows and equal distances: ties follow the structure's order")
        g.fit(f"knn_iris_distance_{algorithm}", KC(7, weights="distance", algorithm=algorithm), X, y, inputs=rows,
              notes="a distance of zero takes all the weight")
        g.fit(f"knn_ties_{algorithm}", KC(4, algorithm=algorithm, leaf_size=5), *grid(), inputs=grid_rows())
    g.fit("knn_iris", KC(), X, y, inputs=rows, notes="the defaults")
    g.fit("knn_manhattan_kd", KC(5, p=1, algorithm="kd_tree", leaf_size=10), X, y, inputs=rows)
    g.fit("knn_manhattan_brute", KC(5, metric="manhattan", algorithm="brute"), X, y, inputs=rows)
    g.fit("knn_p3_kd", KC(5, p=3, algorithm="kd_tree"), X, y, inputs=rows)
    g.fit("knn_p3_ball", KC(5, p=3, algorithm="ball_tree"), X, y, inputs=rows)
    g.fit("knn_p3_brute", KC(5, p=3, algorithm="brute"), X, y, inputs=rows)
    g.fit("knn_chebyshev", KC(3, metric="chebyshev"), X, y, inputs=rows)
    g.fit("knn_cosine", KC(5, metric="cosine", algorithm="brute"), X, y,
          inputs=rows[(rows != 0).any(axis=1)], notes="brute search; no zero rows")
    g.fit("knn_one", KC(1), X, y, inputs=rows)
    g.fit("knn_strings", KC(4, weights="distance"), *D.iris_named(), inputs=rows)
    g.fit("knn_digits", KC(3), *D.digits(80), n=6, notes="more than 15 columns: auto means brute")
    Y2 = np.column_stack([y, (X[:, 0] > 5.8).astype(int)])
    g.fit("knn_two_outputs", KC(5), X, Y2, inputs=rows)
    Xd, yd = D.diabetes()
    g.fit("knn_diab", KR(5), Xd[:80], yd[:80], n=12)
    g.fit("knn_diab_distance", KR(6, weights="distance", algorithm="ball_tree"), Xd[:80], yd[:80], n=12)
    g.fit("knn_diab_brute", KR(4, algorithm="brute", p=1), Xd[:80], yd[:80], n=12)
    g.fit("knn_linnerud", KR(3), *D.linnerud(), notes="three outputs")
    g.fit("centroid_iris", NearestCentroid(), X, y, n=12)


def tie_rows(X):
    """Training rows (distance zero, with equal rows among them) and points halfway between rows."""
    halfway = np.vstack([(X[i] + X[j]) / 2 for i, j in ((0, 1), (60, 61), (101, 142), (70, 120), (55, 133))])
    return np.vstack([sample(X, n=18), X[[34, 37, 101, 142]], halfway])


def grid():
    """A 7x7 grid: every query on it has many neighbours at exactly equal distances."""
    a, b = np.meshgrid(np.arange(7.0), np.arange(7.0))
    X = np.column_stack([a.ravel(), b.ravel()])
    return X, ((X[:, 0] * 3 + X[:, 1] * 5) % 4).astype(int)


def grid_rows():
    a, b = np.meshgrid([0.0, 0.5, 2.0, 3.5, 6.0, 8.0], [0.0, 1.5, 3.0, 5.5, -1.0])
    return np.column_stack([a.ravel(), b.ravel()])
