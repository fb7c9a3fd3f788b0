/* The guard's URL check: never a crash, and what it lets through has a scheme, no user and no
 * literal address of a forbidden kind. */
#include "http/outbound.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const struct mr_outbound_policy strict = {0},
                                           wide = {.allow_loopback = true,
                                                   .allow = "hooks.lan, 10.0.0.1:8080"};
    struct mr_err e = {0};
    struct mr_str url = mr_strn((const char *)data, size);
    if (mr_outbound_check_url(&strict, url, &e) == 0) {
        if (size < 9 || strncasecmp(url.p, "https://", 8) != 0)
            abort();
        struct mr_str host = mr_strn(url.p + 8, size - 8);
        if (mr_str_starts(host, MR_LIT("127.0.0.1/")) || mr_str_starts(host, MR_LIT("[::1]")))
            abort();
    } else if (!e.code) {
        abort();
    }
    mr_outbound_check_url(&wide, url, NULL);
    return 0;
}
