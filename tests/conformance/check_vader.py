#!/usr/bin/env python3
"""VADER in C against vaderSentiment: the same scores on every text.

usage: check_vader.py PROGRAM [LEXICON]   PROGRAM: build/<preset>/test_vader
       check_vader.py --write-golden DIR  the small golden file of `make test`

LEXICON: the installed model's (vader-minilm-sentiment/lexicon.tsv). Needs vaderSentiment, see
scripts/conformance-nlp. Compounds must agree to 1e-4, shares to 1e-3 (it rounds to that).
"""

import json
import os
import random
import subprocess
import sys

from nlp_texts import texts
from vaderSentiment.vaderSentiment import (BOOSTER_DICT, NEGATE, SPECIAL_CASES,
                                           SentimentIntensityAnalyzer)

FILLERS = "the a film it was is I they said room but and of kind least at very so this never no or " \
          "nor doubt without table walked yesterday BUT So NO".split()


def lexicon_texts(n, seed, analyzer):
    """Rated words among degree words, negations, idioms, emoji, capitals and punctuation."""
    r = random.Random(seed)
    rated, emoji = list(analyzer.lexicon), list(analyzer.emojis)
    pick = [lambda: r.choice(rated), lambda: r.choice(FILLERS), lambda: r.choice(FILLERS),
            lambda: r.choice(list(BOOSTER_DICT)), lambda: r.choice(NEGATE),
            lambda: r.choice(list(SPECIAL_CASES)), lambda: r.choice(emoji),
            lambda: r.choice(["good", "bad", "GREAT", "terrible,", "(nice)", ":)", ":D", "!", "??", "???"])]
    out = []
    for _ in range(n):
        words = [r.choice(pick)() for _ in range(r.randrange(1, 16))]
        words = [w.upper() if r.random() < 0.1 else w for w in words]
        glue = "" if r.random() < 0.02 else " "
        out.append(glue.join(words) + r.choice(["", "", ".", "!", "!!!!!", "?", "??", "?!?!"]))
    return out


def small_lexicon(path, analyzer):
    """Our own words and values, in the shape of the real file."""
    rows = [("valence", w, v) for w, v in
            (("good", 1.9), ("bad", -2.5), ("great", 3.1), ("kind", 2.4), ("no", -1.2), (":)", 2.0),
             ("hate", -2.7), ("love", 3.2), ("fine", 0.8), ("least", 0.1), ("the bomb", 1.0))]
    rows += [("booster", "very", 0.3), ("booster", "barely", -0.3), ("booster", "sort of", -0.3)]
    rows += [("negation", "not"), ("negation", "never"), ("negation", "without")]
    rows += [("special", "bad day", -3.0), ("special", "to love for", 2.0)]
    rows += [("emoji", "\u2764", "red love"), ("pattern", "good", 0.7, 0.6, 1.0)]
    with open(path, "w", encoding="utf-8") as f:
        for row in rows:
            f.write("\t".join(str(x) for x in row) + "\n")
    analyzer.lexicon = {r[1]: r[2] for r in rows if r[0] == "valence"}
    analyzer.emojis = {r[1]: r[2] for r in rows if r[0] == "emoji"}
    import vaderSentiment.vaderSentiment as v

    v.BOOSTER_DICT = {r[1]: r[2] for r in rows if r[0] == "booster"}
    v.NEGATE = [r[1] for r in rows if r[0] == "negation"]
    v.SPECIAL_CASES = {r[1]: r[2] for r in rows if r[0] == "special"}
    return v


def write_golden(folder):
    analyzer = SentimentIntensityAnalyzer()
    small_lexicon(os.path.join(folder, "lexicon.tsv"), analyzer)
    r = random.Random(3)
    words = ("good bad great kind of no :) hate love fine least at very barely sort not never without "
             "doubt so this but the bomb day to for isn't \u2764 Good GREAT NOT, table (bad) walked or nor").split()
    with open(os.path.join(folder, "vader.jsonl"), "w", encoding="utf-8") as f:
        for _ in range(400):
            text = " ".join(r.choice(words) for _ in range(r.randrange(0, 12)))
            text += r.choice(["", "", ".", "!!", "???", "??????"])
            s = analyzer.polarity_scores(text)
            f.write(json.dumps({"text": text, **s}) + "\n")


def main():
    if sys.argv[1:2] == ["--write-golden"]:
        write_golden(sys.argv[2])
        return 0
    analyzer = SentimentIntensityAnalyzer()
    cache = os.environ.get("MILLRACE_CACHE") or os.path.expanduser("~/.cache/millrace")
    lexicon = sys.argv[2] if len(sys.argv) > 2 else cache + "/models/vader-minilm-sentiment/lexicon.tsv"
    many = lexicon_texts(20000, 1, analyzer) + texts(3000, seed=2)
    data = b"".join(len(b).to_bytes(4, "little") + b for b in (t.encode() for t in many))
    out = subprocess.run([sys.argv[1], "score", lexicon], input=data, stdout=subprocess.PIPE, check=True)
    bad, some = 0, 0
    for text, line in zip(many, out.stdout.decode().split("\n")[:-1], strict=True):
        want = analyzer.polarity_scores(text)
        got = dict(zip(("compound", "pos", "neu", "neg"), map(float, line.split()), strict=True))
        some += want["compound"] != 0
        if any(abs(got[k] - want[k]) > (1e-4 if k == "compound" else 1e-3) for k in got):
            bad += 1
            if bad <= 10:
                print(f"differs: {text!r}\n  want {want}\n  got  {got}")
    print(f"{len(many)} texts, {some} of them rated, {bad} differ")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
