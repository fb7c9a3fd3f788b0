"""Embeddings of providers in OpenAI's protocol: asked, checked, charged by the price list."""
import base64
import struct

import pytest
from test_openai import content, finished, upload

REMOTE = "openai/text-embedding-3-small"


def test_a_providers_embeddings_are_charged_by_its_prices(user, standin):
    body = {"model": REMOTE, "input": ["a cat", "a longer text about dogs"]}
    r = user.post("/v1/embeddings", body)
    assert r.status == 200, r
    got = r.json()
    assert [len(d["embedding"]) for d in got["data"]] == [1536, 1536] and got["model"] == "text-embedding-3-small"
    assert got["usage"]["prompt_tokens"] == 2 + 6 and r.headers["x-millrace-provider"] == "openai"
    assert '"encoding_format":"base64"' in standin.last(), "fewer bytes on the wire, whatever the client asks for"
    why = user.get(f"/api/usage/explain/{r.headers['x-millrace-call-id']}").json()
    assert (why["provider"], why["model"], why["family"]) == ("openai", "text-embedding-3-small", "openai")
    assert why["tokens"]["input"] == 8 and why["cost"] == pytest.approx(8 * 0.02 / 1e6) and why["reserved"] > why["cost"]
    assert float(r.headers["x-millrace-response-cost"]) == pytest.approx(why["cost"])
    raw = user.post("/v1/embeddings", {**body, "encoding_format": "base64"}).json()["data"][1]["embedding"]
    numbers = struct.unpack("<1536f", base64.b64decode(raw))
    assert max(abs(a - b) for a, b in zip(numbers, got["data"][1]["embedding"])) < 1e-7
    short = user.post("/v1/embeddings", {**body, "dimensions": 8}).json()["data"]
    assert len(short[0]["embedding"]) == 8 and '"dimensions":8' in standin.last()


def test_embeddings_of_another_dialect(user, standin):
    r = user.post("/v1/embeddings", {"model": "mistral/mistral-embed", "input": "a cat", "dimensions": 16})
    assert r.status == 200 and r.headers["x-millrace-provider"] == "mistral", r
    last = standin.last()
    assert '"output_dimension":16' in last and "encoding_format" not in last and "/mistral/v1/embeddings" in last


def test_a_provider_that_fails_costs_nothing(user, standin):
    before = user.get("/api/stats").text
    standin.fault("503", path="/v1/embeddings")
    try:
        r = user.post("/v1/embeddings", {"model": REMOTE, "input": "a cat"})
    finally:
        standin.reset()
    assert r.status in (502, 503), r
    assert user.get("/api/stats").text == before
    for fault in ("rubbish-json", "rubbish"):
        standin.fault(fault, path="/v1/embeddings")
        try:
            r = user.post("/v1/embeddings", {"model": REMOTE, "input": "a cat"})
        finally:
            standin.reset()
        assert r.status == 502 and "openai" in r.json()["error"]["message"], r


def test_a_spent_budget_asks_no_provider_for_embeddings(user, standin):
    assert user.request("PUT", "/api/v1/account/budget", {"monthly_budget_usd": 0.0000001}).status == 200
    asked = standin.stats()["requests"]
    r = user.post("/v1/embeddings", {"model": REMOTE, "input": "a cat " * 100})
    assert r.status == 429 and r.json()["error"]["code"] == "insufficient_quota"
    assert standin.stats()["requests"] == asked


def test_a_batch_over_a_providers_embeddings(user, standin):
    url = "/v1/embeddings"
    file = upload(user, [{"custom_id": f"c{i}", "method": "POST", "url": url, "body": {"model": REMOTE, "input": f"text {i}"}}
                         for i in range(3)]).json()["id"]
    b = user.post("/v1/batches", {"input_file_id": file, "endpoint": url, "completion_window": "24h"}).json()
    b = finished(user, b["id"])
    assert b["request_counts"] == {"total": 3, "completed": 3, "failed": 0}, b
    out = content(user, b["output_file_id"])
    assert [len(x["response"]["body"]["data"][0]["embedding"]) for x in out] == [1536] * 3
