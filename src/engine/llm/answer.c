#include "engine/llm/answer.h"

#include <string.h>

void mr_answer_init(struct mr_answer *o, const struct mr_str *stop, size_t n_stop, size_t max) {
    *o = (struct mr_answer){.stop = stop, .n_stop = n_stop, .stopped_by = -1};
    mr_buf_init(&o->text, max);
    for (size_t k = 0; k < n_stop; k++)
        o->longest = stop[k].n > o->longest ? stop[k].n : o->longest;
}

void mr_answer_release(struct mr_answer *o) {
    mr_buf_release(&o->text);
}

/* Bytes of the character that starts with this byte; 0 = none does. */
static unsigned width(uint8_t first) {
    if (first < 0x80)
        return 1;
    if (first >= 0xc2 && first <= 0xdf)
        return 2;
    if (first >= 0xe0 && first <= 0xef)
        return 3;
    return first >= 0xf0 && first <= 0xf4 ? 4 : 0;
}

/* Whether the bytes could still become a character. */
static bool possible(const uint8_t *t, unsigned n) {
    unsigned w = width(t[0]);
    if (!w || n > w)
        return false;
    for (unsigned k = 1; k < n; k++)
        if ((t[k] & 0xc0) != 0x80)
            return false;
    if (n < 2)
        return true;
    return !(t[0] == 0xe0 && t[1] < 0xa0) && !(t[0] == 0xed && t[1] > 0x9f) &&
           !(t[0] == 0xf0 && t[1] < 0x90) && !(t[0] == 0xf4 && t[1] > 0x8f);
}

static void give_up_tail(struct mr_answer *o) {
    if (o->n_tail)
        mr_buf_cstr(&o->text, "\xef\xbf\xbd");
    o->n_tail = 0;
}

static void add_byte(struct mr_answer *o, uint8_t c) {
    o->tail[o->n_tail++] = c;
    if (!possible(o->tail, o->n_tail)) {
        o->n_tail--; /* what came before cannot be finished by this byte */
        give_up_tail(o);
        o->tail[o->n_tail++] = c;
        if (!width(c))
            give_up_tail(o);
    }
    if (o->n_tail && o->n_tail == width(o->tail[0])) {
        mr_buf_add(&o->text, o->tail, o->n_tail);
        o->n_tail = 0;
    }
}

/* The first stop string that ends behind `from`. */
static void find_stop(struct mr_answer *o, size_t from) {
    size_t start = from > o->longest ? from - o->longest : 0, best = SIZE_MAX;
    if (start < o->sent)
        start = o->sent;
    for (size_t k = 0; k < o->n_stop; k++) {
        const char *at =
            o->stop[k].n && o->text.n > start
                ? memmem(o->text.p + start, o->text.n - start, o->stop[k].p, o->stop[k].n)
                : NULL;
        if (at && (size_t)(at - o->text.p) < best) {
            best = (size_t)(at - o->text.p);
            o->stopped_by = (int)k;
        }
    }
    if (o->stopped_by >= 0) {
        o->text.n = best;
        o->text.p[best] = 0;
        o->n_tail = 0;
    }
}

void mr_answer_add(struct mr_answer *o, const char *p, size_t n) {
    if (o->stopped_by >= 0)
        return;
    size_t from = o->text.n;
    for (size_t k = 0; k < n; k++)
        add_byte(o, (uint8_t)p[k]);
    if (o->n_stop && o->text.n > from)
        find_stop(o, from);
}

/* Bytes at the end that could be the start of a stop string. */
static size_t held_back(const struct mr_answer *o) {
    size_t most = o->longest && o->longest - 1 < o->text.n ? o->longest - 1 : o->text.n;
    for (size_t n = o->longest ? most : 0; n > 0; n--)
        for (size_t k = 0; k < o->n_stop; k++)
            if (o->stop[k].n > n && !memcmp(o->text.p + o->text.n - n, o->stop[k].p, n))
                return n;
    return 0;
}

struct mr_str mr_answer_take(struct mr_answer *o, bool last) {
    if (last && o->stopped_by < 0) {
        size_t from = o->text.n;
        give_up_tail(o);
        if (o->n_stop && o->text.n > from)
            find_stop(o, from);
    }
    size_t end = last || o->stopped_by >= 0 ? o->text.n : o->text.n - held_back(o);
    /* A stop string may start inside a character. */
    while (!last && end > o->sent && end < o->text.n && (o->text.p[end] & 0xc0) == 0x80)
        end--;
    if (end <= o->sent)
        return (struct mr_str){"", 0};
    struct mr_str s = {o->text.p + o->sent, end - o->sent};
    o->sent = end;
    return s;
}
