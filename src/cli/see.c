/* millrace classify and ocr: what an image shows, and what is written on it. */
#include "cli/client.h"
#include "cli/table.h"
#include "cli/verbs.h"

static const struct mr_opt classify_opts[] = {
    {"--top", "N", "how many classes; default 5"},
    {"--model", "NAME", "a classifier of the catalogue"},
    {NULL, NULL, NULL},
};
const struct mr_spec mr_classify_spec = {
    .verb = "classify",
    .usage = "IMAGE [options]",
    .about = "The likeliest ImageNet classes of an image (JPEG, PNG, WebP or GIF).",
    .opts = classify_opts,
    .net = true,
};

static const struct mr_opt ocr_opts[] = {
    {"--model", "NAME", "a text reader of the catalogue: one for documents, one for photos"},
    {NULL, NULL, NULL},
};
const struct mr_spec mr_ocr_spec = {
    .verb = "ocr",
    .usage = "IMAGE [options]",
    .about = "The text of an image, line by line; --json adds places and confidences.",
    .opts = ocr_opts,
    .net = true,
};

static const char *str_of(yyjson_val *obj, const char *key) {
    const char *s = yyjson_get_str(yyjson_obj_get(obj, key));
    return s ? s : "";
}

static void print_classes(yyjson_val *root) {
    struct mr_table t;
    yyjson_val *p;
    size_t i, max;
    mr_table_init(&t, 3);
    mr_table_cell(&t, "CLASS");
    mr_table_cell(&t, "ID");
    mr_table_cell(&t, "CONFIDENCE");
    yyjson_arr_foreach (yyjson_obj_get(root, "predictions"), i, max, p) {
        mr_table_cell(&t, str_of(p, "class"));
        mr_table_fmt(&t, "%lld", (long long)yyjson_get_sint(yyjson_obj_get(p, "class_id")));
        mr_table_fmt(&t, "%.3f", yyjson_get_num(yyjson_obj_get(p, "confidence")));
    }
    mr_table_print(&t);
    mr_table_release(&t);
}

static void print_text(yyjson_val *root) {
    yyjson_val *line;
    size_t i, max;
    yyjson_arr_foreach (yyjson_obj_get(yyjson_obj_get(root, "analysis_results"), "text"), i, max,
                        line) {
        puts(str_of(line, "text"));
    }
}

static int send_image(const struct mr_args *a, const char *path, struct mr_upload *parts, size_t n,
                      void (*print)(yyjson_val *root)) {
    struct mr_client c;
    struct mr_reply r = {0};
    struct mr_err e = {0};
    int status = 0;
    if (a->n_pos != 1)
        return mr_args_wrong(a, "one image is needed");
    parts[0] = (struct mr_upload){"image", a->pos[0], NULL};
    if (mr_client_open(&c, a, &e)) {
        mr_client_release(&c);
        return mr_args_failed(a, &e), 2;
    }
    if (mr_client_upload(&c, path, parts, n, NULL, NULL, &r, &e))
        status = mr_reply_failed(a, &r, &e);
    else if (a->json)
        mr_reply_print(&r);
    else
        print(yyjson_doc_get_root(r.doc));
    mr_reply_release(&r);
    mr_client_release(&c);
    return status;
}

int mr_cli_classify(int argc, char **argv) {
    struct mr_args a;
    struct mr_upload parts[3];
    size_t n = 1;
    int64_t top;
    char text[24];
    int status;
    if (mr_args_parse(&a, &mr_classify_spec, argc, argv, &status))
        return status;
    if (!mr_args_int(&a, "--top", 1, 1000, 5, &top))
        return 2;
    snprintf(text, sizeof text, "%lld", (long long)top);
    parts[n++] = (struct mr_upload){"top_k", NULL, text};
    if (mr_args_get(&a, "--model"))
        parts[n++] = (struct mr_upload){"model", NULL, mr_args_get(&a, "--model")};
    return send_image(&a, "/api/v2/ai/vision/classify", parts, n, print_classes);
}

int mr_cli_ocr(int argc, char **argv) {
    struct mr_args a;
    struct mr_upload parts[3];
    size_t n = 1;
    int status;
    if (mr_args_parse(&a, &mr_ocr_spec, argc, argv, &status))
        return status;
    parts[n++] = (struct mr_upload){"analysis_type", NULL, "text_extraction"};
    if (mr_args_get(&a, "--model"))
        parts[n++] = (struct mr_upload){"model", NULL, mr_args_get(&a, "--model")};
    return send_image(&a, "/api/v2/ai/vision/analyze", parts, n, print_text);
}
