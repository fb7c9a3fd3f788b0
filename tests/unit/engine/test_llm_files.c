/* Model and adapter files, good and damaged; the queue and the buffer of cells when they are full:
 * on a model of a few kilobytes. */
#include "base/clock.h"
#include "engine/llm/llm.h"
#include "mr_test.h"
#include "mr_tmp.h"
#include "tiny_gguf.h"
#include "wire/gguf.h"

#include <pthread.h>

static struct mr_tmp tmp;
static char model_path[300];
static struct mr_buf model;

struct answer {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool over;
    struct mr_llm_result r;
    char text[4096];
};

static void done(void *arg, const struct mr_llm_result *r) {
    struct answer *a = arg;
    pthread_mutex_lock(&a->lock);
    CHECK(!a->over);
    a->r = *r;
    snprintf(a->text, sizeof a->text, "%.*s", (int)r->text.n, r->text.p);
    a->over = true;
    pthread_cond_signal(&a->changed);
    pthread_mutex_unlock(&a->lock);
}

static struct mr_llm_request request(struct answer *a, const char *prompt, int64_t max) {
    memset(a, 0, sizeof *a);
    pthread_mutex_init(&a->lock, NULL);
    pthread_cond_init(&a->changed, NULL);
    struct mr_llm_request q = {.prompt = mr_str(prompt), .done = done, .arg = a};
    mr_llm_params_default(&q.params);
    q.params.temperature = 0;
    q.params.max_tokens = max;
    q.params.ignore_eos = true;
    return q;
}

static void answer_wait(struct answer *a) {
    pthread_mutex_lock(&a->lock);
    while (!a->over)
        pthread_cond_wait(&a->changed, &a->lock);
    pthread_mutex_unlock(&a->lock);
}

static int open_at(const char *path, unsigned parallel, unsigned queue, struct mr_llm **ret,
                   struct mr_err *e) {
    struct mr_llm_config c = {.path = path, .parallel = parallel, .queue_max = queue, .threads = 1};
    return mr_llm_open(&c, ret, e);
}

static struct answer a, many[40];

MR_TEST(what_a_file_says_of_itself) {
    struct mr_gguf g;
    CHECK_INT(mr_gguf_parse(mr_buf_view(&model), &g, NULL), 0);
    CHECK(mr_str_is(g.architecture, "llama") && mr_str_is(g.name, "tiny"));
    CHECK(mr_str_is(g.bos, "<s>"));
    CHECK_INT(g.vocabulary, TINY_VOCAB);
    CHECK_INT(g.context_length, 512);
    CHECK_INT(g.embedding_length, TINY_DIM);
    CHECK_INT(g.n_tensors, 12);
    CHECK_STR(mr_gguf_file_type_name(7), "Q8_0");
    CHECK_STR(mr_gguf_file_type_name(-1), "unknown");
}

MR_TEST(every_cut_is_noticed) {
    struct mr_gguf g;
    struct mr_err e;
    for (size_t n = 0; n < model.n - 32; n += n < 12000 ? 1 : 97) {
        int r = mr_gguf_parse((struct mr_str){model.p, n}, &g, &e);
        if (r != MR_EREFUSED) {
            fprintf(stderr, "cut at %zu: %d\n", n, r);
            mr_test_failed_++;
        }
    }
}

MR_TEST(damaged_files_are_refused_or_harmless) {
    char path[300];
    uint32_t seed = 11;
    int refused = 0;
    mr_tmp_path(&tmp, "damaged.gguf", path);
    for (int k = 0; k < 48; k++) {
        struct mr_buf b;
        mr_buf_init(&b, 1 << 22);
        mr_buf_add(&b, model.p, model.n);
        size_t head = 11000, n = model.n;
        for (int flips = 0; flips < 1 + k % 4; flips++) {
            seed = seed * 1664525 + 1013904223;
            b.p[(seed >> 4) % (k % 3 ? head : n)] ^= (char)(1 << (seed & 7));
        }
        if (k % 8 == 7)
            n = head + seed % (n - head);
        tiny_write(path, b.p, n);
        mr_buf_release(&b);
        struct mr_llm *m = NULL;
        struct mr_err e = {0};
        int r = open_at(path, 2, 4, &m, &e);
        if (r) {
            CHECK(r == MR_EREFUSED || r == MR_EUNSUPPORTED || r == MR_EPREDICT);
            CHECK(e.msg[0]);
            refused++;
            continue;
        }
        struct mr_llm_request q = request(&a, "abc", 4);
        CHECK_INT(mr_llm_generate(m, &q, NULL, &e), 0);
        answer_wait(&a);
        mr_llm_free(m);
    }
    CHECK(refused >= 8 && refused < 48);
}

