/* Inside of the named-entity network: its file, the tokenizer, the features and the layers.
 * Everything in struct mr_ner is written once at opening and only read afterwards. */
#ifndef MR_ENGINE_NLP_NER_INTERNAL_H
#define MR_ENGINE_NLP_NER_INTERNAL_H

#include "base/err.h"
#include "base/str.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* --- a table of 64-bit keys (ner_map.c) ------------------------------------------------------ */
struct mr_ner_map {
    uint64_t *slot; /* key, value, key, value …; owned */
    uint8_t *used;
    uint32_t cap, n; /* cap: a power of two, or 0 */
};
int mr_ner_map_put(struct mr_ner_map *m, uint64_t key, uint64_t value); /* 0 or MR_ENOMEM */
bool mr_ner_map_get(const struct mr_ner_map *m, uint64_t key, uint64_t *ret);
void mr_ner_map_release(struct mr_ner_map *m);

/* spaCy's hash of a string: MurmurHash64A (Austin Appleby, public domain) with seed 1. */
uint64_t mr_ner_hash(const char *p, size_t n);

/* --- the tokenizer's rules (ner_rules.c) ----------------------------------------------------- */
struct mr_ner_set {
    uint64_t ascii[2];
    const uint32_t *range; /* n pairs first, last; sorted */
    uint32_t n;
};
enum {
    MR_NER_MORE = 1, /* the body's last set once or more (all sets of the body are the same one) */
    MR_NER_NOT = 2,  /* what follows must not be in the set; the end is fine */
};
struct mr_ner_alt {
    uint32_t flags, nbehind, nbody, nahead;
    const uint32_t *behind, *body, *ahead; /* ids of sets */
};
#define MR_NER_ALTS 128
struct mr_ner_rule {
    struct mr_ner_alt alt[MR_NER_ALTS]; /* in the order in which they are tried */
    uint32_t n;
    uint64_t first[128][2], last[128][2]; /* alternatives by an ASCII match's first, last letter */
};
struct mr_ner_props { /* ids of sets */
    uint32_t tld, alpha, upper, digit;
};
struct mr_ner_rules {
    struct mr_ner_set *set; /* owned */
    uint32_t nset;
    struct mr_ner_rule prefix, suffix, infix;
    struct mr_ner_props is;
};
bool mr_ner_in(const struct mr_ner_rules *r, uint32_t set, uint32_t cp);
void mr_ner_rule_index(const struct mr_ner_rules *r, struct mr_ner_rule *rule);
/* Lengths in code points of what is cut off the front or the end of s[0, n); 0: nothing. */
uint32_t mr_ner_prefix(const struct mr_ner_rules *r, const uint32_t *s, uint32_t n);
uint32_t mr_ner_suffix(const struct mr_ner_rules *r, const uint32_t *s, uint32_t n);
/* The next split point at or after *at; false: none. */
bool mr_ner_infix(const struct mr_ner_rules *r, const uint32_t *s, uint32_t n, uint32_t *at,
                  uint32_t *ret_len);
/* Whether s is an address of the web that stays one token (ner_url.c). */
bool mr_ner_is_url(const struct mr_ner_rules *r, const uint32_t *s, uint32_t n);

/* --- the tokenizer (ner_token.c) ------------------------------------------------------------- */
struct mr_ner_text {
    const char *p;
    const uint32_t *cp;  /* n code points */
    const uint32_t *off; /* n + 1 byte offsets */
    uint32_t n;
};
struct mr_ner_token {
    uint32_t start, n; /* code points of the text */
    uint64_t norm;     /* set by an exception; 0: by the word itself */
};
struct mr_ner_tokens {
    struct mr_ner_token *tok; /* owned */
    uint32_t n, cap;
};
struct mr_ner_special { /* a chunk with tokens of its own */
    uint32_t first, n;  /* in special_token; their start counts from the chunk's */
};
/* --- labels and layers (ner_net.c) ----------------------------------------------------------- */
enum { MR_NER_BEGIN = 1, MR_NER_IN, MR_NER_LAST, MR_NER_UNIT, MR_NER_OUT };
#define MR_NER_MOVES     74
#define MR_NER_WIDTH     96
#define MR_NER_TOKVEC    64
#define MR_NER_HIDDEN    128 /* two pieces of 64 */
#define MR_NER_PANEL     48
#define MR_NER_LAYERS    5 /* the mixing layer and four windows */
#define MR_NER_FEATS     4
#define MR_NER_HALO      4
#define MR_NER_PANELS(n) (((n) + MR_NER_PANEL - 1) / MR_NER_PANEL)
#define MR_NER_COLS(n)   (MR_NER_PANELS(n) * MR_NER_PANEL)
struct mr_ner_layer {
    const float *w, *b, *g, *shift;
};
struct mr_ner_net {
    const float *embed[MR_NER_FEATS];
    uint32_t rows[MR_NER_FEATS], seed[MR_NER_FEATS];
    struct mr_ner_layer layer[MR_NER_LAYERS];
    const float *lin_w, *lin_b;      /* 96 -> 64 */
    const float *low_w[3], *low_pad; /* 64 -> 128 for each place of the state; 3 x 128 */
    const float *low_b, *up_w, *up_b;
    uint8_t kind[MR_NER_MOVES];
    uint8_t label[MR_NER_MOVES]; /* in mr_ner.label */
};

