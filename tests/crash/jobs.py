#!/usr/bin/env python3
"""Kill -9 while jobs run: each item's result exactly once, none lost, whatever was seen stays.

    tests/crash/jobs.py [--cycles N] [--items N] [--rows N] [--seed S]

A job over an uploaded file of --items items, each a batch of predictions that takes some
milliseconds, and the next one when it is complete, is interrupted by --cycles kills; beside it small jobs are created with an
Idempotency-Key at random moments, and again after the restart when the answer never came. In the
end every job is complete, each index has one result and it is the one that a plain prediction
gives, progress never went back, no result that was read changed, every key is one job and every job
ended with one event.
"""
import argparse
import http.client
import json
import os
import random
import sqlite3
import sys
import tempfile
import threading
import time

from load import MODEL
from client import Api
from server import Server

BATCHES = 20
LOOK_EVERY = 5  # kills between these the server gets as soon as it is up


def rows(rng, n):
    return [[round(rng.uniform(lo, hi), 1) for lo, hi in ((4.3, 7.9), (2, 4.4), (1, 6.9), (.1, 2.5))]
            for _ in range(n)]


class Run:
    def __init__(self, api, rng, n_items, n_rows):
        self.rng, self.n_items = rng, n_items
        dep = api.deploy(open(MODEL, "rb").read(), name="jobs")
        assert dep.status == 200, dep
        self.dep = dep.json()["id"]
        batches = [rows(rng, n_rows) for _ in range(BATCHES)]
        self.item = [json.dumps(b) for b in batches]
        self.want = []
        for b in batches:
            r = api.post(f"/api/v1/predict/{self.dep}", {"data": b}, check=False)
            assert r.status == 200, r
            self.want.append(r.json()["predictions"])
        lines = "\n".join(self.item[i % BATCHES] for i in range(n_items)).encode()
        r = api.request("POST", "/api/v2/jobs/inputs", **upload(lines), check=False)
        assert r.status in (200, 201), r
        self.file = r.json()["input_file"]
        r = api.post("/api/v2/webhooks", {"url": "http://127.0.0.1:9/none", "secret": "s3cret-s3cret-s3cret",
                                          "events": ["job.completed", "job.failed"]}, check=False)
        assert r.status in (200, 201), r
        self.jobs, self.done, self.seen = [], {}, {}
        self.keys, self.unanswered = {}, {}
        self.problems = []

    def create(self, api, parameters, key=None, priority="normal"):
        body = {"name": "crash", "type": "batch_processing", "service": "predictions", "priority": priority,
                "parameters": {"deployment_id": self.dep, **parameters}}
        return api.post("/api/v2/jobs", body, check=False, headers={"Idempotency-Key": key} if key else None)

    def big(self, api):
        """The long job that is not complete yet; a new one when the last is."""
        if self.jobs:
            job = self.jobs[-1]
            r = api.get(f"/api/v2/jobs/{job}", check=False).json()
            done = r["progress"]["completed"]
            if done < self.done.get(job, 0):
                self.problems.append(f"{job}: progress went back from {self.done[job]} to {done}")
            self.done[job] = done
            if r["status"] in ("queued", "running"):
                return job
            if r["status"] != "completed":
                self.problems.append(f"{job} is {r['status']}: {r}")
        r = self.create(api, {"input_file": self.file})
        assert r.status in (200, 201, 202), r
        self.jobs.append(r.json()["job_id"])
        while not api.get(f"/api/v2/jobs/{self.jobs[-1]}", check=False).json()["progress"]["completed"]:
            time.sleep(0.01)  # its file is read: from here on kills hit its items
        return self.jobs[-1]

    def small(self, server, stop):
        """Creates small jobs until the server dies; remembers those whose answer never came."""
        api = Api(server.host, server.port, server.key)
        while not stop.is_set():
            key = f"k{self.rng.getrandbits(60)}"
            self.unanswered[key] = None
            try:
                r = self.create(api, {"inputs": [json.loads(self.item[0])[0]] * 3}, key)
            except (OSError, http.client.HTTPException):
                return
            if r.status in (200, 201, 202):
                self.keys[key] = r.json()["job_id"]
                del self.unanswered[key]
            time.sleep(self.rng.uniform(0, 0.03))

    def settle_keys(self, api):
        for key in list(self.unanswered):
            r = self.create(api, {"inputs": [json.loads(self.item[0])[0]] * 3}, key)
            if r.status not in (200, 201, 202):
                self.problems.append(f"{key}: repeated: {r}")
            self.keys[key] = r.json()["job_id"]
            del self.unanswered[key]
        for key in self.rng.sample(sorted(self.keys), min(3, len(self.keys))):
            r = self.create(api, {"inputs": [json.loads(self.item[0])[0]] * 3}, key)
            if r.json().get("job_id") != self.keys[key]:
                self.problems.append(f"{key}: {self.keys[key]} became {r}")

    def look(self, api, job):
        """Some results, against what was seen of them before."""
        done = self.done.get(job, 0)
        offset = self.rng.randrange(max(1, done - 5)) if done else 0
        r = api.get(f"/api/v2/jobs/{job}/results?limit=5&offset={offset}", check=False).json()
        for x in r["results"]:
            self.seen[(job, x["index"])] = x.get("output")

    def check_job(self, api, job):
        got = {}
        for offset in range(0, self.n_items, 100):
            r = api.get(f"/api/v2/jobs/{job}/results?limit=100&offset={offset}", check=False).json()
            for x in r["results"]:
                if x["index"] in got:
                    self.problems.append(f"{job}: item {x['index']} twice")
                got[x["index"]] = x
        if sorted(got) != list(range(self.n_items)):
            self.problems.append(f"{job}: {len(got)} of {self.n_items} items have a result")
        for i, x in got.items():
            if (x.get("output") or {}).get("predictions") != self.want[i % BATCHES]:
                self.problems.append(f"{job}: item {i} has another result: {str(x)[:200]}")
        for (j, i), output in self.seen.items():
            if j == job and i in got and got[i].get("output") != output:
                self.problems.append(f"{job}: item {i} changed after it was read")

    def finish(self, api):
        deadline = time.monotonic() + 180
        for job in self.jobs + sorted(set(self.keys.values())):
            while True:
                r = api.get(f"/api/v2/jobs/{job}", check=False).json()
                if r["status"] not in ("queued", "running") or time.monotonic() > deadline:
                    break
                time.sleep(0.05)
            if r["status"] != "completed":
                self.problems.append(f"{job} ended as {r['status']}: {r.get('logs', [])[-5:]}")
        for job in self.jobs:
            self.check_job(api, job)
        listed = api.get("/api/v2/jobs?limit=1", check=False).json()["pagination"]["total"]
        want = len(self.jobs) + len(set(self.keys.values()))
        if listed != want:
            self.problems.append(f"{listed} jobs, {want} were created")

    def check_rows(self, data):
        db = sqlite3.connect(os.path.join(data, "millrace.db"))
        for job, done, total, n, failed in db.execute(
                "SELECT hex(id), done, total, (SELECT COUNT(*) FROM job_results r WHERE r.job_id = j.id), failed "
                "FROM jobs j"):
            if not done == total == n or failed:
                self.problems.append(f"{job}: {done} done, {failed} failed, {total} in all, {n} results")
        events = {}
        for event, body in db.execute("SELECT event, data FROM outbox"):
            events.setdefault(json.loads(body).get("job_id"), []).append(event)
        for job in self.jobs + sorted(set(self.keys.values())):
            if events.get(job) != ["job.completed"]:
                self.problems.append(f"{job}: events {events.get(job)}")
        attempts = db.execute("SELECT MAX(attempt) FROM jobs").fetchone()[0]
        db.close()
        return attempts


