/* Writing JSON objects piece by piece. */
#include "api/api.h"
#include "base/clock.h"

void mr_json_key(struct mr_buf *b, const char *key) {
    if (b->n && b->p[b->n - 1] != '{' && b->p[b->n - 1] != '[')
        mr_buf_char(b, ',');
    mr_buf_char(b, '"');
    mr_buf_cstr(b, key);
    mr_buf_add(b, "\":", 2);
}

void mr_json_str(struct mr_buf *b, const char *key, struct mr_str v) {
    mr_json_key(b, key);
    if (v.p)
        mr_buf_json(b, v);
    else
        mr_buf_cstr(b, "null");
}

void mr_json_cstr(struct mr_buf *b, const char *key, const char *v) {
    mr_json_str(b, key, mr_str(v));
}

void mr_json_i64(struct mr_buf *b, const char *key, int64_t v) {
    mr_json_key(b, key);
    mr_buf_i64(b, v);
}

void mr_json_f64(struct mr_buf *b, const char *key, double v) {
    mr_json_key(b, key);
    mr_buf_f64(b, v);
}

void mr_json_bool(struct mr_buf *b, const char *key, bool v) {
    mr_json_key(b, key);
    mr_buf_cstr(b, v ? "true" : "false");
}

void mr_json_time(struct mr_buf *b, const char *key, int64_t wall_us) {
    char t[MR_TIME_LEN];
    mr_json_key(b, key);
    mr_time_rfc3339(wall_us, t);
    mr_buf_fmt(b, "\"%s\"", t);
}

void mr_json_raw(struct mr_buf *b, const char *key, struct mr_str v) {
    mr_json_key(b, key);
    mr_buf_str(b, v);
}

void mr_json_id(struct mr_buf *b, const char *key, const char *prefix, struct mr_id id) {
    char hex[MR_ID_HEX];
    mr_json_key(b, key);
    mr_id_hex(id, hex);
    mr_buf_fmt(b, "\"%s%s\"", prefix, hex);
}
