/* The messages between the server and an ONNX worker (both the same program, same machine):
 *
 *   server -> worker   one "hello", then requests
 *   worker -> server   one "ready" or error after the hello, then one reply a request
 *
 * hello    struct mr_onnx_hello
 * ready    u8 1, u32 inputs, u32 outputs, values: u32 name length, name, u32 kind, u32 element
 * type, u32 rank (UINT32_MAX = not stated), i64 dimensions error    u8 0, text to the end ask u32
 * of enum mr_onnx_ask, then the request; or u64, its length in the shared memory request  u32
 * tensors, tensors in the order of the inputs answer   u8 1, then the reply; or u8 2, u64, its
 * length in the shared memory; or an error reply    u32 outputs, each: u32 kind, then a tensor; a
 * list of maps is two tensors, keys and values, both [rows, entries] tensor   u32 element type, u32
 * rank, i64 dimensions, u64 bytes, the bytes; strings are u32 length and bytes each
 *
 * The server trusts the worker no more than a client: everything is checked on arrival. */
#ifndef MR_ENGINE_ONNX_TENSORS_H
#define MR_ENGINE_ONNX_TENSORS_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "wire/onnx.h"

#define MR_ONNX_MESSAGE_MAX ((size_t)512 << 20)

enum { /* how an answer begins */
       MR_ONNX_ERROR = 0,
       MR_ONNX_HERE = 1,
       MR_ONNX_SHARED = 2,
};
enum mr_onnx_ask {
    MR_ONNX_ASK_SHARED = 1, /* the request lies in the shared memory */
    MR_ONNX_ASK_WIDE = 2,   /* with all threads */
};
struct mr_onnx_hello {
    uint64_t memory_limit; /* bytes beyond the worker itself, 0 = none */
    uint64_t threads;      /* of a wide run; 1: there are none */
};

struct mr_tensor {
    int32_t elem; /* enum mr_onnx_type */
    int rank;
    int64_t dim[MR_ONNX_MAX_RANK];
    size_t count;             /* product of dim */
    const void *data;         /* count elements; NULL for strings */
    const struct mr_str *str; /* count strings */
};
struct mr_onnx_result {
    enum mr_onnx_kind kind;
    struct mr_tensor t;    /* tensor; or keys of the maps */
    struct mr_tensor vals; /* values of the maps */
};

/* Bytes of one element, 0 for strings and types that are not served. */
size_t mr_onnx_elem_size(int32_t elem);

void mr_tensors_put_u32(struct mr_buf *b, uint32_t v);
void mr_tensors_put_u64(struct mr_buf *b, uint64_t v);
/* Type, shape and byte count; the caller appends the bytes. */
void mr_tensors_put_tensor_head(struct mr_buf *b, int32_t elem, int rank, const int64_t *dim,
                                uint64_t bytes);
void mr_tensors_put_tensor(struct mr_buf *b, const struct mr_tensor *t);

struct mr_reader {
    const uint8_t *p, *end;
    bool stays; /* the bytes outlive what is read from them, and nobody else writes to them */
};
bool mr_tensors_get_u32(struct mr_reader *r, uint32_t *ret);
bool mr_tensors_get_u64(struct mr_reader *r, uint64_t *ret);
bool mr_tensors_get_bytes(struct mr_reader *r, size_t n, const uint8_t **ret);
/* Data is copied into the arena, aligned; where the reader's bytes stay and are aligned as they
 * are, it is not copied. False: damaged, too large, or an unknown type. */
bool mr_tensors_get_tensor(struct mr_reader *r, struct mr_arena *a, struct mr_tensor *ret);

void mr_tensors_put_values(struct mr_buf *b, const struct mr_onnx_value *v, uint32_t n);
bool mr_tensors_get_values(struct mr_reader *r, struct mr_arena *a, uint32_t n,
                           struct mr_onnx_value **ret);

#endif
