/* A scripted HTTP receiver on loopback: keeps each request and answers with the next script line
 * (the last one for ever). One thread, one connection at a time. */
#ifndef MR_RECEIVER_H
#define MR_RECEIVER_H

#include "mr_wait.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#define RECEIVER_MAX 64

struct receiver {
    int fd, port;
    pthread_t thread;
    pthread_mutex_t mu;
    const char *const *script; /* whole replies; NULL ends; "hang" never answers */
    int n;                     /* requests so far */
    char *request[RECEIVER_MAX];
    bool stop;
};

static inline char *receiver_read(int c) {
    size_t cap = 1 << 16, n = 0;
    char *buf = (char *)malloc(cap);
    for (;;) {
        ssize_t k = recv(c, buf + n, cap - 1 - n, 0);
        if (k <= 0)
            break;
        n += (size_t)k;
        buf[n] = 0;
        char *end = strstr(buf, "\r\n\r\n"), *len = strcasestr(buf, "content-length:");
        if (end && (!len || n >= (size_t)(end + 4 - buf) + strtoul(len + 15, NULL, 10)))
            break;
    }
    buf[n] = 0;
    return buf;
}

static inline bool receiver_stopping(struct receiver *r) {
    pthread_mutex_lock(&r->mu);
    bool stop = r->stop;
    pthread_mutex_unlock(&r->mu);
    return stop;
}

static inline void *receiver_main(void *arg) {
    struct receiver *r = (struct receiver *)arg;
    for (;;) {
        int c = accept(r->fd, NULL, NULL);
        if (receiver_stopping(r) || c < 0) {
            if (c >= 0)
                close(c);
            return NULL;
        }
        struct timeval tv = {5, 0};
        setsockopt(c, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv);
        char *req = receiver_read(c);
        pthread_mutex_lock(&r->mu);
        int i = 0;
        while (i < r->n && r->script[i + 1])
            i++;
        const char *reply = r->script[i];
        if (r->n < RECEIVER_MAX)
            r->request[r->n++] = req;
        else
            free(req);
        pthread_mutex_unlock(&r->mu);
        if (strcmp(reply, "hang") == 0) {
            struct pollfd p = {.fd = c, .events = POLLIN};
            while (!receiver_stopping(r) && poll(&p, 1, 50) <= 0)
                ;
        } else {
            for (size_t at = 0, len = strlen(reply); at < len;) {
                ssize_t k = send(c, reply + at, len - at, MSG_NOSIGNAL);
                if (k <= 0)
                    break;
                at += (size_t)k;
            }
        }
        close(c);
    }
}

static inline void receiver_start(struct receiver *r, const char *const *script) {
    memset(r, 0, sizeof *r);
    r->script = script;
    pthread_mutex_init(&r->mu, NULL);
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof a;
    r->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (r->fd < 0 || bind(r->fd, (struct sockaddr *)&a, sizeof a) || listen(r->fd, 64) ||
        getsockname(r->fd, (struct sockaddr *)&a, &len)) {
        perror("receiver");
        exit(2);
    }
    r->port = ntohs(a.sin_port);
    pthread_create(&r->thread, NULL, receiver_main, r);
}

static inline int receiver_count(struct receiver *r) {
    pthread_mutex_lock(&r->mu);
    int n = r->n;
    pthread_mutex_unlock(&r->mu);
    return n;
}

/* Until n requests came. */
static inline bool receiver_wait(struct receiver *r, int n) {
    MR_UNTIL(receiver_count(r) >= n);
    return receiver_count(r) >= n;
}

static inline void receiver_stop(struct receiver *r) {
    pthread_mutex_lock(&r->mu);
    r->stop = true;
    pthread_mutex_unlock(&r->mu);
    shutdown(r->fd, SHUT_RDWR);
    pthread_join(r->thread, NULL);
    close(r->fd);
    for (int i = 0; i < r->n; i++)
        free(r->request[i]);
    pthread_mutex_destroy(&r->mu);
}

/* A header's value in request i, into out; "" when absent. */
static inline const char *receiver_header(struct receiver *r, int i, const char *name, char *out,
                                          size_t cap) {
    out[0] = 0;
    size_t n = strlen(name);
    for (const char *line = r->request[i]; line && *line; line = strstr(line, "\r\n")) {
        if (line[0] == '\r')
            line += 2;
        if (strncasecmp(line, name, n) == 0 && line[n] == ':') {
            const char *v = line + n + 1, *e = strstr(v, "\r\n");
            while (*v == ' ')
                v++;
            snprintf(out, cap, "%.*s", (int)(e - v), v);
            break;
        }
    }
    return out;
}

static inline const char *receiver_body(struct receiver *r, int i) {
    const char *end = strstr(r->request[i], "\r\n\r\n");
    return end ? end + 4 : "";
}

#endif
