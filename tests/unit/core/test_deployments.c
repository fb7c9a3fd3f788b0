/* Deployments on golden models: versions, limits, replays, restarts, races, lack of memory. The
 * test re-runs itself as the intake child. */
#include "base/alloc.h"
#include "base/clock.h"
#include "core/deployments_priv.h"
#include "core/events/events.h"
#include "engine/intake.h"
#include "mr_test.h"
#include "mr_tmp.h"

#include <fcntl.h>

#define MODELS MR_SRC_DIR "/tests/golden/models/new/"
#define TREE   MODELS "dt_iris.pkl"

static struct mr_tmp tmp;
static struct mr_db *db;
static struct mr_blobs *blobs;
static struct mr_events *events;
static struct mr_deployments *deps;
static struct mr_arena arena;
static struct mr_principal me;
static struct mr_log quiet;
static char self[4096];

static void must(int rc, const struct mr_err *e) {
    if (!rc)
        return;
    fprintf(stderr, "%s\n", e->msg);
    exit(2);
}

static int add_account(struct mr_tx *tx, void *arg, struct mr_err *e) {
    struct mr_stmt *s;
    int rc = mr_db_prepare(tx,
                           "INSERT INTO accounts (id, name, kind, tier, created_at) VALUES (?1, "
                           "'t', 'personal', 'free', 0)",
                           &s, e);
    if (rc)
        return rc;
    mr_db_bind_id(s, 1, *(struct mr_id *)arg);
    return mr_db_exec(s, e);
}

static void open_deployments(void) {
    struct mr_deployments_config c = {.db = db,
                                      .blobs = blobs,
                                      .events = events,
                                      .log = &quiet,
                                      .self_exe = self,
                                      .model_cache_max = 1u << 30,
                                      .idle_unload_s = 900};
    struct mr_err e = {0};
    must(mr_deployments_open(&c, &deps, &e), &e);
}

static void reopen(void) {
    mr_deployments_free(deps);
    deps = NULL;
    open_deployments();
}

static void begin(void) {
    char path[300];
    struct mr_err e = {0};
    mr_tmp_make(&tmp);
    mr_arena_init(&arena, 64 << 20);
    struct mr_db_config c = {.path = mr_tmp_path(&tmp, "db", path)};
    must(mr_db_open(&c, &db, &e), &e);
    must(mr_blobs_open_fs(mr_tmp_path(&tmp, "blobs", path), &blobs, &e), &e);
    struct mr_events_config ec = {.db = db, .workers = 1};
    must(mr_events_open(&ec, &events, &e), &e);
    me = (struct mr_principal){.authenticated = true, .account = mr_id_new()};
    must(mr_db_write(db, add_account, &me.account, &e), &e);
    quiet = (struct mr_log){.fd = open("/dev/null", O_WRONLY | O_CLOEXEC)};
    open_deployments();
}

static void end(void) {
    mr_deployments_free(deps);
    mr_events_free(events);
    mr_blobs_free(blobs);
    mr_db_close(db);
    mr_arena_release(&arena);
    close(quiet.fd);
    mr_tmp_remove(&tmp);
}

static struct mr_blob_writer *upload(const char *path) {
    struct mr_blob_writer *w;
    struct mr_err e = {0};
    char buf[65536];
    size_t n;
    must(mr_blob_begin_write(blobs, &w, &e), &e);
    FILE *f = fopen(path, "rb");
    if (!f) {
        perror(path);
        exit(2);
    }
    while ((n = fread(buf, 1, sizeof buf, f)) > 0)
        must(mr_blob_write(w, buf, n, &e), &e);
    fclose(f);
    return w;
}

static struct mr_deploy form(const char *name, const char *path) {
    struct mr_deploy in = {.file_name = MR_LIT("model.pkl"), .base_url = MR_LIT("http://h")};
    if (name)
        in.name = mr_str(name);
    in.model = upload(path);
    return in;
}

static struct mr_deployment deployed(const char *name, const char *path) {
    struct mr_deploy in = form(name, path);
    struct mr_deployment dep = {0};
    struct mr_err e = {0};
    bool replayed;
    must(mr_deploy(deps, &me, &in, &arena, &dep, &replayed, &e), &e);
    CHECK(!replayed && !in.model);
    return dep;
}

static struct mr_deployment get(struct mr_id id) {
    struct mr_deployment dep = {0};
    struct mr_err e = {0};
    must(mr_deployments_get(deps, me.account, id, &arena, &dep, &e), &e);
    return dep;
}

