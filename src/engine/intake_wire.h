/* What the server and the intake child say to each other over descriptor 5: one request, one JSON
 * reply, both as messages of io/child.h. Both are the same program, so the request is a struct. */
#ifndef MR_ENGINE_INTAKE_WIRE_H
#define MR_ENGINE_INTAKE_WIRE_H

#include <stdbool.h>
#include <stdint.h>

struct mr_intake_request {
    uint64_t memory_max, cpu_seconds;
    uint64_t name_len;
    char name[256];
};
/* Reply: {"kind":1|2,"metadata":{…}} or {"code":-15,"text":"…"}. */

#define MR_INTAKE_EXIT_SANDBOX 3

/* Sanitizer reports of the child must be seen. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define MR_INTAKE_STDERR true
#else
#define MR_INTAKE_STDERR false
#endif

#endif
