/* Writing a compiled model (used by the converters, in the intake child).
 *
 * A builder owns everything it holds; converters add slots and ops and set the description, then
 * mr_build_write() writes the file. One thread. Errors are sticky: adding to a failed builder is
 * a no-op and mr_build_write() reports the first failure. */
#ifndef MR_MODEL_BUILD_H
#define MR_MODEL_BUILD_H

#include "model/program.h"

struct mr_build;

struct mr_build *mr_build_new(struct mr_arena *a);
void mr_build_free(struct mr_build *b);

/* Declares a slot; returns its number (slot 0 is the input, declared by mr_build_input). */
uint32_t mr_build_input(struct mr_build *b, enum mr_slot_kind kind, uint32_t width);
uint32_t mr_build_slot(struct mr_build *b, enum mr_slot_kind kind, uint32_t width);
enum mr_slot_kind mr_build_slot_kind(const struct mr_build *b, uint32_t slot);
uint32_t mr_build_slot_width(const struct mr_build *b, uint32_t slot);

/* A parameter blob under construction: a fixed struct first, then arrays appended behind it. */
struct mr_blob {
    struct mr_build *b;
    uint8_t *p;
    size_t n, cap;
};
/* Starts with `n` zero bytes for the op's fixed struct. */
void mr_blob_begin(struct mr_build *b, struct mr_blob *blob, size_t n);
/* The fixed struct (moves when arrays are added: fetch it again after each add). */
void *mr_blob_head(struct mr_blob *blob);
/* Each appends 8-byte aligned data and returns where it lies. */
struct mr_ref mr_blob_f64(struct mr_blob *blob, const double *v, size_t n);
struct mr_ref mr_blob_f32(struct mr_blob *blob, const float *v, size_t n);
struct mr_ref mr_blob_u32(struct mr_blob *blob, const uint32_t *v, size_t n);
struct mr_ref mr_blob_i32(struct mr_blob *blob, const int32_t *v, size_t n);
struct mr_ref mr_blob_bytes(struct mr_blob *blob, const void *v, size_t n);
struct mr_ref mr_blob_strtab(struct mr_blob *blob, const struct mr_str *v, size_t n);

/* Adds an op; takes the blob's bytes. `out` must be a declared slot not written before. */
void mr_build_op(struct mr_build *b, uint32_t op_id, const uint32_t *in, uint32_t n_in,
                 uint32_t out, struct mr_blob *blob);

/* What the program computes. Slices are copied. */
enum mr_task {
    MR_TASK_CLASSIFY = 1, /* labels, with or without probabilities */
    MR_TASK_REGRESS = 2,
    MR_TASK_CLUSTER = 3,
    MR_TASK_OUTLIER = 4,   /* labels 1 / -1 */
    MR_TASK_TRANSFORM = 5, /* the transformed row is the answer */
};
enum mr_label_kind { MR_LABEL_INT = 1, MR_LABEL_FLOAT = 2, MR_LABEL_STR = 3, MR_LABEL_BOOL = 4 };

struct mr_label {
    int64_t i;
    double f;
    struct mr_str s;
};

/* One output of the model (several for multi-output models). */
struct mr_build_output {
    uint32_t pred_slot;  /* dense, width 1: class index (classify, cluster, outlier) or value;
                          * transform: the whole row */
    uint32_t proba_slot; /* dense, width n_classes; UINT32_MAX = none */
    enum mr_label_kind label_kind;
    const struct mr_label *classes; /* n_classes; NULL for regression and transform */
    uint32_t n_classes;
};
void mr_build_output(struct mr_build *b, const struct mr_build_output *o);

struct mr_build_info {
    enum mr_task task;
    struct mr_str framework;         /* "sklearn", "xgboost", "lightgbm" */
    struct mr_str framework_version; /* from the bytes, or empty */
    struct mr_str model_type;        /* "RandomForestClassifier" */
    bool accepts_missing;
    const struct mr_str *feature_names; /* width of the input, or NULL */
    bool text_input;                    /* the input is one string a row */
};
void mr_build_info(struct mr_build *b, const struct mr_build_info *info);
/* A note shown in model_metadata.warnings. */
void mr_build_warn(struct mr_build *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Serialises into fd (written from its current offset). */
int mr_build_write(struct mr_build *b, int fd, struct mr_err *e);

#endif
