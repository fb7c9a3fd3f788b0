"""HTTP with kept-alive connections, retries and errors as exceptions; standard library only."""
from __future__ import annotations

import http.client
import json
import logging
import math
import select
import socket
import ssl
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Callable, Dict, Iterator, List, Mapping, Optional, Protocol, Tuple, Type, Union
from urllib.parse import urlencode, urlsplit

from .multipart import Multipart, Progress, ShorterFile
from .retry import SAFE, RetryPolicy, parse_retry_after

log = logging.getLogger("millrace_http")

MAX_IDLE = 16
IDLE_SECONDS = 55.0
MAX_REPLY = 256 << 20
READ_BLOCK = 64 << 10
Connection = Union[http.client.HTTPConnection, http.client.HTTPSConnection]


class NotJson(Exception):
    """A good reply that is no JSON: another kind of server answers there."""


@dataclass
class Reply:
    status: int
    headers: Mapping[str, str]  # names in lower case
    body: Any  # parsed JSON, or None


class Kinds(Protocol):
    """The exceptions of a package: its module of errors."""

    @property
    def ClientError(self) -> Type[Exception]: ...
    @property
    def APIConnectionError(self) -> Type[Exception]: ...
    @property
    def APITimeoutError(self) -> Type[Exception]: ...
    @property
    def from_reply(self) -> Callable[[int, Any, str, str, Optional[float]], Any]: ...


