/* Opening the registry, and reading, changing, deleting deployments. */
#include "core/deployments.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "core/deploy_priv.h"
#include "core/metadata.h"
#include "engine/intake.h"

#define LIST_MAX 100
#define STOP_MS  10000

struct open_ctx {
    struct mr_deployments *d;
};

static int load_rows(struct mr_tx *tx, void *arg, struct mr_err *e) {
    struct mr_deployments *d = ((struct open_ctx *)arg)->d;
    struct mr_stmt *s;
    int rc = mr_db_prepare(tx,
                           "SELECT d.id, d.account_id, d.memory_mb, d.timeout_s, d.min_instances, "
                           "d.max_instances, v.n, v.engine, v.program_blob, v.source_blob FROM "
                           "deployments d LEFT "
                           "JOIN versions v ON v.deployment_id = d.id AND v.n = d.current_version "
                           "WHERE d.deleted_at = 0",
                           &s, e);
    if (rc)
        return rc;
    while ((rc = mr_db_step(s, e)) > 0) {
        struct mr_id id, account;
        struct mr_dep *dep = mr_registry_entry_new();
        if (!dep) {
            mr_db_done(s);
            return mr_fail(e, MR_ENOMEM, "out of memory");
        }
        mr_db_id(s, 0, &id);
        mr_db_id(s, 1, &account);
        dep->now.config = (struct mr_dep_config){mr_db_i64(s, 2), mr_db_i64(s, 3), mr_db_i64(s, 4),
                                                 mr_db_i64(s, 5)};
        struct mr_str blob = mr_db_blob(s, 8);
        if (mr_db_i64(s, 6) && blob.n == MR_SHA256_LEN) {
            dep->now.program.version = (uint32_t)mr_db_i64(s, 6);
            dep->now.program.kind = (enum mr_engine_kind)mr_db_i64(s, 7);
            memcpy(dep->now.program.blob.sha, blob.p, MR_SHA256_LEN);
            struct mr_str source = mr_db_blob(s, 9);
            if (source.n == MR_SHA256_LEN)
                memcpy(dep->now.program.source.sha, source.p, MR_SHA256_LEN);
            dep->now.serving = true;
        }
        mr_registry_add(d, dep, id, account);
        if (dep->now.serving && dep->now.config.min_instances > 0) {
            dep->preload = d->preload;
            d->preload = dep;
        }
    }
    return rc;
}

/* min_instances keeps a model in memory over restarts too; the server answers meanwhile. */
static void preload(void *arg) {
    struct mr_deployments *d = arg;
    for (struct mr_dep *dep = d->preload; dep && !atomic_load(&d->closing); dep = dep->preload) {
        struct mr_err err;
        if (mr_registry_load(d, dep, NULL, &err))
            mr_log_msg(d->c.log, MR_LOG_ERROR, "deployment.preload", "%s", err.msg);
    }
}

static void fill_crew(void *arg) {
    struct mr_deployments *d = arg;
    struct mr_err err;
    if (mr_intake_crew_fill(d->crew, &err))
        mr_log_msg(d->c.log, MR_LOG_WARN, "deploy", "no spare reader of uploads: %s", err.msg);
}

static int submit(struct mr_deployments *d, void (*fn)(void *), struct mr_err *e) {
    return mr_pool_submit(d->intake, fn, d)
               ? mr_fail(e, MR_EINTERNAL, "the intake pool takes no work")
               : 0;
}

int mr_deployments_open(const struct mr_deployments_config *c, struct mr_deployments **ret,
                        struct mr_err *e) {
    struct mr_deployments *d = mr_calloc(1, sizeof *d);
    if (!d)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    d->c = *c;
    struct open_ctx ctx = {d};
    int rc = mr_registry_init(d, e);
    if (!rc)
        rc = mr_intake_crew_new(c->self_exe, &d->crew, e);
    if (!rc)
        rc = mr_pool_new(c->intake_threads ? c->intake_threads : 2, 1000, &d->intake, e);
    if (!rc)
        rc = mr_db_write(c->db, mr_deploy_repair, d, e);
    if (!rc)
        rc = mr_db_read(c->db, load_rows, &ctx, e);
    if (!rc && d->preload)
        rc = submit(d, preload, e);
    if (!rc && d->recover)
        rc = submit(d, mr_deploy_recover, e);
    if (!rc)
        rc = submit(d, fill_crew, e);
    if (rc) {
        mr_deployments_free(d);
        return rc;
    }
    *ret = d;
    return 0;
}

