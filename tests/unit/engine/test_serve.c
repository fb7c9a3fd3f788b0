/* Golden models through the whole engine: file -> intake child -> instance -> JSON in, JSON out,
 * compared with what the model's own library answered. ONNX models run in their worker process; the
 * cases are skipped, saying so, where ONNX Runtime is not installed. The test re-runs itself as the
 * children. */
#include "base/alloc.h"
#include "base/clock.h"
#include "engine/intake.h"
#include "engine/onnx/onnx.h"
#include "mr_test.h"

#include <fcntl.h>
#include <pthread.h>
#include <pwd.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define GOLDEN MR_SRC_DIR "/tests/golden/"

static bool have_onnx;

static struct mr_instance *deploy(const char *path, int64_t timeout_ms, uint64_t memory,
                                  struct mr_err *e) {
    struct mr_intake_config c = {.self_exe = NULL};
    struct mr_intake_result res;
    struct mr_arena a;
    struct mr_instance *inst = NULL;
    int fd = open(path, O_RDONLY | O_CLOEXEC), out = memfd_create("out", MFD_CLOEXEC);
    mr_arena_init(&a, 16 << 20);
    if (fd < 0) {
        mr_fail_errno(e, path);
    } else if (!mr_intake_run(&c, fd, MR_LIT("model"), out, &a, &res, e)) {
        struct mr_model_spec spec = {
            .kind = res.kind, .timeout_ms = timeout_ms, .memory_limit = memory};
        mr_instance_load(&spec, res.kind == MR_ENGINE_ONNX ? fd : out, &inst, e);
    }
    if (fd >= 0)
        close(fd);
    close(out);
    mr_arena_release(&a);
    return inst;
}

/* The reply as a document ({…} added), or NULL with the error. */
static yyjson_doc *predict(struct mr_instance *inst, yyjson_val *data, struct mr_run *run,
                           struct mr_err *e) {
    struct mr_arena a;
    struct mr_buf b;
    mr_arena_init(&a, 256 << 20);
    mr_buf_init(&b, 256 << 20);
    mr_buf_char(&b, '{');
    int r = mr_instance_predict(inst, data, false, &a, &b, run, e);
    mr_buf_char(&b, '}');
    yyjson_doc *d = r ? NULL : yyjson_read(b.p, b.n, 0);
    if (!r)
        CHECK(d != NULL);
    mr_buf_release(&b);
    mr_arena_release(&a);
    return d;
}

static yyjson_doc *predict_text(struct mr_instance *inst, const char *json, struct mr_run *run,
                                struct mr_err *e) {
    yyjson_doc *in = yyjson_read(json, strlen(json), 0);
    yyjson_doc *d = predict(inst, yyjson_doc_get_root(in), run, e);
    yyjson_doc_free(in);
    return d;
}

static bool same(yyjson_val *got, yyjson_val *want, double tol) {
    if (yyjson_is_arr(want)) {
        if (!yyjson_is_arr(got) || yyjson_arr_size(got) != yyjson_arr_size(want))
            return yyjson_arr_size(want) == 1 && same(got, yyjson_arr_get_first(want), tol);
        size_t i, max;
        yyjson_val *w, *g = yyjson_arr_get_first(got);
        yyjson_arr_foreach (want, i, max, w) {
            if (!same(g, w, tol))
                return false;
            g = unsafe_yyjson_get_next(g);
        }
        return true;
    }
    if (yyjson_is_str(want)) {
        const char *w = yyjson_get_str(want);
        if (yyjson_is_null(got)) /* JSON has no other way to say these */
            return !strcmp(w, "nan") || !strcmp(w, "inf") || !strcmp(w, "-inf");
        return yyjson_equals_str(got, w);
    }
    if (yyjson_is_bool(got))
        return yyjson_is_bool(want) && yyjson_get_bool(got) == yyjson_get_bool(want);
    if (yyjson_arr_size(got) == 2) /* multi-label: [P(0), P(1)] where some libraries say P(1) */
        got = yyjson_arr_get(got, 1);
    else if (yyjson_arr_size(got) == 1) /* a transformed row of one column */
        got = yyjson_arr_get(got, 0);
    double g = yyjson_get_num(got); /* a transformer's booleans are numbers here */
    double w = yyjson_is_bool(want) ? yyjson_get_bool(want) : yyjson_get_num(want);
    return yyjson_is_num(got) && fabs(g - w) <= tol * (fabs(w) > 1 ? fabs(w) : 1);
}

