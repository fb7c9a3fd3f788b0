"""Our gateway against others over the same upstream; see ../README.md.

    python3 bench/gateway/run.py [--seconds 4] [--rounds 3] [--peers ours,nginx,…] [--rows 170000]

Ours runs as a user runs it: key checked, budget held, every request reserved and settled in the
durable ledger before it is answered. The others authenticate and keep what docs/BENCHMARKS.md says.
Standard library only. Loopback only.
"""
import argparse
import contextlib
import http.client
import json
import os
import pathlib
import shutil
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
from servers import Millrace, Server, call  # noqa: E402

ROOT = HERE.parent.parent
CACHE = pathlib.Path(os.environ.get("MILLRACE_CACHE", pathlib.Path.home() / ".cache/millrace"))
MASTER = "mk-bench-5f0c1e7b93a84d26a1c0e8d75b42"
PROMPT = "What is artificial intelligence? Answer in one paragraph of about a hundred words, please."
CHAT = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": PROMPT}]}
PORTS = {"upstream": 9901, "nginx": 9902, "litellm": 9904, "portkey": 9905, "ours": 9908}


def fill(work, name, **values):
    text = (HERE / name).read_text()
    for key, value in values.items():
        text = text.replace(key, str(value))
    path = work / name
    path.write_text(text)
    return path


def fdatasync_us(folder, n=200):
    """The disk's own time for what a group commit does: 4 KiB appended and flushed."""
    times = []
    fd = os.open(folder / "fdatasync", os.O_CREAT | os.O_WRONLY)
    for _ in range(n):
        begin = time.perf_counter()
        os.write(fd, b"x" * 4096)
        os.fdatasync(fd)
        times.append((time.perf_counter() - begin) * 1e6)
    os.close(fd)
    return statistics.median(times)


class Peer:
    """A running gateway and how to talk to it."""

    def __init__(self, server, path, body, headers=()):
        self.server, self.path, self.body, self.headers = server, path, body, list(headers)

    def once(self, stream=False):
        headers = dict(h.split(": ", 1) for h in self.headers)
        headers["Content-Type"] = "application/json"
        body = {**self.body, "stream": True} if stream else self.body
        return call(self.server.port, "POST", self.path, json.dumps(body), headers)


def start_upstream(work):
    program = ROOT / "build/release/standin_upstream"
    up = Server("direct", [program, "--port", PORTS["upstream"]], PORTS["upstream"], "/v1/chat/completions")
    return Peer(up, "/v1/chat/completions", CHAT, ["Authorization: Bearer sk-bench"])


def start_nginx(work):
    conf = fill(work, "nginx.conf", UPSTREAM=PORTS["upstream"], PORT=PORTS["nginx"])
    server = Server("nginx", ["nginx", "-c", conf, "-p", work, "-e", "stderr"], PORTS["nginx"], "/", log=work / "nginx.log")
    return Peer(server, "/v1/chat/completions", CHAT)


def start_ours(work, flags=()):
    os.environ["OPENAI_API_KEY"] = "sk-bench"
    os.environ["OPENAI_BASE_URL"] = f"http://127.0.0.1:{PORTS['upstream']}/v1"
    server = Millrace("millrace", ROOT / "build/millrace", work / "data", PORTS["ours"], "--log-level", "warn", *flags)
    made = server.api("POST", "/auth/api-keys", json.dumps({"name": "bench", "monthly_budget_usd": 1000000}))
    body = {"prompt": PROMPT, "provider": "openai", "model": "gpt-4o-mini", "user_id": "bench@example.com"}
    return Peer(server, "/api/task", body, [f"Authorization: Bearer {made['key']}"])


def start_litellm(work):
    conf = fill(work, "litellm.yaml", UPSTREAM=PORTS["upstream"], MASTER=MASTER)
    server = Server("litellm", [CACHE / "bench-litellm/bin/litellm", "--config", conf, "--host", "127.0.0.1",
                                "--port", PORTS["litellm"], "--num_workers", 2, "--run_gunicorn"],
                    PORTS["litellm"], "/", env={"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_LOG": "ERROR",
                                                "LITELLM_MODE": "PRODUCTION",
                                                "PATH": f"{CACHE}/bench-litellm/bin:{os.environ['PATH']}"},
                    log=work / "litellm.log")
    return Peer(server, "/v1/chat/completions", CHAT, [f"Authorization: Bearer {MASTER}"])


def start_tensorzero(work):
    conf = fill(work, "tensorzero.toml", UPSTREAM=PORTS["upstream"])
    log = work / "tensorzero.log"
    server = Server("tensorzero", [CACHE / "bench-tensorzero/bin/python", HERE / "tensorzero_gateway.py", conf], 0, "/",
                    env={"OPENAI_API_KEY": "sk-bench", "RUST_LOG": "warn"}, log=log)
    end = time.monotonic() + 60
    while time.monotonic() < end:
        lines = [line for line in log.read_text().splitlines() if line.isdigit()]
        if lines:
            server.port = int(lines[0])
            break
        time.sleep(0.1)
    body = {**CHAT, "model": "tensorzero::model_name::gpt-4o-mini"}
    return Peer(server, "/openai/v1/chat/completions", body)


