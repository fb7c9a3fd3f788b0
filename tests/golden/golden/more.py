"""Rarer linear, kernel, Bayes and cluster models, and the wrappers around them."""

import numpy as np
import sklearn
from scipy.sparse import csr_matrix
from sklearn import linear_model as M
from sklearn.calibration import CalibratedClassifierCV
from sklearn.cluster import BisectingKMeans
from sklearn.covariance import EllipticEnvelope
from sklearn.cross_decomposition import PLSRegression
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis, QuadraticDiscriminantAnalysis
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.multiclass import OneVsOneClassifier, OneVsRestClassifier
from sklearn.naive_bayes import BernoulliNB, CategoricalNB, GaussianNB, MultinomialNB
from sklearn.neighbors import KNeighborsClassifier, NearestCentroid
from sklearn.pipeline import make_pipeline
from sklearn.svm import SVC, SVR, LinearSVC, OneClassSVM

from . import data as D
from .store import LINEAR

VERSION = tuple(int(v) for v in sklearn.__version__.split(".")[:2])


def build(g):
    linear(g)
    kernels(g)
    bayes(g)
    wrappers(g)
    text(g)


def linear(g):
    X, y = D.diabetes()
    Y = np.column_stack([y, 5 - 2 * y])
    for name, est in {
        "gamma": M.GammaRegressor(), "tweedie_identity": M.TweedieRegressor(power=0),
        "tweedie_log": M.TweedieRegressor(power=1.5), "lars": M.Lars(), "omp": M.OrthogonalMatchingPursuit(),
        "ard": M.ARDRegression(), "quantile": M.QuantileRegressor(alpha=0.1, solver="highs"),
    }.items():
        g.fit(f"more_{name}_diab", est, X, y, tol=LINEAR, n=10)
    g.fit("more_multi_lasso", M.MultiTaskLasso(), X, Y, tol=LINEAR, n=10)
    g.fit("more_ransac_diab", M.RANSACRegressor(random_state=0), X, y, tol=LINEAR, n=10)
    g.fit("more_pls", PLSRegression(3), X, Y, n=10)
    scaled = D.wine()[0] / D.wine()[0].std(axis=0), D.wine()[1]
    g.fit("more_ridge_clf_cv", M.RidgeClassifierCV(), *scaled, tol=LINEAR)
    g.fit("more_lr_newton_cholesky", M.LogisticRegression(solver="newton-cholesky"), *scaled, tol=LINEAR,
          notes="one-vs-rest before 1.6")
    g.fit("more_lr_bool", M.LogisticRegression(max_iter=300), scaled[0], scaled[1] == 1, tol=LINEAR)
    if VERSION < (1, 8):
        g.fit("more_lr_binary_multinomial", M.LogisticRegression(multi_class="multinomial"), scaled[0],
              scaled[1] == 1, tol=LINEAR, notes="softmax over [-d, d]")
    g.fit("more_sgd_one_class", M.SGDOneClassSVM(random_state=0), scaled[0])
    g.fit("more_elliptic", EllipticEnvelope(random_state=0), scaled[0][:, :4])
    g.fit("more_lda_priors", LinearDiscriminantAnalysis(priors=[0.2, 0.3, 0.5]), *scaled)
    g.fit("more_qda_priors", QuadraticDiscriminantAnalysis(priors=[0.2, 0.3, 0.5], reg_param=0.1), *scaled)
    g.fit("more_bisecting", BisectingKMeans(6, random_state=0), scaled[0])
    g.fit("more_bisecting_sparse", BisectingKMeans(4, random_state=0), csr_matrix(scaled[0]), inputs=scaled[0][::9])
    for metric in ("euclidean", "manhattan"):
        g.fit(f"more_centroid_{metric}", NearestCentroid(metric=metric, shrink_threshold=0.3), *scaled)
    if VERSION >= (1, 6):
        g.fit("more_centroid_priors", NearestCentroid(priors="empirical"), *scaled)


def kernels(g):
    X, y = D.iris()
    positive = X - 3
    for kernel in ("linear", "poly", "rbf", "sigmoid"):
        g.fit(f"more_svc_sparse_{kernel}", SVC(kernel=kernel, probability=True, random_state=0),
              csr_matrix(positive[::2]), y[::2], inputs=positive[1::9], notes="sparse support vectors")
        g.fit(f"more_one_class_{kernel}", OneClassSVM(kernel=kernel, nu=0.1), positive[::2])
    Xd, yd = D.diabetes()
    g.fit("more_svr_sparse", SVR(C=10), csr_matrix(Xd[:60]), yd[:60], inputs=Xd[60:80])
    g.fit("more_knn_sparse", KNeighborsClassifier(5), csr_matrix(positive[::2]), y[::2], inputs=positive[1::9])
    lattice = np.random.RandomState(0).randint(0, 4, (120, 3)).astype(float)
    half = np.random.RandomState(1).randint(0, 9, (30, 3)) / 2.0
    for algorithm in ("kd_tree", "ball_tree", "brute"):
        for metric in ("euclidean", "manhattan", "chebyshev"):
            g.fit(f"more_knn_{algorithm}_{metric}",
                  KNeighborsClassifier(7, algorithm=algorithm, metric=metric, leaf_size=6), lattice,
                  (lattice.sum(axis=1) % 3).astype(int), inputs=half, notes="a lattice: ties everywhere")


