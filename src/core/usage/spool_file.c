#include "core/usage/spool.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/clock.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAGIC "MRSPOOL1"

struct header {
    char magic[8];
    uint32_t record_size, header_size;
    uint64_t capacity;
    struct mr_id id;
    int64_t created_us;
    uint8_t zero[80];
};
_Static_assert(sizeof(struct header) == 128, "the file format");

static uint64_t seed_of(struct mr_id id) {
    uint64_t w[2];
    memcpy(w, id.b, 16);
    return w[0] ^ (w[1] << 1);
}

static void append(struct mr_spool *s, struct mr_segment *g) {
    g->link = NULL;
    *s->last = g;
    s->last = &g->link;
    s->n++;
}

/* A structure to describe a segment: a retired one, else new. */
static struct mr_segment *take_struct(struct mr_spool *s) {
    pthread_mutex_lock(&s->mu);
    struct mr_segment *g = s->unused;
    if (g)
        s->unused = g->link;
    pthread_mutex_unlock(&s->mu);
    if (!g) {
        g = mr_calloc(1, sizeof *g);
        if (g)
            atomic_init(&g->next, UINT64_MAX / 2);
    }
    return g;
}

static void give_struct(struct mr_spool *s, struct mr_segment *g) {
    pthread_mutex_lock(&s->mu);
    g->link = s->unused;
    s->unused = g;
    pthread_mutex_unlock(&s->mu);
}

static int new_file(struct mr_spool *s, struct mr_id id, size_t len, int *ret_fd,
                    struct mr_err *e) {
    char tmp[64];
    int fd;
    if (s->dir) {
        mr_id_print("tmp-", id, tmp, sizeof tmp);
        fd = openat(s->dir_fd, tmp, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    } else {
        fd = memfd_create("usage", MFD_CLOEXEC);
    }
    if (fd < 0)
        return mr_fail_errno(e, "cannot create a spool file");
    /* room now, so that no store into the mapping can fail later */
    errno = posix_fallocate(fd, 0, (off_t)len);
    if (errno) {
        int rc = mr_fail_errno(e, "cannot make room for a spool file");
        if (s->dir)
            unlinkat(s->dir_fd, tmp, 0);
        close(fd);
        return rc;
    }
    *ret_fd = fd;
    return 0;
}

static int create(struct mr_spool *s, struct mr_segment *g, struct mr_err *e) {
    struct header h = {.magic = MAGIC,
                       .record_size = sizeof(struct mr_spool_record),
                       .header_size = sizeof h,
                       .capacity = s->capacity,
                       .id = mr_id_new(),
                       .created_us = mr_now_us()};
    size_t len = sizeof h + s->capacity * sizeof(struct mr_spool_record);
    MR_AUTO_CLOSE int fd = -1;
    int rc = new_file(s, h.id, len, &fd, e);
    if (rc)
        return rc;
    char tmp[64], name[64];
    mr_id_print("tmp-", h.id, tmp, sizeof tmp);
    mr_id_print("", h.id, name, sizeof name - 8);
    memcpy(name + strlen(name), ".spool", 7);
    void *map = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, 0);
    if (map == MAP_FAILED) {
        rc = mr_fail_errno(e, "cannot map a spool file");
    } else {
        memcpy(map, &h, sizeof h);
        if (s->dir && renameat(s->dir_fd, tmp, s->dir_fd, name))
            rc = mr_fail_errno(e, "cannot name a spool file");
    }
    if (rc) {
        if (map != MAP_FAILED)
            munmap(map, len);
        if (s->dir)
            unlinkat(s->dir_fd, tmp, 0);
        return rc;
    }
    g->map = map;
    g->map_len = len;
    g->rec = (struct mr_spool_record *)((char *)map + sizeof h);
    g->capacity = s->capacity;
    g->id = h.id;
    g->seed = seed_of(h.id);
    g->recovered = false;
    g->folded = g->upto = g->synced = 0;
    return 0;
}

int mr_spool_prepare(struct mr_spool *s, struct mr_err *e) {
    for (;;) {
        pthread_mutex_lock(&s->mu);
        bool enough = atomic_load(&s->cur) && s->spare, full = s->n >= s->max;
        pthread_mutex_unlock(&s->mu);
        if (enough)
            return 0;
        if (full)
            return mr_fail(e, MR_EUNAVAIL, "the usage spool holds %u unfolded files", s->max);
        struct mr_segment *g = take_struct(s);
        if (!g)
            return mr_fail(e, MR_ENOMEM, "out of memory");
        int rc = create(s, g, e);
        if (rc) {
            give_struct(s, g);
            return rc;
        }
        pthread_mutex_lock(&s->mu);
        bool first = !atomic_load(&s->cur), surplus = !first && (s->spare || s->n >= s->max);
        if (!surplus) {
            append(s, g);
            atomic_store_explicit(&g->next, 0, memory_order_release); /* from here on in use */
        }
        if (first)
            atomic_store(&s->cur, g);
        else if (!surplus)
            s->spare = g;
        pthread_mutex_unlock(&s->mu);
        if (surplus) { /* another thread was as quick */
            mr_spool_unmap(s, g);
            give_struct(s, g);
        }
    }
}

