"""The catalogue's ONNX models under /v2: their own tensors, everybody's to use, the owner's to unload."""
import json
import struct

import pytest
from client import Api
from server import Server
from test_aisemble_models import CLASSIFIER, DETECTOR, EMBEDDER, V2, photo, send, wait_for
from test_kserve import infer, out

IDS = [101, 1037, 4937, 102]  # [CLS] a cat [SEP]


def tokens(rows=1, length=4):
    fill = (IDS + [0] * length)[:length] * rows
    mask = ([1] * 4 + [0] * length)[:length] * rows
    return [{"name": "input_ids", "shape": [rows, length], "datatype": "INT64", "data": fill},
            {"name": "attention_mask", "shape": [rows, length], "datatype": "INT64", "data": mask},
            {"name": "token_type_ids", "shape": [rows, length], "datatype": "INT64", "data": [0] * rows * length}]


@pytest.fixture(scope="module")
def own(spec):
    with Server(flags=["--rate-limits", "off"]) as s:
        yield Api(s.host, s.port, s.key, spec)
        assert s.stop() == 0, s.log_text()[-2000:]


def test_metadata_names_the_networks_own_tensors(user):
    body = user.get(f"/v2/models/{CLASSIFIER}").json()
    assert body["name"] == CLASSIFIER and body["platform"] == "onnx_onnxv1" and len(body["versions"]) == 1
    assert [i["datatype"] for i in body["inputs"]] == ["FP32"] and body["inputs"][0]["shape"][-3:] == [3, 224, 224]
    assert {"prob", "embedding"} <= {o["name"] for o in body["outputs"]}
    assert user.get(f"/v2/models/{CLASSIFIER}/versions/{body['versions'][0]}").json() == body
    assert user.get(f"/v2/models/{CLASSIFIER}/versions/99").status == 404
    names = {i["name"]: i["datatype"] for i in user.get(f"/v2/models/{EMBEDDER}").json()["inputs"]}
    assert names == {"input_ids": "INT64", "attention_mask": "INT64", "token_type_ids": "INT64"}
    for part in ("det", "cls", "rec"):
        assert user.get(f"/v2/models/pp-ocr-v4.{part}").json()["inputs"][0]["datatype"] == "FP32"
    for wrong in ("pp-ocr-v4", "pp-ocr-v4.x", CLASSIFIER + ".det", "smollm2-135m-instruct", "lid-176", CLASSIFIER[:-1]):
        assert user.get(f"/v2/models/{wrong}").status == 404, wrong


def test_health_of_a_model(user):
    assert user.get(f"/v2/models/{CLASSIFIER}/ready").json() == {"name": CLASSIFIER, "ready": True}
    assert user.get(f"/v2/models/{CLASSIFIER}/versions/99/ready").status == 404


def test_an_embedding_is_that_of_the_other_protocols(user):
    """Mean of the vectors of the pieces, at unit length: what /v1/embeddings gives for the same text."""
    r = infer(user, EMBEDDER, tokens(), id="e-1")
    assert r.status == 200, r
    body = r.json()
    assert body["model_name"] == EMBEDDER and body["id"] == "e-1"
    o = body["outputs"][0]
    assert o["shape"] == [1, 4, 384] and o["datatype"] == "FP32"
    mean = [sum(o["data"][p * 384 + k] for p in range(4)) / 4 for k in range(384)]
    norm = sum(v * v for v in mean) ** 0.5
    want = user.post("/v1/embeddings", {"model": EMBEDDER, "input": "a cat"}).json()["data"][0]["embedding"]
    assert max(abs(v / norm - w) for v, w in zip(mean, want)) < 1e-5


def test_binary_and_json_agree(user):
    pixels = [((k * 2654435761) % 255) / 127.5 - 1 for k in range(3 * 224 * 224)]
    name = user.get(f"/v2/models/{CLASSIFIER}").json()["inputs"][0]["name"]
    raw = struct.pack(f"<{len(pixels)}f", *pixels)
    head = {"inputs": [{"name": name, "shape": [1, 3, 224, 224], "datatype": "FP32",
                        "parameters": {"binary_data_size": len(raw)}}],
            "outputs": [{"name": "prob", "parameters": {"binary_data": True}}]}
    text = json.dumps(head).encode()
    r = user.post(f"/v2/models/{CLASSIFIER}/infer", text + raw, headers={
        "Content-Type": "application/octet-stream", "Inference-Header-Content-Length": str(len(text))})
    assert r.status == 200, r
    n = int(r.headers["inference-header-content-length"])
    binary = struct.unpack("<1000f", r.body[n:])
    assert abs(sum(binary) - 1) < 1e-3, "probabilities"
    r = infer(user, CLASSIFIER, [{"name": name, "shape": [1, 3, 224, 224], "datatype": "FP32", "data": pixels}],
              [{"name": "prob"}])
    assert [o["name"] for o in r.json()["outputs"]] == ["prob"]
    assert max(abs(a - b) for a, b in zip(out(r, "prob")["data"], binary)) < 1e-6


