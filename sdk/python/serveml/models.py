"""What the API answers, as frozen dataclasses. `raw` keeps the reply, also fields unknown here."""
from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Dict, Generic, Iterator, List, Mapping, Optional, TypeVar

Json = Mapping[str, Any]
T = TypeVar("T")


def parse_time(text: Any) -> Optional[datetime]:
    """RFC 3339 in UTC; None for an absent time."""
    if not isinstance(text, str) or not text:
        return None
    return datetime.fromisoformat(text[:-1] + "+00:00" if text.endswith("Z") else text)


def must_time(text: Any) -> datetime:
    when = parse_time(text)
    if when is None:
        raise ValueError(f"not a time: {text!r}")
    return when


def _raw() -> Any:
    return field(repr=False, compare=False, default_factory=dict)


@dataclass(frozen=True)
class Prediction:
    """One answer of a model, for a row or for a batch.

    A row has `prediction` and, of a classifier, one list of `probabilities`. A batch has
    `predictions` and a list of probabilities for each row.
    """

    model_version: str
    response_time_ms: float
    probabilities: Optional[List[Any]]
    batch_size: Optional[int]
    raw: Json = _raw()

    @property
    def is_batch(self) -> bool:
        return "predictions" in self.raw

    @property
    def prediction(self) -> Any:
        if self.is_batch:
            raise AttributeError("this is the answer to a batch: use .predictions")
        return self.raw["prediction"]

    @property
    def predictions(self) -> List[Any]:
        """Of a batch, one a row; of a single row, a list of one."""
        return list(self.raw["predictions"]) if self.is_batch else [self.raw["prediction"]]

    @classmethod
    def parse(cls, d: Json) -> "Prediction":
        return cls(
            model_version=str(d["model_version"]),
            response_time_ms=d["response_time_ms"],
            probabilities=d.get("probabilities"),
            batch_size=d.get("batch_size"),
            raw=d,
        )


@dataclass(frozen=True)
class TestResult:
    """A prediction that was not counted, with the schema that its input was checked against."""

    __test__ = False  # not a test class for pytest

    deployment_id: str
    model_version: str
    response_time_ms: float
    input_schema: Dict[str, Any]
    features_read: List[Any]
    prediction: Any
    probabilities: Optional[List[Any]]
    raw: Json = _raw()

    @classmethod
    def parse(cls, d: Json) -> "TestResult":
        return cls(
            deployment_id=d["deployment_id"],
            model_version=d["model_version"],
            response_time_ms=d["response_time_ms"],
            input_schema=d["input_schema"],
            features_read=d["features_read"],
            prediction=d.get("prediction", d.get("predictions")),
            probabilities=d.get("probabilities"),
            raw=d,
        )


@dataclass(frozen=True)
class ModelMetadata:
    framework: str
    model_type: str
    size_mb: Optional[float]
    input_shape: Optional[List[int]]
    output_shape: Optional[List[int]]
    raw: Json = _raw()

    @classmethod
    def parse(cls, d: Json) -> "ModelMetadata":
        return cls(
            framework=str(d.get("framework", "")),
            model_type=str(d.get("model_type", "")),
            size_mb=d.get("size_mb"),
            input_shape=d.get("input_shape"),
            output_shape=d.get("output_shape"),
            raw=d,
        )


@dataclass(frozen=True)
class Configuration:
    memory_mb: int
    timeout_seconds: int
    min_instances: int
    max_instances: int

    @classmethod
    def parse(cls, d: Json) -> "Configuration":
        return cls(
            d["memory_mb"], d["timeout_seconds"], d["min_instances"], d["max_instances"]
        )


@dataclass(frozen=True)
class MetricsSummary:
    total_predictions: int
    avg_latency_ms: float
    error_rate: float

    @classmethod
    def parse(cls, d: Json) -> "MetricsSummary":
        return cls(d["total_predictions"], d["avg_latency_ms"], d["error_rate"])


@dataclass(frozen=True)
class TimeSeries:
    timestamps: List[datetime]
    request_counts: List[int]
    avg_latencies: List[float]
    error_counts: List[int]


@dataclass(frozen=True)
class CostEstimate:
    total_usd: float
    breakdown: Dict[str, float]


@dataclass(frozen=True)
class Metrics:
    """Figures of a deployment over `period_start` to `period_end`."""

    deployment_id: str
    period_start: datetime
    period_end: datetime
    request_count: int
    error_count: int
    avg_latency_ms: float
    p95_latency_ms: float
    p99_latency_ms: float
    cold_starts: int
    unique_users: int
    time_series: TimeSeries
    cost_estimate: CostEstimate
    dashboard_url: str
    raw: Json = _raw()

    @classmethod
    def parse(cls, d: Json) -> "Metrics":
        m, t, c = d["metrics"], d["time_series"], d["cost_estimate"]
        return cls(
            deployment_id=d["deployment_id"],
            period_start=must_time(d["period"]["start"]),
            period_end=must_time(d["period"]["end"]),
            request_count=m["request_count"],
            error_count=m["error_count"],
            avg_latency_ms=m["avg_latency_ms"],
            p95_latency_ms=m["p95_latency_ms"],
            p99_latency_ms=m["p99_latency_ms"],
            cold_starts=m["cold_starts"],
            unique_users=m["unique_users"],
            time_series=TimeSeries(
                [must_time(x) for x in t["timestamps"]],
                list(t["request_counts"]),
                list(t["avg_latencies"]),
                list(t.get("error_counts", [])),
            ),
            cost_estimate=CostEstimate(c["total_usd"], dict(c["breakdown"])),
            dashboard_url=d["dashboard_url"],
            raw=d,
        )


