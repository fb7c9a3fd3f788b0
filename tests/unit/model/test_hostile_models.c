/* Every hostile file through conversion and writing: refused with a reason, wherever that shows.
 * The controls, made by the same assembler, are accepted. */
#include "../../hostile/hostile.h"

#include "base/err.h"
#include "model/convert/convert.h"
#include "model/model.h"
#include "mr_test.h"

#include <sys/mman.h>

static int convert(const struct hostile_row *r, const struct test_file *f, struct mr_pk_doc **doc,
                   struct mr_build *b, struct mr_err *e) {
    struct mr_str s = mr_strn(f->p, f->n);
    if (hostile_is(r, ".json"))
        return mr_convert_xgboost_json(s, b, e);
    if (hostile_is(r, ".ubj"))
        return mr_convert_xgboost_ubj(s, b, e);
    if (hostile_is(r, ".lgb"))
        return mr_convert_lightgbm_text(s, b, e);
    int rc = mr_pickle_load(f->p, f->n, NULL, doc, e);
    return rc ? rc : mr_convert_pickle(*doc, b, e);
}

/* 0, or the first refusal on the way from bytes to an opened model. */
static int intake(const struct hostile_row *r, const struct test_file *f, struct mr_err *e) {
    struct mr_pk_doc *d = NULL;
    struct mr_arena arena;
    mr_arena_init(&arena, (size_t)256 << 20);
    struct mr_build *b = mr_build_new(&arena);
    int fd = memfd_create("model", MFD_CLOEXEC);
    struct mr_model *m = NULL;
    int rc = convert(r, f, &d, b, e);
    if (!rc)
        rc = mr_build_write(b, fd, e);
    if (!rc)
        rc = mr_model_open(fd, &m, e);
    mr_model_free(m);
    close(fd);
    mr_build_free(b);
    mr_arena_release(&arena);
    mr_pickle_free(d);
    return rc;
}

MR_TEST(hostile_models_are_refused_with_a_reason) {
    static struct hostile h;
    hostile_make(&h);
    size_t refused = 0, controls = 0;
    for (size_t i = 0; i < h.n; i++) {
        const struct hostile_row *r = &h.row[i];
        if (!strcmp(r->stage, "zip"))
            continue;
        struct test_file f = hostile_read(&h, r);
        struct mr_err e = {0};
        int rc = intake(r, &f, &e);
        test_file_free(&f);
        bool control = !strcmp(r->stage, "ok");
        if (control ? rc != 0 : rc == 0 || !e.msg[0] || !strstr(e.msg, r->why)) {
            fprintf(stderr, "%s: %s\n", r->name, rc ? e.msg : "accepted");
            CHECK(!"as INDEX.tsv says");
        }
        controls += control;
        refused += !control;
    }
    hostile_remove(&h);
    CHECK(refused >= 370);
    CHECK(controls >= 7);
}

MR_TEST_MAIN(CASE(hostile_models_are_refused_with_a_reason))
