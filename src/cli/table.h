/* Rows of text in aligned columns; the last column is not padded. */
#ifndef MR_CLI_TABLE_H
#define MR_CLI_TABLE_H

#include "base/buf.h"

#define MR_TABLE_COLS 12

struct mr_table {
    struct mr_buf text; /* cells, each with its NUL */
    size_t n, cols;
    size_t width[MR_TABLE_COLS];
};
/* cols is at most MR_TABLE_COLS. */
void mr_table_init(struct mr_table *t, size_t cols);
void mr_table_release(struct mr_table *t);
/* Next cell; NULL is "-". Control characters become '?', so that a name cannot steer a terminal. */
void mr_table_cell(struct mr_table *t, const char *s);
void mr_table_fmt(struct mr_table *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void mr_table_print(const struct mr_table *t);

#endif
