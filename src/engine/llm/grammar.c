#include "engine/llm/grammar_priv.h"

#include "base/alloc.h"
#include "base/cleanup.h"

#include <stdlib.h>
#include <string.h>

int mr_grammar_unsupported(struct mr_grammar *g, const char *key, const char *why,
                           struct mr_err *e) {
    char field[96];
    snprintf(field, sizeof field, "%.60s%s%.30s", g->path, *key ? "." : "", key);
    return mr_fail_field(e, MR_EFIELD, field, "%s", why);
}

/* Keywords that say nothing about what is valid. */
static const char *const notes[] = {
    "title",   "description", "default",  "examples",  "$schema", "$id",        "$comment",
    "$anchor", "deprecated",  "readOnly", "writeOnly", "$defs",   "definitions"};
static const char *const known_words[] = {"type",
                                          "enum",
                                          "const",
                                          "properties",
                                          "required",
                                          "additionalProperties",
                                          "items",
                                          "minItems",
                                          "maxItems",
                                          "minLength",
                                          "maxLength",
                                          "prefixItems",
                                          "pattern",
                                          "minimum",
                                          "maximum",
                                          "exclusiveMinimum",
                                          "exclusiveMaximum",
                                          "anyOf",
                                          "oneOf",
                                          "allOf",
                                          "$ref",
                                          "format"};

static bool in(const char *const *list, size_t n, struct mr_str key) {
    for (size_t k = 0; k < n; k++)
        if (mr_str_is(key, list[k]))
            return true;
    return false;
}
#define IN(list, key) in(list, sizeof(list) / sizeof *(list), key)

static int check_words(struct mr_grammar *g, yyjson_val *schema, struct mr_err *e) {
    size_t i, n;
    yyjson_val *key, *v;
    yyjson_obj_foreach (schema, i, n, key, v) {
        struct mr_str s = {yyjson_get_str(key), yyjson_get_len(key)};
        if (!IN(notes, s) && !IN(known_words, s)) {
            char name[31];
            snprintf(name, sizeof name, "%.*s", (int)(s.n < 30 ? s.n : 30), s.p);
            return mr_grammar_unsupported(g, name, "this keyword cannot be turned into a grammar",
                                          e);
        }
    }
    return 0;
}

/* Nothing but notes beside this one keyword. */
static int check_alone(struct mr_grammar *g, yyjson_val *schema, const char *word,
                       struct mr_err *e) {
    size_t i, n;
    yyjson_val *key, *v;
    yyjson_obj_foreach (schema, i, n, key, v) {
        struct mr_str s = {yyjson_get_str(key), yyjson_get_len(key)};
        if (!mr_str_is(s, word) && !mr_str_is(s, "type") && !IN(notes, s))
            return mr_grammar_unsupported(g, word,
                                          "other keywords beside it cannot be turned into a "
                                          "grammar",
                                          e);
    }
    return 0;
}

void mr_grammar_quote(struct mr_buf *b, const char *p, size_t n) {
    mr_buf_char(b, '"');
    for (size_t k = 0; k < n; k++) {
        unsigned char c = (unsigned char)p[k];
        if (c == '"' || c == '\\' || c < 0x20 || c == 0x7f)
            mr_buf_fmt(b, "\\x%02X", c);
        else
            mr_buf_char(b, (char)c);
    }
    mr_buf_char(b, '"');
}

int mr_grammar_literal(struct mr_grammar *g, yyjson_val *v, struct mr_buf *b, struct mr_err *e) {
    size_t n;
    char *json = yyjson_val_write(v, 0, &n);
    (void)g;
    if (!json)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    mr_grammar_quote(b, json, n);
    free(json);
    return 0;
}

int mr_grammar_new_rule(struct mr_grammar *g, unsigned *ret, struct mr_err *e) {
    if (g->n_rules >= MR_GRAMMAR_RULES || g->out->n - g->start > MR_GRAMMAR_MAX)
        return mr_fail_field(e, MR_EFIELD, "schema", "the schema is too large");
    *ret = g->n_rules++;
    return 0;
}

int mr_grammar_size(struct mr_grammar *g, yyjson_val *schema, const char *key, uint64_t none,
                    uint64_t *ret, struct mr_err *e) {
    yyjson_val *v = yyjson_obj_get(schema, key);
    if (!v) {
        *ret = none;
        return 0;
    }
    if (!yyjson_is_uint(v))
        return mr_grammar_unsupported(g, key, "must be a whole number from 0", e);
    if (yyjson_get_uint(v) > MR_GRAMMAR_REPEAT)
        return mr_grammar_unsupported(g, key, "more than 2000 cannot be turned into a grammar", e);
    *ret = yyjson_get_uint(v);
    return 0;
}

