/* Texts: what they say, as JSON. */
#include "api/aisemble/analyze.h"
#include "api/api.h"
#include "core/bill/bill.h"
#include "engine/nlp/ner.h"
#include "engine/nlp/nlp.h"

#include <math.h>

size_t mr_code_points(struct mr_str s) {
    size_t n = 0;
    for (size_t i = 0; i < s.n; i++)
        n += ((unsigned char)s.p[i] & 0xC0) != 0x80;
    return n;
}

unsigned mr_nlp_kind(struct mr_str name) {
    return mr_str_is(name, "sentiment")  ? MR_NLP_SENTIMENT
           : mr_str_is(name, "entities") ? MR_NLP_ENTITIES
           : mr_str_is(name, "keywords") ? MR_NLP_KEYWORDS
           : mr_str_is(name, "language") ? MR_NLP_LANGUAGE
                                         : 0;
}

struct reading {
    struct mr_core *core;
    const struct mr_nlp_ask *q;
    struct mr_arena *arena;
    struct mr_buf *out;
    int64_t words;
    char detected[8], language[8]; /* what it is; what it is read as */
    double detected_confidence;
    struct mr_buf used, warnings;
};

static void say_used(struct reading *r, const char *what, const char *model) {
    mr_buf_fmt(&r->used, "%s\"%s\":\"%s\"", r->used.n ? "," : "", what, model);
}

/* A model that helps another one. */
static int begin(struct reading *r, enum mr_model_kind kind, struct mr_use *u, struct mr_err *e) {
    return mr_use_begin(r->core->residency, mr_strn(NULL, 0), kind, u, e);
}

/* The model of an analysis: on the bill, a word a token. */
static int charge(struct reading *r, enum mr_model_kind kind, struct mr_use *u, struct mr_err *e) {
    struct mr_bill_item *i;
    int rc = mr_bill_use(r->q->bill, mr_strn(NULL, 0), kind, (int64_t)r->q->text.n, u, &i, e);
    if (!rc)
        i->tokens.input = r->words;
    return rc;
}

static bool english(const struct reading *r) {
    return !strcmp(r->language, "en");
}

/* What was made for English says so when the text is something else. */
static void warn(struct reading *r, const char *what) {
    if (english(r))
        return;
    mr_buf_fmt(&r->warnings,
               "%s\"%s: made for English, but this text is read as '%s'; do not rely on it\"",
               r->warnings.n ? "," : "", what, r->language);
}

static void signed_share(struct mr_buf *b, const char *key, double v) {
    double clean = v > -1 ? v < 1 ? v : 1 : -1;
    mr_json_f64(b, key, (double)llround(clean * 1e6) / 1e6);
}

/* --- the analyses ------------------------------------------------------------------------- */

static int language(struct reading *r, struct mr_err *e) {
    struct mr_str asked = r->q->language;
    for (size_t i = 0; i < asked.n; i++)
        if (asked.n > 7 || ((asked.p[i] < 'a' || asked.p[i] > 'z') && asked.p[i] != '-'))
            return mr_fail_field(e, MR_EFIELD, "language",
                                 "language must be auto or a code like en, in lower case");
    struct mr_use u = {0};
    int rc = charge(r, MR_KIND_LANGUAGE, &u, e);
    if (rc)
        return rc;
    rc = mr_language_detect(u.handle, r->q->text, r->detected, &r->detected_confidence, e);
    if (!rc)
        say_used(r, "language", u.model->id);
    mr_use_end(&u, !rc);
    bool given = asked.n && !mr_str_is(asked, "auto");
    snprintf(r->language, sizeof r->language, "%.*s", given ? (int)asked.n : 7,
             given ? asked.p : r->detected);
    return rc;
}

static int sentiment(struct reading *r, struct mr_err *e) {
    struct mr_sentiment_result s;
    struct mr_use u = {0}, embedder = {0};
    int rc = charge(r, MR_KIND_SENTIMENT, &u, e);
    if (!rc)
        rc = begin(r, MR_KIND_EMBEDDER, &embedder, e);
    if (!rc)
        rc = mr_sentiment_read(u.handle, embedder.handle, r->q->text, r->arena, &s, e);
    if (!rc) {
        say_used(r, "sentiment", u.model->id);
        warn(r, "sentiment");
        mr_json_key(r->out, "sentiment");
        mr_buf_char(r->out, '{');
        signed_share(r->out, "polarity", s.polarity);
        mr_json_share(r->out, "subjectivity", s.subjectivity);
        mr_json_cstr(r->out, "label", s.label);
        mr_json_share(r->out, "confidence", s.confidence);
        mr_buf_char(r->out, '}');
    }
    mr_use_end(&embedder, !rc);
    mr_use_end(&u, !rc);
    return rc;
}

