/* Files of the /docs page and of the dashboard, embedded at build. */
#ifndef MR_API_WEB_ASSETS_H
#define MR_API_WEB_ASSETS_H

#include "base/str.h"

struct mr_web_asset {
    const char *type;
    const unsigned char *start;
    size_t len;
};
/* False when there is no file of this name. Thread-safe. */
bool mr_web_asset_find(struct mr_str name, struct mr_web_asset *ret);

#endif
