/* A store with jobs over it, and a runner whose behaviour the items themselves ask for. */
#ifndef MR_JOBS_FIXTURE_H
#define MR_JOBS_FIXTURE_H

#include "base/clock.h"
#include "core/jobs/jobs_priv.h"
#include "mr_test.h"
#include "mr_tmp.h"

#include <sys/stat.h>
#include <unistd.h>

static struct mr_tmp tmp;
static struct mr_db *db;
static struct mr_blobs *blobs;
static struct mr_jobs *jobs;
static struct mr_jobs_config conf;
static struct mr_arena arena;
static struct mr_principal me;
static atomic_int calls, at_once_now, at_once_most, gate_open, waiting_at_gate, unauth;

static struct ran {
    struct mr_id account, job;
    int64_t index;
} ran[4096];
static atomic_int n_ran;
static pthread_mutex_t ran_lock = PTHREAD_MUTEX_INITIALIZER;

static inline void must(int rc, const struct mr_err *e) {
    if (rc) {
        fprintf(stderr, "%s: %s (%s)\n", mr_code_name(rc), e->msg, e->field);
        exit(2);
    }
}

static inline struct mr_id id_of(uint8_t n) {
    struct mr_id id = {{0}};
    id.b[0] = id.b[15] = n;
    return id;
}

static inline int rights(void *arg, struct mr_id account, struct mr_id user, struct mr_id key,
                         struct mr_principal *ret, struct mr_err *e) {
    (void)arg;
    if (atomic_load(&unauth))
        return mr_fail(e, MR_EUNAUTH, "the key was revoked");
    *ret = (struct mr_principal){.authenticated = true,
                                 .account = account,
                                 .user = user,
                                 .key = key,
                                 .scopes = MR_SCOPE_ALL};
    return 0;
}

/* "fail": its error; "flaky N": passes on attempt N; "gate": waits for gate_open; "slow": 2 ms;
 * all others come back in an object. */
static inline int test_run(void *arg, const struct mr_job_item *item, struct mr_arena *a,
                           struct mr_str *ret, struct mr_err *e) {
    (void)arg;
    int now = atomic_fetch_add(&at_once_now, 1) + 1, most = atomic_load(&at_once_most), rc = 0;
    atomic_fetch_add(&calls, 1);
    pthread_mutex_lock(&ran_lock);
    int at = atomic_load(&n_ran);
    if (at < 4096)
        ran[at] = (struct ran){item->who.account, item->job, item->index};
    atomic_store(&n_ran, at + 1); /* behind the entry: whoever sees the number may read it */
    pthread_mutex_unlock(&ran_lock);
    while (now > most && !atomic_compare_exchange_weak(&at_once_most, &most, now))
        ;
    struct mr_str in = item->input;
    if (mr_str_is(in, "\"fail\""))
        rc = mr_fail(e, MR_EINVAL, "this item is bad");
    else if (mr_str_starts(in, MR_LIT("\"flaky ")) && item->attempt < in.p[7] - '0')
        rc = mr_fail(e, MR_EUNAVAIL, "not yet");
    else if (mr_str_is(in, "\"slow\""))
        usleep(2000);
    else if (mr_str_is(in, "\"gate\"")) {
        atomic_fetch_add(&waiting_at_gate, 1);
        while (!atomic_load(&gate_open) && !mr_job_cancelled(item))
            usleep(500);
        atomic_fetch_sub(&waiting_at_gate, 1);
    }
    if (!rc) {
        char *p = item->file ? mr_arena_fmt(a, "{\"file\":\"%.*s\",\"bytes\":%zu}", (int)in.n, in.p,
                                            item->bytes.n)
                             : mr_arena_fmt(a, "{\"echo\":%.*s,\"index\":%lld}", (int)in.n, in.p,
                                            (long long)item->index);
        *ret = mr_str(p);
    }
    atomic_fetch_sub(&at_once_now, 1);
    return rc;
}

static struct mr_job_runner test_runners[2] = {
    {.service = "test", .run = test_run, .at_once = 4},
    {.service = "other", .run = test_run, .at_once = 1},
};

static inline void open_jobs(void) {
    struct mr_err e = {0};
    must(mr_jobs_open(&conf, &jobs, &e), &e);
}

