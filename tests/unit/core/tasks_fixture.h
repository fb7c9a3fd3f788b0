/* Tasks over a database in a folder and two providers: "openai" is the stand-in upstream, "mistral"
 * a socket of the test's own, where a request lies until the test answers it. */
#ifndef MR_TEST_TASKS_FIXTURE_H
#define MR_TEST_TASKS_FIXTURE_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "core/tasks/tasks.h"
#include "mr_test.h"
#include "mr_tmp.h"
#include "mr_wait.h"
#include "standin.h"

#include <pthread.h>

static struct standin_child up;

struct rig {
    struct mr_db *db;
    struct mr_price_book *prices;
    struct mr_zone *utc;
    struct mr_ledger *ledger;
    struct mr_upstream *u;
    struct mr_gateway *g;
    struct mr_tasks *t;
    struct mr_principal who, other; /* two accounts, the same at each opening */
    struct mr_arena arena;          /* what the tests look at */
    int held;                       /* the socket of "mistral" */
    char held_url[64];
};
struct rig_options {
    bool openai_falls_back, openai_is_away;
    int deadline_ms;
};

static inline void rig_must(int rc, const struct mr_err *e, const char *what) {
    if (rc < 0) {
        fprintf(stderr, "%s: %s\n", what, e->msg);
        exit(2);
    }
}

static inline struct mr_principal rig_person(uint8_t n) {
    struct mr_principal p = {.authenticated = true, .key_budget_nanousd = -1};
    memset(p.account.b, n, sizeof p.account.b);
    memset(p.key.b, n + 100, sizeof p.key.b);
    return p;
}

static inline int rig_account(struct mr_tx *tx, void *arg, struct mr_err *e) {
    const struct mr_principal *p = arg;
    struct mr_stmt *s;
    int rc = mr_db_prepare(tx,
                           "INSERT INTO accounts(id, name, kind, tier, created_at) VALUES(?1, "
                           "'acme', 'personal', 'free', 1) ON CONFLICT (id) DO NOTHING",
                           &s, e);
    if (rc)
        return rc;
    mr_db_bind_id(s, 1, p->account);
    rc = mr_db_exec(s, e);
    if (!rc)
        rc = mr_db_prepare(tx,
                           "INSERT INTO api_keys(id, account_id, name, prefix, hash, scopes, "
                           "rate_per_minute, budget_nanousd, created_at, expires_at, last_used_at, "
                           "revoked_at) VALUES(?1, ?2, 'k', 'mrk_1234', ?1, 15, 0, -1, 1, 0, 0, 0) "
                           "ON CONFLICT (id) DO NOTHING",
                           &s, e);
    if (rc)
        return rc;
    mr_db_bind_id(s, 1, p->key);
    mr_db_bind_id(s, 2, p->account);
    return mr_db_exec(s, e);
}

static inline void rig_listen(struct rig *r) {
    struct sockaddr_in a = {.sin_family = AF_INET};
    socklen_t n = sizeof a;
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    r->held = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (bind(r->held, (struct sockaddr *)&a, sizeof a) || listen(r->held, 64) ||
        getsockname(r->held, (struct sockaddr *)&a, &n))
        abort();
    snprintf(r->held_url, sizeof r->held_url, "http://127.0.0.1:%d/v1", ntohs(a.sin_port));
}

/* The books alone, without tasks: what lies in the folder is not yet recovered. */
static inline void rig_books(struct rig *r, const char *dir) {
    struct mr_err e = {0};
    char path[300];
    *r = (struct rig){.who = rig_person(1), .other = rig_person(2), .held = -1};
    mr_arena_init(&r->arena, 64u << 20);
    snprintf(path, sizeof path, "%s/tasks.db", dir);
    struct mr_db_config c = {.path = path};
    rig_must(mr_db_open(&c, &r->db, &e), &e, "database");
    rig_must(mr_db_write(r->db, rig_account, &r->who, &e), &e, "account");
    rig_must(mr_db_write(r->db, rig_account, &r->other, &e), &e, "account");
    rig_must(mr_price_book_open(NULL, NULL, &r->prices, &e), &e, "prices");
    rig_must(mr_zone_open(MR_LIT("UTC"), &r->utc, &e), &e, "zone");
    struct mr_ledger_config l = {.db = r->db, .prices = r->prices, .zone = r->utc};
    rig_must(mr_ledger_open(&l, &r->ledger, &e), &e, "ledger");
}

static inline void rig_stop_upstream(void) {
    standin_stop(&up);
}

