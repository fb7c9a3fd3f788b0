"""The client and its services."""
from __future__ import annotations

import json
import os
import platform
import ssl
import time
from datetime import datetime, timezone
from types import TracebackType
from typing import Any, Dict, Iterable, Iterator, List, Mapping, Optional, Sequence, Type, Union
from urllib.parse import quote

from millrace_http.multipart import Multipart, Source, file_name_of
from millrace_http.retry import ONCE, SAFE, RetryPolicy
from millrace_http.transport import Transport

from . import errors
from .errors import JobFailed, WaitTimeoutError
from .result import Result, wrap

DEFAULT_URL = "http://127.0.0.1:8080/api/v2"
PAGE = 100
ENDED = ("completed", "failed", "cancelled")


def _id(text: str) -> str:
    if not text:
        raise ValueError("the id is empty")
    return quote(text, safe="")


def _key(idempotency_key: Optional[str]) -> Optional[Mapping[str, str]]:
    return {"Idempotency-Key": idempotency_key} if idempotency_key else None


def _given(**values: Any) -> Dict[str, Any]:
    return {k: v for k, v in values.items() if v is not None}


def _time(when: Union[str, datetime, None]) -> Optional[str]:
    if isinstance(when, datetime):
        when = when.astimezone(timezone.utc).isoformat().replace("+00:00", "Z")
    return when


class _Service:
    def __init__(self, client: "Client") -> None:
        self._client = client

    def _call(self, method: str, path: str, **kw: Any) -> Any:
        return self._client.request(method, path, **kw)

    def _stream(self, path: str, body: Mapping[str, Any]) -> Iterator[Result]:
        for data in self._client.events(path, {**body, "stream": True}):
            event = wrap(json.loads(data))
            if isinstance(event, Result) and "error" in event:
                raise errors.from_reply(500, event, "", "", None)
            yield event


class LLM(_Service):
    def generate(
        self,
        prompt: str,
        *,
        model: Optional[str] = None,
        max_tokens: Optional[int] = None,
        temperature: Optional[float] = None,
        parameters: Optional[Mapping[str, Any]] = None,
        stream: bool = False,
        idempotency_key: Optional[str] = None,
        **more: Any,
    ) -> Any:
        """An answer to a prompt: .generated_text, .metadata. stream=True: an iterator of events.

        parameters: top_p, top_k, min_p, frequency_penalty, presence_penalty, seed, stop …
        raw=True sends the prompt as it is, without the model's chat template. With an
        idempotency_key a repeated call gets the first one's answer and is paid once.
        """
        body = _given(
            prompt=prompt,
            model=model,
            max_tokens=max_tokens,
            temperature=temperature,
            parameters=parameters,
            **more,
        )
        if stream:
            return self._stream("/ai/llm/generate", body)
        kind = SAFE if idempotency_key else ONCE
        return self._call("POST", "/ai/llm/generate", body=body, kind=kind, headers=_key(idempotency_key))

    def chat(
        self,
        messages: Sequence[Mapping[str, Any]],
        *,
        model: Optional[str] = None,
        max_tokens: Optional[int] = None,
        temperature: Optional[float] = None,
        parameters: Optional[Mapping[str, Any]] = None,
        stream: bool = False,
        idempotency_key: Optional[str] = None,
        **more: Any,
    ) -> Any:
        """The next message of a conversation: .choices[0].message.content, .usage."""
        body = _given(
            messages=list(messages),
            model=model,
            max_tokens=max_tokens,
            temperature=temperature,
            parameters=parameters,
            **more,
        )
        if stream:
            return self._stream("/ai/llm/chat", body)
        kind = SAFE if idempotency_key else ONCE
        return self._call("POST", "/ai/llm/chat", body=body, kind=kind, headers=_key(idempotency_key))

    def models(self) -> List[Result]:
        return list(self._call("GET", "/ai/llm/models").models)


class Vision(_Service):
    def _image(self, image: Source) -> Multipart:
        form = Multipart()
        name, source = file_name_of(image, "image")
        form.file("image", name, source)
        return form

    def analyze(
        self,
        image: Source,
        analysis_type: Union[str, Iterable[str], None] = None,
        *,
        model: Optional[str] = None,
        idempotency_key: Optional[str] = None,
        **more: Any,
    ) -> Any:
        """object_detection, text_extraction, scene_analysis in any combination; default: all.
        image: a path, bytes or an open file."""
        form = self._image(image)
        if analysis_type is not None:
            kinds = [analysis_type] if isinstance(analysis_type, str) else list(analysis_type)
            form.field("analysis_type", json.dumps(kinds))
        for name, value in _given(model=model, **more).items():
            form.field(name, str(value))
        return self._call("POST", "/ai/vision/analyze", form=form, headers=_key(idempotency_key))

    def classify(
        self,
        image: Source,
        *,
        model: Optional[str] = None,
        top_k: Optional[int] = None,
        idempotency_key: Optional[str] = None,
        **more: Any,
    ) -> Any:
        """The likeliest ImageNet classes: .predictions[0]["class"], .confidence, .class_id."""
        form = self._image(image)
        for name, value in _given(model=model, top_k=top_k, **more).items():
            form.field(name, str(value))
        return self._call("POST", "/ai/vision/classify", form=form, headers=_key(idempotency_key))


