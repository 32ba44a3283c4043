"""Supabase's keys, for a project on one machine. The key of a request determines its role."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

_SKEW = 30  # seconds: the clock difference that PostgREST allows


class BadToken(Exception):
    """The key is not valid; ``code`` is PostgREST's error code."""

    def __init__(self, code: str, message: str) -> None:
        self.code = code
        super().__init__(message)


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys of one local project: a new one (``sb_...``) per role, and old ones (JWTs) that contain a role."""

    secret: str = field(default_factory=lambda: f"sb_secret_{secrets.token_urlsafe(24)}", repr=False)
    publishable: str = field(default_factory=lambda: f"sb_publishable_{secrets.token_urlsafe(24)}", repr=False)
    jwt_secret: str = field(default_factory=lambda: secrets.token_urlsafe(32), repr=False)

    def sign(self, **claims: Any) -> str:
        """Return a JWT with these claims, such as ``role="service_role"`` or ``exp=0``."""
        signed = f"{_encode({'alg': 'HS256', 'typ': 'JWT'})}.{_encode(claims)}"
        return f"{signed}.{_base64(self._signature(signed))}"

    def claims(self, headers: Mapping[str, str]) -> dict[str, Any]:
        """Return the claims of a request's key, at least the role. Raises BadToken."""
        kind, _, token = headers.get("authorization", "").partition(" ")
        token = token.strip() if kind.lower() == "bearer" else headers.get("apikey", "")
        roles = {self.secret: "service_role", self.publishable: "anon", "": "anon"}
        return {"role": roles[token]} if token in roles else {"role": "anon"} | self._verify(token)

    def _verify(self, token: str) -> dict[str, Any]:
        parts = token.split(".")
        if len(parts) != 3:  # noqa: PLR2004 - header, claims, signature
            message = f"JWSError (CompactDecodeError Invalid number of parts: Expected 3 parts; got {len(parts)})"
            raise BadToken("PGRST301", message)
        header, claims, signature = (_decode(part) for part in parts)
        if _json(header).get("alg") != "HS256" or not hmac.compare_digest(
            signature, self._signature(".".join(parts[:2]))
        ):
            raise BadToken("PGRST301", "JWSError JWSInvalidSignature")
        return _in_force(_json(claims))

    def _signature(self, signed: str) -> bytes:
        return hmac.digest(self.jwt_secret.encode(), signed.encode(), hashlib.sha256)


def _in_force(claims: dict[str, Any]) -> dict[str, Any]:
    now = time.time()
    expires = claims.get("exp", now)
    if not isinstance(expires, int | float):
        raise BadToken("PGRST303", "The JWT 'exp' claim must be a number")
    if expires < now - _SKEW:
        raise BadToken("PGRST303", "JWT expired")  # PGRST301 up to PostgREST 12
    return claims


def _encode(value: dict[str, Any]) -> str:
    return _base64(json.dumps(value, separators=(",", ":")).encode())


def _base64(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


def _decode(part: str) -> bytes:
    try:
        return base64.b64decode(part + "=" * (-len(part) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise BadToken("PGRST301", "JWSError (JSONDecodeError: not valid base64url)") from None


def _json(part: bytes) -> dict[str, Any]:
    try:
        value = json.loads(part)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise BadToken("PGRST301", "JWSError JWSInvalidSignature")
    return value
