/* Requests against made-up model descriptions: what is read, and what is refused how. */
#include "base/alloc.h"
#include "base/clock.h"
#include "engine/internal.h"
#include "mr_test.h"

static const struct mr_str iris_names[] = {
    {"sepal_length", 12}, {"sepal_width", 11}, {"petal_length", 12}, {"petal_width", 11}};
static const struct mr_model_info plain = {
    .task = MR_TASK_CLASSIFY, .input_kind = MR_SLOT_DENSE, .n_features = 4};
static const struct mr_model_info named = {.task = MR_TASK_CLASSIFY,
                                           .input_kind = MR_SLOT_DENSE,
                                           .n_features = 4,
                                           .feature_names = iris_names};
static const struct mr_model_info missing = {.task = MR_TASK_CLASSIFY,
                                             .input_kind = MR_SLOT_DENSE,
                                             .n_features = 4,
                                             .accepts_missing = true};
static const struct mr_model_info mixed = {.task = MR_TASK_CLASSIFY,
                                           .input_kind = MR_SLOT_CELLS,
                                           .n_features = 4,
                                           .feature_names = iris_names,
                                           .accepts_missing = true};
static const struct mr_model_info text = {
    .task = MR_TASK_CLASSIFY, .input_kind = MR_SLOT_CELLS, .n_features = 1, .text_input = true};
static const struct mr_model_info narrow = {
    .task = MR_TASK_REGRESS, .input_kind = MR_SLOT_DENSE, .n_features = 1};

/* Result as text: "OK <rows as JSON>", or "<code> <field> <message>". */
static void read_as_text(const struct mr_model_info *info, const char *json, char *out,
                         size_t cap) {
    struct mr_shape s = {.info = info};
    struct mr_arena a;
    struct mr_err e = {0};
    struct mr_input in;
    mr_arena_init(&a, 1 << 20);
    CHECK_INT(mr_names_init(&s.names, info->feature_names, info->n_features, NULL), 0);
    yyjson_doc *d = yyjson_read(json, strlen(json), 0);
    CHECK(d != NULL);
    int r = mr_input_read(&s, yyjson_doc_get_root(d), &a, &in, &e);
    if (r) {
        snprintf(out, cap, "%s %s %s", mr_code_name(r), e.field, e.msg);
    } else {
        struct mr_buf b;
        mr_buf_init(&b, 1 << 20);
        mr_input_print(&s, &in, &b);
        snprintf(out, cap, "OK %s", b.p);
        mr_buf_release(&b);
    }
    yyjson_doc_free(d);
    mr_names_release(&s.names);
    mr_arena_release(&a);
}

