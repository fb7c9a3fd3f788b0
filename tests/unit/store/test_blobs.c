/* The contract of store/blobs.h, run on every backend. */
#include "base/alloc.h"
#include "mr_test.h"
#include "mr_tmp.h"
#include "store/blobs/impl.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/mount.h>
#include <sys/stat.h>

enum backend { FS, FS_NAMED, MEM, N_BACKENDS };
static const char *const backend_name[] = {"fs", "fs with named temporaries", "memory"};
static struct mr_tmp tmp;

static struct mr_blobs *open_on(enum backend k, const char *dir) {
    struct mr_blobs *b = NULL;
    struct mr_err e = {0};
    int rc = k == MEM  ? mr_blobs_open_mem(&b, &e)
             : k == FS ? mr_blobs_open_fs(dir, &b, &e)
                       : mr_blobs_open_fs_named(dir, &b, &e);
    if (rc) {
        fprintf(stderr, "%s: %s\n", backend_name[k], e.msg);
        exit(2);
    }
    return b;
}

static int put(struct mr_blobs *b, const char *p, size_t n, struct mr_blob_name *ret) {
    struct mr_blob_writer *w = NULL;
    int rc = mr_blob_begin_write(b, &w, NULL);
    if (rc)
        return rc;
    for (size_t i = 0; rc == 0 && i < n; i += 1000)
        rc = mr_blob_write(w, p + i, n - i < 1000 ? n - i : 1000, NULL);
    if (rc == 0)
        rc = mr_blob_commit(w, ret, NULL);
    mr_blob_writer_free(w);
    return rc;
}

static unsigned files_in(const char *dir) {
    unsigned n = 0;
    DIR *d = opendir(dir);
    for (struct dirent *x; d && (x = readdir(d));) {
        char path[600];
        if (x->d_name[0] == '.')
            continue;
        snprintf(path, sizeof path, "%s/%s", dir, x->d_name);
        if (x->d_type == DT_DIR)
            n += files_in(path);
        else
            n++;
    }
    if (d)
        closedir(d);
    return n;
}

static void contract(struct mr_blobs *b, enum backend k) {
    char data[2500];
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (char)(i * 7);
    struct mr_blob_name a, again, empty;
    CHECK_INT(put(b, data, sizeof data, &a), 0);
    uint8_t want[MR_SHA256_LEN];
    mr_sha256(mr_strn(data, sizeof data), want);
    CHECK(memcmp(a.sha, want, sizeof want) == 0);
    CHECK_INT(put(b, data, sizeof data, &again), 0); /* the same bytes again */
    CHECK(memcmp(a.sha, again.sha, sizeof a.sha) == 0);
    CHECK_INT(put(b, "", 0, &empty), 0);

    int fd = -1, fd2 = -1;
    uint64_t size = 0;
    char back[sizeof data + 1];
    CHECK_INT(mr_blob_open(b, &a, &fd, &size, NULL), 0);
    CHECK_INT(mr_blob_open(b, &a, &fd2, NULL, NULL), 0);
    CHECK_INT(size, sizeof data);
    CHECK_INT(read(fd, back, sizeof back), sizeof data);
    CHECK(memcmp(back, data, sizeof data) == 0);
    CHECK_INT(read(fd2, back, 10), 10); /* an offset of its own */
    CHECK(write(fd, "x", 1) < 0);
    CHECK_INT(mr_blob_delete(b, &a, NULL), 0);
    CHECK_INT(mr_blob_delete(b, &a, NULL), MR_ENOTFOUND);
    CHECK_INT(pread(fd, back, sizeof back, 0), sizeof data); /* open descriptors stay good */
    close(fd);
    close(fd2);
    struct mr_err e = {0};
    CHECK_INT(mr_blob_open(b, &a, &fd, &size, &e), MR_ENOTFOUND);
    CHECK_INT(mr_blob_open(b, &empty, &fd, &size, NULL), 0);
    CHECK_INT(size, 0);
    close(fd);

    /* the writer's descriptor: readable before commit, seeking does not disturb writing */
    struct mr_blob_writer *w = NULL;
    CHECK_INT(mr_blob_begin_write(b, &w, NULL), 0);
    CHECK_INT(mr_blob_write(w, "hello ", 6, NULL), 0);
    CHECK_INT(lseek(mr_blob_writer_fd(w), 2, SEEK_SET), 2);
    CHECK_INT(mr_blob_write(w, "world", 5, NULL), 0);
    CHECK_INT(mr_blob_written(w), 11);
    CHECK_INT(pread(mr_blob_writer_fd(w), back, 20, 0), 11);
    CHECK(memcmp(back, "hello world", 11) == 0);
    struct mr_blob_name h, h2;
    CHECK_INT(mr_blob_commit(w, &h, NULL), 0);
    CHECK_INT(mr_blob_commit(w, &h2, NULL), 0); /* once more says the same */
    CHECK(memcmp(&h, &h2, sizeof h) == 0);
    CHECK_INT(mr_blob_write(w, "!", 1, NULL), MR_EINTERNAL);
    mr_blob_writer_free(w);
    char hex[MR_BLOB_HEX];
    mr_blob_hex(&h, hex);
    CHECK_STR(hex, "b94d27b9934d3e08a52e52d7da7dabfac484efe37a5380ee9088f7ace2efcde9");

    /* abandoned: nothing is left */
    CHECK_INT(mr_blob_begin_write(b, &w, NULL), 0);
    CHECK_INT(mr_blob_write(w, "gone", 4, NULL), 0);
    mr_blob_writer_free(w);
    mr_blob_writer_free(NULL);
    if (k != MEM)
        CHECK_INT(files_in(tmp.dir), 2); /* "" and "hello world" */
}