/* The version that serves; 0 and the error when none does. */
static uint32_t served(struct mr_id id, int *ret_rc) {
    struct mr_dep_use u = {0};
    struct mr_err e = {0};
    int rc = mr_dep_acquire(deps, me.account, id, true, &u, &e);
    mr_instance_unref(u.instance);
    if (ret_rc)
        *ret_rc = rc;
    return rc ? 0 : u.version;
}

static int run_sql(struct mr_tx *tx, void *arg, struct mr_err *e) {
    struct mr_stmt *s;
    int rc = mr_db_prepare(tx, arg, &s, e);
    return rc ? rc : mr_db_exec(s, e);
}

static int sql(const char *text) {
    struct mr_err e = {0};
    int rc = mr_db_write(db, run_sql, (void *)(uintptr_t)text, &e);
    if (rc)
        fprintf(stderr, "%s\n", e.msg);
    return rc;
}

MR_TEST(versions_follow_the_name_and_roll_back) {
    struct mr_err e = {0};
    struct mr_version *v;
    uint32_t previous;
    size_t n;
    begin();
    struct mr_deployment a = deployed("iris", TREE), b = deployed("iris", MODELS "lgb_cancer.pkl");
    CHECK(mr_id_eq(a.id, b.id));
    CHECK_INT(b.version, 2);
    CHECK_INT(served(a.id, NULL), 2);
    CHECK(mr_str_is(get(a.id).framework, "lightgbm"));
    CHECK_INT(mr_versions_rollback(deps, me.account, a.id, 1, &previous, &e), 0);
    CHECK_INT(previous, 2);
    CHECK_INT(served(a.id, NULL), 1);
    CHECK(mr_str_is(get(a.id).framework, "sklearn"));
    CHECK_INT(get(a.id).version, 1);
    CHECK_INT(mr_versions_rollback(deps, me.account, a.id, 9, &previous, &e), MR_ENOTFOUND);
    CHECK_INT(mr_versions_rollback(deps, mr_id_new(), a.id, 2, &previous, &e), MR_ENOTFOUND);
    CHECK_INT(mr_versions_list(deps, me.account, a.id, &arena, &v, &n, &e), 0);
    CHECK_INT(n, 2);
    CHECK(v[1].current && mr_str_is(v[1].status, "active") && mr_str_is(v[0].status, "inactive"));
    CHECK(!mr_id_eq(deployed(NULL, TREE).id, deployed(NULL, TREE).id));
    reopen();
    CHECK_INT(served(a.id, NULL), 1);
    end();
}

/* A version that fails leaves what serves and its limits alone. */
MR_TEST(a_failed_version_changes_nothing_that_serves) {
    struct mr_deployment a, dep;
    struct mr_err e = {0};
    struct mr_version *v;
    uint32_t previous;
    bool replayed;
    size_t n;
    begin();
    struct mr_deploy in = form("iris", TREE);
    in.memory_mb = 512;
    must(mr_deploy(deps, &me, &in, &arena, &a, &replayed, &e), &e);
    in = form("iris", __FILE__);
    in.memory_mb = 128;
    CHECK_INT(mr_deploy(deps, &me, &in, &arena, &dep, &replayed, &e), MR_EREFUSED);
    CHECK(!in.model && e.msg[0]);
    CHECK_INT(served(a.id, NULL), 1);
    dep = get(a.id);
    CHECK(mr_str_is(dep.status, "active"));
    CHECK_INT(dep.version, 1);
    CHECK_INT(dep.config.memory_mb, 512);
    CHECK_INT(mr_versions_list(deps, me.account, a.id, &arena, &v, &n, &e), 0);
    CHECK(n == 2 && mr_str_is(v[0].status, "failed") && v[0].error.n > 0);
    CHECK_INT(mr_versions_rollback(deps, me.account, a.id, 2, &previous, &e), MR_ECONFLICT);
    in = form("iris", TREE);
    in.memory_mb = 256;
    must(mr_deploy(deps, &me, &in, &arena, &dep, &replayed, &e), &e);
    CHECK_INT(get(a.id).config.memory_mb, 256);
    in = form("bad", __FILE__);
    CHECK_INT(mr_deploy(deps, &me, &in, &arena, &dep, &replayed, &e), MR_EREFUSED);
    struct mr_dep_filter f = {.limit = 10, .status = MR_LIT("failed")};
    struct mr_deployment *list;
    int64_t total;
    CHECK_INT(mr_deployments_list(deps, me.account, &f, &arena, &list, &n, &total, &e), 0);
    CHECK(n == 1 && total == 1 && mr_str_is(list[0].name, "bad"));
    int rc;
    CHECK_INT(served(list[0].id, &rc), 0);
    CHECK_INT(rc, MR_ECONFLICT);
    end();
}