/* --- references ------------------------------------------------------------------------------- */
static yyjson_val *target(struct mr_grammar *g, yyjson_val *ref, struct mr_err *e) {
    const char *p = yyjson_get_str(ref);
    size_t n = yyjson_get_len(ref);
    yyjson_val *v = NULL;
    if (p && n && p[0] == '#' && !memchr(p, '%', n))
        v = n == 1 ? g->root : yyjson_ptr_getn(g->root, p + 1, n - 1);
    if (!v)
        mr_grammar_unsupported(g, "$ref",
                               "only references inside the schema, to something that "
                               "is there, can be followed",
                               e);
    return v;
}

yyjson_val *mr_grammar_follow(struct mr_grammar *g, yyjson_val *schema, struct mr_err *e) {
    for (int k = 0; k < MR_GRAMMAR_DEPTH; k++) {
        yyjson_val *ref = yyjson_obj_get(schema, "$ref");
        if (!ref)
            return schema;
        if (check_alone(g, schema, "$ref", e) || !(schema = target(g, ref, e)))
            return NULL;
    }
    mr_grammar_unsupported(g, "$ref", "the references never end", e);
    return NULL;
}

/* Whether `schema` comes back to itself without a character in between: anyOf, oneOf, $ref. */
static bool returns(struct mr_grammar *g, yyjson_val *schema, yyjson_val *self, int depth,
                    int *left) {
    static const char *const ways[] = {"anyOf", "oneOf", "allOf"};
    if (depth > MR_GRAMMAR_DEPTH || --*left < 0)
        return true;
    yyjson_val *ref = yyjson_obj_get(schema, "$ref");
    if (ref) {
        yyjson_val *t = target(g, ref, NULL);
        return t && (t == self || returns(g, t, self, depth + 1, left));
    }
    for (size_t w = 0; w < 3; w++) {
        size_t i, n;
        yyjson_val *v, *list = yyjson_obj_get(schema, ways[w]);
        yyjson_arr_foreach (list, i, n, v) {
            if (v == self || returns(g, v, self, depth + 1, left))
                return true;
        }
    }
    return false;
}

/* --- types ------------------------------------------------------------------------------------ */
static int string_body(struct mr_grammar *g, yyjson_val *s, struct mr_buf *b, struct mr_err *e) {
    yyjson_val *pattern = yyjson_obj_get(s, "pattern"), *format = yyjson_obj_get(s, "format");
    uint64_t lo, hi;
    int r = mr_grammar_size(g, s, "minLength", 0, &lo, e);
    if (!r)
        r = mr_grammar_size(g, s, "maxLength", UINT64_MAX, &hi, e);
    if (r)
        return r;
    bool sized = lo || hi != UINT64_MAX;
    if ((pattern != NULL) + (format != NULL) + sized > 1)
        return mr_grammar_unsupported(g, pattern ? "pattern" : "format",
                                      "only one of pattern, format and a length is possible", e);
    if (lo > hi)
        return mr_grammar_unsupported(g, "maxLength", "is less than minLength", e);
    if (pattern) {
        if (!yyjson_is_str(pattern))
            return mr_grammar_unsupported(g, "pattern", "must be a text", e);
        mr_buf_cstr(b, "\"\\x22\" ");
        r = mr_grammar_pattern(g, (struct mr_str){yyjson_get_str(pattern), yyjson_get_len(pattern)},
                               b, e);
        mr_buf_cstr(b, " \"\\x22\"");
        return r;
    }
    if (format) {
        const char *f = yyjson_get_str(format);
        f = f ? f : "";
        const char *rule = !strcmp(f, "date")        ? "date"
                           : !strcmp(f, "time")      ? "time"
                           : !strcmp(f, "date-time") ? "date \"T\" time"
                           : !strcmp(f, "uuid")      ? "uuid"
                                                     : NULL;
        if (!rule)
            return mr_grammar_unsupported(
                g, "format", "only date, time, date-time and uuid can be turned into a grammar", e);
        g->common |= *f == 'u' ? MR_G_UUID : MR_G_DATE | MR_G_TIME;
        mr_buf_fmt(b, "\"\\x22\" %s \"\\x22\"", rule);
        return 0;
    }
    g->common |= MR_G_STRING;
    if (!sized)
        mr_buf_cstr(b, "string");
    else if (hi == UINT64_MAX)
        mr_buf_fmt(b, "\"\\x22\" char{%u,} \"\\x22\"", (unsigned)lo);
    else
        mr_buf_fmt(b, "\"\\x22\" char{%u,%u} \"\\x22\"", (unsigned)lo, (unsigned)hi);
    return 0;
}

