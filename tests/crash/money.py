#!/usr/bin/env python3
"""Kills and power cuts on the money path: every acknowledged task, charge and booking once.

    tests/crash/money.py kill   [--cycles N] [--seed S]
    tests/crash/money.py points [--cycles N] [--seed S]          (sanitizer build: named crash points)
    tests/crash/money.py power  [--cycles N] [--seed S] [--control] --shim powercut.so

Eight clients run tasks against a stand-in provider and deliver Stripe events while the server dies.
What was not answered is sent again with its idempotency key, or delivered again, as real clients do.
At the end the database itself is read: the ledger balances, equals the charges, the tasks and the
roll-ups, and no reservation is open.
"""
import argparse
import contextlib
import hashlib
import hmac
import http.client
import json
import os
import random
import re
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
import uuid

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "api"))
from client import ROOT, Api  # noqa: E402
from disk import Machine  # noqa: E402
from server import Server  # noqa: E402

SECRET = "whsec_test_of_the_crash_suite"
POINTS = ["hold-taken", "open-written", "open-committed", "reply-received", "settle-written", "settle-committed",
          "answered", "event-verified", "event-booked", "event-committed"]
TASKERS, PAYERS = 6, 2


class StandIn:
    """The provider: outlives the server, so that what it delivered can be compared."""

    def __init__(self):
        program = os.path.join(ROOT, "build", "release", "standin_upstream")
        self.process = subprocess.Popen([program], stdout=subprocess.PIPE)
        line = self.process.stdout.readline().decode()
        self.port = int(re.search(r":(\d+)\s*$", line).group(1))

    def stats(self):
        c = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        c.request("GET", "/control/stats")
        return json.loads(c.getresponse().read())

    def stop(self):
        self.process.kill()
        self.process.wait()


def environment(upstream):
    return {"OPENAI_API_KEY": "sk-crash", "OPENAI_BASE_URL": f"http://127.0.0.1:{upstream.port}/v1",
            "STRIPE_WEBHOOK_SECRET": SECRET}


class Truth:
    """What the clients were told, and what they do not know."""

    def __init__(self):
        self.lock = threading.Lock()
        self.tasks = {}    # task id -> (key, cost, tokens)
        self.failed = {}   # key -> status of a failure that was answered
        self.unknown = {}  # key -> body: sent, not answered
        self.events = {}   # event id -> (minor units, body): acknowledged
        self.waiting = {}  # event id -> (minor units, body): delivered, not acknowledged


def send_task(api, truth, key, body):
    """True when an answer came."""
    try:
        r = api.request("POST", "/api/task", body, {"Idempotency-Key": key}, check=False, timeout=30)
    except (OSError, http.client.HTTPException):
        with truth.lock:
            truth.unknown[key] = body
        return False
    reply = r.json()
    with truth.lock:
        if r.status == 409 or r.status == 503 and "the server stopped" not in reply["error"]:
            truth.unknown[key] = body  # still running, or refused before anything was written
            return True
        truth.unknown.pop(key, None)
        if r.status == 200:
            truth.tasks[reply["task_id"]] = (key, reply["cost"], reply["tokens_used"])
        else:
            truth.failed[key] = r.status
    return True


def tasker(server, truth, stop, seed):
    rng, api = random.Random(seed), Api(server.host, server.port, server.key)
    while not stop.is_set():
        body = {"prompt": f"question {rng.random()} " + "word " * rng.randrange(1, 60), "provider": "openai",
                "model": rng.choice(["gpt-4o-mini", "gpt-4.1-mini"]),
                "user_id": rng.choice(["ann@example.com", "bob@example.com", 3, 4])}
        if not send_task(api, truth, str(uuid.UUID(int=rng.getrandbits(128))), body):
            return


def signed(body):
    t = str(int(time.time()))
    mac = hmac.new(SECRET.encode(), f"{t}.{body}".encode(), hashlib.sha256).hexdigest()
    return f"t={t},v1={mac}"


def deliver(api, truth, ident, minor, body):
    try:
        r = api.request("POST", "/api/webhook/stripe", body.encode(),
                        {"Stripe-Signature": signed(body), "Content-Type": "application/json"}, check=False, timeout=30)
    except (OSError, http.client.HTTPException):
        with truth.lock:
            truth.waiting[ident] = (minor, body)
        return False
    with truth.lock:
        if r.status == 200:
            truth.waiting.pop(ident, None)
            truth.events[ident] = (minor, body)
        else:
            truth.waiting[ident] = (minor, body)
    return True


