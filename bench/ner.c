/* Named entities, one thread: texts and words a second.
 *
 *   bench_ner MODEL_DIR FILE [rounds]    FILE: a text a line */
#include "engine/nlp/ner.h"
#include "base/alloc.h"
#include "base/clock.h"

#include <stdio.h>

int main(int argc, char **argv) {
    struct mr_ner *n = NULL;
    struct mr_err e = {0};
    int64_t t0 = mr_mono_ns();
    if (argc < 3 || mr_ner_open(argv[1], &n, &e) < 0) {
        fprintf(stderr, "usage: bench_ner MODEL_DIR FILE [rounds] %s\n", e.msg);
        return 1;
    }
    double open_ms = (double)(mr_mono_ns() - t0) / 1e6;
    long rounds = argc > 3 ? strtol(argv[3], NULL, 10) : 3;
    FILE *f = fopen(argv[2], "r");
    char *line = NULL;
    size_t cap = 0;
    if (!f)
        return 1;
    for (long r = 0; r < rounds; r++) {
        size_t texts = 0, entities = 0;
        ssize_t len;
        int64_t spent = 0;
        rewind(f);
        struct mr_arena a;
        mr_arena_init(&a, 64 << 20);
        while ((len = getline(&line, &cap, f)) > 0) {
            struct mr_entity *got;
            size_t k;
            if (line[len - 1] == '\n')
                len--;
            int64_t from = mr_mono_ns();
            if (mr_ner_read(n, mr_strn(line, (size_t)len), &a, &got, &k, &e) < 0) {
                fprintf(stderr, "%s\n", e.msg);
                return 1;
            }
            spent += mr_mono_ns() - from;
            texts++;
            entities += k;
            mr_arena_reset(&a);
        }
        mr_arena_release(&a);
        printf("%.0f texts/s, %zu texts, %zu entities, open %.1f ms\n",
               (double)texts * 1e9 / (double)spent, texts, entities, open_ms);
    }
    free(line);
    fclose(f);
    mr_ner_free(n);
    return 0;
}
