/* Tool calls of local models: grammar that admits them, and finding them in an answer. The form is
 * Hermes', which the ChatML family is trained on:
 *   <tool_call>\n{"name": …, "arguments": {…}}\n</tool_call>
 * Pure, thread-safe. */
#ifndef MR_ENGINE_LLM_TOOLS_H
#define MR_ENGINE_LLM_TOOLS_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"

#include <yyjson.h>

enum mr_tool_choice { MR_TOOLS_AUTO, MR_TOOLS_NONE, MR_TOOLS_REQUIRED, MR_TOOLS_ONE };
/* Grammar for an answer that must be calls (REQUIRED: up to eight; ONE: one call of that name),
 * arguments bound to the tools' parameter schemas. MR_EFIELD names what is wrong in `tools`. */
int mr_tools_grammar(yyjson_val *tools, enum mr_tool_choice choice, struct mr_str one,
                     struct mr_buf *out, struct mr_err *e);
struct mr_tool_call {
    struct mr_str name, arguments; /* JSON text, arena */
};
/* Splits an answer into text and calls; what is not a well-formed call stays text. */
int mr_tools_find(struct mr_str answer, struct mr_arena *arena, struct mr_str *ret_text,
                  struct mr_tool_call **ret, size_t *ret_n, struct mr_err *e);

#endif
