"""The client and the deployment that it hands out."""
from __future__ import annotations

import os
import platform
import ssl
import time
import uuid
from datetime import datetime
from types import TracebackType
from typing import Any, Dict, Iterator, List, Mapping, Optional, Sequence, Set, Type
from urllib.parse import quote

from millrace_http.multipart import Multipart, Progress, Source, file_name_of
from millrace_http.retry import ONCE, RetryPolicy
from millrace_http.transport import Transport

from . import errors, models
from .errors import DeploymentFailed, NotFoundError, WaitTimeoutError

DEFAULT_URL = "http://127.0.0.1:8080"
PAGE = 100


def _id(text: str) -> str:
    if not text:
        raise ValueError("the id is empty")
    return quote(text, safe="")


class Deployment:
    """A deployment as the server last described it; refresh() asks again."""

    def __init__(self, client: "Client", raw: Mapping[str, Any]) -> None:
        self._client = client
        self.raw = dict(raw)

    @property
    def id(self) -> str:
        return str(self.raw["id"])

    @property
    def name(self) -> str:
        return str(self.raw["name"])

    @property
    def status(self) -> str:
        """building, active, updating, failed or deleted."""
        return str(self.raw["status"])

    @property
    def version(self) -> str:
        return str(self.raw.get("version", ""))

    @property
    def error(self) -> str:
        """Why it failed, or ""."""
        return str(self.raw.get("error", ""))

    @property
    def created_at(self) -> Optional[datetime]:
        return models.parse_time(self.raw.get("created_at"))

    @property
    def updated_at(self) -> Optional[datetime]:
        return models.parse_time(self.raw.get("updated_at"))

    @property
    def endpoint_url(self) -> str:
        return str(self.raw.get("endpoint_url", ""))

    @property
    def model_metadata(self) -> models.ModelMetadata:
        return models.ModelMetadata.parse(self.raw.get("model_metadata", {}))

    @property
    def configuration(self) -> Optional[models.Configuration]:
        d = self.raw.get("configuration")
        return models.Configuration.parse(d) if d else None

    @property
    def metrics_summary(self) -> Optional[models.MetricsSummary]:
        d = self.raw.get("metrics_summary")
        return models.MetricsSummary.parse(d) if d else None

    def __repr__(self) -> str:
        return f"<Deployment {self.id} {self.name!r} {self.status}>"

    def predict(
        self, data: Any, *, user_id: Optional[str] = None, timeout: Optional[float] = None
    ) -> models.Prediction:
        return self._client.predict(self.id, data, user_id=user_id, timeout=timeout)

    def test(self, data: Any) -> models.TestResult:
        return self._client.test_model(self.id, data)

    def get_metrics(
        self, hours: Optional[int] = None, resolution: Optional[str] = None
    ) -> models.Metrics:
        return self._client.get_metrics(self.id, hours=hours, resolution=resolution)

    def refresh(self) -> "Deployment":
        self.raw = self._client.get_deployment(self.id).raw
        return self

    def update(self, **changes: Any) -> "Deployment":
        """name, memory_mb, timeout_seconds, min_instances, max_instances."""
        self.raw.update(self._client.update_deployment(self.id, **changes).raw)
        return self

    def delete(self) -> None:
        self._client.delete_deployment(self.id)

    def versions(self) -> List[models.Version]:
        return self._client.list_versions(self.id)

    def rollback(self, version: str) -> models.Rollback:
        answer = self._client.rollback(self.id, version)
        self.refresh()
        return answer

    def wait_until_active(self, timeout: float = 300.0) -> "Deployment":
        """Waits for this version. Raises DeploymentFailed or WaitTimeoutError."""
        want, pause = self.version, 0.02
        end = time.monotonic() + timeout
        while True:
            now = self._client.get_deployment(self.id)
            if now.status == "failed":
                raise self._failed(now.error)
            if now.status in ("active", "updating") and now.version == want:
                self.raw = now.raw
                return self
            if now.status in ("active", "updating"):
                # The version before this one still serves, or a newer one already does.
                for v in now.versions():
                    if v.version == want and v.status == "failed":
                        raise self._failed(v.error)
                    if not want or (v.version == want and v.status != "building"):
                        self.raw = now.raw
                        return self
            if now.status == "deleted":
                raise self._failed("the deployment was deleted")
            if time.monotonic() + pause > end:
                raise WaitTimeoutError(
                    f"{self.id} is still {now.status} after {timeout:g} s", self.id
                )
            time.sleep(pause)
            pause = min(pause * 1.5, 1.0)

    def _failed(self, reason: str) -> DeploymentFailed:
        return DeploymentFailed(
            reason or "the deployment failed",
            code="DEPLOYMENT_FAILED",
            details={"deployment_id": self.id, "version": self.version},
        )


