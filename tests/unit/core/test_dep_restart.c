/* Deployments over a restart, and what a kill or a full disk leaves. */
#include "dep_fixture.h"

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

MR_TEST_MAIN(CASE(a_restart_builds_what_was_left), CASE(a_restart_gives_up_after_three),
             CASE(a_lost_program_is_built_again), CASE(an_outcome_that_fails_is_written_later))

#undef main
int main(int argc, char **argv) {
    return dep_main(argc, argv);
}
