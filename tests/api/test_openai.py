"""OpenAI's API under /v1 on sockets: a provider's model is the stand-in, local models are real ones."""
import base64
import json
import struct
import time
import uuid

import pytest
from client import Api, multipart
from server import Server

REMOTE = "gpt-4o-mini"
LOCAL = "smollm2-135m-instruct"
EMBEDDER = "all-minilm-l6-v2"
SLOW = 300  # seconds for a local model on a busy machine
TOOLS = [{"type": "function", "function": {
    "name": "get_weather", "description": "Weather of a city",
    "parameters": {"type": "object", "properties": {"city": {"type": "string", "maxLength": 12}},
                   "required": ["city"], "additionalProperties": False}}}]


def ask(text):
    return [{"role": "user", "content": text}]


def chat(api, text="hello", model=REMOTE, headers=None, **more):
    return api.post("/v1/chat/completions", {"model": model, "messages": ask(text), **more},
                    headers=headers, timeout=SLOW)


def events(reply):
    assert reply.status == 200 and reply.headers["content-type"].startswith("text/event-stream"), reply
    parts = [line[6:] for line in reply.text.split("\n") if line.startswith("data: ")]
    assert parts[-1] == "[DONE]", parts[-3:]
    return [json.loads(p) for p in parts[:-1]]


def joined(pieces, index=0):
    return "".join(c["delta"].get("content") or "" for p in pieces for c in p["choices"] if c["index"] == index)


# --- models ---------------------------------------------------------------------------------------

def test_models_are_one_list(user):
    listed = {m["id"]: m["owned_by"] for m in user.get("/v1/models").json()["data"]}
    assert listed[LOCAL] == "local" and listed[EMBEDDER] == "local" and listed["openai/gpt-4o-mini"] == "openai"
    assert user.get(f"/v1/models/{LOCAL}").json()["owned_by"] == "local"
    assert user.get("/v1/models/openai/gpt-4o-mini").json() == user.get("/v1/models/openai%2Fgpt-4o-mini").json()
    r = user.get("/v1/models/nothing")
    assert r.status == 404 and r.json()["error"]["code"] == "model_not_found"


# --- chat with a provider's model ------------------------------------------------------------------

def test_chat(user):
    r = chat(user)
    body = r.json()
    assert body["choices"][0]["message"]["content"] and body["model"] == REMOTE
    assert body["usage"]["total_tokens"] == body["usage"]["prompt_tokens"] + body["usage"]["completion_tokens"]
    assert float(r.headers["x-millrace-response-cost"]) > 0 and r.headers["x-millrace-model-id"] == REMOTE
    assert int(r.headers["openai-processing-ms"]) >= 0 and r.headers["x-request-id"]
    assert r.headers["x-ratelimit-limit-requests"] == "6000"


def test_stream_is_the_same_text(user):
    whole = chat(user, "stream me").json()
    pieces = events(chat(user, "stream me", stream=True, stream_options={"include_usage": True}))
    assert joined(pieces) == whole["choices"][0]["message"]["content"]
    assert pieces[-1]["choices"] == [] and pieces[-1]["usage"] == whole["usage"]
    assert all(p["usage"] is None for p in pieces[:-1])
    assert pieces[0]["choices"][0]["delta"]["role"] == "assistant"
    assert pieces[-2]["choices"][0]["finish_reason"] == "stop"
    assert len({p["id"] for p in pieces}) == 1
    assert not any("usage" in p for p in events(chat(user, "stream me", stream=True)))


