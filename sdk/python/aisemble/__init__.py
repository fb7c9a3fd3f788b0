"""Client of the Ai-semble API: language models, vision, text analysis and jobs.

    from aisemble import Client

    client = Client(base_url="http://127.0.0.1:8080/api/v2", api_key="…")
    print(client.llm.generate(prompt="Explain quantum computing").generated_text)
    for event in client.llm.chat([{"role": "user", "content": "Hello"}], stream=True):
        ...

Everything here is safe to use from several threads. Errors are subclasses of AiSembleError.
"""
from millrace_http.retry import RetryPolicy

from .client import Client
from .errors import (
    AiSembleError,
    APIConnectionError,
    APIError,
    APITimeoutError,
    AuthenticationError,
    ConflictError,
    InvalidRequestError,
    JobFailed,
    ModelNotLoadedError,
    NotFoundError,
    PermissionDeniedError,
    QuotaExceededError,
    RateLimitError,
    ServerError,
    ServiceUnavailableError,
    WaitTimeoutError,
)
from .result import Result

__version__ = "2.0.0"

__all__ = [
    "APIConnectionError",
    "APIError",
    "APITimeoutError",
    "AiSembleError",
    "AuthenticationError",
    "Client",
    "ConflictError",
    "InvalidRequestError",
    "JobFailed",
    "ModelNotLoadedError",
    "NotFoundError",
    "PermissionDeniedError",
    "QuotaExceededError",
    "RateLimitError",
    "Result",
    "RetryPolicy",
    "ServerError",
    "ServiceUnavailableError",
    "WaitTimeoutError",
]
