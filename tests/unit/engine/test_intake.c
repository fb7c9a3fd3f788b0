/* Intake of golden models and of files that are no models. The test re-runs itself as the child. */
#include "base/clock.h"
#include "engine/intake.h"
#include "mr_test.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include <yyjson.h>

#define MODELS MR_SRC_DIR "/tests/golden/models/"

static struct mr_intake_config config = {.self_exe = NULL, .timeout_ms = 120000};

static int intake(int fd, const char *name, struct mr_arena *a, struct mr_intake_result *ret,
                  off_t *ret_out, struct mr_err *e) {
    int out = memfd_create("out", MFD_CLOEXEC);
    int r = mr_intake_run(&config, fd, mr_str(name), out, a, ret, e);
    if (ret_out)
        *ret_out = lseek(out, 0, SEEK_END);
    close(out);
    return r;
}

static int intake_bytes(const void *p, size_t n, const char *name, struct mr_arena *a,
                        struct mr_intake_result *ret, struct mr_err *e) {
    int fd = memfd_create("in", MFD_CLOEXEC);
    CHECK(write(fd, p, n) == (ssize_t)n);
    int r = intake(fd, name, a, ret, NULL, e);
    close(fd);
    return r;
}

static bool has_member(struct mr_str json, const char *key) {
    yyjson_doc *d = yyjson_read(json.p, json.n, 0);
    bool there = yyjson_obj_get(yyjson_doc_get_root(d), key) != NULL;
    yyjson_doc_free(d);
    return there;
}

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define EACH 10 /* a sanitized child takes 100 ms to start and end */
#else
#define EACH 1
#endif

/* Every golden file either becomes a program that opens (native), or an ONNX description. */
MR_TEST(golden_files_are_taken) {
    static const char *const keys[] = {
        "framework",       "framework_version",   "model_type", "task",
        "input_shape",     "output_shape",        "input_kind", "has_probabilities",
        "accepts_missing", "estimated_memory_mb", "warnings"};
    int taken = 0, refused = 0, unsupported = 0, seen = 0;
    DIR *tags = opendir(MODELS);
    CHECK(tags != NULL);
    for (struct dirent *t; tags && (t = readdir(tags));) {
        char path[1024];
        snprintf(path, sizeof path, MODELS "%s", t->d_name);
        DIR *d = t->d_name[0] == '.' ? NULL : opendir(path);
        for (struct dirent *f; d && (f = readdir(d));) {
            snprintf(path, sizeof path, MODELS "%s/%s", t->d_name, f->d_name);
            int fd = f->d_name[0] == '.' ? -1 : open(path, O_RDONLY | O_CLOEXEC);
            if (fd < 0)
                continue;
            if (++seen % EACH) {
                close(fd);
                continue;
            }
            struct mr_arena a;
            struct mr_intake_result res;
            struct mr_err e = {0};
            off_t size;
            mr_arena_init(&a, 16 << 20);
            int r = intake(fd, f->d_name, &a, &res, &size, &e);
            if (r == MR_EUNSUPPORTED) { /* the table of docs names what has no reader */
                unsupported++;
            } else if (r) {
                refused++;
                fprintf(stderr, "%s/%s: %s\n", t->d_name, f->d_name, e.msg);
            } else {
                taken++;
                for (size_t k = 0; k < sizeof keys / sizeof *keys; k++)
                    if (!has_member(res.metadata, keys[k])) {
                        fprintf(stderr, "%s: no %s in %s\n", f->d_name, keys[k], res.metadata.p);
                        CHECK(false);
                    }
                CHECK((res.kind == MR_ENGINE_NATIVE) == (size > 0));
            }
            mr_arena_release(&a);
            close(fd);
        }
        if (d)
            closedir(d);
    }
    if (tags)
        closedir(tags);
    printf("%d golden files taken, %d without a reader, %d refused\n", taken, unsupported, refused);
    CHECK(taken > 0);
    CHECK_INT(refused, 0);
}

