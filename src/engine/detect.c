#include "engine/detect.h"

#include "wire/onnx.h"
#include "wire/pickle.h"
#include "wire/zip.h"

#include <ctype.h>

#define TORCH_HELP                                                                                 \
    "PyTorch files need the conversion step of a later release; export the model to ONNX with "    \
    "torch.onnx.export(model, example_input, \"model.onnx\") and upload that file"
#define KERAS_HELP                                                                                 \
    "Keras files need the conversion step of a later release; export the model to ONNX with "      \
    "model.export(\"model.onnx\", format=\"onnx\") (Keras 3) or tf2onnx and upload that file"
#define TF_HELP                                                                                    \
    "TensorFlow models are not served directly; convert it to ONNX with python -m "                \
    "tf2onnx.convert "                                                                             \
    "and upload that file"

/* Recognised by bytes at a fixed offset. */
static const struct {
    size_t at;
    struct mr_str magic;
    int code;
    const char *text;
} magics[] = {
    {0, MR_LIT("\x89HDF\r\n\x1a\n"), MR_EUNSUPPORTED,
     "this is an HDF5 file, as Keras writes .h5 models. " KERAS_HELP},
    {0, MR_LIT("GGUF"), MR_EUNSUPPORTED,
     "this is a GGUF language model; it cannot be deployed as a prediction model"},
    {0, MR_LIT("CBM1"), MR_EUNSUPPORTED,
     "this is a CatBoost model; save it with model.save_model(\"model.onnx\", format=\"onnx\") and "
     "upload that file"},
    {4, MR_LIT("TFL3"), MR_EUNSUPPORTED, "this is a TensorFlow Lite model. " TF_HELP},
    {0, MR_LIT("\x93NUMPY"), MR_EINVAL, "this is a NumPy array, not a model"},
    {0, MR_LIT("PAR1"), MR_EINVAL, "this is a Parquet data file, not a model"},
    {0, MR_LIT("%PDF"), MR_EINVAL, "this is a PDF document, not a model"},
    {0, MR_LIT("\x89PNG"), MR_EINVAL, "this is an image, not a model"},
    {0, MR_LIT("\xff\xd8\xff"), MR_EINVAL, "this is an image, not a model"},
    {0,
     MR_LIT("\x7f"
            "ELF"),
     MR_EINVAL, "this is a program, not a model"},
    {0, MR_LIT("\xac\xed\x00\x05"), MR_EUNSUPPORTED,
     "this is a Java serialised object; only Python model files and ONNX are served"},
    {0, MR_LIT("RDX"), MR_EUNSUPPORTED,
     "this is an R data file; only Python model files and ONNX are served"},
    {0, MR_LIT("7z\xbc\xaf\x27\x1c"), MR_EINVAL,
     "this is a 7z archive; upload the model file itself"},
    {0, MR_LIT("Rar!"), MR_EINVAL, "this is a RAR archive; upload the model file itself"},
    {257, MR_LIT("ustar"), MR_EINVAL, "this is a tar archive; upload the model file itself"},
    {0, MR_LIT("\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19"), MR_EUNSUPPORTED,
     "this is a PyTorch file in its old format. " TORCH_HELP},
    {0, MR_LIT("binf"), MR_EUNSUPPORTED,
     "this is an XGBoost model in the old binary format; load it with the XGBoost version that "
     "wrote "
     "it and save it again with save_model(\"model.ubj\")"},
    {0, MR_LIT("version https://git-lfs.github.com/spec/"), MR_EINVAL,
     "this is a Git LFS pointer, not the model itself; fetch the file with git lfs pull and upload "
     "that"},
    {0, MR_LIT("booster["), MR_EUNSUPPORTED,
     "this is an XGBoost text dump, which does not hold the whole model; save it with "
     "save_model(\"model.json\") and upload that file"},
    {0, MR_LIT("#!"), MR_EINVAL, "this is a script, not a model"},
};

static bool has_at(struct mr_str f, size_t at, struct mr_str magic) {
    return f.n >= at + magic.n && !memcmp(f.p + at, magic.p, magic.n);
}

static bool contains(struct mr_str f, size_t within, const char *what) {
    size_t n = f.n < within ? f.n : within;
    return memmem(f.p, n, what, strlen(what)) != NULL;
}

static bool starts_nocase(struct mr_str f, const char *what) {
    struct mr_str w = mr_str(what);
    return f.n >= w.n && mr_str_ieq((struct mr_str){f.p, w.n}, w);
}

static enum mr_file_kind refuse(struct mr_err *e, int code, const char *text) {
    mr_fail(e, code, "%s", text);
    return MR_FILE_REFUSED;
}