MR_TEST(an_idempotency_key_repeats_the_answer) {
    struct mr_deployment a, b;
    struct mr_err e = {0};
    bool replayed;
    begin();
    struct mr_deploy in = form(NULL, TREE);
    in.idempotency_key = MR_LIT("once");
    must(mr_deploy(deps, &me, &in, &arena, &a, &replayed, &e), &e);
    in = form(NULL, TREE);
    in.idempotency_key = MR_LIT("once");
    must(mr_deploy(deps, &me, &in, &arena, &b, &replayed, &e), &e);
    CHECK(replayed && mr_id_eq(a.id, b.id));
    CHECK_INT(mr_deployments_count(deps, me.account), 1);
    in = form(NULL, TREE);
    in.changes = MR_LIT("something else");
    in.idempotency_key = MR_LIT("once");
    CHECK_INT(mr_deploy(deps, &me, &in, &arena, &b, &replayed, &e), MR_EFIELD);
    CHECK_INT(mr_deployments_count(deps, me.account), 1);
    end();
}

MR_TEST(deleted_ones_are_gone_and_free_their_name) {
    struct mr_err e = {0};
    uint32_t previous;
    int rc;
    begin();
    struct mr_deployment a = deployed("iris", TREE);
    CHECK_INT(mr_deployments_delete(deps, mr_id_new(), a.id, MR_LIT("http://h"), &e), MR_ENOTFOUND);
    struct mr_dep_use held;
    CHECK_INT(mr_dep_acquire(deps, me.account, a.id, true, &held, &e), 0);
    CHECK_INT(mr_deployments_delete(deps, me.account, a.id, MR_LIT("http://h"), &e), 0);
    mr_instance_unref(held.instance); /* in flight: kept until here */
    CHECK_INT(served(a.id, &rc), 0);
    CHECK_INT(rc, MR_ENOTFOUND);
    CHECK_INT(mr_deployments_delete(deps, me.account, a.id, MR_LIT("http://h"), &e), MR_ENOTFOUND);
    CHECK_INT(mr_versions_rollback(deps, me.account, a.id, 1, &previous, &e), MR_ENOTFOUND);
    struct mr_deployment b = deployed("iris", TREE);
    CHECK(!mr_id_eq(a.id, b.id));
    CHECK_INT(b.version, 1);
    struct mr_deployments_stats st;
    mr_deployments_stats(deps, &st);
    CHECK_INT(st.loaded, 1);
    reopen();
    CHECK_INT(served(a.id, &rc), 0);
    CHECK_INT(rc, MR_ENOTFOUND);
    CHECK_INT(served(b.id, NULL), 1);
    end();
}

/* The status of a version, after waiting for the end of its building. */
static struct mr_version built(struct mr_id id, uint32_t version) {
    struct mr_version *v, none = {0};
    struct mr_err e = {0};
    size_t n;
    for (int tries = 0; tries < 4000; tries++) {
        must(mr_versions_list(deps, me.account, id, &arena, &v, &n, &e), &e);
        for (size_t i = 0; i < n; i++)
            if (v[i].n == version && !mr_str_is(v[i].status, "building"))
                return v[i];
        usleep(5000);
    }
    return none;
}

/* The row is there a moment before the registry has switched. */
static uint32_t served_soon(struct mr_id id, uint32_t want) {
    for (int tries = 0; tries < 1000 && served(id, NULL) != want; tries++)
        usleep(5000);
    return served(id, NULL);
}

/* What a kill between upload and activation leaves behind: 'old' has a second version in building,
 * 'fresh' nothing but that. */