#define FILE_(bytes) bytes, sizeof(bytes) - 1
static const struct {
    const char *bytes;
    size_t n;
    int code;
    const char *says;
} files[] = {
    {FILE_(""), MR_EINVAL, "the file is empty"},
    {FILE_(" \n\t\n"), MR_EINVAL, "nothing but white space"},
    {FILE_("hello, this is a model\n"), MR_EINVAL, "table of data (CSV)"},
    {FILE_("just some words"), MR_EINVAL, "text file"},
    {FILE_("a,b,c\n1,2,3\n"), MR_EINVAL, "table of data (CSV)"},
    {FILE_("<!DOCTYPE html><html>"), MR_EINVAL, "HTML page"},
    {FILE_("<?xml version=\"1.0\"?>\n<PMML version=\"4.4\">"), MR_EUNSUPPORTED, "PMML"},
    {FILE_("version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12\n"), MR_EINVAL,
     "Git LFS pointer"},
    {FILE_("\x89HDF\r\n\x1a\n0000"), MR_EUNSUPPORTED, "Keras files need the conversion step"},
    {FILE_("GGUF\3\0\0\0"), MR_EUNSUPPORTED, "GGUF"},
    {FILE_("CBM1\0\0\0\0"), MR_EUNSUPPORTED, "CatBoost"},
    {FILE_("\x1c\0\0\0TFL3"), MR_EUNSUPPORTED, "TensorFlow Lite"},
    {FILE_("\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.\x80"), MR_EUNSUPPORTED,
     "torch.onnx.export"},
    {FILE_("\x10\0\0\0\0\0\0\0{\"__metadata__\":{}"), MR_EUNSUPPORTED, "safetensors"},
    {FILE_("\x93NUMPY\1\0"), MR_EINVAL, "NumPy array"},
    {FILE_("binf\0\0\0\0"), MR_EUNSUPPORTED, "old binary format"},
    {FILE_("booster[0]:\n0:[f2<2.45] yes=1,no=2,missing=1\n"), MR_EUNSUPPORTED, "text dump"},
    {FILE_("[{\"nodeid\": 0, \"depth\": 0}]"), MR_EUNSUPPORTED, "JSON dump of trees"},
    {FILE_("{\"name\":\"tree\",\"version\":\"v4\",\"max_feature_idx\":3}"), MR_EUNSUPPORTED,
     "LightGBM JSON dump"},
    {FILE_("{\"nbformat\":4,\"cells\":[]}"), MR_EINVAL, "Jupyter notebook"},
    {FILE_("{\"a\":1}"), MR_EINVAL, "not an XGBoost model"},
    {FILE_("{\"learner\":{}}"), 0, ""},
    {FILE_("PK\3\4garbage that goes on for more than a local header"), MR_EREFUSED, "zip archive"},
    {FILE_("\x1f\x8b\x08\0\0\0\0\0\0\3\1\0"), MR_EINVAL, ""},
    {FILE_("\xfe\xfd\x00\x01\x02random"), MR_EINVAL, "no model format that is known"},
    {FILE_("\x08\x08\x12\x04test\x3a\x02\x0a\x00"), MR_EREFUSED, "no outputs"},
    {FILE_("\x08\x08\x12\x04test\x3a\x7f"), MR_EINVAL, "not an ONNX model"},
    {FILE_("\x80\x04\x95\x1d\0\0\0\0\0\0\0\x8c\x05posix\x94\x8c\x06system\x94\x93\x94\x8c\x02id\x94"
           "\x85\x94R\x94."),
     MR_EUNSUPPORTED, "posix.system"},
    {FILE_("\x80\x04\x95\x18\0\0\0\0\0\0\0\x8c\x05torch\x94\x8c\x06Tensor\x94\x93\x94)\x81\x94}\x94"
           "b."),
     MR_EUNSUPPORTED, "torch.onnx.export"},
    {FILE_("\x80\x04]\x94."), MR_EUNSUPPORTED, ""},
    {FILE_("\x80\x04K\x01"), MR_EREFUSED, ""},
};

