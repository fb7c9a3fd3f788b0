#include "engine/onnx/tensors.h"

size_t mr_onnx_elem_size(int32_t elem) {
    switch (elem) {
    case MR_ONNX_UINT8:
    case MR_ONNX_INT8:
    case MR_ONNX_BOOL:
        return 1;
    case MR_ONNX_UINT16:
    case MR_ONNX_INT16:
        return 2;
    case MR_ONNX_FLOAT:
    case MR_ONNX_INT32:
    case MR_ONNX_UINT32:
        return 4;
    case MR_ONNX_DOUBLE:
    case MR_ONNX_INT64:
    case MR_ONNX_UINT64:
        return 8;
    default:
        return 0;
    }
}

void mr_tensors_put_u32(struct mr_buf *b, uint32_t v) {
    mr_buf_add(b, &v, sizeof v);
}

void mr_tensors_put_u64(struct mr_buf *b, uint64_t v) {
    mr_buf_add(b, &v, sizeof v);
}

void mr_tensors_put_tensor_head(struct mr_buf *b, int32_t elem, int rank, const int64_t *dim,
                                uint64_t bytes) {
    mr_tensors_put_u32(b, (uint32_t)elem);
    mr_tensors_put_u32(b, (uint32_t)rank);
    mr_buf_add(b, dim, (size_t)rank * sizeof *dim);
    mr_tensors_put_u64(b, bytes);
}

void mr_tensors_put_tensor(struct mr_buf *b, const struct mr_tensor *t) {
    if (t->elem != MR_ONNX_STRING) {
        size_t n = t->count * mr_onnx_elem_size(t->elem);
        mr_tensors_put_tensor_head(b, t->elem, t->rank, t->dim, n);
        mr_buf_add(b, t->data, n);
        return;
    }
    uint64_t n = 0;
    for (size_t k = 0; k < t->count; k++)
        n += 4 + t->str[k].n;
    mr_tensors_put_tensor_head(b, t->elem, t->rank, t->dim, n);
    for (size_t k = 0; k < t->count; k++) {
        mr_tensors_put_u32(b, (uint32_t)t->str[k].n);
        mr_buf_str(b, t->str[k]);
    }
}

bool mr_tensors_get_bytes(struct mr_reader *r, size_t n, const uint8_t **ret) {
    if (n > (size_t)(r->end - r->p))
        return false;
    *ret = r->p;
    r->p += n;
    return true;
}

bool mr_tensors_get_u32(struct mr_reader *r, uint32_t *ret) {
    const uint8_t *p;
    if (!mr_tensors_get_bytes(r, sizeof *ret, &p))
        return false;
    memcpy(ret, p, sizeof *ret);
    return true;
}

bool mr_tensors_get_u64(struct mr_reader *r, uint64_t *ret) {
    const uint8_t *p;
    if (!mr_tensors_get_bytes(r, sizeof *ret, &p))
        return false;
    memcpy(ret, p, sizeof *ret);
    return true;
}

static bool get_strings(struct mr_reader r, struct mr_arena *a, struct mr_tensor *t) {
    if (t->count > (size_t)(r.end - r.p) / 4) /* each takes at least its length */
        return false;
    struct mr_str *s = mr_arena_array(a, t->count ? t->count : 1, sizeof *s);
    if (!s)
        return false;
    for (size_t k = 0; k < t->count; k++) {
        uint32_t n;
        const uint8_t *p;
        if (!mr_tensors_get_u32(&r, &n) || !mr_tensors_get_bytes(&r, n, &p))
            return false;
        char *copy = mr_arena_strn(a, (const char *)p, n);
        if (!copy)
            return false;
        s[k] = (struct mr_str){copy, n};
    }
    t->str = s;
    return r.p == r.end;
}

bool mr_tensors_get_tensor(struct mr_reader *r, struct mr_arena *a, struct mr_tensor *ret) {
    struct mr_tensor t = {.count = 1};
    uint32_t elem, rank;
    uint64_t bytes;
    const uint8_t *p;
    if (!mr_tensors_get_u32(r, &elem) || !mr_tensors_get_u32(r, &rank) || rank > MR_ONNX_MAX_RANK ||
        elem > 1000)
        return false;
    t.elem = (int32_t)elem;
    t.rank = (int)rank;
    for (uint32_t k = 0; k < rank; k++) {
        uint64_t d;
        if (!mr_tensors_get_u64(r, &d) || d > MR_ONNX_MESSAGE_MAX ||
            __builtin_mul_overflow(t.count, (size_t)d, &t.count))
            return false;
        t.dim[k] = (int64_t)d;
    }
    if (!mr_tensors_get_u64(r, &bytes) || bytes > SIZE_MAX ||
        !mr_tensors_get_bytes(r, (size_t)bytes, &p))
        return false;
    if (t.elem == MR_ONNX_STRING) {
        if (!get_strings((struct mr_reader){.p = p, .end = p + bytes}, a, &t))
            return false;
    } else {
        size_t size = mr_onnx_elem_size(t.elem), want;
        if (!size || __builtin_mul_overflow(t.count, size, &want) || want != bytes)
            return false;
        t.data = p;
        if (!r->stays || (uintptr_t)p % size) {
            void *copy = mr_arena_alloc(a, want ? want : 1);
            if (!copy)
                return false;
            if (want)
                memcpy(copy, p, want);
            t.data = copy;
        }
    }
    *ret = t;
    return true;
}

void mr_tensors_put_values(struct mr_buf *b, const struct mr_onnx_value *v, uint32_t n) {
    for (uint32_t k = 0; k < n; k++) {
        mr_tensors_put_u32(b, (uint32_t)v[k].name.n);
        mr_buf_str(b, v[k].name);
        mr_tensors_put_u32(b, (uint32_t)v[k].kind);
        mr_tensors_put_u32(b, (uint32_t)v[k].elem);
        mr_tensors_put_u32(b, (uint32_t)v[k].rank);
        if (v[k].rank > 0)
            mr_buf_add(b, v[k].dim, (size_t)v[k].rank * sizeof *v[k].dim);
    }
}

bool mr_tensors_get_values(struct mr_reader *r, struct mr_arena *a, uint32_t n,
                           struct mr_onnx_value **ret) {
    if (!n || n > MR_ONNX_MAX_VALUES)
        return false;
    struct mr_onnx_value *v = mr_arena_zalloc(a, n * sizeof *v);
    if (!v)
        return false;
    for (uint32_t k = 0; k < n; k++) {
        uint32_t len, kind, elem, rank;
        const uint8_t *name;
        if (!mr_tensors_get_u32(r, &len) || !mr_tensors_get_bytes(r, len, &name) ||
            !mr_tensors_get_u32(r, &kind) || !mr_tensors_get_u32(r, &elem) ||
            !mr_tensors_get_u32(r, &rank))
            return false;
        if (kind < MR_ONNX_TENSOR || kind > MR_ONNX_OTHER || elem > 1000 ||
            (rank > MR_ONNX_MAX_RANK && rank != UINT32_MAX))
            return false;
        char *copy = mr_arena_strn(a, (const char *)name, len);
        if (!copy)
            return false;
        v[k].name = (struct mr_str){copy, len};
        v[k].kind = (enum mr_onnx_kind)kind;
        v[k].elem = (int32_t)elem;
        v[k].rank = rank == UINT32_MAX ? -1 : (int)rank;
        for (int d = 0; d < v[k].rank; d++) {
            uint64_t x;
            if (!mr_tensors_get_u64(r, &x))
                return false;
            v[k].dim[d] = (int64_t)x;
        }
    }
    *ret = v;
    return true;
}
