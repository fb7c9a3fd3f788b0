"""Seed 002 on real models: text, images, language, the catalogue, services, health and operations."""
import base64
import http.client
import json
import os
import re
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from client import Api, multipart
from server import Server
from test_aisemble import V2, error, register

LLM, DETECTOR, CLASSIFIER, EMBEDDER = ("smollm2-135m-instruct", "ssd-mobilenet-v2-coco", "efficientnet-lite0",
                                       "all-minilm-l6-v2")
# Cannot end before 900 numbers: seconds on any machine, whatever the model would like to say.
LONG = {"prompt": "Count from one to ten thousand.", "max_tokens": 4000, "temperature": 0,
        "parameters": {"json_schema": {"type": "array", "items": {"type": "integer"}, "minItems": 900}}}
FRANCE = [{"role": "system", "content": "You are a helpful AI assistant."},
          {"role": "user", "content": "What is the capital of France?"}]
GREEDY = {"temperature": 0, "max_tokens": 12}
CACHE = os.environ.get("MILLRACE_CACHE", os.path.expanduser("~/.cache/millrace"))


def photo(name):
    with open(os.path.join(CACHE, "photos", name), "rb") as f:
        return f.read()


def send(api, path, data, fields=None, name="image.png", **kw):
    body, kind = multipart(fields or {}, {"image": (name, data)})
    return api.post(V2 + path, body, headers={"Content-Type": kind}, **kw)


@pytest.fixture(scope="module")
def own(spec):
    """A server whose services may be stopped and whose models may be unloaded."""
    with Server(flags=["--rate-limits", "off", "--log-level", "info"]) as s:
        yield Api(s.host, s.port, s.key, spec)
        assert s.stop() == 0, s.log_text()[-2000:]


def wait_for(fn, what, seconds=60):
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        got = fn()
        if got:
            return got
        time.sleep(0.05)
    raise AssertionError("waited in vain for " + what)


# --- text ----------------------------------------------------------------------------------------

def test_chat_knows_the_capital_of_france(user):
    r = user.post(V2 + "/ai/llm/chat", {"messages": FRANCE, **GREEDY})
    assert r.status == 200, r
    body = r.json()
    assert "Paris" in body["choices"][0]["message"]["content"] and body["model"] == LLM
    assert body["choices"][0]["finish_reason"] in ("stop", "length")
    u = body["usage"]
    assert u["total_tokens"] == u["prompt_tokens"] + u["completion_tokens"] and 0 < u["completion_tokens"] <= 12


def test_generate_as_the_seed_asks(user):
    r = user.post(V2 + "/ai/llm/generate", {
        "prompt": "Explain quantum computing", "model": LLM, "max_tokens": 8, "temperature": 0.7,
        "parameters": {"top_p": 0.9, "frequency_penalty": 0.0, "presence_penalty": 0.0}})
    assert r.status == 200, r
    body = r.json()
    assert body["status"] == "completed" and body["generated_text"] and body["request_id"].startswith("req_")
    m = body["metadata"]
    assert m["tokens_used"] == m["prompt_tokens"] + m["completion_tokens"] and m["processing_time"] > 0
    charge = user.get(f"/api/usage/explain/{m['charge_id']}")
    assert charge.status == 200 and charge.json()["model"] == LLM, charge


def test_raw_skips_the_chat_template(user):
    ask = lambda raw: user.post(V2 + "/ai/llm/generate", {  # noqa: E731
        "prompt": "The capital of France is", "raw": raw, "max_tokens": 3, "temperature": 0}).json()["metadata"]
    assert ask(True)["prompt_tokens"] + 5 < ask(False)["prompt_tokens"]


def test_seed_and_stop(user):
    ask = lambda **p: user.post(V2 + "/ai/llm/generate", {  # noqa: E731
        "prompt": "Tell a story.", "max_tokens": 12, "temperature": 1.2, "parameters": p}).json()["generated_text"]
    assert ask(seed=7) == ask(seed=7)
    text = user.post(V2 + "/ai/llm/chat", {"messages": FRANCE, **GREEDY, "parameters": {"stop": ["Paris"]}}).json()
    assert "Paris" not in text["choices"][0]["message"]["content"] and text["choices"][0]["finish_reason"] == "stop"