MR_TEST(what_is_no_model_is_said) {
    char path[300];
    struct mr_llm *m;
    struct mr_err e;
    struct mr_buf b;
    CHECK_INT(open_at("/nonexistent/model.gguf", 2, 4, &m, &e), MR_ENOTFOUND);
    mr_tmp_path(&tmp, "text.gguf", path);
    tiny_write(path, "this is a text and not a model at all", 37);
    CHECK_INT(open_at(path, 2, 4, &m, &e), MR_EREFUSED);
    CHECK(strstr(e.msg, "not a GGUF"));
    mr_buf_init(&b, 1 << 20);
    tiny_adapter(&b, "llama", 3);
    tiny_write(path, b.p, b.n);
    CHECK_INT(open_at(path, 2, 4, &m, &e), MR_EUNSUPPORTED);
    mr_buf_release(&b);
}

MR_TEST(a_full_queue_refuses) {
    struct mr_llm *m;
    struct mr_err e;
    CHECK_INT(open_at(model_path, 2, 2, &m, &e), 0);
    struct mr_llm_request q;
    for (int k = 0; k < 4; k++) {
        q = request(&many[k], k % 2 ? "One two three" : "Four five six", 0);
        CHECK_INT(mr_llm_generate(m, &q, NULL, &e), 0);
    }
    struct mr_llm_request more = request(&a, "x", 1);
    CHECK_INT(mr_llm_generate(m, &more, NULL, &e), MR_EUNAVAIL);
    for (int k = 0; k < 4; k++) {
        answer_wait(&many[k]);
        CHECK_INT(many[k].r.rc, 0);
        CHECK_STR(many[k].r.finish_reason, "length");
        CHECK_INT(many[k].r.prompt_tokens + many[k].r.output_tokens, 512);
    }
    q = request(&a, "Count:", 0);
    CHECK_INT(mr_llm_generate(m, &q, NULL, &e), 0);
    mr_llm_free(m); /* ends it */
    CHECK(a.over);
    CHECK_INT(a.r.rc, MR_ECANCELLED);
}

/* 4 answers of 1,536 tokens where there is room for 4,096 of them: some are put back and computed
 * again. */
MR_TEST(answers_that_do_not_fit_together_all_end) {
    char path[300];
    struct mr_buf b;
    struct mr_llm *m;
    struct mr_err e;
    mr_buf_init(&b, 1 << 20);
    tiny_model(&b, 1536);
    mr_tmp_path(&tmp, "long.gguf", path);
    tiny_write(path, b.p, b.n);
    mr_buf_release(&b);
    CHECK_INT(open_at(path, 4, 100, &m, &e), 0);
    char prompt[4][32];
    for (int k = 0; k < 4; k++) {
        snprintf(prompt[k], sizeof prompt[k], "%d is the number", k * 7919);
        struct mr_llm_request q = request(&many[k], prompt[k], 0);
        CHECK_INT(mr_llm_generate(m, &q, NULL, &e), 0);
    }
    for (int k = 0; k < 4; k++) {
        answer_wait(&many[k]);
        CHECK_INT(many[k].r.rc, 0);
        CHECK_INT(many[k].r.prompt_tokens + many[k].r.output_tokens, 1536);
    }
    mr_llm_free(m);
}

