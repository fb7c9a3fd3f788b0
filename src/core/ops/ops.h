/* Watching over the server: samples of the machine every quarter of a minute, and alerts by rules
 * (memory, disk, failures, queues). Thread-safe; nothing here blocks for long. */
#ifndef MR_CORE_OPS_OPS_H
#define MR_CORE_OPS_OPS_H

#include "base/err.h"
#include "base/log.h"
#include "core/ops/machine.h"

#include <stddef.h>

struct mr_pool;
struct mr_residency;
struct mr_ops;

struct mr_ops_config {
    const char *data_dir;
    const struct mr_log *log;       /* alerts that begin and end */
    struct mr_residency *residency; /* borrowed; may be NULL */
    struct mr_pool *pool, *ai_pool; /* borrowed; may be NULL */
    unsigned every_ms;              /* between samples; 0 = 15,000 */
};
int mr_ops_open(const struct mr_ops_config *c, struct mr_ops **ret, struct mr_err *e);
void mr_ops_free(struct mr_ops *o);

/* At most a second old. CPU: since the sample before. */
void mr_ops_machine(struct mr_ops *o, struct mr_machine *ret);
/* True while samples come as they should. */
bool mr_ops_alive(struct mr_ops *o);

/* The rules, by name; docs/AI.md tells their bounds. */
enum mr_rule { MR_RULE_MEMORY, MR_RULE_DISK, MR_RULE_FAILURES, MR_RULE_QUEUE, MR_RULE_N };
struct mr_alert {
    enum mr_rule rule;
    bool critical;
    char message[160];
    int64_t since_us; /* when the rule began to hold, to the sample */
};
const char *mr_rule_name(enum mr_rule r);
/* Those that hold now; out has MR_RULE_N places. */
size_t mr_ops_alerts(struct mr_ops *o, struct mr_alert out[MR_RULE_N]);

/* One rule on figures: whether it holds, and how. Pure. */
struct mr_rule_figures {
    struct mr_machine machine;
    uint64_t ok, failed; /* uses of models in the last five minutes */
    uint64_t queued;     /* requests and uses that wait */
};
bool mr_rule_check(enum mr_rule r, const struct mr_rule_figures *f, struct mr_alert *ret);

#endif
