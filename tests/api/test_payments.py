"""Payments: requests as stripe-mock accepts them, errors and silence of the service, keys of
repeated requests, and signed events from end to end."""
import http.client
import socket
import subprocess
import threading
import time

import pytest
import stripe
import stripe_side
from client import Api
from server import Server
from stripe_side import SECRET, charge, dispute, deliver, event, session


@pytest.fixture(scope="module")
def mock():
    m = stripe_side.Mock()
    yield m
    m.close()


@pytest.fixture(scope="module")
def recorder():
    r = stripe_side.Recorder()
    yield r
    r.close()


@pytest.fixture(scope="module")
def paying(recorder):
    env = stripe_side.env(recorder.base, MILLRACE_STRIPE_TIMEOUT_MS="1500",
                          MILLRACE_PUBLIC_URL="https://shop.example")
    with Server(flags=["--rate-limits", "off"], env=env) as s:
        yield s


@pytest.fixture
def api(paying, recorder, spec):
    recorder.answer = None
    recorder.requests.clear()
    return Api(paying.host, paying.port, paying.key, spec)


@pytest.fixture
def tenant(paying, spec):
    """A fresh account, so that its report starts at nothing."""
    def make():
        anonymous = Api(paying.host, paying.port, None, spec)
        name = f"u{time.time_ns()}"
        r = anonymous.post("/api/v1/auth/register", {
            "email": f"{name}@example.com", "username": name, "password": "secure-password"})
        made = anonymous.as_(r.json()["access_token"])
        made.email = f"{name}@example.com"
        return made
    return make


def test_stripe_mock_accepts_both_checkouts(mock, spec):
    with Server(env=stripe_side.env(mock.base)) as s:
        api = Api(s.host, s.port, s.key, spec)
        for path, body in (("subscription", {"email": "customer@example.com"}),
                           ("micro", {"user_id": 1, "description": "AI Task Processing"}),
                           ("micro", {"user_id": "user@example.com"})):
            r = api.post(f"/api/payment/{path}", body)
            assert r.status == 200, r
            assert list(r.json()) == ["checkout_url"]
            assert r.json()["checkout_url"].startswith("https://checkout.stripe.com/")


def test_what_is_sent_for_a_subscription(api, recorder):
    r = api.post("/api/payment/subscription", {"email": "a+b@example.com"})
    assert r.json() == {"checkout_url": f"https://checkout.stripe.com/c/pay/cs_test_{recorder.made}"}
    path, headers, form = recorder.requests[0]
    assert path == "/v1/checkout/sessions"
    assert headers["Authorization"] == "Bearer sk_test_millrace"
    assert headers["Stripe-Version"] == "2026-10-28.endive" == stripe.api_version
    assert headers["Content-Type"] == "application/x-www-form-urlencoded"
    assert headers["Idempotency-Key"].startswith("mr-")
    account = form.pop("metadata[account_id]")
    assert form.pop("subscription_data[metadata][account_id]") == account
    assert form == {
        "mode": "subscription", "customer_email": "a+b@example.com",
        "client_reference_id": "a+b@example.com", "metadata[user_id]": "a+b@example.com",
        "subscription_data[metadata][user_id]": "a+b@example.com",
        "line_items[0][price]": "price_monthly", "line_items[0][quantity]": "1",
        "success_url": "https://shop.example/dashboard?payment=success"
                       "&session_id={CHECKOUT_SESSION_ID}",
        "cancel_url": "https://shop.example/dashboard?payment=cancelled"}


def test_what_is_sent_for_a_micro_payment(api, recorder):
    assert api.post("/api/payment/micro", {"user_id": 7, "description": "Ä & b=c"}).status == 200
    assert api.post("/api/payment/micro", {"user_id": "eve"}).status == 200
    (_, h1, first), (_, h2, second) = recorder.requests
    assert h1["Idempotency-Key"] != h2["Idempotency-Key"]
    name = "line_items[0][price_data][product_data][name]"
    assert first[name] == "Ä & b=c" and second[name] == "AI Task Processing"
    assert first["client_reference_id"] == "7" == first["metadata[user_id]"]
    assert second["payment_intent_data[metadata][user_id]"] == "eve"
    assert first["mode"] == "payment"
    assert first["line_items[0][price_data][currency]"] == "usd"
    assert first["line_items[0][price_data][unit_amount]"] == "100"


