"""Members' logins at venues: sealed with a key that the database never has, and replaced by version.

AES-256-GCM (NIST SP 800-38D) with the member and the venue as associated data: a session that is copied to somebody
else's row, or changed in any way, does not open.
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, TypeAdapter

from prebooking.clock import Clock, Deadline, Reading
from prebooking.errors import SealBroken
from prebooking.model import Kind, Outcome, SealedSession, Venue
from prebooking.settings import AccountSettings, session_key
from prebooking.supabase import IsolatedSupabase

_NONCE = 12  # bytes, as the mode asks for
WARNINGS = {
    Kind.SESSION_EXPIRED: "session_expired: the venue asks the member to log in again.",
    Kind.BAD_DATA: "session_unreadable: the stored login cannot be opened: log in again.",
}


class Seal:
    """The keys of this deployment: the current one seals, the previous one opens too, while keys are rotated."""

    def __init__(self, *keys: bytes) -> None:
        self._keys = keys

    @classmethod
    def of(cls, settings: AccountSettings) -> Self:
        """Return the seal that the settings describe; without a key it opens nothing."""
        given = (settings.session_encryption_key, settings.session_encryption_key_previous)
        return cls(*(session_key(key.get_secret_value()) for key in given if key))

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
                content = json.loads(AESGCM(key).decrypt(raw[:_NONCE], raw[_NONCE:], _whose(venue_id, member)))
            except (InvalidTag, ValueError):
                continue
            if isinstance(content, dict):
                return content
        raise SealBroken("The stored login cannot be opened: log in again.")


def _whose(venue_id: UUID, member: str) -> bytes:
    return f"{venue_id}:{member.lower()}".encode()


@dataclass(frozen=True, slots=True)
class SessionLease:
    """Whether this invocation may refresh a session: ``newer`` brings the one that somebody else has refreshed."""

    state: Literal["leased", "newer", "busy", "gone"]
    session: SealedSession | None = None


class MemberSession(BaseModel):
    """A session that should be refreshed, whose it is and where."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    venue: Venue
    user_email: str
    session: SealedSession


_version = TypeAdapter(int | None).validate_python
_yes_or_no = TypeAdapter(bool).validate_python
_lease = TypeAdapter(SessionLease).validate_python
_sessions = TypeAdapter(list[MemberSession]).validate_python


class SessionStore:
    """The table of sessions. One method is one function of the database; all raise a StoreError without an answer."""

    def __init__(self, database: IsolatedSupabase, *, instance_id: UUID, clock: Clock) -> None:
        self.instance_id = instance_id
        self._database, self._clock = database, clock

    async def save(self, venue_id: UUID, member: str, sealed: str, *, version: int | None, within: float) -> int | None:
        """Keep a session instead of this version (None: a new login, instead of any); return the new version.

        None means that somebody else has replaced it meanwhile, and nothing was touched. ``within`` in seconds.
        """
        params = _key(venue_id, member) | {"p_sealed": sealed, "p_version": version}
        return (await self._database.call("save_session_v1", params, _version, until=self._until(within))).value

    async def warn(self, venue_id: UUID, member: str, why: Outcome, *, version: int, within: float) -> bool:
        """Write on the member's prebookings what is wrong with this version; False: there is a newer one.

        ``session_expired`` ends it: the venue has said so. After anything else it is tried again.
        """
        warning = WARNINGS.get(
            why.kind, "session_not_refreshed: AimHarder did not refresh the login; it is tried again."
        )
        params = _key(venue_id, member) | {"p_version": version, "p_warning": warning}
        params |= {"p_over": why.kind is Kind.SESSION_EXPIRED}
        return (await self._database.call("warn_about_session_v1", params, _yes_or_no, until=self._until(within))).value

    async def lease(self, venue_id: UUID, member: str, *, version: int, within: float) -> SessionLease:
        """Ask for the right to refresh this version: a refresh token is good for one use only."""
        params = _key(venue_id, member) | {"p_instance": str(self.instance_id), "p_version": version}
        return (await self._database.call("lease_session_v1", params, _lease, until=self._until(within))).value

    async def claim(
        self, *, providers: Iterable[str], older_than: float, limit: int, until: Deadline
    ) -> list[MemberSession]:
        """Lease the sessions older than so many seconds whose members have an opening within a day, soonest first."""
        params: dict[str, Any] = {"p_instance": str(self.instance_id), "p_providers": list(providers)}
        params |= {"p_age_ms": int(older_than * 1000), "p_limit": limit}
        return (await self._database.call("claim_sessions_v1", params, _sessions, until=until)).value

    def _until(self, seconds: float) -> Deadline:
        return Deadline(self._clock, Reading.of(self._clock), seconds)


def _key(venue_id: UUID, member: str) -> dict[str, Any]:
    return {"p_venue_id": str(venue_id), "p_user_email": member}
