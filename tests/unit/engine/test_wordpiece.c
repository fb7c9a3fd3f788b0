/* WordPiece against pieces that Hugging Face's tokenizers gave (tests/data/nlp, written by
 * tests/conformance/check_wordpiece.py, which also runs this program with "encode"). */
#include "base/alloc.h"
#include "base/cleanup.h"
#include "engine/nlp/file.h"
#include "engine/nlp/wordpiece.h"
#include "mr_test.h"
#include "nlp_texts.h"

#include <yyjson.h>

#define DATA MR_SRC_DIR "/tests/data/nlp"

static struct mr_wordpiece *load(const char *dir, const char *name) {
    char *own;
    struct mr_str text;
    struct mr_err e = {0};
    struct mr_wordpiece *w = NULL;
    if (mr_nlp_read_file(dir, name, MR_WORDPIECE_VOCAB_MAX, &own, &text, &e) ||
        mr_wordpiece_new(text, &w, &e)) {
        fprintf(stderr, "%s\n", e.msg);
        exit(2);
    }
    mr_free(own);
    return w;
}

MR_TEST(golden_texts) {
    char *own;
    struct mr_str rest;
    struct mr_err e = {0};
    struct mr_wordpiece *w = load(DATA, "wordpiece_vocab.txt");
    CHECK_INT(mr_nlp_read_file(DATA, "wordpiece.jsonl", 1 << 22, &own, &rest, &e), 0);
    unsigned n = 0;
    while (rest.p && rest.n) {
        struct mr_str line = mr_str_cut(&rest, '\n');
        yyjson_doc *doc = yyjson_read(line.p, line.n, 0);
        yyjson_val *text = yyjson_obj_get(yyjson_doc_get_root(doc), "text");
        yyjson_val *ids = yyjson_obj_get(yyjson_doc_get_root(doc), "ids");
        uint32_t got[2048];
        size_t k =
            mr_wordpiece_encode(w, mr_strn(yyjson_get_str(text), yyjson_get_len(text)), got, 2048);
        bool same = k == yyjson_arr_size(ids);
        for (size_t i = 0; same && i < k; i++)
            same = got[i] == yyjson_get_uint(yyjson_arr_get(ids, i));
        if (!same)
            fprintf(stderr, "differs: %.*s\n", (int)line.n, line.p);
        CHECK(same);
        yyjson_doc_free(doc);
        n++;
    }
    CHECK(n > 250);
    mr_free(own);
    mr_wordpiece_free(w);
}

MR_TEST(reading_stops_at_max) {
    struct mr_wordpiece *w = load(DATA, "wordpiece_vocab.txt");
    uint32_t out[8] = {0};
    CHECK_INT(mr_wordpiece_encode(w, MR_LIT("the river the river"), out, 3), 3);
    CHECK_INT(out[3], 0);
    CHECK_INT(out[0], out[2]);
    CHECK_INT(mr_wordpiece_encode(w, MR_LIT(""), out, 3), 0);
    CHECK_INT(mr_wordpiece_encode(w, MR_LIT("the"), out, 0), 0);
    mr_wordpiece_free(w);
}

MR_TEST(bad_bytes_are_left_out) {
    struct mr_wordpiece *w = load(DATA, "wordpiece_vocab.txt");
    uint32_t a[8], b[8];
    size_t n = mr_wordpiece_encode(w, MR_LIT("ri\xff\xc3ver \xf0\x9f"), a, 8);
    CHECK_INT(n, 1);
    CHECK_INT(mr_wordpiece_encode(w, MR_LIT("river"), b, 8), 1);
    CHECK_INT(a[0], b[0]);
    mr_wordpiece_free(w);
}

/* Marks that stay, in descending class, over one letter: no quadratic time, one [UNK]. */
MR_TEST(a_flood_of_marks_is_one_word) {
    struct mr_wordpiece *w = load(DATA, "wordpiece_vocab.txt");
    size_t n = 1 << 20;
    char *text = mr_malloc(n);
    for (size_t i = 0; i + 4 <= n; i += 4)
        memcpy(text + i, i < n / 2 ? "\xf0\x9e\x80\x93" : "\xf0\x9d\x85\xa5", 4);
    text[0] = 'a', text[1] = 'b', text[2] = 'c', text[3] = 'd';
    uint32_t out[4];
    CHECK_INT(mr_wordpiece_encode(w, mr_strn(text, n), out, 4), 1);
    CHECK_INT(out[0], 1);
    mr_free(text);
    mr_wordpiece_free(w);
}

MR_TEST(vocabularies_without_their_marks_are_refused) {
    struct mr_wordpiece *w = NULL;
    struct mr_err e = {0};
    CHECK_INT(mr_wordpiece_new(MR_LIT("a\nb\n"), &w, &e), MR_EINVAL);
    CHECK(strstr(e.msg, "[UNK]"));
    CHECK_INT(mr_wordpiece_new(MR_LIT(""), &w, &e), MR_EINVAL);
    CHECK_INT(mr_wordpiece_new(MR_LIT("[UNK]\n[SEP]\n"), &w, &e), MR_EINVAL);
    CHECK(strstr(e.msg, "[CLS]"));
    CHECK_INT(mr_wordpiece_new(MR_LIT("[UNK]\n[CLS]\n"), &w, &e), MR_EINVAL);
    CHECK(strstr(e.msg, "[SEP]"));
    CHECK_INT(mr_wordpiece_new(MR_LIT("[UNK]\r\n[CLS]\r\n[SEP]"), &w, &e), 0);
    CHECK_INT(mr_wordpiece_sep(w), 2);
    mr_wordpiece_free(w);
}

/* "encode VOCAB": u32 length and text, again and again, from stdin; a line of numbers for each. */
static int encode(const char *path) {
    struct mr_wordpiece *w = load("/", path + 1);
    struct mr_str text;
    while (mr_next_text(&text)) {
        uint32_t *out = mr_malloc((text.n + 1) * sizeof *out);
        size_t k = mr_wordpiece_encode(w, text, out, text.n + 1);
        for (size_t i = 0; i < k; i++)
            printf(i ? " %u" : "%u", out[i]);
        printf("\n");
        mr_free(out);
        mr_free((void *)text.p);
    }
    mr_wordpiece_free(w);
    return 0;
}

#define main test_main
int test_main(int argc, char **argv);
MR_TEST_MAIN(CASE(golden_texts), CASE(reading_stops_at_max), CASE(bad_bytes_are_left_out),
             CASE(a_flood_of_marks_is_one_word), CASE(vocabularies_without_their_marks_are_refused))
#undef main

int main(int argc, char **argv) {
    if (argc == 3 && !strcmp(argv[1], "encode") && argv[2][0] == '/')
        return encode(argv[2]);
    return test_main(argc, argv);
}
