#include "base/alloc.h"
#include "base/cleanup.h"
#include "model/build_priv.h"
#include "model/op_ids.h"

#include <errno.h>
#include <unistd.h>

/* --- numeric input ------------------------------------------------------------------------- */

static bool passes_cells_on(const struct mr_build *b, const struct mr_build_op *op) {
    return (op->type == MR_OP_SELECT || op->type == MR_OP_CONCAT) &&
           b->slot[op->out].kind == MR_SLOT_CELLS;
}

/* Slots that must stay cells: read by an operation that wants cells, or by one that passes them on
 * to such a slot. Operations are in order, so one pass from the back finds all. */
static void mark_cells(const struct mr_build *b, bool *cells) {
    for (uint32_t i = b->n_op; i-- > 0;) {
        const struct mr_build_op *op = &b->op[i];
        bool keeps = op->type != MR_OP_TO_DENSE && (!passes_cells_on(b, op) || cells[op->out]);
        for (uint32_t k = 0; keeps && k < op->n_in; k++)
            cells[op->in[k]] = true;
    }
}

void mr_build_numeric_input(struct mr_build *b) {
    if (b->slot[0].kind != MR_SLOT_CELLS || b->info.text_input)
        return;
    bool cells[MR_MAX_SLOTS] = {0};
    uint32_t same[MR_MAX_SLOTS];
    mark_cells(b, cells);
    if (cells[0])
        return;
    for (uint32_t i = 0; i < b->n_slot; i++) {
        same[i] = i;
        if (b->slot[i].kind == MR_SLOT_CELLS && !cells[i])
            b->slot[i].kind = MR_SLOT_DENSE;
    }
    for (uint32_t i = 0; i < b->n_op; i++) {
        struct mr_build_op *op = &b->op[i];
        for (uint32_t k = 0; k < op->n_in; k++)
            op->in[k] = same[op->in[k]];
        if (op->type == MR_OP_TO_DENSE && b->slot[op->in[0]].kind == MR_SLOT_DENSE) {
            same[op->out] = op->in[0];
            op->dropped = true;
        }
    }
    for (uint32_t i = 0; i < b->n_out; i++) {
        b->out[i].pred_slot = same[b->out[i].pred_slot];
        if (b->out[i].proba_slot != UINT32_MAX)
            b->out[i].proba_slot = same[b->out[i].proba_slot];
    }
}

/* --- metadata ------------------------------------------------------------------------------ */

static void key_str(struct mr_buf *o, const char *key, struct mr_str s) {
    mr_buf_fmt(o, ",\"%s\":", key);
    mr_buf_json(o, s);
}

static void strings(struct mr_buf *o, const char *key, const struct mr_str *v, uint32_t n) {
    mr_buf_fmt(o, ",\"%s\":[", key);
    for (uint32_t i = 0; i < n; i++) {
        if (i)
            mr_buf_char(o, ',');
        mr_buf_json(o, v[i]);
    }
    mr_buf_char(o, ']');
}

static void output(struct mr_buf *o, const struct mr_build_output *out) {
    mr_buf_fmt(o, "{\"pred\":%u", out->pred_slot);
    if (out->proba_slot != UINT32_MAX)
        mr_buf_fmt(o, ",\"proba\":%u", out->proba_slot);
    if (out->classes) {
        mr_buf_fmt(o, ",\"label_kind\":%u,\"classes\":[", (unsigned)out->label_kind);
        for (uint32_t i = 0; i < out->n_classes; i++) {
            if (i)
                mr_buf_char(o, ',');
            if (out->label_kind == MR_LABEL_STR)
                mr_buf_json(o, out->classes[i].s);
            else if (out->label_kind == MR_LABEL_FLOAT)
                mr_buf_f64(o, out->classes[i].f);
            else
                mr_buf_i64(o, out->classes[i].i);
        }
        mr_buf_char(o, ']');
    }
    mr_buf_char(o, '}');
}