static void leave_half_built(struct mr_id *ret_old, struct mr_id *ret_fresh) {
    *ret_old = deployed("old", TREE).id;
    *ret_fresh = deployed("fresh", TREE).id;
    CHECK_INT(sql("INSERT INTO versions (deployment_id, n, status, engine, source_blob, metadata, "
                  "changes, error, created_at, request) SELECT deployment_id, 2, 'building', 0, "
                  "source_blob, '{}', '', '', created_at, "
                  "'{\"memory_mb\":77,\"requirements\":\"scikit-learn==0.1\"}' FROM versions"),
              0);
    CHECK_INT(sql("UPDATE deployments SET status = 'updating' WHERE name = 'old'"), 0);
    CHECK_INT(sql("DELETE FROM versions WHERE n = 1 AND deployment_id = (SELECT id FROM "
                  "deployments WHERE name = 'fresh')"),
              0);
    CHECK_INT(sql("UPDATE deployments SET status = 'building', current_version = 0 WHERE name = "
                  "'fresh'"),
              0);
}

MR_TEST(a_restart_builds_what_was_left) {
    struct mr_id old, fresh;
    begin();
    leave_half_built(&old, &fresh);
    reopen();
    CHECK(mr_str_is(built(old, 2).status, "active"));
    CHECK_INT(served_soon(old, 2), 2);
    CHECK_INT(get(old).config.memory_mb, 77);
    struct mr_str m = get(old).metadata;
    CHECK(memmem(m.p, m.n, "asks for scikit-learn 0.1", 25) != NULL);
    CHECK(mr_str_is(built(fresh, 2).status, "active"));
    CHECK(mr_str_is(get(fresh).status, "active"));
    CHECK_INT(served_soon(fresh, 2), 2);
    end();
}

MR_TEST(a_restart_gives_up_after_three) {
    struct mr_id old, fresh;
    int rc;
    begin();
    leave_half_built(&old, &fresh);
    CHECK_INT(sql("UPDATE versions SET attempts = 3 WHERE status = 'building'"), 0);
    reopen();
    CHECK(mr_str_is(get(old).status, "active"));
    CHECK_INT(served(old, NULL), 1);
    struct mr_version v = built(old, 2);
    CHECK(mr_str_is(v.status, "failed") && v.error.n > 0);
    CHECK(mr_str_is(get(fresh).status, "failed"));
    CHECK_INT(served(fresh, &rc), 0);
    CHECK_INT(rc, MR_ECONFLICT);
    CHECK_INT(deployed("fresh", TREE).version, 3);
    CHECK_INT(served(fresh, NULL), 3);
    end();
}

/* A program is stored after its version serves: a kill or a power cut between the two loses it. */
MR_TEST(a_lost_program_is_built_again) {
    begin();
    struct mr_deployment a = deployed("iris", TREE);
    reopen(); /* the program is stored, and not in memory */
    struct mr_dep *dep = mr_registry_find(deps, a.id);
    struct mr_blob_name program = dep->now.program.blob;
    CHECK_INT(mr_blob_delete(blobs, &program, NULL), 0);
    CHECK_INT(served(a.id, NULL), 1);
    int fd = -1;
    CHECK_INT(mr_blob_open(blobs, &program, &fd, NULL, NULL), 0); /* the same bytes again */
    close(fd);
    /* A build that compiles to other bytes: the row names those. */
    reopen();
    CHECK_INT(sql("UPDATE versions SET program_blob = zeroblob(32)"), 0);
    reopen();
    CHECK_INT(served(a.id, NULL), 1);
    CHECK(!memcmp(mr_registry_find(deps, a.id)->now.program.blob.sha, program.sha, MR_SHA256_LEN));
    reopen();
    CHECK(!memcmp(mr_registry_find(deps, a.id)->now.program.blob.sha, program.sha, MR_SHA256_LEN));
    /* Without the upload there is nothing to build from. */
    int rc;
    dep = mr_registry_find(deps, a.id);
    CHECK_INT(mr_blob_delete(blobs, &program, NULL), 0);
    CHECK_INT(mr_blob_delete(blobs, &dep->now.program.source, NULL), 0);
    CHECK_INT(served(a.id, &rc), 0);
    CHECK_INT(rc, MR_EINTERNAL);
    end();
}

