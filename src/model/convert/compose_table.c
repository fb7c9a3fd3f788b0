#include "model/convert/convert.h"

const struct mr_converter mr_convert_compose[] = {
    {NULL, NULL, NULL, NULL},
};
