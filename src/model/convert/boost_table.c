#include "model/convert/convert.h"

const struct mr_converter mr_convert_boost[] = {
    {NULL, NULL, NULL, NULL},
};
