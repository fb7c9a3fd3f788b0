#include "model/text/analyze.h"

#include "model/text/unicode.h"

void mr_analyzer_ready(struct mr_analyzer *a) {
    for (uint32_t c = 0; c < 128; c++) {
        a->ascii_low[c] = (uint8_t)(a->lowercase && c - 'A' < 26u ? c + 32 : c);
        a->ascii_in[c] = a->pattern.run && mr_pat_class_has(&a->pattern.cls[0], a->ascii_low[c]);
    }
}

/* Room for `need` items in all; keeps what is there. */
static int grow(struct mr_arena *arena, void **p, size_t *cap, size_t used, size_t need,
                size_t size, struct mr_err *e) {
    if (need <= *cap)
        return 0;
    size_t n = *cap * 2 > need ? *cap * 2 : need;
    void *q = mr_arena_array(arena, n, size);
    if (!q)
        return mr_fail(e, MR_ETOOBIG, "the text needs more memory than one prediction may use");
    if (used)
        memcpy(q, *p, used * size);
    *p = q;
    *cap = n;
    return 0;
}

static int grow_buf(struct mr_terms *t, size_t need, struct mr_err *e) {
    return grow(t->arena, (void **)&t->buf, &t->buf_cap, t->buf_n, need, 1, e);
}

static int add(struct mr_terms *t, uint32_t off, uint32_t n, struct mr_err *e) {
    if (t->n == t->v_cap) {
        int rc = grow(t->arena, (void **)&t->v, &t->v_cap, t->n, t->n * 2 + 64, sizeof *t->v, e);
        if (rc)
            return rc;
    }
    t->v[t->n++] = (struct mr_term){off, n};
    return 0;
}

static bool is_ascii(struct mr_str s) {
    uint64_t any = 0, w;
    size_t i = 0;
    for (; i + 8 <= s.n; i += 8) {
        memcpy(&w, s.p + i, 8);
        any |= w;
    }
    for (; i < s.n; i++)
        any |= (uint8_t)s.p[i];
    return !(any & 0x8080808080808080u);
}

static int put_char(const struct mr_analyzer *a, struct mr_terms *t, uint32_t cp,
                    struct mr_err *e) {
    int rc = grow_buf(t, t->buf_n + MR_UC_STRIP_MAX, e);
    if (rc)
        return rc;
    if (a->strip)
        t->buf_n += mr_uc_strip(cp, a->strip == MR_STRIP_ASCII, t->buf + t->buf_n);
    else
        t->buf_n += mr_uc_put(t->buf + t->buf_n, cp);
    return 0;
}

/* Lower case and accents into t->buf, always valid UTF-8. */
static int normalize(const struct mr_analyzer *a, struct mr_str doc, bool ascii, struct mr_terms *t,
                     struct mr_err *e) {
    t->buf_n = 0;
    int rc = grow_buf(t, doc.n + MR_UC_STRIP_MAX, e);
    if (rc)
        return rc;
    if (ascii) {
        for (size_t i = 0; i < doc.n; i++)
            t->buf[i] = (char)a->ascii_low[(uint8_t)doc.p[i]];
        t->buf_n = doc.n;
        return 0;
    }
    const char *end = doc.p + doc.n;
    for (const char *p = doc.p; p < end && rc == 0;) {
        const char *at = p;
        uint32_t low[MR_UC_LOWER_MAX], cp = mr_uc_next(&p, end);
        size_t n = 1;
        low[0] = cp;
        if (cp == 0x3a3 && a->lowercase)
            low[0] = mr_uc_final_sigma(doc.p, at, end) ? 0x3c2 : 0x3c3;
        else if (a->lowercase)
            n = mr_uc_lower(cp, low);
        for (size_t i = 0; i < n && rc == 0; i++)
            rc = put_char(a, t, low[i], e);
    }
    return rc;
}

/* Notes the token that was written at tok[from..tok_n), unless it is a stop word. */
static int token_done(const struct mr_analyzer *a, struct mr_terms *t, size_t from,
                      struct mr_err *e) {
    size_t n = t->tok_n - from;
    if (a->has_stop && mr_strset_find(&a->stop, t->tok + from, n) >= 0) {
        t->tok_n = from;
        return 0;
    }
    if (t->w_n == t->w_cap) {
        int rc =
            grow(t->arena, (void **)&t->w, &t->w_cap, t->w_n, t->w_n * 2 + 32, sizeof *t->w, e);
        if (rc)
            return rc;
    }
    t->w[t->w_n++] = (struct mr_term){(uint32_t)from, (uint32_t)n};
    t->tok[t->tok_n++] = ' ';
    return 0;
}

