"""Flat memory under large uploads, quick answers under slow connections, a full disk.

MILLRACE_SOAK=1 runs the full sizes (2 GB, 1,000 connections); CI runs a tenth.
"""
import os
import socket
import subprocess
import tempfile
import threading
import time
import uuid
from http.client import HTTPConnection

import pytest
from client import Api
from server import Server

if os.environ.get("MILLRACE_SANITIZED"):
    pytest.skip("memory and timing figures mean nothing in a sanitizer build", allow_module_level=True)

SOAK = os.environ.get("MILLRACE_SOAK") == "1"


def upload(server, size, expect_continue=False):
    """Streams a model file of `size` zero bytes; returns (status, body, highest RSS in MB)."""
    boundary = uuid.uuid4().hex
    head = (f'--{boundary}\r\nContent-Disposition: form-data; name="model_file"; filename="big.pkl"\r\n'
            f'Content-Type: application/octet-stream\r\n\r\n').encode()
    tail = f"\r\n--{boundary}--\r\n".encode()
    conn = HTTPConnection(server.host, server.port, timeout=600)
    conn.putrequest("POST", "/api/v1/deploy")
    conn.putheader("Authorization", f"Bearer {server.key}")
    conn.putheader("Content-Type", f"multipart/form-data; boundary={boundary}")
    conn.putheader("Content-Length", str(len(head) + size + len(tail)))
    conn.endheaders()
    conn.send(head)
    chunk, left, peak = b"\0" * (1 << 20), size, 0
    while left:
        n = min(left, len(chunk))
        conn.send(chunk[:n])
        left -= n
        if left % (64 << 20) == 0:
            peak = max(peak, server.rss_mb())
    conn.send(tail)
    r = conn.getresponse()
    body = r.read()
    peak = max(peak, server.rss_mb())
    conn.close()
    return r.status, body, peak


def test_a_large_upload_keeps_memory_flat():
    with Server(flags=["--rate-limits", "off"]) as s:
        status, body, peak = upload(s, (2 << 30) if SOAK else (256 << 20))
        assert status == 400 and b"DEPLOYMENT_FAILED" in body
        print(f"peak RSS {peak:.1f} MB")
        assert peak < 60, f"RSS reached {peak:.1f} MB"


def test_slow_connections_do_not_slow_the_others():
    count = 1000 if SOAK else 200
    with Server(flags=["--rate-limits", "off", "--header-timeout-ms", "60000"]) as s:
        slow = []
        for _ in range(count):
            c = socket.create_connection((s.host, s.port))
            c.send(b"POST /api/v1/deploy HTTP/1.1\r\nHost: x\r\nX-Slow: ")
            slow.append(c)
        stop = threading.Event()

        def drip():
            while not stop.is_set():
                for c in slow:
                    try:
                        c.send(b"a")
                    except OSError:
                        pass
                stop.wait(0.5)
        t = threading.Thread(target=drip)
        t.start()
        api = Api(s.host, s.port)
        times = []
        for _ in range(300):
            a = time.monotonic()
            assert api.get("/healthz").status == 200
            times.append(time.monotonic() - a)
        stop.set()
        t.join()
        for c in slow:
            c.close()
        times.sort()
        print(f"p99 {times[297] * 1000:.1f} ms beside {count} slow connections")
        # A bound far over what is measured: a server that serves slow clients in turn takes seconds.
        assert times[297] < 2


def test_slow_heads_are_cut_at_an_absolute_deadline():
    with Server(flags=["--header-timeout-ms", "500"]) as s:
        c = socket.create_connection((s.host, s.port))
        c.settimeout(10)
        start = time.monotonic()
        c.send(b"GET / HTTP/1.1\r\nHost: x\r\nX-Slow: ")
        cut = False
        while time.monotonic() - start < 8 and not cut:
            try:
                c.send(b"a")
                c.settimeout(0.1)
                cut = c.recv(1000) is not None
            except socket.timeout:
                continue
            except OSError:
                cut = True
        assert cut


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small tmpfs needs root")
def test_a_full_disk_answers_and_recovers(iris_file):
    with tempfile.TemporaryDirectory(prefix="millrace-full-") as where:
        if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", where], capture_output=True).returncode:
            pytest.skip("tmpfs cannot be mounted here")
        try:
            with Server(data_dir=where, flags=["--rate-limits", "off", "--log-level", "error"]) as s:
                api = Api(s.host, s.port, s.key)
                first = api.deploy(iris_file, name="first")
                assert first.status == 200, first
                ballast = os.path.join(where, "ballast")
                with open(ballast, "wb", buffering=0) as f:
                    try:
                        while f.write(b"\0" * 65536):
                            pass
                    except OSError:
                        pass
                seen = {api.deploy(iris_file + os.urandom(8), name=f"x{i}").status for i in range(5)}
                assert seen <= {503, 507} and seen, seen
                assert api.get("/healthz").status == 200
                os.unlink(ballast)
                deadline = time.monotonic() + 10
                status = None
                while status != 200 and time.monotonic() < deadline:
                    status = api.deploy(iris_file, name="after").status
                assert status == 200
                assert api.predict(first.json()["id"], [5.1, 3.5, 1.4, 0.2]).status == 200
        finally:
            subprocess.run(["umount", "-l", where], capture_output=True)
