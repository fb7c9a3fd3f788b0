#include "engine/provider/text.h"

#include "base/cleanup.h"

#include <math.h>

static int hex4(const char *p) {
    int v = 0;
    for (int i = 0; i < 4; i++) {
        int c = p[i] < '0' ? 0 : p[i] | 0x20;
        int d = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
        if (d < 0)
            return -1;
        v = v << 4 | d;
    }
    return v;
}

/* Escapes of half a surrogate pair, which no reader of JSON takes, become U+FFFD. In place; the
 * number of them. */
static size_t mend_surrogates(char *p, size_t n) {
    size_t mended = 0;
    for (size_t i = 0; i + 6 <= n; i++) {
        if (p[i] != '\\')
            continue;
        int a = p[i + 1] == 'u' ? hex4(p + i + 2) : -1;
        if (a < 0xd800 || a > 0xdfff) {
            i++; /* past the escaped character */
            continue;
        }
        bool pair = a < 0xdc00 && i + 12 <= n && p[i + 6] == '\\' && p[i + 7] == 'u';
        int b = pair ? hex4(p + i + 8) : -1;
        if (b >= 0xdc00 && b <= 0xdfff) {
            i += 11;
            continue;
        }
        memcpy(p + i + 2, "fffd", 4);
        mended++;
        i += 5;
    }
    return mended;
}

static yyjson_doc *parse(struct provider_json *j, struct mr_str text) {
    size_t need = yyjson_read_max_memory_usage(text.n, 0);
    bool small =
        need <= sizeof j->pool - 256 && yyjson_alc_pool_init(&j->alc, j->pool, sizeof j->pool);
    return yyjson_read_opts((char *)(uintptr_t)text.p, text.n, YYJSON_READ_ALLOW_INVALID_UNICODE,
                            small ? &j->alc : NULL, NULL);
}

yyjson_val *mr_provider_json(struct provider_json *j, struct mr_str text) {
    j->doc = parse(j, text);
    if (!j->doc && text.n && memmem(text.p, text.n, "\\u", 2)) {
        MR_AUTO_FREE char *copy = mr_strndup(text.p, text.n);
        if (copy && mend_surrogates(copy, text.n))
            j->doc = parse(j, mr_strn(copy, text.n));
    }
    return yyjson_doc_get_root(j->doc);
}

struct mr_str mr_provider_str(yyjson_val *v) {
    return yyjson_is_str(v) ? mr_strn(yyjson_get_str(v), yyjson_get_len(v)) : (struct mr_str){0};
}

/* Length of the well-formed sequence at s[i], 0 when there is none. */
static size_t sequence(struct mr_str s, size_t i) {
    unsigned char c = (unsigned char)s.p[i];
    if (c < 0x80)
        return 1;
    size_t n = c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : 2;
    return i + n <= s.n && mr_utf8_valid(mr_strn(s.p + i, n)) ? n : 0;
}

struct mr_str mr_provider_keep(struct mr_arena *arena, struct mr_str s) {
    if (s.n == 0)
        return MR_LIT("");
    if (mr_utf8_valid(s))
        return mr_arena_keep(arena, s);
    size_t n = 0, bad = 0;
    for (size_t i = 0; i < s.n;) {
        size_t k = sequence(s, i);
        bad += k == 0;
        i += k ? k : 1;
    }
    char *out = mr_arena_alloc(arena, s.n + bad * 2 + 1);
    if (!out)
        return (struct mr_str){0};
    for (size_t i = 0; i < s.n;) {
        size_t k = sequence(s, i);
        memcpy(out + n, k ? s.p + i : "\xEF\xBF\xBD", k ? k : 3);
        n += k ? k : 3;
        i += k ? k : 1;
    }
    out[n] = 0;
    return mr_strn(out, n);
}

/* The text of one part; others (thinking, images, references) are not the answer. */
static struct mr_str part_text(yyjson_val *part) {
    if (yyjson_is_str(part))
        return mr_provider_str(part);
    yyjson_val *type = yyjson_obj_get(part, "type");
    if (type && !yyjson_equals_str(type, "text") && !yyjson_equals_str(type, "output_text"))
        return (struct mr_str){0};
    return mr_provider_str(yyjson_obj_get(part, "text"));
}

int mr_provider_content(yyjson_val *content, struct mr_arena *arena, struct mr_str *ret) {
    struct mr_str text = mr_provider_str(content);
    if (yyjson_is_arr(content)) {
        size_t i, max, n = 0;
        yyjson_val *part;
        yyjson_arr_foreach (content, i, max, part)
            n += part_text(part).n;
        char *all = mr_arena_alloc(arena, n + 1);
        if (!all)
            return MR_ENOMEM;
        text = mr_strn(all, 0);
        yyjson_arr_foreach (content, i, max, part) {
            struct mr_str t = part_text(part);
            if (t.n)
                memcpy(all + text.n, t.p, t.n);
            text.n += t.n;
        }
    }
    struct mr_str kept = mr_provider_keep(arena, text);
    if (!kept.p)
        return MR_ENOMEM;
    *ret = kept;
    return 0;
}

