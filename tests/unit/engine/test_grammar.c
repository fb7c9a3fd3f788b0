/* JSON Schema -> GBNF, judged by llama.cpp's own grammar code on the default model's vocabulary:
 * each text of a schema is admitted to its end, or not. Also the finding of tool calls. */
#include "base/arena.h"
#include "base/cleanup.h"
#include "engine/llm/grammar.h"
#include "engine/llm/llama_api.h"
#include "engine/llm/tools.h"
#include "mr_test.h"

#include <yyjson.h>

static struct mr_llama api;
static const struct llama_vocab *vocab;
static int32_t eog;

static bool admits(struct llama_sampler *g, int32_t token) {
    struct llama_token_data d = {.id = token};
    struct llama_token_data_array a = {.data = &d, .size = 1, .selected = -1};
    api.llama_sampler_apply(g, &a);
    return d.logit > -INFINITY;
}

/* Whether the grammar admits exactly this text. */
static bool matches(const char *grammar, const char *text) {
    struct llama_sampler *g = api.llama_sampler_init_grammar(vocab, grammar, "root");
    if (!g) {
        fprintf(stderr, "llama.cpp does not read:\n%s\n", grammar);
        mr_test_failed_++;
        return false;
    }
    int32_t token[4096];
    int n = api.llama_tokenize(vocab, text, (int32_t)strlen(text), token, 4096, false, false);
    bool ok = n >= 0;
    for (int k = 0; ok && k < n; k++) {
        ok = admits(g, token[k]);
        if (ok)
            api.llama_sampler_accept(g, token[k]);
    }
    ok = ok && admits(g, eog);
    api.llama_sampler_free(g);
    return ok;
}

static void check(const char *schema, const char *const *good, const char *const *bad) {
    yyjson_doc *d = yyjson_read(schema, strlen(schema), 0);
    struct mr_buf b;
    struct mr_err e = {0};
    mr_buf_init(&b, 1 << 22);
    CHECK(d != NULL);
    int r = mr_grammar_from_schema(yyjson_doc_get_root(d), &b, &e);
    if (r) {
        fprintf(stderr, "%s\n  %s: %s\n", schema, e.field, e.msg);
        mr_test_failed_++;
    } else {
        for (; good && *good; good++)
            if (!matches(b.p, *good)) {
                fprintf(stderr, "%s\n  does not admit %s\n%s\n", schema, *good, b.p);
                mr_test_failed_++;
            }
        for (; bad && *bad; bad++)
            if (matches(b.p, *bad)) {
                fprintf(stderr, "%s\n  admits %s\n%s\n", schema, *bad, b.p);
                mr_test_failed_++;
            }
    }
    mr_buf_release(&b);
    yyjson_doc_free(d);
}
#define L(...) ((const char *const[]){__VA_ARGS__, NULL})

MR_TEST(plain_types) {
    check("{\"type\":\"string\"}", L("\"\"", "\"a b\"", "\"\\n\\u00e9\"", "\"Zürich 東京\""),
          L("", "a", "\"", "\"\n\"", "\"\\ud800\"", "\"a\" "));
    check("{\"type\":\"integer\"}", L("0", "-7", "120"), L("01", "1.5", "-", "1e3"));
    check("{\"type\":\"number\"}", L("0", "-7.25", "1e3", "2.5E-7"), L("01", ".5", "1.", "1e"));
    check("{\"type\":\"boolean\"}", L("true", "false"), L("True", "1"));
    check("{\"type\":[\"string\",\"null\"]}", L("\"x\"", "null"), L("1"));
    check("{\"enum\":[\"red\",\"a\\\"b\",3,null,{\"k\":[1]}]}",
          L("\"red\"", "\"a\\\"b\"", "3", "null", "{\"k\":[1]}"), L("\"blue\"", "red"));
    check("{\"const\":\"x\"}", L("\"x\""), L("\"y\""));
    check("{}", L("1", "[]", "{\"a\":[null]}", "\"s\""), L("[", "nope"));
    check("true", L("1"), NULL);
}

