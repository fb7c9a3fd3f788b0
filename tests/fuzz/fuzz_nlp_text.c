/* Sentences, words and keywords of any bytes; the first byte chooses the language. */
#include "engine/nlp/nlp.h"
#include "engine/nlp/words.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const char *const lang[] = {"en", "de", "zh", "ja", "fr", "xx", NULL, "ru"};
    if (!size)
        return 0;
    struct mr_str text = mr_strn((const char *)data + 1, size - 1);
    struct mr_arena a;
    struct mr_span *s;
    struct mr_keyword *k;
    size_t n;
    mr_arena_init(&a, (size_t)64 << 20);
    if (mr_sentences(text, &a, &s, &n, NULL))
        __builtin_trap();
    uint32_t at = 0;
    for (size_t i = 0; i < n; i++) { /* in order, apart, not empty */
        if (s[i].start < at || s[i].end <= s[i].start || s[i].end > text.n)
            __builtin_trap();
        at = s[i].end;
    }
    uint32_t words = mr_word_count(text);
    if (words && mr_word_count(mr_first_words(text, words / 2)) > words / 2)
        __builtin_trap();
    if (mr_keywords(text, lang[data[0] % 8], 10, &a, &k, &n, NULL) || n > 10)
        __builtin_trap();
    for (size_t i = 0; i < n; i++)
        if (!(k[i].relevance > 0 && k[i].relevance <= 1) || !k[i].count || !k[i].text.n)
            __builtin_trap();
    mr_arena_release(&a);
    return 0;
}