@pytest.mark.parametrize("path, body", [
    ("subscription", {}), ("subscription", {"email": ""}), ("subscription", {"email": "nobody"}),
    ("subscription", {"email": 5}), ("subscription", {"email": "a" * 260 + "@example.com"}),
    ("micro", {}), ("micro", {"user_id": ""}), ("micro", {"user_id": "x" * 201}),
    ("micro", {"user_id": 1.5}), ("micro", {"user_id": None}), ("micro", {"user_id": True}),
    ("micro", {"user_id": 1, "description": ""}), ("micro", {"user_id": 1, "description": "x" * 501}),
])
def test_bad_requests_are_400_and_send_nothing(api, recorder, path, body):
    r = api.post(f"/api/payment/{path}", body)
    assert r.status == 400 and list(r.json()) == ["error"], r
    assert not recorder.requests


def error(kind, **more):
    return {"error": {"type": kind, "message": f"about {kind}", **more}}


@pytest.mark.parametrize("answer, reason", [
    ((400, error("invalid_request_error", param="line_items")), "about invalid_request_error"),
    ((402, error("card_error")), "about card_error"),
    ((500, b"<html>oops</html>"), "status 500"),
    ((200, b"not json"), "without a checkout session"),
    ((200, {"id": "cs_1", "url": None}), "without a checkout session"),
    ((302, b""), "status 302"),
    ((401, error("authentication_error")), "STRIPE_API_KEY"),
])
def test_a_refusal_is_500_with_stripes_reason(api, recorder, answer, reason):
    recorder.answer = answer
    r = api.post("/api/payment/micro", {"user_id": 1})
    assert r.status == 500 and reason in r.json()["error"], r
    assert "sk_test" not in r.text


def reset(handler):
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    handler.connection.close()
    handler.close_connection = True


def silence(handler):
    time.sleep(3)
    handler.close_connection = True


@pytest.mark.parametrize("answer", [reset, silence])
def test_an_unreachable_service_is_500(api, recorder, answer):
    recorder.answer = answer
    r = api.post("/api/payment/micro", {"user_id": 1})
    assert r.status == 500 and "could not be reached" in r.json()["error"], r


def test_an_idempotency_key_gets_the_same_answer(api, recorder, tenant):
    other = tenant()
    key = {"Idempotency-Key": f"order-{time.time_ns()}"}
    first = api.post("/api/payment/micro", {"user_id": 1}, headers=key)
    again = api.post("/api/payment/micro", {"user_id": 1}, headers=key)
    assert first.json() == again.json() and len(recorder.requests) == 1
    changed = api.post("/api/payment/micro", {"user_id": 2}, headers=key)
    assert changed.status == 422 and len(recorder.requests) == 1
    assert api.post("/api/payment/subscription", {"email": "a@b.example"}, headers=key).status == 422
    # another account's key is another key, also at the service
    theirs = other.post("/api/payment/micro", {"user_id": 1}, headers=key)
    assert theirs.json() != first.json()
    sent = [h["Idempotency-Key"] for _, h, _ in recorder.requests]
    assert len(sent) == 2 and sent[0] != sent[1]


def test_a_failed_request_may_be_tried_again_under_its_key(api, recorder):
    key = {"Idempotency-Key": f"order-{time.time_ns()}"}
    recorder.answer = (500, b"")
    assert api.post("/api/payment/micro", {"user_id": 1}, headers=key).status == 500
    recorder.answer = None
    assert api.post("/api/payment/micro", {"user_id": 1}, headers=key).status == 200
    sent = [h["Idempotency-Key"] for _, h, _ in recorder.requests]
    assert len(sent) == 2 and sent[0] == sent[1]  # so the service makes no second session


def test_a_key_in_flight_is_409(api, recorder):
    key = {"Idempotency-Key": f"order-{time.time_ns()}"}
    inside, go = threading.Event(), threading.Event()

    def slow(handler):
        inside.set()
        go.wait(1)
        return recorder.session(handler)

    recorder.answer = slow
    replies = []
    t = threading.Thread(target=lambda: replies.append(
        api.post("/api/payment/micro", {"user_id": 1}, headers=key)))
    t.start()
    assert inside.wait(10)
    assert api.post("/api/payment/micro", {"user_id": 1}, headers=key).status == 409
    go.set()
    t.join()
    assert replies[0].status == 200
    assert api.post("/api/payment/micro", {"user_id": 1}, headers=key).json() == replies[0].json()


