/* Files of the /docs page, embedded at build: our page and the bundled viewer. */
#ifndef MR_API_DOCS_ASSETS_H
#define MR_API_DOCS_ASSETS_H

#include "base/str.h"

struct mr_docs_asset {
    const char *type;
    const unsigned char *start;
    size_t len;
};
/* False when there is no file of this name. Thread-safe. */
bool mr_docs_asset_find(struct mr_str name, struct mr_docs_asset *ret);

#endif
