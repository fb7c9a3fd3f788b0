#!/usr/bin/env python3
"""Images over HTTP: millrace beside a FastAPI service on the same two ONNX files (peer.py).

    run.py [--seconds S] [--rounds N] [--photo FILE]      after make build and bench/vision/setup.sh

Interleaved rounds; prints medians: requests a second, the p50 of a request, and the CPU time of the
server's processes a request. The answers are compared first.
"""
import argparse
import http.client
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
CACHE = os.environ.get("MILLRACE_CACHE") or os.path.expanduser("~/.cache/millrace")
TICK = os.sysconf("SC_CLK_TCK")
BOUNDARY = "xxxxxxxxboundaryxxxxxxxx"


def form(photo, fields):
    out = b""
    for name, value in fields:
        out += (f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n'
                f"{value}\r\n").encode()
    out += (f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="image"; '
            f'filename="photo.jpg"\r\nContent-Type: image/jpeg\r\n\r\n').encode()
    return out + photo + f"\r\n--{BOUNDARY}--\r\n".encode()


class Side:
    def __init__(self, name, command, port, paths, headers):
        self.name, self.port, self.paths = name, port, paths
        self.headers = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}", **headers}
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL,
                                        stderr=subprocess.DEVNULL)

    def post(self, conn, what, photo):
        path, fields = self.paths[what]
        conn.request("POST", path, form(photo, fields), self.headers)
        reply = conn.getresponse()
        body = reply.read()
        if reply.status != 200:
            raise SystemExit(f"{self.name}: {reply.status} {body[:300]}")
        return json.loads(body)

    def wait(self, what, photo):
        for _ in range(300):
            try:
                return self.post(self.connect(), what, photo)
            except (ConnectionError, http.client.HTTPException):
                time.sleep(0.1)
        raise SystemExit(f"{self.name} does not answer")

    def connect(self):
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)

    def cpu(self):
        """Seconds of the process, its children, and those that it has reaped."""
        total, found = 0, {self.process.pid}
        stats = {}
        for d in os.listdir("/proc"):
            if d.isdigit():
                try:
                    with open(f"/proc/{d}/stat", encoding="ascii", errors="replace") as f:
                        stats[int(d)] = f.read().rsplit(")", 1)[1].split()
                except OSError:
                    continue
        while more := {p for p, s in stats.items() if int(s[1]) in found} - found:
            found |= more
        for p in found & set(stats):
            total += sum(int(v) for v in stats[p][11:15])
        return total / TICK

    def round(self, what, photo, clients, seconds):
        times, stop = [], time.perf_counter() + seconds

        def work():
            conn = self.connect()
            while (start := time.perf_counter()) < stop:
                self.post(conn, what, photo)
                times.append(time.perf_counter() - start)

        before, start = self.cpu(), time.perf_counter()
        threads = [threading.Thread(target=work) for _ in range(clients)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        spent = time.perf_counter() - start
        return (len(times) / spent, statistics.median(times) * 1e3,
                (self.cpu() - before) / len(times) * 1e3)


def start(data):
    millrace = os.path.join(HERE, "..", "..", "build", "release", "millrace")
    python = os.path.join(CACHE, "bench-vision", "bin", "python")
    key = "mrk_" + "b" * 43
    vision = "/api/v2/ai/vision/"
    own = {"classify": (vision + "classify", [("top_k", "5")]),
           "detect": (vision + "analyze", [("analysis_type", "object_detection")])}
    theirs = {"classify": ("/classify", []), "detect": ("/detect", [])}
    sides = [Side("millrace", [millrace, "serve", "--data-dir", data, "--listen", "127.0.0.1:18080",
                               "--rate-limits", "off", "--owner-key", key, "--log-level", "error"],
                  18080, own, {"Authorization": f"Bearer {key}"})]
    for threads, port in ((1, 18081), (0, 18082)):
        sides.append(Side(f"FastAPI, {threads or 'default'} thread{'s' * (threads != 1)} a run",
                          [python, os.path.join(HERE, "peer.py"), str(port), str(threads)], port,
                          theirs, {}))
    return sides


def compare(sides, what, photo):
    key, name = ("predictions", "class_id") if what == "classify" else ("objects", "class_id")
    got = []
    for s in sides:
        reply = s.wait(what, photo)
        reply = reply.get("analysis_results", reply)
        got.append([(p[name], round(p["confidence"], 2)) for p in reply[key]])
    for s, g in zip(sides, got):
        print(f"  {s.name}: {g}")


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("--seconds", type=float, default=2)
    ap.add_argument("--rounds", type=int, default=3)
    ap.add_argument("--photo", default=os.path.join(CACHE, "photos", "china.jpg"))
    a = ap.parse_args()
    with open(a.photo, "rb") as f:
        photo = f.read()
    with tempfile.TemporaryDirectory() as data:
        sides = start(data)
        try:
            for what in ("classify", "detect"):
                print(what)
                compare(sides, what, photo)
                for clients in (1, 4):
                    got = {s.name: [] for s in sides}
                    for s in sides:
                        s.round(what, photo, clients, 0.5)
                    for _ in range(a.rounds):
                        for s in sides:
                            got[s.name].append(s.round(what, photo, clients, a.seconds))
                    for name, rounds in got.items():
                        rate, p50, cpu = (statistics.median(r[k] for r in rounds) for k in range(3))
                        print(f"  c{clients} {name}: {rate:.1f} req/s, p50 {p50:.1f} ms, "
                              f"CPU {cpu:.1f} ms a request", flush=True)
        finally:
            for s in sides:
                s.process.send_signal(signal.SIGTERM)
            for s in sides:
                s.process.wait()


if __name__ == "__main__":
    sys.exit(main())
