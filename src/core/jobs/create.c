/* Making a job: everything that can be wrong is found here, inline inputs are captured here. */
#include "base/alloc.h"
#include "base/clock.h"
#include "base/crash_point.h"
#include "core/jobs/cron.h"
#include "core/jobs/source.h"

#include <yyjson.h>

#define SERVICE_SUFFIX  "_service"
#define PARAMETERS_MAX  (1u << 20) /* without inputs */
#define DEFAULT_RETRIES 2
#define KEY_MAX         255u

struct creation {
    struct mr_jobs *j;
    const struct mr_job_request *q;
    struct mr_arena *arena;
    struct mr_job job;
    int service;
    int retries;
    enum mr_job_source source;
    enum mr_job_form form;
    struct mr_str source_name;
    bool has_input, has_source;
    struct mr_blob_name input, source_blob;
    struct mr_job_pack pack; /* alive until the row is committed */
    struct mr_str file_id;   /* parameters.input_file */
    yyjson_val *inputs;
    bool again;
};

/* --- checks ------------------------------------------------------------------------------- */

static int check_service(struct creation *c, struct mr_err *e) {
    struct mr_str s = c->q->service;
    if (mr_str_ends(s, MR_LIT(SERVICE_SUFFIX)))
        s.n -= sizeof SERVICE_SUFFIX - 1;
    c->service = s.p ? mr_jobs_service(c->j, s) : -1;
    if (c->service >= 0) {
        c->job.service = mr_str(c->j->service[c->service].r.service);
        return 0;
    }
    char known[200] = "";
    size_t n = 0;
    for (unsigned i = 0; i < c->j->n_service && n < sizeof known; i++)
        n += (size_t)snprintf(known + n, sizeof known - n, "%s%s", i ? ", " : "",
                              c->j->service[i].r.service);
    return mr_fail_field(e, MR_EFIELD, "service", "service must be one of: %s", known);
}

static int check_names(struct creation *c, struct mr_err *e) {
    const struct mr_job_request *q = c->q;
    if (q->type.p && !mr_str_is(q->type, "batch_processing"))
        return mr_fail_field(e, MR_EFIELD, "type", "type must be \"batch_processing\"");
    c->job.type = MR_LIT("batch_processing");
    int rc = check_service(c, e);
    if (rc)
        return rc;
    if (q->name.n > MR_JOB_NAME_MAX || !mr_utf8_valid(q->name))
        return mr_fail_field(e, MR_EFIELD, "name", "name must be UTF-8 of at most %u bytes",
                             MR_JOB_NAME_MAX);
    c->job.name = q->name;
    if (!q->name.n) {
        char *p = mr_arena_fmt(c->arena, "%s job", c->j->service[c->service].r.service);
        if (!p)
            return mr_fail(e, MR_ENOMEM, "out of memory");
        c->job.name = mr_str(p);
    }
    if (q->idempotency_key.p && (!q->idempotency_key.n || q->idempotency_key.n > KEY_MAX))
        return mr_fail_field(e, MR_EFIELD, "Idempotency-Key",
                             "an Idempotency-Key has 1 to %u bytes", KEY_MAX);
    if (q->retries < -1 || q->retries > MR_JOB_RETRIES_MAX)
        return mr_fail_field(e, MR_EFIELD, "retries", "retries must be from 0 to %d",
                             MR_JOB_RETRIES_MAX);
    c->retries = q->retries < 0 ? DEFAULT_RETRIES : q->retries;
    return 0;
}

static int check_times(struct creation *c, struct mr_err *e) {
    const struct mr_job_request *q = c->q;
    struct mr_job *k = &c->job;
    k->priority = q->priority;
    k->created_us = mr_now_us();
    k->scheduled_us = q->scheduled_us;
    k->status = q->scheduled_us > k->created_us ? MR_JOB_SCHEDULED : MR_JOB_QUEUED;
    if (!q->cron.p)
        return 0;
    struct mr_cron cron;
    int rc = mr_cron_parse(q->cron, &cron, e);
    if (rc)
        return rc;
    int64_t from = k->status == MR_JOB_SCHEDULED ? q->scheduled_us - 1 : k->created_us;
    if (!mr_cron_next(&cron, c->j->c.zone, from, &k->scheduled_us))
        return mr_fail_field(e, MR_EFIELD, "cron", "the cron expression never comes");
    k->status = MR_JOB_SCHEDULED;
    k->cron = q->cron;
    return 0;
}

/* --- parameters --------------------------------------------------------------------------- */

