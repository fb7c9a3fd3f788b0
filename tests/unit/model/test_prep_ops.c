/* Preprocessing and text operations alone: values, errors, and damaged parameters. What whole
 * models answer is test_golden's matter. */
#include "base/alloc.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "model/convert/convert.h"
#include "model/file.h"
#include "model/model.h"
#include "model/op_ids.h"
#include "model/ops/prep.h"
#include "model/ops/text.h"
#include "op_test.h"

#include <sys/mman.h>
#include <yyjson.h>

static void put_head(struct op_test *t, const void *p, size_t n) {
    memcpy(t->blob, p, n);
}

MR_TEST(normal_quantile) {
    /* scipy.stats.norm.ppf */
    CHECK_NEAR(mr_normal_quantile(0.5), 0, 0);
    CHECK_NEAR(mr_normal_quantile(0.975), 1.959963984540054, 1e-14);
    CHECK_NEAR(mr_normal_quantile(0.0001), -3.7190164854556804, 1e-14);
    CHECK_NEAR(mr_normal_quantile(0.925), 1.4395314709384563, 1e-15);
    CHECK_NEAR(mr_normal_quantile(0.02), -2.053748910631823, 1e-15);
    CHECK_NEAR(mr_normal_quantile(1e-7), -5.1993375821928165, 1e-14);
    CHECK_NEAR(mr_normal_quantile(1e-300), -37.0470962993612, 1e-12);
    CHECK(mr_normal_quantile(0) == -INFINITY);
    CHECK(mr_normal_quantile(1) == INFINITY);
    CHECK(isnan(mr_normal_quantile(1.5)));
}

static struct op_test t;

MR_TEST(normalize) {
    for (uint32_t norm = MR_NORM_L1; norm <= MR_NORM_MAX; norm++) {
        op_begin(&t, MR_OP_NORMALIZE, sizeof(struct mr_p_normalize));
        struct mr_p_normalize p = {.norm = norm};
        put_head(&t, &p, sizeof p);
        CHECK_INT(op_check(&t, 2, 2), 0);
        const double *y = op_run(&t, (double[]){3, -4, 0, 0}, 2);
        double want = norm == MR_NORM_L1 ? 7 : norm == MR_NORM_L2 ? 5 : 4;
        CHECK_NEAR(y[0], 3 / want, 1e-16);
        CHECK_NEAR(y[1], -4 / want, 1e-16);
        CHECK_NEAR(y[2], 0, 0);
        op_end(&t);
    }
    op_begin(&t, MR_OP_NORMALIZE, sizeof(struct mr_p_normalize));
    CHECK_INT(op_check(&t, 2, 2), MR_EREFUSED); /* norm 0 */
    op_end(&t);
}

static void poly(uint32_t parent2, uint32_t feature2, uint32_t keep2) {
    op_begin(&t, MR_OP_POLY, sizeof(struct mr_p_poly));
    struct mr_p_poly p;
    p.parent = OP_U32(&t, 0, 0, parent2);
    p.feature = OP_U32(&t, 0, 1, feature2);
    p.keep = OP_U32(&t, 0, 1, keep2);
    put_head(&t, &p, sizeof p);
}

MR_TEST(polynomial) {
    poly(1, 0, 2);
    CHECK_INT(op_check(&t, 2, 3), 0);
    const double *y = op_run(&t, (double[]){3, 5}, 1);
    CHECK_NEAR(y[0], 1, 0);
    CHECK_NEAR(y[1], 5, 0);
    CHECK_NEAR(y[2], 15, 0);
    op_end(&t);
    static const uint32_t bad[][3] = {{2, 0, 2}, {1, 2, 2}, {1, 0, 3}, {9, 0, 2}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        poly(bad[i][0], bad[i][1], bad[i][2]);
        CHECK_INT(op_check(&t, 2, 3), MR_EREFUSED);
        CHECK(t.err.msg[0]);
        op_end(&t);
    }
    poly(1, 0, 2);
    CHECK_INT(op_check(&t, 2, 4), MR_EREFUSED);
    op_end(&t);
}