/* Lower-cases and cuts an ASCII text in one pass. */
static int runs_ascii(const struct mr_analyzer *a, struct mr_str doc, struct mr_terms *t,
                      struct mr_err *e) {
    const uint8_t *p = (const uint8_t *)doc.p, *end = p + doc.n;
    while (p < end) {
        if (!a->ascii_in[*p]) {
            p++;
            continue;
        }
        size_t from = t->tok_n, k = from;
        do
            t->tok[k++] = (char)a->ascii_low[*p++];
        while (p < end && a->ascii_in[*p]);
        if (k - from < a->pattern.run_min)
            continue;
        t->tok_n = k;
        int rc = token_done(a, t, from, e);
        if (rc)
            return rc;
    }
    return 0;
}

static int runs_utf8(const struct mr_analyzer *a, struct mr_terms *t, struct mr_err *e) {
    const char *p = t->buf, *end = t->buf + t->buf_n;
    const struct mr_pat_class *c = &a->pattern.cls[0];
    while (p < end) {
        const char *from = p, *stop = p;
        uint32_t chars = 0;
        while (p < end && mr_pat_class_has(c, mr_uc_next(&p, end))) {
            stop = p;
            chars++;
        }
        if (chars == 0 || chars < a->pattern.run_min)
            continue;
        size_t at = t->tok_n;
        memcpy(t->tok + at, from, (size_t)(stop - from));
        t->tok_n += (size_t)(stop - from);
        int rc = token_done(a, t, at, e);
        if (rc)
            return rc;
    }
    return 0;
}

static int matches(const struct mr_analyzer *a, struct mr_terms *t, struct mr_err *e) {
    const char *p = t->buf, *end = t->buf + t->buf_n, *from, *to;
    uint64_t budget = 65536 + (uint64_t)t->buf_n * 256;
    while (mr_pattern_find(&a->pattern, t->buf, p, end, &from, &to, &budget)) {
        size_t at = t->tok_n;
        memcpy(t->tok + at, from, (size_t)(to - from));
        t->tok_n += (size_t)(to - from);
        int rc = token_done(a, t, at, e);
        if (rc)
            return rc;
        p = to;
    }
    if (!budget)
        return mr_fail(e, MR_EPREDICT, "the model's token_pattern takes too long on this text");
    return 0;
}

static int words(const struct mr_analyzer *a, struct mr_str doc, bool ascii, struct mr_terms *t,
                 struct mr_err *e) {
    t->tok_n = t->w_n = 0;
    bool direct = ascii && a->pattern.run;
    int rc = direct ? 0 : normalize(a, doc, ascii, t, e);
    if (rc)
        return rc;
    /* Each token of k bytes takes k + 1; empty ones do not exist. */
    rc =
        grow(t->arena, (void **)&t->tok, &t->tok_cap, 0, 2 * (direct ? doc.n : t->buf_n) + 2, 1, e);
    if (rc)
        return rc;
    rc = direct ? runs_ascii(a, doc, t, e) : a->pattern.run ? runs_utf8(a, t, e) : matches(a, t, e);
    if (rc)
        return rc;
    t->text = t->tok;
    if (a->max_n == 1) {
        t->v = t->w;
        t->v_cap = 0; /* borrowed: must not be grown */
        t->n = t->w_n;
        return 0;
    }
    if (t->v == t->w) {
        t->v = NULL;
        t->v_cap = 0;
    }
    for (uint32_t n = a->min_n; n <= a->max_n && n <= t->w_n && rc == 0; n++)
        for (size_t i = 0; i + n <= t->w_n && rc == 0; i++) {
            const struct mr_term *last = &t->w[i + n - 1];
            rc = add(t, t->w[i].off, last->off + last->n - t->w[i].off, e);
        }
    return rc;
}

/* re.sub(r"\s\s+", " "): two or more white-space characters become one space, one stays. In place,
 * then the offset of each character goes to t->w. */
