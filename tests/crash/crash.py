#!/usr/bin/env python3
"""Kill -9 under load: what was acknowledged is there after the restart, and nothing counts twice.

    tests/crash/crash.py [--cycles N] [--seed S]

Each cycle runs clients that deploy, create keys and predict, kills the server at a random moment,
starts it again on the same data dir and compares. Requests whose answer never came may or may not
have happened; predictions counted must lie between the acknowledged ones and those plus the unknown.
"""
import argparse
import random
import sys
import tempfile
import threading
import time

from load import MODEL, Truth, check, start_clients
from client import Api
from server import Server


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cycles", type=int, default=20)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    args = parser.parse_args()
    rng = random.Random(args.seed)
    model = open(MODEL, "rb").read()
    failed, truth, dep = 0, Truth(), None
    with tempfile.TemporaryDirectory(prefix="millrace-crash-") as data:
        server = Server(data_dir=data, flags=["--rate-limits", "off", "--log-level", "warn"])
        server.start()
        api = Api(server.host, server.port, server.key)
        dep = api.deploy(model, name="measured").json()["id"]
        for cycle in range(args.cycles):
            stop = threading.Event()
            threads = start_clients(server, model, dep, truth, stop)
            time.sleep(rng.uniform(0.05, 0.4))
            server.kill()
            stop.set()
            for t in threads:
                t.join()
            server.start()
            api = Api(server.host, server.port, server.key)
            problems = check(api, dep, truth)
            failed += bool(problems)
            for p in problems[:5]:
                print(f"cycle {cycle} (seed {args.seed}): {p}")
            if problems:
                break
        status = server.stop()
        if status:
            print(f"the server ended with {status}: {server.log_text()[-1000:]}")
            failed += 1
        server.close()
    print(f"{args.cycles} kills, {truth.acked} predictions acknowledged, {truth.unknown} unknown, "
          f"{len(truth.deployments)} deployments, {len(truth.keys)} keys")
    print("1 passed, 0 failed" if not failed else "0 passed, 1 failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
