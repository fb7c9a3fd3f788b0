"""The payment service as the tests see it: stripe-mock, a recording stand-in for what stripe-mock
does not do (errors, silence), and signed events."""
import json
import os
import re
import socket
import subprocess
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl

import stripe

SECRET = "whsec_of_the_tests"


def env(base, **more):
    return {"STRIPE_API_KEY": "sk_test_millrace", "STRIPE_API_BASE": base,
            "STRIPE_WEBHOOK_SECRET": SECRET, "STRIPE_PRICE_ID": "price_monthly", **more}


class Mock:
    """stripe-mock: refuses what the published specification of the API does not allow."""

    def __init__(self):
        cache = os.environ.get("MILLRACE_CACHE", os.path.expanduser("~/.cache/millrace"))
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            port = s.getsockname()[1]
        self.process = subprocess.Popen(
            [os.path.join(cache, "stripe-mock"), "-http-addr", f"127.0.0.1:{port}"],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
        for line in self.process.stdout:
            if b"Listening for HTTP" in line:
                break
        else:
            raise AssertionError("stripe-mock did not start")
        threading.Thread(target=lambda: [None for _ in self.process.stdout], daemon=True).start()
        self.base = f"http://127.0.0.1:{port}"

    def close(self):
        self.process.terminate()
        self.process.wait()


class Recorder:
    """Keeps each request's headers and form; answers what `answer` says: (status, body) or a
    function that gets the handler."""

    def __init__(self):
        self.requests = []
        self.answer = None
        self.made = 0
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                outer.requests.append((self.path, dict(self.headers), dict(parse_qsl(body.decode()))))
                answer = outer.answer or outer.session
                if callable(answer):
                    answer = answer(self)
                if answer is None:
                    return
                status, reply = answer
                reply = reply if isinstance(reply, bytes) else json.dumps(reply).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(reply)))
                self.end_headers()
                self.wfile.write(reply)

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.base = f"http://127.0.0.1:{self.server.server_address[1]}"

    def session(self, _handler):
        self.made += 1
        return 200, {"id": f"cs_test_{self.made}", "object": "checkout.session",
                     "url": f"https://checkout.stripe.com/c/pay/cs_test_{self.made}"}

    def close(self):
        self.server.shutdown()
        self.server.server_close()


def event(kind, obj, ident=None, created=None):
    created = created or int(time.time())
    ident = ident or "evt_" + re.sub(r"\W", "_", f"{kind}_{obj['id']}_{created}")
    return json.dumps({"id": ident, "object": "event", "api_version": "2026-10-28.endive",
                       "created": created, "data": {"object": obj}, "livemode": False,
                       "pending_webhooks": 1, "type": kind,
                       "request": {"id": None, "idempotency_key": None}})


def deliver(api, body, signature=None, **kw):
    if signature is None:
        signature = stripe.WebhookSignature.generate_signature_header(body, SECRET)
    return api.request("POST", "/api/webhook/stripe", body.encode(),
                       headers={"Content-Type": "application/json", "Stripe-Signature": signature},
                       **kw)


def session(ident, amount=100, status="paid", mode="payment", **more):
    return {"id": ident, "object": "checkout.session", "amount_subtotal": amount,
            "amount_total": amount, "client_reference_id": None, "currency": "usd", "customer": None,
            "customer_details": {"email": "payer@example.com"}, "customer_email": None,
            "invoice": None, "livemode": False, "metadata": {}, "mode": mode,
            "payment_intent": f"pi_{ident}", "payment_status": status, "status": "complete",
            "subscription": None, "url": None, **more}


def dispute(ident, amount, intent, status):
    return {"id": ident, "object": "dispute", "amount": amount, "charge": "ch_" + ident,
            "currency": "usd", "metadata": {}, "payment_intent": intent, "reason": "fraudulent",
            "status": status}


def charge(ident, amount, refunded, intent):
    return {"id": ident, "object": "charge", "amount": amount, "amount_refunded": refunded,
            "currency": "usd", "customer": None, "metadata": {}, "payment_intent": intent,
            "refunded": refunded == amount}