static int text_of(yyjson_val *o, const char *key, struct mr_str *ret, struct mr_err *e) {
    yyjson_val *v = yyjson_obj_get(o, key);
    if (!v || yyjson_is_null(v))
        return 0;
    if (!yyjson_is_str(v)) {
        char field[64];
        snprintf(field, sizeof field, "parameters.%s", key);
        return mr_fail_field(e, MR_EFIELD, field, "%s must be a string", field);
    }
    *ret = mr_strn(yyjson_get_str(v), yyjson_get_len(v));
    return 0;
}

/* Everything but the inputs, into the arena. */
static int strip(struct creation *c, yyjson_val *o, struct mr_err *e) {
    struct mr_buf b;
    yyjson_obj_iter it;
    yyjson_val *key;
    bool first = true;
    int rc = 0;
    mr_buf_init(&b, PARAMETERS_MAX);
    mr_buf_char(&b, '{');
    yyjson_obj_iter_init(o, &it);
    while ((key = yyjson_obj_iter_next(&it)) && !rc) {
        struct mr_str name = mr_strn(yyjson_get_str(key), yyjson_get_len(key));
        if (mr_str_is(name, "inputs"))
            continue;
        size_t n = 0;
        char *text = yyjson_val_write(yyjson_obj_iter_get_val(key), 0, &n);
        if (!text) {
            rc = mr_fail(e, MR_ENOMEM, "out of memory");
            break;
        }
        if (!first)
            mr_buf_char(&b, ',');
        first = false;
        mr_buf_json(&b, name);
        mr_buf_char(&b, ':');
        mr_buf_add(&b, text, n);
        free(text);
    }
    mr_buf_char(&b, '}');
    if (!rc && !mr_buf_ok(&b))
        rc = b.fail == MR_ENOMEM
                 ? mr_fail(e, MR_ENOMEM, "out of memory")
                 : mr_fail_field(e, MR_EFIELD, "parameters",
                                 "parameters without inputs exceed %u MB", PARAMETERS_MAX >> 20);
    if (!rc) {
        c->job.parameters = mr_arena_keep(c->arena, mr_buf_view(&b));
        if (!c->job.parameters.p)
            rc = mr_fail(e, MR_ENOMEM, "out of memory");
    }
    mr_buf_release(&b);
    return rc;
}

static int one_source(int n, struct mr_err *e) {
    if (n == 1)
        return 0;
    return mr_fail_field(e, MR_EFIELD, "parameters.inputs",
                         n ? "parameters name more than one of inputs, input_file and input_source"
                           : "parameters need inputs (an array), input_file (an uploaded file) or "
                             "input_source (a folder)");
}

static int check_format(struct creation *c, yyjson_val *o, struct mr_err *e) {
    struct mr_str format = MR_LIT("json");
    int rc = text_of(o, "output_format", &format, e);
    if (rc)
        return rc;
    if (!mr_str_is(format, "json") && !mr_str_is(format, "csv"))
        return mr_fail_field(e, MR_EFIELD, "parameters.output_format",
                             "output_format must be \"json\" or \"csv\"");
    c->job.format = mr_str_is(format, "csv") ? MR_LIT("csv") : MR_LIT("json");
    return 0;
}

static int check_source(struct creation *c, yyjson_val *o, struct mr_err *e) {
    struct mr_str file = {0}, folder = {0}, form = {0};
    yyjson_val *inputs = yyjson_obj_get(o, "inputs");
    int rc = text_of(o, "input_file", &file, e);
    if (!rc)
        rc = text_of(o, "input_source", &folder, e);
    if (!rc)
        rc = text_of(o, "input_format", &form, e);
    if (!rc)
        rc = one_source((inputs != NULL) + (file.p != NULL) + (folder.p != NULL), e);
    if (!rc)
        rc = mr_job_form_parse(form, &c->form, e);
    if (rc)
        return rc;
    if (inputs) {
        if (!yyjson_is_arr(inputs) || !yyjson_arr_size(inputs))
            return mr_fail_field(e, MR_EFIELD, "parameters.inputs",
                                 "parameters.inputs must be an array of at least one item");
        if (yyjson_arr_size(inputs) > MR_JOB_ITEMS_MAX)
            return mr_fail_field(e, MR_EFIELD, "parameters.inputs",
                                 "parameters.inputs has more than %d items", MR_JOB_ITEMS_MAX);
        c->inputs = inputs;
        c->source = MR_JOB_CAPTURED;
        return 0;
    }
    c->source = file.p ? MR_JOB_FROM_FILE : MR_JOB_FROM_FOLDER;
    c->file_id = mr_arena_keep(c->arena, file);
    c->source_name = mr_arena_keep(c->arena, folder);
    return folder.p ? mr_job_source_check(c->j, &c->q->who, folder, e) : 0;
}

