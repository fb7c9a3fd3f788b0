#include "engine/nlp/ner.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "engine/nlp/file.h"
#include "engine/nlp/ner_internal.h"
#include "model/text/unicode.h"

#include <math.h>

#define FILE_MAX (64u << 20)
#define TEXT_MAX (1u << 20) /* bytes, as all of src/engine/nlp */

void mr_ner_free(struct mr_ner *n) {
    if (!n)
        return;
    mr_free(n->file);
    mr_free(n->rules.set);
    mr_ner_map_release(&n->special_of);
    mr_ner_map_release(&n->symbol);
    mr_ner_map_release(&n->norm);
    mr_ner_map_release(&n->pattern);
    mr_free(n->special);
    mr_free(n->special_token);
    for (uint32_t i = 0; i < n->nlabel; i++)
        mr_free(n->label[i]);
    mr_free(n);
}
MR_DEFINE_CLEANUP(struct mr_ner *, mr_ner_free);

int mr_ner_open(const char *dir, struct mr_ner **ret, struct mr_err *e) {
    MR_CLEANUP(mr_ner_free_p) struct mr_ner *n = mr_calloc(1, sizeof *n);
    if (!n)
        return mr_fail(e, MR_ENOMEM, "out of memory while opening the named-entity network");
    struct mr_str whole;
    int rc = mr_nlp_read_file(dir, "ner.bin", FILE_MAX, &n->file, &whole, e);
    if (rc < 0)
        return rc;
    n->size = whole.n;
    if ((rc = mr_ner_parse(n, "ner.bin", e)) < 0)
        return rc;
    *ret = MR_TAKE(n);
    return 0;
}

uint64_t mr_ner_memory(const struct mr_ner *n) {
    uint64_t maps = (uint64_t)n->special_of.cap + n->symbol.cap + n->norm.cap + n->pattern.cap;
    return sizeof *n + n->size + maps * 17 + n->rules.nset * sizeof *n->rules.set;
}

int mr_ner_decode(struct mr_str text, struct mr_ner_text *ret, uint32_t **ret_own) {
    uint32_t *cp = mr_malloc((2 * text.n + 1) * sizeof *cp), *off = cp ? cp + text.n : NULL, n = 0;
    if (!cp)
        return MR_ENOMEM;
    for (const char *p = text.p, *end = text.p + text.n; p < end; n++) {
        off[n] = (uint32_t)(p - text.p);
        cp[n] = mr_uc_next(&p, end);
    }
    off[n] = (uint32_t)text.n;
    *ret = (struct mr_ner_text){text.p, cp, off, n};
    *ret_own = cp;
    return 0;
}

static bool ends(const struct mr_ner *n, const struct mr_ner_action *a) {
    return n->net.kind[a->move] == MR_NER_LAST || n->net.kind[a->move] == MR_NER_UNIT;
}

/* The entities that the actions spell. */
static int collect(const struct mr_ner *n, const struct mr_ner_text *t,
                   const struct mr_ner_tokens *v, const struct mr_ner_action *act,
                   struct mr_arena *arena, struct mr_entity **ret, size_t *ret_n) {
    size_t count = 0, k = 0;
    for (uint32_t i = 0; i < v->n; i++)
        count += ends(n, &act[i]);
    struct mr_entity *out = mr_arena_array(arena, count + 1, sizeof *out);
    if (!out)
        return MR_ENOMEM;
    uint32_t first = 0;
    double log_sum = 0;
    for (uint32_t i = 0; i < v->n; i++) {
        uint8_t kind = n->net.kind[act[i].move];
        if (kind == MR_NER_OUT)
            continue;
        if (kind == MR_NER_BEGIN || kind == MR_NER_UNIT) {
            first = i;
            log_sum = 0;
        }
        log_sum += log((double)act[i].probability);
        if (!ends(n, &act[i]))
            continue;
        uint32_t start = v->tok[first].start, end = v->tok[i].start + v->tok[i].n;
        out[k] = (struct mr_entity){
            mr_arena_keep(arena, mr_strn(t->p + t->off[start], t->off[end] - t->off[start])),
            n->label[n->net.label[act[i].move]], start, end, exp(log_sum / (i - first + 1))};
        if (!out[k++].text.p)
            return MR_ENOMEM;
    }
    *ret = out;
    *ret_n = k;
    return 0;
}

/* A text on its way through the parts. */
struct reading {
    uint32_t *own;
    struct mr_ner_text t;
    struct mr_ner_tokens v;
    struct mr_ner_action *act;
    float *score;
};

static void release(struct reading *r) {
    mr_free(r->own);
    mr_free(r->v.tok);
    mr_free(r->act);
    mr_free(r->score);
}

static int read_text(const struct mr_ner *n, struct mr_str text, struct reading *r,
                     struct mr_err *e) {
    if (text.n > TEXT_MAX)
        return mr_fail(e, MR_ETOOBIG, "the text has %zu bytes; at most %u are read", text.n,
                       TEXT_MAX);
    if (!mr_utf8_valid(text))
        return mr_fail(e, MR_EINVAL, "the text is not UTF-8");
    int rc = mr_ner_decode(text, &r->t, &r->own);
    if (rc == 0)
        rc = mr_ner_tokenize(n, &r->t, true, &r->v);
    if (rc == 0 && (!(r->act = mr_calloc(r->v.n + 1, sizeof *r->act)) ||
                    !(r->score = mr_calloc(r->v.n + 1, sizeof *r->score))))
        rc = MR_ENOMEM;
    if (rc == 0)
        rc = mr_ner_run(n, &r->t, &r->v, r->act, r->score);
    if (rc == MR_EREFUSED)
        return mr_fail(e, rc, "the named-entity network has no action for a token");
    return rc < 0 ? mr_fail(e, rc, "out of memory while reading entities") : 0;
}

int mr_ner_read(struct mr_ner *n, struct mr_str text, struct mr_arena *arena,
                struct mr_entity **ret, size_t *ret_n, struct mr_err *e) {
    MR_CLEANUP(release) struct reading r = {0};
    int rc = read_text(n, text, &r, e);
    if (rc == 0 && collect(n, &r.t, &r.v, r.act, arena, ret, ret_n) < 0)
        return mr_fail(e, MR_ENOMEM, "out of memory while reading entities");
    return rc;
}

int mr_ner_trace(const struct mr_ner *n, struct mr_str text, struct mr_arena *arena,
                 struct mr_ner_trace **ret, size_t *ret_n, struct mr_err *e) {
    MR_CLEANUP(release) struct reading r = {0};
    int rc = read_text(n, text, &r, e);
    if (rc < 0)
        return rc;
    struct mr_ner_trace *out = mr_arena_array(arena, r.v.n + 1, sizeof *out);
    if (!out)
        return mr_fail(e, MR_ENOMEM, "out of memory while reading entities");
    for (uint32_t i = 0; i < r.v.n; i++)
        out[i] = (struct mr_ner_trace){r.v.tok[i].start, r.v.tok[i].n, r.act[i].move, r.score[i]};
    *ret = out;
    *ret_n = r.v.n;
    return 0;
}
