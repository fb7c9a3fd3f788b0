/* Objects: the listed properties in their order, those that are required always there. Grammars
 * choose what is written, so it is enough that whatever they admit is valid: without an
 * additionalProperties that asks for more, nothing but the listed ones is written, and further
 * names start with another character than any listed one. */
#include "engine/llm/grammar_priv.h"

#include "base/alloc.h"
#include "base/cleanup.h"

#include <string.h>

#define PROPERTIES_MAX 500

struct property {
    struct mr_str name;
    yyjson_val *schema; /* NULL = anything */
    bool required;
};
struct object {
    struct property *p;
    size_t n;
    yyjson_val *more; /* schema of further ones; NULL with any_more = anything */
    bool has_more, closed, listed;
};

static struct property *find(struct object *o, struct mr_str name) {
    for (size_t k = 0; k < o->n; k++)
        if (mr_str_eq(o->p[k].name, name))
            return &o->p[k];
    return NULL;
}

static int add(struct mr_grammar *g, struct object *o, struct mr_str name, yyjson_val *schema,
               struct mr_err *e) {
    struct property *p = find(o, name);
    if (p) {
        if (schema && p->schema && !yyjson_equals(p->schema, schema))
            return mr_grammar_unsupported(g, "allOf",
                                          "a property with two schemas cannot be turned into a "
                                          "grammar",
                                          e);
        p->schema = p->schema ? p->schema : schema;
        return 0;
    }
    if (o->n >= PROPERTIES_MAX)
        return mr_grammar_unsupported(g, "properties", "there are over 500 of them", e);
    o->p[o->n++] = (struct property){.name = name, .schema = schema};
    return 0;
}

static int collect_more(struct mr_grammar *g, yyjson_val *more, struct object *o,
                        struct mr_err *e) {
    if (!more)
        return 0;
    if (!yyjson_is_bool(more) && !yyjson_is_obj(more))
        return mr_grammar_unsupported(g, "additionalProperties", "must be a schema", e);
    if (yyjson_is_false(more)) {
        o->closed = true;
        return 0;
    }
    if (o->more && yyjson_is_obj(more))
        return mr_grammar_unsupported(g, "additionalProperties",
                                      "two schemas for it cannot be turned into a grammar", e);
    o->has_more = true;
    if (yyjson_is_obj(more))
        o->more = more;
    return 0;
}

static int collect(struct mr_grammar *g, yyjson_val *s, struct object *o, int depth,
                   struct mr_err *e) {
    yyjson_val *props = yyjson_obj_get(s, "properties"), *req = yyjson_obj_get(s, "required");
    yyjson_val *type = yyjson_obj_get(s, "type"), *all = yyjson_obj_get(s, "allOf"), *key, *v;
    size_t i, n;
    int r = 0;
    if (depth > 16)
        return mr_grammar_unsupported(g, "allOf", "is nested too deeply", e);
    if (depth && type && !yyjson_equals_str(type, "object"))
        return mr_grammar_unsupported(g, "allOf", "only objects can be joined", e);
    if (depth && (yyjson_obj_get(s, "anyOf") || yyjson_obj_get(s, "oneOf") ||
                  yyjson_obj_get(s, "enum") || yyjson_obj_get(s, "const")))
        return mr_grammar_unsupported(g, "allOf", "only objects can be joined", e);
    if ((props && !yyjson_is_obj(props)) || (req && !yyjson_is_arr(req)) ||
        (all && !yyjson_is_arr(all)))
        return mr_grammar_unsupported(g, props ? "properties" : "required",
                                      "is not what JSON Schema has there", e);
    o->listed |= props != NULL;
    if (props) /* the macro adds to it */
        yyjson_obj_foreach (props, i, n, key, v) {
            if ((r = add(g, o, (struct mr_str){yyjson_get_str(key), yyjson_get_len(key)}, v, e)))
                return r;
        }
    yyjson_arr_foreach (req, i, n, v) {
        struct mr_str name = {yyjson_get_str(v), yyjson_get_len(v)};
        if (!name.p)
            return mr_grammar_unsupported(g, "required", "must be a list of names", e);
        if ((r = add(g, o, name, NULL, e)))
            return r;
        find(o, name)->required = true;
    }
    r = collect_more(g, yyjson_obj_get(s, "additionalProperties"), o, e);
    yyjson_arr_foreach (all, i, n, v) {
        yyjson_val *part = r ? NULL : mr_grammar_follow(g, v, e);
        if (!r && !part)
            r = MR_EFIELD;
        if (!r && !yyjson_is_obj(part))
            r = mr_grammar_unsupported(g, "allOf", "only objects can be joined", e);
        if (!r)
            r = collect(g, part, o, depth + 1, e);
    }
    return r;
}

