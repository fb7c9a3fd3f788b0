"""Seed 004's examples, word for word, against a listener on port 5000."""
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time

import pytest
from client import Api
from server import Server

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "seed004")
CACHE = os.environ.get("MILLRACE_CACHE", os.path.expanduser("~/.cache/millrace"))


def free(family, address):
    try:
        with socket.socket(family) as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            s.bind((address, 5000))
        return True
    except OSError:
        return False


@pytest.fixture(scope="module")
def local(standin):
    """A server on port 5000, where the examples look for it; "localhost" may be either address."""
    end = time.monotonic() + 60
    while not free(socket.AF_INET, "127.0.0.1"):
        assert time.monotonic() < end, (
            "port 5000 is taken by another program: the seed's examples name it, so it must be free")
        time.sleep(0.5)
    flags = ["--listen", "127.0.0.1:0", "--listen", "127.0.0.1:5000=tasks"]
    if free(socket.AF_INET6, "::1"):
        flags += ["--listen", "[::1]:5000=tasks"]
    with Server(env=standin.env(), flags=flags) as s:
        yield s


def run(command, folder):
    out = subprocess.run(command, text=True, capture_output=True, timeout=60, check=False, cwd=folder,
                         env={k: v for k, v in os.environ.items() if not k.lower().endswith("_proxy")})
    assert out.returncode == 0, out.stderr + out.stdout
    return out.stdout


def test_python(local, tmp_path):
    shutil.copy(os.path.join(HERE, "example.py"), tmp_path)
    out = run([sys.executable, "example.py"], tmp_path).splitlines()
    assert re.match(r"AI Response: \w+", out[0]) and re.match(r"Cost: \$0\.\d{4}$", out[1])
    assert re.match(r"Today's profit: \$-\d", out[2]) and re.match(r"Total tasks: [1-9]", out[3])
    assert re.match(r"Total profit: \$-\d", out[4]) and len(out) == 5


def test_javascript(local, tmp_path):
    node = shutil.which("node") or shutil.which("nodejs")
    packages = os.path.join(CACHE, "node", "node_modules")
    assert node and os.path.isdir(os.path.join(packages, "axios")), "scripts/setup --dev installs axios"
    (tmp_path / "node_modules").symlink_to(packages)
    shutil.copy(os.path.join(HERE, "example.js"), tmp_path)
    out = run([node, "example.js"], tmp_path)
    assert re.search(r"^AI Response: \w+", out, re.M) and re.search(r"^Cost: [\d.e-]+$", out, re.M)
    assert re.search(r"^Profit: -?[\d.e-]+$", out, re.M) and "Error" not in out


def test_curl(local, tmp_path):
    shutil.copy(os.path.join(HERE, "example.sh"), tmp_path)
    out = run(["bash", "-e", "example.sh"], tmp_path)
    decoder, found = json.JSONDecoder(), []
    while out.strip():
        value, end = decoder.raw_decode(out.strip())
        out = out.strip()[end:]
        found.append(value)
    task, one, many, report, stats = found
    assert set(task) >= {"task_id", "response", "tokens_used", "cost", "provider"}
    assert one["id"] == 1 and one["status"] == "completed"
    assert 1 <= len(many["tasks"]) <= 5 and set(report) >= {"date", "income", "expenses", "profit", "breakdown"}
    assert set(stats) == {"tasks", "users", "financials"}


def test_health_of_the_listener(local, spec):
    body = Api("127.0.0.1", 5000, None, spec, family="tasks").get("/health").json()
    assert body["status"] == "healthy" and not body["timestamp"].endswith("Z")
