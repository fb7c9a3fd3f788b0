/* The catalogue's models, text generation and jobs, opened in order by the server. */
#ifndef MR_CLI_SERVE_AI_H
#define MR_CLI_SERVE_AI_H

#include "core/config.h"
#include "core/core.h"

/* After the money: text generation charges. What was opened before an error is closed by
 * mr_serve_ai_close. Models load later, at their first use. */
int mr_serve_ai_open(struct mr_core *core, const struct mr_config *c, struct mr_err *e);
/* After the last request; generations under way are cut off. */
void mr_serve_ai_close(struct mr_core *core);

#endif
