/* GIF, the first frame (GIF89a specification; LZW as in its appendix F). The frame is drawn on the
 * logical screen, over white where it has no pixels or transparent ones. Missing data at the end is
 * an error. */
#include "engine/vision/image_priv.h"

#define CODES 4096

struct gif {
    const uint8_t *p, *end; /* what is still unread */
    const uint8_t *palette; /* global, 3 bytes a colour */
    unsigned n_colours;
    int transparent; /* index, -1: none */
};

struct frame {
    uint32_t x, y, w, h;
    bool interlaced;
    const uint8_t *palette;
    unsigned n_colours;
};

static int ends(struct mr_err *e) {
    return mr_fail(e, MR_EINVAL, "it is truncated");
}

static const uint8_t *take(struct gif *g, size_t n) {
    if (n > (size_t)(g->end - g->p))
        return NULL;
    const uint8_t *p = g->p;
    g->p += n;
    return p;
}

static bool take_palette(struct gif *g, uint8_t flags, const uint8_t **ret, unsigned *ret_n) {
    if (!(flags & 0x80))
        return true;
    *ret_n = 2u << (flags & 7);
    *ret = take(g, (size_t)*ret_n * 3);
    return *ret != NULL;
}

static bool skip_blocks(struct gif *g) {
    for (;;) {
        const uint8_t *n = take(g, 1);
        if (!n || (*n && !take(g, *n)))
            return false;
        if (!*n)
            return true;
    }
}

static bool take_extension(struct gif *g) {
    const uint8_t *label = take(g, 1);
    if (!label)
        return false;
    if (*label == 0xf9 && g->end - g->p >= 5 && g->p[0] >= 4) /* graphic control */
        g->transparent = g->p[1] & 1 ? g->p[4] : -1;
    return skip_blocks(g);
}

/* Bits of the image's data blocks. */
struct bits {
    struct gif *g;
    uint32_t acc;
    unsigned have, block; /* bytes left of the block */
    bool over;
};

static int next_code(struct bits *b, unsigned width) {
    while (b->have < width) {
        if (!b->block) {
            const uint8_t *n = b->over ? NULL : take(b->g, 1);
            if (!n || !*n) {
                b->over = true;
                return -1;
            }
            b->block = *n;
        }
        const uint8_t *p = take(b->g, 1);
        if (!p) {
            b->over = true;
            return -1;
        }
        b->block--;
        b->acc |= (uint32_t)*p << b->have;
        b->have += 8;
    }
    int code = (int)(b->acc & ((1u << width) - 1));
    b->acc >>= width;
    b->have -= width;
    return code;
}

struct canvas {
    const struct gif *g;
    const struct frame *f;
    uint8_t *rgb;
    uint32_t screen_w, screen_h;
    uint32_t x, y, pass; /* next pixel of the frame */
    uint64_t left;
};

static void put_pixel(struct canvas *c, unsigned index) {
    static const uint8_t first[] = {0, 4, 2, 1}, step[] = {8, 8, 4, 2};
    uint32_t x = c->f->x + c->x, y = c->f->y + c->y;
    if ((int)index != c->g->transparent && x < c->screen_w && y < c->screen_h) {
        static const uint8_t black[3];
        const uint8_t *from = index < c->f->n_colours ? c->f->palette + 3 * index : black;
        memcpy(c->rgb + ((size_t)y * c->screen_w + x) * 3, from, 3);
    }
    c->left--;
    if (++c->x < c->f->w)
        return;
    c->x = 0;
    if (!c->f->interlaced) {
        c->y++;
        return;
    }
    c->y += step[c->pass];
    while (c->y >= c->f->h && c->pass < 3)
        c->y = first[++c->pass];
}

