/* The migrations compiled in: src/store/migrations/NNNN_name.sql, embedded by the build
 * (cmake/embed_migrations.cmake), in ascending order of version. */
#ifndef MR_STORE_MIGRATIONS_H
#define MR_STORE_MIGRATIONS_H

#include <stddef.h>

struct mr_migration {
    int version;
    const char *name; /* "accounts" */
    const char *sql;  /* one or more statements in portable SQL */
};

extern const struct mr_migration mr_migrations[];
extern const size_t mr_n_migrations;

#endif