def events(r):
    assert r.headers["content-type"].startswith("text/event-stream"), r
    return [line[6:] for line in r.text.split("\n") if line.startswith("data: ")]


def test_streams_say_the_same_as_whole_answers(user):
    whole = user.post(V2 + "/ai/llm/chat", {"messages": FRANCE, **GREEDY}).json()
    lines = events(user.post(V2 + "/ai/llm/chat", {"messages": FRANCE, **GREEDY, "stream": True}))
    assert lines[-1] == "[DONE]"
    chunks = [json.loads(x) for x in lines[:-1]]
    text = "".join(c["choices"][0]["delta"].get("content", "") for c in chunks)
    assert text == whole["choices"][0]["message"]["content"] and len(chunks) > 3
    assert chunks[-1]["usage"] == whole["usage"] and chunks[-1]["model"] == LLM
    assert chunks[-1]["choices"][0]["finish_reason"] == whole["choices"][0]["finish_reason"]
    lines = events(user.post(V2 + "/ai/llm/generate", {"prompt": "Hi", "max_tokens": 5, "temperature": 0, "stream": True}))
    last = json.loads(lines[-2])
    assert "".join(json.loads(x)["delta"] for x in lines[:-2]) == last["generated_text"] and last["status"] == "completed"


@pytest.mark.parametrize("stream", [False, True])
def test_a_client_that_leaves_ends_its_generation(owner, server, stream):
    """The model is busy with a long answer until its client hangs up."""
    body = json.dumps({**LONG, "stream": stream}).encode()
    s = socket.create_connection((server.host, server.port))
    s.sendall((f"POST {V2}/ai/llm/generate HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {server.key}\r\n"
               f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n").encode() + body)
    in_use = lambda: owner.get(V2 + "/ops/services/llm").json()["in_use"]  # noqa: E731
    wait_for(lambda: in_use() > 0, "the generation to begin")
    if stream:
        assert b"text/event-stream" in s.recv(4096)
    s.close()
    wait_for(lambda: in_use() == 0, "the generation to end", 20)


def test_unknown_model_and_overlong_prompt(user):
    e = error(user.post(V2 + "/ai/llm/generate", {"prompt": "x", "model": "gpt-99"}), 404, "RESOURCE_NOT_FOUND")
    assert "gpt-99" in e["message"]
    r = user.post(V2 + "/ai/llm/generate", {"prompt": "word " * 60000, "max_tokens": 4})
    assert re.search(r"\d", error(r, 400, "INVALID_REQUEST")["message"]), "it says both figures"


def test_a_spent_budget_is_a_quota(user, standin):
    """Local models cost nothing by default, so the budget is spent at a provider."""
    assert user.request("PUT", "/api/v1/account/budget", {"monthly_budget_usd": 0.0000001}).status == 200
    r = user.post(V2 + "/ai/llm/generate", {"prompt": "x", "model": "openai/gpt-4o-mini", "max_tokens": 100})
    e = error(r, 402, "QUOTA_EXCEEDED")
    assert "budget" in e["message"]


def test_a_provider_answers_under_its_name(user, standin):
    r = user.post(V2 + "/ai/llm/chat", {"messages": FRANCE, "model": "openai/gpt-4o-mini", "max_tokens": 20})
    assert r.status == 200, r
    assert r.json()["model"].startswith("gpt-4o-mini") and r.json()["cost"] > 0


def test_llm_models(user):
    models = {m["id"]: m for m in user.get(V2 + "/ai/llm/models").json()["models"]}
    assert models[LLM]["status"] in ("available", "loading", "loaded") and models[LLM]["max_tokens"] >= 2048
    assert {"text_generation", "chat"} <= set(models[LLM]["capabilities"])
    assert models["openai/gpt-4o-mini"]["cost_per_token"] == 6e-7


# --- images --------------------------------------------------------------------------------------

def test_classify_a_cat_by_form_and_by_json(user):
    data = photo("chelsea.png")
    r = send(user, "/ai/vision/classify", data, {"model": CLASSIFIER, "top_k": 3})
    assert r.status == 200, r
    body = r.json()
    assert [p["class_id"] for p in body["predictions"]][0] in (281, 282, 285) and len(body["predictions"]) == 3
    assert body["model"] == CLASSIFIER
    by_json = user.post(V2 + "/ai/vision/classify", {"image": base64.b64encode(data).decode(), "top_k": 3}).json()
    assert by_json["predictions"] == body["predictions"]
    url = "data:image/png;base64," + base64.b64encode(data).decode()
    assert user.post(V2 + "/ai/vision/classify", {"image": url, "top_k": 3}).json()["predictions"] == body["predictions"]
    assert len(send(user, "/ai/vision/classify", data).json()["predictions"]) == 5
    every = send(user, "/ai/vision/classify", data, {"top_k": 1000}).json()["predictions"]
    assert len(every) == 1000 and abs(sum(p["confidence"] for p in every) - 1) < 0.01


@pytest.mark.parametrize("fields", [
    [("analysis_type", "object_detection")], [("analysis_type", '["object_detection"]')],
    [("analysis_type", "object_detection, object_detection")],
    [("analysis_type", "object_detection"), ("analysis_type", "object_detection")]])
def test_lists_of_forms_come_in_three_ways(user, fields):
    data = photo("chelsea.png")
    bound = "x" * 20
    body = b"".join(f'--{bound}\r\nContent-Disposition: form-data; name="{k}"\r\n\r\n{v}\r\n'.encode() for k, v in fields)
    body += (f'--{bound}\r\nContent-Disposition: form-data; name="image"; filename="a.png"\r\n\r\n'.encode() + data
             + f"\r\n--{bound}--\r\n".encode())
    r = user.post(V2 + "/ai/vision/analyze", body, headers={"Content-Type": f"multipart/form-data; boundary={bound}"})
    assert r.status == 200, r
    assert list(r.json()["analysis_results"]) == ["objects"]


def test_detect_a_cat_and_a_person(user):
    r = send(user, "/ai/vision/analyze", photo("chelsea.png"), {"analysis_type": "object_detection"})
    body = r.json()
    assert body["image_info"] == {"width": 451, "height": 300, "format": "PNG", "size_bytes": 240512}
    cat = body["analysis_results"]["objects"][0]
    assert cat["class"] == "cat" and cat["confidence"] > 0.5 and "attributes" not in cat
    x0, y0, x1, y1 = cat["bbox"]
    assert 0 <= x0 < x1 <= 451 and 0 <= y0 < y1 <= 300 and (x1 - x0) * (y1 - y0) > 451 * 300 / 3
    found = send(user, "/ai/vision/analyze", photo("astronaut.png"),
                 {"analysis_type": "object_detection", "model": DETECTOR}).json()["analysis_results"]["objects"]
    person = next(o for o in found if o["class"] == "person")
    assert person["attributes"] == {"gender": "unknown", "age_range": "unknown"}


def test_read_a_document_and_a_sign(user):
    with open(os.path.join(CACHE, "photos", "made", "invoice.txt"), encoding="utf-8") as f:
        want = f.read().split()
    r = send(user, "/ai/vision/analyze", photo("made/invoice.png"), {"analysis_type": "text_extraction"})
    assert r.status == 200, r
    body = r.json()
    lines = body["analysis_results"]["text"]
    assert " ".join(x["text"] for x in lines).split() == want
    w, h = body["image_info"]["width"], body["image_info"]["height"]
    for x in lines:
        x0, y0, x1, y1 = x["bbox"]
        assert 0 <= x0 < x1 <= w and 0 <= y0 < y1 <= h and " ".join(k["text"] for k in x["words"]) == x["text"]
    assert body["model"] == "tesseract-eng"
    body = send(user, "/ai/vision/analyze", photo("made/sign.jpg"),
                {"analysis_type": "text_extraction", "model": "pp-ocr-v4"}).json()
    assert "STOP" in [x["text"] for x in body["analysis_results"]["text"]] and body["model"] == "pp-ocr-v4"


def test_all_analyses_together_and_the_scene(user):
    body = send(user, "/ai/vision/analyze", photo("china.jpg"),
                {"analysis_type": '["object_detection", "text_extraction", "scene_analysis"]', "model": "yolo-v8"},
                name="china.jpg").json()
    found = body["analysis_results"]
    assert set(found) == {"objects", "text", "scene"} and body["models"]["object_detection"] == DETECTOR == body["model"]
    assert found["scene"]["time_of_day"] in ("daytime", "unknown") and found["scene"]["derived_from"]
    assert set(send(user, "/ai/vision/analyze", photo("chelsea.png")).json()["analysis_results"]) == set(found)
    scene = send(user, "/ai/vision/analyze", photo("chelsea.png"),
                 {"analysis_type": "scene_analysis"}).json()["analysis_results"]["scene"]
    assert scene["weather"] == "unknown" == scene["time_of_day"], "a cat on a sofa shows no sky"


@pytest.mark.parametrize("data,status", [(b"", 400), (b"GIF89a", 400), (b"\x89PNG\r\n\x1a\n" + b"\0" * 40, 400),
                                         (b"no image at all", 400)])
def test_what_is_no_image_is_refused(user, data, status):
    for path in ("/ai/vision/classify", "/ai/vision/analyze"):
        e = error(send(user, path, data), status, "INVALID_REQUEST")
        assert e["details"]["field"] == "image", e


def test_wrong_vision_requests_are_named(user):
    data = photo("chelsea.png")
    for fields, field in (({"top_k": 0}, "top_k"), ({"top_k": "x"}, "top_k")):
        e = error(send(user, "/ai/vision/classify", data, fields), 400, "INVALID_REQUEST")
        assert e["details"]["field"] == field
    for fields, field in (({"analysis_type": "horoscope"}, "analysis_type"), ({"min_confidence": 2}, "min_confidence"),
                          ({"analysis_type": '["object_detection"'}, "analysis_type"),
                          ({"model": EMBEDDER, "analysis_type": "object_detection"}, "model")):
        e = error(send(user, "/ai/vision/analyze", data, fields), 400, "INVALID_REQUEST")
        assert e["details"]["field"] == field, e
    error(send(user, "/ai/vision/classify", data, {"model": "resnet-9000"}), 404, "RESOURCE_NOT_FOUND")
    for image in ("***", "data:image/png,abc", ""):
        e = error(user.post(V2 + "/ai/vision/classify", {"image": image}), 400, "INVALID_REQUEST")
        assert e["details"]["field"] == "image"
    body, kind = multipart({"top_k": 3}, {})
    e = error(user.post(V2 + "/ai/vision/classify", body, headers={"Content-Type": kind}), 400, "INVALID_REQUEST")
    assert e["details"]["field"] == "image"


# --- language ------------------------------------------------------------------------------------

def test_embeddings_are_unit_vectors_of_meaning(user):
    texts = ["A cat sits on the mat.", "A kitten is lying on a rug.", "The stock market fell."]
    r = user.post(V2 + "/ai/nlp/embeddings", {"input": texts})
    assert r.status == 200, r
    body = r.json()
    v = body["embeddings"]
    assert body["dimensions"] == 384 == len(v[0]) and len(v) == 3 and body["model"] == EMBEDDER
    dot = lambda a, b: sum(x * y for x, y in zip(a, b))  # noqa: E731
    assert all(abs(dot(x, x) - 1) < 1e-3 for x in v) and dot(v[0], v[1]) > dot(v[0], v[2]) + 0.2
    one = user.post(V2 + "/ai/nlp/embeddings", {"input": texts[0]}).json()
    assert max(abs(a - b) for a, b in zip(one["embeddings"][0], v[0])) < 1e-5 and one["usage"]["total_tokens"] > 5
    error(user.post(V2 + "/ai/nlp/embeddings", {"input": []}), 400, "INVALID_REQUEST")
    error(user.post(V2 + "/ai/nlp/embeddings", {"input": ["a"] * 2049}), 400, "INVALID_REQUEST")
    error(user.post(V2 + "/ai/nlp/embeddings", {"input": "a", "model": LLM}), 404, "RESOURCE_NOT_FOUND")


SEED_TEXT = "I love this product! It's amazing and works perfectly."
FLOOD = ("The river rose over night. Farmers moved their animals to the hills. By noon the water had reached the "
         "road. The mayor asked everybody to stay at home. Schools were closed for two days.")


def test_analyze_the_seeds_text(user):
    r = user.post(V2 + "/ai/nlp/analyze", {"text": SEED_TEXT, "language": "auto",
                                           "analysis_types": ["sentiment", "entities", "keywords", "language"]})
    assert r.status == 200, r
    body = r.json()
    assert body["text_length"] == 54 == len(SEED_TEXT) and body["detected_language"] == "en"
    assert body["sentiment"]["label"] == "positive" and body["sentiment"]["polarity"] > 0.5
    assert 0 < body["sentiment"]["subjectivity"] <= 1 and body["sentiment"]["confidence"] > 0.6
    amazing = next(k for k in body["keywords"] if k["text"] == "amazing")
    assert amazing["sentiment"] > 0 and 0 < amazing["relevance"] <= 1
    assert isinstance(body["entities"], list) and "warnings" not in body and body["models"]["language"] == "lid-176"


def test_entities_have_offsets_in_code_points(user):
    text = "Café – Angela Merkel visited Paris."
    body = user.post(V2 + "/ai/nlp/analyze", {"text": text, "analysis_types": ["entities"]}).json()
    found = {e["text"]: e for e in body["entities"]}
    assert body["text_length"] == len(text) and "sentiment" not in body and "keywords" not in body
    for name, label in (("Angela Merkel", "PERSON"), ("Paris", "GPE")):
        e = found[name]
        assert e["label"] == label and text[e["start"]:e["end"]] == name and 0 < e["confidence"] <= 1


def test_another_language_is_told_and_warned_of(user):
    body = user.post(V2 + "/ai/nlp/analyze", {"text": "Das Wetter in Hamburg ist heute sehr schlecht.",
                                              "analysis_types": ["sentiment", "language"]}).json()
    assert body["detected_language"] == "de" and len(body["warnings"]) == 1 and "English" in body["warnings"][0]
    body = user.post(V2 + "/ai/nlp/analyze", {"text": "Das Wetter ist schön.", "analysis_types": ["language"]}).json()
    assert "warnings" not in body
    for language in ("EN", "e\"n", "klingonisch"):
        r = user.post(V2 + "/ai/nlp/analyze", {"text": "x", "language": language})
        assert error(r, 400, "INVALID_REQUEST")["details"]["field"] == "language"
    for body, field in (({"text": ""}, "text"), ({}, "text"), ({"text": "x", "analysis_types": ["aura"]}, "analysis_types"),
                        ({"text": "x", "analysis_types": []}, "analysis_types"), ({"text": "a\u0000b"}, "text")):
        e = error(user.post(V2 + "/ai/nlp/analyze", body), 400, "INVALID_REQUEST")
        assert e["details"]["field"] == field


def test_extractive_summaries_are_the_texts_own_sentences(user):
    r = user.post(V2 + "/ai/nlp/summarize", {"text": FLOOD, "max_length": 16, "min_length": 5, "model": "bart-large-cnn"})
    assert r.status == 200, r
    body = r.json()
    words = body["summary"].split()
    assert body["method"] == "extractive" and body["original_length"] == len(FLOOD.split())
    assert 5 <= body["summary_length"] == len(words) <= 16
    assert abs(body["compression_ratio"] - len(words) / len(FLOOD.split())) < 0.001
    assert all(s.rstrip(".") in FLOOD for s in body["summary"].split(". "))
    e = error(user.post(V2 + "/ai/nlp/summarize", {"text": FLOOD, "max_length": 5, "min_length": 9}), 400, "INVALID_REQUEST")
    assert e["details"]["field"] == "min_length"
    error(user.post(V2 + "/ai/nlp/summarize", {"text": FLOOD, "model": "lid-176"}), 400, "INVALID_REQUEST")
    error(user.post(V2 + "/ai/nlp/summarize", {"text": FLOOD, "model": "nope"}), 404, "RESOURCE_NOT_FOUND")


def test_abstractive_summaries_come_from_the_model_that_is_named(user):
    body = user.post(V2 + "/ai/nlp/summarize", {"text": FLOOD, "max_length": 6, "model": LLM}, timeout=300).json()
    assert body["method"] == "abstractive" and body["model"] == LLM
    assert 0 < body["summary_length"] == len(body["summary"].split()) <= 6


# --- the catalogue and the services --------------------------------------------------------------

def state(api, model):
    return next(m for m in api.get(V2 + "/models").json()["models"] if m["id"] == model)["status"]


def test_models_load_unload_and_tell_how_they_do(own, spec):
    user = register(own.as_(None), "loader")
    r = user.post(V2 + f"/models/{EMBEDDER}/load", {"force_reload": False, "gpu_device": 0})
    assert r.status == 200 and r.json()["model_id"] == EMBEDDER and "CPU" in r.json()["message"], r
    wait_for(lambda: state(user, EMBEDDER) == "loaded", "the model to load")
    assert user.post(V2 + f"/models/{EMBEDDER}/load").json()["status"] == "loaded", "no body is needed"
    for _ in range(4):
        assert user.post(V2 + "/ai/nlp/embeddings", {"input": "x"}).status == 200
    p = user.get(V2 + f"/models/{EMBEDDER}/performance").json()
    assert p["performance_metrics"]["requests_total"] == 4 and p["performance_metrics"]["success_rate"] == 100
    assert p["performance_metrics"]["p95_response_time"] >= 0 < p["resource_usage"]["memory_mb"]
    assert p["resource_usage"]["gpu_memory_mb"] is None
    error(user.post(V2 + f"/models/{EMBEDDER}/unload"), 403, "INSUFFICIENT_PERMISSIONS")
    assert own.post(V2 + f"/models/{EMBEDDER}/unload").json()["status"] == "unloaded"
    assert state(user, EMBEDDER) == "unloaded"
    error(user.post(V2 + "/ai/nlp/embeddings", {"input": "x"}), 422, "MODEL_NOT_LOADED")
    user.post(V2 + f"/models/{EMBEDDER}/load")
    wait_for(lambda: state(user, EMBEDDER) == "loaded", "the model to load again")
    assert user.post(V2 + "/ai/nlp/embeddings", {"input": "x"}).status == 200
    for path in ("/models/nope/load", "/models/nope/unload"):
        error(own.post(V2 + path), 404, "RESOURCE_NOT_FOUND")
    error(own.get(V2 + "/models/nope/performance"), 404, "RESOURCE_NOT_FOUND")


def test_a_stopped_service_refuses_and_starts_again(own):
    user = register(own.as_(None), "stopper")
    assert user.post(V2 + "/ai/llm/generate", {"prompt": "x", "max_tokens": 2}).status == 200
    for name, method in (("llm/stop", "post"), ("llm/start", "post"), ("llm", "get")):
        error(getattr(user, method)(V2 + "/ops/services/" + name), 403, "INSUFFICIENT_PERMISSIONS")
    r = own.post(V2 + "/ops/services/llm/stop")
    assert r.json() == {"service": "llm_service", "action": "stop", "status": "stopped", "message": r.json()["message"]}
    error(user.post(V2 + "/ai/llm/generate", {"prompt": "x"}), 503, "SERVICE_UNAVAILABLE")
    health = user.get(V2 + "/health").json()
    assert health["status"] == "degraded" and health["services"]["llm_service"]["status"] == "stopped"
    assert own.get(V2 + "/ops/services/llm_service").json()["status"] == "stopped"
    r = own.post(V2 + "/ops/services/llm_service/start", {"force": False, "wait_for_health": True})
    assert r.json()["status"] == "running" and r.json()["service"] == "llm_service", r
    assert state(own, LLM) == "loaded", "wait_for_health waited for it"
    assert user.post(V2 + "/ai/llm/generate", {"prompt": "x", "max_tokens": 2}).status == 200
    assert own.post(V2 + "/ops/services/orchestrator/start").json()["status"] == "running"
    error(own.post(V2 + "/ops/services/orchestrator/stop"), 400, "INVALID_REQUEST")
    error(own.post(V2 + "/ops/services/coffee/start"), 404, "RESOURCE_NOT_FOUND")


def test_a_stop_ends_a_generation_under_way(own):
    replies = []
    t = threading.Thread(target=lambda: replies.append(own.post(V2 + "/ai/llm/generate", LONG)))
    t.start()
    wait_for(lambda: own.get(V2 + "/ops/services/llm").json()["in_use"] > 0, "the generation to begin")
    own.post(V2 + "/ops/services/llm/stop")
    t.join(30)
    assert not t.is_alive()
    error(replies[0], 503, "SERVICE_UNAVAILABLE")
    own.post(V2 + "/ops/services/llm/start", {"wait_for_health": True})


def test_a_stop_of_the_server_waits_for_no_generation(spec):
    """Neither a request's nor a job's: both would go on for minutes."""
    with Server(flags=["--rate-limits", "off", "--drain-timeout-ms", "1000"]) as s:
        api = Api(s.host, s.port, s.key, None)
        api.post(V2 + "/jobs", {"type": "batch_processing", "service": "llm", "parameters": {
            "max_tokens": 4000, "inputs": ["Count from one to ten thousand."] * 500}})

        answers = []

        def ask():
            try:
                answers.append(api.post(V2 + "/ai/nlp/summarize", {"text": FLOOD, "max_length": 3500, "min_length": 3400,
                                                                   "model": LLM}, timeout=300).status)
            except OSError:
                answers.append(None)
        t = threading.Thread(target=ask)
        t.start()
        wait_for(lambda: api.get(V2 + "/ops/services/llm").json()["in_use"] >= 2, "both to begin")
        assert s.stop(wait=240) == 0, s.log_text()[-2000:]
        t.join()
        # 200: the model ended by itself within the second that a drain gives.
        assert answers[0] in (None, 200, 503)


# --- health, metrics, operations -----------------------------------------------------------------

def test_health_needs_no_key_and_tells_true_figures(anonymous, user):
    user.post(V2 + "/ai/nlp/embeddings", {"input": "warm"})
    r = anonymous.get(V2 + "/health")
    assert r.status == 200
    s = r.json()["services"]
    assert r.json()["version"] == "2.0.0" and s["nlp_service"]["models_loaded"] >= 1
    assert s["nlp_service"]["response_time"] > 0 and re.fullmatch(r"\d+MB|[\d.]+GB", s["nlp_service"]["memory_usage"])
    assert s["vision_service"]["gpu_utilization"] == 0 and s["orchestrator"]["uptime"] >= 0


def test_comprehensive_health(user, anonymous):
    error(anonymous.get(V2 + "/health/comprehensive"), 401, "AUTHENTICATION_REQUIRED")
    body = user.get(V2 + "/health/comprehensive").json()
    m = body["system_metrics"]
    with open("/proc/meminfo", encoding="ascii") as f:
        kb = {line.split(":")[0]: int(line.split()[1]) for line in f}
    used = 100 * (1 - kb["MemAvailable"] / kb["MemTotal"])
    assert abs(m["memory_usage"] - used) < 15 or os.path.exists("/sys/fs/cgroup/memory.max"), (m, used)
    assert m["disk_usage"] > 0 and m["network_io"]["bytes_received"] >= 0
    pool = body["database"]["connection_pool"]
    assert body["database"]["status"] == "connected" and pool["active"] + pool["idle"] <= pool["max"]
    assert set(body["external_services"].values()) <= {"healthy", "degraded"}, body


def samples(text):
    return {m[1]: float(m[2]) for m in re.finditer(r"^(\w+(?:\{[^}]*\})?) (\S+)$", text, re.M)}


def test_metrics_are_complete_and_name_no_account(user):
    before = samples(user.get(V2 + "/metrics").text)
    assert user.post(V2 + "/ai/nlp/embeddings", {"input": "x"}).status == 200
    user.post(V2 + "/ai/nlp/embeddings", {"input": []})
    r = user.get(V2 + "/metrics")
    now = samples(r.text)
    grew = lambda k: now[k] - before.get(k, 0)  # noqa: E731
    assert grew('aisemble_requests_total{service="nlp",status="success"}') == 1
    assert grew('aisemble_requests_total{service="nlp",status="error"}') == 1
    name = "aisemble_request_duration_seconds"
    for service in ("llm", "vision", "nlp", "orchestrator"):
        buckets = [v for k, v in now.items() if k.startswith(f'{name}_bucket{{service="{service}"')]
        count = now[f'{name}_count{{service="{service}"}}']
        assert buckets == sorted(buckets) and buckets[-1] == count
        assert f'{name}_bucket{{service="{service}",le="+Inf"}}' in now and f'{name}_sum{{service="{service}"}}' in now
        assert {f'{name}_bucket{{service="{service}",le="{le}"}}' for le in ("0.1", "0.5")} <= set(now)
        ok = now[f'aisemble_requests_total{{service="{service}",status="success"}}']
        assert count == ok + now[f'aisemble_requests_total{{service="{service}",status="error"}}']
    assert "millrace_http_requests_total" in r.text and user.user["id"].split("-")[1] not in r.text


def test_ops_status(user):
    body = user.get(V2 + "/ops/status").json()
    assert body["system_status"] in ("operational", "degraded") and body["resource_utilization"]["gpu"] is None
    assert (body["system_status"] == "degraded") == bool(body["alerts"])


def test_logs_by_level_service_and_cursor(own):
    assert own.post(V2 + "/models/all-minilm-l6-v2/unload").status == 200
    ids = []
    for _ in range(3):
        r = own.post(V2 + "/ai/nlp/embeddings", {"input": "x"})
        ids.append(error(r, 422, "MODEL_NOT_LOADED")["request_id"])
    own.post(V2 + "/models/all-minilm-l6-v2/load")
    page = own.get(V2 + "/ops/logs?service=nlp&level=error&limit=2").json()
    assert [x["trace_id"] for x in page["logs"]] == ids[:0:-1] and page["pagination"]["has_more"]
    assert all(x["level"] == "ERROR" and x["service"] == "nlp_service" for x in page["logs"])
    assert page["logs"][0]["details"]["error_code"] == "MODEL_NOT_LOADED"
    more = own.get(V2 + f"/ops/logs?service=nlp_service&level=error&limit=2&cursor={page['pagination']['next_cursor']}").json()
    assert more["logs"][0]["trace_id"] == ids[0]
    levels = {x["level"] for x in own.get(V2 + "/ops/logs?limit=1000").json()["logs"]}
    assert {"ERROR", "INFO"} <= levels
    last = own.get(V2 + "/ops/logs?level=error&limit=1000").json()["pagination"]
    assert last["next_cursor"] is None and not last["has_more"]
    for query in ("service=tea", "level=loud", "cursor=x", "limit=0"):
        error(own.get(V2 + "/ops/logs?" + query), 400, "INVALID_REQUEST")


# --- webhooks ------------------------------------------------------------------------------------

class Hook:
    def __init__(self):
        got = self.got = []

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                got.append(json.loads(body))
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *args):
                pass
        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()


def test_webhooks_tell_of_loads_and_jobs(own):
    hook = Hook()
    user = register(own.as_(None), "hooked")
    r = user.post(V2 + "/webhooks", {"url": hook.url, "events": ["job.completed", "job.failed", "model.loaded"],
                                     "secret": "your_webhook_secret"})
    assert r.status == 200 and r.json()["status"] == "active" and "secret" not in r.json(), r
    made = user.post(V2 + "/webhooks", {"url": hook.url, "events": ["job.failed"]}).json()
    assert made["secret"].startswith("whsec_")
    user.post(V2 + f"/models/{CLASSIFIER}/load", {"force_reload": True})
    loaded = wait_for(lambda: [x for x in hook.got if x["event"] == "model.loaded"
                               and x["data"]["model_id"] == CLASSIFIER], "model.loaded")[0]
    assert loaded["data"]["status"] == "loaded" and re.match(r"\d{4}-\d\d-\d\dT.*Z$", loaded["timestamp"])
    job = user.post(V2 + "/jobs", {"type": "batch_processing", "service": "nlp",
                                   "parameters": {"operation": "embeddings", "inputs": ["a", "b"]}}).json()["job_id"]
    done = wait_for(lambda: [x for x in hook.got if x["event"] == "job.completed"], "job.completed")[0]
    assert done["data"]["job_id"] == job and done["data"]["status"] == "completed"
    assert done["data"]["results_url"] == f"/jobs/{job}/results"
    hooks = user.get(V2 + "/webhooks").json()["webhooks"]
    assert {h["webhook_id"] for h in hooks} == {r.json()["webhook_id"], made["webhook_id"]}
    assert user.delete(V2 + f"/webhooks/{made['webhook_id']}").status == 200
    error(user.delete(V2 + f"/webhooks/{made['webhook_id']}"), 404, "RESOURCE_NOT_FOUND")
    e = error(user.post(V2 + "/webhooks", {"url": hook.url, "events": ["tea.ready"]}), 400, "INVALID_REQUEST")
    assert e["details"]["field"] == "events"
    hook.close()
