#include "wire/gguf.h"

#include <string.h>

enum {
    KEY_MAX = 65535,
    DIMS_MAX = 4,
};
#define TENSORS_MAX  100000u
#define VALUES_MAX   100000u
#define ELEMENTS_MAX ((uint64_t)1 << 40)

enum { U8, I8, U16, I16, U32, I32, F32, BOOL, STRING, ARRAY, U64, I64, F64 };

struct cursor {
    const uint8_t *p, *end;
};

/* Bytes and elements of a block of each tensor type (ggml.h, enum ggml_type); {0, 0}: removed
 * types; size 0: served by the library, but not measured here. */
static const struct {
    uint16_t elements, bytes;
} blocks[] = {{1, 4},     {1, 2},     {32, 18},   {32, 20},  {0, 0},     {0, 0},     {32, 22},
              {32, 24},   {32, 34},   {32, 36},   {256, 84}, {256, 110}, {256, 144}, {256, 176},
              {256, 210}, {256, 292}, {256, 66},  {256, 74}, {256, 98},  {256, 50},  {32, 18},
              {256, 110}, {256, 82},  {256, 136}, {1, 1},    {1, 2},     {1, 4},     {1, 8},
              {1, 8},     {256, 56},  {1, 2},     {0, 0},    {0, 0},     {0, 0},     {256, 54},
              {256, 66},  {0, 0},     {0, 0},     {0, 0},    {32, 17},   {64, 0},    {1, 0},
              {1, 0}};

static bool take(struct cursor *c, uint64_t n, const uint8_t **ret) {
    if ((uint64_t)(c->end - c->p) < n)
        return false;
    *ret = c->p;
    c->p += n;
    return true;
}

static bool number(struct cursor *c, unsigned bytes, uint64_t *ret) {
    const uint8_t *p;
    if (!take(c, bytes, &p))
        return false;
    uint64_t v = 0;
    for (unsigned k = 0; k < bytes; k++)
        v |= (uint64_t)p[k] << 8 * k;
    *ret = v;
    return true;
}

static bool string(struct cursor *c, struct mr_str *ret) {
    uint64_t n;
    const uint8_t *p;
    if (!number(c, 8, &n) || !take(c, n, &p))
        return false;
    *ret = (struct mr_str){(const char *)p, (size_t)n};
    return true;
}

static unsigned scalar_bytes(uint64_t type) {
    static const uint8_t bytes[] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};
    return type < sizeof bytes ? bytes[type] : 0;
}

static int cut_off(struct mr_err *e, const char *where) {
    return mr_fail(e, MR_EREFUSED, "the GGUF file is damaged or cut off: %s", where);
}

/* What is needed of the lists while the values are read. */
struct lists {
    uint64_t bos, alignment;
    bool has_bos;
    const uint8_t *tokens, *tokens_end;
    uint64_t n_tokens, n_scores, n_types;
};

static int skip_array(struct cursor *c, struct mr_str key, struct lists *l, struct mr_err *e) {
    uint64_t type, n;
    if (!number(c, 4, &type) || !number(c, 8, &n))
        return cut_off(e, "a list ends early");
    const uint8_t *from = c->p;
    unsigned bytes = scalar_bytes(type);
    if (bytes) {
        if (n > (uint64_t)(c->end - c->p) / bytes)
            return cut_off(e, "a list ends early");
        c->p += n * bytes;
    } else if (type == STRING) {
        struct mr_str s;
        for (uint64_t k = 0; k < n; k++)
            if (!string(c, &s))
                return cut_off(e, "a list of texts ends early");
    } else {
        return mr_fail(e, MR_EREFUSED, "the GGUF file has a list of an unknown type (%llu)",
                       (unsigned long long)type);
    }
    if (mr_str_is(key, "tokenizer.ggml.tokens")) {
        if (type != STRING)
            return mr_fail(e, MR_EREFUSED, "the tokens of the GGUF file are not texts");
        l->tokens = from;
        l->tokens_end = c->p;
        l->n_tokens = n;
    } else if (mr_str_is(key, "tokenizer.ggml.scores")) {
        l->n_scores = n;
    } else if (mr_str_is(key, "tokenizer.ggml.token_type")) {
        l->n_types = n;
    }
    return 0;
}

