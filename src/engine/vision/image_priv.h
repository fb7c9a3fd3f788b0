/* Between image.c (server), image_worker.c (child) and the decoders. */
#ifndef MR_ENGINE_VISION_IMAGE_PRIV_H
#define MR_ENGINE_VISION_IMAGE_PRIV_H

#include "engine/vision/image.h"
#include "io/child.h"

#include <pthread.h>

enum mr_image_kind { MR_IMAGE_JPEG = 1, MR_IMAGE_PNG, MR_IMAGE_WEBP, MR_IMAGE_GIF };

/* What the header says; found by code of ours in the server, which the child is told. */
struct mr_image_scan {
    uint32_t kind; /* enum mr_image_kind */
    uint32_t width, height;
    uint32_t orientation; /* EXIF 1..8 */
    uint32_t adobe;       /* JPEG with an Adobe segment: CMYK is stored inverted */
};
int mr_image_scan_head(struct mr_str bytes, struct mr_image_scan *ret, struct mr_err *e);
const char *mr_image_kind_name(uint32_t kind);

/* The host (__image-worker) has loaded the decoders and is sealed; it sees no image. For each
 * record of one byte with a socket on its descriptor 3 it makes a copy of itself that has this
 * socket, and answers with the copy's pid and pidfd; the copy is the server's child. The copy
 * receives one job with the file and the pixels to write (exactly width * height * 3 bytes, the
 * size sealed), answers with a message (i32 code, then text) and ends. */
struct mr_image_job {
    uint64_t size;
    struct mr_image_scan scan;
};
struct mr_image_copy {
    int32_t pid;
};

struct mr_image_reader { /* a copy that has no image yet, or reads one */
    struct mr_child child;
    int talk;
};
#define MR_IMAGE_NO_READER ((struct mr_image_reader){.child = MR_CHILD_NONE, .talk = -1})
void mr_image_reader_release(struct mr_image_reader *d);

/* --- image_room.c ---------------------------------------------------------------------------- */
#define MR_IMAGE_ROOMS 4
struct mr_image_room; /* struct mr_image holds one */
struct mr_image_rooms {
    pthread_mutex_t lock;
    struct mr_image_room *kept[MR_IMAGE_ROOMS]; /* NULL: none */
};
void mr_image_rooms_init(struct mr_image_rooms *h);
void mr_image_rooms_release(struct mr_image_rooms *h); /* all given back before */
/* Zeroes, at least `size` of them. `home`: where it goes back to; may be NULL. */
int mr_image_room_take(struct mr_image_rooms *home, size_t size, struct mr_image_room **ret,
                       struct mr_err *e);
int mr_image_room_fd(const struct mr_image_room *r);
uint8_t *mr_image_room_pixels(const struct mr_image_room *r);
/* Who has it: released with the room, as a process takes a while to end and its pixels are there
 * before. */
struct mr_image_reader *mr_image_room_reader(struct mr_image_room *r);
/* Waits until its reader has ended. Takes NULL. */
void mr_image_room_give(struct mr_image_room *r);

/* --- image_crew.c ---------------------------------------------------------------------------- */
/* Starts a spare unless one waits. */
void mr_image_crew_fill(struct mr_image_crew *c);
/* A reader that has the job: the spare, else a new one. */
int mr_image_reader_take(struct mr_image_crew *c, const struct mr_image_job *job, const int fds[2],
                         struct mr_image_reader *ret, struct mr_err *e);
/* After a reader went bad: later ones come from a new host, whose addresses are others. */
void mr_image_crew_renew(struct mr_image_crew *c);
struct mr_image_rooms *mr_image_crew_rooms(struct mr_image_crew *c);
void mr_image_crew_freep(struct mr_image_crew **c);

struct mr_image_run { /* on its thread's stack */
    struct mr_image_run *next;
    const struct mr_child *child;
};
/* Between them mr_image_crew_stop kills the child. */
int mr_image_run_begin(struct mr_image_crew *c, struct mr_image_run *d,
                       const struct mr_child *child, struct mr_err *e);
bool mr_image_run_end(struct mr_image_crew *c, const struct mr_image_run *d); /* true: stopped */

/* Decoders run in the child: `rgb` is width * height * 3 as stored, before orientation. They load
 * their library (before the sandbox is closed) through mr_image_codecs_load. */
void mr_image_codecs_load(void);
int mr_image_read_jpeg(struct mr_str in, const struct mr_image_scan *s, uint8_t *rgb,
                       struct mr_err *e);
int mr_image_read_png(struct mr_str in, const struct mr_image_scan *s, uint8_t *rgb,
                      struct mr_err *e);
int mr_image_read_webp(struct mr_str in, const struct mr_image_scan *s, uint8_t *rgb,
                       struct mr_err *e);
int mr_image_read_gif(struct mr_str in, const struct mr_image_scan *s, uint8_t *rgb,
                      struct mr_err *e);
void mr_image_jpeg_load(void);
void mr_image_png_load(void);
void mr_image_webp_load(void);

/* Straight alpha over white. */
void mr_image_over_white(const uint8_t *rgba, size_t n, uint8_t *rgb);
/* EXIF orientation 1..8: `in` is w x h as stored; `out` h x w for 5..8. */
void mr_image_orient(const uint8_t *in, uint32_t w, uint32_t h, uint32_t orientation, uint8_t *out);

#endif