def payer(server, truth, stop, seed):
    rng, api = random.Random(seed), Api(server.host, server.port, server.key)
    while not stop.is_set():
        n, minor = rng.getrandbits(64), rng.randrange(50, 5000)
        ident = f"evt_{n:x}"
        body = json.dumps({
            "id": ident, "object": "event", "type": "checkout.session.completed", "created": int(time.time()),
            "data": {"object": {"id": f"cs_{n:x}", "object": "checkout.session", "mode": "payment",
                                "payment_status": "paid", "amount_total": minor, "currency": "usd",
                                "payment_intent": f"pi_{n:x}", "customer_details": {"email": "ann@example.com"}}}})
        if not deliver(api, truth, ident, minor, body):
            return
        if rng.random() < 0.3 and not deliver(api, truth, ident, minor, body):  # Stripe delivers twice
            return
        time.sleep(rng.uniform(0, 0.01))


def run_clients(server, truth, stop, rng):
    threads = [threading.Thread(target=tasker, args=(server, truth, stop, rng.random())) for _ in range(TASKERS)]
    threads += [threading.Thread(target=payer, args=(server, truth, stop, rng.random())) for _ in range(PAYERS)]
    for t in threads:
        t.start()
    return threads


def send_again(api, truth):
    """Clients ask again for what they never heard of."""
    for _ in range(200):
        for key, body in list(truth.unknown.items()):
            send_task(api, truth, key, body)
        for ident, (minor, body) in list(truth.waiting.items()):
            deliver(api, truth, ident, minor, body)
        if not truth.unknown and not truth.waiting:
            return []
        time.sleep(0.05)
    return [f"{len(truth.unknown)} tasks and {len(truth.waiting)} events are still not answered"]


def nano(value):
    """A JSON number in nano-dollars, exactly."""
    return round(value * 1e9)


def check_api(api, truth, rng):
    problems = []
    for ident in rng.sample(sorted(truth.tasks), min(40, len(truth.tasks))):
        key, cost, tokens = truth.tasks[ident]
        r = api.request("GET", f"/api/task/{ident}", check=False)
        if r.status != 200 or r.json()["status"] != "completed" or nano(r.json()["cost"]) != nano(cost) \
                or r.json()["tokens_used"] != tokens:
            problems.append(f"task {ident} was answered with cost {cost}, but is {r}")
    stats = api.request("GET", "/api/stats", check=False).json()
    income = sum(minor for minor, _ in truth.events.values()) * 10_000_000
    if nano(stats["financials"]["total_income"]) != income:
        problems.append(f"income is {stats['financials']['total_income']}, {income} nanos were acknowledged")
    if nano(stats["financials"]["total_expenses"]) != nano(stats["tasks"]["total_cost"]):
        problems.append(f"expenses and the tasks' cost differ: {stats}")
    return problems


def one(db, sql):
    return db.execute(sql).fetchone()[0] or 0


def check_books(data, truth):
    """The database of a stopped server."""
    problems = []
    with contextlib.closing(sqlite3.connect(os.path.join(data, "millrace.db"))) as db:
        tasks = {k: (i, s, c, t, ch) for k, i, s, c, t, ch in db.execute(
            "SELECT k.key, t.id, t.status, t.cost_nano, t.tokens, t.charge_id FROM task_idempotency k "
            "JOIN tasks t ON t.account_id = k.account_id AND t.id = k.task_id")}
        for ident, (key, cost, tokens) in truth.tasks.items():
            row = tasks.get(key)
            if not row or row[0] != ident or row[1] != 2 or row[2] != nano(cost) or row[3] != tokens:
                problems.append(f"task {ident} was acknowledged with cost {cost}, the row says {row}")
        for key in truth.failed:
            if key in tasks and tasks[key][1] != 3:
                problems.append(f"a task was answered as failed, its row says {tasks[key]}")
        figures = {
            "open charges": one(db, "SELECT COUNT(*) FROM charges WHERE state = 0"),
            "unfinished tasks": one(db, "SELECT COUNT(*) FROM tasks WHERE status < 2"),
            "charges without their entry": one(
                db, "SELECT COUNT(*) FROM charges c LEFT JOIN ledger l ON l.id = c.entry AND l.charge = c.id "
                    "WHERE c.state = 1 AND l.id IS NULL"),
            "charges booked twice": one(
                db, "SELECT COUNT(*) FROM (SELECT charge FROM ledger WHERE charge > 0 GROUP BY charge HAVING COUNT(*) > 1)"),
            "tasks whose cost differs from their entry": one(
                db, "SELECT COUNT(*) FROM tasks t LEFT JOIN ledger l ON l.charge = t.charge_id "
                    "WHERE COALESCE(l.amount, 0) <> t.cost_nano"),
            "difference of ledger and tasks": one(db, "SELECT SUM(amount) FROM ledger WHERE kind = 1")
            - one(db, "SELECT SUM(cost_nano) FROM tasks"),
            "difference of ledger and roll-ups": one(db, "SELECT SUM(amount) FROM ledger")
            - one(db, "SELECT SUM(amount) FROM spend_quarters"),
            "difference of income and acknowledged events": one(db, "SELECT SUM(amount) FROM ledger WHERE kind = 2")
            - sum(minor for minor, _ in truth.events.values()) * 10_000_000,
            "difference of income entries and acknowledged events": one(
                db, "SELECT COUNT(*) FROM ledger WHERE kind = 2") - len(truth.events),
            "entries with the same book on both sides": one(db, "SELECT COUNT(*) FROM ledger WHERE debit = credit"),
        }
        problems += [f"{what}: {n}" for what, n in figures.items() if n]
    return problems


