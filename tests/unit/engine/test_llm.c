/* Language models on the default model, which scripts/setup installs: without it this fails. */
#include "base/cleanup.h"
#include "base/clock.h"
#include "engine/llm/grammar.h"
#include "engine/llm/llm.h"
#include "engine/llm/tools.h"
#include "mr_test.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <yyjson.h>

static char model_path[4096];

struct answer {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool over;
    int rc, deltas, cancel_after; /* cancel_after: on_delta says so at this piece */
    struct mr_err err;
    char text[65536], pieces[65536], logprobs[262144], stopped_by[64], finish[16];
    struct mr_llm_result r;
};

static int on_delta(void *arg, const struct mr_llm_delta *d) {
    struct answer *a = arg;
    CHECK(mr_utf8_valid(d->text));
    strncat(a->pieces, d->text.p, d->text.n);
    return ++a->deltas == a->cancel_after;
}

static void done(void *arg, const struct mr_llm_result *r) {
    struct answer *a = arg;
    pthread_mutex_lock(&a->lock);
    CHECK(!a->over); /* exactly once */
    a->r = *r;
    a->rc = r->rc;
    a->err = r->err;
    snprintf(a->text, sizeof a->text, "%.*s", (int)r->text.n, r->text.p);
    snprintf(a->logprobs, sizeof a->logprobs, "[%.*s]", (int)r->logprobs_json.n,
             r->logprobs_json.p);
    snprintf(a->stopped_by, sizeof a->stopped_by, "%.*s", (int)r->stopped_by.n, r->stopped_by.p);
    snprintf(a->finish, sizeof a->finish, "%s", r->finish_reason ? r->finish_reason : "");
    a->over = true;
    pthread_cond_signal(&a->changed);
    pthread_mutex_unlock(&a->lock);
}

static void answer_init(struct answer *a) {
    memset(a, 0, sizeof *a);
    pthread_mutex_init(&a->lock, NULL);
    pthread_cond_init(&a->changed, NULL);
}

static void answer_wait(struct answer *a) {
    pthread_mutex_lock(&a->lock);
    while (!a->over)
        pthread_cond_wait(&a->changed, &a->lock);
    pthread_mutex_unlock(&a->lock);
}

static struct mr_llm *open_model(unsigned parallel, uint32_t context) {
    struct mr_llm_config c = {.path = model_path, .parallel = parallel, .context = context};
    struct mr_llm *m = NULL;
    struct mr_err e = {0};
    if (mr_llm_open(&c, &m, &e)) {
        fprintf(stderr, "%s: %s\n", model_path, e.msg);
        exit(1);
    }
    return m;
}

/* A greedy request. */
static struct mr_llm_request greedy(const char *messages, const char *prompt, int64_t max,
                                    struct answer *a) {
    struct mr_llm_request q = {.messages_json = mr_str(messages),
                               .prompt = mr_str(prompt),
                               .on_delta = on_delta,
                               .done = done,
                               .arg = a};
    mr_llm_params_default(&q.params);
    q.params.temperature = 0;
    q.params.max_tokens = max;
    return q;
}

static void ask(struct mr_llm *m, const struct mr_llm_request *q) {
    struct answer *a = q->arg;
    struct mr_err e = {0};
    if (mr_llm_generate(m, q, NULL, &e)) {
        fprintf(stderr, "%s: %s\n", e.field, e.msg);
        CHECK(0);
        return;
    }
    answer_wait(a);
}

static struct answer a;
static struct mr_llm *m; /* opened by the first case that needs it */

static struct answer many[10];