static inline void rig_open(struct rig *r, const char *dir, struct rig_options o) {
    struct mr_err e = {0};
    if (!up.pid) {
        standin_start(&up);
        atexit(rig_stop_upstream);
    }
    standin_ask(&up, "/control/reset", "{}");
    rig_books(r, dir);
    rig_listen(r);
    rig_must(mr_upstream_new(NULL, &r->u, &e), &e, "upstream");
    struct mr_provider p[] = {
        {.name = "openai",
         .dialect = MR_DIALECT_OPENAI,
         .base_url = o.openai_is_away ? "http://127.0.0.1:1/v1" : up.openai,
         .key = "sk-test",
         .key_needed = true,
         .key_variable = "OPENAI_API_KEY",
         .model = "gpt-4o-mini",
         .fallback = o.openai_falls_back ? "mistral" : NULL},
        {.name = "mistral",
         .dialect = MR_DIALECT_MISTRAL,
         .base_url = r->held_url,
         .key = "ms-test",
         .key_needed = true,
         .key_variable = "MISTRAL_API_KEY",
         .model = "mistral-small-latest"},
        {.name = "keyless",
         .base_url = up.openai,
         .key_needed = true,
         .key_variable = "KEYLESS_API_KEY",
         .model = "m"},
    };
    struct mr_gateway_config c = {.upstream = r->u,
                                  .providers = p,
                                  .n_providers = 3,
                                  .deadline_ms = o.deadline_ms ? o.deadline_ms : MR_PATIENCE_MS,
                                  .retries = -1};
    rig_must(mr_gateway_new(&c, &r->g, &e), &e, "gateway");
    struct mr_tasks_config t = {
        .db = r->db, .ledger = r->ledger, .prices = r->prices, .gateway = r->g};
    rig_must(mr_tasks_open(&t, &r->t, &e), &e, "tasks");
}

static inline void rig_close(struct rig *r) {
    struct mr_err e = {0};
    mr_upstream_free(r->u); /* ends what runs */
    mr_tasks_free(r->t);
    mr_gateway_free(r->g);
    int rc = mr_ledger_check(r->ledger, &e); /* whatever a test did: the books balance */
    CHECK_INT(rc, 0);
    if (rc)
        fprintf(stderr, "%s\n", e.msg);
    mr_ledger_free(r->ledger);
    mr_zone_free(r->utc);
    mr_price_book_free(r->prices);
    mr_db_close(r->db);
    mr_arena_release(&r->arena);
    if (r->held >= 0)
        close(r->held);
}

/* ---- one task, and waiting for it ---- */

struct answer {
    pthread_mutex_t mu;
    pthread_cond_t cv;
    int done; /* calls */
    bool has_task;
    struct mr_err err; /* code 0: none */
    struct mr_task_info task;
    char output[4096], error[600], model[64], provider[32], seen[4096];
    int deltas, leave_after; /* on_delta says that the client is gone from that one on; 0 = never */
};

static inline void put(char *out, size_t cap, struct mr_str s) {
    snprintf(out, cap, "%.*s", (int)s.n, s.p ? s.p : "");
}

static inline void on_done(void *arg, const struct mr_task_info *k, const struct mr_err *e) {
    struct answer *a = arg;
    pthread_mutex_lock(&a->mu);
    a->has_task = k != NULL;
    if (k) {
        a->task = *k;
        put(a->output, sizeof a->output, k->output);
        put(a->error, sizeof a->error, k->error);
        put(a->model, sizeof a->model, k->model);
        put(a->provider, sizeof a->provider, k->provider);
    }
    if (e)
        a->err = *e;
    a->done++;
    pthread_cond_broadcast(&a->cv);
    pthread_mutex_unlock(&a->mu);
}

static inline int on_delta(void *arg, int64_t task, struct mr_str text) {
    struct answer *a = arg;
    size_t n = strlen(a->seen);
    CHECK(task > 0);
    put(a->seen + n, sizeof a->seen - n, text);
    a->deltas++;
    return a->leave_after && a->deltas >= a->leave_after;
}

static inline void answer_init(struct answer *a) {
    memset(a, 0, sizeof *a);
    pthread_mutex_init(&a->mu, NULL);
    pthread_cond_init(&a->cv, NULL);
}

static inline void answer_wait(struct answer *a) {
    pthread_mutex_lock(&a->mu);
    while (!a->done)
        pthread_cond_wait(&a->cv, &a->mu);
    pthread_mutex_unlock(&a->mu);
}

struct ask {
    const struct mr_principal *who; /* NULL: rig's */
    const char *provider, *model, *prompt, *user, *key;
    const char *body; /* whose hash comes with the key; NULL: the prompt's */
    int64_t max_tokens;
    bool stream;
};

