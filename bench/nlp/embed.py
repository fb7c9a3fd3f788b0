#!/usr/bin/env python3
"""Sentence embeddings and sentiment against onnxruntime with Hugging Face's tokenizers in Python.

usage: embed.py PROGRAM SDIST [TEXTS [ROUNDS]]     (in the environment of scripts/conformance-nlp)

PROGRAM: build/release/bench_embed. SDIST: vaderSentiment's unpacked source package, of which TEXTS
(200) of the rated sentences are taken at even distances. Both sides have the same model file and
two threads of work; they take turns, medians of ROUNDS (5) are shown. What is compared:
  one     text by text: what a request waits for
  all     all texts at once: batches of alike length on both sides
  sentiment (ours alone): text by text, embedding and word lists and network
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "tools", "models"))
from sentiment import ratings


class Peer:
    def __init__(self, folder):
        import onnxruntime as ort
        from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

        with open(os.path.join(folder, "vocab.txt"), encoding="utf-8") as f:
            vocab = {w: k for k, w in enumerate(f.read().split("\n")[:-1])}
        self.tokenizer = Tokenizer(models.WordPiece(vocab, unk_token="[UNK]"))
        self.tokenizer.normalizer = normalizers.BertNormalizer()
        self.tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        self.tokenizer.post_processor = processors.BertProcessing(
            ("[SEP]", vocab["[SEP]"]), ("[CLS]", vocab["[CLS]"]))
        self.tokenizer.enable_truncation(256)
        options = ort.SessionOptions()
        options.intra_op_num_threads = 2
        self.session = ort.InferenceSession(os.path.join(folder, "model.onnx"), options,
                                            providers=["CPUExecutionProvider"])

    def run(self, ids):
        import numpy as np

        x = np.zeros((len(ids), max(map(len, ids))), np.int64)
        mask = np.zeros_like(x)
        for row, i in enumerate(ids):
            x[row, : len(i)] = i
            mask[row, : len(i)] = 1
        h = self.session.run(None, {"input_ids": x, "attention_mask": mask,
                                    "token_type_ids": np.zeros_like(x)})[0]
        v = (h * mask[:, :, None]).sum(1) / mask.sum(1, keepdims=True)
        return v / np.linalg.norm(v, axis=1, keepdims=True)

    def one(self, texts):
        for t in texts:
            self.run([self.tokenizer.encode(t).ids])

    def all(self, texts, rows=32):
        """As sentence-transformers' encode: sorted by length, batches of 32."""
        import numpy as np

        ids = [x.ids for x in self.tokenizer.encode_batch(texts)]
        order = sorted(range(len(ids)), key=lambda i: -len(ids[i]))
        out = np.zeros((len(ids), 384), np.float32)
        for k in range(0, len(order), rows):
            out[order[k : k + rows]] = self.run([ids[i] for i in order[k : k + rows]])
        return out


def timed(f, texts):
    from_ = time.perf_counter()
    f(texts)
    return time.perf_counter() - from_


def main():
    import numpy as np

    program, sdist = sys.argv[1:3]
    count, rounds = (int(x) for x in (sys.argv[3:5] + ["200", "5"][len(sys.argv[3:5]):]))
    every = [" ".join(r[2].split()) for r in ratings(sdist)]
    texts = every[:: len(every) // count][:count]
    cache = os.environ.get("MILLRACE_CACHE") or os.path.expanduser("~/.cache/millrace")
    models = os.path.join(cache, "models")
    peer = Peer(os.path.join(models, "all-minilm-l6-v2"))
    with tempfile.TemporaryDirectory() as tmp:
        name, out = os.path.join(tmp, "texts"), os.path.join(tmp, "vectors")
        with open(name, "w", encoding="utf-8") as f:
            f.write("\n".join(texts) + "\n")
        ours = subprocess.Popen([program, models, name, out], stdin=subprocess.PIPE,
                                stdout=subprocess.PIPE, text=True)

        def ask(what):
            ours.stdin.write(what + "\n")
            ours.stdin.flush()
            return float(ours.stdout.readline())

        seen = {"one": ([], []), "all": ([], [])}
        feeling = []
        ask("all")
        for _ in range(rounds):
            for what, (mine, theirs) in seen.items():
                mine.append(ask(what))
                theirs.append(timed(getattr(peer, what), texts))
            feeling.append(ask("sentiment"))
        ours.stdin.close()
        ours.wait()
        v = np.fromfile(out, np.float32).reshape(len(texts), -1)
    cosine = (v * peer.all(texts)).sum(1)
    print(f"{len(texts)} texts, least cosine of the two sides' vectors {cosine.min():.6f}")
    for what, (mine, theirs) in seen.items():
        a, b = statistics.median(mine), statistics.median(theirs)
        print(f"{what:<10}{a / len(texts) * 1e3:8.2f} ms a text, onnxruntime in Python "
              f"{b / len(texts) * 1e3:8.2f} ms: {b / a:.2f}x")
    print(f"sentiment {statistics.median(feeling) / len(texts) * 1e3:8.2f} ms a text")


if __name__ == "__main__":
    main()
