/* The text analyzer against what Python and scikit-learn answered (text_values.json). */
#include "base/alloc.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "model/ops/text.h"
#include "model/text/unicode.h"
#include "mr_test.h"

#include <yyjson.h>

static yyjson_doc *values;

static yyjson_val *value(const char *key) {
    if (!values) {
        yyjson_read_err err;
        values = yyjson_read_file(MR_SRC_DIR "/tests/unit/model/text_values.json", 0, NULL, &err);
        if (!values) {
            fprintf(stderr, "text_values.json: %s\n", err.msg);
            exit(1);
        }
    }
    return yyjson_obj_get(yyjson_doc_get_root(values), key);
}

static struct mr_str str_of(yyjson_val *v) {
    return (struct mr_str){yyjson_get_str(v), yyjson_get_len(v)};
}

struct fixture {
    struct mr_analyzer a;
    uint32_t *off;
    char *bytes;
};

static void stop_words(struct fixture *f, yyjson_val *list) {
    bool english = yyjson_is_str(list);
    uint32_t n = english ? mr_stop_english_n : (uint32_t)yyjson_arr_size(list);
    f->off = mr_calloc(n + 1, sizeof *f->off);
    f->bytes = mr_calloc(1, 65536);
    for (uint32_t i = 0; i < n; i++) {
        struct mr_str s = english ? mr_str(mr_stop_english[i]) : str_of(yyjson_arr_get(list, i));
        memcpy(f->bytes + f->off[i], s.p, s.n);
        f->off[i + 1] = f->off[i] + (uint32_t)s.n;
    }
    struct mr_strtab t = {n, f->off, f->bytes};
    CHECK_INT(mr_strset_init(&f->a.stop, &t, NULL), 0);
    f->a.has_stop = true;
}

static void fixture_init(struct fixture *f, yyjson_val *c) {
    memset(f, 0, sizeof *f);
    struct mr_analyzer *a = &f->a;
    yyjson_val *v = yyjson_obj_get(c, "analyzer");
    a->kind = MR_TEXT_WORD;
    if (v)
        a->kind = mr_str_is(str_of(v), "char") ? MR_TEXT_CHAR : MR_TEXT_CHAR_WB;
    v = yyjson_obj_get(c, "strip_accents");
    if (v)
        a->strip = mr_str_is(str_of(v), "ascii") ? MR_STRIP_ASCII : MR_STRIP_UNICODE;
    v = yyjson_obj_get(c, "lowercase");
    a->lowercase = !v || yyjson_get_bool(v);
    v = yyjson_obj_get(c, "ngram_range");
    a->min_n = v ? (uint32_t)yyjson_get_int(yyjson_arr_get(v, 0)) : 1;
    a->max_n = v ? (uint32_t)yyjson_get_int(yyjson_arr_get(v, 1)) : 1;
    v = yyjson_obj_get(c, "token_pattern");
    struct mr_err e = {0};
    int rc = mr_pattern_compile(v ? str_of(v) : MR_LIT("(?u)\\b\\w\\w+\\b"), &a->pattern, &e);
    if (rc) {
        fprintf(stderr, "%s: %s\n", yyjson_get_str(v), e.msg);
        exit(1);
    }
    mr_analyzer_ready(a);
    v = yyjson_obj_get(c, "stop_words");
    if (v)
        stop_words(f, v);
}

static void fixture_release(struct fixture *f) {
    mr_text_release(&f->a);
    mr_free(f->off);
    mr_free(f->bytes);
}

static int by_bytes(const void *x, const void *y) {
    const struct mr_str *a = x, *b = y;
    int c = memcmp(a->p, b->p, a->n < b->n ? a->n : b->n);
    return c ? c : (a->n > b->n) - (a->n < b->n);
}

static bool same_terms(const struct mr_terms *t, yyjson_val *want) {
    struct mr_str *v = mr_calloc(t->n + 1, sizeof *v);
    for (size_t i = 0; i < t->n; i++)
        v[i] = (struct mr_str){t->text + t->v[i].off, t->v[i].n};
    qsort(v, t->n, sizeof *v, by_bytes);
    bool ok = t->n == yyjson_arr_size(want);
    for (size_t i = 0; i < t->n && ok; i++)
        ok = mr_str_eq(v[i], str_of(yyjson_arr_get(want, i)));
    mr_free(v);
    return ok;
}

