"""Tasks on a full disk: nothing is answered that is not recorded, and nothing is lost once there is room again."""
import contextlib
import os
import sqlite3
import subprocess
import tempfile
import threading
import time

import pytest
from client import Api
from server import Server
from standin import Standin


@contextlib.contextmanager
def small_disk():
    with tempfile.TemporaryDirectory(prefix="millrace-full-") as where:
        if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", where], capture_output=True).returncode:
            pytest.skip("tmpfs cannot be mounted here")
        try:
            yield where
        finally:
            subprocess.run(["umount", "-l", where], capture_output=True)


def fill(path):
    for size in (65536, 4096, 1):
        with open(path, "ab", buffering=0) as f, contextlib.suppress(OSError):
            while f.write(b"\0" * size):
                pass


def wait_for(condition, seconds=15):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small tmpfs needs root")
def test_a_task_whose_end_finds_the_disk_full_is_recorded_later():
    upstream = Standin()
    try:
        with small_disk() as where:
            with Server(data_dir=where, flags=["--rate-limits", "off", "--log-level", "error"], env=upstream.env()) as s:
                api = Api(s.host, s.port, s.key)
                # Enough pages in the log that a few more do not fit into what is allocated already.
                assert all(api.post("/api/task", {"prompt": "warm " * 200}).status == 200 for _ in range(5))
                late = []
                t = threading.Thread(target=lambda: late.append(
                    api.post("/api/task", {"prompt": "[standin fault=slow arg=2500] " + "long " * 40000})))
                t.start()
                wait_for(lambda: upstream.stats()["in_flight"] == 1)
                ballast = os.path.join(where, "ballast")
                fill(ballast)
                refused = [api.post("/api/task", {"prompt": f"{i} " + "word " * 40000}) for i in range(20)]
                assert refused[-1].status in (503, 507), refused[-1]
                assert "error" in refused[-1].json()
                t.join()
                assert api.get("/healthz").status == 200
                os.unlink(ballast)
                wait_for(lambda: api.post("/api/task", {"prompt": "room again"}).status == 200)
                assert late[0].status in (503, 507) and "look at task 6 later" in late[0].text, late[0]
                number = 6
                wait_for(lambda: api.get(f"/api/task/{number}").json()["status"] == "completed")
                stats, done = api.get("/api/stats").json(), upstream.stats()["delivered"]
                assert stats["tasks"]["completed"] == done
                assert stats["financials"]["total_expenses"] == pytest.approx(stats["tasks"]["total_cost"], abs=1e-12)
            with contextlib.closing(sqlite3.connect(os.path.join(where, "millrace.db"))) as db:
                assert db.execute("SELECT COUNT(*) FROM charges WHERE state = 0").fetchone() == (0,)
                assert db.execute("SELECT COUNT(*) FROM ledger").fetchone() == (done,)
    finally:
        upstream.close()
