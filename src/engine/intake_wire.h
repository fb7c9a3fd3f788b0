/* What the server and the intake child say to each other over descriptor 3: first the limits, then
 * (at once, or hours later for a child that waits as a spare) one job together with two
 * descriptors, then one JSON reply. Both are the same program, so the two records are structs. */
#ifndef MR_ENGINE_INTAKE_WIRE_H
#define MR_ENGINE_INTAKE_WIRE_H

#include <stdbool.h>
#include <stdint.h>

struct mr_intake_limits { /* a message of io/child.h */
    uint64_t memory_max, cpu_seconds;
    uint64_t file_max; /* the largest file a job may bring: comes on top of memory_max */
};
struct mr_intake_job { /* with mr_fds_send: the uploaded file, then the program to write */
    uint64_t name_len;
    char name[256];
};
/* Reply, a message: {"kind":1|2,"metadata":{…}} or {"code":-15,"text":"…"}. */

#define MR_INTAKE_EXIT_SANDBOX 3

/* Sanitizer reports of the child must be seen. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define MR_INTAKE_STDERR true
#else
#define MR_INTAKE_STDERR false
#endif

#endif
