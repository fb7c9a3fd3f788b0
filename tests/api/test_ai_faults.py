"""What goes wrong under the AI services: workers that are killed amid a request, full queues, damaged model files, a
full disk under a job, a clock that jumps. One clear error each, and the server goes on."""
import base64
import concurrent.futures
import contextlib
import http.client
import json
import os
import random
import signal
import sqlite3
import time

import pytest
from client import ROOT, Api
from server import Server
from test_aisemble_models import CLASSIFIER, EMBEDDER, LLM, LONG, V2, error, photo, wait_for
from test_clock import library  # noqa: F401
from test_tasks_disk import fill, small_disk

INSTALLED = os.path.join(os.environ.get("MILLRACE_CACHE", os.path.expanduser("~/.cache/millrace")), "models")


def children(server):
    """Pids of the server's own children and theirs, without those that are dead and not yet looked at."""
    out, todo = [], [server.process.pid]
    while todo:
        pid = todo.pop()
        with contextlib.suppress(OSError):  # gone meanwhile
            for task in os.listdir(f"/proc/{pid}/task"):
                with open(f"/proc/{pid}/task/{task}/children", encoding="ascii") as f:
                    todo += [int(x) for x in f.read().split()]
            with open(f"/proc/{pid}/stat", encoding="ascii") as f:
                if f.read().rsplit(")", 1)[1].split()[0] != "Z":
                    out.append(pid)
    return out[1:]


def kill(pids):
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


@pytest.fixture(scope="module")
def server():
    with Server(flags=["--rate-limits", "off", "--llm-parallel", "1", "--llm-queue", "1", "--log-level", "error"]) as s:
        yield s
        assert s.stop() == 0, s.log_text()[-2000:]


@pytest.fixture
def api(server):
    return Api(server.host, server.port, server.key)


@contextlib.contextmanager
def streaming(server):
    """A long generation under way; its connection and its reply."""
    c = http.client.HTTPConnection(server.host, server.port, timeout=60)
    c.request("POST", V2 + "/ai/llm/generate", json.dumps({**LONG, "stream": True}),
              {"Authorization": f"Bearer {server.key}", "Content-Type": "application/json"})
    r = c.getresponse()
    assert r.status == 200, r.read()
    assert r.readline().startswith(b"data:")
    try:
        yield r
    finally:
        c.close()


def say(api):
    return api.post(V2 + "/ai/llm/generate", {"prompt": "Hi", "max_tokens": 3, "temperature": 0})


def in_use(api):
    return api.get(V2 + "/ops/services/llm").json()["in_use"]


def test_a_killed_language_model_ends_its_stream_with_one_error(server, api):
    assert say(api).status == 200
    before = set(children(server))
    assert before, "the model runs in a process of its own"
    with streaming(server) as r:
        kill(before)
        rest = r.read().decode()
    errors = [json.loads(x[5:]) for x in rest.splitlines() if x.startswith("data:") and '"error"' in x]
    assert len(errors) == 1 and "killed" in json.dumps(errors[0]), rest[-500:]
    wait_for(lambda: in_use(api) == 0, "the request to end")
    again = wait_for(lambda: (lambda r: r if r.status == 200 else None)(say(api)), "another process", 30)
    assert again.json()["generated_text"] and not before & set(children(server))


def test_a_client_that_hangs_up_amid_a_stream_frees_its_place(server, api):
    """There is one place and one may wait: both are free again."""
    for _ in range(3):
        with streaming(server):
            pass
        wait_for(lambda: in_use(api) == 0, "the place to be free")
    assert say(api).status == 200


def test_a_full_queue_is_503_and_says_when_to_come_back(server, api):
    with streaming(server), concurrent.futures.ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(say, Api(server.host, server.port, server.key)) for _ in range(8)]
        wait_for(lambda: sum(f.done() for f in asked) >= 7, "all but the one that waits to be refused")
        refused = [f.result() for f in asked if f.done()]
        assert len(refused) == 7
        for r in refused:
            e = error(r, 503, "SERVICE_UNAVAILABLE")
            assert int(r.headers["retry-after"]) >= 1 and e["message"]
        r = api.post("/v1/chat/completions", {"model": LLM, "messages": [{"role": "user", "content": "Hi"}]})
        assert r.status == 503 and int(r.headers["retry-after"]) >= 1 and r.headers["x-should-retry"] == "true", r
        assert api.get("/healthz").status == 200
        server_side = [f for f in asked if not f.done()]
        assert len(server_side) == 1
        kill(children(server))  # ends the long one; what waited gets an answer, good or bad, but one
        server_side[0].result(timeout=60)
    wait_for(lambda: say(api).status == 200, "the model to answer again", 30)


def test_a_prompt_beyond_the_context_says_both_figures(api):
    e = error(api.post(V2 + "/ai/llm/generate", {"prompt": "word " * 60000, "max_tokens": 4}), 400, "INVALID_REQUEST")
    assert "8192" in e["message"], e
    r = api.post("/v1/chat/completions", {"model": LLM, "messages": [{"role": "user", "content": "word " * 60000}]})
    assert r.status == 400 and "8192" in r.json()["error"]["message"], r
    assert say(api).status == 200


