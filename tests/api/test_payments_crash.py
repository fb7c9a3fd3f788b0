"""The server dies at each named point of a payment's way; what is sent again is booked once. Named
points exist in the sanitizer build only (base/crash_point.h)."""
import http.client
import os
import time

import pytest
import stripe_side
from client import Api
from server import Server
from stripe_side import charge, deliver, event, session

pytestmark = pytest.mark.skipif(not os.environ.get("MILLRACE_SANITIZED"),
                                reason="needs the sanitizer build's crash points")


@pytest.fixture
def recorder():
    """One session for each idempotency key, as the service does."""
    r = stripe_side.Recorder()
    made = {}

    def answer(handler):
        key = handler.headers["Idempotency-Key"]
        if key not in made:
            made[key] = r.session(handler)
        return made[key]

    r.answer = answer
    yield r
    r.close()


class Life:
    """A server on one data dir, over its deaths."""

    def __init__(self, recorder, data_dir):
        self.env, self.dir = stripe_side.env(recorder.base), str(data_dir)

    def run(self, crash_at=None):
        more = {"MR_CRASH_AT": crash_at} if crash_at else {}
        return Server(data_dir=self.dir, env={**self.env, **more}, flags=["--rate-limits", "off"])


def dies(server, send):
    with pytest.raises((OSError, http.client.HTTPException)):
        send(Api(server.host, server.port, server.key))
    server.process.wait(20)
    assert server.process.returncode == -9


@pytest.mark.parametrize("point, requests", [("session-created", 2), ("session-committed", 1)])
def test_a_checkout_that_dies_is_made_once(recorder, tmp_path, point, requests):
    life, key = Life(recorder, tmp_path), {"Idempotency-Key": "order-1"}

    def send(api):
        return api.post("/api/payment/micro", {"user_id": 5}, headers=key, check=False)

    with life.run(point) as s:
        dies(s, send)
    with life.run() as s:
        api = Api(s.host, s.port, s.key)
        assert send(api).json()["checkout_url"].endswith("/cs_test_1")
        sent = [h["Idempotency-Key"] for _, h, _ in recorder.requests]
        assert len(sent) == requests and len(set(sent)) == 1 and recorder.made == 1
        assert deliver(api, event("checkout.session.completed", session("cs_test_1", 100))).status == 200
        assert api.get("/api/report/daily?user_id=5").json()["income"] == 1.0


@pytest.mark.parametrize("point", ["event-verified", "event-booked", "event-committed"])
def test_an_event_that_dies_is_booked_once(recorder, tmp_path, point):
    life, now = Life(recorder, tmp_path), int(time.time())
    paid = event("checkout.session.completed", session("cs_1", 500), created=now)
    back = event("charge.refunded", charge("ch_1", 500, 200, "pi_cs_1"), created=now)
    for body in (paid, back):
        with life.run(point) as s:
            dies(s, lambda api, body=body: deliver(api, body, check=False))
        with life.run() as s:
            api = Api(s.host, s.port, s.key)
            assert [deliver(api, body).status for _ in range(2)] == [200, 200]
    with life.run() as s:
        api = Api(s.host, s.port, s.key)
        assert api.get("/api/report/daily").json()["income"] == 3.0
        assert api.get("/api/stats").json()["financials"]["total_income"] == 3.0
