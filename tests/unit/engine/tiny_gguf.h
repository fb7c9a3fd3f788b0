/* A language model of a few kilobytes with made-up weights, and an adapter for it, as GGUF files:
 * for what does not depend on sense. Byte vocabulary, one layer. */
#ifndef MR_TINY_GGUF_H
#define MR_TINY_GGUF_H

#include "base/buf.h"

#include <math.h>
#include <stdio.h>

enum { TINY_DIM = 32, TINY_FF = 64, TINY_VOCAB = 259, TINY_RANK = 4 };

struct tiny {
    struct mr_buf head, data;
    uint32_t tensors, values, seed;
};

static inline void tiny_u32(struct mr_buf *b, uint32_t v) {
    mr_buf_add(b, &v, sizeof v);
}
static inline void tiny_u64(struct mr_buf *b, uint64_t v) {
    mr_buf_add(b, &v, sizeof v);
}
static inline void tiny_text(struct mr_buf *b, const char *s) {
    tiny_u64(b, strlen(s));
    mr_buf_cstr(b, s);
}
static inline void tiny_str(struct tiny *t, const char *key, const char *v) {
    tiny_text(&t->head, key);
    tiny_u32(&t->head, 8);
    tiny_text(&t->head, v);
    t->values++;
}
static inline void tiny_int(struct tiny *t, const char *key, uint32_t v) {
    tiny_text(&t->head, key);
    tiny_u32(&t->head, 4);
    tiny_u32(&t->head, v);
    t->values++;
}
static inline void tiny_float(struct tiny *t, const char *key, float v) {
    tiny_text(&t->head, key);
    tiny_u32(&t->head, 6);
    mr_buf_add(&t->head, &v, sizeof v);
    t->values++;
}
static inline void tiny_bool(struct tiny *t, const char *key, bool v) {
    tiny_text(&t->head, key);
    tiny_u32(&t->head, 7);
    mr_buf_char(&t->head, v);
    t->values++;
}

/* F32; rows 0: one dimension. scale 0: ones. Tensors come after all values. */
static inline void tiny_tensor(struct tiny *t, struct mr_buf *list, const char *name, uint64_t n,
                               uint64_t rows, float scale) {
    tiny_text(list, name);
    tiny_u32(list, rows ? 2 : 1);
    tiny_u64(list, n);
    if (rows)
        tiny_u64(list, rows);
    tiny_u32(list, 0);
    tiny_u64(list, t->data.n);
    for (uint64_t k = 0; k < n * (rows ? rows : 1); k++) {
        t->seed = t->seed * 1664525 + 1013904223;
        float v = scale == 0 ? 1.0F : scale * ((float)(t->seed >> 8) / 8388608.0F - 1.0F);
        mr_buf_add(&t->data, &v, sizeof v);
    }
    while (t->data.n % 32)
        mr_buf_char(&t->data, 0);
    t->tensors++;
}

/* Header, values, tensor list, padding, data. */
static inline void tiny_join(struct tiny *t, struct mr_buf *list, struct mr_buf *out) {
    mr_buf_cstr(out, "GGUF");
    tiny_u32(out, 3);
    tiny_u64(out, t->tensors);
    tiny_u64(out, t->values);
    mr_buf_add(out, t->head.p, t->head.n);
    mr_buf_add(out, list->p, list->n);
    while (out->n % 32)
        mr_buf_char(out, 0);
    mr_buf_add(out, t->data.p, t->data.n);
}

static inline void tiny_vocabulary(struct tiny *t) {
    tiny_str(t, "tokenizer.ggml.model", "llama");
    tiny_text(&t->head, "tokenizer.ggml.tokens");
    tiny_u32(&t->head, 9);
    tiny_u32(&t->head, 8);
    tiny_u64(&t->head, TINY_VOCAB);
    tiny_text(&t->head, "<unk>");
    tiny_text(&t->head, "<s>");
    tiny_text(&t->head, "</s>");
    for (int k = 0; k < 256; k++) {
        char byte[8];
        snprintf(byte, sizeof byte, "<0x%02X>", k);
        tiny_text(&t->head, byte);
    }
    tiny_text(&t->head, "tokenizer.ggml.scores");
    tiny_u32(&t->head, 9);
    tiny_u32(&t->head, 6);
    tiny_u64(&t->head, TINY_VOCAB);
    for (int k = 0; k < TINY_VOCAB; k++)
        tiny_u32(&t->head, 0);
    tiny_text(&t->head, "tokenizer.ggml.token_type");
    tiny_u32(&t->head, 9);
    tiny_u32(&t->head, 5);
    tiny_u64(&t->head, TINY_VOCAB);
    for (int k = 0; k < TINY_VOCAB; k++)
        tiny_u32(&t->head, k == 0 ? 2 : k < 3 ? 3 : 6);
    t->values += 3;
    tiny_int(t, "tokenizer.ggml.bos_token_id", 1);
    tiny_int(t, "tokenizer.ggml.eos_token_id", 2);
    tiny_int(t, "tokenizer.ggml.unknown_token_id", 0);
    tiny_bool(t, "tokenizer.ggml.add_space_prefix", false);
    tiny_bool(t, "tokenizer.ggml.add_bos_token", true);
}

