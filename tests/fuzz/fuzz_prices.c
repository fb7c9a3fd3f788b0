/* Price files: the TOML reader, rows and aliases; what is accepted is searched and costed. */
#include "core/money/prices_priv.h"
#include "wire/toml.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void use(const struct mr_price *p, const struct mr_usage_tokens *u) {
    struct mr_err e = {0};
    int64_t cost;
    if (p->input < 0 || p->cached < 0 || p->cache_write < 0 || p->output < 0 || !p->version.n)
        __builtin_trap();
    for (int t = 0; t < MR_PRICE_TIERS; t++)
        if (mr_price_cost(p, (enum mr_price_tier)t, u, &cost, &e) == 0 && cost < 0)
            __builtin_trap();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const struct mr_usage_tokens u = {300000, 1000, 7, 123456};
    struct mr_str in = mr_strn((const char *)data, size);
    struct mr_arena arena;
    struct mr_toml t;
    struct mr_err e = {0};
    mr_arena_init(&arena, 16u << 20);
    int rc = mr_toml_parse(in, &arena, &t, &e);
    if ((rc != 0) != (e.msg[0] != '\0'))
        __builtin_trap();
    for (uint32_t i = 0; rc == 0 && i < t.n_table; i++)
        for (uint32_t k = 0; k < t.table[i].n_value; k++)
            if (!t.table[i].value[k].key.n || t.table[i].value[k].line < t.table[i].line)
                __builtin_trap();
    mr_arena_release(&arena);
    struct mr_price_set *s = mr_price_set_new();
    if (!s)
        return 0;
    e = (struct mr_err){0};
    rc = mr_price_set_add(s, "fuzz.toml", in, &e);
    if (rc == 0) { /* once more as the operator's, over itself */
        size_t n = s->n_row;
        s->own = true;
        rc = mr_price_set_add(s, "again.toml", in, &e);
        if (rc == 0)
            rc = mr_price_set_finish(s, n, &e);
        for (size_t i = 0; rc == 0 && i < s->n_row + s->n_hidden; i++)
            use(&s->row[i], &u);
    }
    if ((rc != 0) != (e.msg[0] != '\0'))
        __builtin_trap();
    mr_price_set_free(s);
    return 0;
}