class Client:
    """A client of one server.

    api_key: an API key or a token; default MILLRACE_KEY. base_url: default MILLRACE_URL, else
    http://127.0.0.1:8080. timeout: seconds that one read or write may take. Connections are kept
    open: close() or a `with` block ends them. Proxies of the environment are not used.
    """

    def __init__(
        self,
        api_key: Optional[str] = None,
        base_url: Optional[str] = None,
        *,
        timeout: float = 60.0,
        retry: Optional[RetryPolicy] = None,
        ssl_context: Optional[ssl.SSLContext] = None,
    ) -> None:
        self.api_key = api_key if api_key is not None else os.environ.get("MILLRACE_KEY") or None
        self._http = Transport(
            base_url or os.environ.get("MILLRACE_URL") or DEFAULT_URL,
            timeout,
            retry or RetryPolicy(),
            f"serveml-python/1.0.0 Python/{platform.python_version()}",
            ssl_context,
            errors,
            "ServeML",
        )

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

    def _call(self, method: str, path: str, **kw: Any) -> Any:
        return self._http.request(method, path, token=self.api_key, **kw).body

    # --- accounts ------------------------------------------------------------------------

    def register(
        self,
        email: str,
        username: str,
        password: str,
        full_name: Optional[str] = None,
        invitation: Optional[str] = None,
    ) -> models.Token:
        """Makes a user and signs this client in as that user."""
        body = {"email": email, "username": username, "password": password}
        if full_name is not None:
            body["full_name"] = full_name
        if invitation is not None:
            body["invitation"] = invitation
        token = models.Token.parse(
            self._call("POST", "/api/v1/auth/register", body=body, kind=ONCE)
        )
        self.api_key = token.access_token
        return token

    def login(self, email: str, password: str) -> models.Token:
        """Signs this client in."""
        body = {"email": email, "password": password}
        token = models.Token.parse(self._call("POST", "/api/v1/auth/login", body=body))
        self.api_key = token.access_token
        return token

    def me(self) -> models.User:
        return models.User.parse(self._call("GET", "/api/v1/auth/me"))

    def create_api_key(
        self,
        name: str,
        scopes: Optional[Sequence[str]] = None,
        *,
        rate_limit_per_minute: Optional[int] = None,
        monthly_budget_usd: Optional[float] = None,
        expires_in_days: Optional[int] = None,
    ) -> models.ApiKey:
        """The answer's `key` is the secret; the server never shows it again."""
        body: Dict[str, Any] = {
            "name": name,
            "scopes": None if scopes is None else list(scopes),
            "rate_limit_per_minute": rate_limit_per_minute,
            "monthly_budget_usd": monthly_budget_usd,
            "expires_in_days": expires_in_days,
        }
        body = {k: v for k, v in body.items() if v is not None}
        return models.ApiKey.parse(
            self._call("POST", "/api/v1/auth/api-keys", body=body, kind=ONCE)
        )

    def list_api_keys(self) -> List[models.ApiKey]:
        answer = self._call("GET", "/api/v1/auth/api-keys")
        return [models.ApiKey.parse(d) for d in answer["items"]]

    def revoke_api_key(self, key_id: str) -> None:
        self._call("DELETE", f"/api/v1/auth/api-keys/{_id(key_id)}")

    def list_members(self) -> List[models.Member]:
        answer = self._call("GET", "/api/v1/account/members")
        return [models.Member.parse(d) for d in answer["items"]]

    def invite_member(self, email: str, role: str = "member") -> models.Invitation:
        body = {"email": email, "role": role}
        return models.Invitation.parse(
            self._call("POST", "/api/v1/account/members", body=body, kind=ONCE)
        )

    def remove_member(self, user_id: str) -> None:
        self._call("DELETE", f"/api/v1/account/members/{_id(user_id)}")

    # --- deployments ---------------------------------------------------------------------

    def deploy(
        self,
        model_path: Source,
        requirements_path: Optional[Source] = None,
        name: Optional[str] = None,
        *,
        memory: Optional[int] = None,
        timeout: Optional[int] = None,
        changes: Optional[str] = None,
        idempotency_key: Optional[str] = None,
        wait: bool = True,
        wait_timeout: float = 300.0,
        progress: Optional[Progress] = None,
    ) -> Deployment:
        """Uploads a model file (a path, bytes, or a seekable binary stream) and waits until it
        serves. memory: MB; timeout: seconds a prediction may take. The upload streams from disk,
        and is repeated safely when the connection breaks. progress(sent, total) counts bytes.
        Raises DeploymentFailed with the reason."""
        form = Multipart()
        fields: Dict[str, Any] = {
            "name": name, "memory": memory, "timeout": timeout, "changes": changes
        }
        for key, value in fields.items():
            if value is not None:
                form.field(key, str(value))
        if requirements_path is not None:
            form.file("requirements_file", *file_name_of(requirements_path, "requirements.txt"))
        form.file("model_file", *file_name_of(model_path, "model"))
        headers = {"Idempotency-Key": idempotency_key or str(uuid.uuid4())}
        raw = self._call("POST", "/api/v1/deploy", form=form, headers=headers, progress=progress)
        deployment = Deployment(self, raw)
        return deployment.wait_until_active(wait_timeout) if wait else deployment

    def list_deployments(
        self,
        *,
        limit: Optional[int] = None,
        offset: Optional[int] = None,
        status: Optional[str] = None,
        framework: Optional[str] = None,
        search: Optional[str] = None,
    ) -> "models.Page[Deployment]":
        """One page; iter_deployments() goes through all of them."""
        query = {
            "limit": limit, "offset": offset, "status": status,
            "framework": framework, "search": search,
        }
        d = self._call("GET", "/api/v1/deployments", query=query)
        items = [Deployment(self, item) for item in d["items"]]
        return models.Page(items, d["total"], d["limit"], d["offset"])

    def iter_deployments(
        self,
        *,
        status: Optional[str] = None,
        framework: Optional[str] = None,
        search: Optional[str] = None,
        page_size: int = PAGE,
    ) -> Iterator[Deployment]:
        """All deployments; pages are asked for as they are needed."""
        seen: Set[str] = set()
        offset = 0
        while True:
            page = self.list_deployments(
                limit=page_size, offset=offset, status=status, framework=framework, search=search
            )
            for d in page:
                # A deployment made meanwhile shifts the pages: nothing is given out twice.
                if d.id not in seen:
                    seen.add(d.id)
                    yield d
            offset += len(page)
            if not page.items or offset >= page.total:
                return

    def get_deployment(self, deployment_id: str) -> Deployment:
        return Deployment(self, self._call("GET", f"/api/v1/deployments/{_id(deployment_id)}"))

    def find_deployment(self, name: str) -> Deployment:
        """The deployment of exactly this name. Raises NotFoundError."""
        for d in self.iter_deployments(search=name):
            if d.name == name and d.status != "deleted":
                return d
        raise NotFoundError(f"no deployment is named {name!r}", status=404, code="NOT_FOUND")

    def update_deployment(
        self,
        deployment_id: str,
        *,
        name: Optional[str] = None,
        memory_mb: Optional[int] = None,
        timeout_seconds: Optional[int] = None,
        min_instances: Optional[int] = None,
        max_instances: Optional[int] = None,
    ) -> Deployment:
        body: Dict[str, Any] = {
            "name": name, "memory_mb": memory_mb, "timeout_seconds": timeout_seconds,
            "min_instances": min_instances, "max_instances": max_instances,
        }
        body = {k: v for k, v in body.items() if v is not None}
        path = f"/api/v1/deployments/{_id(deployment_id)}"
        return Deployment(self, self._call("PATCH", path, body=body))

    def delete_deployment(self, deployment_id: str) -> None:
        self._call("DELETE", f"/api/v1/deployments/{_id(deployment_id)}")

    def list_versions(self, deployment_id: str) -> List[models.Version]:
        """Newest first."""
        d = self._call("GET", f"/api/v1/deployments/{_id(deployment_id)}/versions")
        return [models.Version.parse(v) for v in d["versions"]]

    def rollback(self, deployment_id: str, version: str) -> models.Rollback:
        path = f"/api/v1/deployments/{_id(deployment_id)}/rollback"
        return models.Rollback.parse(
            self._call("POST", path, body={"version": version}, kind=ONCE)
        )

    # --- predictions and figures ---------------------------------------------------------

    def predict(
        self,
        deployment_id: str,
        data: Any,
        *,
        user_id: Optional[str] = None,
        timeout: Optional[float] = None,
    ) -> models.Prediction:
        """data: a row, a list of rows, a mapping by feature name, or a list of those; numpy arrays
        and pandas frames too. user_id: your end user, for the figure unique_users."""
        body: Dict[str, Any] = {"data": data}
        if user_id is not None:
            body["user_id"] = user_id
        path = f"/api/v1/predict/{_id(deployment_id)}"
        return models.Prediction.parse(self._call("POST", path, body=body, timeout=timeout))

    def test_model(self, deployment_id: str, data: Any) -> models.TestResult:
        """One prediction that is not counted."""
        body = {"deployment_id": deployment_id, "data": data}
        return models.TestResult.parse(self._call("POST", "/api/v1/test-model", body=body))

    def get_metrics(
        self, deployment_id: str, hours: Optional[int] = None, resolution: Optional[str] = None
    ) -> models.Metrics:
        """hours: 1 to 168, default 24. resolution: 1m, 5m, 1h or 1d."""
        query = {"hours": hours, "resolution": resolution}
        return models.Metrics.parse(
            self._call("GET", f"/api/v1/metrics/{_id(deployment_id)}", query=query)
        )

    # --- webhooks ------------------------------------------------------------------------

    def create_webhook(
        self, url: str, events: Sequence[str], secret: Optional[str] = None
    ) -> models.Webhook:
        """Without a secret the server makes one: the answer's `secret`, shown once."""
        body: Dict[str, Any] = {"url": url, "events": list(events)}
        if secret is not None:
            body["secret"] = secret
        return models.Webhook.parse(self._call("POST", "/api/v1/webhooks", body=body, kind=ONCE))

    def list_webhooks(self) -> List[models.Webhook]:
        return [models.Webhook.parse(d) for d in self._call("GET", "/api/v1/webhooks")["items"]]

    def get_webhook(self, webhook_id: str) -> models.Webhook:
        return models.Webhook.parse(self._call("GET", f"/api/v1/webhooks/{_id(webhook_id)}"))

    def delete_webhook(self, webhook_id: str) -> None:
        self._call("DELETE", f"/api/v1/webhooks/{_id(webhook_id)}")

    def test_webhook(self, webhook_id: str) -> str:
        """Queues a test event; returns the delivery's id."""
        path = f"/api/v1/webhooks/{_id(webhook_id)}/test"
        return str(self._call("POST", path, kind=ONCE)["delivery_id"])

    def list_deliveries(
        self, webhook_id: str, *, limit: Optional[int] = None, offset: Optional[int] = None
    ) -> "models.Page[models.Delivery]":
        """Newest first."""
        path = f"/api/v1/webhooks/{_id(webhook_id)}/deliveries"
        d = self._call("GET", path, query={"limit": limit, "offset": offset})
        items = [models.Delivery.parse(x) for x in d["items"]]
        return models.Page(items, d["total"], d.get("limit", len(items)), d.get("offset", 0))

    def replay_delivery(self, webhook_id: str, delivery_id: str) -> str:
        """Delivers once more; returns the new delivery's id."""
        path = f"/api/v1/webhooks/{_id(webhook_id)}/deliveries/{_id(delivery_id)}/replay"
        return str(self._call("POST", path, kind=ONCE)["delivery_id"])

    # --- state ---------------------------------------------------------------------------

    def status(self) -> models.ApiStatus:
        return models.ApiStatus.parse(self._call("GET", "/api/v1/status"))

    def health(self) -> models.Health:
        return models.Health.parse(self._call("GET", "/"))
