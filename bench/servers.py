"""Starts a server, waits for its first answer, and reads what its process tree used."""
import contextlib
import http.client
import json
import os
import pathlib
import signal
import subprocess
import time

TICK = os.sysconf("SC_CLK_TCK")
SAMPLE = {"data": [[5.1, 3.5, 1.4, 0.2]]}


def call(port, method, path, body=None, headers=None, timeout=30):
    """One request on a connection of its own: (status, body)."""
    c = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        c.request(method, path, body, headers or {})
        r = c.getresponse()
        return r.status, r.read()
    finally:
        c.close()


class Server:
    """A process group of its own in the driver's session, so that the scheduler weighs all alike."""

    def __init__(self, name, command, port, path, env=None, headers=None, log=None):
        self.name, self.port, self.path = name, port, path
        self.headers = {"Content-Type": "application/json", **(headers or {})}
        self.log = open(log or os.devnull, "wb")
        self.process = subprocess.Popen(
            [str(c) for c in command], env={**os.environ, **(env or {})}, stdout=self.log,
            stderr=self.log, stdin=subprocess.DEVNULL, process_group=0)

    def wait(self, check=None, seconds=60):
        check = check or (lambda: self.predict(SAMPLE))
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if self.process.poll() is not None:
                raise RuntimeError(f"{self.name} ended with {self.process.returncode}")
            with contextlib.suppress(OSError, http.client.HTTPException):
                check()
                return
            time.sleep(0.001)
        raise RuntimeError(f"{self.name} did not answer")

    def predict(self, body):
        status, reply = call(self.port, "POST", self.path, json.dumps(body), self.headers)
        if status != 200:
            raise RuntimeError(f"{self.name}: {status} {reply[:300]!r}")
        return json.loads(reply)

    def pids(self):
        for p in pathlib.Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                fields = (p / "stat").read_text().rpartition(")")[2].split()
                if int(fields[2]) == self.process.pid:
                    yield p, fields

    def cpu_us(self):
        """User and system time of the tree, ended children included."""
        return sum(sum(map(int, f[11:15])) for _, f in self.pids()) * 1e6 / TICK

    def memory_mb(self):
        """(RSS, PSS) of the tree."""
        rss = pss = 0
        for p, _ in self.pids():
            with contextlib.suppress(OSError):
                for line in (p / "smaps_rollup").read_text().splitlines():
                    if line.startswith("Rss:"):
                        rss += int(line.split()[1])
                    elif line.startswith("Pss:"):
                        pss += int(line.split()[1])
        return rss / 1024, pss / 1024

    def stop(self):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGTERM)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        self.log.close()


class Millrace(Server):
    """Our server on a data folder, with its owner's key."""

    def __init__(self, name, binary, data, port, *flags, path="/livez"):
        data.mkdir(parents=True, exist_ok=True)
        self.data = data
        super().__init__(name, [binary, "serve", "--data-dir", data, "--listen",
                                f"127.0.0.1:{port}", "--log-format", "json", "--log-file",
                                data / "requests.log", *flags],
                         port, path, log=data / "stderr.log")
        self.wait(self.live)
        self.key = (data / "owner.key").read_text().strip()
        self.headers["Authorization"] = f"Bearer {self.key}"

    def live(self):
        if call(self.port, "GET", "/livez")[0] != 200:
            raise OSError("not live")

    def api(self, method, path, body=None, kind="application/json"):
        status, reply = call(self.port, method, "/api/v1" + path, body,
                             {"Authorization": f"Bearer {self.key}", "Content-Type": kind})
        if status >= 300:
            raise RuntimeError(f"{method} {path}: {status} {reply[:300]!r}")
        return json.loads(reply)

    deployment = None

    def fold(self):
        """Reads figures of a deployment, which folds all that was metered first."""
        self.api("GET", f"/metrics/{self.deployment}")

    def predict_each(self, idents):
        c = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        for ident in idents:
            c.request("POST", f"/api/v1/predict/{ident}", json.dumps(SAMPLE), self.headers)
            r = c.getresponse()
            if r.status != 200:
                raise RuntimeError(f"{self.name}: {r.status} {r.read(300)!r}")
            r.read()
        c.close()

    @staticmethod
    def form(model, name=None):
        """The multipart body of a deploy: (body, content type)."""
        edge = "bench-d8a1f3"
        parts = []
        if name:
            parts.append(f'--{edge}\r\nContent-Disposition: form-data; name="name"\r\n\r\n{name}\r\n'
                         .encode())
        parts += [f'--{edge}\r\nContent-Disposition: form-data; name="model_file"; '
                  f'filename="{model.name}"\r\n\r\n'.encode(), model.read_bytes(),
                  f"\r\n--{edge}--\r\n".encode()]
        return b"".join(parts), f"multipart/form-data; boundary={edge}"

    def deploy(self, model, name=None):
        body, kind = self.form(model, name)
        ident = self.api("POST", "/deploy", body, kind)["id"]
        while (state := self.api("GET", f"/deployments/{ident}")["status"]) != "active":
            if state == "failed":
                raise RuntimeError(f"{model.name} failed")
            time.sleep(0.0005)
        return ident
