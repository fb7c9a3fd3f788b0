"""Prints bench/out/results.json as the tables of docs/BENCHMARKS.md."""
import json
import pathlib

NAMES = {"rf": "RF iris-100", "digits": "RF digits-100", "gb": "GB cancer-100", "lgbm": "LightGBM-200",
         "ort": "ONNX Runtime (Python call)", "sklearn": "scikit-learn / LightGBM",
         "ydf": "YDF, its own C++ benchmark", "lignum": "lignum, compiled (Python call)",
         "lleaves": "lleaves (Python call)"}


def line(*cells):
    print("| " + " | ".join(cells) + " |")


def span(s, digits=0):
    return f"{s['min']:,.{digits}f} / **{s['median']:,.{digits}f}** / {s['max']:,.{digits}f}"


def http(cells):
    for title, cell in cells.items():
        count, _, conns = title.partition(" rows c")
        print(f"\n**{count} row{'s' * (count != '1')}, {conns} connection{'s' * (conns != '1')}**\n")
        servers(cell)


def servers(cell):
    line("server", "requests/s min / median / max", "p50 µs", "p99 µs", "CPU µs a request")
    line("---", "---", "---", "---", "---")
    for name, r in cell.items():
        line(name, span(r["rps"]), f"{r['p50_us']['median']:,.0f}", f"{r['p99_us']['median']:,.0f}",
             span(r["cpu_us"], 1))


def trees(table):
    models = [m for m in NAMES if m in table["millrace"]]
    line("engine", *(NAMES[m] for m in models))
    line(*["---"] * (len(models) + 1))
    for engine, rows in table.items():
        line(NAMES.get(engine, engine), *(
            " / ".join(f"{rows[m][k]['median']:,.0f}" for k in ("one", "batch"))
            if m in rows else "-" for m in models))


def main():
    r = json.loads((pathlib.Path(__file__).parent / "out/results.json").read_text())
    for part in r.values():
        m = part["machine"]
        print(f"{m['date']} load {m['load'][0]:.1f} -> {part['load_after'][0]:.1f}")
    http(r["http"]["cells"])
    print()
    trees(r["trees"]["ns"])
    for key in ("c32", "c1"):
        print(f"\n**{key}**\n")
        servers(r["many"][key])
    print("\n", r["many"]["rss_mb"], r["many"]["rss_before_mb"], r["http"]["memory"])
    print(r["upload"]["ms"], r["upload"]["bytes"], {k: v for k, v in r["start"].items()})


if __name__ == "__main__":
    main()