/* Rows that differ only where the library's own scores tie (within rounding) are no difference. */
static bool same_but_ties(yyjson_val *got, yyjson_val *want, yyjson_val *scores, double tol) {
    size_t i, max;
    yyjson_val *w;
    if (!yyjson_is_arr(got) || yyjson_arr_size(got) != yyjson_arr_size(want))
        return false;
    yyjson_arr_foreach (want, i, max, w) {
        if (same(yyjson_arr_get(got, i), w, tol))
            continue;
        double best = -INFINITY, second = -INFINITY;
        size_t k, n;
        yyjson_val *row = yyjson_arr_get(scores, i), *x;
        yyjson_arr_foreach (row, k, n, x) {
            double v = yyjson_get_num(x);
            second = v > best ? best : v > second ? v : second;
            best = v > best ? v : best;
        }
        if (!(best - second <= 1e-12))
            return false;
    }
    return true;
}

/* A flat list of labels (LabelEncoder) is a column of rows here. */
static yyjson_val *as_rows(yyjson_val *in, yyjson_doc **ret_doc) {
    yyjson_val *first = yyjson_arr_get_first(in);
    if (yyjson_is_arr(first) || yyjson_is_obj(first))
        return in;
    yyjson_mut_doc *m = yyjson_mut_doc_new(NULL);
    yyjson_mut_val *rows = yyjson_mut_arr(m);
    yyjson_mut_doc_set_root(m, rows);
    size_t i, max;
    yyjson_val *v;
    yyjson_arr_foreach (in, i, max, v)
        yyjson_mut_arr_append(yyjson_mut_arr_add_arr(m, rows), yyjson_val_mut_copy(m, v));
    *ret_doc = yyjson_mut_doc_imut_copy(m, NULL);
    yyjson_mut_doc_free(m);
    return yyjson_doc_get_root(*ret_doc);
}

static const char *compare(struct mr_instance *inst, yyjson_val *values, double tol,
                           struct mr_err *e) {
    yyjson_val *in = yyjson_obj_get(values, "inputs");
    yyjson_val *want = yyjson_obj_get(values, "predict");
    yyjson_val *proba = yyjson_obj_get(values, "predict_proba");
    if (!want || yyjson_is_null(want))
        want = yyjson_obj_get(values, "transform");
    struct mr_run run;
    yyjson_doc *wrapped = NULL;
    yyjson_doc *d = predict(inst, as_rows(in, &wrapped), &run, e);
    yyjson_doc_free(wrapped);
    if (!d)
        return e->msg;
    yyjson_val *root = yyjson_doc_get_root(d);
    const char *bad = NULL;
    if (!run.batch || run.rows != yyjson_arr_size(in))
        bad = "rows are miscounted";
    else if (!same(yyjson_obj_get(root, "predictions"), want, tol) &&
             !same_but_ties(yyjson_obj_get(root, "predictions"), want,
                            yyjson_obj_get(values, "decision_function"), tol))
        bad = "predictions differ";
    else if (proba && !yyjson_is_null(proba) && yyjson_obj_get(root, "probabilities") &&
             yyjson_arr_size(proba) == run.rows &&
             !same(yyjson_obj_get(root, "probabilities"), proba, tol))
        bad = "probabilities differ";
    if (bad && getenv("MR_TEST_SHOW")) {
        char *text = yyjson_write(d, 0, NULL);
        fprintf(stderr, "%.600s\n", text);
        free(text);
    }
    yyjson_doc_free(d);
    return bad;
}

/* One golden model; 0 agreed, 1 no reader or no ONNX Runtime, 2 failed. */
static int golden(const char *tag, const char *name, const char *file, double tol) {
    char path[1024];
    struct mr_err e = {0};
    snprintf(path, sizeof path, GOLDEN "models/%s/%s", tag, file);
    struct mr_instance *inst = deploy(path, 60000, 0, &e);
    if (!inst) {
        if (e.code == MR_EUNSUPPORTED || (e.code == MR_EUNAVAIL && !have_onnx))
            return 1;
        fprintf(stderr, "%s/%s: %s\n", tag, file, e.msg);
        return 2;
    }
    snprintf(path, sizeof path, GOLDEN "values/%s/%s.json", tag, name);
    yyjson_doc *d = yyjson_read_file(path, 0, NULL, NULL);
    const char *bad = d ? compare(inst, yyjson_doc_get_root(d), tol, &e) : "no values";
    if (bad)
        fprintf(stderr, "%s/%s: %s\n", tag, file, bad);
    yyjson_doc_free(d);
    mr_instance_unref(inst);
    return bad ? 2 : 0;
}

