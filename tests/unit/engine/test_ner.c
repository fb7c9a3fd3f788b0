/* Named entities on the installed en-core-web-sm-ner. */
#include "base/alloc.h"
#include "engine/nlp/file.h"
#include "engine/nlp/ner.h"
#include "engine/nlp/ner_internal.h"
#include "mr_test.h"
#include "nlp_models.h"

#include <pthread.h>
#include <yyjson.h>

#define DATA MR_SRC_DIR "/tests/data/nlp"

static struct mr_ner *model;

MR_TEST(people_places_and_days) {
    static const struct {
        const char *text, *label;
        uint32_t start, end;
    } want[] = {{"Apple", "ORG", 0, 5},
                {"Tim Cook", "PERSON", 10, 18},
                {"Angela Merkel", "PERSON", 23, 36},
                {"Berlin", "GPE", 40, 46},
                {"Monday", "DATE", 50, 56}};
    struct mr_arena a;
    mr_arena_init(&a, 1 << 20);
    struct mr_entity *got;
    size_t n = 0;
    struct mr_err e = {0};
    CHECK_INT(mr_ner_read(model, MR_LIT("Apple CEO Tim Cook met Angela Merkel in Berlin on Monday"),
                          &a, &got, &n, &e),
              0);
    CHECK_STR(e.msg, "");
    CHECK_INT(n, 5);
    for (size_t i = 0; i < n && i < 5; i++) {
        CHECK(mr_str_is(got[i].text, want[i].text));
        CHECK_STR(got[i].label, want[i].label);
        CHECK_INT(got[i].start, want[i].start);
        CHECK_INT(got[i].end, want[i].end);
        CHECK(got[i].confidence > 0.3 && got[i].confidence <= 1);
    }
    mr_arena_release(&a);
}

/* --- what spaCy says (tests/conformance/check_ner.py --write-golden) ----------------------------
 */

static bool same_tokens(yyjson_val *line, const struct mr_ner_trace *got, size_t n) {
    yyjson_val *tokens = yyjson_obj_get(line, "tokens"), *moves = yyjson_obj_get(line, "moves");
    if (yyjson_arr_size(tokens) != n)
        return false;
    for (size_t i = 0; i < n; i++) {
        yyjson_val *t = yyjson_arr_get(tokens, i);
        if (yyjson_get_uint(yyjson_arr_get(t, 0)) != got[i].start ||
            yyjson_get_uint(yyjson_arr_get(t, 1)) != got[i].n ||
            yyjson_get_uint(yyjson_arr_get(moves, i)) != got[i].move)
            return false;
    }
    return true;
}

static bool same_entities(yyjson_val *line, const struct mr_entity *got, size_t n) {
    yyjson_val *want = yyjson_obj_get(line, "entities");
    if (yyjson_arr_size(want) != n)
        return false;
    for (size_t i = 0; i < n; i++) {
        yyjson_val *w = yyjson_arr_get(want, i);
        if (yyjson_get_uint(yyjson_arr_get(w, 0)) != got[i].start ||
            yyjson_get_uint(yyjson_arr_get(w, 1)) != got[i].end ||
            strcmp(yyjson_get_str(yyjson_arr_get(w, 2)), got[i].label) ||
            fabs(yyjson_get_num(yyjson_arr_get(w, 3)) - got[i].confidence) > 1e-4)
            return false;
    }
    return true;
}

MR_TEST(golden_texts) {
    char *own;
    struct mr_str rest;
    struct mr_err e = {0};
    CHECK_INT(mr_nlp_read_file(DATA, "ner.jsonl", 1 << 22, &own, &rest, &e), 0);
    unsigned n = 0;
    while (rest.p && rest.n) {
        struct mr_str line = mr_str_cut(&rest, '\n');
        yyjson_doc *doc = yyjson_read(line.p, line.n, 0);
        yyjson_val *root = yyjson_doc_get_root(doc), *text = yyjson_obj_get(root, "text");
        struct mr_str in = mr_strn(yyjson_get_str(text), yyjson_get_len(text));
        struct mr_arena a;
        mr_arena_init(&a, 1 << 20);
        struct mr_ner_trace *tok;
        struct mr_entity *ent;
        size_t ntok, nent;
        CHECK_INT(mr_ner_trace(model, in, &a, &tok, &ntok, &e), 0);
        CHECK_INT(mr_ner_read(model, in, &a, &ent, &nent, &e), 0);
        bool same = same_tokens(root, tok, ntok) && same_entities(root, ent, nent);
        if (!same)
            fprintf(stderr, "differs: %.*s\n", (int)line.n, line.p);
        CHECK(same);
        mr_arena_release(&a);
        yyjson_doc_free(doc);
        n++;
    }
    CHECK(n > 80);
    mr_free(own);
}

