/* UBJSON to JSON documents. */
#include "wire/ubjson.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct mr_str s = mr_strn((const char *)data, size);
    yyjson_doc *d = NULL;
    struct mr_err e = {0};
    mr_ubjson_sniff(s);
    if (mr_ubjson_read(s, 8u << 20, &d, &e)) {
        if (!e.msg[0] || d)
            __builtin_trap();
        return 0;
    }
    size_t n = 0;
    char *text = yyjson_write(d, YYJSON_WRITE_ALLOW_INF_AND_NAN, &n);
    if (!text)
        __builtin_trap(); /* whatever is accepted is a proper document */
    free(text);
    yyjson_doc_free(d);
    return 0;
}
