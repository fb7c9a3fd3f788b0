"""The Python SDK against a server that plays faults: retries, time-outs, connections."""
import base64
import hashlib
import hmac
import json
import os
import socket
import subprocess
import sys
import time

import pytest
from sdkenv import ROOT
from fake import Fake, error

import serveml
from serveml import RetryPolicy

FAST = RetryPolicy(max_retries=3, base_delay=0.01, max_delay=0.05)
PREDICTION = {"prediction": 1, "model_version": "v1", "response_time_ms": 0.1}
KEY = {"id": "key-1", "name": "k", "prefix": "mrk_", "scopes": ["read"], "key": "mrk_secret",
       "created_at": "2024-01-15T10:00:00Z"}
CREATED = {"id": "dep-1", "name": "m", "status": "building", "version": "v1", "model_metadata": {}}


def client(fake, **kw):
    kw.setdefault("retry", FAST)
    return serveml.Client(api_key="k" * 20, base_url=fake.url, **kw)


def test_429_waits_for_retry_after():
    steps = [(*error("RATE_LIMITED", status=429), {"Retry-After": "1"}), (200, PREDICTION)]
    with Fake(steps) as f, client(f) as c:
        start = time.monotonic()
        assert c.predict("dep-1", [1]).prediction == 1
        assert 0.9 < time.monotonic() - start < 30
        assert len(f.requests) == 2


def test_429_with_a_far_retry_after_is_given_back():
    with Fake([(*error("RATE_LIMITED", status=429), {"Retry-After": "3000"})]) as f, client(f) as c:
        with pytest.raises(serveml.RateLimitError) as e:
            c.predict("dep-1", [1])
        assert e.value.retry_after == 3000 and len(f.requests) == 1
        assert (e.value.code, e.value.request_id) == ("RATE_LIMITED", "req-fake")


def test_retry_after_as_a_date():
    from email.utils import formatdate
    from millrace_http.retry import parse_retry_after
    assert 50 < parse_retry_after(formatdate(time.time() + 60, usegmt=True)) <= 60
    assert parse_retry_after("soon") is None


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_5xx_is_tried_again(status):
    with Fake([error("SERVICE_ERROR", status=status)] * 2 + [(200, PREDICTION)]) as f, client(f) as c:
        assert c.predict("dep-1", [1]).prediction == 1
        assert len(f.requests) == 3


def test_retries_end():
    with Fake([error("SERVICE_ERROR", status=503)]) as f, client(f) as c:
        with pytest.raises(serveml.ServerError):
            c.me()
        assert len(f.requests) == 4


@pytest.mark.parametrize("code,status", [("PREDICTION_ERROR", 500), ("SERVICE_ERROR", 507),
                                         ("NOT_FOUND", 404), ("VALIDATION_ERROR", 422)])
def test_what_would_fail_again_is_not_tried_again(code, status):
    with Fake([error(code, status=status)]) as f, client(f) as c:
        with pytest.raises(serveml.APIError) as e:
            c.predict("dep-1", [1])
        assert len(f.requests) == 1 and e.value.status == status
    assert isinstance(e.value, serveml.PredictionError) == (code == "PREDICTION_ERROR")


@pytest.mark.parametrize("step,tries", [("drop", 1), (error("SERVICE_ERROR", status=500), 1),
                                        (error("SERVICE_ERROR", status=503), 2),
                                        (error("RATE_LIMITED", status=429), 2)])
def test_what_must_not_happen_twice(step, tries):
    with Fake([step, (201, KEY)]) as f, client(f) as c:
        if tries == 2:
            assert c.create_api_key("k").key == "mrk_secret"
        else:
            with pytest.raises(serveml.ServeMLError):
                c.create_api_key("k")
        assert len(f.requests) == tries


def test_a_dropped_connection_is_tried_again():
    with Fake(["drop", "drop", (200, PREDICTION)]) as f, client(f) as c:
        assert c.predict("dep-1", [1]).prediction == 1
        assert len(f.requests) == 3


def test_deploy_is_repeated_with_the_same_key_and_body(tmp_path):
    path = tmp_path / "model.pkl"
    path.write_bytes(os.urandom(300_000))
    with Fake(["drop", error("SERVICE_ERROR", status=500), (200, CREATED)]) as f, client(f) as c:
        d = c.deploy(model_path=path, name="m", wait=False)
        assert d.id == "dep-1"
        assert len(f.requests) == 3
        keys = {r[2]["idempotency-key"] for r in f.requests}
        assert len(keys) == 1 and len(keys.pop()) >= 32
        bodies = {r[3] for r in f.requests}
        assert len(bodies) == 1 and path.read_bytes() in bodies.pop()


