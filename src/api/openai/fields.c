/* Members of JSON bodies with OpenAI's names in the errors. */
#include "api/openai/openai.h"

#include <math.h>

static yyjson_val *member(yyjson_val *o, const char *key) {
    yyjson_val *v = yyjson_obj_get(o, key);
    return yyjson_is_null(v) ? NULL : v;
}

int mr_openai_bool(yyjson_val *o, const char *key, bool *ret, struct mr_err *e) {
    yyjson_val *v = member(o, key);
    if (v && !yyjson_is_bool(v))
        return mr_fail_field(e, MR_EFIELD, key, "'%s' must be true or false", key);
    if (v)
        *ret = yyjson_is_true(v);
    return 0;
}

int mr_openai_int(yyjson_val *o, const char *key, int64_t lo, int64_t hi, int64_t *ret,
                  struct mr_err *e) {
    yyjson_val *v = member(o, key);
    if (!v)
        return 0;
    bool big = yyjson_is_uint(v) && yyjson_get_uint(v) > INT64_MAX;
    if (!yyjson_is_int(v) || big || yyjson_get_sint(v) < lo || yyjson_get_sint(v) > hi)
        return mr_fail_field(e, MR_EFIELD, key, "'%s' must be an integer from %lld to %lld", key,
                             (long long)lo, (long long)hi);
    *ret = yyjson_get_sint(v);
    return 0;
}

int mr_openai_num(yyjson_val *o, const char *key, double lo, double hi, double *ret,
                  struct mr_err *e) {
    yyjson_val *v = member(o, key);
    if (!v)
        return 0;
    double d = yyjson_get_num(v);
    if (!yyjson_is_num(v) || !(d >= lo && d <= hi))
        return mr_fail_field(e, MR_EFIELD, key, "'%s' must be a number from %g to %g", key, lo, hi);
    *ret = d;
    return 0;
}

int mr_openai_str(yyjson_val *o, const char *key, size_t max, struct mr_str *ret,
                  struct mr_err *e) {
    yyjson_val *v = member(o, key);
    if (!v)
        return 0;
    if (!yyjson_is_str(v) || yyjson_get_len(v) > max)
        return mr_fail_field(e, MR_EFIELD, key, "'%s' must be a text of at most %zu bytes", key,
                             max);
    *ret = mr_strn(yyjson_get_str(v), yyjson_get_len(v));
    return 0;
}