def upload(body):
    mark = "----millrace-crash"
    part = (f'--{mark}\r\nContent-Disposition: form-data; name="file"; filename="items.jsonl"\r\n'
            "Content-Type: application/octet-stream\r\n\r\n").encode()
    return {"body": part + body + f"\r\n--{mark}--\r\n".encode(),
            "headers": {"Content-Type": f"multipart/form-data; boundary={mark}"}}


def cycles(server, run, n, rng):
    for cycle in range(n):
        if cycle % LOOK_EVERY:
            time.sleep(rng.uniform(0, 0.06))
            server.kill()
            server.start()
            continue
        api = Api(server.host, server.port, server.key)
        run.settle_keys(api)
        job = run.big(api)
        stop = threading.Event()
        thread = threading.Thread(target=run.small, args=(server, stop))
        thread.start()
        run.look(api, job)
        time.sleep(rng.uniform(0, 0.08))
        server.kill()
        stop.set()
        thread.join()
        server.start()
        if run.problems:
            return cycle + 1
    return n


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cycles", type=int, default=50)
    parser.add_argument("--items", type=int, default=1000)
    parser.add_argument("--rows", type=int, default=1500, help="of an item: how long it takes")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    args = parser.parse_args()
    rng = random.Random(args.seed)
    with tempfile.TemporaryDirectory(prefix="millrace-crash-") as data:
        server = Server(data_dir=data, flags=["--rate-limits", "off", "--log-level", "warn"])
        server.start()
        run = Run(Api(server.host, server.port, server.key), rng, args.items, args.rows)
        kills = cycles(server, run, args.cycles, rng)
        api = Api(server.host, server.port, server.key)
        run.settle_keys(api)
        run.finish(api)
        status = server.stop()
        if status:
            run.problems.append(f"the server ended with {status}: {server.log_text()[-1000:]}")
        attempts = run.check_rows(data)
        server.close()
    for p in run.problems[:10]:
        print(f"seed {args.seed}: {p}")
    print(f"{kills} kills, {len(run.jobs)} jobs of {args.items} items and {len(set(run.keys.values()))} of 3, "
          f"up to {attempts} attempts a job, {len(run.seen)} results read on the way")
    print("0 passed, 1 failed" if run.problems else "1 passed, 0 failed")
    return 1 if run.problems else 0


if __name__ == "__main__":
    sys.exit(main())
