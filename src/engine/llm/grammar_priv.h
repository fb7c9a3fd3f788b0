/* Shared by the files that write grammars. */
#ifndef MR_ENGINE_LLM_GRAMMAR_PRIV_H
#define MR_ENGINE_LLM_GRAMMAR_PRIV_H

#include "engine/llm/grammar.h"

#define MR_GRAMMAR_DEPTH  48
#define MR_GRAMMAR_RULES  5000
#define MR_GRAMMAR_REPEAT 2000
#define MR_GRAMMAR_MAX    ((size_t)1 << 20)

/* Rules written by mr_grammar_common when their bit is set. */
enum {
    MR_G_STRING = 1,
    MR_G_VALUE = 2, /* any JSON; needs the others */
    MR_G_INTEGER = 4,
    MR_G_NUMBER = 8,
    MR_G_DATE = 16,
    MR_G_TIME = 32,
    MR_G_UUID = 64
};

struct mr_grammar {
    yyjson_val *root; /* for $ref */
    struct mr_buf *out;
    size_t start; /* of the grammar in out */
    unsigned common;
    unsigned n_rules, depth;
    struct {
        yyjson_val *schema;
        unsigned rule;
    } * known; /* schemas that have a rule; room for MR_GRAMMAR_RULES */
    unsigned n_known;
    char path[96]; /* where we are, for errors */
};

/* grammar.c */
int mr_grammar_unsupported(struct mr_grammar *g, const char *key, const char *why,
                           struct mr_err *e);
/* The rule of a schema, written when it is new: "r<number>". */
int mr_grammar_rule(struct mr_grammar *g, yyjson_val *schema, const char *step, unsigned *ret,
                    struct mr_err *e);
int mr_grammar_new_rule(struct mr_grammar *g, unsigned *ret, struct mr_err *e);
/* A JSON value as it is written, as a literal of the grammar. */
int mr_grammar_literal(struct mr_grammar *g, yyjson_val *v, struct mr_buf *b, struct mr_err *e);
/* A text between quotes of the grammar. */
void mr_grammar_quote(struct mr_buf *b, const char *p, size_t n);
yyjson_val *mr_grammar_follow(struct mr_grammar *g, yyjson_val *schema, struct mr_err *e);
int mr_grammar_size(struct mr_grammar *g, yyjson_val *schema, const char *key, uint64_t none,
                    uint64_t *ret, struct mr_err *e);

/* grammar_object.c: right sides of rules */
int mr_grammar_object(struct mr_grammar *g, yyjson_val *schema, struct mr_buf *b, struct mr_err *e);
/* grammar_number.c */
int mr_grammar_integer(struct mr_grammar *g, yyjson_val *schema, struct mr_buf *b,
                       struct mr_err *e);
int mr_grammar_number(struct mr_grammar *g, yyjson_val *schema, struct mr_buf *b, struct mr_err *e);
/* grammar_pattern.c: the inside of a string that matches. */
int mr_grammar_pattern(struct mr_grammar *g, struct mr_str pattern, struct mr_buf *b,
                       struct mr_err *e);

#endif
