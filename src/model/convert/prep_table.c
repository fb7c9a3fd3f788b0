#include "model/convert/convert.h"

const struct mr_converter mr_convert_prep[] = {
    {NULL, NULL, NULL, NULL},
};
