#include "model/convert/convert.h"

const struct mr_converter mr_convert_trees[] = {
    {NULL, NULL, NULL, NULL},
};