MR_TEST(objects) {
    check("{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"integer\"},\"b\":{\"type\":"
          "\"string\"},\"c\":{\"type\":\"boolean\"}},\"required\":[\"b\"]}",
          L("{\"b\":\"x\"}", "{\"a\":1,\"b\":\"x\"}", "{ \"a\": 1, \"b\": \"x\", \"c\": true }",
            "{\n  \"b\": \"\",\n  \"c\": false\n}"),
          L("{}", "{\"a\":1}", "{\"b\":\"x\",\"a\":1}", "{\"b\":\"x\",}", "{\"b\":1}",
            "{\"b\":\"x\",\"d\":1}"));
    check("{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"integer\"}},"
          "\"additionalProperties\":{\"type\":\"boolean\"}}",
          L("{}", "{\"a\":1}", "{\"a\":1,\"x\":true,\"y\":false}", "{\"b\":true}"),
          L("{\"x\":1}", "{\"a\":true}"));
    check("{\"type\":\"object\"}", L("{}", "{\"any\":[{}]}"), L("[]", "1"));
    check("{\"type\":\"object\",\"properties\":{},\"additionalProperties\":false}", L("{}"),
          L("{\"a\":1}"));
    check("{\"allOf\":[{\"properties\":{\"a\":{\"type\":\"integer\"}},\"required\":[\"a\"]},{"
          "\"$ref\":\"#/$defs/t\"}],\"$defs\":{\"t\":{\"type\":\"object\",\"properties\":{\"b\":{"
          "\"type\":\"null\"}},\"required\":[\"b\"]}}}",
          L("{\"a\":1,\"b\":null}"), L("{\"a\":1}", "{\"b\":null}"));
}

MR_TEST(arrays) {
    check("{\"type\":\"array\",\"items\":{\"type\":\"integer\"},\"minItems\":2,\"maxItems\":3}",
          L("[1,2]", "[1, 2, 3]"), L("[]", "[1]", "[1,2,3,4]", "[1,\"a\"]"));
    check("{\"type\":\"array\",\"items\":{\"type\":\"integer\"}}", L("[]", "[1]", "[1,2,3,4]"),
          L("[,]", "[1,]"));
    check("{\"prefixItems\":[{\"type\":\"integer\"},{\"type\":\"string\"}],\"items\":false}",
          L("[1,\"a\"]"), L("[1]", "[1,\"a\",2]", "[\"a\",1]"));
    check("{\"prefixItems\":[{\"type\":\"integer\"}],\"items\":{\"type\":\"null\"},\"maxItems\":3}",
          L("[1]", "[1,null,null]"), L("[]", "[1,null,null,null]"));
    check("{\"type\":\"array\",\"maxItems\":1}", L("[]", "[{\"a\":1}]"), L("[1,2]"));
}

MR_TEST(bounds_of_numbers) {
    static const struct {
        int lo, hi;
    } r[] = {{0, 9},    {1, 10},  {0, 100}, {18, 65},     {-5, 5},    {-20, -3},   {7, 7},
             {99, 101}, {0, 255}, {-1, 0},  {1234, 5678}, {190, 211}, {-100, 1000}};
    for (size_t k = 0; k < sizeof r / sizeof *r; k++) {
        char schema[128], text[32];
        snprintf(schema, sizeof schema, "{\"type\":\"integer\",\"minimum\":%d,\"maximum\":%d}",
                 r[k].lo, r[k].hi);
        yyjson_doc *d = yyjson_read(schema, strlen(schema), 0);
        struct mr_buf b;
        mr_buf_init(&b, 1 << 20);
        CHECK_INT(mr_grammar_from_schema(yyjson_doc_get_root(d), &b, NULL), 0);
        for (int v = r[k].lo - 12; v <= r[k].hi + 12; v++) {
            if (r[k].hi - r[k].lo > 300 && v > r[k].lo + 12 && v < r[k].hi - 12 && v % 37)
                continue;
            snprintf(text, sizeof text, "%d", v);
            if (matches(b.p, text) != (v >= r[k].lo && v <= r[k].hi)) {
                fprintf(stderr, "%s: %d\n%s\n", schema, v, b.p);
                mr_test_failed_++;
            }
        }
        CHECK(!matches(b.p, "-0"));
        mr_buf_release(&b);
        yyjson_doc_free(d);
    }
    check("{\"type\":\"number\",\"minimum\":0,\"maximum\":1}", L("0", "0.25", "1", "1.0"),
          L("-0.5", "1.5", "2", "1.01"));
    check("{\"type\":\"number\",\"minimum\":-3,\"maximum\":5}", L("-3", "-2.9", "4.99", "5", "0"),
          L("-3.1", "5.1", "6"));
    check("{\"type\":\"integer\",\"exclusiveMinimum\":3}", L("4", "1000000"), L("3", "-4"));
    check("{\"minimum\":10}", L("10", "10.5", "99999"), L("9.9", "-1"));
}