static int entities(struct reading *r, struct mr_err *e) {
    struct mr_entity *v = NULL;
    struct mr_use u = {0};
    size_t n = 0;
    int rc = charge(r, MR_KIND_NER, &u, e);
    if (!rc)
        rc = mr_ner_read(u.handle, r->q->text, r->arena, &v, &n, e);
    if (!rc) {
        say_used(r, "entities", u.model->id);
        warn(r, "entities");
        mr_json_key(r->out, "entities");
        mr_buf_char(r->out, '[');
        for (size_t i = 0; i < n; i++) {
            mr_buf_cstr(r->out, i ? ",{" : "{");
            mr_json_str(r->out, "text", v[i].text);
            mr_json_cstr(r->out, "label", v[i].label);
            mr_json_i64(r->out, "start", v[i].start);
            mr_json_i64(r->out, "end", v[i].end);
            mr_json_share(r->out, "confidence", v[i].confidence);
            mr_buf_char(r->out, '}');
        }
        mr_buf_char(r->out, ']');
    }
    mr_use_end(&u, !rc);
    return rc;
}

static int keywords(struct reading *r, struct mr_err *e) {
    struct mr_keyword *v = NULL;
    struct mr_use u = {0}, algorithm = {0};
    size_t n = 0;
    int rc = charge(r, MR_KIND_KEYWORDS, &algorithm, e);
    if (!rc)
        rc = begin(r, MR_KIND_SENTIMENT, &u, e); /* its lexicon, for each keyword */
    if (!rc)
        rc = mr_keywords(r->q->text, r->language, r->q->max_keywords ? r->q->max_keywords : 10,
                         r->arena, &v, &n, e);
    if (!rc) {
        say_used(r, "keywords", algorithm.model->id);
        mr_json_key(r->out, "keywords");
        mr_buf_char(r->out, '[');
        for (size_t i = 0; i < n; i++) {
            mr_buf_cstr(r->out, i ? ",{" : "{");
            mr_json_str(r->out, "text", v[i].text);
            mr_json_share(r->out, "relevance", v[i].relevance);
            signed_share(r->out, "sentiment", mr_sentiment_word(u.handle, v[i].text));
            mr_json_i64(r->out, "count", v[i].count);
            mr_buf_char(r->out, '}');
        }
        mr_buf_char(r->out, ']');
        if (n)
            warn(r, "the keywords' sentiment");
    }
    mr_use_end(&u, !rc);
    mr_use_end(&algorithm, !rc);
    return rc;
}

int mr_nlp_analyze(struct mr_core *core, const struct mr_nlp_ask *q, struct mr_arena *arena,
                   struct mr_buf *out, struct mr_err *e) {
    struct reading r = {
        .core = core, .q = q, .arena = arena, .out = out, .words = mr_word_count(q->text)};
    unsigned kinds = q->kinds ? q->kinds : MR_NLP_ALL;
    mr_buf_init(&r.used, 4096);
    mr_buf_init(&r.warnings, 4096);
    int rc = language(&r, e);
    mr_json_i64(out, "text_length", (int64_t)mr_code_points(q->text));
    mr_json_cstr(out, "detected_language", r.detected);
    mr_json_share(out, "language_confidence", r.detected_confidence);
    if (!rc && kinds & MR_NLP_SENTIMENT)
        rc = sentiment(&r, e);
    if (!rc && kinds & MR_NLP_ENTITIES)
        rc = entities(&r, e);
    if (!rc && kinds & MR_NLP_KEYWORDS)
        rc = keywords(&r, e);
    if (!rc && r.warnings.n)
        mr_buf_fmt(out, ",\"warnings\":[%s]", r.warnings.p);
    if (!rc)
        mr_buf_fmt(out, ",\"models\":{%s}", r.used.p);
    mr_buf_release(&r.warnings);
    mr_buf_release(&r.used);
    return rc;
}

int mr_nlp_embed(struct mr_bill *bill, const struct mr_str *texts, size_t n, struct mr_str model,
                 struct mr_arena *arena, struct mr_buf *out, struct mr_err *e) {
    struct mr_use u = {0};
    struct mr_bill_item *item;
    uint32_t tokens = 0;
    float *v = NULL;
    int rc = mr_bill_use(bill, model, MR_KIND_EMBEDDER, mr_embed_most(texts, n), &u, &item, e);
    if (!rc)
        rc = mr_embed(u.handle, texts, n, arena, &v, &tokens, e);
    if (!rc) {
        item->tokens.input = tokens;
        unsigned dim = mr_embedder_dim(u.handle);
        mr_json_cstr(out, "model", u.model->id);
        mr_json_key(out, "embeddings");
        mr_buf_char(out, '[');
        for (size_t i = 0; i < n; i++) {
            mr_buf_cstr(out, i ? ",[" : "[");
            for (unsigned k = 0; k < dim; k++) {
                if (k)
                    mr_buf_char(out, ',');
                mr_buf_fmt(out, "%.8g", (double)v[i * dim + k]);
            }
            mr_buf_char(out, ']');
        }
        mr_buf_char(out, ']');
        mr_json_i64(out, "dimensions", dim);
        mr_buf_fmt(out, ",\"usage\":{\"total_tokens\":%u}", tokens);
    }
    mr_use_end(&u, !rc);
    return rc;
}