MR_TEST(golden_models_answer_as_their_library) {
    FILE *f = fopen(GOLDEN "INDEX.tsv", "r");
    char line[512];
    int count[3] = {0};
    CHECK(f != NULL);
    while (f && fgets(line, sizeof line, f)) {
        char *col[5] = {line};
        for (int k = 1; k < 5 && col[k - 1]; k++)
            if ((col[k] = strchr(col[k - 1], '\t')))
                *col[k]++ = 0;
        if (!col[4] || !strcmp(col[0], "tag"))
            continue;
        /* every ONNX model, and each tenth of the others: the converters' own test has them all */
        if (strncmp(col[1], "onnx", 4) && (count[0] + count[1] + count[2]) % 10 &&
            !getenv("MR_TEST_ALL")) {
            count[1]++;
            continue;
        }
        col[3][strcspn(col[3], ", ;")] = 0;
        count[golden(col[0], col[1], col[3], strtod(col[4], NULL))]++;
    }
    if (f)
        fclose(f);
    printf("%d golden models agree, %d passed over, %d fail\n", count[0], count[1], count[2]);
    CHECK(count[0] > 0);
    CHECK_INT(count[2], 0);
}

/* --- limits of native models ---------------------------------------------------------------- */
#define RF100 GOLDEN "models/new/rf100_iris.pkl"

static yyjson_doc *iris_rows(size_t n) {
    yyjson_mut_doc *m = yyjson_mut_doc_new(NULL);
    yyjson_mut_val *rows = yyjson_mut_arr(m);
    yyjson_mut_doc_set_root(m, rows);
    for (size_t i = 0; i < n; i++) {
        yyjson_mut_val *row = yyjson_mut_arr_add_arr(m, rows);
        for (int k = 0; k < 4; k++)
            yyjson_mut_arr_add_real(m, row, 0.1 * (double)((i * 7 + (size_t)k * 13) % 60));
    }
    yyjson_doc *d = yyjson_mut_doc_imut_copy(m, NULL);
    yyjson_mut_doc_free(m);
    return d;
}

MR_TEST(a_native_run_over_its_time_ends) {
    struct mr_err e = {0};
    struct mr_run run;
    struct mr_instance *inst = deploy(RF100, 1, 0, &e);
    CHECK(inst != NULL);
    if (!inst)
        return;
    yyjson_doc *in = iris_rows(100000);
    yyjson_doc *d = predict(inst, yyjson_doc_get_root(in), &run, &e);
    CHECK(d == NULL);
    CHECK_INT(e.code, MR_ETIMEOUT);
    CHECK_STR(e.msg, "the prediction took longer than 1 ms");
    yyjson_doc_free(d);
    yyjson_doc_free(in);
    CHECK(mr_instance_is_quick(inst, 1));
    CHECK(!mr_instance_is_quick(inst, 100000));
    mr_instance_unref(inst);
}

/* Blocks and the whole batch at once give the same text. */
MR_TEST(blocks_change_nothing) {
    struct mr_err e = {0};
    struct mr_run run;
    yyjson_doc *in = iris_rows(50000);
    char *text[2];
    for (int k = 0; k < 2; k++) {
        struct mr_instance *inst = deploy(RF100, k ? 60000 : 0, 0, &e);
        yyjson_doc *d = inst ? predict(inst, yyjson_doc_get_root(in), &run, &e) : NULL;
        CHECK(d != NULL);
        text[k] = yyjson_write(d, 0, NULL);
        yyjson_doc_free(d);
        mr_instance_unref(inst);
    }
    CHECK(text[0] && text[1] && !strcmp(text[0], text[1]));
    free(text[0]);
    free(text[1]);
    yyjson_doc_free(in);
}

MR_TEST(a_model_over_its_memory_is_not_loaded) {
    struct mr_err e = {0};
    CHECK(deploy(RF100, 0, 1000, &e) == NULL);
    CHECK_INT(e.code, MR_ETOOBIG);
    CHECK(strstr(e.msg, "over its limit of 0.0 MB") != NULL);
}