MR_TEST(the_capital_of_france) {
    answer_init(&a);
    struct mr_llm_request q = greedy(
        "[{\"role\":\"user\",\"content\":\"What is the capital of France?\"}]", NULL, 24, &a);
    ask(m, &q);
    CHECK_INT(a.rc, 0);
    CHECK(strstr(a.text, "Paris"));
    CHECK_STR(a.pieces, a.text);
    CHECK_STR(a.finish, "stop");
    CHECK(a.deltas > 3 && a.r.prompt_tokens > 10 && a.r.output_tokens > 3);
    answer_init(&a);
    q = greedy(NULL, "The capital of France is", 8, &a);
    ask(m, &q);
    CHECK_INT(a.rc, 0);
    CHECK(strstr(a.text, "Paris"));
    CHECK_STR(a.finish, "length");
    CHECK_INT(a.r.output_tokens, 8);
}

MR_TEST(ten_requests_on_eight_sequences) {
    static const char *const of[][2] = {
        {"France", "Paris"},  {"Italy", "Rome"},     {"Spain", "Madrid"},  {"Japan", "Tokyo"},
        {"Russia", "Moscow"}, {"Germany", "Berlin"}, {"Greece", "Athens"}, {"Egypt", "Cairo"},
        {"Cuba", "Havana"},   {"China", "Beijing"}};
    char prompt[10][64];
    struct mr_llm_info before, after;
    mr_llm_info(m, &before);
    for (int k = 0; k < 10; k++) {
        answer_init(&many[k]);
        snprintf(prompt[k], sizeof prompt[k], "The capital of %s is the city of", of[k][0]);
        struct mr_llm_request q = greedy(NULL, prompt[k], 6, &many[k]);
        CHECK_INT(mr_llm_generate(m, &q, NULL, NULL), 0);
    }
    int right = 0;
    for (int k = 0; k < 10; k++) {
        answer_wait(&many[k]);
        CHECK_INT(many[k].rc, 0);
        CHECK_STR(many[k].pieces, many[k].text);
        CHECK_INT(many[k].r.output_tokens, 6);
        right += strstr(many[k].text, of[k][1]) != NULL;
    }
    CHECK(right >= 8); /* what the model knows is its own affair; mixed-up sequences are ours */
    mr_llm_info(m, &after);
    CHECK_INT(after.output_tokens - before.output_tokens, 60);
    CHECK_INT(after.running + after.queued, 0);
}

static const char story[] =
    "Once upon a time there was a keeper of a lighthouse who wrote down each ship that passed, "
    "its flag, its sails and the hour, in a book that nobody but him had ever read. One evening";

MR_TEST(a_known_start_is_not_computed_again) {
    char longer[1024];
    answer_init(&a);
    struct mr_llm_request q = greedy(NULL, story, 4, &a);
    ask(m, &q);
    uint32_t n = a.r.prompt_tokens;
    CHECK(n > 30);
    CHECK_INT(a.r.cached_tokens, 0);
    char first[64];
    snprintf(first, sizeof first, "%.60s", a.text);
    answer_init(&a);
    ask(m, &q);
    CHECK_INT(a.r.cached_tokens, n - 1); /* the last one's scores are needed */
    CHECK(!strncmp(a.text, first, strlen(first)));
    snprintf(longer, sizeof longer, "%s a storm came up from the south", story);
    answer_init(&a);
    q = greedy(NULL, longer, 4, &a);
    ask(m, &q);
    CHECK(a.r.cached_tokens >= n - 1 && a.r.cached_tokens < a.r.prompt_tokens);
    /* A start shared by requests that come together is computed once. */
    static const char *const ends[] = {" red", " green", " blue", " white"};
    char with[4][1200];
    for (int k = 0; k < 4; k++) {
        answer_init(&many[k]);
        snprintf(with[k], sizeof with[k], "Shared: %s%s", story, ends[k]);
        q = greedy(NULL, with[k], 4, &many[k]);
        CHECK_INT(mr_llm_generate(m, &q, NULL, NULL), 0);
    }
    uint32_t cached = 0;
    for (int k = 0; k < 4; k++) {
        answer_wait(&many[k]);
        cached += many[k].r.cached_tokens;
    }
    CHECK(cached >= 3 * (n - 2));
}

