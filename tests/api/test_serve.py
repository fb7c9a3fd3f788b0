"""`millrace serve`: settings and their precedence, secrets, TLS, drain, one server a data dir."""
import json
import os
import socket
import ssl
import subprocess
import threading
import time

from client import Api
from server import Server


def run(server, *args, env=None):
    clean = {k: v for k, v in os.environ.items() if not k.startswith("MILLRACE_")}
    return subprocess.run([server.binary, *args], capture_output=True, text=True, timeout=20,
                          env={**clean, **(env or {})}, cwd=server.data_dir)


def test_settings_precedence_and_redaction(server, tmp_path):
    file = tmp_path / "millrace.toml"
    file.write_text('# comment\nlog_level = "warn"\npool_threads = 3\nlisten = ["127.0.0.1:1", "127.0.0.1:2"]\n'
                    '[price]\ncompute_hour = 1.5 # USD\n')
    out = run(server, "config", "print", "--config", str(file), "--pool-threads", "5",
              env={"MILLRACE_POOL_THREADS": "4", "MILLRACE_LOG_FORMAT": "json",
                   "MILLRACE_OWNER_KEY": "super-secret-owner-key"}).stdout
    assert 'log_level = "warn"' in out and "pool_threads = 5" in out and 'log_format = "json"' in out
    assert 'listen = ["127.0.0.1:1", "127.0.0.1:2"]' in out and "price_compute_hour = 1.5" in out
    assert 'owner_key = "(set)"' in out and "super-secret" not in out


def test_wrong_settings_are_named(server, tmp_path):
    file = tmp_path / "millrace.toml"
    for text, part in (("log_levle = 'info'\n", "did you mean 'log_level'"), ("threads = many\n", "whole number"),
                       ("rate_limits = 3\n", "true or false"), ("x\n", "line 1"), ("log_level = 'loud'\n", "one of")):
        file.write_text(text)
        r = run(server, "config", "print", "--config", str(file))
        assert r.returncode == 2 and part in r.stderr, (text, r.stderr)
    assert "did you mean 'data_dir'" in run(server, "serve", "--data-dri", "x").stderr
    assert "did you mean 'listen'" in run(server, "serve", env={"MILLRACE_LISTN": "x"}).stderr
    assert run(server, "frobnicate").returncode == 2
    assert run(server, "serve", "--help").returncode == 0


def test_owner_key_from_the_environment_and_stable_across_starts(tmp_path):
    key = "my-own-operator-key-0123456789"
    with Server(data_dir=tmp_path, env={"MILLRACE_OWNER_KEY": key}) as s:
        assert Api(s.host, s.port, key).get("/api/v1/auth/me").status == 200
    with Server(data_dir=tmp_path) as s:
        made = s.key
        assert made != key
        assert Api(s.host, s.port, key).get("/api/v1/auth/me").status == 401, "the former key is revoked"
    with Server(data_dir=tmp_path) as s:
        assert s.key == made
        assert os.stat(tmp_path / "owner.key").st_mode & 0o077 == 0
        assert os.stat(tmp_path / "jwt.key").st_mode & 0o077 == 0


def test_one_server_a_data_dir(server):
    r = run(server, "serve", "--data-dir", server.data_dir, "--listen", "127.0.0.1:0")
    assert r.returncode == 1 and "already serves" in r.stderr


def test_log_lines_are_json_without_secrets(server, owner, anonymous):
    anonymous.post("/api/v1/auth/login", {"email": "who@example.com", "password": "p4ssw0rd-secret"})
    owner.get("/api/v1/deployments?search=private-query")
    time.sleep(0.6)
    text = server.log_text()
    for secret in ("p4ssw0rd-secret", server.key, "private-query"):
        assert secret not in text
    # Sanitizer builds keep the workers' standard error for their reports; tesseract writes there too.
    lines = [json.loads(line) for line in text.strip().split("\n") if not line.startswith("Estimating resolution")]
    request = [x for x in lines if x["event"] == "request"][-1]
    assert {"ts", "id", "method", "path", "status", "ms", "in", "out", "peer"} <= set(request)


def test_drain_finishes_what_is_in_flight(tmp_path, iris_file):
    with Server(data_dir=tmp_path) as s:
        api = Api(s.host, s.port, s.key)
        dep = api.deploy(iris_file).json()["id"]
        body = json.dumps({"data": [[5.1, 3.5, 1.4, 0.2]] * 20000}).encode()
        got = []
        raw = socket.create_connection((s.host, s.port))
        raw.sendall(f"POST /api/v1/predict/{dep} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {s.key}\r\n"
                    f"Content-Length: {len(body)}\r\n\r\n".encode() + body[:1000])

        def rest():
            time.sleep(0.4)
            raw.sendall(body[1000:])
            while chunk := raw.recv(1 << 20):
                got.append(chunk)
        t = threading.Thread(target=rest)
        t.start()
        time.sleep(0.2)
        assert s.stop() == 0
        t.join()
        reply = b"".join(got)
        assert reply.startswith(b"HTTP/1.1 200") and b'"batch_size":20000' in reply


def test_tls(tmp_path):
    cert, key = str(tmp_path / "c.pem"), str(tmp_path / "k.pem")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                    "-keyout", key, "-out", cert, "-days", "2", "-subj", "/CN=localhost"], check=True,
                   capture_output=True)
    with Server(flags=["--tls-cert", cert, "--tls-key", key]) as s:
        assert "https://" in s.greeting
        ctx = ssl.create_default_context(cafile=cert)
        ctx.check_hostname = False
        with ctx.wrap_socket(socket.create_connection((s.host, s.port))) as c:
            c.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            data = b""
            while chunk := c.recv(4096):
                data += chunk
        assert data.startswith(b"HTTP/1.1 200") and data.endswith(b'{"status":"ok"}')