def start_portkey(work):
    entry = CACHE / "bench-portkey/node_modules/@portkey-ai/gateway/build/start-server.js"
    server = Server("portkey", ["node", entry, f"--port={PORTS['portkey']}", "--headless"], PORTS["portkey"], "/",
                    env={"NODE_ENV": "production"}, log=work / "portkey.log")
    return Peer(server, "/v1/chat/completions", CHAT,
                ["Authorization: Bearer sk-bench", "x-portkey-provider: openai",
                 f"x-portkey-custom-host: http://127.0.0.1:{PORTS['upstream']}/v1"])


STARTERS = {"ours": start_ours, "nginx": start_nginx, "tensorzero": start_tensorzero, "portkey": start_portkey,
            "litellm": start_litellm}


def wait_ready(peer, seconds=120):
    end = time.monotonic() + seconds
    reply = None
    while time.monotonic() < end:
        if peer.server.process.poll() is not None:
            raise RuntimeError(f"{peer.server.name} ended with {peer.server.process.returncode}")
        with contextlib.suppress(OSError, http.client.HTTPException):
            reply = peer.once()
            if reply[0] == 200:
                return
        time.sleep(0.1)
    raise RuntimeError(f"{peer.server.name} does not answer: {reply}")


def load(peer, work, connections, seconds, stream):
    body = {**peer.body, "stream": True} if stream else peer.body
    path = work / "body.json"
    path.write_text(json.dumps(body))
    before = peer.server.cpu_us()
    text = subprocess.run(
        ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "30s", "-s", HERE.parent / "wrk/chat.lua",
         f"http://127.0.0.1:{peer.server.port}{peer.path}", "--", str(path), *peer.headers],
        check=True, capture_output=True, text=True).stdout
    r = json.loads(text.strip().splitlines()[-1])
    used = peer.server.cpu_us() - before
    n = max(1, r["requests"])
    return {"rps": r["requests"] / r["seconds"], "p50_ms": r["p50"] / 1000, "p99_ms": r["p99"] / 1000,
            "cpu_us": used / n, "bad": r["bad"], "bytes": r["bytes"] / n}


def medians(runs):
    return {k: round(statistics.median(r[k] for r in runs), 3) for k in runs[0]}


def ledger_rows(data):
    with contextlib.closing(sqlite3.connect(f"file:{data}/millrace.db?mode=ro", uri=True)) as db:
        return db.execute("SELECT COUNT(*) FROM ledger").fetchone()[0]


def count_rows(peer, work, want):
    """Answers `want` requests and compares them with the ledger; memory before and after."""
    before_rows, before_mb, answered = ledger_rows(peer.server.data), peer.server.memory_mb()[0], 0
    before_delivered = json.loads(call(PORTS["upstream"], "GET", "/control/stats")[1])["delivered"]
    curve = [round(before_mb, 1)]
    while answered < want:
        path = work / "body.json"
        path.write_text(json.dumps(peer.body))
        text = subprocess.run(
            ["wrk", "-t1", "-c32", "-d10s", "-s", HERE.parent / "wrk/chat.lua",
             f"http://127.0.0.1:{peer.server.port}{peer.path}", "--", str(path), *peer.headers],
            check=True, capture_output=True, text=True).stdout
        r = json.loads(text.strip().splitlines()[-1])
        if r["bad"]:
            raise RuntimeError(f"{r['bad']} requests failed")
        answered += r["requests"]
        curve.append(round(peer.server.memory_mb()[0], 1))
    # wrk leaves up to 32 requests under way at the end of a run: answered and charged, but not counted by it.
    time.sleep(1)
    rows = ledger_rows(peer.server.data) - before_rows
    delivered = json.loads(call(PORTS["upstream"], "GET", "/control/stats")[1])["delivered"] - before_delivered
    return {"counted_by_client": answered, "delivered_by_upstream": delivered, "rows": rows, "rss_mb": curve}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--peers", default=",".join(STARTERS))
    parser.add_argument("--rows", type=int, default=0, help="also answer so many and count the ledger's rows")
    parser.add_argument("--stream", action="store_true", help="streaming instead of plain replies")
    args = parser.parse_args()
    work = pathlib.Path(tempfile.mkdtemp(prefix="millrace-gateway-"))
    upstream = start_upstream(work)
    peers = {"direct": upstream}
    out = {"fdatasync_us": round(fdatasync_us(work), 1), "stream": args.stream, "peers": {}}
    try:
        wait_ready(upstream, 10)
        for name in args.peers.split(","):
            peers[name] = STARTERS[name](work)
            wait_ready(peers[name])
        runs = {name: {1: [], 32: []} for name in peers}
        for _ in range(args.rounds):
            for name, peer in peers.items():
                for c in (1, 32):
                    runs[name][c].append(load(peer, work, c, args.seconds, args.stream))
        for name, peer in peers.items():
            out["peers"][name] = {"c1": medians(runs[name][1]), "c32": medians(runs[name][32]),
                                  "rss_mb": round(peer.server.memory_mb()[0], 1)}
        if args.rows:
            out["rows"] = count_rows(peers["ours"], work, args.rows)
    finally:
        for peer in peers.values():
            peer.server.stop()
        shutil.rmtree(work, ignore_errors=True)
    print(json.dumps(out, indent=1))


if __name__ == "__main__":
    main()
