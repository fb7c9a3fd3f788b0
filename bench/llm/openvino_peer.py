#!/usr/bin/env python3
"""bench/llm/openvino_peer.py DIR [--words N] [--output N] [--streams N] [--perplexity TEXT_FILE]

OpenVINO GenAI on the model that bench/llm/openvino_setup.sh prepared in DIR (weights in 4 bits per
output channel, its fastest setting): the same kind of prompts as run.py, greedy and without end
token, figures as one line of JSON in run.py's terms. Runs in that script's environment.
"""
import os
import time

import numpy as np
import openvino as ov
import openvino_genai as genai
import peer_common


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
        return peer_common.prompts(words, streams)

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
    short, whole = run(prompts(), 1), run(prompts(), output + 1)
    return {"prompt": n / prompt_s, "output": streams * output / (whole - short),
            "first_new_ms": prompt_s * 1000,
            "rss_mib": peer_common.rss_mib()}


def score(path, text):
    ids = genai.Tokenizer(path).encode(text).input_ids.data[0]
    request = ov.Core().compile_model(os.path.join(path, "openvino_model.xml"),
                                      "CPU").create_infer_request()

    def logits(window):
        request.reset_state()
        out = request.infer({
            "input_ids": window, "attention_mask": np.ones_like(window),
            "position_ids": np.arange(512)[None], "beam_idx": np.zeros(1, np.int32)})
        return next(iter(out.values()))[0]

    return peer_common.perplexity(ids, logits)


if __name__ == "__main__":
    peer_common.main(__doc__, speed, score)