def test_asking_for_ten_thousand_of_the_best(api):
    """top_k of sampling may be any number; the classifier has 1,000 classes, which the error says."""
    few = {"prompt": "Hi", "max_tokens": 4, "temperature": 1, "parameters": {"seed": 5, "top_k": 10000}}
    more = {**few, "parameters": {"seed": 5, "top_k": 1000000}}
    assert api.post(V2 + "/ai/llm/generate", few).json()["generated_text"]
    assert api.post(V2 + "/ai/llm/generate", more).status == 200
    error(api.post(V2 + "/ai/llm/generate", {**few, "parameters": {"top_k": 1 << 40}}), 400, "INVALID_REQUEST")
    image = base64.b64encode(photo("chelsea.png")).decode()
    for k in (10000, 1001):
        e = error(api.post(V2 + "/ai/vision/classify", {"image": image, "top_k": k}), 400, "INVALID_REQUEST")
        assert "1000" in e["message"], e
    best = api.post(V2 + "/ai/vision/classify", {"image": image, "top_k": 1000}).json()["predictions"]
    assert len(best) == 1000 and len({p["class_id"] for p in best}) == 1000
    assert all(a["confidence"] >= b["confidence"] for a, b in zip(best, best[1:]))


@pytest.mark.parametrize("kind", ["classify", "detect", "embeddings"])
def test_killed_model_and_image_processes_cost_their_requests_one_error(server, api, kind):
    image = base64.b64encode(photo("chelsea.png")).decode()
    path, body = {"classify": ("/ai/vision/classify", {"image": image}),
                  "detect": ("/ai/vision/analyze", {"image": image, "analysis_type": ["object_detection"]}),
                  "embeddings": ("/ai/nlp/embeddings", {"input": ["a cat sat on a mat"] * 8})}[kind]
    want = api.post(V2 + path, body).json()
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        replies = []
        for _ in range(2):
            asked = [pool.submit(Api(server.host, server.port, server.key).post, V2 + path, body) for _ in range(3)]
            time.sleep(random.uniform(0, 0.05))
            kill(children(server))
            replies += [f.result(timeout=60) for f in asked]
    for r in replies:
        assert r.status == 200 or r.json()["error"]["message"], r
        assert r.status in (200, 502, 503), r
    again = wait_for(lambda: (lambda r: r if r.status == 200 else None)(api.post(V2 + path, body)), "fresh processes", 30)
    same = {"classify": "predictions", "detect": "analysis_results", "embeddings": "embeddings"}[kind]
    assert same in want and again.json()[same] == want[same]
    assert api.get("/healthz").status == 200


# --- damaged model files --------------------------------------------------------------------------

def cut(data, rng):
    return data[:rng.randrange(len(data))]


def flip(data, rng):
    out = bytearray(data)
    for _ in range(rng.choice([1, 8, 64])):
        out[rng.randrange(len(out))] ^= 1 << rng.randrange(8)
    return bytes(out)


def flip_head(data, rng):
    out = bytearray(data)
    for _ in range(8):
        out[rng.randrange(200)] ^= 1 << rng.randrange(8)
    return bytes(out)


def flip_graph(data, rng):
    """The end of an ONNX file, behind its weights, or the nodes among them."""
    out = bytearray(data)
    for _ in range(16):
        out[len(out) - 1 - rng.randrange(20000)] ^= 1 << rng.randrange(8)
    return bytes(out)


def test_damaged_onnx_files_are_refused_or_run_and_the_server_lives(tmp_path):
    """A flipped bit in a weight may go unseen; everything else is MODEL_NOT_LOADED with a reason."""
    rng = random.Random(7)
    for name in os.listdir(INSTALLED):
        os.makedirs(tmp_path / "models" / name)
        for f in os.listdir(os.path.join(INSTALLED, name)):
            os.symlink(os.path.join(INSTALLED, name, f), tmp_path / "models" / name / f)
    image = base64.b64encode(photo("chelsea.png")).decode()
    models = {CLASSIFIER: ("/ai/vision/classify", {"image": image}),
              EMBEDDER: ("/ai/nlp/embeddings", {"input": "a cat"})}
    whole = {m: open(os.path.join(INSTALLED, m, "model.onnx"), "rb").read() for m in models}
    damage = [lambda d, r: b"", lambda d, r: d[:7], lambda d, r: d[:-1], cut, flip, flip_head, flip_graph]
    with Server(data_dir=tmp_path, flags=["--rate-limits", "off", "--models-dir", str(tmp_path / "models")]) as s:
        api = Api(s.host, s.port, s.key)
        refused = 0
        for harm in damage:
            for m, (path, body) in models.items():
                file = tmp_path / "models" / m / "model.onnx"
                file.unlink()
                file.write_bytes(harm(whole[m], rng))
                api.post(f"{V2}/models/{m}/load", {"force_reload": True})
                r = api.post(V2 + path, body)
                assert r.status in (200, 422, 502), (harm, m, r)
                if r.status != 200:
                    refused += 1
                    assert r.json()["error"]["message"], r
                api.post(f"{V2}/models/{m}/unload")
            assert api.get("/healthz").status == 200
        assert refused >= 2 * 4, "empty, short and cut files at least"
        for m, (path, body) in models.items():
            (tmp_path / "models" / m / "model.onnx").write_bytes(whole[m])
            api.post(f"{V2}/models/{m}/load", {"force_reload": True})
            wait_for(lambda: api.post(V2 + path, body).status == 200, f"{m}, whole again")  # noqa: B023
        assert s.stop() == 0, s.log_text()[-2000:]


