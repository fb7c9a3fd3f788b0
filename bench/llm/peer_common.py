"""What the engines of other makes share in bench/llm: prompts, a perplexity as llama-perplexity's, a
command line and one line of JSON in run.py's terms."""
import argparse
import json
import math
import random
import resource

import numpy as np

_WORDS = ("river stone over green walk seven light under house cold bring paper north quick song "
          "table").split()


def prompts(words, streams):
    return [" ".join(random.choices(_WORDS, k=words)) for _ in range(streams)]


def rss_mib():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def perplexity(ids, logits):
    """Windows of 512 tokens, the second half of each scored; logits(window) is (512, vocabulary)."""
    nll, count = 0.0, 0
    for at in range(0, len(ids) - 511, 512):
        window = np.asarray(ids[at:at + 512], dtype=np.int64)
        rows = logits(window[None]).astype(np.float64)[256:511]
        rows -= rows.max(axis=1, keepdims=True)
        nll -= (rows[np.arange(255), window[257:]] - np.log(np.exp(rows).sum(axis=1))).sum()
        count += 255
    return math.exp(nll / count)


def main(doc, speed, score):
    """speed(dir, words, output, streams) -> figures; score(dir, text) -> perplexity."""
    ap = argparse.ArgumentParser(description=doc)
    ap.add_argument("dir")
    ap.add_argument("--words", type=int, default=250)
    ap.add_argument("--output", type=int, default=64)
    ap.add_argument("--streams", type=int, default=1)
    ap.add_argument("--perplexity", metavar="TEXT_FILE")
    a = ap.parse_args()
    if a.perplexity:
        with open(a.perplexity, encoding="utf-8") as f:
            print(f"{score(a.dir, f.read()):.2f}")
    else:
        print(json.dumps(speed(a.dir, a.words, a.output, a.streams)))
