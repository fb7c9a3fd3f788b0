/* One lock over all slots; loads and closes run outside of it. */
#include "core/catalog/residency_priv.h"

#include "base/alloc.h"
#include "base/clock.h"

#include <stdio.h>
#include <unistd.h>

static const char *const state_names[] = {"not_installed", "available", "loading",
                                          "loaded",        "unloaded",  "failed"};

const char *mr_model_state_name(enum mr_model_state s) {
    return state_names[s];
}

static uint64_t half_of_machine(void) {
    long pages = sysconf(_SC_PHYS_PAGES), size = sysconf(_SC_PAGESIZE);
    return pages > 0 && size > 0 ? (uint64_t)pages * (uint64_t)size / 2 : (uint64_t)4 << 30;
}

int mr_residency_new(const struct mr_residency_config *c, struct mr_residency **ret,
                     struct mr_err *e) {
    struct mr_residency *r = mr_calloc(1, sizeof *r);
    size_t n;
    const struct mr_catalog_model *m = mr_catalog_models(c->catalog, &n);
    if (!r || !(r->slot = mr_calloc(n ? n : 1, sizeof *r->slot))) {
        mr_free(r);
        return mr_fail(e, MR_ENOMEM, "out of memory");
    }
    r->c = *c;
    if (!r->c.memory_max)
        r->c.memory_max = half_of_machine();
    pthread_mutex_init(&r->mu, NULL);
    pthread_cond_init(&r->changed, NULL);
    r->n_slot = n;
    for (size_t i = 0; i < n; i++) {
        r->slot[i].m = &m[i];
        r->slot[i].driver = &(c->drivers ? c->drivers : mr_model_drivers)[m[i].kind];
        r->slot[i].state = MR_MODEL_AVAILABLE;
    }
    for (size_t s = 0; s < MR_SERVICE_N; s++) {
        r->service[s].running = true;
        r->service[s].since_us = mr_now_us();
    }
    *ret = r;
    return 0;
}

void mr_residency_free(struct mr_residency *r) {
    if (!r)
        return;
    pthread_mutex_lock(&r->mu);
    r->closing = true;
    for (;;) {
        size_t busy = r->background;
        for (size_t i = 0; i < r->n_slot; i++)
            busy += r->slot[i].in_use + (r->slot[i].state == MR_MODEL_LOADING);
        if (!busy)
            break;
        pthread_cond_wait(&r->changed, &r->mu);
    }
    pthread_mutex_unlock(&r->mu);
    for (size_t i = 0; i < r->n_slot; i++) {
        if (r->slot[i].handle)
            r->slot[i].driver->close(r->slot[i].handle);
        mr_free(r->slot[i].hist);
    }
    pthread_cond_destroy(&r->changed);
    pthread_mutex_destroy(&r->mu);
    mr_free(r->slot);
    mr_free(r);
}

int mr_residency_hook(struct mr_residency *r, const struct mr_residency_hooks *h) {
    if (r->n_hook == sizeof r->hook / sizeof *r->hook)
        return MR_ETOOBIG;
    r->hook[r->n_hook++] = *h;
    return 0;
}

struct mr_slot *mr_slot_of(struct mr_residency *r, const struct mr_catalog_model *m) {
    size_t n;
    return &r->slot[m - mr_catalog_models(r->c.catalog, &n)];
}

static void tell_loaded(struct mr_residency *r, const struct mr_catalog_model *m) {
    for (size_t i = 0; i < r->n_hook; i++)
        if (r->hook[i].on_loaded)
            r->hook[i].on_loaded(r->hook[i].arg, m);
}

static void tell_stop(struct mr_residency *r, enum mr_service s, const struct mr_catalog_model *m) {
    for (size_t i = 0; i < r->n_hook; i++)
        if (r->hook[i].on_stop)
            r->hook[i].on_stop(r->hook[i].arg, s, m);
}

/* --- memory, with the lock held ----------------------------------------------------------- */

static uint64_t memory_of(const struct mr_slot *s) {
    return s->handle && s->driver->memory ? s->driver->memory(s->handle) : 0;
}

