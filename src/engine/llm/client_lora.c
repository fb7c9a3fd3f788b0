#include "base/cleanup.h"
#include "engine/llm/client.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* Its header, as far as it can be judged without the model. */
static int look_at(int fd, uint64_t size, const struct mr_llm *m, struct mr_err *e) {
    struct mr_gguf g;
    struct mr_err why = {0};
    void *p = size ? mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0) : MAP_FAILED;
    if (p == MAP_FAILED)
        return mr_fail_field(e, MR_EFIELD, "lora", "the adapter's file cannot be read");
    int r = mr_gguf_parse((struct mr_str){p, size}, &g, &why);
    if (r)
        mr_fail_field(e, MR_EFIELD, "lora", "the adapter: %.400s", why.msg);
    else if (!mr_str_is(g.type, "adapter"))
        r = mr_fail_field(e, MR_EFIELD, "lora", "the GGUF file is not an adapter");
    else if (!mr_str_eq(g.architecture, m->file.architecture))
        r = mr_fail_field(e, MR_EFIELD, "lora",
                          "the adapter is for models of the architecture %.*s, not %.*s",
                          (int)(g.architecture.n < 60 ? g.architecture.n : 60), g.architecture.p,
                          (int)m->file.architecture.n, m->file.architecture.p);
    munmap(p, size);
    return r ? MR_EFIELD : 0;
}

/* A place for one more; what has been idle longest is dropped. */
static struct mr_llm_lora *find_place(struct mr_llm *m) {
    struct mr_llm_lora *best = NULL;
    for (unsigned k = 0; k < MR_LLM_ADAPTERS; k++) {
        struct mr_llm_lora *l = &m->lora[k];
        if (!l->id)
            return l;
        if (!l->jobs && (!best || l->used < best->used))
            best = l;
    }
    if (best) {
        size_t at = mr_llm_frame_begin(&m->out, 'U');
        mr_tensors_put_u64(&m->out, best->id);
        mr_llm_frame_end(&m->out, at);
        *best = (struct mr_llm_lora){0};
    }
    return best;
}

int mr_llm_lora(struct mr_llm *m, struct mr_str path, uint64_t *ret, struct mr_err *e) {
    char name[4096];
    struct stat st;
    if (m->state == MR_LLM_DEAD)
        m->state = MR_LLM_WANTED;
    mr_llm_wake(m);
    while (m->state != MR_LLM_READY && m->state != MR_LLM_DEAD &&
           !pthread_equal(pthread_self(), m->thread)) /* a callback cannot wait for itself */
        pthread_cond_wait(&m->changed, &m->lock);
    if (m->state != MR_LLM_READY)
        return mr_fail(e, MR_EUNAVAIL, "the model is being loaded again: try later");
    if (snprintf(name, sizeof name, "%.*s", (int)path.n, path.p) >= (int)sizeof name)
        return mr_fail_field(e, MR_EFIELD, "lora", "the adapter's path is too long");
    MR_AUTO_CLOSE int fd = open(name, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) || !S_ISREG(st.st_mode))
        return mr_fail_field(e, MR_EFIELD, "lora", "the adapter's file cannot be opened");
    int64_t mtime = st.st_mtim.tv_sec * INT64_C(1000000000) + st.st_mtim.tv_nsec;
    for (unsigned k = 0; k < MR_LLM_ADAPTERS; k++) {
        struct mr_llm_lora *l = &m->lora[k];
        if (l->id && l->dev == st.st_dev && l->ino == st.st_ino &&
            l->size == (uint64_t)st.st_size && l->mtime_ns == mtime) {
            l->jobs++;
            l->used = m->next_id;
            *ret = l->id;
            return 0;
        }
    }
    int r = look_at(fd, (uint64_t)st.st_size, m, e);
    if (r)
        return r;
    struct mr_llm_lora *l = find_place(m);
    if (!l)
        return mr_fail(e, MR_EUNAVAIL, "%d adapters are in use already: try later",
                       MR_LLM_ADAPTERS);
    uint64_t id = m->next_id;
    r = mr_fds_send(m->files, &id, sizeof id, &fd, 1, e);
    if (r)
        return r;
    size_t at = mr_llm_frame_begin(&m->out, 'A');
    mr_tensors_put_u64(&m->out, id);
    mr_llm_frame_end(&m->out, at);
    *l = (struct mr_llm_lora){.id = id,
                              .used = id,
                              .dev = st.st_dev,
                              .ino = st.st_ino,
                              .size = (uint64_t)st.st_size,
                              .mtime_ns = mtime,
                              .jobs = 1};
    *ret = id;
    return 0;
}

void mr_llm_lora_done(struct mr_llm *m, uint64_t id) {
    for (unsigned k = 0; id && k < MR_LLM_ADAPTERS; k++)
        if (m->lora[k].id == id && m->lora[k].jobs)
            m->lora[k].jobs--;
}
