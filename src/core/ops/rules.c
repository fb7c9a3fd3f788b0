#include "core/ops/ops.h"

#include <stdio.h>

#define MB (1ull << 20)

const char *mr_rule_name(enum mr_rule r) {
    static const char *const names[MR_RULE_N] = {"memory", "disk", "failure_rate", "queue"};
    return r < MR_RULE_N ? names[r] : "?";
}

static bool failures(const struct mr_rule_figures *f, struct mr_alert *a) {
    uint64_t n = f->ok + f->failed;
    double share = n ? 100.0 * (double)f->failed / (double)n : 0;
    a->critical = share >= 50;
    snprintf(a->message, sizeof a->message,
             "High failure rate detected: %.1f %% of %llu model uses in five minutes", share,
             (unsigned long long)n);
    return n >= 20 && share >= 10;
}

bool mr_rule_check(enum mr_rule r, const struct mr_rule_figures *f, struct mr_alert *ret) {
    const struct mr_machine *m = &f->machine;
    *ret = (struct mr_alert){.rule = r};
    switch (r) {
    case MR_RULE_MEMORY:
        ret->critical = m->memory_percent >= 97;
        snprintf(ret->message, sizeof ret->message,
                 "High memory usage detected: %.1f %% of %llu MB", m->memory_percent,
                 (unsigned long long)(m->memory_total / MB));
        return m->memory_percent >= 90;
    case MR_RULE_DISK:
        ret->critical = m->disk_percent >= 98 || m->disk_free < 256 * MB;
        snprintf(ret->message, sizeof ret->message,
                 "Disk is nearly full: %.1f %% used, %llu MB free", m->disk_percent,
                 (unsigned long long)(m->disk_free / MB));
        return m->disk_total && (m->disk_percent >= 90 || m->disk_free < 1024 * MB);
    case MR_RULE_FAILURES:
        return failures(f, ret);
    case MR_RULE_QUEUE:
        ret->critical = f->queued >= 1000;
        snprintf(ret->message, sizeof ret->message, "Long queue detected: %llu requests wait",
                 (unsigned long long)f->queued);
        return f->queued >= 100;
    case MR_RULE_N:
        break;
    }
    return false;
}
