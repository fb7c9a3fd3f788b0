#include "base/alloc.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/hash.h"
#include "core/money/prices_priv.h"
#include "io/folder.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/stat.h>

enum { LOOK_EVERY_NS = 1000000000 };

struct mr_price_book {
    pthread_rwlock_t lock; /* set */
    struct mr_price_set *set;
    char *dir;
    const struct mr_log *log;
    pthread_mutex_t looking;
    _Atomic int64_t next_look_ns;
    uint64_t seen; /* hash of the folder's names, times, sizes and inodes; under `looking` */
};

static int load(const char *dir, struct mr_price_set **ret, struct mr_err *e) {
    struct mr_price_set *s = mr_price_set_new();
    if (!s)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    int rc = 0;
    for (const struct mr_price_file *f = mr_price_files; rc == 0 && f->name; f++)
        rc = mr_price_set_add(s, f->name, mr_str(f->text), e);
    size_t n_base = s->n_row;
    s->own = true;
    if (rc == 0 && dir) {
        MR_CLEANUP(mr_folder_release) struct mr_folder l = {.n = 0};
        rc = mr_folder_list(dir, ".toml", &l, e);
        for (size_t i = 0; rc == 0 && i < l.n; i++) {
            MR_CLEANUP(mr_buf_release) struct mr_buf b;
            mr_buf_init(&b, (4u << 20) + 65536);
            rc = mr_folder_read(dir, l.name[i], &b, e);
            if (rc == 0)
                rc = mr_price_set_add(s, l.name[i], mr_buf_view(&b), e);
        }
    }
    if (rc == 0)
        rc = mr_price_set_finish(s, n_base, e);
    if (rc) {
        mr_price_set_free(s);
        return rc;
    }
    *ret = s;
    return 0;
}

/* What the folder looks like from outside; 0 when it cannot be read. */
static uint64_t fingerprint(const char *dir) {
    MR_CLEANUP(mr_folder_release) struct mr_folder l = {.n = 0};
    uint64_t h = 1;
    if (mr_folder_list(dir, ".toml", &l, NULL))
        return 0;
    for (size_t i = 0; i < l.n; i++) {
        char path[4096];
        struct stat st = {0};
        int n = snprintf(path, sizeof path, "%s/%s", dir, l.name[i]);
        if (n < 0 || (size_t)n >= sizeof path || stat(path, &st))
            continue;
        int64_t part[] = {(int64_t)h,        (int64_t)mr_hash64(mr_str(l.name[i])),
                          st.st_mtim.tv_sec, st.st_mtim.tv_nsec,
                          st.st_size,        (int64_t)st.st_ino};
        h = mr_hash64(mr_strn((const char *)part, sizeof part));
    }
    return h ? h : 1;
}

int mr_price_book_open(const char *dir, const struct mr_log *log, struct mr_price_book **ret,
                       struct mr_err *e) {
    if (dir && !dir[0])
        dir = NULL;
    struct mr_price_book *b = mr_calloc(1, sizeof *b);
    char *copy = dir ? mr_strdup(dir) : NULL;
    if (!b || (dir && !copy)) {
        mr_free(b);
        mr_free(copy);
        return mr_fail(e, MR_ENOMEM, "out of memory");
    }
    b->dir = copy;
    b->log = log;
    b->seen = dir ? fingerprint(dir) : 0; /* before reading: a change while reading is seen later */
    int rc = load(dir, &b->set, e);
    if (rc) {
        mr_free(copy);
        mr_free(b);
        return rc;
    }
    pthread_rwlock_init(&b->lock, NULL);
    pthread_mutex_init(&b->looking, NULL);
    *ret = b;
    return 0;
}

void mr_price_book_free(struct mr_price_book *b) {
    if (!b)
        return;
    mr_price_set_free(b->set);
    pthread_rwlock_destroy(&b->lock);
    pthread_mutex_destroy(&b->looking);
    mr_free(b->dir);
    mr_free(b);
}

void mr_price_book_refresh(struct mr_price_book *b) {
    if (!b->dir || mr_mono_ns() < atomic_load_explicit(&b->next_look_ns, memory_order_relaxed) ||
        pthread_mutex_trylock(&b->looking))
        return;
    uint64_t now = fingerprint(b->dir);
    if (now != b->seen) {
        struct mr_price_set *s = NULL, *old = NULL;
        struct mr_err e = {0};
        b->seen = now; /* a broken file is reported once, not every second */
        if (load(b->dir, &s, &e) == 0) {
            pthread_rwlock_wrlock(&b->lock);
            old = b->set;
            b->set = s;
            pthread_rwlock_unlock(&b->lock);
            mr_log_msg(b->log, MR_LOG_INFO, "prices.reloaded", "%zu prices in force", s->n_row);
        } else {
            mr_log_msg(b->log, MR_LOG_ERROR, "prices.refused",
                       "the price files changed, the prices before stay in force: %s", e.msg);
        }
        mr_price_set_free(old);
    }
    atomic_store_explicit(&b->next_look_ns, mr_mono_ns() + LOOK_EVERY_NS, memory_order_relaxed);
    pthread_mutex_unlock(&b->looking);
}

