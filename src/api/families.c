#include "api/families.h"

#include "api/aisemble/aisemble.h"
#include "api/generator/generator.h"
#include "api/kserve/kserve.h"
#include "api/openai/openai.h"
#include "api/serveml/serveml.h"
#include "api/tasks/tasks.h"

const struct mr_family *const mr_families[] = {&mr_family_serveml,
                                               &mr_family_aisemble,
                                               &mr_family_tasks,
                                               &mr_family_generator,
                                               &mr_family_kserve,
                                               &mr_family_openai,
                                               0};