MR_TEST(bins) {
    op_begin(&t, MR_OP_BINS, sizeof(struct mr_p_bins));
    struct mr_p_bins p;
    p.start = OP_U32(&t, 0, 2, 2);
    p.edge = OP_F64(&t, 1, 2);
    put_head(&t, &p, sizeof p);
    CHECK_INT(op_check(&t, 2, 2), 0);
    const double *y = op_run(&t, (double[]){0.5, 9, 1, 9, 1.5, 9, 2, 9, 7, 9}, 5);
    static const double want[] = {0, 1, 1, 2, 2};
    for (int i = 0; i < 5; i++) {
        CHECK_NEAR(y[2 * i], want[i], 0);
        CHECK_NEAR(y[2 * i + 1], 0, 0);
    }
    p.start.n = 2;
    put_head(&t, &p, sizeof p);
    CHECK_INT(op_check(&t, 2, 2), MR_EREFUSED);
    op_end(&t);
    op_begin(&t, MR_OP_BINS, sizeof(struct mr_p_bins));
    p.start = OP_U32(&t, 0, 3, 2); /* not ascending */
    p.edge = OP_F64(&t, 1, 2);
    put_head(&t, &p, sizeof p);
    CHECK_INT(op_check(&t, 2, 2), MR_EREFUSED);
    op_end(&t);
}

MR_TEST(unary_and_power) {
    static const struct {
        uint32_t fn;
        double x, y;
    } row[] = {
        {MR_UNARY_LOG1P, 1e-10, 9.9999999995e-11},
        {MR_UNARY_EXP, 1, 2.718281828459045},
        {MR_UNARY_SIGN, -3, -1},
        {MR_UNARY_RINT, 2.5, 2},
        {MR_UNARY_RECIPROCAL, 4, 0.25},
        {MR_UNARY_CBRT, 27, 3},
    };
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        op_begin(&t, MR_OP_UNARY, sizeof(struct mr_p_unary));
        struct mr_p_unary p = {.fn = row[i].fn};
        put_head(&t, &p, sizeof p);
        CHECK_INT(op_check(&t, 1, 1), 0);
        CHECK_NEAR(op_run(&t, &row[i].x, 1)[0], row[i].y, 1e-15);
        op_end(&t);
    }
    for (uint32_t fn = 0; fn <= MR_UNARY_COUNT_; fn += MR_UNARY_COUNT_) {
        op_begin(&t, MR_OP_UNARY, sizeof(struct mr_p_unary));
        put_head(&t, &(struct mr_p_unary){.fn = fn}, sizeof(struct mr_p_unary));
        CHECK_INT(op_check(&t, 1, 1), MR_EREFUSED);
        op_end(&t);
    }
    op_begin(&t, MR_OP_POWER, sizeof(struct mr_p_power));
    struct mr_p_power p = {.method = MR_POWER_BOX_COX};
    p.lambda = OP_F64(&t, 0.5);
    put_head(&t, &p, sizeof p);
    CHECK_INT(op_check(&t, 1, 1), 0);
    CHECK_NEAR(op_run(&t, (double[]){4}, 1)[0], 2, 1e-15);
    CHECK(op_run(&t, (double[]){-1}, 1) == NULL);
    CHECK(strstr(t.err.msg, "positive") != NULL);
    op_end(&t);
}

MR_TEST(quantile) {
    op_begin(&t, MR_OP_QUANTILE, sizeof(struct mr_p_quantile));
    struct mr_p_quantile p = {.n = 3};
    p.quantile = OP_F64(&t, 0, 1, 3);
    p.reference = OP_F64(&t, 0, 0.5, 1);
    put_head(&t, &p, sizeof p);
    CHECK_INT(op_check(&t, 1, 1), 0);
    const double *y = op_run(&t, (double[]){-5, 0, 0.5, 1, 2, 3, 9, NAN}, 8);
    static const double want[] = {0, 0, 0.25, 0.5, 0.75, 1, 1};
    for (int i = 0; i < 7; i++)
        CHECK_NEAR(y[i], want[i], 1e-16);
    CHECK(isnan(y[7]));
    p.n = 0;
    put_head(&t, &p, sizeof p);
    CHECK_INT(op_check(&t, 1, 1), MR_EREFUSED);
    op_end(&t);
}

