#!/usr/bin/env python3
"""WordPiece in C against Hugging Face's `tokenizers`: the same pieces on every text.

usage: check_wordpiece.py PROGRAM [VOCAB]      PROGRAM: build/<preset>/test_wordpiece
       check_wordpiece.py --write-golden DIR   the small golden file of `make test`

VOCAB: the installed model's (all-minilm-l6-v2/vocab.txt). Needs tokenizers, see
scripts/conformance-nlp. 12,000 texts from a seed, and each of the 1,112,064 code points.
"""

import json
import os
import subprocess
import sys

from nlp_texts import WORDS, every_character, texts
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


def tokenizer(vocab):
    t = Tokenizer(models.WordPiece({w: i for i, w in enumerate(vocab)}, unk_token="[UNK]"))
    t.normalizer = normalizers.BertNormalizer()
    t.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    t.add_special_tokens([w for w in SPECIAL if w in vocab])
    return t


def ours(program, vocab_file, many):
    data = b"".join(len(b).to_bytes(4, "little") + b for b in (t.encode() for t in many))
    out = subprocess.run([program, "encode", vocab_file], input=data, stdout=subprocess.PIPE, check=True)
    return [[int(x) for x in line.split()] for line in out.stdout.decode().split("\n")[:-1]]


def small_vocab():
    letters = "abcdefghijklmnopqrstuvwxyz0123456789.,'-[]$漢東京"
    words = ["the", "river", "stone", "light", "read", "##ing", "##able", "un", "##believ", "cafe",
             "strasse", "stra", "##ß", "##e", "москва", "北", "∞"]
    return SPECIAL + list(letters) + ["##" + c for c in letters[:36]] + words


def write_golden(folder):
    vocab = list(dict.fromkeys(small_vocab()))
    with open(os.path.join(folder, "wordpiece_vocab.txt"), "w", encoding="utf-8") as f:
        f.write("\n".join(vocab) + "\n")
    t = tokenizer(vocab)
    with open(os.path.join(folder, "wordpiece.jsonl"), "w", encoding="utf-8") as f:
        for text in WORDS + texts(240, seed=7):
            f.write(json.dumps({"text": text, "ids": t.encode(text).ids}) + "\n")


def main():
    if sys.argv[1:2] == ["--write-golden"]:
        write_golden(sys.argv[2])
        return 0
    cache = os.environ.get("MILLRACE_CACHE") or os.path.expanduser("~/.cache/millrace")
    vocab_file = sys.argv[2] if len(sys.argv) > 2 else cache + "/models/all-minilm-l6-v2/vocab.txt"
    with open(vocab_file, encoding="utf-8") as f:
        vocab = f.read().split("\n")[:-1]
    t = tokenizer(vocab)
    many = texts(12000) + every_character()
    want = [x.ids for x in t.encode_batch(many)]
    bad = 0
    for text, w, got in zip(many, want, ours(sys.argv[1], vocab_file, many), strict=True):
        if w != got:
            bad += 1
            if bad <= 10:
                print(f"differs: {text!r}\n  want {w}\n  got  {got}")
    print(f"{len(many)} texts, {sum(map(len, want))} pieces, {bad} texts differ")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
