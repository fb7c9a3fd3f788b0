/* Classifier, detector and text readers over decoded images. A handle is one loaded model with its
 * worker process(es); thread-safe, runs take turns on the workers. `dir` is the model's folder in
 * the models dir. Results live in the arena. */
#ifndef MR_ENGINE_VISION_VISION_H
#define MR_ENGINE_VISION_VISION_H

#include "base/arena.h"
#include "engine/vision/image.h"

struct mr_box {
    double x0, y0, x1, y1; /* pixels of the image as shown, x0 <= x1 <= width */
};

/* --- ImageNet-1k classifier --------------------------------------------------------------- */
struct mr_classifier;
int mr_classifier_open(const char *dir, struct mr_classifier **ret, struct mr_err *e);
void mr_classifier_free(struct mr_classifier *c);
uint64_t mr_classifier_memory(const struct mr_classifier *c);
/* The network itself, for callers with tensors of their own (/v2); as long as the handle. */
struct mr_onnx;
struct mr_onnx *mr_classifier_net(const struct mr_classifier *c);
struct mr_class {
    struct mr_str name; /* "golden_retriever": lower case, '_' for blanks */
    int class_id;       /* the standard ImageNet-1k index, 0..999 */
    double confidence;
};
/* Best first; top_k over 1000 gives 1000. embedding (may be NULL): 1,280 floats in the arena. */
int mr_classify(struct mr_classifier *c, const struct mr_image *im, unsigned top_k,
                struct mr_arena *arena, struct mr_class **ret, size_t *ret_n,
                const float **ret_embedding, struct mr_err *e);

/* --- COCO detector ------------------------------------------------------------------------ */
struct mr_detector;
int mr_detector_open(const char *dir, struct mr_detector **ret, struct mr_err *e);
void mr_detector_free(struct mr_detector *d);
uint64_t mr_detector_memory(const struct mr_detector *d);
struct mr_onnx *mr_detector_net(const struct mr_detector *d);
struct mr_object {
    struct mr_str name; /* "person" */
    int class_id;       /* of the 90-id COCO list */
    double confidence;
    struct mr_box box;
};
struct mr_detect_params {
    double min_confidence; /* 0 = 0.4 */
    double iou;            /* non-maximum suppression a class; 0 = 0.5 */
    unsigned max_objects;  /* 0 = 100 */
};
int mr_detector_run(struct mr_detector *d, const struct mr_image *im,
                    const struct mr_detect_params *p, struct mr_arena *arena,
                    struct mr_object **ret, size_t *ret_n, struct mr_err *e);

/* --- text --------------------------------------------------------------------------------- */
struct mr_ocr;
enum mr_ocr_engine { MR_OCR_TESSERACT, MR_OCR_PP }; /* documents; photos */
int mr_ocr_open(const char *dir, enum mr_ocr_engine engine, struct mr_ocr **ret, struct mr_err *e);
void mr_ocr_free(struct mr_ocr *o);
uint64_t mr_ocr_memory(const struct mr_ocr *o);
/* k: 0 finds lines, 1 says which way up, 2 reads; NULL: tesseract. */
struct mr_onnx *mr_ocr_net(const struct mr_ocr *o, unsigned k);
struct mr_text_word {
    struct mr_str text;
    double confidence; /* 0..1 */
    struct mr_box box;
};
struct mr_text_line {
    struct mr_str text; /* UTF-8 */
    double confidence;
    struct mr_box box;
    struct mr_text_word *word;
    size_t n_word;
};
int mr_ocr_read(struct mr_ocr *o, const struct mr_image *im, struct mr_arena *arena,
                struct mr_text_line **ret, size_t *ret_n, struct mr_err *e);
int mr_ocr_worker_main(void); /* argv[1] == "__ocr-worker" (tesseract) */

/* --- scene: derived, not a network (docs/VISION.md says how) ------------------------------ */
struct mr_scene {
    const char *setting;       /* "indoor_dining", "urban_street", …, "unknown" */
    double confidence;         /* of the setting; 0 for unknown */
    const char *time_of_day;   /* "daytime", "night", or "unknown" without evidence */
    const char *weather;       /* "clear" …, or "unknown" */
    struct mr_class *evidence; /* classes and objects that it rests on */
    size_t n_evidence;
};
/* From all 1,000 class confidences (mr_classify with top_k 1000), the objects and the pixels. */
int mr_scene_derive(const struct mr_image *im, const struct mr_class *classes, size_t n_classes,
                    const struct mr_object *objects, size_t n_objects, struct mr_arena *arena,
                    struct mr_scene *ret, struct mr_err *e);

#endif
