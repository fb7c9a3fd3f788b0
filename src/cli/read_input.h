/* What a verb takes as text: an argument, @FILE, or - for standard input. */
#ifndef MR_CLI_READ_INPUT_H
#define MR_CLI_READ_INPUT_H

#include "base/buf.h"
#include "base/err.h"

/* Appends to `out`, whose cap bounds it: MR_ETOOBIG. */
int mr_cli_read_input(const char *arg, struct mr_buf *out, struct mr_err *e);

#endif
