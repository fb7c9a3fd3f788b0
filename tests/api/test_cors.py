"""Foreign pages, listeners of one family, and the settings behind them."""
import http.client
import subprocess

import pytest

from server import Server


def ask(port, method, path, **headers):
    c = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    c.request(method, path, headers={k.replace("_", "-"): v for k, v in headers.items()})
    r = c.getresponse()
    body = r.read()
    c.close()
    return r.status, r.headers, body


@pytest.fixture(scope="module")
def app_server():
    s = Server(flags=["--cors-origin", "https://app.example", "--cors-origin", "http://localhost:5173",
                      "--listen", "127.0.0.1:0", "--listen", "127.0.0.1:0=serveml"]).start()
    yield s
    s.stop()


@pytest.mark.parametrize("origin", ["https://app.example", "http://localhost:5173"])
def test_preflight_of_a_listed_origin(app_server, origin):
    status, head, body = ask(app_server.port, "OPTIONS", "/api/v1/deployments/dep-1", Origin=origin,
                             Access_Control_Request_Method="PUT",
                             Access_Control_Request_Headers="authorization,content-type")
    assert status == 204 and body == b""
    assert head["Access-Control-Allow-Origin"] == origin
    assert head["Access-Control-Allow-Credentials"] == "true"
    assert set(head["Access-Control-Allow-Methods"].split(", ")) >= {"GET", "HEAD", "PATCH", "DELETE"} \
        or "PUT" in head["Access-Control-Allow-Methods"]
    allowed = head["Access-Control-Allow-Headers"].lower().split(", ")
    assert {"authorization", "content-type", "x-api-key", "idempotency-key"} <= set(allowed)
    assert int(head["Access-Control-Max-Age"]) > 0
    assert head["Vary"] == "Origin"


def test_replies_are_readable_for_listed_origins_only(app_server):
    key = "Bearer " + app_server.key
    status, head, _ = ask(app_server.port, "GET", "/api/v1/deployments", Origin="https://app.example",
                          Authorization=key)
    assert status == 200 and head["Access-Control-Allow-Origin"] == "https://app.example"
    assert "X-RateLimit-Remaining" in head["Access-Control-Expose-Headers"]
    assert "X-Request-Id" in head["Access-Control-Expose-Headers"]
    status, head, _ = ask(app_server.port, "GET", "/api/v1/deployments", Origin="https://evil.example",
                          Authorization=key)
    assert status == 200 and "Access-Control-Allow-Origin" not in head and head["Vary"] == "Origin"
    status, head, _ = ask(app_server.port, "GET", "/nothing", Origin="https://app.example")
    assert status == 404 and head["Access-Control-Allow-Origin"] == "https://app.example"


def test_foreign_pages_change_nothing(app_server):
    key = "Bearer " + app_server.key
    for origin in ("https://evil.example", "null"):
        status, _, body = ask(app_server.port, "POST", "/api/v1/auth/api-keys", Origin=origin,
                              Authorization=key)
        assert status == 403 and b"cors_origin" in body
        status, _, _ = ask(app_server.port, "POST", "/api/v1/auth/login", Origin=origin)
        assert status == 403
    own = f"http://127.0.0.1:{app_server.port}"
    status, _, _ = ask(app_server.port, "POST", "/api/v1/auth/api-keys", Origin=own, Authorization=key)
    assert status == 400  # let through; it has no body


def test_a_pinned_listener_serves_its_family(app_server):
    assert " for serveml" in app_server.greeting
    line = next(x for x in app_server.greeting.splitlines() if " for serveml" in x)
    port = int(line.split(":")[-1].split()[0])
    status, _, body = ask(port, "GET", "/")
    assert status == 200 and b"Welcome to ServeML API" in body
    status, _, _ = ask(port, "GET", "/api/v1/auth/api-keys")
    assert status == 401  # this family has keys


@pytest.mark.parametrize("flags,word", [
    (["--listen", "127.0.0.1:0=nobody"], "there are: "),
    (["--cors-origin", "*"], "cors_origin"),
    (["--cors-origin", "https://app.example/"], "cors_origin"),
    (["--trusted-proxies", "proxy.example"], "trusted_proxies"),
])
def test_wrong_settings_are_named(tmp_path, flags, word):
    s = Server(data_dir=tmp_path, flags=flags)
    r = subprocess.run([s.binary, "serve", "--data-dir", str(tmp_path), *flags], env=s.env,
                       capture_output=True, timeout=20, text=True, check=False)
    assert r.returncode != 0 and word in r.stderr


def test_open_is_loud(tmp_path):
    s = Server(data_dir=tmp_path, flags=["--open"]).start()
    s.stop()
    assert "WARNING" in s.greeting and "--open" in s.log_text()
