#ifndef MR_API_STATS_MONEY_H
#define MR_API_STATS_MONEY_H

#include "base/buf.h"

struct mr_core;
/* Appends the series of tasks and providers; nothing where those parts are not there. */
void mr_stats_render_money(struct mr_core *core, struct mr_buf *out);

#endif
