"""Seed 001, Health & Status; probes, Prometheus, OpenAPI, documentation; error shape."""
import shutil
import subprocess

import pytest


def test_root_status_and_health(anonymous):
    root = anonymous.get("/").json()
    assert root["status"] == "healthy" and root["message"] == "Welcome to ServeML API" and root["version"] == "1.0.0"
    status = anonymous.get("/api/v1/status").json()
    assert status == {"api": "operational", "deployments": "operational", "predictions": "operational",
                      "database": "operational", "storage": "operational", "issues": []}
    assert anonymous.get("/health").json()["status"] == "healthy"
    for probe in ("/livez", "/readyz", "/healthz"):
        assert anonymous.get(probe).json() == {"status": "ok"}


def test_prometheus_text_passes_promtool(anonymous, iris):
    user, dep = iris
    user.predict(dep, [5.1, 3.5, 1.4, 0.2])
    text = anonymous.get("/metrics").text
    assert 'millrace_http_request_duration_seconds_bucket' in text and 'le="+Inf"' in text
    tool = shutil.which("promtool")
    if not tool:
        pytest.skip("promtool is not installed")
    run = subprocess.run([tool, "check", "metrics"], input=text.encode(), capture_output=True)
    assert run.returncode == 0, run.stderr.decode() + run.stdout.decode()


def test_each_family_has_its_document(anonymous, spec):
    for family, doc in spec.docs.items():
        got = anonymous.get(f"/openapi/{family}.json")
        assert got.status == 200 and set(got.json()["paths"]) == set(doc["paths"])
    assert anonymous.get("/openapi/nobody.json").status == 404


def test_openapi_and_offline_docs(anonymous, spec):
    doc = anonymous.get("/openapi.json").json()
    assert doc["openapi"].startswith("3.1") and set(doc["paths"]) == set(spec.docs["serveml"]["paths"])
    page = anonymous.get("/docs").text
    assert "swagger-ui-bundle.js" in page and "http://" not in page and "https://" not in page
    for asset in ("swagger-ui-bundle.js", "swagger-ui.css", "docs.js"):
        r = anonymous.get("/docs/" + asset)
        assert r.status == 200 and len(r.body) > 50
    assert anonymous.get("/docs/nothing.js").status == 404


def test_errors_have_the_seed_shape(anonymous):
    r = anonymous.get("/api/v1/nowhere")
    assert r.status == 404
    assert set(r.json()) == {"error", "request_id"} and r.json()["error"]["code"] == "NOT_FOUND"
    r = anonymous.request("PUT", "/api/v1/auth/login")
    assert r.status == 405 and "POST" in r.headers["allow"]
    r = anonymous.get("/api/v1/auth/me", headers={"X-Request-Id": "abc-123"})
    assert r.headers["x-request-id"] == "abc-123" and r.json()["request_id"] == "abc-123"
    r = anonymous.get("//api//v1/status")
    assert r.status == 200


def test_every_reply_carries_rate_limit_headers(anonymous, user):
    for r in (anonymous.get("/api/v1/auth/me"), user.get("/api/v1/deployments"),
              anonymous.get("/api/v1/status"), anonymous.get("/no/such/path"),
              anonymous.request("PUT", "/api/v1/deployments"), anonymous.get("/%zz"),
              anonymous.request("GET", "/livez", headers={"X-Bad": "a\x01b"}),
              anonymous.post("/api/v1/auth/login", b"{")):
        for name in ("x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset"):
            assert int(r.headers[name]) >= 0


def test_dashboard_pages(anonymous):
    for path in ("/dashboard", "/dashboard/deployments/dep-1/metrics"):
        r = anonymous.get(path)
        assert r.status == 200 and "dashboard.js" in r.text and "default-src 'self'" in r.headers["content-security-policy"]
    assert "sessionStorage" in anonymous.get("/dashboard/dashboard.js").text
    assert "/api/v2/ai/llm/chat" in anonymous.get("/dashboard/playground.js").text
    assert anonymous.get("/dashboard/../../etc/passwd").status == 404
    page = anonymous.get("/", headers={"Accept": "text/html,application/xhtml+xml"}, check=False)
    assert page.text.startswith("<!doctype html>")


def test_pages_answer_validators_and_ranges(anonymous):
    for path in ("/docs", "/dashboard"):
        page = anonymous.get(path)
        tag = page.headers["etag"]
        same = anonymous.get(path, headers={"If-None-Match": f'"other", W/{tag}'})
        assert (same.status, same.body) == (304, b"") and same.headers["etag"] == tag
        assert anonymous.get(path, headers={"If-None-Match": '"other"'}).body == page.body
        part = anonymous.get(path, headers={"Range": "bytes=5-14"})
        assert (part.status, part.body) == (206, page.body[5:15])
        assert part.headers["content-range"] == f"bytes 5-14/{len(page.body)}"
        assert anonymous.get(path, headers={"Range": "bytes=99999999-"}).status == 416
        assert anonymous.get(path, headers={"Range": "bytes=0-1", "If-Range": '"x"'}).body == page.body