static int with_adapter(struct mr_llm *m, struct answer *to, const char *path, double scale,
                        struct mr_err *e) {
    struct mr_llm_request q = request(to, "The quick brown", 24);
    q.lora_path = mr_str(path);
    q.lora_scale = scale;
    return mr_llm_generate(m, &q, NULL, e);
}

MR_TEST(adapters_change_their_own_requests) {
    char path[20][300], other[300];
    struct mr_llm *m;
    struct mr_err e;
    CHECK_INT(open_at(model_path, 4, 100, &m, &e), 0);
    for (uint32_t k = 0; k < 20; k++) {
        char name[32];
        struct mr_buf b;
        mr_buf_init(&b, 1 << 20);
        tiny_adapter(&b, "llama", 100 + k);
        snprintf(name, sizeof name, "a%u.gguf", k);
        tiny_write(mr_tmp_path(&tmp, name, path[k]), b.p, b.n);
        mr_buf_release(&b);
    }
    char plain[4096], first[4096];
    CHECK_INT(with_adapter(m, &a, NULL, 0, &e), 0);
    answer_wait(&a);
    memcpy(plain, a.text, sizeof plain);
    CHECK_INT(with_adapter(m, &a, path[0], 1, &e), 0);
    answer_wait(&a);
    memcpy(first, a.text, sizeof first);
    CHECK(strcmp(first, plain));
    CHECK_INT(a.r.cached_tokens, 0); /* the cells of other weights are no use */
    CHECK_INT(with_adapter(m, &a, path[0], 0, &e), 0);
    answer_wait(&a);
    CHECK_STR(a.text, plain); /* nothing of it */
    /* All at once, twice, more than are kept. */
    for (int k = 0; k < 40; k++) {
        int r = with_adapter(m, &many[k], k % 4 ? path[k % 15] : NULL, 1, &e);
        CHECK_INT(r, 0);
    }
    for (int k = 0; k < 40; k++) {
        answer_wait(&many[k]);
        CHECK_INT(many[k].r.rc, 0);
        if (k % 4 == 0)
            CHECK_STR(many[k].text, plain);
        else if (k % 15 == 0)
            CHECK_STR(many[k].text, first);
    }
    for (int k = 0; k < 20; k++) { /* more than are kept: the oldest go */
        CHECK_INT(with_adapter(m, &a, path[k], 1, &e), 0);
        answer_wait(&a);
        CHECK_INT(a.r.rc, 0);
    }
    struct mr_buf b;
    mr_buf_init(&b, 1 << 20);
    tiny_adapter(&b, "gpt2", 1);
    tiny_write(mr_tmp_path(&tmp, "other.gguf", other), b.p, b.n);
    mr_buf_release(&b);
    CHECK_INT(with_adapter(m, &a, other, 1, &e), MR_EFIELD);
    CHECK_STR(e.field, "lora");
    CHECK_INT(with_adapter(m, &a, model_path, 1, &e), MR_EFIELD);
    CHECK_INT(with_adapter(m, &a, "/nonexistent", 1, &e), MR_EFIELD);
    tiny_write(other, model.p, 100);
    CHECK_INT(with_adapter(m, &a, other, 1, &e), MR_EFIELD);
    mr_llm_free(m);
}

#define main test_main
int test_main(int argc, char **argv);
MR_TEST_MAIN(CASE(what_a_file_says_of_itself), CASE(every_cut_is_noticed),
             CASE(damaged_files_are_refused_or_harmless), CASE(what_is_no_model_is_said),
             CASE(a_full_queue_refuses), CASE(answers_that_do_not_fit_together_all_end),
             CASE(adapters_change_their_own_requests))
#undef main

int main(int argc, char **argv) {
    if (argc > 1 && !strcmp(argv[1], "__llm-worker"))
        return mr_llm_worker_main(argc > 2 ? argv[2] : NULL);
    mr_tmp_make(&tmp);
    mr_buf_init(&model, 1 << 20);
    tiny_model(&model, 512);
    tiny_write(mr_tmp_path(&tmp, "tiny.gguf", model_path), model.p, model.n);
    int r = test_main(argc, argv);
    mr_buf_release(&model);
    mr_tmp_remove(&tmp);
    return r;
}
