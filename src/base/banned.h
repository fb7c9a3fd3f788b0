/* Functions that do not compile in millrace: unbounded, not thread-safe, or silently lossy.
 * Force-included by the build for every file of ours. */
#ifndef MR_BASE_BANNED_H
#define MR_BASE_BANNED_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#pragma GCC poison strcpy strcat sprintf vsprintf gets strtok atoi atol atoll atof
#pragma GCC poison gmtime localtime asctime tmpnam mktemp

#endif