struct mr_ner {
    char *file; /* owned; weights and sets point into it */
    size_t size;
    struct mr_ner_rules rules;
    struct mr_ner_map special_of, symbol, norm, pattern; /* pattern: 1 a beginning, 2 a whole one */
    struct mr_ner_special *special;                      /* owned */
    struct mr_ner_token *special_token;                  /* owned */
    uint32_t nspecial, max_special, max_pattern;         /* max_special: code points */
    char *label[MR_NER_MOVES];                           /* owned; "ORG" … */
    uint32_t nlabel;
    struct mr_ner_net net;
};

/* Checks n->file and fills the rest (ner_file.c); `name` is for errors. What was made before a
 * failure is released by mr_ner_free. MR_EREFUSED: damaged. */
int mr_ner_parse(struct mr_ner *n, const char *name, struct mr_err *e);
uint64_t mr_ner_id(const struct mr_ner *n, const char *p, size_t len);
/* A text as code points with their byte offsets; *ret_own is one block to be freed. */
int mr_ner_decode(struct mr_str text, struct mr_ner_text *ret, uint32_t **ret_own);
/* Appends the tokens of `t`; specials: with the exceptions, as a text is read. */
int mr_ner_tokenize(const struct mr_ner *n, const struct mr_ner_text *t, bool specials,
                    struct mr_ner_tokens *out);
/* Registers the token sequence of an exception (at opening). */
int mr_ner_add_pattern(struct mr_ner *n, const struct mr_ner_text *t,
                       const struct mr_ner_tokens *tokens);
/* The four features of a token (ner_lex.c). 0 or MR_ENOMEM. */
struct mr_ner_scratch {
    char *p; /* owned */
    size_t cap;
};
int mr_ner_features(const struct mr_ner *n, const struct mr_ner_text *t,
                    const struct mr_ner_token *tok, struct mr_ner_scratch *s,
                    uint64_t out[MR_NER_FEATS]);
bool mr_ner_is_space(const struct mr_ner_text *t, const struct mr_ner_token *tok);

struct mr_ner_action {
    uint8_t move;      /* index of the action */
    float probability; /* softmax over the valid ones */
};
/* One action for each token. best (may be NULL): the chosen action's score. */
int mr_ner_run(const struct mr_ner *n, const struct mr_ner_text *t,
               const struct mr_ner_tokens *tokens, struct mr_ner_action *out, float *best);

/* The inner loops, for one instruction set each (ner_kernels_*.c). */
struct mr_ner_kernels {
    /* dst[m][panels * 48] = src: m rows of k numbers, `step` numbers apart, times packed weights */
    void (*gemm)(float *dst, const float *src, size_t step, size_t m, size_t k, const float *w,
                 size_t panels);
    /* out[96] += layer norm of the largest of three pieces of in[288] + bias */
    void (*norm)(const struct mr_ner_layer *l, const float *in, float *out);
    /* out[96] = the sum of four rows */
    void (*sum4)(const float *const row[4], float *out);
};
extern const struct mr_ner_kernels mr_ner_base, mr_ner_avx2, mr_ner_avx512;
const struct mr_ner_kernels *mr_ner_kernels(void); /* the fastest of this machine */

/* Tokens, actions and their scores, for the comparison with spaCy. As mr_ner_read otherwise. */
struct mr_arena;
struct mr_ner_trace {
    uint32_t start, n; /* code points */
    uint32_t move;
    float score;
};
int mr_ner_trace(const struct mr_ner *n, struct mr_str text, struct mr_arena *arena,
                 struct mr_ner_trace **ret, size_t *ret_n, struct mr_err *e);

#endif
