#include "core/catalog/drivers.h"

#include "engine/llm/llm.h"
#include "engine/nlp/ner.h"
#include "engine/nlp/nlp.h"
#include "engine/vision/vision.h"

/* Adapts an engine's open, close and memory functions of one handle type. */
#define DRIVER(name, type, open_expr, close_fn, memory_fn)                                         \
    static int open_##name(const struct mr_catalog_model *m, const struct mr_residency_config *c,  \
                           void **ret, struct mr_err *e) {                                         \
        struct type *handle = NULL;                                                                \
        (void)c;                                                                                   \
        int rc = open_expr;                                                                        \
        if (!rc)                                                                                   \
            *ret = handle;                                                                         \
        return rc;                                                                                 \
    }                                                                                              \
    static void close_##name(void *handle) {                                                       \
        close_fn(handle);                                                                          \
    }                                                                                              \
    static uint64_t memory_##name(void *handle) {                                                  \
        return memory_fn(handle);                                                                  \
    }

DRIVER(embedder, mr_embedder, mr_embedder_open(m->dir, &handle, e), mr_embedder_free,
       mr_embedder_memory)
DRIVER(classifier, mr_classifier, mr_classifier_open(m->dir, &handle, e), mr_classifier_free,
       mr_classifier_memory)
DRIVER(detector, mr_detector, mr_detector_open(m->dir, &handle, e), mr_detector_free,
       mr_detector_memory)
DRIVER(language, mr_language, mr_language_open(m->dir, &handle, e), mr_language_free,
       mr_language_memory)
DRIVER(sentiment, mr_sentiment, mr_sentiment_open(m->dir, &handle, e), mr_sentiment_free,
       mr_sentiment_memory)
DRIVER(ocr, mr_ocr,
       mr_ocr_open(m->dir, strcmp(m->runtime, "tesseract") ? MR_OCR_PP : MR_OCR_TESSERACT, &handle,
                   e),
       mr_ocr_free, mr_ocr_memory)
DRIVER(ner, mr_ner, mr_ner_open(m->dir, &handle, e), mr_ner_free, mr_ner_memory)

/* --- language models ---------------------------------------------------------------------- */

static int open_llm(const struct mr_catalog_model *m, const struct mr_residency_config *c,
                    void **ret, struct mr_err *e) {
    struct mr_llm *handle = NULL;
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", m->dir, m->file);
    struct mr_llm_config lc = {.path = path,
                               .parallel = c->llm_parallel,
                               .threads = c->llm_threads,
                               .queue_max = c->llm_queue,
                               .memory_max = c->memory_max,
                               .log = c->log};
    int rc = mr_llm_open(&lc, &handle, e);
    if (!rc)
        *ret = handle;
    return rc;
}

static void close_llm(void *handle) {
    mr_llm_free(handle);
}

static struct mr_llm_info info_of(void *handle) {
    struct mr_llm_info i;
    mr_llm_info(handle, &i);
    return i;
}

static uint64_t memory_llm(void *handle) {
    return info_of(handle).memory;
}

static uint64_t queue_llm(void *handle) {
    return info_of(handle).queued;
}

static double cpu_llm(void *handle) {
    return info_of(handle).cpu_seconds;
}

#define ROW(name)                                                                                  \
    { .open = open_##name, .close = close_##name, .memory = memory_##name }

const struct mr_model_driver mr_model_drivers[MR_KIND_N] = {
    [MR_KIND_LLM] = {.open = open_llm,
                     .close = close_llm,
                     .memory = memory_llm,
                     .queue = queue_llm,
                     .cpu_seconds = cpu_llm},
    [MR_KIND_EMBEDDER] = ROW(embedder),
    [MR_KIND_CLASSIFIER] = ROW(classifier),
    [MR_KIND_DETECTOR] = ROW(detector),
    [MR_KIND_OCR] = ROW(ocr),
    [MR_KIND_SENTIMENT] = ROW(sentiment),
    [MR_KIND_NER] = ROW(ner),
    [MR_KIND_LANGUAGE] = ROW(language),
    [MR_KIND_KEYWORDS] = {.open = NULL}, /* algorithms: nothing to load */
    [MR_KIND_SUMMARY] = {.open = NULL},
};

/* --- networks ----------------------------------------------------------------------------- */

size_t mr_model_nets(const struct mr_catalog_model *m, const char *const **ret) {
    static const char *const one[] = {""}, *const reader[] = {"det", "cls", "rec"};
    bool several = m->kind == MR_KIND_OCR;
    if (strcmp(m->runtime, "onnx") != 0 ||
        (m->kind != MR_KIND_CLASSIFIER && m->kind != MR_KIND_DETECTOR &&
         m->kind != MR_KIND_EMBEDDER && !several))
        return 0;
    *ret = several ? reader : one;
    return several ? sizeof reader / sizeof *reader : 1;
}

struct mr_onnx *mr_model_net(const struct mr_catalog_model *m, void *handle, size_t k) {
    return m->kind == MR_KIND_CLASSIFIER ? mr_classifier_net(handle)
           : m->kind == MR_KIND_DETECTOR ? mr_detector_net(handle)
           : m->kind == MR_KIND_OCR      ? mr_ocr_net(handle, (unsigned)k)
                                         : mr_embedder_net(handle);
}