/* A full disk at the very moment of the outcome. */
MR_TEST(an_outcome_that_fails_is_written_later) {
    struct mr_deployment dep = {0};
    struct mr_err e = {0};
    bool replayed;
    int rc;
    begin();
    CHECK_INT(sql("CREATE TRIGGER full BEFORE UPDATE ON versions BEGIN SELECT "
                  "raise(ABORT, 'disk full'); END"),
              0);
    struct mr_deploy in = form("iris", TREE);
    must(mr_deploy(deps, &me, &in, &arena, &dep, &replayed, &e), &e); /* waits its 2 s */
    CHECK(mr_str_is(get(dep.id).status, "building"));
    CHECK_INT(served(dep.id, &rc), 0);
    CHECK_INT(rc, MR_ECONFLICT);
    CHECK_INT(sql("DROP TRIGGER full"), 0);
    CHECK(mr_str_is(built(dep.id, 1).status, "active"));
    CHECK(mr_str_is(get(dep.id).status, "active"));
    CHECK_INT(served_soon(dep.id, 1), 1);

    /* The server stops before the disk has room: the next start builds it. */
    CHECK_INT(sql("CREATE TRIGGER full BEFORE UPDATE ON versions BEGIN SELECT "
                  "raise(ABORT, 'disk full'); END"),
              0);
    in = form("iris", TREE);
    must(mr_deploy(deps, &me, &in, &arena, &dep, &replayed, &e), &e);
    mr_deployments_free(deps);
    deps = NULL;
    CHECK_INT(sql("DROP TRIGGER full"), 0);
    open_deployments();
    CHECK(mr_str_is(built(dep.id, 2).status, "active"));
    CHECK_INT(served_soon(dep.id, 2), 2);
    end();
}

static void *catch_up(void *arg) {
    struct mr_dep *dep = arg;
    usleep(20000);
    pthread_mutex_lock(&dep->lock);
    dep->now.serving = true;
    pthread_mutex_unlock(&dep->lock);
    return NULL;
}

/* The registry lies behind the commit that a caller has read. */
MR_TEST(what_was_seen_active_is_served) {
    struct mr_dep_use u;
    struct mr_err e;
    pthread_t t;
    begin();
    struct mr_deployment a = deployed("iris", TREE);
    struct mr_dep *dep = mr_registry_find(deps, a.id);
    pthread_mutex_lock(&dep->lock);
    dep->now.serving = false;
    pthread_mutex_unlock(&dep->lock);
    CHECK_INT(mr_dep_acquire(deps, me.account, a.id, false, &u, &e), MR_EUNAVAIL);
    CHECK_INT(pthread_create(&t, NULL, catch_up, dep), 0);
    CHECK_INT(served(a.id, NULL), 1);
    pthread_join(t, NULL);
    end();
}

MR_TEST(late_states_are_ignored) {
    begin();
    struct mr_deployment a = deployed("iris", TREE);
    struct mr_dep *dep = mr_registry_find(deps, a.id);
    struct mr_dep_state early = dep->now, late = dep->now;
    early.seq += 1;
    early.program.version = 2;
    late.seq += 2;
    late.program.version = 3;
    mr_registry_set(deps, dep, &late, NULL);
    mr_registry_set(deps, dep, &early, NULL);
    CHECK_INT(served(a.id, NULL), 3);
    struct mr_dep_state gone = {.seq = late.seq + 2, .deleted = true};
    late.seq++;
    mr_registry_set(deps, dep, &gone, NULL);
    mr_registry_set(deps, dep, &late, NULL);
    CHECK_INT(served(a.id, NULL), 0);
    CHECK(!dep->instance);
    end();
}

/* An older version that is ready after a newer one stays in its place. */
MR_TEST(an_overtaken_version_does_not_serve) {
    begin();
    struct mr_deployment a = deployed("iris", TREE);
    /* a later version than 10 becomes ready while 10 is built */
    CHECK_INT(sql("INSERT INTO versions (deployment_id, n, status, engine, source_blob, "
                  "program_blob, metadata, changes, error, created_at) SELECT deployment_id, 9, "
                  "'ready', engine, source_blob, program_blob, metadata, '', '', created_at FROM "
                  "versions"),
              0);
    CHECK_INT(sql("CREATE TRIGGER swap_n AFTER INSERT ON versions WHEN new.n = 10 BEGIN UPDATE "
                  "versions SET n = 11 WHERE n = 9; END"),
              0);
    CHECK_INT(deployed("iris", TREE).version, 10);
    CHECK_INT(served(a.id, NULL), 1);
    CHECK_INT(get(a.id).version, 1);
    CHECK(mr_str_is(get(a.id).status, "active"));
    end();
}

static void *deploy_some(void *arg) {
    struct mr_arena mine;
    mr_arena_init(&mine, 16 << 20);
    for (int i = 0; i < 4; i++) {
        struct mr_deploy in = form("busy", TREE);
        struct mr_deployment dep;
        struct mr_err e = {0};
        bool replayed;
        if (mr_deploy(deps, &me, &in, &mine, &dep, &replayed, &e)) {
            fprintf(stderr, "%s\n", e.msg);
            *(int *)arg = 1;
        }
    }
    mr_arena_release(&mine);
    return NULL;
}