/* Maps one file of a dead process. *ret_ok false: not a whole segment. */
static int map_old(struct mr_spool *s, const char *name, bool *ret_ok, struct mr_err *e) {
    MR_AUTO_CLOSE int fd = openat(s->dir_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    struct stat st;
    struct header h;
    if (fd < 0 || fstat(fd, &st))
        return mr_fail_errno(e, "cannot read a spool file");
    *ret_ok = false;
    char own[64];
    if (st.st_size < (off_t)sizeof h || pread(fd, &h, sizeof h, 0) != (ssize_t)sizeof h)
        return 0;
    mr_id_print("", h.id, own, sizeof own);
    if (memcmp(h.magic, MAGIC, 8) != 0 || h.record_size != sizeof(struct mr_spool_record) ||
        h.header_size != sizeof h || h.capacity == 0 || h.capacity > UINT32_MAX ||
        (uint64_t)st.st_size != sizeof h + h.capacity * h.record_size ||
        strncmp(own, name, 32) != 0)
        return 0;
    struct mr_segment *g = take_struct(s);
    if (!g)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    void *map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0);
    if (map == MAP_FAILED) {
        int rc = mr_fail_errno(e, "cannot map a spool file");
        give_struct(s, g);
        return rc;
    }
    *g = (struct mr_segment){.capacity = h.capacity,
                             .seed = seed_of(h.id),
                             .rec = (struct mr_spool_record *)((char *)map + sizeof h),
                             .map = map,
                             .map_len = (size_t)st.st_size,
                             .id = h.id,
                             .recovered = true};
    atomic_init(&g->next, h.capacity);
    append(s, g);
    *ret_ok = true;
    return 0;
}

static int recover(struct mr_spool *s, struct mr_err *e) {
    int fd = openat(s->dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
    if (!d) {
        int rc = mr_fail_errno(e, "cannot list the spool folder");
        if (fd >= 0)
            close(fd);
        return rc;
    }
    int rc = 0;
    for (struct dirent *x; rc == 0 && (x = readdir(d));) {
        size_t n = strlen(x->d_name);
        if (strncmp(x->d_name, "tmp-", 4) == 0)
            unlinkat(s->dir_fd, x->d_name, 0); /* never came into use */
        if (n != 38 || strcmp(x->d_name + 32, ".spool") != 0)
            continue;
        bool ok = false;
        rc = map_old(s, x->d_name, &ok, e);
        if (rc == 0 && !ok) {
            char aside[64];
            snprintf(aside, sizeof aside, "%.38s.damaged", x->d_name);
            renameat(s->dir_fd, x->d_name, s->dir_fd, aside);
            atomic_fetch_add(&s->damaged, 1);
        }
    }
    closedir(d);
    return rc;
}

int mr_spool_open(struct mr_spool *s, const char *dir, uint32_t capacity, unsigned max,
                  struct mr_err *e) {
    *s = (struct mr_spool){.capacity = capacity, .max = max, .dir_fd = -1, .lock_fd = -1};
    s->last = &s->first;
    pthread_mutex_init(&s->mu, NULL);
    if (!dir)
        return 0;
    s->dir = mr_strdup(dir);
    if (!s->dir)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    if (mkdir(dir, 0700) && errno != EEXIST)
        return mr_fail_errno(e, dir);
    s->dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (s->dir_fd < 0)
        return mr_fail_errno(e, dir);
    s->lock_fd = openat(s->dir_fd, "lock", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (s->lock_fd < 0)
        return mr_fail_errno(e, "cannot open the spool's lock");
    if (flock(s->lock_fd, LOCK_EX | LOCK_NB)) {
        if (errno == EWOULDBLOCK)
            return mr_fail(e, MR_ECONFLICT, "another millrace process uses %s", dir);
        return mr_fail_errno(e, "cannot lock the spool");
    }
    return recover(s, e);
}

void mr_spool_release(struct mr_spool *s) {
    for (struct mr_segment *g = s->first, *next; g; g = next) {
        next = g->link;
        munmap(g->map, g->map_len);
        mr_free(g);
    }
    for (struct mr_segment *g = s->unused, *next; g; g = next) {
        next = g->link;
        mr_free(g);
    }
    if (s->lock_fd >= 0)
        close(s->lock_fd);
    if (s->dir_fd >= 0)
        close(s->dir_fd);
    mr_free(s->dir);
    pthread_mutex_destroy(&s->mu);
}
