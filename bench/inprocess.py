"""Tree evaluation in process: ours, tl2cgen, lleaves, lignum, YDF, ONNX Runtime, scikit-learn."""
import json
import re
import subprocess

import report

LINE = re.compile(r"(1 row|batch)\s+(\d+) ns/row \[(\d+) … (\d+)\]")
MODELS = ("rf", "digits", "gb", "lgbm")


def parse(text):
    out = {}
    for kind, median, low, high in LINE.findall(text):
        out["one" if kind == "1 row" else "batch"] = {
            "median": float(median), "min": float(low), "max": float(high)}
    if m := re.search(r"difference (\S+)", text):
        out["difference"] = float(m[1])
    if not out:
        raise RuntimeError(text)
    return out


def text_of(*command):
    r = subprocess.run([str(c) for c in command], capture_output=True, text=True)
    if r.returncode:
        raise RuntimeError(f"{command}: {r.stderr[-400:]}")
    return r.stdout


def native(root, cache, models, about):
    """The engines that a C loop calls, in turn on each model, three rounds; the middle round."""
    loop, ours = cache / "bench-tl-loop", root / "build/release/bench_trees"
    rounds = {}
    for _ in range(3):
        for name in MODELS:
            width, outs = about[name]["features"], about[name]["tl_outputs"]
            rest = [models / f"{name}.f64", width, outs, models / f"{name}.exp",
                    about[name]["classes"]]
            rounds.setdefault(("millrace", name), []).append(
                parse(text_of(ours, models / f"{name}.pkl", models / f"{name}.f64")))
            for engine, lib in (("tl2cgen", f"lib{name}.so"),
                                ("tl2cgen quantized", f"lib{name}_q.so")):
                rounds.setdefault((engine, name), []).append(
                    parse(text_of(loop, models / lib, *rest)))
        if (models / "lleaves.so").exists():
            rounds.setdefault(("lleaves, native entry", "lgbm"), []).append(parse(text_of(
                loop, models / "lleaves.so", models / "lgbm.f64", about["lgbm"]["features"], 1,
                models / "lgbm.exp", 2, "lleaves")))
    table = {}
    for (engine, name), runs in rounds.items():
        runs.sort(key=lambda r: r["one"]["median"])
        table.setdefault(engine, {})[name] = runs[1]
    return table


def run(root, cache, models):
    about = json.loads((models / "about.json").read_text())["models"]
    missing, table = {}, {}
    packaged = {}
    for engine, venv in (("lleaves", "lleaves"), ("lignum", "lignum"), ("ydf", "ydf"), ("ort", "sk"),
                         ("sklearn", "sk")):
        try:
            text = text_of(cache / f"bench-{venv}/bin/python", root / "bench/engines.py", engine,
                           models)
            packaged[engine] = json.loads(text.strip().splitlines()[-1])
        except (RuntimeError, OSError) as e:
            missing[engine] = str(e)[-300:]
            print(f"{engine}: {missing[engine]}")
    table = native(root, cache, models, about) | packaged
    report.trees(table)
    return {"ns": table, "missing": missing}
