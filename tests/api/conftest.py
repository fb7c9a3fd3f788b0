import glob
import json
import os
import sys
import uuid

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from client import ROOT, Api, Spec  # noqa: E402
from server import Server  # noqa: E402
from standin import Standin  # noqa: E402


@pytest.fixture(scope="session")
def spec():
    return Spec()


@pytest.fixture(scope="session")
def standin():
    """A model provider to send tasks to."""
    s = Standin()
    yield s
    s.close()


@pytest.fixture(scope="session")
def server(standin):
    """One server for most tests, without rate limits (test_limits.py starts its own)."""
    with Server(flags=["--rate-limits", "off"], env=standin.env()) as s:
        yield s
        status = s.stop()
        log = s.log_text()
        assert status == 0, f"the server ended with {status}: {log[-2000:]}"
        for word in ("AddressSanitizer", "runtime error", "ThreadSanitizer"):
            assert word not in log, log[log.index(word) - 500:][:3000]


@pytest.fixture(scope="session")
def owner(server, spec):
    return Api(server.host, server.port, server.key, spec)


@pytest.fixture(scope="session")
def anonymous(server, spec):
    return Api(server.host, server.port, None, spec)


@pytest.fixture
def new_user(anonymous):
    """Registers a fresh user with an account of its own; returns its client."""
    def make():
        name = "u" + uuid.uuid4().hex[:12]
        r = anonymous.post("/api/v1/auth/register", {
            "email": f"{name}@example.com", "username": name, "password": "secure-password"})
        assert r.status == 200, r
        api = anonymous.as_(r.json()["access_token"])
        api.email, api.username, api.user = f"{name}@example.com", name, r.json()["user"]
        return api
    return make


@pytest.fixture
def user(new_user):
    return new_user()


def golden(name, tag="new"):
    """(file bytes, expected values) of a golden model."""
    values = json.load(open(os.path.join(ROOT, "tests", "golden", "values", tag, name + ".json"),
                            encoding="utf-8"))
    path = sorted(glob.glob(os.path.join(ROOT, "tests", "golden", "models", tag, name + ".*")))[0]
    return open(path, "rb").read(), values


@pytest.fixture(scope="session")
def iris_file():
    return golden("rf100_iris")[0]


@pytest.fixture
def iris(user, iris_file):
    """A user with an active iris deployment: (client, deployment id)."""
    r = user.deploy(iris_file, name="iris-classifier")
    assert r.status == 200, r
    return user, r.json()["id"]


def pytest_sessionfinish(session, exitstatus):
    """An operation that no test exercised with success is a failure of the suite."""
    spec = session.config.stash.get(SPEC_KEY, None)
    here = os.path.dirname(os.path.abspath(__file__))
    files = {os.path.basename(str(item.fspath)) for item in session.items}
    whole = {os.path.basename(p) for p in glob.glob(os.path.join(here, "test_*.py"))} <= files
    if spec is None or not whole or session.config.option.keyword or exitstatus:
        return
    missing = spec.ids() - spec.ok
    if missing:
        session.exitstatus = 1
        print(f"\nFAIL: never answered with success in any test: {', '.join(sorted(missing))}")


SPEC_KEY = pytest.StashKey()


@pytest.fixture(scope="session", autouse=True)
def _keep_spec(request, spec):
    request.config.stash[SPEC_KEY] = spec