MR_TEST(impute_and_present) {
    op_begin(&t, MR_OP_IMPUTE, sizeof(struct mr_p_impute));
    struct mr_p_impute p = {.missing = {.kind = MR_MISSING_NUM, .num = -1}};
    p.fill_col = OP_U32(&t, 1, 0);
    p.fill_num = OP_F64(&t, 7, 8);
    p.missing.cols = OP_U32(&t, 1);
    put_head(&t, &p, sizeof p);
    CHECK_INT(op_check(&t, 2, 3), 0);
    const double *y = op_run(&t, (double[]){-1, -1, 3, 4}, 2);
    static const double want[] = {7, 8, 1, 4, 3, 0};
    for (int i = 0; i < 6; i++)
        CHECK_NEAR(y[i], want[i], 0);
    CHECK_INT(op_check(&t, 1, 3), MR_EREFUSED); /* column 1 of 1 */
    CHECK_INT(op_check(&t, 2, 2), MR_EREFUSED);
    op_end(&t);

    op_begin(&t, MR_OP_PRESENT, 8);
    CHECK_INT(op_check(&t, 2, 2), 0);
    CHECK(op_run(&t, (double[]){1, 2, 3, 4}, 2) != NULL);
    CHECK(op_run(&t, (double[]){1, 2, 3, NAN}, 2) == NULL);
    CHECK(strstr(t.err.msg, "row 1") != NULL);
    op_end(&t);
}

static void onehot(struct mr_p_cat c, double second, int32_t code) {
    op_begin(&t, MR_OP_ONEHOT, sizeof(struct mr_p_encode));
    c.num = OP_F64(&t, 1, second);
    c.num_code = op_put(&t, (int32_t[]){0, code}, 2, 4);
    struct mr_ref r = op_put(&t, &c, sizeof c, 1);
    put_head(&t, &(struct mr_p_encode){r}, sizeof(struct mr_p_encode));
}

MR_TEST(categories) {
    const struct mr_p_cat good = {.width = 2, .missing = MR_CAT_NONE, .unknown = MR_CAT_ERROR};
    onehot(good, 5, 1);
    CHECK_INT(op_check(&t, 1, 2), 0);
    const double *y = op_run(&t, (double[]){5, 1, NAN}, 3);
    static const double want[] = {0, 1, 1, 0, 0, 0};
    for (int i = 0; i < 6; i++)
        CHECK_NEAR(y[i], want[i], 0);
    CHECK(op_run(&t, (double[]){5, 2.5}, 2) == NULL);
    CHECK(strstr(t.err.msg, "row 1, column 0: 2.5 is not among the categories") != NULL);
    op_end(&t);

    struct mr_p_cat bad[6] = {good, good, good, good, good, good};
    bad[0].in_col = 1;
    bad[1].missing = 2;
    bad[2].unknown = -3;
    bad[3].first = 1;
    bad[4].width = 3;
    bad[5].str = (struct mr_ref){8, 1u << 20};
    for (int i = 0; i < 6; i++) {
        onehot(bad[i], 5, 1);
        CHECK_INT(op_check(&t, 1, 2), MR_EREFUSED);
        op_end(&t);
    }
    static const struct {
        double second;
        int32_t code;
    } row[] = {{1, 1}, {0, 1}, {NAN, 1}, {5, 2}, {5, -3}};
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        onehot(good, row[i].second, row[i].code);
        CHECK_INT(op_check(&t, 1, 2), MR_EREFUSED);
        op_end(&t);
    }
}

/* --- whole models with damaged bytes ------------------------------------------------------- */

static uint8_t *file_of(const char *path, size_t *n) {
    MR_AUTO_FCLOSE FILE *f = fopen(path, "rb");
    uint8_t *p = mr_malloc(1 << 20);
    *n = f && p ? fread(p, 1, 1 << 20, f) : 0;
    return p;
}