MR_TEST(deploys_of_one_name_at_a_time) {
    pthread_t t[4];
    int bad[4] = {0};
    struct mr_dep_filter f = {.limit = 10};
    struct mr_deployment *list;
    struct mr_err e = {0};
    int64_t total;
    size_t n;
    begin();
    for (int i = 0; i < 4; i++)
        pthread_create(&t[i], NULL, deploy_some, &bad[i]);
    for (int i = 0; i < 4; i++) {
        pthread_join(t[i], NULL);
        CHECK_INT(bad[i], 0);
    }
    mr_pool_free(deps->intake); /* those that took over 2 s too */
    deps->intake = NULL;
    CHECK_INT(mr_deployments_list(deps, me.account, &f, &arena, &list, &n, &total, &e), 0);
    CHECK_INT(n, 1);
    CHECK_INT(list[0].version, 16);
    CHECK_INT(served(list[0].id, NULL), 16);
    end();
}

MR_TEST(changes_take_effect_or_are_refused) {
    struct mr_err e = {0};
    struct mr_deployment dep;
    begin();
    struct mr_deployment a = deployed("a", TREE);
    deployed("b", TREE);
    struct mr_dep_change keep = {.memory_mb = -1, .timeout_s = -1, .min_instances = -1};
    keep.max_instances = -1;
    struct mr_dep_change ch = keep;
    ch.name = MR_LIT("b");
    CHECK_INT(mr_deployments_update(deps, me.account, a.id, &ch, &arena, &dep, &e), MR_ECONFLICT);
    ch = keep;
    ch.min_instances = 5;
    ch.max_instances = 2;
    CHECK_INT(mr_deployments_update(deps, me.account, a.id, &ch, &arena, &dep, &e), MR_EFIELD);
    ch = keep;
    ch.memory_mb = 300;
    CHECK_INT(mr_deployments_update(deps, me.account, a.id, &ch, &arena, &dep, &e), 0);
    mr_pool_free(deps->intake); /* runs what ends the update */
    deps->intake = NULL;
    dep = get(a.id);
    CHECK(mr_str_is(dep.status, "active"));
    CHECK_INT(dep.config.memory_mb, 300);
    CHECK_INT(mr_registry_find(deps, a.id)->now.config.memory_mb, 300);
    CHECK_INT(served(a.id, NULL), 1);
    end();
}

/* --- one loaded model for one program ---------------------------------------------------- */

#define FOREST MODELS "rf_wine.pkl"

static struct mr_instance *loaded(struct mr_id id) {
    return mr_registry_find(deps, id)->instance;
}

static uint64_t n_loaded(void) {
    struct mr_deployments_stats st;
    mr_deployments_stats(deps, &st);
    return st.loaded;
}

static uint64_t loaded_bytes(void) {
    struct mr_deployments_stats st;
    mr_deployments_stats(deps, &st);
    return st.loaded_bytes;
}

static void sweep_before(int64_t ns) {
    mr_registry_sweep(deps, ns + deps->c.idle_unload_s * 1000000000ll);
}

MR_TEST(the_same_program_is_loaded_once) {
    struct mr_err e = {0};
    begin();
    struct mr_deployment a = deployed("a", TREE);
    uint64_t one = loaded_bytes();
    struct mr_deployment b = deployed("b", TREE);
    CHECK(one > 0 && loaded_bytes() == one);
    CHECK_INT(n_loaded(), 1);
    CHECK(loaded(a.id) == loaded(b.id));
    CHECK_INT(mr_deployments_delete(deps, me.account, a.id, MR_LIT("http://h"), &e), 0);
    CHECK_INT(served(b.id, NULL), 1);
    CHECK_INT(n_loaded(), 1);
    CHECK_INT(mr_deployments_delete(deps, me.account, b.id, MR_LIT("http://h"), &e), 0);
    CHECK_INT(n_loaded(), 0);
    CHECK_INT(loaded_bytes(), 0);
    CHECK_INT(deps->programs.n, 0);
    end();
}

