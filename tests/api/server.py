"""Starts and stops a real millrace server for a test."""
import os
import re
import signal
import subprocess
import tempfile
import time

from client import ROOT


class Server:
    def __init__(self, data_dir=None, flags=(), env=None, binary=None):
        self.binary = binary or os.environ.get("MILLRACE_BINARY",
                                               os.path.join(ROOT, "build", "millrace"))
        self._own = None if data_dir else tempfile.TemporaryDirectory(prefix="millrace-test-")
        self.data_dir = str(data_dir or self._own.name)
        self.flags = list(flags)
        self.env = {k: v for k, v in os.environ.items()
                    if not k.startswith(("MILLRACE_", "OPENAI_", "MISTRAL_", "STRIPE_"))}
        for keep in ("MILLRACE_CACHE", "MILLRACE_ORT"):
            if keep in os.environ:
                self.env[keep] = os.environ[keep]
        self.env.update(env or {})
        self.process = None
        self.greeting = ""

    def start(self, wait=20):
        self.log = open(os.path.join(self.data_dir, "server.log"), "ab")
        flags = self.flags
        if not any(f.startswith("--listen") for f in flags):
            flags = flags + ["--listen", "127.0.0.1:0"]
        self.process = subprocess.Popen(
            [self.binary, "serve", "--data-dir", self.data_dir, "--log-format", "json", *flags],
            stdout=subprocess.PIPE, stderr=self.log, stdin=subprocess.DEVNULL, env=self.env,
            cwd=self.data_dir)
        deadline = time.monotonic() + wait
        lines = []
        while time.monotonic() < deadline:
            line = self.process.stdout.readline().decode()
            if not line:
                break
            lines.append(line)
            if line.startswith("Deploy a model"):
                break
        self.greeting = "".join(lines)
        m = re.search(r"serves on https?://([\d.]+|\[[^\]]+\]):(\d+)", self.greeting)
        if not m:
            self.stop()
            raise AssertionError("the server did not start: " + self.greeting + self.log_text()[-3000:])
        self.host, self.port = m.group(1), int(m.group(2))
        self.more_ports = [int(p) for p in re.findall(r"also on https?://[\d.]+:(\d+)", self.greeting)]
        self.key = re.search(r"^API key:\s+(\S+)", self.greeting, re.M).group(1)
        return self

    def log_text(self):
        with open(os.path.join(self.data_dir, "server.log"), encoding="utf-8", errors="replace") as f:
            return f.read()

    def rss_mb(self):
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as f:
            return int(re.search(r"VmRSS:\s+(\d+)", f.read()).group(1)) / 1024

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self, wait=40):
        """Graceful; returns the exit status."""
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(wait)
            except subprocess.TimeoutExpired:
                self.kill()
        status = self.process.returncode if self.process else None
        return status

    def close(self):
        self.stop()
        if self.process and self.process.stdout:
            self.process.stdout.close()
        if getattr(self, "log", None):
            self.log.close()
        if self._own:
            self._own.cleanup()

    def __enter__(self):
        return self.start()

    def __exit__(self, *exc):
        self.close()
