#include "core/metadata.h"

#include "base/buf.h"
#include "base/codec.h"

#include <math.h>
#include <yyjson.h>

#define NAME_MAX_BYTES 200u

static double megabytes(uint64_t n) {
    return round((double)n / 1048576.0 * 1e4) / 1e4;
}

static void add_upload(yyjson_mut_doc *doc, yyjson_mut_val *root, struct mr_str file_name,
                       uint64_t size, const struct mr_blob_name *sha) {
    struct mr_buf hex;
    mr_buf_init(&hex, 128);
    mr_hex_add(&hex, sha->sha, sizeof sha->sha);
    yyjson_mut_obj_add_real(doc, root, "size_mb", megabytes(size));
    yyjson_mut_obj_add_uint(doc, root, "size_bytes", size);
    yyjson_mut_obj_add_strncpy(doc, root, "sha256", hex.p ? hex.p : "", hex.n);
    if (file_name.n && mr_utf8_valid(file_name))
        yyjson_mut_obj_add_strncpy(doc, root, "file_name", file_name.p, file_name.n);
    mr_buf_release(&hex);
}

static struct mr_str write_doc(struct mr_arena *a, yyjson_mut_doc *doc) {
    size_t n;
    char *text = yyjson_mut_write(doc, 0, &n);
    struct mr_str r = text ? mr_strn(mr_arena_strn(a, text, n), n) : mr_strn(NULL, 0);
    free(text);
    return r;
}

struct mr_str mr_metadata_initial(struct mr_arena *a, struct mr_str file_name, uint64_t size,
                                  const struct mr_blob_name *sha) {
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    yyjson_mut_val *root = yyjson_mut_obj(doc);
    yyjson_mut_doc_set_root(doc, root);
    yyjson_mut_obj_add_str(doc, root, "framework", "unknown");
    yyjson_mut_obj_add_str(doc, root, "model_type", "unknown");
    add_upload(doc, root, file_name, size, sha);
    struct mr_str r = write_doc(a, doc);
    yyjson_mut_doc_free(doc);
    return r;
}

/* The version that requirements.txt pins a distribution to with "==", or an absent slice. */
static struct mr_str pinned(struct mr_str text, const char *dist) {
    while (text.p) {
        struct mr_str line = mr_str_trim(mr_str_cut(&text, '\n'));
        while (line.n && line.p[line.n - 1] == '\r')
            line.n--;
        size_t n = strlen(dist);
        if (line.n <= n || !mr_str_ieq(mr_strn(line.p, n), mr_str(dist)))
            continue;
        struct mr_str rest = mr_str_trim(mr_strn(line.p + n, line.n - n));
        if (!mr_str_starts(rest, MR_LIT("==")))
            continue;
        rest = mr_str_trim(mr_strn(rest.p + 2, rest.n - 2));
        size_t len = 0;
        while (len < rest.n && rest.p[len] != ' ' && rest.p[len] != ';' && rest.p[len] != '#')
            len++;
        return mr_strn(rest.p, len);
    }
    return mr_strn(NULL, 0);
}

static void compare_versions(yyjson_mut_doc *doc, yyjson_mut_val *root, struct mr_str framework,
                             struct mr_str version, struct mr_str requirements) {
    static const char *const dists[][2] = {{"sklearn", "scikit-learn"},
                                           {"xgboost", "xgboost"},
                                           {"lightgbm", "lightgbm"},
                                           {"onnx", "onnx"}};
    for (size_t i = 0; version.n && i < sizeof dists / sizeof *dists; i++) {
        if (!mr_str_is(framework, dists[i][0]))
            continue;
        struct mr_str pin = pinned(requirements, dists[i][1]);
        if (!pin.n || mr_str_eq(pin, version))
            continue;
        yyjson_mut_val *list = yyjson_mut_obj_get(root, "warnings");
        if (!yyjson_mut_is_arr(list)) {
            yyjson_mut_obj_remove_key(root, "warnings");
            list = yyjson_mut_obj_add_arr(doc, root, "warnings");
        }
        char text[300];
        int n = snprintf(text, sizeof text,
                         "requirements.txt asks for %s %.*s, but the file was written by %.*s",
                         dists[i][1], (int)(pin.n > 60 ? 60 : pin.n), pin.p,
                         (int)(version.n > 60 ? 60 : version.n), version.p);
        if (n > 0 && mr_utf8_valid(mr_strn(text, strlen(text))))
            yyjson_mut_arr_add_strcpy(doc, list, text);
    }
}

struct mr_str mr_metadata_final(struct mr_arena *a, struct mr_str found, struct mr_str file_name,
                                uint64_t size, const struct mr_blob_name *sha,
                                struct mr_str requirements, struct mr_str *ret_framework) {
    struct mr_str r = {NULL, 0};
    yyjson_doc *in = yyjson_read(found.p, found.n, 0);
    yyjson_mut_doc *doc = in ? yyjson_doc_mut_copy(in, NULL) : NULL;
    yyjson_mut_val *root = doc ? yyjson_mut_doc_get_root(doc) : NULL;
    if (yyjson_mut_is_obj(root)) {
        struct mr_str framework = mr_str(yyjson_mut_get_str(yyjson_mut_obj_get(root, "framework")));
        struct mr_str version =
            mr_str(yyjson_mut_get_str(yyjson_mut_obj_get(root, "framework_version")));
        add_upload(doc, root, file_name, size, sha);
        compare_versions(doc, root, framework, version, requirements);
        *ret_framework = mr_arena_keep(a, framework);
        r = write_doc(a, doc);
    }
    yyjson_mut_doc_free(doc);
    yyjson_doc_free(in);
    return r;
}

struct mr_str mr_metadata_framework(struct mr_arena *a, struct mr_str metadata) {
    yyjson_doc *doc = yyjson_read(metadata.p, metadata.n, 0);
    const char *name = yyjson_get_str(yyjson_obj_get(yyjson_doc_get_root(doc), "framework"));
    struct mr_str r = name ? mr_arena_keep(a, mr_str(name)) : mr_strn(NULL, 0);
    yyjson_doc_free(doc);
    return r;
}

struct mr_str mr_metadata_stem(struct mr_arena *a, struct mr_str file_name) {
    struct mr_str s = file_name;
    for (size_t i = s.n; i > 0; i--)
        if (s.p[i - 1] == '/' || s.p[i - 1] == '\\') {
            s = mr_strn(s.p + i, s.n - i);
            break;
        }
    for (size_t i = s.n; i > 1; i--)
        if (s.p[i - 1] == '.') {
            s.n = i - 1;
            break;
        }
    if (s.n > NAME_MAX_BYTES || !s.n || !mr_utf8_valid(s))
        return MR_LIT("model");
    return mr_arena_keep(a, s);
}
