#!/usr/bin/env python3
"""Writes text_values.json: what scikit-learn's analyzers make of many strings.

usage: make_text_values.py OUTFILE

Run it with the Python of the newest golden environment (tests/golden/README.md).
"""

import json
import random
import re
import sys

from sklearn.feature_extraction.text import CountVectorizer, HashingVectorizer
from sklearn.feature_extraction.text import strip_accents_ascii, strip_accents_unicode
from sklearn.utils import murmurhash3_32

CONFIGS = [
    {},
    {"ngram_range": [1, 2]},
    {"ngram_range": [2, 3], "stop_words": "english"},
    {"strip_accents": "unicode"},
    {"strip_accents": "ascii", "ngram_range": [1, 2]},
    {"lowercase": False},
    {"token_pattern": r"\w+"},
    {"token_pattern": r"\S+"},
    {"token_pattern": r"(?u)\b\w+\b", "stop_words": ["the", "is", "été", "и"]},
    {"token_pattern": r"[a-zA-Z]+"},
    {"token_pattern": r"\b[a-z]{3,}\b"},
    {"token_pattern": r"[A-Za-z0-9]+(?=\s+)"},
    {"token_pattern": r"(?u)\b\w\w+\b|!|\?|\"|\'"},
    {"token_pattern": r"[^\W\d_]+"},
    {"token_pattern": r"\b(\w+)\b", "lowercase": False},
    {"token_pattern": r"\w+[-']?\w*"},
    {"token_pattern": r"\d{2,4}\D"},
    {"token_pattern": r"(?:[a-z]\.?)+" , "skip": True},
    {"analyzer": "char", "ngram_range": [1, 3]},
    {"analyzer": "char", "ngram_range": [2, 2], "strip_accents": "unicode"},
    {"analyzer": "char_wb", "ngram_range": [2, 4]},
    {"analyzer": "char_wb", "ngram_range": [1, 5], "lowercase": False, "strip_accents": "ascii"},
    {"analyzer": "char_wb", "ngram_range": [5, 6]},
]
HAND = [
    "", " ", "a", "ab", "The quick brown fox jumps over the lazy dog.", "a  b\t\tc\n\nd \n e",
    "hello   world", "it's 3.14 o'clock -- don't panic!", "snake_case and CamelCase and kebab-case",
    "ΣΊΣΥΦΟΣ Σ ΑΣ ΑΣ. ΑΣΑ Σ.Σ ΑΣ' ΑΣ\u0301 ΑΣ\u0301Α", "İstanbul IŞIK ılık", "ß ẞ ﬁ ﬀ ǅ ǈ",
    "École Été naïve Ångström façade", "e\u0301cole cafe\u0301", "ﷺ ﷻ ㍿ ½ ² ³ ① Ⅷ",
    "한국어 텍스트 가각힣", "日本語のテキスト、テスト。ｶﾞｷﾞ", "中文分词 没有空格", "привет МИР Ёлка",
    "नमस्ते दुनिया", "สวัสดีชาวโลก", "שָׁלוֹם עולם", "مرحبا بالعالم", "😀 emoji 👩‍👩‍👧 text 🇩🇪",
    "x\u00a0y\u2003z\u3000w\u200bv\u2028u\u0085t", "zero\u0000byte \u001c\u001d\u001e\u001f",
    "١٢٣ ४५६ 12 3456 78901 a1b2", "𝔘𝔫𝔦𝔠𝔬𝔡𝔢 𝐁𝐨𝐥𝐝 𐐀𐐁", "Ꭰ Ᏸ Ა Ⴀ ꭰ", "ſ K Å µ μ",
    "!!! ??? '\" wow! really? \"yes\" 'no'", "a" * 300, "word " * 40, "-a- -- a-b-c d'e'f",
    "http://example.org/path?q=1&r=two user@example.org", "don\u2019t \u201cquote\u201d \u2014 dash",
]


def documents():
    rnd = random.Random(7)
    blocks = [(0x20, 0x7F), (0xA0, 0x250), (0x300, 0x370), (0x370, 0x530), (0x590, 0x700),
              (0x900, 0xE00), (0x1E00, 0x2070), (0x2070, 0x2C00), (0x3000, 0x3400), (0xAC00, 0xAD00),
              (0xF900, 0xFB50), (0xFB50, 0xFE00), (0xFE00, 0xFFF0), (0x10400, 0x10450), (0x1D400, 0x1D800)]
    words = "the a is of Data model server Über straße ÉTÉ и Москва ΟΔΟΣ x1 2nd 10,000 e-mail".split()
    docs = list(HAND)
    while len(docs) < 360:
        parts = []
        for _ in range(rnd.randint(1, 8)):
            k = rnd.random()
            if k < 0.5:
                parts.append(rnd.choice(words))
            else:
                a, b = rnd.choice(blocks)
                parts.append("".join(chr(rnd.randrange(a, b)) for _ in range(rnd.randint(1, 6))))
        docs.append("".join(p + rnd.choice([" ", " ", ", ", "  ", "\n", "-", ""]) for p in parts))
    return docs


def all_code_points():
    return [chr(c) for c in range(0x110000) if not 0xD800 <= c < 0xE000]


def digest(strings):
    return murmurhash3_32("\n".join(strings).encode(), seed=0, positive=True)


def main():
    configs = [c for c in CONFIGS if not c.pop("skip", False)]
    analyzers = []
    for c in configs:
        kw = dict(c)
        if "ngram_range" in kw:
            kw["ngram_range"] = tuple(kw["ngram_range"])
        analyzers.append(CountVectorizer(**kw).build_analyzer())
    cases = []
    for i, doc in enumerate(documents()):
        use = range(len(configs)) if i < 12 else [(i * 5 + k * 7) % len(configs) for k in range(3)]
        for k in sorted(set(use)):
            cases.append([k, doc, sorted(analyzers[k](doc), key=lambda s: s.encode())])
    cp = all_code_points()
    out = {
        "configs": configs,
        "cases": cases,
        "code_points": {
            "lower": digest(c.lower() for c in cp),
            "strip_unicode": digest(strip_accents_unicode(c) for c in cp),
            "strip_ascii": digest(strip_accents_ascii(c) for c in cp),
            "word": digest("1" if re.match(r"\w", c) else "0" for c in cp),
            "space": digest("1" if re.match(r"\s", c) else "0" for c in cp),
            "digit": digest("1" if re.match(r"\d", c) else "0" for c in cp),
        },
        "murmur": [[s, murmurhash3_32(s.encode(), seed=0)] for s in documents()[:80]],
    }
    hashing = []
    for kw in ({"n_features": 16}, {"n_features": 8, "alternate_sign": False, "norm": "l1"},
               {"n_features": 4, "binary": True, "norm": None}, {"n_features": 1 << 20}):
        rows = []
        for doc in documents()[:60]:
            m = HashingVectorizer(**kw).transform([doc])
            m.sort_indices()
            rows.append([doc, m.indices.tolist(), m.data.tolist()])
        hashing.append([kw, rows])
    out["hashing"] = hashing
    with open(sys.argv[1], "w", encoding="ascii") as f:
        f.write("{\n")
        f.write(",\n".join(f"{json.dumps(k)}: {json.dumps(v, separators=(',', ':'))}" for k, v in out.items()))
        f.write("\n}\n")


if __name__ == "__main__":
    main()
