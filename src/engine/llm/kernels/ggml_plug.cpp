// Our kernels as a further buffer type of ggml's CPU backend: at load, weights of the types that
// qmm.h knows are packed into such a buffer, and products with them come here. ggml asks every such
// type about every operation, so attention comes here too, where attn.h has it. Compiled by
// scripts/setup with ggml's own headers (revision: scripts/requirements/llama.txt); no part of the
// server.
#include "engine/llm/kernels/attn.h"
#include "engine/llm/kernels/qmm.h"

#include "ggml-backend-impl.h"
#include "ggml-cpu-impl.h"
#include "ggml-cpu.h"
#include "traits.h"

#include <cstring>
#include <sys/mman.h>

namespace {

// So few columns every thread packs for itself: cheaper than a meeting of the threads.
constexpr size_t few = 2;

bool type_of(const ggml_tensor *t, mr_qmm_type &ret) {
    switch (t->type) {
    case GGML_TYPE_Q4_0:
        ret = MR_QMM_Q4_0;
        return true;
    case GGML_TYPE_Q4_1:
        ret = MR_QMM_Q4_1;
        return true;
    case GGML_TYPE_Q8_0:
        ret = MR_QMM_Q8_0;
        return true;
    default:
        return false;
    }
}

size_t padded(size_t n) {
    return (n + 63) / 64 * 64;
}

class products : public ggml::cpu::tensor_traits {
  public:
    bool work_size(int n_threads, const ggml_tensor *op, size_t &size) override {
        size_t n = (size_t)op->src[1]->ne[1], k = (size_t)op->src[1]->ne[0];
        size = padded(mr_qmm_acts_size(n, k)) * (n <= few ? (size_t)n_threads : 1);
        return true;
    }

    bool compute_forward(ggml_compute_params *params, ggml_tensor *op) override {
        const ggml_tensor *x = op->src[1];
        for (int64_t i3 = 0; i3 < x->ne[3]; i3++)
            for (int64_t i2 = 0; i2 < x->ne[2]; i2++) {
                if (i2 + i3)
                    ggml_barrier(params->threadpool); // others may still read the last plane
                plane(params, op, (const char *)x->data + i2 * x->nb[2] + i3 * x->nb[3],
                      (char *)op->data + i2 * op->nb[2] + i3 * op->nb[3]);
            }
        return true;
    }

  private:
    static void plane(ggml_compute_params *params, ggml_tensor *op, const char *x, char *out) {
        const ggml_tensor *w = op->src[0];
        size_t k = (size_t)w->ne[0], rows = (size_t)w->ne[1], n = (size_t)op->src[1]->ne[1];
        size_t stride = op->src[1]->nb[1], tiles = mr_qmm_tiles(n);
        size_t ith = (size_t)params->ith, nth = (size_t)params->nth;
        size_t panels = (rows + MR_QMM_ROWS - 1) / MR_QMM_ROWS;
        mr_qmm_type type = MR_QMM_Q4_0;
        type_of(w, type);
        char *acts = (char *)params->wdata;
        if (n <= few) {
            acts += ith * padded(mr_qmm_acts_size(n, k));
            mr_qmm_acts(type, n, k, x, stride, acts, 0, tiles);
        } else {
            mr_qmm_acts(type, n, k, x, stride, acts, tiles * ith / nth, tiles * (ith + 1) / nth);
            ggml_barrier(params->threadpool);
        }
        mr_qmm_mul(type, w->data, rows, k, acts, n, out, op->nb[1], panels * ith / nth,
                   panels * (ith + 1) / nth);
    }
};

products the_products;

class attention : public ggml::cpu::tensor_traits {
  public:
    static bool takes(const ggml_tensor *op) {
        const ggml_tensor *q = op->src[0], *k = op->src[1], *v = op->src[2], *mask = op->src[3];
        float bias, cap;
        memcpy(&bias, op->op_params + 1, sizeof bias);
        memcpy(&cap, op->op_params + 2, sizeof cap);
        return bias == 0 && cap == 0 && !op->src[4] && q->type == GGML_TYPE_F32 &&
               k->type == GGML_TYPE_F16 && v->type == GGML_TYPE_F16 && q->ne[0] == v->ne[0] &&
               q->ne[0] % 16 == 0 && q->ne[0] <= MR_ATTN_D_MAX && q->ne[3] == 1 && k->ne[3] == 1 &&
               v->ne[3] == 1 && k->ne[2] == v->ne[2] && q->ne[2] % k->ne[2] == 0 && q->nb[0] == 4 &&
               k->nb[0] == 2 && v->nb[0] == 2 &&
               (!mask || (mask->type == GGML_TYPE_F16 && mask->ne[2] == 1 && mask->ne[3] == 1 &&
                          mask->nb[0] == 2));
    }

    bool work_size(int n_threads, const ggml_tensor *op, size_t &size) override {
        mr_attn a = of(op);
        size = a.tokens > alone ? (size_t)n_threads * padded(mr_attn_room(&a)) : 0;
        return true;
    }

    bool compute_forward(ggml_compute_params *params, ggml_tensor *op) override {
        mr_attn a = of(op);
        size_t ith = (size_t)params->ith, nth = (size_t)params->nth;
        if (a.tokens > alone) {
            void *room = (char *)params->wdata + ith * padded(mr_attn_room(&a));
            for (size_t i = ith; i < mr_attn_items(&a); i += nth)
                mr_attn_item(&a, i, room);
            return true;
        }
        for (size_t i = ith; i < a.tokens * a.kv_heads; i += nth)
            mr_attn_one(&a, i / a.kv_heads, i % a.kv_heads);
        return true;
    }