MR_TEST(strings_with_rules) {
    check("{\"type\":\"string\",\"minLength\":2,\"maxLength\":4}",
          L("\"ab\"", "\"abcd\"", "\"äöü\""), L("\"a\"", "\"abcde\""));
    check("{\"type\":\"string\",\"minLength\":1}", L("\"a\"", "\"abcdefgh\""), L("\"\""));
    check("{\"type\":\"string\",\"pattern\":\"^[A-Z]{2}-\\\\d+(\\\\.\\\\d{1,2})?$\"}",
          L("\"AB-7\"", "\"XY-12.5\""), L("\"A-7\"", "\"AB-\"", "\"AB-1.234\"", "\"ab-1\""));
    check("{\"type\":\"string\",\"pattern\":\"^(foo|ba[rz])$\"}", L("\"foo\"", "\"baz\""),
          L("\"ba\"", "\"food\""));
    check("{\"type\":\"string\",\"pattern\":\"x\"}", L("\"x\"", "\"axb\""), L("\"ab\""));
    check("{\"type\":\"string\",\"pattern\":\"^a\\\"b\\\\\\\\$\"}", L("\"a\\\"b\\\\\""),
          L("\"ab\""));
    check("{\"type\":\"string\",\"format\":\"date\"}", L("\"2026-01-31\"", "\"1999-02-28\""),
          L("\"2026-13-01\"", "\"2026-04-31\"", "\"26-01-01\""));
    check("{\"type\":\"string\",\"format\":\"date-time\"}", L("\"2026-01-31T23:59:59.5+01:00\""),
          L("\"2026-01-31\"", "\"2026-01-31T24:00:00Z\""));
    check("{\"type\":\"string\",\"format\":\"uuid\"}",
          L("\"123e4567-e89b-12d3-a456-426614174000\""), L("\"123e4567\""));
}

MR_TEST(recursion_and_choice) {
    check("{\"$ref\":\"#/$defs/tree\",\"$defs\":{\"tree\":{\"type\":\"object\",\"properties\":{"
          "\"v\":{\"type\":\"integer\"},\"kids\":{\"type\":\"array\",\"items\":{\"$ref\":"
          "\"#/$defs/tree\"}}},\"required\":[\"v\"]}}}",
          L("{\"v\":1}", "{\"v\":1,\"kids\":[{\"v\":2,\"kids\":[]},{\"v\":3}]}"),
          L("{\"kids\":[]}", "{\"v\":1,\"kids\":[1]}"));
    check("{\"anyOf\":[{\"type\":\"integer\"},{\"type\":\"object\",\"properties\":{\"a\":{"
          "\"$ref\":\"#\"}},\"required\":[\"a\"]}]}",
          L("1", "{\"a\":{\"a\":5}}"), L("{\"a\":{}}"));
}

