"""The Ai-semble clients against the real server on real models: every call, and the API reference's
examples as printed."""
import json
import os
import re
import struct
import subprocess
import sys
import uuid
import zlib

import pytest
from sdkenv import ROOT, node, server  # noqa: F401

import aisemble

HERE = os.path.dirname(os.path.abspath(__file__))
PARIS = [{"role": "user", "content": "What is the capital of France? Answer with one word."}]


def png(width=64, height=48, rgb=(200, 30, 30)):
    """An image of one colour, as PNG."""
    def chunk(kind, data):
        return (struct.pack(">I", len(data)) + kind + data
                + struct.pack(">I", zlib.crc32(kind + data)))
    rows = (b"\0" + bytes(rgb) * width) * height
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
            + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


@pytest.fixture
def ai(server):  # noqa: F811
    with aisemble.Client(base_url=server.url + "/api/v2", api_key=server.key) as c:
        yield c


def test_language_model(ai):
    r = ai.llm.chat(PARIS, max_tokens=12, temperature=0)
    assert "Paris" in r.choices[0].message.content and r.choices[0].message.role == "assistant"
    assert r.usage.total_tokens == r.usage.prompt_tokens + r.usage.completion_tokens
    pieces = list(ai.llm.chat(PARIS, max_tokens=12, temperature=0, stream=True))
    text = "".join(p.choices[0].delta.get("content", "") for p in pieces if p.get("choices"))
    assert text == r.choices[0].message.content
    g = ai.llm.generate("Say hello.", max_tokens=8, temperature=0, parameters={"seed": 7})
    assert g.generated_text and g.metadata.tokens_used > 0 and g.status == "completed"
    deltas = [e.delta for e in ai.llm.generate("Say hello.", max_tokens=8, temperature=0, stream=True)
              if "delta" in e]
    assert "".join(deltas) == g.generated_text
    assert any(m.status == "available" for m in ai.llm.models())


def test_vision(ai, tmp_path):
    path = tmp_path / "red.png"
    path.write_bytes(png())
    for image in (png(), str(path)):
        r = ai.vision.analyze(image, ["object_detection", "text_extraction", "scene_analysis"])
        assert r.image_info.width == 64 and r.image_info.height == 48 and r.image_info.format == "PNG"
        assert set(r.analysis_results) == {"objects", "text", "scene"}
    c = ai.vision.classify(str(path), top_k=3)
    assert len(c.predictions) == 3 and c.predictions[0]["class"]
    with pytest.raises(aisemble.InvalidRequestError):
        ai.vision.classify(b"not an image")


def test_a_key_pays_once(ai):
    for ask in (lambda k: ai.llm.generate("Tell a story.", max_tokens=6, temperature=1.5, idempotency_key=k),
                lambda k: ai.vision.classify(png(), idempotency_key=k),
                lambda k: ai.nlp.embeddings("a cat", idempotency_key=k)):
        one = ask("sdk-" + uuid.uuid4().hex)
        key = "sdk-" + uuid.uuid4().hex
        assert ask(key).request_id == ask(key).request_id != one.request_id


def test_text(ai):
    r = ai.nlp.analyze("I love this product! Angela Merkel lives in Berlin.")
    assert r.detected_language == "en" and r.sentiment.label == "positive"
    assert {"Angela Merkel", "Berlin"} <= {e.text for e in r.entities}
    s = ai.nlp.summarize("The river rose over night. Farmers moved their animals to the hills. "
                         "By noon the water had reached the road. Nobody was hurt.", max_length=12)
    assert 0 < s.summary_length <= 12 and s.compression_ratio < 1
    v = ai.nlp.embeddings(["a cat", "a kitten"])
    assert len(v.embeddings) == 2 and len(v.embeddings[0]) == 384


def test_jobs(ai):
    texts = [f"This is text number {i}." for i in range(7)]
    parameters = {"operation": "analyze", "analysis_types": ["language"], "inputs": texts}
    key = uuid.uuid4().hex
    job = ai.jobs.create(name="languages", service="nlp", parameters=parameters, idempotency_key=key)
    again = ai.jobs.create(name="languages", service="nlp", parameters=parameters, idempotency_key=key)
    assert again.job_id == job.job_id
    done = ai.jobs.wait(job.job_id, timeout=60)
    assert done.progress.completed == 7 and done.results_available
    results = list(ai.jobs.all_results(job.job_id))
    assert [r.index for r in results] == list(range(7))
    assert all(r.output.detected_language == "en" for r in results)
    assert job.job_id in {j.job_id for j in ai.jobs.all(status="completed")}
    stored = ai.jobs.upload(b'{"text": "Guten Morgen, wie geht es Ihnen heute?"}\n', file_name="in.jsonl")
    job = ai.jobs.create(service="nlp", parameters={
        "operation": "analyze", "analysis_types": ["language"], "input_file": stored.input_file})
    ai.jobs.wait(job.job_id, timeout=60)
    assert next(ai.jobs.all_results(job.job_id)).output.detected_language == "de"
    later = ai.jobs.create(service="nlp", parameters=parameters, scheduled_at="2999-01-01T00:00:00Z")
    assert ai.jobs.cancel(later.job_id).status == "cancelled"
    with pytest.raises(aisemble.JobFailed):
        ai.jobs.wait(later.job_id, timeout=5)