MR_TEST(one_row_allocates_nothing) {
    struct mr_err e = {0};
    struct mr_run run;
    struct mr_instance *inst = deploy(RF100, 1000, 0, &e);
    CHECK(inst != NULL);
    if (!inst)
        return;
    yyjson_doc *in = yyjson_read("[5.1,3.5,1.4,0.2]", 17, 0);
    struct mr_arena a;
    struct mr_buf b;
    mr_arena_init(&a, 1 << 20);
    mr_buf_init(&b, 1 << 20);
    for (int i = 0; i < 3; i++) {
        mr_arena_reset(&a);
        mr_buf_clear(&b);
        mr_alloc_fail_at(0);
        CHECK_INT(mr_instance_predict(inst, yyjson_doc_get_root(in), false, &a, &b, &run, &e), 0);
        size_t n = mr_alloc_fail_at(0);
        if (i)
            CHECK_INT(n, 0);
    }
    CHECK_STR(b.p, "\"prediction\":0,\"probabilities\":[1.0,0.0,0.0]");
    mr_buf_release(&b);
    mr_arena_release(&a);
    yyjson_doc_free(in);
    mr_instance_unref(inst);
}

MR_TEST(features_read_and_schema_are_shown) {
    struct mr_err e = {0};
    struct mr_run run;
    struct mr_instance *inst = deploy(RF100, 1000, 0, &e);
    CHECK(inst != NULL);
    if (!inst)
        return;
    yyjson_doc *in = yyjson_read("[5.1,3.5,1.4,0.2]", 17, 0);
    struct mr_arena a;
    struct mr_buf b;
    mr_arena_init(&a, 1 << 20);
    mr_buf_init(&b, 1 << 20);
    CHECK_INT(mr_instance_predict(inst, yyjson_doc_get_root(in), true, &a, &b, &run, &e), 0);
    CHECK(run.features_read.n > 0 && strstr(run.features_read.p, "3.5"));
    mr_buf_clear(&b);
    mr_instance_input_schema(inst, &b);
    yyjson_doc *d = yyjson_read(b.p, b.n, 0);
    CHECK_INT(yyjson_get_int(yyjson_obj_get(yyjson_doc_get_root(d), "n_features")), 4);
    yyjson_doc_free(d);
    mr_buf_release(&b);
    mr_arena_release(&a);
    yyjson_doc_free(in);
    mr_instance_unref(inst);
}

/* --- ONNX ---------------------------------------------------------------------------------- */
static struct mr_instance *onnx_model(const char *name, int64_t timeout_ms) {
    char path[1024];
    struct mr_err e = {0};
    snprintf(path, sizeof path, GOLDEN "models/new/%s.onnx", name);
    struct mr_instance *inst = deploy(path, timeout_ms, 0, &e);
    if (!inst)
        fprintf(stderr, "%s: %s\n", name, e.msg);
    CHECK(inst != NULL);
    return inst;
}

MR_TEST(onnx_rows_and_errors) {
    static const struct {
        const char *model, *json, *want; /* want: a member that must be there, or the error */
    } rows[] = {
        {"onnx_rf_tensor", "[5.1,3.5,1.4,0.2]", "prediction"},
        {"onnx_rf_tensor", "[[5.1,3.5,1.4,0.2]]", "predictions"},
        {"onnx_rf_tensor", "[[5.1,3.5,1.4,0.2],[1,2,3,4]]", "predictions"},
        {"onnx_rf_tensor", "{\"a\":5.1,\"b\":3.5,\"c\":1.4,\"d\":0.2}", "prediction"},
        {"onnx_rf_tensor", "[{\"a\":5.1,\"b\":3.5,\"c\":1.4,\"d\":0.2}]", "predictions"},
        {"onnx_rf_zipmap", "[5.1,3.5,1.4,0.2]", "probabilities"},
        {"onnx_rf_strings", "[5.1,3.5,1.4,0.2]", "prediction"},
        {"onnx_rf_tensor", "[5.1,3.5,1.4]", "data: 3 values in dimension 1, but the model takes 4"},
        {"onnx_rf_tensor", "[[1,2,3,4],[1,2,3]]", "data[1]: has 3 values, its neighbours have 4"},
        {"onnx_rf_tensor", "[[1,2,3,4],5]", "data[1]: must be a list like its neighbours"},
        {"onnx_rf_tensor", "[1,2,\"3\",4]", "data[2]: must be a number, not a string"},
        {"onnx_rf_tensor", "[1,2,1e300,4]", "data[2]: is too large for the model's float32 input"},
        {"onnx_rf_tensor", "[1,null,3,4]",
         "data[1]: is null, and ONNX models take no missing values"},
        {"onnx_rf_tensor", "[]", "data: empty lists do not fit the model"},
        {"onnx_rf_tensor", "[[[1,2,3,4]]]",
         "data: 3 nested lists, but the model takes 2 (or 1 for one row)"},
        {"onnx_rf_tensor", "{\"a\":1}", "data: 1 value, but the model takes 4"},
    };
    if (!have_onnx)
        return;
    struct mr_instance *inst = NULL;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct mr_err e = {0};
        struct mr_run run;
        if (!inst || strcmp(rows[i].model, rows[i - 1].model)) {
            mr_instance_unref(inst);
            inst = onnx_model(rows[i].model, 10000);
            if (!inst)
                return;
        }
        yyjson_doc *d = predict_text(inst, rows[i].json, &run, &e);
        if (d)
            CHECK(yyjson_obj_get(yyjson_doc_get_root(d), rows[i].want) != NULL);
        else
            CHECK_STR(e.msg, rows[i].want);
        yyjson_doc_free(d);
    }
    mr_instance_unref(inst);
}

