/* libllama, loaded on demand: only the worker process (and the converter of the installer) ever
 * maps it, so the server starts as fast and as small as without language models. llama.h of the
 * set-up cache gives types and prototypes; the symbols come from dlsym. The revision is pinned by
 * scripts/requirements/llama.txt: several of these functions take structs by value, so header and
 * library must be from one build. */
#ifndef MR_ENGINE_LLM_LLAMA_API_H
#define MR_ENGINE_LLM_LLAMA_API_H

#include "base/err.h"

#include <llama.h>

#define MR_LLAMA_FUNCTIONS(X)                                                                      \
    X(llama_backend_init)                                                                          \
    X(llama_log_set)                                                                               \
    X(llama_model_default_params)                                                                  \
    X(llama_context_default_params)                                                                \
    X(llama_model_quantize_default_params)                                                         \
    X(llama_model_quantize)                                                                        \
    X(llama_model_load_from_file_ptr)                                                              \
    X(llama_init_from_model)                                                                       \
    X(llama_model_get_vocab)                                                                       \
    X(llama_model_chat_template)                                                                   \
    X(llama_model_n_ctx_train)                                                                     \
    X(llama_model_n_embd)                                                                          \
    X(llama_model_n_params)                                                                        \
    X(llama_model_has_encoder)                                                                     \
    X(llama_model_has_decoder)                                                                     \
    X(llama_model_is_recurrent)                                                                    \
    X(llama_model_is_hybrid)                                                                       \
    X(llama_model_is_diffusion)                                                                    \
    X(llama_vocab_n_tokens)                                                                        \
    X(llama_vocab_is_eog)                                                                          \
    X(llama_vocab_get_attr)                                                                        \
    X(llama_vocab_get_text)                                                                        \
    X(llama_vocab_get_add_bos)                                                                     \
    X(llama_vocab_bos)                                                                             \
    X(llama_tokenize)                                                                              \
    X(llama_token_to_piece)                                                                        \
    X(llama_chat_apply_template)                                                                   \
    X(llama_batch_init)                                                                            \
    X(llama_decode)                                                                                \
    X(llama_set_n_threads)                                                                         \
    X(llama_get_logits_ith)                                                                        \
    X(llama_n_ctx)                                                                                 \
    X(llama_get_memory)                                                                            \
    X(llama_memory_clear)                                                                          \
    X(llama_memory_seq_rm)                                                                         \
    X(llama_memory_seq_cp)                                                                         \
    X(llama_set_adapters_lora)                                                                     \
    X(llama_adapter_lora_init_from_file_ptr)                                                       \
    X(llama_adapter_lora_free)                                                                     \
    X(llama_sampler_init_grammar)                                                                  \
    X(llama_sampler_apply)                                                                         \
    X(llama_sampler_accept)                                                                        \
    X(llama_sampler_free)

struct mr_llama {
#define X(name) __typeof__(&name) name;
    MR_LLAMA_FUNCTIONS(X)
#undef X
    /* libgomp's, which the library brings along: starts the threads of a parallel region. */
    void (*GOMP_parallel)(void (*fn)(void *), void *data, unsigned n_threads, unsigned flags);
};

/* Loads `dir`/libllama.so. MR_EUNAVAIL says what is missing. The library stays mapped. */
int mr_llama_load(const char *dir, struct mr_llama *ret, struct mr_err *e);

/* The folder of libllama.so: MILLRACE_LLAMA, else "../lib" of the program or beside it, else the
 * set-up cache /llama/lib. MR_EUNAVAIL says what to do. */
int mr_llama_folder(char *ret, size_t cap, struct mr_err *e);

#endif
