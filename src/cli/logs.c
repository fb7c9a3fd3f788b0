/* millrace logs: the end of the local server's log file, and what is added to it. */
#include "base/cleanup.h"
#include "cli/local_config.h"
#include "cli/verbs.h"

#include <fcntl.h>
#include <sys/stat.h>

static const struct mr_opt opts[] = {
    {"--follow", NULL, "go on printing what is added, until interrupted"},
    {"--lines", "N", "so many lines of the end; default 100"},
    {"--file", "FILE", "the log file; default the setting log_file"},
    {"--config", "FILE", "settings file; default millrace.toml"},
    {NULL, NULL, NULL},
};
const struct mr_spec mr_logs_spec = {
    .verb = "logs",
    .usage = "[options]",
    .about = "Prints the log file of the server on this machine (setting log_file). Lines are as\n"
             "the server wrote them, one JSON object each unless log_format is text; --json skips\n"
             "lines that are none.",
    .opts = opts,
};

#define BLOCK 65536

/* Where the last n lines begin. */
static off_t tail_start(int fd, off_t size, int64_t n) {
    char b[4096];
    int64_t seen = 0;
    for (off_t end = size; end > 0;) {
        off_t start = end > (off_t)sizeof b ? end - (off_t)sizeof b : 0;
        ssize_t got = pread(fd, b, (size_t)(end - start), start);
        if (got <= 0)
            return 0;
        for (ssize_t i = got; i-- > 0;)
            if (b[i] == '\n' && start + i + 1 != size && ++seen == n)
                return start + i + 1;
        end = start;
    }
    return 0;
}

/* Prints from *at to the end of the file; with `json` only whole lines that are objects. */
static int copy(int fd, off_t *at, bool json) {
    char b[BLOCK];
    bool skip = false, fresh = true;
    ssize_t n;
    while ((n = pread(fd, b, sizeof b, *at)) > 0) {
        for (ssize_t i = 0; i < n;) {
            const char *end = memchr(b + i, '\n', (size_t)(n - i));
            size_t len = end ? (size_t)(end - (b + i)) + 1 : (size_t)(n - i);
            if (fresh)
                skip = json && b[i] != '{';
            if (!skip && fwrite(b + i, 1, len, stdout) != len)
                return 1; /* the reader went away */
            fresh = end != NULL;
            i += (ssize_t)len;
        }
        *at += n;
    }
    return fflush(stdout) ? 1 : 0;
}

/* Follows through truncation and replacement of the file. */
static int follow(const char *path, int *fd, off_t at, bool json) {
    for (;;) {
        struct stat now, old;
        usleep(200000);
        if (stat(path, &now) == 0 && fstat(*fd, &old) == 0 &&
            (now.st_ino != old.st_ino || now.st_dev != old.st_dev)) {
            if (copy(*fd, &at, json))
                return 0;
            int fresh = open(path, O_RDONLY | O_CLOEXEC);
            if (fresh >= 0) {
                close(*fd);
                *fd = fresh;
                at = 0;
            }
        } else if (fstat(*fd, &old) == 0 && old.st_size < at) {
            at = 0;
        }
        if (copy(*fd, &at, json))
            return 0;
    }
}

static int no_file(const struct mr_args *a) {
    fprintf(stderr, "millrace logs: this server keeps no log file: it logs to standard error.\n"
                    "  To keep one:      millrace serve --log-file millrace.log   (or log_file in "
                    "millrace.toml, or MILLRACE_LOG_FILE)\n"
                    "  One that is kept: millrace logs --file FILE\n"
                    "  Under systemd:    journalctl -u millrace -f\n"
                    "  In a container:   the container's own log command\n");
    (void)a;
    return 1;
}

static int run(const struct mr_args *a, const char *path, int64_t lines) {
    MR_AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct mr_err e = {0};
    struct stat st;
    if (fd < 0 || fstat(fd, &st)) {
        mr_fail_errno(&e, path);
        return mr_args_failed(a, &e);
    }
    if (!S_ISREG(st.st_mode))
        return mr_args_wrong(a, "%s is not a file", path);
    off_t at = lines ? tail_start(fd, st.st_size, lines) : st.st_size;
    if (copy(fd, &at, a->json))
        return 0;
    return mr_args_get(a, "--follow") ? follow(path, &fd, at, a->json) : 0;
}

int mr_cli_logs(int argc, char **argv) {
    struct mr_args a;
    struct mr_config c;
    struct mr_err e = {0};
    int64_t lines;
    int status;
    if (mr_args_parse(&a, &mr_logs_spec, argc, argv, &status))
        return status;
    if (a.n_pos)
        return mr_args_wrong(&a, "unexpected argument '%.60s'", a.pos[0]);
    if (!mr_args_int(&a, "--lines", 0, 100000000, 100, &lines))
        return 2;
    const char *path = mr_args_get(&a, "--file");
    int rc = mr_cli_local_config(&c, mr_args_get(&a, "--config"), &e);
    if (rc && !path)
        status = mr_args_failed(&a, &e);
    else if (path || *c.log_file)
        status = run(&a, path ? path : c.log_file, lines);
    else
        status = no_file(&a);
    mr_config_release(&c);
    return status;
}
