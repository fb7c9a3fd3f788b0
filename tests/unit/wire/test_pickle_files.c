/* Files written by real pickle, joblib, numpy, scipy and scikit-learn (tests/data/pickle). */
#include "base/alloc.h"
#include "base/err.h"
#include "mr_test.h"
#include "test_file.h"
#include "wire/pickle.h"
#include "wire/pickle_text.h"
#include "wire/zip.h"

#include <dirent.h>

#define DATA MR_SRC_DIR "/tests/data/pickle/"

static const char arrays_text[] =
    "{'rows' array(2x3: 0.0 1.0 2.0 3.0 4.0 5.0) 'fortran' array(2x3: 0.0 1.0 2.0 3.0 4.0 5.0) "
    "'big_endian' array(4: -1 0 1 2) 'big_endian_float' array(2: 0.5 -2.0) "
    "'scalar' array(: 3.5) 'half' array(5: 1.0 -2.0 0.5 5.9604644775390625e-08 inf) "
    "'text' array(3: 'a' '\xc3\xa9\xc3\x9f' 'x\xf0\x9f\x98\x80') "
    "'big_endian_text' array(2: 'ab' 'c') 'bytes' array(2: b:6162 b:63) "
    "'objects' array(2x2: 'x' 1 None 2.5) 'record' array(2: l=1,3 v=2.5,4.5 m=1,0) "
    "'bools' array(2: True False) 'empty' array(0x3:) "
    "'turned' array(2x2x2: 0.0 1.0 4.0 5.0 2.0 3.0 6.0 7.0) 'small' array(2: -1 5)}";

static const char plain_text[] =
    "[1 -1 255 65536 2147483648 -2147483649 9223372036854775807 -9223372036854775808 "
    "int:000000000000008000 1.5 -0.0 'a\nb\\c\xe1\x88\xb4' b:00ff b:78797a (1) (1 2 3 4) [] {} <7> "
    "<3> None True {'a' 1} 1.5 -3 True 'h\xc3\xa9' 0.5 200 {'deep' [{'er' (1 [2])}]}]";

static struct mr_pk_doc *load(const char *name, struct test_file *f) {
    char path[500];
    snprintf(path, sizeof path, DATA "%s", name);
    *f = test_file_read(path);
    struct mr_pk_doc *d = NULL;
    struct mr_err e = {0};
    if (mr_pickle_load(f->p, f->n, NULL, &d, &e))
        CHECK_STR(e.msg, name);
    CHECK(mr_pickle_sniff(f->p, f->n));
    return d;
}

static void check_text(const char *name, const char *want) {
    struct test_file f;
    struct mr_pk_doc *d = load(name, &f);
    if (d) {
        struct mr_buf b;
        mr_buf_init(&b, 10000);
        pickle_text(&b, mr_pickle_arena(d), mr_pickle_root(d), 0);
        if (strcmp(b.p, want))
            fprintf(stderr, "%s:\n", name);
        CHECK_STR(b.p, want);
        mr_buf_release(&b);
    }
    mr_pickle_free(d);
    test_file_free(&f);
}

