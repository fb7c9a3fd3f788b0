/* ner.bin: sections found by a four-letter name, every length checked (layout: docs/NLP.md). */
#include "base/alloc.h"
#include "engine/nlp/ner_internal.h"
#include "model/text/unicode.h"

#define SPECIAL_MAX 31u /* code points of an exception; patterns of tokens are bits of a word */

struct cursor {
    const char *p;
    size_t n;
    bool bad; /* read past the end, or a value out of range */
};

static uint32_t get_u32(struct cursor *c) {
    uint32_t v = 0;
    if (c->n < 4) {
        c->bad = true;
        c->n = 0;
        return 0;
    }
    memcpy(&v, c->p, 4);
    c->p += 4;
    c->n -= 4;
    return v;
}

static struct mr_str get_bytes(struct cursor *c, size_t n) {
    if (c->bad || c->n < n) {
        c->bad = true;
        return mr_strn("", 0);
    }
    struct mr_str s = mr_strn(c->p, n);
    c->p += n;
    c->n -= n;
    return s;
}

static struct mr_str get_text(struct cursor *c) {
    struct mr_str s = get_bytes(c, get_u32(c));
    c->bad |= !mr_utf8_valid(s);
    return s;
}

/* How many entries of at least `least` bytes follow. */
static uint32_t get_count(struct cursor *c, size_t least) {
    uint32_t n = get_u32(c);
    if (n > c->n / least)
        c->bad = true;
    return c->bad ? 0 : n;
}

static const uint32_t *get_ids(struct cursor *c, uint32_t n, uint32_t below) {
    struct mr_str s = get_bytes(c, 4 * (size_t)n);
    const uint32_t *ids = (const uint32_t *)(const void *)s.p; /* these sections have u32s alone */
    for (uint32_t i = 0; !c->bad && i < n; i++)
        c->bad = ids[i] >= below;
    return c->bad ? NULL : ids;
}

static struct cursor section(const struct mr_ner *n, const char *tag) {
    struct cursor head = {n->file + 8, n->size - 8, false};
    uint32_t count = get_u32(&head);
    get_u32(&head);
    for (uint32_t i = 0; i < count && !head.bad; i++) {
        struct mr_str name = get_bytes(&head, 4);
        uint32_t at = get_u32(&head), len = get_u32(&head);
        get_u32(&head);
        if (!head.bad && mr_str_is(name, tag) && at % 64 == 0 && at <= n->size &&
            len <= n->size - at)
            return (struct cursor){n->file + at, len, false};
    }
    return (struct cursor){"", 0, true};
}

/* --- rules ------------------------------------------------------------------------------------ */

static int load_sets(struct mr_ner *n) {
    struct cursor c = section(n, "sets");
    struct mr_ner_rules *r = &n->rules;
    r->nset = get_count(&c, 4);
    r->set = mr_calloc(r->nset ? r->nset : 1, sizeof *r->set);
    if (!r->set)
        return MR_ENOMEM;
    for (uint32_t i = 0; i < r->nset && !c.bad; i++) {
        struct mr_ner_set *s = &r->set[i];
        s->n = get_count(&c, 8);
        s->range = get_ids(&c, 2 * s->n, 0x110000);
        for (uint32_t k = 0; k < s->n && !c.bad; k++) {
            uint32_t lo = s->range[2 * k], hi = s->range[2 * k + 1];
            c.bad = lo > hi || (k && lo <= s->range[2 * k - 1]);
            for (uint32_t cp = lo; cp <= hi && cp < 128; cp++)
                s->ascii[cp >> 6] |= 1ULL << (cp & 63);
        }
    }
    return c.bad ? MR_EREFUSED : 0;
}

static void load_rule(struct cursor *c, const struct mr_ner_rules *r, struct mr_ner_rule *rule) {
    rule->n = get_count(c, 20);
    if (rule->n > MR_NER_ALTS)
        c->bad = true;
    for (uint32_t i = 0; !c->bad && i < rule->n; i++) {
        struct mr_ner_alt *a = &rule->alt[i];
        a->flags = get_u32(c);
        a->nbehind = get_count(c, 4);
        a->behind = get_ids(c, a->nbehind, r->nset);
        a->nbody = get_count(c, 4);
        a->body = get_ids(c, a->nbody, r->nset);
        a->nahead = get_count(c, 4);
        a->ahead = get_ids(c, a->nahead, r->nset);
        if (a->nbody < 1 || a->nbody > 16 || a->nbehind > 4 || a->nahead > 1)
            c->bad = true;
        for (uint32_t k = 1; !c->bad && a->flags & MR_NER_MORE && k < a->nbody; k++)
            c->bad = a->body[k] != a->body[0];
    }
    if (!c->bad)
        mr_ner_rule_index(r, rule);
}

