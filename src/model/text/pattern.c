#include "model/text/pattern.h"

#include "model/text/unicode.h"

struct parser {
    const char *p, *end;
    struct mr_pattern *pat;
    bool in_group, had_group, in_look, had_look;
    uint32_t alt_first;
    struct mr_err *e;
};

static int refuse(struct parser *s, const char *what) {
    return mr_fail(s->e, MR_EUNSUPPORTED,
                   "token_pattern uses %s, which has no native form; the default pattern and "
                   "simple ones such as \\w+ or [a-z]+ are served",
                   what);
}

static bool in_ascii(const struct mr_pat_class *c, uint32_t cp) {
    return c->ascii[cp >> 5] >> (cp & 31) & 1;
}

bool mr_pat_class_has(const struct mr_pat_class *c, uint32_t cp) {
    if (cp < 128)
        return in_ascii(c, cp);
    uint8_t f = mr_uc_flags(cp);
    bool in = (f & c->any) || (~f & c->not_any);
    for (uint32_t i = 0; i < c->n_range && !in; i++)
        in = cp >= c->lo[i] && cp <= c->hi[i];
    return in != c->negate;
}

static void add_range(struct mr_pat_class *c, uint32_t lo, uint32_t hi) {
    for (uint32_t i = lo; i <= hi && i < 128; i++)
        c->ascii[i >> 5] |= 1u << (i & 31);
    if (hi >= 128 && c->n_range < 8) {
        c->lo[c->n_range] = lo < 128 ? 128 : lo;
        c->hi[c->n_range++] = hi;
    }
}

static void add_flag(struct mr_pat_class *c, uint8_t flag, bool inverted) {
    for (uint32_t i = 0; i < 128; i++)
        if (!(mr_uc_flags(i) & flag) == inverted)
            add_range(c, i, i);
    *(inverted ? &c->not_any : &c->any) |= flag;
}

/* \w and friends; false when the letter is no class. */
static bool class_escape(struct mr_pat_class *c, char letter) {
    switch (letter) {
    case 'w':
    case 'W':
        add_flag(c, MR_UC_WORD, letter == 'W');
        return true;
    case 'd':
    case 'D':
        add_flag(c, MR_UC_DIGIT, letter == 'D');
        return true;
    case 's':
    case 'S':
        add_flag(c, MR_UC_SPACE, letter == 'S');
        return true;
    default:
        return false;
    }
}

static int hex(struct parser *s, int digits, uint32_t *ret) {
    uint32_t v = 0;
    for (int i = 0; i < digits; i++, s->p++) {
        char c = s->p < s->end ? *s->p : 0;
        uint32_t d = c >= '0' && c <= '9'   ? (uint32_t)(c - '0')
                     : c >= 'a' && c <= 'f' ? (uint32_t)(c - 'a' + 10)
                     : c >= 'A' && c <= 'F' ? (uint32_t)(c - 'A' + 10)
                                            : 99;
        if (d == 99)
            return refuse(s, "a broken escape");
        v = v << 4 | d;
    }
    *ret = v;
    return 0;
}

