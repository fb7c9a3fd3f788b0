#include "engine/nlp/wordpiece.h"

#include "base/alloc.h"
#include "base/hash.h"
#include "engine/nlp/wordpiece_tables.h"
#include "model/text/unicode.h"

#include <string.h>

#define WORD_MAX  100 /* longer words are [UNK], as in BERT */
#define N_SPECIAL 5

struct piece {
    uint32_t off, hash;
    uint16_t n;
    bool inside; /* began with "##", which is not part of the text */
};
struct mr_wordpiece {
    char *text;
    struct piece *piece;
    uint32_t *slot; /* piece number + 1, 0 = free */
    uint32_t n, mask, max_bytes;
    uint32_t special[N_SPECIAL]; /* UINT32_MAX: not in the vocabulary */
    uint64_t memory;
};
static const char *const SPECIAL[N_SPECIAL] = {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"};
enum { UNK = 1, CLS = 2, SEP = 3 };

/* FNV-1a, so that one pass over a word gives the hash of each of its beginnings. */
static uint32_t step(uint32_t h, char c) {
    return (h ^ (uint8_t)c) * 16777619u;
}
static uint32_t begin(bool inside) {
    return inside ? 0x2f0b4a27u : 2166136261u;
}

static uint32_t find(const struct mr_wordpiece *w, const char *p, size_t n, bool inside,
                     uint32_t hash) {
    for (uint32_t k = hash & w->mask; w->slot[k]; k = (k + 1) & w->mask) {
        const struct piece *x = &w->piece[w->slot[k] - 1];
        if (x->hash == hash && x->n == n && x->inside == inside && !memcmp(w->text + x->off, p, n))
            return w->slot[k] - 1;
    }
    return UINT32_MAX;
}

static void add_piece(struct mr_wordpiece *w, struct mr_str line, uint32_t id) {
    struct piece *x = &w->piece[id];
    x->inside = line.n > 2 && line.p[0] == '#' && line.p[1] == '#';
    size_t skip = x->inside ? 2 : 0;
    x->off = (uint32_t)(line.p - w->text + skip);
    x->n = (uint16_t)(line.n - skip > UINT16_MAX ? 0 : line.n - skip);
    x->hash = begin(x->inside);
    for (size_t i = 0; i < x->n; i++)
        x->hash = step(x->hash, line.p[skip + i]);
    if (!x->n || find(w, line.p + skip, x->n, x->inside, x->hash) != UINT32_MAX)
        return; /* a line twice: its first number holds */
    uint32_t k = x->hash & w->mask;
    while (w->slot[k])
        k = (k + 1) & w->mask;
    w->slot[k] = id + 1;
    if (x->n > w->max_bytes)
        w->max_bytes = x->n;
}

static uint32_t find_special(const struct mr_wordpiece *w, const char *name) {
    uint32_t h = begin(false);
    for (const char *p = name; *p; p++)
        h = step(h, *p);
    return find(w, name, strlen(name), false, h);
}

int mr_wordpiece_new(struct mr_str vocab, struct mr_wordpiece **ret, struct mr_err *e) {
    if (vocab.n > MR_WORDPIECE_VOCAB_MAX)
        return mr_fail(e, MR_EINVAL, "the vocabulary is over %zu MiB",
                       MR_WORDPIECE_VOCAB_MAX >> 20);
    uint32_t lines = 1, size = 16;
    for (size_t i = 0; i < vocab.n; i++)
        lines += vocab.p[i] == '\n';
    while (size < lines * 2)
        size *= 2;
    struct mr_wordpiece *w = mr_calloc(1, sizeof *w);
    if (w) {
        w->text = mr_strndup(vocab.p ? vocab.p : "", vocab.n);
        w->piece = mr_calloc(lines, sizeof *w->piece);
        w->slot = mr_calloc(size, sizeof *w->slot);
    }
    if (!w || !w->text || !w->piece || !w->slot) {
        mr_wordpiece_free(w);
        return mr_fail(e, MR_ENOMEM, "out of memory loading a vocabulary");
    }
    w->mask = size - 1;
    w->memory = sizeof *w + vocab.n + lines * sizeof *w->piece + size * sizeof *w->slot;
    struct mr_str rest = {w->text, strnlen(w->text, vocab.n)};
    while (rest.p && rest.n) {
        struct mr_str line = mr_str_cut(&rest, '\n');
        if (line.n && line.p[line.n - 1] == '\r')
            line.n--;
        add_piece(w, line, w->n++);
    }
    for (int k = 0; k < N_SPECIAL; k++)
        w->special[k] = find_special(w, SPECIAL[k]);
    for (int k = UNK; k <= SEP; k++)
        if (w->special[k] == UINT32_MAX) {
            mr_wordpiece_free(w);
            return mr_fail(e, MR_EINVAL, "the vocabulary has no %s", SPECIAL[k]);
        }
    *ret = w;
    return 0;
}

void mr_wordpiece_free(struct mr_wordpiece *w) {
    if (!w)
        return;
    mr_free(w->text);
    mr_free(w->piece);
    mr_free(w->slot);
    mr_free(w);
}

uint64_t mr_wordpiece_memory(const struct mr_wordpiece *w) {
    return w->memory;
}
uint32_t mr_wordpiece_cls(const struct mr_wordpiece *w) {
    return w->special[CLS];
}
uint32_t mr_wordpiece_sep(const struct mr_wordpiece *w) {
    return w->special[SEP];
}

/* --- encoding ------------------------------------------------------------------------------ */
struct encoder {
    const struct mr_wordpiece *w;
    uint32_t *out;
    size_t n, max;
    uint32_t word[WORD_MAX];
    size_t len;  /* code points of the word; not kept beyond WORD_MAX */
    size_t mark; /* where the marks in a row at the word's end begin */
};

static void put(struct encoder *x, uint32_t id) {
    if (x->n < x->max)
        x->out[x->n++] = id;
}

/* The longest piece at p, or UINT32_MAX. */
static uint32_t longest(const struct mr_wordpiece *w, const char *p, size_t n, bool inside,
                        size_t *ret_n) {
    uint32_t hash[WORD_MAX * 4];
    uint32_t h = begin(inside);
    size_t most = n < w->max_bytes ? n : w->max_bytes;
    for (size_t i = 0; i < most; i++)
        hash[i] = h = step(h, p[i]);
    for (size_t k = most; k; k--) {
        uint32_t id = find(w, p, k, inside, hash[k - 1]);
        if (id != UINT32_MAX) {
            *ret_n = k;
            return id;
        }
    }
    return UINT32_MAX;
}

static void flush(struct encoder *x) {
    char text[WORD_MAX * 4];
    uint32_t ids[WORD_MAX];
    size_t n = 0, len = x->len, k = 0;
    x->len = x->mark = 0;
    if (!len)
        return;
    if (len > WORD_MAX) {
        put(x, x->w->special[UNK]);
        return;
    }
    for (size_t i = 0; i < len; i++)
        n += mr_uc_put(text + n, x->word[i]);
    for (size_t at = 0, took; at < n; at += took) {
        uint32_t id = longest(x->w, text + at, n - at, at > 0, &took);
        if (id == UINT32_MAX) {
            put(x, x->w->special[UNK]);
            return;
        }
        ids[k++] = id;
    }
    for (size_t i = 0; i < k; i++)
        put(x, ids[i]);
}

static uint8_t rank_of(uint32_t cp) {
    size_t lo = 0, hi = mr_wp_class_n;
    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        if (mr_wp_class_cp[mid] < cp)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo < mr_wp_class_n && mr_wp_class_cp[lo] == cp ? mr_wp_class_rank[lo] : 0;
}

/* A character after normalising. */
static void add(struct encoder *x, uint32_t cp) {
    uint8_t f = mr_wp_flags(cp);
    if (f & MR_WP_PUNCT) {
        flush(x);
        x->word[0] = cp;
        x->len = 1;
        flush(x);
        return;
    }
    if (x->len >= WORD_MAX) { /* [UNK], whatever follows */
        x->len = WORD_MAX + 1;
        return;
    }
    size_t at = x->len++;
    if (f & MR_WP_CLASS) {
        uint8_t rank = rank_of(cp);
        for (; at > x->mark && rank_of(x->word[at - 1]) > rank; at--)
            x->word[at] = x->word[at - 1];
    } else
        x->mark = x->len;
    x->word[at] = cp;
}

static void add_mapped(struct encoder *x, uint32_t cp) {
    size_t lo = 0, hi = mr_wp_map_n;
    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        if (mr_wp_map_cp[mid] < cp)
            lo = mid + 1;
        else
            hi = mid;
    }
    for (uint32_t k = mr_wp_map_off[lo]; k < mr_wp_map_off[lo + 1]; k++)
        add(x, mr_wp_map_pool[k]);
}

