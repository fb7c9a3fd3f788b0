"""Linear models, naive Bayes, discriminant analysis, neural networks."""

import warnings

import numpy as np
import sklearn
from sklearn import linear_model as L
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis, QuadraticDiscriminantAnalysis
from sklearn.naive_bayes import BernoulliNB, ComplementNB, GaussianNB, MultinomialNB
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.svm import LinearSVC, LinearSVR

from . import data as D
from .rows import sample
from .store import LINEAR

VERSION = tuple(int(p) for p in sklearn.__version__.split(".")[:2])


def build(g):
    logistic(g)
    regression(g)
    sgd(g)
    bayes(g)
    discriminant(g)
    networks(g)


def logistic(g):
    iris, wine, cancer = D.iris(), D.wine(), D.cancer()
    LR = L.LogisticRegression
    g.fit("lr_cancer", LR(max_iter=500), *cancer, tol=LINEAR)
    g.fit("lr_iris", LR(max_iter=300), *iris, tol=LINEAR, notes="multinomial (softmax)")
    g.fit("lr_wine_strings", LR(max_iter=500), wine[0], np.array(["red", "rosé", "white"])[wine[1]], tol=LINEAR)
    g.fit("lr_digits", LR(max_iter=60), *D.digits(), tol=LINEAR, n=10)
    g.fit("lr_iris_frame", LR(max_iter=300), *D.iris_frame(), tol=LINEAR)
    g.fit("lr_cancer_liblinear", LR(random_state=0, solver="liblinear"), *cancer, tol=LINEAR)
    g.fit("lr_l1", LR(random_state=0, solver="liblinear", penalty="l1", C=0.5), *cancer, tol=LINEAR)
    g.fit("lr_no_intercept", LR(fit_intercept=False, max_iter=500), *cancer, tol=LINEAR)
    if VERSION < (1, 8):
        g.fit("lr_iris_liblinear", LR(random_state=0, solver="liblinear"), *iris, tol=LINEAR,
              notes="one-vs-rest, normalised")
        g.fit("lr_iris_ovr", LR(multi_class="ovr", max_iter=300), *iris, tol=LINEAR)
        g.fit("lr_cancer_multinomial", LR(multi_class="multinomial", max_iter=500), *cancer, tol=LINEAR,
              notes="binary with the softmax form: probabilities of +-decision")
        g.fit("lr_iris_saga_multinomial", LR(random_state=0, solver="saga", multi_class="multinomial",
                                             max_iter=100), *iris, tol=LINEAR)
    g.fit("lrcv_iris", L.LogisticRegressionCV(Cs=3, cv=3, max_iter=300), *iris, tol=LINEAR)
    g.fit("lrcv_cancer", L.LogisticRegressionCV(Cs=3, cv=3, max_iter=1000), *cancer, tol=LINEAR)


def regression(g):
    diab, linn, iris = D.diabetes_scaled(), D.linnerud(), D.iris()
    g.fit("linear_diab", L.LinearRegression(), *diab, tol=LINEAR, n=12)
    g.fit("linear_linnerud", L.LinearRegression(), *linn, tol=LINEAR, notes="three outputs")
    g.fit("linear_frame", L.LinearRegression(), D.iris_frame()[0], iris[1], tol=LINEAR)
    g.fit("linear_int", L.LinearRegression(), iris[0].astype(int), iris[1], tol=LINEAR, notes="trained on integers")
    g.fit("linear_column_y", L.LinearRegression(), iris[0], iris[1].reshape(-1, 1).astype(float), tol=LINEAR,
          notes="y of shape (n, 1): predictions are rows of one")
    g.fit("ridge_diab", L.Ridge(alpha=0.5), *diab, tol=LINEAR, n=8)
    g.fit("ridge_linnerud", L.Ridge(), *linn, tol=LINEAR, notes="three outputs")
    g.fit("ridgecv_diab", L.RidgeCV(), *diab, tol=LINEAR, n=8)
    g.fit("ridge_clf_cancer", L.RidgeClassifier(), *D.cancer(), tol=LINEAR)
    g.fit("ridge_clf_iris", L.RidgeClassifier(), *D.iris_named(), tol=LINEAR)
    g.fit("lasso_diab", L.Lasso(alpha=0.3), *diab, tol=LINEAR, n=8)
    g.fit("lassocv_diab", L.LassoCV(cv=3), *diab, tol=LINEAR, n=8)
    g.fit("elasticnet_diab", L.ElasticNet(alpha=0.01), *diab, tol=LINEAR, n=8)
    g.fit("bayesian_ridge_diab", L.BayesianRidge(), *diab, tol=LINEAR, n=8)
    g.fit("huber_diab", L.HuberRegressor(max_iter=300), *diab, tol=LINEAR, n=8)
    g.fit("poisson_linnerud", L.PoissonRegressor(), linn[0] / 100, linn[1][:, 0], tol=LINEAR, notes="log link")
    g.fit("linear_svr_diab", LinearSVR(max_iter=5000, random_state=0), *diab, tol=LINEAR, n=8)
    g.fit("linear_svc_cancer", LinearSVC(dual=False), *D.cancer(), tol=LINEAR)
    g.fit("linear_svc_iris", LinearSVC(dual=False), *D.iris_named(), tol=LINEAR)
    g.fit("linear_svc_crammer", LinearSVC(multi_class="crammer_singer", random_state=0, max_iter=5000), *iris,
          tol=LINEAR)


