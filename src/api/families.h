/* The families this build speaks; families.c is the one place that knows their names. */
#ifndef MR_API_FAMILIES_H
#define MR_API_FAMILIES_H

struct mr_family;
extern const struct mr_family *const mr_families[]; /* NULL-terminated; the first is the default */

#endif