static enum mr_file_kind detect_zip(struct mr_str f, struct mr_err *e) {
    struct mr_zip z;
    struct mr_err why = {0};
    int r = mr_zip_open(f, 100000, &z, &why);
    if (r) {
        mr_fail(e, r, "this is a damaged or unusual zip archive (%s); upload the model file itself",
                why.msg);
        return MR_FILE_REFUSED;
    }
    enum mr_zip_kind kind = mr_zip_kind(&z);
    mr_zip_release(&z);
    switch (kind) {
    case MR_ZIP_TORCH:
        return refuse(e, MR_EUNSUPPORTED, "this is a PyTorch file. " TORCH_HELP);
    case MR_ZIP_TORCHSCRIPT:
        return refuse(e, MR_EUNSUPPORTED, "this is a TorchScript archive. " TORCH_HELP);
    case MR_ZIP_PT2:
        return refuse(e, MR_EUNSUPPORTED, "this is a torch.export archive. " TORCH_HELP);
    case MR_ZIP_KERAS:
        return refuse(e, MR_EUNSUPPORTED, "this is a .keras archive. " KERAS_HELP);
    case MR_ZIP_NPZ:
        return refuse(e, MR_EINVAL, "this is an archive of NumPy arrays, not a model");
    case MR_ZIP_SKOPS:
        return refuse(e, MR_EUNSUPPORTED,
                      "skops files are not read yet; save the model with joblib.dump and upload "
                      "that file");
    case MR_ZIP_MAR:
        return refuse(e, MR_EUNSUPPORTED, "this is a TorchServe archive. " TORCH_HELP);
    default:
        return refuse(e, MR_EINVAL,
                      "this is a zip archive, not a model; upload the model file itself");
    }
}

/* u64 header length, then a JSON object of that length. */
static bool is_safetensors(struct mr_str f) {
    uint64_t n = 0;
    if (f.n < 10)
        return false;
    for (int i = 0; i < 8; i++)
        n |= (uint64_t)(unsigned char)f.p[i] << 8 * i;
    return n >= 2 && n <= f.n - 8 && f.p[8] == '{' && (f.p[9] == '"' || f.p[9] == '}');
}

static bool looks_like_text(struct mr_str f) {
    size_t n = f.n < 4096 ? f.n : 4096;
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)f.p[i];
        if (c < 32 && c != '\n' && c != '\r' && c != '\t' && c != '\f')
            return false;
    }
    return true;
}

static bool looks_like_csv(struct mr_str f) {
    size_t n = 0, commas = 0;
    while (n < f.n && n < 4096 && f.p[n] != '\n') {
        commas += f.p[n] == ',' || f.p[n] == ';' || f.p[n] == '\t';
        n++;
    }
    return commas > 0 && n < f.n && n < 4096;
}

/* `t`: the file without leading white space. */
static enum mr_file_kind detect_json(struct mr_str t, struct mr_err *e) {
    if (contains(t, 65536, "\"learner\"") || contains(t, t.n, "\"gradient_booster\""))
        return MR_FILE_XGB_JSON;
    if (contains(t, 4096, "\"tree_info\"") || contains(t, 4096, "\"max_feature_idx\""))
        return refuse(e, MR_EUNSUPPORTED,
                      "this is a LightGBM JSON dump; save the model with "
                      "booster.save_model(\"model.txt\") and upload that file");
    if (contains(t, 4096, "\"nodeid\""))
        return refuse(e, MR_EUNSUPPORTED,
                      "this is an XGBoost JSON dump of trees, which does not hold the whole model; "
                      "save it with save_model(\"model.json\") and upload that file");
    if (contains(t, 4096, "\"oblivious_trees\"") || contains(t, t.n, "\"oblivious_trees\""))
        return refuse(e, MR_EUNSUPPORTED,
                      "this is a CatBoost JSON model; save it with save_model(\"model.onnx\", "
                      "format=\"onnx\") and upload that file");
    if (contains(t, t.n, "\"nbformat\""))
        return refuse(e, MR_EINVAL, "this is a Jupyter notebook, not a model");
    return refuse(e, MR_EINVAL, "this is a JSON file, but not an XGBoost model");
}

