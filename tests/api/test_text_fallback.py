"""The gateway's configured fallbacks behind generated text of every protocol: only before the first byte."""
import json
import uuid

import pytest
from client import Api
from server import Server
from test_aisemble import V2, error
from test_aisemble_models import FRANCE, events

MODEL = "openai/gpt-4o-mini"


@pytest.fixture(scope="module")
def own(standin, spec, tmp_path_factory):
    folder = tmp_path_factory.mktemp("fallback")
    (folder / "house.toml").write_text('provider = "house"\nfrom = 2020-01-01\n[[price]]\nmodel = "house-1"\ninput = 1.0\n'
                                       'output = 2.0\nsource = "ours"\n')
    (folder / "settings.conf").write_text(
        f'prices_dir = "{folder}"\n[provider.house]\nbase_url = "{standin.openai}"\nkey_env = "HOUSE_KEY"\n'
        'model = "house-1"\n[provider.openai]\nfallback = "house"\n')
    env = {**standin.env(), "HOUSE_KEY": "k", "MILLRACE_CONFIG": str(folder / "settings.conf")}
    with Server(env=env, flags=["--rate-limits", "off"]) as s:
        yield Api(s.host, s.port, s.key, spec)
        assert s.stop() == 0, s.log_text()[-2000:]


@pytest.fixture
def down(standin):
    standin.fault("503", model="gpt-4o-mini")
    yield
    standin.reset()


def ask(api, **more):
    return api.post(V2 + "/ai/llm/chat", {"messages": FRANCE, "model": MODEL, "max_tokens": 20, **more})


def test_without_a_failure_nobody_else_is_asked(own):
    body = ask(own).json()
    assert body["provider"] == "openai" and body["model"].startswith("gpt-4o-mini")


# Before the breaker of the one that fails below opens.
def test_not_after_the_first_byte(own, standin):
    standin.fault("reset-midway", model="gpt-4o-mini")
    try:
        r = ask(own, stream=True)
        said = [json.loads(x) for x in events(r) if x != "[DONE]"]
        assert said[0]["choices"] and "error" in said[-1], "what was begun is not begun again"
        assert "house" not in r.text
    finally:
        standin.reset()


def test_a_refused_request_is_refused(own, standin):
    standin.fault("400", model="gpt-4o-mini")
    try:
        error(ask(own), 400, "INVALID_REQUEST")
    finally:
        standin.reset()


def test_the_fallback_answers_is_named_and_charged(own, down):
    r = ask(own)
    assert r.status == 200, r
    body = r.json()
    assert body["provider"] == "house" and body["model"].startswith("house-1")
    cost = (body["usage"]["prompt_tokens"] * 1.0 + body["usage"]["completion_tokens"] * 2.0) / 1e6
    assert body["cost"] == pytest.approx(cost, abs=1e-9) and cost > 0
    why = own.get(f"/api/usage/explain/{body['charge_id']}").json()
    assert (why["provider"], why["model"], why["state"]) == ("house", "house-1", "settled")
    assert why["priceVersion"].startswith("house/house-1@") and why["reserved"] >= why["cost"]


def test_openai_protocol(own, down):
    body = {"model": MODEL, "messages": FRANCE, "max_tokens": 20, "seed": 7}
    r = own.post("/v1/chat/completions", body)
    assert r.status == 200 and r.json()["model"].startswith("house-1"), r
    assert r.headers["x-millrace-provider"] == "house"
    r = own.post("/v1/chat/completions", {**body, "stream": True})
    assert r.headers["x-millrace-provider"] == "house"
    chunks = [json.loads(x) for x in events(r)[:-1]]
    assert {c["model"] for c in chunks} == {r.headers["x-millrace-provider"] + "-1"}, "from the first chunk on"


def test_streams_of_the_other_protocol(own, down):
    last = json.loads(events(ask(own, stream=True))[-2])
    assert last["provider"] == "house" and last["model"].startswith("house-1")


def test_a_budget_that_does_not_reach_for_the_dearer_one(own, down):
    """The stand-in's 503 comes through: openai's reservation fits, the fallback's does not."""
    name = "u" + uuid.uuid4().hex[:12]
    r = own.as_(None).post("/api/v1/auth/register", {"email": name + "@example.com", "username": name,
                                                     "password": "secure-password"})
    api = own.as_(r.json()["access_token"])
    assert api.request("PUT", "/api/v1/account/budget", {"monthly_budget_usd": 0.0001}).status == 200
    r = ask(api)
    assert r.status in (502, 503) and error(r, r.status, "SERVICE_UNAVAILABLE")
    assert api.request("PUT", "/api/v1/account/budget", {"monthly_budget_usd": 1}).status == 200
    assert ask(api).json()["provider"] == "house"
