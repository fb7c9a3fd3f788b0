#!/usr/bin/env python3
"""Reads `test_golden --table` from stdin and writes docs/MODEL_AGREEMENT.md to stdout: the largest
difference of each class from its library, by environment."""

import sys

TAGS = {"sk12": "1.2", "sk13": "1.3", "sk15": "1.5", "new": "newest"}
HEAD = """# Agreement of native models with their libraries

The largest difference over all golden models of a class, as `|a - b| / max(1, |b|)` over labels,
probabilities, values and transformed rows (`tests/golden`, see its README for the inputs: real
rows, odd ones, values at thresholds and one step beside, missing values, unseen categories). 0 is
bit for bit. Columns are environments by their scikit-learn version; the number of files is in
brackets. Made by

    build/release/test_golden --table | tools/agreement.py > docs/MODEL_AGREEMENT.md

| class | """


def main():
    cells, refused = {}, []
    for line in sys.stdin:
        parts = line.rstrip("\n").split("\t")
        if len(parts) != 4:
            continue
        tag, name = parts[0].split("/", 1)
        library = "xgboost" if name.startswith("xgb") else "lightgbm" if name.startswith("lgb") else ""
        key = parts[1] if not library or parts[1] != "Booster" else f"Booster ({library})"
        try:
            worst = float(parts[3])
        except ValueError:
            refused.append((parts[0], parts[1], parts[3].split(": ", 1)[-1]))
            continue
        old = cells.setdefault(key, {}).get(tag, (0.0, 0))
        cells[key][tag] = (max(old[0], worst), old[1] + 1)
    print(HEAD + " | ".join(TAGS.values()) + " |\n|---|" + "---|" * len(TAGS))
    for key in sorted(cells):
        row = [f"{w:.1g} ({n})" for w, n in (cells[key].get(t, (0, 0)) for t in TAGS)]
        print(f"| {key} | " + " | ".join(c if not c.endswith("(0)") else "" for c in row) + " |")
    reasons = {}
    for _, cls, why in refused:
        reasons.setdefault((cls, why), 0)
        reasons[cls, why] += 1
    print("\n## Golden models that are refused\n\n| class | files | reason |\n|---|---|---|")
    for (cls, why), n in sorted(reasons.items()):
        print(f"| {cls} | {n} | {why.replace('|', '/')} |")


if __name__ == "__main__":
    main()
