#include "mr_test.h"
#include "wire/toml.h"

static struct mr_arena arena;
static struct mr_toml doc;
static struct mr_err err;

static int parse(const char *text) {
    mr_arena_reset(&arena);
    err = (struct mr_err){0};
    return mr_toml_parse(mr_str(text), &arena, &doc, &err);
}

static const struct mr_toml_value *get(uint32_t table, const char *key) {
    static const struct mr_toml_value missing = {.text = MR_LIT("(missing)"), .n_item = 99};
    const struct mr_toml_value *v =
        table < doc.n_table ? mr_toml_find(&doc.table[table], key) : NULL;
    return v ? v : &missing;
}

static void is(const struct mr_toml_value *v, enum mr_toml_kind kind, const char *text) {
    char got[200];
    snprintf(got, sizeof got, "%.*s", (int)v->text.n, v->text.p ? v->text.p : "");
    CHECK_INT(v->kind, kind);
    CHECK_STR(got, text);
}

MR_TEST(reads_the_subset) {
    CHECK_INT(parse("# prices\r\n"
                    "provider = \"openai\" # who\n"
                    "from = 2026-11-22\n"
                    "\n"
                    "[[price]]\n"
                    "model = 'gpt-\\x'\n"
                    "\"quoted key\" = \"a\\\"b\\\\c\\u00e9\\U0001F600\\n\"\n"
                    "input = 1_000.25\n"
                    "count = -17\n"
                    "up = +3\n"
                    "on = true\n"
                    "off = false\n"
                    "tags = [ 'a', # one\n  \"b\",\n]\n"
                    "none = []\n"
                    "[[price]]\n"
                    "model = \"x\"\n"
                    "[other.part]\n"
                    "z = 0"),
              0);
    CHECK_STR(err.msg, "");
    CHECK_INT(doc.n_table, 4);
    is(get(0, "provider"), MR_TOML_STRING, "openai");
    is(get(0, "from"), MR_TOML_DATE, "2026-11-22");
    is(get(1, "model"), MR_TOML_STRING, "gpt-\\x");
    is(get(1, "quoted key"), MR_TOML_STRING, "a\"b\\c\xc3\xa9\xf0\x9f\x98\x80\n");
    is(get(1, "input"), MR_TOML_DECIMAL, "1000.25");
    is(get(1, "count"), MR_TOML_INTEGER, "-17");
    is(get(1, "up"), MR_TOML_INTEGER, "3");
    CHECK(get(1, "on")->kind == MR_TOML_BOOL && get(1, "on")->on);
    CHECK(get(1, "off")->kind == MR_TOML_BOOL && !get(1, "off")->on);
    CHECK_INT(get(1, "tags")->n_item, 2);
    CHECK(mr_str_is(get(1, "tags")->item[1], "b"));
    CHECK_INT(get(1, "none")->n_item, 0);
    CHECK(doc.table[1].array && doc.table[2].array && !doc.table[3].array);
    CHECK_INT(doc.table[2].line, 17);
    CHECK(mr_str_is(doc.table[3].name, "other.part"));
    is(get(3, "z"), MR_TOML_INTEGER, "0");
    CHECK_INT(parse(""), 0);
    CHECK_INT(doc.n_table, 1);
}

MR_TEST(refuses_with_the_line) {
    static const struct {
        const char *text, *msg;
    } bad[] = {
        {"a = 1\nb == 2", "line 2: a value was expected"},
        {"a = 1\na = 2", "line 2: 'a' is given twice (first in line 1)"},
        {"[t]\nx=1\n[t]\n", "line 3: table 't' is given twice"},
        {"[[t]]\n[t]\n", "line 2: table 't' is given twice"},
        {"a = \"x", "line 1: a string does not end"},
        {"a = \"x\ny\"", "line 1: a string does not end on its line"},
        {"a = 'x\n'", "line 1: a string does not end on its line"},
        {"a = \"\\q\"", "line 1: an unknown escape in a string"},
        {"a = \"\\ud800\"", "line 1: a \\u escape is no character"},
        {"a = \"\\u12\"", "line 1: a \\u escape needs 4 hex digits"},
        {"a = \"\"\"x\"\"\"", "line 1: strings over several lines are not supported"},
        {"a.b = 1", "line 1: dotted keys are not supported"},
        {"a = {}", "line 1: inline tables are not supported"},
        {"a = [1]", "line 1: an array may only hold strings here"},
        {"a = ['x' 'y']", "line 1: ',' or ']' was expected in an array"},
        {"a = 01", "line 1: '01' is no number"},
        {"a = 1e5", "line 1: '1e5' is no value that this format has"},
        {"a = 1.", "line 1: '1.' is no value that this format has"},
        {"a = .5", "line 1: '.5' is no value that this format has"},
        {"a = 1__0", "line 1: '1__0' is no value that this format has"},
        {"a = 0x10", "line 1: '0x10' is no value that this format has"},
        {"a = inf", "line 1: 'inf' is no value that this format has"},
        {"a = -", "line 1: '-' is no number"},
        {"a = 1 2", "line 1: the end of the line was expected"},
        {"= 1", "line 1: a key was expected"},
        {"\"\" = 1", "line 1: an empty key"},
        {"a", "line 1: '=' was expected after the key"},
        {"\n\n[x", "line 3: ']' was expected after the table's name"},
        {"[[x]\n", "line 1: ']' was expected after the table's name"},
        {"[]\n", "line 1: a key was expected"},
        {"# \x01\n", "line 1: a control character in a comment"},
        {"a = 1\r", "line 1: the end of the line was expected"},
        {"a = \"\xff\"", "the file is not UTF-8"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        CHECK_INT(parse(bad[i].text), MR_EINVAL);
        CHECK_STR(err.msg, bad[i].msg);
    }
}

MR_TEST(keeps_to_its_caps) {
    static char big[400000];
    size_t n = 0;
    for (int i = 0; i <= MR_TOML_MAX_KEYS; i++)
        n += (size_t)snprintf(big + n, sizeof big - n, "k%d = 1\n", i);
    CHECK_INT(parse(big), MR_ETOOBIG);
    n = (size_t)snprintf(big, sizeof big, "a = [");
    for (int i = 0; i <= MR_TOML_MAX_ITEMS; i++)
        n += (size_t)snprintf(big + n, sizeof big - n, "'x',");
    snprintf(big + n, sizeof big - n, "]");
    CHECK_INT(parse(big), MR_ETOOBIG);
    for (n = 0; n < sizeof big - 10;)
        n += (size_t)snprintf(big + n, sizeof big - n, "[[t]]\n");
    CHECK_INT(parse(big), MR_ETOOBIG);
    struct mr_toml t;
    CHECK_INT(mr_toml_parse(mr_strn(big, MR_TOML_MAX_BYTES + 1), &arena, &t, &err), MR_ETOOBIG);
}

static void with_arena(void) {
    mr_arena_init(&arena, 64 << 20);
}

MR_TEST(begin) {
    with_arena();
}
MR_TEST(finish) {
    mr_arena_release(&arena);
}

MR_TEST_MAIN(CASE(begin), CASE(reads_the_subset), CASE(refuses_with_the_line),
             CASE(keeps_to_its_caps), CASE(finish))
