"""The stored logins of members: sealed, and replaced by version."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from prebooking.clock import Clock, Deadline, Reading
from prebooking.database.client import IsolatedSupabase
from prebooking.model import Kind, Outcome, SealedSession, Venue

WARNINGS = {
    Kind.SESSION_EXPIRED: "session_expired: the venue asks the member to log in again.",
    Kind.BAD_DATA: "session_unreadable: the stored login cannot be opened: log in again.",
}


@dataclass(frozen=True, slots=True)
class SessionLease:
    """Whether this invocation may refresh a session. ``newer``: another one has refreshed it, and here it is.

    ``over``: the venue has said that this login is over; ``gone``: it is stored no more.
    """

    state: Literal["leased", "newer", "busy", "over", "gone"]
    session: SealedSession | None = None


@dataclass(frozen=True, slots=True)
class ClaimedSessions:
    """The sessions that one claim has leased; ``unreadable`` counts those whose rows cannot be read."""

    sessions: list[MemberSession]
    unreadable: int


class MemberSession(BaseModel):
    """A session that should be refreshed, with its member and venue."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    venue: Venue
    user_email: str
    session: SealedSession


_version = TypeAdapter(int | None).validate_python
_yes_or_no = TypeAdapter(bool).validate_python
_lease = TypeAdapter(SessionLease).validate_python
_strings = TypeAdapter(list[str]).validate_python
_count = TypeAdapter(int).validate_python
_raw = TypeAdapter(list[Any]).validate_python
_session = TypeAdapter(MemberSession).validate_python


class SessionStore:
    """The table of sessions. One method is one function of the database; all raise a StoreError without an answer."""

    def __init__(self, database: IsolatedSupabase, *, instance_id: UUID, clock: Clock) -> None:
        self.instance_id = instance_id
        self._database, self._clock = database, clock

    async def save(
        self, venue_id: UUID, member: str, sealed: str, *, key_id: str, version: int | None, within: float
    ) -> int | None:
        """Keep a session instead of this version (None: a new login, instead of any); return the new version.

        None means that somebody else has replaced it meanwhile, and nothing was touched. ``key_id`` names the key that
        sealed it; ``within`` in seconds.
        """
        params = _key(venue_id, member) | {"p_sealed": sealed, "p_version": version, "p_key_id": key_id}
        return (await self._database.call("save_session_v1", params, _version, until=self._until(within))).value

    async def warn(self, venue_id: UUID, member: str, why: Outcome, *, version: int, within: float) -> bool:
        """Write a warning about this version on the member's prebookings; False: there is a newer version.

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
        self, *, providers: Iterable[str], keys: Iterable[str], older_than: float, limit: int, until: Deadline
    ) -> ClaimedSessions:
        """Lease the sessions older than ``older_than`` seconds of members with an opening within a day, soonest first.

        Sessions that none of these keys opens are left alone. The age counts on the database's clock.
        """
        params: dict[str, Any] = {"p_instance": str(self.instance_id), "p_providers": list(providers)}
        params |= {"p_age_ms": int(older_than * 1000), "p_limit": limit, "p_keys": list(keys)}
        return _claimed((await self._database.call("claim_sessions_v1", params, _raw, until=until)).value)

    async def warn_about_logins(self, *, providers: Iterable[str], keys: Iterable[str], until: Deadline) -> int:
        """Write on prebookings that open within a day that no login is stored for them, or none that these keys open.

        Warnings that are no longer true are removed. Return how many prebookings lack a login.
        """
        params = {"p_providers": list(providers), "p_keys": list(keys)}
        return (await self._database.call("warn_about_logins_v1", params, _count, until=until)).value

    async def key_ids(self, *, until: Deadline) -> list[str]:
        """Return which keys have sealed the logins that are stored."""
        return (await self._database.call("session_key_ids_v1", {}, _strings, until=until)).value

    def _until(self, seconds: float) -> Deadline:
        return Deadline(self._clock, Reading.of(self._clock), seconds)


def _claimed(rows: list[Any]) -> ClaimedSessions:
    """Read the rows one by one, so that one that cannot be read spoils no other."""
    sessions = []
    for row in rows:
        with suppress(ValidationError):
            sessions.append(_session(row))
    return ClaimedSessions(sessions, len(rows) - len(sessions))


def _key(venue_id: UUID, member: str) -> dict[str, Any]:
    return {"p_venue_id": str(venue_id), "p_user_email": member}