/* --- hostile texts ------------------------------------------------------------------------------
 */

static uint32_t tokens_of(struct mr_str text) {
    struct mr_ner_text t;
    struct mr_ner_tokens v = {0};
    uint32_t *own, n, covered = 0;
    CHECK_INT(mr_ner_decode(text, &t, &own), 0);
    CHECK_INT(mr_ner_tokenize(model, &t, true, &v), 0);
    for (uint32_t i = 0; i < v.n; i++) {
        CHECK(v.tok[i].n > 0 && v.tok[i].start >= covered);
        covered = v.tok[i].start + v.tok[i].n;
    }
    CHECK(covered <= t.n);
    n = v.n;
    mr_free(v.tok);
    mr_free(own);
    return n;
}

/* A piece again and again, up to `size` bytes. */
static struct mr_str flood(const char *piece, size_t size) {
    size_t k = strlen(piece), n = 0;
    char *p = mr_malloc(size);
    while (n + k <= size) {
        memcpy(p + n, piece, k);
        n += k;
    }
    return mr_strn(p, n);
}

/* Quadratic work over one of these would take hours. */
MR_TEST(a_mebibyte_of_anything) {
    static const struct {
        const char *piece;
        uint32_t tokens; /* 0: whatever */
    } each[] = {{"a", 1},         {"(", 1 << 20},
                {".", 1},         {" ", 1},
                {"@", 1},         {"a@", 1},
                {"a.", 0},        {"://", 0},
                {"1.", 0},        {":)", 0},
                {":", 1 << 20},   {"'", 0},
                {"a-", 0},        {"\xf0\x9f\x98\x80", 0},
                {"e\xcc\x81", 1}, {"\n", 1},
                {"\xc2\xa0", 1},  {"x y", 0},
                {"5km", 0},       {"(a)", 0},
                {"''", 0},        {"A.", 0},
                {"a b\t\n", 0},   {"US$", 0}};
    for (size_t i = 0; i < sizeof each / sizeof *each; i++) {
        struct mr_str text = flood(each[i].piece, 1 << 20);
        uint32_t n = tokens_of(text);
        if (each[i].tokens && n != each[i].tokens)
            fprintf(stderr, "%s: %u tokens\n", each[i].piece, n);
        CHECK(n > 0 && (!each[i].tokens || n == each[i].tokens));
        mr_free((char *)text.p);
    }
}

MR_TEST(networks_over_hostile_texts) {
    static const char *const piece[] = {"a",  "(", "Berlin ", "e\xcc\x81 ", "\xf0\x9f\x98\x80 ",
                                        "x\n"};
    for (size_t i = 0; i < sizeof piece / sizeof *piece; i++) {
        struct mr_str text = flood(piece[i], 3000);
        struct mr_arena a;
        mr_arena_init(&a, 8 << 20);
        struct mr_entity *got;
        size_t n;
        struct mr_err e = {0};
        CHECK_INT(mr_ner_read(model, text, &a, &got, &n, &e), 0);
        for (size_t k = 0; k < n; k++)
            CHECK(got[k].start < got[k].end && got[k].confidence > 0 && got[k].confidence <= 1);
        mr_arena_release(&a);
        mr_free((char *)text.p);
    }
}

MR_TEST(bad_texts_are_refused) {
    struct mr_arena a;
    mr_arena_init(&a, 1 << 20);
    struct mr_entity *got;
    size_t n = 7;
    struct mr_err e = {0};
    CHECK_INT(mr_ner_read(model, MR_LIT("a\xff"), &a, &got, &n, &e), MR_EINVAL);
    CHECK_STR(e.msg, "the text is not UTF-8");
    struct mr_str big = flood("a ", (1 << 20) + 2);
    CHECK_INT(mr_ner_read(model, big, &a, &got, &n, &e), MR_ETOOBIG);
    CHECK(strstr(e.msg, "1048578"));
    mr_free((char *)big.p);
    CHECK_INT(n, 7);
    CHECK_INT(mr_ner_read(model, MR_LIT(""), &a, &got, &n, &e), 0);
    CHECK_INT(n, 0);
    mr_arena_release(&a);
}

