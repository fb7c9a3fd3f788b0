"""KServe v2 (Open Inference Protocol) on sockets: JSON and binary tensors, metadata, repository."""
import json
import struct

import pytest
from conftest import golden


def infer(api, model, inputs, outputs=None, version=None, **more):
    body = {"inputs": inputs, **more}
    if outputs is not None:
        body["outputs"] = outputs
    at = f"/v2/models/{model}" + (f"/versions/{version}" if version else "")
    return api.post(f"{at}/infer", body)


def matrix(rows, datatype="FP64", name="input"):
    return {"name": name, "shape": [len(rows), len(rows[0])], "datatype": datatype, "data": rows}


def out(reply, name):
    body = reply.json() if hasattr(reply, "json") else reply
    return next(o for o in body["outputs"] if o["name"] == name)


ROWS = [[5.1, 3.5, 1.4, 0.2], [6.2, 3.4, 5.4, 2.3], [4.9, 3.0, 1.4, 0.2]]


def test_server_and_health(anonymous):
    body = anonymous.get("/v2").json()
    assert body["name"] == "millrace" and "binary_tensor_data" in body["extensions"]
    assert anonymous.get("/v2/health/live").json() == {"live": True}
    assert anonymous.get("/v2/health/ready").json() == {"ready": True}


def test_metadata_is_inferred(iris):
    api, dep = iris
    body = api.get(f"/v2/models/{dep}").json()
    assert body["name"] == dep and body["versions"] == ["1"] and body["platform"] == "sklearn"
    assert body["inputs"] == [{"name": "input", "datatype": "FP64", "shape": [-1, 4]}]
    assert body["outputs"] == [{"name": "predict", "datatype": "INT64", "shape": [-1, 1]},
                               {"name": "predict_proba", "datatype": "FP64", "shape": [-1, 3]}]
    assert api.get(f"/v2/models/{dep}/versions/1").json() == body
    assert api.get("/v2/models/iris-classifier").json()["inputs"] == body["inputs"]
    assert api.get(f"/v2/models/{dep}/ready").json() == {"name": dep, "ready": True}
    assert api.get(f"/v2/models/{dep}/versions/v1/ready").status == 200


def test_json_infer_gives_what_predict_gives(iris):
    api, dep = iris
    want = api.predict(dep, ROWS).json()
    got = infer(api, dep, [matrix(ROWS)], id="a-7").json()
    assert got["id"] == "a-7" and got["model_name"] == dep and got["model_version"] == "1"
    assert out(got, "predict") == {"name": "predict", "datatype": "INT64", "shape": [3, 1],
                                   "data": want["predictions"]}
    proba = out(got, "predict_proba")
    assert proba["shape"] == [3, 3]
    assert proba["data"] == [p for row in want["probabilities"] for p in row]
    flat = {**matrix(ROWS), "data": [v for row in ROWS for v in row]}
    assert infer(api, dep, [flat]).json()["outputs"] == got["outputs"]
    assert infer(api, "iris-classifier", [flat], version="1").json()["outputs"] == got["outputs"]


def test_only_asked_outputs_in_their_order(iris):
    api, dep = iris
    r = infer(api, dep, [matrix(ROWS)], outputs=[{"name": "predict_proba"}, {"name": "predict"}])
    assert [o["name"] for o in r.json()["outputs"]] == ["predict_proba", "predict"]
    r = infer(api, dep, [matrix(ROWS)], outputs=[{"name": "nothing"}])
    assert r.status == 400 and "nothing" in r.json()["error"]


@pytest.mark.parametrize("datatype", ["FP32", "FP16", "INT8", "UINT8", "INT16", "UINT16", "INT32",
                                      "UINT32", "INT64", "UINT64"])
def test_any_number_type_feeds_a_matrix(iris, datatype):
    api, dep = iris
    rows = [[5, 3, 1, 0], [6, 3, 5, 2]]
    assert out(infer(api, dep, [matrix(rows, datatype)]), "predict")["data"] == \
        api.predict(dep, rows).json()["predictions"]