/* Builds that do not end by themselves are killed; the next start takes them up. */
static void stop_builds(struct mr_deployments *d) {
    int64_t until = mr_mono_ns() + (d->c.stop_ms > 0 ? d->c.stop_ms : STOP_MS) * 1000000;
    while (atomic_load(&d->running) && mr_mono_ns() < until)
        nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
    if (d->crew)
        mr_intake_crew_stop(d->crew);
}

void mr_deployments_free(struct mr_deployments *d) {
    if (!d)
        return;
    atomic_store(&d->closing, true);
    stop_builds(d);
    mr_pool_free(d->intake);
    mr_registry_release(d);
    for (struct mr_deploy_job *j; (j = d->recover);) {
        d->recover = j->next;
        mr_deploy_job_unref(j);
    }
    mr_intake_crew_free(d->crew);
    mr_free(d);
}

/* --- reading ----------------------------------------------------------------------------- */

struct read_ctx {
    struct mr_id account, id;
    const struct mr_dep_filter *f;
    struct mr_arena *arena;
    struct mr_deployment one, *list;
    size_t n;
    int64_t total;
    struct mr_str like;
};

static int read_one(struct mr_tx *tx, void *arg, struct mr_err *e) {
    struct read_ctx *r = arg;
    return mr_dep_select(tx, r->account, r->id, r->arena, &r->one, e);
}

int mr_deployments_get(struct mr_deployments *d, struct mr_id account, struct mr_id id,
                       struct mr_arena *arena, struct mr_deployment *ret, struct mr_err *e) {
    struct read_ctx r = {.account = account, .id = id, .arena = arena};
    int rc = mr_db_read(d->c.db, read_one, &r, e);
    if (!rc)
        *ret = r.one;
    return rc;
}

static int select_named(struct mr_tx *tx, struct read_ctx *r, const char *sql, struct mr_err *e) {
    struct mr_stmt *s;
    int rc = mr_db_prepare(tx, sql, &s, e);
    if (rc)
        return rc;
    mr_db_bind_id(s, 1, r->account);
    mr_db_bind_str(s, 2, r->like);
    rc = mr_db_step(s, e);
    if (rc <= 0)
        return rc ? rc : mr_fail(e, MR_ENOTFOUND, "no such deployment");
    rc = mr_dep_row(s, r->arena, &r->one, e);
    mr_db_done(s);
    return rc;
}

static int read_named(struct mr_tx *tx, void *arg, struct mr_err *e) {
    /* Given names are unique and have an index of their own; the rest is a walk. */
    int rc = select_named(tx, arg,
                          MR_DEP_SELECT "WHERE d.account_id = ?1 AND d.name = ?2 AND d.named = 1 "
                                        "AND d.deleted_at = 0",
                          e);
    if (rc != MR_ENOTFOUND)
        return rc;
    return select_named(tx, arg,
                        MR_DEP_SELECT "WHERE d.account_id = ?1 AND d.name = ?2 AND d.deleted_at = "
                                      "0 ORDER BY d.created_at DESC, d.id DESC LIMIT 1",
                        e);
}

int mr_deployments_find(struct mr_deployments *d, struct mr_id account, struct mr_str name,
                        struct mr_arena *arena, struct mr_deployment *ret, struct mr_err *e) {
    struct read_ctx r = {.account = account, .like = name, .arena = arena};
    int rc = mr_db_read(d->c.db, read_named, &r, e);
    if (!rc)
        *ret = r.one;
    return rc;
}

#define LIST_WHERE                                                                                 \
    "WHERE d.account_id = ?1 AND (CASE WHEN ?2 = 'deleted' THEN d.deleted_at > 0 ELSE "            \
    "d.deleted_at = 0 AND (?2 IS NULL OR d.status = ?2) END) AND (?3 IS NULL OR d.framework = "    \
    "?3) AND (?4 IS NULL OR lower(d.name) LIKE lower(?4) ESCAPE '\\') "

