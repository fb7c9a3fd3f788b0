#include "api/validate.h"

#include "base/num.h"

#include <math.h>

static size_t code_points(struct mr_str s) {
    size_t n = 0;
    for (size_t i = 0; i < s.n; i++)
        n += ((unsigned char)s.p[i] & 0xC0) != 0x80;
    return n;
}

static const char *type_text(uint32_t mask) {
    switch (mask & MR_T_ANY) {
    case MR_T_STR:
        return "a string";
    case MR_T_INT:
        return "an integer";
    case MR_T_NUM:
    case MR_T_NUM | MR_T_INT:
        return "a number";
    case MR_T_BOOL:
        return "true or false";
    case MR_T_ARR:
        return "an array";
    case MR_T_OBJ:
        return "an object";
    case MR_T_STR | MR_T_ARR:
        return "a string or an array";
    case MR_T_STR | MR_T_INT:
        return "a string or an integer";
    default:
        return "another type";
    }
}

static int range_error(const struct mr_field *f, const char *what, struct mr_err *e) {
    if (f->has_min && f->has_max)
        return mr_fail_field(e, MR_EFIELD, f->name, "%s%s must be between %.15g and %.15g", f->name,
                             what, f->min, f->max);
    if (f->has_min)
        return mr_fail_field(e, MR_EFIELD, f->name, "%s%s must be at least %.15g", f->name, what,
                             f->min);
    return mr_fail_field(e, MR_EFIELD, f->name, "%s%s must be at most %.15g", f->name, what,
                         f->max);
}

static bool in_range(const struct mr_field *f, double v) {
    return !(f->has_min && v < f->min) && !(f->has_max && v > f->max);
}

static int check_enum(const struct mr_field *f, struct mr_str v, struct mr_err *e) {
    struct mr_buf list;
    if (!f->enums)
        return 0;
    for (size_t i = 0; f->enums[i]; i++)
        if (mr_str_is(v, f->enums[i]))
            return 0;
    mr_buf_init(&list, 300);
    for (size_t i = 0; f->enums[i]; i++)
        mr_buf_fmt(&list, "%s%s", i ? ", " : "", f->enums[i]);
    int rc = mr_fail_field(e, MR_EFIELD, f->name, "%s must be one of: %s", f->name,
                           list.p ? list.p : "");
    mr_buf_release(&list);
    return rc;
}

/* One @, something before it, a dot in what follows, no spaces or control characters. */
static bool email_ok(struct mr_str s) {
    const char *at = memchr(s.p, '@', s.n);
    if (!at || at == s.p)
        return false;
    struct mr_str host = mr_strn(at + 1, s.n - (size_t)(at - s.p) - 1);
    if (memchr(host.p, '@', host.n))
        return false;
    const char *dot = memchr(host.p, '.', host.n);
    if (!dot || dot == host.p || host.p[host.n - 1] == '.')
        return false;
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] <= ' ' || s.p[i] == 0x7f || s.p[i] == '<' || s.p[i] == '>')
            return false;
    return true;
}

/* "v1" … "v999999999" */
static bool version_ok(struct mr_str s) {
    int64_t n;
    return s.n >= 2 && s.n <= 10 && s.p[0] == 'v' && s.p[1] != '0' &&
           mr_str_i64(mr_strn(s.p + 1, s.n - 1), 1, 999999999, &n);
}

static int check_string(const struct mr_field *f, struct mr_str v, struct mr_err *e) {
    if (!mr_utf8_valid(v) || (v.n && memchr(v.p, 0, v.n)))
        return mr_fail_field(e, MR_EFIELD, f->name, "%s is not valid UTF-8 text", f->name);
    if (f->format != MR_F_FILE && !in_range(f, (double)code_points(v)))
        return range_error(f, "'s length", e);
    if (f->format == MR_F_EMAIL && !email_ok(v))
        return mr_fail_field(e, MR_EFIELD, f->name, "%s is not an e-mail address", f->name);
    if (f->format == MR_F_VERSION && !version_ok(v))
        return mr_fail_field(e, MR_EFIELD, f->name, "%s must look like v2", f->name);
    return check_enum(f, v, e);
}

