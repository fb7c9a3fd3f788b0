"""The stand-in model provider (tests/standin) as a child of the tests."""
import json
import os
import subprocess
import urllib.request

from client import ROOT


def program():
    beside = os.path.join(os.path.dirname(os.environ.get("MILLRACE_BINARY", "")), "standin_upstream")
    for path in (os.environ.get("MILLRACE_STANDIN"), beside,
                 os.path.join(ROOT, "build", "release", "standin_upstream")):
        if path and os.path.isabs(path) and os.access(path, os.X_OK):
            return path
    raise AssertionError("the stand-in provider is not built: ninja -C build/release standin_upstream")


class Standin:
    def __init__(self, *flags):
        self.process = subprocess.Popen([program(), "--keep-last", *flags], stdout=subprocess.PIPE,
                                        stdin=subprocess.DEVNULL)
        line = self.process.stdout.readline().decode()
        assert line.startswith("listening on "), line
        self.base = "http://" + line.split()[-1]
        self.openai = self.base + "/v1"
        self.mistral = self.base + "/mistral/v1"

    def env(self):
        return {"OPENAI_API_KEY": "sk-test-openai", "OPENAI_BASE_URL": self.openai,
                "MISTRAL_API_KEY": "test-mistral", "MISTRAL_BASE_URL": self.mistral}

    def control(self, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        with urllib.request.urlopen(urllib.request.Request(self.base + "/control/" + path, data),
                                    timeout=10) as r:
            return json.loads(r.read() or b"{}")

    def fault(self, name, **more):
        self.control("fault", {"fault": name, **more})

    def reset(self):
        self.control("reset", {})

    def last(self):
        """Head and body of the latest request, as text."""
        with urllib.request.urlopen(self.base + "/control/last", timeout=10) as r:
            return r.read().decode()

    def stats(self):
        return self.control("stats")

    def close(self):
        self.process.terminate()
        self.process.wait()
        self.process.stdout.close()
