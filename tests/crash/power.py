#!/usr/bin/env python3
"""Power cuts under load: only what was flushed to the disk survives, and that must be enough.

    tests/crash/power.py [--cycles N] [--seed S] [--control] --shim powercut.so

The shim (powercut.c) keeps every file as of its last fsync and every folder as of its own. After
kill -9 the data dir is rebuilt from that. Every second cut is strict (nothing else survives); the
others are torn: of what was not flushed, a random half of the 512-byte sectors and of the folder
entries survives too, as on a real disk. Metering is synchronous in half of the cycles: then no
acknowledged prediction may be missing either.

--control runs the database with synchronous=NORMAL and must find something lost: a check that
cannot fail proves nothing.
"""
import argparse
import os
import random
import sys
import tempfile
import threading
import time

from load import MODEL, Truth, check, start_clients
from client import Api
from disk import Machine


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cycles", type=int, default=10)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--control", action="store_true")
    parser.add_argument("--shim", required=True)
    args = parser.parse_args()
    rng = random.Random(args.seed)
    with open(MODEL, "rb") as f:
        model = f.read()
    truth, problems, cycle = Truth(), [], 0
    with tempfile.TemporaryDirectory(prefix="millrace-power-") as top:
        machine = Machine(top, args.shim, args.control)
        flags = ["--rate-limits", "off", "--log-level", "warn"]
        server = machine.server(flags + ["--metering-sync", "on"])
        server.start()
        key = server.key
        dep = Api(server.host, server.port, key).deploy(model, name="measured").json()["id"]
        for cycle in range(args.cycles):
            sync = cycle % 4 < 2
            stop, before = threading.Event(), truth.acked
            threads = start_clients(server, model, dep, truth, stop)
            time.sleep(rng.uniform(0.05, 0.6))
            server.kill()
            stop.set()
            for t in threads:
                t.join()
            server.close()
            torn = cycle % 2 == 1
            machine.cut(rng if torn else None)
            server = machine.server(flags + ["--metering-sync", "on" if (cycle + 1) % 4 < 2 else "off"])
            try:
                server.start()
            except AssertionError as e:
                problems = [f"the server does not start after the cut: {str(e)[-600:]}"]
                break
            if server.key != key:
                problems = ["the operator's key changed"]
                break
            may_lose = 0 if sync else truth.acked - before
            problems += check(Api(server.host, server.port, server.key), dep, truth, may_lose)
            if not sync and not problems:
                counted = Api(server.host, server.port, server.key).get(f"/api/v1/deployments/{dep}").json()
                truth.acked = min(truth.acked, counted["metrics_summary"]["total_predictions"])
            if problems:
                problems = [f"cycle {cycle} ({'torn' if torn else 'strict'} cut, seed {args.seed}): {p}"
                            for p in problems]
                break
        if not problems:
            status = server.stop()
            if status:
                problems = [f"the server ended with {status}: {server.log_text()[-1000:]}"]
        server.close()
    for p in problems[:5]:
        print(p)
    failed = bool(problems) != args.control
    print(f"{cycle + 1} power cuts{' with synchronous=NORMAL' if args.control else ''}, {truth.acked} predictions "
          f"acknowledged, {len(truth.deployments)} deployments, {len(truth.keys)} keys: "
          + ("something was lost" if problems else "nothing was lost"))
    print("1 passed, 0 failed" if not failed else "0 passed, 1 failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
