/* TOML, the subset that data files need (toml.io v1.0.0): comments, [tables], [[arrays of tables]],
 * bare and quoted keys, basic and literal strings on one line, decimal integers and decimals (kept
 * as text, so that money stays exact), booleans, local dates (kept as text) and arrays of strings.
 * Refused, by name and line: dotted keys, inline tables, multi-line strings, exponents, times,
 * inf/nan, other bases, keys or tables given twice. Thread-safe. */
#ifndef MR_WIRE_TOML_H
#define MR_WIRE_TOML_H

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>

#define MR_TOML_MAX_BYTES  (4u << 20)
#define MR_TOML_MAX_TABLES 5000
#define MR_TOML_MAX_KEYS   64  /* a table */
#define MR_TOML_MAX_ITEMS  256 /* an array */

enum mr_toml_kind {
    MR_TOML_STRING,
    MR_TOML_INTEGER, /* text: sign and digits without '_' */
    MR_TOML_DECIMAL, /* text: the same with a point */
    MR_TOML_BOOL,
    MR_TOML_DATE, /* text: "2025-01-15"; a real date is the reader's business */
    MR_TOML_STRINGS,
};

struct mr_toml_value {
    struct mr_str key;
    enum mr_toml_kind kind;
    struct mr_str text; /* all but BOOL and STRINGS */
    bool on;
    struct mr_str *item; /* STRINGS */
    uint32_t n_item;
    uint32_t line;
};
struct mr_toml_table {
    struct mr_str name; /* "price", "a.b"; "" for what stands before the first header */
    bool array;         /* [[name]] */
    uint32_t line;
    struct mr_toml_value *value;
    uint32_t n_value;
};
struct mr_toml {
    struct mr_toml_table *table; /* in the file's order; [0] is the nameless one */
    uint32_t n_table;
};
/* Everything lives in the arena; slices may point into `text`. MR_EINVAL with "line N: …",
 * MR_ETOOBIG over a cap. */
int mr_toml_parse(struct mr_str text, struct mr_arena *arena, struct mr_toml *ret,
                  struct mr_err *e);
/* NULL when the table has no such key. */
const struct mr_toml_value *mr_toml_find(const struct mr_toml_table *t, const char *key);

#endif