static enum mr_file_kind detect_text(struct mr_str f, struct mr_err *e) {
    struct mr_str t = f;
    if (t.n >= 3 && !memcmp(t.p, "\xef\xbb\xbf", 3))
        t.p += 3, t.n -= 3;
    while (t.n && isspace((unsigned char)*t.p))
        t.p++, t.n--;
    if (!t.n)
        return refuse(e, MR_EINVAL, "the file holds nothing but white space");
    if (mr_str_starts(t, MR_LIT("tree")) && contains(t, 200, "version=") &&
        contains(t, 4096, "num_class="))
        return MR_FILE_LGB_TEXT;
    if (contains(t, 8192, "<PMML"))
        return refuse(e, MR_EUNSUPPORTED,
                      "this is a PMML model; upload the pickled model itself, or an ONNX export");
    if (starts_nocase(t, "<!doctype html") || starts_nocase(t, "<html"))
        return refuse(e, MR_EINVAL,
                      "this is an HTML page, not a model; the download probably failed or needs a "
                      "login");
    if (*t.p == '<')
        return refuse(e, MR_EINVAL, "this is an XML document, not a model");
    if (*t.p == '{' || *t.p == '[')
        return detect_json(t, e);
    return MR_FILE_UNKNOWN;
}

static enum mr_file_kind detect_protobuf(struct mr_str f, struct mr_err *e) {
    if (contains(f, f.n, "saved_model_main_op") || contains(f, f.n, "serving_default") ||
        contains(f, f.n, "StatefulPartitionedCall"))
        return refuse(e, MR_EUNSUPPORTED, "this is a TensorFlow SavedModel. " TF_HELP);
    return MR_FILE_ONNX;
}

enum mr_file_kind mr_detect(struct mr_str f, struct mr_str name, struct mr_err *e) {
    if (!f.n)
        return refuse(e, MR_EINVAL, "the file is empty");
    for (size_t i = 0; i < sizeof magics / sizeof *magics; i++)
        if (has_at(f, magics[i].at, magics[i].magic))
            return refuse(e, magics[i].code, magics[i].text);
    if (mr_zip_sniff(f))
        return detect_zip(f, e);
    if (is_safetensors(f))
        return refuse(e, MR_EUNSUPPORTED,
                      "this is a safetensors file: weights without the model around them. Export "
                      "the model to ONNX with torch.onnx.export and upload that file");
    /* UBJSON: '{', length of the first key, then the key */
    if (f.p[0] == '{' && f.n > 16 && contains(f, 24, "learner") &&
        (f.p[1] == 'L' || f.p[1] == 'i' || f.p[1] == 'U' || f.p[1] == 'l' || f.p[1] == 'I'))
        return MR_FILE_XGB_UBJ;
    bool text = looks_like_text(f);
    if (text) {
        enum mr_file_kind k = detect_text(f, e);
        if (k != MR_FILE_UNKNOWN)
            return k;
    }
    if (mr_onnx_sniff(f))
        return detect_protobuf(f, e);
    if (mr_pickle_sniff(f.p, f.n))
        return MR_FILE_PICKLE;
    if (text)
        return refuse(e, MR_EINVAL,
                      looks_like_csv(f) ? "this is a table of data (CSV), not a model"
                                        : "this is a text file, not a model");
    if (has_at(f, 0, MR_LIT("\x1f\x8b")) || has_at(f, 0, MR_LIT("BZh")) ||
        has_at(f, 0,
               MR_LIT("\xfd"
                      "7zXZ")))
        return refuse(e, MR_EINVAL,
                      "this is a compressed file without a pickle inside; upload the model itself");
    mr_fail(e, MR_EINVAL,
            "the content of %.*s is no model format that is known here; upload a pickle or joblib "
            "file of scikit-learn, XGBoost or LightGBM, an XGBoost .json or .ubj, a LightGBM .txt, "
            "or an .onnx file",
            name.n ? (int)(name.n < 80 ? name.n : 80) : 8, name.n ? name.p : "the file");
    return MR_FILE_UNKNOWN;
}

bool mr_detect_refuse_class(struct mr_str c, struct mr_err *e) {
    static const struct {
        const char *prefix, *text;
    } rows[] = {
        {"torch.", TORCH_HELP},
        {"pytorch_lightning.", TORCH_HELP},
        {"keras.", KERAS_HELP},
        {"tensorflow.", KERAS_HELP},
        {"catboost.",
         "save the CatBoost model with save_model(\"model.onnx\", format=\"onnx\") and "
         "upload that file"},
        {"pandas.", "this is a pandas object, not a model"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (mr_str_starts(c, mr_str(rows[i].prefix))) {
            mr_fail(e, MR_EUNSUPPORTED, "this is a pickled %.*s: %s", (int)(c.n < 100 ? c.n : 100),
                    c.p, rows[i].text);
            return true;
        }
    return false;
}