MR_TEST(stop_strings_end_an_answer_before_them) {
    answer_init(&a);
    struct mr_llm_request q = greedy(NULL, "1, 2, 3, 4,", 40, &a);
    q.params.stop[0] = mr_str("nowhere");
    q.params.stop[1] = mr_str(", 9"); /* over several tokens */
    q.params.n_stop = 2;
    ask(m, &q);
    CHECK_INT(a.rc, 0);
    CHECK_STR(a.text, " 5, 6, 7, 8");
    CHECK_STR(a.pieces, a.text);
    CHECK_STR(a.stopped_by, ", 9");
    CHECK_STR(a.finish, "stop");
}

MR_TEST(a_seed_repeats_and_another_does_not) {
    char text[3][512];
    for (int k = 0; k < 3; k++) {
        answer_init(&a);
        struct mr_llm_request q = greedy(NULL, "My favourite animal is", 24, &a);
        q.params.temperature = 1.2;
        q.params.top_k = 0;
        q.params.seed = k < 2 ? 7 : 8;
        q.params.ignore_eos = true;
        ask(m, &q);
        CHECK_INT(a.rc, 0);
        snprintf(text[k], sizeof text[k], "%.500s", a.text);
    }
    CHECK_STR(text[1], text[0]);
    CHECK(strcmp(text[2], text[0]));
}

MR_TEST(penalties_stop_repetition) {
    answer_init(&a);
    struct mr_llm_request q = greedy(NULL, "1, 1, 1, 1, 1, 1,", 20, &a);
    ask(m, &q);
    CHECK(strstr(a.text, "1, 1, 1"));
    answer_init(&a);
    q.params.frequency_penalty = 2;
    q.params.presence_penalty = 2;
    q.params.repeat_penalty = 1.5;
    ask(m, &q);
    CHECK(!strstr(a.text, "1, 1, 1"));
}

MR_TEST(log_probabilities) {
    answer_init(&a);
    struct mr_llm_request q = greedy(NULL, "The capital of France is", 3, &a);
    q.params.logprobs = 5;
    ask(m, &q);
    yyjson_doc *d = yyjson_read(a.logprobs, strlen(a.logprobs), 0);
    yyjson_val *list = yyjson_doc_get_root(d), *t;
    size_t i, n;
    CHECK_INT(yyjson_arr_size(list), 3);
    yyjson_arr_foreach (list, i, n, t) {
        yyjson_val *top = yyjson_obj_get(t, "top_logprobs"), *x;
        double own = yyjson_get_num(yyjson_obj_get(t, "logprob")), sum = 0, last = 0;
        size_t k, nk;
        CHECK_INT(yyjson_arr_size(top), 5);
        CHECK(own <= 0 && yyjson_is_arr(yyjson_obj_get(t, "bytes")));
        yyjson_arr_foreach (top, k, nk, x) {
            double v = yyjson_get_num(yyjson_obj_get(x, "logprob"));
            CHECK(v <= last);
            last = v;
            sum += exp(v);
        }
        CHECK(sum <= 1.0001);
        /* Greedy: it is the likeliest. */
        CHECK_NEAR(own, yyjson_get_num(yyjson_obj_get(yyjson_arr_get_first(top), "logprob")), 1e-9);
    }
    yyjson_doc_free(d);
}

