/* The stand-in's own endpoints: counters and fault rules. */
#include "standin.h"

static void tallies_json(struct mr_buf *b, const struct tallies *t) {
    bool first = true;
    mr_buf_char(b, '{');
    for (size_t i = 0; i < t->size; i++) {
        const struct tally *e = t->at[i];
        if (!e || e->requests == 0)
            continue;
        if (!first)
            mr_buf_char(b, ',');
        first = false;
        mr_buf_json(b, mr_str(e->name));
        mr_buf_fmt(b, ":{\"requests\":%llu,\"completions\":%llu,\"delivered\":%llu}",
                   (unsigned long long)e->requests, (unsigned long long)e->completions,
                   (unsigned long long)e->delivered);
    }
    mr_buf_char(b, '}');
}

static void stats_json(const struct standin *s, bool tags, struct mr_buf *b) {
    const struct stats *t = &s->stats;
    const struct {
        const char *name;
        uint64_t v;
    } rows[] = {{"requests", t->requests},
                {"completions", t->completions},
                {"delivered", t->delivered},
                {"streams", t->streams},
                {"errors", t->errors},
                {"faults", t->faults},
                {"hangups", t->hangups},
                {"connections", t->connections},
                {"open", t->open},
                {"in_flight", t->in_flight - 1}, /* not this one */
                {"in_flight_peak", t->in_flight_peak},
                {"prompt_tokens", t->prompt_tokens},
                {"completion_tokens", t->completion_tokens}};
    mr_buf_char(b, '{');
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        mr_buf_fmt(b, "\"%s\":%llu,", rows[i].name, (unsigned long long)rows[i].v);
    mr_buf_cstr(b, "\"keys\":");
    tallies_json(b, &s->keys);
    if (tags) {
        mr_buf_cstr(b, ",\"tags\":");
        tallies_json(b, &s->tags);
    }
    mr_buf_char(b, '}');
}

static void text_field(yyjson_val *root, const char *name, char *out, size_t cap) {
    const char *v = yyjson_get_str(yyjson_obj_get(root, name));
    if (v)
        snprintf(out, cap, "%s", v);
}
static void int_field(yyjson_val *root, const char *name, int64_t *out) {
    yyjson_val *v = yyjson_obj_get(root, name);
    if (yyjson_is_int(v))
        *out = yyjson_get_sint(v);
}

/* {"fault": "…", "arg": …, "times": …, "out": …, "model": …, "key": …, "path": …}; a fault of ""
 * or "none" removes all rules. */
static bool add_rule(struct standin *s, struct mr_str body) {
    yyjson_doc *doc = yyjson_read(body.p, body.n, 0);
    yyjson_val *root = yyjson_doc_get_root(doc);
    struct rule r = {0};
    fault_clear(&r.fault);
    text_field(root, "fault", r.fault.name, sizeof r.fault.name);
    int_field(root, "arg", &r.fault.arg);
    int_field(root, "times", &r.fault.times);
    int_field(root, "out", &r.fault.out);
    int_field(root, "cached", &r.fault.cached);
    text_field(root, "model", r.model, sizeof r.model);
    text_field(root, "key", r.key, sizeof r.key);
    text_field(root, "path", r.path, sizeof r.path);
    bool ok = yyjson_is_obj(root);
    yyjson_doc_free(doc);
    if (ok && (!r.fault.name[0] || !strcmp(r.fault.name, "none")) && r.fault.out < 0 &&
        r.fault.cached < 0) {
        s->n_rules = 0;
        return true;
    }
    if (!ok || s->n_rules == RULES_MAX)
        return false;
    s->rules[s->n_rules++] = r;
    return true;
}

static void zero(struct standin *s) {
    struct stats keep = s->stats;
    s->stats = (struct stats){.open = keep.open,
                              .in_flight = keep.in_flight,
                              .in_flight_peak = keep.in_flight,
                              .connections = keep.open};
    s->n_rules = 0;
    tallies_zero(&s->keys);
    tallies_zero(&s->tags);
    tallies_zero(&s->repeats);
}

void standin_control(struct standin *s, const struct request *q, struct answer *a) {
    struct mr_buf b;
    mr_buf_init(&b, OUT_MAX / 4);
    int status = 200;
    if (mr_str_is(q->path, "/control/stats")) {
        stats_json(s, false, &b);
    } else if (mr_str_is(q->path, "/control/tags")) {
        stats_json(s, true, &b);
    } else if (mr_str_is(q->path, "/control/last")) {
        mr_buf_str(&b, mr_buf_view(&s->last));
    } else if (q->post && mr_str_is(q->path, "/control/fault")) {
        status = add_rule(s, q->body) ? 200 : 400;
        mr_buf_cstr(&b, status == 200 ? "{}" : "{\"error\":\"no such rule\"}");
    } else if (q->post && mr_str_is(q->path, "/control/reset")) {
        zero(s);
        mr_buf_cstr(&b, "{}");
    } else {
        status = 404;
        mr_buf_cstr(&b, "{}");
    }
    standin_head(s, a->out, OPENAI, status,
                 mr_str_is(q->path, "/control/last") ? "text/plain" : "application/json", NULL,
                 b.n);
    mr_buf_str(a->out, mr_buf_view(&b));
    mr_buf_release(&b);
}