class Transport:
    """errors: the package's exceptions; service: its name, for messages."""

    def __init__(
        self,
        base_url: str,
        timeout: float,
        retry: RetryPolicy,
        user_agent: str,
        ssl_context: Optional[ssl.SSLContext],
        errors: Kinds,
        service: str,
    ) -> None:
        url = urlsplit(base_url if "//" in base_url else "http://" + base_url)
        if url.scheme not in ("http", "https") or not url.hostname:
            raise ValueError(f"the base URL must be http(s)://host[:port], not {base_url!r}")
        if url.query or url.fragment or url.username:
            raise ValueError("the base URL must have no query, fragment or user name")
        self.base_url = base_url.rstrip("/")
        self._https = url.scheme == "https"
        self._host = url.hostname
        self._port = url.port or (443 if self._https else 80)
        self._prefix = url.path.rstrip("/")
        self._timeout = timeout
        self._retry = retry
        self._user_agent = user_agent
        self._ssl = ssl_context or (ssl.create_default_context() if self._https else None)
        self._idle: List[Tuple[float, Connection]] = []
        self._lock = threading.Lock()
        self._closed = False
        self._errors = errors
        self._service = service

    # --- connections ---------------------------------------------------------------------

    def _fresh(self, timeout: float) -> Connection:
        if self._https:
            return http.client.HTTPSConnection(
                self._host, self._port, timeout=timeout, context=self._ssl
            )
        return http.client.HTTPConnection(self._host, self._port, timeout=timeout)

    def _take(self, timeout: float) -> Connection:
        with self._lock:
            if self._closed:
                raise self._errors.ClientError("the client is closed")
            while self._idle:
                since, conn = self._idle.pop()
                if time.monotonic() - since < IDLE_SECONDS and not _hung_up(conn):
                    if conn.sock is not None:
                        conn.sock.settimeout(timeout)
                    return conn
                conn.close()
        return self._fresh(timeout)

    def _give(self, conn: Connection) -> None:
        with self._lock:
            if not self._closed and len(self._idle) < MAX_IDLE and conn.sock is not None:
                self._idle.append((time.monotonic(), conn))
                return
        conn.close()

    def close(self) -> None:
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for _, conn in idle:
            conn.close()

    # --- requests ------------------------------------------------------------------------

    def request(
        self,
        method: str,
        path: str,
        *,
        token: Optional[str],
        query: Optional[Mapping[str, Any]] = None,
        body: Any = None,
        form: Optional[Multipart] = None,
        headers: Optional[Mapping[str, str]] = None,
        kind: str = SAFE,
        timeout: Optional[float] = None,
        progress: Optional[Progress] = None,
    ) -> Reply:
        target = self._prefix + path
        given = {k: v for k, v in (query or {}).items() if v is not None}
        if given:
            target += "?" + urlencode(given)
        head = {"Accept": "application/json", "User-Agent": self._user_agent}
        if token:
            head["Authorization"] = "Bearer " + token
        data: Optional[bytes] = None
        if form is not None:
            head["Content-Type"] = form.content_type
        elif body is not None:
            data = encode(body)
            head["Content-Type"] = "application/json"
        head.update(headers or {})
        limit = self._timeout if timeout is None else timeout
        attempt = 0
        while True:
            failure, status, code = self._once(method, target, head, data, form, limit, progress)
            if isinstance(failure, Reply):
                return failure
            after = getattr(failure, "retry_after", None)
            wait = (
                self._retry.delay(attempt, after)
                if self._retry.wants(attempt, kind, status, code)
                else None
            )
            if wait is None:
                raise failure
            log.debug("%s %s: %s; trying again in %.2f s", method, path, failure, wait)
            time.sleep(wait)
            attempt += 1

    def _once(
        self,
        method: str,
        target: str,
        head: Dict[str, str],
        data: Optional[bytes],
        form: Optional[Multipart],
        timeout: float,
        progress: Optional[Progress],
    ) -> Tuple[Union[Reply, Exception], int, str]:
        """One attempt: (reply or error, status as RetryPolicy.wants takes it, error code)."""
        connected = False
        conn = self._take(timeout)
        try:
            if conn.sock is None:
                conn.connect()
            connected = True
            reply, text, keep = _exchange(conn, method, target, head, data, form, progress)
        except ShorterFile as why:
            conn.close()
            raise self._errors.ClientError(str(why)) from None
        except (OSError, http.client.HTTPException) as why:
            conn.close()
            status = 0 if connected else -1
            where = f"{self._host}:{self._port}"
            if isinstance(why, (TimeoutError, socket.timeout)):  # one and the same since 3.10
                late = f"no answer from {where} in {timeout:g} s"
                return self._errors.APITimeoutError(late), status, ""
            said = str(why) or type(why).__name__
            return self._errors.APIConnectionError(f"{where}: {said}"), status, ""
        except NotJson:
            conn.close()
            raise self._errors.ClientError(
                f"the reply is not JSON; is this a {self._service} server?"
            ) from None
        except BaseException:
            conn.close()
            raise
        if keep:
            self._give(conn)
        else:
            conn.close()
        if reply.status < 400:
            return reply, reply.status, ""
        error = self._errors.from_reply(
            reply.status,
            reply.body,
            text,
            reply.headers.get("x-request-id", ""),
            parse_retry_after(reply.headers.get("retry-after")),
        )
        return error, reply.status, error.code

    # --- other replies -------------------------------------------------------------------

    def text(self, path: str, *, token: Optional[str]) -> str:
        """A reply that is plain text, like /metrics."""
        with self._open("GET", path, token, None) as r:
            return r.read(MAX_REPLY).decode("utf-8", "replace")

    def events(self, path: str, body: Any, *, token: Optional[str]) -> Iterator[str]:
        """The data of each server-sent event of a POST. Not tried again once it has begun."""
        with self._open("POST", path, token, body) as r:
            yield from sse_data(r)

    @contextmanager
    def _open(
        self, method: str, path: str, token: Optional[str], body: Any
    ) -> Iterator[http.client.HTTPResponse]:
        conn = self._fresh(self._timeout)
        head = {"Accept": "*/*", "User-Agent": self._user_agent}
        if token:
            head["Authorization"] = "Bearer " + token
        if body is not None:
            head["Content-Type"] = "application/json"
        try:
            conn.request(method, self._prefix + path, None if body is None else encode(body), head)
            r = conn.getresponse()
            if r.status >= 400:
                raise self._refused(r)
            yield r
        except (OSError, http.client.HTTPException) as why:
            said = str(why) or type(why).__name__
            raise self._errors.APIConnectionError(f"{self._host}:{self._port}: {said}") from why
        finally:
            conn.close()

    def _refused(self, r: http.client.HTTPResponse) -> Exception:
        raw = _read(r)
        try:
            body = json.loads(raw)
        except ValueError:
            body = None
        error: Exception = self._errors.from_reply(
            r.status,
            body,
            raw[:2000].decode("utf-8", "replace"),
            r.headers.get("x-request-id", ""),
            parse_retry_after(r.headers.get("retry-after")),
        )
        return error


