/* Log ring, threads for model work, image decoders and the watch over the server. */
#ifndef MR_CLI_SERVE_OPS_H
#define MR_CLI_SERVE_OPS_H

#include "core/config.h"
#include "core/core.h"

/* First of all, so that no line is missing; the log's tap lives until mr_serve_log_close. */
int mr_serve_log_open(struct mr_core *core, struct mr_err *e);
void mr_serve_log_close(struct mr_core *core);
/* After the catalogue's models. What was opened before an error is closed by the two below. */
int mr_serve_ops_open(struct mr_core *core, const struct mr_config *c, struct mr_err *e);
void mr_serve_ops_stop(struct mr_core *core);  /* before the models leave: nothing uses them now */
void mr_serve_ops_close(struct mr_core *core); /* after they left */

#endif
