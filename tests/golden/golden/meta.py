"""Estimators made of estimators."""

import numpy as np
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import (BaggingClassifier, BaggingRegressor, RandomForestClassifier, StackingClassifier,
                              StackingRegressor, VotingClassifier, VotingRegressor)
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.multiclass import OneVsOneClassifier, OneVsRestClassifier
from sklearn.multioutput import ClassifierChain, MultiOutputClassifier, MultiOutputRegressor
from sklearn.naive_bayes import GaussianNB
from sklearn.svm import LinearSVC
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from . import data as D


def build(g):
    X, y = D.iris()
    cancer, named, diab = D.cancer(), D.iris_named(), D.diabetes_scaled()
    lr = lambda: LogisticRegression(max_iter=300)
    tree = lambda: DecisionTreeClassifier(max_depth=3, random_state=0)
    g.fit("calibrated_sigmoid", CalibratedClassifierCV(LinearSVC(dual=False), cv=3), *cancer)
    g.fit("calibrated_sigmoid_multi", CalibratedClassifierCV(LinearSVC(dual=False), cv=3), *named)
    g.fit("calibrated_isotonic", CalibratedClassifierCV(tree(), method="isotonic", cv=3), *cancer)
    g.fit("calibrated_one", CalibratedClassifierCV(GaussianNB(), ensemble=False, cv=3), X, y)
    trio = lambda: [("lr", lr()), ("nb", GaussianNB()), ("tree", tree())]
    g.fit("voting_hard", VotingClassifier(trio()), *named)
    g.fit("voting_soft", VotingClassifier(trio(), voting="soft", weights=[2, 1, 0.5]), *named)
    g.fit("voting_reg", VotingRegressor([("a", Ridge()), ("b", DecisionTreeRegressor(max_depth=3))], weights=[1, 3]),
          *diab, n=6)
    g.fit("stacking", StackingClassifier(trio()[:2], final_estimator=lr(), cv=3), *cancer)
    g.fit("stacking_multi", StackingClassifier(trio(), final_estimator=lr(), cv=3, passthrough=True), X, y)
    g.fit("stacking_reg", StackingRegressor([("a", Ridge()), ("b", LinearRegression())], final_estimator=Ridge(),
                                            cv=3), *diab, n=6)
    g.fit("bagging", BaggingClassifier(tree(), n_estimators=5, random_state=0), X, y)
    g.fit("bagging_features", BaggingClassifier(lr(), n_estimators=4, max_features=0.5, random_state=0), *named)
    g.fit("bagging_vote", BaggingClassifier(LinearSVC(dual=False), n_estimators=5, random_state=0), X, y,
          notes="members without probabilities vote")
    g.fit("bagging_reg", BaggingRegressor(DecisionTreeRegressor(max_depth=3), n_estimators=4, random_state=0), *diab,
          n=6)
    g.fit("ovr_lr", OneVsRestClassifier(lr()), X, y)
    g.fit("ovr_svc", OneVsRestClassifier(LinearSVC(dual=False)), *named)
    g.fit("ovo_svc", OneVsOneClassifier(LinearSVC(dual=False)), X, y)
    Y2 = np.column_stack([y, (X[:, 0] > 5.8).astype(int)])
    g.fit("multi_clf", MultiOutputClassifier(RandomForestClassifier(n_estimators=4, max_depth=3, random_state=0)), X,
          Y2)
    g.fit("multi_reg", MultiOutputRegressor(Ridge()), *D.linnerud())
    g.fit("chain", ClassifierChain(lr()), X, np.column_stack([y == 0, X[:, 0] > 5.8]).astype(int))
