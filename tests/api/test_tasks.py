"""Tasks: seed 004's endpoints, fields and statuses, against the stand-in provider."""
import http.client
import json
import re
import socket
import threading
import time
import uuid

import pytest
from client import Api
from server import Server

LOCAL = r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}$"


def tokens_in(prompt):
    """As the stand-in counts: 3 + 4 for the message + a token a 4 bytes."""
    return 7 + -(-len(prompt.encode()) // 4)


def price(api, usage_in, usage_out, dollars_in=0.15, dollars_out=0.60):
    return pytest.approx((usage_in * dollars_in + usage_out * dollars_out) / 1e6, abs=1e-12)


def run(api, prompt="What is artificial intelligence?", headers=None, **fields):
    return api.post("/api/task", {"prompt": prompt, **fields}, headers=headers)


def test_create_answers_as_the_seed_says(user):
    prompt = "What is artificial intelligence?"
    r = run(user, prompt, provider="openai", user_id="user@example.com")
    assert r.status == 200, r
    body = r.json()
    assert set(body) >= {"task_id", "response", "tokens_used", "cost", "provider"}
    assert body["task_id"] == 1 and body["provider"] == "openai" and body["response"]
    out = len(body["response"].split())
    assert body["tokens_used"] == tokens_in(prompt) + out
    assert body["cost"] == price(user, tokens_in(prompt), out)
    assert body["model"] == "gpt-4o-mini"


def test_cost_is_an_exact_decimal(user):
    text = run(user).text
    number = re.search(r'"cost":([0-9.]+)[,}]', text).group(1)
    assert "e" not in number and len(number.split(".")[1]) <= 9


def test_openai_is_the_default_and_mistral_the_other(user, standin):
    assert run(user).json()["provider"] == "openai"
    r = run(user, provider="mistral")
    assert r.status == 200 and r.json()["provider"] == "mistral", r
    sent = standin.last()
    assert "/mistral/v1/chat/completions" in sent and "stream_options" not in sent


def test_a_model_may_be_chosen(user):
    r = run(user, model="gpt-4.1-mini")
    assert r.json()["model"].startswith("gpt-4.1-mini")
    assert user.get("/api/task/1").json()["cost"] == r.json()["cost"]


def test_get_shows_the_task(user):
    done = run(user, "Explain quantum computing", user_id="bob").json()
    r = user.get("/api/task/1")
    task = r.json()
    assert r.status == 200
    assert task["id"] == 1 and task["status"] == "completed" and task["provider"] == "openai"
    assert task["input"] == "Explain quantum computing" and task["output"] == done["response"]
    assert task["tokens_used"] == done["tokens_used"] and task["cost"] == done["cost"]
    assert re.match(LOCAL, task["created_at"]) and re.match(LOCAL, task["completed_at"])
    assert task["completed_at"] >= task["created_at"]
    assert task["user_id"] == "bob" and task["error"] is None


@pytest.mark.parametrize("task_id", ["2", "0", "-1", "abc", "99999999999999999999"])
def test_get_of_an_unknown_task_is_404(user, task_id):
    run(user)
    r = user.get(f"/api/task/{task_id}")
    assert r.status == 404 and "not found" in r.json()["error"]


def test_list_filters_and_pages(user, standin):
    for i in range(5):
        run(user, f"prompt {i}")
    assert run(user, f"[standin fault=400] {uuid.uuid4()}").status == 400
    tasks = user.get("/api/tasks").json()["tasks"]
    assert [t["id"] for t in tasks] == [6, 5, 4, 3, 2, 1]
    assert set(tasks[0]) >= {"id", "status", "provider", "created_at"}
    assert "input" not in tasks[0] and "output" not in tasks[0]
    assert [t["id"] for t in user.get("/api/tasks?status=completed&limit=2").json()["tasks"]] == [5, 4]
    assert [t["id"] for t in user.get("/api/tasks?limit=2&offset=4").json()["tasks"]] == [2, 1]
    assert [t["id"] for t in user.get("/api/tasks?status=failed").json()["tasks"]] == [6]
    assert user.get("/api/tasks?status=pending").json() == {"tasks": []}
    assert user.get("/api/tasks?status=processing").json() == {"tasks": []}


def test_the_list_is_fifty_long_by_default(user):
    for i in range(51):
        assert run(user, f"p{i}").status == 200
    assert len(user.get("/api/tasks").json()["tasks"]) == 50
    assert len(user.get("/api/tasks?limit=1000").json()["tasks"]) == 51


@pytest.mark.parametrize("query", ["status=done", "limit=0", "limit=1001", "limit=x", "offset=-1"])
def test_wrong_list_parameters_are_400(user, query):
    r = user.get("/api/tasks?" + query)
    assert r.status == 400 and query.split("=")[0] in r.json()["error"]


@pytest.mark.parametrize("body,word", [
    ({}, "prompt"), ({"prompt": ""}, "prompt"), ({"prompt": None}, "prompt"), ({"prompt": 5}, "prompt"),
    ({"prompt": "x", "provider": "nobody"}, "openai"), ({"prompt": "x", "model": "unknown-model"}, "price"),
    ({"prompt": "x", "user_id": 1.5}, "user_id"), ({"prompt": "x", "user_id": "u" * 257}, "user_id"),
    ({"prompt": "x", "max_tokens": 0}, "max_tokens"), ({"prompt": "x", "stream": "yes"}, "stream")])
def test_a_wrong_request_is_400_and_named(user, body, word):
    r = user.post("/api/task", body)
    assert r.status == 400 and word in r.json()["error"], r
    assert user.get("/api/tasks").json()["tasks"] == []


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'"x"'])
def test_a_body_that_is_no_object_is_400(user, body):
    r = user.post("/api/task", body)
    assert r.status == 400 and set(r.json()) == {"error"}