/* After a backslash: an escaped literal character. */
static int literal_escape(struct parser *s, uint32_t *ret) {
    char c = *s->p++;
    switch (c) {
    case 'n':
        *ret = '\n';
        return 0;
    case 't':
        *ret = '\t';
        return 0;
    case 'r':
        *ret = '\r';
        return 0;
    case 'f':
        *ret = '\f';
        return 0;
    case 'v':
        *ret = '\v';
        return 0;
    case 'x':
        return hex(s, 2, ret);
    case 'u':
        return hex(s, 4, ret);
    default:
        if ((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'))
            return refuse(s, "an escape sequence");
        s->p--;
        *ret = mr_uc_next(&s->p, s->end);
        return 0;
    }
}

/* One character of a [class]; *ret_class is set when it was \w or the like. */
static int class_char(struct parser *s, struct mr_pat_class *c, uint32_t *ret, bool *ret_class) {
    *ret_class = false;
    if (*s->p != '\\') {
        *ret = mr_uc_next(&s->p, s->end);
        return 0;
    }
    s->p++;
    if (s->p >= s->end)
        return refuse(s, "an unfinished escape");
    if (class_escape(c, *s->p)) {
        s->p++;
        *ret_class = true;
        return 0;
    }
    if (*s->p == 'b') {
        s->p++;
        *ret = '\b';
        return 0;
    }
    return literal_escape(s, ret);
}

static int bracket(struct parser *s, struct mr_pat_class *c) {
    bool negate = s->p < s->end && *s->p == '^';
    s->p += negate;
    for (bool first = true; s->p < s->end && (*s->p != ']' || first); first = false) {
        uint32_t lo, hi;
        bool is_class;
        int rc = class_char(s, c, &lo, &is_class);
        if (rc)
            return rc;
        if (is_class) {
            if (s->end - s->p >= 2 && s->p[0] == '-' && s->p[1] != ']')
                return refuse(s, "a broken character range");
            continue;
        }
        hi = lo;
        if (s->end - s->p >= 2 && s->p[0] == '-' && s->p[1] != ']') {
            s->p++;
            rc = class_char(s, c, &hi, &is_class);
            if (rc)
                return rc;
            if (is_class || hi < lo)
                return refuse(s, "a broken character range");
        }
        if (hi >= 128 && c->n_range == 8)
            return refuse(s, "a long character class");
        add_range(c, lo, hi);
    }
    if (s->p >= s->end)
        return refuse(s, "an unfinished character class");
    s->p++;
    if (negate) {
        c->negate = true;
        for (int i = 0; i < 4; i++)
            c->ascii[i] = ~c->ascii[i];
    }
    return 0;
}

static int number(struct parser *s, uint32_t *ret) {
    uint32_t v = 0;
    while (s->p < s->end && *s->p >= '0' && *s->p <= '9') {
        v = v * 10 + (uint32_t)(*s->p++ - '0');
        if (v > 10000)
            return refuse(s, "a large repeat count");
    }
    *ret = v;
    return 0;
}

static int quantifier(struct parser *s, struct mr_pat_item *it) {
    it->min = it->max = 1;
    char c = s->p < s->end ? *s->p : 0;
    if (c == '+' || c == '*' || c == '?') {
        s->p++;
        it->min = c == '+';
        it->max = c == '?' ? 1 : UINT32_MAX;
    } else if (c == '{') {
        s->p++;
        const char *from = s->p;
        int rc = number(s, &it->min);
        if (rc)
            return rc;
        it->max = it->min;
        if (s->p < s->end && *s->p == ',') {
            s->p++;
            it->max = UINT32_MAX;
            if (s->p < s->end && *s->p != '}' && (rc = number(s, &it->max)) != 0)
                return rc;
        }
        if (s->p >= s->end || *s->p != '}' || s->p == from || it->max < it->min)
            return refuse(s, "a broken repeat count");
        s->p++;
    } else {
        return 0;
    }
    if (s->p < s->end && (*s->p == '?' || *s->p == '+' || *s->p == '*' || *s->p == '{'))
        return refuse(s, "a lazy or repeated quantifier");
    return 0;
}

static int push(struct parser *s, uint8_t kind, struct mr_pat_item **ret) {
    if (s->pat->n_item == MR_PAT_MAX_ITEM)
        return refuse(s, "too many parts");
    struct mr_pat_item *it = &s->pat->item[s->pat->n_item++];
    *it = (struct mr_pat_item){.kind = kind};
    if (ret)
        *ret = it;
    return 0;
}

/* A class item: the class is shared with an equal one. */
static int push_class(struct parser *s, const struct mr_pat_class *c) {
    if (s->had_group && !s->in_group && !s->in_look)
        return refuse(s, "a group around a part of the token");
    struct mr_pattern *p = s->pat;
    uint32_t k = 0;
    while (k < p->n_class && memcmp(&p->cls[k], c, sizeof *c) != 0)
        k++;
    if (k == MR_PAT_MAX_CLASS)
        return refuse(s, "too many parts");
    if (k == p->n_class)
        p->cls[p->n_class++] = *c;
    struct mr_pat_item *it = NULL;
    int rc = push(s, MR_PAT_CLASS, &it);
    if (rc)
        return rc;
    it->cls = (uint8_t)k;
    return quantifier(s, it);
}

static int end_alternative(struct parser *s) {
    uint32_t least = 0;
    for (uint32_t i = s->alt_first; i < s->pat->n_item && s->pat->item[i].kind != MR_PAT_LOOK; i++)
        if (s->pat->item[i].kind == MR_PAT_CLASS)
            least += s->pat->item[i].min;
    if (least == 0)
        return refuse(s, "an empty match");
    int rc = push(s, MR_PAT_END, NULL);
    s->alt_first = s->pat->n_item;
    s->had_look = false;
    return rc;
}

static int open_group(struct parser *s) {
    if (s->end - s->p >= 2 && s->p[0] == '?' && s->p[1] == '=') {
        if (s->in_group || s->had_look)
            return refuse(s, "nested groups");
        s->p += 2;
        s->in_look = s->had_look = true;
        return push(s, MR_PAT_LOOK, NULL);
    }
    if (s->p < s->end && *s->p == '?') {
        if (s->end - s->p < 2 || s->p[1] != ':')
            return refuse(s, "a (?…) construct");
        s->p += 2;
    }
    if (s->in_group || s->had_group || s->in_look)
        return refuse(s, "several groups");
    for (uint32_t i = 0; i < s->pat->n_item; i++)
        if (s->pat->item[i].kind == MR_PAT_CLASS || s->pat->item[i].kind == MR_PAT_END)
            return refuse(s, "a group around a part of the token");
    s->in_group = s->had_group = true;
    return 0;
}

static int close_group(struct parser *s) {
    if (!s->in_group && !s->in_look)
        return refuse(s, "an unbalanced parenthesis");
    if (s->in_look) {
        s->in_look = false;
        if (s->p < s->end && *s->p != '|')
            return refuse(s, "a look-ahead before the end");
        return 0;
    }
    s->in_group = false;
    if (s->p < s->end && strchr("+*?{|", *s->p))
        return refuse(s, "a repeated group");
    return 0;
}

static int backslash(struct parser *s) {
    if (s->p >= s->end)
        return refuse(s, "an unfinished escape");
    if (*s->p == 'b' || *s->p == 'B')
        return push(s, *s->p++ == 'b' ? MR_PAT_EDGE : MR_PAT_NO_EDGE, NULL);
    struct mr_pat_class c;
    memset(&c, 0, sizeof c);
    if (class_escape(&c, *s->p)) {
        s->p++;
    } else {
        uint32_t cp;
        int rc = literal_escape(s, &cp);
        if (rc)
            return rc;
        add_range(&c, cp, cp);
    }
    return push_class(s, &c);
}

static int element(struct parser *s) {
    char ch = *s->p;
    struct mr_pat_class c;
    memset(&c, 0, sizeof c);
    switch (ch) {
    case '\\':
        s->p++;
        return backslash(s);
    case '(':
        s->p++;
        return open_group(s);
    case ')':
        s->p++;
        return close_group(s);
    case '|':
        if (s->in_group || s->in_look || s->had_group)
            return refuse(s, "alternatives beside a group");
        s->p++;
        return end_alternative(s);
    case '[': {
        s->p++;
        int rc = bracket(s, &c);
        return rc ? rc : push_class(s, &c);
    }
    case '^':
    case '$':
        return refuse(s, "an anchor");
    case '+':
    case '*':
    case '?':
    case '{':
        return refuse(s, "a misplaced quantifier");
    case '.':
        s->p++;
        add_range(&c, '\n', '\n');
        c.negate = true;
        for (int i = 0; i < 4; i++)
            c.ascii[i] = ~c.ascii[i];
        return push_class(s, &c);
    default: {
        uint32_t cp = mr_uc_next(&s->p, s->end);
        add_range(&c, cp, cp);
        return push_class(s, &c);
    }
    }
}

/* \b?C…C+\b? with one class is "maximal runs", which needs no matcher. */
static void find_run(struct mr_pattern *p) {
    uint32_t min = 0, n = p->n_item - 1;
    bool edge = false;
    for (uint32_t i = 0; i < n; i++) {
        const struct mr_pat_item *it = &p->item[i];
        if (it->kind == MR_PAT_EDGE && (i == 0 || i == n - 1)) {
            edge = true;
            continue;
        }
        if (it->kind != MR_PAT_CLASS || it->cls != 0 ||
            (it->max != UINT32_MAX && it->max != it->min))
            return;
        min += it->min;
    }
    uint32_t last = p->item[n - 1].kind == MR_PAT_EDGE ? n - 2 : n - 1;
    if (last >= n || p->item[last].kind != MR_PAT_CLASS || p->item[last].max != UINT32_MAX)
        return;
    if (edge) { /* an edge is a run's end only when the class is exactly \w */
        struct mr_pat_class w;
        memset(&w, 0, sizeof w);
        add_flag(&w, MR_UC_WORD, false);
        if (memcmp(&w, &p->cls[0], sizeof w) != 0)
            return;
    }
    p->run = true;
    p->run_min = min;
}

int mr_pattern_compile(struct mr_str src, struct mr_pattern *ret, struct mr_err *e) {
    memset(ret, 0, sizeof *ret);
    if (src.n > MR_PAT_MAX_LEN)
        return mr_fail(e, MR_EUNSUPPORTED, "token_pattern is longer than %d bytes", MR_PAT_MAX_LEN);
    if (!mr_utf8_valid(src))
        return mr_fail(e, MR_EREFUSED, "token_pattern is not UTF-8");
    struct parser s = {.p = src.p, .end = src.p + src.n, .pat = ret, .e = e};
    if (src.n >= 4 && memcmp(src.p, "(?u)", 4) == 0)
        s.p += 4;
    while (s.p < s.end) {
        int rc = element(&s);
        if (rc)
            return rc;
    }
    if (s.in_group || s.in_look)
        return refuse(&s, "an unbalanced parenthesis");
    int rc = end_alternative(&s);
    if (rc)
        return rc;
    if (ret->item[ret->n_item - 1].kind == MR_PAT_END) {
        bool single = true;
        for (uint32_t i = 0; i + 1 < ret->n_item; i++)
            single &= ret->item[i].kind != MR_PAT_END;
        if (single)
            find_run(ret);
    }
    return 0;
}
