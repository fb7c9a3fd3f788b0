"""Clients that load a server that is about to die, what they were told, and the comparison afterwards."""
import http.client
import json
import os
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "api"))
from client import ROOT, Api  # noqa: E402

ROW = json.dumps({"data": [5.1, 3.5, 1.4, 0.2]}).encode()
MODEL = os.path.join(ROOT, "tests", "golden", "models", "new", "rf100_iris.pkl")


class Truth:
    """What the clients were told."""

    def __init__(self):
        self.lock = threading.Lock()
        self.deployments, self.keys, self.revoked = {}, {}, set()
        self.served = set()    # deployments whose prediction was checked once
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


def start_clients(server, model, dep, truth, stop):
    threads = [threading.Thread(target=predictor, args=(server, server.key, dep, truth, stop)) for _ in range(4)]
    threads += [threading.Thread(target=deployer, args=(server, server.key, model, truth, stop, i)) for i in range(2)]
    for t in threads:
        t.start()
    return threads


def check(api, dep, truth, may_lose=0):
    """may_lose: acknowledged predictions that may be missing (a power cut without synchronous metering)."""
    problems = []
    for ident, name in truth.deployments.items():
        r = api.get(f"/api/v1/deployments/{ident}")
        if r.status != 200 or r.json()["name"] != name:
            problems.append(f"deployment {ident} is gone: {r}")
        elif r.json()["status"] != "active":
            problems.append(f"deployment {ident} was acknowledged, but is {r.json()['status']}")
        elif ident not in truth.served:
            truth.served.add(ident)  # its program may have to be made again from the upload
            if (r := api.post(f"/api/v1/predict/{ident}", json.loads(ROW))).status != 200:
                problems.append(f"deployment {ident} was acknowledged, but does not serve: {r}")
    deadline = time.monotonic() + 20  # nothing that was not acknowledged stays half-built
    while (left := api.get("/api/v1/deployments?status=building").json()["total"]) and time.monotonic() < deadline:
        time.sleep(0.02)
    if left:
        problems.append(f"{left} deployments are still building")
    # The list shows the oldest thousand; whether a key works is asked of each.
    for ident, key in truth.keys.items():
        if ident in truth.revoked:
            if api.as_(key).get("/api/v1/auth/me").status != 401:
                problems.append(f"key {ident} was revoked, but lives")
        elif ident not in truth.revoking and api.as_(key).get("/api/v1/auth/me").status != 200:
            problems.append(f"key {ident} is gone")
    measured = api.get(f"/api/v1/deployments/{dep}")
    if measured.status != 200:
        return problems + [f"the measured deployment is gone: {measured}"]
    counted = measured.json()["metrics_summary"]["total_predictions"]
    series = api.get(f"/api/v1/metrics/{dep}?hours=2&resolution=1m").json()
    if series["metrics"]["request_count"] != counted or sum(series["time_series"]["request_counts"]) != counted:
        problems.append(f"totals say {counted}, the range {series['metrics']['request_count']}, the series "
                        f"{sum(series['time_series']['request_counts'])}")
    if not truth.acked - may_lose <= counted <= truth.acked + truth.unknown:
        problems.append(f"{truth.acked} predictions were acknowledged and {truth.unknown} are unknown, "
                        f"but {counted} are counted")
    return problems
