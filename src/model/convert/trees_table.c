#include "model/convert/trees_sklearn.h"

#define ROW(name, fn)                                                                              \
    { "sklearn", name, NULL, fn }

const struct mr_converter mr_convert_trees[] = {
    ROW("DecisionTreeClassifier", mr_conv_forest),
    ROW("DecisionTreeRegressor", mr_conv_forest),
    ROW("ExtraTreeClassifier", mr_conv_forest),
    ROW("ExtraTreeRegressor", mr_conv_forest),
    ROW("RandomForestClassifier", mr_conv_forest),
    ROW("RandomForestRegressor", mr_conv_forest),
    ROW("ExtraTreesClassifier", mr_conv_forest),
    ROW("ExtraTreesRegressor", mr_conv_forest),
    ROW("GradientBoostingClassifier", mr_conv_gradient),
    ROW("GradientBoostingRegressor", mr_conv_gradient),
    ROW("HistGradientBoostingClassifier", mr_conv_hist),
    ROW("HistGradientBoostingRegressor", mr_conv_hist),
    ROW("AdaBoostClassifier", mr_conv_ada),
    ROW("AdaBoostRegressor", mr_conv_ada),
    ROW("BaggingClassifier", mr_conv_bagging),
    ROW("BaggingRegressor", mr_conv_bagging),
    ROW("IsolationForest", mr_conv_iforest),
    {NULL, NULL, NULL, NULL},
};
