#include "cli/serve_ai.h"

#include "api/aisemble/items.h"
#include "api/openai/openai.h"
#include "cli/serve_ops.h"
#include "core/catalog/residency.h"
#include "core/jobs/predictions.h"
#include "core/text/text.h"

#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>

#define RUNNERS_MAX      8
#define PREDICTIONS_SIDE 2     /* of all jobs together */
#define JOBS_GRACE_MS    10000 /* items under way get so long when the server stops */

static int open_models(struct mr_core *core, const struct mr_config *c, struct mr_err *e) {
    struct mr_catalog_config cc = {
        .models_dir = c->models_dir, .data_dir = core->data_dir, .log = &core->log};
    int rc = mr_catalog_open(&cc, &core->catalog, e);
    struct mr_residency_config res = {.catalog = core->catalog,
                                      .log = &core->log,
                                      .memory_max = (uint64_t)c->models_memory_mb << 20,
                                      .llm_parallel = (unsigned)c->llm_parallel,
                                      .llm_threads = (unsigned)c->llm_threads,
                                      .llm_queue = (unsigned)c->llm_queue};
    return rc ? rc : mr_residency_new(&res, &core->residency, e);
}

static int rights_now(void *arg, struct mr_id account, struct mr_id user, struct mr_id key,
                      struct mr_principal *ret, struct mr_err *e) {
    struct mr_core *core = arg;
    return mr_accounts_principal(core->accounts, account, user, key, ret, e);
}

/* What jobs can do: one line a service. */
static size_t job_runners(struct mr_core *core, struct mr_job_runner v[RUNNERS_MAX]) {
    mr_aisemble_runners(core, v);
    size_t n = MR_AISEMBLE_RUNNERS;
    v[n++] = mr_job_predictions_runner(core, PREDICTIONS_SIDE);
    mr_openai_runner(core, &v[n++]);
    return n;
}

static int open_jobs(struct mr_core *core, const struct mr_config *c, struct mr_err *e) {
    char inputs[4200];
    struct mr_job_runner runner[RUNNERS_MAX];
    snprintf(inputs, sizeof inputs, "%s/inputs", core->data_dir);
    if (mkdir(inputs, 0700) && errno != EEXIST)
        return mr_fail_errno(e, inputs);
    struct mr_jobs_config jc = {.db = core->db,
                                .blobs = core->blobs,
                                .events = core->events,
                                .log = &core->log,
                                .inputs_dir = inputs, /* copied */
                                .runner = runner,
                                .n_runner = job_runners(core, runner),
                                .zone = core->zone,
                                .keep_days = (int)c->job_keep_days,
                                .sole = true, /* serve.c locks the data dir */
                                .principal = rights_now,
                                .arg = core};
    return mr_jobs_open(&jc, &core->jobs, e);
}

static int open_text(struct mr_core *core, const struct mr_config *c, struct mr_err *e) {
    struct mr_text_config tc = {.db = core->db,
                                .catalog = core->catalog,
                                .residency = core->residency,
                                .gateway = core->gateway,
                                .ledger = core->ledger,
                                .prices = core->price_book,
                                .log = &core->log,
                                .max_output_tokens = c->max_output_tokens};
    return mr_text_open(&tc, &core->text, e);
}

static int open_meter(struct mr_core *core, struct mr_err *e) {
    core->biller = (struct mr_biller){.db = core->db,
                                      .ledger = core->ledger,
                                      .prices = core->price_book,
                                      .residency = core->residency,
                                      .catalog = core->catalog,
                                      .log = &core->log};
    return mr_biller_recover(&core->biller, "kserve", e);
}

int mr_serve_ai_open(struct mr_core *core, const struct mr_config *c, struct mr_err *e) {
    int rc = open_models(core, c, e);
    if (!rc)
        rc = mr_serve_ops_open(core, c, e);
    if (!rc)
        rc = open_text(core, c, e);
    if (!rc)
        rc = open_meter(core, e);
    return rc ? rc : open_jobs(core, c, e);
}

void mr_serve_ai_close(struct mr_core *core) {
    mr_jobs_free(core->jobs, JOBS_GRACE_MS);
    if (core->residency) /* what still generates has nobody to read it */
        (void)mr_service_stop(core->residency, MR_SERVICE_LLM, NULL);
    mr_serve_ops_stop(core);
    mr_text_free(core->text);
    mr_biller_flush(&core->biller);
    mr_residency_free(core->residency);
    mr_serve_ops_close(core);
    mr_catalog_free(core->catalog);
}