/* conf may be changed between begin_store and open_jobs. */
static inline void begin_store(void) {
    struct mr_err e = {0};
    char path[300];
    mr_tmp_make(&tmp);
    struct mr_db_config dc = {.path = mr_tmp_path(&tmp, "db", path)};
    must(mr_db_open(&dc, &db, &e), &e);
    must(mr_blobs_open_fs(mr_tmp_path(&tmp, "blobs", path), &blobs, &e), &e);
    static char inputs[300];
    mkdir(mr_tmp_path(&tmp, "inputs", inputs), 0700);
    mr_arena_init(&arena, 256u << 20);
    me = (struct mr_principal){.authenticated = true, .account = id_of(1), .user = id_of(2)};
    conf = (struct mr_jobs_config){.db = db,
                                   .blobs = blobs,
                                   .inputs_dir = inputs,
                                   .runner = test_runners,
                                   .n_runner = 2,
                                   .retry_ms = 5,
                                   .sole = true,
                                   .principal = rights};
    atomic_store(&gate_open, 0);
    atomic_store(&calls, 0);
    atomic_store(&at_once_most, 0);
    atomic_store(&unauth, 0);
    atomic_store(&n_ran, 0);
}

static inline void begin(void) {
    begin_store();
    open_jobs();
}

static inline void end(void) {
    mr_jobs_free(jobs, 1000);
    jobs = NULL;
    mr_blobs_free(blobs);
    mr_db_close(db);
    mr_arena_release(&arena);
    mr_tmp_remove(&tmp);
}

static inline struct mr_job_request request(const char *parameters) {
    return (struct mr_job_request){.who = me,
                                   .name = MR_LIT("a job"),
                                   .type = MR_LIT("batch_processing"),
                                   .service = MR_LIT("test"),
                                   .parameters = mr_str(parameters),
                                   .priority = MR_JOB_NORMAL,
                                   .retries = -1};
}

static inline struct mr_job make_of(struct mr_job_request q) {
    struct mr_err e = {0};
    struct mr_job k;
    must(mr_job_create(jobs, &q, &arena, &k, NULL, &e), &e);
    return k;
}

static inline struct mr_job make(const char *parameters) {
    return make_of(request(parameters));
}

/* The field that the request is refused for. */
static inline const char *refused(struct mr_job_request q) {
    static struct mr_err e;
    struct mr_job k;
    e = (struct mr_err){0};
    int rc = mr_job_create(jobs, &q, &arena, &k, NULL, &e);
    return rc == MR_EFIELD ? e.field : rc ? mr_code_name(rc) : "accepted";
}

static inline struct mr_job look_at(struct mr_id id) {
    struct mr_err e = {0};
    struct mr_job k;
    must(mr_job_get(jobs, me.account, id, &arena, &k, &e), &e);
    return k;
}

static inline struct mr_job wait_for(struct mr_id id, enum mr_job_status status) {
    struct mr_job k = look_at(id);
    for (int i = 0; i < 20000 && k.status != status; i++) {
        usleep(1000);
        k = look_at(id);
        if (k.status != status && k.ended_us)
            break;
    }
    if (k.status != status)
        fprintf(stderr, "job is %s: %.*s\n", mr_job_status_name(k.status), (int)k.error.n,
                k.error.p ? k.error.p : "");
    CHECK_INT(k.status, status);
    return k;
}

static inline struct mr_job_result *results(struct mr_id id, size_t *ret_n) {
    struct mr_err e = {0};
    struct mr_job_result *r;
    int64_t total;
    must(mr_job_results(jobs, me.account, id, 100000, 0, &arena, &r, ret_n, &total, &e), &e);
    CHECK_INT(total, *ret_n);
    return r;
}

static inline void check_text(struct mr_str got, const char *want, int line) {
    if (!mr_str_is(got, want)) {
        fprintf(stderr, "line %d: is \"%.*s\", want \"%s\"\n", line, (int)got.n, got.p ? got.p : "",
                want);
        mr_test_failed_++;
    }
}
#define CHECK_TEXT(got, want) check_text(got, want, __LINE__)

struct one_sql {
    const char *sql;
    struct mr_id id;
    int64_t ret;
};
static inline int sql_in(struct mr_tx *tx, void *arg, struct mr_err *e) {
    struct one_sql *o = arg;
    struct mr_stmt *s;
    int rc = mr_db_prepare(tx, o->sql, &s, e);
    if (rc)
        return rc;
    if (strstr(o->sql, "?1"))
        mr_db_bind_id(s, 1, o->id);
    rc = mr_db_step(s, e);
    if (rc > 0) {
        o->ret = mr_db_i64(s, 0);
        mr_db_done(s);
    }
    return rc < 0 ? rc : 0;
}
/* One statement; ?1 is the id; the first number of the first row. */
static inline int64_t sql(const char *text, struct mr_id id) {
    struct one_sql o = {text, id, 0};
    struct mr_err e = {0};
    must(mr_db_write(db, sql_in, &o, &e), &e);
    return o.ret;
}

#endif
