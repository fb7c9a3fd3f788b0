/* OpenAI's messages and tools as turns for a model's chat template. Pure. */
#ifndef MR_ENGINE_LLM_CHAT_H
#define MR_ENGINE_LLM_CHAT_H

#include "engine/llm/wire.h"

/* `chat_template`: the model's own, "" = none. Tools and their results need the ChatML family;
 * another one: MR_EFIELD. The sentence that some ChatML templates put in front of a conversation
 * without a system turn is left out, as in llama.cpp's own template code: with it, SmolLM2 135M
 * answers the question for the capital of France with "L'Etoile", without it with Paris.
 * Turns and texts are in the arena. MR_EFIELD names the message that is wrong. */
int mr_llm_turns(struct mr_str messages_json, struct mr_str tools_json, struct mr_str chat_template,
                 struct mr_arena *arena, struct mr_llm_turn **ret, uint32_t *ret_n,
                 struct mr_err *e);

#endif
