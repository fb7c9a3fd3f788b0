#include "engine/nlp/lexicon.h"

#include "base/alloc.h"
#include "base/num.h"

#include <math.h>

struct mr_lexicon {
    char *text;
    struct mr_lexicon_entry *entry;
    uint32_t *slot; /* entry number + 1, 0 = free */
    uint32_t n, mask;
    uint64_t memory;
};

static const struct {
    const char *name;
    int n_values;
    bool text;
} KIND[MR_LEX_KINDS] = {
    [MR_LEX_VALENCE] = {"valence", 1, false},   [MR_LEX_BOOSTER] = {"booster", 1, false},
    [MR_LEX_NEGATION] = {"negation", 0, false}, [MR_LEX_SPECIAL] = {"special", 1, false},
    [MR_LEX_EMOJI] = {"emoji", 0, true},        [MR_LEX_PATTERN] = {"pattern", 3, false},
};

static uint32_t hash_of(enum mr_lexicon_kind kind, struct mr_str key) {
    uint32_t h = 2166136261u ^ (uint32_t)kind;
    for (size_t i = 0; i < key.n; i++)
        h = (h ^ (uint8_t)key.p[i]) * 16777619u;
    return h;
}

const struct mr_lexicon_entry *mr_lexicon_find(const struct mr_lexicon *l,
                                               enum mr_lexicon_kind kind, struct mr_str key) {
    uint32_t h = hash_of(kind, key);
    for (uint32_t k = h & l->mask; l->slot[k]; k = (k + 1) & l->mask) {
        const struct mr_lexicon_entry *x = &l->entry[l->slot[k] - 1];
        if (x->hash == h && x->kind == kind && mr_str_eq(x->key, key))
            return x;
    }
    return NULL;
}

/* False: the line is not as the header says. */
static bool read_line(struct mr_str line, struct mr_lexicon_entry *x) {
    struct mr_str kind = mr_str_cut(&line, '\t');
    int k = 0;
    while (k < MR_LEX_KINDS && !mr_str_is(kind, KIND[k].name))
        k++;
    if (k == MR_LEX_KINDS || !line.p)
        return false;
    x->kind = (uint8_t)k;
    x->key = mr_str_cut(&line, '\t');
    if (!x->key.n)
        return false;
    x->hash = hash_of((enum mr_lexicon_kind)k, x->key);
    if (KIND[k].text) {
        x->text = mr_str_cut(&line, '\t');
        return x->text.n && !line.p;
    }
    for (int i = 0; i < KIND[k].n_values; i++) {
        struct mr_str v = mr_str_cut(&line, '\t');
        if (!v.p || !mr_f64_parse(v, &x->v[i]) || !(fabs(x->v[i]) <= 100))
            return false;
    }
    return !line.p;
}

int mr_lexicon_new(struct mr_str file, struct mr_lexicon **ret, struct mr_err *e) {
    if (file.n > MR_LEXICON_FILE_MAX)
        return mr_fail(e, MR_EINVAL, "the lexicon is over %zu MiB", MR_LEXICON_FILE_MAX >> 20);
    uint32_t lines = 1, size = 16;
    for (size_t i = 0; i < file.n; i++)
        lines += file.p[i] == '\n';
    while (size < lines * 2)
        size *= 2;
    struct mr_lexicon *l = mr_calloc(1, sizeof *l);
    if (l) {
        l->text = mr_malloc(file.n + 1);
        l->entry = mr_calloc(lines, sizeof *l->entry);
        l->slot = mr_calloc(size, sizeof *l->slot);
    }
    if (!l || !l->text || !l->entry || !l->slot) {
        mr_lexicon_free(l);
        return mr_fail(e, MR_ENOMEM, "out of memory loading a lexicon");
    }
    if (file.n)
        memcpy(l->text, file.p, file.n);
    l->mask = size - 1;
    l->memory = sizeof *l + file.n + lines * sizeof *l->entry + size * sizeof *l->slot;
    struct mr_str rest = {l->text, file.n};
    for (unsigned line = 1; rest.p && rest.n; line++) {
        struct mr_lexicon_entry *x = &l->entry[l->n];
        if (!read_line(mr_str_cut(&rest, '\n'), x)) {
            mr_lexicon_free(l);
            return mr_fail(e, MR_EINVAL, "the lexicon's line %u is not one of its kinds", line);
        }
        uint32_t k = x->hash & l->mask;
        while (l->slot[k])
            k = (k + 1) & l->mask;
        l->slot[k] = ++l->n;
    }
    *ret = l;
    return 0;
}

void mr_lexicon_free(struct mr_lexicon *l) {
    if (!l)
        return;
    mr_free(l->text);
    mr_free(l->entry);
    mr_free(l->slot);
    mr_free(l);
}

uint64_t mr_lexicon_memory(const struct mr_lexicon *l) {
    return l->memory;
}