MR_TEST(other_files_are_refused_with_help) {
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        struct mr_arena a;
        struct mr_intake_result res;
        struct mr_err e = {0};
        mr_arena_init(&a, 1 << 20);
        int r = intake_bytes(files[i].bytes, files[i].n, "upload.bin", &a, &res, &e);
        bool good = (files[i].code ? r == files[i].code : r < 0) && strstr(e.msg, files[i].says) &&
                    e.msg[0];
        if (!good || getenv("MR_TEST_SHOW"))
            fprintf(stderr, "%zu (%.20s): %s: %s\n", i, files[i].bytes, mr_code_name(r), e.msg);
        CHECK(good);
        mr_arena_release(&a);
    }
}

MR_TEST(cut_files_are_refused) {
    int fd = open(MODELS "new/rf_iris.pkl", O_RDONLY);
    if (fd < 0)
        fd = open(MODELS "new/lr_iris.pkl", O_RDONLY);
    CHECK(fd >= 0);
    off_t n = fd < 0 ? 0 : lseek(fd, 0, SEEK_END);
    char *p = malloc((size_t)n + 1);
    CHECK(pread(fd, p, (size_t)n, 0) == n);
    for (int k = 1; k < 16; k++) {
        struct mr_arena a;
        struct mr_intake_result res;
        struct mr_err e = {0};
        mr_arena_init(&a, 1 << 20);
        CHECK(intake_bytes(p, (size_t)(n * k / 16), "cut.pkl", &a, &res, &e) < 0);
        CHECK(e.msg[0] != 0);
        mr_arena_release(&a);
    }
    free(p);
    close(fd);
}

MR_TEST(crash_and_timeout_are_errors) {
    struct mr_arena a;
    struct mr_intake_result res;
    struct mr_err e = {0};
    int fd = open("/dev/null", O_RDONLY), out = memfd_create("out", MFD_CLOEXEC);
    mr_arena_init(&a, 1 << 20);
    struct mr_intake_config c = {.self_exe = "/bin/true", .timeout_ms = 120000};
    CHECK_INT(mr_intake_run(&c, fd, MR_LIT("x"), out, &a, &res, &e), MR_EREFUSED);
    CHECK(strstr(e.msg, "ended with status 0") != NULL);
    c.self_exe = "/nonexistent";
    CHECK_INT(mr_intake_run(&c, fd, MR_LIT("x"), out, &a, &res, &e), MR_ENOTFOUND);
    close(fd);
    close(out);
    mr_arena_release(&a);
}

/* Process ids of this thread's children, at most n; how many there are. */
static size_t children(pid_t *out, size_t n) {
    char path[64];
    size_t found = 0;
    long pid;
    snprintf(path, sizeof path, "/proc/self/task/%d/children", (int)gettid());
    FILE *f = fopen(path, "r");
    CHECK(f != NULL);
    while (f && fscanf(f, "%ld", &pid) == 1) {
        if (found < n)
            out[found] = (pid_t)pid;
        found++;
    }
    if (f)
        fclose(f);
    return found;
}

static int run_empty(const struct mr_intake_config *c, int fd, int out, struct mr_arena *a,
                     struct mr_intake_result *ret, struct mr_err *e) {
    CHECK(ftruncate(out, 0) == 0 && lseek(out, 0, SEEK_SET) == 0);
    return mr_intake_run(c, fd, MR_LIT("x"), out, a, ret, e);
}