static int array_body(struct mr_grammar *g, yyjson_val *s, struct mr_buf *b, struct mr_err *e) {
    yyjson_val *items = yyjson_obj_get(s, "items"), *first = yyjson_obj_get(s, "prefixItems");
    uint64_t lo, hi;
    int r = mr_grammar_size(g, s, "minItems", 0, &lo, e);
    if (!r)
        r = mr_grammar_size(g, s, "maxItems", UINT64_MAX, &hi, e);
    if (r)
        return r;
    if ((first && !yyjson_is_arr(first)) || yyjson_is_arr(items))
        return mr_grammar_unsupported(g, first ? "prefixItems" : "items",
                                      "a list of schemas belongs into prefixItems", e);
    size_t n_first = yyjson_arr_size(first), i, n;
    bool more = !yyjson_is_false(items) && hi > n_first;
    if (lo > hi || n_first > hi || (lo > n_first && !more))
        return mr_grammar_unsupported(g, "minItems", "no list can be as long and as short", e);
    mr_buf_cstr(b, "\"[\" space");
    yyjson_val *v;
    yyjson_arr_foreach (first, i, n, v) {
        unsigned rule;
        if ((r = mr_grammar_rule(g, v, "prefixItems", &rule, e)))
            return r;
        mr_buf_fmt(b, "%s r%u", i ? " comma" : "", rule);
    }
    if (more) {
        char item[24] = "value";
        unsigned rule;
        if (items && !yyjson_is_true(items)) {
            if ((r = mr_grammar_rule(g, items, "items", &rule, e)))
                return r;
            snprintf(item, sizeof item, "r%u", rule);
        } else {
            g->common |= MR_G_VALUE;
        }
        uint64_t least = lo > n_first ? lo - n_first : 0;
        char upto[24] = "";
        if (n_first) {
            if (hi != UINT64_MAX)
                snprintf(upto, sizeof upto, "%u", (unsigned)(hi - n_first));
            mr_buf_fmt(b, " (comma %s){%u,%s}", item, (unsigned)least, upto);
        } else {
            if (hi != UINT64_MAX)
                snprintf(upto, sizeof upto, "%u", (unsigned)(hi - 1));
            mr_buf_fmt(b, " (%s (comma %s){%u,%s})%s", item, item,
                       (unsigned)(least ? least - 1 : 0), upto, least ? "" : "?");
        }
    }
    mr_buf_cstr(b, " space \"]\"");
    return 0;
}

static int type_body(struct mr_grammar *g, yyjson_val *s, const char *type, struct mr_buf *b,
                     struct mr_err *e) {
    if (!strcmp(type, "string"))
        return string_body(g, s, b, e);
    if (!strcmp(type, "integer"))
        return mr_grammar_integer(g, s, b, e);
    if (!strcmp(type, "number"))
        return mr_grammar_number(g, s, b, e);
    if (!strcmp(type, "object"))
        return mr_grammar_object(g, s, b, e);
    if (!strcmp(type, "array"))
        return array_body(g, s, b, e);
    if (!strcmp(type, "boolean"))
        mr_buf_cstr(b, "(\"true\" | \"false\")");
    else if (!strcmp(type, "null"))
        mr_buf_cstr(b, "\"null\"");
    else
        return mr_grammar_unsupported(g, "type", "is not a type of JSON", e);
    return 0;
}

static const char *guessed_type(yyjson_val *s) {
    static const char *const hints[][2] = {{"properties", "object"},
                                           {"required", "object"},
                                           {"additionalProperties", "object"},
                                           {"items", "array"},
                                           {"prefixItems", "array"},
                                           {"minItems", "array"},
                                           {"maxItems", "array"},
                                           {"pattern", "string"},
                                           {"format", "string"},
                                           {"minLength", "string"},
                                           {"maxLength", "string"},
                                           {"minimum", "number"},
                                           {"maximum", "number"},
                                           {"exclusiveMinimum", "number"},
                                           {"exclusiveMaximum", "number"}};
    for (size_t k = 0; k < sizeof hints / sizeof *hints; k++)
        if (yyjson_obj_get(s, hints[k][0]))
            return hints[k][1];
    return NULL;
}