static const struct {
    const struct mr_model_info *info;
    const char *json, *want;
} rows[] = {
    {&plain, "[5.1,3.5,1,-2]", "OK [5.1,3.5,1.0,-2.0]"},
    {&plain, "[[5.1,3.5,1,0.2],[1,2,3,4]]", "OK [[5.1,3.5,1.0,0.2],[1.0,2.0,3.0,4.0]]"},
    {&plain, "[true,false,18446744073709551615,0]", "OK [1.0,0.0,1.8446744073709552e19,0.0]"},
    {&plain, "{\"a\":1,\"b\":2,\"c\":3,\"d\":4}", "OK [1.0,2.0,3.0,4.0]"},
    {&plain, "[{\"a\":1,\"b\":2,\"c\":3,\"d\":4},{\"a\":5,\"b\":6,\"c\":7,\"d\":8}]",
     "OK [[1.0,2.0,3.0,4.0],[5.0,6.0,7.0,8.0]]"},
    {&plain, "[{\"a\":1,\"b\":2,\"c\":3,\"d\":4},{\"b\":5,\"a\":6,\"c\":7,\"d\":8}]",
     "MR_EINVAL data[1] data[1]: its keys differ in name or order from the first row's, and this "
     "model knows no feature names to match them by"},
    {&plain, "{\"a\":1,\"b\":2,\"c\":3}", "MR_EINVAL data data: 3 values, but the model takes 4"},
    {&plain, "[1,2,3]", "MR_EINVAL data data: 3 values, but the model takes 4"},
    {&plain, "[1]", "MR_EINVAL data data: 1 value, but the model takes 4"},
    {&plain, "[[1,2,3,4],[1,2,3]]", "MR_EINVAL data[1] data[1]: 3 values, but the model takes 4"},
    {&plain, "[[1,2,3,4,5]]", "MR_EINVAL data[0] data[0]: 5 values, but the model takes 4"},
    {&plain, "[[1,2,3,4],5]",
     "MR_EFIELD data[1] data[1]: a row must be a list of values or an object"},
    {&plain, "[[1,2,3,4],{\"a\":1}]",
     "MR_EFIELD data[1] data[1]: rows must all be lists or all be objects"},
    {&plain, "[1,2,\"3\",4]", "MR_EFIELD data[2] data[2] must be a number, not a string"},
    {&plain, "[1,2,\"NaN\",4]", "MR_EFIELD data[2] data[2] must be a number, not a string"},
    {&plain, "[[1,2,3,4],[1,2,3,[4]]]",
     "MR_EFIELD data[1][3] data[1][3] must be a number, not a list"},
    {&plain, "[[1,2,3,4],[1,{},3,4]]",
     "MR_EFIELD data[1][1] data[1][1] must be a number, not an object"},
    {&plain, "[1,null,3,4]",
     "MR_EFIELD data[1] data[1] is null, and this model does not take missing values"},
    {&plain, "[]", "MR_EFIELD data data has no values"},
    {&plain, "[[]]", "MR_EINVAL data[0] data[0]: 0 values, but the model takes 4"},
    {&plain, "5",
     "MR_EFIELD data data must be a row (a list of values or an object by feature name) or a list "
     "of rows"},
    {&plain, "\"x\"",
     "MR_EFIELD data data must be a row (a list of values or an object by feature name) or a list "
     "of rows"},
    {&missing, "[1,null,3,4]", "OK [1.0,null,3.0,4.0]"},
    {&named, "[1,2,3,4]",
     "OK {\"sepal_length\":1.0,\"sepal_width\":2.0,\"petal_length\":3.0,\"petal_width\":4.0}"},
    {&named, "[[1,2,3,4]]",
     "OK [{\"sepal_length\":1.0,\"sepal_width\":2.0,\"petal_length\":3.0,\"petal_width\":4.0}]"},
    {&named, "{\"petal_width\":4,\"sepal_length\":1,\"petal_length\":3,\"sepal_width\":2}",
     "OK {\"sepal_length\":1.0,\"sepal_width\":2.0,\"petal_length\":3.0,\"petal_width\":4.0}"},
    {&named, "{\"sepal_length\":1,\"sepal_width\":2,\"petal_length\":3}",
     "MR_EINVAL data data: missing: petal_width"},
    {&named, "{\"sepal_length\":1,\"sepal_width\":2,\"petal_length\":3,\"petal_with\":4}",
     "MR_EINVAL data data: missing: petal_width; unknown: petal_with (did you mean petal_width?)"},
    {&named,
     "{\"sepal_length\":1,\"sepal_width\":2,\"petal_length\":3,\"petal_width\":4,\"colour\":5}",
     "MR_EINVAL data data: unknown: colour"},
    {&named, "{\"sepal_length\":1,\"sepal_width\":2,\"petal_length\":3,\"sepal_length\":4}",
     "MR_EINVAL data data: missing: petal_width"},
    {&named,
     "{\"sepal_length\":1,\"sepal_width\":2,\"petal_length\":3,\"petal_width\":4,"
     "\"petal_width\":4}",
     "MR_EINVAL data data: a name is given more than once"},
    {&named, "[{\"sepal_length\":1,\"sepal_width\":2,\"petal_length\":3,\"petal_width\":\"a\"}]",
     "MR_EFIELD data[0].petal_width data[0].petal_width must be a number, not a string"},
    {&named, "[[1,2,3,\"a\"]]",
     "MR_EFIELD data[0][3] data[0][3] (petal_width) must be a number, not a string"},
    {&named, "{}",
     "MR_EINVAL data data: missing: sepal_length, sepal_width, petal_length, petal_width"},
    {&mixed, "[[1,\"b\",null,true]]",
     "OK [{\"sepal_length\":1.0,\"sepal_width\":\"b\",\"petal_length\":null,"
     "\"petal_width\":1.0}]"},
    {&mixed, "[[1,[],null,true]]",
     "MR_EFIELD data[0][1] data[0][1] (sepal_width) must be a number or a string, not a list"},
    {&text, "\"good film\"", "OK \"good film\""},
    {&text, "[\"good\",\"bad\"]", "OK [\"good\",\"bad\"]"},
    {&text, "[[\"good\"],[\"bad\"]]", "OK [\"good\",\"bad\"]"},
    {&text, "[\"good\",5]", "MR_EFIELD data[1] data[1]: this text model takes a string"},
    {&text, "[]", "MR_EFIELD data data has no rows"},
    {&text, "{\"a\":\"b\"}",
     "MR_EFIELD data data must be a string or a list of strings for this text model"},
    {&narrow, "[1,2,3]",
     "MR_EINVAL data data: 3 values, but the model takes 1 in a row; send a list of rows for a "
     "batch"},
    {&narrow, "[[1],[2]]", "OK [[1.0],[2.0]]"},
};