MR_TEST(a_schema_binds_the_answer) {
    static const char schema[] =
        "{\"type\":\"object\",\"properties\":{\"city\":{\"type\":\"string\",\"maxLength\":20},"
        "\"country\":{\"enum\":[\"France\",\"Peru\"]},\"inhabitants\":{\"type\":\"integer\","
        "\"minimum\":1000,\"maximum\":99999999}},\"required\":[\"city\",\"country\","
        "\"inhabitants\"],\"additionalProperties\":false}";
    yyjson_doc *d = yyjson_read(schema, sizeof schema - 1, 0);
    struct mr_buf g;
    mr_buf_init(&g, 1 << 20);
    CHECK_INT(mr_grammar_from_schema(yyjson_doc_get_root(d), &g, NULL), 0);
    yyjson_doc_free(d);
    for (int k = 0; k < 3; k++) {
        answer_init(&a);
        struct mr_llm_request q =
            greedy("[{\"role\":\"user\",\"content\":\"Tell me about Paris.\"}]", NULL, 120, &a);
        q.params.grammar = mr_buf_view(&g);
        q.params.temperature = k ? 1.5 : 0;
        q.params.seed = k;
        ask(m, &q);
        CHECK_INT(a.rc, 0);
        CHECK_STR(a.finish, "stop");
        d = yyjson_read(a.text, strlen(a.text), 0);
        yyjson_val *root = yyjson_doc_get_root(d);
        int64_t people = yyjson_get_sint(yyjson_obj_get(root, "inhabitants"));
        CHECK_INT(yyjson_obj_size(root), 3);
        CHECK(yyjson_is_str(yyjson_obj_get(root, "city")));
        CHECK(people >= 1000 && people <= 99999999);
        yyjson_val *country = yyjson_obj_get(root, "country");
        CHECK(yyjson_equals_str(country, "France") || yyjson_equals_str(country, "Peru"));
        yyjson_doc_free(d);
    }
    mr_buf_release(&g);
    answer_init(&a);
    struct mr_llm_request q = greedy(NULL, "x", 4, &a);
    q.params.grammar = mr_str("this is no grammar");
    ask(m, &q);
    CHECK_INT(a.rc, MR_EFIELD);
    CHECK_STR(a.err.field, "grammar");
}

MR_TEST(tools_are_described_and_their_calls_come_back) {
    static const char tools[] =
        "[{\"type\":\"function\",\"function\":{\"name\":\"get_weather\",\"parameters\":{\"type\":"
        "\"object\",\"properties\":{\"city\":{\"type\":\"string\",\"maxLength\":30}},\"required\":["
        "\"city\"],\"additionalProperties\":false}}}]";
    yyjson_doc *d = yyjson_read(tools, sizeof tools - 1, 0);
    struct mr_buf g;
    struct mr_arena arena;
    struct mr_str text;
    struct mr_tool_call *call;
    size_t n;
    mr_buf_init(&g, 1 << 20);
    mr_arena_init(&arena, 1 << 20);
    CHECK_INT(
        mr_tools_grammar(yyjson_doc_get_root(d), MR_TOOLS_ONE, mr_str("get_weather"), &g, NULL), 0);
    answer_init(&a);
    struct mr_llm_request q =
        greedy("[{\"role\":\"user\",\"content\":\"What is the weather in Paris?\"}]", NULL, 80, &a);
    q.tools_json = mr_str(tools);
    q.params.grammar = mr_buf_view(&g);
    q.params.stop[0] = mr_str("</tool_call>\n");
    q.params.n_stop = 1;
    ask(m, &q);
    CHECK_INT(a.rc, 0);
    CHECK_INT(mr_tools_find(mr_str(a.text), &arena, &text, &call, &n, NULL), 0);
    CHECK(n >= 1);
    if (n) {
        CHECK_STR(call[0].name.p, "get_weather");
        CHECK(strstr(call[0].arguments.p, "\"city\":\"Paris"));
    }
    uint32_t with = a.r.prompt_tokens, without = 0;
    CHECK_INT(mr_llm_count(m, mr_str(NULL), q.messages_json, &without, NULL), 0);
    CHECK(with > without + 50);
    mr_arena_release(&arena);
    mr_buf_release(&g);
    yyjson_doc_free(d);
}

