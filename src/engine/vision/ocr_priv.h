/* The two text readers behind vision.h's mr_ocr. */
#ifndef MR_ENGINE_VISION_OCR_PRIV_H
#define MR_ENGINE_VISION_OCR_PRIV_H

#include "engine/vision/vision.h"

/* tesseract in worker processes: <dir>/eng.traineddata. */
struct mr_tess_reader;
int mr_tess_open(const char *dir, struct mr_tess_reader **ret, struct mr_err *e);
void mr_tess_free(struct mr_tess_reader *t); /* takes NULL */
uint64_t mr_tess_memory(struct mr_tess_reader *t);
int mr_tess_read(struct mr_tess_reader *t, const struct mr_image *im, struct mr_arena *arena,
                 struct mr_text_line **ret, size_t *ret_n, struct mr_err *e);
/* A worker's reply (ocr_wire.h) on a page of width x height, in coordinates of the image that it
 * was scaled from by `scale` (page = image * scale). Untrusted bytes. */
int mr_tess_parse(const char *p, size_t n, const struct mr_image *im, double scale,
                  struct mr_arena *arena, struct mr_text_line **ret, size_t *ret_n,
                  struct mr_err *e);

/* PP-OCR: <dir>/det.onnx, rec.onnx, cls.onnx, keys.txt. */
struct mr_pp_reader;
int mr_pp_open(const char *dir, struct mr_pp_reader **ret, struct mr_err *e);
void mr_pp_free(struct mr_pp_reader *p); /* takes NULL */
uint64_t mr_pp_memory(struct mr_pp_reader *p);
struct mr_onnx *mr_pp_net(const struct mr_pp_reader *p, unsigned k);
int mr_pp_read(struct mr_pp_reader *p, const struct mr_image *im, struct mr_arena *arena,
               struct mr_text_line **ret, size_t *ret_n, struct mr_err *e);

#endif
