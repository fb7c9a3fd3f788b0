"""Checks that a webhook call came from the server and was not changed or replayed."""
from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import time
from typing import Any, Dict, Mapping, Optional, Union

from .errors import ServeMLError


class SignatureError(ServeMLError):
    """The call is not authentic, or too old."""


def _key(secret: str) -> bytes:
    """Standard Webhooks: "whsec_" and base64; any other secret is used as it stands."""
    if secret.startswith("whsec_"):
        try:
            return base64.b64decode(secret[6:] + "=" * (-len(secret[6:]) % 4), validate=True)
        except (binascii.Error, ValueError):
            pass
    return secret.encode()


def verify_signature(
    payload: Union[bytes, str],
    headers: Mapping[str, str],
    secret: str,
    *,
    tolerance: float = 300.0,
    now: Optional[float] = None,
) -> Dict[str, Any]:
    """Returns the event, or raises SignatureError.

    payload: the body as received, byte for byte. headers: of the request, names in any case.
    tolerance: how many seconds the call's clock may differ from ours.
    """
    body = payload.encode() if isinstance(payload, str) else bytes(payload)
    if not secret:
        raise SignatureError("the secret is empty")
    given = {str(k).lower(): str(v) for k, v in headers.items()}
    ident, stamp = given.get("webhook-id"), given.get("webhook-timestamp")
    signatures = given.get("webhook-signature")
    if not ident or not stamp or not signatures:
        raise SignatureError("the webhook-id, -timestamp or -signature header is missing")
    try:
        sent = int(stamp)
    except ValueError:
        raise SignatureError("webhook-timestamp is not a number") from None
    if abs((time.time() if now is None else now) - sent) > tolerance:
        raise SignatureError("the call is too old, or a clock is wrong")
    signed = ident.encode() + b"." + stamp.encode() + b"." + body
    want = base64.b64encode(hmac.new(_key(secret), signed, hashlib.sha256).digest()).decode()
    for one in signatures.split():
        version, _, value = one.partition(",")
        if version == "v1" and hmac.compare_digest(value.encode(), want.encode()):
            event = json.loads(body)
            if not isinstance(event, dict):
                raise SignatureError("the body is not an event")
            return event
    raise SignatureError("no signature fits the body and the secret")
