/* Files that nothing refers to go, and no others: with deployments, and with kills on the way. */
#include "core/jobs/jobs.h"
#include "dep_fixture.h"
#include "store/blobs/impl.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define HOUR_US 3600000000ll
#define AT_ONCE (-10000000ll) /* older than 10 s from now: everything */

static struct mr_blob_swept collect(int64_t grace_us) {
    struct mr_blob_swept sum = {0};
    struct mr_err e = {0};
    for (unsigned digit = 0; digit < MR_BLOB_SWEEPS; digit++) {
        int rc;
        while ((rc = mr_blob_gc(deps, digit, grace_us, &sum, &e)) == MR_ECONFLICT)
            usleep(1000); /* the janitor's own pass */
        must(rc, &e);
    }
    return sum;
}

static bool there(const struct mr_blob_name *name) {
    int fd = -1;
    if (mr_blob_open(blobs, name, &fd, NULL, NULL))
        return false;
    close(fd);
    return true;
}

/* What serves, when its program has been stored too and no job holds a file any more. */
static struct mr_dep_program settled(struct mr_id id) {
    MR_UNTIL(there(&mr_registry_find(deps, id)->now.program.blob));
    mr_pool_free(deps->intake);
    struct mr_err e = {0};
    must(mr_pool_new(2, 1000, &deps->intake, &e), &e);
    return mr_registry_find(deps, id)->now.program;
}

static void drop(struct mr_id id) {
    struct mr_err e = {0};
    must(mr_deployments_delete(deps, me.account, id, MR_LIT("http://h"), &e), &e);
}

MR_TEST(a_deleted_deployments_files_go_after_the_grace) {
    begin();
    struct mr_id a = deployed("a", TREE).id, b = deployed("b", FOREST).id, c;
    c = deployed("c", TREE).id;
    struct mr_dep_program tree = settled(a), forest = settled(b);
    settled(c);
    CHECK_INT(collect(AT_ONCE).blobs, 0);
    drop(b);
    CHECK_INT(collect(HOUR_US).blobs, 0);
    CHECK(there(&forest.source) && there(&forest.blob));
    drop(a); /* c has the same files */
    struct mr_blob_swept sum = collect(AT_ONCE);
    CHECK_INT(sum.blobs, 2);
    CHECK(sum.bytes > 1000);
    CHECK(!there(&forest.source) && !there(&forest.blob));
    CHECK(there(&tree.source) && there(&tree.blob));
    CHECK_INT(served(c, NULL), 1);
    drop(c);
    CHECK_INT(collect(AT_ONCE).blobs, 2);
    CHECK(!there(&tree.source) && !there(&tree.blob));
    struct mr_deployments_stats st;
    mr_deployments_stats(deps, &st);
    CHECK_INT(st.blobs_deleted, 4);
    CHECK(st.blob_bytes_deleted > sum.bytes);
    CHECK_INT(served(deployed("a", TREE).id, NULL), 1); /* stored anew */
    end();
}

static int job_rights(void *arg, struct mr_id account, struct mr_id user, struct mr_id key,
                      struct mr_principal *ret, struct mr_err *e) {
    (void)arg, (void)account, (void)user, (void)key, (void)e;
    *ret = me;
    return 0;
}

static int job_run(void *arg, const struct mr_job_item *item, struct mr_arena *a,
                   struct mr_str *ret, struct mr_err *e) {
    (void)arg, (void)a, (void)e;
    *ret = item->input;
    return 0;
}

static int forget_jobs(struct mr_tx *tx, void *arg, struct mr_err *e) {
    struct mr_stmt *s;
    (void)arg;
    int rc = mr_db_prepare(tx, "DELETE FROM jobs", &s, e);
    return rc ? rc : mr_db_exec(s, e);
}

