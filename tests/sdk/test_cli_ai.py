"""The verbs for language models, images and jobs, on real models."""
import json
import os
import subprocess

import pytest
from sdkenv import server  # noqa: F401
from test_aisemble_clients import png


@pytest.fixture
def cli(server, tmp_path):  # noqa: F811
    env = {**os.environ, "MILLRACE_URL": server.url, "MILLRACE_KEY": server.key, "HOME": os.environ.get("HOME", "/")}

    def call(*args, text=None, status=0):
        out = subprocess.run([server.binary, *args], input=text, text=True, capture_output=True, timeout=400,
                             check=False, cwd=tmp_path, env=env)
        assert out.returncode == status, f"{args}: {out.returncode}\n{out.stdout}{out.stderr}"
        return out.stdout if status == 0 else out.stderr
    return call


def test_generate(cli, tmp_path):
    one = cli("generate", "Say hello.", "--max-tokens", "6", "--temperature", "0")
    assert one.strip()
    (tmp_path / "prompt.txt").write_text("Say hello.")
    assert cli("generate", "@prompt.txt", "--max-tokens", "6", "--temperature", "0") == one
    assert cli("generate", "-", "--max-tokens", "6", "--temperature", "0", text="Say hello.") == one
    whole = json.loads(cli("generate", "Say hello.", "--max-tokens", "6", "--temperature", "0", "--json"))
    assert whole["generated_text"] + "\n" == one
    assert "known:" in cli("generate", "x", "--model", "no-such-model", status=1)
    assert "0 to 2" in cli("generate", "x", "--temperature", "3", status=2)


def test_chat_keeps_its_history(cli, tmp_path):
    ask = "What is the capital of France? Answer with one word."
    said = cli("chat", "--message", ask, "--history", "talk.json", "--temperature", "0", "--max-tokens", "12")
    assert "Paris" in said
    kept = json.loads((tmp_path / "talk.json").read_text())
    assert [m["role"] for m in kept] == ["user", "assistant"] and kept[1]["content"] + "\n" == said
    cli("chat", "--history", "talk.json", "--temperature", "0", "--max-tokens", "4",
        text="And of Italy?\nThank you.\n")
    kept = json.loads((tmp_path / "talk.json").read_text())
    assert [m["content"] for m in kept if m["role"] == "user"] == [ask, "And of Italy?", "Thank you."]
    (tmp_path / "talk.json").write_text("{")
    assert "no conversation" in cli("chat", "--message", "x", "--history", "talk.json", status=1)


def test_images(cli, tmp_path):
    (tmp_path / "red.png").write_bytes(png())
    table = cli("classify", "red.png", "--top", "3").splitlines()
    assert table[0].split() == ["CLASS", "ID", "CONFIDENCE"] and len(table) == 4
    assert len(json.loads(cli("classify", "red.png", "--json"))["predictions"]) == 5
    assert cli("ocr", "red.png") == ""
    assert "text" in json.loads(cli("ocr", "red.png", "--json"))["analysis_results"]
    (tmp_path / "no.png").write_bytes(b"no image")
    assert "INVALID_REQUEST" in cli("classify", "no.png", status=1)


def test_jobs(cli, tmp_path):
    lines = "".join(json.dumps({"text": t}) + "\n" for t in ("Good morning to you all.", "Guten Morgen zusammen, wie geht es?"))
    (tmp_path / "in.jsonl").write_text(lines)
    parameters = '{"operation": "analyze", "analysis_types": ["language"]}'
    said = cli("jobs", "submit", "nlp", "--input", "in.jsonl", "--parameters", parameters, "--name", "tongues", "--watch")
    job = said.split()[0]
    assert said.rstrip().endswith("completed")
    results = [json.loads(line) for line in cli("jobs", "results", job).splitlines()]
    assert [r["output"]["detected_language"] for r in results] == ["en", "de"]
    assert job in cli("jobs", "list", "--status", "completed") and "tongues" in cli("jobs", "list")
    assert json.loads(cli("jobs", "show", job))["progress"]["completed"] == 2
    later = json.loads(cli("jobs", "submit", "nlp", "--parameters", '{"operation": "analyze", "inputs": ["x"]}',
                           "--at", "2999-01-01T00:00:00Z", "--json"))["job_id"]
    assert json.loads(cli("jobs", "cancel", later))["status"] == "cancelled"
    cli("jobs", "watch", later, status=1)  # it did not complete
    assert "JSON object" in cli("jobs", "submit", "nlp", "--parameters", "[1]", status=2)
    assert "NOT_FOUND" in cli("jobs", "show", "job_00000000000000000000000000000000", status=1)


def test_models(cli):
    table = cli("models", "catalog")
    assert "smollm2-135m-instruct" in table and "Apache-2.0" in table
    all_ = json.loads(cli("models", "catalog", "--json"))["models"]
    assert all(m["license"] and m["installed"] for m in all_ if m["default"])
    for verb in ("load", "unload", "load"):
        assert json.loads(cli("models", verb, "efficientnet-lite0", "--json"))["model_id"] == "efficientnet-lite0"
    assert "NOT_FOUND" in cli("models", "load", "no-such-model", status=1)