def test_user_id_is_text_or_a_number(user):
    run(user, user_id=7)
    run(user, user_id="7")
    run(user, user_id="alice")
    run(user)
    assert user.get("/api/task/1").json()["user_id"] == "7"
    assert user.get("/api/task/4").json()["user_id"] is None
    assert user.get("/api/stats").json()["users"]["total"] == 2


def test_errors_are_the_familys_shape_everywhere(user):
    for method, path in (("GET", "/api/task/1/x"), ("DELETE", "/api/tasks"), ("GET", "/api/stats/none"),
                         ("GET", "/api/report"), ("GET", "/api/payment/nothing")):
        r = user.request(method, path)
        assert r.status in (404, 405) and set(r.json()) == {"error"}, (path, r)


# --- upstream failures ------------------------------------------------------------------------

@pytest.mark.parametrize("fault,status", [
    ("500", 502), ("503", 502), ("quota", 502), ("401", 502), ("plain-429", 502), ("text-429", 502),
    ("html-502", 502), ("rubbish", 502), ("rubbish-json", 502), ("empty", 502), ("redirect", 502),
    ("reset", 502), ("close", 502), ("400", 400), ("huge", 502)])
def test_an_upstream_failure_is_told_and_kept(standin, spec, fault, status):
    """Each on a server of its own: failures of one must not open the breaker for another."""
    with Server(env=standin.env(), flags=["--task-deadline-ms", "4000"]) as s:
        api = Api(s.host, s.port, s.key, spec)
        r = run(api, f"[standin fault={fault}] {uuid.uuid4()}")
        assert r.status == status and r.json()["error"].startswith("openai"), r
        task = api.get("/api/task/1").json()
        assert task["status"] == "failed" and task["error"] == r.json()["error"]
        assert task["completed_at"] is not None
        assert r.headers["x-task-id"] == "1"
        if fault in ("500", "503", "quota", "401", "400"):
            assert task["cost"] == 0 and task["tokens_used"] == 0
        assert api.get("/api/report/daily").json()["expenses"] == task["cost"]


def test_a_failure_that_passes_is_retried(user, standin):
    r = run(user, f"[standin fault=503 times=2] {uuid.uuid4()}")
    assert r.status == 200, r


def test_when_to_try_again_is_passed_on(standin, spec):
    with Server(env=standin.env(), flags=["--task-deadline-ms", "2000"]) as s:
        r = run(Api(s.host, s.port, s.key, spec), f"[standin fault=429 arg=7] {uuid.uuid4()}")
        assert r.status == 502 and r.headers["retry-after"] == "7", (r, r.headers)


def test_quota_is_not_retried(user, standin):
    standin.reset()
    assert run(user, f"[standin fault=quota] {uuid.uuid4()}").status == 502
    assert standin.stats()["requests"] == 1


def test_an_upstream_that_hangs_ends_with_the_deadline(standin, spec):
    with Server(env=standin.env(), flags=["--task-deadline-ms", "700"]) as s:
        api = Api(s.host, s.port, s.key, spec)
        start = time.monotonic()
        r = run(api, f"[standin fault=hang] {uuid.uuid4()}")
        assert r.status == 502 and time.monotonic() - start < 5, r
        task = api.get("/api/task/1").json()
        # It was sent, so it may be billed: what its prompt costs is booked as estimated.
        assert task["status"] == "failed" and task["cost"] > 0
        assert api.get("/api/report/daily").json()["expenses"] == task["cost"]


