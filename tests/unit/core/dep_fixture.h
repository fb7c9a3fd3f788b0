/* For the tests of deployments on golden models: a store in a temporary folder, one account. A test
 * re-runs itself as the intake child, so its main is DEP_TEST_MAIN. */
#ifndef MR_TEST_DEP_FIXTURE_H
#define MR_TEST_DEP_FIXTURE_H

#include "base/alloc.h"
#include "base/clock.h"
#include "core/deployments_priv.h"
#include "core/events/events.h"
#include "engine/intake.h"
#include "mr_test.h"
#include "mr_tmp.h"
#include "mr_wait.h"

#include <fcntl.h>

#define MODELS MR_SRC_DIR "/tests/golden/models/new/"
#define TREE   MODELS "dt_iris.pkl"
#define FOREST MODELS "rf_wine.pkl"

static struct mr_tmp tmp;
static struct mr_db *db;
static struct mr_blobs *blobs;
static struct mr_events *events;
static struct mr_deployments *deps;
static struct mr_arena arena;
static struct mr_principal me;
static struct mr_log quiet;
static char self[4096];

static inline void must(int rc, const struct mr_err *e) {
    if (!rc)
        return;
    fprintf(stderr, "%s\n", e->msg);
    exit(2);
}

static inline int add_account(struct mr_tx *tx, void *arg, struct mr_err *e) {
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

static inline void open_deployments(void) {
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

static inline void reopen(void) {
    mr_deployments_free(deps);
    deps = NULL;
    open_deployments();
}

/* In tmp, which is there. */
static inline void begin_in_tmp(void) {
    char path[300];
    struct mr_err e = {0};
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

static inline void begin(void) {
    mr_tmp_make(&tmp);
    begin_in_tmp();
}

static inline void end(void) {
    mr_deployments_free(deps);
    mr_events_free(events);
    mr_blobs_free(blobs);
    mr_db_close(db);
    mr_arena_release(&arena);
    close(quiet.fd);
    mr_tmp_remove(&tmp);
}

static inline struct mr_blob_writer *upload(const char *path) {
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

static inline struct mr_deploy form(const char *name, const char *path) {
    struct mr_deploy in = {.file_name = MR_LIT("model.pkl"), .base_url = MR_LIT("http://h")};
    if (name)
        in.name = mr_str(name);
    in.model = upload(path);
    return in;
}

/* The status of a version, after waiting for the end of its building. */
static inline struct mr_version built(struct mr_id id, uint32_t version) {
    struct mr_version *v, none = {0};
    struct mr_err e = {0};
    size_t n;
    for (int tries = 0; tries < MR_PATIENCE_MS / 5; tries++) {
        must(mr_versions_list(deps, me.account, id, &arena, &v, &n, &e), &e);
        for (size_t i = 0; i < n; i++)
            if (v[i].n == version && !mr_str_is(v[i].status, "building"))
                return v[i];
        usleep(5000);
    }
    return none;
}

/* Built as well, however long it takes: mr_deploy waits for 2 s only. */
static inline struct mr_deployment deployed(const char *name, const char *path) {
    struct mr_deploy in = form(name, path);
    struct mr_deployment dep = {0};
    struct mr_err e = {0};
    bool replayed;
    must(mr_deploy(deps, &me, &in, &arena, &dep, &replayed, &e), &e);
    CHECK(!replayed && !in.model);
    built(dep.id, dep.version);
    while (atomic_load(&deps->running)) /* until the registry knows */
        usleep(1000);
    return dep;
}

static inline struct mr_deployment get(struct mr_id id) {
    struct mr_deployment dep = {0};
    struct mr_err e = {0};
    must(mr_deployments_get(deps, me.account, id, &arena, &dep, &e), &e);
    return dep;
}

/* The version that serves; 0 and the error when none does. */
static inline uint32_t served(struct mr_id id, int *ret_rc) {
    struct mr_dep_use u = {0};
    struct mr_err e = {0};
    int rc = mr_dep_acquire(deps, me.account, id, true, &u, &e);
    mr_instance_unref(u.instance);
    if (ret_rc)
        *ret_rc = rc;
    return rc ? 0 : u.version;
}

static inline int run_sql(struct mr_tx *tx, void *arg, struct mr_err *e) {
    struct mr_stmt *s;
    int rc = mr_db_prepare(tx, arg, &s, e);
    return rc ? rc : mr_db_exec(s, e);
}

static inline int sql(const char *text) {
    struct mr_err e = {0};
    int rc = mr_db_write(db, run_sql, (void *)(uintptr_t)text, &e);
    if (rc)
        fprintf(stderr, "%s\n", e.msg);
    return rc;
}

/* The row is there a moment before the registry has switched. */
static inline uint32_t served_soon(struct mr_id id, uint32_t want) {
    MR_UNTIL(served(id, NULL) == want);
    return served(id, NULL);
}

static inline uint64_t n_loaded(void) {
    struct mr_deployments_stats st;
    mr_deployments_stats(deps, &st);
    return st.loaded;
}

int test_main(int argc, char **argv);

static inline int dep_main(int argc, char **argv) {
    if (argc > 1 && !strcmp(argv[1], "__intake"))
        return mr_intake_child_main();
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    return n > 0 ? test_main(argc, argv) : 2;
}

/* MR_TEST_MAIN writes a function called main. */
#define main test_main

#endif
