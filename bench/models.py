"""Trains the benchmark's models and makes what each engine reads from them.

    python models.py DIR                 (the venv bench-sk, see setup.sh)
    python models.py DIR --many COUNT    only the COUNT different forests for many deployments

For each model: NAME.pkl (what we upload and compile), NAME.f64 (1,000 different rows, little-endian
doubles that are float32 numbers, so that engines which compare in float32 decide alike), NAME.exp
(the library's own answer on them), NAME.onnx, and tl2cgen's C as libNAME.so and libNAME.a.
"""
import concurrent.futures
import json
import pathlib
import pickle
import shutil
import subprocess
import sys

import joblib
import lightgbm
import numpy as np
import onnxmltools
import sklearn
import tl2cgen
import treelite
from onnxmltools.convert.common.data_types import FloatTensorType as LgbFloat
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType
from sklearn import datasets, ensemble

ROWS = 1000


def varied_rows(x, rng):
    """ROWS different rows from the neighbourhood of the training rows."""
    rows = x[rng.integers(0, len(x), ROWS)] + rng.normal(0, 0.1, (ROWS, x.shape[1])) * x.std(0)
    return rows.astype(np.float32).astype(np.float64)


def write_onnx(model, width, path):
    if isinstance(model, lightgbm.LGBMModel):
        graph = onnxmltools.convert_lightgbm(
            model, initial_types=[("x", LgbFloat([None, width]))], zipmap=False, target_opset=15)
    else:
        graph = to_onnx(model, initial_types=[("x", FloatTensorType([None, width]))],
                        options={id(model): {"zipmap": False}}, target_opset=15)
    path.write_bytes(graph.SerializeToString())


def compile_tl2cgen(model, out, name, quantize):
    """tl2cgen's C of the model, built with gcc -O3 -march=native as libNAME.{so,a}."""
    folder = out / f"tl_{name}"
    shutil.rmtree(folder, ignore_errors=True)
    # Several translation units: gcc takes minutes over a large forest in one.
    units = 20 if model.num_tree > 100 or name.startswith("digits") else 0
    tl2cgen.generate_c_code(model, dirpath=str(folder),
                            params={"quantize": quantize, "parallel_comp": units})

    def build(source):
        subprocess.run(["gcc", "-O3", "-march=native", "-fPIC", "-w", "-c", source, "-o",
                        source.with_suffix(".o")], check=True)
        return source.with_suffix(".o")

    with concurrent.futures.ThreadPoolExecutor() as pool:
        objects = list(pool.map(build, sorted(folder.glob("*.c"))))
    subprocess.run(["gcc", "-shared", "-o", out / f"lib{name}.so", *objects, "-lm"], check=True)
    archive = out / f"lib{name}.a"
    archive.unlink(missing_ok=True)
    subprocess.run(["ar", "rcs", archive, *objects], check=True)


def many(out, count):
    """Different small forests, for many deployments; those that are there already stay."""
    iris = datasets.load_iris(return_X_y=True)
    for i in range(count):
        path = out / f"many_{i}.pkl"
        if not path.exists():
            small = ensemble.RandomForestClassifier(100, random_state=i).fit(*iris)
            path.write_bytes(pickle.dumps(small, 5))


def main(out):
    out.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(7)
    iris = datasets.load_iris(return_X_y=True)
    digits = datasets.load_digits(return_X_y=True)
    cancer = datasets.load_breast_cancer(return_X_y=True)
    made = datasets.make_classification(20000, 28, n_informative=15, random_state=0)
    forest, boost = ensemble.RandomForestClassifier, ensemble.GradientBoostingClassifier
    models = {
        "rf": (forest(100, random_state=0), iris),
        "digits": (forest(100, random_state=0), digits),
        "gb": (boost(n_estimators=100, random_state=0), cancer),
        "lgbm": (lightgbm.LGBMClassifier(n_estimators=200, num_leaves=31, verbose=-1), made),
    }
    about = {"sklearn": sklearn.__version__, "lightgbm": lightgbm.__version__,
             "treelite": treelite.__version__, "tl2cgen": tl2cgen.__version__, "models": {}}
    for name, (model, (x, y)) in models.items():
        model.fit(x.astype(np.float32), y)
        rows = varied_rows(x, rng)
        expected = model.predict_proba(rows)
        (out / f"{name}.pkl").write_bytes(pickle.dumps(model, 5))
        rows.astype("<f8").tofile(out / f"{name}.f64")
        expected.astype("<f8").tofile(out / f"{name}.exp")
        np.save(out / f"{name}_train.npy", np.column_stack([x, y]))
        write_onnx(model, x.shape[1], out / f"{name}.onnx")
        if name == "lgbm":
            model.booster_.save_model(str(out / "lgbm.txt"))
            tl = treelite.frontend.load_lightgbm_model(str(out / "lgbm.txt"))
        else:
            tl = treelite.sklearn.import_model(model)
        for quantize in (0, 1):
            compile_tl2cgen(tl, out, name + "_q" * quantize, quantize)
        about["models"][name] = {"features": x.shape[1], "classes": expected.shape[1],
                                 "tl_outputs": 1 if name in ("gb", "lgbm") else expected.shape[1]}
    joblib.dump(models["rf"][0], out / "rf.joblib")

    # Different pickles of about 1 MB for upload -> active, and small ones for many deployments.
    trees = 10
    while len(pickle.dumps(forest(trees, random_state=0).fit(*digits), 5)) < 1_000_000:
        trees += 1
    for i in range(20):
        big = forest(trees, random_state=i).fit(*digits)
        (out / f"one_mb_{i}.pkl").write_bytes(pickle.dumps(big, 5))
    many(out, 100)
    (out / "about.json").write_text(json.dumps(about, indent=1))


if __name__ == "__main__":
    if sys.argv[2:3] == ["--many"]:
        many(pathlib.Path(sys.argv[1]), int(sys.argv[3]))
    else:
        main(pathlib.Path(sys.argv[1]))