/* The compiled model of a golden pickle in a fresh memory file. */
static int compiled(const char *name, size_t *ret_len) {
    char path[512];
    size_t n;
    snprintf(path, sizeof path, "%s/tests/golden/models/new/%s.pkl", MR_SRC_DIR, name);
    MR_AUTO_FREE uint8_t *bytes = file_of(path, &n);
    struct mr_pk_doc *doc = NULL;
    struct mr_pk_limits lim = mr_pk_default_limits();
    struct mr_err e = {0};
    struct mr_arena arena;
    mr_arena_init(&arena, 256u << 20);
    int fd = memfd_create("model", MFD_CLOEXEC);
    struct mr_build *b = mr_build_new(&arena);
    int rc = mr_pickle_load(bytes, n, &lim, &doc, &e);
    if (rc == 0)
        rc = mr_convert_pickle(doc, b, &e);
    if (rc == 0)
        rc = mr_build_write(b, fd, &e);
    if (rc) {
        fprintf(stderr, "%s: %s\n", name, e.msg);
        CHECK(false);
    }
    mr_pickle_free(doc);
    mr_build_free(b);
    mr_arena_release(&arena);
    *ret_len = (size_t)lseek(fd, 0, SEEK_END);
    return fd;
}

static void run_some(const struct mr_model *m) {
    const struct mr_model_info *in = mr_model_info(m);
    if (in->n_features > 4096)
        return;
    struct mr_arena arena;
    mr_arena_init(&arena, 64u << 20);
    size_t n = 3 * (size_t)in->n_features;
    double *x = mr_arena_array(&arena, n, sizeof *x);
    struct mr_cell *c = mr_arena_array(&arena, n, sizeof *c);
    static const char *const word[] = {"red", "Wien", "the \xc3\x89t\xc3\xa9 of 12 words", ""};
    for (size_t i = 0; i < n && x && c; i++) {
        x[i] = i % 5 == 4 ? NAN : (double)i * 0.7 - 1;
        c[i] = (struct mr_cell){x[i], {NULL, 0}};
        if (i % 2 || in->text_input)
            c[i].s = mr_str(word[i % 4]);
    }
    struct mr_result r;
    struct mr_err e = {0};
    if (x && c && mr_model_run(m, x, c, 3, &arena, &r, &e))
        CHECK(e.msg[0]);
    mr_arena_release(&arena);
}

MR_TEST(damaged_models) {
    static const char *const names[] = {
        "cx_onehot_groups_drop", "cx_target_binary",     "cx_flow_two_stage",
        "ordinal_missing",       "imputer_indicator",    "imputer_marker",
        "missing_indicator",     "poly_interaction",     "kbins_onehot_uniform",
        "quantile_normal",       "power_yeojohnson",     "normalizer_l2",
        "text_count_words_1_2",  "text_tfidf_sublinear", "text_hash_char",
        "cx_text_pattern",       "cx_text_union",        "mixed_lr",
        "voting_hard",           "cx_stack_predict",     "select_k_best",
        "cx_label_binarizer",    "cx_target_minmax",     "text_count_stop_ngram",
    };
    uint64_t seed = 20240607, opened = 0, refused = 0;
    for (size_t k = 0; k < sizeof names / sizeof *names; k++) {
        size_t len;
        MR_AUTO_CLOSE int fd = compiled(names[k], &len);
        uint8_t *p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        if (p == MAP_FAILED)
            exit(1);
        MR_AUTO_FREE uint8_t *keep = mr_malloc(len);
        memcpy(keep, p, len);
        struct mr_file_head head;
        memcpy(&head, p, sizeof head);
        for (int i = 0; i < 300; i++) {
            for (int j = 0; j <= i % 3; j++) {
                seed = seed * 6364136223846793005u + 1442695040888963407u;
                /* mostly op headers and parameters, and there mostly small fields */
                size_t from = i % 4 ? (size_t)head.ops_off : 64,
                       at = from + (seed >> 33) % (len - from);
                static const uint8_t odd[] = {0, 1, 0x7f, 0x80, 0xff, 2};
                p[at] = i % 2 ? odd[(seed >> 20) % 6] : (uint8_t)(p[at] ^ 1u << (seed >> 24) % 8);
            }
            struct mr_model *m = NULL;
            struct mr_err e = {0};
            if (mr_model_open(fd, &m, &e) == 0) {
                run_some(m);
                mr_model_free(m);
                opened++;
            } else {
                CHECK(e.msg[0]);
                refused++;
            }
            memcpy(p, keep, len);
        }
        munmap(p, len);
    }
    CHECK(opened > 300);
    CHECK(refused > 300);
}

static void word(struct mr_buf *b, const char *s) {
    uint32_t n = (uint32_t)strlen(s);
    mr_buf_char(b, 'X'); /* BINUNICODE */
    mr_buf_add(b, &n, 4);
    mr_buf_add(b, s, n);
}

