"""A server that plays faults: each request takes the next step of a script."""
import json
import socket
import struct
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


def error(code, message="no", status=None, **details):
    body = {"error": {"code": code, "message": message, "details": details}, "request_id": "req-fake"}
    return (status, body)


class Fake:
    """script: a list of steps; the last one repeats. A step is (status, json body[, headers]),
    "drop" (reads the request, then resets the connection), "hang" (never answers),
    ("early", status, body) (answers without reading the body and hangs up; with a fourth member it
    reads on, as real servers do, until the client stops sending),
    ("once", status, body) (answers, then closes a connection that was promised to stay open)
    or ("raw", bytes)."""

    def __init__(self, script):
        self.script = list(script)
        self.requests = []
        self.connections = 0
        self.lock = threading.Lock()
        self.stop = threading.Event()
        fake = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self):
                with fake.lock:
                    fake.connections += 1
                super().setup()

            def log_message(self, *a):
                pass

            def handle_one_request(self):
                try:
                    super().handle_one_request()
                except (ConnectionError, OSError):
                    self.close_connection = True

            def serve(self):
                with fake.lock:
                    step = fake.script.pop(0) if len(fake.script) > 1 else fake.script[0]
                if isinstance(step, tuple) and step[0] == "early":
                    self.note(None)
                    self.answer(step[1], step[2], {"Connection": "close"})
                    self.connection.shutdown(socket.SHUT_WR)
                    self.connection.settimeout(2 if len(step) > 3 else 0.2)
                    try:
                        # As a polite server does: reads on until the client has seen the answer.
                        while self.connection.recv(65536) and len(step) > 3:
                            pass
                    except OSError:
                        pass
                    self.close_connection = True
                    return
                self.note(self.body())
                if step == "drop":
                    self.connection.setsockopt(
                        socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    self.connection.close()
                    self.close_connection = True
                elif step == "hang":
                    fake.stop.wait(30)
                    self.close_connection = True
                elif step[0] == "raw":
                    self.wfile.write(step[1])
                    self.close_connection = True
                elif step[0] == "once":
                    self.answer(step[1], step[2], {})
                    self.close_connection = True
                else:
                    self.answer(step[0], step[1], step[2] if len(step) > 2 else {})

            do_GET = do_POST = do_PATCH = do_DELETE = serve

            def body(self):
                if "chunked" in self.headers.get("Transfer-Encoding", ""):
                    parts = []
                    while True:
                        n = int(self.rfile.readline(), 16)
                        parts.append(self.rfile.read(n))
                        self.rfile.readline()
                        if not n:
                            return b"".join(parts)
                left = int(self.headers.get("Content-Length") or 0)
                if left <= 1 << 20:
                    return self.rfile.read(left)
                while left:
                    left -= len(self.rfile.read(min(left, 1 << 16)))
                return b"(large)"

            def note(self, body):
                with fake.lock:
                    headers = {k.lower(): v for k, v in self.headers.items()}
                    fake.requests.append((self.command, self.path, headers, body))

            def answer(self, status, body, headers):
                data = json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                for k, v in headers.items():
                    self.send_header(k, v)
                self.end_headers()
                self.wfile.write(data)

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.http.server_address[1]}"
        self.thread = threading.Thread(target=self.http.serve_forever, args=(0.05,), daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *exc):
        self.stop.set()
        self.http.shutdown()
        self.http.server_close()