def bayes(g):
    rs = np.random.RandomState(0)
    counts, y = rs.poisson(2, (120, 8)).astype(float), rs.randint(0, 3, 120)
    rows = rs.poisson(2, (20, 8)).astype(float)
    g.fit("more_gnb_priors", GaussianNB(priors=[0.2, 0.3, 0.5]), *D.wine())
    g.fit("more_mnb_uniform", MultinomialNB(fit_prior=False, alpha=0.1), counts, y, inputs=rows)
    g.fit("more_bnb_threshold", BernoulliNB(binarize=2.5), counts, y, inputs=rows)
    g.fit("more_bnb_plain", BernoulliNB(binarize=None), (counts > 1) * 1.0, y, inputs=(rows > 1) * 1.0)
    cats = rs.randint(0, 5, (120, 4))
    g.fit("more_catnb", CategoricalNB(), cats, y, inputs=rs.randint(0, 5, (20, 4)).astype(float))
    g.fit("more_catnb_min", CategoricalNB(alpha=0.3, min_categories=7), cats, y % 2,
          inputs=rs.randint(0, 7, (20, 4)).astype(float))


def wrappers(g):
    X, y = D.wine()[0] / D.wine()[0].std(axis=0), D.wine()[1]
    two = y == 1
    for method in ("sigmoid", "isotonic", "temperature"):
        if method == "temperature" and VERSION < (1, 8):
            continue
        for name, est in {"gnb": GaussianNB(), "lsvc": LinearSVC(random_state=0)}.items():
            g.fit(f"more_calibrated_{name}_{method}", CalibratedClassifierCV(est, method=method, cv=2), X, y)
            g.fit(f"more_calibrated_{name}_{method}_two", CalibratedClassifierCV(est, method=method, cv=2), X, two)
    missing = X.copy()
    missing[::3, 2] = np.nan
    trees = HistGradientBoostingClassifier(max_iter=3, max_leaf_nodes=4)
    g.fit("more_calibrated_missing", CalibratedClassifierCV(trees, cv=2), missing, y, inputs=missing[:12])
    g.fit("more_ovr_missing", OneVsRestClassifier(trees), missing, y, inputs=missing[:12])
    labels = np.column_stack([y == 0, y > 0, y == 1]).astype(int)
    g.fit("more_ovr_labels", OneVsRestClassifier(M.LogisticRegression()), X, labels)
    g.fit("more_ovr_two", OneVsRestClassifier(GaussianNB()), X, two)
    g.fit("more_ovo_gnb", OneVsOneClassifier(GaussianNB()), X, y, notes="votes above one half")
    g.fit("more_ovo_two", OneVsOneClassifier(LinearSVC(random_state=0)), X, two)
    if VERSION >= (1, 5):
        names = np.array(["a", "b", "c"])[y]
        g.fit("more_dummy_prior", DummyClassifier(), missing, y, inputs=missing[:4])
        g.fit("more_dummy_constant", DummyClassifier(strategy="constant", constant="b"), X, names, inputs=X[:4])
        g.fit("more_dummy_median", DummyRegressor(strategy="median"), X, X[:, 0], inputs=X[:4])


def text(g):
    words = [f"{a} {b} {c}" for a in ("good", "bad", "nice", "awful") for b in ("film", "book", "meal", "trip")
             for c in ("really", "very", "so", "not")]
    y = np.array([("good" in t or "nice" in t) + ("film" in t) * 1 for t in words])
    asked = words[::5] + ["good", "film", "", "unknown words"]
    for name, est in {
        "svc_rbf": SVC(probability=True, random_state=0), "svc_linear": SVC(kernel="linear"),
        "bnb": BernoulliNB(),
    }.items():
        g.fit(f"more_text_{name}", make_pipeline(TfidfVectorizer(), est), words, y, inputs=asked)
    g.fit("more_text_knn_cosine", make_pipeline(TfidfVectorizer(), KNeighborsClassifier(1, metric="cosine")), words, y,
          inputs=words[::5], notes="equal cosine distances are chosen by numpy's partial sort: no ties here")
