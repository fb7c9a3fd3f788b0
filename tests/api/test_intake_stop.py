"""A stop while models are being built: it does not wait for them, and the next start builds them."""
import os
import signal
import threading
import time

from client import Api
from server import Server


def children(pid):
    found = []
    for tid in os.listdir(f"/proc/{pid}/task"):
        try:
            with open(f"/proc/{pid}/task/{tid}/children", encoding="ascii") as f:
                found += [int(x) for x in f.read().split()]
        except FileNotFoundError:
            pass
    return found


def is_reader(pid):
    """Not before its exec: the server waits for that in vfork."""
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as f:
            return b"__intake" in f.read()
    except OSError:
        return False


def test_a_stop_leaves_what_is_being_built_to_the_next_start(iris_file):
    with Server(flags=["--rate-limits", "off"]) as server:
        api = Api(server.host, server.port, server.key)
        frozen, done = set(), threading.Event()

        def freeze():  # every reader of an upload, so that two are at work and the others wait
            while not done.is_set():
                for pid in filter(is_reader, set(children(server.process.pid)) - frozen):
                    try:
                        os.kill(pid, signal.SIGSTOP)
                        frozen.add(pid)
                    except ProcessLookupError:
                        pass
                time.sleep(0.0005)
        freezer = threading.Thread(target=freeze)
        freezer.start()
        replies = []
        clients = [threading.Thread(target=lambda i=i: replies.append(api.deploy(iris_file, name=f"stop-{i}")))
                   for i in range(8)]
        try:
            for c in clients:
                c.start()
            for c in clients:
                c.join()
        finally:
            done.set()
            freezer.join()
        assert [r.status for r in replies] == [200] * 8
        building = [r.json()["id"] for r in replies
                    if api.get(f"/api/v1/deployments/{r.json()['id']}").json()["status"] == "building"]
        assert len(building) >= 4, "the readers were not frozen in time"
        start = time.monotonic()
        assert server.stop() == 0
        assert time.monotonic() - start < 25  # 10 s for what is at work; unbounded is 60 s a file
        server.start()
        api = Api(server.host, server.port, server.key)
        deadline = time.monotonic() + 20
        for ident in building:
            while (state := api.get(f"/api/v1/deployments/{ident}").json()["status"]) == "building":
                assert time.monotonic() < deadline
                time.sleep(0.02)
            assert state == "active"
            deadline_serve = time.monotonic() + 2  # the registry follows the row
            while api.predict(ident, [5.1, 3.5, 1.4, 0.2]).status != 200:
                assert time.monotonic() < deadline_serve
