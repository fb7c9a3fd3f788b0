/* The data-only pickle machine: protocols 0-5, plain or joblib (raw or compressed).
 *
 * Opcodes build inert nodes. GLOBAL is a pair of strings; REDUCE, NEWOBJ and BUILD make nodes that
 * remember class, arguments and state. Nothing is ever imported, looked up or called, so the loader
 * is the security check. The only constructors with built-in meaning are data ones: numpy dtype,
 * ndarray (_reconstruct, _frombuffer), numpy scalar, _codecs.encode, bytes, bytearray,
 * copyreg._reconstructor, collections.OrderedDict/defaultdict, builtins set/frozenset/list/dict/
 * tuple/complex/slice/range with literal arguments, and joblib's NumpyArrayWrapper.
 *
 * Sources of the format: CPython Lib/pickletools.py (opcode table), PEP 307, PEP 574;
 * numpy.ndarray.__reduce__; joblib.numpy_pickle.
 *
 * Threads: a document belongs to one thread. Nodes live until mr_pickle_free and point into the
 * input where they can, so the input must outlive the document.
 */
#ifndef MR_WIRE_PICKLE_H
#define MR_WIRE_PICKLE_H

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum mr_pk_type {
    MR_PK_NONE,
    MR_PK_BOOL,   /* i */
    MR_PK_INT,    /* i */
    MR_PK_BIGINT, /* s: little-endian two's complement, more than 8 bytes */
    MR_PK_FLOAT,  /* f */
    MR_PK_STR,    /* s, UTF-8 */
    MR_PK_BYTES,  /* s; also bytearray */
    MR_PK_LIST,   /* l */
    MR_PK_TUPLE,  /* l */
    MR_PK_DICT,   /* l: key, value, key, value… in insertion order */
    MR_PK_SET,    /* l */
    MR_PK_GLOBAL, /* g */
    MR_PK_OBJ,    /* o */
    MR_PK_ARRAY,  /* a: numpy ndarray */
    MR_PK_DTYPE,  /* d: numpy dtype */
};

struct mr_pk;

struct mr_pk_field {
    struct mr_str name;
    uint32_t offset;
    const struct mr_pk *dtype;
};

/* A node is allocated only as large as its type needs: copy members, never whole structs.
 * Dicts keep repeated keys (the last one counts, as in Python; mr_pk_get looks from the end).
 * A scalar of numpy becomes BOOL/INT/FLOAT/STR/BYTES where one fits, else a 0-d ARRAY. complex,
 * slice and range stay OBJ with their arguments. */
struct mr_pk {
    uint8_t type;   /* enum mr_pk_type */
    uint8_t flags;  /* the machine's own (wire/pickle_vm.h) */
    uint16_t depth; /* of the containers below, when they were complete before being added */
    union {
        int64_t i;
        double f;
        struct mr_str s;
        struct {
            struct mr_pk **v;
            size_t n, cap;
        } l;
        struct {
            struct mr_str mod, name;
        } g;
        struct {
            struct mr_pk *cls;   /* MR_PK_GLOBAL, or the callable node of a REDUCE */
            struct mr_pk *args;  /* MR_PK_TUPLE or NULL */
            struct mr_pk *state; /* what BUILD gave, or NULL */
            struct mr_pk *items; /* LIST (APPEND) or DICT (SETITEM) given to it, or NULL */
        } o;
        struct {
            const struct mr_pk *dtype;
            int ndim;
            int64_t shape[8];
            int64_t count;       /* product of shape */
            const uint8_t *data; /* count * dtype size bytes, or NULL for object arrays */
            struct mr_pk *objs;  /* LIST of count nodes for object arrays */
            bool fortran;        /* column-major */
        } a;
        struct {
            char kind;        /* numpy kind: b i u f c S U O V M m */
            bool swapped;     /* big-endian data */
            uint32_t size;    /* bytes an item */
            uint32_t n_field; /* structured dtypes */
            struct mr_pk_field *field;
        } d;
    };
};

struct mr_pk_limits {
    size_t max_memory; /* bytes of nodes, stack, memo and decompressed data together */
    size_t max_nodes;
    unsigned max_depth; /* nested pickles (joblib object arrays) and container walk depth */
    unsigned max_ratio; /* decompressed : compressed */
};
struct mr_pk_limits mr_pk_default_limits(void); /* 1 GiB, 50 M nodes, depth 64, ratio 200 */

struct mr_pk_doc;

