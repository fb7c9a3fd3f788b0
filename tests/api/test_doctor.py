"""millrace doctor on a data folder: the books, the blobs and the schema, looked at without a change."""
import hashlib
import json
import os
import shutil
import sqlite3
import subprocess

import pytest
import stripe_side
from client import Api
from server import Server
from stripe_side import deliver, event, session


@pytest.fixture(scope="module")
def stopped(tmp_path_factory, spec):
    """A data folder with a booked payment, an entry that is not rolled up yet, and no server."""
    data = tmp_path_factory.mktemp("doctor") / "data"
    data.mkdir()
    server = Server(data_dir=data, env=stripe_side.env("http://127.0.0.1:9"))
    with server:
        api = Api(server.host, server.port, server.key, spec)
        assert deliver(api, event("checkout.session.completed", session("cs_1", 150))).status == 200
        assert api.get("/api/report/daily").json()["income"] == 1.5
        assert checks(data)["books"]["status"] == "ok"  # while it runs
        assert deliver(api, event("checkout.session.completed", session("cs_2", 250))).status == 200
        server.kill()
    return data


@pytest.fixture
def data(stopped, tmp_path):
    return shutil.copytree(stopped, tmp_path / "data")


def checks(data):
    program = Server().binary
    env = {k: v for k, v in os.environ.items() if not k.startswith(("MILLRACE_", "STRIPE_", "OPENAI_"))}
    out = subprocess.run([program, "doctor", "--json"], env=env | {"MILLRACE_DATA_DIR": str(data)},
                         cwd=os.path.dirname(data), capture_output=True, text=True, timeout=120).stdout
    return {c["check"]: c for c in json.loads(out)["checks"]}


def sql(data, *statements):
    db = sqlite3.connect(data / "millrace.db")
    for s in statements:
        rows = db.execute(s).fetchall()
    db.commit()
    db.close()
    return rows


def test_books_that_agree_and_nothing_to_collect(data):
    before = sql(data, "SELECT COUNT(*), MAX(id) FROM ledger"), sql(data, "SELECT * FROM ledger_state")
    seen = checks(data)
    assert seen["books"]["status"] == "ok" and "agree" in seen["books"]["message"]
    assert seen["blobs"]["status"] == "ok" and "every file" in seen["blobs"]["message"]
    assert before == (sql(data, "SELECT COUNT(*), MAX(id) FROM ledger"), sql(data, "SELECT * FROM ledger_state"))


@pytest.mark.parametrize("change, what", [
    ("UPDATE ledger SET amount = amount + 1 WHERE id = 1", "roll-ups differ"),
    ("UPDATE ledger SET credit = 2 WHERE id = 1", "books do not fit"),
    ("DELETE FROM spend_quarters", "roll-ups differ")])
def test_books_that_do_not_agree_fail(data, change, what):
    sql(data, change)
    seen = checks(data)
    assert seen["books"]["status"] == "fail" and what in seen["books"]["message"], seen["books"]


def test_files_that_nothing_refers_to_are_named_and_stay(data):
    for i, age_s in enumerate((7200, 7200, 60)):
        content = b"left over %d" % i
        name = hashlib.sha256(content).hexdigest()
        (data / "blobs" / name[:2]).mkdir(exist_ok=True, parents=True)
        path = data / "blobs" / name[:2] / name[2:]
        path.write_bytes(content)
        t = os.stat(path).st_mtime - age_s
        os.utime(path, (t, t))
        message = checks(data)["blobs"]["message"]
        assert path.exists() and (name in message) == (age_s > 3600)
        assert f"{min(i + 1, 2)} files" in message
    partial = data / "blobs" / "tmp-0123"
    partial.write_bytes(b"x")
    os.utime(partial, (1, 1))
    checks(data)
    assert partial.exists()


def test_an_older_schema_is_told_and_not_changed(data):
    newest = "SELECT MAX(version) FROM schema_migrations"
    before = sql(data, newest)
    sql(data, "DELETE FROM schema_migrations WHERE version = (SELECT MAX(version) FROM schema_migrations)")
    seen = checks(data)
    assert seen["database"]["status"] == "warn" and "older" in seen["database"]["message"]
    assert "books" not in seen and sql(data, newest) < before
    sql(data, "INSERT INTO schema_migrations VALUES (9999, 'later', 1)")
    seen = checks(data)
    assert seen["database"]["status"] == "fail" and "newer" in seen["database"]["message"]


def test_without_a_database_nothing_is_made(tmp_path):
    (tmp_path / "data").mkdir()
    seen = checks(tmp_path / "data")
    assert "books" not in seen and "database" not in seen and not os.listdir(tmp_path / "data")
