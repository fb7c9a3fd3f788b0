/* The parts that talk to model providers and keep the books, opened in order by the server. */
#ifndef MR_CLI_SERVE_MONEY_H
#define MR_CLI_SERVE_MONEY_H

#include "core/config.h"
#include "core/core.h"

/* `c` must outlive the parts. What was opened before an error is closed by mr_serve_money_close. */
int mr_serve_money_open(struct mr_core *core, const struct mr_config *c, struct mr_err *e);
/* After the last request: tasks under way end first (the deadline bounds them). */
void mr_serve_money_close(struct mr_core *core);

#endif
