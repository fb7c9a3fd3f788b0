/* Collecting blobs, on every backend: what goes, and that nothing goes which somebody is about to
 * name. */
#include "base/clock.h"
#include "mr_test.h"
#include "mr_tmp.h"
#include "mr_wait.h"
#include "store/blobs/impl.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/stat.h>

#define BACKENDS 3
#define SECOND   1000000ll

static struct mr_tmp tmp;
static struct mr_blobs *store;

static void must(int rc, const struct mr_err *e) {
    if (!rc)
        return;
    fprintf(stderr, "%s\n", e->msg);
    exit(2);
}

static void begin(int backend) {
    struct mr_err e = {0};
    char dir[300];
    mr_tmp_make(&tmp);
    mr_tmp_path(&tmp, "blobs", dir);
    must(backend == 0   ? mr_blobs_open_mem(&store, &e)
         : backend == 1 ? mr_blobs_open_fs(dir, &store, &e)
                        : mr_blobs_open_fs_named(dir, &store, &e),
         &e);
}

static void end(void) {
    mr_blobs_free(store);
    mr_tmp_remove(&tmp);
}

/* Committed, and still held. */
static struct mr_blob_writer *commit(const char *text, struct mr_blob_name *ret) {
    struct mr_blob_writer *w;
    struct mr_err e = {0};
    must(mr_blob_begin_write(store, &w, &e), &e);
    must(mr_blob_write(w, text, strlen(text), &e), &e);
    must(mr_blob_commit(w, ret, &e), &e);
    return w;
}

static struct mr_blob_name put(const char *text) {
    struct mr_blob_name name;
    mr_blob_writer_free(commit(text, &name));
    return name;
}

static bool there(const struct mr_blob_name *name) {
    int fd = -1;
    if (mr_blob_open(store, name, &fd, NULL, NULL))
        return false;
    close(fd);
    return true;
}

static int64_t later(void) {
    return mr_now_us() + 10 * SECOND;
}

static struct mr_blob_sweep *sweep_of(const struct mr_blob_name *name, int64_t before_us) {
    struct mr_blob_sweep *s = NULL;
    struct mr_err e = {0};
    must(mr_blob_sweep_begin(store, name->sha[0] >> 4, before_us, &s, &e), &e);
    return s;
}

static uint64_t finish(struct mr_blob_sweep *s) {
    struct mr_blob_swept sum = {0};
    struct mr_err e = {0};
    must(mr_blob_sweep_end(s, &sum, &e), &e);
    return sum.blobs;
}

/* Everything that is older and not kept. */
static struct mr_blob_swept sweep_all(int64_t before_us, const struct mr_blob_name *keep) {
    struct mr_blob_swept sum = {0};
    struct mr_err e = {0};
    for (unsigned digit = 0; digit < MR_BLOB_SWEEPS; digit++) {
        struct mr_blob_sweep *s;
        must(mr_blob_sweep_begin(store, digit, before_us, &s, &e), &e);
        if (keep)
            mr_blob_sweep_keep(s, keep);
        must(mr_blob_sweep_end(s, &sum, &e), &e);
    }
    return sum;
}

static void goes_and_stays(void) {
    char text[32];
    struct mr_blob_name name[40], kept = put("kept");
    for (int i = 0; i < 40; i++) {
        snprintf(text, sizeof text, "blob number %2d", i);
        name[i] = put(text);
    }
    struct mr_blob_swept sum = sweep_all(mr_now_us() - 10 * SECOND, NULL); /* all are younger */
    CHECK(sum.blobs == 0 && sum.bytes == 0);
    sum = sweep_all(later(), &kept);
    CHECK_INT(sum.blobs, 40);
    CHECK_INT(sum.bytes, 40 * 14);
    CHECK(there(&kept));
    for (int i = 0; i < 40; i++)
        CHECK(!there(&name[i]));
    name[0] = put("blob number  0");
    CHECK(there(&name[0]));
}

MR_TEST(what_nothing_names_goes_once_it_is_old) {
    for (int k = 0; k < BACKENDS; k++) {
        begin(k);
        goes_and_stays();
        end();
    }
}

static void uploads_at_every_moment(void) {
    struct mr_blob_name name, same;
    /* Its writer was there before the sweep. */
    struct mr_blob_writer *w = commit("x", &name);
    CHECK_INT(finish(sweep_of(&name, later())), 0);
    CHECK(there(&name));
    mr_blob_writer_free(w);
    /* Committed again between the listing and the deletion, and still held. */
    struct mr_blob_sweep *s = sweep_of(&name, later());
    w = commit("x", &same);
    CHECK(!memcmp(same.sha, name.sha, MR_SHA256_LEN));
    CHECK_INT(finish(s), 0);
    CHECK(there(&name));
    mr_blob_writer_free(w);
    /* The same, and the writer has ended by the time of the deletion: its row is there. */
    s = sweep_of(&name, later());
    put("x");
    CHECK_INT(finish(s), 0);
    CHECK(there(&name));
    /* A writer that has not committed holds nothing, and gives the name anew. */
    struct mr_err e = {0};
    must(mr_blob_begin_write(store, &w, &e), &e);
    must(mr_blob_write(w, "x", 1, &e), &e);
    CHECK_INT(finish(sweep_of(&name, later())), 1);
    CHECK(!there(&name));
    must(mr_blob_commit(w, &same, &e), &e);
    CHECK(there(&name));
    mr_blob_writer_free(w);
    CHECK_INT(finish(sweep_of(&name, later())), 1);
}

MR_TEST(an_upload_of_the_same_content_saves_it) {
    for (int k = 0; k < BACKENDS; k++) {
        begin(k);
        uploads_at_every_moment();
        end();
    }
}

