/* model_metadata: what intake found, completed with the upload's own facts. Pure. */
#ifndef MR_CORE_METADATA_H
#define MR_CORE_METADATA_H

#include "base/arena.h"
#include "store/blobs.h"

/* Before intake: framework and type "unknown", size, sha256, file name. */
struct mr_str mr_metadata_initial(struct mr_arena *a, struct mr_str file_name, uint64_t size,
                                  const struct mr_blob_name *sha);
/* Intake's object plus size, sha256, file name and warnings where requirements.txt pins another
 * version than the file was written with. p == NULL when memory ran out or `found` is no object. */
struct mr_str mr_metadata_final(struct mr_arena *a, struct mr_str found, struct mr_str file_name,
                                uint64_t size, const struct mr_blob_name *sha,
                                struct mr_str requirements, struct mr_str *ret_framework);
/* The framework named in a stored metadata object; p == NULL when there is none. */
struct mr_str mr_metadata_framework(struct mr_arena *a, struct mr_str metadata);
/* "iris" of "dir/iris.pkl"; "model" when nothing is left. */
struct mr_str mr_metadata_stem(struct mr_arena *a, struct mr_str file_name);

#endif
