/* The price book: embedded rows, the operator's over them, reloading, and what tokens cost. */
#include "base/clock.h"
#include "core/money/money.h"
#include "core/money/prices_priv.h"
#include "mr_test.h"
#include "mr_tmp.h"

#include <sys/stat.h>

static struct mr_arena arena;
static struct mr_err err;
static struct mr_tmp tmp;

static struct mr_price_book *book(const char *dir) {
    struct mr_price_book *b = NULL;
    err = (struct mr_err){0};
    mr_price_book_open(dir, NULL, &b, &err);
    return b;
}

static void put(const char *name, const char *text) {
    char path[300], next[310];
    mr_tmp_path(&tmp, name, path);
    snprintf(next, sizeof next, "%s.new", path);
    FILE *f = fopen(next, "w");
    if (!f || fputs(text, f) < 0 || fclose(f) || rename(next, path))
        exit(2);
}

static int find(struct mr_price_book *b, const char *provider, const char *model, int64_t at,
                struct mr_price *p) {
    err = (struct mr_err){0};
    return mr_price_find(b, mr_str(provider), mr_str(model), at, &arena, p, &err);
}

static int64_t cost(const struct mr_price *p, enum mr_price_tier t, struct mr_usage_tokens u) {
    int64_t v = -1;
    err = (struct mr_err){0};
    int rc = mr_price_cost(p, t, &u, &v, &err);
    return rc ? rc : v;
}

#define NOW INT64_C(1795651200000000) /* 2026-11-26 */

MR_TEST(embedded_prices) {
    mr_arena_init(&arena, 8 << 20);
    struct mr_price_book *b = book(NULL);
    struct mr_price p, *all;
    size_t n = 0;
    CHECK_STR(err.msg, "");
    if (!b)
        return;
    CHECK_INT(mr_price_list(b, &arena, &all, &n, &err), 0);
    CHECK(n >= 183);
    for (size_t i = 1; i < n; i++)
        CHECK(mr_price_order(all[i - 1].provider, all[i - 1].model, &all[i]) < 0);
    CHECK_INT(find(b, "openai", "gpt-4o-mini", NOW, &p), 0);
    CHECK_INT(p.input, 150000000);
    CHECK_INT(p.cached, 75000000);
    CHECK_INT(p.cache_write, 150000000); /* no price of its own: as input */
    CHECK_INT(p.output, 600000000);
    CHECK(mr_str_starts(p.version, MR_LIT("openai/gpt-4o-mini@2026-11-22#")));
    CHECK_INT(p.version.n, strlen("openai/gpt-4o-mini@2026-11-22#") + 8);
    CHECK(p.source.n > 10);
    struct mr_price q;
    CHECK_INT(mr_price_version(b, p.version, &arena, &q, &err), 0);
    CHECK_INT(q.output, p.output);
    CHECK_INT(mr_price_version(b, MR_LIT("openai/x@2026-11-22#00000000"), &arena, &q, &err),
              MR_ENOTFOUND);
    CHECK_INT(find(b, "openai", "gpt-4o-mini", 0, &p), 0); /* before its first row: that row */
    CHECK_INT(find(b, "openai", "gpt-3.5-turbo", NOW, &p), 0);
    CHECK(p.retires_us > 0 && p.cached == p.input); /* retired, still priced; never free */
    CHECK_INT(find(b, "mistral", "mistral-small-latest", NOW, &p), 0);
    CHECK_INT(find(b, "local", "anything", NOW, &p), 0);
    CHECK(p.input == 0 && p.output == 0 && mr_str_is(p.model, "*"));
    CHECK_INT(find(b, "openai", "gpt-99", NOW, &p), MR_ENOTFOUND);
    CHECK(strstr(err.msg, "gpt-99") && strstr(err.msg, "prices_dir"));
    CHECK_STR(err.field, "model");
    CHECK_INT(find(b, "groq", "gpt-4o-mini", NOW, &p), MR_ENOTFOUND);
    mr_price_book_free(b);
}

