/* Named entities on the installed en-core-web-sm-ner. */
#include "base/alloc.h"
#include "engine/nlp/ner.h"
#include "engine/nlp/ner_internal.h"
#include "mr_test.h"
#include "nlp_models.h"

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
MR_TEST_MAIN(CASE(people_places_and_days))
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
