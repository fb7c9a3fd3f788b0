/* Named moments at which a test kills the process as `kill -9` would, to prove that what follows
 * is recovered. They exist only in builds with MR_CRASH_POINTS (preset asan); elsewhere they are
 * nothing. MR_CRASH_AT="name" kills at the first passing, "name:N" at the Nth. */
#ifndef MR_BASE_CRASH_POINT_H
#define MR_BASE_CRASH_POINT_H

#ifdef MR_CRASH_POINTS
void mr_crash_point(const char *name);
#else
#define mr_crash_point(name) ((void)0)
#endif

#endif
