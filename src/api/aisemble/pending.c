/* Analyses that this build lacks say so; each goes with the part that brings it. */
#include "engine/llm/grammar.h"

static int lacks(const char *what, struct mr_err *e) {
    return mr_fail(e, MR_EUNAVAIL, "this build cannot do %s yet", what);
}

int mr_grammar_from_schema(yyjson_val *schema, struct mr_buf *out, struct mr_err *e) {
    (void)schema, (void)out;
    return lacks("JSON Schema", e);
}
