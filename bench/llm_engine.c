/* bench_llm_engine MODEL PROMPT OUTPUT STREAMS: our engine as the server uses it (src/engine/llm).
 * One JSON line: tokens a second of prompts and of answers, and the time to the first token of a
 * prompt that is new and of one that is known. Random words, so that nothing is known by chance. */
#include "base/clock.h"
#include "engine/llm/llm.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STREAMS_MAX 64

struct stream {
    char prompt[65536];
    int64_t asked, first, last;
    uint32_t prompt_tokens, cached, output;
    int rc;
};
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static int under_way;

static int on_delta(void *arg, const struct mr_llm_delta *d) {
    struct stream *s = arg;
    (void)d;
    if (!s->first)
        s->first = mr_mono_ns();
    return 0;
}

static void done(void *arg, const struct mr_llm_result *r) {
    struct stream *s = arg;
    s->last = mr_mono_ns();
    s->prompt_tokens = r->prompt_tokens;
    s->cached = r->cached_tokens;
    s->output = r->output_tokens;
    s->rc = r->rc;
    if (!s->first)
        s->first = s->last;
    pthread_mutex_lock(&lock);
    under_way--;
    pthread_cond_signal(&changed);
    pthread_mutex_unlock(&lock);
}

static void make_prompt(struct stream *s, unsigned words, unsigned *seed) {
    static const char *const word[] = {"river", "stone", "over",  "green", "walk",  "seven",
                                       "light", "under", "house", "cold",  "bring", "paper",
                                       "north", "quick", "song",  "table"};
    size_t n = 0;
    for (unsigned k = 0; k < words; k++)
        n += (size_t)snprintf(s->prompt + n, sizeof s->prompt - n, "%s%s", k ? " " : "",
                              word[rand_r(seed) % 16]);
}

static void run(struct mr_llm *m, struct stream *s, unsigned n, int64_t output) {
    under_way = (int)n;
    for (unsigned k = 0; k < n; k++) {
        struct mr_llm_request q = {
            .prompt = mr_str(s[k].prompt), .on_delta = on_delta, .done = done, .arg = &s[k]};
        struct mr_err e;
        mr_llm_params_default(&q.params);
        q.params.temperature = 0;
        q.params.max_tokens = output;
        q.params.ignore_eos = true;
        s[k].first = s[k].last = 0;
        s[k].asked = mr_mono_ns();
        if (mr_llm_generate(m, &q, NULL, &e)) {
            fprintf(stderr, "%s\n", e.msg);
            exit(1);
        }
    }
    pthread_mutex_lock(&lock);
    while (under_way)
        pthread_cond_wait(&changed, &lock);
    pthread_mutex_unlock(&lock);
}

int main(int argc, char **argv) {
    static struct stream s[STREAMS_MAX];
    if (argc > 1 && !strcmp(argv[1], "__llm-worker"))
        return mr_llm_worker_main(argc > 2 ? argv[2] : NULL);
    if (argc < 5)
        return 2;
    unsigned words = (unsigned)strtoul(argv[2], NULL, 10);
    unsigned n = (unsigned)strtoul(argv[4], NULL, 10), seed = (unsigned)mr_mono_ns();
    int64_t output = strtol(argv[3], NULL, 10);
    struct mr_llm_config c = {.path = argv[1]};
    struct mr_llm *m;
    struct mr_err e;
    if (n < 1 || n > STREAMS_MAX || mr_llm_open(&c, &m, &e)) {
        fprintf(stderr, "%s\n", n ? e.msg : "streams");
        return 1;
    }
    make_prompt(&s[0], words, &seed);
    run(m, s, 1, 4); /* warm, as the peer is after its first round */
    for (unsigned k = 0; k < n; k++)
        make_prompt(&s[k], words, &seed);
    run(m, s, n, 1); /* prompts alone */
    int64_t from = s[0].asked, to = 0;
    uint64_t tokens = 0;
    for (unsigned k = 0; k < n; k++) {
        to = s[k].last > to ? s[k].last : to;
        tokens += s[k].prompt_tokens;
    }
    double prompt = (double)tokens * 1e9 / (double)(to - from);
    double first_new = (double)(s[0].first - s[0].asked) / 1e6;
    run(m, s, 1, 1);
    double first_known = (double)(s[0].first - s[0].asked) / 1e6;
    run(m, s, n, output); /* known prompts: answers alone */
    int64_t begin = INT64_MAX;
    to = tokens = 0;
    for (unsigned k = 0; k < n; k++) {
        begin = s[k].first < begin ? s[k].first : begin;
        to = s[k].last > to ? s[k].last : to;
        tokens += s[k].output - 1;
    }
    struct mr_llm_info i;
    mr_llm_info(m, &i);
    printf("{\"prompt\":%.1f,\"output\":%.1f,\"first_new_ms\":%.1f,\"first_known_ms\":%.1f,"
           "\"rss_mib\":%.0f}\n",
           prompt, (double)tokens * 1e9 / (double)(to - begin), first_new, first_known,
           (double)i.memory / 1048576);
    mr_llm_free(m);
    return 0;
}