def test_no_key_is_503_and_names_the_variable(spec):
    with Server() as s:
        api = Api(s.host, s.port, s.key, spec)
        for provider, variable in (("openai", "OPENAI_API_KEY"), ("mistral", "MISTRAL_API_KEY")):
            r = run(api, provider=provider)
            assert r.status == 503 and variable in r.json()["error"], r
        assert api.get("/api/tasks").json()["tasks"] == []


def test_further_providers_come_from_the_settings(standin, spec, tmp_path):
    (tmp_path / "prices").mkdir()
    (tmp_path / "prices" / "mine.toml").write_text(
        'provider = "house"\nfrom = 2020-01-01\n[[price]]\nmodel = "house-1"\ninput = 1.0\noutput = 2.0\n'
        'source = "ours"\n')
    (tmp_path / "millrace.toml").write_text(
        f'prices_dir = "{tmp_path}/prices"\n[provider.house]\nbase_url = "{standin.openai}"\n'
        'key_env = "HOUSE_KEY"\nmodel = "house-1"\n[provider.openai]\nfallback = "house"\n')
    env = {**standin.env(), "HOUSE_KEY": "k", "MILLRACE_CONFIG": str(tmp_path / "millrace.toml")}
    with Server(env=env) as s:
        api = Api(s.host, s.port, s.key, spec)
        r = run(api, provider="house")
        assert r.status == 200 and r.json()["provider"] == "house", r
        out = len(r.json()["response"].split())
        assert r.json()["cost"] == pytest.approx(
            (tokens_in("What is artificial intelligence?") + 2 * out) / 1e6, abs=1e-12)
        # A configured fallback answers, and the reply says who it was.
        standin.fault("503", model="gpt-4o-mini")
        try:
            r = run(api, provider="openai")
        finally:
            standin.reset()
        assert r.status == 200 and r.json()["provider"] == "house", r
        assert api.get("/api/task/2").json()["provider"] == "house"


# --- clients that leave -----------------------------------------------------------------------

def wait_for(check, seconds=10):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        got = check()
        if got:
            return got
        time.sleep(0.02)
    raise AssertionError("it did not happen in time")


def hang_up(api, body, read=0):
    s = socket.create_connection((api.host, api.port))
    data = json.dumps(body).encode()
    s.sendall(b"POST /api/task HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + api.token.encode()
              + b"\r\nContent-Type: application/json\r\nContent-Length: " + str(len(data)).encode()
              + b"\r\n\r\n" + data)
    if read:
        s.recv(read)
    else:
        time.sleep(0.1)
    s.close()


@pytest.mark.parametrize("stream", [False, True])
def test_a_client_that_hangs_up_is_charged_once(user, standin, stream):
    fault = "fault=events arg=30" if stream else "fault=slow arg=400"
    hang_up(user, {"prompt": f"[standin {fault}] {uuid.uuid4()}", "stream": stream}, read=200 if stream else 0)
    task = wait_for(lambda: next((t for t in user.get("/api/tasks").json()["tasks"]
                                  if t["status"] in ("completed", "failed")), None))
    assert task["status"] == "completed" and task["cost"] > 0
    assert user.get("/api/report/daily").json()["expenses"] == task["cost"]
    assert user.get("/api/stats").json()["tasks"]["total"] == 1


def test_clients_that_hang_up_amid_streams_trip_no_breaker_and_lose_no_charge(user):
    bodies = [{"prompt": f"[standin fault=events arg=10] {uuid.uuid4()}", "stream": True} for _ in range(32)]
    threads = [threading.Thread(target=hang_up, args=(user, b, 200)) for b in bodies]
    [t.start() for t in threads]
    [t.join() for t in threads]
    wait_for(lambda: user.get("/api/stats").json()["tasks"]["completed"] == 32)
    tasks = user.get("/api/tasks").json()["tasks"]
    assert len(tasks) == 32 and all(t["cost"] > 0 for t in tasks)
    assert user.get("/api/report/daily").json()["expenses"] == pytest.approx(sum(t["cost"] for t in tasks), abs=1e-12)
    assert user.get("/api/v1/account/budget").json()["reserved_usd"] == 0
    assert 'millrace_provider_breaker_open{provider="openai"} 0' in user.get("/metrics").text
    assert run(user).status == 200


