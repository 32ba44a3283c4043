"""Encryption of members' sessions and remembered passwords, with a key that the database never has.

It uses AES-256-GCM (NIST SP 800-38D) with the member, the venue and the purpose as associated data. So a text that was
copied to another member's row or to another column, or changed in any way, cannot be decrypted.
"""

from __future__ import annotations

import base64
import json
import os
from enum import StrEnum
from typing import Any, Self
from uuid import UUID

from prebooking.errors import SealBroken
from prebooking.settings import AccountSettings, key_id

SEALED_LIMIT = 16_384  # characters: the limit of the columns member_sessions.sealed and password

_NONCE, _TAG = 12, 16  # bytes that AES-GCM adds


class Purpose(StrEnum):
    """What a sealed text is used for. The value is a part of its associated data."""

    SESSION = ""  # sessions were sealed before there was another purpose
    PASSWORD = "password:"  # noqa: S105 - a name


class Seal:
    """The keys of this deployment. The first key encrypts; all keys decrypt, so that keys can be rotated."""

    def __init__(self, *keys: bytes) -> None:
        self._keys = keys

    @classmethod
    def of(cls, settings: AccountSettings) -> Self:
        """Return a seal with the keys of the settings. Without a key it decrypts nothing."""
        return cls(*settings.session_keys)

    @property
    def key_ids(self) -> list[str]:
        """Return the public ids of the keys; the first is the id of the key that encrypts."""
        return [key_id(key) for key in self._keys]

    def seal(self, content: dict[str, Any], *, venue_id: UUID, member: str, purpose: Purpose = Purpose.SESSION) -> str:
        """Encrypt content for this member, venue and purpose, and return it as text."""
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415 - loaded with the first session

        nonce = os.urandom(_NONCE)
        associated = _associated_data(venue_id, member, purpose)
        sealed = AESGCM(self._keys[0]).encrypt(nonce, json.dumps(content).encode(), associated)
        return base64.b64encode(nonce + sealed).decode()

    def open(self, sealed: str, *, venue_id: UUID, member: str, purpose: Purpose = Purpose.SESSION) -> dict[str, Any]:
        """Decrypt content of this member, venue and purpose.

        Raises:
            SealBroken: no key decrypts it for this member, venue and purpose.

        """
        from cryptography.exceptions import InvalidTag  # noqa: PLC0415 - as above
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415 - as above

        for key in self._keys:
            try:
                raw = base64.b64decode(sealed, validate=True)
                text = AESGCM(key).decrypt(raw[:_NONCE], raw[_NONCE:], _associated_data(venue_id, member, purpose))
            except (InvalidTag, ValueError):
                continue
            content: dict[str, Any] = json.loads(text)
            return content
        raise SealBroken("The stored login cannot be opened: log in again.")


def sealed_size(content: dict[str, Any]) -> int:
    """Return the length of this content after encryption."""
    return 4 * -(-(len(json.dumps(content)) + _NONCE + _TAG) // 3)


def _associated_data(venue_id: UUID, member: str, purpose: Purpose) -> bytes:
    """Return the bytes to which a text is bound. The purpose comes first: no member's address can imitate it."""
    return f"{purpose}{venue_id}:{member.lower()}".encode()
