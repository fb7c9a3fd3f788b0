/* What a generation request says, from the JSON of a request or of a job's item, into the one form
 * that core/text takes. */
#ifndef MR_API_AISEMBLE_PARAMS_H
#define MR_API_AISEMBLE_PARAMS_H

#include "base/arena.h"
#include "core/text/text.h"

#include <yyjson.h>

/* `parameters` (may be NULL): top_p, top_k, min_p, frequency_penalty, presence_penalty,
 * repeat_penalty, seed, stop, json_mode, json_schema, adapter; an unknown or wrong one is MR_EFIELD
 * naming "parameters.…". temperature NaN and max_tokens 0: not given. Fills q->params and
 * provider_members; strings live in the arena or in the document. */
int mr_aisemble_params(yyjson_val *parameters, double temperature, int64_t max_tokens,
                       struct mr_arena *arena, struct mr_text_request *q, struct mr_err *e);
/* [{role, content}…] checked and written to q->messages_json. */
int mr_aisemble_messages(yyjson_val *messages, struct mr_arena *arena, struct mr_text_request *q,
                         struct mr_err *e);

#endif
