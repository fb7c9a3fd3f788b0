/* Every golden model (tests/golden) is compiled, run and compared with its library's answers.
 * supported.txt lists patterns of names that must agree; others are counted, not judged.
 *
 *   test_golden                 the verdict
 *   test_golden --table [PART]  a line a file: tag/name, class, file, largest difference or reason
 *   test_golden --write DIR [PART]  also writes the compiled models (a fuzzing corpus)
 *   test_golden PART            only names that contain PART, with reasons */
#include "base/alloc.h"
#include "base/cleanup.h"
#include "golden_compare.h"
#include "model/convert/convert.h"
#include "model/model_priv.h"

#include <fcntl.h>
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define DIR       MR_SRC_DIR "/tests/golden/"
#define ARENA_MAX (1u << 30)

static int passed, failed, differ, unsupported;
static bool table;
static const char *part = "", *write_to;

static char *read_all(const char *path, size_t *ret_n) {
    MR_AUTO_FCLOSE FILE *f = fopen(path, "rb");
    if (!f || fseek(f, 0, SEEK_END))
        return NULL;
    long n = ftell(f);
    rewind(f);
    char *p = n < 0 ? NULL : mr_malloc((size_t)n + 1);
    if (!p || fread(p, 1, (size_t)n, f) != (size_t)n) {
        mr_free(p);
        return NULL;
    }
    p[n] = 0;
    *ret_n = (size_t)n;
    return p;
}

static bool listed(const char *name) {
    static char *text;
    size_t n;
    if (!text && !(text = read_all(DIR "supported.txt", &n)))
        return false;
    char pattern[128];
    for (const char *p = text; *p; p += strcspn(p, "\n"), p += *p == '\n') {
        size_t k = strcspn(p, "\n");
        if (k == 0 || k >= sizeof pattern || *p == '#')
            continue;
        memcpy(pattern, p, k);
        pattern[k] = 0;
        if (fnmatch(pattern, name, 0) == 0)
            return true;
    }
    return false;
}

/* The written model's descriptor (> 0), or a negative code; 0 = filled but not written yet. */
static int convert(const char *file, struct mr_str bytes, struct mr_build *b, struct mr_err *e) {
    const char *ext = strrchr(file, '.');
    if (strcmp(ext, ".onnx") == 0)
        return mr_fail(e, MR_EUNSUPPORTED, "ONNX runs in ONNX Runtime");
    if (strcmp(ext, ".json") == 0)
        return mr_convert_xgboost_json(bytes, b, e);
    if (strcmp(ext, ".ubj") == 0)
        return mr_convert_xgboost_ubj(bytes, b, e);
    if (strcmp(ext, ".txt") == 0)
        return mr_convert_lightgbm_text(bytes, b, e);
    struct mr_pk_limits lim = mr_pk_default_limits();
    struct mr_pk_doc *doc;
    int r = mr_pickle_load(bytes.p, bytes.n, &lim, &doc, e);
    if (r)
        return r;
    r = mr_convert_pickle(doc, b, e);
    /* The builder may point into the document, so it is written before the document goes. */
    int out = r ? -1 : memfd_create("model", MFD_CLOEXEC);
    if (!r)
        r = mr_build_write(b, out, e);
    mr_pickle_free(doc);
    return r ? r : out;
}

static void keep_copy(int fd, const char *file) {
    char path[512], part_of[4096];
    ssize_t n;
    off_t at = 0;
    snprintf(path, sizeof path, "%s/%s.mrm", write_to, file);
    MR_AUTO_FCLOSE FILE *out = fopen(path, "wb");
    while (out && (n = pread(fd, part_of, sizeof part_of, at)) > 0) {
        fwrite(part_of, 1, (size_t)n, out);
        at += n;
    }
}

static int compile(const char *path, const char *file, struct mr_model **ret, struct mr_err *e) {
    size_t n;
    MR_AUTO_FREE char *bytes = read_all(path, &n);
    if (!bytes)
        return mr_fail(e, MR_EIO, "cannot read the file");
    struct mr_arena arena;
    mr_arena_init(&arena, ARENA_MAX);
    struct mr_build *b = mr_build_new(&arena);
    int r = convert(file, mr_strn(bytes, n), b, e);
    MR_AUTO_CLOSE int fd = -1;
    if (r > 0) {
        fd = r;
        r = 0;
    } else if (r == 0) {
        fd = memfd_create("model", MFD_CLOEXEC);
        r = mr_build_write(b, fd, e);
    }
    mr_build_free(b);
    mr_arena_release(&arena);
    if (!r && write_to)
        keep_copy(fd, file);
    return r ? r : mr_model_open(fd, ret, e);
}

/* --- inputs ---------------------------------------------------------------------------------- */