MR_TEST(what_jobs_and_their_files_name_stays) {
    begin();
    struct mr_err e = {0};
    struct mr_jobs *jobs = NULL;
    struct mr_job_runner r = {.service = "test", .run = job_run, .at_once = 1};
    struct mr_jobs_config c = {.db = db,
                               .blobs = blobs,
                               .runner = &r,
                               .n_runner = 1,
                               .sole = true,
                               .principal = job_rights};
    must(mr_jobs_open(&c, &jobs, &e), &e);
    struct mr_job_upload *u = NULL;
    struct mr_job_file f;
    must(mr_job_upload_begin(jobs, me.account, MR_LIT("a.jsonl"), mr_strn(NULL, 0), &u, &e), &e);
    must(mr_job_upload_write(u, "1\n2\n", 4, &e), &e);
    must(mr_job_upload_end(u, &arena, &f, &e), &e);
    mr_job_upload_free(u);
    char id[64], text[200];
    mr_id_print(MR_JOB_FILE_PREFIX, f.id, id, sizeof id);
    snprintf(text, sizeof text, "{\"input_file\":\"%s\"}", id);
    struct mr_job_request q = {.who = me, .service = MR_LIT("test"), .parameters = mr_str(text)};
    struct mr_job k;
    must(mr_job_create(jobs, &q, &arena, &k, NULL, &e), &e);
    for (int i = 0; i < 5000 && k.status != MR_JOB_COMPLETED; i++) {
        usleep(1000);
        must(mr_job_get(jobs, me.account, k.id, &arena, &k, &e), &e);
    }
    CHECK_INT(k.status, MR_JOB_COMPLETED);
    CHECK_INT(collect(AT_ONCE).blobs, 0); /* the file and the items captured from it */
    must(mr_job_file_delete(jobs, me.account, f.id, &e), &e);
    CHECK_INT(collect(AT_ONCE).blobs, 0); /* the job names it too */
    must(mr_db_write(db, forget_jobs, NULL, &e), &e);
    CHECK_INT(collect(AT_ONCE).blobs, 2);
    mr_jobs_free(jobs, 0);
    end();
}

static void make_old(const struct mr_blob_name *name) {
    char hex[MR_BLOB_HEX], path[400];
    mr_blob_hex(name, hex);
    snprintf(path, sizeof path, "%s/blobs/%.2s/%s", tmp.dir, hex, hex + 2);
    struct timespec t[2] = {{.tv_nsec = UTIME_NOW}, {.tv_sec = time(NULL) - 7200}};
    CHECK_INT(utimensat(AT_FDCWD, path, t, 0), 0);
}

/* What was deleted within the grace keeps its files, whatever age they have themselves. */
MR_TEST(old_files_stay_while_the_deletion_is_young) {
    begin();
    struct mr_id a = deployed("a", TREE).id;
    struct mr_dep_program tree = settled(a);
    make_old(&tree.source);
    make_old(&tree.blob);
    drop(a);
    CHECK_INT(collect(HOUR_US).blobs, 0);
    CHECK_INT(sql("UPDATE deployments SET deleted_at = 1"), 0); /* long ago */
    CHECK_INT(collect(HOUR_US).blobs, 2);
    CHECK(!there(&tree.source) && !there(&tree.blob));
    end();
}

MR_TEST(every_version_that_may_serve_keeps_its_files) {
    struct mr_err e = {0};
    struct mr_deployment dep;
    struct mr_id id;
    uint32_t previous;
    bool replayed;
    begin();
    id = deployed("a", TREE).id;
    struct mr_dep_program tree = settled(id);
    deployed("a", FOREST);
    settled(id);
    struct mr_deploy in = form("a", __FILE__);
    CHECK_INT(mr_deploy(deps, &me, &in, &arena, &dep, &replayed, &e), MR_EREFUSED);
    settled(id);
    CHECK_INT(collect(HOUR_US).blobs, 0);
    CHECK_INT(collect(AT_ONCE).blobs, 1); /* the refused upload */
    CHECK_INT(mr_versions_rollback(deps, me.account, id, 1, &previous, &e), 0);
    CHECK_INT(served(id, NULL), 1);
    /* One that is still to be built has an upload and no program yet. */
    CHECK_INT(sql("UPDATE versions SET status = 'building', program_blob = NULL WHERE n = 1"), 0);
    CHECK_INT(collect(AT_ONCE).blobs, 1); /* the program: made anew */
    CHECK(there(&tree.source) && !there(&tree.blob));
    end();
}

/* An upload whose row is not committed yet: its writer holds the file. */
MR_TEST(an_upload_on_its_way_keeps_its_file) {
    struct mr_blob_name name;
    begin();
    struct mr_blob_writer *w = upload(TREE);
    CHECK_INT(mr_blob_commit(w, &name, NULL), 0);
    CHECK_INT(collect(AT_ONCE).blobs, 0);
    CHECK(there(&name));
    mr_blob_writer_free(w); /* given up */
    CHECK_INT(collect(AT_ONCE).blobs, 1);
    end();
}