/* What a model will need: what it needed before, else a third more than its files. */
static uint64_t will_need(const struct mr_slot *s) {
    if (s->last_memory)
        return s->last_memory;
    uint64_t size = mr_catalog_installed(s->m) ? s->m->size_bytes : 0;
    return size + size / 3;
}

static struct mr_slot *longest_idle(struct mr_residency *r) {
    struct mr_slot *best = NULL;
    for (size_t i = 0; i < r->n_slot; i++) {
        struct mr_slot *s = &r->slot[i];
        if (s->state == MR_MODEL_LOADED && s->handle && !s->in_use &&
            (!best || s->last_use_ns < best->last_use_ns))
            best = s;
    }
    return best;
}

/* Makes room by dropping idle models; the lock is let go while one closes. */
static int make_room(struct mr_residency *r, struct mr_slot *want, struct mr_err *e) {
    uint64_t need = will_need(want);
    for (;;) {
        uint64_t sum = 0;
        for (size_t i = 0; i < r->n_slot; i++)
            sum += memory_of(&r->slot[i]);
        if (sum + need <= r->c.memory_max)
            return 0;
        struct mr_slot *idle = longest_idle(r);
        if (!idle)
            return mr_fail(
                e, MR_ENOTLOADED, "%s needs about %.0f MB; %.0f of %.0f MB for models are in use",
                want->m->id, (double)need / 1e6, (double)sum / 1e6, (double)r->c.memory_max / 1e6);
        mr_slot_close(r, idle, MR_MODEL_AVAILABLE);
    }
}

void mr_slot_close(struct mr_residency *r, struct mr_slot *s, enum mr_model_state next) {
    void *handle = s->handle;
    s->last_memory = memory_of(s);
    s->handle = NULL;
    s->state = MR_MODEL_LOADING; /* nobody touches it while it closes */
    s->loaded_us = 0;
    pthread_mutex_unlock(&r->mu);
    if (handle)
        s->driver->close(handle);
    pthread_mutex_lock(&r->mu);
    s->state = next;
    pthread_cond_broadcast(&r->changed);
}

/* --- loading ------------------------------------------------------------------------------ */

static int may_load(struct mr_residency *r, struct mr_slot *s, struct mr_err *e) {
    if (r->closing)
        return mr_fail(e, MR_EUNAVAIL, "the server is stopping");
    if (!r->service[s->m->service].running)
        return mr_fail(e, MR_EUNAVAIL, "the %s service is stopped", mr_service_name(s->m->service));
    if (!mr_catalog_installed(s->m))
        return mr_fail_field(e, MR_ENOTLOADED, "model",
                             "model '%s' is not installed: run `millrace models pull %s`", s->m->id,
                             s->m->id);
    return make_room(r, s, e);
}

/* With the lock held; the caller has set LOADING. */
static int load(struct mr_residency *r, struct mr_slot *s, struct mr_err *e) {
    struct mr_err why = {0};
    void *handle = NULL;
    int rc = may_load(r, s, &why);
    int64_t began = mr_mono_ns();
    pthread_mutex_unlock(&r->mu);
    if (!rc && s->driver->open)
        rc = s->driver->open(s->m, &r->c, &handle, &why);
    else if (!rc && *s->m->file)
        rc = mr_fail(&why, MR_ENOTLOADED, "this build cannot run models of kind %s",
                     mr_kind_name(s->m->kind));
    if (!rc)
        tell_loaded(r, s->m);
    else if (r->c.log && rc != MR_EUNAVAIL)
        mr_log_msg(r->c.log, MR_LOG_ERROR, "model", "Model loading failed: %s: %s", s->m->id,
                   why.msg);
    pthread_mutex_lock(&r->mu);
    s->load_seconds = (double)(mr_mono_ns() - began) / 1e9;
    s->attempt++;
    if (rc) {
        snprintf(s->error, sizeof s->error, "%.*s", (int)sizeof s->error - 1, why.msg);
        s->error_code = rc == MR_EUNAVAIL ? rc : MR_ENOTLOADED;
        s->state = MR_MODEL_FAILED;
    } else {
        s->error[0] = 0;
        s->handle = handle;
        s->state = MR_MODEL_LOADED;
        s->loaded_us = mr_now_us();
        s->last_use_ns = mr_mono_ns();
    }
    pthread_cond_broadcast(&r->changed);
    return rc ? mr_fail(e, s->error_code, "%s", why.msg) : 0;
}