class NLP(_Service):
    def analyze(
        self,
        text: str,
        analysis_types: Optional[Iterable[str]] = None,
        *,
        language: Optional[str] = None,
        idempotency_key: Optional[str] = None,
        **more: Any,
    ) -> Any:
        """sentiment, entities, keywords, language in any combination; default: all."""
        kinds = None if analysis_types is None else list(analysis_types)
        body = _given(text=text, analysis_types=kinds, language=language, **more)
        return self._call("POST", "/ai/nlp/analyze", body=body, headers=_key(idempotency_key))

    def summarize(
        self,
        text: str,
        *,
        max_length: Optional[int] = None,
        min_length: Optional[int] = None,
        model: Optional[str] = None,
        idempotency_key: Optional[str] = None,
        **more: Any,
    ) -> Any:
        """.summary, lengths in words. A language model as `model` writes it in its own words."""
        body = _given(text=text, max_length=max_length, min_length=min_length, model=model, **more)
        return self._call("POST", "/ai/nlp/summarize", body=body, headers=_key(idempotency_key))

    def embeddings(
        self,
        texts: Union[str, Sequence[str]],
        *,
        model: Optional[str] = None,
        idempotency_key: Optional[str] = None,
        **more: Any,
    ) -> Any:
        given = texts if isinstance(texts, str) else list(texts)
        body = _given(input=given, model=model, **more)
        return self._call("POST", "/ai/nlp/embeddings", body=body, headers=_key(idempotency_key))


class Jobs(_Service):
    def create(
        self,
        *,
        service: str,
        parameters: Mapping[str, Any],
        name: Optional[str] = None,
        type: str = "batch_processing",  # as the API calls it
        priority: Optional[str] = None,
        scheduled_at: Union[str, datetime, None] = None,
        cron: Optional[str] = None,
        idempotency_key: Optional[str] = None,
        **more: Any,
    ) -> Any:
        """parameters: inputs (a list), input_file (an upload's id) or input_source (a folder), and
        what each item's analysis takes. With an idempotency_key a repeated call is harmless."""
        body = _given(
            name=name,
            type=type,
            service=service,
            parameters=parameters,
            priority=priority,
            scheduled_at=_time(scheduled_at),
            cron=cron,
            **more,
        )
        headers = _key(idempotency_key)
        kind = SAFE if idempotency_key else ONCE
        return self._call("POST", "/jobs", body=body, headers=headers, kind=kind)

    def upload(self, source: Source, *, file_name: Optional[str] = None) -> Any:
        """An input file (JSONL, CSV, zip of images): .input_file goes into the parameters."""
        form = Multipart()
        name, body = file_name_of(source, file_name or "input.jsonl")
        form.file("file", file_name or name, body)
        return self._call("POST", "/jobs/inputs", form=form, kind=ONCE)

    def get(self, job_id: str) -> Any:
        return self._call("GET", f"/jobs/{_id(job_id)}")

    def list(self, *, status: Optional[str] = None, limit: int = 10, offset: int = 0) -> Any:
        """A page: .jobs, .pagination"""
        return self._call("GET", "/jobs", query={"status": status, "limit": limit, "offset": offset})

    def all(self, *, status: Optional[str] = None) -> Iterator[Result]:
        offset = 0
        while True:
            page = self.list(status=status, limit=PAGE, offset=offset)
            yield from page.jobs
            if not page.pagination.has_more:
                return
            offset += PAGE

    def cancel(self, job_id: str) -> Any:
        return self._call("DELETE", f"/jobs/{_id(job_id)}")

    def results(self, job_id: str, *, limit: int = PAGE, offset: int = 0) -> Any:
        """A page: .results of {index, input, output | error}, also while it runs."""
        query = {"limit": limit, "offset": offset}
        return self._call("GET", f"/jobs/{_id(job_id)}/results", query=query)

    def all_results(self, job_id: str) -> Iterator[Result]:
        offset = 0
        while True:
            page = self.results(job_id, offset=offset)
            yield from page.results
            if not page.pagination.has_more:
                return
            offset += PAGE

    def wait(self, job_id: str, timeout: float = 3600.0) -> Any:
        """Until it has completed. Raises JobFailed or WaitTimeoutError."""
        end, pause = time.monotonic() + timeout, 0.05
        while True:
            job = self.get(job_id)
            if job.status == "completed":
                return job
            if job.status in ENDED:
                raise JobFailed(f"{job_id}: {job.get('error') or job.status}", job)
            if time.monotonic() + pause > end:
                raise WaitTimeoutError(f"{job_id} is still {job.status} after {timeout:g} s")
            time.sleep(pause)
            pause = min(pause * 1.5, 2.0)


class Health(_Service):
    def get(self) -> Any:
        return self._call("GET", "/health")

    def comprehensive(self) -> Any:
        return self._call("GET", "/health/comprehensive")

    def metrics(self) -> str:
        """Prometheus text."""
        return self._client.text("/metrics")