/* Blocks of the network must not show: a long text is read as spaCy reads it whole. Offsets count
 * code points. */
MR_TEST(blocks_and_offsets) {
    struct mr_arena a;
    mr_arena_init(&a, 8 << 20);
    struct mr_str text =
        flood("\xc3\x84ngstr\xc3\xb6m met Marie Curie in Paris on Monday . ", 20000);
    struct mr_entity *got;
    size_t n = 0;
    struct mr_err e = {0};
    uint32_t people = 0;
    CHECK_INT(mr_ner_read(model, text, &a, &got, &n, &e), 0);
    for (size_t i = 0; i < n; i++) {
        if (!mr_str_is(got[i].text, "Marie Curie"))
            continue;
        CHECK_INT(got[i].start % 46, 13);
        CHECK_INT(got[i].end - got[i].start, 11);
        people++;
    }
    CHECK_INT(people, text.n / 48);
    mr_free((char *)text.p);
    mr_arena_release(&a);
}

/* --- machines, threads, files -------------------------------------------------------------------
 */

static void compare_kernels(const struct mr_ner_kernels *k, size_t m, size_t depth, size_t panels) {
    size_t cols = panels * MR_NER_PANEL;
    float *src = mr_malloc(m * depth * 4), *w = mr_malloc(depth * cols * 4);
    float *want = mr_malloc(m * cols * 4), *got = mr_malloc(m * cols * 4);
    for (size_t i = 0; i < m * depth; i++)
        src[i] = (float)((i * 37 + 11) % 101) / 50 - 1;
    for (size_t i = 0; i < depth * cols; i++)
        w[i] = (float)((i * 53 + 7) % 103) / 51 - 1;
    mr_ner_base.gemm(want, src, depth, m, depth, w, panels);
    k->gemm(got, src, depth, m, depth, w, panels);
    for (size_t i = 0; i < m * cols; i++)
        CHECK_NEAR(got[i], want[i], 1e-3);
    mr_free(src);
    mr_free(w);
    mr_free(want);
    mr_free(got);
}

MR_TEST(instruction_sets_agree) {
#if defined __x86_64__
    for (size_t m = 1; m < 20; m++) {
        if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
            compare_kernels(&mr_ner_avx2, m, 64, 3);
        if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl"))
            compare_kernels(&mr_ner_avx512, m, 96, 2);
    }
#endif
}

static void *read_often(void *arg) {
    size_t *bad = arg;
    for (int i = 0; i < 40; i++) {
        struct mr_arena a;
        mr_arena_init(&a, 1 << 20);
        struct mr_entity *got;
        size_t n = 0;
        struct mr_err e = {0};
        if (mr_ner_read(model, MR_LIT("Angela Merkel flew to New York on Friday."), &a, &got, &n,
                        &e) ||
            n != 3 || strcmp(got[1].label, "GPE"))
            ++*bad;
        mr_arena_release(&a);
    }
    return NULL;
}

MR_TEST(threads_share_it) {
    pthread_t t[4];
    size_t bad[4] = {0};
    for (int i = 0; i < 4; i++)
        pthread_create(&t[i], NULL, read_often, &bad[i]);
    for (int i = 0; i < 4; i++) {
        pthread_join(t[i], NULL);
        CHECK_INT(bad[i], 0);
    }
}

/* A copy of the model's file, changed, must be refused or work; whatever it does it must not read
 * outside. */
static int reopen(const char *p, size_t size, struct mr_err *e) {
    struct mr_ner *n = mr_calloc(1, sizeof *n);
    n->file = mr_malloc(size + 1);
    memcpy(n->file, p, size);
    n->size = size;
    int rc = mr_ner_parse(n, "ner.bin", e);
    mr_ner_free(n);
    return rc;
}