static void bind_filter(struct mr_stmt *s, const struct read_ctx *r) {
    mr_db_bind_id(s, 1, r->account);
    mr_db_bind_str(s, 2, r->f->status);
    mr_db_bind_str(s, 3, r->f->framework);
    mr_db_bind_str(s, 4, r->like);
}

static int read_list(struct mr_tx *tx, void *arg, struct mr_err *e) {
    struct read_ctx *r = arg;
    struct mr_stmt *s;
    int rc = mr_db_prepare(tx, "SELECT count(*) FROM deployments d " LIST_WHERE, &s, e);
    if (rc)
        return rc;
    bind_filter(s, r);
    rc = mr_db_step(s, e);
    if (rc < 0)
        return rc;
    r->total = mr_db_i64(s, 0);
    mr_db_done(s);
    if (!r->f->limit)
        return 0;
    rc = mr_db_prepare(
        tx, MR_DEP_SELECT LIST_WHERE "ORDER BY d.created_at DESC, d.id DESC LIMIT ?5 OFFSET ?6", &s,
        e);
    if (rc)
        return rc;
    bind_filter(s, r);
    mr_db_bind_i64(s, 5, r->f->limit);
    mr_db_bind_i64(s, 6, r->f->offset);
    while (r->n < LIST_MAX && (rc = mr_db_step(s, e)) > 0) {
        rc = mr_dep_row(s, r->arena, &r->list[r->n++], e);
        if (rc) {
            mr_db_done(s);
            return rc;
        }
    }
    if (rc > 0) {
        mr_db_done(s);
        rc = 0;
    }
    return rc;
}

/* %text% with LIKE's own characters escaped. */
static struct mr_str like_of(struct mr_arena *a, struct mr_str search) {
    if (!search.p)
        return search;
    char *p = mr_arena_alloc(a, search.n * 2 + 3);
    size_t n = 0;
    if (!p)
        return mr_strn(NULL, 0);
    p[n++] = '%';
    for (size_t i = 0; i < search.n; i++) {
        if (search.p[i] == '%' || search.p[i] == '_' || search.p[i] == '\\')
            p[n++] = '\\';
        p[n++] = search.p[i];
    }
    p[n++] = '%';
    return mr_strn(p, n);
}

int mr_deployments_list(struct mr_deployments *d, struct mr_id account,
                        const struct mr_dep_filter *f, struct mr_arena *arena,
                        struct mr_deployment **ret, size_t *ret_n, int64_t *ret_total,
                        struct mr_err *e) {
    struct read_ctx r = {.account = account, .f = f, .arena = arena};
    r.like = like_of(arena, f->search);
    r.list = mr_arena_array(arena, LIST_MAX, sizeof *r.list);
    if (!r.list || (f->search.p && !r.like.p))
        return mr_fail(e, MR_ENOMEM, "out of memory");
    int rc = mr_db_read(d->c.db, read_list, &r, e);
    if (rc)
        return rc;
    *ret = r.list;
    *ret_n = r.n;
    *ret_total = r.total;
    return 0;
}

int64_t mr_deployments_count(struct mr_deployments *d, struct mr_id account) {
    struct mr_dep_filter f = {0};
    struct read_ctx r = {.account = account, .f = &f};
    return mr_db_read(d->c.db, read_list, &r, NULL) ? 0 : r.total;
}

/* --- changing ---------------------------------------------------------------------------- */

struct change_ctx {
    struct mr_deployments *d;
    struct mr_id account, id;
    const struct mr_dep_change *ch;
    struct mr_arena *arena;
    struct mr_deployment dep;
    struct mr_dep_state state;
    struct mr_str base_url;
};

static int64_t pick(int64_t v, int64_t old) {
    return v < 0 ? old : v;
}