/* "<architecture>.<suffix>" */
static bool is_own(struct mr_str key, struct mr_str arch, const char *suffix) {
    size_t n = strlen(suffix);
    return arch.n && key.n == arch.n + 1 + n && !memcmp(key.p, arch.p, arch.n) &&
           key.p[arch.n] == '.' && !memcmp(key.p + arch.n + 1, suffix, n);
}

static void keep_text(struct mr_gguf *g, struct mr_str key, struct mr_str v) {
    if (mr_str_is(key, "general.architecture"))
        g->architecture = v;
    else if (mr_str_is(key, "general.name"))
        g->name = v;
    else if (mr_str_is(key, "general.type"))
        g->type = v;
    else if (mr_str_is(key, "tokenizer.chat_template"))
        g->chat_template = v;
}

static void keep_number(struct mr_gguf *g, struct lists *l, struct mr_str key, uint64_t v) {
    if (mr_str_is(key, "general.file_type"))
        g->file_type = v <= INT32_MAX ? (int64_t)v : -1;
    else if (mr_str_is(key, "split.count"))
        g->split_count = v;
    else if (is_own(key, g->architecture, "context_length"))
        g->context_length = v;
    else if (is_own(key, g->architecture, "embedding_length"))
        g->embedding_length = v;
    else if (mr_str_is(key, "tokenizer.ggml.bos_token_id"))
        l->bos = v, l->has_bos = true;
    else if (mr_str_is(key, "general.alignment"))
        l->alignment = v;
}

static int value(struct cursor *c, struct mr_gguf *g, struct lists *l, struct mr_err *e) {
    struct mr_str key, text;
    uint64_t type, v;
    if (!string(c, &key) || !number(c, 4, &type))
        return cut_off(e, "its list of values ends early");
    if (!key.n || key.n > KEY_MAX)
        return mr_fail(e, MR_EREFUSED, "the GGUF file has a value with a name of %zu bytes", key.n);
    if (type == ARRAY)
        return skip_array(c, key, l, e);
    if (type == STRING) {
        if (!string(c, &text))
            return cut_off(e, "a text ends early");
        keep_text(g, key, text);
        return 0;
    }
    if (!scalar_bytes(type))
        return mr_fail(e, MR_EREFUSED, "the GGUF file has a value of an unknown type (%llu)",
                       (unsigned long long)type);
    if (!number(c, scalar_bytes(type), &v))
        return cut_off(e, "its list of values ends early");
    if (type != F32 && type != F64)
        keep_number(g, l, key, v);
    return 0;
}

struct extent {
    uint64_t end; /* of the furthest tensor, from the start of the data */
};

static int tensor(struct cursor *c, struct mr_gguf *g, struct extent *x, struct mr_err *e) {
    struct mr_str name;
    uint64_t dims, n = 1, type, offset, d, row = 1;
    if (!string(c, &name) || !number(c, 4, &dims))
        return cut_off(e, "its list of tensors ends early");
    if (name.n > KEY_MAX || dims > DIMS_MAX)
        return mr_fail(e, MR_EREFUSED, "the GGUF file has a tensor of %llu dimensions",
                       (unsigned long long)dims);
    for (uint64_t k = 0; k < dims; k++) {
        if (!number(c, 8, &d))
            return cut_off(e, "its list of tensors ends early");
        if (!d || d > ELEMENTS_MAX / n)
            return mr_fail(e, MR_EREFUSED, "the GGUF file has a tensor of impossible size: %.*s",
                           (int)(name.n < 80 ? name.n : 80), name.p);
        n *= d;
        row = k ? row : d;
    }
    if (!number(c, 4, &type) || !number(c, 8, &offset))
        return cut_off(e, "its list of tensors ends early");
    if (type >= sizeof blocks / sizeof *blocks || !blocks[type].elements)
        return mr_fail(e, MR_EREFUSED, "the GGUF file has a tensor of an unknown type (%llu)",
                       (unsigned long long)type);
    if (row % blocks[type].elements)
        return mr_fail(e, MR_EREFUSED, "a tensor of the GGUF file does not fill its blocks: %.*s",
                       (int)(name.n < 80 ? name.n : 80), name.p);
    uint64_t bytes = n / blocks[type].elements * blocks[type].bytes; /* n <= 2^40 */
    if (offset > UINT64_MAX - bytes)
        return mr_fail(e, MR_EREFUSED, "a tensor of the GGUF file lies outside of it");
    if (offset + bytes > x->end)
        x->end = offset + bytes;
    g->parameters += n;
    return 0;
}

