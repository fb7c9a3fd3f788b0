/* CSV as RFC 4180 describes it: records of fields separated by commas, fields in double quotes
 * where they hold commas, quotes or line ends. Records end with CR LF, LF or CR; a byte order mark
 * before the first and lines without any character are skipped; a quote inside a field that does
 * not begin with one is a character like any other. Threads: a reader belongs to one. */
#ifndef MR_WIRE_CSV_H
#define MR_WIRE_CSV_H

#include "base/buf.h"
#include "base/err.h"

struct mr_csv_field {
    struct mr_str text; /* until the next record */
    bool quoted;
};
struct mr_csv {
    struct mr_str rest;
    uint64_t record, line; /* of the record read last, from 1 */
    struct mr_csv_field *field;
    size_t n, cap, max_fields;
    uint64_t next_line;
    struct mr_buf text; /* fields that had quotes in them */
};
/* `bytes` outlives the reader. A record has at most max_fields fields and max_record bytes of
 * quoted text. */
void mr_csv_init(struct mr_csv *c, struct mr_str bytes, size_t max_fields, size_t max_record);
void mr_csv_release(struct mr_csv *c);
/* 1: field[0 … n-1]; 0: the end; MR_EINVAL, MR_ETOOBIG naming the line. */
int mr_csv_next(struct mr_csv *c, struct mr_err *e);

/* One field as it has to stand in a record, quoted where it must be. */
void mr_csv_add(struct mr_buf *b, struct mr_str field);

#endif
