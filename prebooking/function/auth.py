"""Checks the bearer secret of a request in constant time."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Sequence


def is_authorised(authorization: Sequence[str], secrets: Iterable[str]) -> bool:
    """Return whether there is exactly one ``Authorization`` header, and its bearer token is one of the secrets.

    The scheme is case-insensitive (RFC 9110, 11.1). Every secret is compared by its digest, so that the time taken
    reveals neither a secret's length nor a near match.
    """
    if len(authorization) != 1:
        return False
    scheme, _, token = authorization[0].partition(" ")
    offered = _digest(token.strip(" "))
    matches = [hmac.compare_digest(offered, _digest(secret)) for secret in secrets]
    return scheme.lower() == "bearer" and any(matches)


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