static int write_change(struct mr_tx *tx, void *arg, struct mr_err *e) {
    struct change_ctx *c = arg;
    struct mr_deployment *dep = &c->dep;
    int rc = mr_dep_select(tx, c->account, c->id, c->arena, dep, e);
    if (rc)
        return rc;
    struct mr_dep_config *g = &dep->config;
    g->memory_mb = pick(c->ch->memory_mb, g->memory_mb);
    g->timeout_s = pick(c->ch->timeout_s, g->timeout_s);
    g->min_instances = pick(c->ch->min_instances, g->min_instances);
    g->max_instances = pick(c->ch->max_instances, g->max_instances);
    if (g->min_instances > g->max_instances)
        return mr_fail_field(e, MR_EFIELD, "min_instances",
                             "min_instances (%lld) is larger than max_instances (%lld)",
                             (long long)g->min_instances, (long long)g->max_instances);
    if (c->ch->name.p)
        dep->name = c->ch->name;
    bool live = mr_str_is(dep->status, "active") || mr_str_is(dep->status, "updating");
    struct mr_stmt *s;
    rc = mr_db_prepare(tx,
                       "UPDATE deployments SET name = ?1, named = CASE WHEN ?2 = 1 THEN 1 ELSE "
                       "named END, memory_mb = ?3, timeout_s = ?4, min_instances = ?5, "
                       "max_instances = ?6, status = ?7, updated_at = ?8 WHERE id = ?9",
                       &s, e);
    if (rc)
        return rc;
    mr_db_bind_str(s, 1, dep->name);
    mr_db_bind_i64(s, 2, c->ch->name.p != NULL);
    mr_db_bind_i64(s, 3, g->memory_mb);
    mr_db_bind_i64(s, 4, g->timeout_s);
    mr_db_bind_i64(s, 5, g->min_instances);
    mr_db_bind_i64(s, 6, g->max_instances);
    mr_db_bind_str(s, 7, live ? MR_LIT("updating") : dep->status);
    mr_db_bind_i64(s, 8, mr_now_us());
    mr_db_bind_id(s, 9, c->id);
    rc = mr_db_exec(s, e);
    if (rc == MR_ECONFLICT)
        return mr_fail_field(e, rc, "name", "another deployment of this account has this name");
    return rc ? rc : mr_dep_state_read(c->d, tx, c->id, &c->state, e);
}

struct apply {
    struct mr_deployments *d;
    struct mr_id id;
    struct mr_dep_retry retry;
};

static int write_applied(struct mr_tx *tx, void *arg, struct mr_err *e) {
    struct apply *a = arg;
    struct mr_stmt *s;
    int rc = mr_db_prepare(tx,
                           "UPDATE deployments SET status = 'active', updated_at = ?1 WHERE id = "
                           "?2 AND status = 'updating' AND deleted_at = 0",
                           &s, e);
    if (rc)
        return rc;
    mr_db_bind_i64(s, 1, mr_now_us());
    mr_db_bind_id(s, 2, a->id);
    return mr_db_exec(s, e);
}

static void applied_late(void *arg, bool written) {
    (void)written; /* if not, the next start ends the update */
    mr_free(arg);
}

/* Loads the model again under its new limits and ends the update. */
static void apply_change(void *arg) {
    struct apply *a = arg;
    struct mr_deployments *d = a->d;
    struct mr_dep *dep = mr_registry_find(d, a->id);
    struct mr_err err;
    if (dep && mr_registry_reload(d, dep, &err))
        mr_log_msg(d->c.log, MR_LOG_ERROR, "deployment.update", "%s", err.msg);
    if (!mr_db_write(d->c.db, write_applied, a, &err)) {
        mr_free(a);
        return;
    }
    mr_log_msg(d->c.log, MR_LOG_ERROR, "deployment.update", "%s", err.msg);
    a->retry = (struct mr_dep_retry){.fn = write_applied, .arg = a, .done = applied_late};
    mr_dep_retry(d, &a->retry);
}

/* The model must fit its new memory before anything is changed. */
static int check_fits(struct mr_deployments *d, struct mr_id account, struct mr_id id,
                      const struct mr_dep_change *ch, struct mr_err *e) {
    if (ch->memory_mb < 0)
        return 0;
    struct mr_dep_use u;
    struct mr_err ignored;
    if (mr_dep_acquire(d, account, id, true, &u, &ignored))
        return 0; /* not serving: nothing to fit */
    uint64_t bytes = mr_instance_memory(u.instance);
    mr_instance_unref(u.instance);
    if (bytes > (uint64_t)ch->memory_mb << 20)
        return mr_fail_field(e, MR_EFIELD, "memory_mb",
                             "the model needs %.1f MB, more than the %lld MB asked for",
                             (double)bytes / 1048576.0, (long long)ch->memory_mb);
    return 0;
}