def test_operations(ai):
    assert ai.health.get().services.llm_service.status
    assert ai.health.comprehensive().database.status == "connected"
    assert "aisemble_requests_total" in ai.health.metrics()
    assert ai.ops.status().system_status
    assert ai.ops.service("nlp").service
    assert ai.ops.stop("nlp").action == "stop"
    with pytest.raises(aisemble.ServiceUnavailableError):
        aisemble.Client(ai.base_url, ai.api_key, retry=aisemble.RetryPolicy(max_retries=0)).nlp.analyze("x")
    assert ai.ops.start("nlp", wait_for_health=True).action == "start"
    assert ai.nlp.analyze("It works again.", ["language"]).detected_language == "en"
    assert isinstance(ai.ops.logs(limit=5).logs, list)


def test_models(ai):
    known = {m.id: m for m in ai.models.list()}
    name = "all-minilm-l6-v2"
    assert name in known
    ai.models.load(name)
    assert ai.models.wait_until_loaded(name).status == "loaded"
    assert ai.models.performance(name).performance_metrics.success_rate >= 0
    ai.models.unload(name)
    with pytest.raises(aisemble.ModelNotLoadedError):
        ai.nlp.embeddings("a text")
    ai.models.load(name)
    ai.models.wait_until_loaded(name)


def test_webhooks_and_errors(ai):
    hook = ai.webhooks.create("https://example.com/hook", ["job.completed"], secret="a secret of mine")
    assert hook.webhook_id in {w.webhook_id for w in ai.webhooks.list()}
    ai.webhooks.delete(hook.webhook_id)
    with pytest.raises(aisemble.NotFoundError) as e:
        ai.jobs.get("job_00000000000000000000000000000000")
    assert e.value.code == "RESOURCE_NOT_FOUND" and e.value.request_id
    with pytest.raises(aisemble.NotFoundError):
        ai.llm.generate("x", model="no-such-model")
    with pytest.raises(aisemble.AuthenticationError):
        aisemble.Client(ai.base_url, "wrong").models.list()


def test_login(server):  # noqa: F811
    import serveml
    name = "u" + uuid.uuid4().hex[:12]
    with serveml.Client(base_url=server.url) as c:
        c.register(f"{name}@example.com", name, "secure-password")
    with aisemble.Client(base_url=server.url + "/api/v2") as c:
        first = c.login(name, "secure-password")
        assert first.token_type == "bearer" and c.models.list()
        second = c.refresh()
        assert second.refresh_token != first.refresh_token and c.models.list()
        c.refresh_token = first.refresh_token
        with pytest.raises(aisemble.AuthenticationError):
            c.refresh()


# --- the reference's examples, word for word --------------------------------------------------

def example(name, url, key):
    with open(os.path.join(HERE, "snippets", name), encoding="utf-8") as f:
        text = f.read()
    for old, new in (("https://your-domain.com/api/v2", url + "/api/v2"), ("your_api_key", key)):
        assert old in text
        text = text.replace(old, new)
    return text


def run(command, **kw):
    out = subprocess.run(command, text=True, capture_output=True, timeout=400, check=False, **kw)
    assert out.returncode == 0, out.stderr + out.stdout
    return out.stdout


def test_python_example(server, tmp_path):  # noqa: F811
    (tmp_path / "example.py").write_text(example("aisemble.py", server.url, server.key))
    env = {**os.environ, "PYTHONPATH": os.path.join(ROOT, "sdk", "python")}
    assert len(run([sys.executable, "example.py"], cwd=tmp_path, env=env).strip()) > 10


@pytest.mark.parametrize("kind", ["commonjs", "module"])
def test_javascript_example(server, tmp_path, node, kind):  # noqa: F811
    scope = tmp_path / "node_modules" / "@aisemble"
    scope.mkdir(parents=True)
    (scope / "client").symlink_to(os.path.join(ROOT, "sdk", "js", "aisemble"))
    (tmp_path / "red.png").write_bytes(png())
    text = example("aisemble.js", server.url, server.key)
    if kind == "module":
        text = re.sub(r"const (\{.*\}) = require\('(.*)'\);", r"import \1 from '\2';", text)
        text = "import fs from 'node:fs';\nconst imageBuffer = fs.readFileSync('red.png');\n" + text
        (tmp_path / "main.mjs").write_text(text)
    else:  # `await` stands outside of a function there
        text = ("const imageBuffer = require('node:fs').readFileSync('red.png');\n(async () => {\n" + text
                + "})().catch((e) => { console.error(e); process.exit(1); });\n")
        (tmp_path / "main.cjs").write_text(text)
    out = run([node, "main.mjs" if kind == "module" else "main.cjs"], cwd=tmp_path)
    assert "objects" in out and "text" in out


def test_javascript_client(server, tmp_path, node):  # noqa: F811
    (tmp_path / "red.png").write_bytes(png())
    env = {**os.environ, "URL": server.url + "/api/v2", "KEY": server.key, "IMAGE": str(tmp_path / "red.png")}
    out = json.loads(run([node, os.path.join(HERE, "js", "aisemble.mjs")], env=env))
    assert "Paris" in out["chat"] and out["streamed"] == out["chat"] and out["classes"] == 2
    assert out["once"] is True and out["languages"] == ["en", "fr"] and out["refused"] == "RESOURCE_NOT_FOUND"