static int failed(const struct mr_slot *s, struct mr_err *e) {
    return mr_fail(e, s->error_code, "%s", s->error);
}

/* Until it is loaded, with the lock held. */
static int await_loaded(struct mr_residency *r, struct mr_slot *s, struct mr_err *e) {
    struct mr_service_state *v = &r->service[s->m->service];
    int rc = 0;
    v->waiting++;
    while (!rc && s->state != MR_MODEL_LOADED) {
        if (s->state == MR_MODEL_UNLOADED)
            rc = mr_fail_field(e, MR_ENOTLOADED, "model",
                               "model '%s' was unloaded by the owner of this server", s->m->id);
        else if (s->state == MR_MODEL_LOADING) {
            unsigned attempt = s->attempt;
            pthread_cond_wait(&r->changed, &r->mu);
            if (s->state == MR_MODEL_FAILED && s->attempt != attempt)
                rc = failed(s, e);
        } else {
            s->state = MR_MODEL_LOADING;
            rc = load(r, s, e);
        }
    }
    v->waiting--;
    return rc;
}

int mr_use_begin(struct mr_residency *r, struct mr_str name, enum mr_model_kind kind,
                 struct mr_use *ret, struct mr_err *e) {
    const struct mr_catalog_model *m;
    int rc = mr_catalog_find(r->c.catalog, name, kind, &m, e);
    if (rc)
        return rc;
    struct mr_slot *s = mr_slot_of(r, m);
    pthread_mutex_lock(&r->mu);
    if (r->closing)
        rc = mr_fail(e, MR_EUNAVAIL, "the server is stopping");
    else if (!r->service[m->service].running)
        rc = mr_fail(e, MR_EUNAVAIL, "the %s service is stopped", mr_service_name(m->service));
    else
        rc = await_loaded(r, s, e);
    if (!rc) {
        s->in_use++;
        s->last_use_ns = mr_mono_ns();
        *ret = (struct mr_use){
            .residency = r, .model = m, .handle = s->handle, .began_ns = s->last_use_ns};
    }
    pthread_mutex_unlock(&r->mu);
    return rc;
}

bool mr_model_ready(struct mr_residency *r, const struct mr_catalog_model *m) {
    pthread_mutex_lock(&r->mu);
    bool ready = mr_slot_of(r, m)->state == MR_MODEL_LOADED && r->service[m->service].running;
    pthread_mutex_unlock(&r->mu);
    return ready;
}

void mr_use_end(struct mr_use *u, bool ok) {
    struct mr_residency *r = u->residency;
    if (!r)
        return;
    struct mr_slot *s = mr_slot_of(r, u->model);
    int64_t now = mr_mono_ns();
    pthread_mutex_lock(&r->mu);
    s->in_use--;
    s->last_use_ns = now;
    mr_slot_count(r, s, (double)(now - u->began_ns) / 1e9, ok);
    if (!s->in_use)
        pthread_cond_broadcast(&r->changed);
    pthread_mutex_unlock(&r->mu);
    *u = (struct mr_use){0};
}

/* --- by hand ------------------------------------------------------------------------------ */

struct background {
    struct mr_residency *r;
    struct mr_slot *s;       /* to load, or */
    enum mr_service service; /* to empty */
};

static void *run_load(void *arg) {
    struct background *b = arg;
    struct mr_residency *r = b->r;
    pthread_mutex_lock(&r->mu);
    while (b->s->in_use)
        pthread_cond_wait(&r->changed, &r->mu);
    if (b->s->handle)
        mr_slot_close(r, b->s, MR_MODEL_LOADING);
    load(r, b->s, NULL);
    r->background--;
    pthread_cond_broadcast(&r->changed);
    pthread_mutex_unlock(&r->mu);
    mr_free(b);
    return NULL;
}