def test_while_it_runs_it_is_processing(user):
    prompt = f"[standin fault=slow arg=700] {uuid.uuid4()}"
    t = threading.Thread(target=lambda: run(user, prompt))
    t.start()
    task = wait_for(lambda: (user.get("/api/tasks?status=processing").json()["tasks"] or [None])[0])
    shown = user.get(f"/api/task/{task['id']}").json()
    assert shown["status"] == "processing" and shown["completed_at"] is None and shown["output"] is None
    t.join()
    assert user.get(f"/api/task/{task['id']}").json()["status"] == "completed"


# --- idempotency ------------------------------------------------------------------------------

def test_a_repeated_key_answers_the_same_and_costs_once(user):
    key = {"Idempotency-Key": "k-1"}
    first, again = run(user, headers=key), run(user, headers=key)
    assert first.status == again.status == 200 and first.json() == again.json()
    assert user.get("/api/stats").json()["tasks"]["total"] == 1
    assert user.get("/api/report/daily").json()["expenses"] == first.json()["cost"]
    r = run(user, "something else", headers=key)
    assert r.status == 422 and "Idempotency-Key" in r.json()["error"], r
    assert run(user, headers={"Idempotency-Key": "k-2"}).json()["task_id"] == 2


def test_keys_belong_to_accounts(new_user):
    a, b = new_user(), new_user()
    key = {"Idempotency-Key": "same"}
    assert run(a, "one", headers=key).status == run(b, "two", headers=key).status == 200


def test_a_repeat_while_the_first_runs_is_409(user):
    prompt, key = f"[standin fault=slow arg=800] {uuid.uuid4()}", {"Idempotency-Key": "slow"}
    answers = []
    t = threading.Thread(target=lambda: answers.append(run(user, prompt, headers=key)))
    t.start()
    wait_for(lambda: user.get("/api/tasks?status=processing").json()["tasks"])
    r = run(user, prompt, headers=key)
    assert r.status == 409, r
    t.join()
    assert answers[0].status == 200
    assert run(user, prompt, headers=key).json() == answers[0].json()


def test_a_failure_that_cost_nothing_may_be_tried_again(user):
    key = {"Idempotency-Key": "again"}
    prompt = f"[standin fault=quota times=1] {uuid.uuid4()}"
    assert run(user, prompt, headers=key).status == 502
    r = run(user, prompt, headers=key)
    assert r.status == 200 and r.json()["task_id"] == 2, r


def test_a_repeated_key_survives_a_restart(standin, spec, tmp_path):
    key = {"Idempotency-Key": "kept"}
    with Server(data_dir=tmp_path, env=standin.env()) as s:
        api = Api(s.host, s.port, s.key, spec)
        first = run(api, headers=key)
    with Server(data_dir=tmp_path, env=standin.env()) as s:
        again = run(Api(s.host, s.port, s.key, spec), headers=key)
    assert first.status == 200 and first.json() == again.json()


# --- streaming --------------------------------------------------------------------------------

def events(api, **fields):
    r = api.post("/api/task", {"stream": True, **fields})
    lines = [part[6:] for part in r.text.split("\n\n") if part.startswith("data: ")]
    return r, lines


def test_a_stream_brings_deltas_the_answer_and_done(user):
    r, data = events(user, prompt="Tell me a story")
    assert r.status == 200 and r.headers["content-type"].startswith("text/event-stream")
    assert data[-1] == "[DONE]"
    deltas, last = [json.loads(d) for d in data[:-2]], json.loads(data[-2])
    assert len(deltas) > 3 and all(d["task_id"] == 1 for d in deltas)
    assert "".join(d["delta"] for d in deltas) == last["response"]
    assert set(last) == {"task_id", "response", "tokens_used", "cost", "provider", "model"}
    task = user.get("/api/task/1").json()
    assert task["output"] == last["response"] and task["cost"] == last["cost"]
    assert last["tokens_used"] == tokens_in("Tell me a story") + len(last["response"].split())


def test_a_stream_that_fails_before_it_began_is_an_ordinary_error(user):
    r, _ = events(user, prompt=f"[standin fault=quota] {uuid.uuid4()}")
    assert r.status == 502 and set(r.json()) == {"error"}


def test_a_stream_that_breaks_off_says_so(user):
    r, data = events(user, prompt=f"[standin fault=error-event] {uuid.uuid4()}")
    assert r.status == 200 and "error" in json.loads(data[-2]) and data[-1] == "[DONE]"
    assert user.get("/api/task/1").json()["status"] == "failed"
    assert user.get("/api/task/1").json()["cost"] > 0


