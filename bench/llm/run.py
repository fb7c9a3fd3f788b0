#!/usr/bin/env python3
"""bench/llm/run.py [--rounds N] [--perplexity]: our engine against llama-server of the same source.

After bench/llm/setup.sh. Each round runs every engine once, in turn; medians. Prompts are random
words, answers greedy and without end token. "prompt" asks for one token, "output" for the others
of a known prompt, so the two do not mix.
"""
import argparse
import concurrent.futures
import http.client
import json
import os
import random
import re
import socket
import statistics
import subprocess
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
CACHE = os.environ.get("MILLRACE_CACHE") or os.path.join(os.path.expanduser("~"), ".cache",
                                                         "millrace")
BIN = os.path.join(CACHE, "bench-llama", "bin")
SHIPPED = os.path.join(CACHE, "bench-llama", "as-shipped.gguf")
CONVERTED = os.path.join(CACHE, "bench-llama", "converted.gguf")
OURS = os.environ.get("MILLRACE_BENCH_MODEL") or os.path.join(
    CACHE, "models", "smollm2-135m-instruct", "model.gguf")
OUR_LIBRARY = os.environ.get("MILLRACE_LLAMA") or os.path.join(CACHE, "llama", "lib")
# Built in one folder and moved: its libraries are beside it.
PEER_ENV = dict(os.environ, LD_LIBRARY_PATH=BIN)
WORDS = ("river stone over green walk seven light under house cold bring paper north quick song "
         "table").split()


class Server:
    def __init__(self, model, streams):
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            self.port = s.getsockname()[1]
        threads = str(len(os.sched_getaffinity(0)))
        self.proc = subprocess.Popen(
            [os.path.join(BIN, "llama-server"), "-m", model, "--port", str(self.port), "-t",
             threads, "-tb", threads, "-np", str(streams), "-c", str(1024 * max(streams, 8))],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=PEER_ENV)
        for _ in range(600):
            try:
                if self.get("/health") == 200:
                    return
            except OSError:
                pass
            time.sleep(0.1)
        raise SystemExit("llama-server did not start")

    def get(self, path):
        c = http.client.HTTPConnection("127.0.0.1", self.port)
        c.request("GET", path)
        return c.getresponse().status

    def complete(self, prompt, n, slot):
        c = http.client.HTTPConnection("127.0.0.1", self.port)
        c.request("POST", "/completion", json.dumps({
            "prompt": prompt, "n_predict": n, "temperature": 0, "ignore_eos": True,
            "cache_prompt": True, "id_slot": slot}), {"Content-Type": "application/json"})
        return json.loads(c.getresponse().read())

    def stop(self):
        self.proc.terminate()
        self.proc.wait()


def server_round(server, words, output, streams):
    prompts = [" ".join(random.choices(WORDS, k=words)) for _ in range(streams)]
    with concurrent.futures.ThreadPoolExecutor(streams) as pool:
        start = time.perf_counter()
        first = list(pool.map(lambda k: server.complete(prompts[k], 1, k), range(streams)))
        took = time.perf_counter() - start
        start = time.perf_counter()
        server.complete(prompts[0], 1, 0)
        known = time.perf_counter() - start
        start = time.perf_counter()
        rest = list(pool.map(lambda k: server.complete(prompts[k], output, k), range(streams)))
        answers = time.perf_counter() - start
        # As with ours, from the first token to the last: what came before is in the timings.
        answers -= min(r["timings"]["prompt_ms"] for r in rest) / 1000
    tokens = sum(r["tokens_evaluated"] for r in first)
    with open(f"/proc/{server.proc.pid}/statm", encoding="ascii") as f:
        rss = int(f.read().split()[1]) * 4096 / 2**20
    return {"prompt": tokens / took, "output": sum(r["tokens_predicted"] - 1 for r in rest)
            / answers, "first_new_ms": took * 1000, "first_known_ms": known * 1000,
            "rss_mib": rss}


def our_round(words, output, streams):
    out = subprocess.run([os.path.join(ROOT, "build", "release", "bench_llm_engine"), OURS,
                          str(words), str(output), str(streams)], check=True,
                         capture_output=True, text=True).stdout
    return json.loads(out)


def others():
    """Engines of other makes, where their set-up script ran: a process a round."""
    found = {"OpenVINO GenAI, 8 bits": ("bench-openvino", "int8", "openvino_peer.py"),
             "OpenVINO GenAI, 4 bits": ("bench-openvino", "int4", "openvino_peer.py"),
             "onnxruntime-genai, 4 bits": ("bench-ortgenai", "int4", "ort_peer.py")}
    return {name: [os.path.join(CACHE, folder, "venv", "bin", "python"),
                   os.path.join(ROOT, "bench", "llm", script), os.path.join(CACHE, folder, form)]
            for name, (folder, form, script) in found.items()
            if os.path.exists(os.path.join(CACHE, folder, ".of"))}


def other_round(command, words, output, streams):
    out = subprocess.run(command + ["--words", str(words), "--output", str(output), "--streams",
                                    str(streams)], check=True, capture_output=True, text=True)
    return json.loads(out.stdout.splitlines()[-1])


def perplexity(model, library):
    text = "/usr/share/common-licenses/GPL-3"
    out = subprocess.run([os.path.join(BIN, "llama-perplexity"), "-m", model, "-f", text, "-c",
                          "512"], capture_output=True, text=True, check=True,
                         env=dict(os.environ, LD_LIBRARY_PATH=f"{library}:{BIN}"))
    return re.search(r"Final estimate: PPL = (\S+ \+/- \S+)", out.stdout + out.stderr).group(1)


def main():
    ap = argparse.ArgumentParser(description=__doc__)
    ap.add_argument("--rounds", type=int, default=3)
    ap.add_argument("--streams", type=int, nargs="*", default=[1, 8])
    ap.add_argument("--words", type=int, default=250)
    ap.add_argument("--output", type=int, default=64)
    ap.add_argument("--perplexity", action="store_true")
    a = ap.parse_args()
    if a.perplexity:
        for name, model, library in (("our kernels, our file", OURS, OUR_LIBRARY),
                                     ("llama.cpp's, as shipped", SHIPPED, BIN),
                                     ("llama.cpp's, converted", CONVERTED, BIN)):
            print(f"perplexity, {name}: {perplexity(model, library)}", flush=True)
        for name, command in others().items():
            out = subprocess.run(command + ["--perplexity", "/usr/share/common-licenses/GPL-3"],
                                 check=True, capture_output=True, text=True).stdout
            print(f"perplexity, {name}: {out.split()[-1]}", flush=True)
        return
    for streams in a.streams:
        words = a.words if streams == 1 else a.words // 4
        servers = {"llama-server, as shipped": Server(SHIPPED, streams),
                   "llama-server, converted": Server(CONVERTED, streams)}
        peers = others()
        got = {name: [] for name in ("ours", *servers, *peers)}
        for server in servers.values():
            server_round(server, 8, 4, streams)
        for _ in range(a.rounds):
            got["ours"].append(our_round(words, a.output, streams))
            for name, server in servers.items():
                got[name].append(server_round(server, words, a.output, streams))
            for name, command in peers.items():
                got[name].append(other_round(command, words, a.output, streams))
        for server in servers.values():
            server.stop()
        print(f"{streams} stream(s), prompts of {words} words, answers of {a.output} tokens")
        for name, rounds in got.items():
            med = {k: statistics.median(r[k] for r in rounds) for k in rounds[0]}
            print(f"  {name:<26} " + "  ".join(f"{k} {v:.1f}" for k, v in med.items()),
                  flush=True)


if __name__ == "__main__":
    main()
