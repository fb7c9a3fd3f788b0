"""Uses of catalogue models are charged like generated text: prices, budgets, the ledger, explain."""
import uuid

import pytest
from client import Api
from server import Server
from test_aisemble import V2, error
from test_aisemble_models import CLASSIFIER, DETECTOR, EMBEDDER, photo, send, wait_for
from test_doctor import checks

TEXT = "Angela Merkel visited Paris in 2015. It was a wonderful day."


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    prices = tmp_path_factory.mktemp("prices")
    rows = [(CLASSIFIER, 'request = 0.002'), (DETECTOR, 'request = 0.003'), (EMBEDDER, 'input = 1000\noutput = 0'),
            ("vader-minilm-sentiment", 'request = 0.01\ninput = 10\noutput = 0'), ("textrank", 'request = 0.5'),
            ("*", 'input = 0\noutput = 0')]
    (prices / "local.toml").write_text('provider = "local"\nfrom = 2026-01-01\nsource = "test"\n' + "".join(
        f'[[price]]\nmodel = "{m}"\n{row}\n' for m, row in rows))
    with Server(flags=["--rate-limits", "off", "--prices-dir", str(prices)]) as s:
        yield s
        assert s.stop() == 0, s.log_text()[-2000:]


@pytest.fixture(scope="module")
def own(server, spec):
    return Api(server.host, server.port, server.key, spec)


@pytest.fixture
def member(server, spec):
    """A fresh account."""
    api = Api(server.host, server.port, None, spec)
    name = "u" + uuid.uuid4().hex[:12]
    r = api.post("/api/v1/auth/register", {"email": name + "@example.com", "username": name, "password": "secure-password"})
    return api.as_(r.json()["access_token"])


def explain(api, charge):
    r = api.get(f"/api/usage/explain/{charge}")
    assert r.status == 200, r
    return r.json()


def test_an_image_costs_what_its_row_says(own):
    r = send(own, "/ai/vision/classify", photo("chelsea.png"))
    assert r.status == 200, r
    assert r.json()["cost"] == 0.002 and len(r.json()["charge_ids"]) == 1
    why = explain(own, r.json()["charge_ids"][0])
    assert (why["model"], why["provider"], why["family"], why["state"]) == (CLASSIFIER, "local", "aisemble", "settled")
    assert why["cost"] == why["reserved"] == 0.002 and why["lines"] == [{"what": "request", "usd": 0.002}]


def test_each_model_of_an_analysis_is_a_charge(own):
    r = send(own, "/ai/vision/analyze", photo("chelsea.png"))
    assert r.status == 200, r
    assert r.json()["cost"] == pytest.approx(0.005)
    by_model = {why["model"]: why["cost"] for why in (explain(own, i) for i in r.json()["charge_ids"])}
    assert by_model.pop(CLASSIFIER) == 0.002 and by_model.pop(DETECTOR) == 0.003
    assert set(by_model.values()) == {0}, "the reader of text is free"


def test_texts_are_charged_by_words(own):
    r = own.post(V2 + "/ai/nlp/analyze", {"text": TEXT, "analysis_types": ["sentiment", "entities"]})
    assert r.status == 200, r
    lines = {why["model"]: why for why in (explain(own, i) for i in r.json()["charge_ids"])}
    why = lines["vader-minilm-sentiment"]
    assert why["tokens"]["input"] == 11 and why["cost"] == pytest.approx(0.01 + 11 * 10 / 1e6) == r.json()["cost"]
    assert {x["what"] for x in why["lines"]} == {"input", "request"}
    assert {"lid-176", "en-core-web-sm-ner"} <= set(lines) and lines["lid-176"]["cost"] == 0
    assert lines["lid-176"]["tokens"]["input"] == 11, "free models are in the ledger too"


def test_embeddings_are_charged_by_tokens_in_both_protocols(own):
    r = own.post(V2 + "/ai/nlp/embeddings", {"input": ["a cat", "a dog"]})
    tokens = r.json()["usage"]["total_tokens"]
    assert r.json()["cost"] == pytest.approx(tokens * 1000 / 1e6)
    assert explain(own, r.json()["charge_ids"][0])["tokens"]["input"] == tokens
    r = own.post("/v1/embeddings", {"model": EMBEDDER, "input": ["a cat", "a dog"]})
    assert float(r.headers["x-millrace-response-cost"]) == pytest.approx(tokens * 1000 / 1e6)
    why = explain(own, int(r.headers["x-millrace-call-id"]))
    assert why["family"] == "openai" and why["model"] == EMBEDDER and why["cost"] == pytest.approx(tokens / 1000)


def test_summaries_name_who_was_paid(own):
    r = own.post(V2 + "/ai/nlp/summarize", {"text": TEXT * 4, "max_length": 20, "min_length": 1})
    assert r.json()["cost"] == 0.5 and explain(own, r.json()["charge_ids"][0])["model"] == "textrank"
    r = own.post(V2 + "/ai/nlp/summarize", {"text": TEXT, "model": "smollm2-135m-instruct", "max_length": 12, "min_length": 1})
    assert r.status == 200 and explain(own, r.json()["charge_ids"][0])["model"] == "smollm2-135m-instruct", r


def test_a_request_that_fails_costs_nothing(own):
    r = send(own, "/ai/vision/classify", b"not an image")
    assert r.status == 400
    before = own.get("/api/usage?userId=owner")
    r = own.post("/v1/embeddings", {"model": EMBEDDER, "input": "a", "dimensions": 5000})
    assert r.status == 400, r
    after = own.get("/api/usage?userId=owner")
    assert before.text == after.text


def test_a_spent_budget_refuses(member):
    assert member.request("PUT", "/api/v1/account/budget", {"monthly_budget_usd": 0.003}).status == 200
    assert send(member, "/ai/vision/classify", photo("chelsea.png")).status == 200
    e = error(send(member, "/ai/vision/classify", photo("chelsea.png")), 402, "QUOTA_EXCEEDED")
    assert "budget" in e["message"]
    r = member.post("/v1/embeddings", {"model": EMBEDDER, "input": "word " * 100})
    assert r.status == 429 and r.json()["error"]["code"] == "insufficient_quota", r
    r = member.post(V2 + "/ai/nlp/analyze", {"text": TEXT, "analysis_types": ["entities"]})
    assert r.status == 200 and r.json()["cost"] == 0, "what is free still runs"


def test_jobs_pay_for_their_items(own):
    r = own.post(V2 + "/jobs", {"name": "Paid", "type": "batch_processing", "service": "nlp", "parameters": {
        "operation": "embeddings", "inputs": ["a cat", "a dog"]}})
    job = r.json()["job_id"]
    wait_for(lambda: own.get(f"{V2}/jobs/{job}").json()["status"] == "completed", "the job")
    for item in own.get(f"{V2}/jobs/{job}/results").json()["results"]:
        out = item["output"]
        assert out["cost"] == pytest.approx(out["usage"]["total_tokens"] / 1000)
        assert explain(own, out["charge_ids"][0])["family"] == "jobs"


def test_the_books_balance_and_a_kill_leaves_nothing_open(server, own):
    own.post(V2 + "/ai/nlp/embeddings", {"input": "a cat"})
    assert checks(server.data_dir)["books"]["status"] == "ok"
    before = own.get("/api/stats").text
    server.kill()
    server.start()
    again = Api(server.host, server.port, server.key, own.spec)
    assert again.get("/api/stats").text == before
    assert checks(server.data_dir)["books"]["status"] == "ok"