static int capture_inline(struct creation *c, struct mr_err *e) {
    int rc = mr_job_pack_init(&c->pack, c->j->c.blobs, c->j->c.input_max, e);
    size_t i, max;
    yyjson_val *v;
    yyjson_arr_foreach (c->inputs, i, max, v) {
        size_t n = 0;
        char *text = rc ? NULL : yyjson_val_write(v, 0, &n);
        if (!rc && !text)
            rc = mr_fail(e, MR_ENOMEM, "out of memory");
        if (!rc)
            rc = mr_job_pack_json(&c->pack, mr_strn(text, n), e);
        free(text);
    }
    if (!rc)
        rc = mr_job_pack_end(&c->pack, &c->input, e);
    c->has_input = !rc;
    c->job.total = (int64_t)c->pack.n;
    return rc;
}

static int read_parameters(struct creation *c, struct mr_err *e) {
    struct mr_str p = c->q->parameters;
    /* raw numbers: an item reaches its runner as it was written */
    yyjson_doc *doc =
        p.p ? yyjson_read_opts((char *)(uintptr_t)p.p, p.n, YYJSON_READ_NUMBER_AS_RAW, NULL, NULL)
            : NULL;
    yyjson_val *o = doc ? yyjson_doc_get_root(doc) : NULL;
    int rc = 0;
    if (!yyjson_is_obj(o))
        rc = mr_fail_field(e, MR_EFIELD, "parameters", "parameters must be a JSON object");
    if (!rc)
        rc = check_format(c, o, e);
    if (!rc)
        rc = check_source(c, o, e);
    if (!rc)
        rc = strip(c, o, e);
    const struct mr_job_runner *r = &c->j->service[c->service].r;
    if (!rc && r->check)
        rc = r->check(r->arg, &c->q->who, c->job.parameters, e);
    if (!rc && c->inputs)
        rc = capture_inline(c, e);
    yyjson_doc_free(doc);
    return rc;
}

/* --- the row ------------------------------------------------------------------------------ */

/* 1: the key was used; its job is in c->job. */
static int find_key(struct creation *c, struct mr_tx *tx, struct mr_err *e) {
    struct mr_stmt *s;
    struct mr_id id;
    int rc = mr_db_prepare(
        tx, "SELECT id, body_hash FROM jobs WHERE account_id = ?1 AND idem_key = ?2", &s, e);
    if (rc)
        return rc;
    mr_db_bind_id(s, 1, c->q->who.account);
    mr_db_bind_str(s, 2, c->q->idempotency_key);
    rc = mr_db_step(s, e);
    if (rc <= 0)
        return rc;
    struct mr_str hash = mr_db_blob(s, 1);
    bool same = hash.n == 32 && !memcmp(hash.p, c->q->body_hash, 32);
    mr_db_id(s, 0, &id);
    mr_db_done(s);
    if (!same)
        return mr_fail_field(e, MR_EFIELD, "Idempotency-Key",
                             "this Idempotency-Key was used for a different request");
    rc = mr_job_read_in(tx, c->q->who.account, id, c->arena, &c->job, e);
    c->again = !rc;
    return rc ? rc : 1;
}

static int check_room(struct creation *c, struct mr_tx *tx, struct mr_err *e) {
    struct mr_stmt *s;
    int rc = mr_db_prepare(tx,
                           "SELECT COUNT(*) FROM jobs WHERE account_id = ?1 AND status IN (0, 1, "
                           "2)",
                           &s, e);
    if (rc)
        return rc;
    mr_db_bind_id(s, 1, c->q->who.account);
    rc = mr_db_step(s, e);
    if (rc < 0)
        return rc;
    bool full = rc > 0 && mr_db_i64(s, 0) >= MR_JOB_OPEN_MAX;
    if (rc > 0)
        mr_db_done(s);
    return full ? mr_fail(e, MR_ELIMIT, "this account has %d unfinished jobs: cancel some",
                          MR_JOB_OPEN_MAX)
                : 0;
}

static void bind_blob(struct mr_stmt *s, int i, bool has, const struct mr_blob_name *name) {
    if (has)
        mr_db_bind_blob(s, i, name->sha, MR_SHA256_LEN);
    else
        mr_db_bind_null(s, i);
}