def sse_data(r: http.client.HTTPResponse) -> Iterator[str]:
    """Data of the events of a text/event-stream; a "[DONE]" ends it. IncompleteRead when the server
    cut it off."""
    lines: List[str] = []
    while True:
        raw = r.readline(MAX_REPLY)
        if not raw:
            raise http.client.IncompleteRead(b"")
        line = raw.decode("utf-8", "replace").rstrip("\r\n")
        if line.startswith("data:"):
            lines.append(line[6:] if line[5:6] == " " else line[5:])
        elif not line and lines:
            data = "\n".join(lines)
            lines = []
            if data == "[DONE]":
                return
            yield data


def _plain(value: Any) -> Any:
    """numpy arrays and scalars, pandas frames and series as lists; NaN as null (missing)."""
    if isinstance(value, float):
        return None if math.isnan(value) else value
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    if hasattr(value, "columns") and hasattr(value, "to_dict"):
        return _plain(value.to_dict(orient="records"))
    if hasattr(value, "tolist"):
        return _plain(value.tolist())
    return value


def encode(body: Any) -> bytes:
    """JSON. Infinities have none and raise ValueError."""
    try:
        text = json.dumps(body, allow_nan=False, separators=(",", ":"))
    except (TypeError, ValueError):
        text = json.dumps(_plain(body), allow_nan=False, separators=(",", ":"))
    return text.encode()


def _hung_up(conn: Connection) -> bool:
    """An idle connection that is readable was closed by the server (or is out of step)."""
    sock = conn.sock
    if sock is None:
        return True
    try:
        if hasattr(select, "poll"):
            p = select.poll()
            p.register(sock, select.POLLIN)
            return bool(p.poll(0))
        return bool(select.select([sock], [], [], 0)[0])
    except (OSError, ValueError):
        return True


def _read(r: http.client.HTTPResponse) -> bytes:
    """The body, up to MAX_REPLY. Never read(MAX_REPLY): Python 3.9 allocates all of that."""
    parts: List[bytes] = []
    left = MAX_REPLY
    while True:
        part = r.read(READ_BLOCK)
        if not part:
            return b"".join(parts)
        left -= len(part)
        if left < 0:
            raise http.client.HTTPException("the reply is too large")
        parts.append(part)


def _exchange(
    conn: Connection,
    method: str,
    target: str,
    head: Dict[str, str],
    data: Optional[bytes],
    form: Optional[Multipart],
    progress: Optional[Progress],
) -> Tuple[Reply, str, bool]:
    whole = True
    conn.putrequest(method, target, skip_accept_encoding=True)
    for name, value in head.items():
        conn.putheader(name, value)
    if form is not None:
        conn.putheader("Content-Length", str(form.length))
        conn.endheaders()
        try:
            for block in form.blocks(progress):
                conn.send(block)
        except (BrokenPipeError, ConnectionResetError):
            whole = False  # the server answered early and hung up: its answer says why
    else:
        if data is not None or method in ("POST", "PATCH", "PUT"):
            conn.putheader("Content-Length", str(len(data or b"")))
        conn.endheaders(data)
    r = conn.getresponse()
    raw = _read(r)
    headers = {k.lower(): v for k, v in r.getheaders()}
    body = None
    if raw and "json" in headers.get("content-type", ""):
        try:
            body = json.loads(raw)
        except ValueError as why:
            raise http.client.HTTPException(f"the reply is not valid JSON: {why}") from why
    elif r.status < 400 and raw:
        raise NotJson
    keep = whole and not r.will_close
    return Reply(r.status, headers, body), raw[:2000].decode("utf-8", "replace"), keep
