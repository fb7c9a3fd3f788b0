/* The stand-in upstream (tests/standin) as a child of a unit test: it lies beside the program. */
#ifndef MR_TEST_STANDIN_H
#define MR_TEST_STANDIN_H

#include <arpa/inet.h>
#include <fcntl.h>
#include <libgen.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

struct standin_child {
    pid_t pid;
    int port;
    char openai[64], mistral[64]; /* base URLs */
};

static inline void standin_start(struct standin_child *s) {
    char self[4096], path[8192];
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    self[n > 0 ? n : 0] = 0;
    snprintf(path, sizeof path, "%s/standin_upstream", dirname(self));
    int out[2];
    if (pipe2(out, O_CLOEXEC) < 0)
        abort();
    s->pid = fork();
    if (s->pid == 0) {
        dup2(out[1], 1);
        execl(path, path, "--keep-last", (char *)NULL);
        _exit(127);
    }
    close(out[1]);
    FILE *f = fdopen(out[0], "r");
    s->port = 0;
    if (!f || fscanf(f, "listening on 127.0.0.1:%d", &s->port) != 1) {
        fprintf(stderr, "cannot start %s\n", path);
        exit(1);
    }
    fclose(f);
    snprintf(s->openai, sizeof s->openai, "http://127.0.0.1:%d/v1", s->port);
    snprintf(s->mistral, sizeof s->mistral, "http://127.0.0.1:%d/mistral/v1", s->port);
}

static inline void standin_stop(struct standin_child *s) {
    kill(s->pid, SIGTERM);
    waitpid(s->pid, NULL, 0);
}

/* Body of the answer (static). body NULL: GET. */
static inline const char *standin_ask(struct standin_child *s, const char *path, const char *body) {
    static char buf[1 << 17];
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)s->port)};
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), n = 0;
    if (connect(fd, (struct sockaddr *)&a, sizeof a) < 0)
        abort();
    n = snprintf(buf, sizeof buf,
                 "%s %s HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: %zu\r\n\r\n%s",
                 body ? "POST" : "GET", path, body ? strlen(body) : 0, body ? body : "");
    if (send(fd, buf, (size_t)n, MSG_NOSIGNAL) != n)
        abort();
    size_t got = 0;
    ssize_t k;
    while (got < sizeof buf - 1 && (k = recv(fd, buf + got, sizeof buf - 1 - got, 0)) > 0)
        got += (size_t)k;
    buf[got] = 0;
    close(fd);
    const char *at = strstr(buf, "\r\n\r\n");
    return at ? at + 4 : "";
}

/* One of the counters of /control/stats. */
static inline long standin_count(struct standin_child *s, const char *name) {
    char key[64];
    snprintf(key, sizeof key, "\"%s\":", name);
    const char *at = strstr(standin_ask(s, "/control/stats", NULL), key);
    return at ? strtol(at + strlen(key), NULL, 10) : -1;
}

#endif