/* No other child can be started here, so whatever succeeds was read by the spare. */
MR_TEST(a_spare_reads_one_file) {
    struct mr_arena a;
    struct mr_intake_result res;
    struct mr_err e = {0};
    struct mr_intake_crew *crew = NULL;
    pid_t first = 0, pid = 0;
    int fd = open(MODELS "new/dt_iris.pkl", O_RDONLY), out = memfd_create("out", MFD_CLOEXEC);
    mr_arena_init(&a, 1 << 20);
    CHECK(fd >= 0);
    CHECK_INT(mr_intake_crew_new(NULL, &crew, &e), 0);
    struct mr_intake_config c = {.self_exe = "/nonexistent", .crew = crew};
    CHECK_INT(run_empty(&c, fd, out, &a, &res, &e), MR_ENOTFOUND);
    CHECK_INT(mr_intake_crew_fill(crew, &e), 0);
    CHECK_INT(mr_intake_crew_fill(crew, &e), 0);
    CHECK_INT(children(&first, 1), 1);
    CHECK_INT(run_empty(&c, fd, out, &a, &res, &e), 0);
    CHECK_INT(res.kind, MR_ENGINE_NATIVE);
    CHECK_INT(children(&pid, 1), 0);
    CHECK_INT(run_empty(&c, fd, out, &a, &res, &e), MR_ENOTFOUND);

    CHECK_INT(mr_intake_crew_fill(crew, &e), 0);
    CHECK_INT(children(&pid, 1), 1);
    CHECK(pid != first);
    c.timeout_ms = 120000; /* not the limits that the spare has */
    CHECK_INT(run_empty(&c, fd, out, &a, &res, &e), MR_ENOTFOUND);
    c.timeout_ms = 0;
    CHECK_INT(run_empty(&c, fd, out, &a, &res, &e), 0);

    /* One that died while it waited is noticed, and another child reads the file. */
    CHECK_INT(mr_intake_crew_fill(crew, &e), 0);
    CHECK_INT(children(&pid, 1), 1);
    kill(pid, SIGKILL);
    siginfo_t si;
    CHECK_INT(waitid(P_PID, (id_t)pid, &si, WEXITED | WNOWAIT), 0);
    c.self_exe = NULL;
    CHECK_INT(run_empty(&c, fd, out, &a, &res, &e), 0);
    CHECK_INT(mr_intake_crew_fill(crew, &e), 0);
    mr_intake_crew_stop(crew);
    CHECK_INT(run_empty(&c, fd, out, &a, &res, &e), MR_EUNAVAIL);
    mr_intake_crew_free(crew);
    CHECK_INT(children(&pid, 1), 0);
    close(fd);
    close(out);
    mr_arena_release(&a);
}

MR_TEST(bench) {
    const char *path = getenv("MR_TEST_BENCH");
    config.self_exe = getenv("MR_TEST_EXE"); /* to measure with the whole program */
    int fd = path ? open(path, O_RDONLY) : -1;
    if (fd < 0)
        return;
    int64_t best = INT64_MAX, sum = 0;
    struct mr_intake_crew *crew = NULL;
    if (getenv("MR_TEST_SPARE")) {
        config.timeout_ms = 0;
        mr_intake_crew_new(config.self_exe, &crew, NULL);
        config.crew = crew;
    }
    for (int i = 0; i < 30; i++) {
        struct mr_arena a;
        struct mr_intake_result res;
        struct mr_err e = {0};
        mr_arena_init(&a, 1 << 24);
        if (crew) {
            mr_intake_crew_fill(crew, NULL);
            usleep(20000);
        }
        int64_t t = mr_mono_ns();
        int r = intake(fd, "bench", &a, &res, NULL, &e);
        t = mr_mono_ns() - t;
        if (r)
            printf("%s\n", e.msg);
        else if (!i)
            printf("%s\n", res.metadata.p);
        best = t < best ? t : best;
        sum += t;
        mr_arena_release(&a);
    }
    printf("%lld bytes: best %.2f ms, mean %.2f ms\n", (long long)lseek(fd, 0, SEEK_END),
           (double)best / 1e6, (double)sum / 30e6);
    config.crew = NULL;
    mr_intake_crew_free(crew);
    close(fd);
}

#define main test_main
int test_main(int argc, char **argv);
MR_TEST_MAIN(CASE(golden_files_are_taken), CASE(other_files_are_refused_with_help),
             CASE(cut_files_are_refused), CASE(crash_and_timeout_are_errors),
             CASE(a_spare_reads_one_file), CASE(bench))
#undef main

int main(int argc, char **argv) {
    if (argc > 1 && !strcmp(argv[1], "__intake"))
        return mr_intake_child_main();
    return test_main(argc, argv);
}
