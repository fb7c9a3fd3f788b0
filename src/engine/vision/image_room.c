/* Memory for pixels, written by a reader and read here. Its size is sealed: the reader could else
 * shrink it under us. Rooms of small images are used again: getting pages from the kernel and
 * giving them back costs a third of what decoding does. A room is wiped before another reader gets
 * it, and the one that had it has ended. */
#include "base/alloc.h"
#include "base/cleanup.h"
#include "engine/vision/image_priv.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#define STEP     ((size_t)1 << 20)
#define KEPT_MAX ((size_t)4 << 20) /* bytes of a room that is used again */

struct mr_image_room {
    struct mr_image_rooms *home; /* NULL: it is not used again */
    int fd;
    uint8_t *p;
    size_t len;
    struct mr_image_reader reader; /* the one that has it */
};

static void room_free(struct mr_image_room *r) {
    if (!r)
        return;
    mr_image_reader_release(&r->reader);
    if (r->p)
        munmap(r->p, r->len);
    if (r->fd >= 0)
        close(r->fd);
    mr_free(r);
}

static struct mr_image_room *kept(struct mr_image_rooms *h, size_t size) {
    struct mr_image_room *found = NULL;
    pthread_mutex_lock(&h->lock);
    for (int k = 0; k < MR_IMAGE_ROOMS && !found; k++)
        if (h->kept[k] && h->kept[k]->len >= size && h->kept[k]->len <= size * 4 + STEP) {
            found = h->kept[k];
            h->kept[k] = NULL;
        }
    pthread_mutex_unlock(&h->lock);
    return found;
}

int mr_image_room_take(struct mr_image_rooms *home, size_t size, struct mr_image_room **ret,
                       struct mr_err *e) {
    struct mr_image_room *r = home && size <= KEPT_MAX ? kept(home, size) : NULL;
    if (r) {
        *ret = r;
        return 0;
    }
    r = mr_calloc(1, sizeof *r);
    if (!r)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    r->reader = MR_IMAGE_NO_READER;
    r->home = size <= KEPT_MAX ? home : NULL;
    r->len = r->home ? (size + STEP - 1) / STEP * STEP : size;
    r->fd = memfd_create("pixels", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    void *p = MAP_FAILED;
    if (r->fd >= 0 && !ftruncate(r->fd, (off_t)r->len) &&
        !fcntl(r->fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL))
        p = mmap(NULL, r->len, PROT_READ | PROT_WRITE, MAP_SHARED, r->fd, 0);
    if (p == MAP_FAILED) {
        int rc = mr_fail_errno(e, "memory for an image's pixels");
        room_free(r);
        return rc;
    }
    r->p = p;
    *ret = r;
    return 0;
}

int mr_image_room_fd(const struct mr_image_room *r) {
    return r->fd;
}

uint8_t *mr_image_room_pixels(const struct mr_image_room *r) {
    return r->p;
}

struct mr_image_reader *mr_image_room_reader(struct mr_image_room *r) {
    return &r->reader;
}

void mr_image_room_give(struct mr_image_room *r) {
    struct mr_image_rooms *h = r ? r->home : NULL;
    if (!h) {
        room_free(r);
        return;
    }
    mr_image_reader_release(&r->reader);
    memset(r->p, 0, r->len);
    pthread_mutex_lock(&h->lock);
    struct mr_image_room *oldest = h->kept[MR_IMAGE_ROOMS - 1];
    for (int k = MR_IMAGE_ROOMS - 1; k > 0; k--)
        h->kept[k] = h->kept[k - 1];
    h->kept[0] = r;
    pthread_mutex_unlock(&h->lock);
    room_free(oldest);
}

void mr_image_rooms_init(struct mr_image_rooms *h) {
    *h = (struct mr_image_rooms){0};
    pthread_mutex_init(&h->lock, NULL);
}

void mr_image_rooms_release(struct mr_image_rooms *h) {
    for (int k = 0; k < MR_IMAGE_ROOMS; k++)
        room_free(h->kept[k]);
    pthread_mutex_destroy(&h->lock);
}
