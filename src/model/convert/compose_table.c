#include "model/convert/steps.h"

#define SEARCH(name)                                                                               \
    { "sklearn", name, mr_compose_search, mr_compose_search_est }
#define EST(name, fn)                                                                              \
    { "sklearn", name, NULL, fn }

const struct mr_converter mr_convert_compose[] = {
    {"sklearn", "Pipeline", mr_compose_pipeline, mr_compose_pipeline_est},
    {"sklearn", "FeatureUnion", mr_compose_union, NULL},
    {"sklearn", "ColumnTransformer", mr_compose_columns, NULL},
    SEARCH("GridSearchCV"),
    SEARCH("RandomizedSearchCV"),
    SEARCH("HalvingGridSearchCV"),
    SEARCH("HalvingRandomSearchCV"),
    EST("TransformedTargetRegressor", mr_compose_target),
    EST("VotingClassifier", mr_compose_voting),
    EST("VotingRegressor", mr_compose_voting),
    EST("StackingClassifier", mr_compose_stacking),
    EST("StackingRegressor", mr_compose_stacking),
    EST("ClassifierChain", mr_compose_chain),
    EST("RegressorChain", mr_compose_chain),
    {NULL, NULL, NULL, NULL},
};