MR_TEST(requests_are_read_or_refused_with_their_place) {
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char got[1024];
        read_as_text(rows[i].info, rows[i].json, got, sizeof got);
        if (strcmp(got, rows[i].want))
            fprintf(stderr, "for %s:\n", rows[i].json);
        CHECK_STR(got, rows[i].want);
    }
}

MR_TEST(infinities_are_refused) {
    yyjson_doc *d = yyjson_read("[1,2,1e999,4]", 13, YYJSON_READ_ALLOW_INF_AND_NAN);
    struct mr_shape s = {.info = &missing};
    struct mr_arena a;
    struct mr_input in;
    struct mr_err e = {0};
    mr_arena_init(&a, 1 << 20);
    CHECK(d != NULL);
    CHECK_INT(mr_input_read(&s, yyjson_doc_get_root(d), &a, &in, &e), MR_EFIELD);
    CHECK_STR(e.msg, "data[2] must be a finite number");
    yyjson_doc_free(d);
    mr_arena_release(&a);
}

static yyjson_doc *many_rows(size_t n) {
    yyjson_mut_doc *m = yyjson_mut_doc_new(NULL);
    yyjson_mut_val *list = yyjson_mut_arr(m);
    yyjson_mut_doc_set_root(m, list);
    for (size_t i = 0; i < n; i++)
        yyjson_mut_arr_add_real(m, yyjson_mut_arr_add_arr(m, list), 1.5);
    yyjson_doc *d = yyjson_mut_doc_imut_copy(m, NULL);
    yyjson_mut_doc_free(m);
    return d;
}

MR_TEST(rows_are_capped) {
    struct mr_shape s = {.info = &narrow};
    struct mr_arena a;
    struct mr_input in;
    struct mr_err e = {0};
    for (size_t n = MR_ROWS_MAX; n <= MR_ROWS_MAX + 1; n++) {
        mr_arena_init(&a, 1 << 24);
        yyjson_doc *d = many_rows(n);
        CHECK_INT(mr_input_read(&s, yyjson_doc_get_root(d), &a, &in, &e),
                  n > MR_ROWS_MAX ? MR_ETOOBIG : 0);
        yyjson_doc_free(d);
        mr_arena_release(&a);
    }
    CHECK_STR(e.msg, "data has 100001 rows; at most 100000 in one request");
    mr_arena_init(&a, 1000);
    yyjson_doc *d = many_rows(5000);
    CHECK_INT(mr_input_read(&s, yyjson_doc_get_root(d), &a, &in, &e), MR_ETOOBIG);
    yyjson_doc_free(d);
    mr_arena_release(&a);
}

