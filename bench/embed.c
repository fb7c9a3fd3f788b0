/* Sentence embeddings and sentiment, for bench/nlp/embed.py:
 *
 *   bench_embed MODELS_DIR FILE OUT    FILE: a text a line; OUT: the vectors, floats
 *
 * Reads one line a measurement from stdin and answers with seconds: "one" (text by text), "all"
 * (one call), "sentiment" (text by text). */
#include "base/alloc.h"
#include "base/clock.h"
#include "engine/nlp/nlp.h"
#include "engine/onnx/onnx.h"

#include <stdio.h>
#include <string.h>

#define TEXTS_MAX 10000

static struct mr_embedder *m;
static struct mr_sentiment *s;
static struct mr_str text[TEXTS_MAX];
static size_t n;

static int measure(const char *what, const char *out) {
    struct mr_arena a;
    struct mr_err e = {0};
    struct mr_sentiment_result res;
    float *v = NULL;
    int r = 0;
    mr_arena_init(&a, (size_t)256 << 20);
    int64_t from = mr_mono_ns();
    if (!strcmp(what, "all"))
        r = mr_embed(m, text, n, &a, &v, NULL, &e);
    for (size_t i = 0; !r && !v && i < n; i++) {
        float *one;
        r = *what == 'o' ? mr_embed(m, &text[i], 1, &a, &one, NULL, &e)
                         : mr_sentiment_read(s, m, text[i], &a, &res, &e);
        mr_arena_reset(&a);
    }
    double spent = (double)(mr_mono_ns() - from) / 1e9;
    FILE *f = v ? fopen(out, "wb") : NULL;
    if (f) {
        fwrite(v, sizeof *v * mr_embedder_dim(m), n, f);
        fclose(f);
    }
    mr_arena_release(&a);
    if (r)
        fprintf(stderr, "%s\n", e.msg);
    else
        printf("%.6f\n", spent);
    fflush(stdout);
    return r;
}

int main(int argc, char **argv) {
    char path[4096], *line = NULL;
    size_t cap = 0;
    ssize_t len;
    struct mr_err e = {0};
    if (argc > 1 && !strcmp(argv[1], "__onnx-worker"))
        return mr_onnx_worker_main();
    FILE *f = argc == 4 ? fopen(argv[2], "r") : NULL;
    if (!f) {
        fprintf(stderr, "usage: bench_embed MODELS_DIR FILE OUT\n");
        return 1;
    }
    while (n < TEXTS_MAX && (len = getline(&line, &cap, f)) > 0) {
        len -= line[len - 1] == '\n';
        text[n++] = mr_strn(mr_strndup(line, (size_t)len), (size_t)len);
    }
    fclose(f);
    snprintf(path, sizeof path, "%s/all-minilm-l6-v2", argv[1]);
    int r = mr_embedder_open(path, &m, &e);
    snprintf(path, sizeof path, "%s/vader-minilm-sentiment", argv[1]);
    if (!r)
        r = mr_sentiment_open(path, &s, &e);
    if (r) {
        fprintf(stderr, "%s\n", e.msg);
        return 1;
    }
    while (!r && (len = getline(&line, &cap, stdin)) > 1) {
        line[len - 1] = 0;
        r = measure(line, argv[3]);
    }
    mr_sentiment_free(s);
    mr_embedder_free(m);
    return r ? 1 : 0;
}
