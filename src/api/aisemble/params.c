#include "api/aisemble/params.h"

#include "base/buf.h"
#include "engine/llm/grammar.h"

#include <math.h>
#include <stdlib.h>

static int wrong(const char *key, const char *what, struct mr_err *e) {
    char field[96];
    snprintf(field, sizeof field, "parameters.%.60s", key);
    return mr_fail_field(e, MR_EFIELD, field, "%s %s", field, what);
}

static int set_stop(struct mr_llm_params *p, yyjson_val *v, struct mr_err *e) {
    size_t i, n;
    yyjson_val *item;
    if (yyjson_is_str(v)) {
        p->stop[0] = mr_strn(yyjson_get_str(v), yyjson_get_len(v));
        p->n_stop = 1;
        return 0;
    }
    if (!yyjson_is_arr(v) || yyjson_arr_size(v) > MR_LLM_STOPS_MAX)
        return wrong("stop", "must be a string or at most 16 of them", e);
    yyjson_arr_foreach (v, i, n, item) {
        if (!yyjson_is_str(item))
            return wrong("stop", "must be a string or at most 16 of them", e);
        p->stop[p->n_stop++] = mr_strn(yyjson_get_str(item), yyjson_get_len(item));
    }
    return 0;
}

static int set_grammar(struct mr_llm_params *p, yyjson_val *schema, struct mr_arena *arena,
                       struct mr_err *e) {
    struct mr_buf b;
    mr_buf_init(&b, 1 << 20);
    int rc = mr_grammar_from_schema(schema, &b, e);
    if (!rc) {
        p->grammar = mr_buf_ok(&b) ? mr_arena_keep(arena, mr_buf_view(&b)) : mr_strn(NULL, 0);
        if (!p->grammar.p)
            rc = mr_fail(e, MR_ETOOBIG, "the grammar of parameters.json_schema is too large");
    }
    mr_buf_release(&b);
    return rc;
}

static int set_whole(const char *key, yyjson_val *v, double lo, double hi, int64_t *ret,
                     struct mr_err *e) {
    double f = yyjson_get_num(v);
    if (!yyjson_is_num(v) || f < lo || f > hi || f != (double)(int64_t)f)
        return wrong(key, "is not a whole number in its range", e);
    *ret = yyjson_is_int(v) ? yyjson_get_sint(v) : (int64_t)f;
    return 0;
}

/* The numbers; what they may be is the engine's to say (mr_llm_params_check). */
static double *number_of(struct mr_llm_params *p, const char *key) {
    return !strcmp(key, "top_p")               ? &p->top_p
           : !strcmp(key, "min_p")             ? &p->min_p
           : !strcmp(key, "frequency_penalty") ? &p->frequency_penalty
           : !strcmp(key, "presence_penalty")  ? &p->presence_penalty
           : !strcmp(key, "repeat_penalty")    ? &p->repeat_penalty
           : !strcmp(key, "temperature")       ? &p->temperature
                                               : NULL;
}

static int set_one(struct mr_text_request *q, const char *key, yyjson_val *v,
                   struct mr_arena *arena, struct mr_err *e) {
    struct mr_llm_params *p = &q->params;
    double *number = number_of(p, key);
    int64_t whole;
    int rc = 0;
    if (number) {
        if (!yyjson_is_num(v))
            return wrong(key, "must be a number", e);
        *number = yyjson_get_num(v);
    } else if (!strcmp(key, "top_k")) {
        rc = set_whole(key, v, 0, 1e9, &whole, e);
        if (!rc)
            p->top_k = (int32_t)whole;
    } else if (!strcmp(key, "seed"))
        rc = set_whole(key, v, -1, 9e15, &p->seed, e);
    else if (!strcmp(key, "max_tokens"))
        rc = set_whole(key, v, 1, 16777216, &p->max_tokens, e);
    else if (!strcmp(key, "stop"))
        rc = set_stop(p, v, e);
    else if (!strcmp(key, "adapter")) {
        if (!yyjson_is_str(v) || !yyjson_get_len(v))
            return wrong(key, "must be the name of an adapter", e);
        q->adapter = mr_strn(yyjson_get_str(v), yyjson_get_len(v));
    } else if (!strcmp(key, "json_schema"))
        rc = yyjson_is_obj(v) ? set_grammar(p, v, arena, e) : wrong(key, "must be an object", e);
    else if (!strcmp(key, "json_mode")) {
        if (!yyjson_is_bool(v))
            return wrong(key, "must be true or false", e);
        if (yyjson_get_bool(v) && !p->grammar.p)
            rc = set_grammar(p, NULL, arena, e);
    } else
        rc = wrong(
            key,
            "is not a parameter; there are top_p, top_k, min_p, frequency_penalty, "
            "presence_penalty, repeat_penalty, seed, stop, json_mode, json_schema and adapter",
            e);
    return rc;
}