/* --- replies ------------------------------------------------------------------------------ */

static const char *reply(const struct mr_model_info *info, struct mr_vec *slots, size_t n_rows,
                         bool batch, struct mr_buf *b) {
    struct mr_output o;
    struct mr_result res = {.rows = n_rows, .slot = slots};
    struct mr_err e = {0};
    mr_buf_init(b, 4096);
    CHECK_INT(mr_output_init(&o, info, NULL), 0);
    int r = mr_output_write(&o, &res, 1, batch, b, &e);
    mr_output_release(&o);
    if (r) {
        mr_buf_clear(b);
        mr_buf_cstr(b, e.msg);
    }
    return b->p;
}

#define DENSE(w, ...)                                                                              \
    {                                                                                              \
        .kind = MR_SLOT_DENSE, .width = (w), .dense = (double[]) {                                 \
            __VA_ARGS__                                                                            \
        }                                                                                          \
    }

MR_TEST(replies_have_labels_and_probabilities) {
    static const struct mr_label ints[] = {{.i = 0}, {.i = 7}, {.i = -3}};
    static const struct mr_label strs[] = {
        {.s = {"set\"osa", 7}}, {.s = {"b", 1}}, {.s = {"c", 1}}};
    static const struct mr_label bools[] = {{.i = 0}, {.i = 1}};
    static const struct mr_label floats[] = {{.f = 0.5}, {.f = 1}};
    struct mr_vec v[] = {DENSE(1, 1, 0), DENSE(3, 0.01, 0.98, 0.01, 1, 0, 0), DENSE(1, 2.5, -1e-7),
                         DENSE(2, 1, 2, 3, 4)};
    struct mr_buf b;
    struct mr_model_output o[2] = {{0, 1, MR_LABEL_INT, ints, 3}, {0, 1, MR_LABEL_STR, strs, 3}};
    struct mr_model_info info = {.task = MR_TASK_CLASSIFY, .n_outputs = 1, .outputs = o};

    CHECK_STR(reply(&info, v, 1, false, &b), "\"prediction\":7,\"probabilities\":[0.01,0.98,0.01]");
    mr_buf_release(&b);
    CHECK_STR(reply(&info, v, 2, true, &b),
              "\"predictions\":[7,0],\"probabilities\":[[0.01,0.98,0.01],[1.0,0.0,0.0]]");
    mr_buf_release(&b);
    info.outputs = o + 1;
    CHECK_STR(reply(&info, v, 2, true, &b), "\"predictions\":[\"b\",\"set\\\"osa\"],"
                                            "\"probabilities\":[[0.01,0.98,0.01],[1.0,0.0,0.0]]");
    mr_buf_release(&b);
    info.outputs = o;
    info.n_outputs = 2;
    CHECK_STR(reply(&info, v, 1, false, &b),
              "\"prediction\":[7,\"b\"],\"probabilities\":[[0.01,0.98,0.01],[0.01,0.98,0.01]]");
    mr_buf_release(&b);
    info.n_outputs = 1;
    o[0] = (struct mr_model_output){0, UINT32_MAX, MR_LABEL_BOOL, bools, 2};
    CHECK_STR(reply(&info, v, 2, true, &b), "\"predictions\":[true,false]");
    mr_buf_release(&b);
    o[0] = (struct mr_model_output){0, UINT32_MAX, MR_LABEL_FLOAT, floats, 2};
    CHECK_STR(reply(&info, v, 2, true, &b), "\"predictions\":[1.0,0.5]");
    mr_buf_release(&b);
    o[0] = (struct mr_model_output){2, UINT32_MAX, MR_LABEL_FLOAT, floats, 2};
    CHECK_STR(reply(&info, v, 1, true, &b), "the model answered class number 2.5 of 2");
    mr_buf_release(&b);
    o[0] = (struct mr_model_output){2, UINT32_MAX, MR_LABEL_FLOAT, NULL, 0};
    info.task = MR_TASK_REGRESS;
    CHECK_STR(reply(&info, v, 2, true, &b), "\"predictions\":[2.5,-1e-7]");
    mr_buf_release(&b);
    o[0].pred_slot = 3;
    info.task = MR_TASK_TRANSFORM;
    CHECK_STR(reply(&info, v, 2, true, &b), "\"predictions\":[[1.0,2.0],[3.0,4.0]]");
    mr_buf_release(&b);
    o[0].pred_slot = 0;
    info.task = MR_TASK_CLUSTER;
    CHECK_STR(reply(&info, v, 1, false, &b), "\"prediction\":1");
    mr_buf_release(&b);
}

