"""The address in each mail that removes its channel, and the pages behind it (RFC 8058)."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Iterable
from uuid import UUID

_PURPOSE = b"prebooking-scheduler unsubscribe v1"  # so that a signature is worth nothing anywhere else


def unsubscribe_address(app_url: str, secret: str, channel_id: UUID) -> str:
    """Return the address that removes a channel. It contains no personal data."""
    return f"{app_url}/api/unsubscribe?channel={channel_id}&key={_signature(secret, channel_id)}"


def is_signed(channel_id: UUID, key: str, secrets: Iterable[str]) -> bool:
    """Return whether one of the secrets has signed the address. Every comparison takes the same time."""
    offered = key.encode("utf-8", "surrogatepass")
    matches = [hmac.compare_digest(offered, _signature(secret, channel_id).encode()) for secret in secrets]
    return any(matches)


def _signature(secret: str, channel_id: UUID) -> str:
    key = hmac.digest(secret.encode(), _PURPOSE, hashlib.sha256)
    return base64.urlsafe_b64encode(hmac.digest(key, channel_id.bytes, hashlib.sha256)).decode().rstrip("=")
