"""Triton's HTTP client, unchanged, against a running server, and MLServer beside it with the same model file.

    check_kserve.py        MILLRACE_URL and MILLRACE_KEY name the server
"""
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

import joblib
import numpy as np
import tritonclient.http as triton
from sklearn.datasets import load_iris, load_wine
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LinearRegression
from tritonclient.utils import InferenceServerException

URL = os.environ["MILLRACE_URL"]
client = triton.InferenceServerClient(URL.removeprefix("http://"), network_timeout=60, connection_timeout=60)
results = []


def auth():
    """A fresh one each time: the client adds Inference-Header-Content-Length to what it is given."""
    return {"Authorization": "Bearer " + os.environ["MILLRACE_KEY"]}


def case(fn):
    try:
        fn()
        results.append(True)
        print(f"ok    {fn.__name__}", flush=True)
    except Exception as e:  # a client that cannot read the reply raises anything
        results.append(False)
        print(f"FAIL  {fn.__name__}: {type(e).__name__}: {e}", flush=True)


def deploy(model, name, folder):
    path = os.path.join(folder, name + ".joblib")
    joblib.dump(model, path)
    boundary = "b0undary"
    body = (f'--{boundary}\r\nContent-Disposition: form-data; name="name"\r\n\r\n{name}\r\n'
            f'--{boundary}\r\nContent-Disposition: form-data; name="model_file"; filename="{name}.joblib"\r\n\r\n'
            ).encode() + open(path, "rb").read() + f"\r\n--{boundary}--\r\n".encode()
    r = urllib.request.Request(URL + "/api/v1/deploy", body,
                               {**auth(), "Content-Type": f"multipart/form-data; boundary={boundary}"})
    dep = json.load(urllib.request.urlopen(r, timeout=60))["id"]
    for _ in range(200):
        if client.is_model_ready(dep, headers=auth()):
            return path, dep
        time.sleep(0.1)
    raise AssertionError(f"{name} never served")


folder = tempfile.mkdtemp(prefix="conformance-kserve-")
X, y = load_iris(return_X_y=True)
W, u = load_wine(return_X_y=True)
forest = RandomForestClassifier(50, random_state=1).fit(X, y)
words = RandomForestClassifier(10, random_state=1).fit(X, np.array(["setosa", "versicolor", "virginica"])[y])
line = LinearRegression().fit(W, u)
forest_path, FOREST = deploy(forest, "forest", folder)
line_path, LINE = deploy(line, "line", folder)
_, WORDS = deploy(words, "words", folder)


def tensor(name, array, kind, binary):
    t = triton.InferInput(name, list(array.shape), kind)
    t.set_data_from_numpy(array, binary_data=binary)
    return t


def ask(model, array, kind="FP64", binary=True, out_binary=True, version="", request_id=""):
    outs = [triton.InferRequestedOutput(n, binary_data=out_binary) for n in ("predict", "predict_proba")]
    return client.infer(model, [tensor("input", array, kind, binary)], model_version=version, outputs=outs,
                        headers=auth(), request_id=request_id)


@case
def server():
    assert client.is_server_live() and client.is_server_ready()
    assert client.get_server_metadata()["name"] == "millrace"


@case
def metadata():
    m = client.get_model_metadata(FOREST, headers=auth())
    assert m["inputs"] == [{"name": "input", "datatype": "FP64", "shape": [-1, 4]}] and m["versions"] == ["1"]
    assert {o["name"]: o["datatype"] for o in m["outputs"]} == {"predict": "INT64", "predict_proba": "FP64"}
    assert client.is_model_ready("forest", "1", headers=auth()) and not client.is_model_ready("nothing", headers=auth())


@case
def binary_both_ways():
    r = ask(FOREST, X, request_id="q-1")
    assert (r.as_numpy("predict")[:, 0] == forest.predict(X)).all() and r.get_response()["id"] == "q-1"
    assert np.array_equal(r.as_numpy("predict_proba"), forest.predict_proba(X))