def test_a_stream_is_rewound_for_the_retry(tmp_path):
    path = tmp_path / "m.bin"
    path.write_bytes(b"skip" + b"x" * 1000)
    with Fake(["drop", (200, CREATED)]) as f, client(f) as c, open(path, "rb") as stream:
        stream.seek(4)
        c.deploy(stream, wait=False)
        assert f.requests[0][3] == f.requests[1][3]
        assert b"x" * 1000 in f.requests[1][3] and b"skip" not in f.requests[1][3]
        assert b'filename="m.bin"' in f.requests[1][3]


def test_names_in_a_form_cannot_break_out(tmp_path):
    path = tmp_path / 'a"b.pkl'
    path.write_bytes(b"x")
    with Fake([(200, CREATED)]) as f, client(f) as c:
        c.deploy(path, name="n\r\n--x", wait=False)
        assert b'filename="a%22b.pkl"' in f.requests[0][3]


def test_timeout_is_an_exception_and_counts_attempts():
    with Fake(["hang"]) as f:
        with client(f, timeout=1, retry=RetryPolicy(max_retries=1, base_delay=0.01)) as c:
            start = time.monotonic()
            with pytest.raises(serveml.APITimeoutError):
                c.me()
            assert time.monotonic() - start < 20
            assert len(f.requests) == 2
            with pytest.raises(serveml.APITimeoutError):
                c.predict("dep-1", [1], timeout=0.2)


def test_refused_connection():
    s = socket.socket()
    s.bind(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{s.getsockname()[1]}"
    s.close()
    with serveml.Client(base_url=url, retry=RetryPolicy(max_retries=0)) as c:
        with pytest.raises(serveml.APIConnectionError):
            c.status()


def test_connections_are_kept():
    with Fake([(200, PREDICTION)]) as f, client(f) as c:
        for _ in range(20):
            c.predict("dep-1", [1])
        assert f.connections == 1


def test_a_connection_that_the_server_closed_is_replaced():
    with Fake([("once", 200, PREDICTION), (201, KEY)]) as f, client(f) as c:
        c.predict("dep-1", [1])
        time.sleep(0.5)
        assert c.create_api_key("k").key  # one that is not repeated: the dead connection is seen first
        assert f.connections == 2 and len(f.requests) == 2


def test_an_early_refusal_of_an_upload_is_read(tmp_path):
    path = tmp_path / "big.bin"
    with open(path, "wb") as f:
        f.truncate(64 << 20)
    step = ("early", 413, error("INVALID_INPUT", "the body is too large")[1])
    with Fake([step]) as f, client(f) as c:
        with pytest.raises(serveml.APIError) as e:
            c.deploy(path, wait=False)
        # The answer may be lost in the reset; what never happens is a hang or a false success.
        assert isinstance(e.value, serveml.InvalidInputError) and e.value.status == 413


def test_not_a_serveml_server():
    html = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 2\r\n\r\nhi"
    with Fake([("raw", html)]) as f, client(f) as c:
        with pytest.raises(serveml.ServeMLError, match="not JSON"):
            c.status()
        assert len(f.requests) == 1
    page = b"HTTP/1.1 502 Bad\r\nContent-Type: text/html\r\nContent-Length: 4\r\n\r\nnope"
    with Fake([("raw", page)]) as f, client(f, retry=RetryPolicy(max_retries=0)) as c:
        with pytest.raises(serveml.ServerError, match="nope"):
            c.status()


def test_deployment_failed_while_waiting():
    failed = {**CREATED, "status": "failed", "error": "os.system is refused"}
    with Fake([(200, CREATED), (200, CREATED), (200, failed)]) as f, client(f) as c:
        with pytest.raises(serveml.DeploymentFailed, match="os.system is refused") as e:
            c.deploy(b"x")
        assert e.value.deployment_id == "dep-1" and e.value.code == "DEPLOYMENT_FAILED"


def test_a_failed_next_version_is_told_from_the_one_that_serves():
    made = {**CREATED, "version": "v2"}
    serving = {**CREATED, "status": "active", "version": "v1"}
    version = {"created_at": "2024-01-15T10:00:00Z", "is_current": False, "changes": ""}
    versions = {"versions": [{**version, "version": "v2", "status": "failed", "error": "too old"},
                             {**version, "version": "v1", "status": "active"}]}
    with Fake([(200, made), (200, serving), (200, versions)]) as f, client(f) as c:
        with pytest.raises(serveml.DeploymentFailed, match="too old"):
            c.deploy(b"x", name="m")


def test_waiting_ends():
    with Fake([(200, CREATED)]) as f, client(f) as c:
        with pytest.raises(serveml.WaitTimeoutError) as e:
            c.deploy(b"x", wait_timeout=0.2)
        assert e.value.deployment_id == "dep-1"


def test_iteration_asks_once_a_page():
    def page(n, offset):
        items = [{"id": f"dep-{i}", "name": "m", "status": "active"}
                 for i in range(offset, offset + n)]
        return (200, {"items": items, "total": 5, "limit": 2, "offset": offset})

    # The third page repeats an item, as when a deployment was made meanwhile.
    with Fake([page(2, 0), page(2, 2), page(2, 3)]) as f, client(f) as c:
        assert [d.id for d in c.iter_deployments(page_size=2, search="m m")] == [
            f"dep-{i}" for i in range(5)]
        assert [r[1].split("?")[1] for r in f.requests] == [
            f"limit=2&offset={o}&search=m+m" for o in (0, 2, 4)]


def test_missing_values_and_arrays():
    class Array:
        def tolist(self):
            return [[1.0, float("nan")]]

    with Fake([(200, PREDICTION)]) as f, client(f) as c:
        c.predict("dep-1", [float("nan"), None, 2])
        c.predict("dep-1", Array())
        assert json.loads(f.requests[0][3]) == {"data": [None, None, 2]}
        assert json.loads(f.requests[1][3]) == {"data": [[1.0, None]]}
        with pytest.raises(ValueError):
            c.predict("dep-1", [float("inf")])
        assert len(f.requests) == 2


def test_ids_cannot_change_the_path():
    with Fake([(200, PREDICTION)]) as f, client(f) as c:
        c.predict("../x?y", [1])
        assert f.requests[0][1] == "/api/v1/predict/..%2Fx%3Fy"
        with pytest.raises(ValueError):
            c.predict("", [1])


def test_environment_and_base_url(monkeypatch):
    with Fake([(200, PREDICTION)]) as f:
        monkeypatch.setenv("MILLRACE_URL", f.url + "/prefix/")
        monkeypatch.setenv("MILLRACE_KEY", "from-the-environment")
        with serveml.Client() as c:
            c.predict("dep-1", [1])
        with serveml.Client(api_key="given") as c:
            c.predict("dep-1", [1])
    assert f.requests[0][1].startswith("/prefix/api/v1/")
    assert [r[2]["authorization"] for r in f.requests] == [
        "Bearer from-the-environment", "Bearer given"]
    for bad in ("ftp://x", "http://u:p@x", "http://x/?q=1"):
        with pytest.raises(ValueError):
            serveml.Client(base_url=bad)


def test_upload_memory_is_flat(tmp_path):
    """1 GB (sparse) is sent in a process whose memory grows by a few MB."""
    path = tmp_path / "big.bin"
    with open(path, "wb") as f:
        f.truncate(1 << 30)
    code = (
        "import resource, sys, serveml\n"
        "c = serveml.Client(api_key='k' * 20, base_url=sys.argv[1])\n"
        "c.deploy(b'x', wait=False)\n"
        "a = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "c.deploy(sys.argv[2], wait=False)\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - a)\n"
    )
    with Fake([(200, CREATED)]) as f:
        env = {**os.environ, "PYTHONPATH": os.path.join(ROOT, "sdk", "python")}
        out = subprocess.run([sys.executable, "-c", code, f.url, str(path)], env=env, text=True,
                             capture_output=True, timeout=300, check=False)
        assert out.returncode == 0, out.stderr
        assert f.requests[1][3] == b"(large)"
    assert int(out.stdout) < 16_000, f"grew by {out.stdout} KB"


