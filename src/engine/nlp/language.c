/* Language of a text: fastText's lid.176 (Joulin et al. 2016, arXiv 1607.01759). */
#include "base/alloc.h"
#include "base/cleanup.h"
#include "engine/nlp/fasttext.h"
#include "engine/nlp/file.h"
#include "engine/nlp/nlp.h"
#include "engine/nlp/words.h"
#include "model/text/unicode.h"

/* What is read of a text: more does not change the answer. */
#define READ_MAX ((size_t)32 << 10)

struct mr_language {
    struct mr_fasttext *model;
};

int mr_language_open(const char *dir, struct mr_language **ret, struct mr_err *e) {
    MR_AUTO_FREE char *own = NULL;
    struct mr_str file;
    int r = mr_nlp_read_file(dir, "lid.176.ftz", MR_FASTTEXT_FILE_MAX, &own, &file, e);
    if (r)
        return r;
    struct mr_language *l = mr_calloc(1, sizeof *l);
    if (!l)
        return mr_fail(e, MR_ENOMEM, "out of memory loading a model");
    r = mr_fasttext_new(file, &l->model, e);
    if (r) {
        mr_language_free(l);
        return r;
    }
    *ret = l;
    return 0;
}

void mr_language_free(struct mr_language *l) {
    if (!l)
        return;
    mr_fasttext_free(l->model);
    mr_free(l);
}

uint64_t mr_language_memory(const struct mr_language *l) {
    return sizeof *l + mr_fasttext_memory(l->model);
}

struct letters {
    bool any, lower;
};
/* One line: white space becomes a blank; at most READ_MAX bytes, ending between characters. */
static struct letters one_line(struct mr_str text, char *out, size_t *ret_n) {
    struct letters seen = {0};
    size_t n = 0;
    for (const char *p = text.p, *end = text.p + text.n; text.n && p < end;) {
        const char *at = p;
        uint32_t cp = mr_uc_next(&p, end);
        if (n + 4 > READ_MAX)
            break;
        uint8_t f = mr_uc_flags(cp);
        if (f & MR_UC_SPACE || cp == 0) {
            out[n++] = ' ';
            continue;
        }
        seen.any |= f & MR_UC_WORD && !(f & MR_UC_DIGIT) && cp != '_';
        seen.lower |= f & MR_UC_CASED && !(f & MR_UC_LOWER);
        memcpy(out + n, at, (size_t)(p - at));
        n += (size_t)(p - at);
    }
    *ret_n = n;
    return seen;
}

/* The model's labels are Wikipedia's names of languages; these are not ISO's. */
static struct mr_str iso(struct mr_str label) {
    static const char *const other[][2] = {{"als", "gsw"}, {"bh", "bho"}, {"eml", "egl"}};
    for (size_t i = 0; i < sizeof other / sizeof *other; i++)
        if (mr_str_is(label, other[i][0]))
            return mr_str(other[i][1]);
    return label;
}

int mr_language_detect(struct mr_language *l, struct mr_str text, char ret_code[8],
                       double *ret_confidence, struct mr_err *e) {
    MR_AUTO_FREE char *line = mr_malloc(text.n < READ_MAX ? text.n + 4 : READ_MAX);
    if (!line)
        return mr_fail(e, MR_ENOMEM, "out of memory reading a text");
    size_t n;
    uint32_t label;
    double p;
    struct letters seen = one_line(text, line, &n);
    struct mr_str in = {line, n};
    struct mr_arena a;
    mr_arena_init(&a, READ_MAX * 4);
    if (seen.any && !seen.lower) /* the model knows words in capitals little */
        in = mr_words_lower(&a, in);
    if (!seen.any || !in.p || !mr_fasttext_predict(l->model, in, &label, &p)) {
        memcpy(ret_code, "und", 4);
        *ret_confidence = 0;
    } else {
        struct mr_str code = iso(mr_fasttext_label(l->model, label));
        snprintf(ret_code, 8, "%.*s", (int)(code.n < 7 ? code.n : 7), code.p);
        *ret_confidence = p;
    }
    mr_arena_release(&a);
    return 0;
}
