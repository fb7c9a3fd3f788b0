/* Intake: an uploaded model file of unknown honesty -> a compiled program, in a child process under
 * seccomp that can only read its file and write its result. Blocking; call from a pool thread. */
#ifndef MR_ENGINE_INTAKE_H
#define MR_ENGINE_INTAKE_H

#include "base/arena.h"
#include "base/err.h"
#include "engine/engine.h"

/* The children of a server: those that read a file, and a spare that is started and sandboxed ahead
 * of its file, which saves the upload that takes it the start of a process. Each child reads one
 * file only. Thread-safe. */
struct mr_intake_crew;
int mr_intake_crew_new(const char *self_exe, struct mr_intake_crew **ret, struct mr_err *e);
/* Starts a spare unless one waits; returns before it is ready. Blocks for about a millisecond.
 * MR_EIO and the like when it cannot start: runs start their own then. */
int mr_intake_crew_fill(struct mr_intake_crew *c, struct mr_err *e);
/* Kills every child; runs end with an error, and later ones are refused with MR_EUNAVAIL. */
void mr_intake_crew_stop(struct mr_intake_crew *c);
void mr_intake_crew_free(struct mr_intake_crew *c); /* when no run uses it; takes NULL */

struct mr_intake_config {
    const char *self_exe;        /* this program; re-run as "millrace __intake" */
    struct mr_intake_crew *crew; /* NULL: none. Its spare is used for files up to 64
                                  * MiB under the default limits */
    uint64_t memory_max;         /* address space of the child, default 4 GiB */
    int64_t timeout_ms;          /* default 60,000 */
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