static void each(void (*fn)(struct mr_blobs *, enum backend)) {
    for (int k = 0; k < N_BACKENDS; k++) {
        mr_tmp_make(&tmp);
        char dir[300];
        struct mr_blobs *b = open_on(k, mr_tmp_path(&tmp, "blobs", dir));
        fn(b, k);
        mr_blobs_free(b);
        mr_tmp_remove(&tmp);
    }
}

MR_TEST(every_backend_keeps_the_contract) {
    each(contract);
}

struct worker {
    struct mr_blobs *b;
    int seed;
    pthread_t t;
};

static void *work(void *arg) {
    struct worker *w = arg;
    for (int i = 0; i < 50; i++) {
        char text[64];
        int n = snprintf(text, sizeof text, "%d", i); /* all threads write the same blobs */
        struct mr_blob_name name;
        CHECK_INT(put(w->b, text, (size_t)n, &name), 0);
        int fd;
        CHECK_INT(mr_blob_open(w->b, &name, &fd, NULL, NULL), 0);
        close(fd);
    }
    return NULL;
}

static void crowd(struct mr_blobs *b, enum backend k) {
    struct worker w[6];
    for (int i = 0; i < 6; i++) {
        w[i] = (struct worker){.b = b, .seed = i};
        pthread_create(&w[i].t, NULL, work, &w[i]);
    }
    for (int i = 0; i < 6; i++)
        pthread_join(w[i].t, NULL);
    if (k != MEM)
        CHECK_INT(files_in(tmp.dir), 50);
}

MR_TEST(threads_may_write_the_same_blob) {
    each(crowd);
}

static void oom(struct mr_blobs *b, enum backend k) {
    (void)k;
    struct mr_blob_name name;
    for (size_t nth = 1; nth < 12; nth++) {
        mr_alloc_fail_at(nth);
        int rc = put(b, "abc", 3, &name);
        mr_alloc_fail_at(0);
        CHECK(rc == 0 || rc == MR_ENOMEM);
    }
    CHECK_INT(put(b, "abc", 3, &name), 0);
}

MR_TEST(every_allocation_may_fail) {
    each(oom);
}

MR_TEST(a_folder_survives_reopening) {
    mr_tmp_make(&tmp);
    char dir[300], old[300];
    mr_tmp_path(&tmp, "blobs", dir);
    struct mr_blobs *b = open_on(FS, dir);
    struct mr_blob_name name;
    CHECK_INT(put(b, "stay", 4, &name), 0);
    mr_blobs_free(b);
    /* a temporary that a crash left behind two days ago, and a fresh one of another process */
    close(open(mr_tmp_path(&tmp, "blobs/tmp-old", old), O_CREAT | O_WRONLY, 0600));
    struct timespec ago[2] = {{.tv_sec = time(NULL) - 2 * 86400},
                              {.tv_sec = time(NULL) - 2 * 86400}};
    utimensat(AT_FDCWD, old, ago, 0);
    close(open(mr_tmp_path(&tmp, "blobs/tmp-new", old), O_CREAT | O_WRONLY, 0600));
    b = open_on(FS, dir);
    CHECK_INT(files_in(dir), 2);
    int fd = -1;
    uint64_t n = 0;
    CHECK_INT(mr_blob_open(b, &name, &fd, &n, NULL), 0);
    CHECK_INT(n, 4);
    close(fd);
    mr_blobs_free(b);
    mr_tmp_remove(&tmp);
    CHECK(mr_blobs_open_fs("", &b, NULL) < 0);
}

MR_TEST(a_full_disk_is_reported) {
    mr_tmp_make(&tmp);
    char dir[300];
    mkdir(mr_tmp_path(&tmp, "small", dir), 0700);
    if (mount("tmpfs", dir, "tmpfs", 0, "size=1m")) {
        printf("SKIP full disk: cannot mount a tmpfs (%s)\n", strerror(errno));
        mr_tmp_remove(&tmp);
        return;
    }
    struct mr_blobs *b = open_on(FS, dir);
    struct mr_blob_writer *w = NULL;
    static char block[65536];
    CHECK_INT(mr_blob_begin_write(b, &w, NULL), 0);
    int rc = 0;
    struct mr_err e = {0};
    for (int i = 0; rc == 0 && i < 64; i++)
        rc = mr_blob_write(w, block, sizeof block, &e);
    CHECK_INT(rc, MR_ENOSPC);
    CHECK_INT(e.code, MR_ENOSPC);
    struct mr_blob_name name;
    CHECK_INT(mr_blob_commit(w, &name, NULL), MR_EINTERNAL); /* never half a blob */
    mr_blob_writer_free(w);
    CHECK_INT(put(b, block, sizeof block, &name), 0); /* room again */
    mr_blobs_free(b);
    umount(dir);
    mr_tmp_remove(&tmp);
}

MR_TEST_MAIN(CASE(every_backend_keeps_the_contract), CASE(threads_may_write_the_same_blob),
             CASE(every_allocation_may_fail), CASE(a_folder_survives_reopening),
             CASE(a_full_disk_is_reported))