/* Object of a class, its state dict open: ends with SETITEMS, BUILD, BINPUT. */
static void object(struct mr_buf *b, const char *cls) {
    mr_buf_fmt(b, "c%s\n)\x81}(", cls);
}

static void object_end(struct mr_buf *b, int memo) {
    mr_buf_cstr(b, "ubq");
    mr_buf_char(b, (char)memo);
}

/* `levels` unions or pipelines, each holding the one before it twice: 2^levels steps when written
 * out, a few kilobytes in the file. */
static int nested_twice(const char *cls, const char *list, int levels, struct mr_err *e) {
    struct mr_buf b;
    mr_buf_init(&b, 1 << 20);
    mr_buf_cstr(&b, "\x80\x02");
    object(&b, "sklearn.preprocessing._function_transformer\nFunctionTransformer");
    word(&b, "func");
    mr_buf_char(&b, 'N');
    word(&b, "n_features_in_");
    mr_buf_add(&b, "K\x02", 2);
    object_end(&b, 0);
    for (int i = 0; i < levels; i++) {
        object(&b, cls);
        word(&b, list);
        mr_buf_cstr(&b, "](");
        for (int k = 0; k < 2; k++) {
            word(&b, k ? "b" : "a");
            mr_buf_char(&b, 'h'); /* BINGET */
            mr_buf_char(&b, (char)i);
            mr_buf_char(&b, (char)0x86);
        }
        mr_buf_char(&b, 'e');
        object_end(&b, i + 1);
    }
    mr_buf_char(&b, '.');
    CHECK(mr_buf_ok(&b));
    struct mr_pk_doc *doc = NULL;
    struct mr_pk_limits lim = mr_pk_default_limits();
    struct mr_arena arena;
    mr_arena_init(&arena, 256u << 20);
    struct mr_build *build = mr_build_new(&arena);
    int rc = mr_pickle_load(b.p, b.n, &lim, &doc, e);
    CHECK_INT(rc, 0);
    if (rc == 0)
        rc = mr_convert_pickle(doc, build, e);
    mr_pickle_free(doc);
    mr_build_free(build);
    mr_arena_release(&arena);
    mr_buf_release(&b);
    return rc;
}

MR_TEST(shared_objects_do_not_multiply) {
    static const char *const kind[][2] = {{"sklearn.pipeline\nPipeline", "steps"},
                                          {"sklearn.pipeline\nFeatureUnion", "transformer_list"}};
    for (int k = 0; k < 2; k++) {
        struct mr_err e = {0};
        int rc = nested_twice(kind[k][0], kind[k][1], 3, &e);
        if (rc)
            fprintf(stderr, "%s\n", e.msg);
        CHECK_INT(rc, 0);
        CHECK_INT(nested_twice(kind[k][0], kind[k][1], 30, &e), MR_EREFUSED);
        CHECK(strstr(e.msg, "steps") != NULL);
        CHECK_INT(nested_twice(kind[k][0], kind[k][1], 100, &e), MR_EREFUSED);
        CHECK(e.msg[0]);
    }
}

/* --- text operations ----------------------------------------------------------------------- */

