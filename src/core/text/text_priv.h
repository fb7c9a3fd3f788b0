/* Inside core/text: one generation from its admission to its answer. */
#ifndef MR_CORE_TEXT_PRIV_H
#define MR_CORE_TEXT_PRIV_H

#include "core/text/text.h"
#include "io/pool.h"

#include <pthread.h>

struct mr_text {
    struct mr_text_config c;
    struct mr_pool *starters; /* cold models and accounts are waited for here */
    pthread_mutex_t mu;
    pthread_cond_t idle;
    struct mr_text_run *live;  /* doubly linked */
    struct mr_text_run *stuck; /* their end could not be committed */
    uint64_t next_ticket;
};

#define MR_TEXT_OPTIONS 4 /* the provider asked for and its fallbacks */

/* Owned by whatever step runs; the flags and links are under `mu`. */
struct mr_text_run {
    struct mr_text *t;
    struct mr_text_run *next, *prev, *next_stuck;
    struct mr_arena arena; /* the run lies in it */
    struct mr_text_request q;
    uint64_t ticket;
    int64_t began_ns, first_ns;
    /* where it runs: */
    const struct mr_catalog_model *local;     /* or */
    const struct mr_catalog_adapter *adapter; /* on `local`; NULL: none */
    const struct mr_provider *provider;
    struct mr_str model; /* as answered and charged: the adapter's name where there is one */
    struct mr_use use;
    struct mr_price price;
    struct mr_text_option { /* a provider's: [0] is the above */
        const struct mr_provider *provider;
        struct mr_str model;
        struct mr_price price;
    } option[MR_TEXT_OPTIONS];
    size_t n_option;
    _Atomic(const struct mr_provider *) speaking; /* who was asked last */
    int64_t max_tokens;
    struct mr_hold hold;
    int64_t end_user;
    uint64_t llm_ticket;
    bool running;   /* llm_ticket is set and use.handle valid */
    bool cancelled; /* by the caller */
    bool stopped;   /* its service or model was stopped */
    /* the outcome */
    bool billed, answered;
    struct mr_settle settle;
    struct mr_text_result result;
};

/* text.c */
void mr_text_run_free(struct mr_text_run *u);
/* text_start.c */
/* It can be asked: its key is there, or it takes none. */
bool mr_text_has_key(const struct mr_provider *p);
int mr_text_resolve(struct mr_text_run *u, struct mr_err *e);
/* Holds the budget, takes the model, opens the charge; what fails before is returned. */
int mr_text_begin(struct mr_text_run *u, struct mr_err *e);
/* text_finish.c */
void mr_text_llm_done(void *run, const struct mr_llm_result *r);
void mr_text_chat_done(void *run, const struct mr_chat_result *r);
/* Ends a run whose charge is open, without an answer from a model. */
void mr_text_fail(struct mr_text_run *u, int rc, const struct mr_err *e);
/* Answers with an error when nothing was written; frees the run. */
void mr_text_refuse(struct mr_text_run *u, int rc, const struct mr_err *e);
int mr_text_commit_in(struct mr_tx *tx, void *run, struct mr_err *e);
void mr_text_retry_stuck(struct mr_text *t);

#endif
