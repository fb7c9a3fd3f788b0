"""Exceptions. An error that the server answered is an APIError with its code and request id."""
from __future__ import annotations

from typing import Any, Dict, Optional, Type


class ServeMLError(Exception):
    """Base of everything that this package raises on purpose."""


ClientError = ServeMLError  # as millrace_http knows it


class APIConnectionError(ServeMLError):
    """No answer came: refused, reset, name not found, TLS failure."""


class APITimeoutError(APIConnectionError):
    """No answer within the time-out."""


class WaitTimeoutError(ServeMLError):
    """A deployment was neither active nor failed within the time that the caller gave."""

    def __init__(self, message: str, deployment_id: str) -> None:
        super().__init__(message)
        self.deployment_id = deployment_id


class APIError(ServeMLError):
    """The server answered with an error.

    status: HTTP status. code: for example "VALIDATION_ERROR". details: what the server adds, for
    example the field. request_id: names the request in the server's log.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int = 0,
        code: str = "",
        details: Optional[Dict[str, Any]] = None,
        request_id: str = "",
        retry_after: Optional[float] = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.status = status
        self.code = code
        self.details: Dict[str, Any] = details or {}
        self.request_id = request_id
        self.retry_after = retry_after

    def __str__(self) -> str:
        where = f" (request {self.request_id})" if self.request_id else ""
        return f"{self.code}: {self.message}{where}" if self.code else f"{self.message}{where}"


class InvalidInputError(APIError):
    """The request cannot be parsed or does not fit the model (400, 405, 413, 415)."""


class ValidationError(APIError):
    """A field breaks the schema (422); details["field"] names it."""


class AuthenticationError(APIError):
    """No valid key or token (401)."""


class PermissionDeniedError(APIError):
    """The key lacks the scope (403)."""


class NotFoundError(APIError):
    """No such object, or it belongs to another account (404)."""


class ConflictError(APIError):
    """A duplicate, or a state that forbids the action (409)."""


class RateLimitError(APIError):
    """Too many requests (429); retry_after says how many seconds to wait."""


class PredictionError(APIError):
    """The model failed while it predicted."""


class ServerError(APIError):
    """The server failed or is not ready (5xx)."""


class DeploymentFailed(APIError):
    """The model file cannot be served; message is the reason."""

    @property
    def deployment_id(self) -> str:
        """The row that was kept as failed, or ""."""
        return str(self.details.get("deployment_id", ""))


_BY_CODE: Dict[str, Type[APIError]] = {
    "DEPLOYMENT_FAILED": DeploymentFailed,
    "PREDICTION_ERROR": PredictionError,
}
_BY_STATUS: Dict[int, Type[APIError]] = {
    401: AuthenticationError,
    403: PermissionDeniedError,
    404: NotFoundError,
    409: ConflictError,
    422: ValidationError,
    429: RateLimitError,
}


def from_reply(
    status: int, body: Any, text: str, request_id: str, retry_after: Optional[float]
) -> APIError:
    """The exception for an error reply; `body` is its JSON, or None when it is none."""
    error = body.get("error") if isinstance(body, dict) else None
    if isinstance(error, dict):
        code = str(error.get("code", ""))
        message = str(error.get("message", ""))
        details = error.get("details")
        request_id = str(body.get("request_id") or request_id)
    else:
        code, message, details = "", f"HTTP {status}: {text[:200].strip() or 'no body'}", None
    fallback: Type[APIError] = ServerError if status >= 500 else InvalidInputError
    kind = _BY_CODE.get(code) or _BY_STATUS.get(status) or fallback
    return kind(
        message,
        status=status,
        code=code,
        details=details if isinstance(details, dict) else None,
        request_id=request_id,
        retry_after=retry_after,
    )
