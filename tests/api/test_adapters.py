"""LoRA adapters of the operator's, a request at a time: as a field, as a model, in lists and prices."""
import json
import os
import re
import subprocess

import pytest
from client import Api
from gguf import lora
from server import Server
from test_aisemble import V2, error

LLM = "smollm2-135m-instruct"
WIDTH, OUT = 1536, 576  # of its ffn_down
ASK = {"messages": [{"role": "user", "content": "What is the capital of France?"}], "temperature": 0, "max_tokens": 8}


@pytest.fixture(scope="module")
def where(tmp_path_factory):
    """A data dir with adapters, good and bad, and a price for one of them."""
    data = tmp_path_factory.mktemp("adapters")
    models, prices = data / "models", data / "prices"
    models.mkdir()
    prices.mkdir()
    (models / "wild.gguf").write_bytes(lora(WIDTH, OUT, range(20, 30), size=1))
    (models / "still.gguf").write_bytes(lora(WIDTH, OUT, [29], size=0))
    (models / "gpt2.gguf").write_bytes(lora(WIDTH, OUT, [29], architecture="gpt2"))
    (models / "narrow.gguf").write_bytes(lora(64, OUT, [29]))
    (models / "model.gguf").write_bytes(lora(WIDTH, OUT, [29], kind="model"))
    (models / "torn.gguf").write_bytes(lora(WIDTH, OUT, [29])[:300])
    rows = [("wild", "wild.gguf"), ("still", str(models / "still.gguf")), ("gpt2", "gpt2.gguf"),
            ("narrow", "narrow.gguf"), ("whole", "model.gguf"), ("torn", "torn.gguf"), ("gone", "gone.gguf")]
    (models / "adapters.toml").write_text("".join(
        f'[[adapter]]\nid = "{i}"\nbase = "{LLM}"\npath = "{p}"\n' for i, p in rows) +
        f'[[adapter]]\nid = "off"\nbase = "{LLM}"\npath = "wild.gguf"\nscale = 0.0\nlicense = "CC0-1.0"\n')
    (prices / "local.toml").write_text('provider = "local"\nfrom = 2026-01-01\n[[price]]\nmodel = "wild"\ninput = 1000\n'
                                       'output = 2000\nsource = "test"\n[[price]]\nmodel = "*"\ninput = 0\noutput = 0\n'
                                       'source = "test"\n')
    return data


@pytest.fixture(scope="module")
def server(where):
    with Server(data_dir=where, flags=["--rate-limits", "off", "--prices-dir", str(where / "prices")]) as s:
        yield s
        assert s.stop() == 0, s.log_text()[-2000:]


@pytest.fixture(scope="module")
def own(server, spec):
    return Api(server.host, server.port, server.key, spec)


def chat(api, adapter=None, **more):
    body = dict(ASK, **more)
    if adapter:
        body["parameters"] = {"adapter": adapter}
    r = api.post(V2 + "/ai/llm/chat", body)
    assert r.status == 200, r
    return r.json()


def said(body):
    return body["choices"][0]["message"]["content"]


def test_an_adapter_changes_its_own_requests_only(own):
    plain = chat(own)
    assert "Paris" in said(plain) and plain["model"] == LLM
    wild = chat(own, "wild")
    assert wild["model"] == "wild" and said(wild) != said(plain)
    assert said(chat(own, "wild")) == said(wild), "the same again"
    assert said(chat(own, "still")) == said(plain), "an adapter of zeros changes nothing"
    assert said(chat(own, "off")) == said(plain), "nor does a scale of zero"
    assert said(chat(own)) == said(plain)
    assert said(chat(own, model="wild")) == said(wild), "by its own name"
    assert said(chat(own, "wild", model=LLM)) == said(wild), "beside its base's name"
    assert said(chat(own, "wild", model="gpt-3.5-turbo")) == said(wild), "or an alias of it"
    r = own.post(V2 + "/ai/llm/generate", {"prompt": "Hello", "max_tokens": 3, "temperature": 0,
                                           "parameters": {"adapter": "wild"}})
    assert r.status == 200 and r.json()["model"] == "wild", r


def test_openai_lists_and_runs_it_as_a_model_with_a_parent(own):
    models = {m["id"]: m for m in own.get("/v1/models").json()["data"]}
    assert models["wild"]["parent"] == LLM and "parent" not in models[LLM]
    assert "gone" not in models, "its file is not there"
    assert own.get("/v1/models/wild").json()["parent"] == LLM
    r = own.post("/v1/chat/completions", dict(ASK, model="wild"))
    assert r.status == 200 and r.json()["model"] == "wild", r
    assert r.json()["choices"][0]["message"]["content"] == said(chat(own, "wild"))
    r = own.post("/v1/chat/completions", dict(ASK, model="wild", stream=True))
    chunks = [json.loads(x[6:]) for x in r.text.split("\n") if x.startswith("data: {")]
    assert {c["model"] for c in chunks} == {"wild"}
    assert "".join(c["choices"][0]["delta"].get("content") or "" for c in chunks) == said(chat(own, "wild"))