MR_TEST(costs) {
    struct mr_price_book *b = book(NULL);
    struct mr_price p;
    CHECK_INT(find(b, "openai", "gpt-4o-mini", NOW, &p), 0);
    CHECK_INT(cost(&p, MR_TIER_STANDARD, (struct mr_usage_tokens){2006, 1920, 0, 300}), 336900);
    CHECK_INT(cost(&p, MR_TIER_BATCH, (struct mr_usage_tokens){2000, 0, 0, 300}), 240000);
    CHECK_INT(cost(&p, MR_TIER_PRIORITY, (struct mr_usage_tokens){1000, 0, 0, 100}), 350000);
    CHECK_INT(cost(&p, MR_TIER_FLEX, (struct mr_usage_tokens){1, 0, 0, 1}), MR_EUNSUPPORTED);
    CHECK(strstr(err.msg, "no flex price"));
    CHECK_INT(find(b, "openai", "gpt-6.1-terra", NOW, &p), 0);
    CHECK_INT(p.cache_write, 1250000000);
    /* 2000 x 1 + 1000 x 0.05 + 2000 x 1.25 + 300 x 5 dollars a million */
    CHECK_INT(cost(&p, MR_TIER_STANDARD, (struct mr_usage_tokens){5000, 1000, 2000, 300}), 6050000);
    CHECK_INT(cost(&p, MR_TIER_STANDARD, (struct mr_usage_tokens){272000, 0, 0, 0}), 272000000);
    CHECK_INT(cost(&p, MR_TIER_STANDARD, (struct mr_usage_tokens){272001, 0, 0, 1000}),
              2 * 272001000 + 7500000);
    /* cached tokens over the limit follow input: 0.10 instead of 0.05 */
    CHECK_INT(cost(&p, MR_TIER_STANDARD, (struct mr_usage_tokens){300000, 300000, 0, 0}), 30000000);
    CHECK_INT(cost(&p, MR_TIER_FLEX, (struct mr_usage_tokens){300000, 300000, 0, 0}), 15000000);
    /* counts that contradict each other */
    CHECK_INT(cost(&p, MR_TIER_STANDARD, (struct mr_usage_tokens){10, 8, 3, 0}), MR_EINVAL);
    CHECK_INT(cost(&p, MR_TIER_STANDARD, (struct mr_usage_tokens){-1, 0, 0, 0}), MR_EINVAL);
    CHECK_INT(
        cost(&p, MR_TIER_STANDARD, (struct mr_usage_tokens){INT64_MAX, INT64_MAX, INT64_MAX, 0}),
        MR_EINVAL);
    CHECK_INT(cost(&p, MR_TIER_STANDARD, (struct mr_usage_tokens){INT64_MAX, 0, 0, INT64_MAX}),
              MR_EINVAL);
    mr_price_book_free(b);
}

/* Rounded once, half up: each token of 0.0000005 dollars a million is half of a thousandth nano. */
MR_TEST(rounds_once) {
    struct mr_price p = {.input = 500, .cached = 500, .cache_write = 500, .output = 499};
    CHECK_INT(cost(&p, MR_TIER_STANDARD, (struct mr_usage_tokens){999, 0, 0, 0}), 0);
    CHECK_INT(cost(&p, MR_TIER_STANDARD, (struct mr_usage_tokens){1000, 0, 0, 0}), 1);
    CHECK_INT(cost(&p, MR_TIER_STANDARD, (struct mr_usage_tokens){500, 0, 0, 500}), 0);
    CHECK_INT(cost(&p, MR_TIER_STANDARD, (struct mr_usage_tokens){900, 300, 300, 102}), 1);
}

#define ROW(model, from, in, out)                                                                  \
    "[[price]]\nprovider = \"openai\"\nmodel = \"" model "\"\nfrom = " from "\ninput = " in        \
    "\noutput = " out "\n"

MR_TEST(operators_prices) {
    mr_tmp_make(&tmp);
    put("mine.toml",
        ROW("gpt-4o-mini", "2026-01-01", "1", "2") ROW("gpt-4o-mini", "2026-12-01", "3", "4")
            ROW("new-model", "2026-01-01", "0.000000001", "0") "[[alias]]\n"
                                                               "provider = 'openai'\n"
                                                               "name = 'fast'\n"
                                                               "model = "
                                                               "'gpt-4o-mini'\n");
    put("README", "no price file");
    struct mr_price_book *plain = book(NULL), *b = book(tmp.dir);
    struct mr_price p, old;
    CHECK_STR(err.msg, "");
    if (!b)
        return;
    CHECK_INT(find(plain, "openai", "gpt-4o-mini", NOW, &old), 0);
    CHECK_INT(find(b, "openai", "gpt-4o-mini", NOW, &p), 0);
    CHECK_INT(p.input, MR_NANO); /* the embedded row is of a later day, and gives way */
    CHECK_INT(find(b, "openai", "gpt-4o-mini", NOW + INT64_C(5) * 86400000000, &p), 0);
    CHECK_INT(p.input, 3 * MR_NANO);
    CHECK_INT(find(b, "openai", "fast", NOW, &p), 0);
    CHECK(mr_str_is(p.model, "gpt-4o-mini") && p.output == 2 * MR_NANO);
    CHECK_INT(find(b, "openai", "new-model", NOW, &p), 0);
    CHECK_INT(p.input, 1);
    CHECK_INT(find(b, "openai", "gpt-4o", NOW, &p), 0);               /* others stay */
    CHECK_INT(mr_price_version(b, old.version, &arena, &p, &err), 0); /* for old charges */
    CHECK_INT(p.input, old.input);
    mr_price_book_free(b);
    mr_price_book_free(plain);
    mr_tmp_remove(&tmp);
}