/* With the lock held. */
static int start_thread(struct mr_residency *r, const struct background *b, void *(*fn)(void *),
                        struct mr_err *e) {
    struct background *copy = mr_malloc(sizeof *copy);
    pthread_t t;
    if (!copy)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    *copy = *b;
    if (pthread_create(&t, NULL, fn, copy)) {
        mr_free(copy);
        return mr_fail(e, MR_ENOMEM, "no thread for loading a model");
    }
    pthread_detach(t);
    r->background++;
    return 0;
}

/* Waits until nobody uses it, then closes. With the lock held. */
static void empty(struct mr_residency *r, struct mr_slot *s, enum mr_model_state next) {
    while (s->in_use || s->state == MR_MODEL_LOADING)
        pthread_cond_wait(&r->changed, &r->mu);
    if (s->handle)
        mr_slot_close(r, s, next);
    else
        s->state = next;
}

int mr_model_load(struct mr_residency *r, const struct mr_catalog_model *m, bool again,
                  struct mr_err *e) {
    struct mr_slot *s = mr_slot_of(r, m);
    int rc = 0;
    pthread_mutex_lock(&r->mu);
    enum mr_model_state before = s->state;
    bool there = before == MR_MODEL_LOADING || (before == MR_MODEL_LOADED && !again);
    if (!there || !r->service[m->service].running)
        rc = before == MR_MODEL_LOADED && r->service[m->service].running ? 0 : may_load(r, s, e);
    if (!rc && !there) {
        s->state = MR_MODEL_LOADING;
        rc = start_thread(r, &(struct background){.r = r, .s = s}, run_load, e);
        if (rc)
            s->state = before;
    }
    pthread_mutex_unlock(&r->mu);
    return rc;
}

int mr_model_unload(struct mr_residency *r, const struct mr_catalog_model *m, struct mr_err *e) {
    struct mr_slot *s = mr_slot_of(r, m);
    (void)e;
    pthread_mutex_lock(&r->mu);
    bool loaded = s->state == MR_MODEL_LOADED;
    if (loaded)
        s->state = MR_MODEL_UNLOADED; /* refuses new uses */
    pthread_mutex_unlock(&r->mu);
    if (loaded)
        tell_stop(r, m->service, m);
    pthread_mutex_lock(&r->mu);
    empty(r, s, MR_MODEL_UNLOADED);
    pthread_mutex_unlock(&r->mu);
    return 0;
}

static void *run_stop(void *arg) {
    struct background *b = arg;
    struct mr_residency *r = b->r;
    pthread_mutex_lock(&r->mu);
    for (size_t i = 0; i < r->n_slot; i++)
        /* not when it was started again meanwhile: what is loaded then is wanted */
        if (r->slot[i].m->service == b->service && r->slot[i].handle &&
            !r->service[b->service].running)
            empty(r, &r->slot[i], MR_MODEL_AVAILABLE);
    r->background--;
    pthread_cond_broadcast(&r->changed);
    pthread_mutex_unlock(&r->mu);
    mr_free(b);
    return NULL;
}

int mr_service_stop(struct mr_residency *r, enum mr_service service, struct mr_err *e) {
    int rc = 0;
    pthread_mutex_lock(&r->mu);
    bool was = r->service[service].running;
    if (was) {
        r->service[service].running = false;
        r->service[service].since_us = mr_now_us();
        rc = start_thread(r, &(struct background){.r = r, .service = service}, run_stop, e);
    }
    pthread_mutex_unlock(&r->mu);
    if (was)
        tell_stop(r, service, NULL);
    return rc;
}

int mr_service_start(struct mr_residency *r, enum mr_service service, struct mr_err *e) {
    (void)e;
    pthread_mutex_lock(&r->mu);
    if (!r->service[service].running) {
        r->service[service].running = true;
        r->service[service].since_us = mr_now_us();
    }
    pthread_mutex_unlock(&r->mu);
    return 0;
}