MR_TEST(arrays_of_every_protocol_and_compression) {
    static const char *const names[] = {
        "arrays.p0.pkl",      "arrays.p1.pkl",     "arrays.p2.pkl",    "arrays.p3.pkl",
        "arrays.p4.pkl",      "arrays.p5.pkl",     "arrays.joblib",    "arrays.zlib.joblib",
        "arrays.gzip.joblib", "arrays.bz2.joblib", "arrays.xz.joblib", "arrays.lzma.joblib",
        "arrays.lz4.joblib",  "arrays.zf.pkl",
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        check_text(names[i], arrays_text);
}

MR_TEST(plain_values_of_every_protocol) {
    for (char p = '0'; p <= '5'; p++) {
        char name[32];
        snprintf(name, sizeof name, "plain.p%c.pkl", p);
        check_text(name, plain_text);
    }
}

static void check_objects(const char *name) {
    struct test_file f;
    struct mr_pk_doc *d = load(name, &f);
    if (!d)
        return;
    struct mr_arena *a = mr_pickle_arena(d);
    const struct mr_pk *r = mr_pickle_root(d);
    struct mr_pk_csr m;
    CHECK_INT(mr_pk_csr(a, mr_pk_get(r, "csr"), &m, NULL), 0);
    CHECK_INT(m.rows, 2);
    CHECK_INT(m.cols, 3);
    CHECK_INT(m.nnz, 3);
    CHECK(m.data[0] == 1.5 && m.data[2] == 3 && m.indices[0] == 1 && m.indices[2] == 2);
    CHECK_INT(m.indptr[1], 1);
    char cls[200];
    const struct mr_pk *tree = mr_pk_get(r, "tree");
    mr_pk_class_name(tree, cls, sizeof cls);
    CHECK_STR(cls, "sklearn.neighbors._kd_tree.KDTree");
    struct mr_pk *const *state = NULL;
    size_t n = 0, rows = 0, cols = 0;
    const double *v = NULL;
    CHECK(tree && mr_pk_seq(tree->o.state, &state, &n) && n > 8);
    CHECK_INT(mr_pk_f64(a, n ? state[0] : NULL, &v, &rows, &cols, NULL), 0);
    CHECK(rows == 6 && cols == 2 && v[11] == 11);
    const struct mr_pk *bunch = mr_pk_get(r, "bunch");
    int64_t one = 0;
    CHECK(mr_pk_int(mr_pk_get(bunch, "a"), &one) && one == 1);
    CHECK_INT(mr_pk_len(mr_pk_get(bunch, "b")), 1);
    mr_pickle_free(d);
    test_file_free(&f);
}

MR_TEST(objects_of_every_protocol) {
    for (char p = '0'; p <= '5'; p++) {
        char name[32];
        snprintf(name, sizeof name, "objects.p%c.pkl", p);
        check_objects(name);
    }
}

MR_TEST(views_convert_what_fits) {
    struct test_file f;
    struct mr_pk_doc *d = load("arrays.p5.pkl", &f);
    struct mr_arena *a = mr_pickle_arena(d);
    const struct mr_pk *r = mr_pickle_root(d);
    const double *v = NULL;
    const int64_t *iv = NULL;
    size_t rows = 0, cols = 0, n = 0;
    double x = 0;
    int64_t i = 0;
    bool b = false;
    CHECK_INT(mr_pk_f64(a, mr_pk_get(r, "fortran"), &v, &rows, &cols, NULL), 0);
    CHECK(rows == 2 && cols == 3 && v[1] == 1 && v[3] == 3);
    CHECK_INT(mr_pk_f64(a, mr_pk_get(r, "turned"), &v, &rows, &cols, NULL), 0);
    CHECK(rows == 2 && cols == 4 && v[2] == 4);
    CHECK_INT(mr_pk_f64(a, mr_pk_get(r, "empty"), &v, &rows, &cols, NULL), 0);
    CHECK(rows == 0 && cols == 3);
    CHECK_INT(mr_pk_f64(a, mr_pk_get(r, "scalar"), &v, &rows, &cols, NULL), 0);
    CHECK(rows == 1 && cols == 1 && v[0] == 3.5);
    CHECK(mr_pk_num(mr_pk_get(r, "scalar"), &x) && x == 3.5);
    CHECK(!mr_pk_int(mr_pk_get(r, "scalar"), &i));
    CHECK_INT(mr_pk_f64(a, mr_pk_get(r, "text"), &v, &rows, &cols, NULL), MR_EREFUSED);
    CHECK_INT(mr_pk_f64(a, mr_pk_get(r, "objects"), &v, &rows, &cols, NULL), MR_EREFUSED);
    CHECK_INT(mr_pk_f64(a, mr_pk_get(r, "absent"), &v, &rows, &cols, NULL), MR_EREFUSED);
    CHECK_INT(mr_pk_i64(a, mr_pk_get(r, "big_endian"), &iv, &n, NULL), 0);
    CHECK(n == 4 && iv[0] == -1 && iv[3] == 2);
    CHECK_INT(mr_pk_i64(a, mr_pk_get(r, "rows"), &iv, &n, NULL), MR_EREFUSED);
    CHECK_INT(mr_pk_field_i64(a, mr_pk_get(r, "record"), "l", &iv, &n, NULL), 0);
    CHECK(n == 2 && iv[1] == 3);
    CHECK_INT(mr_pk_field_f64(a, mr_pk_get(r, "record"), "none", &v, &n, NULL), MR_ENOTFOUND);
    CHECK_INT(mr_pk_field_f64(a, mr_pk_get(r, "rows"), "l", &v, &n, NULL), MR_EREFUSED);
    CHECK(mr_pk_bool(mr_pk_item(a, mr_pk_get(r, "bools"), 0), &b) && b);
    CHECK(!mr_pk_item(a, mr_pk_get(r, "bools"), 2));
    CHECK_INT(mr_pk_len(mr_pk_get(r, "rows")), 2);
    mr_pickle_free(d);
    test_file_free(&f);
}

MR_TEST(every_cut_is_refused) {
    static const char *const names[] = {"arrays.p0.pkl",    "arrays.p5.pkl",     "arrays.joblib",
                                        "arrays.xz.joblib", "arrays.lz4.joblib", "objects.p2.pkl"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct test_file f;
        mr_pickle_free(load(names[i], &f));
        for (size_t n = 0; n < f.n; n++) {
            struct mr_pk_doc *d = NULL;
            struct mr_err e = {0};
            char *cut = test_file_copy(&f, n); /* exact size, so that reading over shows */
            CHECK_INT(mr_pickle_load(cut, n, NULL, &d, &e), MR_EREFUSED);
            CHECK(e.msg[0]);
            free(cut);
        }
        test_file_free(&f);
    }
}

/* The Nth allocation fails, for every N: an error comes back and nothing leaks. */
MR_TEST(out_of_memory_is_an_error) {
    static const char *const names[] = {"objects.p2.pkl", "arrays.joblib", "arrays.zlib.joblib",
                                        "plain.p0.pkl"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct test_file f;
        mr_pickle_free(load(names[i], &f));
        int rc = MR_ENOMEM;
        size_t nth = 0;
        while (rc && nth < 1000) {
            struct mr_pk_doc *d = NULL;
            struct mr_err e = {0};
            mr_alloc_fail_at(++nth);
            rc = mr_pickle_load(f.p, f.n, NULL, &d, &e);
            mr_alloc_fail_at(0);
            CHECK(rc == 0 || (rc == MR_ENOMEM && e.msg[0]));
            mr_pickle_free(d);
        }
        CHECK(rc == 0 && nth > 4);
        test_file_free(&f);
    }
}

MR_TEST(npz_archives_are_known) {
    struct test_file f = test_file_read(DATA "arrays.npz");
    struct mr_zip z;
    struct mr_err e = {0};
    CHECK_INT(mr_zip_open(mr_strn(f.p, f.n), 100, &z, &e), 0);
    CHECK_STR(e.msg, "");
    CHECK_INT(mr_zip_kind(&z), MR_ZIP_NPZ);
    struct mr_str s;
    void *own = NULL;
    CHECK_INT(mr_zip_read(&z, mr_zip_find(&z, MR_LIT("x.npy")), 1000, &s, &own, &e), 0);
    CHECK(mr_str_starts(s, MR_LIT("\x93NUMPY")));
    mr_free(own);
    mr_zip_release(&z);
    test_file_free(&f);
}

/* Models of the golden set: every pickle in it is read (some are not models we serve). */
MR_TEST(golden_models_are_read) {
    DIR *dir = opendir(MR_SRC_DIR "/tests/golden/models");
    size_t seen = 0;
    for (struct dirent *tag; dir && (tag = readdir(dir));) {
        char sub[400];
        snprintf(sub, sizeof sub, MR_SRC_DIR "/tests/golden/models/%s", tag->d_name);
        DIR *files = tag->d_name[0] == '.' ? NULL : opendir(sub);
        for (struct dirent *m; files && (m = readdir(files));) {
            struct mr_str name = mr_str(m->d_name);
            if (!mr_str_ends(name, MR_LIT(".pkl")) && !mr_str_ends(name, MR_LIT(".joblib")))
                continue;
            char path[700];
            snprintf(path, sizeof path, "%s/%s", sub, m->d_name);
            struct test_file f = test_file_read(path);
            struct mr_pk_doc *d = NULL;
            struct mr_err e = {0};
            if (mr_pickle_load(f.p, f.n, NULL, &d, &e))
                fprintf(stderr, "%s: %s\n", path, e.msg);
            CHECK(d && mr_pk_class_short(mr_pickle_root(d)).n > 0);
            CHECK(mr_pickle_sniff(f.p, f.n));
            mr_pickle_free(d);
            test_file_free(&f);
            seen++;
        }
        if (files)
            closedir(files);
    }
    if (dir)
        closedir(dir);
    CHECK(seen > 50);
}

MR_TEST_MAIN(CASE(arrays_of_every_protocol_and_compression), CASE(plain_values_of_every_protocol),
             CASE(objects_of_every_protocol), CASE(views_convert_what_fits),
             CASE(every_cut_is_refused), CASE(out_of_memory_is_an_error),
             CASE(npz_archives_are_known), CASE(golden_models_are_read))
