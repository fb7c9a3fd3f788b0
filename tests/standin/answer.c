/* Routes of the stand-in, the heads and error shapes of both dialects, counters by name. */
#include "standin.h"

#include "base/alloc.h"

/* FNV-1a over words of eight bytes: the same on every run, unlike mr_hash64. */
uint64_t standin_hash(struct mr_str s) {
    uint64_t h = 0xcbf29ce484222325U ^ s.n, w;
    size_t i = 0;
    for (; i + 8 <= s.n; i += 8) {
        memcpy(&w, s.p + i, 8);
        h = (h ^ w) * 0x100000001b3U;
        h ^= h >> 29;
    }
    for (; i < s.n; i++)
        h = (h ^ (unsigned char)s.p[i]) * 0x100000001b3U;
    return h ^ (h >> 32);
}

static struct tally **find(struct tally **at, size_t size, struct mr_str name) {
    size_t i = standin_hash(name) & (size - 1);
    while (at[i] && !mr_str_is(name, at[i]->name))
        i = (i + 1) & (size - 1);
    return &at[i];
}

static bool grow(struct tallies *t) {
    size_t size = t->size ? t->size * 2 : 256;
    struct tally **at = mr_calloc(size, sizeof *at);
    if (!at)
        return false;
    for (size_t i = 0; i < t->size; i++)
        if (t->at[i])
            *find(at, size, mr_str(t->at[i]->name)) = t->at[i];
    mr_free(t->at);
    t->at = at;
    t->size = size;
    return true;
}

struct tally *tally_get(struct tallies *t, struct mr_str name) {
    if (name.n > KEY_MAX - 1)
        name.n = KEY_MAX - 1;
    if (name.n == 0 || (t->n * 2 >= t->size && !grow(t)))
        return NULL;
    struct tally **slot = find(t->at, t->size, name);
    if (!*slot) {
        *slot = mr_calloc(1, sizeof **slot);
        if (!*slot)
            return NULL;
        memcpy((*slot)->name, name.p, name.n);
        t->n++;
    }
    return *slot;
}

void tallies_zero(struct tallies *t) {
    for (size_t i = 0; i < t->size; i++)
        if (t->at[i])
            t->at[i]->requests = t->at[i]->completions = t->at[i]->delivered = 0;
}

/* length SIZE_MAX: chunked. */
void standin_head(struct standin *s, struct mr_buf *out, enum dialect d, int status,
                  const char *type, const char *extra, size_t length) {
    mr_buf_cstr(out, "HTTP/1.1 ");
    mr_buf_u64(out, (uint64_t)status);
    mr_buf_cstr(out, status < 300 ? " OK\r\ncontent-type: " : " Error\r\ncontent-type: ");
    mr_buf_cstr(out, type);
    mr_buf_cstr(out, d == OPENAI ? "\r\nx-request-id: req_" : "\r\nmistral-correlation-id: ");
    mr_buf_u64(out, ++s->ids);
    mr_buf_cstr(out, "\r\n");
    if (extra)
        mr_buf_cstr(out, extra);
    if (length == SIZE_MAX) {
        mr_buf_cstr(out, "transfer-encoding: chunked\r\n\r\n");
        return;
    }
    mr_buf_cstr(out, "content-length: ");
    mr_buf_u64(out, length);
    mr_buf_cstr(out, "\r\n\r\n");
}

void standin_json(struct standin *s, struct answer *a, enum dialect d, int status,
                  const char *extra, struct mr_str body) {
    standin_head(s, a->out, d, status, "application/json", extra, body.n);
    mr_buf_str(a->out, body);
    if (status >= 400)
        s->stats.errors++;
}

void standin_error(struct standin *s, struct answer *a, enum dialect d, int status,
                   const char *extra, const char *type, const char *code, const char *message) {
    struct mr_buf b;
    mr_buf_init(&b, 8192);
    mr_buf_cstr(&b,
                d == OPENAI ? "{\"error\":{\"message\":" : "{\"object\":\"error\",\"message\":");
    mr_buf_json(&b, mr_str(message));
    mr_buf_cstr(&b, ",\"type\":");
    mr_buf_json(&b, mr_str(type));
    mr_buf_cstr(&b, ",\"param\":null,\"code\":");
    if (code)
        mr_buf_json(&b, mr_str(code));
    else
        mr_buf_cstr(&b, "null");
    if (d == OPENAI)
        mr_buf_cstr(&b, "}}");
    else
        mr_buf_fmt(&b, ",\"raw_status_code\":%d}", status);
    standin_json(s, a, d, status, extra, mr_buf_view(&b));
    mr_buf_release(&b);
}

