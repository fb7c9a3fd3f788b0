#include "core/catalog/drivers.h"

const struct mr_model_driver mr_model_drivers[MR_KIND_N] = {
    [MR_KIND_KEYWORDS] = {.open = NULL},
    [MR_KIND_SUMMARY] = {.open = NULL},
};