MR_TEST(hashing_as_python) {
    yyjson_doc *doc =
        yyjson_read_file(MR_SRC_DIR "/tests/unit/model/text_values.json", 0, NULL, NULL);
    yyjson_val *all = yyjson_obj_get(yyjson_doc_get_root(doc), "hashing"), *set, *row;
    size_t i, n, j, m, checked = 0;
    yyjson_arr_foreach (all, i, n, set) {
        yyjson_val *kw = yyjson_arr_get(set, 0), *v;
        struct mr_hash_params p = {
            .text = {.kind = MR_TEXT_WORD, .lowercase = 1, .min_n = 1, .max_n = 1},
            .n_features = (uint32_t)yyjson_get_int(yyjson_obj_get(kw, "n_features")),
            .alternate_sign = 1,
            .norm = MR_NORM_L2};
        if ((v = yyjson_obj_get(kw, "alternate_sign")) != NULL)
            p.alternate_sign = yyjson_get_bool(v);
        if ((v = yyjson_obj_get(kw, "binary")) != NULL)
            p.binary = yyjson_get_bool(v);
        if ((v = yyjson_obj_get(kw, "norm")) != NULL)
            p.norm = yyjson_is_null(v) ? MR_NORM_NONE : MR_NORM_L1;
        yyjson_arr_foreach (yyjson_arr_get(set, 1), j, m, row) {
            op_begin(&t, MR_OP_HASH, sizeof p);
            p.text.pattern = op_put(&t, "(?u)\\b\\w\\w+\\b", 13, 1);
            put_head(&t, &p, sizeof p);
            t.decl[0].kind = MR_SLOT_CELLS;
            t.decl[1].kind = MR_SLOT_SPARSE;
            CHECK_INT(op_check(&t, 1, p.n_features), 0);
            yyjson_val *text = yyjson_arr_get(row, 0);
            struct mr_cell cell = {0, {yyjson_get_str(text), yyjson_get_len(text)}};
            t.slot[0] = (struct mr_vec){.kind = MR_SLOT_CELLS, .width = 1, .cells = &cell};
            struct mr_frame f = {.rows = 1, .arena = &t.arena, .slot = t.slot};
            CHECK_INT(t.op.type->prepare(&t.op, t.decl, &t.err), 0);
            CHECK_INT(t.op.type->eval(&t.op, &f, &t.err), 0);
            yyjson_val *index = yyjson_arr_get(row, 1), *value = yyjson_arr_get(row, 2);
            size_t nnz = t.slot[1].sparse.start[1];
            CHECK_INT(nnz, yyjson_arr_size(index));
            for (size_t k = 0; k < nnz && k < yyjson_arr_size(index); k++) {
                CHECK_INT(t.slot[1].sparse.index[k], yyjson_get_int(yyjson_arr_get(index, k)));
                CHECK_NEAR(t.slot[1].sparse.value[k], yyjson_get_num(yyjson_arr_get(value, k)),
                           1e-15);
            }
            t.op.type->unprepare(&t.op);
            op_end(&t);
            checked++;
        }
    }
    CHECK(checked >= 200);
    yyjson_doc_free(doc);
}

MR_TEST(text_needs_text) {
    struct mr_hash_params p = {.text = {.kind = MR_TEXT_CHAR, .min_n = 1, .max_n = 2},
                               .n_features = 8};
    op_begin(&t, MR_OP_HASH, sizeof p);
    put_head(&t, &p, sizeof p);
    t.decl[0].kind = MR_SLOT_CELLS;
    t.decl[1].kind = MR_SLOT_SPARSE;
    CHECK_INT(op_check(&t, 1, 8), 0);
    CHECK_INT(op_check(&t, 2, 8), MR_EREFUSED);
    CHECK_INT(op_check(&t, 1, 9), MR_EREFUSED);
    struct mr_cell cells[2] = {{0, {"ab", 2}}, {3, {NULL, 0}}};
    t.slot[0] = (struct mr_vec){.kind = MR_SLOT_CELLS, .width = 1, .cells = cells};
    struct mr_frame f = {.rows = 2, .arena = &t.arena, .slot = t.slot};
    CHECK_INT(op_check(&t, 1, 8), 0);
    CHECK_INT(t.op.type->prepare(&t.op, t.decl, &t.err), 0);
    CHECK_INT(t.op.type->eval(&t.op, &f, &t.err), MR_EINVAL);
    CHECK(strstr(t.err.msg, "row 1") != NULL);
    t.op.type->unprepare(&t.op);
    op_end(&t);
    p.text.max_n = MR_TEXT_MAX_NGRAM + 1;
    op_begin(&t, MR_OP_HASH, sizeof p);
    put_head(&t, &p, sizeof p);
    t.decl[0].kind = MR_SLOT_CELLS;
    t.decl[1].kind = MR_SLOT_SPARSE;
    CHECK_INT(op_check(&t, 1, 8), MR_EREFUSED);
    op_end(&t);
}

MR_TEST_MAIN(CASE(normal_quantile), CASE(normalize), CASE(polynomial), CASE(bins),
             CASE(unary_and_power), CASE(quantile), CASE(impute_and_present), CASE(categories),
             CASE(damaged_models), CASE(shared_objects_do_not_multiply), CASE(hashing_as_python),
             CASE(text_needs_text))
