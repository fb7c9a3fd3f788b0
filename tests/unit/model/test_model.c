/* The compiled model as a file: what the builder writes is what the reader gives back. */
#include "base/alloc.h"
#include "model/build.h"
#include "model/convert/trees_build.h"
#include "model/model.h"
#include "model/op_ids.h"
#include "model/ops/params.h"
#include "mr_test.h"

#include <sys/mman.h>
#include <unistd.h>

struct made {
    struct mr_arena arena;
    struct mr_convert c;
    bool text;
};

static void begin(struct made *m, enum mr_slot_kind kind, uint32_t width) {
    mr_arena_init(&m->arena, 16u << 20);
    m->text = false;
    m->c = (struct mr_convert){.b = mr_build_new(&m->arena), .arena = &m->arena};
    mr_build_input(m->c.b, kind, width);
}

static int finish(struct made *m, enum mr_task task, const struct mr_build_output *o,
                  const struct mr_str *names, struct mr_model **ret, struct mr_err *e) {
    mr_build_output(m->c.b, o);
    struct mr_build_info info = {.task = task,
                                 .framework = MR_LIT("sklearn"),
                                 .framework_version = MR_LIT("1.5.2"),
                                 .model_type = MR_LIT("Test \"quoted\""),
                                 .accepts_missing = true,
                                 .feature_names = names,
                                 .text_input = m->text};
    mr_build_info(m->c.b, &info);
    mr_build_warn(m->c.b, "note %d", 1);
    mr_build_warn(m->c.b, "note %d", 1);
    int fd = memfd_create("m", MFD_CLOEXEC);
    int r = mr_build_write(m->c.b, fd, e);
    if (!r)
        r = mr_model_open(fd, ret, e);
    close(fd);
    mr_build_free(m->c.b);
    mr_arena_release(&m->arena);
    return r;
}

MR_TEST(description_comes_back) {
    struct made m;
    struct mr_model *model = NULL;
    struct mr_err e = {0};
    begin(&m, MR_SLOT_CELLS, 2);
    uint32_t x = mr_convert_dense(&m.c, 0);
    const struct mr_label labels[2] = {{.s = MR_LIT("no")}, {.s = MR_LIT("y\"es")}};
    const struct mr_str names[2] = {MR_LIT("a"), MR_LIT("b\n")};
    struct mr_build_output o = {.pred_slot = mr_tree_argmax(&m.c, x),
                                .proba_slot = x,
                                .label_kind = MR_LABEL_STR,
                                .classes = labels,
                                .n_classes = 2};
    CHECK_INT(finish(&m, MR_TASK_CLASSIFY, &o, names, &model, &e), 0);
    const struct mr_model_info *in = mr_model_info(model);
    CHECK(in->input_kind == MR_SLOT_DENSE); /* nothing reads it as text */
    CHECK_INT(in->n_features, 2);
    CHECK(mr_str_is(in->feature_names[1], "b\n") && mr_str_is(in->model_type, "Test \"quoted\""));
    CHECK(mr_str_is(in->outputs[0].classes[1].s, "y\"es"));
    CHECK_INT(in->n_warnings, 1);
    CHECK_INT(in->output_width, 2);
    CHECK(in->accepts_missing && !in->text_input && in->est_row_ns > 0);
    struct mr_arena a;
    struct mr_result r;
    mr_arena_init(&a, 1u << 20);
    const double rows[6] = {1, 2, 3, 3, 5, NAN};
    CHECK_INT(mr_model_run(model, rows, NULL, 3, &a, &r, &e), 0);
    const double *pred = r.slot[in->outputs[0].pred_slot].dense;
    CHECK(pred[0] == 1 && pred[1] == 0 && pred[2] == 1); /* first of equals; NaN as numpy does */
    CHECK_INT(mr_model_run(model, NULL, NULL, 1, &a, &r, &e), MR_EINVAL);
    mr_arena_release(&a);
    mr_model_free(model);
}

