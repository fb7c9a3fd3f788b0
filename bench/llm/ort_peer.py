#!/usr/bin/env python3
"""bench/llm/ort_peer.py DIR [--words N] [--output N] [--streams N] [--perplexity TEXT_FILE]

onnxruntime-genai on the model that bench/llm/ort_setup.sh prepared in DIR (weights in 4 bits by
blocks of 32, accuracy level 4, its fastest setting): prompts like those of run.py, greedy, figures
as one line of JSON in run.py's terms. Its batches are static: all streams begin and end
together, so eight streams flatter it.
"""
import os
import time

import numpy as np
import onnxruntime as ort
import onnxruntime_genai as genai
import peer_common


def speed(path, words, output, streams):
    model = genai.Model(path)
    tokenizer = genai.Tokenizer(model)

    def run():
        tokens = [list(tokenizer.encode(p)) for p in peer_common.prompts(words, streams)]
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
            "rss_mib": peer_common.rss_mib()}


def score(path, text):
    ids = genai.Tokenizer(genai.Model(path)).encode(text)
    session = ort.InferenceSession(os.path.join(path, "model.onnx"))
    empty = {i.name: np.zeros((1, i.shape[1], 0, 64), np.float32)
             for i in session.get_inputs() if i.name.startswith("past")}

    def logits(window):
        return session.run(["logits"], {"input_ids": window,
                                        "attention_mask": np.ones_like(window), **empty})[0][0]

    return peer_common.perplexity(ids, logits)


if __name__ == "__main__":
    peer_common.main(__doc__, speed, score)
