"""Support vector machines of libsvm."""

import sklearn
from sklearn.svm import SVC, SVR, NuSVC, NuSVR, OneClassSVM

from . import data as D

VERSION = tuple(int(p) for p in sklearn.__version__.split(".")[:2])
KERNELS = ("linear", "poly", "rbf", "sigmoid")


def build(g):
    iris, cancer = D.iris(), D.cancer()
    small = (cancer[0][:200, :5] / 10, cancer[1][:200])
    for kernel in KERNELS:
        g.fit(f"svc_iris_{kernel}", SVC(kernel=kernel), *iris, n=12)
        g.fit(f"svc_cancer_{kernel}", SVC(kernel=kernel), *small, n=12)
    with_probability(g, iris, small)
    g.fit("svc_ovo", SVC(decision_function_shape="ovo"), *iris, n=12)
    g.fit("svc_break_ties", SVC(break_ties=True, gamma=0.3), *iris, n=20,
          notes="predict is the arg max of the one-vs-rest decision")
    g.fit("svc_strings", SVC(C=5.0), *D.iris_named(), n=12)
    g.fit("svc_weighted", SVC(class_weight="balanced", gamma="auto"), iris[0][:, :3], iris[1] * 2 + 1, n=12)
    g.fit("svc_poly_degree", SVC(kernel="poly", degree=4, coef0=1.5, gamma=0.1), *iris, n=12)
    g.fit("svc_digits", SVC(), *D.digits(60), n=5, notes="ten classes, 45 pairs")
    g.fit("nusvc_iris", NuSVC(nu=0.3), *iris, n=12)
    g.fit("nusvc_cancer", NuSVC(nu=0.2), *small, n=12)
    Xd, yd = D.diabetes_scaled()
    Xd, yd = Xd[:150, :5], yd[:150]
    for kernel in KERNELS:
        g.fit(f"svr_diab_{kernel}", SVR(kernel=kernel, C=50.0), Xd, yd, n=8)
        g.fit(f"nusvr_diab_{kernel}", NuSVR(kernel=kernel, C=20.0), Xd, yd, n=6)
    g.fit("ocsvm_iris", OneClassSVM(nu=0.1), iris[0], n=12, task="outlier")


def with_probability(g, iris, small):
    if VERSION >= (1, 11):
        return
    for kernel in ("linear", "rbf"):
        g.fit(f"svc_proba_iris_{kernel}", SVC(kernel=kernel, probability=True, random_state=0), *iris, n=12,
              notes="libsvm's iterative pairwise coupling")
        g.fit(f"svc_proba_cancer_{kernel}", SVC(kernel=kernel, probability=True, random_state=0), *small, n=12)
    g.fit("svc_proba_digits", SVC(probability=True, random_state=0), *D.digits(60), n=4)
    g.fit("nusvc_proba_iris", NuSVC(nu=0.3, probability=True, random_state=0), *D.iris_named(), n=12)