static bool fill(const struct golden *g, const struct mr_model_info *in, double *dense,
                 struct mr_cell *cells) {
    for (size_t i = 0; i < g->rows; i++) {
        yyjson_val *row = yyjson_arr_get(g->inputs, i);
        if (yyjson_is_arr(row) ? yyjson_arr_size(row) != in->n_features : in->n_features != 1)
            return false;
        for (uint32_t j = 0; j < in->n_features; j++) {
            yyjson_val *v = yyjson_is_arr(row) ? yyjson_arr_get(row, j) : row;
            struct mr_cell c = {NAN, {NULL, 0}};
            if (yyjson_is_str(v))
                c.s = mr_strn(yyjson_get_str(v), yyjson_get_len(v));
            else
                c.num = golden_number(v);
            if (dense && c.s.p)
                return false;
            if (dense)
                dense[i * in->n_features + j] = c.num;
            else
                cells[i * in->n_features + j] = c;
        }
    }
    return true;
}

static int run(struct golden *g, const struct mr_model *m, struct mr_err *e) {
    const struct mr_model_info *in = mr_model_info(m);
    struct mr_arena arena;
    mr_arena_init(&arena, ARENA_MAX);
    size_t n = g->rows * in->n_features;
    bool numbers = in->input_kind == MR_SLOT_DENSE;
    double *dense = numbers ? mr_arena_array(&arena, n, sizeof *dense) : NULL;
    struct mr_cell *cells = numbers ? NULL : mr_arena_array(&arena, n, sizeof *cells);
    struct mr_result result;
    int r = 0;
    if (!fill(g, in, dense, cells))
        r = mr_fail(e, MR_EINVAL, "the golden inputs do not fit (%u columns, %s)", in->n_features,
                    numbers ? "numbers" : "cells");
    if (!r)
        r = mr_model_run(m, dense, cells, g->rows, &arena, &result, e);
    if (!r) {
        golden_predict(g, in, &result);
        golden_proba(g, in, &result);
        golden_transform(g, in, &result);
        golden_decision(g, in, &result, m->n_slots);
    }
    mr_arena_release(&arena);
    return r;
}

/* --- walking --------------------------------------------------------------------------------- */

static void one(const char *tag, const char *name, const char *cls, const char *file) {
    char path[512];
    struct mr_err e = {0};
    struct golden g = {0};
    snprintf(path, sizeof path, DIR "values/%s/%s.json", tag, name);
    g.doc = yyjson_read_file(path, 0, NULL, NULL);
    g.root = yyjson_doc_get_root(g.doc);
    g.inputs = yyjson_obj_get(g.root, "inputs");
    g.rows = yyjson_arr_size(g.inputs);
    g.tolerance = yyjson_get_num(yyjson_obj_get(g.root, "tolerance"));
    struct mr_model *m = NULL;
    snprintf(path, sizeof path, DIR "models/%s/%s", tag, file);
    int r = g.rows ? compile(path, file, &m, &e) : mr_fail(&e, MR_EIO, "no golden values");
    bool refused = r != 0;
    if (!r)
        r = run(&g, m, &e);
    bool good = !r && !g.why[0], must = listed(name);
    mr_model_free(m);
    yyjson_doc_free(g.doc);
    passed += good;
    failed += must && !good;
    if (!good && !must)
        *(refused ? &unsupported : &differ) += 1;
    if (table && good)
        printf("%s/%s\t%s\t%s\t%.2g\n", tag, name, cls, file, g.worst);
    else if (!good && (table || must || *part))
        printf("%s/%s\t%s\t%s\t%s%s: %s\n", tag, name, cls, file, must ? "FAIL " : "",
               refused ? "unsupported" : "differs", r ? e.msg : g.why);
}

/* One line of INDEX.tsv: tag, name, class, files separated by commas, tolerance. */
static void line(char *text) {
    char *cell[5] = {0};
    for (int i = 0; i < 5 && text; i++)
        cell[i] = strsep(&text, "\t");
    if (!cell[4] || strcmp(cell[0], "tag") == 0)
        return;
    char full[256];
    snprintf(full, sizeof full, "%s/%s", cell[0], cell[1]);
    if (!strstr(full, part) && !strstr(cell[2], part))
        return;
    char *files = cell[3];
    for (char *file; (file = strsep(&files, ","));)
        one(cell[0], cell[1], cell[2], file);
}

int main(int argc, char **argv) {
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--table") == 0)
            table = true;
        else if (strcmp(argv[i], "--write") == 0 && i + 1 < argc)
            write_to = argv[++i];
        else
            part = argv[i];
    }
    size_t n;
    MR_AUTO_FREE char *index = read_all(DIR "INDEX.tsv", &n);
    if (!index) {
        fprintf(stderr, "no golden index\n");
        return 1;
    }
    char *rest = index;
    for (char *l; (l = strsep(&rest, "\n"));)
        line(l);
    printf("not supported: %d, differ but not listed: %d\n", unsupported, differ);
    printf("%d passed, %d failed\n", passed, failed);
    return failed ? 1 : 0;
}