MR_TEST(terms_as_python) {
    yyjson_val *configs = value("configs"), *c;
    size_t i, n, cases = 0;
    struct fixture f[32];
    struct mr_arena arena;
    mr_arena_init(&arena, 64u << 20);
    yyjson_arr_foreach (configs, i, n, c)
        fixture_init(&f[i], c);
    size_t n_config = n;
    yyjson_arr_foreach (value("cases"), i, n, c) {
        struct mr_terms t = {.arena = &arena};
        struct mr_err e = {0};
        size_t k = (size_t)yyjson_get_int(yyjson_arr_get(c, 0));
        struct mr_str doc = str_of(yyjson_arr_get(c, 1));
        CHECK_INT(mr_analyze(&f[k].a, doc, &t, &e), 0);
        if (!same_terms(&t, yyjson_arr_get(c, 2))) {
            fprintf(stderr, "case %zu, config %zu: %zu terms, want %zu: \"%.*s\"\n", i, k, t.n,
                    yyjson_arr_size(yyjson_arr_get(c, 2)), (int)doc.n, doc.p);
            CHECK(false);
        }
        /* a second text through the same scratch gives the same terms */
        CHECK_INT(mr_analyze(&f[k].a, MR_LIT("other words here, and more"), &t, &e), 0);
        CHECK_INT(mr_analyze(&f[k].a, doc, &t, &e), 0);
        CHECK(same_terms(&t, yyjson_arr_get(c, 2)));
        cases++;
        mr_arena_reset(&arena);
    }
    CHECK(cases >= 1000);
    for (i = 0; i < n_config; i++)
        fixture_release(&f[i]);
    mr_arena_release(&arena);
}

enum what { LOWER, STRIP_UNICODE, STRIP_ASCII, WORD, SPACE, DIGIT };

static uint32_t digest(enum what what) {
    struct mr_buf b;
    mr_buf_init(&b, 64u << 20);
    for (uint32_t cp = 0; cp < 0x110000; cp++) {
        if (cp >= 0xd800 && cp < 0xe000)
            continue;
        char s[MR_UC_STRIP_MAX];
        size_t n = 1;
        uint32_t low[MR_UC_LOWER_MAX];
        if (cp)
            mr_buf_char(&b, '\n');
        s[0] = '0';
        if (what == LOWER) {
            size_t k = mr_uc_lower(cp, low);
            n = mr_uc_put(s, low[0]);
            if (k > 1)
                n += mr_uc_put(s + n, low[1]);
        } else if (what == STRIP_UNICODE || what == STRIP_ASCII) {
            n = mr_uc_strip(cp, what == STRIP_ASCII, s);
        } else {
            uint8_t flag = what == WORD ? MR_UC_WORD : what == SPACE ? MR_UC_SPACE : MR_UC_DIGIT;
            s[0] = mr_uc_flags(cp) & flag ? '1' : '0';
        }
        mr_buf_add(&b, s, n);
    }
    CHECK(mr_buf_ok(&b));
    uint32_t h = mr_murmur3_32(b.p, b.n, 0);
    mr_buf_release(&b);
    return h;
}

MR_TEST(every_code_point) {
    static const char *const key[] = {"lower", "strip_unicode", "strip_ascii",
                                      "word",  "space",         "digit"};
    for (int w = LOWER; w <= DIGIT; w++) {
        uint32_t want = (uint32_t)yyjson_get_uint(yyjson_obj_get(value("code_points"), key[w]));
        if (digest((enum what)w) != want) {
            fprintf(stderr, "%s differs from Python\n", key[w]);
            CHECK(false);
        }
    }
}

MR_TEST(murmur) {
    size_t i, n;
    yyjson_val *c;
    yyjson_arr_foreach (value("murmur"), i, n, c) {
        struct mr_str s = str_of(yyjson_arr_get(c, 0));
        CHECK_INT((int32_t)mr_murmur3_32(s.p, s.n, 0), yyjson_get_sint(yyjson_arr_get(c, 1)));
    }
    CHECK(n >= 50);
}