/* --- one schema ------------------------------------------------------------------------------- */
static int either(struct mr_grammar *g, yyjson_val *s, const char *word, struct mr_buf *b,
                  struct mr_err *e) {
    yyjson_val *v, *list = yyjson_obj_get(s, word);
    size_t i, n;
    int left = 10000;
    int r = check_alone(g, s, word, e);
    if (r)
        return r;
    if (!yyjson_is_arr(list) || !yyjson_arr_size(list))
        return mr_grammar_unsupported(g, word, "must be a list of schemas", e);
    if (returns(g, s, s, 0, &left))
        return mr_grammar_unsupported(g, word, "the schema is defined by nothing but itself", e);
    yyjson_arr_foreach (list, i, n, v) {
        unsigned rule;
        if ((r = mr_grammar_rule(g, v, word, &rule, e)))
            return r;
        mr_buf_fmt(b, "%sr%u", i ? " | " : "", rule);
    }
    return 0;
}

static int literals(struct mr_grammar *g, yyjson_val *s, struct mr_buf *b, struct mr_err *e) {
    yyjson_val *v = yyjson_obj_get(s, "const"), *list = yyjson_obj_get(s, "enum");
    size_t i, n;
    int r = check_alone(g, s, v ? "const" : "enum", e);
    if (r || v)
        return r ? r : mr_grammar_literal(g, v, b, e);
    if (!yyjson_is_arr(list) || !yyjson_arr_size(list) || yyjson_arr_size(list) > 2000)
        return mr_grammar_unsupported(g, "enum", "must be a list of 1 to 2000 values", e);
    yyjson_arr_foreach (list, i, n, v) {
        if (i)
            mr_buf_cstr(b, " | ");
        if ((r = mr_grammar_literal(g, v, b, e)))
            return r;
    }
    return 0;
}

static int typed(struct mr_grammar *g, yyjson_val *s, struct mr_buf *b, struct mr_err *e) {
    yyjson_val *type = yyjson_obj_get(s, "type"), *v;
    size_t i, n;
    int r = 0;
    if (yyjson_is_str(type))
        return type_body(g, s, yyjson_get_str(type), b, e);
    if (!type) {
        const char *guess = guessed_type(s);
        if (guess)
            return type_body(g, s, guess, b, e);
        g->common |= MR_G_VALUE;
        mr_buf_cstr(b, "value");
        return 0;
    }
    if (!yyjson_is_arr(type) || !yyjson_arr_size(type))
        return mr_grammar_unsupported(g, "type", "must be a type or a list of types", e);
    yyjson_arr_foreach (type, i, n, v) {
        if (!yyjson_is_str(v))
            return mr_grammar_unsupported(g, "type", "must be a type or a list of types", e);
        mr_buf_cstr(b, i ? " | (" : "(");
        if ((r = type_body(g, s, yyjson_get_str(v), b, e)))
            return r;
        mr_buf_char(b, ')');
    }
    return 0;
}

static int body(struct mr_grammar *g, yyjson_val *s, struct mr_buf *b, struct mr_err *e) {
    if (yyjson_is_true(s)) {
        g->common |= MR_G_VALUE;
        mr_buf_cstr(b, "value");
        return 0;
    }
    if (!yyjson_is_obj(s))
        return mr_grammar_unsupported(
            g, "", yyjson_is_false(s) ? "no value is valid here" : "a schema must be an object", e);
    int r = check_words(g, s, e);
    if (r)
        return r;
    if (yyjson_obj_get(s, "const") || yyjson_obj_get(s, "enum"))
        return literals(g, s, b, e);
    if (yyjson_obj_get(s, "anyOf"))
        return either(g, s, "anyOf", b, e);
    if (yyjson_obj_get(s, "oneOf"))
        return either(g, s, "oneOf", b, e);
    if (yyjson_obj_get(s, "allOf"))
        return mr_grammar_object(g, s, b, e);
    return typed(g, s, b, e);
}

int mr_grammar_rule(struct mr_grammar *g, yyjson_val *schema, const char *step, unsigned *ret,
                    struct mr_err *e) {
    schema = mr_grammar_follow(g, schema, e);
    if (!schema)
        return MR_EFIELD;
    for (unsigned k = 0; k < g->n_known; k++)
        if (g->known[k].schema == schema) {
            *ret = g->known[k].rule;
            return 0;
        }
    if (g->depth >= MR_GRAMMAR_DEPTH)
        return mr_fail_field(e, MR_EFIELD, "schema", "the schema is nested too deeply");
    unsigned rule;
    int r = mr_grammar_new_rule(g, &rule, e);
    if (r)
        return r;
    g->known[g->n_known].schema = schema;
    g->known[g->n_known++].rule = rule;
    MR_CLEANUP(mr_buf_release) struct mr_buf b;
    mr_buf_init(&b, MR_GRAMMAR_MAX);
    size_t end = strlen(g->path);
    snprintf(g->path + end, sizeof g->path - end, "%s%.30s", *step ? "." : "", step);
    g->depth++;
    r = body(g, schema, &b, e);
    g->depth--;
    g->path[end] = 0;
    if (r)
        return r;
    if (!mr_buf_ok(&b))
        return mr_fail_field(e, MR_EFIELD, "schema", "the schema is too large");
    mr_buf_fmt(g->out, "r%u ::= ", rule);
    mr_buf_str(g->out, mr_buf_view(&b));
    mr_buf_char(g->out, '\n');
    *ret = rule;
    return 0;
}

