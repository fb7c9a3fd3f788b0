/* The write-ahead log's file as the writer's connection sees it: SQLite writes a commit's pages one
 * by one, each behind a header of 24 bytes, and none of it counts before the flush that ends the
 * commit. Here writes that follow each other are gathered and given to the kernel at once, at the
 * latest by that flush: some twenty system calls a commit fewer.
 *
 * Only for synchronous=FULL: there SQLite lets others know of frames (in the -shm file) after it
 * has flushed them. With NORMAL it would let them know of frames that are still here. Whatever this
 * connection itself asks of the file sees what was gathered. Interface: sqlite.org/vfs.html. */
#include "base/alloc.h"
#include "store/sqlite/sqlite.h"

enum { GATHER = 0x1ffff }; /* SQLite's own VFS for Unix writes no more at once */

struct wal_file {
    sqlite3_file base;
    char *buf; /* GATHER bytes, from the first write on */
    int n;     /* gathered */
    bool on;   /* otherwise everything goes straight through */
    sqlite3_int64 at;
    sqlite3_file real[]; /* as large as the real VFS wants it */
};

static struct wal_file *of(sqlite3_file *f) {
    return (struct wal_file *)f;
}

/* What cannot be written is forgotten: SQLite undoes the commit and writes other bytes there. */
static int flush(struct wal_file *w) {
    int n = w->n;
    w->n = 0;
    return n ? w->real->pMethods->xWrite(w->real, w->buf, n, w->at) : SQLITE_OK;
}

static int wal_write(sqlite3_file *f, const void *p, int n, sqlite3_int64 at) {
    struct wal_file *w = of(f);
    if (w->n && (at != w->at + w->n || n > GATHER - w->n)) {
        int rc = flush(w);
        if (rc != SQLITE_OK)
            return rc;
    }
    if (w->on && !w->buf)
        w->buf = mr_malloc(GATHER);
    if (!w->on || !w->buf || n > GATHER)
        return w->real->pMethods->xWrite(w->real, p, n, at);
    if (!w->n)
        w->at = at;
    memcpy(w->buf + w->n, p, (size_t)n);
    w->n += n;
    return SQLITE_OK;
}

static int wal_read(sqlite3_file *f, void *p, int n, sqlite3_int64 at) {
    int rc = flush(of(f));
    return rc == SQLITE_OK ? of(f)->real->pMethods->xRead(of(f)->real, p, n, at) : rc;
}

static int wal_truncate(sqlite3_file *f, sqlite3_int64 n) {
    int rc = flush(of(f));
    return rc == SQLITE_OK ? of(f)->real->pMethods->xTruncate(of(f)->real, n) : rc;
}

static int wal_sync(sqlite3_file *f, int flags) {
    int rc = flush(of(f));
    return rc == SQLITE_OK ? of(f)->real->pMethods->xSync(of(f)->real, flags) : rc;
}

static int wal_size(sqlite3_file *f, sqlite3_int64 *ret) {
    int rc = flush(of(f));
    return rc == SQLITE_OK ? of(f)->real->pMethods->xFileSize(of(f)->real, ret) : rc;
}

static int wal_close(sqlite3_file *f) {
    int rc = flush(of(f)), closed = of(f)->real->pMethods->xClose(of(f)->real);
    mr_free(of(f)->buf);
    return rc == SQLITE_OK ? closed : rc;
}

static int wal_lock(sqlite3_file *f, int how) {
    return of(f)->real->pMethods->xLock(of(f)->real, how);
}

static int wal_unlock(sqlite3_file *f, int how) {
    return of(f)->real->pMethods->xUnlock(of(f)->real, how);
}

static int wal_reserved(sqlite3_file *f, int *ret) {
    return of(f)->real->pMethods->xCheckReservedLock(of(f)->real, ret);
}

static int wal_control(sqlite3_file *f, int op, void *arg) {
    return of(f)->real->pMethods->xFileControl(of(f)->real, op, arg);
}

static int wal_sector(sqlite3_file *f) {
    return of(f)->real->pMethods->xSectorSize(of(f)->real);
}

static int wal_device(sqlite3_file *f) {
    return of(f)->real->pMethods->xDeviceCharacteristics(of(f)->real);
}

static const sqlite3_io_methods wal_methods = {.iVersion = 1,
                                               .xClose = wal_close,
                                               .xRead = wal_read,
                                               .xWrite = wal_write,
                                               .xTruncate = wal_truncate,
                                               .xSync = wal_sync,
                                               .xFileSize = wal_size,
                                               .xLock = wal_lock,
                                               .xUnlock = wal_unlock,
                                               .xCheckReservedLock = wal_reserved,
                                               .xFileControl = wal_control,
                                               .xSectorSize = wal_sector,
                                               .xDeviceCharacteristics = wal_device};

/* Files other than logs are the real VFS's own. */
static int vfs_open(sqlite3_vfs *v, const char *name, sqlite3_file *f, int flags, int *ret_flags) {
    sqlite3_vfs *real = v->pAppData;
    if (!(flags & SQLITE_OPEN_WAL))
        return real->xOpen(real, name, f, flags, ret_flags);
    struct wal_file *w = of(f);
    *w = (struct wal_file){.base.pMethods = NULL};
    int rc = real->xOpen(real, name, w->real, flags, ret_flags);
    if (w->real->pMethods) /* also set by some failures, and then to be closed */
        w->base.pMethods = &wal_methods;
    return rc;
}

void mr_sqlite_wal_gather(sqlite3 *sq) {
    sqlite3_stmt *st = NULL;
    sqlite3_file *f = NULL;
    bool full = sqlite3_prepare_v2(sq, "PRAGMA synchronous", -1, &st, NULL) == SQLITE_OK &&
                sqlite3_step(st) == SQLITE_ROW && sqlite3_column_int(st, 0) >= 2;
    sqlite3_finalize(st);
    full = full && sqlite3_exec(sq, "SELECT COUNT(*) FROM sqlite_master", NULL, NULL, NULL) ==
                       SQLITE_OK; /* the first look opens the log */
    if (full && sqlite3_file_control(sq, "main", SQLITE_FCNTL_JOURNAL_POINTER, &f) == SQLITE_OK &&
        f && f->pMethods == &wal_methods)
        of(f)->on = true;
}

static sqlite3_vfs vfs;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void make(void) {
    sqlite3_vfs *real = sqlite3_vfs_find(NULL);
    if (!real)
        return;
    vfs = *real; /* its other functions do not look at which VFS they are called for */
    vfs.pNext = NULL;
    vfs.zName = "millrace-wal";
    vfs.pAppData = real;
    vfs.szOsFile = (int)sizeof(struct wal_file) + real->szOsFile;
    vfs.xOpen = vfs_open;
    (void)sqlite3_vfs_register(&vfs, 0);
}

const char *mr_sqlite_wal_vfs(void) {
    pthread_once(&once, make);
    return vfs.zName; /* NULL: the default one */
}
