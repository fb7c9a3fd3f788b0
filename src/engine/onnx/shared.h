/* Memory that the server and one ONNX worker both see, for tensors that are too large for a socket:
 * a request in the first half, its reply in the second. Who reads takes a length that it checked
 * itself; the server copies a reply out before it looks at it, as the worker could go on writing.
 */
#ifndef MR_ENGINE_ONNX_SHARED_H
#define MR_ENGINE_ONNX_SHARED_H

#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

#define MR_ONNX_SHARED_HALF  ((size_t)32 << 20) /* only what is written takes memory */
#define MR_ONNX_SHARED_LEAST ((size_t)16 << 10) /* what is smaller goes through the socket */

struct mr_onnx_shared {
    uint8_t *request, *reply; /* NULL: not mapped */
    size_t used;              /* the larger of the two since the last tidy */
};
/* The server's side: a memory file whose size is sealed, and its mapping. */
int mr_onnx_shared_new(struct mr_onnx_shared *ret, int *ret_fd, struct mr_err *e);
/* The worker's side: `fd` must be as long as both halves. */
int mr_onnx_shared_map(int fd, struct mr_onnx_shared *ret, struct mr_err *e);
void mr_onnx_shared_release(struct mr_onnx_shared *s);
/* After an exchange: gives memory back when it was a large one. */
void mr_onnx_shared_tidy(struct mr_onnx_shared *s);

#endif
