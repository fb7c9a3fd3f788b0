/* One batch: a token of every running answer, and as much of the prompts as fits beside them. */
#include "base/clock.h"
#include "engine/llm/worker.h"

#include <time.h>

static void unlink_from(struct mr_lw_request **list, struct mr_lw_request *q) {
    while (*list != q)
        list = &(*list)->next;
    *list = q->next;
    q->next = NULL;
}

static void append(struct mr_lw_request **list, struct mr_lw_request *q) {
    while (*list)
        list = &(*list)->next;
    *list = q;
    q->next = NULL;
}

static void admit(struct mr_lw *w) {
    while (w->waiting && w->n_running < w->parallel) {
        struct mr_lw_request *q = w->waiting;
        if (!mr_lw_take_slot(w, q))
            return;
        unlink_from(&w->waiting, q);
        append(&w->running, q);
        w->n_running++;
        if (!q->started_ns)
            q->started_ns = mr_mono_ns();
    }
}

static void send_piece(struct mr_lw *w, struct mr_lw_request *q, bool last) {
    struct mr_str text = mr_answer_take(&q->out, last);
    if (!text.n && !(last && q->logprobs.n))
        return;
    size_t at = mr_llm_frame_begin(&w->out, 'D');
    mr_tensors_put_u64(&w->out, q->ask.id);
    mr_tensors_put_u32(&w->out, q->output);
    mr_llm_put_text(&w->out, text);
    mr_llm_put_text(&w->out, mr_buf_view(&q->logprobs));
    mr_llm_frame_end(&w->out, at);
    mr_buf_clear(&q->logprobs);
}

static void end_request(struct mr_lw *w, struct mr_lw_request *q) {
    unlink_from(&w->running, q);
    w->n_running--;
    send_piece(w, q, true);
    mr_lw_leave_slot(w, q);
    mr_lw_finish(w, q);
}

/* The adapter whose turn it is: batches are of one adapter, and those that wait take turns. */
static struct mr_lw_request *first_of_group(struct mr_lw *w) {
    struct mr_lw_request *same = NULL;
    for (struct mr_lw_request *q = w->running; q; q = q->next) {
        bool is_set = q->ask.adapter == w->adapter_set && q->ask.adapter_scale == w->scale_set;
        if (!is_set && w->turn % 8 == 0) /* a change costs a new graph: not at each batch */
            return q;
        if (is_set && !same)
            same = q;
    }
    return same ? same : w->running;
}

static bool set_adapter(struct mr_lw *w, struct mr_lw_request *q) {
    if (q->ask.adapter == w->adapter_set && q->ask.adapter_scale == w->scale_set)
        return true;
    struct llama_adapter_lora *lora = NULL;
    for (unsigned k = 0; q->ask.adapter && k < MR_LLM_ADAPTERS; k++)
        if (w->adapter[k].id == q->ask.adapter) {
            lora = w->adapter[k].lora;
            q->err = w->adapter[k].err;
        }
    if (q->ask.adapter && !lora) {
        q->over =
            q->err.code ? q->err.code : mr_fail(&q->err, MR_EINTERNAL, "the adapter is not there");
        return false;
    }
    float scale = (float)q->ask.adapter_scale;
    w->api.llama_set_adapters_lora(w->ctx, &lora, lora ? 1 : 0, &scale);
    w->adapter_set = q->ask.adapter;
    w->scale_set = q->ask.adapter_scale;
    return true;
}

static void put(struct mr_lw *w, const struct mr_lw_request *q, size_t at, bool scores) {
    struct llama_batch *b = &w->batch;
    int k = b->n_tokens++;
    b->token[k] = q->token[at];
    b->pos[k] = (llama_pos)at;
    b->n_seq_id[k] = 1;
    b->seq_id[k][0] = q->slot;
    b->logits[k] = scores;
}

static bool in_group(const struct mr_lw *w, const struct mr_lw_request *q) {
    return !q->over && q->ask.adapter == w->adapter_set && q->ask.adapter_scale == w->scale_set;
}

/* Whether a prompt that is in this batch already has much of this one's start: then it is better to
 * wait for it than to compute the same again. */
static bool can_share(const struct mr_lw *w, const struct mr_lw_request *q,
                      const uint32_t *in_batch) {
    unsigned k = 0;
    if (!w->shares)
        return false;
    for (const struct mr_lw_request *o = w->running; o != q; o = o->next, k++) {
        size_t end = o->n_done + in_batch[k], i = 0;
        if (in_batch[k] < 2 || o->ask.adapter != q->ask.adapter)
            continue;
        while (i < end && i < q->n - 1 && o->token[i] == q->token[i])
            i++;
        if (i >= q->n_done + MR_LLM_SHARE)
            return true;
    }
    return false;
}

static void forget_match(struct mr_lw *w, struct mr_lw_request *q) {
    w->api.llama_memory_seq_rm(w->memory, (llama_seq_id)q->slot, -1, -1);
    q->n_done = 0;
    q->cached = 0;
    q->matched = false;
}