/* Reads one document from p[0..n). Decompresses first when the bytes say so (zlib, gzip, bz2, xz,
 * lzma, lz4 frame, joblib's old "ZF" prefix). MR_EREFUSED with the reason (opcode, offset) when
 * damaged, over a limit, or using an opcode that has no data meaning. */
int mr_pickle_load(const void *p, size_t n, const struct mr_pk_limits *limits,
                   struct mr_pk_doc **ret, struct mr_err *e);
void mr_pickle_free(struct mr_pk_doc *d);
const struct mr_pk *mr_pickle_root(const struct mr_pk_doc *d);
/* Memory of the document; converters may allocate temporaries here. */
struct mr_arena *mr_pickle_arena(struct mr_pk_doc *d);
/* Bytes after STOP that were not read (raw pickle only). */
size_t mr_pickle_trailing(const struct mr_pk_doc *d);
/* Pickle-like first bytes (protocol mark, or protocol-0/1 opcodes; or a compressed stream whose
 * first decompressed bytes are). Cheap; never the only check. */
bool mr_pickle_sniff(const void *p, size_t n);

/* --- typed views (NULL-safe: a NULL node is "absent") ------------------------------------- */
bool mr_pk_is_global(const struct mr_pk *n, const char *mod, const char *name);
/* "module.Name" of an object's class, into out; "" when it is no object. */
void mr_pk_class_name(const struct mr_pk *n, char *out, size_t cap);
/* The class's last name only ("RandomForestClassifier"); empty slice when it is no object. */
struct mr_str mr_pk_class_short(const struct mr_pk *n);
/* Attribute of an object's state dict (a (dict, slots) tuple state is looked through). */
const struct mr_pk *mr_pk_attr(const struct mr_pk *obj, const char *name);
/* Value of a string key in a DICT node or in the items of a dict subclass object. */
const struct mr_pk *mr_pk_get(const struct mr_pk *dict, const char *key);
/* Items of LIST/TUPLE/SET, of an object array, or of a list subclass; false otherwise. */
bool mr_pk_seq(const struct mr_pk *n, struct mr_pk *const **ret_v, size_t *ret_n);
/* INT/BOOL/FLOAT/numpy scalar/0-d or 1-element array. */
bool mr_pk_num(const struct mr_pk *n, double *ret);
bool mr_pk_int(const struct mr_pk *n, int64_t *ret);
bool mr_pk_bool(const struct mr_pk *n, bool *ret);
bool mr_pk_str(const struct mr_pk *n, struct mr_str *ret);
/* Numeric array (or a number, or a list of numbers) as row-major doubles in the arena.
 * ret_rows/ret_cols: 1-d arrays are rows x 1; more dimensions fold into cols. */
int mr_pk_f64(struct mr_arena *a, const struct mr_pk *n, const double **ret, size_t *ret_rows,
              size_t *ret_cols, struct mr_err *e);
/* Element i of a numeric or string array as a node (made in the arena; object arrays return
 * theirs), so that class labels of any dtype can be walked. NULL when out of range or out of
 * memory. */
const struct mr_pk *mr_pk_item(struct mr_arena *a, const struct mr_pk *n, size_t i);
/* Number of elements of a sequence or array along its first axis; 0 when neither. */
size_t mr_pk_len(const struct mr_pk *n);
/* A scipy.sparse CSR matrix or array (any module path), checked: indptr starts at 0, never falls
 * and ends at nnz, every column index is in range. */
struct mr_pk_csr {
    size_t rows, cols, nnz;
    const double *data;
    const int64_t *indices; /* nnz columns */
    const int64_t *indptr;  /* rows + 1 */
};
int mr_pk_csr(struct mr_arena *a, const struct mr_pk *n, struct mr_pk_csr *ret, struct mr_err *e);
/* Integer or bool array, list or number, flattened in row-major order. */
int mr_pk_i64(struct mr_arena *a, const struct mr_pk *n, const int64_t **ret, size_t *ret_n,
              struct mr_err *e);
/* Field `name` of a structured array as doubles (count of them) in the arena. */
int mr_pk_field_f64(struct mr_arena *a, const struct mr_pk *arr, const char *name,
                    const double **ret, size_t *ret_n, struct mr_err *e);
/* The same as 64-bit integers (integer and bool fields). */
int mr_pk_field_i64(struct mr_arena *a, const struct mr_pk *arr, const char *name,
                    const int64_t **ret, size_t *ret_n, struct mr_err *e);

#endif
