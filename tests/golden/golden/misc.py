"""Decompositions and clusters."""

from sklearn.cluster import KMeans, MiniBatchKMeans
from sklearn.decomposition import NMF, PCA, FastICA, IncrementalPCA, TruncatedSVD

from . import data as D


def build(g):
    X, _ = D.iris()
    W, _ = D.wine()
    g.fit("pca_iris", PCA(2), X)
    g.fit("pca_whiten", PCA(3, whiten=True), W)
    g.fit("pca_all", PCA(), D.iris_frame()[0])
    g.fit("pca_share", PCA(0.95, svd_solver="full"), D.digits(120)[0], n=6)
    g.fit("ipca_iris", IncrementalPCA(2, batch_size=50), X, n=8)
    g.fit("svd_iris", TruncatedSVD(2, random_state=0), X)
    g.fit("svd_arpack", TruncatedSVD(3, algorithm="arpack", random_state=0), W)
    g.fit("ica_iris", FastICA(2, random_state=0, whiten="unit-variance"), X, n=8)
    g.fit("kmeans_iris", KMeans(3, n_init=2, random_state=0), X, transform=True)
    g.fit("kmeans_wine", KMeans(5, n_init=1, random_state=0), W, transform=True)
    g.fit("kmeans_minibatch", MiniBatchKMeans(4, n_init=1, random_state=0), X, transform=True)
    g.fit("nmf_iris", NMF(2, random_state=0, max_iter=500), X, edges=False, n=6, tol=1e-6,
          notes="iterative: a converter may refuse it")
