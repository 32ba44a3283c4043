"""The database functions for members' sessions, which are stored encrypted and replaced by version."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from prebooking.clock import Clock, Deadline
from prebooking.database.client import IsolatedSupabase, read_bool
from prebooking.model import Kind, Outcome, SealedSession, Venue

WARNINGS = {
    Kind.SESSION_EXPIRED: "session_expired: the venue asks the member to log in again.",
    Kind.BAD_DATA: "session_unreadable: the stored login cannot be opened: log in again.",
}


@dataclass(frozen=True, slots=True)
class SessionLease:
    """The answer to a request for the right to refresh a session.

    ``leased``: this invocation may refresh it. ``busy``: another one is refreshing it. ``newer``: it was replaced, by
    ``session``. ``over``: the venue has refused this login. ``gone``: it was removed.
    """

    state: Literal["leased", "newer", "busy", "over", "gone"]
    session: SealedSession | None = None


@dataclass(frozen=True, slots=True)
class SessionClaim:
    """The sessions that one claim has leased; ``unreadable`` counts the rows that cannot be read."""

    sessions: list[ClaimedSession]
    unreadable: int


class ClaimedSession(BaseModel):
    """A leased session, with its member and venue."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    venue: Venue
    user_email: str
    session: SealedSession


_version = TypeAdapter(int | None).validate_python
_lease = TypeAdapter(SessionLease).validate_python
_strings = TypeAdapter(list[str]).validate_python
_raw = TypeAdapter(list[Any]).validate_python
_session = TypeAdapter(ClaimedSession).validate_python


class SessionStore:
    """Members' sessions: one method calls one function. Every method raises a StoreError without a usable answer."""

    def __init__(self, database: IsolatedSupabase, *, instance_id: UUID, clock: Clock) -> None:
        self.instance_id = instance_id
        self._database, self._clock = database, clock

    async def save(
        self,
        venue_id: UUID,
        member: str,
        sealed: str,
        *,
        key_id: str,
        version: int | None,
        within: float,
        password: str | None = None,
    ) -> int | None:
        """Store a session in place of this version, and return its new version; ``within`` is in seconds.

        A version of None stores a new login in place of any version, with the sealed password to remember; None removes
        a remembered one. Returns None if the stored session has another version, and changes nothing then. ``key_id``
        is the id of the key that encrypted the session and the password.
        """
        params = _key(venue_id, member) | {"p_sealed": sealed, "p_version": version, "p_key_id": key_id}
        params |= {"p_password": password, "p_password_key_id": key_id} if password else {}
        return (await self._database.call("save_session_v1", params, _version, until=self._until(within))).value

    async def warn(self, venue_id: UUID, member: str, why: Outcome, *, version: int, within: float) -> bool:
        """Store a warning about this version on the member's prebookings; False if there is a newer version.

        After ``session_expired`` the session is not refreshed any more; after other outcomes it is tried again.
        """
        warning = WARNINGS.get(
            why.kind, "session_not_refreshed: AimHarder did not refresh the login; it is tried again."
        )
        params = _key(venue_id, member) | {"p_version": version, "p_warning": warning}
        params |= {"p_over": why.kind is Kind.SESSION_EXPIRED}
        return (await self._database.call("warn_about_session_v1", params, read_bool, until=self._until(within))).value

    async def lease(self, venue_id: UUID, member: str, *, version: int, within: float) -> SessionLease:
        """Request the right to refresh this version. A refresh token works only once, so only one run may use it."""
        params = _key(venue_id, member) | {"p_instance": str(self.instance_id), "p_version": version}
        return (await self._database.call("lease_session_v1", params, _lease, until=self._until(within))).value

    async def claim(
        self, *, providers: Iterable[str], keys: Iterable[str], older_than: float, limit: int, until: Deadline
    ) -> SessionClaim:
        """Lease sessions of members with an opening within a week, the earliest opening first.

        It takes sessions older than ``older_than`` seconds, by the database's clock, that one of these keys decrypts.
        """
        params: dict[str, Any] = {"p_instance": str(self.instance_id), "p_providers": list(providers)}
        params |= {"p_age_ms": int(older_than * 1000), "p_limit": limit, "p_keys": list(keys)}
        return _claimed((await self._database.call("claim_sessions_v1", params, _raw, until=until)).value)

    async def key_ids(self, *, until: Deadline) -> list[str]:
        """Return the ids of the keys that encrypted the stored sessions and passwords."""
        return (await self._database.call("session_key_ids_v1", {}, _strings, until=until)).value

    def _until(self, seconds: float) -> Deadline:
        return Deadline.within(self._clock, seconds)


def _claimed(rows: list[Any]) -> SessionClaim:
    """Read the rows one by one, so that an unreadable row does not hide the others."""
    sessions = []
    for row in rows:
        with suppress(ValidationError):
            sessions.append(_session(row))
    return SessionClaim(sessions, len(rows) - len(sessions))


def _key(venue_id: UUID, member: str) -> dict[str, Any]:
    return {"p_venue_id": str(venue_id), "p_user_email": member}