class Ops(_Service):
    def status(self) -> Any:
        return self._call("GET", "/ops/status")

    def start(self, service: str, *, force: bool = False, wait_for_health: bool = False) -> Any:
        body = {"force": force, "wait_for_health": wait_for_health}
        return self._call("POST", f"/ops/services/{_id(service)}/start", body=body)

    def stop(self, service: str, *, force: bool = False) -> Any:
        return self._call("POST", f"/ops/services/{_id(service)}/stop", body={"force": force})

    def service(self, service: str) -> Any:
        return self._call("GET", f"/ops/services/{_id(service)}")

    def logs(
        self,
        *,
        service: Optional[str] = None,
        level: Optional[str] = None,
        limit: Optional[int] = None,
        cursor: Optional[str] = None,
    ) -> Any:
        query = {"service": service, "level": level, "limit": limit, "cursor": cursor}
        return self._call("GET", "/ops/logs", query=query)


class Models(_Service):
    def list(self) -> List[Result]:
        return list(self._call("GET", "/models").models)

    def load(self, model_id: str, *, force_reload: bool = False) -> Any:
        body = {"force_reload": force_reload}
        return self._call("POST", f"/models/{_id(model_id)}/load", body=body)

    def unload(self, model_id: str) -> Any:
        return self._call("POST", f"/models/{_id(model_id)}/unload", body={})

    def performance(self, model_id: str) -> Any:
        return self._call("GET", f"/models/{_id(model_id)}/performance")

    def wait_until_loaded(self, model_id: str, timeout: float = 300.0) -> Any:
        end = time.monotonic() + timeout
        while True:
            found = [m for m in self.list() if m.id == model_id]
            if found and found[0].status == "loaded":
                return found[0]
            if time.monotonic() > end:
                state = found[0].status if found else "unknown"
                raise WaitTimeoutError(f"{model_id} is still {state} after {timeout:g} s")
            time.sleep(0.1)


class Webhooks(_Service):
    def create(self, url: str, events: Sequence[str], *, secret: Optional[str] = None) -> Any:
        body = _given(url=url, events=list(events), secret=secret)
        return self._call("POST", "/webhooks", body=body, kind=ONCE)

    def list(self) -> List[Result]:
        return list(self._call("GET", "/webhooks").webhooks)

    def delete(self, webhook_id: str) -> Any:
        return self._call("DELETE", f"/webhooks/{_id(webhook_id)}")


class Client:
    """A client of one server.

    base_url: ends in /api/v2; default MILLRACE_URL + /api/v2, else this machine's. api_key: an API
    key or an access token; default MILLRACE_KEY. Connections are kept open: close() or a `with`
    block ends them. Proxies of the environment are not used.
    """

    def __init__(
        self,
        base_url: Optional[str] = None,
        api_key: Optional[str] = None,
        *,
        timeout: float = 600.0,
        retry: Optional[RetryPolicy] = None,
        ssl_context: Optional[ssl.SSLContext] = None,
    ) -> None:
        server = os.environ.get("MILLRACE_URL")
        self.api_key = api_key or os.environ.get("MILLRACE_KEY")
        self.refresh_token: Optional[str] = None
        self._http = Transport(
            base_url or (server.rstrip("/") + "/api/v2" if server else DEFAULT_URL),
            timeout,
            retry or RetryPolicy(),
            f"aisemble-python/2.0.0 Python/{platform.python_version()}",
            ssl_context,
            errors,
            "Ai-semble",
        )
        self.llm = LLM(self)
        self.vision = Vision(self)
        self.nlp = NLP(self)
        self.jobs = Jobs(self)
        self.health = Health(self)
        self.ops = Ops(self)
        self.models = Models(self)
        self.webhooks = Webhooks(self)

    @property
    def base_url(self) -> str:
        return self._http.base_url

    def close(self) -> None:
        self._http.close()

    def __enter__(self) -> "Client":
        return self

    def __exit__(
        self,
        kind: Optional[Type[BaseException]],
        value: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        self.close()

    def request(self, method: str, path: str, **kw: Any) -> Any:
        """One call, below base_url: what the services are made of."""
        return wrap(self._http.request(method, path, token=self.api_key, **kw).body)

    def events(self, path: str, body: Mapping[str, Any]) -> Iterator[str]:
        return self._http.events(path, body, token=self.api_key)

    def text(self, path: str) -> str:
        return self._http.text(path, token=self.api_key)

    def login(self, username: str, password: str) -> Any:
        """An access token for the calls that follow."""
        body = {"username": username, "password": password}
        return self._take(self.request("POST", "/auth/login", body=body, kind=ONCE))

    def refresh(self) -> Any:
        """A new access token for the refresh token, which changes too."""
        body = {"refresh_token": self.refresh_token}
        return self._take(self.request("POST", "/auth/refresh", body=body, kind=ONCE))

    def _take(self, tokens: Any) -> Any:
        self.api_key = tokens.access_token
        self.refresh_token = tokens.refresh_token
        return tokens
