/* The few functions of libtesseract's C interface (tesseract/capi.h, stable since 3.02; Init5 since
 * 4.1) that are used, so that its development packages are not needed to build. */
#ifndef MR_ENGINE_VISION_TESS_ABI_H
#define MR_ENGINE_VISION_TESS_ABI_H

#include <stddef.h>

#define MR_TESS_LIBRARY "libtesseract.so.5"

struct mr_tess;        /* TessBaseAPI */
struct mr_tess_result; /* TessResultIterator */
struct mr_tess_page;   /* TessPageIterator */

enum { MR_TESS_OEM_LSTM_ONLY = 1 };
enum { MR_TESS_PSM_AUTO = 3 };
enum { MR_TESS_RIL_TEXTLINE = 2, MR_TESS_RIL_WORD = 3 };

struct mr_tess_api {
    struct mr_tess *(*create)(void);
    int (*init)(struct mr_tess *, const char *data, int size, const char *language, int oem,
                char **configs, int n_configs, char **vars, char **values, size_t n_vars,
                int only_non_debug);
    void (*set_mode)(struct mr_tess *, int psm);
    void (*set_image)(struct mr_tess *, const unsigned char *data, int width, int height,
                      int bytes_per_pixel, int bytes_per_line);
    void (*set_resolution)(struct mr_tess *, int ppi);
    int (*recognize)(struct mr_tess *, void *monitor);
    struct mr_tess_result *(*result)(struct mr_tess *);
    void (*result_delete)(struct mr_tess_result *);
    int (*next)(struct mr_tess_result *, int level);
    char *(*text)(const struct mr_tess_result *, int level);
    float (*confidence)(const struct mr_tess_result *, int level);
    const struct mr_tess_page *(*page)(const struct mr_tess_result *);
    int (*begins)(const struct mr_tess_page *, int level);
    int (*box)(const struct mr_tess_page *, int level, int *left, int *top, int *right,
               int *bottom);
    void (*text_delete)(const char *);
    void (*clear)(struct mr_tess *);
};

/* "TessBaseAPICreate" … in the order of the struct's members. */
#define MR_TESS_NAMES                                                                              \
    "TessBaseAPICreate", "TessBaseAPIInit5", "TessBaseAPISetPageSegMode", "TessBaseAPISetImage",   \
        "TessBaseAPISetSourceResolution", "TessBaseAPIRecognize", "TessBaseAPIGetIterator",        \
        "TessResultIteratorDelete", "TessResultIteratorNext", "TessResultIteratorGetUTF8Text",     \
        "TessResultIteratorConfidence", "TessResultIteratorGetPageIteratorConst",                  \
        "TessPageIteratorIsAtBeginningOf", "TessPageIteratorBoundingBox", "TessDeleteText",        \
        "TessBaseAPIClear"

#endif
