#include "core/gateway/breaker.h"

static void open_it(struct breaker *b, int64_t now_ns) {
    if (b->open_ms < BREAKER_OPEN_MS)
        b->open_ms = BREAKER_OPEN_MS;
    b->open = true;
    b->probing = false;
    b->until_ns = now_ns + b->open_ms * 1000000;
    b->open_ms = b->open_ms * 2 > BREAKER_OPEN_MAX_MS ? BREAKER_OPEN_MAX_MS : b->open_ms * 2;
    b->opened++;
}

bool breaker_allow(struct breaker *b, int64_t now_ns, bool *ret_probe, int64_t *ret_wait_ms) {
    *ret_probe = false;
    if (!b->open)
        return true;
    if (now_ns < b->until_ns) {
        *ret_wait_ms = (b->until_ns - now_ns + 999999) / 1000000;
        return false;
    }
    if (b->probing) {
        *ret_wait_ms = BREAKER_OPEN_MS;
        return false;
    }
    b->probing = *ret_probe = true;
    return true;
}

bool breaker_report(struct breaker *b, int64_t now_ns, enum outcome o, bool probe) {
    if (probe) {
        b->probing = false;
        if (o == OUTCOME_FAULT) {
            open_it(b, now_ns);
            return true;
        }
        if (o == OUTCOME_GOOD)
            *b = (struct breaker){.opened = b->opened};
        return false;
    }
    if (b->open || o == OUTCOME_NONE) /* begun before it opened: says nothing new */
        return false;
    b->faults = (b->faults << 1 | (o == OUTCOME_FAULT)) & ((1U << BREAKER_OUTCOMES) - 1);
    if (b->n < BREAKER_OUTCOMES)
        b->n++;
    unsigned faults = (unsigned)__builtin_popcount(b->faults);
    if (o != OUTCOME_FAULT || faults < BREAKER_FAULTS_MIN || faults * 2 < b->n)
        return false;
    b->faults = 0;
    b->n = 0;
    open_it(b, now_ns);
    return true;
}