static int draw(struct gif *g, struct canvas *c, struct mr_err *e) {
    const uint8_t *min = take(g, 1);
    if (!min)
        return ends(e);
    if (*min < 1 || *min > 11)
        return mr_fail(e, MR_EINVAL, "its code size is %u", *min);
    uint16_t before[CODES];
    uint8_t last[CODES], stack[CODES];
    unsigned clear = 1u << *min, free_code = clear + 2, width = *min + 1u;
    for (unsigned k = 0; k < clear; k++)
        last[k] = (uint8_t)k;
    struct bits b = {.g = g};
    int old = -1;
    unsigned first = 0;
    while (c->left) {
        int code = next_code(&b, width);
        if (code < 0 || (unsigned)code == clear + 1)
            return ends(e);
        if ((unsigned)code == clear) {
            free_code = clear + 2;
            width = *min + 1u;
            old = -1;
            continue;
        }
        if ((unsigned)code > free_code || (old < 0 && (unsigned)code >= clear))
            return mr_fail(e, MR_EINVAL, "its compressed data is damaged");
        unsigned n = 0, at = (unsigned)code;
        if (at == free_code) { /* the string before and its own first pixel */
            stack[n++] = (uint8_t)first;
            at = (unsigned)old;
        }
        while (at >= clear) { /* codes point to smaller ones, so it ends */
            stack[n++] = last[at];
            at = before[at];
        }
        stack[n++] = last[at];
        first = last[at];
        if (old >= 0 && free_code < CODES) {
            before[free_code] = (uint16_t)old;
            last[free_code] = (uint8_t)first;
            free_code++;
            if (free_code == 1u << width && width < 12)
                width++;
        }
        old = code;
        while (n && c->left)
            put_pixel(c, stack[--n]);
    }
    return 0;
}

static int read_frame(struct gif *g, const struct mr_image_scan *s, uint8_t *rgb,
                      struct mr_err *e) {
    const uint8_t *p = take(g, 9);
    if (!p)
        return ends(e);
    struct frame f = {.x = p[0] | (uint32_t)p[1] << 8,
                      .y = p[2] | (uint32_t)p[3] << 8,
                      .w = p[4] | (uint32_t)p[5] << 8,
                      .h = p[6] | (uint32_t)p[7] << 8,
                      .interlaced = p[8] & 0x40,
                      .palette = g->palette,
                      .n_colours = g->n_colours};
    if (!take_palette(g, p[8], &f.palette, &f.n_colours))
        return ends(e);
    if (!f.palette)
        return mr_fail(e, MR_EINVAL, "its first frame has no colours");
    if (!f.w || !f.h || (uint64_t)f.w * f.h > MR_IMAGE_PIXELS_MAX)
        return mr_fail(e, MR_EINVAL, "its first frame is %u x %u pixels", f.w, f.h);
    struct canvas c = {.g = g,
                       .f = &f,
                       .rgb = rgb,
                       .screen_w = s->width,
                       .screen_h = s->height,
                       .left = (uint64_t)f.w * f.h};
    return draw(g, &c, e);
}

int mr_image_read_gif(struct mr_str in, const struct mr_image_scan *s, uint8_t *rgb,
                      struct mr_err *e) {
    struct gif g = {.p = (const uint8_t *)in.p, .end = (const uint8_t *)in.p + in.n};
    g.transparent = -1;
    const uint8_t *p = take(&g, 13);
    if (!p || !take_palette(&g, p[10], &g.palette, &g.n_colours))
        return ends(e);
    memset(rgb, 255, (size_t)s->width * s->height * 3);
    for (;;) {
        p = take(&g, 1);
        if (!p)
            return ends(e);
        if (*p == 0x2c)
            return read_frame(&g, s, rgb, e);
        if (*p == 0x21) {
            if (!take_extension(&g))
                return ends(e);
        } else if (*p == 0x3b) {
            return mr_fail(e, MR_EINVAL, "it has no frame");
        } else {
            return mr_fail(e, MR_EINVAL, "it has an unknown block 0x%02x", *p);
        }
    }
}
