/* Collecting blobs: which are held by writers, and the sweep under way. The rule is in blobs.h. */
#include "base/alloc.h"
#include "store/blobs/impl.h"

#include <stdlib.h>
#include <unistd.h>

struct candidate {
    struct mr_blob_name name;
    bool stays; /* a row names it, or a writer has committed it; under the store's lock */
};

struct mr_blob_sweep {
    struct mr_blobs *b;
    int64_t before_us;
    size_t n, cap;
    struct candidate *item; /* in the order of the names */
};

static int in_order(const void *x, const void *y) {
    return memcmp(((const struct candidate *)x)->name.sha, ((const struct candidate *)y)->name.sha,
                  MR_SHA256_LEN);
}

static struct candidate *find(const struct mr_blob_sweep *s, const struct mr_blob_name *name) {
    struct candidate key = {.name = *name};
    return s->n ? bsearch(&key, s->item, s->n, sizeof key, in_order) : NULL;
}

/* Under the lock. */
static void mark(struct mr_blob_sweep *s, const struct mr_blob_name *name) {
    struct candidate *c = find(s, name);
    if (c)
        c->stays = true;
}

/* --- writers ----------------------------------------------------------------------------- */

void mr_blob_hold(struct mr_blobs *b, struct mr_blob_hold *h) {
    h->listed = true;
    pthread_mutex_lock(&b->mu);
    h->next = b->holds;
    if (h->next)
        h->next->at = &h->next;
    h->at = &b->holds;
    b->holds = h;
    if (b->sweep)
        mark(b->sweep, &h->name);
    pthread_mutex_unlock(&b->mu);
}

void mr_blob_let_go(struct mr_blobs *b, struct mr_blob_hold *h) {
    if (!h->listed)
        return;
    pthread_mutex_lock(&b->mu);
    *h->at = h->next;
    if (h->next)
        h->next->at = h->at;
    h->listed = false;
    pthread_mutex_unlock(&b->mu);
}

/* --- the sweep --------------------------------------------------------------------------- */

static int note(void *arg, const struct mr_blob_name *name, int64_t committed_us,
                struct mr_err *e) {
    struct mr_blob_sweep *s = arg;
    if (committed_us >= s->before_us)
        return 0;
    if (s->n == s->cap) {
        size_t cap = s->cap ? s->cap * 2 : 256;
        struct candidate *item = mr_realloc(s->item, cap * sizeof *item);
        if (!item)
            return mr_fail(e, MR_ENOMEM, "out of memory");
        s->item = item;
        s->cap = cap;
    }
    s->item[s->n++] = (struct candidate){.name = *name};
    return 0;
}

static void sweep_free(struct mr_blob_sweep *s) {
    mr_free(s->item);
    mr_free(s);
}

int mr_blob_sweep_begin(struct mr_blobs *b, unsigned digit, int64_t before_us,
                        struct mr_blob_sweep **ret, struct mr_err *e) {
    struct mr_blob_sweep *s = mr_calloc(1, sizeof *s);
    if (!s)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    s->b = b;
    s->before_us = before_us;
    int rc = b->ops->list(b, digit, note, s, e);
    if (rc) {
        sweep_free(s);
        return rc;
    }
    if (s->n)
        qsort(s->item, s->n, sizeof *s->item, in_order);
    /* Who committed, wrote its row and ended between the listing and here is seen in the rows. */
    pthread_mutex_lock(&b->mu);
    bool busy = b->sweep != NULL;
    if (!busy) {
        b->sweep = s;
        for (const struct mr_blob_hold *h = b->holds; h; h = h->next)
            mark(s, &h->name);
    }
    pthread_mutex_unlock(&b->mu);
    if (busy) {
        sweep_free(s);
        return mr_fail(e, MR_ECONFLICT, "blobs are being collected already");
    }
    *ret = s;
    return 0;
}

void mr_blob_sweep_keep(struct mr_blob_sweep *s, const struct mr_blob_name *name) {
    pthread_mutex_lock(&s->b->mu);
    mark(s, name);
    pthread_mutex_unlock(&s->b->mu);
}

void mr_blob_sweep_cancel(struct mr_blob_sweep *s) {
    if (!s)
        return;
    pthread_mutex_lock(&s->b->mu);
    s->b->sweep = NULL;
    pthread_mutex_unlock(&s->b->mu);
    sweep_free(s);
}

int mr_blob_sweep_end(struct mr_blob_sweep *s, struct mr_blob_swept *sum, struct mr_err *e) {
    struct mr_blobs *b = s->b;
    int rc = 0;
    for (size_t i = 0; rc >= 0 && i < s->n; i++) {
        uint64_t size = 0;
        int fd = -1;
        pthread_mutex_lock(&b->mu);
        rc = s->item[i].stays ? 0
                              : b->ops->collect(b, &s->item[i].name, s->before_us, &size, &fd, e);
        pthread_mutex_unlock(&b->mu);
        if (rc != 1)
            continue;
        close(fd);
        sum->blobs++;
        sum->bytes += size;
    }
    mr_blob_sweep_cancel(s);
    return rc < 0 ? rc : 0;
}

int mr_blob_sweep_look(struct mr_blob_sweep *s,
                       void (*each)(void *arg, const struct mr_blob_name *name, uint64_t size),
                       void *arg, struct mr_blob_swept *sum, struct mr_err *e) {
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < s->n; i++) {
        int fd = -1;
        if (s->item[i].stays)
            continue;
        rc = s->b->ops->open(s->b, &s->item[i].name, &fd, e);
        if (rc == MR_ENOTFOUND) { /* collected meanwhile */
            rc = 0;
            continue;
        }
        off_t size = rc ? 0 : lseek(fd, 0, SEEK_END);
        if (fd >= 0)
            close(fd);
        if (rc || size < 0)
            continue;
        sum->blobs++;
        sum->bytes += (uint64_t)size;
        if (each)
            each(arg, &s->item[i].name, (uint64_t)size);
    }
    mr_blob_sweep_cancel(s);
    return rc;
}
