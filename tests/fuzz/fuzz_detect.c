/* What kind of file arbitrary bytes are: refusals must carry a reason. */
#include "engine/detect.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n) {
    struct mr_err e = {0};
    enum mr_file_kind k = mr_detect((struct mr_str){(const char *)p, n}, MR_LIT("f.bin"), &e);
    bool refused = k == MR_FILE_REFUSED || k == MR_FILE_UNKNOWN;
    if (refused && (e.code >= 0 || !e.msg[0]))
        abort();
    return 0;
}