def after(server, truth, rng):
    api = Api(server.host, server.port, server.key)
    return send_again(api, truth) or check_api(api, truth, rng)


FLAGS = ["--rate-limits", "off", "--log-level", "error"]


def kills(args, rng, upstream, truth):
    with tempfile.TemporaryDirectory(prefix="millrace-money-") as data:
        server = Server(data_dir=data, flags=FLAGS, env=environment(upstream)).start()
        for cycle in range(args.cycles):
            stop = threading.Event()
            threads = run_clients(server, truth, stop, rng)
            time.sleep(rng.uniform(0.05, 0.4))
            server.kill()
            stop.set()
            for t in threads:
                t.join()
            server.start()
            problems = after(server, truth, rng)
            if problems:
                server.close()
                return cycle + 1, problems
        server.stop()
        server.close()
        return args.cycles, check_books(data, truth)


def points(args, rng, upstream, truth):
    binary = os.path.join(ROOT, "build", "asan", "millrace")
    n = 0
    with tempfile.TemporaryDirectory(prefix="millrace-money-") as data:
        for cycle in range(args.cycles):
            for point in POINTS:
                n += 1
                env = {**environment(upstream), "MR_CRASH_AT": f"{point}:{rng.randrange(1, 30)}"}
                server = Server(data_dir=data, flags=FLAGS, env=env, binary=binary).start(wait=60)
                stop = threading.Event()
                threads = run_clients(server, truth, stop, rng)
                try:
                    server.process.wait(60)
                except subprocess.TimeoutExpired:
                    stop.set()
                    server.kill()
                    return n, [f"the server never reached the crash point {point}"]
                stop.set()
                for t in threads:
                    t.join()
                server.close()
                server = Server(data_dir=data, flags=FLAGS, env=environment(upstream), binary=binary).start(wait=60)
                problems = after(server, truth, rng)
                status = server.stop()
                server.close()
                problems = problems or check_books(data, truth)
                if not problems and status:
                    problems = [f"the server ended with {status}: {server.log_text()[-2000:]}"]
                if problems:
                    return n, [f"{point}: {p}" for p in problems]
    return n, []


def power(args, rng, upstream, truth):
    with tempfile.TemporaryDirectory(prefix="millrace-money-") as top:
        machine = Machine(top, args.shim, args.control)
        server = machine.server(FLAGS, environment(upstream)).start()
        for cycle in range(args.cycles):
            stop = threading.Event()
            threads = run_clients(server, truth, stop, rng)
            time.sleep(rng.uniform(0.05, 0.5))
            server.kill()
            stop.set()
            for t in threads:
                t.join()
            server.close()
            machine.cut(rng if cycle % 2 else None)
            server = machine.server(FLAGS, environment(upstream))
            try:
                server.start()
            except AssertionError as e:
                return cycle + 1, [f"the server does not start after the cut: {str(e)[-600:]}"]
            problems = after(server, truth, rng)
            if problems:
                server.close()
                return cycle + 1, problems
        server.stop()
        server.close()
        return args.cycles, check_books(machine.data, truth)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("mode", choices=["kill", "points", "power"])
    parser.add_argument("--cycles", type=int, default=10)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--control", action="store_true", help="synchronous=NORMAL: something must be lost")
    parser.add_argument("--shim")
    args = parser.parse_args()
    rng, upstream, truth = random.Random(args.seed), StandIn(), Truth()
    try:
        cycles, problems = {"kill": kills, "points": points, "power": power}[args.mode](args, rng, upstream, truth)
        delivered = upstream.stats()["delivered"]
    finally:
        upstream.stop()
    for p in problems[:8]:
        print(f"seed {args.seed}: {p}")
    failed = bool(problems) != args.control
    print(f"{args.mode}{' with synchronous=NORMAL' if args.control else ''}: {cycles} cycles, {len(truth.tasks)} tasks "
          f"completed, {len(truth.failed)} cut short, {len(truth.events)} payments, {delivered} answers delivered by the "
          f"provider: {'something was lost or doubled' if problems else 'nothing was lost or doubled'}")
    print("0 passed, 1 failed" if failed else "1 passed, 0 failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