MR_TEST(patterns_refused) {
    static const char *const bad[] = {
        "",        "\\w*",     "(a)(b)",   "a(b)",     "(?i)a", "(?!x)y", "^a",        "a$",
        "a+?",     "a{2,1}",   "a{99999}", "[a",       "a\\",   "(a",     "a)",        "[z-a]",
        "(a|b)",   "(?=x)y",   "\\1a",     "(?P<n>a)", "*a",    "a**",    "(a)+",      "a|",
        "\\p{L}+", "[\\w-z]+", "\\xZZ",    "a{",       "a{,",   "x?",     "(?=x)",     "\\b",
        "a(?=b)c", "[]",       "[^",       "a{2",      "\\u12", "((a))",  "(?:a)(?=b", "\\Z",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct mr_pattern p;
        struct mr_err e = {0};
        int rc = mr_pattern_compile(mr_str(bad[i]), &p, &e);
        if (rc != MR_EUNSUPPORTED || !e.msg[0]) {
            fprintf(stderr, "pattern %s gives %d\n", bad[i], rc);
            CHECK(false);
        }
    }
    static char many[400];
    memset(many, 'a', sizeof many - 1);
    struct mr_pattern p;
    CHECK_INT(mr_pattern_compile(mr_str(many), &p, NULL), MR_EUNSUPPORTED);
}

MR_TEST(slow_pattern_is_stopped) {
    struct mr_analyzer a = {.kind = MR_TEXT_WORD, .min_n = 1, .max_n = 1};
    CHECK_INT(mr_pattern_compile(MR_LIT("a+a+a+a+a+b"), &a.pattern, NULL), 0);
    mr_analyzer_ready(&a);
    static char text[20000];
    memset(text, 'a', sizeof text);
    struct mr_arena arena;
    mr_arena_init(&arena, 1u << 20);
    struct mr_terms t = {.arena = &arena};
    struct mr_err e = {0};
    CHECK_INT(mr_analyze(&a, mr_strn(text, sizeof text), &t, &e), MR_EPREDICT);
    CHECK(strstr(e.msg, "too long") != NULL);
    mr_arena_release(&arena);
}

MR_TEST(damaged_utf8_and_memory) {
    static const char bad[] = "ab\xff\xfe \xc3 \xe2\x82 \xf0\x9f\x98 \xed\xa0\x80 cd\xc3";
    struct mr_arena arena;
    for (int kind = MR_TEXT_WORD; kind <= MR_TEXT_CHAR_WB; kind++)
        for (int strip = 0; strip <= 2; strip++)
            for (size_t cap = 64; cap < 65536; cap *= 2) {
                struct mr_analyzer a = {.kind = (uint8_t)kind,
                                        .strip = (uint8_t)strip,
                                        .lowercase = true,
                                        .min_n = 1,
                                        .max_n = 3};
                CHECK_INT(mr_pattern_compile(MR_LIT("\\S+"), &a.pattern, NULL), 0);
                mr_analyzer_ready(&a);
                mr_arena_init(&arena, cap);
                struct mr_terms t = {.arena = &arena};
                int rc = mr_analyze(&a, mr_strn(bad, sizeof bad - 1), &t, NULL);
                CHECK(rc == 0 || rc == MR_ETOOBIG);
                if (rc == 0)
                    CHECK(t.n > 0);
                mr_arena_release(&arena);
            }
}

MR_TEST(sorting) {
    uint32_t v[1000], tmp[1000];
    for (size_t n = 0; n <= 1000; n += n < 60 ? 1 : 97) {
        uint64_t seed = n + 1, before = 0, after = 0;
        for (size_t i = 0; i < n; i++) {
            seed = seed * 6364136223846793005u + 1442695040888963407u;
            v[i] = (uint32_t)(seed >> 32) >> (n % 24);
            before += v[i];
        }
        mr_sort_u32(v, tmp, n);
        for (size_t i = 0; i < n; i++) {
            after += v[i];
            CHECK(i == 0 || v[i - 1] <= v[i]);
        }
        CHECK(before == after);
    }
}

static void done(void) {
    yyjson_doc_free(values);
}

MR_TEST(zz_free) {
    done();
    values = NULL;
}

MR_TEST_MAIN(CASE(terms_as_python), CASE(every_code_point), CASE(murmur), CASE(patterns_refused),
             CASE(slow_pattern_is_stopped), CASE(damaged_utf8_and_memory), CASE(sorting),
             CASE(zz_free))
