/* Inside of engine/provider: JSON and text of replies that nobody vouches for. */
#ifndef MR_ENGINE_PROVIDER_TEXT_H
#define MR_ENGINE_PROVIDER_TEXT_H

#include "engine/provider/provider.h"

#include <yyjson.h>

enum { PROVIDER_MESSAGE_MAX = 400 }; /* code points of a reason shown to users */

/* A parsed document; small ones live in `pool`. */
struct provider_json {
    yyjson_doc *doc;
    yyjson_alc alc;
    char pool[24576];
};
/* Strings may hold invalid UTF-8 (mr_provider_keep mends it). NULL: not JSON. Release the document
 * with yyjson_doc_free before the struct goes. */
yyjson_val *mr_provider_json(struct provider_json *j, struct mr_str text);

struct mr_str mr_provider_str(yyjson_val *v); /* p == NULL unless a string */
/* A copy in the arena in which each byte that is no UTF-8 is U+FFFD. p == NULL: no memory. Absent
 * becomes "". */
struct mr_str mr_provider_keep(struct mr_arena *arena, struct mr_str s);
/* `content`: a string, null, or a list of parts of which the texts count. 0 or MR_ENOMEM. */
int mr_provider_content(yyjson_val *content, struct mr_arena *arena, struct mr_str *ret);
/* A list as JSON text; "" for anything else and for an empty list. p == NULL: no memory. */
struct mr_str mr_provider_list(struct mr_arena *arena, yyjson_val *v);
/* present == false when anything in it is wrong. */
struct mr_chat_usage mr_provider_usage(yyjson_val *usage);
/* For users: white space and control characters become single spaces, cut to
 * PROVIDER_MESSAGE_MAX, words that look like keys are masked. p == NULL: no memory. */
struct mr_str mr_provider_message(struct mr_arena *arena, struct mr_str s);
/* The reason in an error body of any known shape; absent when there is none. */
struct mr_str mr_provider_reason(yyjson_val *root, struct mr_arena *arena);

#endif