def test_one_input_a_column(iris):
    api, dep = iris
    columns = [{"name": f"c{k}", "shape": [3, 1], "datatype": "FP64", "data": [r[k] for r in ROWS]}
               for k in range(4)]
    assert infer(api, dep, columns).json()["outputs"] == infer(api, dep, [matrix(ROWS)]).json()["outputs"]
    columns[2]["shape"], columns[2]["data"] = [2, 1], [1.0, 2.0]
    assert "c2" in infer(api, dep, columns).json()["error"]


def binary(api, path, head, tail, declared=None):
    text = json.dumps(head).encode()
    headers = {"Inference-Header-Content-Length": str(len(text) if declared is None else declared),
               "Content-Type": "application/octet-stream"}
    return api.post(path, text + tail, headers=headers)


def test_binary_tensors_both_ways(iris):
    api, dep = iris
    raw = struct.pack("<12d", *[v for row in ROWS for v in row])
    head = {"id": "b", "inputs": [{"name": "x", "shape": [3, 4], "datatype": "FP64",
                                   "parameters": {"binary_data_size": len(raw)}}],
            "parameters": {"binary_data_output": True}}
    r = binary(api, f"/v2/models/{dep}/infer", head, raw)
    assert r.status == 200 and r.headers["content-type"] == "application/octet-stream"
    n = int(r.headers["inference-header-content-length"])
    reply = json.loads(r.body[:n])
    assert [o["parameters"]["binary_data_size"] for o in reply["outputs"]] == [24, 72]
    want = api.predict(dep, ROWS).json()
    assert list(struct.unpack("<3q", r.body[n:n + 24])) == want["predictions"]
    assert list(struct.unpack("<9d", r.body[n + 24:])) == [p for row in want["probabilities"] for p in row]
    # one output raw, the other one as JSON
    head.pop("parameters")
    head["outputs"] = [{"name": "predict_proba", "parameters": {"binary_data": True}}, {"name": "predict"}]
    r = binary(api, f"/v2/models/{dep}/infer", head, raw)
    n = int(r.headers["inference-header-content-length"])
    reply = json.loads(r.body[:n])
    assert "data" not in reply["outputs"][0] and reply["outputs"][1]["data"] == want["predictions"]
    assert len(r.body) - n == 72


def test_text_and_mixed_models_take_bytes(user):
    file, values = golden("cx_text_tfidf_maxabs")
    dep = user.deploy(file, name="text").json()["id"]
    texts = ["a quiet sea", "the engine of the car"]
    meta = user.get(f"/v2/models/{dep}").json()
    assert meta["inputs"][0]["datatype"] == "BYTES", meta
    want = user.predict(dep, texts).json()["predictions"]
    data = {"name": "input", "shape": [2, 1], "datatype": "BYTES", "data": texts}
    got = out(infer(user, dep, [data]), "predict")
    assert got["data"] == want
    raw = b"".join(struct.pack("<I", len(t)) + t.encode() for t in texts)
    head = {"inputs": [{"name": "input", "shape": [2], "datatype": "BYTES",
                        "parameters": {"binary_data_size": len(raw)}}]}
    assert out(json.loads(binary(user, f"/v2/models/{dep}/infer", head, raw).body), "predict")["data"] == want