@case
def json_both_ways():
    r = ask("forest", X, binary=False, out_binary=False, version="1")
    assert (r.as_numpy("predict")[:, 0] == forest.predict(X)).all()
    assert np.array_equal(r.as_numpy("predict_proba"), forest.predict_proba(X))


@case
def mixed_forms():
    for a in (False, True):
        for b in (False, True):
            r = ask(FOREST, X[:7], binary=a, out_binary=b)
            assert np.array_equal(r.as_numpy("predict_proba"), forest.predict_proba(X[:7]))


@case
def default_outputs_are_binary():
    r = client.infer(FOREST, [tensor("x", X, "FP64", True)], headers=auth())  # asks for binary_data_output
    assert np.array_equal(r.as_numpy("predict_proba"), forest.predict_proba(X))


@case
def number_types():
    for kind, dtype in (("FP32", np.float32), ("FP16", np.float16), ("INT8", np.int8), ("UINT8", np.uint8),
                        ("INT16", np.int16), ("UINT16", np.uint16), ("INT32", np.int32), ("UINT32", np.uint32),
                        ("INT64", np.int64), ("UINT64", np.uint64)):
        v = X.astype(dtype)
        forms = (True,) if kind == "FP16" else (True, False)  # the client sends FP16 as bytes only
        for binary in forms:
            r = ask(FOREST, v, kind, binary)
            assert (r.as_numpy("predict")[:, 0] == forest.predict(v.astype(np.float64))).all(), (kind, binary)


@case
def text_labels_are_bytes():
    for binary in (True, False):
        r = client.infer(WORDS, [tensor("x", X, "FP64", True)], headers=auth(),
                         outputs=[triton.InferRequestedOutput("predict", binary_data=binary)])
        got = [v.decode() if isinstance(v, bytes) else v for v in r.as_numpy("predict")[:, 0]]
        assert got == list(words.predict(X))


@case
def columns():
    ins = [tensor(f"f{k}", X[:, k:k + 1].copy(), "FP64", k % 2 == 0) for k in range(4)]
    r = client.infer(FOREST, ins, headers=auth())
    assert (r.as_numpy("predict")[:, 0] == forest.predict(X)).all()


@case
def async_calls():
    runs = [client.async_infer(FOREST, [tensor("x", X[i:i + 3], "FP64", True)], headers=auth()) for i in range(0, 30, 3)]
    for i, run in enumerate(runs):
        assert np.array_equal(run.get_result().as_numpy("predict_proba"), forest.predict_proba(X[3 * i:3 * i + 3]))


@case
def errors():
    for f in (lambda: ask(FOREST, X[:, :3]), lambda: ask("nothing", X), lambda: ask(FOREST, X, version="9")):
        try:
            f()
        except InferenceServerException as e:
            assert e.message()
        else:
            raise AssertionError("no error")


@case
def statistics():
    before = client.get_inference_statistics(FOREST, headers=auth())["model_stats"][0]
    ask(FOREST, X)
    after = client.get_inference_statistics(FOREST, "1", headers=auth())["model_stats"][0]
    assert after["inference_count"] - before["inference_count"] == len(X)
    assert after["execution_count"] - before["execution_count"] == 1


@case
def repository():
    index = {m["name"]: m["state"] for m in client.get_model_repository_index(headers=auth())}
    assert index[FOREST] == index[LINE] == "READY"
    client.unload_model(LINE, headers=auth())
    assert not client.is_model_ready(LINE, headers=auth())
    client.load_model(LINE, headers=auth())
    assert client.is_model_ready(LINE, headers=auth())


# --- MLServer with the same files --------------------------------------------------------------------