/* No request has more than a billion tokens: beyond, the count is nonsense. Absent is 0. */
static bool count(yyjson_val *v, bool needed, int64_t *ret) {
    if (!v || yyjson_is_null(v)) {
        *ret = 0;
        return !needed;
    }
    double d = yyjson_is_num(v) ? yyjson_get_num(v) : -1;
    if (!(d >= 0 && d <= 1e9) || d != floor(d))
        return false;
    *ret = (int64_t)d;
    return true;
}

struct mr_str mr_provider_list(struct mr_arena *arena, yyjson_val *v) {
    size_t n;
    if (!yyjson_is_arr(v) || !yyjson_arr_size(v))
        return MR_LIT("");
    char *json = yyjson_val_write(v, YYJSON_WRITE_ALLOW_INVALID_UNICODE, &n);
    struct mr_str s = json ? mr_provider_keep(arena, mr_strn(json, n)) : (struct mr_str){0};
    free(json);
    return s;
}

struct mr_chat_usage mr_provider_usage(yyjson_val *v) {
    struct mr_chat_usage u = {0};
    int64_t total = 0;
    yyjson_val *sum = yyjson_obj_get(v, "total_tokens");
    yyjson_val *details = yyjson_obj_get(v, "prompt_tokens_details");
    if (!yyjson_is_obj(v) || !count(yyjson_obj_get(v, "prompt_tokens"), true, &u.input) ||
        !count(yyjson_obj_get(v, "completion_tokens"), true, &u.output) ||
        !count(sum, false, &total) ||
        !count(yyjson_obj_get(details, "cached_tokens"), false, &u.cached) ||
        !count(yyjson_obj_get(details, "cache_write_tokens"), false, &u.cache_write))
        return (struct mr_chat_usage){0};
    if (yyjson_is_num(sum) && total != u.input + u.output)
        return (struct mr_chat_usage){0};
    if (u.cached + u.cache_write > u.input)
        return (struct mr_chat_usage){0};
    u.present = true;
    return u;
}

int64_t mr_provider_estimate_tokens(struct mr_str text) {
    int64_t quarters = 0;
    for (size_t i = 0; i < text.n; i++) {
        unsigned char c = (unsigned char)text.p[i];
        if ((c & 0xc0) != 0x80) /* one per ASCII character, two per two-byte one, else a token */
            quarters += c < 0x80 ? 1 : c < 0xe0 ? 2 : 4;
    }
    return text.n && quarters < 4 ? 1 : (quarters + 3) / 4;
}

/* "sk-…" and what a provider has masked already: a part of our own key, not the user's business. */
static bool looks_like_key(struct mr_str word) {
    return (word.n >= 6 && mr_str_starts(word, MR_LIT("sk-"))) ||
           (word.n >= 2 && memmem(word.p, word.n, "**", 2));
}

struct mr_str mr_provider_message(struct mr_arena *arena, struct mr_str s) {
    if (s.n > PROVIDER_MESSAGE_MAX * 8)
        s.n = PROVIDER_MESSAGE_MAX * 8; /* a sequence that this cuts is mended next */
    struct mr_str clean = mr_provider_keep(arena, s);
    char *out = clean.p ? mr_arena_alloc(arena, clean.n + 1) : NULL;
    if (!out)
        return (struct mr_str){0};
    size_t n = 0, points = 0, i = 0;
    while (i < clean.n && points < PROVIDER_MESSAGE_MAX) {
        unsigned char c = (unsigned char)clean.p[i];
        if (c <= ' ' || c == 0x7f) {
            if (n && out[n - 1] != ' ') {
                out[n++] = ' ';
                points++;
            }
            i++;
            continue;
        }
        size_t end = i;
        while (end < clean.n && (unsigned char)clean.p[end] > ' ' && clean.p[end] != 0x7f)
            end++;
        if (looks_like_key(mr_strn(clean.p + i, end - i))) {
            memcpy(out + n, "***", 3); /* shorter than what it stands for, or (2) as room allows */
            n += end - i < 3 ? 2 : 3;
            points += 3;
            i = end;
            continue;
        }
        for (; i < end && points < PROVIDER_MESSAGE_MAX; points++) {
            size_t k = sequence(clean, i);
            memcpy(out + n, clean.p + i, k ? k : 1);
            n += k ? k : 1;
            i += k ? k : 1;
        }
    }
    while (n && out[n - 1] == ' ')
        n--;
    out[n] = 0;
    return mr_strn(out, n);
}