/* Children of this process named "millrace" that run as worker: their first one's pid. */
static pid_t worker_pid(void) {
    char path[64], text[64];
    snprintf(path, sizeof path, "/proc/self/task/%d/children", (int)getpid());
    FILE *f = fopen(path, "r");
    pid_t pid = 0;
    if (f && fgets(text, sizeof text, f))
        pid = (pid_t)strtol(text, NULL, 10);
    if (f)
        fclose(f);
    return pid;
}

MR_TEST(onnx_worker_that_dies_costs_one_error) {
    if (!have_onnx)
        return;
    struct mr_err e = {0};
    struct mr_run run;
    struct mr_instance *inst = onnx_model("onnx_lr_tensor", 10000);
    if (!inst)
        return;
    pid_t pid = worker_pid();
    CHECK(pid > 0);
    kill(pid, SIGKILL);
    CHECK(predict_text(inst, "[5.1,3.5,1.4,0.2]", &run, &e) == NULL);
    CHECK_INT(e.code, MR_EPREDICT);
    CHECK(strstr(e.msg, "was killed by signal 9") != NULL);
    yyjson_doc *d = predict_text(inst, "[5.1,3.5,1.4,0.2]", &run, &e);
    CHECK(d != NULL);
    CHECK(worker_pid() != pid);
    yyjson_doc_free(d);

    /* a worker that hangs is killed at the deadline, and the next request gets a new one */
    mr_instance_unref(inst);
    inst = onnx_model("onnx_lr_tensor", 200);
    if (!inst)
        return;
    kill(worker_pid(), SIGSTOP);
    CHECK(predict_text(inst, "[5.1,3.5,1.4,0.2]", &run, &e) == NULL);
    CHECK_INT(e.code, MR_ETIMEOUT);
    mr_instance_unref(inst);
    CHECK_INT(worker_pid(), 0);
}

static void *hammer(void *arg) {
    for (int i = 0; i < 50; i++) {
        struct mr_err e = {0};
        struct mr_run run;
        yyjson_doc *d = predict_text(arg, "[[5.1,3.5,1.4,0.2],[6.3,3.3,6,2.5]]", &run, &e);
        yyjson_val *p = yyjson_obj_get(yyjson_doc_get_root(d), "predictions");
        if (!d || yyjson_get_int(yyjson_arr_get(p, 0)) != 0 ||
            yyjson_get_int(yyjson_arr_get(p, 1)) != 2)
            return (void *)1;
        yyjson_doc_free(d);
    }
    return NULL;
}

MR_TEST(onnx_runs_take_turns) {
    if (!have_onnx)
        return;
    struct mr_instance *inst = onnx_model("onnx_rf_tensor", 10000);
    pthread_t t[4];
    if (!inst)
        return;
    for (int i = 0; i < 4; i++)
        pthread_create(&t[i], NULL, hammer, inst);
    for (int i = 0; i < 4; i++) {
        void *bad;
        pthread_join(t[i], &bad);
        CHECK(bad == NULL);
    }
    mr_instance_unref(inst);
}

/* Official builds of ONNX Runtime report usage unless told not to (worker.c): a thread, which the
 * worker would refuse, and a database in the user's cache folder. */
static struct timespec telemetry_changed(void) {
    char path[1024];
    struct stat st = {0};
    const struct passwd *me = getpwuid(getuid());
    snprintf(path, sizeof path, "%s/.cache/Microsoft/DeveloperTools/.onnxruntime",
             me ? me->pw_dir : "");
    return stat(path, &st) ? (struct timespec){0} : st.st_mtim;
}