def test_lists_name_adapters_and_their_base(own):
    models = {m["id"]: m for m in own.get(V2 + "/ai/llm/models").json()["models"]}
    assert models["wild"]["parent"] == LLM and models["wild"]["status"] == "available"
    assert models["gone"]["status"] == "not_installed"
    assert models["off"]["license"] == "CC0-1.0" and models["wild"]["license"] == "unknown"
    assert models["wild"]["cost_per_token"] == pytest.approx(0.002) and models["still"]["cost_per_token"] == 0
    base = {m["id"]: m for m in own.get(V2 + "/models").json()["models"]}[LLM]
    assert {"wild", "still", "off"} <= set(base["adapters"])


@pytest.mark.parametrize("adapter, says", [("gpt2", "gpt2"), ("narrow", "does not fit"), ("whole", "not an adapter"),
                                           ("torn", ""), ("gone", "not installed")])
def test_a_file_that_does_not_fit_says_so(own, adapter, says):
    e = error(own.post(V2 + "/ai/llm/chat", dict(ASK, parameters={"adapter": adapter})), 422, "MODEL_NOT_LOADED")
    assert adapter in e["message"] and says in e["message"], e
    assert "Paris" in said(chat(own)), "the model goes on"


def test_wrong_names_are_named(own):
    ask = lambda **p: own.post(V2 + "/ai/llm/chat", dict(ASK, **p))  # noqa: E731
    e = error(ask(parameters={"adapter": "nothing"}), 404, "RESOURCE_NOT_FOUND")
    assert "nothing" in e["message"]
    e = error(ask(parameters={"adapter": "wild"}, model="still"), 400, "INVALID_REQUEST")
    assert "wild" in e["message"] and "still" in e["message"]
    e = error(ask(parameters={"adapter": 7}), 400, "INVALID_REQUEST")
    assert e["details"]["field"] == "parameters.adapter"


def test_its_own_price_is_charged(own):
    body = own.post(V2 + "/ai/llm/generate", {"prompt": "Hello", "max_tokens": 3, "temperature": 0,
                                              "model": "wild"}).json()["metadata"]
    want = (body["prompt_tokens"] * 1000 + body["completion_tokens"] * 2000) / 1e6
    assert body["cost"] == pytest.approx(want)
    why = own.get(f"/api/usage/explain/{body['charge_id']}").json()
    assert why["model"] == "wild" and why["provider"] == "local", why


def test_jobs_take_it(own):
    r = own.post(V2 + "/jobs", {"name": "Adapted", "type": "batch_processing", "service": "llm", "parameters": {
        "operation": "chat", "inputs": [ASK["messages"]], "max_tokens": 8, "temperature": 0, "model": "wild"}})
    assert r.status == 200, r
    job = r.json()["job_id"]
    from test_aisemble_models import wait_for
    wait_for(lambda: own.get(f"{V2}/jobs/{job}").json()["status"] == "completed", "the job")
    out = own.get(f"{V2}/jobs/{job}/results").json()["results"][0]["output"]
    assert out["model"] == "wild" and out["content"] == said(chat(own, "wild"))


def test_the_command_line_takes_it(own, server):
    run = lambda *a: subprocess.run(  # noqa: E731
        [server.binary, "generate", "What is the capital of France?", "--max-tokens", "8", "--temperature", "0", "--json",
         "--url", f"http://{server.host}:{server.port}", "--key", server.key, *a], capture_output=True, text=True, timeout=60)
    r = run("--adapter", "wild")
    assert r.returncode == 0 and json.loads(r.stdout)["model"] == "wild", r
    assert run("--adapter", "nothing").returncode == 1


@pytest.mark.parametrize("text, says", [
    ('[[adapter]]\nid = "a"\npath = "a.gguf"\n', "base is missing"),
    ('[[adapter]]\nid = "a"\nbase = "smollm2-135m-instruct"\n', "path is missing"),
    ('[[adapter]]\nid = "a"\nbase = "nothing"\npath = "a.gguf"\n', "no language model"),
    ('[[adapter]]\nid = "a"\nbase = "all-minilm-l6-v2"\npath = "a.gguf"\n', "no language model"),
    (f'[[adapter]]\nid = "{LLM}"\nbase = "{LLM}"\npath = "a.gguf"\n', "has a model's id"),
    (f'[[adapter]]\nid = "a"\nbase = "{LLM}"\npath = "a.gguf"\nscale = 101\n', "scale"),
    (f'[[adapter]]\nid = "a"\nbase = "{LLM}"\npath = "a.gguf"\nweight = 1\n', "unknown key 'weight'"),
    (f'[[adapter]]\nid = "a"\nbase = "{LLM}"\npath = "a"\n[[adapter]]\nid = "a"\nbase = "{LLM}"\npath = "a"\n', "is taken"),
])
def test_a_wrong_entry_is_told_at_start(tmp_path, text, says):
    os.mkdir(tmp_path / "models")
    (tmp_path / "models" / "own.toml").write_text(text)
    s = Server(data_dir=tmp_path)
    r = subprocess.run([s.binary, "serve", "--data-dir", str(tmp_path), "--listen", "127.0.0.1:0"], capture_output=True,
                       text=True, timeout=20, env=s.env)
    assert r.returncode != 0 and re.search(re.escape(says), r.stdout + r.stderr), r