static int load_rules(struct mr_ner *n) {
    struct mr_ner_rules *r = &n->rules;
    int rc = load_sets(n);
    if (rc < 0)
        return rc;
    struct cursor c = section(n, "rule"), p = section(n, "prop");
    load_rule(&c, r, &r->prefix);
    load_rule(&c, r, &r->suffix);
    load_rule(&c, r, &r->infix);
    const uint32_t *id = get_ids(&p, 4, r->nset);
    if (c.bad || p.bad)
        return MR_EREFUSED;
    r->is = (struct mr_ner_props){id[0], id[1], id[2], id[3]};
    return 0;
}

/* --- words ------------------------------------------------------------------------------------ */

static int load_symbols(struct mr_ner *n) {
    struct cursor c = section(n, "syms");
    uint32_t count = get_count(&c, 8);
    for (uint32_t i = 0; i < count && !c.bad; i++) {
        struct mr_str s = get_text(&c);
        if (mr_ner_map_put(&n->symbol, mr_ner_hash(s.p, s.n), get_u32(&c)) < 0)
            return MR_ENOMEM;
    }
    return c.bad ? MR_EREFUSED : 0;
}

/* The norms that every model has (base), then the model's own over them. */
static int load_norms(struct mr_ner *n) {
    struct cursor c = section(n, "norm"), b = section(n, "base");
    uint32_t count = get_count(&b, 8);
    for (uint32_t i = 0; i < count && !b.bad; i++) {
        struct mr_str word = get_text(&b), norm = get_text(&b);
        if (mr_ner_map_put(&n->norm, mr_ner_id(n, word.p, word.n), mr_ner_id(n, norm.p, norm.n)) <
            0)
            return MR_ENOMEM;
    }
    count = get_count(&c, 12);
    for (uint32_t i = 0; i < count && !c.bad; i++) {
        struct mr_str raw = get_bytes(&c, 8), norm = get_text(&c);
        uint64_t key = 0;
        if (raw.n == 8)
            memcpy(&key, raw.p, 8);
        if (mr_ner_map_put(&n->norm, key, mr_ner_id(n, norm.p, norm.n)) < 0)
            return MR_ENOMEM;
    }
    return c.bad || b.bad ? MR_EREFUSED : 0;
}

/* A short text as the tokenizer takes it. */
struct short_text {
    uint32_t cp[SPECIAL_MAX + 8], off[SPECIAL_MAX + 9];
    struct mr_ner_text t;
};

static bool short_text(struct mr_str s, struct short_text *ret) {
    const char *p = s.p, *end = s.p + s.n;
    ret->t = (struct mr_ner_text){s.p, ret->cp, ret->off, 0};
    while (p < end) {
        if (ret->t.n > SPECIAL_MAX)
            return false;
        ret->off[ret->t.n] = (uint32_t)(p - s.p);
        ret->cp[ret->t.n++] = mr_uc_next(&p, end);
    }
    ret->off[ret->t.n] = (uint32_t)s.n;
    return ret->t.n > 0;
}

/* Notes the tokens that a chunk falls into without exceptions, if rules tear it apart. */
static int note_pieces(struct mr_ner *n, const struct short_text *s) {
    const struct mr_ner_rules *r = &n->rules;
    struct mr_ner_tokens v = {0};
    uint32_t at = 0, len;
    bool torn = mr_ner_prefix(r, s->cp, s->t.n) || mr_ner_suffix(r, s->cp, s->t.n) ||
                mr_ner_infix(r, s->cp, s->t.n, &at, &len);
    for (uint32_t i = 0; i < s->t.n; i++)
        torn |= s->cp[i] == ' ';
    if (!torn)
        return 0;
    int rc = mr_ner_tokenize(n, &s->t, false, &v);
    if (rc == 0)
        rc = mr_ner_add_pattern(n, &s->t, &v);
    mr_free(v.tok);
    return rc;
}

/* One exception: its chunk and the tokens that it is made of. */
static int load_special(struct mr_ner *n, struct cursor *c, uint32_t *ntoken, uint32_t max_token) {
    struct mr_str chunk = get_text(c);
    uint32_t k = get_count(c, 8), at = 0;
    struct short_text s;
    if (c->bad || !short_text(chunk, &s) || k > max_token - *ntoken || k > s.t.n || !k)
        return MR_EREFUSED;
    n->special[n->nspecial] = (struct mr_ner_special){*ntoken, k};
    for (uint32_t i = 0; i < k; i++) {
        struct mr_str orth = get_text(c), norm = get_text(c);
        uint32_t from = at;
        if (c->bad || orth.n > chunk.n - s.off[at] || memcmp(chunk.p + s.off[at], orth.p, orth.n))
            return MR_EREFUSED;
        while (at < s.t.n && s.off[at] < s.off[from] + orth.n)
            at++;
        if (at == from)
            return MR_EREFUSED;
        n->special_token[(*ntoken)++] =
            (struct mr_ner_token){from, at - from, mr_ner_id(n, norm.p, norm.n)};
    }
    if (at != s.t.n)
        return MR_EREFUSED;
    if (s.t.n > n->max_special)
        n->max_special = s.t.n;
    if (mr_ner_map_put(&n->special_of, mr_ner_hash(chunk.p, chunk.n), n->nspecial++) < 0)
        return MR_ENOMEM;
    return note_pieces(n, &s);
}