def test_other_members_go_to_the_provider(user, standin):
    chat(user, "members", top_p=0.5, seed=7, stop=["x"], logprobs=True, top_logprobs=2, max_tokens=9, temperature=0,
         reasoning_effort="low", user="u@example.com", response_format={"type": "json_object"})
    sent = json.loads(standin.last().split("\r\n\r\n", 1)[1])
    assert sent["top_p"] == 0.5 and sent["seed"] == 7 and sent["stop"] == ["x"] and sent["temperature"] == 0
    assert sent["reasoning_effort"] == "low" and sent["response_format"] == {"type": "json_object"}
    assert sent["max_completion_tokens"] == 9 and sent["logprobs"] is True and "user" not in sent
    chat(user, "members", model="mistral/mistral-small-latest", seed=7, tools=TOOLS, tool_choice="required")
    sent = json.loads(standin.last().split("\r\n\r\n", 1)[1])
    assert sent["random_seed"] == 7 and "seed" not in sent and sent["tool_choice"] == "any"


def test_logprobs_come_through(user):
    r = chat(user, "probable", logprobs=True).json()["choices"][0]
    assert "".join(t["token"] for t in r["logprobs"]["content"]) == r["message"]["content"]
    pieces = events(chat(user, "probable", logprobs=True, stream=True))
    tokens = [t["token"] for p in pieces for c in p["choices"] if c["logprobs"] for t in c["logprobs"]["content"]]
    assert "".join(tokens) == r["message"]["content"]


def test_tool_calls_of_a_provider(user):
    choice = chat(user, "weather?", tools=TOOLS).json()["choices"][0]
    call = choice["message"]["tool_calls"][0]
    assert choice["finish_reason"] == "tool_calls" and choice["message"]["content"] is None
    assert call["function"]["name"] == "get_weather" and json.loads(call["function"]["arguments"])["text"]
    pieces = events(chat(user, "weather?", tools=TOOLS, stream=True))
    deltas = [t for p in pieces for c in p["choices"] for t in c["delta"].get("tool_calls", [])]
    assert deltas[0]["id"] == call["id"] and deltas[0]["function"]["name"] == "get_weather"
    assert "".join(d["function"].get("arguments", "") for d in deltas) == call["function"]["arguments"]
    assert pieces[-1]["choices"][0]["finish_reason"] == "tool_calls"
    answered = [*ask("weather?"), {"role": "assistant", "content": None, "tool_calls": [call]},
                {"role": "tool", "tool_call_id": call["id"], "content": "sunny"}]
    r = user.post("/v1/chat/completions", {"model": REMOTE, "messages": answered, "tools": TOOLS})
    assert r.json()["choices"][0]["message"]["content"]


def test_several_choices(user):
    body = chat(user, "many", n=3).json()
    assert [c["index"] for c in body["choices"]] == [0, 1, 2]
    pieces = events(chat(user, "many", n=3, stream=True))
    for i in range(3):
        assert joined(pieces, i) == body["choices"][i]["message"]["content"]