def test_without_a_key_503_names_what_is_missing(spec):
    with Server() as s:
        api = Api(s.host, s.port, s.key, spec)
        for path, body in (("subscription", {"email": "a@b.example"}), ("micro", {"user_id": 1})):
            r = api.post(f"/api/payment/{path}", body)
            assert r.status == 503 and "STRIPE_API_KEY" in r.json()["error"]
        r = deliver(api, event("customer.created", {"id": "cus_1"}))
        assert r.status == 503 and "STRIPE_WEBHOOK_SECRET" in r.json()["error"]
    env = stripe_side.env("http://127.0.0.1:9")
    del env["STRIPE_PRICE_ID"]
    with Server(env=env) as s:
        api = Api(s.host, s.port, s.key, spec)
        r = api.post("/api/payment/subscription", {"email": "a@b.example"})
        assert r.status == 503 and "STRIPE_PRICE_ID" in r.json()["error"]


# --- events ---------------------------------------------------------------------------------

def test_from_checkout_to_report(api, recorder, tenant):
    user = tenant()
    assert user.post("/api/payment/micro", {"user_id": 42}).status == 200
    ident = f"cs_test_{recorder.made}"
    body = event("checkout.session.completed", session(ident, 150))
    anyone = user.as_(None)
    for _ in range(3):
        r = deliver(anyone, body)
        assert r.status == 200 and r.json() == {"status": "success"}
    report = user.get("/api/report/daily").json()
    assert report["income"] == 1.5
    assert report["breakdown"]["income_breakdown"] == {"subscription": 0.0, "micro_payment": 1.5}
    assert user.get("/api/report/monthly?user_id=42").json()["income"] == 1.5
    deliver(anyone, event("charge.refunded", charge("ch_" + ident, 150, 50, f"pi_{ident}")))
    report = user.get("/api/report/daily").json()
    assert report["income"] == 1.0 == report["profit"]
    deliver(anyone, event("checkout.session.completed",
                          session(ident + "_eur", 700, currency="eur", metadata={})))
    assert user.get("/api/report/daily").json()["income"] == 1.0


def test_a_dispute_is_held_back_and_when_won_comes_back_once(api, recorder, tenant):
    user = tenant()
    assert user.post("/api/payment/micro", {"user_id": 42}).status == 200
    ident = f"cs_test_{recorder.made}"
    intent, anyone = f"pi_{ident}", user.as_(None)
    for kind, status, income in (("created", "needs_response", 0.5), ("funds_withdrawn", "under_review", 0.5),
                                 ("closed", "won", 1.5), ("funds_reinstated", "won", 1.5),
                                 ("created", "needs_response", 1.5)):
        if kind == "created" and status == "needs_response":
            deliver(anyone, event("checkout.session.completed", session(ident, 150)))
        body = event("charge.dispute." + kind, dispute("dp_" + ident, 100, intent, status))
        for _ in range(2):
            assert deliver(anyone, body).status == 200
        report = user.get("/api/report/daily").json()
        assert report["income"] == income == report["breakdown"]["income_breakdown"]["micro_payment"]
    # The end before the beginning, and before the payment itself.
    assert user.post("/api/payment/micro", {"user_id": 43}).status == 200
    ident = f"cs_test_{recorder.made}"
    intent = f"pi_{ident}"
    for kind, status in (("funds_reinstated", "won"), ("closed", "won"), ("created", "needs_response")):
        deliver(anyone, event("charge.dispute." + kind, dispute("dp_" + ident, 150, intent, status)))
    deliver(anyone, event("checkout.session.completed", session(ident, 150)))
    assert user.get("/api/report/daily").json()["income"] == 3.0
    assert user.get("/api/report/daily?user_id=43").json()["income"] == 1.5


def test_a_subscription_sets_the_tier_and_is_counted(api, recorder, tenant):
    user = tenant()
    assert user.post("/api/payment/subscription", {"email": user.email}).status == 200
    form = recorder.requests[-1][2]
    ident, sub = f"cs_test_{recorder.made}", f"sub_{time.time_ns()}"
    metadata = {"account_id": form["metadata[account_id]"], "user_id": user.email}
    anyone = user.as_(None)
    paid = session(ident, 2000, mode="subscription", subscription=sub, invoice=f"in_{sub}",
                   payment_intent=None, customer="cus_" + sub, customer_details={"email": user.email})
    invoice = {"id": f"in_{sub}", "object": "invoice", "amount_paid": 2000, "currency": "usd",
               "billing_reason": "subscription_create", "customer": "cus_" + sub,
               "customer_email": user.email, "metadata": {}, "parent": {
                   "quote_details": None, "type": "subscription_details",
                   "subscription_details": {"metadata": metadata, "subscription": sub}}}
    for body in (event("invoice.paid", invoice), event("checkout.session.completed", paid)):
        assert deliver(anyone, body).status == 200
    stats = user.get("/api/stats").json()
    assert stats["users"]["subscriptions"] == 1
    assert stats["financials"]["total_income"] == 20.0
    gone = {"id": sub, "object": "subscription", "customer": "cus_" + sub, "metadata": metadata,
            "status": "canceled"}
    assert deliver(anyone, event("customer.subscription.deleted", gone)).status == 200
    assert user.get("/api/stats").json()["users"]["subscriptions"] == 0


