#!/usr/bin/env python3
"""Writes data/prices/<provider>.toml from a table of model prices.

    tools/make_prices.py --from 2026-11-22 [--map model_prices.json] prices.tsv

The table has a row a model: model, provider, mode, in, cached_in, cache_write, out, in_gt272k,
out_gt272k, batch_in, batch_out, max_input, max_output, deprecation, source; US dollars a million
tokens. --map adds flex and priority prices, in dollars a token, as LiteLLM's price map names them.
Both are facts read from LiteLLM's map (MIT); see docs/PRICES.md.
"""
import argparse
import csv
import json
from decimal import Decimal

LONG = 272000


def number(text):
    """A decimal without exponent or trailing zeros; None for an empty cell."""
    if text in ("", None):
        return None
    d = Decimal(str(text)).normalize()
    return f"{d:f}"


def per_million(value):
    return None if value is None else number(Decimal(repr(value)) * 1000000)


def quote(s):
    return json.dumps(s, ensure_ascii=False)


def row(r, extra):
    name = r["model"].removeprefix(r["provider"] + "/")
    out = ["[[price]]", f"model = {quote(name)}"]
    if r["mode"] != "chat":
        out.append(f"mode = {quote(r['mode'])}")

    def put(key, value):
        if value is not None:
            out.append(f"{key} = {value}")

    put("input", number(r["in"]))
    put("cached_input", number(r["cached_in"]))
    put("cache_write", number(r["cache_write"]))
    put("output", number(r["out"]))
    if r["in_gt272k"]:
        put("long_over", LONG)
        put("long_input", number(r["in_gt272k"]))
        put("long_output", number(r["out_gt272k"]))
    put("batch_input", number(r["batch_in"]))
    put("batch_output", number(r["batch_out"]))
    for tier in ("flex", "priority"):
        i, o = extra.get(f"input_cost_per_token_{tier}"), extra.get(f"output_cost_per_token_{tier}")
        if i is not None and o is not None:
            put(f"{tier}_input", per_million(i))
            put(f"{tier}_output", per_million(o))
    put("max_input", number(r["max_input"]))
    put("max_output", number(r["max_output"]))
    put("retires", r["deprecation"] or None)
    if r["source"]:
        out.append(f"source = {quote(r['source'])}")
    return "\n".join(out)


def main():
    ap = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    ap.add_argument("table")
    ap.add_argument("--from", dest="since", required=True, help="the day the figures were read")
    ap.add_argument("--map", help="price map with flex and priority prices")
    ap.add_argument("--out", default="data/prices")
    a = ap.parse_args()
    more = json.load(open(a.map, encoding="utf-8")) if a.map else {}
    with open(a.table, encoding="utf-8") as f:
        lines = [x for x in f if not x.startswith("#")]
    rows = sorted(csv.DictReader(lines, delimiter="\t"), key=lambda r: (r["provider"], r["model"]))
    for provider in sorted({r["provider"] for r in rows}):
        mine = [r for r in rows if r["provider"] == provider]
        with open(f"{a.out}/{provider}.toml", "w", encoding="utf-8") as f:
            f.write(f"# Prices of {provider}: US dollars a million tokens. Written by tools/make_prices.py;\n"
                    "# origin and format: docs/PRICES.md.\n"
                    f"provider = {quote(provider)}\nfrom = {a.since}\n")
            for r in mine:
                f.write("\n" + row(r, more.get(r["model"], {})) + "\n")
        print(f"{provider}: {len(mine)} prices")


if __name__ == "__main__":
    main()