/* Fills the batch; q->row and how many of its tokens are in it. */
static void fill(struct mr_lw *w, uint32_t *in_batch) {
    unsigned k = 0;
    bool answering = false;
    w->batch.n_tokens = 0;
    for (struct mr_lw_request *q = w->running; q; q = q->next, k++) {
        in_batch[k] = 0;
        q->row = -1;
        if (!in_group(w, q) || !q->matched || q->n - q->n_done != 1)
            continue;
        q->row = w->batch.n_tokens;
        put(w, q, q->n_done, true);
        in_batch[k] = 1;
        answering = true;
    }
    size_t room = answering ? MR_LLM_CHUNK : (size_t)(MR_LLM_BATCH - w->batch.n_tokens);
    k = 0;
    for (struct mr_lw_request *q = w->running; q && room; q = q->next, k++) {
        if (!in_group(w, q) || in_batch[k])
            continue;
        if (!q->matched)
            mr_lw_match(w, q);
        if (q->n_done < q->n_prompt && can_share(w, q, in_batch)) {
            forget_match(w, q);
            continue;
        }
        size_t n = q->n - q->n_done < room ? q->n - q->n_done : room;
        for (size_t i = 0; i < n; i++)
            put(w, q, q->n_done + i, q->n_done + i + 1 == q->n);
        if (q->n_done + n == q->n)
            q->row = w->batch.n_tokens - 1;
        in_batch[k] = (uint32_t)n;
        room -= n;
        if (q->n_done + n < q->n)
            break; /* the next prompt may share what this one is about to compute */
    }
}

/* Makes room in the buffer of cells: the oldest cache, else the youngest answer goes back into the
 * queue (its tokens are kept and computed again later). False: nothing is left to give. */
static bool make_room(struct mr_lw *w) {
    if (mr_lw_evict(w))
        return true;
    struct mr_lw_request *youngest = w->running;
    if (!youngest || !youngest->next)
        return false;
    while (youngest->next)
        youngest = youngest->next;
    unsigned slot = (unsigned)youngest->slot;
    w->api.llama_memory_seq_rm(w->memory, (llama_seq_id)slot, -1, -1);
    w->slot[slot] = (struct mr_lw_slot){0};
    youngest->slot = -1;
    youngest->n_done = 0;
    youngest->matched = false;
    unlink_from(&w->running, youngest);
    w->n_running--;
    youngest->next = w->waiting;
    w->waiting = youngest;
    return true;
}

static void fail_all(struct mr_lw *w, int code, const char *why) {
    while (w->running) {
        struct mr_lw_request *q = w->running;
        q->over = mr_fail(&q->err, code, "%s", why);
        q->n_done = 0; /* what its cells hold is not known */
        end_request(w, q);
    }
    while (mr_lw_evict(w))
        ;
    w->api.llama_memory_clear(w->memory, true);
}

static int64_t cpu_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

/* Threads meet several hundred times a token. Where other processes hold the cores, each meeting
 * waits for the scheduler, and two threads are tens of times slower than one (measured: 1 against
 * 30 tokens/s at a load of 15 on two cores). So when three batches in a row got less than 70 % of
 * the processor time that the threads could use, one thread goes on alone for two seconds. Never
 * another number between: libgomp ends the threads of a smaller team, and the sandbox lets it
 * start none. */
static int decode(struct mr_lw *w) {
    int64_t wall = mr_mono_ns(), cpu = cpu_ns();
    if (w->alone_until_ns && wall >= w->alone_until_ns) {
        w->alone_until_ns = 0;
        w->crowded = 2; /* one batch to prove that it is better now */
        w->api.llama_set_n_threads(w->ctx, (int32_t)w->threads, (int32_t)w->threads);
    }
    int r = w->api.llama_decode(w->ctx, w->batch);
    if (w->threads < 2 || w->alone_until_ns)
        return r;
    int64_t now = mr_mono_ns();
    double used = (double)(cpu_ns() - cpu) / ((double)(now - wall) * w->threads);
    w->crowded = used < 0.7 ? w->crowded + 1 : 0;
    if (w->crowded >= 3) {
        w->alone_until_ns = now + INT64_C(2000000000);
        w->api.llama_set_n_threads(w->ctx, 1, 1);
    }
    return r;
}

static bool compute(struct mr_lw *w, uint32_t *in_batch) {
    for (;;) {
        fill(w, in_batch);
        if (!w->batch.n_tokens)
            return false;
        int r = decode(w);
        if (r == 0)
            return true;
        if (r == 1 && make_room(w))
            continue;
        fail_all(w, MR_EPREDICT,
                 r == 1 ? "the model's memory of tokens is full"
                        : "the model could not compute a batch");
        return false;
    }
}

void mr_lw_step(struct mr_lw *w) {
    uint32_t in_batch[MR_LLM_PARALLEL_MAX] = {0};
    admit(w);
    if (!w->running)
        return;
    w->turn++;
    struct mr_lw_request *lead = first_of_group(w), *next;
    if (!set_adapter(w, lead)) {
        end_request(w, lead);
        return;
    }
    if (!compute(w, in_batch))
        return;
    unsigned k = 0;
    for (struct mr_lw_request *q = w->running; q; q = q->next, k++)
        q->n_done += in_batch[k];
    for (struct mr_lw_request *q = w->running; q; q = q->next)
        if (q->row >= 0)
            mr_lw_next_token(w, q);
    for (struct mr_lw_request *q = w->running; q; q = next) {
        next = q->next;
        if (q->over)
            end_request(w, q);
        else if (q->row >= 0)
            send_piece(w, q, false);
    }
}

void mr_lw_cancel(struct mr_lw *w, uint64_t id) {
    for (struct mr_lw_request *q = w->running; q; q = q->next)
        if (q->ask.id == id) {
            q->over = mr_fail(&q->err, MR_ECANCELLED, "the request was cancelled");
            end_request(w, q);
            return;
        }
    for (struct mr_lw_request *q = w->waiting; q; q = q->next)
        if (q->ask.id == id) {
            unlink_from(&w->waiting, q);
            q->over = mr_fail(&q->err, MR_ECANCELLED, "the request was cancelled");
            mr_lw_finish(w, q);
            return;
        }
}