BAD = [
    ({}, "model"),
    ({"model": REMOTE}, "messages"),
    ({"model": REMOTE, "messages": []}, "messages"),
    ({"model": REMOTE, "messages": [{"role": "wizard", "content": "x"}]}, "messages[0]"),
    ({"model": REMOTE, "messages": [{"role": "user"}]}, "messages[0]"),
    ({"model": LOCAL, "messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "messages[0]"),
    ({"model": REMOTE, "messages": ask("x"), "n": 9}, "n"),
    ({"model": REMOTE, "messages": ask("x"), "n": 0}, "n"),
    ({"model": REMOTE, "messages": ask("x"), "temperature": 3}, "temperature"),
    ({"model": REMOTE, "messages": ask("x"), "max_tokens": 0}, "max_tokens"),
    ({"model": REMOTE, "messages": ask("x"), "max_tokens": 1, "max_completion_tokens": 2}, "max_tokens"),
    ({"model": REMOTE, "messages": ask("x"), "stop": [1]}, "stop"),
    ({"model": REMOTE, "messages": ask("x"), "stream": "yes"}, "stream"),
    ({"model": REMOTE, "messages": ask("x"), "stream_options": {}}, "stream_options"),
    ({"model": REMOTE, "messages": ask("x"), "top_logprobs": 2}, "top_logprobs"),
    ({"model": REMOTE, "messages": ask("x"), "tools": "all"}, "tools"),
    ({"model": REMOTE, "messages": ask("x"), "tool_choice": "required"}, "tool_choice"),
    ({"model": REMOTE, "messages": ask("x"), "functions": []}, "functions"),
    ({"model": REMOTE, "messages": ask("x"), "service_tier": "priority"}, "service_tier"),
    ({"model": LOCAL, "messages": ask("x"), "logit_bias": {"1": 2}}, "logit_bias"),
    ({"model": LOCAL, "messages": ask("x"), "tools": [{"type": "function"}]}, None),
    ({"model": LOCAL, "messages": ask("x"), "response_format": {"type": "xml"}}, "response_format"),
    ({"model": LOCAL, "messages": ask("x"), "response_format": {"type": "json_schema", "json_schema": {
        "schema": {"type": "object", "properties": {"a": {"type": "wrong"}}}}}}, None),
]


@pytest.mark.parametrize("body,param", BAD, ids=range(len(BAD)))
def test_bad_requests_name_the_member(user, body, param):
    r = user.post("/v1/chat/completions", body)
    error = r.json()["error"]
    assert r.status == 400 and error["type"] == "invalid_request_error" and error["message"], r
    assert param is None or error["param"] == param, error
    assert r.headers["x-should-retry"] == "false"


def test_errors_of_the_family(user, anonymous):
    r = chat(user, model="no-model")
    assert r.status == 404 and r.json()["error"]["code"] == "model_not_found"
    r = chat(anonymous)
    assert r.status == 401 and r.json()["error"]["code"] == "invalid_api_key"
    assert user.get("/v1/nothing").json()["error"]["type"] == "invalid_request_error"
    r = chat(user, "[standin fault=500]")
    assert r.status in (502, 503) and r.json()["error"]["type"] == "server_error"
    r = chat(user, "[standin fault=error-event out=9]", stream=True)
    assert '"error"' in r.text and "[DONE]" not in r.text


def test_idempotency_key(user, standin):
    key = {"Idempotency-Key": uuid.uuid4().hex}
    before = standin.stats()["completions"]
    first, again = chat(user, "once", headers=key), chat(user, "once", headers=key)
    assert first.body == again.body and again.headers["idempotency-replayed"] == "true"
    assert standin.stats()["completions"] == before + 1
    r = chat(user, "another", headers=key)
    assert r.status == 400 and r.json()["error"]["param"] == "Idempotency-Key"
    key = {"Idempotency-Key": uuid.uuid4().hex}
    first, again = chat(user, "once", headers=key, stream=True), chat(user, "once", headers=key, stream=True)
    assert first.body == again.body and events(again)
    # a failure is not kept
    key = {"Idempotency-Key": uuid.uuid4().hex}
    text = f"[standin fault=400 times=1] {uuid.uuid4()}"
    assert chat(user, text, headers=key).status >= 400
    assert chat(user, text, headers=key).status == 200


# --- local models ----------------------------------------------------------------------------------

def test_local_chat_says_paris(user):
    body = chat(user, "What is the capital of France?", LOCAL, temperature=0, max_tokens=10).json()
    assert "Paris" in body["choices"][0]["message"]["content"] and body["model"] == LOCAL
    assert body["choices"][0]["finish_reason"] == "stop" and body["usage"]["completion_tokens"] <= 10
    pieces = events(chat(user, "What is the capital of France?", LOCAL, temperature=0, max_tokens=10, stream=True,
                         stream_options={"include_usage": True}))
    assert joined(pieces) == body["choices"][0]["message"]["content"]
    assert pieces[-1]["usage"]["completion_tokens"] == body["usage"]["completion_tokens"]


def test_local_json_schema(user):
    schema = {"type": "object", "properties": {"city": {"enum": ["Paris", "Rome"]}}, "required": ["city"],
              "additionalProperties": False}
    body = chat(user, "Capital of France? Answer in JSON.", LOCAL, temperature=0, max_tokens=16, response_format={
        "type": "json_schema", "json_schema": {"name": "x", "schema": schema}}).json()
    assert json.loads(body["choices"][0]["message"]["content"])["city"] in ("Paris", "Rome")


def test_local_tools(user):
    more = dict(temperature=0, max_tokens=64, tools=TOOLS,
                tool_choice={"type": "function", "function": {"name": "get_weather"}})
    choice = chat(user, "Weather in Paris?", LOCAL, **more).json()["choices"][0]
    call = choice["message"]["tool_calls"][0]
    assert call["function"]["name"] == "get_weather" and "city" in json.loads(call["function"]["arguments"])
    pieces = events(chat(user, "Weather in Paris?", LOCAL, stream=True, **more))
    deltas = [t for p in pieces for c in p["choices"] for t in c["delta"].get("tool_calls", [])]
    assert [d["function"] for d in deltas] == [c["function"] for c in choice["message"]["tool_calls"]]


def test_completions(user):
    body = {"model": LOCAL, "prompt": ["The capital of France is", "1, 2, 3, 4,"], "max_tokens": 3, "temperature": 0,
            "logprobs": 2}
    r = user.post("/v1/completions", body, timeout=SLOW).json()
    assert "Paris" in r["choices"][0]["text"] and "5" in r["choices"][1]["text"]
    probs = r["choices"][0]["logprobs"]
    assert "".join(probs["tokens"]) == r["choices"][0]["text"] and probs["text_offset"][0] == 0
    body = {**body, "prompt": "The capital of France is", "echo": True, "logprobs": None, "stop": "."}
    r = user.post("/v1/completions", body, timeout=SLOW).json()
    assert r["choices"][0]["text"] == "The capital of France is Paris" and r["choices"][0]["finish_reason"] == "stop"
    text = "".join(c["text"] for p in events(user.post("/v1/completions", {**body, "stream": True}, timeout=SLOW))
                   for c in p["choices"])
    assert text == "The capital of France is Paris"
    for bad, param in (({"suffix": "x"}, "suffix"), ({"prompt": [1, 2]}, "prompt"), ({"prompt": None}, "prompt"),
                       ({"model": REMOTE}, "model"), ({"best_of": 4}, "best_of")):
        r = user.post("/v1/completions", {"model": LOCAL, "prompt": "x", **bad})
        assert r.status == 400 and r.json()["error"]["param"] == param, r


def test_embeddings(user):
    def embed(**more):
        return user.post("/v1/embeddings", {"model": EMBEDDER, "input": ["a cat", "a kitten", "a tax form"], **more})
    r = embed().json()
    v = [d["embedding"] for d in r["data"]]
    assert len(v[0]) == 384 and r["model"] == EMBEDDER and r["usage"]["prompt_tokens"] > 0

    def dot(a, b):
        return sum(x * y for x, y in zip(a, b))
    assert dot(v[0], v[1]) > dot(v[0], v[2]) and abs(dot(v[0], v[0]) - 1) < 1e-5
    raw = base64.b64decode(embed(encoding_format="base64").json()["data"][0]["embedding"])
    packed = struct.unpack("<384f", raw)
    assert max(abs(a - b) for a, b in zip(packed, v[0])) < 1e-6
    short = embed(dimensions=32).json()["data"][0]["embedding"]
    assert len(short) == 32 and abs(dot(short, short) - 1) < 1e-5
    for bad, param in (({"input": [1, 2]}, "input"), ({"input": ""}, "input"), ({"dimensions": 385}, "dimensions"),
                       ({"encoding_format": "hex"}, "encoding_format")):
        assert embed(**bad).json()["error"]["param"] == param
    assert embed(model="nothing").status == 404


# --- files and batches -------------------------------------------------------------------------------

def upload(api, lines, name="in.jsonl", purpose="batch"):
    data = lines if isinstance(lines, bytes) else "".join(json.dumps(line) + "\n" for line in lines).encode()
    body, kind = multipart({"purpose": purpose}, {"file": (name, data)})
    return api.post("/v1/files", body, headers={"Content-Type": kind})


def finished(api, batch, until=SLOW):
    deadline = time.monotonic() + until
    while time.monotonic() < deadline:
        b = api.get(f"/v1/batches/{batch}").json()
        if b["status"] in ("completed", "failed", "cancelled", "expired"):
            return b
        time.sleep(0.1)
    raise AssertionError(b)


def content(api, file):
    r = api.get(f"/v1/files/{file}/content")
    assert r.status == 200, r
    return [json.loads(line) for line in r.text.splitlines()]


def test_files(user):
    data = b'{"custom_id": "a"}\n'
    f = upload(user, data, "mine.jsonl").json()
    assert f["bytes"] == len(data) and f["filename"] == "mine.jsonl" and f["id"].startswith("file-")
    second = upload(user, data).json()
    listed = user.get("/v1/files").json()
    assert [x["id"] for x in listed["data"]] == [second["id"], f["id"]] and listed["has_more"] is False
    page = user.get("/v1/files?limit=1").json()
    assert page["has_more"] and page["data"][0]["id"] == second["id"]
    assert user.get(f"/v1/files?after={second['id']}").json()["data"][0]["id"] == f["id"]
    assert user.get(f"/v1/files/{f['id']}").json() == f
    assert user.get(f"/v1/files/{f['id']}/content").body == data
    assert user.delete(f"/v1/files/{f['id']}").json()["deleted"] is True
    assert user.get(f"/v1/files/{f['id']}").status == 404
    assert upload(user, data, purpose="fine-tune").json()["error"]["param"] == "purpose"
    assert user.get("/v1/files/file-x").status == 404


def line(i, url, body):
    return {"custom_id": f"c-{i}", "method": "POST", "url": url, "body": body}


def test_batch_over_chat(user):
    url = "/v1/chat/completions"
    lines = [line(i, url, {"model": REMOTE, "messages": ask(f"question {i}")}) for i in range(5)]
    lines.append(line("bad", url, {"model": REMOTE, "messages": []}))
    lines.append(line("url", "/v1/embeddings", {"model": EMBEDDER, "input": "x"}))
    file = upload(user, lines).json()["id"]
    b = user.post("/v1/batches", {"input_file_id": file, "endpoint": url, "completion_window": "24h",
                                  "metadata": {"k": "v"}}).json()
    assert b["object"] == "batch" and b["input_file_id"] == file and b["metadata"] == {"k": "v"}
    b = finished(user, b["id"])
    assert b["status"] == "completed" and b["request_counts"] == {"total": 7, "completed": 5, "failed": 2}
    out = {x["custom_id"]: x for x in content(user, b["output_file_id"])}
    assert set(out) == {f"c-{i}" for i in range(5)}
    for i in range(5):
        reply = out[f"c-{i}"]["response"]
        assert reply["status_code"] == 200 and reply["request_id"] and out[f"c-{i}"]["error"] is None
        assert reply["body"]["choices"][0]["message"]["content"] == \
            chat(user, f"question {i}").json()["choices"][0]["message"]["content"]
    failed = {x["custom_id"]: x["response"] for x in content(user, b["error_file_id"])}
    assert {k: v["status_code"] for k, v in failed.items()} == {"c-bad": 400, "c-url": 400}
    assert "messages" in failed["c-bad"]["body"]["error"]["message"]
    info = user.get(f"/v1/files/{b['output_file_id']}").json()
    assert info["purpose"] == "batch_output" and \
        info["bytes"] == len(user.get(f"/v1/files/{b['output_file_id']}/content").body)
    assert user.get("/v1/batches").json()["data"][0]["id"] == b["id"]
    assert user.delete(f"/v1/files/{b['output_file_id']}").status == 409


def test_batch_over_a_deployment(iris):
    api, dep = iris
    url = f"/api/v1/predict/{dep}"
    rows = [[5.1, 3.5, 1.4, 0.2], [6.2, 3.4, 5.4, 2.3]]
    file = upload(api, [line(i, url, {"data": r}) for i, r in enumerate(rows)]).json()["id"]
    b = api.post("/v1/batches", {"input_file_id": file, "endpoint": url, "completion_window": "24h"}).json()
    b = finished(api, b["id"])
    out = sorted(content(api, b["output_file_id"]), key=lambda x: x["custom_id"])
    want = [api.predict(dep, r).json()["prediction"] for r in rows]
    assert [x["response"]["body"]["prediction"] for x in out] == want


def test_batch_over_embeddings(user):
    url = "/v1/embeddings"
    file = upload(user, [line(0, url, {"model": EMBEDDER, "input": "a cat"})]).json()["id"]
    b = user.post("/v1/batches", {"input_file_id": file, "endpoint": url, "completion_window": "24h"}).json()
    b = finished(user, b["id"])
    assert b["error_file_id"] is None
    body = content(user, b["output_file_id"])[0]["response"]["body"]
    assert body["data"] == user.post(url, {"model": EMBEDDER, "input": "a cat"}).json()["data"]


def test_batch_cancel(user):
    url = "/v1/chat/completions"
    lines = [line(i, url, {"model": REMOTE, "messages": ask("[standin fault=delay arg=1000] x")}) for i in range(200)]
    file = upload(user, lines).json()["id"]
    b = user.post("/v1/batches", {"input_file_id": file, "endpoint": url, "completion_window": "24h"}).json()
    r = user.post(f"/v1/batches/{b['id']}/cancel")
    assert r.status == 200, r
    assert finished(user, b["id"])["status"] == "cancelled"
    assert user.post(f"/v1/batches/{b['id']}/cancel").status == 409


def test_bad_batches(user):
    file = upload(user, b"{}\n").json()["id"]
    good = {"input_file_id": file, "endpoint": "/v1/embeddings", "completion_window": "24h"}
    for change, param in (({"endpoint": "/v1/images"}, "endpoint"), ({"completion_window": "1h"}, "completion_window"),
                          ({"input_file_id": "file-x"}, "input_file_id"),
                          ({"input_file_id": "file-" + "0" * 32}, "input_file_id")):
        r = user.post("/v1/batches", {**good, **change})
        assert r.status == 400 and r.json()["error"]["param"] == param, r
    assert user.get("/v1/batches/batch_x").status == 404


def test_a_spent_budget_is_no_reason_to_retry(user, anonymous):
    key = user.post("/api/v1/auth/api-keys", {"name": "small", "monthly_budget_usd": 0.0000001,
                                              "scopes": ["read", "predict"]}).json()["key"]
    r = chat(anonymous.as_(key))
    assert r.status == 429 and r.json()["error"]["code"] == "insufficient_quota", r
    assert r.headers["x-should-retry"] == "false" and "retry-after-ms" not in r.headers


def test_a_rate_limit_says_when_to_retry(standin, spec):
    with Server(env=standin.env()) as s:
        owner = Api(s.host, s.port, s.key, spec)
        name = "r" + uuid.uuid4().hex[:10]
        account = owner.as_(None).post("/api/v1/auth/register", {
            "email": f"{name}@example.com", "username": name, "password": "secure-password"}).json()
        mine = owner.as_(account["access_token"])
        key = mine.post("/api/v1/auth/api-keys", {"name": "slow", "rate_limit_per_minute": 2}).json()["key"]
        slow = owner.as_(key)
        assert [chat(slow).status for _ in range(2)] == [200, 200]
        r = chat(slow)
        assert r.status == 429 and r.json()["error"]["type"] == "rate_limit_error", r
        assert r.headers["x-should-retry"] == "true" and 0 < int(r.headers["retry-after-ms"]) <= 61000
        assert r.headers["x-ratelimit-remaining-requests"] == "0" and int(r.headers["retry-after"]) <= 61