def test_a_run_is_charged_and_counted(user):
    before = user.get(f"/v2/models/{EMBEDDER}/stats").json()["model_stats"][0]["execution_count"]
    r = infer(user, EMBEDDER, tokens(2))
    why = user.get(f"/api/usage/explain/{r.headers['x-millrace-call-id']}").json()
    assert why["model"] == EMBEDDER and why["family"] == "kserve" and why["cost"] == 0
    assert r.headers["x-millrace-response-cost"] == "0" or float(r.headers["x-millrace-response-cost"]) == 0
    s = user.get(f"/v2/models/{EMBEDDER}/stats").json()["model_stats"][0]
    assert s["execution_count"] == before + 1 and s["inference_stats"]["compute_infer"]["ns"] > 0


@pytest.mark.parametrize("inputs, status, says", [
    (tokens()[:2], 400, "3 inputs"),
    ([{**t, "datatype": "INT32"} for t in tokens()], 400, "int32"),
    ([{**t, "name": t["name"] + "x"} for t in tokens()], 400, "missing"),
    (tokens(64, 600), 413, "too many"),
    (tokens(5000, 16), 413, "too many"),
])
def test_wrong_tensors_are_named(user, inputs, status, says):
    r = infer(user, EMBEDDER, inputs)
    assert r.status == status and says in r.json()["error"], r
    assert infer(user, EMBEDDER, tokens()).status == 200


def test_too_large_an_image_is_refused(user):
    name = user.get("/v2/models/pp-ocr-v4.det").json()["inputs"][0]["name"]
    shape = [1, 3, 1024, 1024]
    raw = b"\0" * (4 * 3 * 1024 * 1024)
    text = json.dumps({"inputs": [{"name": name, "shape": shape, "datatype": "FP32",
                                   "parameters": {"binary_data_size": len(raw)}}]}).encode()
    r = user.post("/v2/models/pp-ocr-v4.det/infer", text + raw, headers={
        "Content-Type": "application/octet-stream", "Inference-Header-Content-Length": str(len(text))})
    assert r.status == 413, r


def entries(api, **body):
    return {m["name"]: m for m in api.post("/v2/repository/index", body or None).json()}


def test_the_repository_lists_loads_and_unloads(own, spec):
    all_ = entries(own)
    assert {CLASSIFIER, DETECTOR, EMBEDDER, "pp-ocr-v4.det", "pp-ocr-v4.rec"} <= set(all_)
    assert all_[CLASSIFIER]["state"] == "READY" and not all_[CLASSIFIER]["reason"]
    assert "smollm2-135m-instruct" not in all_
    assert own.post(f"/v2/repository/models/{CLASSIFIER}/load", {}).status == 200
    state = lambda: {m["id"]: m["status"] for m in own.get(V2 + "/models").json()["models"]}[CLASSIFIER]  # noqa: E731
    assert state() == "loaded", "load waits"
    assert own.post(f"/v2/repository/models/{CLASSIFIER}/unload", {}).status == 200
    wait_for(lambda: state() == "unloaded", "the unload")
    assert entries(own)[CLASSIFIER] == {**all_[CLASSIFIER], "state": "UNAVAILABLE", "reason": "unloaded"}
    assert CLASSIFIER not in entries(own, ready=True)
    assert own.get(f"/v2/models/{CLASSIFIER}/ready").status == 400
    assert send(own, "/ai/vision/classify", photo("chelsea.png")).status == 422, "of every protocol"
    assert own.get(f"/v2/models/{CLASSIFIER}").status == 503
    assert own.post(f"/v2/repository/models/{CLASSIFIER}/load", {}).status == 200
    assert entries(own)[CLASSIFIER]["state"] == "READY"


def test_only_the_owner_unloads(user, new_user):
    r = user.post(f"/v2/repository/models/{CLASSIFIER}/unload", {})
    assert r.status == 403 and "owner" in r.json()["error"], r
    assert user.post(f"/v2/repository/models/{CLASSIFIER}/load", {}).status == 200


def test_a_stopped_service_is_not_ready(own):
    assert own.post(V2 + "/ops/services/vision/stop", {}).status == 200
    r = own.get(f"/v2/models/{DETECTOR}/ready")
    assert r.status == 400 and "stopped" in r.json()["error"]
    assert own.post(V2 + "/ops/services/vision/start", {}).status == 200
    wait_for(lambda: own.get(f"/v2/models/{DETECTOR}/ready").status == 200, "the detector")