MR_TEST(what_cannot_be_said_is_refused_by_name) {
    static const char *const bad[][2] = {
        {"{\"type\":\"integer\",\"multipleOf\":5}", "schema.multipleOf"},
        {"{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"array\",\"uniqueItems\":true}}}",
         "schema.a.uniqueItems"},
        {"{\"type\":\"object\",\"minProperties\":1}", "schema.minProperties"},
        {"{\"not\":{}}", "schema.not"},
        {"{\"type\":\"string\",\"format\":\"email\"}", "schema.format"},
        {"{\"type\":\"string\",\"pattern\":\"^(?=a)b$\"}", "schema.pattern"},
        {"{\"type\":\"string\",\"pattern\":\"^a\"b\"}", NULL},
        {"{\"type\":\"string\",\"pattern\":\"^(a$\"}", "schema.pattern"},
        {"{\"type\":\"string\",\"pattern\":\"a{3\"}", "schema.pattern"},
        {"{\"type\":\"string\",\"maxLength\":100000}", "schema.maxLength"},
        {"{\"type\":\"float\"}", "schema.type"},
        {"{\"$ref\":\"http://example.com/s\"}", "schema.$ref"},
        {"{\"$ref\":\"#\"}", "schema.$ref"},
        {"{\"anyOf\":[{\"$ref\":\"#\"}]}", "schema.anyOf"},
        {"{\"anyOf\":[{\"type\":\"null\"}],\"required\":[\"a\"]}", "schema.anyOf"},
        {"{\"type\":\"number\",\"minimum\":0.5}", "schema.minimum"},
        {"{\"type\":\"integer\",\"minimum\":5,\"maximum\":1}", "schema.maximum"},
        {"{\"type\":\"object\",\"required\":[\"x\"],\"additionalProperties\":false}",
         "schema.required"},
        {"false", "schema"},
        {"7", "schema"}};
    for (size_t k = 0; k < sizeof bad / sizeof *bad; k++) {
        yyjson_doc *d = yyjson_read(bad[k][0], strlen(bad[k][0]), 0);
        struct mr_buf b;
        struct mr_err e = {0};
        if (!d)
            continue; /* the row that is no JSON */
        mr_buf_init(&b, 1 << 20);
        mr_buf_cstr(&b, "kept");
        CHECK_INT(mr_grammar_from_schema(yyjson_doc_get_root(d), &b, &e), MR_EFIELD);
        CHECK_STR(e.field, bad[k][1]);
        CHECK_STR(b.p ? (b.p[b.n] = 0, b.p) : "", "kept");
        mr_buf_release(&b);
        yyjson_doc_free(d);
    }
}

MR_TEST(deep_and_large_schemas_end) {
    struct mr_buf b, g;
    struct mr_err e = {0};
    mr_buf_init(&b, 1 << 22);
    mr_buf_init(&g, 1 << 22);
    for (int k = 0; k < 500; k++)
        mr_buf_cstr(&b, "{\"items\":");
    mr_buf_cstr(&b, "{}");
    for (int k = 0; k < 500; k++)
        mr_buf_char(&b, '}');
    yyjson_doc *d = yyjson_read(b.p, b.n, 0);
    CHECK_INT(mr_grammar_from_schema(yyjson_doc_get_root(d), &g, &e), MR_EFIELD);
    yyjson_doc_free(d);
    mr_buf_clear(&b);
    mr_buf_cstr(&b, "{\"properties\":{\"a\":1");
    for (int k = 0; k < 600; k++)
        mr_buf_fmt(&b, ",\"p%d\":{}", k);
    mr_buf_cstr(&b, "}}");
    d = yyjson_read(b.p, b.n, 0);
    CHECK_INT(mr_grammar_from_schema(yyjson_doc_get_root(d), &g, &e), MR_EFIELD);
    yyjson_doc_free(d);
    mr_buf_release(&b);
    mr_buf_release(&g);
}

MR_TEST(json_mode) {
    struct mr_buf b;
    mr_buf_init(&b, 1 << 20);
    CHECK_INT(mr_grammar_from_schema(NULL, &b, NULL), 0);
    CHECK(matches(b.p, "{\"a\": [1, 2.5, null, {\"b\": \"c\"}]}"));
    CHECK(!matches(b.p, "[]") && !matches(b.p, "{"));
    mr_buf_release(&b);
}

static const char weather[] =
    "[{\"type\":\"function\",\"function\":{\"name\":\"weather\",\"parameters\":{\"type\":"
    "\"object\","
    "\"properties\":{\"city\":{\"$ref\":\"#/$defs/c\"}},\"required\":[\"city\"],\"$defs\":{\"c\":{"
    "\"type\":\"string\"}}}}},{\"type\":\"function\",\"function\":{\"name\":\"now\"}}]";

