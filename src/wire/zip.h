/* Read-only zip archives: PyTorch, Keras, NumPy and skops files.
 *
 * Strict on purpose, so that no other reader can see another archive in the same bytes: the file
 * begins with the first member and ends with the archive comment, members follow one another
 * without gaps or overlaps, every local header agrees with the central directory, names are unique
 * and relative. Stored and deflated members, zip64, data descriptors. Refused: encryption, other
 * methods, several disks, prefixes. Format: PKWARE APPNOTE 6.3.10.
 *
 * Threads: an archive belongs to one thread; it points into the file bytes, which must outlive it.
 */
#ifndef MR_WIRE_ZIP_H
#define MR_WIRE_ZIP_H

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>

struct mr_zip_entry {
    struct mr_str name; /* UTF-8, "/" between folders */
    uint16_t method;    /* 0 stored, 8 deflated */
    uint16_t flags;
    uint32_t crc;
    uint64_t packed, size; /* bytes in the file, bytes unpacked */
    uint64_t header;       /* offset of the local header */
    uint64_t data;         /* offset of the packed bytes */
};

struct mr_zip {
    struct mr_str file;
    struct mr_arena arena;
    struct mr_zip_entry *entry; /* in file order */
    size_t n;
};

enum mr_zip_kind {
    MR_ZIP_OTHER,
    MR_ZIP_TORCH,       /* …/data.pkl */
    MR_ZIP_TORCHSCRIPT, /* …/constants.pkl and …/code/ */
    MR_ZIP_PT2,         /* torch.export: archive_format, models/…json */
    MR_ZIP_KERAS,       /* metadata.json, config.json, model.weights.h5 */
    MR_ZIP_NPZ,         /* only *.npy */
    MR_ZIP_SKOPS,       /* schema.json beside *.npy */
    MR_ZIP_MAR,         /* TorchServe: MAR-INF/MANIFEST.json */
};

/* Local header or empty-archive mark. */
bool mr_zip_sniff(struct mr_str s);
/* Reads and checks the whole directory, no contents. At most max_entries members. */
int mr_zip_open(struct mr_str file, size_t max_entries, struct mr_zip *ret, struct mr_err *e);
void mr_zip_release(struct mr_zip *z);
const struct mr_zip_entry *mr_zip_find(const struct mr_zip *z, struct mr_str name);
enum mr_zip_kind mr_zip_kind(const struct mr_zip *z);
/* Unpacks one member of at most max_size bytes, checks size and CRC. *ret_owned is memory to
 * release with mr_free, or NULL where the bytes lie in the file as they are. */
int mr_zip_read(const struct mr_zip *z, const struct mr_zip_entry *m, size_t max_size,
                struct mr_str *ret, void **ret_owned, struct mr_err *e);

#endif
