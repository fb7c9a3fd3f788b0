"""What the API answers: the reply's JSON, with its members also as attributes."""
from __future__ import annotations

from typing import Any, Dict


class Result(Dict[str, Any]):
    """`r.metadata.tokens_used` is `r["metadata"]["tokens_used"]`. A member whose name is a method
    of dict (`items`) or no identifier is reached by its index only."""

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(f"the reply has no member {name!r}; it has {sorted(self)}") from None


def wrap(value: Any) -> Any:
    if isinstance(value, dict):
        return Result({k: wrap(v) for k, v in value.items()})
    if isinstance(value, list):
        return [wrap(v) for v in value]
    return value