BAD = [
    ({"inputs": []}, "inputs"),
    ({}, "inputs"),
    ({"inputs": [{"name": "x", "shape": [1, 4], "datatype": "FP64"}]}, "data"),
    ({"inputs": [{"name": "x", "shape": [1, 4], "datatype": "FP65", "data": [1, 2, 3, 4]}]}, "datatype"),
    ({"inputs": [{"name": "x", "shape": [1, -4], "datatype": "FP64", "data": [1]}]}, "shape"),
    ({"inputs": [{"name": "x", "shape": [1, 4], "datatype": "FP64", "data": [1, 2, 3]}]}, "shape"),
    ({"inputs": [{"name": "x", "shape": [1, 4], "datatype": "FP64", "data": [[1, 2], [3, 4]]}]}, "nested"),
    ({"inputs": [{"name": "x", "shape": [1, 4], "datatype": "INT8", "data": [1, 2, 3, 128]}]}, "INT8"),
    ({"inputs": [{"name": "x", "shape": [1, 4], "datatype": "FP64", "data": ["1", 2, 3, 4]}]}, "FP64"),
    ({"inputs": [{"name": "x", "shape": [1, 5], "datatype": "FP64", "data": [1, 2, 3, 4, 5]}]}, "[rows, 4]"),
    ({"inputs": [{"name": "x", "shape": [1099511627776, 1099511627776], "datatype": "FP64", "data": [1]}]}, "large"),
    ({"inputs": [{"name": "x", "shape": [1, 4], "datatype": "BYTES", "data": ["a", "b", "c", "d"]}]}, "numbers"),
    ({"inputs": [{"name": "x", "shape": [1, 4], "datatype": "FP64", "parameters": {"shared_memory_region": "r"}}]},
     "shared memory"),
    ({"inputs": [{"name": "x", "shape": [1, 4], "datatype": "FP64", "parameters": {"binary_data_size": 32}}]},
     "binary_data_size"),
    ({"id": 7, "inputs": [matrix([[1, 2, 3, 4]])]}, "id"),
]


@pytest.mark.parametrize("body,word", BAD, ids=range(len(BAD)))
def test_malformed_requests_are_400_and_say_why(iris, body, word):
    api, dep = iris
    r = api.post(f"/v2/models/{dep}/infer", body)
    assert r.status in (400, 413) and word in r.json()["error"], r


def test_values_that_are_no_numbers(user):
    dep = user.deploy(golden("bnb_iris")[0], name="bayes").json()["id"]
    r = infer(user, dep, [matrix([[None, 2.0, 3.0, 4.0]])])
    assert r.status == 400 and "not a number" in r.json()["error"], r
    raw = struct.pack("<4d", 1, 2, float("-inf"), 4)
    head = {"inputs": [{"name": "x", "shape": [1, 4], "datatype": "FP64",
                        "parameters": {"binary_data_size": 32}}]}
    r = binary(user, f"/v2/models/{dep}/infer", head, raw)
    assert r.status == 400 and "value 2 of input 'x' is infinite" in r.json()["error"], r


def test_malformed_binary_requests(iris):
    api, dep = iris
    path = f"/v2/models/{dep}/infer"
    head = {"inputs": [{"name": "x", "shape": [1, 4], "datatype": "FP64",
                        "parameters": {"binary_data_size": 32}}]}
    for tail, declared in ((b"\0" * 31, None), (b"\0" * 33, None), (b"\0" * 32, 3), (b"\0" * 32, 10**6), (b"", 0)):
        r = binary(api, path, head, tail, declared)
        assert r.status == 400 and r.json()["error"], r
    head["inputs"][0]["datatype"] = "BYTES"
    for tail in (struct.pack("<I", 2**32 - 1) + b"\0" * 28, b"\0" * 32):
        assert binary(api, path, head, tail).status == 400
    assert api.post(path, b"not json").status == 400
    assert api.post(path, b"").status == 400


def test_unknown_models_and_versions(iris):
    api, dep = iris
    assert infer(api, "nothing", [matrix(ROWS)]).status == 404
    r = infer(api, dep, [matrix(ROWS)], version="2")
    assert r.status == 404 and "version 1 does" in r.json()["error"]
    assert api.get(f"/v2/models/{dep}/versions/x").status == 404
    assert api.get("/v2/nothing").json() == {"error": "There is nothing at this path."}