static void refused(const char *text, const char *say) {
    put("bad.toml", text);
    struct mr_price_book *b = book(tmp.dir);
    CHECK(!b);
    if (!strstr(err.msg, say)) {
        CHECK_STR(err.msg, say);
    }
    mr_price_book_free(b);
}

MR_TEST(refuses_broken_files) {
#define HEAD "provider = 'x'\nfrom = 2026-01-01\n[[price]]\nmodel = 'm'\n"
    mr_tmp_make(&tmp);
    refused("a b", "bad.toml: line 1: '=' was expected");
    refused(HEAD "input = 1\n", "bad.toml: line 3: output is missing");
    refused(HEAD "output = 1\n", "bad.toml: line 3: input is missing");
    refused(HEAD "input = -1\noutput = 1\n", "bad.toml: line 5: input must be 0 to 1000000");
    refused(HEAD "input = '1'\noutput = 1\n", "line 5: input must be a number");
    refused(HEAD "input = 1.0000000001\noutput = 1\n", "line 5: input must be 0 to 1000000");
    refused(HEAD "input = 1000001\noutput = 1\n", "line 5: input must be 0 to 1000000");
    refused(HEAD "input = 1\noutput = 1\ncached = 1\n", "line 7: unknown key 'cached'");
    refused(HEAD "input = 1\noutput = 1\nlong_over = 5\n", "line 3: long_over needs long_input");
    refused(HEAD "input = 1\noutput = 1\nlong_input = 5\n", "line 3: long_over needs long_input");
    refused(HEAD "input = 1\noutput = 1\nbatch_input = 5\n", "batch_input and the tier's output");
    refused(HEAD "input = 1\noutput = 1\nfrom = 2026-02-30\n", "line 7: from must be a date");
    refused(HEAD "input = 1\noutput = 1\nmax_input = 1.5\n", "max_input must be a whole number");
    refused("[[price]]\nmodel = 'm'\nprovider = 'x'\ninput = 1\noutput = 1\n", "from is missing");
    refused("[[price]]\nmodel = 'm'\nfrom = 2026-01-01\n", "provider is missing");
    refused("[prices]\n", "only [[price]] and [[alias]] are known");
    refused("input = 5\n", "line 1: unknown key 'input'");
    refused(HEAD "input = 1\noutput = 1\n[[price]]\nmodel = 'm'\ninput = 2\noutput = 1\n",
            "two prices from the same day");
    refused("[[alias]]\nprovider = 'x'\nname = 'y'\nmodel = 'z'\n", "'z', which has no price");
    refused(HEAD "input = 1\noutput = 1\n[[alias]]\nname = 'a'\nmodel = 'm'\n[[alias]]\nname = "
                 "'a'\nmodel = 'm'\n",
            "alias 'a' of x is given twice");
    mr_tmp_remove(&tmp);
    CHECK(!book("/nonexistent/prices") && err.msg[0]);
}

/* Looked at once a second: wait for the next look to be due. */
static void look(struct mr_price_book *b) {
    for (int64_t end = mr_mono_ns() + 1100000000; mr_mono_ns() < end;)
        usleep(50000);
    mr_price_book_refresh(b);
}

MR_TEST(reloads) {
    struct mr_price p;
    mr_tmp_make(&tmp);
    put("a.toml", ROW("m", "2026-01-01", "1", "2"));
    struct mr_price_book *b = book(tmp.dir);
    CHECK_INT(find(b, "openai", "m", NOW, &p), 0);
    CHECK_INT(p.input, MR_NANO);
    mr_price_book_refresh(b);
    put("a.toml", ROW("m", "2026-01-01", "7", "2"));
    look(b);
    CHECK_INT(find(b, "openai", "m", NOW, &p), 0);
    CHECK_INT(p.input, 7 * MR_NANO);
    put("a.toml", "broken");
    look(b);
    CHECK_INT(find(b, "openai", "m", NOW, &p), 0); /* a broken file changes nothing */
    CHECK_INT(p.input, 7 * MR_NANO);
    put("a.toml", ROW("m", "2026-01-01", "8", "2"));
    put("b.toml", ROW("n", "2026-01-01", "9", "2"));
    look(b);
    CHECK_INT(find(b, "openai", "m", NOW, &p), 0);
    CHECK_INT(p.input, 8 * MR_NANO);
    CHECK_INT(find(b, "openai", "n", NOW, &p), 0);
    mr_price_book_free(b);
    mr_tmp_remove(&tmp);
    mr_arena_release(&arena);
}

MR_TEST_MAIN(CASE(embedded_prices), CASE(costs), CASE(rounds_once), CASE(operators_prices),
             CASE(refuses_broken_files), CASE(reloads))
