"""The gateway against an HTTP/2 server that is not ours: nginx, over TLS, in front of the stand-in upstream.

    check_h2.py [FOLDER]        of the programs millrace and standin_upstream, default build/release
"""
import collections
import concurrent.futures
import http.client
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
PATIENCE_S = 120
STREAMS = 100  # that a connection may have at a time
CONF = """
worker_processes 1;
daemon off;
pid nginx.pid;
error_log error.log error;
events {{ worker_connections 2048; }}
http {{
    log_format seen "$server_protocol $ssl_protocol $connection $status";
    access_log seen.log seen;
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    server {{
        listen 127.0.0.1:{port} ssl {h2};
        server_name localhost;
        ssl_certificate cert.pem;
        ssl_certificate_key key.pem;
        http2_max_concurrent_streams {streams};
        keepalive_requests {requests};
        location / {{ proxy_pass {upstream}; proxy_http_version 1.1; proxy_buffering off; }}
    }}
}}
"""
results = []


def until(fn, what):
    end = time.monotonic() + PATIENCE_S
    while not fn():
        assert time.monotonic() < end, f"never: {what}"
        time.sleep(0.01)


class Front:
    """HTTP/2 on TLS in front of an HTTP/1.1 server; its log says what it saw."""

    def __init__(self, folder, upstream, requests=1000000, h2="http2"):
        self.folder, self.upstream, self.begin = folder, upstream, 0
        self.cert = os.path.join(folder, "cert.pem")
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                        "-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-keyout",
                        os.path.join(folder, "key.pem"), "-out", self.cert], check=True, capture_output=True)
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            self.port = s.getsockname()[1]
        with open(os.path.join(folder, "nginx.conf"), "w") as f:
            f.write(CONF.format(port=self.port, upstream=upstream, requests=requests, h2=h2, streams=STREAMS))
        self.process = subprocess.Popen([shutil.which("nginx", path=os.environ["PATH"] + ":/usr/sbin"), "-p", folder,
                                         "-c", "nginx.conf"], stderr=subprocess.DEVNULL)
        until(self.listens, "nginx listens")

    def listens(self):
        with socket.socket() as s:
            return s.connect_ex(("127.0.0.1", self.port)) == 0

    def lines(self):
        with open(os.path.join(self.folder, "seen.log")) as f:
            return [line.split() for line in f if len(line.split()) == 4][self.begin:]

    def forget(self):
        self.begin += len(self.lines())
        urllib.request.urlopen(urllib.request.Request(self.upstream + "/control/reset", b"{}")).read()

    def seen(self, n):
        """Protocols and requests a connection, once n requests have ended."""
        until(lambda: len(self.lines()) >= n, f"{n} requests in nginx's log")
        rows = self.lines()
        assert len(rows) == n, f"{len(rows)} requests for {n}"
        return {r[0] for r in rows}, collections.Counter(r[2] for r in rows)

    def stats(self):
        return json.loads(urllib.request.urlopen(self.upstream + "/control/stats").read())

    def close(self):
        self.process.terminate()
        self.process.wait()


class Millrace:
    def __init__(self, program, front, folder, deadline_ms):
        env = {k: v for k, v in os.environ.items() if not k.startswith(("MILLRACE_", "OPENAI_", "MISTRAL_", "SSL_"))}
        env |= {"OPENAI_API_KEY": "sk-test", "OPENAI_BASE_URL": f"https://localhost:{front.port}/v1",
                "SSL_CERT_FILE": front.cert, "MILLRACE_TASK_DEADLINE_MS": str(deadline_ms)}
        self.process = subprocess.Popen([program, "serve", "--data-dir", folder, "--listen", "127.0.0.1:0"], env=env,
                                        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        greeting = ""
        for line in self.process.stdout:
            greeting += line.decode()
            if line.startswith(b"Deploy a model"):
                break
        self.port = int(re.search(r"serves on http://127.0.0.1:(\d+)", greeting).group(1))
        self.key = re.search(r"^API key:\s+(\S+)", greeting, re.M).group(1)

    def request(self, prompt, **more):
        body = json.dumps({"prompt": prompt, "provider": "openai", "model": "gpt-4o-mini", "user_id": "h2", **more})
        return body, {"Authorization": f"Bearer {self.key}", "Content-Type": "application/json"}

    def task(self, prompt, **more):
        c = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_S)
        body, headers = self.request(prompt, **more)
        c.request("POST", "/api/task", body, headers)
        r = c.getresponse()
        text = r.read().decode()
        c.close()
        return r.status, text

    def hang_up(self, prompt, after):
        body, headers = self.request(prompt, stream=True)
        head = "".join(f"{k}: {v}\r\n" for k, v in headers.items())
        with socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE_S) as s:
            s.sendall(f"POST /api/task HTTP/1.1\r\nHost: a\r\n{head}Content-Length: {len(body)}\r\n\r\n{body}".encode())
            got = b""
            while len(got) < after:
                got += s.recv(4096)

    def close(self):
        self.process.terminate()
        self.process.wait()


def many(fn, n):
    with concurrent.futures.ThreadPoolExecutor(n) as pool:
        return list(pool.map(fn, range(n)))


def whole(text):
    return text.rstrip().endswith("[DONE]")