static int squeeze(struct mr_terms *t, struct mr_err *e) {
    const char *p = t->buf, *end = t->buf + t->buf_n;
    char *out = t->buf;
    t->w_n = 0;
    int rc = grow(t->arena, (void **)&t->w, &t->w_cap, 0, t->buf_n + 1, sizeof *t->w, e);
    if (rc)
        return rc;
    while (p < end) {
        const char *from = p;
        bool space = mr_uc_flags(mr_uc_next(&p, end)) & MR_UC_SPACE;
        size_t n = (size_t)(p - from);
        if (space) {
            const char *q = p;
            while (q < end && mr_uc_flags(mr_uc_next(&q, end)) & MR_UC_SPACE)
                p = q;
            if ((size_t)(p - from) > n) {
                from = " ";
                n = 1;
            }
        }
        t->w[t->w_n++] = (struct mr_term){(uint32_t)(out - t->buf), (uint32_t)n};
        memmove(out, from, n);
        out += n;
    }
    t->buf_n = (size_t)(out - t->buf);
    return 0;
}

static int chars(const struct mr_analyzer *a, struct mr_terms *t, struct mr_err *e) {
    int rc = squeeze(t, e);
    t->text = t->buf;
    for (uint32_t n = a->min_n; n <= a->max_n && n <= t->w_n && rc == 0; n++)
        for (size_t i = 0; i + n <= t->w_n && rc == 0; i++) {
            const struct mr_term *last = &t->w[i + n - 1];
            rc = add(t, t->w[i].off, last->off + last->n - t->w[i].off, e);
        }
    return rc;
}

/* One word, padded with a space on both sides, whose characters lie at tok[c[0].off …]. */
static int word_ngrams(const struct mr_analyzer *a, const struct mr_term *c, size_t n_chars,
                       struct mr_terms *t, struct mr_err *e) {
    for (uint32_t n = a->min_n; n <= a->max_n; n++) {
        size_t i = 0, take = n < n_chars ? n : n_chars;
        do {
            const struct mr_term *last = &c[i + take - 1];
            int rc = add(t, c[i].off, last->off + last->n - c[i].off, e);
            if (rc)
                return rc;
        } while (++i + n <= n_chars);
        if (n >= n_chars) /* a short word counts once */
            break;
    }
    return 0;
}

static int chars_wb(const struct mr_analyzer *a, struct mr_terms *t, struct mr_err *e) {
    t->tok_n = 0;
    int rc = grow(t->arena, (void **)&t->tok, &t->tok_cap, 0, 3 * t->buf_n + 2, 1, e);
    if (rc == 0)
        rc = grow(t->arena, (void **)&t->w, &t->w_cap, 0, t->buf_n + 2, sizeof *t->w, e);
    if (rc)
        return rc;
    t->text = t->tok;
    const char *p = t->buf, *end = t->buf + t->buf_n;
    while (p < end && rc == 0) {
        size_t k = 0;
        t->w[k++] = (struct mr_term){(uint32_t)t->tok_n, 1};
        t->tok[t->tok_n++] = ' ';
        while (p < end) {
            const char *from = p;
            if (mr_uc_flags(mr_uc_next(&p, end)) & MR_UC_SPACE)
                break;
            size_t n = (size_t)(p - from);
            t->w[k++] = (struct mr_term){(uint32_t)t->tok_n, (uint32_t)n};
            memcpy(t->tok + t->tok_n, from, n);
            t->tok_n += n;
        }
        if (k == 1) { /* only white space */
            t->tok_n--;
            continue;
        }
        t->w[k++] = (struct mr_term){(uint32_t)t->tok_n, 1};
        t->tok[t->tok_n++] = ' ';
        rc = word_ngrams(a, t->w, k, t, e);
    }
    return rc;
}

int mr_analyze(const struct mr_analyzer *a, struct mr_str doc, struct mr_terms *t,
               struct mr_err *e) {
    if (doc.n > MR_TEXT_MAX_DOC)
        return mr_fail(e, MR_ETOOBIG, "a text may have at most %u bytes", MR_TEXT_MAX_DOC);
    t->n = 0;
    bool ascii = is_ascii(doc);
    if (a->kind == MR_TEXT_WORD)
        return words(a, doc, ascii, t, e);
    int rc = normalize(a, doc, ascii, t, e);
    if (rc)
        return rc;
    return a->kind == MR_TEXT_CHAR ? chars(a, t, e) : chars_wb(a, t, e);
}