@case
def models_of_the_catalogue():
    """MiniLM's own tensors in both forms: the mean over pieces is what /v1/embeddings answers for the text."""
    name = "all-minilm-l6-v2"
    assert client.is_model_ready(name, headers=auth())
    meta = client.get_model_metadata(name, headers=auth())
    assert {i["name"] for i in meta["inputs"]} == {"input_ids", "attention_mask", "token_type_ids"}
    assert name in {m["name"] for m in client.get_model_repository_index(headers=auth())}
    client.load_model(name, headers=auth())
    ids = np.array([[101, 1037, 4937, 102]], np.int64)
    given = {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}
    text = json.dumps({"model": name, "input": "a cat"}).encode()
    r = urllib.request.Request(URL + "/v1/embeddings", text, {"Content-Type": "application/json", **auth()})
    want = np.array(json.load(urllib.request.urlopen(r, timeout=60))["data"][0]["embedding"])
    for binary in (True, False):
        tensors = [tensor(i["name"], given[i["name"]], i["datatype"], binary) for i in meta["inputs"]]
        outs = [triton.InferRequestedOutput(meta["outputs"][0]["name"], binary_data=binary)]
        got = client.infer(name, tensors, outputs=outs, headers=auth()).as_numpy(meta["outputs"][0]["name"])
        mean = got[0].mean(0)
        assert got.shape == (1, 4, 384) and np.abs(mean / np.linalg.norm(mean) - want).max() < 1e-5
    stats = client.get_inference_statistics(name, headers=auth())["model_stats"][0]
    assert stats["execution_count"] >= 2


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def mlserver():
    http, grpc, metrics = free_port(), free_port(), free_port()
    for name, path in (("forest", forest_path), ("line", line_path)):
        d = os.path.join(folder, "mlserver", name)
        os.makedirs(d)
        json.dump({"name": name, "implementation": "mlserver_sklearn.SKLearnModel",
                   "parameters": {"uri": path, "version": "1"}}, open(os.path.join(d, "model-settings.json"), "w"))
    json.dump({"http_port": http, "grpc_port": grpc, "metrics_port": metrics, "parallel_workers": 0, "debug": False,
               "host": "127.0.0.1"}, open(os.path.join(folder, "mlserver", "settings.json"), "w"))
    p = subprocess.Popen([os.path.join(os.path.dirname(sys.executable), "mlserver"), "start",
                          os.path.join(folder, "mlserver")], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    base = f"http://127.0.0.1:{http}"
    for _ in range(600):
        try:
            urllib.request.urlopen(base + "/v2/models/forest/ready", timeout=5)
            urllib.request.urlopen(base + "/v2/models/line/ready", timeout=5)
            return p, base
        except OSError:
            time.sleep(0.2)
    p.terminate()
    raise AssertionError("MLServer did not start")


def post(base, model, body, headers):
    r = urllib.request.Request(f"{base}/v2/models/{model}/infer", json.dumps(body).encode(),
                               {"Content-Type": "application/json", **headers})
    return json.load(urllib.request.urlopen(r, timeout=60))


@case
def the_same_answers_as_mlserver():
    process, base = mlserver()
    try:
        compared = 0
        for model, rows in (("forest", X), ("line", W)):
            names = ["predict", "predict_proba"] if model == "forest" else ["predict"]
            for n in (1, 7, len(rows)):
                for name in names:
                    body = {"id": f"{model}-{n}", "outputs": [{"name": name}],
                            "inputs": [{"name": "x", "shape": [n, rows.shape[1]], "datatype": "FP64",
                                        "data": rows[:n].tolist()}]}
                    theirs, ours = post(base, model, body, {}), post(URL, model, body, auth())
                    assert theirs["id"] == ours["id"] and theirs["model_name"] == ours["model_name"]
                    a, b = theirs["outputs"][0], ours["outputs"][0]
                    assert (a["name"], a["shape"], a["datatype"]) == (b["name"], b["shape"], b["datatype"]), (a, b)
                    worst = np.abs(np.array(a["data"], float) - np.array(b["data"], float)).max()
                    assert worst <= 1e-9, worst
                    compared += len(a["data"])
        print(f"      {compared} values compared with MLServer's")
    finally:
        process.terminate()
        process.wait(30)


print(f"tritonclient: {sum(results)} passed, {len(results) - sum(results)} failed")
sys.exit(0 if all(results) else 1)
