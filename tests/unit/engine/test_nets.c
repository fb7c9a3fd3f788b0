/* Workers of a net are added while callers wait, and callers get their turn when that fails. */
#include "base/clock.h"
#include "engine/engine.h"
#include "engine/vision/nets.h"
#include "mr_test.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <unistd.h>

#define CALLERS 6

struct callers {
    struct mr_nets *nets;
    atomic_bool stop;
    atomic_int failed;
};

static void *call(void *arg) {
    static const float x[] = {5.1f, 3.5f, 1.4f, 0.2f};
    struct callers *c = arg;
    struct mr_arena a;
    mr_arena_init(&a, (size_t)1 << 20);
    struct mr_tensor in = mr_nets_tensor(x, 2, (const int64_t[]){1, 4});
    do {
        const struct mr_tensor *out;
        if (mr_nets_run(c->nets, &in, &a, &out, 1, NULL) || out->count != 3)
            atomic_fetch_add(&c->failed, 1);
        mr_arena_reset(&a);
    } while (!atomic_load(&c->stop));
    mr_arena_release(&a);
    return NULL;
}

/* The file of the second worker is a pipe that nobody writes to: loading waits while the others
 * run and end, and fails after that. */
MR_TEST(callers_go_on_when_no_second_worker_comes) {
    if (sysconf(_SC_NPROCESSORS_ONLN) < 2)
        return; /* one worker a processor */
    char dir[] = "/tmp/mr-nets-XXXXXX", from[600], to[64];
    struct callers c = {0};
    struct mr_err e;
    pthread_t t[CALLERS];
    CHECK(mkdtemp(dir) != NULL);
    snprintf(from, sizeof from, "%s/tests/golden/models/new/onnx_mlp.onnx", MR_SRC_DIR);
    snprintf(to, sizeof to, "%s/net.onnx", dir);
    CHECK_INT(symlink(from, to), 0);
    CHECK_INT(mr_nets_open(dir, "net.onnx", &c.nets, &e), 0);
    CHECK_INT(unlink(to), 0);
    CHECK_INT(mkfifo(to, 0600), 0);
    for (int k = 0; k < CALLERS; k++)
        CHECK_INT(pthread_create(&t[k], NULL, call, &c), 0);
    int fd = -1;
    while ((fd = open(to, O_WRONLY | O_NONBLOCK | O_CLOEXEC)) < 0) /* until one loads */
        usleep(1000);
    atomic_store(&c.stop, true);
    usleep(200000); /* those before it in line end */
    close(fd);
    for (int k = 0; k < CALLERS; k++)
        CHECK_INT(pthread_join(t[k], NULL), 0);
    CHECK_INT(atomic_load(&c.failed), 0);
    mr_nets_free(c.nets);
    unlink(to);
    rmdir(dir);
}

#define main test_main
int test_main(int argc, char **argv);
MR_TEST_MAIN(CASE(callers_go_on_when_no_second_worker_comes))
#undef main

int main(int argc, char **argv) {
    if (argc > 1 && !strcmp(argv[1], "__onnx-worker"))
        return mr_onnx_worker_main();
    return test_main(argc, argv);
}
