#!/usr/bin/env python3
"""Writes small fastText models of random numbers, and what fastText predicts with them.

usage: make_fasttext.py OUT_DIR     (needs fasttext-predict, see scripts/conformance-nlp)

tiny_hs.ftz: quantised, pruned, norms apart, hierarchical softmax; tiny_softmax.bin: dense, n-grams
of words; tiny_ova.bin: dense, sigmoids. fasttext.jsonl: texts with label and probability of each.
"""

import json
import os
import random
import struct
import sys

DIM, LABELS = 6, ["en", "de", "fr", "it", "pl", "fi", "sv"]
WORDS = ["</s>", "the", "der", "les", "il", "nie", "ja", "och", "über"]


def args(loss, word_ngrams, bucket):
    return struct.pack("<2i12id", 793712314, 12, DIM, 5, 5, 1, 5, word_ngrams, loss, 3, bucket, 2, 4,
                       100, 1e-4)


def dictionary(pruned):
    out = struct.pack("<3i2q", len(WORDS) + len(LABELS), len(WORDS), len(LABELS), 1000, pruned)
    for k, w in enumerate(WORDS):
        out += w.encode() + b"\0" + struct.pack("<qb", 900 - k, 0)
    for k, w in enumerate(LABELS):
        out += b"__label__" + w.encode() + b"\0" + struct.pack("<qb", 100 - 9 * k, 1)
    return out


def floats(r, n, scale=1.0):
    return struct.pack(f"<{n}f", *(r.gauss(0, scale) for _ in range(n)))


def dense(r, rows):
    return struct.pack("<2q", rows, DIM) + floats(r, rows * DIM, 0.9)


def quantised(r, rows):
    nsubq, dsub, last = (DIM + 3) // 4, 4, DIM % 4 or 4
    out = struct.pack("<?2qi", True, rows, DIM, rows * nsubq)
    out += bytes(r.randrange(256) for _ in range(rows * nsubq))
    out += struct.pack("<4i", DIM, nsubq, dsub, last) + floats(r, DIM * 256, 2)
    out += bytes(r.randrange(256) for _ in range(rows))
    return out + struct.pack("<4i", 1, 1, 1, 1) + floats(r, 256)


def models():
    r = random.Random(4)
    bucket, kept = 1000, 300
    table = b"".join(struct.pack("<2i", k * 3, k) for k in range(kept))
    yield "tiny_hs.ftz", (args(1, 1, bucket) + dictionary(kept) + table + b"\1" +
                          quantised(r, len(WORDS) + kept) + b"\0" + dense(r, len(LABELS)))
    bucket = 40
    for name, loss, ngrams in (("tiny_softmax.bin", 3, 3), ("tiny_ova.bin", 4, 1)):
        yield name, (args(loss, ngrams, bucket) + dictionary(-1) + b"\0" +
                     dense(r, len(WORDS) + bucket) + b"\0" + dense(r, len(LABELS)))


def texts():
    r = random.Random(5)
    some = WORDS[1:] + ["haus", "maison", "città", "東京", "a", "__label__en", "__label__xx", "x\u200by", "ß"]
    yield ""
    for _ in range(60):
        yield r.choice([" ", " ", "\t", "  "]).join(r.choice(some) for _ in range(r.randrange(1, 9)))


def main():
    import fasttext

    out = sys.argv[1]
    loaded = {}
    for name, data in models():
        with open(os.path.join(out, name), "wb") as f:
            f.write(data)
        loaded[name] = fasttext.load_model(os.path.join(out, name))
    with open(os.path.join(out, "fasttext.jsonl"), "w", encoding="utf-8") as f:
        for text in texts():
            line = {"text": text}
            for name, m in loaded.items():
                labels, probs = m.predict(text)
                line[name] = [labels[0].removeprefix("__label__"), float(probs[0])]
            f.write(json.dumps(line) + "\n")


if __name__ == "__main__":
    main()
