"""Times one Python-packaged engine in process, on the models of models.py; prints JSON.

    python engines.py ENGINE DIR     ENGINE: sklearn ort ydf lignum lleaves

One thread. "1 row" is one Python call a row over 1,000 different rows, "batch" one call for all of
them: nanoseconds a row, median of 9 (min, max). Thread CPU time, so that other work on the machine
does not count.
"""
import json
import pathlib
import subprocess
import sys
import time

import numpy as np

FEATURES = {"rf": 4, "digits": 64, "gb": 30, "lgbm": 28}
CLASSES = {"rf": 3, "digits": 10, "gb": 2, "lgbm": 2}


def timed(call, per, budget=0.25):
    loops, t = 1, 0.0
    while True:
        start = time.thread_time()
        for _ in range(loops):
            call()
        t = time.thread_time() - start
        if t > budget / 9 or loops >= 1 << 14:
            break
        loops *= 2
    v = []
    for _ in range(9):
        start = time.thread_time()
        for _ in range(loops):
            call()
        v.append((time.thread_time() - start) * 1e9 / loops / per)
    v.sort()
    return {"median": v[4], "min": v[0], "max": v[-1]}


def rows(folder, name):
    return np.fromfile(folder / f"{name}.f64").reshape(-1, FEATURES[name])


def expected(folder, name):
    return np.fromfile(folder / f"{name}.exp").reshape(-1, CLASSES[name])


def both(predict, x, want, one_by_one=True):
    got = np.asarray(predict(x)).reshape(len(x), -1)
    if got.shape[1] == 1:
        want = want[:, 1:]
    out = {"difference": float(np.abs(got - want).max()),
           "batch": timed(lambda: predict(x), len(x))}
    if one_by_one:
        singles = [x[i:i + 1].copy() for i in range(len(x))]

        def each():
            for s in singles:
                predict(s)

        out["one"] = timed(each, len(x), 0.1)
    return out


def run_sklearn(folder):
    import pickle
    out = {}
    for name in FEATURES:
        model = pickle.loads((folder / f"{name}.pkl").read_bytes())
        if name == "lgbm":
            model.set_params(n_jobs=1)
        x = rows(folder, name)
        out[name] = both(model.predict_proba, x, expected(folder, name), one_by_one=False)
        few = [x[i:i + 1].copy() for i in range(20)]
        out[name]["one"] = timed(lambda: [model.predict_proba(s) for s in few], 20, 0.05)
    return out


def run_ort(folder):
    import onnxruntime as ort
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    out = {}
    for name in FEATURES:
        session = ort.InferenceSession(str(folder / f"{name}.onnx"), options,
                                       providers=["CPUExecutionProvider"])
        x = rows(folder, name).astype(np.float32)
        key = session.get_inputs()[0].name
        out[name] = both(lambda q, s=session, k=key: s.run(None, {k: q})[1], x,
                         expected(folder, name))
    return out


def run_lignum(folder):
    import lignum
    library = folder / "lignum.so"
    model = lignum.load(str(folder / "lgbm.txt"))
    library.unlink(missing_ok=True)
    model.compile(library=str(library))
    x = rows(folder, "lgbm")
    return {"lgbm": both(model.predict, x, expected(folder, "lgbm"))}


def run_lleaves(folder):
    """Compiles to an object file; tl_loop times its native entry without Python."""
    import lleaves
    model = lleaves.Model(model_file=str(folder / "lgbm.txt"))
    cache = folder / "lleaves.o"
    cache.unlink(missing_ok=True)
    model.compile(cache=str(cache))
    subprocess.run(["gcc", "-shared", "-o", folder / "lleaves.so", cache, "-lm"], check=True)
    x = rows(folder, "lgbm")
    return {"lgbm": both(lambda q: model.predict(q, n_jobs=1), x, expected(folder, "lgbm"))}


def run_ydf(folder):
    """Forests imported from scikit-learn; boosting is YDF's own training (it imports neither)."""
    import pickle

    import ydf
    out = {}
    ydf.verbose(0)
    for name in ("rf", "digits"):
        model = ydf.from_sklearn(pickle.loads((folder / f"{name}.pkl").read_bytes()))
        x = rows(folder, name)
        data = {"features": x.astype(np.float32)}
        got = np.asarray(model.predict(data))
        out[name] = ydf_speed(model, data)
        out[name]["difference"] = float(np.abs(got - expected(folder, name)).max())
    for name, trees, depth, leaves in (("gb", 100, 4, None), ("lgbm", 200, -1, 31)):
        t = np.load(folder / f"{name}_train.npy")
        data = {"features": t[:, :-1].astype(np.float32), "label": t[:, -1].astype(int)}
        more = {"growing_strategy": "BEST_FIRST_GLOBAL", "max_num_nodes": leaves} if leaves else {}
        model = ydf.GradientBoostedTreesLearner(
            label="label", num_trees=trees, max_depth=depth, validation_ratio=0.0,
            early_stopping="NONE", num_threads=1, **more).train(data)
        out[name] = ydf_speed(model, {"features": rows(folder, name).astype(np.float32)})
        out[name]["own_training_trees"] = model.num_trees()
    return out


def ydf_speed(model, data):
    """YDF's own benchmark of its C++ engine, wall time."""
    def at(batch):
        v = []
        for _ in range(5):
            r = model.benchmark(data, benchmark_duration=0.3, warmup_duration=0.1,
                                batch_size=batch, num_threads=1)
            v.append(r.duration_per_example * 1e9)
        v.sort()
        return {"median": v[2], "min": v[0], "max": v[-1]}

    return {"one": at(1), "batch": at(1000)}


if __name__ == "__main__":
    engine = {"sklearn": run_sklearn, "ort": run_ort, "lignum": run_lignum, "lleaves": run_lleaves,
              "ydf": run_ydf}[sys.argv[1]]
    print(json.dumps(engine(pathlib.Path(sys.argv[2]))))
