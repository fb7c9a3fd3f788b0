/* Zip directories and members. */
#include "wire/zip.h"

#include "base/alloc.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct mr_str file = mr_strn((const char *)data, size);
    struct mr_zip z;
    struct mr_err e = {0};
    mr_zip_sniff(file);
    if (mr_zip_open(file, 1000, &z, &e)) {
        if (!e.msg[0])
            __builtin_trap();
        return 0;
    }
    mr_zip_kind(&z);
    uint64_t end = 0;
    for (size_t i = 0; i < z.n; i++) {
        struct mr_str s;
        void *own = NULL;
        if (z.entry[i].header < end || mr_zip_find(&z, z.entry[i].name) != &z.entry[i])
            __builtin_trap(); /* members overlap or share a name */
        end = z.entry[i].data + z.entry[i].packed;
        if (!mr_zip_read(&z, &z.entry[i], 1u << 20, &s, &own, &e) && s.n != z.entry[i].size)
            __builtin_trap();
        mr_free(own);
    }
    mr_zip_release(&z);
    return 0;
}
