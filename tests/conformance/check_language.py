#!/usr/bin/env python3
"""fastText's language model in C against fastText: the same label and probability on every line.

usage: check_language.py PROGRAM [MODEL]   PROGRAM: build/<preset>/test_language

MODEL: the installed lid-176/lid.176.ftz. Needs fasttext-predict, see scripts/conformance-nlp.
"""

import os
import random
import subprocess
import sys

import fasttext
from nlp_texts import texts

DATA = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "data", "nlp", "languages.tsv")


def main():
    cache = os.environ.get("MILLRACE_CACHE") or os.path.expanduser("~/.cache/millrace")
    path = sys.argv[2] if len(sys.argv) > 2 else cache + "/models/lid-176/lid.176.ftz"
    with open(DATA, encoding="utf-8") as f:
        sentences = [line.rstrip("\n").split("\t")[1] for line in f]
    r = random.Random(1)
    many = sentences + [w for s in sentences for w in s.split()]
    many += [" ".join(r.sample(s.split(), min(3, len(s.split())))) for s in sentences]
    many += [t.replace("\n", " ") for t in texts(9000, seed=3)]
    model = fasttext.load_model(path)
    data = b"".join(len(b).to_bytes(4, "little") + b for b in (t.encode() for t in many))
    out = subprocess.run([sys.argv[1], "predict", path], input=data, stdout=subprocess.PIPE, check=True)
    bad = 0
    for text, line in zip(many, out.stdout.decode().split("\n")[:-1], strict=True):
        labels, probs = model.predict(text, k=2)
        got, p = line.split()
        tie = len(probs) > 1 and abs(probs[0] - probs[1]) < 1e-6
        if (labels[0] != "__label__" + got and not tie) or abs(float(p) - min(probs[0], 1)) > 1e-4:
            bad += 1
            if bad <= 10:
                print(f"differs: {text!r}: want {labels[0]} {probs[0]:.6f}, got {line}")
    print(f"{len(many)} texts, {bad} differ")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
