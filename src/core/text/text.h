/* Text generation for every family: a local model of the catalogue or a provider of the gateway,
 * behind one list of names, with its tokens and cost in the ledger. The way is that of tasks: hold
 * the budget -> commit an open charge -> run -> commit the settled charge -> done. Thread-safe. */
#ifndef MR_CORE_TEXT_TEXT_H
#define MR_CORE_TEXT_TEXT_H

#include "core/catalog/residency.h"
#include "core/gateway/gateway.h"
#include "core/money/ledger.h"
#include "engine/llm/llm.h"

struct mr_text;
struct mr_text_config {
    struct mr_db *db;
    const struct mr_catalog *catalog;
    struct mr_residency *residency;
    struct mr_gateway *gateway;
    struct mr_ledger *ledger;
    struct mr_price_book *prices;
    const struct mr_log *log;
    int64_t deadline_ms;       /* one local generation; 0 = 600,000 */
    int64_t max_output_tokens; /* of providers, where the caller names none; 0 = 4096 */
};
/* Recovers charges that an earlier process left open. */
int mr_text_open(const struct mr_text_config *c, struct mr_text **ret, struct mr_err *e);
void mr_text_free(struct mr_text *t); /* waits for what is under way */

struct mr_text_result {
    int rc; /* as mr_llm_result and mr_chat_result */
    struct mr_err err;
    struct mr_str provider; /* "local" or the provider that answered */
    struct mr_str model;    /* what really ran */
    struct mr_str text, finish_reason, logprobs_json;
    struct mr_str tool_calls_json; /* a provider's, as it sent them; local ones are in the text */
    struct mr_usage_tokens tokens;
    int64_t cost_nano, charge; /* charge: for explain; 0 = none was opened */
    int64_t queue_ns, first_ns, total_ns;
    int64_t retry_after_ms;
};
struct mr_text_request {
    struct mr_principal who;
    const char *family;    /* "aisemble", "openai", "jobs": static; shown in explain */
    struct mr_str model;   /* id, alias, adapter or "provider/model"; p NULL: the default */
    struct mr_str adapter; /* of the catalogue, for the local model; "" = none */
    struct mr_str prompt;  /* raw text when `raw`, else one user message */
    bool raw;
    struct mr_str messages_json, tools_json;
    /* Members of the request that only providers understand, as JSON members without braces
     * ("\"tools\":[…],\"top_p\":0.9"); "" = none. Local models take `params`. */
    struct mr_str provider_members;
    struct mr_llm_params params; /* temperature NaN: not given */
    struct mr_str end_user;
    int (*on_delta)(void *arg, const struct mr_llm_delta *d); /* NULL: no streaming */
    /* Exactly once after mr_text_generate gave 0, after the commit, on any thread. Valid in the
     * call. */
    void (*done)(void *arg, const struct mr_text_result *r);
    void *arg;
};
/* Copies what it needs and does not block: a cold model or account is waited for on threads of its
 * own. MR_ENOTFOUND (model, adapter), MR_EFIELD, MR_EUNAVAIL (no key: names the variable) at once;
 * what is found later (MR_ENOTLOADED, MR_ELIMIT for the budget …) comes through done. */
int mr_text_generate(struct mr_text *t, const struct mr_text_request *q, uint64_t *ret_ticket,
                     struct mr_err *e);
void mr_text_cancel(struct mr_text *t, uint64_t ticket);
/* The same for a thread that waits (jobs): strings of *ret are in the arena; `done` is not called.
 */
int mr_text_generate_wait(struct mr_text *t, const struct mr_text_request *q,
                          struct mr_arena *arena, struct mr_text_result *ret, struct mr_err *e);

/* What can generate text, local first then each configured provider's default and aliases. */
struct mr_text_model {
    struct mr_str id, name, description, owned_by; /* "local" or the provider */
    const struct mr_catalog_model *local;          /* NULL: a provider's */
    int64_t context_length, max_tokens;
    int64_t input_nano, output_nano; /* a million tokens; -1 = no price known */
    bool available;
    struct mr_str alias_of;                   /* "" = not an alias */
    const struct mr_catalog_adapter *adapter; /* of the operator's, on `local`; NULL = none */
};
/* Where mr_text_generate would run a model of this name, without running it; its errors. */
struct mr_text_place {
    bool local;
    struct mr_str provider; /* "local" or the provider's name; static */
    struct mr_str model;    /* what really runs; in the arena */
};
int mr_text_locate(struct mr_text *t, struct mr_str model, struct mr_arena *arena,
                   struct mr_text_place *ret, struct mr_err *e);
int mr_text_models(struct mr_text *t, struct mr_arena *arena, struct mr_text_model **ret,
                   size_t *ret_n, struct mr_err *e);

#endif
