"""Runs the benchmarks and writes bench/out/results.json; see README.md here.

    python3 bench/run.py [--only http,trees,upload,start,many] [--seconds 2] [--rounds 3]

Standard library only. Loopback only.
"""
import argparse
import atexit
import concurrent.futures
import contextlib
import json
import os
import pathlib
import platform
import statistics
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import inprocess  # noqa: E402
import report  # noqa: E402
from servers import SAMPLE, Millrace, Server, call  # noqa: E402

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent
CACHE = pathlib.Path(os.environ.get("MILLRACE_CACHE", pathlib.Path.home() / ".cache/millrace"))
MODELS = CACHE / "bench-models"
BINARY = ROOT / "build/millrace"
OUT = HERE / "out"
WORKERS = 2
CELLS = "1:32,3:32,100:32,1:1,3:1"


def spread(values):
    return {"min": min(values), "median": statistics.median(values), "max": max(values)}


def wrk(server, path, connections, seconds, body="", auth=True, script="load", paths=None):
    """One wrk run: requests a second, latency, server CPU a request."""
    args = [str(body)]
    if auth and "Authorization" in server.headers:
        args.append(server.headers["Authorization"])
    if paths:
        args.append(str(paths))
    before = server.cpu_us()
    text = subprocess.run(
        ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "-s", HERE / f"wrk/{script}.lua",
         f"http://127.0.0.1:{server.port}{path}", "--", *args],
        check=True, capture_output=True, text=True).stdout
    used = server.cpu_us() - before
    r = json.loads(text.strip().splitlines()[-1])
    if r["bad"] or not r["requests"]:
        raise RuntimeError(f"{server.name}: {text}")
    return {"rps": r["requests"] / r["seconds"], "p50_us": r["p50"], "p99_us": r["p99"],
            "cpu_us": used / r["requests"], "requests": r["requests"]}


def merge(runs):
    return {k: spread([r[k] for r in runs]) for k in runs[0]}


def bodies():
    """The request bodies: the same sample row, three rows, a hundred different rows."""
    values = memoryview((MODELS / "rf.f64").read_bytes()).cast("d")
    varied = [[round(v, 1) for v in values[4 * i:4 * i + 4]] for i in range(400)]
    distinct = []
    for row in varied:
        if row not in distinct:
            distinct.append(row)
    rows = {"1": SAMPLE["data"],
            "3": SAMPLE["data"] + [[6.2, 2.9, 4.3, 1.3], [6.9, 3.1, 5.4, 2.1]],
            "100": distinct[:100]}
    files = {}
    for name, data in rows.items():
        files[name] = OUT / f"rows_{name}.json"
        files[name].write_text(json.dumps({"data": data}, separators=(",", ":")))
    return rows, files


def peers(port):
    """Every peer that setup.sh could build: (name, command, environment)."""
    uvicorn = [CACHE / "bench-sk/bin/python", "-m", "uvicorn", "--workers", str(WORKERS),
               "--log-level", "error", "--no-access-log", "--app-dir", HERE / "peers/py"]
    rust = CACHE / "bench-rust/release"
    rows = [
        ("may_minihttp + tl2cgen", [rust / "may_peer", port, WORKERS], {}),
        ("axum + tl2cgen", [rust / "axum_peer", port + 1, WORKERS], {}),
        ("Go fasthttp + tl2cgen", [CACHE / "bench-go", port + 2, WORKERS], {}),
        ("FastAPI + ONNX Runtime", [*uvicorn, "--port", port + 3, "fast_ort:app"],
         {"BENCH_MODEL": str(MODELS / "rf.onnx")}),
        ("FastAPI + scikit-learn", [*uvicorn, "--port", port + 4, "fast_sk:app"],
         {"BENCH_MODEL": str(MODELS / "rf.joblib")}),
    ]
    for i, (name, command, env) in enumerate(rows):
        if pathlib.Path(command[0]).exists():
            yield name, command, env, port + i


def same_answers(server, rows, want):
    """The largest difference of a peer's probabilities from ours; labels must be equal."""
    worst = 0.0
    for name, data in rows.items():
        got = server.predict({"data": data})
        # ONNX Runtime sums in float32: a tie may fall the other way, a clear label may not.
        for a, b, p in zip(got["predictions"], want[name]["predictions"],
                           want[name]["probabilities"], strict=True):
            top = sorted(p)[-2:]
            if a != b and top[1] - top[0] > 1e-5:
                raise RuntimeError(f"{server.name} answers {a} where we answer {b}")
        for p, q in zip(got["probabilities"], want[name]["probabilities"], strict=True):
            worst = max(worst, *(abs(a - b) for a, b in zip(p, q, strict=True)))
    if worst > 1e-5:
        raise RuntimeError(f"{server.name} differs from us by {worst}")
    return worst