static int load_words(struct mr_ner *n) {
    struct cursor c = section(n, "spec");
    size_t bytes = c.n;
    uint32_t count = get_count(&c, 16), ntoken = 0;
    n->special = mr_calloc(count ? count : 1, sizeof *n->special);
    n->special_token = mr_calloc(bytes / 8 + 1, sizeof *n->special_token);
    int rc = n->special && n->special_token ? 0 : MR_ENOMEM;
    for (uint32_t i = 0; rc == 0 && i < count; i++)
        rc = load_special(n, &c, &ntoken, (uint32_t)(bytes / 8));
    if (rc == 0 && c.bad)
        rc = MR_EREFUSED;
    if (rc == 0)
        rc = load_norms(n);
    return rc;
}

/* --- the network ------------------------------------------------------------------------------ */

static int load_moves(struct mr_ner *n) {
    struct cursor c = section(n, "move");
    if (get_u32(&c) != MR_NER_MOVES)
        return MR_EREFUSED;
    for (uint32_t i = 0; i < MR_NER_MOVES && !c.bad; i++) {
        uint32_t kind = get_u32(&c), k = 0;
        struct mr_str name = get_text(&c);
        if (kind < MR_NER_BEGIN || kind > MR_NER_OUT || memchr(name.p, 0, name.n))
            return MR_EREFUSED;
        while (k < n->nlabel && !mr_str_is(name, n->label[k]))
            k++;
        if (k == n->nlabel && !(n->label[n->nlabel++] = mr_strndup(name.p, name.n)))
            return MR_ENOMEM;
        n->net.kind[i] = (uint8_t)kind;
        n->net.label[i] = (uint8_t)k;
    }
    return c.bad ? MR_EREFUSED : 0;
}

static const float *floats(struct cursor *c, size_t n) {
    struct mr_str s = get_bytes(c, 4 * n);
    return c->bad ? NULL : (const float *)(const void *)s.p;
}

static int load_net(struct mr_ner *n) {
    static const uint32_t want[6] = {MR_NER_FEATS, MR_NER_LAYERS - 1, 3, 64, 2, MR_NER_MOVES};
    struct cursor d = section(n, "dims"), c = section(n, "wght");
    struct mr_ner_net *net = &n->net;
    for (int i = 0; i < 6; i++)
        if (get_u32(&d) != want[i])
            return MR_EREFUSED;
    for (uint32_t i = 0; i < MR_NER_FEATS; i++) {
        net->rows[i] = get_u32(&d);
        net->seed[i] = get_u32(&d);
        if (net->rows[i] < 1 || net->rows[i] > 1u << 20)
            return MR_EREFUSED;
        net->embed[i] = floats(&c, (size_t)net->rows[i] * MR_NER_WIDTH);
    }
    for (uint32_t i = 0; i < MR_NER_LAYERS; i++) {
        struct mr_ner_layer *l = &net->layer[i];
        size_t in = (i ? 3 : MR_NER_FEATS) * MR_NER_WIDTH;
        l->w = floats(&c, in * MR_NER_COLS(3 * MR_NER_WIDTH));
        l->b = floats(&c, 3 * MR_NER_WIDTH);
        l->g = floats(&c, MR_NER_WIDTH);
        l->shift = floats(&c, MR_NER_WIDTH);
    }
    net->lin_w = floats(&c, MR_NER_WIDTH * MR_NER_COLS(MR_NER_TOKVEC));
    net->lin_b = floats(&c, MR_NER_TOKVEC);
    for (int f = 0; f < 3; f++)
        net->low_w[f] = floats(&c, MR_NER_TOKVEC * MR_NER_COLS(MR_NER_HIDDEN));
    net->low_pad = floats(&c, 3 * MR_NER_HIDDEN);
    net->low_b = floats(&c, MR_NER_HIDDEN);
    net->up_w = floats(&c, MR_NER_TOKVEC * MR_NER_COLS(MR_NER_MOVES));
    net->up_b = floats(&c, MR_NER_MOVES);
    return c.bad || d.bad || c.n ? MR_EREFUSED : 0;
}

int mr_ner_parse(struct mr_ner *n, const char *name, struct mr_err *e) {
    static const struct {
        int (*load)(struct mr_ner *n);
        const char *what;
    } part[] = {{load_rules, "tokenizer rules"},
                {load_symbols, "symbols"},
                {load_words, "exceptions and norms"},
                {load_moves, "actions"},
                {load_net, "network"}};
    if (n->size < 16 || memcmp(n->file, "MRNER\0\0\1", 8))
        return mr_fail(e, MR_EREFUSED, "%s is not a named-entity network", name);
    for (size_t i = 0; i < sizeof part / sizeof *part; i++) {
        int rc = part[i].load(n);
        if (rc == MR_ENOMEM)
            return mr_fail(e, rc, "out of memory while reading %s", name);
        if (rc < 0)
            return mr_fail(e, rc, "%s is damaged: its %s cannot be read", name, part[i].what);
    }
    return 0;
}
