/* What BERT's uncased normaliser does with each character; tables by tools/gen_wordpiece.py. */
#ifndef MR_ENGINE_NLP_WORDPIECE_TABLES_H
#define MR_ENGINE_NLP_WORDPIECE_TABLES_H

#include <stddef.h>
#include <stdint.h>

enum mr_wp_flag {
    MR_WP_DROP = 1,    /* control characters and the like: removed */
    MR_WP_SPACE = 2,   /* white space */
    MR_WP_CJK = 4,     /* a word of its own */
    MR_WP_REMOVED = 8, /* a mark: stripping accents removes it */
    MR_WP_BREAK = 16,  /* removed, but marks are not reordered across it */
    MR_WP_MAPPED = 32, /* decomposition, stripping or lower case changes it (Hangul apart) */
    MR_WP_PUNCT = 64,  /* punctuation: a word of its own */
    MR_WP_CLASS = 128, /* a mark that stays: marks in a row are ordered by class */
};

extern const uint16_t mr_wp_stage1[0x110000 >> 7];
extern const uint8_t mr_wp_stage2[];
extern const uint32_t mr_wp_map_n, mr_wp_map_cp[], mr_wp_map_pool[];
extern const uint16_t mr_wp_map_off[]; /* map_n + 1 */
extern const uint32_t mr_wp_class_n, mr_wp_class_cp[];
extern const uint8_t mr_wp_class_rank[];

static inline uint8_t mr_wp_flags(uint32_t cp) {
    return mr_wp_stage2[(size_t)mr_wp_stage1[cp >> 7] << 7 | (cp & 127)];
}

#endif