/* A value given as text: query, header, form. */
static int from_text(const struct mr_field *f, struct mr_str text, struct mr_value *v,
                     struct mr_err *e) {
    if (f->type & MR_T_INT) {
        struct mr_str t = mr_str_trim(text);
        if (!mr_str_i64(t, INT64_MIN, INT64_MAX, &v->i))
            return mr_fail_field(e, MR_EFIELD, f->name, "%s must be an integer", f->name);
        if (!in_range(f, (double)v->i))
            return range_error(f, "", e);
        v->f = (double)v->i;
    } else if (f->type & MR_T_NUM) {
        if (!mr_f64_parse(mr_str_trim(text), &v->f) || !isfinite(v->f))
            return mr_fail_field(e, MR_EFIELD, f->name, "%s must be a number", f->name);
        if (!in_range(f, v->f))
            return range_error(f, "", e);
    } else {
        int rc = check_string(f, text, e);
        if (rc)
            return rc;
    }
    v->s = text;
    v->present = true;
    return 0;
}

static int set_default(const struct mr_field *f, struct mr_value *v, struct mr_err *e) {
    if (f->required)
        return mr_fail_field(e, MR_EFIELD, f->name, "%s is required", f->name);
    return f->def ? from_text(f, mr_str(f->def), v, e) : 0;
}

/* Header field names are matched in lower case. */
static struct mr_str header_value(const struct mr_req *r, const char *name) {
    char lower[64];
    size_t n = 0;
    for (; name[n] && n < sizeof lower - 1; n++)
        lower[n] = (char)(name[n] >= 'A' && name[n] <= 'Z' ? name[n] + 32 : name[n]);
    lower[n] = 0;
    return mr_req_header(r, lower);
}

int mr_validate_params(struct mr_call *c, struct mr_err *e) {
    for (size_t i = 0; i < c->row->n_fields; i++) {
        const struct mr_field *f = &c->row->fields[i];
        struct mr_str text;
        if (f->in == MR_IN_QUERY)
            text = mr_req_query(c->req, f->name);
        else if (f->in == MR_IN_HEADER)
            text = header_value(c->req, f->name);
        else
            continue;
        c->value[i].given = text.p != NULL;
        int rc = text.p ? from_text(f, text, &c->value[i], e) : set_default(f, &c->value[i], e);
        if (rc)
            return rc;
    }
    return 0;
}

static int check_items(const struct mr_field *f, yyjson_val *arr, struct mr_err *e) {
    size_t i, n;
    yyjson_val *item;
    if (!in_range(f, (double)yyjson_arr_size(arr)))
        return range_error(f, "'s number of items", e);
    if (!(f->type & MR_T_STR_ITEMS))
        return 0;
    yyjson_arr_foreach (arr, i, n, item) {
        if (!yyjson_is_str(item))
            return mr_fail_field(e, MR_EFIELD, f->name, "%s[%zu] must be a string", f->name, i);
        int rc = check_enum(f, mr_strn(yyjson_get_str(item), yyjson_get_len(item)), e);
        if (rc)
            return rc;
    }
    return 0;
}

static int from_json(const struct mr_field *f, yyjson_val *j, struct mr_value *v,
                     struct mr_err *e) {
    v->json = j;
    v->present = v->given = true;
    if ((f->type & MR_T_ANY) == MR_T_ANY)
        return 0;
    if (yyjson_is_str(j) && f->type & MR_T_STR) {
        v->s = mr_strn(yyjson_get_str(j), yyjson_get_len(j));
        return check_string(f, v->s, e);
    }
    if (yyjson_is_num(j) && f->type & (MR_T_INT | MR_T_NUM)) {
        v->f = yyjson_get_num(j);
        bool whole = v->f == floor(v->f) && fabs(v->f) < 9e15;
        if (!(f->type & MR_T_NUM) && !whole)
            return mr_fail_field(e, MR_EFIELD, f->name, "%s must be an integer", f->name);
        v->i = whole ? (int64_t)v->f : 0;
        if (yyjson_is_int(j))
            v->i = yyjson_get_sint(j);
        return in_range(f, v->f) ? 0 : range_error(f, "", e);
    }
    if (yyjson_is_bool(j) && f->type & MR_T_BOOL) {
        v->i = yyjson_get_bool(j);
        return 0;
    }
    if (yyjson_is_arr(j) && f->type & MR_T_ARR)
        return check_items(f, j, e);
    if (yyjson_is_obj(j) && f->type & MR_T_OBJ)
        return 0;
    return mr_fail_field(e, MR_EFIELD, f->name, "%s must be %s", f->name, type_text(f->type));
}

