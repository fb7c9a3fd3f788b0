#!/usr/bin/env python3
"""bench/llm/ort_peer.py DIR [--words N] [--output N] [--streams N] [--perplexity TEXT_FILE]

onnxruntime-genai on the model that bench/llm/ort_setup.sh prepared in DIR (weights in 4 bits by
blocks of 32, accuracy level 4, its fastest setting): prompts like those of run.py, greedy, figures
as one line of JSON in run.py's terms. Its batches are static: all streams begin and end
together, so eight streams flatter it.
"""
import argparse
import json
import math
import os
import random
import resource
import time

import numpy as np
import onnxruntime as ort
import onnxruntime_genai as genai

WORDS = ("river stone over green walk seven light under house cold bring paper north quick song "
         "table").split()


def speed(path, words, output, streams):
    model = genai.Model(path)
    tokenizer = genai.Tokenizer(model)

    def run():
        prompts = [" ".join(random.choices(WORDS, k=words)) for _ in range(streams)]
        tokens = [list(tokenizer.encode(p)) for p in prompts]
        least = min(map(len, tokens))
        batch = np.array([t[:least] for t in tokens], dtype=np.int32)
        params = genai.GeneratorParams(model)
        params.set_search_options(do_sample=False, max_length=least + output + 1,
                                  min_length=least + output + 1, batch_size=streams)
        generator = genai.Generator(model, params)
        start = time.perf_counter()
        generator.append_tokens(batch)
        generator.generate_next_token()
        first = time.perf_counter()
        for _ in range(output):
            generator.generate_next_token()
        return batch.size / (first - start), output * streams / (time.perf_counter() - first), \
            (first - start) * 1000

    run()
    prompt, out, first = run()
    return {"prompt": prompt, "output": out, "first_new_ms": first,
            "rss_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}


def perplexity(path, file):
    """As llama-perplexity -c 512: windows of 512 tokens, the second half of each scored."""
    tokenizer = genai.Tokenizer(genai.Model(path))
    with open(file, encoding="utf-8") as f:
        ids = np.array(tokenizer.encode(f.read()), dtype=np.int64)
    session = ort.InferenceSession(os.path.join(path, "model.onnx"))
    empty = {i.name: np.zeros((1, i.shape[1], 0, 64), np.float32)
             for i in session.get_inputs() if i.name.startswith("past")}
    nll, count = 0.0, 0
    for at in range(0, len(ids) - 511, 512):
        window = ids[at:at + 512][None]
        rows = session.run(["logits"], {"input_ids": window,
                                        "attention_mask": np.ones_like(window), **empty})[0]
        rows = rows[0].astype(np.float64)[256:511]
        rows -= rows.max(axis=1, keepdims=True)
        nll -= (rows[np.arange(255), window[0, 257:]] - np.log(np.exp(rows).sum(axis=1))).sum()
        count += 255
    return math.exp(nll / count)


def main():
    ap = argparse.ArgumentParser(description=__doc__)
    ap.add_argument("dir")
    ap.add_argument("--words", type=int, default=250)
    ap.add_argument("--output", type=int, default=64)
    ap.add_argument("--streams", type=int, default=1)
    ap.add_argument("--perplexity", metavar="TEXT_FILE")
    a = ap.parse_args()
    if a.perplexity:
        print(f"{perplexity(a.dir, a.perplexity):.2f}")
    else:
        print(json.dumps(speed(a.dir, a.words, a.output, a.streams)))


if __name__ == "__main__":
    main()
