#include "base/alloc.h"
#include "model/build_priv.h"

#include <stdarg.h>
#include <stdio.h>

#define MAX_WARN 64u
#define MAX_BLOB (MR_MODEL_MAX / 2)

struct mr_build *mr_build_new(struct mr_arena *a) {
    struct mr_build *b = mr_calloc(1, sizeof *b);
    if (!b)
        return NULL;
    b->arena = a;
    b->slot = mr_calloc(MR_MAX_SLOTS, sizeof *b->slot);
    b->op = mr_calloc(MR_MAX_OPS, sizeof *b->op);
    b->warn = mr_calloc(MAX_WARN, sizeof *b->warn);
    b->n_slot = 1; /* slot 0 is the input */
    if (!b->slot || !b->op || !b->warn) {
        mr_build_free(b);
        return NULL;
    }
    return b;
}

void mr_build_free(struct mr_build *b) {
    if (!b)
        return;
    for (size_t i = 0; i < b->n_buf; i++)
        mr_free(b->bufs[i]);
    mr_free(b->bufs);
    mr_free(b->slot);
    mr_free(b->op);
    mr_free(b->warn);
    mr_free(b);
}

static void broken(struct mr_build *b, int code, const char *what) {
    if (!b->err.code)
        mr_fail(&b->err, code, "%s", what);
}

/* --- slots -------------------------------------------------------------------------------- */

static bool slot_ok(struct mr_build *b, uint32_t width) {
    if (width == 0 || width > MR_MAX_WIDTH) {
        if (!b->err.code)
            mr_fail(&b->err, MR_EUNSUPPORTED, "a table of %u columns is not supported (1 to %u)",
                    width, MR_MAX_WIDTH);
        return false;
    }
    return true;
}

uint32_t mr_build_input(struct mr_build *b, enum mr_slot_kind kind, uint32_t width) {
    if (slot_ok(b, width))
        b->slot[0] = (struct mr_slot_decl){kind, width};
    return 0;
}

uint32_t mr_build_slot(struct mr_build *b, enum mr_slot_kind kind, uint32_t width) {
    if (!slot_ok(b, width))
        return 0;
    if (b->n_slot >= MR_MAX_SLOTS) {
        broken(b, MR_EUNSUPPORTED, "the model has too many steps");
        return 0;
    }
    b->slot[b->n_slot] = (struct mr_slot_decl){kind, width};
    return b->n_slot++;
}

enum mr_slot_kind mr_build_slot_kind(const struct mr_build *b, uint32_t slot) {
    return slot < b->n_slot ? (enum mr_slot_kind)b->slot[slot].kind : MR_SLOT_DENSE;
}

uint32_t mr_build_slot_width(const struct mr_build *b, uint32_t slot) {
    return slot < b->n_slot ? b->slot[slot].width : 0;
}

/* --- blobs -------------------------------------------------------------------------------- */

/* The builder remembers every buffer, so a converter may drop a blob on an error path. */
static bool remember(struct mr_build *b, void *p) {
    if (b->n_buf == b->cap_buf) {
        size_t cap = b->cap_buf ? b->cap_buf * 2 : 64;
        void **v = mr_reallocarray(b->bufs, cap, sizeof *v);
        if (!v)
            return false;
        b->bufs = v;
        b->cap_buf = cap;
    }
    b->bufs[b->n_buf++] = p;
    return true;
}

static bool grow(struct mr_blob *blob, size_t more) {
    struct mr_build *b = blob->b;
    if (b->err.code)
        return false;
    if (more > MAX_BLOB || blob->n > MAX_BLOB - more) {
        broken(b, MR_ETOOBIG, "the model's parameters are too large");
        return false;
    }
    if (blob->n + more <= blob->cap)
        return true;
    size_t cap = blob->cap * 2 < 256 ? 256 : blob->cap * 2;
    if (cap < blob->n + more)
        cap = blob->n + more;
    size_t k = b->n_buf;
    while (blob->p && k && b->bufs[k - 1] != blob->p)
        k--;
    uint8_t *p = mr_realloc(blob->p, cap);
    if (p && blob->p && k)
        b->bufs[k - 1] = p;
    else if (p && !remember(b, p)) {
        mr_free(p);
        p = NULL;
    }
    if (!p) {
        broken(b, MR_ENOMEM, "out of memory while compiling the model");
        return false;
    }
    blob->p = p;
    blob->cap = cap;
    return true;
}

void mr_blob_begin(struct mr_build *b, struct mr_blob *blob, size_t n) {
    *blob = (struct mr_blob){b, NULL, 0, 0};
    if (grow(blob, n ? n : 8)) {
        memset(blob->p, 0, n);
        blob->n = n;
    }
}

void *mr_blob_head(struct mr_blob *blob) {
    /* A failed builder still hands out room to write to, so that callers need no checks. */
    static _Thread_local uint64_t scrap[64];
    return blob->p && !blob->b->err.code ? (void *)blob->p : (void *)scrap;
}