/* Space is limited everywhere: a model that likes it could fill the context with it. An escape
 * cannot be half of a surrogate pair; such characters come as themselves. */
static void write_common(struct mr_grammar *g) {
    struct mr_buf *b = g->out;
    if (g->common & MR_G_VALUE)
        g->common |= MR_G_STRING | MR_G_NUMBER;
    mr_buf_cstr(b, "space ::= (\" \" | \"\\n\" [ ]{0,12})?\ncomma ::= space \",\" space\n"
                   "colon ::= \":\" \" \"?\n");
    if (g->common & MR_G_STRING)
        mr_buf_cstr(b, "char ::= [^\\x22\\x5C\\x00-\\x1F\\x7F] | \"\\x5C\" ([\\x22\\x5C/bfnrt] | "
                       "\"u\" ([0-9a-cA-CefEF] [0-9a-fA-F]{3} | [dD] [0-7] [0-9a-fA-F]{2}))\n"
                       "string ::= \"\\x22\" char* \"\\x22\"\n");
    if (g->common & MR_G_INTEGER)
        mr_buf_cstr(b, "integer ::= \"-\"? (\"0\" | [1-9] [0-9]{0,17})\n");
    if (g->common & MR_G_NUMBER)
        mr_buf_cstr(b, "number ::= \"-\"? (\"0\" | [1-9] [0-9]{0,17}) (\".\" [0-9]{1,17})? "
                       "([eE] [-+]? [0-9]{1,2})?\n");
    if (g->common & MR_G_VALUE)
        mr_buf_cstr(b, "value ::= object | array | string | number | \"true\" | \"false\" | "
                       "\"null\"\n"
                       "object ::= \"{\" space (string colon value (comma string colon value)*)? "
                       "space \"}\"\n"
                       "array ::= \"[\" space (value (comma value)*)? space \"]\"\n");
    if (g->common & (MR_G_DATE | MR_G_TIME))
        mr_buf_cstr(
            b, "date ::= [0-9]{4} \"-\" ((\"01\" | \"03\" | \"05\" | \"07\" | \"08\" | \"10\" | "
               "\"12\") \"-\" (day | \"29\" | \"30\" | \"31\") | (\"04\" | \"06\" | \"09\" | "
               "\"11\") \"-\" (day | \"29\" | \"30\") | \"02-\" day)\n"
               "day ::= \"0\" [1-9] | \"1\" [0-9] | \"2\" [0-8]\n"
               "hhmm ::= ([01] [0-9] | \"2\" [0-3]) \":\" [0-5] [0-9]\n"
               "time ::= hhmm \":\" [0-5] [0-9] (\".\" [0-9]{1,9})? (\"Z\" | [-+] hhmm)\n");
    if (g->common & MR_G_UUID)
        mr_buf_cstr(b, "hex ::= [0-9a-f]\nuuid ::= hex{8} \"-\" hex{4} \"-\" hex{4} \"-\" hex{4} "
                       "\"-\" hex{12}\n");
}

int mr_grammar_from_schema(yyjson_val *schema, struct mr_buf *out, struct mr_err *e) {
    struct mr_grammar g = {.root = schema, .out = out, .start = out->n, .path = "schema"};
    if (!schema) {
        g.common = MR_G_VALUE;
        mr_buf_cstr(out, "root ::= object\n");
        write_common(&g);
        return mr_buf_ok(out) ? 0 : mr_fail(e, MR_ENOMEM, "out of memory");
    }
    g.known = mr_malloc(MR_GRAMMAR_RULES * sizeof *g.known);
    if (!g.known)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    unsigned rule;
    int r = mr_grammar_rule(&g, schema, "", &rule, e);
    if (!r) {
        mr_buf_fmt(out, "root ::= r%u\n", rule);
        write_common(&g);
        r = mr_buf_ok(out) ? 0 : mr_fail_field(e, MR_EFIELD, "schema", "the schema is too large");
    }
    mr_free(g.known);
    if (r)
        out->n = g.start;
    return r;
}