MR_TEST(versions_share_and_part) {
    struct mr_err e = {0};
    uint32_t previous;
    begin();
    struct mr_deployment a = deployed("a", TREE), b = deployed("b", TREE);
    deployed("a", FOREST);
    CHECK_INT(served(a.id, NULL), 2);
    CHECK(loaded(a.id) != loaded(b.id));
    CHECK_INT(n_loaded(), 2);
    CHECK_INT(mr_versions_rollback(deps, me.account, a.id, 1, &previous, &e), 0);
    CHECK(loaded(a.id) == loaded(b.id));
    CHECK_INT(n_loaded(), 1);
    reopen(); /* loaded again by the first request of each */
    CHECK_INT(n_loaded(), 0);
    CHECK_INT(served(a.id, NULL), 1);
    CHECK_INT(served(b.id, NULL), 1);
    CHECK(loaded(a.id) == loaded(b.id));
    CHECK_INT(n_loaded(), 1);
    end();
}

/* The time limit belongs to the loaded model, the memory limit to each deployment. */
MR_TEST(limits_are_not_shared) {
    struct mr_err e = {0};
    struct mr_deployment dep;
    struct mr_loaded *l = NULL;
    begin();
    struct mr_deployment a = deployed("a", FOREST), b = deployed("b", FOREST);
    struct mr_dep_change ch = {.memory_mb = -1, .timeout_s = 7, .min_instances = -1};
    ch.max_instances = -1;
    CHECK_INT(mr_deployments_update(deps, me.account, a.id, &ch, &arena, &dep, &e), 0);
    mr_pool_free(deps->intake); /* runs what ends the update */
    deps->intake = NULL;
    CHECK(loaded(a.id) != loaded(b.id));
    CHECK_INT(n_loaded(), 2);
    struct mr_dep *at = mr_registry_find(deps, b.id);
    struct mr_dep_config small = at->now.config;
    small.memory_mb = 0; /* none */
    CHECK_INT(mr_program_load(deps, &at->now.program, &small, &l, &e), 0);
    CHECK(l == at->loaded && l->holders == 2);
    CHECK(!mr_programs_drop(&deps->programs, l));
    CHECK_INT(mr_instance_fits(l->instance, 1000, &e), MR_ETOOBIG);
    CHECK_INT(mr_instance_fits(l->instance, mr_instance_memory(l->instance), &e), 0);
    end();
}

MR_TEST(a_program_in_use_keeps_its_idle_deployments) {
    struct mr_err e = {0};
    struct mr_deployment dep;
    begin();
    struct mr_deployment a = deployed("a", TREE), b = deployed("b", TREE);
    struct mr_deployment c = deployed("c", FOREST);
    CHECK_INT(served(a.id, NULL), 1);
    CHECK_INT(served(c.id, NULL), 1);
    int64_t between = mr_mono_ns() + 1;
    while (mr_mono_ns() <= between)
        ;
    CHECK_INT(served(b.id, NULL), 1);
    sweep_before(between);
    CHECK(loaded(a.id) && loaded(a.id) == loaded(b.id) && !loaded(c.id));
    sweep_before(mr_mono_ns() + 1);
    CHECK(!loaded(a.id) && !loaded(b.id));
    CHECK_INT(n_loaded(), 0);
    struct mr_deployments_stats st;
    mr_deployments_stats(deps, &st);
    CHECK_INT(st.evictions, 2);
    struct mr_dep_change ch = {.memory_mb = -1, .timeout_s = -1, .min_instances = 1};
    ch.max_instances = -1;
    CHECK_INT(mr_deployments_update(deps, me.account, a.id, &ch, &arena, &dep, &e), 0);
    mr_pool_free(deps->intake); /* min_instances loads it */
    deps->intake = NULL;
    CHECK_INT(served(b.id, NULL), 1);
    deps->c.model_cache_max = 1;
    sweep_before(mr_mono_ns() + 1);
    CHECK(loaded(a.id) && loaded(a.id) == loaded(b.id));
    end();
}

MR_TEST(over_the_cache_size_the_oldest_leave) {
    begin();
    struct mr_deployment a = deployed("a", TREE), c = deployed("c", FOREST);
    CHECK_INT(served(a.id, NULL), 1);
    uint64_t both = loaded_bytes();
    CHECK_INT(served(c.id, NULL), 1);
    deps->c.model_cache_max = both - 1;
    mr_registry_sweep(deps, mr_registry_find(deps, c.id)->used_ns);
    CHECK(!loaded(a.id) && loaded(c.id));
    end();
}

struct sharer {
    struct mr_id *id;
    int bad;
};

