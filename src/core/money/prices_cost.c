#include "core/money/prices.h"

/* x * num / den, half up; all >= 0, den > 0. */
static int64_t scale(int64_t x, int64_t num, int64_t den) {
    return (int64_t)(((__int128)x * num * 2 + den) / ((__int128)den * 2));
}

int mr_price_rates(const struct mr_price *p, enum mr_price_tier tier, int64_t input_tokens,
                   struct mr_price_rates *ret, struct mr_err *e) {
    static const char *const name[MR_PRICE_TIERS] = {"standard", "batch", "flex", "priority"};
    struct mr_price_rates r = {p->input, p->cached, p->cache_write, p->output};
    if (p->long_over > 0 && input_tokens > p->long_over)
        r = (struct mr_price_rates){p->long_input, p->long_cached, p->long_cache_write,
                                    p->long_output};
    if (tier != MR_TIER_STANDARD) {
        int64_t in = p->tier_input[tier], out = p->tier_output[tier];
        if (in < 0 || out < 0)
            return mr_fail(e, MR_EUNSUPPORTED, "%.*s has no %s price for model '%.*s'",
                           (int)p->provider.n, p->provider.p, name[tier], (int)p->model.n,
                           p->model.p);
        if (p->input > 0) {
            r.input = scale(r.input, in, p->input);
            r.cached = scale(r.cached, in, p->input);
            r.cache_write = scale(r.cache_write, in, p->input);
        }
        if (p->output > 0)
            r.output = scale(r.output, out, p->output);
    }
    *ret = r;
    return 0;
}

int mr_price_cost(const struct mr_price *p, enum mr_price_tier tier,
                  const struct mr_usage_tokens *u, int64_t *ret_nano, struct mr_err *e) {
    int64_t special;
    if (u->input < 0 || u->cached < 0 || u->cache_write < 0 || u->output < 0 ||
        __builtin_add_overflow(u->cached, u->cache_write, &special) || special > u->input)
        return mr_fail(e, MR_EINVAL,
                       "the token counts contradict each other: %lld input, of them %lld cached "
                       "and %lld written to the cache, %lld output",
                       (long long)u->input, (long long)u->cached, (long long)u->cache_write,
                       (long long)u->output);
    struct mr_price_rates r;
    int rc = mr_price_rates(p, tier, u->input, &r, e);
    if (rc)
        return rc;
    /* each product is below 2^126, so four of them may not fit: divide the check, not the sum */
    const __int128 part = ((__int128)1 << 125) - 1;
    __int128 term[4] = {(__int128)(u->input - special) * r.input, (__int128)u->cached * r.cached,
                        (__int128)u->cache_write * r.cache_write, (__int128)u->output * r.output};
    __int128 sum = 500000; /* half up */
    for (int i = 0; i < 4; i++) {
        if (term[i] > part / 4)
            return mr_fail(e, MR_EINVAL, "the cost does not fit");
        sum += term[i];
    }
    sum = sum / 1000000 + p->request;
    if (sum > INT64_MAX)
        return mr_fail(e, MR_EINVAL, "the cost does not fit");
    *ret_nano = (int64_t)sum;
    return 0;
}