  private:
    static constexpr size_t alone = 16; // so few tokens are mostly of as many sequences

    static mr_attn of(const ggml_tensor *op) {
        const ggml_tensor *q = op->src[0], *k = op->src[1], *v = op->src[2], *mask = op->src[3];
        mr_attn a = {};
        a.q = (const char *)q->data;
        a.k = (const char *)k->data;
        a.v = (const char *)v->data;
        a.mask = mask ? (const char *)mask->data : nullptr;
        a.out = (char *)op->data;
        a.q_token = q->nb[1];
        a.q_head = q->nb[2];
        a.k_cell = k->nb[1];
        a.k_head = k->nb[2];
        a.v_cell = v->nb[1];
        a.v_head = v->nb[2];
        a.mask_token = mask ? mask->nb[1] : 0;
        a.out_head = op->nb[1]; // the result is of heads by tokens
        a.out_token = op->nb[2];
        a.d = (size_t)q->ne[0];
        a.tokens = (size_t)q->ne[1];
        a.heads = (size_t)q->ne[2];
        a.kv_heads = (size_t)k->ne[2];
        a.cells = (size_t)k->ne[1];
        memcpy(&a.scale, op->op_params, sizeof a.scale);
        return a;
    }
};

attention the_attention;

const char *name(ggml_backend_buffer_type_t) {
    return "CPU_MILLRACE";
}

ggml_status init_tensor(ggml_backend_buffer_t, ggml_tensor *t) {
    t->extra = &the_products;
    return GGML_STATUS_SUCCESS;
}

// Weights come whole, once.
void set_tensor(ggml_backend_buffer_t, ggml_tensor *t, const void *data, size_t offset,
                size_t size) {
    mr_qmm_type type;
    GGML_ASSERT(type_of(t, type) && offset == 0 && size == ggml_nbytes(t));
    mr_qmm_pack(type, (size_t)t->ne[1], (size_t)t->ne[0], data, t->data);
}

ggml_backend_buffer_t alloc(ggml_backend_buffer_type_t type, size_t size) {
    const uintptr_t huge = 2 << 20;
    ggml_backend_buffer_t b = ggml_backend_buft_alloc_buffer(ggml_backend_cpu_buffer_type(), size);
    if (!b)
        return nullptr;
    b->buft = type;
    b->iface.init_tensor = init_tensor;
    b->iface.set_tensor = set_tensor;
    b->iface.get_tensor = nullptr;
    b->iface.cpy_tensor = nullptr;
    // Every token reads all of it: large pages are worth a fifth. A wish, so no error matters.
    uintptr_t from = ((uintptr_t)ggml_backend_buffer_get_base(b) + huge - 1) / huge * huge;
    uintptr_t to = ((uintptr_t)ggml_backend_buffer_get_base(b) + size) / huge * huge;
    if (from < to)
        madvise((void *)from, to - from, MADV_HUGEPAGE);
    return b;
}

size_t alignment(ggml_backend_buffer_type_t) {
    return 64;
}

size_t alloc_size(ggml_backend_buffer_type_t, const ggml_tensor *t) {
    mr_qmm_type type;
    if (!type_of(t, type) || t->ne[0] % MR_QMM_BLOCK)
        return ggml_nbytes(t);
    return mr_qmm_weights_size(type, (size_t)ggml_nrows(t), (size_t)t->ne[0]);
}

ggml_backend_buffer_type_t buffer_type();

class weights : public ggml::cpu::extra_buffer_type {
  public:
    bool supports_op(ggml_backend_dev_t, const ggml_tensor *op) override {
        const ggml_tensor *w = op->src[0], *x = op->src[1];
        mr_qmm_type type;
        return op->op == GGML_OP_MUL_MAT && w->buffer && w->buffer->buft == buffer_type() &&
               type_of(w, type) && w->ne[0] % MR_QMM_BLOCK == 0 && ggml_n_dims(w) == 2 &&
               x->type == GGML_TYPE_F32 && x->nb[0] == sizeof(float) &&
               (!x->buffer || ggml_backend_buft_is_host(x->buffer->buft));
    }

    ggml::cpu::tensor_traits *get_tensor_traits(const ggml_tensor *op) override {
        if (op->op == GGML_OP_FLASH_ATTN_EXT)
            return attention::takes(op) ? &the_attention : nullptr;
        const ggml_tensor *w = op->op == GGML_OP_MUL_MAT ? op->src[0] : nullptr;
        return w && w->buffer && w->buffer->buft == buffer_type() ? &the_products : nullptr;
    }
};

ggml_backend_buffer_type_t buffer_type() {
    static weights context;
    static ggml_backend_buffer_type type = {
        {name, alloc, alignment, nullptr, alloc_size, nullptr},
        ggml_backend_reg_dev_get(ggml_backend_cpu_reg(), 0),
        &context,
    };
    return &type;
}

// In front of ggml's own repacking: the first type that takes a weight gets it.
const bool registered = [] {
    if (!mr_qmm_usable())
        return false;
    auto &types = ggml_backend_cpu_get_extra_buffer_types();
    types.insert(types.begin(), buffer_type());
    return true;
}();

} // namespace