static void *acquire_all(void *arg) {
    struct sharer *s = arg;
    for (int i = 0; i < 2000; i++) {
        struct mr_dep_use u;
        struct mr_err e = {0};
        if (mr_dep_acquire(deps, me.account, s->id[i % 4], true, &u, &e))
            s->bad += e.code != MR_EUNAVAIL;
        else
            mr_instance_unref(u.instance);
    }
    return NULL;
}

MR_TEST(sharing_survives_loading_and_leaving_at_once) {
    pthread_t t[3];
    struct mr_id id[4];
    char name[2] = "a";
    struct sharer s[3] = {{id, 0}, {id, 0}, {id, 0}};
    begin();
    for (int i = 0; i < 4; i++, name[0]++)
        id[i] = deployed(name, TREE).id;
    for (int i = 0; i < 3; i++)
        pthread_create(&t[i], NULL, acquire_all, &s[i]);
    for (int i = 0; i < 300; i++)
        sweep_before(mr_mono_ns() + 1);
    for (int i = 0; i < 3; i++) {
        pthread_join(t[i], NULL);
        CHECK_INT(s[i].bad, 0);
    }
    for (int i = 0; i < 4; i++)
        CHECK_INT(served(id[i], NULL), 1);
    CHECK_INT(n_loaded(), 1);
    CHECK_INT(mr_registry_find(deps, id[0])->loaded->holders, 4);
    sweep_before(mr_mono_ns() + 1);
    CHECK_INT(n_loaded(), 0);
    CHECK_INT(loaded_bytes(), 0);
    end();
}

/* Every allocation of the caller's thread fails once: an error, no leak, and the next one works. */
MR_TEST(out_of_memory_is_an_error) {
    int rc = MR_ENOMEM, failed = 0;
    begin();
    for (size_t nth = 1; rc && nth < 200; nth++) {
        struct mr_deploy in = form("iris", TREE);
        struct mr_arena small;
        struct mr_deployment dep;
        struct mr_err e = {0};
        bool replayed;
        in.idempotency_key = MR_LIT("once");
        in.requirements = MR_LIT("scikit-learn");
        mr_arena_init(&small, 16 << 20);
        mr_alloc_fail_at(nth);
        rc = mr_deploy(deps, &me, &in, &small, &dep, &replayed, &e);
        mr_alloc_fail_at(0);
        CHECK(!rc || rc == MR_ENOMEM);
        CHECK(!in.model);
        failed += rc != 0;
        mr_arena_release(&small);
    }
    CHECK_INT(rc, 0);
    CHECK(failed > 2);
    CHECK_INT(mr_deployments_count(deps, me.account), 1);
    CHECK_INT(deployed("iris", TREE).version, 2);
    rc = MR_ENOMEM;
    for (size_t nth = 1; rc && nth < 500; nth++) {
        struct mr_deployments_config c = deps->c;
        struct mr_deployments *other = NULL;
        mr_alloc_fail_at(nth);
        rc = mr_deployments_open(&c, &other, NULL);
        mr_alloc_fail_at(0);
        CHECK(!rc || rc == MR_ENOMEM);
        mr_deployments_free(other);
    }
    CHECK_INT(rc, 0);
    end();
}

#define main test_main
int test_main(int argc, char **argv);
MR_TEST_MAIN(CASE(versions_follow_the_name_and_roll_back),
             CASE(a_failed_version_changes_nothing_that_serves),
             CASE(an_idempotency_key_repeats_the_answer),
             CASE(deleted_ones_are_gone_and_free_their_name), CASE(a_restart_builds_what_was_left),
             CASE(a_restart_gives_up_after_three), CASE(a_lost_program_is_built_again),
             CASE(an_outcome_that_fails_is_written_later), CASE(late_states_are_ignored),
             CASE(what_was_seen_active_is_served), CASE(an_overtaken_version_does_not_serve),
             CASE(deploys_of_one_name_at_a_time), CASE(changes_take_effect_or_are_refused),
             CASE(out_of_memory_is_an_error), CASE(the_same_program_is_loaded_once),
             CASE(versions_share_and_part), CASE(limits_are_not_shared),
             CASE(a_program_in_use_keeps_its_idle_deployments),
             CASE(over_the_cache_size_the_oldest_leave),
             CASE(sharing_survives_loading_and_leaving_at_once))
#undef main

int main(int argc, char **argv) {
    if (argc > 1 && !strcmp(argv[1], "__intake"))
        return mr_intake_child_main();
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    return n > 0 ? test_main(argc, argv) : 2;
}
