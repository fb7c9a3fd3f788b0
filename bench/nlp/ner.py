#!/usr/bin/env python3
"""Named entities against spaCy's nlp.pipe with its "ner" alone, one thread each, in turns.

usage: ner.py BENCH_NER SDIST [texts] [turns]

BENCH_NER: build/release/bench_ner; SDIST: vaderSentiment's source package (scripts/conformance-ner
--prepare fetches it and makes the environment that this script runs in). Prints medians."""

import os
import statistics
import subprocess
import sys
import tempfile
import time

os.environ["OMP_NUM_THREADS"] = "1"
sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../../tests/conformance"))
import spacy  # noqa: E402
from check_ner import MODEL, rated  # noqa: E402


def main():
    program, sdist = sys.argv[1:3]
    count = int(sys.argv[3]) if len(sys.argv) > 3 else 2000
    turns = int(sys.argv[4]) if len(sys.argv) > 4 else 5
    cache = os.environ.get("MILLRACE_CACHE") or os.path.expanduser("~/.cache/millrace")
    every = [t for t in rated(sdist) if t.strip() and "\n" not in t]
    lines = every[:: max(1, len(every) // count)][:count]
    nlp = spacy.load(MODEL, enable=["ner"])
    words = sum(len(nlp.make_doc(t)) for t in lines)
    ours, theirs, ratio = [], [], []
    with tempfile.NamedTemporaryFile("w", suffix=".txt", encoding="utf-8") as f:
        f.write("\n".join(lines) + "\n")
        f.flush()
        for _ in range(turns):
            out = subprocess.run([program, cache + "/models/en-core-web-sm-ner", f.name, "1"],
                                 stdout=subprocess.PIPE, check=True, text=True).stdout
            a = float(out.split()[0])
            start = time.perf_counter()
            found = sum(len(d.ents) for d in nlp.pipe(lines))
            b = len(lines) / (time.perf_counter() - start)
            if found != int(out.split()[4]):
                raise SystemExit(f"not the same entities: {out} {found}")
            ours.append(a)
            theirs.append(b)
            ratio.append(a / b)
    for name, got in (("millrace", ours), ("spaCy", theirs)):
        m = statistics.median(got)
        print(f"{name}: {m:.0f} texts/s, {m * words / len(lines):.0f} tokens/s")
    print(f"ratio {statistics.median(ratio):.2f} ({min(ratio):.2f}-{max(ratio):.2f}), {len(lines)} texts, {words} tokens")


if __name__ == "__main__":
    main()
