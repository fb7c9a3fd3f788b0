"""Client of the ServeML API.

    from serveml import Client

    client = Client(api_key="...")
    deployment = client.deploy(model_path="model.pkl", name="my-model")
    print(deployment.predict([5.1, 3.5, 1.4, 0.2]).prediction)

Everything here is safe to use from several threads. Errors are subclasses of ServeMLError.
"""
from millrace_http.retry import RetryPolicy

from .client import Client, Deployment
from .errors import (
    APIConnectionError,
    APIError,
    APITimeoutError,
    AuthenticationError,
    ConflictError,
    DeploymentFailed,
    InvalidInputError,
    NotFoundError,
    PermissionDeniedError,
    PredictionError,
    RateLimitError,
    ServeMLError,
    ServerError,
    ValidationError,
    WaitTimeoutError,
)
from .models import (
    ApiKey,
    ApiStatus,
    Configuration,
    CostEstimate,
    Delivery,
    Health,
    Invitation,
    Member,
    Metrics,
    MetricsSummary,
    ModelMetadata,
    Page,
    Prediction,
    Rollback,
    TestResult,
    TimeSeries,
    Token,
    User,
    Version,
    Webhook,
)
from .webhooks import SignatureError, verify_signature

__version__ = "1.0.0"

__all__ = [
    "APIConnectionError",
    "APIError",
    "APITimeoutError",
    "ApiKey",
    "ApiStatus",
    "AuthenticationError",
    "Client",
    "Configuration",
    "ConflictError",
    "CostEstimate",
    "Delivery",
    "Deployment",
    "DeploymentFailed",
    "Health",
    "InvalidInputError",
    "Invitation",
    "Member",
    "Metrics",
    "MetricsSummary",
    "ModelMetadata",
    "NotFoundError",
    "Page",
    "PermissionDeniedError",
    "Prediction",
    "PredictionError",
    "RateLimitError",
    "RetryPolicy",
    "Rollback",
    "ServeMLError",
    "ServerError",
    "SignatureError",
    "TestResult",
    "TimeSeries",
    "Token",
    "User",
    "ValidationError",
    "Version",
    "WaitTimeoutError",
    "Webhook",
    "verify_signature",
]
