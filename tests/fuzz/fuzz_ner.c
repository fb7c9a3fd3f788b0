/* The tokenizer and features on any text by small rules (corpus: rules, made by
 * tools/models/spacy_ner.py --small), and the reader of ner.bin. Inputs that begin with "MRNER" are
 * files; with the rules that are left of them a text is cut. Other inputs are texts, cut by the
 * rules of the installed model, and one in 64 of the short ones is read by its network, which
 * costs a hundred times what cutting does. */
#include "base/alloc.h"
#include "engine/nlp/ner.h"
#include "engine/nlp/ner_internal.h"

#include <stdio.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void cut(const struct mr_ner *n, struct mr_str text) {
    struct mr_ner_text t;
    struct mr_ner_tokens v = {0};
    struct mr_ner_scratch s = {0};
    uint32_t *own, end = 0;
    uint64_t id[MR_NER_FEATS];
    if (mr_ner_decode(text, &t, &own) < 0)
        return;
    if (mr_ner_tokenize(n, &t, true, &v) < 0)
        __builtin_trap();
    for (uint32_t i = 0; i < v.n; i++) {
        if (v.tok[i].start < end || !v.tok[i].n || v.tok[i].n > t.n - v.tok[i].start)
            __builtin_trap();
        end = v.tok[i].start + v.tok[i].n;
        mr_ner_features(n, &t, &v.tok[i], &s, id);
    }
    mr_free(s.p);
    mr_free(v.tok);
    mr_free(own);
}

static void read_file(const uint8_t *data, size_t size) {
    struct mr_ner *n = mr_calloc(1, sizeof *n);
    struct mr_err e = {0};
    n->file = mr_malloc(size);
    memcpy(n->file, data, size);
    n->size = size;
    int rc = mr_ner_parse(n, "fuzz", &e);
    if ((rc < 0) != (e.msg[0] != '\0'))
        __builtin_trap();
    if (n->nspecial) /* the rules and exceptions are there, whatever came after */
        cut(n, MR_LIT("x (can't): e.g. a.b@c.de/1 :) 3km. ...don't-A,b 10.0.0.1 \xc3\x84\xce\xa3 "
                      "\n :-("));
    mr_ner_free(n);
}

static struct mr_ner *installed(void) {
    static struct mr_ner *n;
    static bool tried;
    char dir[4096];
    const char *cache = getenv("MILLRACE_CACHE"), *home = getenv("HOME");
    if (!tried) {
        tried = true;
        if (cache && *cache)
            snprintf(dir, sizeof dir, "%s/models/en-core-web-sm-ner", cache);
        else
            snprintf(dir, sizeof dir, "%s/.cache/millrace/models/en-core-web-sm-ner",
                     home ? home : "");
        mr_ner_open(dir, &n, NULL);
    }
    return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct mr_str text = mr_strn((const char *)data, size);
    struct mr_err e = {0};
    if (mr_str_starts(text, MR_LIT("MRNER"))) {
        read_file(data, size);
        return 0;
    }
    struct mr_ner *n = installed();
    if (!n || !size)
        return 0;
    if (!mr_utf8_valid(text)) {
        if (mr_ner_read(n, text, NULL, NULL, NULL, &e) != MR_EINVAL)
            __builtin_trap();
        return 0;
    }
    cut(n, text);
    if (size < 64 && data[size - 1] % 64 == 0) {
        struct mr_arena a;
        struct mr_entity *ent;
        size_t k;
        mr_arena_init(&a, 1 << 20);
        if (mr_ner_read(n, text, &a, &ent, &k, &e) < 0)
            __builtin_trap();
        mr_arena_release(&a);
    }
    return 0;
}