MR_TEST(conversations_that_cannot_be_are_refused_by_name) {
    static const char *const bad[][2] = {
        {"[]", "messages"},
        {"{}", "messages"},
        {"[{\"role\":\"user\"", "messages"},
        {"[{\"content\":\"x\"}]", "messages[0].role"},
        {"[{\"role\":\"user\",\"content\":\"x\"},{\"role\":\"king\",\"content\":\"x\"}]",
         "messages[1].role"},
        {"[{\"role\":\"user\",\"content\":7}]", "messages[0].content"},
        {"[{\"role\":\"user\",\"content\":[{\"type\":\"image_url\"}]}]", "messages[0].content"}};
    for (size_t k = 0; k < sizeof bad / sizeof *bad; k++) {
        struct mr_err e = {0};
        struct mr_llm_request q = greedy(bad[k][0], NULL, 4, &a);
        CHECK_INT(mr_llm_generate(m, &q, NULL, &e), MR_EFIELD);
        CHECK_STR(e.field, bad[k][1]);
    }
    uint32_t text, parts;
    CHECK_INT(mr_llm_count(m, mr_str(NULL),
                           mr_str("[{\"role\":\"system\",\"content\":\"ab\"},{\"role\":"
                                  "\"user\",\"content\":\"x\"}]"),
                           &text, NULL),
              0);
    CHECK_INT(mr_llm_count(m, mr_str(NULL),
                           mr_str("[{\"role\":\"developer\",\"content\":[{\"type\":\"text\","
                                  "\"text\":\"a\"},{\"type\":\"text\",\"text\":\"b\"}]},{\"role\":"
                                  "\"user\",\"content\":\"x\"}]"),
                           &parts, NULL),
              0);
    CHECK_INT(parts, text);
}

MR_TEST(what_does_not_fit_says_both_figures) {
    size_t n = 1 << 20;
    char *big = malloc(n + 1);
    memset(big, 'z', n);
    for (size_t k = 0; k < n; k += 5)
        big[k] = ' ';
    big[n] = 0;
    answer_init(&a);
    struct mr_llm_request q = greedy(NULL, big, 4, &a);
    ask(m, &q);
    CHECK_INT(a.rc, MR_EFIELD);
    CHECK_STR(a.err.field, "prompt");
    CHECK(strstr(a.err.msg, "8192"));
    big[60000] = 0; /* few enough to be counted, too many to fit */
    q = greedy(NULL, big, 4, &a);
    answer_init(&a);
    ask(m, &q);
    CHECK_INT(a.rc, MR_EFIELD);
    uint32_t tokens = 0;
    char figure[32];
    CHECK_INT(mr_llm_count(m, mr_str(big), mr_str(NULL), &tokens, NULL), 0);
    snprintf(figure, sizeof figure, " %u ", tokens);
    CHECK(tokens > 8192 && strstr(a.err.msg, figure) && strstr(a.err.msg, "8192"));
    free(big);
    struct mr_err e = {0};
    q = greedy(NULL, "bad \xff\xfe bytes", 4, &a);
    CHECK_INT(mr_llm_generate(m, &q, NULL, &e), MR_EFIELD);
    CHECK_STR(e.field, "prompt");
    q = greedy(NULL, "x", 4, &a);
    q.params.top_p = 1.5;
    CHECK_INT(mr_llm_generate(m, &q, NULL, &e), MR_EFIELD);
    CHECK_STR(e.field, "top_p");
}

MR_TEST(requests_end_when_told) {
    uint64_t ticket;
    answer_init(&a);
    struct mr_llm_request q = greedy(NULL, "Count:", 4000, &a);
    q.params.ignore_eos = true;
    CHECK_INT(mr_llm_generate(m, &q, &ticket, NULL), 0);
    mr_llm_cancel(m, ticket);
    answer_wait(&a);
    CHECK_INT(a.rc, MR_ECANCELLED);
    mr_llm_cancel(m, ticket); /* over: nothing */
    answer_init(&a);
    a.cancel_after = 3; /* the client goes away */
    CHECK_INT(mr_llm_generate(m, &q, NULL, NULL), 0);
    answer_wait(&a);
    CHECK_INT(a.rc, MR_ECANCELLED);
    CHECK(a.deltas >= 3 && a.deltas < 1000);
    answer_init(&a);
    q.deadline_ns = mr_mono_ns() + 300000000;
    CHECK_INT(mr_llm_generate(m, &q, NULL, NULL), 0);
    answer_wait(&a);
    CHECK_INT(a.rc, MR_ETIMEOUT);
    CHECK_STR(a.pieces, a.text); /* what came before is there */
}

