/* joblib: an array is a NumpyArrayWrapper object whose BUILD is followed, in the stream, by the raw
 * items (after alignment padding) or, for object arrays, by a pickle of the array.
 * Source: joblib.numpy_pickle.NumpyArrayWrapper.read_array. */
#include "wire/pickle_vm.h"

bool mr_pkv_is_joblib_array(const struct mr_pk *cls) {
    return cls->type == MR_PK_GLOBAL && mr_str_is(cls->g.name, "NumpyArrayWrapper") &&
           mr_str_is(cls->g.mod, "joblib.numpy_pickle");
}

static const struct mr_pk *need(const struct mr_pk *dict, const char *key) {
    return dict->type == MR_PK_DICT ? mr_pk_get(dict, key) : NULL;
}

int mr_pkv_joblib_build(struct mr_pk_vm *vm, struct mr_pk *o, const struct mr_pk *state) {
    struct mr_pk *dtype = (struct mr_pk *)need(state, "dtype");
    const struct mr_pk *order = need(state, "order");
    const struct mr_pk *align = need(state, "numpy_array_alignment_bytes");
    struct mr_pk t = {.type = MR_PK_ARRAY, .flags = MR_PKF_BUILT, .depth = o->depth};
    int rc = mr_pkv_array_shape(vm, &t, dtype, need(state, "shape"));
    if (rc)
        return rc;
    t.a.fortran = order && order->type == MR_PK_STR && mr_str_is(order->s, "F");
    if (dtype->flags & MR_PKF_OBJECTS) {
        o->o.state = NULL; /* until the inner pickle ends, nothing can be read from it */
        return mr_pkv_enter(vm, o);
    }
    if (align && align->type != MR_PK_NONE) {
        uint64_t pad = 0;
        rc = mr_pkv_le(vm, 1, &pad);
        if (!rc && !mr_pkv_take(vm, pad))
            rc = vm->e->code;
        if (rc)
            return rc;
    }
    size_t n;
    if (__builtin_mul_overflow((size_t)t.a.count, (size_t)dtype->d.size, &n))
        return mr_pkv_fail(vm, "an array larger than memory");
    t.a.data = mr_pkv_take(vm, n);
    if (!t.a.data)
        return vm->e->code;
    *o = t;
    return 0;
}

int mr_pkv_joblib_done(struct mr_pk_vm *vm, struct mr_pk *target, const struct mr_pk *r) {
    if (r->type != MR_PK_ARRAY || !(r->flags & MR_PKF_BUILT) || target->type != MR_PK_OBJ)
        return mr_pkv_fail(vm, "the pickle of an object array holds something else");
    uint16_t depth = target->depth;
    *target = *r; /* both are full-size nodes */
    return depth > target->depth ? (void)(target->depth = depth), 0 : 0;
}
