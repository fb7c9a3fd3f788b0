"""Seed 001, Webhooks: registration, the six events, signatures, retries, replay."""
import base64
import hashlib
import hmac
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest


class Receiver:
    def __init__(self):
        self.got, self.fail = [], 0
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.got.append((dict(self.headers.items()), body))
                status = 200
                if receiver.fail > 0:
                    receiver.fail -= 1
                    status = 500
                self.send_response(status)
                self.end_headers()

            def log_message(self, *args):
                pass
        self.httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.httpd.server_address[1]}/hook"
        threading.Thread(target=self.httpd.serve_forever, daemon=True).start()

    def events(self):
        return [json.loads(b)["event"] for _, b in self.got]

    def wait(self, *events, timeout=15):
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            if all(e in self.events() for e in events):
                return
            time.sleep(0.02)
        raise AssertionError(f"wanted {events}, got {self.events()}")


@pytest.fixture
def receiver():
    r = Receiver()
    yield r
    r.httpd.shutdown()


ALL = ["deployment.created", "deployment.building", "deployment.ready", "deployment.failed", "deployment.deleted",
       "prediction.error"]


def test_all_six_events_fire_signed(user, receiver, iris_file):
    r = user.post("/api/v1/webhooks", {"url": receiver.url, "events": ALL, "secret": "webhook-secret"})
    assert r.status == 200
    hook = r.json()
    assert hook["id"].startswith("wh-") and hook["url"] == receiver.url and hook["events"] == ALL
    assert "secret" not in hook
    dep = user.deploy(iris_file, name="iris").json()["id"]
    user.deploy(b"this is no model file", name="bad")
    assert user.predict(dep, [1]).status in (400, 422)
    user.delete(f"/api/v1/deployments/{dep}")
    receiver.wait(*ALL)
    for headers, body in receiver.got:
        payload = json.loads(body)
        assert set(payload) == {"event", "timestamp", "data"} and payload["data"]["deployment_id"].startswith("dep-")
        ident, stamp = headers["webhook-id"], headers["webhook-timestamp"]
        mac = hmac.new(b"webhook-secret", f"{ident}.{stamp}.".encode() + body, hashlib.sha256).digest()
        assert headers["webhook-signature"] == "v1," + base64.b64encode(mac).decode()
        plain = hmac.new(b"webhook-secret", body, hashlib.sha256).hexdigest()
        assert headers["X-ServeML-Signature"] == "sha256=" + plain
    ready = next(json.loads(b) for _, b in receiver.got if json.loads(b)["event"] == "deployment.ready")
    assert ready["data"]["name"] == "iris" and ready["data"]["endpoint_url"].endswith(f"/api/v1/predict/{dep}")
    for body in (json.loads(b) for _, b in receiver.got):
        ident = body["data"]["deployment_id"]
        assert body["data"]["endpoint_url"] == f"{user.url}/api/v1/predict/{ident}", body
        assert body["data"]["name"] == ("iris" if ident == dep else "bad"), body


def test_only_subscribed_events_and_own_account(user, new_user, receiver, iris_file):
    user.post("/api/v1/webhooks", {"url": receiver.url, "events": ["deployment.ready"], "secret": "s"})
    new_user().deploy(iris_file)
    user.deploy(iris_file)
    receiver.wait("deployment.ready")
    time.sleep(0.2)
    assert receiver.events() == ["deployment.ready"]


def test_list_get_test_deliveries_replay_delete(user, receiver):
    made = user.post("/api/v1/webhooks", {"url": receiver.url, "events": ["deployment.ready"]}).json()
    assert made["secret"].startswith("whsec_")
    path = f"/api/v1/webhooks/{made['id']}"
    assert user.get("/api/v1/webhooks").json()["total"] == 1
    assert "secret" not in user.get(path).json()
    r = user.post(path + "/test")
    assert r.status == 202
    delivery = r.json()["delivery_id"]
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        items = user.get(path + "/deliveries").json()["items"]
        if items and items[0]["status"] == "delivered":
            break
        time.sleep(0.05)
    assert items[0]["id"] == delivery and items[0]["status"] == "delivered" and len(items[0]["attempts"]) == 1
    r = user.post(f"{path}/deliveries/{delivery}/replay")
    assert r.status == 202
    deadline = time.monotonic() + 10
    while len(receiver.got) < 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert len(receiver.got) == 2
    assert user.delete(path).status == 200
    assert user.get(path).status == 404


def test_a_failed_delivery_is_retried(user, receiver):
    receiver.fail = 1
    made = user.post("/api/v1/webhooks", {"url": receiver.url, "events": ["deployment.ready"], "secret": "s"}).json()
    user.post(f"/api/v1/webhooks/{made['id']}/test")
    deadline = time.monotonic() + 20
    while len(receiver.got) < 2 and time.monotonic() < deadline:
        time.sleep(0.1)
    assert len(receiver.got) == 2
    assert receiver.got[0][0]["webhook-id"] == receiver.got[1][0]["webhook-id"]


@pytest.mark.parametrize("body,field", [
    ({"url": "ftp://example.com/x", "events": ["deployment.ready"]}, "url"),
    ({"url": "http://169.254.169.254/latest", "events": ["deployment.ready"]}, "url"),
    ({"url": "http://10.0.0.1/x", "events": ["deployment.ready"]}, "url"),
    ({"url": "http://user:pw@example.com/", "events": ["deployment.ready"]}, "url"),
    ({"url": "https://example.com/x", "events": ["nothing.happened"]}, "events"),
    ({"url": "https://example.com/x", "events": []}, "events"),
    ({"url": "https://example.com/x", "events": [1]}, "events"),
    ({"url": "https://example.com/x", "events": ["deployment.ready"], "secret": ""}, "secret"),
    ({"events": ["deployment.ready"]}, "url"),
])
def test_wrong_registrations_are_refused(user, body, field):
    r = user.post("/api/v1/webhooks", body)
    assert r.status == 422 and r.json()["error"]["details"]["field"] == field, r