void mr_build_meta(const struct mr_build *b, struct mr_buf *o) {
    const struct mr_build_info *in = &b->info;
    mr_buf_fmt(o, "{\"task\":%u", (unsigned)in->task);
    key_str(o, "framework", in->framework);
    key_str(o, "framework_version", in->framework_version);
    key_str(o, "model_type", in->model_type);
    mr_buf_fmt(o, ",\"accepts_missing\":%s,\"text_input\":%s",
               in->accepts_missing ? "true" : "false", in->text_input ? "true" : "false");
    if (in->feature_names)
        strings(o, "feature_names", in->feature_names, b->slot[0].width);
    strings(o, "warnings", b->warn, b->n_warn);
    mr_buf_cstr(o, ",\"outputs\":[");
    for (uint32_t i = 0; i < b->n_out; i++) {
        if (i)
            mr_buf_char(o, ',');
        output(o, &b->out[i]);
    }
    mr_buf_cstr(o, "]}");
}

/* --- file ----------------------------------------------------------------------------------- */

static int put(int fd, const void *p, size_t n, struct mr_err *e) {
    const char *c = p;
    while (n) {
        ssize_t k = write(fd, c, n);
        if (k < 0 && errno == EINTR)
            continue;
        if (k <= 0)
            return mr_fail_errno(e, "write compiled model");
        c += k;
        n -= (size_t)k;
    }
    return 0;
}

static uint64_t up(uint64_t n) {
    return (n + MR_MODEL_ALIGN - 1) / MR_MODEL_ALIGN * MR_MODEL_ALIGN;
}

/* Writes p and zeros up to the next section. */
static int put_section(int fd, const void *p, size_t n, struct mr_err *e) {
    static const char zero[MR_MODEL_ALIGN];
    int r = put(fd, p, n, e);
    return r ? r : put(fd, zero, up(n) - n, e);
}

static int write_file(struct mr_build *b, struct mr_file_op *ops, uint32_t n_op,
                      const struct mr_buf *meta, int fd, struct mr_err *e) {
    struct mr_file_head h = {.version = MR_MODEL_VERSION, .n_slots = b->n_slot, .n_ops = n_op};
    memcpy(h.magic, MR_MODEL_MAGIC, sizeof h.magic);
    h.slots_off = sizeof h;
    h.ops_off = h.slots_off + up(b->n_slot * sizeof *b->slot);
    uint64_t at = h.ops_off + up(n_op * sizeof *ops);
    for (uint32_t i = 0, k = 0; i < b->n_op; i++) {
        if (b->op[i].dropped)
            continue;
        ops[k++].params_off = at;
        at += up(b->op[i].params_len);
    }
    h.meta_off = at;
    h.meta_len = meta->n;
    h.file_len = at + up(meta->n);
    if (h.file_len > MR_MODEL_MAX)
        return mr_fail(e, MR_ETOOBIG, "the compiled model is too large");
    int r = put_section(fd, &h, sizeof h, e);
    if (!r)
        r = put_section(fd, b->slot, b->n_slot * sizeof *b->slot, e);
    if (!r)
        r = put_section(fd, ops, n_op * sizeof *ops, e);
    for (uint32_t i = 0; !r && i < b->n_op; i++)
        if (!b->op[i].dropped)
            r = put_section(fd, b->op[i].params, b->op[i].params_len, e);
    return r ? r : put_section(fd, meta->p, meta->n, e);
}

int mr_build_write(struct mr_build *b, int fd, struct mr_err *e) {
    if (b->err.code) {
        if (e)
            *e = b->err;
        return b->err.code;
    }
    if (!b->has_info || b->n_out == 0)
        return mr_fail(e, MR_EINTERNAL, "the model has no description");
    mr_build_numeric_input(b);
    MR_AUTO_FREE struct mr_file_op *ops = mr_calloc(b->n_op + 1, sizeof *ops);
    if (!ops)
        return mr_fail(e, MR_ENOMEM, "out of memory while writing the model");
    uint32_t n = 0;
    for (uint32_t i = 0; i < b->n_op; i++) {
        const struct mr_build_op *op = &b->op[i];
        if (op->dropped)
            continue;
        ops[n].type = op->type;
        ops[n].n_in = op->n_in;
        ops[n].out = op->out;
        ops[n].params_len = op->params_len;
        memcpy(ops[n].in, op->in, op->n_in * sizeof *op->in);
        n++;
    }
    MR_CLEANUP(mr_buf_release) struct mr_buf meta;
    mr_buf_init(&meta, 256u << 20);
    mr_build_meta(b, &meta);
    if (!mr_buf_ok(&meta))
        return mr_fail(e, meta.fail, "the model's description is too large");
    return write_file(b, ops, n, &meta, fd, e);
}
