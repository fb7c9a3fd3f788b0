#!/usr/bin/env python3
"""Reads `test_golden --table` from stdin and writes docs/MODEL_AGREEMENT.md to stdout: the largest
difference of each class from its library, by environment.

usage: agreement.py DIR < TABLE     (DIR: the tables of check_models.py; scripts/conformance --write)
"""

import os
import sys

TAGS = {"sk12": "1.2", "sk13": "1.3", "sk15": "1.5", "new": "newest"}
HEAD = """# Agreement of native models with their libraries

The largest difference over all golden models of a class, as `|a - b| / max(1, |b|)` over labels,
probabilities, values and transformed rows (`tests/golden`, see its README for the inputs: real
rows, odd ones, values at thresholds and one step beside, missing values, unseen categories). 0 is
bit for bit. Columns are environments by their scikit-learn version; the number of files is in
brackets. The last column is the live run: a server against the library itself in all four
environments, every encoding of each model, 200 random rows each. Made by

    scripts/conformance --write

| class | """


def key_of(cls, name):
    """A booster's class is the same word in two libraries."""
    library = "xgboost" if name.startswith("xgb") else "lightgbm" if name.startswith("lgb") else ""
    return cls if not library or cls != "Booster" else f"Booster ({library})"


def live_cells(folder):
    """class -> (largest difference, files), and (files, rows that ties decide) over all."""
    cells, files, ties = {}, 0, 0
    for tag in TAGS:
        with open(os.path.join(folder, tag + ".tsv"), encoding="utf-8") as f:
            for row in [line.rstrip("\n").split("\t") for line in list(f)[1:]]:
                if row[4] == "-":
                    continue
                key = key_of(row[1], row[2])
                old = cells.get(key, (0.0, 0))
                cells[key] = (max(old[0], float(row[4]), float(row[5])), old[1] + 1)
                files, ties = files + 1, ties + int(row[6])
    return cells, files, ties


def main():
    cells, refused = {}, []
    live, files, ties = live_cells(sys.argv[1])
    for line in sys.stdin:
        parts = line.rstrip("\n").split("\t")
        if len(parts) != 4:
            continue
        tag, name = parts[0].split("/", 1)
        key = key_of(parts[1], name)
        try:
            worst = float(parts[3])
        except ValueError:
            refused.append((parts[0], parts[1], parts[3].split(": ", 1)[-1]))
            continue
        old = cells.setdefault(key, {}).get(tag, (0.0, 0))
        cells[key][tag] = (max(old[0], worst), old[1] + 1)
    print(HEAD + " | ".join(TAGS.values()) + " | random rows |\n|---|" + "---|" * (len(TAGS) + 1))
    for key in sorted(set(cells) | set(live)):
        seen = [cells.get(key, {}).get(t, (0, 0)) for t in TAGS] + [live.get(key, (0, 0))]
        row = [f"{w:.1g} ({n})" for w, n in seen]
        print(f"| {key} | " + " | ".join(c if not c.endswith("(0)") else "" for c in row) + " |")
    print(f"\nThe live run compared {files} files; {ties} of their rows differed where the library itself decides by "
          "a tie (equal probabilities, or training rows equally near).")
    reasons = {}
    for _, cls, why in refused:
        reasons.setdefault((cls, why), 0)
        reasons[cls, why] += 1
    print("\n## Golden models that are refused\n\n| class | files | reason |\n|---|---|---|")
    for (cls, why), n in sorted(reasons.items()):
        print(f"| {cls} | {n} | {why.replace('|', '/')} |")


if __name__ == "__main__":
    main()
