#!/usr/bin/env python3
"""Compares a running millrace with the models' own libraries on random rows.

usage: MILLRACE_URL=http://127.0.0.1:8080 MILLRACE_KEY=... \\
       check_models.py TAG [--rows 200] [--seed N] [--only PART-OF-NAME] [--table FILE]

Run it with the Python of the environment TAG (tests/golden/requirements-TAG.txt). Every
golden model is deployed, asked for fresh random rows (the stored values play no part) and
compared with what the library answers in this process. The table lists the largest
difference |a-b| / max(1,|b|) of each file; every encoding of a model is a file of its own. Rows
that the library decides by a tie are counted apart (column "ties"). Exit 1: a difference over the
tolerance, or a refused model whose notes do not allow that.
"""

import argparse
import json
import math
import os
import sys
import warnings

HERE = os.path.dirname(os.path.abspath(__file__))
GOLDEN = os.path.join(os.path.dirname(HERE), "golden")
sys.path[:0] = [HERE, GOLDEN]

from model_client import Client, Refused  # noqa: E402
from random_rows import rows_like  # noqa: E402


def with_nan(value):
    """JSON has no NaN: the server answers null where the golden values say \"nan\"."""
    if isinstance(value, list):
        return [with_nan(v) for v in value]
    return "nan" if value is None else value


def of_second_class(rows):
    """[row][label][P0, P1] as [row][label] of P1, the form of scikit-learn's multi-label MLP."""
    return [[pair[1] for pair in row] for row in rows]


def transposed(per_output):
    """[output][row] as [row][output]: the server answers row by row."""
    return [list(row) for row in zip(*per_output)]


def compare_numbers(got, want, worst):
    """Largest difference; a list of lists by output is tried in both orders."""
    d = worst(got, want)
    if math.isinf(d) and got and isinstance(got[0], list) and len(got[0]) == 1:
        d = worst([row[0] for row in got], want)
    if math.isinf(d) and want and isinstance(want[0], list) and want[0] and isinstance(want[0][0], list):
        d = worst(got, transposed(want))
    if math.isinf(d) and got and isinstance(got[0], list) and got[0] and isinstance(got[0][0], list):
        if all(len(pair) == 2 for pair in got[0]):
            d = worst(of_second_class(got), want)
    if math.isinf(d) and want and isinstance(want[0], list) and len(want[0]) == 1:
        d = worst(got, [row[0] for row in want])
    return d


def flat_labels(values):
    return [tuple(v) if isinstance(v, list) else v for v in values]


def wrong_labels(got, want, proba, tol):
    """How many labels differ, and how many of them are ties of the library's own probabilities."""
    wrong = ties = 0
    for i, (a, b) in enumerate(zip(flat_labels(got), flat_labels(want))):
        if a == b:
            continue
        top = sorted(proba[i])[-2:] if proba and not isinstance(proba[i][0], list) else []
        if len(top) == 2 and top[1] - top[0] <= 2 * tol:
            ties += 1
        else:
            wrong += 1
    return wrong + abs(len(got) - len(want)), ties


def without(rows, dropped):
    return rows and [row for i, row in enumerate(rows) if i not in dropped]


def drop_ties(tied, got, proba, want, doc, worst):
    """Takes the rows with tied neighbours out of the answers; how many of them did differ."""
    want = {k: v if len(v) == len(got) else transposed(v) for k, v in want.items() if isinstance(v, list)}
    both = [(got, want.get("predict", want.get("transform"))), (proba, want.get("predict_proba"))]
    ties = sum(any(a and b and worst(a[i], b[i]) > doc["tolerance"] for a, b in both) for i in tied)
    want = {k: without(v, tied) for k, v in want.items()}
    return ties, without(got, tied), without(proba, tied), want


