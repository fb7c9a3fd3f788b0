/* Handing descriptors to a child that already runs. */
#include "io/child.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#define MAX_FDS  8
#define MAX_DATA 4096

union control {
    struct cmsghdr head; /* for its alignment */
    char room[CMSG_SPACE(MAX_FDS * sizeof(int))];
};

int mr_fds_send(int sock, const void *p, size_t n, const int *fds, unsigned n_fds,
                struct mr_err *e) {
    if (!n || n > MAX_DATA || !n_fds || n_fds > MAX_FDS)
        return mr_fail(e, MR_EINTERNAL, "a record of %zu bytes with %u descriptors", n, n_fds);
    union control c = {{0}};
    struct iovec v = {(void *)(uintptr_t)p, n};
    struct msghdr m = {.msg_iov = &v,
                       .msg_iovlen = 1,
                       .msg_control = &c,
                       .msg_controllen = CMSG_SPACE(n_fds * sizeof(int))};
    struct cmsghdr *h = CMSG_FIRSTHDR(&m);
    h->cmsg_level = SOL_SOCKET;
    h->cmsg_type = SCM_RIGHTS;
    h->cmsg_len = CMSG_LEN(n_fds * sizeof(int));
    memcpy(CMSG_DATA(h), fds, n_fds * sizeof(int));
    ssize_t sent;
    do
        sent = sendmsg(sock, &m, MSG_NOSIGNAL);
    while (sent < 0 && errno == EINTR);
    if (sent < 0)
        return mr_fail_errno(e, "handing over descriptors");
    return (size_t)sent == n ? 0 : mr_fail(e, MR_EIO, "a record was sent in part");
}

int mr_fds_recv(int sock, void *p, size_t n, int *fds, unsigned n_fds, struct mr_err *e) {
    if (!n || n > MAX_DATA || !n_fds || n_fds > MAX_FDS)
        return mr_fail(e, MR_EINTERNAL, "a record of %zu bytes with %u descriptors", n, n_fds);
    union control c = {{0}};
    struct iovec v = {p, n};
    struct msghdr m = {
        .msg_iov = &v, .msg_iovlen = 1, .msg_control = &c, .msg_controllen = sizeof c};
    ssize_t got;
    do
        got = recvmsg(sock, &m, MSG_CMSG_CLOEXEC | MSG_WAITALL);
    while (got < 0 && errno == EINTR);
    if (got < 0)
        return mr_fail_errno(e, "receiving descriptors");
    const struct cmsghdr *h = CMSG_FIRSTHDR(&m);
    /* What came with a wrong record stays open: the receiver can only give up. */
    if ((size_t)got != n || !h || h->cmsg_level != SOL_SOCKET || h->cmsg_type != SCM_RIGHTS ||
        h->cmsg_len != CMSG_LEN(n_fds * sizeof(int)) || (m.msg_flags & MSG_CTRUNC))
        return mr_fail(e, MR_EIO, "no record with %u descriptors came", n_fds);
    memcpy(fds, CMSG_DATA(h), n_fds * sizeof(int));
    return 0;
}
