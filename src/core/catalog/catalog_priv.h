/* Inside the catalogue. */
#ifndef MR_CORE_CATALOG_CATALOG_PRIV_H
#define MR_CORE_CATALOG_CATALOG_PRIV_H

#include "base/arena.h"
#include "core/catalog/catalog.h"

/* An embedded file (CMakeLists.txt: models/catalog.toml). */
struct mr_catalog_file {
    const char *name, *text;
};
extern const struct mr_catalog_file mr_catalog_files[];

#define MR_CATALOG_MODELS_MAX   1000
#define MR_CATALOG_ALIASES_MAX  2000
#define MR_CATALOG_ADAPTERS_MAX 1000

struct mr_catalog_alias {
    struct mr_alias alias;
    enum mr_model_kind kind; /* MR_KIND_N: for all */
};
struct mr_catalog {
    struct mr_arena arena;
    char *models_dir, *data_dir; /* data_dir NULL: none */
    struct mr_catalog_model *model;
    size_t n_model, cap_model;
    struct mr_catalog_alias *alias;
    size_t n_alias, cap_alias;
    struct mr_alias *shown; /* the aliases alone */
    struct mr_catalog_adapter *adapter;
    const char **adapter_base; /* as the files name it, resolved when all are read */
    size_t n_adapter, cap_adapter;
};

/* Adds what a file says; own: of the operator, whose files lie in `dir`. */
int mr_catalog_load(struct mr_catalog *c, const char *name, struct mr_str text, bool own,
                    struct mr_err *e);
/* Bytes of the files in a model's folder, or of its own file; 0: not installed. */
uint64_t mr_catalog_size(const struct mr_catalog_model *m);
bool mr_kind_parse(struct mr_str s, enum mr_model_kind *ret);

#endif