/* MR_TEST_BENCH=1: reading and writing one iris row, without the model. */
MR_TEST(bench) {
    if (!getenv("MR_TEST_BENCH"))
        return;
    static const struct mr_label ints[] = {{.i = 0}, {.i = 1}, {.i = 2}};
    struct mr_vec v[] = {DENSE(1, 1), DENSE(3, 0.0135, 0.9762, 0.0103)};
    struct mr_model_output o = {0, 1, MR_LABEL_INT, ints, 3};
    struct mr_model_info info = named;
    info.n_outputs = 1;
    info.outputs = &o;
    struct mr_shape s = {.info = &info};
    struct mr_output out;
    struct mr_arena a;
    struct mr_buf b;
    struct mr_err e;
    struct mr_result res = {.rows = 1, .slot = v};
    mr_arena_init(&a, 1 << 20);
    mr_buf_init(&b, 4096);
    CHECK_INT(mr_names_init(&s.names, info.feature_names, 4, NULL), 0);
    CHECK_INT(mr_output_init(&out, &info, NULL), 0);
    static const char *const json[] = {
        "{\"data\":[5.1,3.5,1.4,0.2]}",
        "{\"data\":{\"sepal_length\":5.1,\"sepal_width\":3.5,\"petal_length\":1.4,"
        "\"petal_width\":0.2}}"};
    for (int k = 0; k < 2; k++)
        for (int parse = 0; parse < 2; parse++) {
            size_t allocs = 0;
            int64_t t = mr_mono_ns();
            yyjson_doc *d = yyjson_read(json[k], strlen(json[k]), 0);
            for (int i = 0; i < 200000; i++) {
                if (parse) {
                    yyjson_doc_free(d);
                    d = yyjson_read(json[k], strlen(json[k]), 0);
                }
                struct mr_input in;
                if (i == 1)
                    mr_alloc_fail_at(0);
                mr_arena_reset(&a);
                mr_buf_clear(&b);
                CHECK_INT(
                    mr_input_read(&s, yyjson_obj_get(yyjson_doc_get_root(d), "data"), &a, &in, &e),
                    0);
                CHECK_INT(mr_output_write(&out, &res, 1, false, &b, &e), 0);
            }
            allocs = mr_alloc_fail_at(0);
            yyjson_doc_free(d);
            t = mr_mono_ns() - t;
            CHECK_INT(allocs, 0);
            printf("%s%s: %.0f ns, %zu allocations\n", k ? "object" : "list",
                   parse ? " with JSON parsing" : "", (double)t / 200000, allocs);
        }
    mr_names_release(&s.names);
    mr_output_release(&out);
    mr_arena_release(&a);
    mr_buf_release(&b);
}

MR_TEST_MAIN(CASE(requests_are_read_or_refused_with_their_place), CASE(infinities_are_refused),
             CASE(rows_are_capped), CASE(replies_have_labels_and_probabilities), CASE(bench))