MR_TEST(grammars_of_tools) {
    yyjson_doc *d = yyjson_read(weather, sizeof weather - 1, 0);
    struct mr_buf b;
    struct mr_err e = {0};
    mr_buf_init(&b, 1 << 20);
    CHECK_INT(mr_tools_grammar(yyjson_doc_get_root(d), MR_TOOLS_REQUIRED, mr_str(""), &b, &e), 0);
    CHECK(matches(b.p,
                  "<tool_call>\n{\"name\": \"weather\", \"arguments\": {\"city\": \"Paris\"}}\n"
                  "</tool_call>"));
    CHECK(matches(b.p, "<tool_call>\n{\"name\":\"now\",\"arguments\":{}}\n</tool_call>"));
    CHECK(!matches(b.p, "<tool_call>\n{\"name\":\"weather\",\"arguments\":{}}\n</tool_call>"));
    CHECK(!matches(b.p, "hello"));
    mr_buf_clear(&b);
    CHECK_INT(mr_tools_grammar(yyjson_doc_get_root(d), MR_TOOLS_ONE, mr_str("now"), &b, &e), 0);
    CHECK(!matches(b.p, "<tool_call>\n{\"name\": \"weather\", \"arguments\": {\"city\": \"P\"}}\n"
                        "</tool_call>"));
    mr_buf_clear(&b);
    CHECK_INT(mr_tools_grammar(yyjson_doc_get_root(d), MR_TOOLS_ONE, mr_str("gone"), &b, &e),
              MR_EFIELD);
    CHECK_STR(e.field, "tool_choice");
    mr_buf_release(&b);
    yyjson_doc_free(d);
}

MR_TEST(calls_are_found_in_answers) {
    struct mr_arena a;
    struct mr_str text;
    struct mr_tool_call *call;
    size_t n;
    mr_arena_init(&a, 1 << 20);
    const char *two =
        "I will look.\n<tool_call>\n{\"name\": \"weather\", \"arguments\": {\"city\": "
        "\"Bonn\"}}\n</tool_call>\n<tool_call>{\"name\":\"now\"}</tool_call>";
    CHECK_INT(mr_tools_find(mr_str(two), &a, &text, &call, &n, NULL), 0);
    CHECK_INT(n, 2);
    CHECK_STR(text.p, "I will look.");
    CHECK_STR(call[0].name.p, "weather");
    CHECK_STR(call[0].arguments.p, "{\"city\":\"Bonn\"}");
    CHECK_STR(call[1].arguments.p, "{}");
    const char *cut = "<tool_call>\n{\"name\": \"now\", \"arguments\": {}}";
    CHECK_INT(mr_tools_find(mr_str(cut), &a, &text, &call, &n, NULL), 0);
    CHECK_INT(n, 1);
    const char *broken = "<tool_call>{\"name\": </tool_call> and text";
    CHECK_INT(mr_tools_find(mr_str(broken), &a, &text, &call, &n, NULL), 0);
    CHECK_INT(n, 0);
    CHECK_STR(text.p, broken);
    mr_arena_release(&a);
}

static void quiet(enum ggml_log_level level, const char *text, void *arg) {
    (void)level, (void)text, (void)arg;
}

#define main test_main
int test_main(int argc, char **argv);
MR_TEST_MAIN(CASE(plain_types), CASE(objects), CASE(arrays), CASE(bounds_of_numbers),
             CASE(strings_with_rules), CASE(recursion_and_choice),
             CASE(what_cannot_be_said_is_refused_by_name), CASE(deep_and_large_schemas_end),
             CASE(json_mode), CASE(grammars_of_tools), CASE(calls_are_found_in_answers))
#undef main

int main(int argc, char **argv) {
    char path[4096], folder[4096];
    struct mr_err e = {0};
    const char *cache = getenv("MILLRACE_CACHE"), *home = getenv("HOME");
    snprintf(path, sizeof path, "%s%s/models/smollm2-135m-instruct/model.gguf",
             cache && *cache ? cache : home, cache && *cache ? "" : "/.cache/millrace");
    if (mr_llama_folder(folder, sizeof folder, &e) || mr_llama_load(folder, &api, &e)) {
        fprintf(stderr, "%s\n", e.msg);
        return 1;
    }
    api.llama_log_set(quiet, NULL);
    api.llama_backend_init();
    struct llama_model_params mp = api.llama_model_default_params();
    mp.vocab_only = true;
    MR_AUTO_FCLOSE FILE *f = fopen(path, "rb");
    struct llama_model *model = f ? api.llama_model_load_from_file_ptr(f, mp) : NULL;
    if (!model) {
        fprintf(stderr, "%s is missing: run scripts/setup\n", path);
        return 1;
    }
    vocab = api.llama_model_get_vocab(model);
    while (!api.llama_vocab_is_eog(vocab, eog))
        eog++;
    return test_main(argc, argv);
}