def test_signatures_of_the_sdk_and_forged_ones(api, recorder):
    body = event("customer.created", {"id": "cus_1", "object": "customer", "name": "Zoë ☃"})
    anyone = api.as_(None)
    good = stripe.WebhookSignature.generate_signature_header(body, SECRET)
    assert stripe.WebhookSignature.verify_header(body, good, SECRET, 300)
    assert deliver(anyone, body, good).status == 200
    now = int(time.time())
    make = stripe.WebhookSignature.generate_signature_header
    for age, status in ((0, 200), (290, 200), (301, 400), (100000, 400), (-310, 400)):
        assert deliver(anyone, body, make(body, SECRET, now - age)).status == status, age
    rotated = make(body, "whsec_old", now) + "," + make(body, SECRET, now).split(",")[1]
    assert deliver(anyone, body, rotated).status == 200
    for bad in (make(body, "whsec_old"), make(body + " ", SECRET), "t=1", "rubbish", "",
                good.replace("v1=", "v0="), f"t={now},v1="):
        r = deliver(anyone, body, bad)
        assert r.status == 400 and list(r.json()) == ["error"], (bad, r)
    r = anyone.request("POST", "/api/webhook/stripe", body.encode(),
                       headers={"Content-Type": "application/json"})
    assert r.status == 400 and "missing" in r.json()["error"]
    for rubbish in ("", "{", "[]", "null", '{"id":"evt_1"}'):
        assert deliver(anyone, rubbish).status == 400


def test_a_body_over_a_mebibyte_is_413(api):
    body = event("customer.created", {"id": "cus_1", "name": "x" * (1 << 20)})
    try:
        assert deliver(api.as_(None), body).status == 413
    except (BrokenPipeError, http.client.RemoteDisconnected, ConnectionResetError):
        pass  # the answer may come before all of the body was sent
    fits = event("customer.created", {"id": "cus_1", "name": "x" * ((1 << 20) - 1000)})
    assert deliver(api.as_(None), fits).status == 200


def test_one_event_from_many_sides_is_booked_once(api, recorder, tenant):
    user = tenant()
    assert user.post("/api/payment/micro", {"user_id": "x"}).status == 200
    ident = f"cs_test_{recorder.made}"
    bodies = [event("checkout.session.completed", session(ident, 100)),
              event("checkout.session.async_payment_succeeded", session(ident, 100))]
    statuses = []

    def send(body):
        statuses.append(deliver(user.as_(None), body).status)

    threads = [threading.Thread(target=send, args=(bodies[i % 2],)) for i in range(16)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert statuses == [200] * 16
    assert user.get("/api/report/daily").json()["income"] == 1.0


def test_secrets_come_from_files_and_are_never_shown(tmp_path):
    secret = tmp_path / "key"
    secret.write_text("sk_test_from_a_file\n")
    s = Server(env={"STRIPE_API_KEY_FILE": str(secret), "STRIPE_WEBHOOK_SECRET": "whsec_shown_never"})

    def says(*args):
        return subprocess.run([s.binary, *args], env=s.env, cwd=tmp_path, capture_output=True,
                              text=True, timeout=60).stdout

    for shown in (says("config", "print"), says("config", "print", "--json")):
        assert "sk_test_from_a_file" not in shown and "whsec_shown_never" not in shown
        assert shown.count("(set)") == 2
    assert "set STRIPE_PRICE_ID" in says("doctor") and "test mode" in says("doctor")
    s.env["STRIPE_PRICE_ID"] = "price_1"
    assert "configured (test mode)" in says("doctor")
    for name in ("STRIPE_API_KEY_FILE", "STRIPE_WEBHOOK_SECRET"):
        del s.env[name]
    assert "STRIPE_API_KEY is not set" in says("doctor")
    s.close()


@pytest.mark.parametrize("setting, value", [("AMOUNT", "0"), ("AMOUNT", "-1"), ("AMOUNT", "1.005"),
                                            ("AMOUNT", "much"), ("CURRENCY", "USD"),
                                            ("CURRENCY", "jpyx")])
def test_a_micro_payment_that_cannot_be_paid_is_refused_at_start(setting, value):
    s = Server(env={f"MILLRACE_MICRO_PAYMENT_{setting}": value})
    with pytest.raises(AssertionError, match=f"micro_payment_{setting.lower()}"):
        s.start()
    s.close()