static void renewed(void) {
    struct mr_blob_name name = put("old");
    usleep(20000);
    int64_t between = mr_now_us();
    usleep(20000);
    put("old");
    CHECK_INT(finish(sweep_of(&name, between)), 0);
    CHECK(there(&name));
    CHECK_INT(finish(sweep_of(&name, later())), 1);
}

MR_TEST(another_upload_makes_it_young_again) {
    for (int k = 0; k < BACKENDS; k++) {
        begin(k);
        renewed();
        end();
    }
}

MR_TEST(one_sweep_at_a_time) {
    struct mr_blob_sweep *other = NULL;
    begin(1);
    struct mr_blob_name name = put("x");
    struct mr_blob_sweep *s = sweep_of(&name, later());
    CHECK_INT(mr_blob_sweep_begin(store, 3, later(), &other, NULL), MR_ECONFLICT);
    mr_blob_sweep_cancel(s);
    CHECK(there(&name));
    CHECK_INT(finish(sweep_of(&name, later())), 1);
    end();
}

MR_TEST(other_files_are_left_alone) {
    static const char *const alien[] = {"notes.txt", "%.2s/README", "%.2s/%.61s", "%.2s/%.60sZZ"};
    char hex[MR_BLOB_HEX], leaf[100], path[400];
    begin(1);
    struct mr_blob_name name = put("x");
    mr_blob_hex(&name, hex);
    for (size_t i = 0; i < sizeof alien / sizeof *alien; i++) {
        snprintf(leaf, sizeof leaf, alien[i], hex, hex + 2);
        snprintf(path, sizeof path, "%s/blobs/%s", tmp.dir, leaf);
        int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        CHECK(fd >= 0);
        close(fd);
    }
    CHECK_INT(sweep_all(later(), NULL).blobs, 1);
    for (size_t i = 0; i < sizeof alien / sizeof *alien; i++) {
        snprintf(leaf, sizeof leaf, alien[i], hex, hex + 2);
        snprintf(path, sizeof path, "%s/blobs/%s", tmp.dir, leaf);
        CHECK_INT(access(path, F_OK), 0);
    }
    end();
}

/* --- uploads, rows and sweeps at once ---------------------------------------------------- */

#define TEXTS 4

static struct rows {
    pthread_mutex_t lock;
    struct mr_blob_name name[TEXTS];
    unsigned n[TEXTS]; /* rows that name it */
    bool stop;
    unsigned lost, deleted;
} rows = {.lock = PTHREAD_MUTEX_INITIALIZER};

static bool stopped(void) {
    pthread_mutex_lock(&rows.lock);
    bool stop = rows.stop;
    pthread_mutex_unlock(&rows.lock);
    return stop;
}

static void *upload(void *arg) {
    unsigned i = *(unsigned *)arg;
    char text[2] = "a";
    while (!stopped()) {
        struct mr_blob_name name;
        i = (i + 1) % TEXTS;
        text[0] = (char)('a' + i);
        struct mr_blob_writer *w = commit(text, &name);
        pthread_mutex_lock(&rows.lock);
        rows.n[i]++;
        pthread_mutex_unlock(&rows.lock);
        mr_blob_writer_free(w);
        sched_yield();
        pthread_mutex_lock(&rows.lock); /* the row is there, so must the blob be */
        rows.lost += !there(&name);
        rows.n[i]--;
        pthread_mutex_unlock(&rows.lock);
    }
    return NULL;
}

static void *collect(void *arg) {
    (void)arg;
    for (unsigned k = 0; !stopped(); k = (k + 1) % TEXTS) {
        struct mr_blob_sweep *s = sweep_of(&rows.name[k], later());
        pthread_mutex_lock(&rows.lock); /* the snapshot */
        for (int i = 0; i < TEXTS; i++)
            if (rows.n[i])
                mr_blob_sweep_keep(s, &rows.name[i]);
        pthread_mutex_unlock(&rows.lock);
        sched_yield();
        uint64_t n = finish(s);
        pthread_mutex_lock(&rows.lock);
        rows.deleted += (unsigned)n;
        pthread_mutex_unlock(&rows.lock);
    }
    return NULL;
}

MR_TEST(nothing_is_lost_while_uploads_and_sweeps_meet) {
    for (int k = 0; k < 2; k++) {
        pthread_t t[4];
        unsigned first[3] = {0, 1, 2};
        char text[2] = "a";
        begin(k);
        for (unsigned i = 0; i < TEXTS; i++) {
            text[0] = (char)('a' + i);
            rows.name[i] = put(text);
        }
        rows.stop = false;
        rows.deleted = 0;
        pthread_create(&t[3], NULL, collect, NULL);
        for (int i = 0; i < 3; i++)
            pthread_create(&t[i], NULL, upload, &first[i]);
        unsigned deleted = 0;
        for (int ms = 0; ms < MR_PATIENCE_MS && deleted < 200; ms++) {
            usleep(1000);
            pthread_mutex_lock(&rows.lock);
            deleted = rows.deleted;
            pthread_mutex_unlock(&rows.lock);
        }
        pthread_mutex_lock(&rows.lock);
        rows.stop = true;
        pthread_mutex_unlock(&rows.lock);
        for (int i = 0; i < 4; i++)
            pthread_join(t[i], NULL);
        CHECK_INT(rows.lost, 0);
        CHECK(deleted > 0);
        end();
    }
}

MR_TEST_MAIN(CASE(what_nothing_names_goes_once_it_is_old),
             CASE(an_upload_of_the_same_content_saves_it),
             CASE(another_upload_makes_it_young_again), CASE(one_sweep_at_a_time),
             CASE(other_files_are_left_alone), CASE(nothing_is_lost_while_uploads_and_sweeps_meet))
