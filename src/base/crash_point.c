#include "base/crash_point.h"

#ifdef MR_CRASH_POINTS

#include "base/str.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>

void mr_crash_point(const char *name) {
    static atomic_llong passed; /* tests only: one name is watched in a process */
    struct mr_str rest = mr_str(getenv("MR_CRASH_AT"));
    int64_t nth = 1;
    if (!rest.p)
        return;
    struct mr_str want = mr_str_cut(&rest, ':');
    if (!mr_str_is(want, name) || (rest.p && !mr_str_i64(rest, 1, INT64_MAX, &nth)))
        return;
    if (atomic_fetch_add(&passed, 1) + 1 == nth)
        raise(SIGKILL);
}

#endif