/* Syllable to letters: Unicode 3.12, the arithmetic decomposition. */
static void add_hangul(struct encoder *x, uint32_t cp) {
    uint32_t s = cp - 0xac00;
    add(x, 0x1100 + s / 588);
    add(x, 0x1161 + s % 588 / 28);
    if (s % 28)
        add(x, 0x11a7 + s % 28);
}

static void read_char(struct encoder *x, uint32_t cp) {
    uint8_t f = mr_wp_flags(cp);
    if (f & MR_WP_DROP)
        return;
    if (f & (MR_WP_SPACE | MR_WP_CJK))
        flush(x);
    if (f & MR_WP_SPACE)
        return;
    if (f & MR_WP_REMOVED) {
        if (f & MR_WP_BREAK && x->len <= WORD_MAX)
            x->mark = x->len;
    } else if (f & MR_WP_MAPPED)
        add_mapped(x, cp);
    else if (cp >= 0xac00 && cp <= 0xd7a3)
        add_hangul(x, cp);
    else
        add(x, cp);
    if (f & MR_WP_CJK)
        flush(x);
}

size_t mr_wordpiece_encode(const struct mr_wordpiece *w, struct mr_str text, uint32_t *out,
                           size_t max) {
    struct encoder x = {.w = w, .out = out, .max = max};
    const char *p = text.p, *end = text.p + text.n;
    while (text.n && p < end && x.n < max) {
        if (*p == '[') {
            int k = 0;
            while (k < N_SPECIAL &&
                   (w->special[k] == UINT32_MAX ||
                    !mr_str_starts(mr_strn(p, (size_t)(end - p)), mr_str(SPECIAL[k]))))
                k++;
            if (k < N_SPECIAL) {
                flush(&x);
                put(&x, w->special[k]);
                p += strlen(SPECIAL[k]);
                continue;
            }
        }
        read_char(&x, mr_uc_next(&p, end));
    }
    flush(&x);
    return x.n;
}