static void models(struct standin *s, const struct request *q, struct answer *a) {
    static const char *const names[2][4] = {
        {"gpt-4o-mini", "gpt-4.1-mini", "gpt-5.5", "text-embedding-3-small"},
        {"mistral-small-latest", "mistral-large-latest", "ministral-8b-latest", "mistral-embed"}};
    struct mr_buf b;
    mr_buf_init(&b, 8192);
    mr_buf_cstr(&b, "{\"object\":\"list\",\"data\":[");
    for (int i = 0; i < 4; i++)
        mr_buf_fmt(&b,
                   "%s{\"id\":\"%s\",\"object\":\"model\",\"created\":1700000000,"
                   "\"owned_by\":\"%s\"}",
                   i ? "," : "", names[q->dialect][i],
                   q->dialect == OPENAI ? "openai" : "mistralai");
    mr_buf_cstr(&b, "]}");
    standin_json(s, a, q->dialect, 200, NULL, mr_buf_view(&b));
    mr_buf_release(&b);
}

/* Without "Bearer …", or with a key that starts with "bad": 401 in the dialect's shape. */
static bool authorized(struct standin *s, const struct request *q, struct answer *a,
                       struct mr_str *ret_key) {
    struct mr_str key = {0};
    if (mr_str_starts(q->auth, MR_LIT("Bearer ")))
        key = mr_str_trim(mr_strn(q->auth.p + 7, q->auth.n - 7));
    if (key.n && !mr_str_starts(key, MR_LIT("bad"))) {
        *ret_key = key;
        return true;
    }
    if (q->dialect == MISTRAL)
        standin_json(s, a, MISTRAL, 401, NULL, MR_LIT("{\"detail\":\"Unauthorized\"}"));
    else if (key.n)
        standin_error(s, a, OPENAI, 401, NULL, "invalid_request_error", "invalid_api_key",
                      "Incorrect API key provided: bad***.");
    else
        standin_error(s, a, OPENAI, 401, NULL, "invalid_request_error", NULL,
                      "You didn't provide an API key.");
    return false;
}

void standin_answer(struct standin *s, const struct request *in, struct answer *a) {
    struct request q = *in;
    struct mr_str rest = q.path;
    q.path = mr_str_cut(&rest, '?');
    if (mr_str_starts(q.path, MR_LIT("/control/"))) {
        standin_control(s, &q, a);
        return;
    }
    s->stats.requests++;
    if (s->keep_last) {
        mr_buf_clear(&s->last);
        mr_buf_str(&s->last, q.head);
        mr_buf_str(&s->last, q.body);
    }
    static const struct {
        struct mr_str prefix;
        enum dialect dialect;
    } prefixes[] = {{MR_LIT("/mistral"), MISTRAL}, {MR_LIT("/openai"), OPENAI}};
    for (size_t i = 0; i < 2; i++)
        if (mr_str_starts(q.path, prefixes[i].prefix)) {
            q.dialect = prefixes[i].dialect;
            q.path = mr_strn(q.path.p + prefixes[i].prefix.n, q.path.n - prefixes[i].prefix.n);
            break;
        }
    struct mr_str key = {0};
    if (!authorized(s, &q, a, &key))
        return;
    a->key = tally_get(&s->keys, key);
    if (a->key)
        a->key->requests++;
    q.auth = key;
    if (q.post && mr_str_is(q.path, "/v1/chat/completions"))
        standin_chat(s, &q, a);
    else if (q.post && mr_str_is(q.path, "/v1/embeddings"))
        standin_embeddings(s, &q, a);
    else if (!q.post && mr_str_is(q.path, "/v1/models"))
        models(s, &q, a);
    else
        standin_error(s, a, q.dialect, 404, NULL, "invalid_request_error", NULL,
                      "Unknown request URL.");
}