def bench_http(opt, work):
    rows, files = bodies()
    cells = [(count, int(conns)) for count, _, conns in
             (cell.partition(":") for cell in opt.cells.split(","))]
    out = {"cells": {}, "differences": {}, "memory": {}}
    with contextlib.ExitStack() as stack:
        ours = []
        for i, (name, flags) in enumerate((("millrace", ()),
                                           ("millrace, no access log", ("--log-level", "error")))):
            m = Millrace(name, BINARY, work / f"http{i}", opt.port + i, *flags)
            stack.callback(m.stop)
            m.path = f"/api/v1/predict/{m.deploy(MODELS / 'rf.pkl')}"
            ours.append(m)
        want = {}
        for name, data in rows.items():
            want[name] = ours[0].predict({"data": data})
        running = list(ours)
        for name, command, env, port in peers(opt.port + 10):
            s = Server(name, command, port, "/predict", env)
            stack.callback(s.stop)
            s.wait()
            running.append(s)
        for s in running:
            out["differences"][s.name] = same_answers(s, rows, want)
            wrk(s, s.path, 32, 1, files["1"])  # warm up
        for count, conns in cells:
            runs = {}
            for r in range(opt.rounds):
                for s in running:
                    runs.setdefault(s.name, []).append(
                        wrk(s, s.path, conns, opt.seconds, files[count]))
                    if s is ours[0] and count == "1":
                        runs.setdefault("millrace GET /livez", []).append(
                            wrk(s, "/livez", conns, opt.seconds, auth=False))
                (ours[0].data / "requests.log").write_bytes(b"")
            cell = {name: merge(v) for name, v in runs.items()}
            out["cells"][f"{count} rows c{conns}"] = cell
            report.http_cell(f"{count} row{'s' * (count != '1')}, c{conns}", cell)
        for s in running:
            out["memory"][s.name] = s.memory_mb()
    return out


def bench_upload(opt, work):
    """Start of the request until a GET shows `active`."""
    times, sizes = [], []
    m = Millrace("millrace", BINARY, work / "upload", opt.port)
    try:
        m.deploy(MODELS / "rf.pkl")
        for i in range(20):
            model = MODELS / f"one_mb_{i}.pkl"
            sizes.append(model.stat().st_size)
            start = time.perf_counter()
            m.deploy(model)
            times.append((time.perf_counter() - start) * 1e3)
    finally:
        m.stop()
    out = {"ms": spread(times), "all_ms": times, "bytes": spread(sizes)}
    print(f"upload to active, {out['bytes']['median'] / 1e6:.2f} MB: {report.three(out['ms'])} ms")
    return out


def bench_start(opt, work):
    """Process start until the first predict is answered; a second later, its memory."""
    data = work / "start"
    m = Millrace("millrace", BINARY, data, opt.port)
    path = f"/api/v1/predict/{m.deploy(MODELS / 'rf.pkl')}"
    headers = {"Authorization": m.headers["Authorization"], "Content-Type": "application/json"}
    m.stop()
    first, answer, rss, pss = [], [], [], []
    for i in range(10):
        start = time.perf_counter()
        fresh = Millrace("millrace", BINARY, work / f"fresh{i}", opt.port)
        first.append((time.perf_counter() - start) * 1e3)
        fresh.stop()

        start = time.perf_counter()
        m = Millrace("millrace", BINARY, data, opt.port)
        status, _ = call(opt.port, "POST", path, json.dumps(SAMPLE), headers)
        answer.append((time.perf_counter() - start) * 1e3)
        assert status == 200
        time.sleep(1)
        r, p = m.memory_mb()
        rss.append(r)
        pss.append(p)
        m.stop()
    out = {"first_start_ms": spread(first), "to_prediction_ms": spread(answer),
           "rss_mb": spread(rss), "pss_mb": spread(pss)}
    print(f"start to first answer, empty folder: {report.three(out['first_start_ms'])} ms; to the "
          f"first prediction: {report.three(out['to_prediction_ms'])} ms; RSS "
          f"{report.three(out['rss_mb'])} MB")
    return out


def make_many(opt, data, count, distinct):
    """Ids of `count` deployments, deployment i of forest i % distinct; made once, or continued."""
    if not (MODELS / f"many_{distinct - 1}.pkl").exists():
        print(f"training {distinct} forests", flush=True)
        subprocess.run([CACHE / "bench-sk/bin/python", HERE / "models.py", MODELS, "--many",
                        str(distinct)], check=True)
    m = Millrace("millrace", BINARY, data, opt.port, "--log-level", "error")

    def deploy(i):
        m.api("POST", "/deploy", *m.form(MODELS / f"many_{i % distinct}.pkl", f"many-{i}"))

    def listed():
        found, offset = {}, 0
        while page := m.api("GET", f"/deployments?limit=100&offset={offset}")["items"]:
            found |= {d["name"]: d["id"] for d in page}
            offset += 100
        return found

    try:
        found = listed()
        todo = [i for i in range(count) if f"many-{i}" not in found]
        if todo:
            print(f"deploying {len(todo)} models", flush=True)
            start = time.monotonic()
            with concurrent.futures.ThreadPoolExecutor(8) as pool:
                list(pool.map(deploy, todo))
            print(f"  {len(todo) / (time.monotonic() - start):.0f} deployments a second")
            found = listed()
        return [found[f"many-{i}"] for i in range(count)]
    finally:
        m.stop()