static int insert(struct creation *c, struct mr_tx *tx, struct mr_err *e) {
    const struct mr_job *k = &c->job;
    const struct mr_principal *who = &c->q->who;
    struct mr_stmt *s;
    int rc = mr_db_prepare(
        tx,
        "INSERT INTO jobs (id, account_id, user_id, key_id, parent, service, status, priority, "
        "retries, attempt, stalls, moved_at, fence, lease_until, queued_at, scheduled_at, "
        "created_at, "
        "started_at, ended_at, done, failed, total, logged, source, source_format, format, name, "
        "type, cron, error, input_blob, source_blob, source_name, idem_key, body_hash, parameters) "
        "VALUES (?1, ?2, ?3, ?4, NULL, ?5, ?6, ?7, ?8, 0, 0, ?9, 0, 0, ?9, ?10, ?9, 0, 0, 0, 0, "
        "?11, "
        "0, ?12, ?13, ?14, ?15, ?16, ?17, NULL, ?18, ?19, ?20, ?21, ?22, ?23)",
        &s, e);
    if (rc)
        return rc;
    mr_db_bind_id(s, 1, k->id);
    mr_db_bind_id(s, 2, who->account);
    mr_db_bind_id(s, 3, who->user);
    mr_db_bind_id(s, 4, who->key);
    mr_db_bind_str(s, 5, k->service);
    mr_db_bind_i64(s, 6, k->status);
    mr_db_bind_i64(s, 7, k->priority);
    mr_db_bind_i64(s, 8, c->retries);
    mr_db_bind_i64(s, 9, k->created_us);
    mr_db_bind_i64(s, 10, k->scheduled_us);
    mr_db_bind_i64(s, 11, k->total);
    mr_db_bind_i64(s, 12, c->source);
    mr_db_bind_i64(s, 13, c->form);
    mr_db_bind_str(s, 14, k->format);
    mr_db_bind_str(s, 15, k->name);
    mr_db_bind_str(s, 16, k->type);
    mr_db_bind_str(s, 17, k->cron);
    bind_blob(s, 18, c->has_input, &c->input);
    bind_blob(s, 19, c->has_source, &c->source_blob);
    mr_db_bind_str(s, 20, c->source_name);
    mr_db_bind_str(s, 21, c->q->idempotency_key);
    bind_blob(s, 22, c->q->idempotency_key.p != NULL,
              (const struct mr_blob_name *)(const void *)c->q->body_hash);
    mr_db_bind_str(s, 23, k->parameters);
    return mr_db_exec(s, e);
}

static int create_in(struct mr_tx *tx, void *arg, struct mr_err *e) {
    struct creation *c = arg;
    int rc = c->q->idempotency_key.p ? find_key(c, tx, e) : 0;
    if (rc)
        return rc < 0 ? rc : 0;
    rc = check_room(c, tx, e);
    if (!rc && c->source == MR_JOB_FROM_FILE)
        rc = mr_job_file_use_in(tx, c->q->who.account, c->file_id, c->job.created_us, c->arena,
                                &c->source_blob, &c->form, &c->source_name, e);
    c->has_source = c->source == MR_JOB_FROM_FILE;
    if (!rc)
        rc = insert(c, tx, e);
    if (!rc)
        rc = mr_job_logf_in(tx, c->job.id, MR_JOB_INFO, e,
                            c->job.status == MR_JOB_SCHEDULED ? "Job scheduled" : "Job queued");
    mr_crash_point("job-created");
    return rc;
}

static int keep_names(struct creation *c, struct mr_err *e) {
    struct mr_str *const text[] = {&c->job.name, &c->job.type, &c->job.service, &c->job.cron,
                                   &c->job.format};
    for (size_t i = 0; i < sizeof text / sizeof *text; i++) {
        struct mr_str v = *text[i];
        *text[i] = mr_arena_keep(c->arena, v);
        if (v.p && !text[i]->p)
            return mr_fail(e, MR_ENOMEM, "out of memory");
    }
    return 0;
}

static void wake(struct creation *c) {
    struct mr_jobs *j = c->j;
    pthread_mutex_lock(&j->mu);
    if (c->job.status == MR_JOB_QUEUED) {
        mr_job_maybe_queued(j, (unsigned)c->service, c->job.priority);
        atomic_fetch_add(&j->service[c->service].ahead, c->job.total);
    } else if (c->job.scheduled_us < j->next_due_us)
        j->next_due_us = c->job.scheduled_us;
    mr_jobs_kick_locked(j);
    pthread_mutex_unlock(&j->mu);
}

int mr_job_create(struct mr_jobs *j, const struct mr_job_request *q, struct mr_arena *arena,
                  struct mr_job *ret, bool *ret_again, struct mr_err *e) {
    struct creation c = {.j = j, .q = q, .arena = arena};
    c.job.id = mr_id_new();
    int rc = check_names(&c, e);
    if (!rc)
        rc = check_times(&c, e);
    if (!rc)
        rc = read_parameters(&c, e);
    if (!rc)
        rc = keep_names(&c, e);
    if (!rc)
        rc = mr_db_write(j->c.db, create_in, &c, e);
    if (c.inputs)
        mr_job_pack_release(&c.pack);
    if (rc)
        return rc;
    mr_crash_point("job-create-committed");
    mr_job_estimate(j, &c.job);
    if (!c.again)
        wake(&c);
    *ret = c.job;
    if (ret_again)
        *ret_again = c.again;
    return 0;
}
