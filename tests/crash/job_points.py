#!/usr/bin/env python3
"""Jobs and their money, killed at every named crash point (sanitizer build).

    tests/crash/job_points.py [--cycles N] [--seed S]

The process dies at one point after the other; each start recovers what the last one left and runs
into the next. Meanwhile a client makes jobs over an uploaded file, jobs at a time and jobs that ask a
paid provider, each under a key that is sent again when no answer came. In the end every key is one
complete job with one event, each item has the one result that is right for it, and the books balance:
no charge is open, and ledger, charges and roll-ups are the same.
"""
import argparse
import contextlib
import http.client
import os
import random
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time

from jobs import rows, upload
from load import MODEL
from money import StandIn, environment, one
from client import ROOT, Api
from server import Server

# Each with the highest number of its passing that is waited for.
POINTS = {"job-created": 4, "job-create-committed": 4, "job-input-stored": 2, "job-input-committed": 2,
          "job-claimed": 3, "job-claim-committed": 3, "job-item-done": 40, "job-results-written": 6,
          "job-results-committed": 6, "job-ended": 4, "job-scheduled": 1, "job-schedule-committed": 1}
ITEMS, PROMPTS = 24, 6
FLAGS = ["--rate-limits", "off", "--log-level", "error"]


class Run:
    def __init__(self, api, rng):
        self.rng, self.lock = rng, threading.Lock()
        dep = api.deploy(open(MODEL, "rb").read(), name="points")
        assert dep.status == 200, dep
        self.dep = dep.json()["id"]
        items = [rows(rng, 3) for _ in range(ITEMS)]
        self.want = [api.post(f"/api/v1/predict/{self.dep}", {"data": x}, check=False).json()["predictions"]
                     for x in items]
        self.prompts = [f"question {rng.getrandbits(40)}" for _ in range(PROMPTS)]
        self.replies = [api.post("/api/v2/ai/llm/generate", {"prompt": p, "model": "gpt-4o-mini"}, check=False)
                        .json()["generated_text"] for p in self.prompts]
        lines = "\n".join(str(x) for x in items).encode()
        r = api.request("POST", "/api/v2/jobs/inputs", **upload(lines), check=False)
        assert r.status in (200, 201), r
        self.file = r.json()["input_file"]
        r = api.post("/api/v2/webhooks", {"url": "http://127.0.0.1:9/none", "secret": "s3cret-s3cret-s3cret",
                                          "events": ["job.completed", "job.failed"]}, check=False)
        assert r.status in (200, 201), r
        self.bodies, self.jobs = {}, {}  # by key

    def body(self, kind):
        job = {"name": kind, "type": "batch_processing", "service": "predictions", "retries": 0,
               "parameters": {"deployment_id": self.dep, "input_file": self.file}}
        if kind == "paid":
            job.update(service="llm", parameters={"model": "gpt-4o-mini", "inputs": self.prompts})
        if kind == "later":
            job["scheduled_at"] = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 1))
        return job

    def send(self, api, key):
        """False when the server is gone."""
        try:
            r = api.post("/api/v2/jobs", self.bodies[key], check=False, headers={"Idempotency-Key": key})
        except (OSError, http.client.HTTPException):
            return False
        assert r.status in (200, 201, 202), r
        job = r.json()["job_id"]
        assert self.jobs.setdefault(key, job) == job, f"{key}: {self.jobs[key]} became {job}"
        return True

    def client(self, server, stop, problems):
        api = Api(server.host, server.port, server.key)
        try:
            if not all(self.send(api, key) for key in list(self.bodies) if key not in self.jobs):
                return
            while not stop.is_set():
                for kind in ("file", "later", "paid"):
                    key = f"{kind}-{self.rng.getrandbits(60)}"
                    self.bodies[key] = self.body(kind)
                    if not self.send(api, key):
                        return
                stop.wait(0.3)
        except AssertionError as e:
            problems.append(str(e))

    def finish(self, api):
        for key in list(self.bodies):
            assert self.send(api, key), "the server is gone"
        deadline = time.monotonic() + 180
        for key, job in self.jobs.items():
            while True:
                r = api.get(f"/api/v2/jobs/{job}", check=False).json()
                if r["status"] not in ("scheduled", "queued", "running") or time.monotonic() > deadline:
                    break
                time.sleep(0.02)
            if r["status"] != "completed":
                yield f"{key} ended as {r['status']}: {r.get('logs', [])[-5:]}"
                continue
            got = api.get(f"/api/v2/jobs/{job}/results?limit=100", check=False).json()["results"]
            paid = key.startswith("paid")
            out = [(x["index"], (x.get("output") or {}).get("generated_text" if paid else "predictions")) for x in got]
            if out != list(enumerate(self.replies if paid else self.want)):
                yield f"{key}: its results are {str(got)[:400]}"
        n = api.get("/api/v2/jobs?limit=1", check=False).json()["pagination"]["total"]
        if n != len(self.jobs):
            yield f"{n} jobs, {len(self.jobs)} were made"

    def check_rows(self, data):
        with contextlib.closing(sqlite3.connect(os.path.join(data, "millrace.db"))) as db:
            figures = {
                "jobs whose results are not their items": one(
                    db, "SELECT COUNT(*) FROM jobs j WHERE failed <> 0 OR done <> total OR total <> "
                        "(SELECT COUNT(*) FROM job_results r WHERE r.job_id = j.id)"),
                "difference of events and jobs": one(db, "SELECT COUNT(*) FROM outbox WHERE event = 'job.completed'")
                - len(self.jobs),
                "open charges": one(db, "SELECT COUNT(*) FROM charges WHERE state = 0"),
                "charges booked twice": one(
                    db, "SELECT COUNT(*) FROM (SELECT charge FROM ledger WHERE charge > 0 GROUP BY charge "
                        "HAVING COUNT(*) > 1)"),
                "charges without their entry": one(
                    db, "SELECT COUNT(*) FROM charges c LEFT JOIN ledger l ON l.id = c.entry AND l.charge = c.id "
                        "WHERE c.state = 1 AND l.id IS NULL"),
                "charges of the provider that cost nothing": one(
                    db, "SELECT COUNT(*) FROM charges c JOIN ledger l ON l.charge = c.id WHERE l.amount <= 0"),
                "difference of ledger and roll-ups": one(db, "SELECT COALESCE(SUM(amount), 0) FROM ledger")
                - one(db, "SELECT COALESCE(SUM(amount), 0) FROM spend_quarters"),
                "paid items that no charge paid": max(0, PROMPTS * sum(k.startswith("paid") for k in self.jobs) - one(
                    db, "SELECT COUNT(*) FROM ledger WHERE charge > 0 AND amount > 0")),
            }
        return [f"{what}: {n}" for what, n in figures.items() if n]


