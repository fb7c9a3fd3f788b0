/* Whole-buffer decompression with hard caps, for model files and archives.
 *
 * Formats: zlib (RFC 1950), gzip (RFC 1952, several members), raw deflate (RFC 1951, for zip),
 * bzip2, xz and legacy .lzma, the LZ4 frame format, and joblib's old "ZF" prefix (hexadecimal
 * length, then zlib). Threads: pure functions. */
#ifndef MR_WIRE_DECOMPRESS_H
#define MR_WIRE_DECOMPRESS_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum mr_comp {
    MR_COMP_NONE,
    MR_COMP_ZLIB,
    MR_COMP_GZIP,
    MR_COMP_DEFLATE, /* never detected: has no magic */
    MR_COMP_BZ2,
    MR_COMP_XZ,
    MR_COMP_LZMA,
    MR_COMP_LZ4,
    MR_COMP_ZF,
};

/* By first bytes. None of the magics begins a pickle. */
enum mr_comp mr_comp_detect(const void *p, size_t n);
const char *mr_comp_name(enum mr_comp c);

/* Everything. The output is at most max_out bytes and at most max_ratio times the input read so far
 * (plus 1 MiB, so that tiny files are judged by max_out alone). Bytes after the end of the stream
 * are an error. *ret is the caller's, to be released with mr_free. MR_EREFUSED: damaged or over a
 * cap. */
int mr_decompress(enum mr_comp c, const void *p, size_t n, size_t max_out, unsigned max_ratio,
                  uint8_t **ret, size_t *ret_n, struct mr_err *e);
/* The first bytes only: how many were written to out (at most cap); 0 when damaged. */
size_t mr_decompress_prefix(enum mr_comp c, const void *p, size_t n, uint8_t *out, size_t cap);

#endif