MR_TEST(damaged_files_are_refused) {
    struct mr_err e = {0};
    size_t size = model->size;
    char *p = mr_malloc(size);
    memcpy(p, model->file, size);
    CHECK_INT(reopen(p, size, &e), 0);
    for (size_t cut = 0; cut < size; cut += cut < 256 ? 16 : size / 16)
        CHECK_INT(reopen(p, cut, &e), MR_EREFUSED);
    CHECK(strstr(e.msg, "ner.bin is damaged: its "));
    for (size_t at = 0; at < 176; at++) { /* the header: names, places and lengths of sections */
        char was = p[at];
        p[at] ^= 0x55;
        reopen(p, size, &e);
        p[at] = was;
    }
    for (size_t at = 192; at < 200000; at += 2503) {
        char was = p[at];
        p[at] = (char)0xff;
        reopen(p, size, &e);
        p[at] = was;
    }
    p[0] = 'X';
    CHECK_INT(reopen(p, size, &e), MR_EREFUSED);
    CHECK_STR(e.msg, "ner.bin is not a named-entity network");
    mr_free(p);
}

MR_TEST(a_folder_without_the_model_says_which_file) {
    struct mr_ner *n = NULL;
    struct mr_err e = {0};
    CHECK_INT(mr_ner_open("/nonexistent", &n, &e), MR_ENOTLOADED);
    CHECK(strstr(e.msg, "ner.bin"));
}

MR_TEST(memory_that_runs_out) {
    struct mr_arena a;
    mr_arena_init(&a, 1 << 20);
    struct mr_entity *got;
    size_t n;
    struct mr_err e = {0};
    mr_alloc_fail_at(0);
    CHECK_INT(mr_ner_read(model, MR_LIT("He paid $5 in Oslo (:"), &a, &got, &n, &e), 0);
    size_t total = mr_alloc_fail_at(0);
    CHECK(total >= 5);
    for (size_t k = 1; k <= total; k++) {
        mr_alloc_fail_at(k);
        mr_arena_release(&a);
        mr_arena_init(&a, 1 << 20);
        CHECK_INT(mr_ner_read(model, MR_LIT("He paid $5 in Oslo (:"), &a, &got, &n, &e), MR_ENOMEM);
    }
    mr_alloc_fail_at(0);
    mr_arena_release(&a);
}

/* "read DIR": u32 length and text, again and again, from stdin. One line for each: "start n move
 * score" of every token and, after a bar, "start end label confidence" of every entity. */
static int read_all(const char *dir) {
    struct mr_err e = {0};
    uint32_t len;
    if (mr_ner_open(dir, &model, &e) < 0) {
        fprintf(stderr, "%s\n", e.msg);
        return 1;
    }
    while (fread(&len, sizeof len, 1, stdin) == 1) {
        char *text = mr_malloc(len + 1);
        if (!text || fread(text, 1, len, stdin) != len)
            return 1;
        struct mr_arena a;
        mr_arena_init(&a, 64 << 20);
        struct mr_ner_trace *tok;
        struct mr_entity *ent;
        size_t ntok, nent;
        if (mr_ner_trace(model, mr_strn(text, len), &a, &tok, &ntok, &e) < 0 ||
            mr_ner_read(model, mr_strn(text, len), &a, &ent, &nent, &e) < 0)
            return 1;
        for (size_t i = 0; i < ntok; i++)
            printf("%u %u %u %.7g ", tok[i].start, tok[i].n, tok[i].move, (double)tok[i].score);
        printf("|");
        for (size_t i = 0; i < nent; i++)
            printf(" %u %u %s %.9g", ent[i].start, ent[i].end, ent[i].label, ent[i].confidence);
        printf("\n");
        mr_arena_release(&a);
        mr_free(text);
    }
    mr_ner_free(model);
    return 0;
}

#define main test_main
int test_main(int argc, char **argv);
MR_TEST_MAIN(CASE(people_places_and_days), CASE(golden_texts), CASE(a_mebibyte_of_anything),
             CASE(networks_over_hostile_texts), CASE(bad_texts_are_refused),
             CASE(blocks_and_offsets), CASE(instruction_sets_agree), CASE(threads_share_it),
             CASE(damaged_files_are_refused), CASE(a_folder_without_the_model_says_which_file),
             CASE(memory_that_runs_out))
#undef main

int main(int argc, char **argv) {
    char dir[4096];
    struct mr_err e = {0};
    if (argc == 3 && !strcmp(argv[1], "read"))
        return read_all(argv[2]);
    if (mr_model_missing("en-core-web-sm-ner"))
        return 0;
    if (mr_ner_open(mr_models_dir("en-core-web-sm-ner", dir), &model, &e) < 0) {
        fprintf(stderr, "%s\n", e.msg);
        return 1;
    }
    int rc = test_main(argc, argv);
    mr_ner_free(model);
    return rc;
}