static int check_lists(struct mr_gguf *g, const struct lists *l, struct mr_err *e) {
    g->vocabulary = l->n_tokens;
    if ((l->n_scores && l->n_scores < l->n_tokens) || (l->n_types && l->n_types < l->n_tokens))
        return mr_fail(e, MR_EREFUSED,
                       "the GGUF file lists %llu tokens, but fewer scores or kinds of them",
                       (unsigned long long)l->n_tokens);
    if (!l->has_bos || l->bos >= l->n_tokens)
        return 0;
    struct cursor c = {l->tokens, l->tokens_end};
    for (uint64_t k = 0; k <= l->bos; k++)
        if (!string(&c, &g->bos))
            return cut_off(e, "a list of texts ends early");
    return 0;
}

int mr_gguf_parse(struct mr_str file, struct mr_gguf *ret, struct mr_err *e) {
    struct cursor c = {(const uint8_t *)file.p, (const uint8_t *)file.p + file.n};
    struct mr_gguf g = {.file_type = -1};
    struct lists l = {.alignment = 32};
    struct extent x = {0};
    uint64_t magic, version;
    if (!number(&c, 4, &magic) || magic != 0x46554747) /* "GGUF" */
        return mr_fail(e, MR_EREFUSED, "this is not a GGUF file");
    if (!number(&c, 4, &version))
        return cut_off(e, "its header ends early");
    if (version != 2 && version != 3)
        return mr_fail(e, MR_EUNSUPPORTED,
                       "this is a GGUF file of version %llu or of another byte order; 2 and 3, "
                       "little-endian, are read",
                       (unsigned long long)version);
    if (!number(&c, 8, &g.n_tensors) || !number(&c, 8, &g.n_values))
        return cut_off(e, "its header ends early");
    if (g.n_tensors > TENSORS_MAX || g.n_values > VALUES_MAX)
        return mr_fail(e, MR_EREFUSED, "the GGUF file claims %llu tensors and %llu values",
                       (unsigned long long)g.n_tensors, (unsigned long long)g.n_values);
    g.version = (uint32_t)version;
    int r = 0;
    for (uint64_t k = 0; !r && k < g.n_values; k++)
        r = value(&c, &g, &l, e);
    for (uint64_t k = 0; !r && k < g.n_tensors; k++)
        r = tensor(&c, &g, &x, e);
    if (!r)
        r = check_lists(&g, &l, e);
    if (r)
        return r;
    if (!l.alignment || l.alignment > 65536 || (l.alignment & (l.alignment - 1)))
        return mr_fail(e, MR_EREFUSED, "the GGUF file has an impossible alignment");
    g.header_bytes = (uint64_t)((const char *)c.p - file.p);
    uint64_t data = (g.header_bytes + l.alignment - 1) / l.alignment * l.alignment;
    uint64_t left = data < file.n ? file.n - data : 0;
    if (x.end > left)
        return mr_fail(e, MR_EREFUSED,
                       "the GGUF file is cut off: its tensors end %llu bytes behind its end",
                       (unsigned long long)(x.end - left));
    *ret = g;
    return 0;
}

const char *mr_gguf_file_type_name(int64_t file_type) {
    static const char *const name[] = {
        "F32",    "F16",    "Q4_0",  "Q4_1",    "Q4_1",   "Q4_2",   "Q4_3",   "Q8_0",
        "Q5_0",   "Q5_1",   "Q2_K",  "Q3_K_S",  "Q3_K_M", "Q3_K_L", "Q4_K_S", "Q4_K_M",
        "Q5_K_S", "Q5_K_M", "Q6_K",  "IQ2_XXS", "IQ2_XS", "Q2_K_S", "IQ3_XS", "IQ3_XXS",
        "IQ1_S",  "IQ4_NL", "IQ3_S", "IQ3_M",   "IQ2_S",  "IQ2_M",  "IQ4_XS", "IQ1_M",
        "BF16",   NULL,     NULL,    NULL,      "TQ1_0",  "TQ2_0",  "MXFP4",  "NVFP4"};
    const char *s = file_type >= 0 && file_type < (int64_t)(sizeof name / sizeof *name)
                        ? name[file_type]
                        : NULL;
    return s ? s : "unknown";
}