def cases(front, ours):
    def h2_is_negotiated():
        status, text = ours.task("hello")
        assert status == 200, text
        assert front.seen(1)[0] == {"HTTP/2.0"}

    def many_requests_share_a_connection():
        front.forget()
        answers = many(lambda i: ours.task(f"[standin fault=slow arg=300] number {i}"), STREAMS)
        assert all(status == 200 for status, _ in answers), answers
        protocols, connections = front.seen(STREAMS)
        assert protocols == {"HTTP/2.0"} and len(connections) == 1, connections
        assert front.stats()["in_flight_peak"] > STREAMS / 5

    def more_than_its_streams_are_answered():
        """libcurl 7.88 opens a connection of its own for each that finds no place, sometimes for fewer."""
        front.forget()
        answers = many(lambda i: ours.task(f"[standin fault=slow arg=500] burst {i}"), 220)
        assert all(status == 200 for status, _ in answers), answers
        protocols, connections = front.seen(220)
        assert protocols == {"HTTP/2.0"} and len(connections) <= 220 - STREAMS + 1, len(connections)

    def streams_come_whole():
        front.forget()
        answers = many(lambda i: ours.task(f"[standin fault=events arg=10 out=30] stream {i}", stream=True), 40)
        assert all(status == 200 and whole(text) and text.count("data:") >= 30 for status, text in answers), answers[0]
        assert front.seen(40)[0] == {"HTTP/2.0"}

    def who_hangs_up_ends_only_their_own():
        """The gateway reads on to know what it cost."""
        front.forget()
        with concurrent.futures.ThreadPoolExecutor(40) as pool:
            stay = [pool.submit(ours.task, f"[standin fault=events arg=30 out=40] stay {i}", stream=True)
                    for i in range(8)]
            go = [pool.submit(ours.hang_up, f"[standin fault=events arg=40 out=60] go {i}", 400) for i in range(24)]
            for f in go:
                f.result()
            answers = [f.result() for f in stay]
        assert all(status == 200 and whole(text) for status, text in answers)
        _, connections = front.seen(32)
        assert ours.task("and the connections live on")[0] == 200
        assert set(front.seen(33)[1]) == set(connections)

    def a_stream_that_is_reset_harms_no_other():
        front.forget()
        with concurrent.futures.ThreadPoolExecutor(16) as pool:
            stay = [pool.submit(ours.task, f"[standin fault=slow arg=700] stay {i}") for i in range(8)]
            cut = pool.submit(ours.task, "[standin fault=close-midway] cut")
            status, text = cut.result()
            assert status == 502 and json.loads(text)["error"], text
            assert all(f.result()[0] == 200 for f in stay)

    for fn in (h2_is_negotiated, many_requests_share_a_connection, streams_come_whole,
               who_hangs_up_ends_only_their_own, a_stream_that_is_reset_harms_no_other,
               more_than_its_streams_are_answered):
        judge(fn)


def judge(fn):
    try:
        fn()
        results.append(True)
        print(f"ok    {fn.__name__}", flush=True)
    except Exception as e:
        results.append(False)
        print(f"FAIL  {fn.__name__}: {type(e).__name__}: {str(e)[:2000]}", flush=True)


def with_front(programs, upstream, fn, deadline_ms=60000, **settings):
    with tempfile.TemporaryDirectory(prefix="millrace-h2-") as folder:
        front = Front(folder, upstream, **settings)
        ours = Millrace(os.path.join(programs, "millrace"), front, os.path.join(folder, "data"), deadline_ms)
        try:
            fn(front, ours)
        finally:
            ours.close()
            front.close()


def goodbyes(front, ours):
    """The server ends each connection after some requests: GOAWAY, and the next begins."""
    def a_server_that_says_goodbye_loses_nothing():
        front.forget()
        answers = many(lambda i: [ours.task(f"goodbye {i} {k}") for k in range(8)], 16)
        wrong = [text for one in answers for status, text in one if status != 200]
        assert not wrong, (len(wrong), wrong[0])
        protocols, connections = front.seen(128)
        assert len(connections) > 3 and protocols == {"HTTP/2.0"}
    judge(a_server_that_says_goodbye_loses_nothing)


def deadlines(front, ours):
    def what_is_given_up_frees_its_stream_only():
        front.forget()
        with concurrent.futures.ThreadPoolExecutor(24) as pool:
            late = [pool.submit(ours.task, f"[standin fault=hang-midway] late {i}", stream=i % 2 == 0) for i in range(4)]
            until(lambda: front.stats()["streams"] >= 2, "they are under way")
            good = []
            while not all(f.done() for f in late):
                good.append(pool.submit(ours.task, f"[standin fault=slow arg=600] good {len(good)}"))
                time.sleep(0.2)
            assert all(f.result()[0] == 200 for f in good), [f.result() for f in good]
            assert all('"error"' in f.result()[1] for f in late), [f.result() for f in late]
        until(lambda: front.stats()["hangups"] == 4, "the provider sees that they were given up")
        assert front.seen(4 + len(good))[0] == {"HTTP/2.0"}
    judge(what_is_given_up_frees_its_stream_only)


def without_h2(front, ours):
    def a_server_without_h2_is_spoken_to_in_http_1():
        assert ours.task("hello")[0] == 200 and front.seen(1)[0] == {"HTTP/1.1"}
    judge(a_server_without_h2_is_spoken_to_in_http_1)


def main():
    programs = os.path.abspath(sys.argv[1] if len(sys.argv) > 1 else os.path.join(ROOT, "build", "release"))
    standin = subprocess.Popen([os.path.join(programs, "standin_upstream")], stdout=subprocess.PIPE)
    try:
        upstream = "http://" + standin.stdout.readline().decode().split()[-1]
        with_front(programs, upstream, cases)
        with_front(programs, upstream, goodbyes, requests=20)
        with_front(programs, upstream, deadlines, deadline_ms=5000)
        with_front(programs, upstream, without_h2, h2="")
    finally:
        standin.kill()
        standin.wait()
    print(f"{sum(results)} passed, {len(results) - sum(results)} failed")
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