/* In the words of OpenAI's protocol, which the providers speak; only what was given. */
static int for_providers(yyjson_val *parameters, struct mr_arena *arena, struct mr_text_request *q,
                         struct mr_err *e) {
    static const char *const keys[] = {"top_p", "frequency_penalty", "presence_penalty", "seed",
                                       "stop"};
    struct mr_buf b;
    mr_buf_init(&b, 65536);
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        yyjson_val *v = yyjson_obj_get(parameters, keys[i]);
        size_t n;
        char *text = v ? yyjson_val_write(v, 0, &n) : NULL;
        if (text)
            mr_buf_fmt(&b, "%s\"%s\":%s", b.n ? "," : "", keys[i], text);
        free(text);
    }
    if (yyjson_get_bool(yyjson_obj_get(parameters, "json_mode")))
        mr_buf_fmt(&b, "%s\"response_format\":{\"type\":\"json_object\"}", b.n ? "," : "");
    q->provider_members = mr_buf_ok(&b) ? mr_arena_keep(arena, mr_buf_view(&b)) : mr_strn(NULL, 0);
    mr_buf_release(&b);
    return q->provider_members.p ? 0 : mr_fail(e, MR_ETOOBIG, "the parameters are too large");
}

int mr_aisemble_params(yyjson_val *parameters, double temperature, int64_t max_tokens,
                       struct mr_arena *arena, struct mr_text_request *q, struct mr_err *e) {
    size_t i, n;
    yyjson_val *key, *val;
    int rc = 0;
    mr_llm_params_default(&q->params);
    q->params.temperature = temperature; /* NaN: the model's or the provider's own */
    if (max_tokens)
        q->params.max_tokens = max_tokens;
    yyjson_obj_foreach (parameters, i, n, key, val) {
        if (!rc && !yyjson_is_null(val))
            rc = set_one(q, yyjson_get_str(key), val, arena, e);
    }
    struct mr_llm_params checked = q->params;
    if (isnan(checked.temperature))
        checked.temperature = 0;
    if (!rc && mr_llm_params_check(&checked, e)) {
        char field[96];
        snprintf(field, sizeof field, "%.95s", e ? e->field : "");
        /* temperature and max_tokens stand beside the parameters */
        if (e && strcmp(field, "temperature") != 0 && strcmp(field, "max_tokens") != 0)
            snprintf(e->field, sizeof e->field, "parameters.%.80s", field);
        rc = MR_EFIELD;
    }
    return rc ? rc : for_providers(parameters, arena, q, e);
}

int mr_aisemble_messages(yyjson_val *messages, struct mr_arena *arena, struct mr_text_request *q,
                         struct mr_err *e) {
    static const char *const roles[] = {"system", "user", "assistant", "tool"};
    size_t i, n, len = 0;
    yyjson_val *m;
    if (!yyjson_arr_size(messages))
        return mr_fail_field(e, MR_EFIELD, "messages", "messages must hold at least one message");
    yyjson_arr_foreach (messages, i, n, m) {
        char field[64];
        yyjson_val *role = yyjson_obj_get(m, "role"), *content = yyjson_obj_get(m, "content");
        bool known = false;
        for (size_t k = 0; k < sizeof roles / sizeof *roles; k++)
            known |= yyjson_equals_str(role, roles[k]);
        snprintf(field, sizeof field, "messages[%zu].%s", i, known ? "content" : "role");
        if (!known)
            return mr_fail_field(e, MR_EFIELD, field,
                                 "%s must be one of: system, user, assistant, tool", field);
        if (!yyjson_is_str(content) && !yyjson_is_arr(content))
            return mr_fail_field(e, MR_EFIELD, field, "%s must be text", field);
    }
    char *text = yyjson_val_write(messages, 0, &len);
    q->messages_json = text ? mr_arena_keep(arena, mr_strn(text, len)) : mr_strn(NULL, 0);
    free(text);
    return q->messages_json.p ? 0 : mr_fail(e, MR_ETOOBIG, "the messages are too large");
}