def die_at(run, server, point):
    try:
        server.start(wait=60)
    except AssertionError:  # on its way up: it takes up what the last one left
        if server.process.returncode == -9:
            return []
        raise
    problems, stop = [], threading.Event()
    thread = threading.Thread(target=run.client, args=(server, stop, problems))
    thread.start()
    try:
        server.process.wait(60)
        if server.process.returncode != -9:
            problems.append(f"the server ended with {server.process.returncode}: {server.log_text()[-1500:]}")
    except subprocess.TimeoutExpired:
        problems.append("it was never reached")
        server.kill()
    stop.set()
    thread.join()
    server.close()
    return [f"{point}: {p}" for p in problems]


def play(args, rng, upstream):
    binary = os.environ.get("MILLRACE_BINARY", os.path.join(ROOT, "build", "asan", "millrace"))
    n = 0
    with tempfile.TemporaryDirectory(prefix="millrace-points-") as data:
        def fresh(**more):
            return Server(data_dir=data, flags=FLAGS, env={**environment(upstream), **more}, binary=binary)
        server = fresh().start(wait=60)
        run = Run(Api(server.host, server.port, server.key), rng)
        server.stop()
        server.close()
        for _ in range(args.cycles):
            for point in rng.sample(sorted(POINTS), len(POINTS)):
                n += 1
                problems = die_at(run, fresh(MR_CRASH_AT=f"{point}:{rng.randint(1, POINTS[point])}"), point)
                if problems:
                    return n, run, problems
        server = fresh().start(wait=60)
        problems = list(run.finish(Api(server.host, server.port, server.key)))
        status = server.stop()
        server.close()
        if status:
            problems.append(f"the server ended with {status}: {server.log_text()[-2000:]}")
        return n, run, problems + run.check_rows(data)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cycles", type=int, default=1)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    args = parser.parse_args()
    upstream = StandIn()
    try:
        n, run, problems = play(args, random.Random(args.seed), upstream)
    finally:
        upstream.stop()
    for p in problems[:8]:
        print(f"seed {args.seed}: {p}")
    print(f"{n} deaths at {len(POINTS)} points, {len(run.jobs)} jobs, "
          f"{sum(k.startswith('paid') for k in run.jobs)} of them paid")
    print("0 passed, 1 failed" if problems else "1 passed, 0 failed")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