MR_TEST(text_where_numbers_are_needed_is_named) {
    struct made m;
    struct mr_model *model = NULL;
    struct mr_err e = {0};
    begin(&m, MR_SLOT_CELLS, 1);
    uint32_t x = mr_convert_dense(&m.c, 0);
    m.text = true; /* keeps the input's kind */
    struct mr_build_output o = {.pred_slot = x, .proba_slot = UINT32_MAX};
    CHECK_INT(finish(&m, MR_TASK_TRANSFORM, &o, NULL, &model, &e), 0);
    CHECK(mr_model_info(model)->input_kind == MR_SLOT_CELLS);
    struct mr_arena a;
    struct mr_result r;
    mr_arena_init(&a, 1u << 20);
    const struct mr_cell rows[2] = {{1, {0}}, {0, MR_LIT("Wien")}};
    CHECK_INT(mr_model_run(model, NULL, rows, 1, &a, &r, &e), 0);
    CHECK_INT(mr_model_run(model, NULL, rows, 2, &a, &r, &e), MR_EINVAL);
    CHECK(strstr(e.msg, "row 1, column 0") && strstr(e.msg, "Wien"));
    mr_arena_release(&a);
    mr_model_free(model);
}

MR_TEST(sums_over_many_slots_and_constants) {
    struct made m;
    struct mr_model *model = NULL;
    struct mr_err e = {0};
    uint32_t slot[150];
    double weight[150], two = 2, lo = 3, want = 0;
    begin(&m, MR_SLOT_DENSE, 1);
    for (int i = 0; i < 150; i++) {
        slot[i] = mr_tree_affine(&m.c, 0, NULL, &two, i % 2, NULL, NULL);
        weight[i] = i;
        want += i * (i % 2 ? 5.0 / 2 : 5.0 * 2);
    }
    uint32_t s = mr_tree_mean(&m.c, slot, 150, weight, 10);
    s = mr_tree_affine(&m.c, s, &two, NULL, false, &lo, NULL);
    struct mr_build_output o = {.pred_slot = s, .proba_slot = UINT32_MAX};
    CHECK_INT(finish(&m, MR_TASK_REGRESS, &o, NULL, &model, &e), 0);
    struct mr_arena a;
    struct mr_result r;
    mr_arena_init(&a, 1u << 20);
    const double rows[2] = {5, -100};
    CHECK_INT(mr_model_run(model, rows, NULL, 2, &a, &r, &e), 0);
    CHECK_NEAR(r.slot[s].dense[0], want / 10 - 2, 1e-9);
    CHECK(r.slot[s].dense[1] == 3);
    mr_arena_release(&a);
    mr_arena_init(&a, 4096); /* a run over its memory says so */
    CHECK_INT(mr_model_run(model, rows, NULL, 2, &a, &r, &e), MR_ENOMEM);
    mr_arena_release(&a);
    mr_model_free(model);
}

MR_TEST(broken_programs_do_not_open) {
    struct mr_model *model = NULL;
    struct mr_err e = {0};
    struct made m;
    begin(&m, MR_SLOT_DENSE, 1);
    struct mr_build_output o = {.pred_slot = mr_build_slot(m.c.b, MR_SLOT_DENSE, 1),
                                .proba_slot = UINT32_MAX};
    CHECK_INT(finish(&m, MR_TASK_REGRESS, &o, NULL, &model, &e), MR_EREFUSED); /* never written */
    begin(&m, MR_SLOT_DENSE, 2);
    o.pred_slot = 0;
    CHECK_INT(finish(&m, MR_TASK_REGRESS, &o, NULL, &model, &e), MR_EREFUSED); /* two columns */
    begin(&m, MR_SLOT_DENSE, 1);
    CHECK_INT(finish(&m, MR_TASK_CLASSIFY, &o, NULL, &model, &e), MR_EREFUSED); /* no labels */
    begin(&m, MR_SLOT_DENSE, 0);
    CHECK(finish(&m, MR_TASK_REGRESS, &o, NULL, &model, &e) < 0); /* no columns */
    CHECK(model == NULL);
}

MR_TEST_MAIN(CASE(description_comes_back), CASE(text_where_numbers_are_needed_is_named),
             CASE(sums_over_many_slots_and_constants), CASE(broken_programs_do_not_open))
