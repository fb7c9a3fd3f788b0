#include "engine/nlp/vader.h"

#include "base/buf.h"
#include "base/cleanup.h"
#include "engine/nlp/words.h"
#include "model/text/unicode.h"

#include <math.h>

/* The paper's constants. */
#define CAPS   0.733 /* a word in capitals among others that are not */
#define NEGATE (-0.74)
#define ALPHA  15.0

struct word {
    struct mr_str raw, low;
    const struct mr_lexicon_entry *rated; /* NULL: not in the lexicon */
    bool upper;
};
struct reader {
    const struct mr_lexicon *l;
    struct word *w;
    double *valence;
    size_t n;
    bool some_caps; /* some words are in capitals, not all */
};

/* --- words ----------------------------------------------------------------------------------- */
/* Emoji become their descriptions, apart from the word before. */
static void describe_emoji(const struct mr_lexicon *l, struct mr_str text, struct mr_buf *out) {
    bool after_space = true;
    for (const char *p = text.p, *end = text.p + text.n; text.n && p < end;) {
        const char *at = p;
        uint32_t cp = mr_uc_next(&p, end);
        struct mr_str c = {at, (size_t)(p - at)};
        const struct mr_lexicon_entry *x = cp < 0x80 ? NULL : mr_lexicon_find(l, MR_LEX_EMOJI, c);
        if (!x) {
            mr_buf_str(out, c);
            after_space = cp == ' ';
            continue;
        }
        if (!after_space)
            mr_buf_char(out, ' ');
        mr_buf_str(out, x->text);
        after_space = false;
    }
}

static bool is_punct(char c) {
    return (c >= '!' && c <= '/') || (c >= ':' && c <= '@') || (c >= '[' && c <= '`') ||
           (c >= '{' && c <= '~');
}

/* Without punctuation around it, unless little is left: an emoticon. */
static struct mr_str strip(struct mr_str s) {
    struct mr_str in = s;
    while (in.n && is_punct(in.p[in.n - 1]))
        in.n--;
    while (in.n && is_punct(*in.p))
        in.p++, in.n--;
    return mr_words_chars(in) <= 2 ? s : in;
}

static int read_words(struct reader *r, struct mr_str text, struct mr_arena *a, struct mr_err *e) {
    size_t upper = 0;
    r->w = mr_arena_array(a, MR_VADER_WORDS_MAX, sizeof *r->w);
    r->valence = mr_arena_array(a, MR_VADER_WORDS_MAX, sizeof *r->valence);
    if (!r->w || !r->valence)
        return mr_fail(e, MR_ENOMEM, "out of memory reading a text");
    while (r->n < MR_VADER_WORDS_MAX) {
        struct mr_str s = mr_words_next(&text);
        if (!s.n)
            break;
        struct word *w = &r->w[r->n++];
        w->raw = strip(s);
        w->low = mr_words_lower(a, w->raw);
        if (!w->low.p)
            return mr_fail(e, MR_ENOMEM, "out of memory reading a text");
        w->rated = mr_lexicon_find(r->l, MR_LEX_VALENCE, w->low);
        w->upper = mr_words_is_upper(w->raw);
        upper += w->upper;
    }
    r->some_caps = upper > 0 && upper < r->n;
    return 0;
}

/* --- rules ----------------------------------------------------------------------------------- */
static bool is(const struct reader *r, size_t i, const char *word) {
    return mr_str_is(r->w[i].low, word);
}

/* The entry of `count` words from `i` on, joined by spaces. */
static const struct mr_lexicon_entry *phrase(const struct reader *r, enum mr_lexicon_kind kind,
                                             size_t i, size_t count) {
    char text[64];
    size_t n = 0;
    for (size_t k = 0; k < count; k++) {
        struct mr_str s = r->w[i + k].low;
        if (s.n + 1 > sizeof text - n)
            return NULL; /* longer than any phrase of the lists */
        memcpy(text + n, s.p, s.n);
        n += s.n;
        text[n++] = ' ';
    }
    return mr_lexicon_find(r->l, kind, mr_strn(text, n - 1));
}

static bool negates(const struct reader *r, size_t i) {
    struct mr_str s = r->w[i].low;
    if (mr_lexicon_find(r->l, MR_LEX_NEGATION, s))
        return true;
    for (size_t k = 0; k + 3 <= s.n; k++)
        if (!memcmp(s.p + k, "n't", 3))
            return true;
    return false;
}

/* What a degree word before a rated one adds. */
static double degree(const struct reader *r, size_t i, double valence) {
    const struct mr_lexicon_entry *x = mr_lexicon_find(r->l, MR_LEX_BOOSTER, r->w[i].low);
    if (!x)
        return 0;
    double s = valence < 0 ? -x->v[0] : x->v[0];
    if (r->w[i].upper && r->some_caps)
        s += valence > 0 ? CAPS : -CAPS;
    return s;
}

/* Negation `back` words before word i (1 to 3), or strengthening by "never so". */
static double negation(const struct reader *r, size_t i, size_t back, double valence) {
    bool so = back >= 2 && (is(r, i - 1, "so") || is(r, i - 1, "this"));
    bool doubt = back >= 2 && is(r, i - 1, "doubt");
    if (back == 2 && is(r, i - 2, "never") && so)
        return valence * 1.25;
    if (back == 3) {
        bool so2 = is(r, i - 2, "so") || is(r, i - 2, "this");
        if ((is(r, i - 3, "never") && so2) || so)
            return valence * 1.25;
        doubt = doubt || is(r, i - 2, "doubt");
    }
    if (back >= 2 && is(r, i - back, "without") && doubt)
        return valence;
    return negates(r, i - back) ? valence * NEGATE : valence;
}

