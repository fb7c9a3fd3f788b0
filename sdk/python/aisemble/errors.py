"""Exceptions. An error that the server answered is an APIError with its code and request id."""
from __future__ import annotations

from typing import Any, Dict, Optional, Type


class AiSembleError(Exception):
    """Base of everything that this package raises on purpose."""


ClientError = AiSembleError  # as millrace_http knows it


class APIConnectionError(AiSembleError):
    """No answer came: refused, reset, name not found, TLS failure, a stream that was cut off."""


class APITimeoutError(APIConnectionError):
    """No answer within the time-out."""


class WaitTimeoutError(AiSembleError):
    """A job or a model was not ready within the time that the caller gave."""


class JobFailed(AiSembleError):
    """A job that was waited for failed or was cancelled; `job` is its last state."""

    def __init__(self, message: str, job: Any) -> None:
        super().__init__(message)
        self.job = job


class APIError(AiSembleError):
    """The server answered with an error.

    status: HTTP status. code: for example "MODEL_NOT_LOADED". details: for example the field and
    the reason. request_id: names the request in the server's log.
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


class InvalidRequestError(APIError):
    """The body or a parameter is invalid (400); details["field"] names it."""


class AuthenticationError(APIError):
    """No valid key or token (401)."""


class QuotaExceededError(APIError):
    """The budget is spent (402); details name it."""


class PermissionDeniedError(APIError):
    """Not for this account (403)."""


class NotFoundError(APIError):
    """No such object, or it belongs to another account (404)."""


class ConflictError(APIError):
    """A state that forbids the action (409)."""


class ModelNotLoadedError(APIError):
    """The model is known but cannot be used now (422)."""


class RateLimitError(APIError):
    """Too many requests (429); retry_after says how many seconds to wait."""


class ServiceUnavailableError(APIError):
    """A service is stopped or its queue is full (503)."""


class ServerError(APIError):
    """The server failed (5xx)."""


_BY_STATUS: Dict[int, Type[APIError]] = {
    401: AuthenticationError,
    402: QuotaExceededError,
    403: PermissionDeniedError,
    404: NotFoundError,
    409: ConflictError,
    422: ModelNotLoadedError,
    429: RateLimitError,
    503: ServiceUnavailableError,
}


def from_reply(
    status: int, body: Any, text: str, request_id: str, retry_after: Optional[float]
) -> APIError:
    """The exception for an error reply; `body` is its JSON, or None when it is none."""
    error = body.get("error") if isinstance(body, dict) else None
    kind = _BY_STATUS.get(status) or (ServerError if status >= 500 else InvalidRequestError)
    if not isinstance(error, dict):
        message = f"HTTP {status}: {text[:200].strip() or 'no body'}"
        return kind(message, status=status, request_id=request_id, retry_after=retry_after)
    details = error.get("details")
    return kind(
        str(error.get("message", "")),
        status=status,
        code=str(error.get("code", "")),
        details=details if isinstance(details, dict) else None,
        request_id=str(error.get("request_id") or request_id),
        retry_after=retry_after,
    )
