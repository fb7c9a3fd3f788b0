#include "wire/ubjson.h"

#include "base/alloc.h"

#define DEPTH_MAX 64u

struct level {
    yyjson_mut_val *into;
    bool object, counted;
    uint64_t left; /* values still to come, when counted */
    char type;     /* of every item, or 0 */
};

struct reader {
    const uint8_t *base, *p, *end;
    yyjson_mut_doc *doc;
    yyjson_mut_val *root;
    struct mr_err *e;
    size_t budget; /* bytes that may still be allocated */
    unsigned depth;
    struct level level[DEPTH_MAX];
};

/* --- a capped allocator: what is freed early is not given back to the budget --- */

static void *cap_malloc(void *ctx, size_t n) {
    struct reader *r = ctx;
    if (n > r->budget)
        return NULL;
    r->budget -= n;
    return mr_malloc(n);
}
static void *cap_realloc(void *ctx, void *p, size_t old, size_t n) {
    struct reader *r = ctx;
    size_t more = n > old ? n - old : 0;
    if (more > r->budget)
        return NULL;
    r->budget -= more;
    return mr_realloc(p, n);
}
static void cap_free(void *ctx, void *p) {
    (void)ctx;
    mr_free(p);
}

/* --- reading ------------------------------------------------------------------------------ */

static int bad(struct reader *r, const char *why) {
    return mr_fail(r->e, MR_EREFUSED, "UBJSON at byte %zu: %s", (size_t)(r->p - r->base), why);
}

static int no_memory(struct reader *r) {
    return mr_fail(r->e, MR_EREFUSED, "the UBJSON file needs more memory than reading may take");
}

static size_t left(const struct reader *r) {
    return (size_t)(r->end - r->p);
}

static int next_type(struct reader *r, char *ret) {
    while (r->p < r->end && *r->p == 'N')
        r->p++;
    if (r->p == r->end)
        return bad(r, "the file ends inside a value");
    *ret = (char)*r->p++;
    return 0;
}

/* Bytes of a number type; 0 for all others. */
static unsigned width(char type) {
    switch (type) {
    case 'i':
    case 'U':
        return 1;
    case 'I':
        return 2;
    case 'l':
    case 'd':
        return 4;
    case 'L':
    case 'D':
        return 8;
    default:
        return 0;
    }
}

/* Big-endian; the caller has checked that the bytes are there. */
static uint64_t take_bits(struct reader *r, unsigned n) {
    uint64_t v = 0;
    while (n--)
        v = v << 8 | *r->p++;
    return v;
}

static int64_t as_int(char type, uint64_t bits) {
    switch (type) {
    case 'i':
        return (int8_t)bits;
    case 'I':
        return (int16_t)bits;
    case 'l':
        return (int32_t)bits;
    default:
        return (int64_t)bits;
    }
}

static int take_length(struct reader *r, uint64_t *ret) {
    char type = 0;
    int rc = next_type(r, &type);
    if (rc)
        return rc;
    unsigned w = type == 'd' || type == 'D' ? 0 : width(type);
    if (!w)
        return bad(r, "a length that is no integer");
    if (left(r) < w)
        return bad(r, "the file ends inside a length");
    int64_t v = as_int(type, take_bits(r, w));
    if (v < 0)
        return bad(r, "a negative length");
    *ret = (uint64_t)v;
    return 0;
}

static int take_string(struct reader *r, struct mr_str *ret) {
    uint64_t n = 0;
    int rc = take_length(r, &n);
    if (rc)
        return rc;
    if (n > left(r))
        return bad(r, "a string longer than the file");
    *ret = mr_strn((const char *)r->p, n);
    if (!mr_utf8_valid(*ret))
        return bad(r, "a string that is not UTF-8");
    r->p += n;
    return 0;
}

static int number(struct reader *r, char type, yyjson_mut_val **ret) {
    unsigned w = width(type);
    if (left(r) < w)
        return bad(r, "the file ends inside a number");
    uint64_t bits = take_bits(r, w);
    if (type == 'd') {
        uint32_t b32 = (uint32_t)bits;
        float f;
        memcpy(&f, &b32, sizeof f);
        *ret = yyjson_mut_real(r->doc, f);
    } else if (type == 'D') {
        double f;
        memcpy(&f, &bits, sizeof f);
        *ret = yyjson_mut_real(r->doc, f);
    } else {
        *ret = yyjson_mut_sint(r->doc, as_int(type, bits));
    }
    return *ret ? 0 : no_memory(r);
}

/* Opens a container behind its '[' or '{'. */
static int open_level(struct reader *r, bool object, yyjson_mut_val **ret) {
    if (r->depth == DEPTH_MAX)
        return bad(r, "values nest too deep");
    struct level l = {.object = object};
    if (r->p < r->end && *r->p == '$') {
        r->p++;
        if (r->p == r->end)
            return bad(r, "the file ends inside a type");
        l.type = (char)*r->p++;
        if (object || !width(l.type))
            return bad(r, "a container of a type that XGBoost does not write");
        if (r->p == r->end || *r->p != '#')
            return bad(r, "a typed array without a count");
    }
    if (r->p < r->end && *r->p == '#') {
        r->p++;
        l.counted = true;
        int rc = take_length(r, &l.left);
        if (rc)
            return rc;
        uint64_t each = l.type ? width(l.type) : 1; /* no value is shorter than a byte */
        if (l.left > left(r) / each)
            return bad(r, "a count beyond the end of the file");
    }
    *ret = object ? yyjson_mut_obj(r->doc) : yyjson_mut_arr(r->doc);
    if (!*ret)
        return no_memory(r);
    l.into = *ret;
    r->level[r->depth++] = l;
    return 0;
}