/* Idioms around word i >= 3. */
static double idioms(const struct reader *r, size_t i, double valence) {
    static const struct {
        uint8_t back, count;
    } before[] = {{1, 2}, {2, 3}, {2, 2}, {3, 3}, {3, 2}}, grams[] = {{3, 3}, {3, 2}, {2, 2}};
    const struct mr_lexicon_entry *x = NULL;
    for (int k = 0; k < 5 && !x; k++)
        x = phrase(r, MR_LEX_SPECIAL, i - before[k].back, before[k].count);
    if (x)
        valence = x->v[0];
    for (size_t count = 2; count <= 3; count++)
        if (i + count <= r->n && (x = phrase(r, MR_LEX_SPECIAL, i, count)))
            valence = x->v[0];
    for (int k = 0; k < 3; k++)
        if ((x = phrase(r, MR_LEX_BOOSTER, i - grams[k].back, grams[k].count)))
            valence += x->v[0];
    return valence;
}

static double least(const struct reader *r, size_t i, double valence) {
    if (!i || r->w[i - 1].rated || !is(r, i - 1, "least"))
        return valence;
    if (i > 1 && (is(r, i - 2, "at") || is(r, i - 2, "very")))
        return valence;
    return valence * NEGATE;
}

static double rate(const struct reader *r, size_t i) {
    const struct word *w = &r->w[i];
    if (mr_lexicon_find(r->l, MR_LEX_BOOSTER, w->low) || !w->rated)
        return 0;
    if (i + 1 < r->n && is(r, i, "kind") && is(r, i + 1, "of"))
        return 0;
    double v = w->rated->v[0];
    if (is(r, i, "no") && i + 1 < r->n && r->w[i + 1].rated)
        v = 0; /* negates the next word instead */
    if ((i > 0 && is(r, i - 1, "no")) || (i > 1 && is(r, i - 2, "no")) ||
        (i > 2 && is(r, i - 3, "no") && (is(r, i - 1, "or") || is(r, i - 1, "nor"))))
        v = w->rated->v[0] * NEGATE;
    if (w->upper && r->some_caps)
        v += v > 0 ? CAPS : -CAPS;
    for (size_t back = 1; back <= 3 && back <= i; back++) {
        static const double fade[] = {1, 1, 0.95, 0.9};
        if (r->w[i - back].rated)
            continue;
        v += degree(r, i - back, v) * fade[back];
        v = negation(r, i, back, v);
        if (back == 3)
            v = idioms(r, i, v);
    }
    return least(r, i, v);
}

/* What is before "but" counts half, what is after it more. As the original does it, each step
 * changes the first word of the same value. */
static void weigh_but(struct reader *r) {
    size_t but = 0;
    while (but < r->n && !is(r, but, "but"))
        but++;
    if (but == r->n)
        return;
    for (size_t k = 0; k < r->n; k++) {
        size_t i = 0;
        while (r->valence[i] != r->valence[k])
            i++;
        if (i != but)
            r->valence[i] *= i < but ? 0.5 : 1.5;
    }
}

/* --- the score ------------------------------------------------------------------------------- */
static double emphasis(struct mr_str text) {
    size_t bang = 0, ask = 0;
    for (size_t i = 0; i < text.n; i++) {
        bang += text.p[i] == '!';
        ask += text.p[i] == '?';
    }
    double q = ask <= 1 ? 0 : ask <= 3 ? (double)ask * 0.18 : 0.96;
    return (double)(bang < 4 ? bang : 4) * 0.292 + q;
}

static void score(const struct reader *r, struct mr_str text, struct mr_vader *ret) {
    double sum = 0, pos = 0, neg = 0, neutral = 0, more = emphasis(text);
    for (size_t i = 0; i < r->n; i++) {
        double v = r->valence[i];
        sum += v;
        if (v > 0)
            pos += v + 1;
        else if (v < 0)
            neg += 1 - v;
        else
            neutral++;
    }
    if (!r->n)
        return;
    sum += sum > 0 ? more : sum < 0 ? -more : 0;
    if (pos > neg)
        pos += more;
    else if (pos < neg)
        neg += more;
    double total = pos + neg + neutral;
    *ret = (struct mr_vader){.compound = sum / sqrt(sum * sum + ALPHA),
                             .positive = pos / total,
                             .neutral = neutral / total,
                             .negative = neg / total,
                             .sum = sum};
}

int mr_vader(const struct mr_lexicon *l, struct mr_str text, struct mr_arena *arena,
             struct mr_vader *ret, struct mr_err *e) {
    struct reader r = {.l = l};
    MR_CLEANUP(mr_buf_release) struct mr_buf plain;
    mr_buf_init(&plain, text.n * 64 + 64);
    describe_emoji(l, text, &plain);
    if (!mr_buf_ok(&plain))
        return mr_fail(e, MR_ENOMEM, "out of memory reading a text");
    int rc = read_words(&r, mr_buf_view(&plain), arena, e);
    if (rc)
        return rc;
    for (size_t i = 0; i < r.n; i++)
        r.valence[i] = rate(&r, i);
    weigh_but(&r);
    *ret = (struct mr_vader){0};
    score(&r, mr_buf_view(&plain), ret);
    return 0;
}