MR_TEST(onnx_runtime_reports_nothing) {
    if (!have_onnx)
        return;
    struct timespec before = telemetry_changed();
    mr_instance_unref(onnx_model("onnx_lr_tensor", 10000));
    struct timespec after = telemetry_changed();
    CHECK(before.tv_sec == after.tv_sec && before.tv_nsec == after.tv_nsec);
}

MR_TEST(onnx_garbage_is_refused_by_the_runtime) {
    if (!have_onnx)
        return;
    /* a well-formed description whose graph ONNX Runtime must refuse: an unknown operator */
    static const char bytes[] = "\x08\x08\x3a\x2c\x0a\x10\x0a\x01x\x12\x01y\x22\x08NoSuchOp"
                                "\x12\x01g\x5a\x0a\x0a\x01x\x12\x05\x0a\x03\x08\x01\x12"
                                "\x62\x05\x0a\x01y\x12\x00";
    struct mr_model_spec spec = {.kind = MR_ENGINE_ONNX, .timeout_ms = 5000};
    struct mr_instance *inst = NULL;
    struct mr_err e = {0};
    int fd = memfd_create("bad", MFD_CLOEXEC);
    CHECK(write(fd, bytes, sizeof bytes - 1) > 0);
    CHECK(mr_instance_load(&spec, fd, &inst, &e) < 0);
    CHECK(e.msg[0] != 0);
    close(fd);
    CHECK_INT(worker_pid(), 0);
}

MR_TEST(bench) {
    if (!getenv("MR_TEST_BENCH"))
        return;
    static const char *const models[] = {"rf100_iris.pkl", "onnx_rf_tensor.onnx"};
    for (int k = 0; k < 2; k++) {
        char path[1024];
        struct mr_err e = {0};
        struct mr_run run;
        snprintf(path, sizeof path, GOLDEN "models/new/%s", models[k]);
        int64_t t = mr_mono_ns();
        struct mr_instance *inst = deploy(path, 10000, 0, &e);
        printf("%s: deployed in %.2f ms", models[k], (double)(mr_mono_ns() - t) / 1e6);
        if (!inst) {
            printf(": %s\n", e.msg);
            continue;
        }
        yyjson_doc *in = yyjson_read("[5.1,3.5,1.4,0.2]", 17, 0);
        struct mr_arena a;
        struct mr_buf b;
        mr_arena_init(&a, 1 << 20);
        mr_buf_init(&b, 1 << 20);
        int64_t best = INT64_MAX;
        for (int i = 0; i < 2000; i++) {
            mr_arena_reset(&a);
            mr_buf_clear(&b);
            t = mr_mono_ns();
            mr_instance_predict(inst, yyjson_doc_get_root(in), false, &a, &b, &run, &e);
            t = mr_mono_ns() - t;
            best = t < best ? t : best;
        }
        printf(", one row %.2f us, %.1f MB: %s\n", (double)best / 1e3,
               (double)mr_instance_memory(inst) / 1e6, b.p);
        mr_buf_release(&b);
        mr_arena_release(&a);
        yyjson_doc_free(in);
        mr_instance_unref(inst);
    }
}

#define main test_main
int test_main(int argc, char **argv);
MR_TEST_MAIN(CASE(golden_models_answer_as_their_library), CASE(a_native_run_over_its_time_ends),
             CASE(blocks_change_nothing), CASE(a_model_over_its_memory_is_not_loaded),
             CASE(one_row_allocates_nothing), CASE(features_read_and_schema_are_shown),
             CASE(onnx_rows_and_errors), CASE(onnx_worker_that_dies_costs_one_error),
             CASE(onnx_runs_take_turns), CASE(onnx_runtime_reports_nothing),
             CASE(onnx_garbage_is_refused_by_the_runtime), CASE(bench))
#undef main

int main(int argc, char **argv) {
    if (argc > 1 && !strcmp(argv[1], "__intake"))
        return mr_intake_child_main();
    if (argc > 1 && !strcmp(argv[1], "__onnx-worker"))
        return mr_onnx_worker_main();
    struct mr_err e = {0};
    int fd;
    have_onnx = mr_onnx_open_library(&fd, &e) == 0;
    if (have_onnx)
        close(fd);
    else
        printf("skipping ONNX: %s\n", e.msg);
    return test_main(argc, argv);
}
