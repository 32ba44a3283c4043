"""Members' logins at venues: sealed with a key that the database never has, and replaced by version.

AES-256-GCM (NIST SP 800-38D) with the member and the venue as associated data: a session that is copied to somebody
else's row, or changed in any way, does not open.
"""

from __future__ import annotations

import base64
import json
import os
from typing import Any, Self
from uuid import UUID

from prebooking.errors import SealBroken
from prebooking.settings import AccountSettings, key_id

_NONCE, _TAG = 12, 16  # bytes that the mode adds


SEALED_LIMIT = 16_384  # characters: the column member_sessions.sealed takes no more


class Seal:
    """The keys of this deployment: the current one seals, the previous one opens too, while keys are rotated."""

    def __init__(self, *keys: bytes) -> None:
        self._keys = keys

    @classmethod
    def of(cls, settings: AccountSettings) -> Self:
        """Return the seal that the settings describe; without a key it opens nothing."""
        return cls(*settings.session_keys)

    @property
    def key_ids(self) -> list[str]:
        """Return what names each key without showing it; the first is that of the key that seals."""
        return [key_id(key) for key in self._keys]

    def seal(self, content: dict[str, Any], *, venue_id: UUID, member: str) -> str:
        """Return what the database may keep, as text."""
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415 - not before a session needs it

        nonce = os.urandom(_NONCE)
        sealed = AESGCM(self._keys[0]).encrypt(nonce, json.dumps(content).encode(), _whose(venue_id, member))
        return base64.b64encode(nonce + sealed).decode()

    def open(self, sealed: str, *, venue_id: UUID, member: str) -> dict[str, Any]:
        """Return what was sealed for this member and venue.

        Raises:
            SealBroken: no key of ours opens it for them.

        """
        from cryptography.exceptions import InvalidTag  # noqa: PLC0415 - as above
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415 - as above

        for key in self._keys:
            try:
                raw = base64.b64decode(sealed, validate=True)
                text = AESGCM(key).decrypt(raw[:_NONCE], raw[_NONCE:], _whose(venue_id, member))
            except (InvalidTag, ValueError):
                continue
            content: dict[str, Any] = json.loads(text)
            return content
        raise SealBroken("The stored login cannot be opened: log in again.")


def sealed_size(content: dict[str, Any]) -> int:
    """Return the length that this content has when it is sealed."""
    return 4 * -(-(len(json.dumps(content)) + _NONCE + _TAG) // 3)


def _whose(venue_id: UUID, member: str) -> bytes:
    return f"{venue_id}:{member.lower()}".encode()