def test_mistral_streams_too(user):
    r, data = events(user, prompt="Raconte", provider="mistral")
    assert json.loads(data[-2])["provider"] == "mistral" and data[-1] == "[DONE]", r


# --- health and clocks ------------------------------------------------------------------------

def test_health_on_a_listener_of_the_family(standin, spec):
    flags = ["--listen", "127.0.0.1:0", "--listen", "127.0.0.1:0=tasks", "--timezone", "Asia/Kathmandu"]
    with Server(env=standin.env(), flags=flags) as s:
        pinned = Api(s.host, s.more_ports[0], None, spec, family="tasks")
        body = pinned.get("/health").json()
        assert set(body) == {"status", "timestamp"} and re.match(LOCAL, body["timestamp"])
        utc = time.strptime(Api(s.host, s.port, None, spec).get("/health").json()["timestamp"][:19],
                            "%Y-%m-%dT%H:%M:%S")
        local = time.strptime(body["timestamp"][:19], "%Y-%m-%dT%H:%M:%S")
        ahead = (time.mktime(local) - time.mktime(utc)) / 60
        assert 344 <= ahead <= 346  # 5:45
        # Without a key, from this machine: the owner.
        r = run(pinned)
        assert r.status == 200
        task = pinned.get("/api/task/1").json()
        assert abs(time.mktime(time.strptime(task["created_at"][:19], "%Y-%m-%dT%H:%M:%S"))
                   - time.mktime(local)) < 60
        assert pinned.get("/nothing").json().keys() == {"error"}


def test_without_a_key_only_from_this_machine(server, spec):
    api = Api(server.host, server.port, None, spec)
    assert api.get("/api/tasks").status == 200
    for headers in ({"X-Forwarded-For": "203.0.113.9"}, {"Host": "shop.example"}, {"Origin": "https://evil.example"}):
        r = api.get("/api/tasks", headers=headers)
        assert r.status in (401, 403) and set(r.json()) == {"error"}, (headers, r)


def test_a_task_left_behind_by_a_kill_is_settled_once(standin, spec, tmp_path):
    prompt = f"[standin fault=hang] {uuid.uuid4()}"
    with Server(data_dir=tmp_path, env=standin.env()) as s:
        api = Api(s.host, s.port, s.key, spec)
        key = s.key
        hang_up(api, {"prompt": prompt})
        wait_for(lambda: api.get("/api/tasks?status=processing").json()["tasks"])
        s.kill()
    spent = None
    for _ in range(2):
        with Server(data_dir=tmp_path, env=standin.env()) as s:
            api = Api(s.host, s.port, key, spec)
            task = api.get("/api/task/1").json()
            assert task["status"] == "failed" and "before the provider's answer" in task["error"]
            assert task["cost"] > 0 and task["completed_at"]
            assert api.get("/api/report/daily").json()["expenses"] == (spent or task["cost"])
            charge = api.get(f"/api/usage/explain/{task['charge_id']}").json()
            assert charge["state"] == "settled" and charge["estimated"] and charge["cost"] == task["cost"]
            assert run(api, "next").json()["task_id"] > 1
            spent = api.get("/api/report/daily").json()["expenses"]
            assert spent > task["cost"]


def test_keep_alive_and_parallel_tasks_count_right(user):
    n = 24
    answers = []

    def work(i):
        conn = http.client.HTTPConnection(user.host, user.port)
        for k in range(4):
            conn.request("POST", "/api/task", json.dumps({"prompt": f"p {i} {k}", "user_id": f"u{i % 5}"}),
                         {"Authorization": "Bearer " + user.token, "Content-Type": "application/json"})
            r = conn.getresponse()
            answers.append((r.status, json.loads(r.read())))
        conn.close()
    threads = [threading.Thread(target=work, args=(i,)) for i in range(n)]
    [t.start() for t in threads]
    [t.join() for t in threads]
    assert all(status == 200 for status, _ in answers)
    assert sorted(a["task_id"] for _, a in answers) == list(range(1, 4 * n + 1))
    stats = user.get("/api/stats").json()
    assert stats["tasks"]["total"] == stats["tasks"]["completed"] == 4 * n
    total = round(sum(a["cost"] for _, a in answers), 9)
    assert stats["tasks"]["total_cost"] == pytest.approx(total, abs=1e-12)
    assert stats["financials"]["total_expenses"] == stats["tasks"]["total_cost"]
    assert stats["tasks"]["total_tokens"] == sum(a["tokens_used"] for _, a in answers)
    assert stats["users"]["total"] == 5
