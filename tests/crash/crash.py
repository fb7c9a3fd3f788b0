#!/usr/bin/env python3
"""Kill -9 under load: what was acknowledged is there after the restart, and nothing counts twice.

    tests/crash/crash.py [--cycles N] [--seed S]

Each cycle runs clients that deploy, create keys and predict, kills the server at a random moment,
starts it again on the same data dir and compares. Requests whose answer never came may or may not
have happened; predictions counted must lie between the acknowledged ones and those plus the unknown.
"""
import argparse
import http.client
import json
import os
import random
import sys
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "api"))
from client import ROOT, Api, multipart  # noqa: E402
from server import Server  # noqa: E402

ROW = json.dumps({"data": [5.1, 3.5, 1.4, 0.2]}).encode()


class Truth:
    """What the clients were told."""

    def __init__(self):
        self.lock = threading.Lock()
        self.deployments, self.keys, self.revoked = {}, {}, set()
        self.revoking = set()  # asked for; whether it happened is unknown until it is answered
        self.acked = 0      # predictions answered 200 on the measured deployment
        self.unknown = 0    # predictions sent whose answer never came


def predictor(server, key, dep, truth, stop):
    conn = http.client.HTTPConnection(server.host, server.port, timeout=10)
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    while not stop.is_set():
        try:
            conn.request("POST", f"/api/v1/predict/{dep}", ROW, headers)
            r = conn.getresponse()
            r.read()
            with truth.lock:
                if r.status == 200:
                    truth.acked += 1
                else:
                    truth.unknown += 1
        except (OSError, http.client.HTTPException):
            with truth.lock:
                truth.unknown += 1
            return


def deployer(server, key, model, truth, stop, number):
    api = Api(server.host, server.port, key)
    n = 0
    while not stop.is_set():
        n += 1
        name = f"d{number}-{n}-{time.monotonic_ns()}"
        try:
            r = api.deploy(model, name=name)
            if r.status == 200:
                with truth.lock:
                    truth.deployments[r.json()["id"]] = name
            r = api.post("/api/v1/auth/api-keys", {"name": name})
            if r.status == 201:
                made = r.json()
                with truth.lock:
                    truth.keys[made["id"]] = made["key"]
                if n % 3:
                    continue
                truth.revoking.add(made["id"])
                if api.delete(f"/api/v1/auth/api-keys/{made['id']}").status == 200:
                    with truth.lock:
                        truth.revoked.add(made["id"])
        except (OSError, http.client.HTTPException, ValueError):
            return


def check(api, dep, truth):
    problems = []
    for ident, name in truth.deployments.items():
        r = api.get(f"/api/v1/deployments/{ident}")
        if r.status != 200 or r.json()["name"] != name:
            problems.append(f"deployment {ident} is gone: {r}")
        elif r.json()["status"] != "active":
            problems.append(f"deployment {ident} was acknowledged, but is {r.json()['status']}")
    # The list shows the oldest thousand; whether a key works is asked of each.
    for ident, key in truth.keys.items():
        if ident in truth.revoked:
            if api.as_(key).get("/api/v1/auth/me").status != 401:
                problems.append(f"key {ident} was revoked, but lives")
        elif ident not in truth.revoking and api.as_(key).get("/api/v1/auth/me").status != 200:
            problems.append(f"key {ident} is gone")
    counted = api.get(f"/api/v1/deployments/{dep}").json()["metrics_summary"]["total_predictions"]
    series = api.get(f"/api/v1/metrics/{dep}?hours=2&resolution=1m").json()
    if series["metrics"]["request_count"] != counted or sum(series["time_series"]["request_counts"]) != counted:
        problems.append(f"totals say {counted}, the range {series['metrics']['request_count']}, the series "
                        f"{sum(series['time_series']['request_counts'])}")
    if not truth.acked <= counted <= truth.acked + truth.unknown:
        problems.append(f"{truth.acked} predictions were acknowledged and {truth.unknown} are unknown, "
                        f"but {counted} are counted")
    return problems


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cycles", type=int, default=20)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    args = parser.parse_args()
    rng = random.Random(args.seed)
    model = open(os.path.join(ROOT, "tests", "golden", "models", "new", "rf100_iris.pkl"), "rb").read()
    failed, truth, dep = 0, Truth(), None
    with tempfile.TemporaryDirectory(prefix="millrace-crash-") as data:
        server = Server(data_dir=data, flags=["--rate-limits", "off", "--log-level", "warn"])
        server.start()
        api = Api(server.host, server.port, server.key)
        dep = api.deploy(model, name="measured").json()["id"]
        for cycle in range(args.cycles):
            stop = threading.Event()
            threads = [threading.Thread(target=predictor, args=(server, server.key, dep, truth, stop)) for _ in range(4)]
            threads += [threading.Thread(target=deployer, args=(server, server.key, model, truth, stop, i)) for i in range(2)]
            for t in threads:
                t.start()
            time.sleep(rng.uniform(0.05, 0.4))
            server.kill()
            stop.set()
            for t in threads:
                t.join()
            server.start()
            api = Api(server.host, server.port, server.key)
            problems = check(api, dep, truth)
            failed += bool(problems)
            for p in problems[:5]:
                print(f"cycle {cycle} (seed {args.seed}): {p}")
            if problems:
                break
        status = server.stop()
        if status:
            print(f"the server ended with {status}: {server.log_text()[-1000:]}")
            failed += 1
        server.close()
    print(f"{args.cycles} kills, {truth.acked} predictions acknowledged, {truth.unknown} unknown, "
          f"{len(truth.deployments)} deployments, {len(truth.keys)} keys")
    print("1 passed, 0 failed" if not failed else "0 passed, 1 failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
