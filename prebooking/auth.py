"""Is this caller the cron? One answer for every wrong header, in constant time."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Sequence


def is_authorised(authorization: Sequence[str], secrets: Iterable[str]) -> bool:
    """Say whether there is exactly one ``Authorization`` header, a bearer of one of the secrets.

    The scheme is read in any case (RFC 9110, 11.1). Digests of equal length are compared, every secret each time: the
    time taken tells neither a secret's length nor which of them was nearly right.
    """
    if len(authorization) != 1:
        return False
    scheme, _, token = authorization[0].partition(" ")
    offered = _digest(token.strip(" "))
    matches = [hmac.compare_digest(offered, _digest(secret)) for secret in secrets]
    return scheme.lower() == "bearer" and any(matches)


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