static struct mr_ref add(struct mr_blob *blob, const void *v, size_t n, size_t size) {
    struct mr_ref r = {0, 0};
    size_t bytes;
    if (__builtin_mul_overflow(n, size, &bytes)) {
        broken(blob->b, MR_ETOOBIG, "the model's parameters are too large");
        return r;
    }
    size_t pad = -blob->n & 7;
    if (!grow(blob, bytes + pad))
        return r;
    memset(blob->p + blob->n, 0, pad);
    blob->n += pad;
    r.off = blob->n;
    r.n = n;
    if (bytes)
        memcpy(blob->p + blob->n, v, bytes);
    blob->n += bytes;
    return r;
}

struct mr_ref mr_blob_f64(struct mr_blob *blob, const double *v, size_t n) {
    return add(blob, v, n, sizeof *v);
}

struct mr_ref mr_blob_f32(struct mr_blob *blob, const float *v, size_t n) {
    return add(blob, v, n, sizeof *v);
}

struct mr_ref mr_blob_u32(struct mr_blob *blob, const uint32_t *v, size_t n) {
    return add(blob, v, n, sizeof *v);
}

struct mr_ref mr_blob_i32(struct mr_blob *blob, const int32_t *v, size_t n) {
    return add(blob, v, n, sizeof *v);
}

struct mr_ref mr_blob_bytes(struct mr_blob *blob, const void *v, size_t n) {
    return add(blob, v, n, 1);
}

struct mr_ref mr_blob_strtab(struct mr_blob *blob, const struct mr_str *v, size_t n) {
    uint64_t total = 0;
    for (size_t i = 0; i < n; i++)
        total += v[i].n;
    uint32_t *off = NULL;
    if (total < UINT32_MAX && n < UINT32_MAX - 1)
        off = mr_arena_array(blob->b->arena, n + 1, sizeof *off);
    if (!off) {
        broken(blob->b, MR_ETOOBIG, "the model's strings are too large");
        return (struct mr_ref){0, 0};
    }
    off[0] = 0;
    for (size_t i = 0; i < n; i++)
        off[i + 1] = off[i] + (uint32_t)v[i].n;
    struct mr_ref r = add(blob, off, n + 1, sizeof *off);
    if (grow(blob, total)) {
        for (size_t i = 0; i < n; i++)
            if (v[i].n)
                memcpy(blob->p + blob->n + off[i], v[i].p, v[i].n);
        blob->n += total;
    }
    r.n = n;
    return r;
}

void mr_build_op(struct mr_build *b, uint32_t op_id, const uint32_t *in, uint32_t n_in,
                 uint32_t out, struct mr_blob *blob) {
    if (b->err.code)
        return;
    if (b->n_op >= MR_MAX_OPS || n_in == 0 || n_in > MR_OP_MAX_IN || out >= b->n_slot) {
        broken(b, MR_EUNSUPPORTED, "the model has too many steps");
        return;
    }
    uint32_t *copy = mr_arena_array(b->arena, n_in, sizeof *copy);
    if (!copy) {
        broken(b, MR_ENOMEM, "out of memory while compiling the model");
        return;
    }
    memcpy(copy, in, n_in * sizeof *copy);
    b->op[b->n_op++] = (struct mr_build_op){op_id, n_in, out, copy, blob->p, blob->n, false};
    blob->p = NULL;
    blob->n = blob->cap = 0;
}

/* --- description --------------------------------------------------------------------------- */

static struct mr_str keep(struct mr_build *b, struct mr_str s) {
    if (!s.p)
        return s;
    char *p = mr_arena_str(b->arena, s);
    if (!p)
        broken(b, MR_ENOMEM, "out of memory while compiling the model");
    return p ? mr_strn(p, s.n) : (struct mr_str){0};
}

void mr_build_output(struct mr_build *b, const struct mr_build_output *o) {
    if (b->n_out >= MR_MODEL_MAX_OUT) {
        broken(b, MR_EUNSUPPORTED, "the model has more than 64 outputs");
        return;
    }
    struct mr_build_output c = *o;
    if (o->classes) {
        struct mr_label *v = mr_arena_array(b->arena, o->n_classes, sizeof *v);
        if (!v) {
            broken(b, MR_ENOMEM, "out of memory while compiling the model");
            return;
        }
        for (uint32_t i = 0; i < o->n_classes; i++) {
            v[i] = o->classes[i];
            if (o->label_kind == MR_LABEL_STR)
                v[i].s = keep(b, v[i].s);
        }
        c.classes = v;
    }
    b->out[b->n_out++] = c;
}

void mr_build_info(struct mr_build *b, const struct mr_build_info *info) {
    b->info = *info;
    b->info.framework = keep(b, info->framework);
    b->info.framework_version = keep(b, info->framework_version);
    b->info.model_type = keep(b, info->model_type);
    b->has_info = true;
    if (info->feature_names) {
        uint32_t n = b->slot[0].width;
        struct mr_str *v = mr_arena_array(b->arena, n ? n : 1, sizeof *v);
        for (uint32_t i = 0; v && i < n; i++)
            v[i] = keep(b, info->feature_names[i]);
        b->info.feature_names = v;
    }
}

void mr_build_warn(struct mr_build *b, const char *fmt, ...) {
    char text[512];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    for (uint32_t i = 0; i < b->n_warn; i++)
        if (mr_str_is(b->warn[i], text))
            return;
    if (b->n_warn < MAX_WARN)
        b->warn[b->n_warn++] = keep(b, mr_str(text));
}
