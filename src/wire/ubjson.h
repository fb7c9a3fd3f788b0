/* UBJSON as XGBoost writes it (.ubj files, Booster state in pickles), read into a JSON document.
 *
 * Types: Z T F N(skipped) i U I l L d D C S, arrays and objects, with the optimised forms "$type"
 * and "#count" for arrays and "#count" for objects. Refused: H (numbers as text), typed objects,
 * typed arrays of types without bytes. float32 values become doubles exactly.
 * Format: UBJSON draft 12; XGBoost src/common/json.cc. */
#ifndef MR_WIRE_UBJSON_H
#define MR_WIRE_UBJSON_H

#include "base/err.h"
#include "base/str.h"

#include <stdbool.h>
#include <yyjson.h>

/* First bytes of an XGBoost .ubj file: an object whose first key is plausible. */
bool mr_ubjson_sniff(struct mr_str s);
/* The whole of s must be one value. The document takes at most max_memory bytes while it is built;
 * it is the caller's (yyjson_doc_free) and holds copies only. Where a key repeats,
 * yyjson_obj_get finds its first value. MR_EREFUSED names what is wrong and where. */
int mr_ubjson_read(struct mr_str s, size_t max_memory, yyjson_doc **ret, struct mr_err *e);

#endif