int mr_deployments_update(struct mr_deployments *d, struct mr_id account, struct mr_id id,
                          const struct mr_dep_change *ch, struct mr_arena *arena,
                          struct mr_deployment *ret, struct mr_err *e) {
    struct change_ctx c = {.d = d, .account = account, .id = id, .ch = ch, .arena = arena};
    struct apply *a = mr_malloc(sizeof *a); /* first: who says 'updating' must be able to end it */
    if (!a)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    int rc = check_fits(d, account, id, ch, e);
    if (!rc)
        rc = mr_db_write(d->c.db, write_change, &c, e);
    if (rc) {
        mr_free(a);
        return rc;
    }
    struct mr_dep *dep = mr_registry_find(d, id);
    if (dep)
        mr_registry_set(d, dep, &c.state, NULL);
    *a = (struct apply){.d = d, .id = id};
    if (mr_pool_submit(d->intake, apply_change, a))
        apply_change(a);
    *ret = c.dep;
    return 0;
}

static int write_delete(struct mr_tx *tx, void *arg, struct mr_err *e) {
    struct change_ctx *c = arg;
    int rc = mr_dep_select(tx, c->account, c->id, c->arena, &c->dep, e);
    if (rc)
        return rc;
    struct mr_stmt *s;
    int64_t now = mr_now_us();
    rc = mr_db_prepare(tx,
                       "UPDATE deployments SET status = 'deleted', deleted_at = ?1, updated_at = "
                       "?1 WHERE id = ?2",
                       &s, e);
    if (rc)
        return rc;
    mr_db_bind_i64(s, 1, now);
    mr_db_bind_id(s, 2, c->id);
    rc = mr_db_exec(s, e);
    if (!rc)
        rc =
            mr_dep_event(c->d, tx, "deployment.deleted", &c->dep, c->base_url, mr_strn(NULL, 0), e);
    return rc ? rc : mr_dep_state_read(c->d, tx, c->id, &c->state, e);
}

int mr_deployments_delete(struct mr_deployments *d, struct mr_id account, struct mr_id id,
                          struct mr_str base_url, struct mr_err *e) {
    struct mr_arena arena;
    mr_arena_init(&arena, 16u << 20);
    struct change_ctx c = {
        .d = d, .account = account, .id = id, .arena = &arena, .base_url = base_url};
    int rc = mr_db_write(d->c.db, write_delete, &c, e);
    if (!rc) {
        struct mr_dep *dep = mr_registry_find(d, id);
        if (dep)
            mr_registry_set(d, dep, &c.state, NULL);
    }
    mr_arena_release(&arena);
    return rc;
}

/* --- versions ---------------------------------------------------------------------------- */

struct version_ctx {
    struct mr_deployments *d;
    struct mr_id account, id;
    struct mr_arena *arena;
    struct mr_version *list;
    size_t n;
    uint32_t want, previous;
    struct mr_dep_state state;
};

#define VERSIONS_MAX 1000

static int read_versions(struct mr_tx *tx, void *arg, struct mr_err *e) {
    struct version_ctx *v = arg;
    struct mr_deployment dep;
    struct mr_stmt *s;
    int rc = mr_dep_select(tx, v->account, v->id, v->arena, &dep, e);
    if (!rc)
        rc = mr_db_prepare(tx,
                           "SELECT v.n, v.status, v.changes, v.error, v.created_at, "
                           "d.current_version FROM versions v JOIN deployments d ON d.id = "
                           "v.deployment_id WHERE v.deployment_id = ?1 ORDER BY v.n DESC LIMIT "
                           "1000",
                           &s, e);
    if (rc)
        return rc;
    mr_db_bind_id(s, 1, v->id);
    v->list = mr_arena_array(v->arena, VERSIONS_MAX, sizeof *v->list);
    if (!v->list) {
        mr_db_done(s);
        return mr_fail(e, MR_ENOMEM, "out of memory");
    }
    while ((rc = mr_db_step(s, e)) > 0) {
        struct mr_version *x = &v->list[v->n++];
        x->n = (uint32_t)mr_db_i64(s, 0);
        x->current = mr_db_i64(s, 5) == x->n;
        struct mr_str stored = mr_db_str(s, 1);
        x->status = mr_str_is(stored, "ready") ? x->current ? MR_LIT("active") : MR_LIT("inactive")
                                               : mr_arena_keep(v->arena, stored);
        x->changes = mr_arena_keep(v->arena, mr_db_str(s, 2));
        x->error = mr_arena_keep(v->arena, mr_db_str(s, 3));
        x->created_us = mr_db_i64(s, 4);
    }
    return rc;
}

