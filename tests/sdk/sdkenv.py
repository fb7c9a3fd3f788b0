"""Fixtures of the SDK and CLI tests: the real server; fake servers only play faults.

A module of fixtures, not a conftest.py: tests/api has one, and both suites run in one session.
"""
import glob
import json
import os
import shutil
import sys

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "sdk", "python"))
sys.path.insert(0, os.path.join(ROOT, "tests", "api"))

from server import Server  # noqa: E402

import serveml  # noqa: E402

MODELS = os.path.join(ROOT, "tests", "golden", "models", "new")


def model_path(name):
    return sorted(glob.glob(os.path.join(MODELS, name + ".*")))[0]


def golden_values(name):
    path = os.path.join(ROOT, "tests", "golden", "values", "new", name + ".json")
    with open(path, encoding="utf-8") as f:
        return json.load(f)


@pytest.fixture(scope="session")
def server():
    with Server(flags=["--rate-limits", "off"]) as s:
        s.url = f"http://{s.host}:{s.port}"
        yield s
        status = s.stop()
        assert status == 0, f"the server ended with {status}: {s.log_text()[-2000:]}"


@pytest.fixture(scope="session")
def iris_path():
    return model_path("rf100_iris")


@pytest.fixture
def requirements(tmp_path):
    path = tmp_path / "requirements.txt"
    path.write_text("scikit-learn\n")
    return str(path)


@pytest.fixture
def client(server):
    with serveml.Client(api_key=server.key, base_url=server.url) as c:
        yield c


@pytest.fixture(scope="session")
def node():
    found = shutil.which("node") or shutil.which("nodejs")
    assert found, "Node 18 or later is needed: Debian package nodejs (scripts/setup --dev)"
    return found
