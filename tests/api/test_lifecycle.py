"""Versions, limits and memory over time: races, restarts, idle models."""
import threading
import time

import pytest

from client import Api
from conftest import golden
from server import Server

ROW = [5.1, 3.5, 1.4, 0.2]


def together(n, fn):
    """fn(i) from n threads at once; the results in order."""
    out, barrier = [None] * n, threading.Barrier(n)

    def run(i):
        barrier.wait()
        out[i] = fn(i)
    threads = [threading.Thread(target=run, args=(i,)) for i in range(n)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    return out


def gauge(api, name):
    text = api.get("/metrics", check=False).text
    return float(next(line.split()[1] for line in text.splitlines() if line.startswith(name + " ")))


def wait_for(what, limit=15):
    end = time.monotonic() + limit
    while time.monotonic() < end:
        if what():
            return
        time.sleep(0.1)
    pytest.fail("it did not happen in time")


def cold_starts(api, dep):
    return api.get(f"/api/v1/metrics/{dep}").json()["metrics"]["cold_starts"]


@pytest.mark.parametrize("round_", range(3))
def test_concurrent_deploys_of_a_name_end_on_the_latest_version(user, iris_file, round_):
    small = golden("dt_iris")[0]
    name = f"race-{round_}"
    replies = together(12, lambda i: user.deploy(small if i % 2 else iris_file, name=name))
    assert [r.status for r in replies] == [200] * 12
    assert len({r.json()["id"] for r in replies}) == 1
    assert {r.json()["version"] for r in replies} == {f"v{n}" for n in range(1, 13)}
    dep = replies[0].json()["id"]
    versions = user.get(f"/api/v1/deployments/{dep}/versions").json()["versions"]
    assert [v["version"] for v in versions if v["is_current"]] == ["v12"]
    assert user.predict(dep, ROW).json()["model_version"] == "v12"


def test_rollbacks_under_load_fail_no_request(user, iris_file):
    small = golden("dt_iris")[0]
    dep = user.deploy(iris_file, name="load").json()["id"]
    assert user.deploy(small, name="load").json()["version"] == "v2"
    stop, bad, good = threading.Event(), [], set()

    def hammer():
        while not stop.is_set():
            r = user.predict(dep, [ROW] * 20)
            if r.status == 200:
                good.add(r.json()["model_version"])
            else:
                bad.append(r)
    threads = [threading.Thread(target=hammer) for _ in range(3)]
    for t in threads:
        t.start()
    for n in range(60):
        want = f"v{1 + n % 2}"
        r = user.post(f"/api/v1/deployments/{dep}/rollback", {"version": want})
        assert r.status == 200 and r.json()["version"] == want, r
        assert user.predict(dep, ROW).json()["model_version"] == want
    stop.set()
    for t in threads:
        t.join()
    assert not bad, bad[:3]
    assert good == {"v1", "v2"}


def test_concurrent_rollbacks_serve_what_the_list_says(user, iris_file):
    for _ in range(3):
        dep = user.deploy(iris_file, name="both").json()["id"]
    for _ in range(10):
        together(6, lambda i: user.post(f"/api/v1/deployments/{dep}/rollback",
                                        {"version": f"v{1 + i % 3}"}))
        versions = user.get(f"/api/v1/deployments/{dep}/versions").json()["versions"]
        current = [v["version"] for v in versions if v["is_current"]]
        assert current == [user.predict(dep, ROW).json()["model_version"]]


def test_a_failed_version_changes_nothing_of_the_one_that_serves(user, iris_file):
    dep = user.deploy(iris_file, name="kept", memory=512, timeout=20).json()["id"]
    before = user.get(f"/api/v1/deployments/{dep}").json()
    assert user.deploy(b"no model", name="kept", memory=7, timeout=3).status == 400
    after = user.get(f"/api/v1/deployments/{dep}").json()
    assert after["configuration"] == before["configuration"]
    assert (after["status"], after["version"]) == ("active", "v1")
    assert user.deploy(iris_file, name="kept", memory=256).json()["version"] == "v3"
    now = user.get(f"/api/v1/deployments/{dep}").json()["configuration"]
    assert (now["memory_mb"], now["timeout_seconds"]) == (256, 20)


def test_a_good_version_after_a_failed_first_one(user, iris_file):
    r = user.deploy(b"no model", name="second-try")
    dep = r.json()["error"]["details"]["deployment_id"]
    assert user.predict(dep, ROW).status == 409
    assert user.deploy(iris_file, name="second-try").json()["id"] == dep
    d = user.get(f"/api/v1/deployments/{dep}").json()
    assert (d["status"], d["version"]) == ("active", "v2") and "error" not in d
    assert user.predict(dep, ROW).json()["model_version"] == "v2"


def test_idempotent_repetition_answers_for_its_own_version(user, iris_file):
    first = user.deploy(iris_file, name="idem", headers={"Idempotency-Key": "a"})
    assert user.deploy(iris_file, name="idem").json()["version"] == "v2"
    again = user.deploy(iris_file, name="idem", headers={"Idempotency-Key": "a"})
    assert again.status == 200 and again.headers["idempotent-replayed"] == "true"
    assert again.json()["version"] == first.json()["version"] == "v1"


def test_idempotent_repetition_of_a_failure_fails_alike(user):
    first, again = (user.deploy(b"no model", name="bad", headers={"Idempotency-Key": "b"})
                    for _ in range(2))
    assert first.status == again.status == 400
    assert first.json()["error"] == again.json()["error"]
    assert again.headers["idempotent-replayed"] == "true"


def test_concurrent_idempotent_deploys_make_one_version(user, iris_file):
    replies = together(6, lambda i: user.deploy(iris_file, name="once",
                                                headers={"Idempotency-Key": "c"}))
    assert [r.status for r in replies] == [200] * 6
    assert {r.json()["version"] for r in replies} == {"v1"}
    assert sum("idempotent-replayed" in r.headers for r in replies) == 5


def test_idle_models_leave_and_min_instances_stay(tmp_path, spec, iris_file):
    flags = ["--rate-limits", "off", "--idle-unload-seconds", "1"]
    with Server(data_dir=tmp_path, flags=flags) as s:
        api = Api(s.host, s.port, s.key, spec)
        created = api.get("/api/v1/auth/me").json()["created_at"]
        dep = api.deploy(iris_file, name="idle").json()["id"]
        wait_for(lambda: gauge(api, "millrace_models_loaded") == 0)
        before = cold_starts(api, dep)
        assert {r.status for r in together(8, lambda i: api.predict(dep, ROW))} == {200}
        assert cold_starts(api, dep) == before + 1
        assert api.patch(f"/api/v1/deployments/{dep}", {"min_instances": 1}).status == 200
        time.sleep(3)
        assert gauge(api, "millrace_models_loaded") == 1
        assert api.predict(dep, ROW).status == 200
        assert cold_starts(api, dep) == before + 1
        metrics = api.get(f"/api/v1/metrics/{dep}").json()["metrics"]
    time.sleep(1.1)  # the reply's times are whole seconds
    with Server(data_dir=tmp_path, flags=flags) as s:
        api = Api(s.host, s.port, s.key, spec)
        wait_for(lambda: gauge(api, "millrace_models_loaded") == 1)
        assert api.get(f"/api/v1/metrics/{dep}").json()["metrics"] == metrics
        assert api.predict(dep, ROW).status == 200
        assert cold_starts(api, dep) == before + 1
        assert api.get("/api/v1/auth/me").json()["created_at"] == created