int mr_versions_list(struct mr_deployments *d, struct mr_id account, struct mr_id id,
                     struct mr_arena *arena, struct mr_version **ret, size_t *ret_n,
                     struct mr_err *e) {
    struct version_ctx v = {.account = account, .id = id, .arena = arena};
    int rc = mr_db_read(d->c.db, read_versions, &v, e);
    if (rc)
        return rc;
    *ret = v.list;
    *ret_n = v.n;
    return 0;
}

static int write_rollback(struct mr_tx *tx, void *arg, struct mr_err *e) {
    struct version_ctx *v = arg;
    struct mr_deployment dep;
    struct mr_stmt *s;
    int rc = mr_dep_select(tx, v->account, v->id, v->arena, &dep, e);
    if (!rc)
        rc = mr_db_prepare(tx,
                           "SELECT v.status, v.program_blob, d.current_version, v.metadata FROM "
                           "versions v JOIN deployments d ON d.id = "
                           "v.deployment_id WHERE v.deployment_id = ?1 AND v.n = ?2",
                           &s, e);
    if (rc)
        return rc;
    mr_db_bind_id(s, 1, v->id);
    mr_db_bind_i64(s, 2, v->want);
    rc = mr_db_step(s, e);
    if (rc <= 0)
        return rc ? rc : mr_fail_field(e, MR_ENOTFOUND, "version", "no version v%u", v->want);
    bool ready = mr_str_is(mr_db_str(s, 0), "ready") && mr_db_blob(s, 1).n == MR_SHA256_LEN;
    v->previous = (uint32_t)mr_db_i64(s, 2);
    struct mr_str framework = mr_metadata_framework(v->arena, mr_db_str(s, 3));
    mr_db_done(s);
    if (!ready)
        return mr_fail_field(e, MR_ECONFLICT, "version", "version v%u was never ready to serve",
                             v->want);
    rc = mr_db_prepare(tx,
                       "UPDATE deployments SET current_version = ?1, status = 'active', framework "
                       "= coalesce(?4, framework), updated_at = ?2 WHERE id = ?3",
                       &s, e);
    if (rc)
        return rc;
    mr_db_bind_i64(s, 1, v->want);
    mr_db_bind_i64(s, 2, mr_now_us());
    mr_db_bind_id(s, 3, v->id);
    mr_db_bind_str(s, 4, framework);
    rc = mr_db_exec(s, e);
    return rc ? rc : mr_dep_state_read(v->d, tx, v->id, &v->state, e);
}

int mr_versions_rollback(struct mr_deployments *d, struct mr_id account, struct mr_id id,
                         uint32_t version, uint32_t *ret_previous, struct mr_err *e) {
    struct mr_arena arena;
    mr_arena_init(&arena, 16u << 20);
    struct version_ctx v = {.d = d, .account = account, .id = id, .arena = &arena, .want = version};
    int rc = mr_db_write(d->c.db, write_rollback, &v, e);
    mr_arena_release(&arena);
    if (rc)
        return rc;
    struct mr_dep *dep = mr_registry_find(d, id);
    if (dep && v.previous != version) {
        struct mr_loaded *fresh = NULL;
        /* Failing to load now is not failing to roll back: the next request loads it or says why.
         */
        if (mr_program_load(d, &v.state.program, &v.state.config, &fresh, NULL, NULL))
            fresh = NULL;
        mr_registry_set(d, dep, &v.state, fresh);
    }
    *ret_previous = v.previous;
    return 0;
}
