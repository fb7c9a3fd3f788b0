#!/usr/bin/env python3
"""Trains the golden models of one pinned environment and writes them with their values.

usage: make_golden.py TAG OUTDIR [--only PART-OF-NAME] [--family NAME]

TAG is sk12, sk13, sk15 or new; run it with the Python of the environment that
requirements-TAG.txt describes. Files go to OUTDIR/models/TAG and OUTDIR/values/TAG.
The same environment on the same machine writes the same bytes.
"""

import argparse
import importlib
import os
import sys

ENV = {"PYTHONHASHSEED": "0", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
FAMILIES = ["trees", "linear", "svm", "neighbours", "misc", "more", "prep", "text", "tables", "meta", "compose", "xgb", "lgbm",
            "onnx_models", "formats"]
PINNED = {"sk12": "1.2.", "sk13": "1.3.", "sk15": "1.5.", "new": ""}


def main():
    ap = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    ap.add_argument("tag", choices=sorted(PINNED))
    ap.add_argument("out")
    ap.add_argument("--only", default="", help="only models whose name contains this")
    ap.add_argument("--family", default="", help="only this family: " + " ".join(FAMILIES))
    args = ap.parse_args()
    if any(os.environ.get(k) != v for k, v in ENV.items()):
        os.environ.update(ENV)
        os.execv(sys.executable, [sys.executable] + sys.argv)

    sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
    import sklearn

    if not sklearn.__version__.startswith(PINNED[args.tag]):
        sys.exit(f"{args.tag} needs scikit-learn {PINNED[args.tag]}x, this is {sklearn.__version__}")
    from golden.store import Store

    store = Store(args.tag, args.out, args.only)
    for family in FAMILIES:
        if args.family in ("", family):
            before = len(store.done)
            importlib.import_module("golden." + family).build(store)
            print(f"{args.tag} {family}: {len(store.done) - before} models", flush=True)
    store.write_index()
    return 0


if __name__ == "__main__":
    sys.exit(main())