@dataclass(frozen=True)
class Version:
    version: str
    created_at: datetime
    status: str
    is_current: bool
    changes: str
    error: str
    raw: Json = _raw()

    @classmethod
    def parse(cls, d: Json) -> "Version":
        return cls(
            version=d["version"],
            created_at=must_time(d["created_at"]),
            status=d["status"],
            is_current=d["is_current"],
            changes=d["changes"],
            error=d.get("error", ""),
            raw=d,
        )


@dataclass(frozen=True)
class Rollback:
    id: str
    version: str
    previous_version: str
    raw: Json = _raw()

    @classmethod
    def parse(cls, d: Json) -> "Rollback":
        return cls(d["id"], d["version"], d["previous_version"], d)


@dataclass(frozen=True)
class User:
    id: str
    email: str
    username: str
    full_name: Optional[str]
    created_at: datetime
    deployment_count: int
    total_predictions: int
    raw: Json = _raw()

    @classmethod
    def parse(cls, d: Json) -> "User":
        return cls(
            id=d["id"],
            email=d["email"],
            username=d["username"],
            full_name=d.get("full_name"),
            created_at=must_time(d["created_at"]),
            deployment_count=d.get("deployment_count", 0),
            total_predictions=d.get("total_predictions", 0),
            raw=d,
        )


@dataclass(frozen=True)
class Token:
    """`user` is there after register, not after login."""

    access_token: str = field(repr=False)
    token_type: str
    user: Optional[User]
    raw: Json = _raw()

    @classmethod
    def parse(cls, d: Json) -> "Token":
        user = User.parse(d["user"]) if d.get("user") else None
        return cls(d["access_token"], d["token_type"], user, d)


@dataclass(frozen=True)
class ApiKey:
    """`key` is the secret: only there in the answer to create."""

    id: str
    name: str
    prefix: str
    scopes: List[str]
    created_at: datetime
    last_used_at: Optional[datetime]
    expires_at: Optional[datetime]
    rate_limit_per_minute: Optional[int]
    monthly_budget_usd: Optional[float]
    key: Optional[str] = field(repr=False, default=None)
    raw: Json = _raw()

    @classmethod
    def parse(cls, d: Json) -> "ApiKey":
        return cls(
            id=d["id"],
            name=d["name"],
            prefix=d["prefix"],
            scopes=list(d["scopes"]),
            created_at=must_time(d["created_at"]),
            last_used_at=parse_time(d.get("last_used_at")),
            expires_at=parse_time(d.get("expires_at")),
            rate_limit_per_minute=d.get("rate_limit_per_minute"),
            monthly_budget_usd=d.get("monthly_budget_usd"),
            key=d.get("key"),
            raw=d,
        )


@dataclass(frozen=True)
class Member:
    user_id: str
    email: str
    username: str
    role: str
    joined_at: datetime
    raw: Json = _raw()

    @classmethod
    def parse(cls, d: Json) -> "Member":
        return cls(
            d["user_id"], d["email"], d["username"], d["role"], must_time(d["joined_at"]), d
        )


@dataclass(frozen=True)
class Invitation:
    """`invitation` is the token that register takes."""

    email: str
    role: str
    invitation: str = field(repr=False)
    expires_at: datetime
    raw: Json = _raw()

    @classmethod
    def parse(cls, d: Json) -> "Invitation":
        return cls(d["email"], d["role"], d["invitation"], must_time(d["expires_at"]), d)


@dataclass(frozen=True)
class Webhook:
    """`secret` is only there in the answer to create, when the server made it."""

    id: str
    url: str
    events: List[str]
    status: str
    created_at: datetime
    secret: Optional[str] = field(repr=False, default=None)
    raw: Json = _raw()

    @classmethod
    def parse(cls, d: Json) -> "Webhook":
        return cls(
            id=d["id"],
            url=d["url"],
            events=list(d["events"]),
            status=d["status"],
            created_at=must_time(d["created_at"]),
            secret=d.get("secret"),
            raw=d,
        )


@dataclass(frozen=True)
class Delivery:
    id: str
    event: str
    status: str
    attempts: List[Dict[str, Any]]
    created_at: datetime
    raw: Json = _raw()

    @classmethod
    def parse(cls, d: Json) -> "Delivery":
        return cls(
            d["id"], d["event"], d["status"], list(d["attempts"]), must_time(d["created_at"]), d
        )


@dataclass(frozen=True)
class ApiStatus:
    api: str
    deployments: str
    predictions: str
    database: str
    storage: str
    issues: List[str]

    @classmethod
    def parse(cls, d: Json) -> "ApiStatus":
        return cls(
            d["api"], d["deployments"], d["predictions"], d["database"], d["storage"],
            list(d["issues"]),
        )


@dataclass(frozen=True)
class Health:
    status: str
    message: str
    version: str
    timestamp: datetime

    @classmethod
    def parse(cls, d: Json) -> "Health":
        return cls(
            d["status"], d.get("message", ""), d.get("version", ""), must_time(d["timestamp"])
        )


@dataclass(frozen=True)
class Page(Generic[T]):
    """One page of a list; `total` counts all pages."""

    items: List[T]
    total: int
    limit: int
    offset: int

    def __iter__(self) -> Iterator[T]:
        return iter(self.items)

    def __len__(self) -> int:
        return len(self.items)