def check_file(client, path, doc, count, seed):
    """(difference of predictions or wrong labels, difference of probabilities, ties)."""
    from check_golden import load, worst
    from golden import replay
    from neighbour_ties import tied_rows

    rows = rows_like(doc["inputs"], doc["name"], count, seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        asked = dict(doc, inputs=rows)
        est = load(path)
        want = replay.answers(est, asked)
        tied = tied_rows(est, replay.inputs_of(asked, est))
    deployment = client.deploy(path)
    try:
        single = doc["n_features"] == 1 and not isinstance(rows[0], list)
        got, proba = client.predict(deployment, [[r] for r in rows] if single and doc["class"] in ("LabelEncoder", "LabelBinarizer") else rows)
        got, proba = with_nan(got), with_nan(proba) if proba is not None else None
    finally:
        client.delete(deployment)
    ties, tol = 0, doc["tolerance"]
    if tied:
        ties, got, proba, want = drop_ties(tied, got, proba, want, doc, worst)
    target = want["predict"] if want.get("predict") is not None else want["transform"]
    if doc["task"] in ("classifier", "cluster", "outlier"):
        first, equal = wrong_labels(got, target, want.get("predict_proba"), tol)
        ties += equal
    else:
        first = compare_numbers(got, target, worst)
    second = 0.0
    if want.get("predict_proba") is not None:
        second = math.inf if proba is None else compare_numbers(proba, want["predict_proba"], worst)
    return first, second, ties


def verdict(doc, first, second):
    labels = doc["task"] in ("classifier", "cluster", "outlier")
    good = (first == 0 if labels else first <= doc["tolerance"]) and second <= doc["tolerance"]
    return "ok" if good else "DIFFERS"


def run(args, client):
    with open(os.path.join(GOLDEN, "INDEX.tsv"), encoding="utf-8") as f:
        index = [line.rstrip("\n").split("\t") for line in list(f)[1:]]
    with open(os.path.join(HERE, "refused.txt"), encoding="utf-8") as f:
        refused = {line.strip() for line in f if not line.startswith("#")}
    table, failed = [], 0
    for tag, name, cls, files, tol in index:
        if tag != args.tag or args.only not in name:
            continue
        with open(os.path.join(GOLDEN, "values", tag, name + ".json"), encoding="utf-8") as f:
            doc = json.load(f)
        for file in files.split(","):
            path = os.path.join(GOLDEN, "models", tag, file)
            try:
                first, second, ties = check_file(client, path, doc, args.rows, args.seed)
                word = verdict(doc, first, second)
                cells = [f"{first:.2g}", f"{second:.2g}", str(ties), word]
            except Refused as e:
                allowed = name in refused or "may refuse" in doc["notes"]
                word = "refused" if allowed else "REFUSED"
                cells = ["-", "-", "-", f"{word} {e}".replace("\t", " ").replace("\n", " ")]
            failed += word in ("DIFFERS", "REFUSED")
            table.append([tag, cls, file, tol] + cells)
            if word != "ok":
                print("\t".join(table[-1]), flush=True)
    return table, failed


def main():
    ap = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    ap.add_argument("tag")
    ap.add_argument("--rows", type=int, default=200)
    ap.add_argument("--seed", type=int, default=0, help="other rows; the same number gives the same")
    ap.add_argument("--only", default="")
    ap.add_argument("--table", help="write the table there (tab separated)")
    args = ap.parse_args()
    url, key = os.environ.get("MILLRACE_URL"), os.environ.get("MILLRACE_KEY")
    if not url or not key:
        sys.exit("set MILLRACE_URL and MILLRACE_KEY")
    table, failed = run(args, Client(url, key))
    if args.table:
        with open(args.table, "w", encoding="utf-8") as f:
            f.write("tag\tclass\tfile\ttolerance\tprediction\tprobability\tties\tverdict\n")
            f.writelines("\t".join(row) + "\n" for row in table)
    refused = sum(row[-1].startswith("refused") for row in table)
    print(f"{args.tag}: {len(table)} files, of which {refused} are refused on purpose: "
          f"{len(table) - failed} passed, {failed} failed")
    return 1 if failed or not table else 0


if __name__ == "__main__":
    sys.exit(main())