def sgd(g):
    iris, cancer, diab = D.iris(), D.cancer(), D.diabetes_scaled()
    for loss in ("log_loss", "modified_huber", "hinge"):
        g.fit(f"sgd_{loss}_iris", L.SGDClassifier(loss=loss, random_state=0), *iris, tol=LINEAR)
        g.fit(f"sgd_{loss}_cancer", L.SGDClassifier(loss=loss, random_state=0), cancer[0] / 100, cancer[1],
              tol=LINEAR)
    g.fit("sgd_average", L.SGDClassifier(loss="log_loss", average=True, random_state=0), *iris, tol=LINEAR)
    g.fit("sgd_reg_diab", L.SGDRegressor(random_state=0), *diab, tol=LINEAR, n=8)
    g.fit("perceptron_iris", L.Perceptron(random_state=0), *iris, tol=LINEAR)
    g.fit("perceptron_cancer", L.Perceptron(random_state=0), *cancer, tol=LINEAR)
    if hasattr(L, "PassiveAggressiveClassifier"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            g.fit("pa_iris", L.PassiveAggressiveClassifier(random_state=0), *iris, tol=LINEAR)
            g.fit("pa_reg_diab", L.PassiveAggressiveRegressor(random_state=0), *diab, tol=LINEAR, n=8)


def bayes(g):
    iris, digits = D.iris(), D.digits()
    g.fit("gnb_iris", GaussianNB(), *iris)
    g.fit("gnb_strings", GaussianNB(priors=[0.2, 0.5, 0.3]), *D.iris_named())
    counts = np.round(iris[0])
    pos = np.abs
    rows = sample(counts, n=18)
    g.fit("mnb_iris", MultinomialNB(), counts, iris[1], inputs=pos(rows))
    g.fit("mnb_binary", MultinomialNB(alpha=0.5, fit_prior=False), counts, iris[1] == 0, inputs=pos(rows))
    g.fit("cnb_iris", ComplementNB(), counts, iris[1], inputs=pos(rows))
    g.fit("cnb_norm", ComplementNB(norm=True), counts, iris[1], inputs=pos(rows))
    g.fit("bnb_iris", BernoulliNB(binarize=3.0), *iris)
    g.fit("bnb_digits", BernoulliNB(binarize=None), (digits[0] > 7).astype(float), digits[1], n=8, edges=False)


def discriminant(g):
    iris, cancer = D.iris(), D.cancer()
    g.fit("lda_iris", LinearDiscriminantAnalysis(), *iris, transform=True)
    g.fit("lda_iris_two", LinearDiscriminantAnalysis(n_components=1), *D.iris_named(), transform=True)
    g.fit("lda_cancer", LinearDiscriminantAnalysis(), *cancer, transform=True)
    g.fit("lda_lsqr", LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto"), *iris)
    g.fit("lda_eigen", LinearDiscriminantAnalysis(solver="eigen", shrinkage=0.2), *iris, transform=True)
    g.fit("qda_iris", QuadraticDiscriminantAnalysis(), *iris)
    g.fit("qda_cancer", QuadraticDiscriminantAnalysis(reg_param=0.1), *cancer)


def networks(g):
    iris, cancer, diab = D.iris(), D.cancer(), D.diabetes_scaled()
    for act in ("relu", "tanh", "logistic", "identity"):
        g.fit(f"mlp_iris_{act}", MLPClassifier(hidden_layer_sizes=(8,), activation=act, max_iter=150,
                                              random_state=0), *iris)
        g.fit(f"mlp_diab_{act}", MLPRegressor(hidden_layer_sizes=(6,), activation=act, max_iter=80,
                                             random_state=0), *diab, n=6)
    g.fit("mlp_cancer", MLPClassifier(hidden_layer_sizes=(8, 5), max_iter=100, random_state=0), *cancer,
          notes="binary: one output")
    g.fit("mlp_strings", MLPClassifier(hidden_layer_sizes=(5,), max_iter=100, random_state=0), *D.iris_named())
    g.fit("mlp_lbfgs", MLPClassifier(hidden_layer_sizes=(4,), solver="lbfgs", max_iter=100, random_state=0), *iris)
    g.fit("mlp_linnerud", MLPRegressor(hidden_layer_sizes=(6,), max_iter=100, random_state=0), *D.linnerud(),
          notes="three outputs")
    Y = np.column_stack([iris[1] == 0, iris[1] == 2]).astype(int)
    g.fit("mlp_multilabel", MLPClassifier(hidden_layer_sizes=(6,), max_iter=150, random_state=0), iris[0], Y,
          notes="multi-label: independent logistic outputs")
