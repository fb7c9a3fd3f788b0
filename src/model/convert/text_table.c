#include "model/convert/convert.h"

const struct mr_converter mr_convert_text[] = {
    {NULL, NULL, NULL, NULL},
};
