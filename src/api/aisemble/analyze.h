/* One analysis from its inputs to the JSON members of its reply, for requests and for the items of
 * jobs alike. All block on models: never on loop threads. Members are appended to `out`, which
 * stands inside an object; after an error it holds rubbish. What models are used goes onto the
 * caller's bill, which the caller closes. */
#ifndef MR_API_AISEMBLE_ANALYZE_H
#define MR_API_AISEMBLE_ANALYZE_H

#include "base/arena.h"
#include "base/buf.h"
#include "core/core.h"
#include "core/principal.h"

struct mr_bill;
struct mr_llm_delta;

/* --- vision ------------------------------------------------------------------------------- */
enum { MR_SEE_OBJECTS = 1, MR_SEE_TEXT = 2, MR_SEE_SCENE = 4, MR_SEE_ALL = 7 };
struct mr_vision_ask {
    struct mr_bill *bill;
    struct mr_str bytes;   /* the image file */
    unsigned kinds;        /* of analyze */
    struct mr_str model;   /* p NULL: the defaults */
    double min_confidence; /* of objects; 0 = 0.4 */
    unsigned top_k;        /* of classify */
};
/* "object_detection" … to its bit; 0 = unknown. */
unsigned mr_vision_kind(struct mr_str name);
/* image_info, analysis_results, model, models. */
int mr_vision_analyze(struct mr_core *core, const struct mr_vision_ask *q, struct mr_arena *arena,
                      struct mr_buf *out, struct mr_err *e);
/* predictions, model. */
int mr_vision_classify(struct mr_core *core, const struct mr_vision_ask *q, struct mr_arena *arena,
                       struct mr_buf *out, struct mr_err *e);
/* Base64 or a data: URL into `out`; MR_EFIELD naming `field`. */
int mr_vision_base64(struct mr_str text, const char *field, struct mr_buf *out, struct mr_err *e);

/* --- language ----------------------------------------------------------------------------- */
enum {
    MR_NLP_SENTIMENT = 1,
    MR_NLP_ENTITIES = 2,
    MR_NLP_KEYWORDS = 4,
    MR_NLP_LANGUAGE = 8,
    MR_NLP_ALL = 15,
};
struct mr_nlp_ask {
    struct mr_bill *bill;
    struct mr_str text; /* well-formed UTF-8 */
    unsigned kinds;
    struct mr_str language; /* "auto", or p NULL, or a code */
    unsigned max_keywords;
};
unsigned mr_nlp_kind(struct mr_str name);
/* text_length, detected_language, then what was asked, warnings, models. */
int mr_nlp_analyze(struct mr_core *core, const struct mr_nlp_ask *q, struct mr_arena *arena,
                   struct mr_buf *out, struct mr_err *e);

struct mr_summary_ask {
    struct mr_bill *bill; /* of the extractive one; its account and family also pay the other */
    struct mr_str text, model;
    uint32_t min_words, max_words;
    int (*on_delta)(void *arg, const struct mr_llm_delta *d); /* as core/text's: non-zero ends it */
    void *arg;
};
/* original_length, summary, summary_length, compression_ratio, model, method, warnings. */
int mr_nlp_summary(struct mr_core *core, const struct mr_summary_ask *q, struct mr_arena *arena,
                   struct mr_buf *out, struct mr_err *e);
/* model, embeddings, dimensions, usage. */
int mr_nlp_embed(struct mr_bill *bill, const struct mr_str *texts, size_t n, struct mr_str model,
                 struct mr_arena *arena, struct mr_buf *out, struct mr_err *e);

/* --- both --------------------------------------------------------------------------------- */
/* Closes the bill (see mr_bill_close); cost, charge_ids. */
int mr_close_bill(struct mr_bill *bill, int rc, struct mr_buf *out, struct mr_err *e);
void mr_json_share(struct mr_buf *b, const char *key, double v); /* 0 … 1, six digits */
size_t mr_code_points(struct mr_str utf8);

#endif
