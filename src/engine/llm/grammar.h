/* JSON Schema -> GBNF, the grammar language of llama.cpp. Pure. Schemas are untrusted: depth, size
 * and rule counts are capped. Supported: types (also lists of them), enum, const, properties,
 * required, additionalProperties, items, prefixItems, minItems/maxItems, minLength/maxLength,
 * pattern where it is a simple one, integer and number with minimum/maximum of integers, anyOf,
 * oneOf, allOf of objects, $ref inside the document ($defs, definitions), formats date, time,
 * date-time, uuid. Anything else is refused by name (MR_EFIELD), never ignored silently. */
#ifndef MR_ENGINE_LLM_GRAMMAR_H
#define MR_ENGINE_LLM_GRAMMAR_H

#include "base/buf.h"
#include "base/err.h"

#include <yyjson.h>

/* Appends the grammar; schema NULL: any JSON object (JSON mode). */
int mr_grammar_from_schema(yyjson_val *schema, struct mr_buf *out, struct mr_err *e);

#endif