/* The worker's process: the only child. */
static pid_t child(void) {
    char path[64], text[64] = "";
    snprintf(path, sizeof path, "/proc/self/task/%d/children", (int)getpid());
    pid_t found = 0;
    /* Spawned by the model's own thread: look through all of them. */
    for (int tid = (int)getpid(); tid < (int)getpid() + 2000 && !found; tid++) {
        snprintf(path, sizeof path, "/proc/self/task/%d/children", tid);
        FILE *f = fopen(path, "r");
        if (!f)
            continue;
        if (fgets(text, sizeof text, f))
            found = (pid_t)strtol(text, NULL, 10);
        fclose(f);
    }
    return found;
}

MR_TEST(a_worker_that_dies_costs_one_error_each) {
    struct mr_llm_info info;
    for (int k = 0; k < 4; k++) {
        answer_init(&many[k]);
        struct mr_llm_request q = greedy(NULL, "Count:", 4000, &many[k]);
        q.params.ignore_eos = true;
        CHECK_INT(mr_llm_generate(m, &q, NULL, NULL), 0);
    }
    while (!__atomic_load_n(&many[0].deltas, __ATOMIC_RELAXED))
        usleep(1000);
    CHECK_INT(kill(child(), SIGKILL), 0);
    for (int k = 0; k < 4; k++) {
        answer_wait(&many[k]);
        CHECK_INT(many[k].rc, MR_EPREDICT);
        CHECK(strstr(many[k].err.msg, "signal 9"));
    }
    answer_init(&a);
    struct mr_llm_request q = greedy(NULL, "The capital of France is", 4, &a);
    ask(m, &q);
    CHECK_INT(a.rc, 0);
    CHECK(strstr(a.text, "Paris"));
    mr_llm_info(m, &info);
    CHECK_INT(info.restarts, 1);
    CHECK(info.memory > 50000000 && info.cpu_seconds > 0);
    CHECK(mr_str_is(info.architecture, "llama"));
    CHECK(mr_str_is(info.quantization, "Q4_1") || /* as shipped, where our kernels run */
          mr_str_is(info.quantization, "Q8_0"));
    CHECK_INT(info.context, 8192);
    CHECK(info.parameters > 130000000 && info.has_chat_template);
}

#define main test_main
int test_main(int argc, char **argv);
MR_TEST_MAIN(CASE(the_capital_of_france), CASE(ten_requests_on_eight_sequences),
             CASE(a_known_start_is_not_computed_again),
             CASE(stop_strings_end_an_answer_before_them),
             CASE(a_seed_repeats_and_another_does_not), CASE(penalties_stop_repetition),
             CASE(log_probabilities), CASE(a_schema_binds_the_answer),
             CASE(tools_are_described_and_their_calls_come_back),
             CASE(conversations_that_cannot_be_are_refused_by_name),
             CASE(what_does_not_fit_says_both_figures), CASE(requests_end_when_told),
             CASE(a_worker_that_dies_costs_one_error_each))
#undef main

int main(int argc, char **argv) {
    if (argc > 1 && !strcmp(argv[1], "__llm-worker"))
        return mr_llm_worker_main(argc > 2 ? argv[2] : NULL);
    const char *cache = getenv("MILLRACE_CACHE"), *home = getenv("HOME");
    snprintf(model_path, sizeof model_path, "%s%s/models/smollm2-135m-instruct/model.gguf",
             cache && *cache ? cache : home, cache && *cache ? "" : "/.cache/millrace");
    m = open_model(8, 0);
    int r = test_main(argc, argv);
    mr_llm_free(m);
    return r;
}