static inline int submit(struct rig *r, struct ask q, struct answer *a, struct mr_err *e) {
    struct mr_task_request t = {.who = q.who ? *q.who : r->who,
                                .provider = mr_str(q.provider),
                                .model = mr_str(q.model),
                                .prompt = mr_str(q.prompt),
                                .end_user = mr_str(q.user),
                                .idempotency_key = mr_str(q.key),
                                .max_tokens = q.max_tokens,
                                .on_delta = q.stream ? on_delta : NULL,
                                .done = on_done,
                                .arg = a};
    const char *body = q.body ? q.body : q.prompt;
    for (size_t i = 0; body[i]; i++) /* stands for SHA-256: equal bodies, equal hashes */
        t.body_hash[i % 32] = (uint8_t)(t.body_hash[i % 32] * 31 + (uint8_t)body[i]);
    return mr_task_create(r->t, &t, e);
}

/* Runs it to its end. A refusal before anything was written comes in err as well. */
static inline void run(struct rig *r, struct ask q, struct answer *a) {
    struct mr_err e = {0};
    answer_init(a);
    if (submit(r, q, a, &e)) {
        a->err = e;
        return;
    }
    answer_wait(a);
    CHECK_INT(a->done, 1);
}

/* ---- the held provider ---- */

/* The next request that lies there, read whole; its socket. */
static inline int held_take(struct rig *r) {
    char buf[1 << 16];
    size_t n = 0;
    int fd = accept(r->held, NULL, NULL);
    for (;;) {
        ssize_t k = recv(fd, buf + n, sizeof buf - 1 - n, 0);
        if (k <= 0)
            abort();
        n += (size_t)k;
        buf[n] = 0;
        const char *end = strstr(buf, "\r\n\r\n"), *len = strcasestr(buf, "content-length:");
        if (end && len && n >= (size_t)(end + 4 - buf) + strtoul(len + 15, NULL, 10))
            return fd;
    }
}

static inline void held_send(int fd, const char *head, const char *body) {
    char buf[4096];
    int n = snprintf(buf, sizeof buf, "%s\r\n\r\n%s", head, body);
    if (send(fd, buf, (size_t)n, MSG_NOSIGNAL) != n)
        abort();
    close(fd);
}

/* Answers with 7 tokens in and 3 out. */
static inline void held_answer(int fd) {
    static const char body[] =
        "{\"id\":\"x\",\"object\":\"chat.completion\",\"model\":\"mistral-small-latest\","
        "\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"held\"},"
        "\"finish_reason\":\"stop\"}],"
        "\"usage\":{\"prompt_tokens\":7,\"completion_tokens\":3,\"total_tokens\":10}}";
    char head[128];
    snprintf(head, sizeof head,
             "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-type: application/json\r\n"
             "content-length: %zu",
             sizeof body - 1);
    held_send(fd, head, body);
}

/* ---- looking ---- */

static inline struct mr_task_info task_of(struct rig *r, int64_t id) {
    struct mr_task_info k = {0};
    struct mr_err e = {0};
    int rc = mr_task_get(r->t, r->who.account, id, &r->arena, &k, &e);
    CHECK_INT(rc, 0);
    return k;
}

static inline struct mr_charge charge_of(struct rig *r, int64_t id) {
    struct mr_charge c = {0};
    struct mr_err e = {0};
    int rc = mr_charge_get(r->ledger, r->who.account, id, &r->arena, &c, &e);
    CHECK_INT(rc, 0);
    return c;
}

static inline struct mr_budget budget_of(struct rig *r) {
    struct mr_budget b = {0};
    struct mr_err e = {0};
    CHECK_INT(mr_budget_account(r->ledger, r->who.account, &b, &e), 0);
    return b;
}

static inline struct mr_task_stats stats_of(struct rig *r) {
    struct mr_task_stats s = {0};
    struct mr_err e = {0};
    CHECK_INT(mr_task_stats(r->t, r->who.account, &s, &e), 0);
    return s;
}

static inline struct mr_tasks_metrics metrics_of(struct rig *r) {
    struct mr_tasks_metrics m;
    mr_tasks_metrics(r->t, &m);
    return m;
}

static inline size_t list_of(struct rig *r, int status, int64_t limit, int64_t offset,
                             struct mr_task_info **ret) {
    size_t n = 0;
    struct mr_err e = {0};
    CHECK_INT(mr_task_list(r->t, r->who.account, status, limit, offset, &r->arena, ret, &n, &e), 0);
    return n;
}

static inline bool says(struct mr_str s, const char *want) {
    char buf[700];
    put(buf, sizeof buf, s);
    return strcmp(buf, want) == 0;
}

/* Whether that many requests of "openai" were seen by the stand-in. */
static inline long asked(void) {
    return standin_count(&up, "requests");
}

#endif