/* The value of a property: "r7" or "value". */
static int value_of(struct mr_grammar *g, const struct object *o, const struct property *p,
                    char out[24], struct mr_err *e) {
    yyjson_val *s = p->schema ? p->schema : o->more;
    unsigned rule;
    if (!p->schema && o->closed)
        return mr_grammar_unsupported(g, "required",
                                      "asks for a name that additionalProperties forbids", e);
    if (!s) {
        g->common |= MR_G_VALUE;
        memcpy(out, "value", 6);
        return 0;
    }
    char step[31];
    snprintf(step, sizeof step, "%.*s", (int)(p->name.n < 30 ? p->name.n : 30), p->name.p);
    int r = mr_grammar_rule(g, s, step, &rule, e);
    if (!r)
        snprintf(out, 24, "r%u", rule);
    return r;
}

/* One name and value after those that are listed. */
static int further(struct mr_grammar *g, const struct object *o, struct mr_buf *b,
                   struct mr_err *e) {
    char value[24] = "value";
    unsigned rule;
    if (o->more) {
        int r = mr_grammar_rule(g, o->more, "additionalProperties", &rule, e);
        if (r)
            return r;
        snprintf(value, sizeof value, "r%u", rule);
    } else {
        g->common |= MR_G_VALUE;
    }
    g->common |= MR_G_STRING;
    mr_buf_cstr(b, "\"\\x22\" [^\\x22\\x5C\\x00-\\x1F\\x7F");
    for (size_t k = 0; k < o->n; k++) {
        unsigned char c = o->p[k].name.n ? (unsigned char)o->p[k].name.p[0] : 'a';
        if (c < 0x80)
            mr_buf_fmt(b, "\\x%02X", c);
        else
            mr_buf_cstr(b, "\\x80-\\U0010FFFF");
    }
    mr_buf_fmt(b, "] char* \"\\x22\" colon %s", value);
    return 0;
}

/* What may follow once the first k properties are decided, as rules: any of the rest, the required
 * ones for certain. Two of each: nothing written yet, or something that needs a comma. */
static int chain(struct mr_grammar *g, const struct object *o, const char *more, unsigned ret[2],
                 struct mr_err *e) {
    unsigned next[2];
    int r = 0;
    for (int wrote = 0; wrote < 2; wrote++) {
        if ((r = mr_grammar_new_rule(g, &next[wrote], e)))
            return r;
        if (!more)
            mr_buf_fmt(g->out, "r%u ::= \"\"\n", next[wrote]);
        else if (wrote)
            mr_buf_fmt(g->out, "r%u ::= (comma %s)*\n", next[wrote], more);
        else
            mr_buf_fmt(g->out, "r%u ::= (%s (comma %s)*)?\n", next[wrote], more, more);
    }
    for (size_t k = o->n; k-- > 0;) {
        const struct property *p = &o->p[k];
        char value[24];
        unsigned now[2];
        if ((r = value_of(g, o, p, value, e)))
            return r;
        MR_CLEANUP(mr_buf_release) struct mr_buf json;
        mr_buf_init(&json, 1 << 16);
        mr_buf_json(&json, p->name);
        for (int wrote = 0; wrote < 2; wrote++) {
            if ((r = mr_grammar_new_rule(g, &now[wrote], e)))
                return r;
            mr_buf_fmt(g->out, "r%u ::= %s", now[wrote], wrote ? "comma " : "");
            mr_grammar_quote(g->out, json.p ? json.p : "", json.n);
            mr_buf_fmt(g->out, " colon %s r%u", value, next[1]);
            if (p->required)
                mr_buf_char(g->out, '\n');
            else
                mr_buf_fmt(g->out, " | r%u\n", next[wrote]);
        }
        next[0] = now[0];
        next[1] = now[1];
    }
    ret[0] = next[0];
    ret[1] = next[1];
    return 0;
}

int mr_grammar_object(struct mr_grammar *g, yyjson_val *s, struct mr_buf *b, struct mr_err *e) {
    MR_AUTO_FREE struct property *room = mr_malloc(PROPERTIES_MAX * sizeof *room);
    if (!room)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    struct object o = {.p = room};
    int r = collect(g, s, &o, 0, e);
    if (r)
        return r;
    if (!o.n && !o.closed && !o.more && !o.listed) {
        g->common |= MR_G_VALUE;
        mr_buf_cstr(b, "object");
        return 0;
    }
    MR_CLEANUP(mr_buf_release) struct mr_buf more;
    mr_buf_init(&more, MR_GRAMMAR_MAX);
    bool open = o.has_more && !o.closed;
    if (open && (r = further(g, &o, &more, e)))
        return r;
    char name[24] = "";
    if (open) { /* a rule of its own: it is used three times */
        unsigned rule;
        if ((r = mr_grammar_new_rule(g, &rule, e)))
            return r;
        mr_buf_fmt(g->out, "r%u ::= ", rule);
        mr_buf_str(g->out, mr_buf_view(&more));
        mr_buf_char(g->out, '\n');
        snprintf(name, sizeof name, "r%u", rule);
    }
    unsigned first[2];
    r = chain(g, &o, open ? name : NULL, first, e);
    if (!r)
        mr_buf_fmt(b, "\"{\" space r%u space \"}\"", first[0]);
    return r;
}