static int scalar(struct reader *r, char type, yyjson_mut_val **ret) {
    struct mr_str s;
    int rc;
    switch (type) {
    case 'Z':
        *ret = yyjson_mut_null(r->doc);
        break;
    case 'T':
        *ret = yyjson_mut_true(r->doc);
        break;
    case 'F':
        *ret = yyjson_mut_false(r->doc);
        break;
    case 'C':
        if (r->p == r->end || *r->p >= 0x80)
            return bad(r, "a character that is not ASCII");
        *ret = yyjson_mut_strncpy(r->doc, (const char *)r->p++, 1);
        break;
    case 'S':
        rc = take_string(r, &s);
        if (rc)
            return rc;
        *ret = yyjson_mut_strncpy(r->doc, s.n ? s.p : "", s.n);
        break;
    default:
        return width(type) ? number(r, type, ret) : bad(r, "an unknown type");
    }
    return *ret ? 0 : no_memory(r);
}

static int value(struct reader *r, char type, yyjson_mut_val **ret) {
    if (type == '[' || type == '{')
        return open_level(r, type == '{', ret);
    return scalar(r, type, ret);
}

/* Is the innermost container complete? Consumes its closing mark. */
static bool closed(struct reader *r, const struct level *l) {
    if (l->counted)
        return l->left == 0;
    while (r->p < r->end && *r->p == 'N')
        r->p++;
    if (r->p < r->end && *r->p == (l->object ? '}' : ']')) {
        r->p++;
        return true;
    }
    return false;
}

/* All numbers of a typed array. */
static int typed_items(struct reader *r, struct level *l) {
    for (; l->left; l->left--) {
        yyjson_mut_val *v = NULL;
        int rc = number(r, l->type, &v);
        if (rc)
            return rc;
        yyjson_mut_arr_append(l->into, v);
    }
    return 0;
}

static int one_item(struct reader *r, struct level *l) {
    struct mr_str key = {NULL, 0};
    char type = 0;
    int rc = l->object ? take_string(r, &key) : 0;
    if (!rc)
        rc = next_type(r, &type);
    if (rc)
        return rc;
    if (l->counted)
        l->left--;
    yyjson_mut_val *into = l->into, *v = NULL;
    bool object = l->object;
    rc = value(r, type, &v); /* may open a level: l is not used after this */
    if (rc)
        return rc;
    if (!object)
        return yyjson_mut_arr_append(into, v) ? 0 : no_memory(r);
    yyjson_mut_val *k = yyjson_mut_strncpy(r->doc, key.n ? key.p : "", key.n);
    return k && yyjson_mut_obj_add(into, k, v) ? 0 : no_memory(r);
}

static int read_all(struct reader *r) {
    char type = 0;
    int rc = next_type(r, &type);
    if (!rc)
        rc = value(r, type, &r->root);
    while (!rc && r->depth) {
        struct level *l = &r->level[r->depth - 1];
        if (l->type)
            rc = typed_items(r, l);
        if (!rc && closed(r, l))
            r->depth--;
        else if (!rc)
            rc = one_item(r, l);
    }
    if (!rc && r->p != r->end)
        return bad(r, "other bytes follow the value");
    return rc;
}

int mr_ubjson_read(struct mr_str s, size_t max_memory, yyjson_doc **ret, struct mr_err *e) {
    static const uint8_t nothing;
    struct reader *r = mr_calloc(1, sizeof *r);
    if (!r)
        return mr_fail(e, MR_ENOMEM, "out of memory while reading UBJSON");
    r->base = r->p = s.n ? (const uint8_t *)s.p : &nothing;
    r->end = r->base + s.n;
    r->e = e;
    r->budget = max_memory;
    const yyjson_alc alc = {cap_malloc, cap_realloc, cap_free, r};
    r->doc = yyjson_mut_doc_new(&alc);
    int rc = r->doc ? read_all(r) : no_memory(r);
    if (!rc) {
        yyjson_mut_doc_set_root(r->doc, r->root);
        yyjson_doc *doc = yyjson_mut_doc_imut_copy(r->doc, NULL);
        if (doc)
            *ret = doc;
        else
            rc = mr_fail(e, MR_ENOMEM, "out of memory while reading UBJSON");
    }
    yyjson_mut_doc_free(r->doc);
    mr_free(r);
    return rc;
}

bool mr_ubjson_sniff(struct mr_str s) {
    /* "{L\0\0\0\0\0\0\0\x07learner" and every other integer type for the key's length */
    if (s.n < 4 || s.p[0] != '{')
        return false;
    size_t at = 1;
    if (s.p[1] == '#') { /* counted object */
        at = 2;
        at += 1 + (s.p[at] == 'L' ? 8u : s.p[at] == 'l' ? 4u : s.p[at] == 'I' ? 2u : 1u);
    }
    if (at >= s.n)
        return false;
    char t = s.p[at];
    unsigned w = t == 'd' || t == 'D' ? 0 : width(t);
    if (!w || s.n - at < 1u + w + 1)
        return false;
    uint64_t n = 0;
    for (unsigned i = 1; i <= w; i++)
        n = n << 8 | (uint8_t)s.p[at + i];
    char first = s.p[at + 1 + w];
    return n > 0 && n < 256 && ((first >= 'a' && first <= 'z') || (first >= 'A' && first <= 'Z'));
}
