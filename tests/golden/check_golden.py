#!/usr/bin/env python3
"""Loads every golden model in this process and compares its answers with the stored values.

usage: check_golden.py TAG DIR [PART-OF-NAME]     (run with the Python of that environment)
"""

import json
import math
import os
import pickle
import sys
import warnings

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))


def load(path):
    import joblib

    if path.endswith((".json", ".ubj")):
        from golden import xgb

        return xgb.load(path)
    if path.endswith(".txt"):
        from golden import lgbm

        return lgbm.load(path)
    if path.endswith(".onnx"):
        from golden import onnx_models

        return onnx_models.load(path)
    if ".joblib" in path:
        return joblib.load(path)
    with open(path, "rb") as f:
        return pickle.load(f)


def worst(a, b):
    """Largest difference of two JSON values: |a-b| / max(1,|b|); infinite on a mismatch."""
    if isinstance(a, dict) and isinstance(b, dict):
        return worst([a[k] for k in sorted(a)], [b[k] for k in sorted(b)])
    if isinstance(a, list) or isinstance(b, list):
        if not (isinstance(a, list) and isinstance(b, list)) or len(a) != len(b):
            return math.inf
        return max((worst(x, y) for x, y in zip(a, b)), default=0.0)
    if a is None or b is None or isinstance(a, (str, bool)) or isinstance(b, (str, bool)):
        return 0.0 if a == b else math.inf
    return abs(a - b) / max(1.0, abs(b))


def check(tag, root, part):
    from golden import replay

    bad = total = 0
    with open(os.path.join(root, "INDEX.tsv"), encoding="utf-8") as f:
        rows = [line.rstrip("\n").split("\t") for line in list(f)[1:]]
    for row_tag, name, _, files, tol in rows:
        if row_tag != tag or part not in name:
            continue
        with open(os.path.join(root, "values", tag, name + ".json"), encoding="utf-8") as f:
            doc = json.load(f)
        for file in files.split(","):
            total += 1
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                got = replay.answers(load(os.path.join(root, "models", tag, file)), doc)
            for key, value in got.items():
                d = worst(value, doc.get(key))
                if not d <= float(tol) / 10:
                    bad += 1
                    print(f"{tag} {file} {key}: differs by {d:g}")
    print(f"{tag}: {total} files loaded, {bad} differences")
    return 1 if bad or total == 0 else 0


if __name__ == "__main__":
    if len(sys.argv) not in (3, 4):
        sys.exit(__doc__)
    sys.exit(check(sys.argv[1], sys.argv[2], sys.argv[3] if len(sys.argv) == 4 else ""))
