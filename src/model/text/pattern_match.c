#include "model/text/pattern.h"
#include "model/text/unicode.h"

static bool at_edge(const char *start, const char *p, const char *end) {
    bool before = false, after = false;
    const char *q;
    if (p > start)
        before = mr_uc_flags(mr_uc_prev(start, p, &q)) & MR_UC_WORD;
    if (p < end) {
        q = p;
        after = mr_uc_flags(mr_uc_next(&q, end)) & MR_UC_WORD;
    }
    return before != after;
}

struct frame {
    const char *from, *to; /* what the item took: it may give back down to `least` */
    const char *least;
};

/* Takes as many characters as the item allows from `p`; false when fewer than its minimum. */
static bool take(const struct mr_pattern *pat, const struct mr_pat_item *it, const char *p,
                 const char *end, struct frame *f, uint64_t *budget) {
    const struct mr_pat_class *c = &pat->cls[it->cls];
    uint32_t n = 0;
    f->from = p;
    f->least = it->min == 0 ? p : NULL;
    while (n < it->max && p < end && *budget) {
        const char *q = p;
        if (!mr_pat_class_has(c, mr_uc_next(&q, end)))
            break;
        --*budget;
        p = q;
        if (++n == it->min)
            f->least = p;
    }
    f->to = p;
    return f->least != NULL;
}

/* Matches the alternative that starts at item `i` at p: the end of the match or NULL. */
static const char *match_at(const struct mr_pattern *pat, uint32_t i, const char *start,
                            const char *p, const char *end, uint64_t *budget) {
    struct frame f[MR_PAT_MAX_ITEM];
    uint32_t first = i;
    const char *look = NULL;
    for (;;) {
        if (!*budget)
            return NULL;
        --*budget;
        const struct mr_pat_item *it = &pat->item[i];
        bool ok = true;
        f[i] = (struct frame){p, p, p};
        switch (it->kind) {
        case MR_PAT_END:
            return look ? look : p;
        case MR_PAT_LOOK:
            look = p;
            break;
        case MR_PAT_EDGE:
        case MR_PAT_NO_EDGE:
            ok = at_edge(start, p, end) == (it->kind == MR_PAT_EDGE);
            break;
        default:
            ok = take(pat, it, p, end, &f[i], budget);
            p = f[i].to;
            break;
        }
        if (ok) {
            i++;
            continue;
        }
        do { /* back to the nearest item that can give a character back */
            if (i == first)
                return NULL;
            i--;
        } while (f[i].to == f[i].least);
        mr_uc_prev(f[i].from, f[i].to, &f[i].to);
        p = f[i].to;
        i++;
    }
}

bool mr_pattern_find(const struct mr_pattern *p, const char *start, const char *at, const char *end,
                     const char **ret_begin, const char **ret_end, uint64_t *budget) {
    while (at < end) {
        for (uint32_t i = 0; i < p->n_item; i++) {
            const char *m = match_at(p, i, start, at, end, budget);
            if (m) {
                *ret_begin = at;
                *ret_end = m;
                return true;
            }
            if (!*budget)
                return false;
            while (p->item[i].kind != MR_PAT_END)
                i++;
        }
        mr_uc_next(&at, end);
    }
    return false;
}
