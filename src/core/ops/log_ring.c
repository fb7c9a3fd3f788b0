#include "core/ops/log_ring.h"

#include "base/alloc.h"

#include <pthread.h>
#include <stdio.h>
#include <yyjson.h>

#define LINES_DEFAULT 4096
#define EVENT_BYTES   32
#define MEMBERS_MAX   1500

struct line {
    uint64_t seq;
    int64_t at_us;
    enum mr_log_level level;
    const char *service;
    char event[EVENT_BYTES];
    char *members; /* owned */
    size_t n;
};

struct mr_log_ring {
    pthread_mutex_t mu;
    size_t cap;
    uint64_t next; /* seq of the next line */
    struct line line[];
};

int mr_log_ring_new(size_t lines, struct mr_log_ring **ret, struct mr_err *e) {
    size_t cap = lines ? lines : LINES_DEFAULT;
    struct mr_log_ring *r = mr_calloc(1, sizeof *r + cap * sizeof *r->line);
    if (!r)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    pthread_mutex_init(&r->mu, NULL);
    r->cap = cap;
    r->next = 1;
    *ret = r;
    return 0;
}

void mr_log_ring_free(struct mr_log_ring *r) {
    if (!r)
        return;
    for (size_t i = 0; i < r->cap; i++)
        mr_free(r->line[i].members);
    pthread_mutex_destroy(&r->mu);
    mr_free(r);
}

/* By the first word of the event's name ("llm.worker"). */
static const char *service_of(const char *event) {
    static const struct {
        const char *word, *service;
    } words[] = {{"llm", "llm_service"},           {"text", "llm_service"},
                 {"gateway", "llm_service"},       {"vision", "vision_service"},
                 {"image", "vision_service"},      {"ocr", "vision_service"},
                 {"classifier", "vision_service"}, {"detector", "vision_service"},
                 {"nlp", "nlp_service"},           {"embedder", "nlp_service"},
                 {"ner", "nlp_service"},           {"sentiment", "nlp_service"},
                 {"language", "nlp_service"}};
    size_t n = strcspn(event, ".-_ ");
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strlen(words[i].word) == n && !memcmp(words[i].word, event, n))
            return words[i].service;
    return "orchestrator";
}

static void add(void *arg, int64_t at_us, enum mr_log_level level, const char *event,
                struct mr_str members) {
    struct mr_log_ring *r = arg;
    struct line fresh = {.at_us = at_us, .level = level, .service = service_of(event)};
    snprintf(fresh.event, sizeof fresh.event, "%s", event);
    if (members.n > MEMBERS_MAX)
        members = mr_strn(NULL, 0);
    fresh.members = members.n ? mr_strndup(members.p, members.n) : NULL;
    fresh.n = fresh.members ? members.n : 0;
    pthread_mutex_lock(&r->mu);
    fresh.seq = r->next++;
    struct line *place = &r->line[fresh.seq % r->cap];
    char *old = place->members;
    *place = fresh;
    pthread_mutex_unlock(&r->mu);
    mr_free(old);
}

struct mr_log_tap mr_log_ring_tap(struct mr_log_ring *r) {
    return (struct mr_log_tap){add, r};
}

/* --- reading ------------------------------------------------------------------------------ */

static struct mr_str member(yyjson_val *obj, const char *key, struct mr_arena *arena) {
    yyjson_val *v = yyjson_obj_get(obj, key);
    return yyjson_is_str(v) ? mr_arena_keep(arena, mr_strn(yyjson_get_str(v), yyjson_get_len(v)))
                            : mr_strn(NULL, 0);
}

/* All keys but those that have a place of their own. */
static struct mr_str rest(yyjson_val *obj, const char *event, struct mr_arena *arena) {
    struct mr_str out = mr_strn(NULL, 0);
    struct mr_buf b;
    size_t i, n;
    yyjson_val *key, *val;
    mr_buf_init(&b, 8192);
    mr_buf_cstr(&b, "{\"event\":");
    mr_buf_json(&b, mr_str(event));
    yyjson_obj_foreach (obj, i, n, key, val) {
        const char *name = yyjson_get_str(key);
        size_t len;
        char *text = yyjson_val_write(val, 0, &len);
        if (text && strcmp(name, "msg") != 0 && strcmp(name, "trace_id") != 0) {
            mr_buf_char(&b, ',');
            mr_buf_json(&b, mr_str(name));
            mr_buf_char(&b, ':');
            mr_buf_add(&b, text, len);
        }
        free(text);
    }
    mr_buf_char(&b, '}');
    if (mr_buf_ok(&b))
        out = mr_arena_keep(arena, mr_buf_view(&b));
    mr_buf_release(&b);
    return out;
}

static int take_apart(const struct line *l, struct mr_arena *arena, struct mr_log_entry *ret,
                      struct mr_err *e) {
    char *text = mr_arena_fmt(arena, "{%.*s}", (int)l->n, l->n ? l->members : "");
    yyjson_doc *doc = text ? yyjson_read(text, strlen(text), 0) : NULL;
    yyjson_val *obj = yyjson_doc_get_root(doc);
    *ret = (struct mr_log_entry){
        .seq = l->seq, .at_us = l->at_us, .level = l->level, .service = l->service};
    ret->message = member(obj, "msg", arena);
    ret->trace_id = member(obj, "trace_id", arena);
    ret->details = rest(obj, l->event, arena);
    yyjson_doc_free(doc);
    if (!ret->message.p)
        ret->message = mr_arena_keep(arena, mr_str(l->event));
    if (!ret->trace_id.p)
        ret->trace_id = MR_LIT("");
    return text && ret->message.p && ret->details.p ? 0 : mr_fail(e, MR_ENOMEM, "out of memory");
}

static bool fits(const struct line *l, const struct mr_log_query *q) {
    return l->seq && l->level >= q->level && (!q->before || l->seq < q->before) &&
           (!q->service || !strcmp(q->service, l->service));
}

/* Copies what matches under the lock, so that lines are taken apart without it. */
static size_t copy_matches(struct mr_log_ring *r, const struct mr_log_query *q,
                           struct mr_arena *arena, struct line *out, bool *ret_more,
                           bool *ret_oom) {
    size_t n = 0;
    *ret_more = *ret_oom = false;
    pthread_mutex_lock(&r->mu);
    uint64_t oldest = r->next > r->cap ? r->next - r->cap : 1;
    for (uint64_t seq = r->next; seq-- > oldest;) {
        const struct line *l = &r->line[seq % r->cap];
        if (!fits(l, q))
            continue;
        if (n == q->limit) {
            *ret_more = true;
            break;
        }
        out[n] = *l;
        if (l->n && !(out[n].members = mr_arena_strn(arena, l->members, l->n)))
            *ret_oom = true;
        n++;
    }
    pthread_mutex_unlock(&r->mu);
    return n;
}

int mr_log_ring_read(struct mr_log_ring *r, const struct mr_log_query *q, struct mr_arena *arena,
                     struct mr_log_entry **ret, size_t *ret_n, bool *ret_more, struct mr_err *e) {
    struct line *line = mr_arena_array(arena, q->limit + 1, sizeof *line);
    struct mr_log_entry *v = mr_arena_array(arena, q->limit + 1, sizeof *v);
    bool more, oom;
    int rc = 0;
    if (!line || !v)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    size_t n = copy_matches(r, q, arena, line, &more, &oom);
    if (oom)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    for (size_t i = 0; i < n && !rc; i++)
        rc = take_apart(&line[i], arena, &v[i], e);
    if (rc)
        return rc;
    *ret = v;
    *ret_n = n;
    *ret_more = more;
    return 0;
}
