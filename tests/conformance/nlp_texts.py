"""Texts for the checks of the NLP parts: made here from a seed, nothing is copied."""

import random
import unicodedata

WORDS = (
    "the a of and to in that it with as for was on are by this river stone light market number seven "
    "engine purple quickly reading unbelievable antidisestablishmentarianism café naïve résumé Ångström "
    "Straße ISTANBUL İstanbul don't we're U.S.A. e-mail C++ 3.14 1,000,000 100% $5 €20 #tag @name "
    "snow☃man über façade coöperate señor jalapeño 東京 北京 서울 Москва Αθήνα القاهرة תל दिल्ली กรุงเทพ "
    "hello,world foo_bar x86_64 v2.0-rc1 http://a.b/c?d=e [SEP] [CLS] [MASK] [PAD] [UNK] [sep] [ SEP ] "
    "\u0130 \u212b \u1e9b\u0323 \ufb01ne \u01c4 \u00ad soft\u00adhyphen zero\u200bwidth \ufeffbom nbsp\u00a0x"
).split(" ")
BLOCKS = [
    (0x20, 0x7F), (0x80, 0x250), (0x250, 0x370), (0x300, 0x370), (0x370, 0x530), (0x530, 0x700),
    (0x700, 0xA00), (0xA00, 0x1100), (0x1100, 0x1700), (0x1700, 0x1E00), (0x1DC0, 0x2000),
    (0x2000, 0x2C00), (0x2C00, 0x3100), (0x3100, 0x4E00), (0x4E00, 0xA000), (0xA000, 0xAC00),
    (0xAC00, 0xD800), (0xE000, 0xF900), (0xF900, 0x10000), (0x10000, 0x11000), (0x11000, 0x13000),
    (0x13000, 0x1D000), (0x1D000, 0x1E000), (0x1E000, 0x20000), (0x20000, 0x32000),
    (0x32000, 0xE0000), (0xE0000, 0xE0200), (0xE0200, 0x110000),
]


def from_block(r, n):
    lo, hi = r.choice(BLOCKS)
    return "".join(chr(r.randrange(lo, hi)) for _ in range(n))


def texts(n, seed=1):
    """n texts: sentences of words, characters of every block, mixtures, floods of marks."""
    r = random.Random(seed)
    marks = [chr(c) for c in range(0x110000) if unicodedata.combining(chr(c))]
    out = []
    for k in range(n):
        kind = k % 6
        if kind == 0:
            t = " ".join(r.choice(WORDS) for _ in range(r.randrange(1, 30)))
        elif kind == 1:
            t = from_block(r, r.randrange(1, 40))
        elif kind == 2:
            t = " ".join(from_block(r, r.randrange(1, 6)) if r.random() < 0.5 else r.choice(WORDS)
                         for _ in range(r.randrange(1, 20)))
        elif kind == 3:
            t = "".join(r.choice("ab é") + "".join(r.choice(marks) for _ in range(r.randrange(0, 5)))
                        for _ in range(r.randrange(1, 20)))
        elif kind == 4:
            t = "".join(r.choice(["a", "b", "ab", "é", "-", "[SEP]", "\t", "\n", "\0", "\r\n", "漢"])
                        for _ in range(r.randrange(1, 150)))
        else:
            w = r.choice(WORDS)
            t = "".join(c.upper() if r.random() < 0.3 else c for c in w * r.randrange(1, 20))
        out.append(t)
    return out


def every_character():
    """Each code point within a word, each once: 32 a text."""
    cps = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000]
    return ["".join(f"a{chr(c)}b " for c in cps[k : k + 32]) for k in range(0, len(cps), 32)]