static bool keep(struct mr_arena *a, const struct mr_price *p, struct mr_price *ret) {
    struct mr_price c = *p;
    c.provider = mr_arena_keep(a, p->provider);
    c.model = mr_arena_keep(a, p->model);
    c.version = mr_arena_keep(a, p->version);
    c.source = mr_arena_keep(a, p->source);
    if (!c.provider.p || !c.model.p || !c.version.p || !c.source.p)
        return false;
    *ret = c;
    return true;
}

/* The row of exactly this model in force at that time, before its first one that; NULL when it has
 * none. */
static const struct mr_price *row_at(const struct mr_price_set *s, struct mr_str provider,
                                     struct mr_str model, int64_t at_us) {
    size_t lo = 0, hi = s->n_row;
    while (lo < hi) { /* the first row of the model, or what would follow it */
        size_t mid = lo + (hi - lo) / 2;
        if (mr_price_order(provider, model, &s->row[mid]) > 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    if (lo == s->n_row || mr_price_order(provider, model, &s->row[lo]))
        return NULL;
    while (lo + 1 < s->n_row && s->row[lo + 1].from_us <= at_us &&
           mr_price_order(provider, model, &s->row[lo + 1]) == 0)
        lo++;
    return &s->row[lo];
}

static const struct mr_price *resolve(const struct mr_price_set *s, struct mr_str provider,
                                      struct mr_str model, int64_t at_us) {
    const struct mr_price *p = row_at(s, provider, model, at_us);
    for (size_t i = 0; !p && i < s->n_alias; i++)
        if (mr_str_eq(s->alias[i].provider, provider) && mr_str_eq(s->alias[i].name, model))
            p = row_at(s, provider, s->alias[i].model, at_us);
    return p ? p : row_at(s, provider, MR_LIT("*"), at_us);
}

#define SHOW(s) (int)((s).n > 80 ? 80 : (s).n), (s).p

int mr_price_find(struct mr_price_book *b, struct mr_str provider, struct mr_str model,
                  int64_t at_us, struct mr_arena *arena, struct mr_price *ret, struct mr_err *e) {
    pthread_rwlock_rdlock(&b->lock);
    const struct mr_price *p = resolve(b->set, provider, model, at_us);
    bool kept = p && keep(arena, p, ret);
    pthread_rwlock_unlock(&b->lock);
    if (!p)
        return mr_fail_field(e, MR_ENOTFOUND, "model",
                             "no price is known for model '%.*s' of provider '%.*s', so it is not "
                             "run; add a [[price]] row or an [[alias]] for it to a .toml file in "
                             "prices_dir (docs/PRICES.md)",
                             SHOW(model), SHOW(provider));
    return kept ? 0 : mr_fail(e, MR_ENOMEM, "out of memory");
}

int mr_price_version(struct mr_price_book *b, struct mr_str version, struct mr_arena *arena,
                     struct mr_price *ret, struct mr_err *e) {
    bool found = false, kept = false;
    pthread_rwlock_rdlock(&b->lock);
    const struct mr_price_set *s = b->set;
    for (size_t i = 0; i < s->n_row + s->n_hidden && !found; i++)
        if ((found = mr_str_eq(s->row[i].version, version)))
            kept = keep(arena, &s->row[i], ret);
    pthread_rwlock_unlock(&b->lock);
    if (!found)
        return mr_fail(e, MR_ENOTFOUND, "the price version '%.*s' is in no price file any more",
                       SHOW(version));
    return kept ? 0 : mr_fail(e, MR_ENOMEM, "out of memory");
}

int mr_price_list(struct mr_price_book *b, struct mr_arena *arena, struct mr_price **ret,
                  size_t *ret_n, struct mr_err *e) {
    pthread_rwlock_rdlock(&b->lock);
    size_t n = b->set->n_row;
    struct mr_price *out = mr_arena_array(arena, n ? n : 1, sizeof *out);
    bool ok = out != NULL;
    for (size_t i = 0; ok && i < n; i++)
        ok = keep(arena, &b->set->row[i], &out[i]);
    pthread_rwlock_unlock(&b->lock);
    if (!ok)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    *ret = out;
    *ret_n = n;
    return 0;
}
