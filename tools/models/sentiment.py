#!/usr/bin/env python3
"""Makes the sentiment model: word lists, and a classifier trained on VADER's rated sentences.

usage: sentiment.py OUT_DIR VADER_SDIST TEXTBLOB_WHEEL     (unpacked; MODELS_DIR has all-minilm-l6-v2)
       sentiment.py --evaluate VADER_SDIST PROGRAM [LIMIT]
                    accuracy on the held-out fifth, scored in C by PROGRAM (test_sentiment)

Training: the 23,703 sentences of hutto_ICWSM_2014 with the mean of their ratings (-4 … 4), in three
classes at +-0.5. A fifth is held out by the hash of its text. Features: the MiniLM embedding,
VADER's four scores, three of TextBlob's lexicon. A network with one hidden layer; the seed is
fixed, so a machine makes the same weights again.
"""

import hashlib
import importlib.util
import os
import string
import struct
import subprocess
import sys
import tarfile
import threading

import sentiment_lexicon
from wordpiece import WordPiece

SOURCES = ("tweets", "movieReviewSnippets", "amazonReviewSnippets", "nytEditorialSnippets")
HIDDEN, EPOCHS, BATCH, DECAY, DROP, RATE = 64, 15, 128, 1e-3, 0.3, 2e-3


def ratings(sdist):
    """(source, mean rating, text) of each sentence."""
    with tarfile.open(os.path.join(sdist, "additional_resources", "hutto_ICWSM_2014.tar.gz")) as t:
        for source in SOURCES:
            f = t.extractfile(f"hutto_ICWSM_2014/{source}_GroundTruth.txt")
            for line in f.read().decode("utf-8", "replace").split("\n"):
                parts = line.rstrip("\r").split("\t")
                if len(parts) >= 3:
                    yield source, float(parts[1]), "\t".join(parts[2:]).strip()


def held_out(text):
    return hashlib.sha256(text.encode()).digest()[0] < 51  # of 256: a fifth


def label(rating):
    return 2 if rating >= 0.5 else 0 if rating <= -0.5 else 1