# --- a full disk ----------------------------------------------------------------------------------

@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small tmpfs needs root")
def test_a_job_that_finds_the_disk_full_goes_on_when_there_is_room():
    with small_disk() as where:
        with Server(data_dir=where, flags=["--rate-limits", "off", "--log-level", "error"]) as s:
            api = Api(s.host, s.port, s.key)
            ballast = os.path.join(where, "ballast")
            texts = [f"number {i} " + "word " * 400 for i in range(300)]
            r = api.post(V2 + "/jobs", {"type": "batch_processing", "service": "nlp", "parameters": {
                "analysis_types": ["keywords"], "inputs": texts}})
            job = r.json()["job_id"]
            done = lambda: api.get(f"{V2}/jobs/{job}").json()["progress"]["completed"]  # noqa: E731
            wait_for(lambda: done() > 0, "the job to begin")
            fill(ballast)
            last, since = done(), time.monotonic()
            while time.monotonic() - since < 1.5:  # until nothing more gets in
                now = done()
                if now != last:
                    last, since = now, time.monotonic()
            state = api.get(f"{V2}/jobs/{job}").json()
            assert state["status"] in ("running", "completed"), state
            os.unlink(ballast)
            wait_for(lambda: api.get(f"{V2}/jobs/{job}").json()["status"] == "completed", "the job to end")
            got = [x for at in range(0, 300, 100)
                   for x in api.get(f"{V2}/jobs/{job}/results?limit=100&offset={at}").json()["results"]]
            assert [x["index"] for x in got] == list(range(300)) and all("output" in x for x in got)
            assert s.stop() == 0, s.log_text()[-2000:]
        with contextlib.closing(sqlite3.connect(os.path.join(where, "millrace.db"))) as db:
            assert db.execute("SELECT COUNT(*) FROM job_results").fetchone() == (300,)


# --- a clock that jumps ---------------------------------------------------------------------------

@pytest.mark.skipif("MILLRACE_SANITIZED" in os.environ, reason="libfaketime and the sanitizers do not go together")
def test_a_cron_job_runs_once_for_all_times_that_a_jump_left_out(library, tmp_path):  # noqa: F811
    """Ahead by a day: one run, not 1,440. Back by a day: none until the time comes again, and no crash."""
    clock = tmp_path / "clock"
    clock.write_text("2027-05-10 11:58:30")
    env = {"LD_PRELOAD": library, "FAKETIME_TIMESTAMP_FILE": str(clock), "TZ": "UTC", "FAKETIME_NO_CACHE": "1",
           "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
    data = tmp_path / "data"
    data.mkdir()

    def runs(api):
        return [j for j in api.get(V2 + "/jobs?limit=100").json()["jobs"] if j["status"] != "scheduled"]

    def at(moment):
        clock.write_text(f"@{moment}")
        return Server(data_dir=data, flags=["--rate-limits", "off", "--timezone", "UTC", "--log-level", "error"], env=env,
                      binary=os.path.join(ROOT, "build", "millrace"))

    with at("2027-05-10 11:58:30") as s:
        api = Api(s.host, s.port, s.key)
        r = api.post(V2 + "/jobs", {"type": "batch_processing", "service": "nlp", "cron": "* * * * *",
                                    "parameters": {"analysis_types": ["language"], "inputs": ["one"]}})
        assert r.status in (200, 201, 202), r
        assert api.get(f"{V2}/jobs/{r.json()['job_id']}").json()["status"] == "scheduled"
        assert not runs(api)
        clock.write_text("@2027-05-11 11:58:30")  # a day ahead, while it runs
        wait_for(lambda: len(runs(api)) == 1, "the run of all that was left out")
        wait_for(lambda: runs(api)[0]["status"] == "completed", "it to end")
        time.sleep(1)
        assert len(runs(api)) == 1, "one run for all times that were left out"
        clock.write_text("@2027-05-10 11:58:30")  # and back
        time.sleep(1)
        assert len(runs(api)) == 1 and api.get("/healthz").status == 200
        assert s.stop() == 0, s.log_text()[-2000:]
    with at("2027-05-12 00:00:10") as s:  # and over a stop
        api = Api(s.host, s.port, s.key)
        wait_for(lambda: len(runs(api)) == 2, "the next run")
        wait_for(lambda: all(j["status"] == "completed" for j in runs(api)), "it to end")
        time.sleep(0.5)
        assert len(runs(api)) == 2