def measure_many(server, *args, **kw):
    """wrk() and what is left to do for its requests: the read at the end has them metered."""
    server.fold()
    before = server.cpu_us()
    run = wrk(server, *args, **kw)
    server.fold()
    return run | {"cpu_us": (server.cpu_us() - before) / run["requests"]}


def bench_many(opt, work):
    count, distinct = opt.many, opt.distinct
    data = CACHE / ("bench-many-{}".format(count) + (f"-{distinct}" if distinct != 100 else ""))
    ids = make_many(opt, data, count, distinct)
    _, files = bodies()
    out = {"deployments": count, "distinct": distinct}
    single = Millrace("single", BINARY, work / "single", opt.port)
    many = Millrace("many", BINARY, data, opt.port + 1)
    try:
        single_id = single.deploy(MODELS / "many_0.pkl")
        cases = {"1 deployment": (single, [single_id]), f"one of {count:,}": (many, ids[:1]),
                 f"{count:,} of {distinct:,} forests": (many, ids)}
        if distinct < count:
            some = ids[::distinct]
            cases[f"{len(some)} deployments of one forest"] = (many, some)
        for i, (server, some) in enumerate(cases.values()):
            (OUT / f"paths_{i}.txt").write_text("".join(f"/api/v1/predict/{x}\n" for x in some))
            server.deployment = some[0]
        out["rss_before_mb"] = many.memory_mb()[0]
        start = time.monotonic()
        many.predict_each(ids)  # loads all
        out["load_ms"] = (time.monotonic() - start) / count * 1e3
        wrk(many, "/", 32, 3, files["1"], script="spread", paths=OUT / "paths_2.txt")
        for conns in (32, 1):
            runs = {}
            for _ in range(opt.rounds):
                for i, (name, (server, _)) in enumerate(cases.items()):
                    runs.setdefault(name, []).append(
                        measure_many(server, "/", conns, opt.seconds, files["1"], script="spread",
                                     paths=OUT / f"paths_{i}.txt"))
                for s in (single, many):
                    (s.data / "requests.log").write_bytes(b"")
            out[f"c{conns}"] = {name: merge(v) for name, v in runs.items()}
            report.http_cell(f"deployments, 1 row, c{conns}", out[f"c{conns}"])
        out["rss_mb"] = {"1": single.memory_mb(), str(count): many.memory_mb()}
        print(f"RSS, PSS MB: {out['rss_mb']}; before the first request {out['rss_before_mb']:.1f}; "
              f"first predictions, one after the other: {out['load_ms']:.2f} ms each")
    finally:
        single.stop()
        many.stop()
    return out


def weight():
    with contextlib.suppress(OSError):
        return pathlib.Path("/proc/self/autogroup").read_text().strip()


def machine():
    info = {"date": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()), "kernel": platform.release(),
            "cpus": os.cpu_count(), "load": os.getloadavg(), "weight": weight()}
    with contextlib.suppress(OSError):
        for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                info["cpu"] = line.partition(":")[2].strip()
                break
    return info


def main():
    p = argparse.ArgumentParser(description="millrace benchmarks")
    p.add_argument("--only", default="http,trees,upload,start,many")
    p.add_argument("--seconds", type=int, default=2)
    p.add_argument("--rounds", type=int, default=3)
    p.add_argument("--cells", default=CELLS, help="of the http part: rows:connections, …; the "
                   "cells of earlier runs are kept")
    p.add_argument("--port", type=int, default=9750)
    p.add_argument("--many", type=int, default=10000, help="deployments of part `many`")
    p.add_argument("--distinct", type=int, default=100, help="and their different model files")
    p.add_argument("--weight", type=int, help="nice value of this session's scheduling group "
                   "(/proc/self/autogroup) while it runs; root only")
    opt = p.parse_args()
    if opt.weight is not None:
        pathlib.Path("/proc/self/autogroup").write_text(str(opt.weight))
        atexit.register(pathlib.Path("/proc/self/autogroup").write_text, "0")
    OUT.mkdir(exist_ok=True)
    results_file = OUT / "results.json"
    results = json.loads(results_file.read_text()) if results_file.exists() else {}
    work = OUT / "work"
    subprocess.run(["rm", "-rf", work], check=True)
    parts = {"http": bench_http, "upload": bench_upload, "start": bench_start, "many": bench_many,
             "trees": lambda o, w: inprocess.run(ROOT, CACHE, MODELS)}
    for name in opt.only.split(","):
        about = machine()
        kept = results.get(name, {}).get("cells", {}) if opt.cells != CELLS else {}
        print(f"== {name}: {about['date']}, load {about['load'][0]:.1f}", flush=True)
        results[name] = {**parts[name](opt, work), "machine": about,
                         "load_after": os.getloadavg()}
        if kept:
            results[name]["cells"] = {**kept, **results[name]["cells"]}
        results_file.write_text(json.dumps(results, indent=1))
    subprocess.run(["rm", "-rf", work], check=True)


if __name__ == "__main__":
    main()
