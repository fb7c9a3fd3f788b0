#!/usr/bin/env python3
"""bench/llm/openvino_peer.py DIR [--words N] [--output N] [--streams N] [--perplexity TEXT_FILE]

OpenVINO GenAI on the model that bench/llm/openvino_setup.sh prepared in DIR (weights in 4 bits per
output channel, its fastest setting): the same kind of prompts as run.py, greedy and without end
token, figures as one line of JSON in run.py's terms. Runs in that script's environment.
"""
import argparse
import json
import math
import os
import random
import resource
import time

import numpy as np
import openvino as ov
import openvino_genai as genai

WORDS = ("river stone over green walk seven light under house cold bring paper north quick song "
         "table").split()


def config(tokens):
    c = genai.GenerationConfig()
    c.max_new_tokens = tokens
    c.ignore_eos = True
    c.do_sample = False
    return c


def speed(path, words, output, streams):
    if streams == 1:
        pipe = genai.LLMPipeline(path, "CPU")
    else:
        schedule = genai.SchedulerConfig()
        schedule.max_num_seqs = streams
        schedule.dynamic_split_fuse = False
        pipe = genai.LLMPipeline(path, "CPU", scheduler_config=schedule)
    tokenizer = pipe.get_tokenizer()

    def prompts():
        return [" ".join(random.choices(WORDS, k=words)) for _ in range(streams)]

    def run(texts, tokens):
        start = time.perf_counter()
        pipe.generate(texts, config(tokens))
        return time.perf_counter() - start

    # Chat templates would add words of their own.
    tokenizer.set_chat_template("{% for m in messages %}{{ m['content'] }}{% endfor %}")
    for _ in range(2):  # the first prompts are 2-3 times slower
        run(prompts(), 4)
    texts = prompts()
    n = sum(tokenizer.encode(t).input_ids.shape[1] for t in texts)
    prompt_s = run(texts, 1)
    texts = prompts()
    short, whole = run(texts, 1), None
    texts = prompts()
    whole = run(texts, output + 1)
    return {"prompt": n / prompt_s, "output": streams * output / (whole - short),
            "first_new_ms": prompt_s * 1000,
            "rss_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}


def perplexity(path, file):
    """As llama-perplexity -c 512: windows of 512 tokens, the second half of each scored."""
    tokenizer = genai.Tokenizer(path)
    with open(file, encoding="utf-8") as f:
        ids = tokenizer.encode(f.read()).input_ids.data[0]
    request = ov.Core().compile_model(os.path.join(path, "openvino_model.xml"),
                                      "CPU").create_infer_request()
    nll, count = 0.0, 0
    for at in range(0, len(ids) - 511, 512):
        window = ids[at:at + 512][None].astype(np.int64)
        request.reset_state()
        logits = request.infer({
            "input_ids": window, "attention_mask": np.ones_like(window),
            "position_ids": np.arange(512)[None], "beam_idx": np.zeros(1, np.int32)})
        rows = next(iter(logits.values()))[0].astype(np.float64)[256:511]
        rows -= rows.max(axis=1, keepdims=True)
        picked = rows[np.arange(255), window[0, 257:]] - np.log(np.exp(rows).sum(axis=1))
        nll -= picked.sum()
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
