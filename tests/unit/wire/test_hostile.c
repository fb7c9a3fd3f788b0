/* Every hostile file against the parsers: those that must not parse are refused for the stated
 * reason, the others become inert nodes (conversion refuses them: test_hostile_models.c). */
#include "../../hostile/hostile.h"

#include "base/err.h"
#include "mr_test.h"
#include "wire/pickle.h"
#include "wire/zip.h"

static int parse(const struct hostile_row *r, struct test_file *f, struct mr_err *e) {
    if (!strcmp(r->stage, "zip")) {
        struct mr_zip z;
        int rc = mr_zip_open(mr_strn(f->p, f->n), 1000, &z, e);
        if (!rc)
            mr_zip_release(&z);
        return rc;
    }
    struct mr_pk_doc *d = NULL;
    int rc = mr_pickle_load(f->p, f->n, NULL, &d, e);
    mr_pickle_free(d);
    return rc;
}

MR_TEST(the_corpus_is_refused_or_inert) {
    static struct hostile h;
    hostile_make(&h);
    size_t refused = 0, inert = 0;
    for (size_t i = 0; i < h.n; i++) {
        const struct hostile_row *r = &h.row[i];
        if (hostile_is(r, ".json") || hostile_is(r, ".ubj") || hostile_is(r, ".lgb"))
            continue; /* no pickles */
        struct test_file f = hostile_read(&h, r);
        struct mr_err e = {0};
        int rc = parse(r, &f, &e);
        if (!strcmp(r->stage, "parse") || !strcmp(r->stage, "zip")) {
            if (rc != MR_EREFUSED || !e.msg[0] || !strstr(e.msg, r->why)) {
                fprintf(stderr, "%s:\n", r->name);
                CHECK_STR(e.msg, r->why);
                CHECK_INT(rc, MR_EREFUSED);
            }
            refused++;
        } else {
            if (rc)
                fprintf(stderr, "%s: %s\n", r->name, e.msg);
            CHECK_INT(rc, 0);
            inert++;
        }
        test_file_free(&f);
    }
    hostile_remove(&h);
    CHECK(refused >= 100);
    CHECK(inert >= 150);
}

MR_TEST_MAIN(CASE(the_corpus_is_refused_or_inert))
