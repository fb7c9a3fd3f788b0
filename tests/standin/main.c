/* standin_upstream [--port N] [--delay MS] [--keep-last]: see README.md. */
#include "standin.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>

static const char usage[] = "usage: standin_upstream [--port N] [--delay MS] [--keep-last]\n";

int main(int argc, char **argv) {
    struct standin s = {0};
    int port = 0, bound = 0;
    for (int i = 1; i < argc; i++) {
        if (!strcmp(argv[i], "--port") && i + 1 < argc) {
            port = (int)strtol(argv[++i], NULL, 10);
        } else if (!strcmp(argv[i], "--delay") && i + 1 < argc) {
            s.delay_ms = strtol(argv[++i], NULL, 10);
        } else if (!strcmp(argv[i], "--keep-last")) {
            s.keep_last = true;
        } else {
            fputs(usage, stderr);
            return 2;
        }
    }
    signal(SIGPIPE, SIG_IGN);
    prctl(PR_SET_PDEATHSIG, SIGTERM); /* never outlives the test that started it */
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &files);
    }
    mr_buf_init(&s.last, IN_MAX);
    struct mr_err e;
    if (mr_loop_new(&s.loop, &e) < 0 || standin_listen(&s, port, &bound) < 0) {
        fprintf(stderr, "standin_upstream: cannot listen on port %d\n", port);
        return 1;
    }
    printf("listening on 127.0.0.1:%d\n", bound);
    fflush(stdout);
    mr_loop_run(s.loop);
    return 0;
}