# --- features -----------------------------------------------------------------------------------
def embeddings(texts, folder):
    """Mean of the last hidden state over the word pieces, length 1; alike lengths run together."""
    import numpy as np
    import onnxruntime as ort

    pieces = WordPiece(os.path.join(folder, "vocab.txt"))
    ids = [pieces.encode(t) for t in texts]
    order = sorted(range(len(ids)), key=lambda i: len(ids[i]))
    batches = []
    for i in order:
        if batches and len(batches[-1]) < 64 and (len(batches[-1]) + 1) * len(ids[i]) <= 512:
            batches[-1].append(i)
        else:
            batches.append([i])
    out = np.zeros((len(ids), 384), np.float32)
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1

    def work(mine):
        session = ort.InferenceSession(os.path.join(folder, "model.onnx"), options,
                                       providers=["CPUExecutionProvider"])
        for batch in mine:
            x = np.zeros((len(batch), max(len(ids[i]) for i in batch)), np.int64)
            mask = np.zeros_like(x)
            for row, i in enumerate(batch):
                x[row, : len(ids[i])] = ids[i]
                mask[row, : len(ids[i])] = 1
            h = session.run(None, {"input_ids": x, "attention_mask": mask,
                                   "token_type_ids": np.zeros_like(x)})[0]
            v = (h * mask[:, :, None]).sum(1) / mask.sum(1, keepdims=True)
            out[batch] = v / np.linalg.norm(v, axis=1, keepdims=True)

    n = min(os.cpu_count() or 1, 4)
    threads = [threading.Thread(target=work, args=(batches[k::n],)) for k in range(n)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert (abs((out**2).sum(1) - 1) < 1e-3).all()
    return out


def lexical(texts, sdist, textblob):
    """VADER's scores by its own code; polarity, subjectivity and share of TextBlob's words."""
    import numpy as np

    spec = importlib.util.spec_from_file_location(
        "vader", os.path.join(sdist, "vaderSentiment", "vaderSentiment.py"))
    vader = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(vader)
    score = vader.SentimentIntensityAnalyzer().polarity_scores
    known = dict(sentiment_lexicon.pattern_words(
        os.path.join(textblob, "textblob", "en", "en-sentiment.xml")))
    out = np.zeros((len(texts), 7), np.float32)
    for row, text in zip(out, texts, strict=True):
        s = score(text)
        words = text.split()
        found = [w.strip(string.punctuation).lower() for w in words]
        found = [known[w] for w in found if w in known]
        n = max(len(found), 1)
        row[:] = (s["compound"], s["pos"], s["neg"], s["neu"], sum(f[0] for f in found) / n,
                  sum(f[1] for f in found) / n, len(found) / max(len(words), 1))
    return out


# --- training -----------------------------------------------------------------------------------
def train(x, y):
    """W1, b1, W2, b2 of softmax(relu(x W1 + b1) W2 + b2), by Adam with a cosine rate."""
    import numpy as np

    r = np.random.RandomState(0)
    n, d = x.shape
    mean, scale = x.mean(0), np.ones(d, np.float32)
    scale[:384] = 20  # numbers of a unit vector are small
    x = ((x - mean) * scale).astype(np.float32)
    w = [r.randn(d, HIDDEN).astype(np.float32) / np.float32(d**0.5), np.zeros(HIDDEN, np.float32),
         r.randn(HIDDEN, 3).astype(np.float32) / np.float32(HIDDEN**0.5), np.zeros(3, np.float32)]
    m, v = [np.zeros_like(p) for p in w], [np.zeros_like(p) for p in w]
    target = np.eye(3, dtype=np.float32)[y]
    step, steps = 0, EPOCHS * -(-n // BATCH)
    for _ in range(EPOCHS):
        order = r.permutation(n)
        for k in range(0, n, BATCH):
            i = order[k : k + BATCH]
            a = x[i] @ w[0] + w[1]
            keep = (r.rand(*a.shape) > DROP).astype(np.float32) / np.float32(1 - DROP)
            h = np.maximum(a, 0) * keep
            z = h @ w[2] + w[3]
            p = np.exp(z - z.max(1, keepdims=True))
            p /= p.sum(1, keepdims=True)
            g = (p - target[i]) / len(i)
            back = (g @ w[2].T) * keep * (a > 0)
            grads = [x[i].T @ back + DECAY * w[0], back.sum(0), h.T @ g + DECAY * w[2], g.sum(0)]
            step += 1
            rate = RATE * 0.5 * (1 + np.cos(np.pi * step / steps))
            for q in range(4):
                m[q] = 0.9 * m[q] + 0.1 * grads[q]
                v[q] = 0.999 * v[q] + 0.001 * grads[q] ** 2
                w[q] = w[q] - rate * (m[q] / (1 - 0.9**step)) / (np.sqrt(v[q] / (1 - 0.999**step)) + 1e-8)
    first = w[0] * scale[:, None]  # centring and scale become part of the first layer
    return [a.astype(np.float32) for a in (first, w[1] - mean @ first, w[2], w[3])]


def write_classifier(path, weights):
    with open(path, "wb") as f:
        f.write(b"MRSC" + struct.pack("<4I", 1, weights[0].shape[0], HIDDEN, 3))
        for a in weights:
            f.write(a.astype("<f4").tobytes())


def make(out, sdist, textblob):
    import numpy as np

    sentiment_lexicon.write(os.path.join(out, "lexicon.tsv"), sdist, textblob)
    rows = [r for r in ratings(sdist) if not held_out(r[2])]
    texts = [r[2] for r in rows]
    x = np.concatenate([embeddings(texts, os.path.join(os.environ["MODELS_DIR"], "all-minilm-l6-v2")),
                        lexical(texts, sdist, textblob)], 1)
    write_classifier(os.path.join(out, "classifier.bin"), train(x, np.array([label(r[1]) for r in rows])))


# --- evaluation ---------------------------------------------------------------------------------
def evaluate(sdist, program, limit):
    rows = [r for r in ratings(sdist) if held_out(r[2])][:limit]
    data = b"".join(len(b).to_bytes(4, "little") + b for b in (r[2].encode() for r in rows))
    run = subprocess.run([program, "classify"], input=data, stdout=subprocess.PIPE, check=True)
    got = [line.split() for line in run.stdout.decode().split("\n")[:-1]]
    names = ("negative", "neutral", "positive")
    print(f"{'source':<24}{'sentences':>10}{'three classes':>15}{'two classes':>13}")
    for source in (*SOURCES, None):
        mine = [(label(r[1]), g) for r, g in zip(rows, got, strict=True) if source in (None, r[0])]
        if not mine:
            continue
        three = sum(names[y] == g[0] for y, g in mine) / len(mine)
        rated = [(y, float(g[2]) > 0) for y, g in mine if y != 1]
        two = sum((y == 2) == up for y, up in rated) / max(len(rated), 1)
        print(f"{source or 'all':<24}{len(mine):>10}{three:>14.1%}{two:>13.1%}")


def main():
    if sys.argv[1] == "--evaluate":
        evaluate(sys.argv[2], sys.argv[3], int(sys.argv[4]) if len(sys.argv) > 4 else None)
    else:
        make(*sys.argv[1:4])


if __name__ == "__main__":
    main()
