/* Roll-up blobs (histogram, distinct-user sketch): damaged ones are refused and change nothing,
 * good ones survive a round trip. */
#include "core/usage/hist.h"
#include "core/usage/sketch.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct mr_hist h, again;
    static struct mr_sketch s, s2;
    struct mr_buf b;
    mr_buf_init(&b, 1 << 20);
    mr_hist_clear(&h);
    mr_hist_clear(&again);
    mr_sketch_clear(&s);
    mr_sketch_clear(&s2);
    if (mr_hist_merge_blob(&h, mr_strn((const char *)data, size))) {
        mr_hist_encode(&h, &b);
        double q = mr_hist_quantile(&h, 0.99);
        if (!mr_hist_merge_blob(&again, mr_buf_view(&b)) || memcmp(&h, &again, sizeof h) != 0 ||
            !(q >= 0 && q < 4294967296.0))
            abort();
    } else if (h.n) {
        abort();
    }
    mr_buf_clear(&b);
    if (mr_sketch_merge_blob(&s, mr_strn((const char *)data, size))) {
        mr_sketch_encode(&s, &b);
        if (!mr_sketch_merge_blob(&s2, mr_buf_view(&b)) ||
            mr_sketch_count(&s) != mr_sketch_count(&s2) || mr_sketch_count(&s) < 0)
            abort();
    } else if (s.n || s.dense) {
        abort();
    }
    mr_buf_release(&b);
    return 0;
}
