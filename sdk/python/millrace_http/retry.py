"""When to try again, and after how long."""
from __future__ import annotations

import random
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from datetime import datetime, timezone
from typing import Optional

# How much a second attempt could repeat.
SAFE = "safe"  # the server may do it twice without harm
ONCE = "once"  # only when the first attempt certainly did nothing


@dataclass(frozen=True)
class RetryPolicy:
    """max_retries: attempts after the first. Delays double from `base_delay` to `max_delay`
    seconds and are drawn at random between half and all of that; a Retry-After of up to
    `max_retry_after` seconds is followed instead."""

    max_retries: int = 3
    base_delay: float = 0.25
    max_delay: float = 8.0
    max_retry_after: float = 60.0

    def wants(self, attempt: int, kind: str, status: int, code: str) -> bool:
        """Whether to try again after `status` (0: the connection broke after sending began,
        -1: it never came about)."""
        if attempt >= self.max_retries:
            return False
        if status in (-1, 429, 503):
            return True  # not processed
        if kind != SAFE:
            return False
        if status in (0, 408):
            return True
        # A model that fails fails again, and so does a full disk.
        return 500 <= status <= 599 and status not in (501, 505, 507) and code != "PREDICTION_ERROR"

    def delay(self, attempt: int, retry_after: Optional[float]) -> Optional[float]:
        """Seconds to wait before attempt + 1; None: longer than the caller would want."""
        if retry_after is not None:
            return retry_after if retry_after <= self.max_retry_after else None
        top = min(self.max_delay, self.base_delay * (2.0**attempt))
        return top * (0.5 + random.random() / 2)


def parse_retry_after(value: Optional[str]) -> Optional[float]:
    """Seconds from a Retry-After header: a number or an HTTP date."""
    if not value:
        return None
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        when = parsedate_to_datetime(value)
    except (TypeError, ValueError, IndexError):
        return None
    if when.tzinfo is None:
        when = when.replace(tzinfo=timezone.utc)
    return max(0.0, (when - datetime.now(timezone.utc)).total_seconds())