def signed(secret_bytes, ident, stamp, body):
    mac = hmac.new(secret_bytes, f"{ident}.{stamp}.".encode() + body, hashlib.sha256)
    return "v1," + base64.b64encode(mac.digest()).decode()


def test_verify_signature():
    # A worked example of the Standard Webhooks specification.
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    body = b'{"test": 2432232314}'
    headers = {"webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek", "webhook-timestamp": "1614265330",
               "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="}
    event = serveml.verify_signature(body, headers, secret, now=1614265330)
    assert event == {"test": 2432232314}
    for change in ({"webhook-id": "msg_other"}, {"webhook-timestamp": "1614265331"},
                   {"webhook-timestamp": "x"}, {"webhook-signature": "v1,AAAA"},
                   {"webhook-signature": ""}):
        with pytest.raises(serveml.SignatureError):
            serveml.verify_signature(body, {**headers, **change}, secret, now=1614265330)
    with pytest.raises(serveml.SignatureError):
        serveml.verify_signature(body + b" ", headers, secret, now=1614265330)
    with pytest.raises(serveml.SignatureError, match="old"):
        serveml.verify_signature(body, headers, secret, now=1614265330 + 301)
    with pytest.raises(serveml.SignatureError):
        serveml.verify_signature(body, headers, "", now=1614265330)
    # A plain secret is used as it stands; one of several signatures may fit; names in any case.
    stamp = str(int(time.time()))
    plain = {"Webhook-Id": "m", "Webhook-Timestamp": stamp,
             "Webhook-Signature": "v1,AAAA v2,x " + signed(b"webhook-secret", "m", stamp, body)}
    assert serveml.verify_signature(body.decode(), plain, "webhook-secret") == event


def test_types_are_shipped():
    package = os.path.join(ROOT, "sdk", "python", "serveml")
    assert os.path.exists(os.path.join(package, "py.typed"))
    for name in serveml.__all__:
        assert getattr(serveml, name) is not None