static inline void tiny_model(struct mr_buf *out, uint32_t context) {
    struct tiny t = {.seed = 7};
    struct mr_buf list;
    mr_buf_init(&t.head, 1 << 20);
    mr_buf_init(&t.data, 1 << 20);
    mr_buf_init(&list, 1 << 20);
    tiny_str(&t, "general.architecture", "llama");
    tiny_str(&t, "general.name", "tiny");
    tiny_int(&t, "general.file_type", 0);
    tiny_int(&t, "llama.block_count", 1);
    tiny_int(&t, "llama.context_length", context);
    tiny_int(&t, "llama.embedding_length", TINY_DIM);
    tiny_int(&t, "llama.feed_forward_length", TINY_FF);
    tiny_int(&t, "llama.attention.head_count", 2);
    tiny_int(&t, "llama.attention.head_count_kv", 2);
    tiny_int(&t, "llama.rope.dimension_count", TINY_DIM / 2);
    tiny_float(&t, "llama.attention.layer_norm_rms_epsilon", 1e-5F);
    tiny_vocabulary(&t);
    tiny_tensor(&t, &list, "token_embd.weight", TINY_DIM, TINY_VOCAB, 1);
    tiny_tensor(&t, &list, "output_norm.weight", TINY_DIM, 0, 0);
    tiny_tensor(&t, &list, "output.weight", TINY_DIM, TINY_VOCAB, 1);
    tiny_tensor(&t, &list, "blk.0.attn_norm.weight", TINY_DIM, 0, 0);
    tiny_tensor(&t, &list, "blk.0.attn_q.weight", TINY_DIM, TINY_DIM, 0.3F);
    tiny_tensor(&t, &list, "blk.0.attn_k.weight", TINY_DIM, TINY_DIM, 0.3F);
    tiny_tensor(&t, &list, "blk.0.attn_v.weight", TINY_DIM, TINY_DIM, 0.3F);
    tiny_tensor(&t, &list, "blk.0.attn_output.weight", TINY_DIM, TINY_DIM, 0.3F);
    tiny_tensor(&t, &list, "blk.0.ffn_norm.weight", TINY_DIM, 0, 0);
    tiny_tensor(&t, &list, "blk.0.ffn_gate.weight", TINY_DIM, TINY_FF, 0.3F);
    tiny_tensor(&t, &list, "blk.0.ffn_up.weight", TINY_DIM, TINY_FF, 0.3F);
    tiny_tensor(&t, &list, "blk.0.ffn_down.weight", TINY_FF, TINY_DIM, 0.3F);
    tiny_join(&t, &list, out);
    mr_buf_release(&t.head);
    mr_buf_release(&t.data);
    mr_buf_release(&list);
}

/* For blk.0.ffn_up; another seed is another adapter. */
static inline void tiny_adapter(struct mr_buf *out, const char *architecture, uint32_t seed) {
    struct tiny t = {.seed = seed};
    struct mr_buf list;
    mr_buf_init(&t.head, 1 << 20);
    mr_buf_init(&t.data, 1 << 20);
    mr_buf_init(&list, 1 << 20);
    tiny_str(&t, "general.architecture", architecture);
    tiny_str(&t, "general.type", "adapter");
    tiny_str(&t, "adapter.type", "lora");
    tiny_float(&t, "adapter.lora.alpha", 4);
    tiny_tensor(&t, &list, "blk.0.ffn_up.weight.lora_a", TINY_DIM, TINY_RANK, 1);
    tiny_tensor(&t, &list, "blk.0.ffn_up.weight.lora_b", TINY_RANK, TINY_FF, 1);
    tiny_join(&t, &list, out);
    mr_buf_release(&t.head);
    mr_buf_release(&t.data);
    mr_buf_release(&list);
}

static inline void tiny_write(const char *path, const char *p, size_t n) {
    FILE *f = fopen(path, "wb");
    if (f) {
        fwrite(p, 1, n, f);
        fclose(f);
    }
}

#endif