static int check_unknown(struct mr_call *c, struct mr_err *e) {
    size_t i, n, known;
    yyjson_val *key, *val;
    (void)val;
    yyjson_obj_foreach (c->body, i, n, key, val) {
        for (known = 0; known < c->row->n_fields; known++)
            if (yyjson_equals_str(key, c->row->fields[known].name))
                break;
        if (known == c->row->n_fields) {
            char name[64];
            snprintf(name, sizeof name, "%.60s", yyjson_get_str(key));
            return mr_fail_field(e, MR_EFIELD, name, "%s cannot be set here", name);
        }
    }
    if (!n)
        return mr_fail(e, MR_EFIELD, "the body holds no field");
    return 0;
}

int mr_validate_body(struct mr_call *c, struct mr_err *e) {
    for (size_t i = 0; i < c->row->n_fields; i++) {
        const struct mr_field *f = &c->row->fields[i];
        if (f->in != MR_IN_BODY)
            continue;
        yyjson_val *j = yyjson_obj_get(c->body, f->name);
        int rc;
        if (!j || (yyjson_is_null(j) && (f->nullable || !f->required)))
            rc = set_default(f, &c->value[i], e);
        else
            rc = from_json(f, j, &c->value[i], e);
        if (rc)
            return rc;
    }
    return c->row->strict ? check_unknown(c, e) : 0;
}

static int add_item(struct mr_call *c, const struct mr_field *f, struct mr_value *v,
                    struct mr_str item, struct mr_err *e) {
    item = mr_str_trim(item);
    int rc = check_enum(f, item, e);
    if (rc)
        return rc;
    if (!item.n || memchr(item.p, ',', item.n) || v->i >= 1000)
        return mr_fail_field(e, MR_EFIELD, f->name, "%s is not a list of words", f->name);
    char *p = mr_arena_fmt(c->req->arena, "%.*s%s%.*s", (int)v->s.n, v->s.n ? v->s.p : "",
                           v->s.n ? "," : "", (int)item.n, item.p);
    if (!p)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    v->s = mr_str(p);
    v->i++;
    return 0;
}

/* Lists come repeated, separated by commas or as a JSON array: here "a,b" with v->i items. */
static int from_list(struct mr_call *c, const struct mr_field *f, struct mr_str text,
                     struct mr_value *v, struct mr_err *e) {
    struct mr_str t = mr_str_trim(text);
    int rc = mr_utf8_valid(t)
                 ? 0
                 : mr_fail_field(e, MR_EFIELD, f->name, "%s is not valid UTF-8 text", f->name);
    v->present = true;
    if (!rc && t.n && t.p[0] == '[') {
        yyjson_doc *doc = yyjson_read(t.p, t.n, 0);
        yyjson_val *arr = yyjson_doc_get_root(doc), *item;
        size_t i, n;
        if (!yyjson_is_arr(arr))
            rc = mr_fail_field(e, MR_EFIELD, f->name, "%s is not a JSON array", f->name);
        yyjson_arr_foreach (arr, i, n, item) {
            if (!rc && !yyjson_is_str(item))
                rc = mr_fail_field(e, MR_EFIELD, f->name, "%s[%zu] must be a string", f->name, i);
            if (!rc)
                rc = add_item(c, f, v, mr_strn(yyjson_get_str(item), yyjson_get_len(item)), e);
        }
        yyjson_doc_free(doc);
    } else
        while (!rc && t.p)
            rc = add_item(c, f, v, mr_str_cut(&t, ','), e);
    return rc ? rc : in_range(f, (double)v->i) ? 0 : range_error(f, "'s number of items", e);
}

int mr_validate_form_field(struct mr_call *c, size_t field, struct mr_str text, struct mr_err *e) {
    /* An empty optional form field is what a form sends for "not filled in". */
    if (!text.n && !c->row->fields[field].required)
        return 0;
    c->value[field].given = true;
    if (c->row->fields[field].type & MR_T_ARR)
        return from_list(c, &c->row->fields[field], text, &c->value[field], e);
    return from_text(&c->row->fields[field], text, &c->value[field], e);
}

int mr_validate_form_end(struct mr_call *c, struct mr_err *e) {
    for (size_t i = 0; i < c->row->n_fields; i++) {
        const struct mr_field *f = &c->row->fields[i];
        if (f->in != MR_IN_FORM || c->value[i].present)
            continue;
        int rc = set_default(f, &c->value[i], e);
        if (rc)
            return rc;
    }
    return 0;
}