def test_statistics_count_requests_and_rows(iris):
    api, dep = iris
    before = api.get(f"/v2/models/{dep}/stats").json()["model_stats"][0]
    assert (before["inference_count"], before["execution_count"], before["last_inference"]) == (0, 0, 0)
    for _ in range(3):
        infer(api, dep, [matrix(ROWS)])
    infer(api, dep, [matrix([[1, 2, 3]])])
    got = api.get(f"/v2/models/{dep}/versions/1/stats").json()["model_stats"][0]
    assert (got["inference_count"], got["execution_count"]) == (9, 3)
    assert got["inference_stats"]["success"]["count"] == 3 and got["inference_stats"]["fail"]["count"] == 1
    parts = sum(got["inference_stats"][k]["ns"] for k in ("queue", "compute_input", "compute_infer", "compute_output"))
    assert parts == got["inference_stats"]["success"]["ns"] > 0


def test_metered_like_a_prediction(iris):
    api, dep = iris
    infer(api, dep, [matrix(ROWS)])
    infer(api, dep, [matrix([[1, 2, 3]])])
    m = api.get(f"/api/v1/metrics/{dep}").json()["metrics"]
    assert m["request_count"] == 2 and m["error_count"] == 1, m


def test_repository(iris):
    api, dep = iris
    listed = lambda **b: [m for m in api.post("/v2/repository/index", b or None).json()  # noqa: E731
                          if m["name"].startswith("dep-")]
    assert listed() == [{"name": dep, "version": "1", "state": "READY", "reason": ""}]
    assert api.post(f"/v2/repository/models/{dep}/unload", {}).json() == {}
    assert api.get(f"/v2/models/{dep}/ready").status == 400
    assert infer(api, dep, [matrix(ROWS)]).status == 503
    assert api.predict(dep, ROWS).status == 503
    assert listed(ready=True) == []
    assert listed(ready=False)[0]["state"] == "UNAVAILABLE"
    assert api.post(f"/v2/repository/models/{dep}/load", {}).json() == {}
    assert api.get(f"/v2/models/{dep}/ready").status == 200
    assert infer(api, dep, [matrix(ROWS)]).status == 200
    r = api.post(f"/v2/repository/models/{dep}/load", {"parameters": {"config": "{}"}})
    assert r.status == 400 and "version" in r.json()["error"]
    assert api.post("/v2/repository/index", b"[1]").status == 400


def test_onnx_models(user):
    file, values = golden("onnx_lr_zipmap")
    dep = user.deploy(file, file_name="m.onnx", name="onnx").json()["id"]
    meta = user.get(f"/v2/models/{dep}").json()
    assert meta["platform"] == "onnx_onnxv1" and meta["inputs"][0]["datatype"] == "FP32", meta
    assert meta["inputs"][0]["shape"] == [-1, 4]
    names = [o["name"] for o in meta["outputs"]]
    assert [o["datatype"] for o in meta["outputs"]] == ["INT64", "FP32", "INT64"] and names[2] == names[1] + ".keys"
    rows = values["inputs"][:5]
    name = meta["inputs"][0]["name"]
    got = infer(user, dep, [matrix(rows, "FP32", name)]).json()
    want = user.predict(dep, rows).json()
    assert out(got, names[0])["data"] == want["predictions"]
    assert out(got, names[1])["data"] == [p for row in want["probabilities"] for p in row]
    assert out(got, names[2])["data"] == [0, 1, 2] * 5
    raw = struct.pack("<20f", *[v for row in rows for v in row])
    head = {"inputs": [{"name": name, "shape": [5, 4], "datatype": "FP32",
                        "parameters": {"binary_data_size": len(raw)}}]}
    assert json.loads(binary(user, f"/v2/models/{dep}/infer", head, raw).body)["outputs"] == got["outputs"]
    for bad, word in (([matrix(rows, "FP64", name)], "float32"), ([matrix(rows, "FP32", "other")], "missing"),
                      ([matrix([[1, 2]], "FP32", name)], "dimension 1")):
        r = infer(user, dep, bad)
        assert r.status == 400 and word in r.json()["error"], r
