#include "model/convert/convert.h"

const struct mr_converter mr_convert_linear[] = {
    {NULL, NULL, NULL, NULL},
};
