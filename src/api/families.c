#include "api/families.h"

#include "api/serveml/serveml.h"

const struct mr_family *const mr_families[] = {&mr_family_serveml, 0};