MR_TEST(the_janitor_collects_soon_after_the_start) {
    struct mr_deployments_stats st = {0};
    begin();
    struct mr_deployments_config c = deps->c;
    mr_blob_writer_free(upload(TREE));
    struct mr_blob_name name;
    struct mr_blob_writer *w = upload(FOREST);
    CHECK_INT(mr_blob_commit(w, &name, NULL), 0);
    mr_blob_writer_free(w);
    mr_deployments_free(deps);
    c.blob_grace_s = 1;
    c.idle_unload_s = 1; /* a janitor that wakes each second */
    struct mr_err e = {0};
    usleep(1100000);
    must(mr_deployments_open(&c, &deps, &e), &e);
    MR_UNTIL(!there(&name));
    CHECK(!there(&name));
    MR_UNTIL((mr_deployments_stats(deps, &st), st.blobs_deleted));
    CHECK_INT(st.blobs_deleted, 1);
    end();
}

/* --- kills ------------------------------------------------------------------------------- */

static void *collect_always(void *arg) {
    for (;;)
        collect(AT_ONCE);
    return arg;
}

/* Deploys and deletes the same two files under three names, and collects, until it is killed. */
_Noreturn static void work(unsigned seed) {
    pthread_t t;
    begin_in_tmp();
    pthread_create(&t, NULL, collect_always, NULL);
    for (unsigned i = seed;; i++) {
        char name[2] = {(char)('a' + i % 3), 0};
        struct mr_id id = deployed(name, i % 2 ? TREE : FOREST).id;
        if (i % 4 == 0)
            drop(id);
    }
}

static int check_files(struct mr_tx *tx, void *arg, struct mr_err *e) {
    unsigned *n = arg;
    struct mr_stmt *s;
    int rc = mr_db_prepare(tx,
                           "SELECT v.source_blob FROM versions v JOIN deployments d ON d.id = "
                           "v.deployment_id WHERE d.deleted_at = 0",
                           &s, e);
    while (!rc && (rc = mr_db_step(s, e)) > 0) {
        struct mr_blob_name name;
        struct mr_str blob = mr_db_blob(s, 0);
        CHECK_INT(blob.n, MR_SHA256_LEN);
        memcpy(name.sha, blob.p, MR_SHA256_LEN);
        CHECK(there(&name));
        ++*n;
        rc = 0;
    }
    return rc;
}

MR_TEST(a_kill_at_any_moment_loses_no_file) {
    unsigned n = 0;
    mr_tmp_make(&tmp);
    /* more rounds where a machine is too slow to deploy anything in the time */
    for (unsigned round = 0; round < 6 || (n == 0 && round < 40); round++) {
        struct mr_err e = {0};
        pid_t pid = fork();
        CHECK(pid >= 0);
        if (pid == 0)
            work(round);
        usleep(250000 + round * 130000);
        CHECK_INT(kill(pid, SIGKILL), 0);
        int status;
        CHECK_INT(waitpid(pid, &status, 0), pid);
        CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
        begin_in_tmp(); /* takes up what was being built */
        must(mr_db_read(db, check_files, &n, &e), &e);
        mr_pool_free(deps->intake);
        must(mr_pool_new(2, 1000, &deps->intake, &e), &e);
        collect(AT_ONCE);
        must(mr_db_read(db, check_files, &n, &e), &e);
        mr_deployments_free(deps);
        mr_events_free(events);
        mr_blobs_free(blobs);
        mr_db_close(db);
        mr_arena_release(&arena);
        close(quiet.fd);
    }
    CHECK(n > 0);
    mr_tmp_remove(&tmp);
}

MR_TEST_MAIN(CASE(a_deleted_deployments_files_go_after_the_grace),
             CASE(what_jobs_and_their_files_name_stays),
             CASE(old_files_stay_while_the_deletion_is_young),
             CASE(every_version_that_may_serve_keeps_its_files),
             CASE(an_upload_on_its_way_keeps_its_file),
             CASE(the_janitor_collects_soon_after_the_start),
             CASE(a_kill_at_any_moment_loses_no_file))

#undef main
int main(int argc, char **argv) {
    return dep_main(argc, argv);
}
