/* Named entities on the installed en-core-web-sm-ner. */
#include "base/alloc.h"
#include "engine/nlp/ner.h"
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

int main(void) {
    char dir[4096];
    struct mr_err e = {0};
    if (mr_model_missing("en-core-web-sm-ner"))
        return 0;
    if (mr_ner_open(mr_models_dir("en-core-web-sm-ner", dir), &model, &e) < 0) {
        fprintf(stderr, "%s\n", e.msg);
        return 1;
    }
    mr_test_failed_ = 0;
    people_places_and_days();
    printf("%d failed\n", mr_test_failed_);
    mr_ner_free(model);
    return mr_test_failed_ != 0;
}
