/* Intake: an uploaded model file of unknown honesty -> a compiled program, in a child process under
 * seccomp that can only read its file and write its result. Blocking; call from a pool thread. */
#ifndef MR_ENGINE_INTAKE_H
#define MR_ENGINE_INTAKE_H

#include "base/arena.h"
#include "base/err.h"
#include "engine/engine.h"

struct mr_intake_config {
    const char *self_exe; /* this program; re-run as "millrace __intake" */
    uint64_t memory_max;  /* address space of the child, default 4 GiB */
    int64_t timeout_ms;   /* default 60,000 */
};

struct mr_intake_result {
    enum mr_engine_kind kind;
    struct mr_str metadata; /* JSON object: framework, framework_version, model_type, input_shape,
                             * output_shape, feature_names, estimated_memory_mb, warnings … */
};

/* Reads model_fd (any format; detected by content, `file_name` only sharpens messages) and writes
 * the compiled program to out_fd (native; opened for reading and writing, the child checks what it
 * wrote) — for ONNX out_fd stays empty, the file itself is served.
 * MR_EREFUSED / MR_EUNSUPPORTED / MR_EINVAL with the reason for the user. */
int mr_intake_run(const struct mr_intake_config *c, int model_fd, struct mr_str file_name,
                  int out_fd, struct mr_arena *arena, struct mr_intake_result *ret,
                  struct mr_err *e);
/* Entry of the child: main() calls it for argv[1] == "__intake". */
int mr_intake_child_main(void);

#endif
