/* Waiting for what must come. The bound only ends a run that would never end: no verdict may hang
 * on how fast a machine or its disk is. */
#ifndef MR_TEST_WAIT_H
#define MR_TEST_WAIT_H

#include <unistd.h>

#define MR_PATIENCE_MS 120000
#define MR_UNTIL(cond)                                                                             \
    do {                                                                                           \
        for (int ms_ = 0; ms_ < MR_PATIENCE_MS && !(cond); ms_++)                                  \
            usleep(1000);                                                                          \
    } while (0)

#endif
